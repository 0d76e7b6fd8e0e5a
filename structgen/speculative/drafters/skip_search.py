"""Which layers to leave out: random search, with a step of Bayesian optimisation now and then (SWIFT, arXiv 2410.06916).

A choice is a set of layers of a fixed size; the first and the last layer are always kept. A trial compares a new choice with the best one
so far on the same text. Every `EVERY` trials the new choice is the one whose expected improvement is greatest under a Gaussian process
over all scores seen.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb, erf, exp, pi, sqrt
from typing import Any

import numpy as np

from structgen.errors import StructgenError

__all__ = ["SkipSearch", "expected_improvement"]

EVERY = 5  # trials
MAX_TRIALS = 200
GOOD_ENOUGH = 0.95  # match rate
POOL = 64  # choices among which a model-based trial takes the best
NOISE = 0.05  # standard deviation of a score
SPREAD = 0.3  # and of scores among choices

Skipped = frozenset[int]


class SkipSearch:
    """Of ``n_layers`` a ``share`` is left out. The same seed and scores give the same choices."""

    def __init__(self, n_layers: int, share: float = 0.45, seed: int = 0) -> None:
        self._inner, self._size = n_layers - 2, min(round(share * n_layers), n_layers - 2)
        if not 0 < share < 1 or self._size < 1:
            raise StructgenError(
                f"there is no share of {share} to leave out of {n_layers} layers, the first and the last of which are kept"
            )
        self._rng = np.random.default_rng(seed)
        middle = np.round(np.linspace(1, n_layers - 2, self._size)).astype(int)
        self.best: Skipped = frozenset(middle.tolist())
        self.scores: dict[Skipped, float] = {}
        self.n_trials = 0
        self.is_done = comb(self._inner, self._size) <= 1

    def trial(self, score: Callable[[Skipped], float]) -> None:
        """Try another choice; ``score``: of a choice, from 0 to 1."""
        if self.is_done:
            return
        self.scores[self.best] = score(self.best)
        found = self._next()
        if found is not None and self.scores[self.best] < GOOD_ENOUGH:
            self.scores[found] = score(found)
            if self.scores[found] > self.scores[self.best]:
                self.best = found
        self.n_trials += 1
        self.is_done = found is None or self.n_trials >= MAX_TRIALS or self.scores[self.best] >= GOOD_ENOUGH

    def _next(self) -> Skipped | None:
        """A choice that was not tried yet, None if none is found."""
        pool = {self._random() for _ in range(POOL)} - self.scores.keys()
        choices = sorted(pool, key=sorted)
        if not choices:
            return None
        if (self.n_trials + 1) % EVERY:
            return choices[int(self._rng.integers(len(choices)))]
        gains = expected_improvement(
            np.array([self._vector(each) for each in self.scores]),
            np.array(list(self.scores.values())),
            np.array([self._vector(each) for each in choices]),
        )
        return choices[int(np.argmax(gains))]

    def _random(self) -> Skipped:
        return frozenset((1 + self._rng.choice(self._inner, self._size, replace=False)).tolist())

    def _vector(self, skipped: Skipped) -> list[float]:
        return [float(layer in skipped) for layer in range(1, self._inner + 1)]


def expected_improvement(seen: Any, scores: Any, choices: Any) -> Any:
    """[n]: by how much each of ``choices`` [n, d] is expected to exceed the best of the ``scores`` [m] of what was ``seen`` [m, d], under a
    Gaussian process whose covariance falls with the number of places in which two vectors of 0 and 1 differ."""

    def covariance(a: Any, b: Any) -> Any:
        return SPREAD**2 * np.exp(-np.abs(a[:, None] - b[None]).sum(-1) / (0.5 * a.shape[1]))

    mean = scores.mean()
    inverse = np.linalg.inv(covariance(seen, seen) + NOISE**2 * np.eye(len(seen)))
    cross = covariance(choices, seen)
    means = mean + cross @ inverse @ (scores - mean)
    deviations = np.sqrt(np.maximum(SPREAD**2 - np.einsum("ij,jk,ik->i", cross, inverse, cross), 1e-12))
    z = (means - scores.max()) / deviations
    below = np.array([0.5 * (1 + erf(each / sqrt(2))) for each in z])
    density = np.array([exp(-each * each / 2) / sqrt(2 * pi) for each in z])
    return deviations * (z * below + density)
