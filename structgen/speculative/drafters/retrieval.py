"""Retrieval from example outputs (REST: He et al., arXiv 2311.08252): what followed the end of this text in texts of a datastore.

The longest n-gram at the end of the output that the datastore has is looked up; the commonest of the tokens behind it come first. An
output begins with a mark of its own, so the first tokens are retrieved too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from structgen.errors import LimitExceeded, StructgenError
from structgen.speculative.checks import check_sizes
from structgen.speculative.drafters.source import Guess, Place, Source
from structgen.vocabulary import Vocabulary

__all__ = ["Retrieval"]

START = -1  # before the first token of an output
END = -2
MAX_TOKENS = 5_000_000
MAX_LOOKED_AT = 200  # places of an n-gram


class Retrieval(Source):
    """``outputs``: examples as token ids; or see `from_texts`. ``longest``: of the n-grams; at most ``most`` guesses of ``length`` tokens.

    Raises `LimitExceeded` above `MAX_TOKENS` tokens.
    """

    prior = 0.5

    def __init__(self, outputs: Iterable[Sequence[int]], longest: int = 4, length: int = 16, most: int = 2) -> None:
        check_sizes(longest=longest, length=length, most=most)
        if isinstance(outputs, str) or not isinstance(outputs, Iterable):
            raise StructgenError(f"outputs are lists of token ids, found {outputs!r:.100}; for texts take Retrieval.from_texts")
        self._longest, self._length, self._most = longest, length, most
        self._data: list[int] = []
        self._ends: dict[tuple[int, ...], list[int]] = {}
        for output in outputs:
            self._add(output)

    @staticmethod
    def from_texts(texts: Iterable[str], tokenizer: Any, **options: Any) -> Retrieval:
        """Example outputs as texts, for a tokenizer or `Vocabulary` that can encode."""
        encode = Vocabulary.from_tokenizer(tokenizer).encode
        if encode is None:
            raise StructgenError("this vocabulary has no tokenizer: give the outputs as token ids")
        return Retrieval(map(encode, texts), **options)

    def guesses(self, place: Place) -> Iterable[Guess]:
        n_output = len(place.text) - place.n_prompt + len(place.draft)
        found: dict[int, Guess] = {}
        for n in range(min(self._longest, n_output + 1), 0, -1):
            ngram = place.last(n) if n_output >= n else (START, *place.last(n_output))
            if len(ngram) < n:
                continue
            ends = self._ends.get(ngram, [])[-MAX_LOOKED_AT:]
            counts = Counter(self._data[end] for end in ends)
            for token, _ in counts.most_common():
                if token >= 0 and token not in found:
                    end = next(end for end in reversed(ends) if self._data[end] == token)
                    found[token] = Guess(self._behind(end), n)
                if len(found) == self._most:
                    return found.values()
        return found.values()

    def _behind(self, start: int) -> list[int]:
        behind = self._data[start : start + self._length]
        return behind[: behind.index(END)] if END in behind else behind

    def _add(self, output: Sequence[int]) -> None:
        if len(self._data) + len(output) + 2 > MAX_TOKENS:
            raise LimitExceeded("the number of tokens in a datastore", MAX_TOKENS)
        first = len(self._data)
        self._data += [START, *output, END]
        for end in range(first + 1, len(self._data)):
            for n in range(1, min(self._longest, end - first) + 1):
                self._ends.setdefault(tuple(self._data[end - n : end]), []).append(end)
