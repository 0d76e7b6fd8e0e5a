"""Tree search over what the target said behind pairs of tokens (ADED: Liu et al., arXiv 2407.12021).

A sparse table keeps for each pair of tokens the most probable third ones. It is updated from every row of the target, of accepted and
rejected drafts alike and before the constraint, so it serves every constraint. A draft comes from a Monte Carlo tree search over the table:
each simulation goes down by PUCT to a node that was not visited before, opens it, and credits the path with its probability. The
nodes visited most are the draft. No chance is involved; a search costs O(simulations * length * kept).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

from structgen.automata.machine import DEAD, FINISHED
from structgen.errors import StructgenError
from structgen.speculative.checks import check_sizes
from structgen.speculative.drafters.source import Guess, Place, Source

__all__ = ["TreeSearch"]

MAX_PAIRS = 200_000  # the oldest are forgotten
C_INIT, C_BASE = 1.0, 100.0  # how much is explored, and the number of visits from which on it is more
GRADES = 4
Pair = tuple[int, ...]


def puct(q: float, p: float, visits: int, visits_of_all: int) -> float:
    """The score of a child: its mean credit ``q``, and what it promises: its probability ``p``, the more so the less it was visited."""
    explore = C_INIT + log((1 + visits_of_all + C_BASE) / C_BASE)
    return q + explore * p * sqrt(visits_of_all) / (1 + visits)


@dataclass(eq=False)
class Node:
    """A token in the tree of one search. ``path_p``: the probability of the path down to it."""

    token: int
    state: int
    pair: Pair
    parent: Node | None
    p: float
    path_p: float
    depth: int = 0
    visits: int = 0
    credit: float = 0.0
    children: list[Node] | None = None

    def best(self) -> Node:
        """The child to go down to; the first of equals."""
        children = self.children or [self]
        total = sum(child.visits for child in children)
        return max(children, key=lambda c: puct(c.credit / c.visits if c.visits else 0.0, c.p, c.visits, max(1, total)))

    def path(self) -> list[int]:
        """The tokens from below the root down to this one."""
        found, node = [], self
        while node.parent is not None:
            found.append(node.token)
            node = node.parent
        return found[::-1]


class TreeSearch(Source):
    """``simulations`` per search, with paths of at most ``length`` tokens; the ``nodes`` visited most are drafted.

    ``kept``: third tokens per pair; ``rate``: the weight of a new row of the target against what is known of its pair. ``outputs``:
    examples to begin with, as token ids.
    """

    def __init__(
        self,
        simulations: int = 48,
        length: int = 10,
        nodes: int = 16,
        kept: int = 8,
        rate: float = 0.5,
        outputs: Iterable[Sequence[int]] = (),
    ) -> None:
        check_sizes(simulations=simulations, length=length, nodes=nodes, kept=kept)
        if not 0 < rate <= 1:
            raise StructgenError(f"rate is above 0 and at most 1, found {rate}")
        self._simulations, self._length, self._nodes, self._kept, self._rate = simulations, length, nodes, kept, rate
        self._table: dict[Pair, dict[int, float]] = {}
        for output in outputs:
            for at in range(len(output) - 2):
                self._update((int(output[at]), int(output[at + 1])), {int(output[at + 2]): 1.0})

    def guesses(self, place: Place) -> Iterable[Guess]:
        pair = place.last(2)
        if pair not in self._table:
            return
        nodes = self.search(pair, place.state)
        inner = {id(node.parent) for node in nodes}
        leaves = [node for node in nodes if id(node) not in inner]
        for rank, leaf in enumerate(leaves):
            yield Guess(leaf.path(), min(rank, GRADES - 1), leaf.path_p ** (1 / leaf.depth))

    def search(self, pair: Pair, state: int) -> list[Node]:
        """The nodes visited most, parents before their children."""
        root = Node(-1, state, pair, None, 1.0, 1.0)
        known: list[Node] = []
        for _ in range(self._simulations):
            node = root
            while node.children:
                node = node.best()
            if node.visits or node is root:
                known += self._open(node)
                node = node.best() if node.children else node
            if node is root:
                return []
            self._credit(node)
        visited = sorted((node for node in known if node.visits), key=lambda node: -node.visits)
        return visited[: self._nodes]

    def _open(self, node: Node) -> list[Node]:
        """The children of a node, which are new: what the table has behind it and the constraint allows, renormalised."""
        if node.children is not None or node.depth == self._length or node.state <= FINISHED:
            return []
        law = self._table.get(node.pair, {})
        states = {token: self.constraint.advance(node.state, token) for token in law}
        mass = sum(p for token, p in law.items() if states[token] != DEAD)
        node.children = [
            Node(token, states[token], (node.pair[-1], token), node, p / mass, node.path_p * p / mass, node.depth + 1)
            for token, p in law.items()
            if states[token] != DEAD and p > 0
        ]
        return node.children

    def _credit(self, leaf: Node) -> None:
        node: Node | None = leaf
        while node is not None:
            node.visits += 1
            node.credit += leaf.path_p
            node = node.parent

    def look(self, places: Sequence[Place], logits: Any) -> None:
        best = logits.float().softmax(-1).topk(min(self._kept, logits.shape[-1]))
        for place, tokens, law in zip(places, best.indices.tolist(), best.values.tolist(), strict=True):
            pair = place.last(2)
            if len(pair) == 2:
                self._update(pair, dict(zip(tokens, law, strict=True)))

    def _update(self, pair: Pair, law: Mapping[int, float]) -> None:
        """Blend what is known of a pair with a new law; the ``kept`` most probable remain, the best first."""
        known = self._table.pop(pair, None)
        if known is not None:
            law = {t: (1 - self._rate) * known.get(t, 0.0) + self._rate * law.get(t, 0.0) for t in {**law, **known}}
        self._table[pair] = dict(sorted(law.items(), key=lambda item: -item[1])[: self._kept])
        if len(self._table) > MAX_PAIRS:
            del self._table[next(iter(self._table))]
