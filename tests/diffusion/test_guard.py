"""Joint inference and commits against the enumeration of all fillings."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

import structgen as sg
from structgen.diffusion import guard
from structgen.diffusion.filling import OPEN, Filling, Free
from structgen.diffusion.guard import Rows, commit, fill, offered
from structgen.diffusion.interfaces import Proposal
from structgen.diffusion.joint import Joint
from structgen.errors import StructgenError
from tests.diffusion.test_filling import known_tokens
from tests.diffusion.toys import VOCAB, choices, fillings, random_automaton
from tests.sampling.exact import law

Words = set[tuple[int, ...]]


def weights_of(seed: int, n: int, size: int) -> Any:
    weights = np.random.default_rng(seed).normal(0, 2, (n, size))
    return weights - np.log(np.exp(weights).sum(1, keepdims=True))


def some_filling(seed: int) -> tuple[Filling, Words, Any]:
    """A random automaton with some known tokens, its fillings, and random weights."""
    random, automaton = Random(seed), random_automaton(seed)
    n, size = random.randrange(1, 5), automaton.vocab.size
    words = fillings(automaton, [OPEN] * n)
    tokens = known_tokens(random, words, n, size)
    words = {word for word in words if all(t in (OPEN, w) for t, w in zip(tokens, word, strict=True))}
    if not words or OPEN not in tokens:
        return some_filling(seed + 100_000)
    found = Filling(automaton, n, tokens=tokens)
    found.grow()
    return found, words, weights_of(seed, n, size)


def weight(word: tuple[int, ...], weights: Any, positions: list[int]) -> float:
    return math.exp(sum(weights[i, word[i]] for i in positions))


@pytest.mark.parametrize("part", range(3))
def test_joint_inference(part: int) -> None:
    """The best filling, the sum of all, marginals and the law of samples; with weights at all open positions or at some."""
    for seed in range(part, 150, 3):
        filling, words, weights = some_filling(seed)
        open_ones = [i for i, token in enumerate(filling.tokens) if token == OPEN]
        chosen = open_ones if seed % 2 else [i for i in open_ones if (seed >> i) & 2]
        joint = Joint(filling, {i: weights[i] for i in chosen})
        best = joint.best()
        assert list(best) == [i for i in open_ones if i >= filling.first]
        word = tuple(best.get(i, token) for i, token in enumerate(filling.tokens))
        top = max(weight(word, weights, chosen) for word in words)
        assert word in words and weight(word, weights, chosen) == pytest.approx(top)
        total = sum(weight(word, weights, chosen) for word in words)
        assert math.exp(joint.log_partition) == pytest.approx(total)
        marginals = joint.log_marginals()
        for i in chosen:
            wanted = np.zeros(weights.shape[1])
            for word in words:
                wanted[word[i]] += weight(word, weights, chosen) / total
            assert np.exp(marginals[i]) == pytest.approx(wanted, abs=1e-12)
        if seed % 3 == 0 and len(words) < 200:
            drawn = law(lambda choose, joint=joint: tuple(joint.sample(choose).items()))
            found = {tuple(dict(items).get(i, t) for i, t in enumerate(filling.tokens)): float(p) for items, p in drawn.items()}
            assert found == pytest.approx({word: weight(word, weights, chosen) / total for word in words})


def test_anchor_of_the_specification() -> None:
    """States s -a-> A, s -b-> B, s -c-> C, A -a-> A, A -b-> B, B -c-> B, C -b-> C, final B and C."""
    with np.errstate(divide="ignore"):
        rows = np.log(np.array([[0.5, 0.3, 0.2, 0, 0], [0.1, 0.6, 0.3, 0, 0], [0.4, 0.4, 0.2, 0, 0]]))
    filling = Filling(sg.compile(sg.regex("a*bc*|cb*"), VOCAB), 3)
    filling.grow()
    joint = Joint(filling, dict(enumerate(rows)))
    assert math.exp(joint.log_partition) == pytest.approx(73 / 500) and joint.best() == {0: 0, 1: 1, 2: 2}
    assert np.exp(joint.log_marginals()[0][:3]) == pytest.approx(np.array([40, 9, 24]) / 73)
    found = law(lambda choose: tuple(joint.sample(choose).values()))
    wanted = {(0, 0, 1): 10 / 73, (0, 1, 2): 30 / 73, (1, 2, 2): 9 / 73, (2, 1, 1): 24 / 73}
    assert {tokens: float(p) for tokens, p in found.items()} == pytest.approx(wanted)


def rows_of(filling: Any, weights: Any) -> Rows:
    positions = offered(filling, 0, filling.n)
    log_p = torch.tensor(weights)[positions].float()
    mask = guard.allowed_tokens([filling.row(i) for i in positions], log_p.shape[1], log_p.device)
    log_q = torch.where(mask, log_p, -torch.inf).log_softmax(-1)
    return Rows(positions, log_p, log_q, log_q)


def everything(rows: Rows, **options: Any) -> Proposal:
    """The candidates of all positions, the surest first."""
    order = rows.log_q.amax(-1).argsort(descending=True).tolist()
    return Proposal(order, [int(rows.draw[i]) for i in order], **{"at_most": len(order), **options})


def test_independent_choices_are_often_invalid_together() -> None:
    """What guards are for: (a|b){2} but for aa and bb, where both positions like a."""
    weights = np.log(np.array([[0.6, 0.4 - 2e-9, 1e-9, 1e-9, 1e-12]] * 2))
    for mode, wanted in (("sequential", [0, 1]), ("viterbi", [0, 1])):
        filling = Filling(sg.compile(sg.regex("ab|ba"), VOCAB), 2)
        filling.grow()
        rows = rows_of(filling, weights)
        assert rows.draw.tolist() == [0, 0]
        assert commit(filling, rows, everything(rows), mode) == [0, 1] and filling.tokens == wanted


@pytest.mark.parametrize("mode", guard.JOINTS)
def test_all_commits_of_a_step_are_valid_together(mode: Any) -> None:
    """Whatever is proposed, in any order, valid or not; the joint modes have the best filling, or draw from the exact law."""
    for seed in range(60):
        filling, words, weights = some_filling(seed)
        rows, random = rows_of(filling, weights), Random(seed)
        before = list(filling.tokens)
        indices = random.sample(range(len(rows.positions)), random.randint(1, len(rows.positions)))
        proposal = Proposal(indices, [random.randrange(weights.shape[1]) for _ in indices], at_most=random.randint(1, len(indices)))
        done = commit(filling, rows, proposal, mode, sg.sampling.Seeded(seed))
        assert 1 <= len(done) <= max(1, proposal.at_most)
        assert [i for i in range(filling.n) if filling.tokens[i] != before[i]] == sorted(rows.positions[i] for i in done)
        assert any(all(t in (OPEN, w) for t, w in zip(filling.tokens, word, strict=True)) for word in words)
        if mode == "viterbi":
            chosen = [rows.positions[i] for i in indices[: proposal.at_most]]
            top = max(weight(word, weights, chosen) for word in words)
            assert weight(tuple(filling.tokens), weights, chosen) == pytest.approx(top)


def test_samples_of_a_step_have_the_marginal_law() -> None:
    """One position is committed by ``joint="sample"``: the others are summed out."""
    for seed in range(12):
        filling, words, weights = some_filling(3 * seed)
        if len(words) > 60:
            continue
        rows = rows_of(filling, weights)
        open_ones = list(rows.positions)
        total = sum(weight(word, weights, open_ones) for word in words)

        def run(choose: Any, filling: Filling = filling, rows: Rows = rows) -> int:
            copy = filling.copy()
            commit(copy, rows, Proposal([0], [0], 1), "sample", choose)
            return copy.tokens[rows.positions[0]]

        first = open_ones[0]
        wanted = {
            token: sum(weight(w, weights, open_ones) / total for w in words if w[first] == token)
            for token in choices(words, filling.n)[first]
        }
        assert {token: float(p) for token, p in law(run, 1e-13).items()} == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("proposal", "tokens", "why"),
    [
        (Proposal([0, 1], [0, 1], 2), [0, 1], "both valid"),
        (Proposal([0, 1], [0, 0], 2), [0, 1], "the second is replaced by the best valid token"),
        (Proposal([0, 1], [0, 0], 2, threshold=0.5), [0, OPEN], "the best valid token is not probable enough"),
        (Proposal([0, 1], [0, 0], 2, at_least=2, threshold=0.5), [0, 1], "but two were wanted in any case"),
        (Proposal([0, 1], [0, 0], 1), [0, OPEN], "no more than asked for"),
        (Proposal([1], [2], 1, threshold=0.99), [OPEN, 0], "at least one: the wanted one first"),
        (Proposal([], [], 1), [0, OPEN], "nothing wanted: the surest"),
        (Proposal([0, 1], [0, 0], 2, joint=True), [0, 1], "together"),
    ],
)
def test_proposals(proposal: Proposal, tokens: list[int], why: str) -> None:
    weights = np.log(np.array([[0.6, 0.3, 0.08, 0.01, 0.01], [0.55, 0.35, 0.08, 0.01, 0.01]]))
    filling = Filling(sg.compile(sg.regex("ab|ba"), VOCAB), 2)
    filling.grow()
    commit(filling, rows_of(filling, weights), proposal)
    assert filling.tokens == tokens, why


@pytest.mark.parametrize("bad", [Proposal([0, 0], [0, 0], 2), Proposal([2], [0], 1), Proposal([0], [], 1)])
def test_proposals_that_are_none(bad: Proposal) -> None:
    filling = Filling(sg.compile(sg.regex("ab|ba"), VOCAB), 2)
    filling.grow()
    with pytest.raises(StructgenError, match="a proposal names each of 2 positions"):
        commit(filling, rows_of(filling, np.zeros((2, 5))), bad)


def test_filling_the_rest_is_the_best_filling() -> None:
    for seed in range(80):
        filling, words, weights = some_filling(seed)
        open_ones = [i for i, token in enumerate(filling.tokens) if token == OPEN]
        assert fill(filling, torch.tensor(weights)) == len(open_ones)
        assert tuple(filling.tokens) in words
        top = max(weight(word, weights, open_ones) for word in words)
        assert weight(tuple(filling.tokens), weights, open_ones) == pytest.approx(top)


def test_without_a_constraint_every_token_but_the_mask_may_come() -> None:
    filling = Free(3, 5, [4])
    rows = rows_of(filling, np.log(np.array([[0.1, 0.1, 0.1, 0.1, 0.6]] * 3)))
    assert 4 not in rows.draw.tolist() and filling.row(0).n == 4
    commit(filling, rows, Proposal([0, 2], [1, 2], 2))
    assert filling.tokens == [1, OPEN, 2] and filling.first == 1 and filling.reopen([0]) == 1 and filling.first == 0
