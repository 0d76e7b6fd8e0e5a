"""The only randomness of the samplers: ``choose(log_weights)`` is an index, drawn in proportion to the weights.

Everything else that is random is made of such choices, here: coins, geometric numbers, draws without replacement (`urn`) and
resampling (`resampling`). So a test that replays every outcome of every choice sees the whole law of a sampler.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.logspace import log1mexp

__all__ = ["Choose", "Seeded", "coin", "geometric"]

NEGLIGIBLE = -745.0  # exp of less is 0 in float64
MAX_DIGITS = 1000  # binary digits of a geometric number: nearly all that a float64 can hold


class Choose(Protocol):
    def __call__(self, log_weights: Any, /) -> int:
        """An index i with probability exp(log_weights[i]) / their sum; the weights need not be normalised."""
        ...


class Seeded:
    """Choices by the inverse of the cumulative distribution; the same ones for the same seed (None: a fresh one)."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = np.random.default_rng(seed)

    def __call__(self, log_weights: Any, /) -> int:
        weights = np.asarray(log_weights, np.float64)
        top = weights.max(initial=-np.inf)
        if not np.isfinite(top):  # nor is it if there is any NaN
            raise StructgenError(f"nothing can be chosen from weights whose greatest logarithm is {top}")
        cumulative = np.cumsum(np.exp(weights - top))
        drawn = int(cumulative.searchsorted(self._random.random() * cumulative[-1], side="right"))
        return drawn if drawn < len(weights) else int(cumulative.searchsorted(cumulative[-1]))  # a product rounded up to the whole


def coin(choose: Choose, log_p: Any) -> bool:
    """True with probability p."""
    return choose(np.array([log_p, log1mexp(log_p)])) == 0


def geometric(choose: Choose, log_p: Any, limit: float = np.inf) -> float:
    """How many successes of probability p come before the first failure; ``limit`` if that is at least the limit.

    P(k) is proportional to p^k, a product over the binary digits of k: they are independent, digit i is 1 with odds p^(2^i).
    """
    digits = 0
    while digits < MAX_DIGITS and log_p * 2**digits > NEGLIGIBLE and 2**digits < limit:
        digits += 1
    if 2**digits >= limit and coin(choose, log_p * 2**digits):  # all that is beyond the digits
        return limit
    drawn = sum((1 - choose(np.array([log_p * 2**i, 0.0]))) * 2**i for i in reversed(range(digits)))
    return float(min(drawn, limit))
