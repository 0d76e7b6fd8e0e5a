"""Runs of the target counted, forced drafts, drafts of a real automaton, refusals, and the lossy rule that says so."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from math import ceil
from typing import Any

import numpy as np
import pytest

import structgen as sg
from structgen.automata.machine import DEAD
from structgen.errors import StructgenError
from structgen.sampling.choice import Seeded
from structgen.speculative.draft_tree import DraftTree, Kind, Sapling
from structgen.speculative.target import MaskedTarget
from structgen.speculative.verifiers import (
    BlockVerification,
    GreedyMatch,
    KSeq,
    LossyTypicalAcceptance,
    MultiPathBlock,
    RecursiveRejection,
    SampleFollow,
    TraversalVerification,
)
from tests.sampling.exact import law, logs
from tests.speculative.test_following import never
from tests.speculative.toys import SIZE, Context, Propose, Toy, decode, points_of, step

LOSSLESS = [GreedyMatch(), SampleFollow(), RecursiveRejection(), TraversalVerification(), BlockVerification()]


def chain(toy: Toy, text: Context, token_after: Callable[[Context], int], length: int) -> DraftTree:
    sapling, node = Sapling(toy, toy.state(text), start=len(text)), 0
    for _ in range(length):
        if sapling.state(node) > 0:
            node = sapling.add(node, token_after(toy.context(sapling.state(node))))
    return sapling.tree()


def best(toy: Toy, context: Context) -> int:
    row = toy.masked(toy.p)(context)
    return row.index(max(row))


@pytest.mark.parametrize("n, budget", list(product([1, 5, 8], [0, 1, 3, 20])))
def test_runs_of_the_target(n: int, budget: int) -> None:
    """A drafter that knows: ceil(n / (budget + 1)). One that is always wrong: n."""
    toy = Toy(3, free=True)
    knows: Propose = lambda toy, text: chain(toy, text, lambda context: best(toy, context), budget)  # noqa: E731
    errs: Propose = lambda toy, text: chain(toy, text, lambda context: (best(toy, context) + 1) % SIZE, budget)  # noqa: E731
    text, runs, _ = decode(toy, knows, GreedyMatch(), never, n)
    assert runs == ceil(n / (budget + 1))
    assert decode(toy, errs, GreedyMatch(), never, n) == (text, n, 0)


class Cycle(Toy):
    """``forced`` tokens without a choice, then a free one, over and over."""

    def __init__(self, forced: int) -> None:
        super().__init__(0, floats=True)
        self.forced = forced

    def may_follow(self, context: Context) -> list[bool]:
        at = len(context) % (self.forced + 1)
        return [at == self.forced or token == at % SIZE for token in range(SIZE)]


@pytest.mark.parametrize("verifier", LOSSLESS, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("forced, budget", list(product([1, 4], [0, 1, 2, 9])))
def test_forced_drafts_are_never_refused(verifier: Any, forced: int, budget: int) -> None:
    """ceil((forced + 1) / (budget + 1)) runs for each free token."""
    toy = Cycle(forced)

    def propose(toy: Toy, text: Context) -> DraftTree:
        sapling, node = Sapling(toy, toy.state(text)), 0
        for _ in range(budget):
            ok = toy.may_follow(toy.context(sapling.state(node)))
            if sum(ok) == 1:
                node = sapling.add(node, ok.index(True), Kind.FORCED)
        drafted.append(len(sapling) - 1)
        return sapling.tree()

    drafted: list[int] = []
    _, runs, kept = decode(toy, propose, verifier, Seeded(1), 3 * (forced + 1))
    assert runs == 3 * ceil((forced + 1) / (budget + 1))
    assert kept == sum(drafted)


class Line:
    """One token, for ever."""

    initial = 1

    def advance(self, state: int, token: int) -> int:
        return state if token == 0 else DEAD

    def mask(self, state: int) -> Any:
        return np.ones(1, np.uint32)


@pytest.mark.parametrize("verifier", [*LOSSLESS, LossyTypicalAcceptance()], ids=lambda v: type(v).__name__)
def test_a_long_draft_needs_no_deep_recursion(verifier: Any) -> None:
    sapling, node = Sapling(Line()), 0
    for _ in range(3000):
        node = sapling.add(node, 0, Kind.FORCED)
    tree = sapling.tree()
    assert len(verifier.verify(tree, MaskedTarget(tree, Line(), np.zeros((tree.n, 1))), Seeded(0)).path) == 3000


TOKENS = [b"a", b"b", b"ab", b'"', b'"a', b'b"', b"1", b"</s>"]


def longest_match(text: str) -> list[int]:
    found: list[int] = []
    while text:
        i = max((i for i, token in enumerate(TOKENS[:-1]) if text.startswith(token.decode())), key=lambda i: len(TOKENS[i]))
        found, text = [*found, i], text[len(TOKENS[i]) :]
    return found


@pytest.mark.parametrize("verifier", LOSSLESS[1:], ids=lambda v: type(v).__name__)
def test_forced_bytes_drafted_as_tokens_leave_the_law_as_it_is(verifier: Any) -> None:
    """The bytes are certain, how they are cut into tokens is not: the drafts are verified like any others."""
    vocab = sg.Vocabulary.from_bytes(TOKENS, eos_token_id=7, encode=longest_match)
    automaton = sg.compile(sg.regex(r'"ab1(ab|1)"'), vocab)
    forced = automaton.forced(automaton.initial)
    assert len(forced) > 1

    def row(state: int) -> Any:
        weights = np.random.default_rng(state).integers(1, 5, len(TOKENS)).tolist()
        return [Fraction(w, sum(weights)) for w in weights]

    def texts(text: Context, state: int) -> dict[Context, Fraction]:
        """The law of all texts that go on so, masked token by token."""
        if text[-1:] == (7,):
            return {text: Fraction(1)}
        after = {token: automaton.advance(state, token) for token in range(len(TOKENS))}
        mass = sum(row(state)[token] for token, following in after.items() if following != DEAD)
        longer = [(row(state)[token] / mass, (*text, token), following) for token, following in after.items() if following != DEAD]
        return {whole: p * share for p, begun, following in longer for whole, share in texts(begun, following).items()}

    def run(choose: Any) -> Context:
        sapling, node = Sapling(automaton), 0
        for token in forced:
            node = sapling.add(node, token, Kind.FORCED)
        tree = sapling.tree()
        verdict = verifier.verify(tree, MaskedTarget(tree, automaton, [logs(row(int(s))) for s in tree.states]), choose)
        return tuple(verdict.tokens(tree))

    found: dict[Context, Fraction] = {}
    for begun, probability in law(run).items():
        state = automaton.initial
        for token in begun:
            state = automaton.advance(state, token)
        found |= {whole: found.get(whole, 0) + probability * share for whole, share in texts(begun, state).items()}
    assert found == texts((), automaton.initial)
    assert len(found) > 10


def test_equal_siblings_are_followed_together() -> None:
    """What is drafted behind the second of two equal tokens is found too."""
    toy = Toy(0, free=True)
    sapling = Sapling(toy)
    token = best(toy, ())
    first, second = sapling.add(0, token), sapling.add(0, token)
    sapling.add(first, (best(toy, (token,)) + 1) % SIZE)
    third = sapling.add(second, best(toy, (token,)))
    tree = sapling.tree()
    assert GreedyMatch().verify(tree, toy.target(tree), never).path == (second, third)


def sketch(*children: tuple[int, Kind, list[float] | None]) -> DraftTree:
    """Children (parent, kind, row) that all hold token 0."""
    sapling = Sapling(Line())
    for parent, kind, row in children:
        sapling.add(parent, 0, kind, -1 if row is None else sapling.law(np.array(row)))
    return sapling.tree()


@pytest.mark.parametrize(
    "verifier, tree, message",
    [
        (BlockVerification(), sketch((0, Kind.POINT, None), (0, Kind.POINT, None)), "takes a chain"),
        (KSeq(), sketch((0, Kind.POINT, None)), "independently from one law"),
        (MultiPathBlock(), sketch((0, Kind.POINT, None)), "independently from one law"),
        (MultiPathBlock(), sketch((0, Kind.IID, [0.0]), (0, Kind.IID, [0.0]), (1, Kind.IID, [0.0])), "chains of one length"),
        (MultiPathBlock(), sketch((0, Kind.IID, [0.0]), (1, Kind.IID, [0.0]), (1, Kind.IID, [0.0])), "chains of one length"),
        (RecursiveRejection(), sketch((0, Kind.IID, [-np.inf])), "cannot have been drawn"),
        (TraversalVerification(), sketch((0, Kind.IID, [0.0, 0.0])), "a row of 1 probabilities"),
        (TraversalVerification(), sketch((0, Kind.IID, [-np.inf])), "cannot have been drawn"),
        (BlockVerification(), sketch((0, Kind.IID, [np.nan])), "cannot have been drawn"),
    ],
)
def test_trees_a_verifier_does_not_take_are_refused(verifier: Any, tree: DraftTree, message: str) -> None:
    with pytest.raises(StructgenError, match=message):
        verifier.verify(tree, MaskedTarget(tree, Line(), np.zeros((tree.n, 1))), Seeded(0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("epsilon, delta", [(0.25, 1.0), (0.9, 0.5), (0.9, 0.9)])
def test_the_lossy_rule_keeps_to_the_constraint_and_to_its_own_rule(seed: int, epsilon: float, delta: float) -> None:
    toy, build = Toy(seed, end=True), points_of(2, 2)

    def is_typical(text: Context, token: int) -> bool:
        p = toy.masked(toy.p)(text)
        row = np.array([float(x) for x in p if x])
        return bool(p[token] > min(epsilon, delta * np.exp(-(row * -np.log(row)).sum())))

    found = law(lambda choose: step(toy, build, LossyTypicalAcceptance(epsilon, delta), toy.q, choose))
    for tokens, verdict in found:
        kept = tokens[: len(verdict.path)]
        assert all(toy.may_follow(tokens[:i])[token] for i, token in enumerate(tokens))
        assert all(is_typical(kept[:i], token) for i, token in enumerate(kept))
        if len(kept) < 2 and verdict.token is not None:
            drafted = sorted(range(SIZE), key=lambda token: -toy.q(kept)[token])[:2]
            assert not any(is_typical(kept, token) for token in drafted)
