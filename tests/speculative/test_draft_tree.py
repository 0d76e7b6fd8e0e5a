"""Trees keep their states: nothing is rolled back, no branch touches another, and every node's mask is that of its own text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import structgen as sg
from structgen.errors import StructgenError
from structgen.speculative.draft_tree import DraftTree, Kind, Sapling
from structgen.speculative.interfaces import Verdict
from structgen.speculative.target import MaskedTarget, allowed, masked
from tests.sampling.exact import logs

VOCAB = sg.Vocabulary.from_bytes([b"a", b"b", b"ab", b"{", b"}", b'"', b":", b"1", b",", b"</s>"], eos_token_id=9)
EOS = 9


def random_tree(automaton: sg.TokenAutomaton, seed: int, budget: int = 30) -> DraftTree:
    random = np.random.default_rng(seed)
    sapling = Sapling(automaton, start=5)
    while len(sapling) <= budget:
        parent = int(random.integers(len(sapling)))
        if sapling.state(parent) > 0:
            tokens = automaton.allowed(sapling.state(parent)) if random.random() < 0.8 else range(VOCAB.size)
            sapling.add(parent, int(random.choice(list(tokens))))
    return sapling.tree()


CONSTRAINTS = [
    {"enum": [{"a": "ab"}, {"a": 11}, {"b": {"a": 1}}]},
    sg.regex("(a|b)*ab1"),
]


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=["schema", "regex"])
@pytest.mark.parametrize("seed", range(4))
def test_every_nodes_mask_is_that_of_its_own_prefix_read_anew(constraint: object, seed: int) -> None:
    automaton, fresh = sg.compile(constraint, VOCAB), sg.compile(constraint, VOCAB)
    tree = random_tree(automaton, seed)
    target = MaskedTarget(tree, automaton, np.zeros((tree.n, VOCAB.size)))
    for node in range(tree.n):
        state = fresh.initial
        for token in tree.prefix(node):
            state = fresh.advance(state, token)
        assert min(tree.states[node], 1) == min(state, 1)  # refused, ended, or neither
        if state > 0:
            found = np.flatnonzero(target.log_p(node) > -np.inf)
            assert found.tolist() == [t for t in range(VOCAB.size) if fresh.advance(state, t) != fresh.dead]
        else:
            assert tree.children[node] == []
            with pytest.raises(StructgenError, match="nothing follows"):
                target.log_p(node)


def test_the_arrays_say_the_same_in_every_view() -> None:
    for seed in range(5):
        tree = random_tree(sg.compile(CONSTRAINTS[1], VOCAB), seed)
        for node in range(1, tree.n):
            path = tree.path(node)
            assert path[-1] == node and (len(path) == 1 or path[-2] == tree.parents[node])
            assert tree.depths[node] == len(path) == len(tree.prefix(node))
            assert np.flatnonzero(tree.ancestors[node]).tolist() == [0, *path]
            assert node in tree.children[tree.parents[node]]
        assert tree.depths[0] == 0 and tree.path(0) == [] and tree.ancestors[0].sum() == 1
        assert all(siblings == sorted(siblings) for siblings in tree.children)


def test_chains_and_ends() -> None:
    automaton = sg.compile(sg.regex("ab*"), VOCAB)
    sapling = Sapling(automaton)
    assert sapling.tree().is_chain
    node = sapling.add(sapling.add(0, 0), 1, Kind.FORCED)
    end = sapling.add(node, EOS)
    tree = sapling.tree()
    assert tree.is_chain and tree.is_end(end) and not tree.is_end(node)
    assert Verdict((1, 2, 3), None).tokens(tree) == [0, 1, EOS] and Verdict((1,), 1).tokens(tree) == [0, 1]
    sapling.add(0, 2)
    assert not sapling.tree().is_chain


def test_drafting_leaves_no_trace_in_the_automaton() -> None:
    """What is allowed after a text is the same whatever was drafted in between."""
    automaton = sg.compile(CONSTRAINTS[0], VOCAB)
    state = automaton.advance(automaton.initial, 3)
    before = automaton.mask(state).copy()
    for seed in range(3):
        random_tree(automaton, seed)
    assert automaton.advance(automaton.initial, 3) == state and np.array_equal(automaton.mask(state), before)


def grown() -> Sapling:
    sapling = Sapling(sg.compile(sg.regex("a"), VOCAB))
    sapling.add(0, 1)  # node 1 is refused
    sapling.add(sapling.add(0, 0), EOS)  # node 3 ends the text
    sapling.law(np.zeros(10))
    return sapling


@pytest.mark.parametrize(
    "add, message",
    [
        (lambda s: s.add(1, 0), "is refused"),
        (lambda s: s.add(3, EOS), "ends the text"),
        (lambda s: s.add(4, 0), "node 4"),
        (lambda s: s.add(-1, 0), "node -1"),
        (lambda s: s.add(0, 0, Kind.IID), "IID with row -1"),
        (lambda s: s.add(0, 0, Kind.WOR, 1), "WOR with row 1"),
        (lambda s: s.add(0, 0, Kind.POINT, 0), "POINT with row 0"),
        (lambda s: s.add(0, 0, Kind.FORCED, 0), "FORCED with row 0"),
    ],
)
def test_trees_that_cannot_be_are_refused(add: Callable[[Sapling], int], message: str) -> None:
    with pytest.raises(StructgenError, match=message):
        add(grown())


def test_a_mask_that_leaves_nothing() -> None:
    """A model that excludes all that is allowed has no say; ids beyond the vocabulary are never allowed; nothing allowed is an error."""
    assert np.exp(masked(np.log([0.5, 0.25, 0.25]), np.array([False, True, True]))).tolist() == [0, 0.5, 0.5]
    assert np.exp(masked(np.array([0.0, -np.inf, -np.inf]), np.array([False, True, True]))).tolist() == [0, 0.5, 0.5]
    with pytest.raises(StructgenError, match="no token may follow"):
        masked(np.zeros(3), np.zeros(3, np.bool_))
    automaton = sg.compile(sg.regex("a"), VOCAB)
    assert allowed(automaton, automaton.initial, 64).nonzero()[0].tolist() == [0]
    assert allowed(automaton, automaton.initial, 3).tolist() == [True, False, False]


def test_truncation_comes_after_the_mask() -> None:
    """The most probable allowed token stays, however improbable it was before."""
    automaton = sg.compile(sg.regex("a|b"), VOCAB)
    tree = Sapling(automaton).tree()
    row = np.log(np.array([1, 2, 91, 1, 1, 1, 1, 1, 1, 0.5]))

    def top_1(log_p: np.ndarray) -> np.ndarray:
        return np.where(log_p == log_p.max(), log_p, -np.inf)

    assert np.exp(MaskedTarget(tree, automaton, [row], warp=top_1).log_p(0)).tolist() == [0, 1] + [0] * 8
    nothing = MaskedTarget(tree, automaton, [row], future=lambda tree, node: np.full(10, -np.inf))
    with pytest.raises(StructgenError, match="excluded all"):
        nothing.log_p(0)
    with pytest.raises(StructgenError, match="1 nodes needs as many rows"):
        MaskedTarget(tree, automaton, [row, row])


def test_the_twisted_law_by_hand() -> None:
    automaton = sg.compile(sg.regex("a|b"), VOCAB)
    tree = Sapling(automaton).tree()
    target = MaskedTarget(tree, automaton, [logs([1] * 10)], future=lambda tree, node: logs([3, 1, *[5] * 8]))
    assert [log.value for log in target.log_p(0)][:3] == [0.75, 0.25, 0]
