"""A smaller causal LM with the same tokens: its own greedy continuation under the constraint, one run of it for each token.

It is masked before the most probable token is taken and before its confidence is looked at, so a draft never leaves the constraint. No
chance is involved: the draft is a point mass, which the target follows as far as it agrees. The cache is cut to what the texts share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from structgen.automata.machine import FINISHED
from structgen.errors import StructgenError
from structgen.sampling.transformers_model import TransformersModel
from structgen.speculative.checks import check_shares, check_sizes
from structgen.speculative.drafters.source import Guess, Place, Source, begun
from structgen.speculative.stopped import Stopped
from structgen.speculative.target import allowed

__all__ = ["DraftModel"]


class DraftModel(Source):
    """``model``: a causal LM for the target's tokenizer. A draft ends where its best token has a probability below ``confidence``
    (Kangaroo, arXiv 2404.18911) or after ``length`` tokens."""

    prior = 0.7
    everywhere = False

    def __init__(self, model: Any, length: int = 8, confidence: float = 0.3) -> None:
        check_sizes(length=length)
        check_shares(confidence=confidence)
        if not hasattr(model, "forward"):
            raise StructgenError(f"a causal LM drafts, found {type(model).__name__}")
        self._model, self._length, self._confidence = model, length, confidence

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> DraftModel:
        found = begun(self, constraint)
        found._lm = TransformersModel(self._model, prompt, constraint.stops)
        return found

    _lm: TransformersModel

    def guesses(self, place: Place) -> Iterable[Guess]:
        return (Guess(self._greedy(tuple(place.text[place.n_prompt :]), place.state)),)

    def _greedy(self, output: tuple[int, ...], state: int) -> Iterator[int]:
        for _ in range(self._length):
            if state <= FINISHED:
                return
            p = np.exp(self._lm.log_probs([output])[0])
            p = np.where(allowed(self.constraint, state, len(p)), p, 0.0)
            token = int(p.argmax())
            if not p[token] > 0 or p[token] < self._confidence * p.sum():
                return
            yield token
            output, state = (*output, token), self.constraint.advance(state, token)
