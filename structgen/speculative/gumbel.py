"""Noise that belongs to a place in the text, not to an order of draws: one seed gives one text, however it was drafted.

argmax(log p + G) with independent standard Gumbel G is a draw from p (Gumbel 1954). Here G[position, token] is a function of seed, position
and token by a counter-based generator (Philox: Salmon et al. 2011, numpy's), so a target that picks by it says the same with
and without drafts, and a drafter that picks by the same noise agrees with it often (Daliri et al., arXiv 2408.07978).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose

__all__ = ["GumbelNoise"]


class GumbelNoise:
    """``seed``: from 0 to 2^128 - 1. Two texts of one batch that should differ take two seeds."""

    def __init__(self, seed: int) -> None:
        if not 0 <= seed < 1 << 128:
            raise StructgenError(f"a seed is a number from 0 to 2^128 - 1, found {seed}")
        self.seed = seed

    def row(self, position: int, size: int) -> npt.NDArray[np.float64]:
        """[size]: the noise of tokens 0, 1, ... at a position of the text, finite. A longer row begins with the shorter one."""
        words = np.random.Philox(key=self.seed, counter=[0, position, 0, 0]).random_raw(size)
        uniform = ((words >> np.uint64(12)) + 0.5) * 2.0**-52  # never 0 or 1
        found: npt.NDArray[np.float64] = -np.log(-np.log(uniform))
        return found

    def at(self, position: int) -> Choose:
        """The choice at a position of the text: the same each time it is asked with the same weights."""

        def choose(log_weights: Any) -> int:
            log_weights = np.asarray(log_weights, np.float64)
            if not np.isfinite(log_weights.max(initial=-np.inf)):
                raise StructgenError("nothing can be chosen: all weights are 0, or some are no numbers")
            return int((log_weights + self.row(position, len(log_weights))).argmax())

        return choose
