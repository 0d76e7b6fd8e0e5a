"""How draws from a model become a tree: chains, independent paths, draws without replacement, stochastic beams, the best first.

A builder says where to draw next; the draws themselves are `Growth`'s business. There the array that is drawn from is the array that is
recorded, so q is honest whatever a builder does, and what is forced behind a draw follows it at no cost. A builder may look at laws and at
what is drawn already, never at a token to come, which is all that verification asks of it (see `draft_tree`).

`grow` is a generator: it asks for laws by ``yield from growth.open(nodes)``. So the trees of several texts grow in step, one run of the
drafting model for a level of them all (`grow_all`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from structgen.automata.machine import FINISHED
from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.language_model import Tokens
from structgen.sampling.logspace import log1mexp, logsumexp, restrict
from structgen.speculative.checks import check_shares, check_sizes
from structgen.speculative.draft_tree import Kind, Sapling
from structgen.speculative.interfaces import TreeBuilder
from structgen.speculative.laws import log

__all__ = [
    "AboveThreshold",
    "BestFirst",
    "Chain",
    "Drawn",
    "Growth",
    "Paths",
    "StochasticBeam",
    "WithoutReplacement",
    "grow_all",
]

MAX_NODES = 128
"""In one tree, forced ones included."""

Asking = Generator[list[int], Sequence[Any], Any]
"""Yields nodes, is sent the law [V] behind each."""
Stop = Callable[[Any, int, Sequence[tuple[Any, int]]], bool]
Pick = Callable[[Any, int], int]


class Drawn(NamedTuple):
    node: int
    """Where to go on: the drawn node, or the last of those that are forced behind it."""
    log_q: Any
    """The logarithm of the token's probability under the law behind its parent."""
    log_chance: Any
    """That with which it was drawn, given its earlier siblings."""


class Growth:
    """A tree that grows by at most ``budget`` draws behind its ``root``, which is where the tokens forced at the beginning end.

    ``stop(log_q, depth, path)``: that of the length controller, see `LengthController`. ``forced``: the tokens that must follow a
    state; they become nodes of their own kind, which no budget is charged for. ``pick(log_weights, depth)``: if tokens are picked and
    not drawn (the most probable ones, or those of a noise that the target knows too), ``depth`` nodes behind the text; they are points.
    """

    def __init__(
        self,
        sapling: Sapling,
        budget: int,
        choose: Choose,
        *,
        stop: Stop = lambda log_q, depth, path: False,
        forced: Callable[[int], Iterable[int]] = lambda state: (),
        pick: Pick | None = None,
    ) -> None:
        self.sapling, self.budget, self._choose = sapling, budget, choose
        self._stop, self._forced, self._pick = stop, forced, pick
        self._prefixes: dict[int, Tokens] = {0: ()}
        self._paths: dict[int, tuple[tuple[Any, int], ...]] = {}
        self._laws: dict[int, tuple[int, Any, Any]] = {}  # number of the row, the row, and the row without what was drawn
        self._closed: set[int] = set()
        self.root = self._follow(0)
        self._paths[self.root] = ()

    def prefix(self, node: int) -> Tokens:
        """The drafted tokens that lead to a node."""
        return self._prefixes[node]

    def open(self, nodes: Sequence[int]) -> Asking:
        """The ones of ``nodes`` behind which drafting goes on. To be called with ``yield from``: their laws are asked for, all at once."""
        if self.budget <= 0:
            return []
        unknown = [n for n in nodes if n not in self._laws and n not in self._closed and self.sapling.state(n) > FINISHED]
        if unknown:
            for node, log_q in zip(unknown, (yield unknown), strict=True):
                self._learn(node, log_q)
        return [node for node in nodes if node in self._laws]

    def draw(self, node: int, kind: Kind) -> Drawn | None:
        """Draw a child of an open node, from the whole row (`Kind.IID`) or without its earlier children (`Kind.WOR`).

        None where no token is left, or the budget is spent.
        """
        number, log_q, left = self._laws[node]
        row = log_q if kind == Kind.IID and self._pick is None else left
        log_mass = logsumexp(row)
        if self.budget <= 0 or len(self.sapling) >= MAX_NODES or not log_mass > -np.inf:
            return None
        self.budget -= 1
        if self._pick is None:
            token = self._choose(row)
            child = self.sapling.add(node, token, kind, number)
        else:
            token = self._pick(row, len(self._prefixes[node]))
            child = self.sapling.add(node, token)
        self._laws[node] = number, log_q, restrict(left, np.arange(len(left)) != token)
        self._prefixes[child] = (*self._prefixes[node], token)
        tip = self._follow(child)
        self._paths[tip] = (*self._paths[node], (log_q, token))
        return Drawn(tip, log_q[token], row[token] - log_mass)

    def log_left(self, node: int) -> Any:
        """The logarithm of the probability, under its law, of what was not drawn yet behind an open node."""
        return logsumexp(self._laws[node][2])

    def choose(self, log_weights: Any) -> int:
        """For what else a builder leaves to chance: the shape, not the tokens."""
        return self._choose(log_weights) if self._pick is None else int(np.argmax(log_weights))

    def _learn(self, node: int, log_q: Any) -> None:
        path = self._paths[node]
        if not np.max(log_q) > -np.inf or self._stop(log_q, len(path), path):
            self._closed.add(node)
        else:
            self._laws[node] = self.sapling.law(log_q), log_q, log_q

    def _follow(self, node: int) -> int:
        """Add what is forced behind a node; the last node."""
        while self.sapling.state(node) > FINISHED and (tokens := tuple(self._forced(self.sapling.state(node)))):
            for token in tokens:
                if len(self.sapling) >= MAX_NODES:
                    return node
                prefix = (*self._prefixes[node], token)
                node = self.sapling.add(node, token, Kind.FORCED)
                self._prefixes[node] = prefix
        return node


