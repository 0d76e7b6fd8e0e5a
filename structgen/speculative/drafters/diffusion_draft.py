"""One pass of a masked diffusion model over masks behind the text, searched for a path (DiffuSpec: arXiv 2510.02358).

The pass gives candidates for each position, but each as if the others were open: neighbours need not fit. So a beam goes from left to right
through the candidates that the constraint allows, scored by the diffusion model and by a causal n-gram model together. How many
masks there are follows from how far drafts got and how much of them was accepted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from structgen.automata.machine import FINISHED
from structgen.errors import StructgenError
from structgen.speculative.checks import check_sizes
from structgen.speculative.drafters.source import Guess, Place, Source, begun
from structgen.speculative.stopped import Stopped
from structgen.speculative.target import allowed

if TYPE_CHECKING:
    from structgen.diffusion.interfaces import DiffusionModel

__all__ = ["DiffusionDraft", "DraftLength", "NGrams", "candidates"]

BACK_OFF = 0.4  # what each shorter n-gram loses (Brants et al. 2007)
ORDER = 3
NGram = Callable[[Sequence[int], int], float]
"""(the tokens so far, a token) -> the log-probability of the token, or any score like it."""


class DiffusionDraft(Source):
    """``model``: a masked diffusion LM with the target's tokens.

    The candidates of a position are the fewest with ``mass`` together, at most ``most``; where the constraint allows none of them, the best
    that it allows. The beam keeps ``width`` paths by ``weight`` * log q + (1 - ``weight``) * log n-gram, summed; the path with the best
    score per token is guessed first. ``ngram``: by default one of the text so far. ``lengths``: least and most masks.
    """

    prior = 0.6
    everywhere = False

    def __init__(
        self,
        model: DiffusionModel,
        mass: float = 0.8,
        most: int = 15,
        width: int = 3,
        weight: float = 0.5,
        ngram: NGram | None = None,
        lengths: tuple[int, int] = (20, 30),
    ) -> None:
        if not hasattr(model, "logits") or not hasattr(model, "mask_token_id"):
            raise StructgenError(f"a diffusion model has mask_token_id and logits, found {type(model).__name__}")
        check_sizes(most=most, width=width, least=lengths[0])
        if not 0 < mass <= 1 or not 0 <= weight <= 1 or lengths[1] < lengths[0]:
            raise StructgenError("most, width and lengths must be at least 1, lengths ascend, and mass and weight be at most 1")
        self._model, self._mass, self._most, self._width, self._weight = model, mass, most, width, weight
        self._ngram, self._lengths = ngram, lengths

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> DiffusionDraft:
        found = begun(self, constraint)
        found._counts, found._length, found._path = NGrams(), DraftLength(*self._lengths), (0, ())
        return found

    _counts: NGrams
    _length: DraftLength
    _path: tuple[int, Sequence[int]]  # what was guessed last, and where

    def guesses(self, place: Place) -> Iterable[Guess]:
        start, path = self._path
        if path:
            came = zip(path, place.text[start:], strict=False)
            self._length.update(len(path), sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], came)))
        paths = self._search(self._log_q(place.text), place)
        self._path = len(place.text), paths[0] if paths else ()
        return [Guess(path, rank) for rank, path in enumerate(paths)]

    def _log_q(self, text: Sequence[int]) -> Any:
        """[k, V]: the log-probabilities at k masks behind the text."""
        mask = self._model.mask_token_id
        ids = torch.tensor([[*text, *[mask] * self._length.masks]], device=getattr(self._model, "device", None))
        with torch.inference_mode():
            rows = self._model.logits(ids)[0, len(text) :].double()
            rows[:, mask] = -torch.inf
            return rows.log_softmax(-1).cpu().numpy()

    def _search(self, log_q: Any, place: Place) -> list[list[int]]:
        """The paths of the beam that got furthest, the one with the best score per token first."""
        ngram = self._ngram or self._counts.grown(place.text)
        beam, done = [_Path(0.0, (), place.state)], []
        for row in log_q:
            options = candidates(row, self._mass, self._most)
            longer = [each for path in beam for each in self._longer(path, row, options, place, ngram)]
            longer.sort(key=lambda path: -path.score)
            beam = [path for path in longer if path.state > FINISHED][: self._width]
            done += [path for path in longer[: self._width] if path.state == FINISHED]
            if not beam:
                break
        found = sorted((path for path in (*done, *beam) if path.tokens), key=lambda path: -path.score / len(path.tokens))
        return [list(path.tokens) for path in found[: self._width]]

    def _longer(self, path: _Path, row: Any, options: Sequence[int], place: Place, ngram: NGram) -> list[_Path]:
        """A path with each of the tokens that may follow."""
        may_follow = allowed(self.constraint, path.state, len(row))
        tokens = [token for token in options if may_follow[token]] or [int(np.where(may_follow, row, -np.inf).argmax())]
        before = place._replace(draft=path.tokens).last(ORDER - 1)
        return [
            _Path(
                path.score + self._weight * float(row[token]) + (1 - self._weight) * ngram(before, token),
                (*path.tokens, token),
                self.constraint.advance(path.state, token),
            )
            for token in tokens
            if may_follow[token] and row[token] > -np.inf
        ]


class _Path(NamedTuple):
    score: float
    tokens: tuple[int, ...]
    state: int


def candidates(log_q: Any, mass: float, most: int) -> list[int]:
    """The fewest tokens of a law [V] that have this ``mass`` together, at most so many, the most probable first."""
    best = np.argsort(-log_q, kind="stable")[:most]
    before = np.cumsum(np.exp(log_q[best])) - np.exp(log_q[best])
    found: list[int] = best[before < mass].tolist()
    return found


class NGrams:
    """Counts of the n-grams of a text that grows, up to order 3, with stupid back-off."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, ...]] = Counter()
        self._n = 0

    def grown(self, text: Sequence[int]) -> NGrams:
        """The same after all of a text, which begins as before."""
        for end in range(self._n + 1, len(text) + 1):
            for order in range(1, min(ORDER, end) + 1):
                self._counts[tuple(text[end - order : end])] += 1
        self._n = len(text)
        return self

    def __call__(self, before: Sequence[int], token: int) -> float:
        """log of the score of a token behind others."""
        loss = 0.0
        for first in range(max(0, len(before) - ORDER + 1), len(before)):
            history = tuple(before[first:])
            if together := self._counts[(*history, token)]:
                return loss + log(together / self._counts[history])
            loss += log(BACK_OFF)
        return loss + log((self._counts[(token,)] + 0.5) / (self._n + 1))


class DraftLength:
    """How many masks: the moving average of how long drafts are, and more if all of them was accepted, within bounds."""

    def __init__(self, least: int = 20, most: int = 30, more: int = 10, weight: float = 0.5) -> None:
        self._least, self._most, self._more, self._weight = least, most, more, weight
        self._drafted = self._accepted = float(most)
        self.masks = most

    def update(self, drafted: int, accepted: int) -> None:
        """What became of a draft."""
        self._drafted += self._weight * (drafted - self._drafted)
        self._accepted += self._weight * (accepted - self._accepted)
        wanted = int(self._drafted) + self._more * (self._accepted >= self._drafted)
        self.masks = min(max(wanted, self._least), self._most)
