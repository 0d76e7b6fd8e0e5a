"""One token under a constraint: the contract that all step samplers keep, and the one that masks.

A step sampler returns (x, w) with E[w 1{x = a}] = p(a) ok(a) for every token a: x is properly weighted (Liu and Chen 1998). Then
E[w] is the allowed mass, and whatever multiplies such weights along a text (importance sampling, SMC) is unbiased.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from structgen.sampling.choice import Choose
from structgen.sampling.logspace import logsumexp
from structgen.sampling.target import Checker

__all__ = ["DEAD_END", "MaskStep", "Step", "StepSampler"]

Step = tuple[int | None, Any]  # token, log weight
DEAD_END: Step = None, -np.inf


class StepSampler(Protocol):
    def __call__(self, log_p: Any, ok: Checker, choose: Choose, /) -> Step:
        """A properly weighted token: (token, log weight), or (None, -inf). ``log_p``: [V], need not be normalised."""
        ...


class MaskStep:
    """A token in proportion to p among all allowed; the weight is the allowed mass itself. No variance, but needs the mask."""

    def __call__(self, log_p: Any, ok: Checker, choose: Choose) -> Step:
        allowed = np.flatnonzero(ok.mask())
        log_mass = logsumexp(log_p[allowed])
        return DEAD_END if log_mass == -np.inf else (int(allowed[choose(log_p[allowed])]), log_mass)
