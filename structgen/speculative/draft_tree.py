"""Drafted continuations of one text as flat arrays: every node carries the automaton state behind it, so nothing is rolled back.

Node 0 is the text so far; every other node is one drafted token behind its parent, and parents come before their children. Siblings
stand in the order in which they were drafted, which is the order in which they are verified. A chain is a tree where each node has one
child. States are plain integers that stay valid for ever (see `TokenAutomaton`): keeping the accepted path is all there is to do.

What makes verification exact is that each node tells the law its token was drawn from, *given its earlier siblings* (`Kind`). Whether and
how a node came to be may depend on whatever was drafted before it, never on the token it holds itself (so a drafter must not draw a token
and then leave it out because of what it is).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from structgen.automata.machine import DEAD, FINISHED
from structgen.errors import StructgenError

__all__ = ["Automaton", "DraftTree", "Kind", "Sapling"]

Ints = npt.NDArray[np.int64]

ROOT = 0
NO_ROW = -1


class Automaton(Protocol):
    """What drafts and verifiers ask of a constraint; every `TokenAutomaton` is one. State 0 is behind the end, -1 is no state."""

    @property
    def initial(self) -> int: ...

    def advance(self, state: int, token: int) -> int:
        """The state after a token; -1 where it is not allowed, 0 after an allowed end-of-sequence."""
        ...

    def mask(self, state: int) -> npt.NDArray[np.uint32]:
        """The allowed tokens: bit t & 31 of word t >> 5 is token t."""
        ...


class Kind(IntEnum):
    """How a token came to be drafted: the law it was drawn from, given its earlier siblings."""

    POINT = 0
    """No chance was involved: n-grams, retrieval, top-k, any search. A point mass."""
    IID = 1
    """Drawn from the row as it is; siblings may be equal."""
    WOR = 2
    """Without replacement: from the row without the tokens of all earlier siblings."""
    FORCED = 3
    """A point mass that follows from the constraint: it costs a controller no budget and is left out of its statistics."""


@dataclass(frozen=True, eq=False)
class DraftTree:
    """``n`` nodes with the root; all arrays [n] int64. Made by `Sapling`, which checks what has to hold."""

    tokens: Ints
    """The root's is -1: it stands for the text so far."""
    parents: Ints
    """The root's is -1."""
    states: Ints
    """0 behind an end-of-sequence and -1 behind a token that the constraint refuses; both have no children."""
    kinds: Ints
    rows: Ints
    """Which of ``log_q`` the token was drawn from, -1 for the kinds without one."""
    log_q: tuple[Any, ...]
    """[V] each: log-weights, normalised or not, that were given to ``choose``, after the drafter's own mask and truncation."""
    start: int = 0
    """The position of the root's children in the text: how many tokens it has so far, the prompt's or only new ones."""

    @property
    def n(self) -> int:
        return len(self.tokens)

    @cached_property
    def depths(self) -> Ints:
        """[n]: 0 for the root."""
        found = np.zeros(self.n, np.int64)
        for node in range(1, self.n):
            found[node] = found[self.parents[node]] + 1
        return found

    @cached_property
    def children(self) -> list[list[int]]:
        """The children of each node, in the order of their draws."""
        found: list[list[int]] = [[] for _ in range(self.n)]
        for node in range(1, self.n):
            found[self.parents[node]].append(node)
        return found

    def path(self, node: int) -> list[int]:
        """The nodes from below the root down to this one."""
        found = []
        while node != ROOT:
            found.append(node)
            node = int(self.parents[node])
        return found[::-1]

    def prefix(self, node: int) -> tuple[int, ...]:
        """The tokens that lead from the root to a node."""
        return tuple(int(self.tokens[i]) for i in self.path(node))

    @cached_property
    def ancestors(self) -> npt.NDArray[np.bool_]:
        """bool [n, n]: whether node j is i itself or above it; the attention mask among the nodes."""
        found = np.eye(self.n, dtype=np.bool_)
        for node in range(1, self.n):
            found[node] |= found[self.parents[node]]
        return found

    @property
    def is_chain(self) -> bool:
        return bool((self.parents == np.arange(self.n) - 1).all())

    def is_end(self, node: int) -> bool:
        """Whether the text ends with this node: nothing follows it."""
        return bool(self.states[node] == FINISHED)

    def is_point(self, node: int) -> bool:
        return int(self.rows[node]) == NO_ROW


class Sapling:
    """A `DraftTree` that grows: ``add`` what is drafted, then take ``tree()``. Refused tokens may be added, nothing behind them."""

    def __init__(self, automaton: Automaton, state: int | None = None, start: int = 0) -> None:
        self._automaton, self._start = automaton, start
        self._tokens, self._parents, self._kinds, self._rows = [-1], [-1], [int(Kind.POINT)], [NO_ROW]
        self._states = [automaton.initial if state is None else int(state)]
        self._log_q: list[Any] = []

    def __len__(self) -> int:
        return len(self._tokens)

    def state(self, node: int) -> int:
        return self._states[node]

    def law(self, log_q: Any) -> int:
        """Keep a row of log-weights [V] that tokens will be drawn from; its number, for ``add``."""
        self._log_q.append(np.asarray(log_q))
        return len(self._log_q) - 1

    def add(self, parent: int, token: int, kind: Kind = Kind.POINT, row: int = NO_ROW) -> int:
        """A drafted token behind a node; the number of the new node.

        Raises `StructgenError` behind a refused token or an end, and where a kind that is drawn has no row or the others have one.
        """
        if not 0 <= parent < len(self):
            raise StructgenError(f"node {parent} is not one of the {len(self)} nodes")
        if self._states[parent] in (DEAD, FINISHED):
            raise StructgenError(f"nothing follows node {parent}: it {'is refused' if self._states[parent] == DEAD else 'ends the text'}")
        if (kind in (Kind.IID, Kind.WOR)) != (0 <= row < len(self._log_q)):
            raise StructgenError(f"a token that was drawn names the row of its law, others do not; found {kind.name} with row {row}")
        self._tokens.append(int(token))
        self._parents.append(int(parent))
        self._states.append(int(self._automaton.advance(self._states[parent], int(token))))
        self._kinds.append(int(kind))
        self._rows.append(int(row))
        return len(self) - 1

    def tree(self) -> DraftTree:
        tokens, parents, states, kinds, rows = (
            np.array(column, np.int64) for column in (self._tokens, self._parents, self._states, self._kinds, self._rows)
        )
        return DraftTree(tokens, parents, states, kinds, rows, tuple(self._log_q), self._start)
