"""Which particles go on: N indices with, on average, N w_i copies of particle i, for weights w that sum to 1.

Douc, Cappe and Moulines 2005 (Comparison of resampling schemes for particle filtering) name and compare the four. Uniform numbers
appear as the finite choice they decide: the interval between breakpoints in which they fall.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from structgen.sampling.choice import Choose
from structgen.sampling.logspace import logsumexp

__all__ = ["RESAMPLING", "effective_sample_size", "multinomial", "residual", "stratified", "systematic"]


def effective_sample_size(log_weights: Any) -> Any:
    """(sum w)^2 / sum w^2: from 1 to N; at least one weight must not be 0 (Kong, Liu and Wong 1994)."""
    return np.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights))


def multinomial(log_weights: Any, choose: Choose) -> list[int]:
    """N independent draws."""
    return [choose(log_weights) for _ in log_weights]


def residual(log_weights: Any, choose: Choose) -> list[int]:
    """floor(N w) copies of each, the others by independent draws from what is left over (Liu and Chen 1998)."""
    expected = _expected_copies(log_weights)
    copies = np.floor(expected)
    kept = [i for i, n in enumerate(copies) for _ in range(int(n))]
    return kept + [choose(_log(expected - copies)) for _ in range(len(log_weights) - len(kept))]


def stratified(log_weights: Any, choose: Choose) -> list[int]:
    """One draw from each of N equal slices of the cumulative distribution (Kitagawa 1996)."""
    upper = np.cumsum(_expected_copies(log_weights))
    lower, zero = np.concatenate([0 * upper[:1], upper[:-1]]), 0 * upper
    shares = [np.minimum(upper, zero + i + 1) - np.maximum(lower, zero + i) for i in range(len(log_weights))]
    return [choose(_log(np.maximum(share, zero))) for share in shares]


def systematic(log_weights: Any, choose: Choose) -> list[int]:
    """One uniform number u for all: the particles at i + u on the cumulative distribution stretched to N (Carpenter et al. 1999)."""
    n = len(log_weights)
    upper = np.cumsum(_expected_copies(log_weights))
    edges = np.unique(np.concatenate([0 * upper[:1], upper % 1, 0 * upper[:1] + 1]))
    interval = choose(_log(np.diff(edges)))
    u = (edges[interval] + edges[interval + 1]) / 2
    last = int(np.flatnonzero(log_weights > -np.inf)[-1])
    return [min(int(np.searchsorted(upper, i + u, side="right")), last) for i in range(n)]


RESAMPLING: dict[str, Callable[[Any, Choose], list[int]]] = {
    "multinomial": multinomial,
    "residual": residual,
    "stratified": stratified,
    "systematic": systematic,
}


def _expected_copies(log_weights: Any) -> Any:
    return np.exp(log_weights - logsumexp(log_weights)) * len(log_weights)


def _log(weights: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log(weights)
