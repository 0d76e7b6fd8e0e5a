"""Token recycling (Luo et al., arXiv 2408.08696): what the target found likely behind a token before, it may find likely again.

The table keeps for each token the most probable successors of the last time that the target was run behind it, on whatever path, accepted
or not, and before the constraint, so it serves every constraint. Chains of successors become a tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from structgen.speculative.checks import check_sizes
from structgen.speculative.drafters.source import Guess, Place, Source

__all__ = ["TokenRecycling"]


class TokenRecycling(Source):
    """``kept``: successors per token; ``most``: how many of those that the constraint allows are guessed."""

    prior = 0.3
    again = True

    def __init__(self, kept: int = 8, most: int = 2) -> None:
        check_sizes(kept=kept, most=most)
        self._kept, self._most = kept, most
        self._successors: dict[int, list[int]] = {}

    def guesses(self, place: Place) -> Iterable[Guess]:
        found: list[Guess] = []
        for token in self._successors.get(place.last(1)[0], ()):
            if self.constraint.advance(place.state, token) >= 0:
                found.append(Guess((token,), len(found)))
                if len(found) == self._most:
                    break
        return found

    def learn(self, tokens: Sequence[int], logits: Any) -> None:
        best = logits.topk(min(self._kept, logits.shape[-1])).indices.tolist()
        self._successors.update(zip(tokens, best, strict=True))