def grow_all(builder: TreeBuilder, growths: Sequence[Growth], laws: Callable[[list[list[int]]], Sequence[Sequence[Any]]]) -> None:
    """Grow several trees in step. ``laws(nodes)``: for each tree the laws [V] behind the nodes that it asks for, maybe none."""
    running = [builder.grow(growth) for growth in growths]
    asked = [next(each, []) for each in running]
    while any(asked):
        answers = laws(asked)
        asked = [_next(each, rows) if nodes else [] for each, nodes, rows in zip(running, asked, answers, strict=True)]


def _next(running: Asking, rows: Sequence[Any]) -> list[int]:
    try:
        return running.send(rows)
    except StopIteration:
        return []


def _layers(growth: Growth, branching: Sequence[int], kind: Kind) -> Asking:
    """A level after the other, with so many children of each node."""
    nodes = [growth.root]
    for k in branching:
        nodes = yield from growth.open(nodes)
        nodes = [drawn.node for node in nodes for drawn in _draws(growth, node, kind, k)]


def _draws(growth: Growth, node: int, kind: Kind, most: int) -> Iterator[Drawn]:
    """Children of an open node until there are so many, or no more can be drawn."""
    for _ in range(most):
        drawn = growth.draw(node, kind)
        if drawn is None:
            return
        yield drawn


@dataclass(frozen=True)
class Chain:
    """Draws one behind the other."""

    length: int = 8

    def __post_init__(self) -> None:
        check_sizes(length=self.length)

    def grow(self, growth: Growth) -> Asking:
        return _layers(growth, [1] * min(self.length, MAX_NODES), Kind.IID)


