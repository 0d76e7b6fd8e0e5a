"""Drawing without replacement from a whole vocabulary: one pass to fill the urn, then O(sqrt V) per draw and removal.

The weights lie in blocks with their sums; a draw is two choices, a block and one of its items. A removal sums its block
anew: nothing is subtracted, so the remaining mass is right to the last digits however little remains.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np

from structgen.sampling.choice import Choose
from structgen.sampling.logspace import logsumexp

__all__ = ["Urn"]

SMALL = 64  # no more items than this are one block


class Urn:
    """Items 0, 1, ... with the weights ``exp(log_weights)``."""

    def __init__(self, log_weights: Any, block: int | None = None) -> None:
        n = len(log_weights)
        width = block or (n if n <= SMALL else isqrt(n))
        padded = np.concatenate([log_weights, log_weights[:1].repeat(-n % width) - np.inf])
        self._blocks = padded.reshape(-1, width)
        self._sums = logsumexp(self._blocks, axis=1)
        self.log_mass = logsumexp(self._sums)
        """log of the sum of the weights that are still in; -inf when there are none."""

    def draw(self, choose: Choose) -> int:
        """An item in proportion to its weight; it stays in. The urn must have mass."""
        row = choose(self._sums) if len(self._sums) > 1 else 0
        return int(row * self._blocks.shape[1] + choose(self._blocks[row]))

    def remove(self, item: int) -> None:
        """Take an item out."""
        row, column = divmod(item, self._blocks.shape[1])
        self._blocks[row, column] = self._blocks[row, column] - np.inf
        self._sums[row] = logsumexp(self._blocks[row])
        self.log_mass = logsumexp(self._sums)
