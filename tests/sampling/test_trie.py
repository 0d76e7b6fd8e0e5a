"""Strategies on the prefix trie: the law of every draw, by walking through all states the trie can be in."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import structgen as sg
from structgen.errors import StructgenError
from structgen.sampling.asap import ASAp
from structgen.sampling.rejection import ARS, CARS, RS, RSFT, TrieStrategy
from structgen.sampling.samples import SamplingFailed
from structgen.sampling.target import Target
from structgen.sampling.trie import Draw, Learn, Node, PrefixTrie
from structgen.sampling.weighted_cars import WeightedCARS
from tests.sampling.exact import Replay, exact, outcomes
from tests.sampling.toys import L5, P2, Z2, as_floats, lm2, toy

LAW2 = {text: p / Z2 for text, p in P2.items()}


@dataclass
class Law:
    """Of one draw, over all states of the trie before it."""

    accepted: dict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    weighted: dict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    square: Fraction = Fraction(0)
    is_exact_in_every_state: bool = True

    @property
    def acceptance(self) -> Fraction:
        return sum(self.accepted.values(), Fraction(0))


def laws(strategy: TrieStrategy, n_draws: int, target: Target | None = None) -> Iterator[Law]:
    """The law of each draw. A state of the trie is entered once, with the probability of all histories that lead to it."""
    target = target or toy()
    states = {"": (strategy.trie(target), Fraction(1))}
    for _ in range(n_draws):
        law, following = Law(), {}
        for trie, probability in states.values():
            here: dict[str, Fraction] = defaultdict(Fraction)
            for p, (text, weight, after) in outcomes(lambda choose, trie=trie: one_draw(trie, target, strategy, choose)):
                p *= probability
                key = written(after.root) if after.root else ""
                following[key] = after, p + (following[key][1] if key in following else 0)
                if text is not None:
                    here[text] += p
                    law.weighted[text] += p * weight
                    law.square += p * weight**2
            total = sum(here.values())
            if not strategy.mask_new:  # P(accept) = Z / theta before the draw, and the law given that is exact
                law.is_exact_in_every_state &= total == probability * Z2 / exact(trie.log_theta)
                law.is_exact_in_every_state &= all(p == total * LAW2[text] for text, p in here.items())
            for text, p in here.items():
                law.accepted[text] += p
        states = following
        yield law


def one_draw(trie: PrefixTrie, target: Target, strategy: TrieStrategy, choose: Any) -> tuple[str | None, Fraction, PrefixTrie]:
    trie = copy.deepcopy(trie, {id(target): target})
    before = exact(trie.log_theta)
    draw = trie.draw(choose, mask_new=strategy.mask_new)
    trie.record(draw)
    assert Fraction(0) < exact(trie.log_theta) <= before, "theta never rises"
    return text_of(draw, target) if draw.accepted else None, exact(draw.log_weight), trie


def text_of(draw: Draw, target: Target) -> str:
    return target.vocab.decode(draw.tokens).decode()


def written(node: Node) -> str:
    order = np.argsort(node.tokens)
    below = {token: written(child) for token, child in sorted(node.children.items())}
    return f"{[(node.tokens[i], node.log_bound[i]) for i in order]} {below}"


ACCEPTANCE = [
    (RS(), [0.403, 0.403]),
    (RSFT(), [0.447777777778, 0.447777777778]),
    (ARS(), [0.403, 0.449510608058]),
    pytest.param(ARS(), [0.403, 0.449510608058, 0.497861050386, 0.545764119898], marks=pytest.mark.long),
    (CARS(), [0.447777777778, 0.628410625677, 0.736462013941, 0.805139073171, 0.850838266832]),
]


@pytest.mark.parametrize("strategy, acceptance", ACCEPTANCE, ids=lambda value: type(value).__name__)
def test_what_is_accepted_has_the_law_of_the_target(strategy: TrieStrategy, acceptance: list[float]) -> None:
    found = list(laws(strategy, len(acceptance)))
    assert all(law.is_exact_in_every_state for law in found)
    assert [float(law.acceptance) for law in found] == pytest.approx(acceptance, abs=1e-9)


@pytest.mark.parametrize("options", [{"keep": 1}, {"max_nodes": 1}, {"max_nodes": 2}, {"keep": 1, "max_nodes": 3}], ids=str)
@pytest.mark.parametrize("kind", [ARS, CARS])
def test_a_bounded_memory_does_not_bend_the_law(kind: Any, options: dict[str, Any]) -> None:
    assert all(law.is_exact_in_every_state for law in laws(kind(**options), 3 if kind is CARS else 2))
    small, full = list(laws(WeightedCARS(**options), 2))[-1], list(laws(WeightedCARS(), 2))[-1]
    assert small.weighted == P2 and small.square >= full.square


def test_asap_comes_nearer() -> None:
    """The first draw is masking; KL and total variation of the first six."""
    found = [law.accepted for law in laws(ASAp(), 6)]
    assert all(sum(law.values()) == 1 for law in found)
    kl = [sum(float(p) * np.log(float(p / LAW2[x])) for x, p in law.items()) for law in found]
    tv = [float(sum(abs(law[x] - LAW2[x]) for x in LAW2)) / 2 for law in found]
    assert kl == pytest.approx([0.139621155214, 0.049248960850, 0.037037605631, 0.030603968566, 0.024188230818, 0.018414743079], abs=1e-9)
    assert tv == pytest.approx([0.241866556383, 0.126921823131, 0.086499346896, 0.083697648509, 0.075872494617, 0.066671541417], abs=1e-9)


def test_weighted_cars_is_properly_weighted_at_every_draw() -> None:
    found = list(laws(WeightedCARS(), 3))
    assert all(law.weighted == P2 for law in found)
    assert [float(law.square - Z2**2) for law in found] == pytest.approx([0.057932, 0.031717066667, 0.019687747500], abs=1e-9)


def test_the_fresh_mask_is_not_used_in_the_draw_that_finds_it() -> None:
    """That would be ASAp, and biased: here the first draws of both, on the same choices."""
    cars, asap = next(laws(CARS(), 1)), next(laws(ASAp(), 1))
    assert {x: p / cars.acceptance for x, p in cars.accepted.items()} == LAW2 != asap.accepted


def test_coin5_after_one_visit() -> None:
    trie = PrefixTrie(toy("coin5"), Learn.CONES)
    trie.record(trie.draw(Replay([0], 0), mask_new=True))  # 00000
    assert trie.root is not None and exact(trie.root.log_bound[0]) == Fraction(1, 16)
    zero = sum((p for p, text in outcomes(lambda choose: all_zero(trie, choose)) if text), Fraction(0))
    assert zero == Fraction(1, 17)


def all_zero(trie: PrefixTrie, choose: Any) -> bool:
    return trie.draw(choose, mask_new=True).tokens == (0,) * 5


def explored(target: Target, learn: Learn = Learn.CONES, **options: Any) -> PrefixTrie:
    trie, choose = PrefixTrie(target, learn, **options), sg.sampling.Seeded(0)
    for _ in range(300):
        trie.record(trie.draw(choose, mask_new=False))
    return trie


@pytest.mark.parametrize("learn", [Learn.CONES, Learn.FAILURES])
@pytest.mark.parametrize("options", [{}, {"keep": 1}], ids=str)
def test_after_all_was_seen_the_bounds_are_the_probabilities(learn: Learn, options: dict[str, Any]) -> None:
    trie = explored(toy(floats=True), learn, **options)
    assert np.exp(trie.log_theta) == pytest.approx(0.403, abs=1e-12)
    assert trie.root is not None
    a = trie.root.children[0]
    assert np.exp(a.log_theta) == pytest.approx((0.135 + 0.048) / 0.6, abs=1e-12)
    assert all(trie.draw(sg.sampling.Seeded(seed), mask_new=False).accepted for seed in range(50))


DEAD_ENDS = sg.potential(lambda text: "bb" not in text and len(text) < 4, lambda text: text in ("a", "aa"))


def test_dead_ends_are_learnt() -> None:
    """A prefix that may be begun but never ended: of one reference the bound stays 1 for ever, and it comes back to it."""
    strategy = WeightedCARS(1)
    target = toy(constraint=DEAD_ENDS, floats=True, max_tokens=3)
    trie, choose = strategy.trie(target), sg.sampling.Seeded(0)
    for _ in range(200):
        trie.record(trie.draw(choose, mask_new=True))
    assert np.exp(trie.log_theta) == pytest.approx(0.6 * 0.4 + 0.3 * 0.05, abs=1e-12)
    assert np.exp(trie.log_theta) == pytest.approx(exact_mass(DEAD_ENDS), abs=1e-12)


def exact_mass(constraint: Any) -> float:
    """P of all texts of up to three letters that the predicate takes, from the table itself."""
    total, layer = 0.0, [((), 1.0)]
    for _ in range(4):
        rows = [(prefix, p, np.exp(as_floats(lm2)(prefix))) for prefix, p in layer]
        total += sum(p * row[2] for prefix, p, row in rows if constraint.complete_check("".join("ab"[i] for i in prefix)))
        layer = [((*prefix, i), p * row[i]) for prefix, p, row in rows for i in (0, 1) if len(prefix) < 3]
    return total


def test_children_are_not_lost() -> None:
    """What was seen is asked of the model once: of one reference the children are gone after a reload."""
    target = toy(floats=True)
    trie = explored(target)
    asked, copied = target.forward_passes, copy.deepcopy(trie, {id(target): target})
    for seed in range(50):
        copied.record(copied.draw(sg.sampling.Seeded(seed), mask_new=False))
    assert target.forward_passes == asked == copied.n_nodes == 8  # all prefixes of words of L


def test_nodes_are_bounded() -> None:
    trie = explored(toy("coin5", floats=True), max_nodes=9, keep=1)
    assert trie.n_nodes == 9


def test_strategies_with_a_seed() -> None:
    for strategy in (RS(20), RSFT(20), ARS(20), CARS(20), ASAp(20), WeightedCARS(20)):
        seen: list[tuple[int, int]] = []
        first = strategy(toy("coin5", floats=True), sg.sampling.Seeded(1), lambda done, total, seen=seen: seen.append((done, total)))
        again = strategy(toy("coin5", floats=True), sg.sampling.Seeded(1))
        assert first.texts == again.texts and set(first) <= L5 and len(first) == 20 and seen[-1] == (20, 20)
        assert first.acceptance == 20 / first.draws and first.forward_passes == first.sequences
        assert np.allclose(np.exp(first.log_probs), 1 / 32)
        assert (first.log_weights == 0).all() or isinstance(strategy, WeightedCARS)
        assert np.exp(first.log_evidence) == pytest.approx(17 / 32, abs=0.2)


def test_an_automaton_and_a_predicate_are_one() -> None:
    automaton = toy(constraint=sg.choice(list(P2)), floats=True)
    predicate = toy(floats=True)
    both = toy(constraint=sg.regex("[ab]*") & sg.potential(predicate.constraint._potential.prefix_check, P2.__contains__), floats=True)  # type: ignore[attr-defined]
    runs = [CARS(30)(target, sg.sampling.Seeded(4)) for target in (automaton, predicate, both)]
    assert runs[0].texts == runs[1].texts == runs[2].texts
    assert runs[0].masks > 0 == runs[1].masks and runs[1].constraint_evaluations > 0


def test_failures() -> None:
    with pytest.raises(SamplingFailed, match=r"\d of 3 texts after 3 draws") as failure:
        RS(3, max_draws=3)(toy(floats=True), sg.sampling.Seeded(0))
    assert failure.value.samples.draws == 3
    never = sg.potential(None, lambda text: False)
    for strategy in (CARS(), ARS(), WeightedCARS(), ASAp()):
        with pytest.raises(SamplingFailed, match="any probability"):
            strategy(toy(constraint=never, floats=True, max_tokens=2), sg.sampling.Seeded(0))
    for options in ({"n": 0}, {"n": 5, "max_draws": 4}):
        with pytest.raises(StructgenError, match="max_draws"):
            CARS(**options)
    with pytest.raises(StructgenError, match="at least 1"):
        CARS(keep=0)(toy(), sg.sampling.Seeded(0))
