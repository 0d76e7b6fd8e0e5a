"""Models, drafters and constraints of three tokens, in fractions, with every draft tree and every verdict enumerated.

The target law is written here from its definition, token by token; nothing of the package is used for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from structgen.automata.machine import DEAD, FINISHED
from structgen.speculative.draft_tree import DraftTree, Kind, Sapling
from structgen.speculative.interfaces import Verdict, Verifier
from structgen.speculative.target import MaskedTarget
from tests.sampling.exact import law, logs

Context = tuple[int, ...]
Row = list[Fraction]
Laws = Callable[[Context], Row]
SIZE = 3


class Toy:
    """Random tables p and q and a random constraint that never has a dead end; with ``end`` the last token ends the text.

    It is its own automaton: a state is the number of a context. ``free``: no constraint; ``same``: q is p; ``flat``: no context matters;
    ``floats``: the package is given float64.
    """

    def __init__(
        self, seed: int, *, end: bool = False, free: bool = False, same: bool = False, flat: bool = False, floats: bool = False
    ) -> None:
        self.seed, self.free, self.same, self.flat, self.floats = seed, free, same, flat, floats
        self.end = SIZE - 1 if end else None
        self._contexts: list[Context | None] = [None, ()]
        self.initial = 1

    def p(self, context: Context) -> Row:
        return self._table(0, context)

    def q(self, context: Context) -> Row:
        return self._table(0 if self.same else 1, context)

    def may_follow(self, context: Context) -> list[bool]:
        return [True] * SIZE if self.free else _mask(self.seed, () if self.flat else context)

    def _table(self, which: int, context: Context) -> Row:
        return _row(which, self.seed, () if self.flat else context)

    def masked(self, laws: Laws) -> Laws:
        """A law renormalised on what may follow."""

        @cache
        def found(context: Context) -> Row:
            return normalised([p * ok for p, ok in zip(laws(context), self.may_follow(context), strict=True)])

        return found

    def log(self, row: Row) -> Any:
        """A row as the package gets it."""
        return logs(row).astype(float) if self.floats else logs(row)

    def context(self, state: int) -> Context:
        found = self._contexts[state]
        assert found is not None
        return found

    def state(self, context: Context) -> int:
        if context not in self._contexts:
            self._contexts.append(context)
        return self._contexts.index(context)

    def advance(self, state: int, token: int) -> int:
        if state <= FINISHED or not self.may_follow(self.context(state))[token]:
            return DEAD
        return FINISHED if token == self.end else self.state((*self.context(state), token))

    def mask(self, state: int) -> Any:
        return np.array([sum(ok << token for token, ok in enumerate(self.may_follow(self.context(state))))], np.uint32)

    def target(self, tree: DraftTree, **options: Any) -> MaskedTarget:
        """Of the raw p: the mask is the package's."""
        rows = [self.log(self.p(self.context(int(s)))) if s > FINISHED else None for s in tree.states]
        return MaskedTarget(tree, self, rows, **options)

    def texts(self, n: int, laws: Laws | None = None) -> dict[Context, Fraction]:
        """The law of the first ``n`` tokens, p~ unless another one is given."""
        return self.completed({(): Fraction(1)}, n, laws)

    def completed(self, begun: dict[Context, Fraction], n: int, laws: Laws | None = None) -> dict[Context, Fraction]:
        """The law of the first n tokens of texts that begin so and go on token by token."""
        laws = self.masked(self.p) if laws is None else laws
        found: dict[Context, Fraction] = defaultdict(Fraction)
        for text, probability in begun.items():
            if len(text) >= n or (text and text[-1] == self.end):
                found[text[:n]] += probability
                continue
            longer = {(*text, token): probability * p for token, p in enumerate(laws(text)) if p}
            for whole, share in self.completed(longer, n, laws).items():
                found[whole] += share
        return dict(found)


@cache
def _row(which: int, seed: int, context: Context) -> Row:
    weights = np.random.default_rng([which, seed, *context]).integers(1, 7, SIZE).tolist()
    return [Fraction(weight, sum(weights)) for weight in weights]


@cache
def _mask(seed: int, context: Context) -> list[bool]:
    random = np.random.default_rng([2, seed, *context])
    found = random.random(SIZE) > 0.35
    found[random.integers(SIZE)] = True
    return [bool(ok) for ok in found]


def normalised(weights: Row) -> Row:
    return [weight / sum(weights) for weight in weights]


Build = Callable[[Toy, Laws, Any], DraftTree]
"""(toy, law of the drafter, choose) -> tree"""


def behind(sapling: Sapling, toy: Toy, node: int) -> Context | None:
    """The context of a node if something may be drafted behind it."""
    state = sapling.state(node)
    return toy.context(state) if state > FINISHED else None


def without(row: Row, tokens: list[int]) -> Row:
    return [Fraction(0) if token in tokens else q for token, q in enumerate(row)]


def siblings(sapling: Sapling, toy: Toy, q: Laws, choose: Any, node: int, k: int, kind: Kind) -> list[int]:
    """Draw up to k children of a node."""
    context = behind(sapling, toy, node)
    if context is None:
        return []
    row = q(context)
    number, drawn, nodes = sapling.law(toy.log(row)), list[int](), []
    for _ in range(k):
        left = without(row, drawn) if kind == Kind.WOR else row
        if not sum(left):
            break
        drawn.append(choose(logs(left)))
        nodes.append(sapling.add(node, drawn[-1], kind, number))
    return nodes


