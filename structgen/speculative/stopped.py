"""The constraint of one row as drafters and verifiers see it: its automaton, the stop tokens of this generation, what is forced.

A stop token ends a text where the automaton accepts it, as in `structgen.processor`. A row without an automaton is free: it may go on
with anything. What a state forces is computed once per state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from structgen.automata.machine import DEAD, FINISHED
from structgen.automaton import TokenAutomaton
from structgen.vocabulary import Vocabulary

__all__ = ["Stopped"]

FREE = 1  # the only state of a row without an automaton, but for the two ends
MAX_FORCED = 64
"""Forced tokens drafted at a time."""
MAX_MEMO = 1 << 16

Words = npt.NDArray[np.uint32]


class Stopped:
    """``automaton``: None for a free row. ``stops``: the tokens that end a text, all below ``size``, the number of logits."""

    def __init__(self, automaton: TokenAutomaton | None, vocab: Vocabulary, stops: Iterable[int], size: int) -> None:
        self.automaton, self.vocab, self.stops = automaton, vocab, frozenset(stop for stop in stops if stop < size)
        self.initial = FREE if automaton is None else automaton.initial
        self._ends = _packed(self.stops, size)
        self._all = _packed(range(size), size)
        self._text = ~_packed(vocab.eos_token_ids | self.stops, size) & self._all
        self._forced = _forced.setdefault(automaton, {}) if automaton is not None else {}
        self._first: dict[bytes, Words] = {}

    def advance(self, state: int, token: int) -> int:
        """The state after a token: 0 after an allowed stop token, -1 for what is not allowed."""
        if state in (DEAD, FINISHED):
            return DEAD
        if token in self.stops:
            return FINISHED if self.is_accepting(state) else DEAD
        if self.automaton is None:
            return FREE
        return DEAD if token in self.vocab.eos_token_ids else self.automaton.advance(state, token)

    def mask(self, state: int) -> Words:
        """uint32 [ceil(size / 32)]: the tokens that may follow."""
        if self.automaton is None:
            return self._all if state == FREE else np.zeros_like(self._all)
        row, found = self.automaton.mask(state), np.zeros_like(self._all)
        n = min(len(row), len(found))
        found[:n] = row[:n] & self._text[:n]
        return found | self._ends if self.is_accepting(state) else found

    def is_accepting(self, state: int) -> bool:
        """Whether the text may end here."""
        return state == FREE if self.automaton is None else state > FINISHED and self.automaton.is_accepting(state)

    def forced(self, state: int) -> Sequence[int]:
        """Tokens that must follow, as the tokenizer itself would write them; with the stop token if the text must end."""
        if self.automaton is None or state <= FINISHED:
            return ()
        found = self._forced.get(state)  # shared with other threads, which may clear it at any time
        if found is None:
            if len(self._forced) > MAX_MEMO:
                self._forced.clear()
            found = self._forced[state] = self._compute_forced(state, self.automaton)
        return found

    def _compute_forced(self, state: int, automaton: TokenAutomaton) -> tuple[int, ...]:
        if not self._may_be_forced(state):
            return ()
        found = []
        for token in automaton.forced(state)[:MAX_FORCED]:
            if token in self.stops or token in self.vocab.eos_token_ids:
                break
            found.append(token)
            state = automaton.advance(state, token)
        only = self.only(state) if state > FINISHED else None
        return tuple(found) if only is None else (*found, only)

    def only(self, state: int) -> int | None:
        """The single token that may follow, None if there are more."""
        words = self.mask(state)
        (places,) = np.nonzero(words)
        if len(places) != 1:
            return None
        bits = int(words[places[0]])
        return 32 * int(places[0]) + bits.bit_length() - 1 if bits & (bits - 1) == 0 else None

    def few(self, state: int, most: int) -> list[int]:
        """The tokens that may follow if they are at most so many, else []."""
        words = self.mask(state)
        if np.count_nonzero(words) > most:
            return []
        found = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
        return found.tolist() if len(found) <= most else []

    def _may_be_forced(self, state: int) -> bool:
        """Whether all that may follow begins with one byte: a quick no for the many states with a choice."""
        words = self.mask(state)
        at = int(np.flatnonzero(words)[0])
        token = 32 * at + (int(words[at]) & -int(words[at])).bit_length() - 1
        first = self.vocab.token_bytes(token)[:1]
        return not bool((words & ~self._beginning_with(first)).any()) if first else self.only(state) is not None

    def _beginning_with(self, first: bytes) -> Words:
        """The tokens whose first byte is this one."""
        if first not in self._first:
            starts, lengths = self.vocab.offsets[:-1], np.diff(self.vocab.offsets)
            (texts,) = np.nonzero(lengths)
            size = 32 * len(self._all)
            self._first[first] = _packed(texts[(self.vocab.data[starts[texts]] == first[0]) & (texts < size)], size)
        return self._first[first]


_forced: WeakKeyDictionary[TokenAutomaton, dict[int, tuple[int, ...]]] = WeakKeyDictionary()


def _packed(tokens: Iterable[int], size: int) -> Words:
    bits = np.zeros(32 * -(-size // 32), np.uint8)
    bits[[token for token in tokens if token < size]] = 1
    return np.packbits(bits, bitorder="little").view(np.uint32)
