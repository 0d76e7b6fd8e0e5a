"""The transition function of an automaton as far as it was asked for, on sets of states: what filling gaps between known tokens needs.

States are numbered in the order they are met, a set of them is an int (bit k is state k), so that unions and intersections are
single operations. What was found for a set is kept (`MAX_KEPT` results), for the same sets come again at other positions, steps
and outputs. One table per automaton serves all fillings of it; a full table (`MAX_STATES`, `MAX_TOKENS`) is replaced by a fresh one.

Expanding a state costs what `TokenAutomaton.successors` costs, once: a fraction of a millisecond between the strings of a JSON text,
tens of milliseconds in a free string of 131,072 tokens.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from structgen.automata._lattice_kernels import after, before, by_target, groups
from structgen.automata.machine import DEAD, FINISHED, MaskRow
from structgen.automaton import TokenAutomaton
from structgen.errors import StructgenError
from structgen.limited import MAX_TOKENS as UNLIMITED
from structgen.limited import LimitedAutomaton

__all__ = ["States", "Tokens", "Transitions", "members", "transitions"]

States = int
"""A set of numbers of states."""
Tokens = NDArray[np.int32]

MAX_STATES = 50_000
MAX_TOKENS = 10_000_000
"""Of the token groups of a table in all: a table with more serves nobody new."""
MAX_TABLES = 16
MAX_KEPT = 50_000
"""Results of each kind."""
MAX_TARGETS = 1_000
"""States with more successors (a name that must not come twice: every beginning of it is another state) are not expanded."""
SLOTS = 2_048
"""Of the hash table that counts them."""
PROBES = 64
"""Tokens that tell beforehand whether a state has so many successors."""


class Row(NamedTuple):
    """A set of tokens."""

    bits: MaskRow
    """As masks of automata, read-only."""
    n: int
    first: int
    """The least of them, -1 if there are none."""


class Transitions:
    """The transitions of ``automaton``; with ``pad``, end-of-sequence tokens may end a text and follow its end."""

    def __init__(self, automaton: TokenAutomaton, pad: bool) -> None:
        self.automaton, self.pad = automaton, pad
        self.states: list[int] = []
        self.groups: list[Tokens] = []
        """Sets of tokens that lead to one state each, ascending."""
        self._edges = np.zeros(2 * 1024, np.int32)
        self._bounds = np.zeros(2 * 1024, np.int32)
        """Where the edges of each state begin and end: pairs of a target and a group (`_lattice_kernels`)."""
        self._n_edges = 0
        self._plan: LimitedAutomaton | None = None
        self._numbers: dict[int, int] = {}
        self._group_numbers: dict[tuple[int, int], list[int]] = {}
        self._bits: dict[int, MaskRow] = {}
        self._least: dict[int, int] = {}
        self._expanded: dict[int, bool] = {}
        """False for states with too many successors."""
        self._n_tokens = 0
        self._kept: dict[Any, Any] = {}
        self._lock = threading.RLock()
        self.finished: States = 1 << self.number(FINISHED)
        self._ends = np.array(sorted(automaton.vocab.eos_token_ids), np.int32)

    @property
    def full(self) -> bool:
        return len(self.states) > MAX_STATES or self._n_tokens > MAX_TOKENS

    def number(self, state: int) -> int:
        """The number of a state of the automaton."""
        found = self._numbers.get(state)
        if found is None:
            with self._lock:
                found = self._numbers.get(state)
                if found is None:
                    self.states.append(state)
                    found = self._numbers[state] = len(self.states) - 1
        return found

    # -- single states ----------------------------------------------------------------------------------------------------------

    def expand(self, k: int) -> bool:
        """Find what may come in state k; False if that leads to too many states."""
        known = self._expanded.get(k)
        if known is not None:
            return known
        with self._lock:
            found = self._successors(k)
            if found is not None:
                pairs = np.array([(self.number(to), self._group(tokens)) for to, tokens in found], np.int32).ravel()
                end = self._n_edges + len(found)
                self._edges = _roomy(self._edges, 2 * end)
                self._bounds = _roomy(self._bounds, 2 * len(self.states))
                self._edges[2 * self._n_edges : 2 * end] = pairs
                self._bounds[2 * k : 2 * k + 2] = self._n_edges, end
                self._n_edges = end
            self._expanded[k] = found is not None
            return found is not None

    def _successors(self, k: int) -> list[tuple[int, Tokens]] | None:
        """The states that tokens lead to from state k, with these tokens; None if there are too many."""
        state = self.states[k]
        found: list[tuple[int, Tokens]] = []
        if state != FINISHED:
            if self._is_wide(state):
                return None
            with self.automaton._engine.lock:
                following = np.array(self.automaton._successors(state), np.int32)
            following[self._ends] = DEAD
            tokens, slots = np.empty(len(following), np.int32), np.zeros(SLOTS, np.int32)
            targets, starts = np.empty(MAX_TARGETS, np.int32), np.empty(MAX_TARGETS + 1, np.int32)
            n = by_target(following, slots, tokens, targets, starts)
            if n < 0:
                return None
            found = [(to, tokens[a:b].copy()) for to, a, b in zip(targets[:n].tolist(), starts[:n], starts[1 : n + 1], strict=True)]
        if self.pad and len(self._ends) and self.automaton.is_accepting(state):
            found.append((FINISHED, self._ends))
        return found

    def _is_wide(self, state: int) -> bool:
        """Whether nearly all of a few tokens lead to different states."""
        allowed = self.automaton.allowed(state)
        if len(allowed) <= MAX_TARGETS:
            return False
        probes = allowed[:: len(allowed) // PROBES][:PROBES].tolist()
        return len({self.automaton.advance(state, token) for token in probes}) > PROBES * 3 // 4

    def _group(self, tokens: Tokens) -> int:
        same = self._group_numbers.setdefault((len(tokens), hash(tokens.tobytes())), [])
        for g in same:
            if np.array_equal(self.groups[g], tokens):
                return g
        same.append(len(self.groups))
        self.groups.append(tokens)
        self._n_tokens += len(tokens)
        return same[-1]

    def edges(self, k: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The targets and token groups of an expanded state."""
        first, end = self._bounds[2 * k : 2 * k + 2].tolist()
        return self._edges[2 * first : 2 * end : 2], self._edges[2 * first + 1 : 2 * end : 2]

    def least(self, k: int) -> int:
        """How few tokens can surely finish an output in state k (by its shortest completion). Raises `StructgenError` where that
        cannot be known."""
        if k not in self._least:
            state = self.states[k]
            self._least[k] = 0 if state == FINISHED else self._limited.least(state)
        return self._least[k]

    @property
    def _limited(self) -> LimitedAutomaton:
        if self._plan is None:
            self._plan = self.automaton.limited(UNLIMITED)
        return self._plan

    @cached_property
    def finishable(self) -> bool:
        """Whether it can be known how few tokens finish an output."""
        if not self.pad:
            return False
        try:
            return bool(self._limited)
        except StructgenError:
            return False

    # -- sets of states ---------------------------------------------------------------------------------------------------------

    def after(self, states: States) -> States:
        """Where any token leads. All states must be expanded."""
        return self.remember(("after", states), lambda: self._after(states))  # type: ignore[no-any-return]

    def _after(self, states: States) -> States:
        out = self._set()
        after(self._set(states), self._bounds, self._edges, out)
        return int.from_bytes(out.tobytes(), "little")

    def _set(self, states: States = 0) -> NDArray[np.uint8]:
        return np.frombuffer(bytearray(states.to_bytes(len(self.states) // 8 + 1, "little")), np.uint8)

    def before(self, states: States, following: States) -> States:
        """Those of the states from which any token leads to ``following``. All must be expanded."""
        return self.remember(("before", states, following), lambda: self._before(states, following))  # type: ignore[no-any-return]

    def _before(self, states: States, following: States) -> States:
        out = self._set()
        before(self._set(states), self._set(following), self._bounds, self._edges, out)
        return int.from_bytes(out.tobytes(), "little")

    def on(self, states: States, token: int) -> States:
        """Where this token leads."""
        found = 0
        for _, to in self.steps(states, token):
            found |= to
        return found

    def before_on(self, states: States, token: int, following: States) -> States:
        """Those of the states from which this token leads to ``following``."""
        return union(k for k, to in self.steps(states, token) if to & following)

    def steps(self, states: States, token: int) -> list[tuple[int, States]]:
        """Where this token leads from each state that allows it."""
        return self.remember(("on", states, token), lambda: list(self._steps(states, token)))  # type: ignore[no-any-return]

    def _steps(self, states: States, token: int) -> Iterator[tuple[int, States]]:
        if not self.pad and token in self.automaton.vocab.eos_token_ids:
            return
        for k in members(states):
            to = self.automaton.advance(self.states[k], token)
            if to != DEAD:
                yield k, 1 << self.number(to)

    def alive(self, states: States, left: int) -> States:
        """Those of the states from which ``left`` tokens can finish the output."""
        fits = self.is_end if left == 0 else lambda k: self.least(k) <= left
        return self.remember(("alive", states, left), lambda: union(filter(fits, members(states))))  # type: ignore[no-any-return]

    def is_end(self, k: int) -> bool:
        """Whether the output may end in state k."""
        state = self.states[k]
        return state == FINISHED or self.automaton.is_accepting(state)

    def row(self, states: States, following: States) -> Row:
        """The tokens that lead from one of the states to one of ``following``."""
        return self.remember(("row", states, following), lambda: self._row(states, following))  # type: ignore[no-any-return]

    def _row(self, states: States, following: States) -> Row:
        out = np.zeros(len(self.groups) // 8 + 1, np.uint8)
        groups(self._set(states), self._set(following), self._bounds, self._edges, out)
        used = np.flatnonzero(np.unpackbits(out, bitorder="little")).tolist()
        return self.remember(("union", *used), lambda: self._row_of(self._union(used)))  # type: ignore[no-any-return]

    def last_rows(self, states: States, left: int) -> Row:
        """The tokens after which one of the states can still be finished with ``left`` - 1 more of them, known without expanding it."""
        return self.remember(("last", states, left), lambda: self._row_of(self._last_bits(states, left)))  # type: ignore[no-any-return]

    def _last_bits(self, states: States, left: int) -> MaskRow:
        rows = [self._limited.mask(self._limited.with_left(self.states[k], left)) for k in members(states)]
        return np.bitwise_or.reduce(rows)  # type: ignore[no-any-return]

    def _union(self, used: list[int]) -> MaskRow:
        row = np.zeros(self._words, np.uint32)
        small = [self.groups[g] for g in used if len(self.groups[g]) < self._words]
        for g in used:
            if len(self.groups[g]) >= self._words:
                row |= self._bits_of(g)
        if small:
            tokens = np.concatenate(small)
            np.bitwise_or.at(row, tokens >> 5, np.uint32(1) << (tokens & 31).astype(np.uint32))
        return row

    @property
    def _words(self) -> int:
        return -(-self.automaton.vocab.size // 32)

    def _bits_of(self, group: int) -> MaskRow:
        if group not in self._bits:
            bits = np.zeros(32 * self._words, np.uint8)
            bits[self.groups[group]] = 1
            self._bits[group] = np.packbits(bits, bitorder="little").view(np.uint32)
        return self._bits[group]

    def _row_of(self, bits: MaskRow) -> Row:
        n = int(np.unpackbits(bits.view(np.uint8)).sum())
        word = int(np.argmax(bits != 0)) if n else 0
        value = int(bits[word])
        view = bits.view()
        view.flags.writeable = False
        return Row(view, n, 32 * word + (value & -value).bit_length() - 1 if n else -1)

    def remember(self, key: Any, find: Callable[[], Any]) -> Any:
        """What ``find`` gives, or gave for an equal key before."""
        found = self._kept.get(key)
        if found is None:
            found = find()
            if len(self._kept) > MAX_KEPT:
                self._kept.clear()
            self._kept[key] = found
        return found


def _roomy(array: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """The array itself, or a longer copy if it is shorter."""
    return array if size <= len(array) else np.concatenate([array, np.zeros(max(size, len(array)), np.int32)])


def union(numbers: Iterable[int]) -> States:
    """The set of these numbers."""
    found = 0
    for k in numbers:
        found |= 1 << k
    return found


def members(states: States) -> Iterator[int]:
    """The numbers in a set, ascending."""
    while states:
        low = states & -states
        yield low.bit_length() - 1
        states ^= low


_tables: OrderedDict[tuple[int, bool], Transitions] = OrderedDict()  # by the id of the automaton, which its table keeps alive
_lock = threading.Lock()


def transitions(automaton: TokenAutomaton, pad: bool = True) -> Transitions:
    """The table of an automaton that all its fillings share."""
    key = id(automaton), pad
    with _lock:
        if key not in _tables or _tables[key].full:
            _tables[key] = Transitions(automaton, pad)
        _tables.move_to_end(key)
        while len(_tables) > MAX_TABLES:
            _tables.popitem(last=False)
        return _tables[key]