@dataclass(frozen=True)
class Paths:
    """Independent chains side by side (SpecInfer, arXiv 2305.09781; SpecTr, arXiv 2310.15141), all of one length: a budget or a tree
    that has no room for one more level of all of them is left as it is."""

    n: int = 3
    length: int = 5

    def __post_init__(self) -> None:
        check_sizes(n=self.n, length=self.length)

    def grow(self, growth: Growth) -> Asking:
        length = min(self.length, min(growth.budget, MAX_NODES - len(growth.sapling)) // self.n)
        return _layers(growth, [self.n, *[1] * (length - 1)] if length else [], Kind.IID)


@dataclass(frozen=True)
class WithoutReplacement:
    """So many children, all different, of each node of a level: ``branching[0]`` of the root and so on (RSD-C, arXiv 2402.14160)."""

    branching: tuple[int, ...] = (3, 2, 1, 1)

    def __post_init__(self) -> None:
        if not isinstance(self.branching, (list, tuple)) or not self.branching:
            raise StructgenError(f"branching is a number of children for each level, found {self.branching!r:.100}")
        for number in self.branching:
            check_sizes(branching=number)

    def grow(self, growth: Growth) -> Asking:
        return _layers(growth, self.branching, Kind.WOR)


@dataclass(frozen=True)
class StochasticBeam:
    """At each level ``width`` drafts drawn without replacement from the law of whole drafts (stochastic beam search: Kool et al. 2019,
    arXiv 1903.06059; as trees for drafts: RSD-S, arXiv 2402.14160).

    If whole drafts were drawn without replacement one after the other, the beam of a level would be the first ``width`` different
    beginnings of that length. Gumbel noise is one way to draw this level by level; here it is a race of discrete choices, with the same
    law: given the order in which the beginnings of a level first came, what comes next is a child of one that came before, in proportion
    to what is left of it, or the first child of the next new one, in proportion to all that has not come.
    """

    width: int = 4
    depth: int = 4

    def __post_init__(self) -> None:
        check_sizes(width=self.width, depth=self.depth)

    def grow(self, growth: Growth) -> Asking:
        beam: list[tuple[int, Any]] = [(growth.root, 0.0)]  # nodes in the order in which they came, with log-probabilities
        for _ in range(self.depth):
            going = set((yield from growth.open([node for node, _ in beam])))
            if not going:
                return
            beam = self._race(growth, beam, going)

    def _race(self, growth: Growth, beam: list[tuple[int, Any]], going: set[int]) -> list[tuple[int, Any]]:
        """The next beam. What drafting does not go on behind comes as it is."""
        found: list[tuple[int, Any]] = []
        racing: list[tuple[int, Any]] = []
        unseen: Any = 1  # the probability of all beginnings that have not come
        waiting = beam[::-1]
        while len(found) < self.width and growth.budget > 0:
            weights = np.array([*(log_p + growth.log_left(node) for node, log_p in racing), *log(np.array([unseen]))])
            weights = weights if waiting else weights[:-1]
            at = growth.choose(weights) if len(weights) and max(weights) > -np.inf else len(racing)
            if at == len(racing):
                if not waiting:
                    break
                node, log_p = waiting.pop()
                unseen = max(unseen - np.exp(log_p), 0)
                if node not in going:
                    found.append((node, log_p))
                    continue
                racing.append((node, log_p))
            node, log_p = racing[at]
            drawn = growth.draw(node, Kind.WOR)
            if drawn is None:  # the tree is full
                break
            found.append((drawn.node, log_p + drawn.log_q))
        return found


@dataclass(frozen=True)
class BestFirst:
    """Always where a draft is likeliest to be accepted if q is p (DySpec, arXiv 2410.11744), down to a value of ``least``.

    A place is worth the probability of getting there: with value v and a token drawn with probability r, its child is worth v r and its
    next sibling v (1 - r). One run of the drafting model for each inner node.
    """

    least: float = 0.02
    depth: int = 16

    def __post_init__(self) -> None:
        check_sizes(depth=self.depth)
        check_shares(least=self.least)

    def grow(self, growth: Growth) -> Asking:
        slots: list[tuple[Any, int, int]] = [(0.0, growth.root, 0)]  # log-value, node, depth
        while slots:
            value, node, depth = slots.pop(max(range(len(slots)), key=lambda i: slots[i][0]))
            if np.exp(value) < self.least:
                return
            drawn = growth.draw(node, Kind.WOR) if (yield from growth.open([node])) else None
            if drawn:
                slots.append((value + log1mexp(drawn.log_chance), node, depth))
                if depth + 1 < self.depth:
                    slots.append((value + drawn.log_chance, drawn.node, depth + 1))


@dataclass(frozen=True)
class AboveThreshold:
    """All that `BestFirst` finds worth ``least``, level by level: one run of the drafting model for each level (DySpec's threshold)."""

    least: float = 0.05
    depth: int = 8

    def __post_init__(self) -> None:
        check_sizes(depth=self.depth)
        check_shares(least=self.least)

    def grow(self, growth: Growth) -> Asking:
        values: dict[int, Any] = {growth.root: 0.0}
        for _ in range(self.depth):
            nodes, following = (yield from growth.open(list(values))), {}
            if not nodes:
                return
            for node in nodes:
                value = values[node]
                while np.exp(value) >= self.least and (drawn := growth.draw(node, Kind.WOR)):
                    if np.exp(value + drawn.log_chance) >= self.least:
                        following[drawn.node] = value + drawn.log_chance
                    value += log1mexp(drawn.log_chance)
            values = following
