"""Copying: an n-gram at the end of the text that occurred before goes on as it did there (prompt look-up decoding; arXiv 2304.04487 for
input that is copied into the output).

`PromptLookup` looks in the prompt and the output so far. `InputCopy` looks in the prompt only and remembers where it copied last: after
something that was no copy, it goes on at the nearest place behind that. Look-ups take O(1) for each length of n-gram.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from structgen.speculative.checks import check_sizes
from structgen.speculative.drafters.source import Guess, Place, Source, begun
from structgen.speculative.stopped import Stopped

__all__ = ["InputCopy", "PromptLookup"]


class Positions:
    """Where each n-gram of a growing text ends: places behind it, the latest last. Takes what the text has in common with before."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._text: list[int] = []
        self._ends: dict[tuple[int, ...], list[int]] = {}

    def grow(self, text: Sequence[int]) -> None:
        """The text is now this, which begins as before."""
        for end in range(len(self._text) + 1, len(text) + 1):
            for n in range(1, min(self._longest, end) + 1):
                self._ends.setdefault(tuple(text[end - n : end]), []).append(end)
        self._text.extend(text[len(self._text) :])

    def behind(self, ngram: tuple[int, ...]) -> Sequence[int]:
        return self._ends.get(ngram, ())


class PromptLookup(Source):
    """``longest``: of the n-grams, in tokens; a guess has at most ``length`` tokens, and there are at most ``most`` guesses."""

    prior = 0.5

    def __init__(self, longest: int = 3, length: int = 16, most: int = 2) -> None:
        check_sizes(longest=longest, length=length, most=most)
        self._longest, self._length, self._most = longest, length, most

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> PromptLookup:
        found = begun(self, constraint)
        found._positions = Positions(self._longest)
        return found

    _positions: Positions

    def guesses(self, place: Place) -> Iterable[Guess]:
        self._positions.grow(place.text)
        found: list[Guess] = []
        firsts: set[int] = set()
        for n in range(min(self._longest, len(place.text) + len(place.draft)), 0, -1):
            ngram = place.last(n)
            for end in reversed(self._positions.behind(ngram)[-8:]):
                if end == len(place.text) or place.text[end] in firsts:
                    continue
                firsts.add(place.text[end])
                found.append(Guess(place.text[end : end + self._length], n))
                if len(found) == self._most:
                    return found
        return found


class InputCopy(Source):
    """The same from the prompt, going on where it left off. ``longest``: tokens of the n-gram that says where to go on."""

    prior = 0.5

    def __init__(self, longest: int = 2, length: int = 16) -> None:
        check_sizes(longest=longest, length=length)
        self._longest, self._length = longest, length

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> InputCopy:
        found = begun(self, constraint)
        found._positions, found._prompt, found._at, found._seen = Positions(self._longest), list(prompt), 0, len(prompt)
        found._positions.grow(found._prompt)
        return found

    _positions: Positions
    _prompt: list[int]
    _at: int  # where the copy goes on: a place of the prompt
    _seen: int  # tokens of the text that were compared with the prompt

    def guesses(self, place: Place) -> Iterable[Guess]:
        while self._seen < len(place.text):
            self._seen += 1
            self._at = self._found(tuple(place.text[max(place.n_prompt, self._seen - self._longest) : self._seen])) or self._at
        at = self._found(place.last(self._longest)) if place.draft else self._at
        if at is None or at >= len(self._prompt) or at == 0:
            return ()
        tail = place.last(1)
        return (Guess(self._prompt[at : at + self._length], int(self._prompt[at - 1 : at] == list(tail))),)

    def _found(self, tail: tuple[int, ...]) -> int | None:
        """The nearest place at or behind the last one that this, or as much as possible of its end, comes before."""
        for first in range(len(tail)):
            ends = [end for end in self._positions.behind(tail[first:]) if end < len(self._prompt)]
            if ends:
                return next((end for end in ends if end > self._at), ends[0])
        return None