def tree_of(k: int, depth: int, kind: Kind) -> Build:
    """k children everywhere, down to a depth; a chain for k = 1."""

    def build(toy: Toy, q: Laws, choose: Any) -> DraftTree:
        sapling, layer = Sapling(toy), [0]
        for _ in range(depth):
            layer = [child for node in layer for child in siblings(sapling, toy, q, choose, node, k, kind)]
        return sapling.tree()

    return build


def paths_of(k: int, length: int) -> Build:
    """k independent chains side by side."""

    def build(toy: Toy, q: Laws, choose: Any) -> DraftTree:
        sapling = Sapling(toy)
        for _ in range(k):
            node = [0]
            for _ in range(length):
                node = siblings(sapling, toy, q, choose, node[0], 1, Kind.IID) if node else []
        return sapling.tree()

    return build


def points_of(k: int, depth: int, kind: Kind = Kind.POINT) -> Build:
    """The k tokens that q finds most probable: no chance."""

    def build(toy: Toy, q: Laws, choose: Any) -> DraftTree:
        sapling, layer = Sapling(toy), [0]
        for _ in range(depth):
            children = []
            for node in layer:
                context = behind(sapling, toy, node)
                row = [] if context is None else q(context)
                children += [sapling.add(node, token, kind) for token in sorted(range(len(row)), key=lambda t: -row[t])[:k] if row[token]]
            layer = children
        return sapling.tree()

    return build


def best_first(budget: int, depth: int) -> Build:
    """Where to draw next depends on what was drawn (DySpec): slots with values, children and siblings without replacement."""

    def build(toy: Toy, q: Laws, choose: Any) -> DraftTree:
        sapling = Sapling(toy)
        slots: list[tuple[Fraction, int, list[int]]] = [(Fraction(1), 0, [])]  # value, parent, tokens drawn there
        numbers: dict[int, int] = {}
        while slots and len(sapling) <= budget:
            value, parent, drawn = slots.pop(max(range(len(slots)), key=lambda i: slots[i][0]))
            context = behind(sapling, toy, parent)
            if context is None or len(context) == depth or not sum(without(q(context), drawn)):
                continue
            row = normalised(without(q(context), drawn))
            if parent not in numbers:
                numbers[parent] = sapling.law(toy.log(q(context)))
            token = choose(logs(row))
            child = sapling.add(parent, token, Kind.WOR, numbers[parent])
            slots += [(value * row[token], child, []), (value * (1 - row[token]), parent, [*drawn, token])]
        return sapling.tree()

    return build


def mixed(toy: Toy, q: Laws, choose: Any) -> DraftTree:
    """A searched token, then two independent draws, then one without replacement of all these; a searched token behind each."""
    sapling = Sapling(toy)
    points = [sapling.add(0, 0)]
    drawn = siblings(sapling, toy, q, choose, 0, 2, Kind.IID)
    row = q(())
    left = without(row, [0, *(int(sapling.tree().tokens[node]) for node in drawn)])
    if sum(left):
        drawn.append(sapling.add(0, choose(logs(left)), Kind.WOR, sapling.law(toy.log(row))))
    for node in points + drawn:
        if behind(sapling, toy, node) is not None:
            sapling.add(node, 1)
    return sapling.tree()


def no_drafts(toy: Toy, q: Laws, choose: Any) -> DraftTree:
    return Sapling(toy).tree()


def step(toy: Toy, build: Build, verifier: Verifier, q: Laws, choose: Any, **options: Any) -> tuple[Context, Verdict]:
    """Draft, then verify: the tokens that come out."""
    tree = build(toy, q, choose)
    verdict = verifier.verify(tree, toy.target(tree, **options), choose)
    return tuple(verdict.tokens(tree)), verdict


def emitted(toy: Toy, build: Build, verifier: Verifier, q: Laws, **options: Any) -> dict[Context, Fraction]:
    """The exact law of what one step puts out."""
    return law(lambda choose: step(toy, build, verifier, q, choose, **options)[0])


def accepted(toy: Toy, build: Build, verifier: Verifier, q: Laws) -> Fraction:
    """The exact expected number of accepted drafts."""
    found = law(lambda choose: len(step(toy, build, verifier, q, choose)[1].path))
    return sum((n * probability for n, probability in found.items()), Fraction(0))


def distance(a: dict[Any, Fraction], b: dict[Any, Fraction]) -> float:
    """Total variation."""
    return float(sum(abs(a.get(x, 0) - b.get(x, 0)) for x in a.keys() | b.keys())) / 2


Propose = Callable[[Toy, Context], DraftTree]


def decode(toy: Toy, propose: Propose, verifier: Verifier, choose: Any, n: int) -> tuple[Context, int, int]:
    """Step by step until there are n tokens or an end: the text, the runs of the target, and the drafts accepted.

    After each step the state behind the accepted path and token must be that of the text read from its beginning.
    """
    text, runs, kept = (), 0, 0
    while len(text) < n and (not text or text[-1] != toy.end):
        tree = propose(toy, text)
        verdict = verifier.verify(tree, toy.target(tree), choose)
        text, runs, kept = (*text, *verdict.tokens(tree)), runs + 1, kept + len(verdict.path)
        state = int(tree.states[verdict.path[-1] if verdict.path else 0])
        state = state if verdict.token is None else toy.advance(state, verdict.token)
        assert state == (FINISHED if text[-1] == toy.end else toy.state(text))
    return text[:n], runs, kept
