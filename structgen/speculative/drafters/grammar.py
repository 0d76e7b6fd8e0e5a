"""Drafts that need nothing but the constraint: what it forces, and what it nearly forces.

`Forced` gives the tokens that the tokenizer itself writes for the bytes that must follow, cut before the first that could merge with what
comes after them. They are drafts, not insertions: the target may still prefer another spelling of the same bytes, so its law is unchanged.

`Skeleton` goes on where there is a choice of few: whether whitespace stands between, whether a letter is escaped, how a value is closed,
which of some names or literals comes. Its guesses end where a value is free, and their last token is a guess too.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from weakref import WeakKeyDictionary

from structgen.automata.machine import FINISHED
from structgen.automaton import TokenAutomaton
from structgen.limited import LimitedAutomaton
from structgen.speculative.drafters.source import Guess, Place, Source, begun
from structgen.speculative.stopped import Stopped

__all__ = ["Forced", "Skeleton"]

UNLIKELY = frozenset(b" \t\r\n\\")  # whitespace and escapes, where something else may follow
CLOSERS = b"\"}],\n)>;'"
MAX_BYTES = 200  # of one guess
MAX_OPTIONS = 4  # bytes among which a guess is made
MAX_CHOICES = 3  # in one guess
MAX_GUESSES = 8
MAX_MEMO = 1 << 16


class Forced(Source):
    """What the constraint forces."""

    prior = 0.95

    def guesses(self, place: Place) -> Iterable[Guess]:
        forced = self.constraint.forced(place.state)
        return (Guess(forced),) if forced else ()


class Skeleton(Source):
    """What may stand between values: without escapes, and with a space behind commas and colons or without, as in the text so far.

    Guesses are kept for each automaton and state: the first time takes milliseconds.
    """

    prior = 0.4

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> Skeleton:
        found = begun(self, constraint)
        found._seen, found._tail, found._styles = len(prompt), b"", [False, True]
        return found

    _seen: int  # tokens of the text whose style was looked at
    _tail: bytes
    _styles: list[bool]

    def guesses(self, place: Place) -> Iterable[Guess]:
        automaton = self.constraint.automaton
        if automaton is None or automaton.vocab.encode is None or place.state <= FINISHED or isinstance(automaton, LimitedAutomaton):
            return
        self._look_at(place.text)
        guesser = _guessers.setdefault(automaton, _Guesser(automaton))
        for is_spaced in self._styles:
            texts = guesser.skeletons(place.state, is_spaced, 0)[:MAX_GUESSES]
            for i, (text, ends) in enumerate(texts):
                tokens = guesser.encode(text)
                if tokens or not text:
                    yield Guess((*tokens, min(self.constraint.stops)) if ends else tokens, 10 * len(texts) + i + 100 * is_spaced)

    def _look_at(self, text: Sequence[int]) -> None:
        """Whether the text so far has a space behind colons."""
        self._tail = self._tail[-2:] + self.constraint.vocab.decode(text[self._seen :])
        self._seen = len(text)
        at = self._tail.rfind(b'":', 0, -1)
        if at >= 0:
            self._styles = [self._tail[at + 2 : at + 3] == b" "]


class _Guesser:
    """The skeletons of one automaton, by state."""

    def __init__(self, automaton: TokenAutomaton) -> None:
        self._automaton = weakref.proxy(automaton)
        self._skeletons: dict[tuple[int, bool, int], list[tuple[bytes, bool]]] = {}
        self._next: dict[int, list[int]] = {}
        self._tokens: dict[bytes, tuple[int, ...]] = {}

    def encode(self, text: bytes) -> tuple[int, ...]:
        found = self._tokens.get(text)
        if found is None:
            found = self._tokens[text] = tuple(self._automaton.vocab.encode(text.decode("utf-8", "ignore")))
        return found

    def skeletons(self, state: int, is_spaced: bool, choices: int) -> list[tuple[bytes, bool]]:
        """Texts that lead from a state to where a value is free, and whether the output would end there. ``choices``: made so far."""
        key = state, is_spaced, choices
        found = self._skeletons.get(key)  # another thread may clear them at any time
        if found is None:
            if len(self._skeletons) > MAX_MEMO:
                self._skeletons.clear()
                self._next.clear()
                self._tokens.clear()
            found = self._skeletons[key] = list(self._walk(state, is_spaced, choices))
        return found

    def _walk(self, state: int, is_spaced: bool, choices: int) -> Iterator[tuple[bytes, bool]]:
        text, state, options = self._follow(state, is_spaced)
        if not options:
            yield text, self._automaton.is_accepting(state)
            return
        if len(options) > MAX_OPTIONS:
            options = [] if choices or text else [b for b in options if b in CLOSERS and self._is_structural(state, b)]
        if not options or choices == MAX_CHOICES:
            if text:
                yield text, False
            return
        for option in options:
            after = self._automaton.advance_bytes(state, bytes([option]))
            for rest, ends in self.skeletons(after, is_spaced, choices + 1) or [(b"", False)]:
                yield text + bytes([option]) + rest, ends

    def _follow(self, state: int, is_spaced: bool) -> tuple[bytes, int, list[int]]:
        """The bytes that must follow but for what is unlikely, the state behind them, and the bytes that may come next."""
        text = b""
        while True:
            options = self._options(state, is_spaced and text[-1:] in (b",", b":"))
            if len(options) != 1 or len(text) >= MAX_BYTES or (self._automaton.is_accepting(state) and text):
                return text, state, options
            text += bytes(options)
            state = self._automaton.advance_bytes(state, bytes(options))

    def _options(self, state: int, prefers_space: bool) -> list[int]:
        following = self._following(state)
        if len(following) > MAX_OPTIONS + len(UNLIKELY):
            return following
        if prefers_space and ord(" ") in following and len(following) > 1:
            return [ord(" ")]
        return sorted({*following} - UNLIKELY, key=lambda b: (b not in CLOSERS, b)) or following

    def _is_structural(self, state: int, byte: int) -> bool:
        """Whether few bytes may follow this one: it closes a value and is no part of it."""
        after = self._automaton.advance_bytes(state, bytes([byte]))
        return after > FINISHED and len(self._following(after)) <= MAX_OPTIONS + len(UNLIKELY)

    def _following(self, state: int) -> list[int]:
        found = self._next.get(state)
        if found is None:
            found = self._next[state] = self._automaton.next_bytes(state)
        return found


_guessers: WeakKeyDictionary[TokenAutomaton, _Guesser] = WeakKeyDictionary()
