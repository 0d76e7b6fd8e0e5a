"""Each unmasking rule against a reference written from its definition with lists and loops, on random rows, ties and edge cases."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from structgen.diffusion import policies
from structgen.diffusion.interfaces import View
from structgen.errors import StructgenError
from tests.diffusion.policy_toys import EOS, MASK, HashModel, Toy, view_of, words_of

SIZE = 5


def random_rows(seed: int, m: int = 8, sharpness: float = 3.0) -> Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=(m, SIZE)) * sharpness, dtype=torch.float32).log_softmax(-1)


def certain(seed: int, m: int = 8) -> Tensor:
    """Rows whose best token has between 0.5 and 1, no two the same (entropies of equal rows in another order differ by rounding)."""
    rng = np.random.default_rng(seed)
    best = rng.choice([0.55, 0.76, 0.8, 0.91, 0.97, 0.998], m) + 1e-4 * np.arange(m)
    rows = np.repeat((1 - best)[:, None] / (SIZE - 1), SIZE, axis=1)
    rows[np.arange(m), rng.integers(0, SIZE, m)] = best
    return torch.tensor(rows, dtype=torch.float32).log()


ROWS = {
    **{f"random{i}": random_rows(i) for i in range(4)},
    **{f"flat{i}": random_rows(i, sharpness=0.3) for i in range(2)},
    **{f"certain{i}": certain(i, 9) for i in range(6)},
    "ties": certain(3, 1).expand(7, SIZE).contiguous(),
    "two kinds": torch.cat([certain(3, 1).expand(3, SIZE), certain(4, 1).expand(3, SIZE)]),
    "one left": random_rows(5, 1),
    "ends": torch.tensor([[0.02, 0.02, 0.02, 0.92, 0.02], [0.9, 0.025, 0.025, 0.025, 0.025], [0.1, 0.1, 0.1, 0.6, 0.1]]).log(),
}
POSITIONS = {True: None, False: [0, 1, 2, 5, 6, 9, 10, 11, 30]}


def views() -> list[tuple[str, View]]:
    found = []
    for name, rows in ROWS.items():
        for dense, constrained in itertools.product((True, False), (False, True)):
            allowed = None
            if constrained:
                allowed = torch.tensor(np.random.default_rng(len(name)).random(rows.shape) < 0.6)
                allowed[:, -1] = True
            positions = (POSITIONS[dense] or list(range(9)))[: len(rows)]
            canvas = [MASK if i in positions else 0 for i in range(31)]
            label = f"{name}{' gaps' * (not dense)}{' constrained' * constrained}"
            found.append((label, view_of(rows, allowed=allowed, positions=positions, canvas=canvas, steps=4, step=1)))
    return found


# -- references: the definitions, one position at a time -------------------------------------------------------------------------


def ranked(scores: list[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


def row_lists(view: View, mass: str) -> list[list[float]]:
    return (view.log_p if mass == "raw" else view.log_q).exp().tolist()


def confidence(view: View, mass: str) -> list[float]:
    return [row[v] for row, v in zip(row_lists(view, mass), view.draw.tolist(), strict=True)]


def entropy(row: list[float]) -> float:
    return -sum(p * math.log(p) for p in row if p)


def neg_entropy(view: View, mass: str) -> list[float]:
    return [float(np.float32(-entropy(row)).round(5)) for row in row_lists(view, mass)]


def margin(view: View, mass: str) -> list[float]:
    return [row[v] - max(p for u, p in enumerate(row) if u != v) for row, v in zip(row_lists(view, mass), view.draw.tolist(), strict=True)]


def llada(n: int, steps: int, step: int) -> int:
    return n // steps + (step < n % steps)


def ref_low_confidence(view: View, mass: str) -> list[int]:
    return ranked(confidence(view, mass))[: math.ceil(len(view.positions) / (view.steps - view.step))]


def ref_entropy(view: View, mass: str) -> list[int]:
    return ranked(neg_entropy(view, mass))[: math.ceil(len(view.positions) / (view.steps - view.step))]


def ref_margin(view: View, mass: str) -> list[int]:
    return ranked(margin(view, mass))[: math.ceil(len(view.positions) / (view.steps - view.step))]


def ref_ascending(view: View, mass: str) -> list[int]:
    return ranked(confidence(view, mass))[: 2**view.step]


def ref_threshold(view: View, mass: str) -> list[int]:
    c = confidence(view, mass)
    return [i for i in ranked(c) if c[i] >= np.float32(0.9)] or ranked(c)[:1]


def ref_factor(view: View, mass: str) -> list[int]:
    c = confidence(view, mass)
    order = ranked(c)
    n = 0
    while n < len(order) and (n + 2) * (1 - c[order[n]]) < 1.0:
        n += 1
    return order[: max(1, n)]


def ref_entropy_bound(view: View, mass: str, by: Any = neg_entropy, gamma: float = 0.3) -> list[int]:
    h = [entropy(row) for row in row_lists(view, mass)]
    order = ranked(by(view, mass))
    best = 1
    for k in range(1, len(order) + 1):
        taken = [h[i] for i in order[:k]]
        if sum(taken) - max(taken) <= gamma:
            best = k
    return order[:best]


def ref_local_leap(view: View, mass: str) -> list[int]:
    c, at = confidence(view, mass), view.positions.tolist()
    anchors = [p for i, p in enumerate(at) if c[i] >= 0.9]
    chosen = {i for i in range(len(c)) if c[i] >= 0.9 or (c[i] >= 0.75 and any(abs(at[i] - p) <= 4 for p in anchors))}
    return [i for i in ranked(c) if i in chosen] or ranked(c)[:1]


def ref_hierarchy(view: View, mass: str) -> list[int]:
    c, at = confidence(view, mass), view.positions.tolist()
    runs: list[list[int]] = []
    for i, p in enumerate(at):
        if i and at[i - 1] == p - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    chosen = {max(run, key=lambda i: (c[i], -i)) for run in runs}
    chosen = {i for i in chosen if c[i] > 0.4} | {i for i in range(len(c)) if c[i] >= 0.9} | {ranked(c)[0]}
    return [i for i in ranked(c) if i in chosen]


def ref_eos(view: View, mass: str) -> list[int]:
    factor = 0.4 + 0.6 * view.step / (view.steps - 1)
    c = [p * factor if v == EOS else p for p, v in zip(confidence(view, mass), view.draw.tolist(), strict=True)]
    return ranked(c)[: math.ceil(len(c) / (view.steps - view.step))]


def ref_eos_ascending(view: View, mass: str) -> list[int]:
    factor = 0.01 + 0.99 * (2 ** (view.step + 1) - 1) / 2**view.steps
    c = [p * factor if v == EOS else p for p, v in zip(confidence(view, mass), view.draw.tolist(), strict=True)]
    return ranked(c)[: 2**view.step]


def ref_learned(view: View, mass: str) -> list[int]:
    c = [p * p for p in confidence(view, mass)]
    return [i for i in ranked(c) if c[i] > 0.6] or ranked(c)[:1]


RULES = {
    "low confidence": (policies.LowConfidence, ref_low_confidence),
    "entropy": (policies.Entropy, ref_entropy),
    "margin": (policies.Margin, ref_margin),
    "ascending": (policies.AscendingSteps, ref_ascending),
    "threshold": (policies.Threshold, ref_threshold),
    "factor": (policies.Factor, ref_factor),
    "entropy bound": (lambda mass: policies.EntropyBound(0.3, mass=mass), ref_entropy_bound),
    "entropy bound by confidence": (
        lambda mass: policies.EntropyBound(0.3, "confidence", mass),
        lambda view, mass: ref_entropy_bound(view, mass, confidence),
    ),
    "entropy bound by margin": (
        lambda mass: policies.EntropyBound(0.3, "margin", mass),
        lambda view, mass: ref_entropy_bound(view, mass, margin),
    ),
    "local leap": (policies.LocalLeap, ref_local_leap),
    "hierarchy": (policies.Hierarchy, ref_hierarchy),
    "eos rejection": (lambda mass: policies.EosRejection(policies.LowConfidence(mass)), ref_eos),
    "eos rejection, ascending": (lambda mass: policies.EosRejection(policies.AscendingSteps(mass)), ref_eos_ascending),
    "learned": (lambda mass: policies.Learned(lambda c: c * c, 0.6, mass), ref_learned),
}


@pytest.mark.parametrize("mass", ["raw", "renormalised"])
@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_its_definition(rule: str, mass: str) -> None:
    make, reference = RULES[rule]
    for label, view in views():
        found = make(mass=mass).begin().propose(view)
        assert list(found.indices) == reference(view, mass), label
        assert list(found.tokens) == view.draw[list(found.indices)].tolist()
        assert found.at_most == len(found.indices) >= 1


# -- schedules -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 8, 31, 32])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 32])
def test_lladas_schedule_sums_to_the_length(n: int, steps: int) -> None:
    left, counts = n, []
    for step in range(steps):
        if left:
            view = view_of(random_rows(0, left), steps=steps, step=step)
            counts.append(policies.LowConfidence().propose(view).at_most)
            left -= counts[-1]
    assert counts == [k for k in (llada(n, steps, step) for step in range(steps)) if k]
    assert sum(counts) == n


@pytest.mark.parametrize("power", range(6))
def test_ascending_steps_double_and_take_the_rest_at_last(power: int) -> None:
    left, counts = 2**power, []
    for step in range(max(1, power)):
        view = view_of(random_rows(0, left), steps=max(1, power), step=step)
        counts.append(policies.AscendingSteps().propose(view).at_most)
        left -= counts[-1]
    assert counts[:-1] == [2**s for s in range(power - 1)] and sum(counts) == 2**power


def test_the_random_order_is_a_permutation_of_the_canvas_for_each_seed() -> None:
    firsts = set()
    for seed in range(40):
        policy, left, order = policies.Random(seed=seed), list(range(5)), []
        while left:
            canvas = [MASK if i in left else 0 for i in range(5)]
            view = view_of(random_rows(len(left), len(left)), positions=left, canvas=canvas, steps=5, step=5 - len(left))
            (index,) = policy.propose(view).indices
            order.append(left.pop(index))
        assert sorted(order) == list(range(5))
        assert order == [i for i in np.argsort(-np.random.default_rng(seed).random(5))]
        firsts.add(order[0])
    assert firsts == set(range(5))


def test_positions_drawn_at_a_temperature_follow_the_softmax_of_scores() -> None:
    view = view_of(torch.tensor([[0.5, 0.3, 0.2], [0.8, 0.1, 0.1], [0.6, 0.2, 0.2]]).log(), steps=3)
    n = 1200
    counts = np.zeros(3)
    for seed in range(n):
        counts[policies.LowConfidence(position_temperature=0.3, seed=seed).propose(view).indices[0]] += 1
    expected = np.exp(np.array([0.5, 0.8, 0.6]) / 0.3)
    expected *= n / expected.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # chi square of 2 degrees of freedom, p = 0.001


def test_the_number_of_open_positions_counts_those_not_offered_yet() -> None:
    view = view_of(random_rows(1, 2), positions=[1, 2], canvas=[7, MASK, MASK, MASK, MASK, MASK, 7], steps=2)
    assert view.n_open == 5
    assert policies.LowConfidence().propose(view).at_most == 2  # of 3 by the schedule, 2 can be had


# -- rules with a history --------------------------------------------------------------------------------------------------------


def history(seed: int, n: int = 9, steps: int = 7) -> list[View]:
    """Views of one generation: rows that settle down, positions that go and come."""
    rng = np.random.default_rng(seed)
    rows, left, found = rng.normal(size=(n, SIZE)) * 3, list(range(n)), []
    late = {n - 1}  # offered from the third step on
    for step in range(steps):
        rows = rows + rng.normal(size=rows.shape) * rng.choice([0.0, 0.01, 0.3, 2.0], (n, 1))
        offered = [i for i in left if step > 1 or i not in late]
        log_p = torch.tensor(rows[offered], dtype=torch.float32).log_softmax(-1)
        found.append(view_of(log_p, positions=offered, canvas=[MASK] * n, step=step, steps=steps))
        if len(left) > 3:
            left.pop(int(rng.integers(len(left) - 1)))
    return found


def by_position(view: View) -> dict[int, list[float]]:
    return dict(zip(view.positions.tolist(), view.log_p.double().exp().tolist(), strict=True))


@pytest.mark.parametrize("seed", range(30))
def test_klass_waits_until_rows_are_stable(seed: int) -> None:
    policy = policies.Klass(0.6).begin()
    before: list[dict[int, list[float]]] = []
    for view in history(seed):
        now = by_position(view)
        c = confidence(view, "raw")

        def divergence(a: dict[int, list[float]], b: dict[int, list[float]], i: int) -> float:
            return sum(p * math.log(p / q) for p, q in zip(a[i], b[i], strict=True)) if i in a and i in b else math.inf

        rows = [*before, now][-3:]
        stable = {
            index
            for index, i in enumerate(now)
            if len(rows) == 3 and divergence(rows[2], rows[1], i) < 0.01 and divergence(rows[1], rows[0], i) < 0.01
        }
        expected = [i for i in ranked(c) if i in stable and c[i] >= 0.6] or ranked(c)[:1]
        assert list(policy.propose(view).indices) == expected
        before.append(now)


@pytest.mark.parametrize("seed", range(20))
def test_credits_fade_and_favourites_gain(seed: int) -> None:
    policy = policies.Credit(policies.Threshold(0.8)).begin()
    credits: dict[int, list[float]] = {}
    for view in history(seed):
        now = by_position(view)
        fused = {}
        for i, row in now.items():
            faded = [0.8 * c for c in credits.get(i, [0.0] * SIZE)]
            faded[row.index(max(row))] += max(row) ** 0.2
            credits[i] = faded
            logits = [math.log(p) + 0.7 * math.log(1 + c) for p, c in zip(row, faded, strict=True)]
            z = math.log(sum(map(math.exp, logits)))
            fused[i] = [math.exp(l - z) for l in logits]
        credits = {i: credits[i] for i in now}
        c = [max(row) for row in fused.values()]
        expected = [i for i in ranked(c) if c[i] >= 0.8] or ranked(c)[:1]
        found = policy.propose(view)
        assert list(found.indices) == expected
        assert list(found.tokens) == [list(fused.values())[i].index(c[i]) for i in expected]


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_contextual_decoding_commits_what_the_last_contexts_agree_on(seed: int, depth: int) -> None:
    policy = policies.Contextual(depth, 4).begin()
    before: list[dict[int, list[float]]] = []
    for view in history(seed):
        now = by_position(view)
        steps = [*before, now][-depth:]
        tops = [set(sorted(rows, key=lambda i, rows=rows: (entropy(rows[i]), i))[:4]) for rows in steps]
        agreed = set.intersection(*tops) & set(now) if len(steps) == depth else set()
        agreed = {i for i in agreed if len({rows[i].index(max(rows[i])) for rows in steps}) == 1}
        mean = {i: np.mean([rows[i] for rows in steps if i in rows], axis=0).tolist() for i in now}
        order = sorted(now, key=lambda i: (entropy(mean[i]), i))
        expected = [i for i in order if i in agreed] or order[:1]
        assert [view.positions.tolist()[i] for i in policy.propose(view).indices] == expected
        before.append(now)


@pytest.mark.parametrize("name", ["Klass", "Credit", "Contextual", "ReMdm", "Wino"])
def test_a_fresh_policy_has_no_history(name: str) -> None:
    policy = getattr(policies, name)()
    first, *rest = history(3)
    expected = policy.begin().propose(first)
    used = policy.begin()
    for view in (first, *rest):
        used.propose(view)
    assert used.begin().propose(first) == expected


# -- rules that look ahead -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("steps", [6, 3])
def test_info_gain_takes_the_set_that_leaves_least_uncertainty(seed: int, steps: int) -> None:
    model = HashModel(seed, 6, SIZE, sharpness=1.0)
    canvas = [MASK] * 6
    log_p = model.logits(torch.tensor([canvas]))[0].log_softmax(-1)
    asked: list[list[int]] = []

    def look_ahead(canvases: Tensor) -> Tensor:
        asked.extend(canvases.tolist())
        return model.logits(canvases).log_softmax(-1)

    view = view_of(log_p, steps=steps, look_ahead=look_ahead)
    found = policies.InfoGain(seed=seed).propose(view)
    h = [entropy(row) for row in log_p.double().exp().tolist()]

    def gain(canvas: list[int]) -> float:
        chosen = [i for i, t in enumerate(canvas) if t != MASK]
        after = model.row(canvas).double().log_softmax(-1).exp().tolist()
        still = [entropy(after[i]) for i, t in enumerate(canvas) if t == MASK]
        return -sum(h[i] for i in chosen) - sum(still) / len(still)

    best = max(asked, key=gain)
    assert sorted(found.indices) == [i for i, t in enumerate(best) if t != MASK]
    assert len(found.indices) == 6 // steps
    assert 1 < len(asked) <= 8 and model.passes == 2  # one batch
    greedy = ranked(confidence(view, "raw"))[: 6 // steps]
    assert [v if i in greedy else MASK for i, v in enumerate(view.draw.tolist())] == asked[0]


def test_info_gain_does_not_look_where_all_are_sure() -> None:
    found = policies.InfoGain().propose(view_of(torch.tensor([[0.9, 0.1], [0.85, 0.15], [0.1, 0.9]]).log()))
    assert list(found.indices) == [0, 2, 1]


@pytest.mark.parametrize("seed", range(10))
def test_exploring_takes_the_token_that_makes_most_others_sure(seed: int) -> None:
    model = HashModel(seed, 6, SIZE, sharpness=1.0, context=2.0)
    log_p = model.logits(torch.full((1, 6), MASK))[0].log_softmax(-1)
    allowed = torch.ones(6, SIZE, dtype=torch.bool)
    allowed[:, 1] = False
    asked: list[list[int]] = []

    def look_ahead(canvases: Tensor) -> Tensor:
        asked.extend(canvases.tolist())
        return model.logits(canvases).log_softmax(-1)

    view = view_of(log_p, allowed=allowed, look_ahead=look_ahead)
    found = policies.ExploreExploit(threshold=0.8, enough=3, width=3).propose(view)
    c = confidence(view, "raw")
    sure = [i for i in ranked(c) if c[i] >= 0.8]
    if len(sure) >= 3:
        assert list(found.indices) == sure and not asked
        return
    h = [entropy(row) if i not in sure else -1 for i, row in enumerate(log_p.exp().tolist())]
    target = ranked(h)[0]
    tried = ranked([p if ok else -1 for p, ok in zip(log_p[target].exp().tolist(), allowed[target].tolist(), strict=True)])[:3]
    assert [canvas[target] for canvas in asked] == tried
    assert all(canvas[i] == view.draw[i] for canvas in asked for i in sure)
    n_sure = [sum(max(row) >= 0.8 for i, row in enumerate(model.row(canvas).softmax(-1).tolist()) if canvas[i] == MASK) for canvas in asked]
    assert list(found.indices) == [*sure, target]
    assert found.tokens[-1] == tried[n_sure.index(max(n_sure))]


# -- Fast-dLLM's theorem ---------------------------------------------------------------------------------------------------------


def test_tokens_that_the_factor_rule_commits_are_jointly_the_most_probable() -> None:
    rng, tried = np.random.default_rng(0), 0
    for _ in range(1500):
        n = int(rng.integers(2, 4))
        joint = rng.dirichlet(np.ones(3**n) * 0.03).reshape((3,) * n)
        rows = np.stack([joint.sum(axis=tuple(j for j in range(n) if j != i)) for i in range(n)])
        found = policies.Factor().propose(view_of(torch.tensor(rows).clamp(min=1e-300).log()))
        if len(found.indices) < n:
            continue
        tried += 1
        mode = tuple(t for _, t in sorted(zip(found.indices, found.tokens, strict=True)))
        assert joint[mode] == joint.max()
    assert tried > 150


@pytest.mark.parametrize("n", [2, 3, 4])
def test_just_above_the_bound_the_theorem_fails_and_the_rule_refuses(n: int) -> None:
    for slack, count in ((1e-3, False), (-1e-3, True)):
        share = 1 / (n + 1) + slack
        joint = np.zeros((2,) * n)
        for i in range(n):
            joint[tuple(int(j == i) for j in range(n))] = share
        joint[(0,) * n] = 1 - n * share
        rows = torch.tensor([[1 - share, share]] * n).log()
        assert (joint[(0,) * n] >= joint.max()) is np.True_ if count else joint[(0,) * n] < joint.max()
        assert (len(policies.Factor().propose(view_of(rows)).indices) == n) is count


# -- remasking -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["cap", "rescale"])
def test_remdm_keeps_the_shares_of_the_schedule(schedule: Any) -> None:
    policy, steps = policies.ReMdm(0.3, schedule), 8
    share = 0.0  # of committed positions, expected
    for t in range(steps):
        a, b = t / steps, (t + 1) / steps
        limit = min(1.0, (1 - b) / a) if a else 1.0
        sigma = min(0.3, limit) if schedule == "cap" else 0.3 * limit
        assert policy.sigma(t, steps) == pytest.approx(sigma)
        share = share * (1 - sigma) + (1 - share) * policy.commit_probability(t, steps)
        assert share == pytest.approx(b)
    assert policy.sigma(steps - 1, steps) == 0.0 and policy.commit_probability(steps - 1, steps) == 1.0


@pytest.mark.parametrize("by_confidence", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_remdm_ends_with_its_steps_and_never_opens_what_was_given(seed: int, by_confidence: bool) -> None:
    toy = Toy(HashModel(seed, 12), policies.ReMdm(0.5, by_confidence=by_confidence, seed=seed), steps=10, given={3: 1, 7: 2})
    word = toy.run()
    assert word[3] == 1 and word[7] == 2
    assert all(step[3] == 1 and step[7] == 2 for step in toy.trace)
    assert len(toy.trace) <= 10


def test_remdm_does_open() -> None:
    toys = [Toy(HashModel(seed, 12), policies.ReMdm(0.5, seed=seed), steps=10) for seed in range(5)]
    for toy in toys:
        toy.run()
    assert sum(toy.reopened for toy in toys) > 5


@pytest.mark.parametrize("seed", range(20))
def test_wino_takes_back_what_the_others_do_not_support(seed: int) -> None:
    model = HashModel(seed, 10, sharpness=1.5)
    toy = Toy(model, policies.Wino())
    canvas_before, accepted = tuple(toy.tokens), 0
    while toy.ready():
        before = tuple(toy.tokens)
        rows = model.row(before).log_softmax(-1)
        accepted = sum(a == MASK != b for a, b in zip(canvas_before, before, strict=True))
        toy.advance(rows)
        after = tuple(toy.tokens)
        opened = [i for i in range(10) if before[i] != MASK == after[i]]
        alone = {
            i: float(model.row([*before[:i], MASK, *before[i + 1 :]]).softmax(-1)[i, before[i]]) for i in range(10) if before[i] != MASK
        }
        wide = [i for i in range(10) if before[i] == MASK and float(rows[i].exp().max()) >= 0.6]
        doubtful = sorted((i for i in alone if alone[i] < 0.9), key=lambda i: (alone[i], i))
        expected = doubtful[: max(0, accepted - 1)] if len(wide[: max(5, int(0.7 * before.count(MASK)))]) > 1 else []
        assert opened == sorted(expected)
        canvas_before = before
    assert len(toy.trace) <= 2 * 10


# -- all of them, decoding -------------------------------------------------------------------------------------------------------

ALL = {
    "random": policies.Random(),
    "low confidence": policies.LowConfidence(),
    "entropy": policies.Entropy("renormalised"),
    "margin": policies.Margin(),
    "drawn positions": policies.LowConfidence(position_temperature=0.5),
    "ascending": policies.AscendingSteps(),
    "eos rejection": policies.EosRejection(),
    "eos rejection, ascending": policies.EosRejection(policies.AscendingSteps()),
    "threshold": policies.Threshold(0.7),
    "factor": policies.Factor(),
    "entropy bound": policies.EntropyBound(0.5),
    "klass": policies.Klass(0.5, 0.5),
    "local leap": policies.LocalLeap(0.8, 0.6),
    "credit": policies.Credit(),
    "credit, klass": policies.Credit(policies.Klass(0.4, 1.0, 1)),
    "eos rejection, credit": policies.EosRejection(policies.Credit(policies.Factor())),
    "hierarchy": policies.Hierarchy(),
    "contextual": policies.Contextual(),
    "info gain": policies.InfoGain(),
    "explore": policies.ExploreExploit(0.7),
    "learned": policies.Learned(lambda c: c, 0.7),
    "remdm": policies.ReMdm(0.3),
    "wino": policies.Wino(),
}


@pytest.mark.parametrize("name", ALL)
def test_every_policy_fills_what_is_valid(name: str) -> None:
    for seed in range(5):
        words = words_of(seed, 5)
        for steps, block in ((None, None), (3, None), (2, 2)):
            toy = Toy(HashModel(seed, 5), ALL[name], words=words, steps=steps, block=block)
            assert toy.run() in words
            assert len(toy.trace) <= 10


def test_names_are_all_there() -> None:
    assert all(hasattr(policies, name) for name in policies.__all__)
    with pytest.raises(AttributeError):
        policies.Nonsense  # noqa: B018


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (policies.LowConfidence, {"mass": "x"}, "mass of LowConfidence is one of raw, renormalised"),
    (policies.Threshold, {"threshold": "0.9"}, "threshold of Threshold is a number"),
    (policies.Threshold, {"threshold": float("nan")}, "threshold of Threshold is a number"),
    (policies.Random, {"seed": 0.5}, "seed of Random is a whole number"),
    (policies.InfoGain, {"candidates": 0}, "at least 1"),
    (policies.Klass, {"threshold": None}, "threshold of Klass is a number"),
    (policies.Credit, {"policy": 5}, "policy of Credit is a policy"),
    (policies.EosRejection, {"policy": policies.LowConfidence}, "policy of EosRejection is a policy"),
    (policies.Wino, {"mass": None}, "mass of Wino is one of"),
]


@pytest.mark.parametrize(("kind", "options", "message"), WRONG, ids=[f"{kind.__name__} {i}" for i, (kind, _, _) in enumerate(WRONG)])
def test_fields_that_are_none(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StructgenError, match=message):
        kind(**options)
