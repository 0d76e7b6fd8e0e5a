"""Sums and complements of numbers known by their logarithms.

Only operators and ufuncs that numpy also looks up on objects are used (``np.exp`` and the like), so that arrays of exact
numbers pass through the same code in the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LogWeights", "log1mexp", "logsumexp", "restrict"]

LogWeights = npt.NDArray[np.float64]


def logsumexp(log_weights: Any, axis: int | None = None) -> Any:
    """log of the sum of the numbers whose logarithms these are; -inf for none."""
    top = np.max(log_weights, axis=axis, initial=-np.inf)
    if axis is None:
        return -np.inf if top == -np.inf else np.log(np.exp(log_weights - top).sum()) + top
    shift = np.where(top == -np.inf, 0.0, top)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(log_weights - np.expand_dims(shift, axis)).sum(axis=axis)) + shift


def log1mexp(log_p: Any) -> Any:
    """log(1 - p) for log p <= 0, without cancellation at either end (Maechler 2012, note of the R package Rmpfr)."""
    with np.errstate(divide="ignore"):
        return np.log(-np.expm1(log_p)) if log_p > -0.7 else np.log1p(-np.exp(log_p))


def restrict(log_weights: Any, allowed: npt.NDArray[np.bool_]) -> Any:
    """The same weights, 0 (-inf) where not allowed."""
    return np.where(allowed, log_weights, log_weights - np.inf)
