"""Sum-and-sample: the tested part of p is summed, the rest estimated by one more token.

A set E of tokens is tested, the most probable ones first and then tokens drawn without replacement, by any rule that looks
only at what came before. With A the allowed mass in E and y one more token, drawn from the rest of mass r,

    w = A + r 1{ok(y)},    x = a in E with probability p(a) / w,    x = y with probability r / w (if allowed)

which is properly weighted (see `structgen.sampling.steps`), and exact once E is everything. Liu et al. 2019 (Rao-Blackwellized stochastic
gradients for discrete distributions) and Kool, van Hoof and Welling 2020 (Estimating gradients for discrete random variables by
sampling without replacement) estimate sums so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.logspace import logsumexp
from structgen.sampling.steps import DEAD_END, Step
from structgen.sampling.target import Checker
from structgen.sampling.urn import Urn

__all__ = ["SumAndSample"]


class SumAndSample:
    """Tests the ``head`` most probable tokens, then draws until ``tests`` tokens are tested and ``accepts`` of them allowed (no
    further than ``max_tests``), then one more.

    ``SumAndSample(head=0, tests=0, accepts=1)`` has the weights of `Recursive` with less variance in which token is taken.
    """

    def __init__(self, head: int = 1, tests: int = 0, accepts: int = 1, max_tests: int | None = None) -> None:
        if min(head, tests, accepts) < 0 or (max_tests is not None and max_tests < head):
            raise StructgenError("head, tests and accepts must not be negative, nor max_tests less than head")
        self.head, self.tests, self.accepts, self.max_tests = head, tests, accepts, max_tests

    def __call__(self, log_p: Any, ok: Checker, choose: Choose) -> Step:
        urn, tested, allowed = Urn(log_p), 0, list[int]()
        head = iter(_greatest(log_p, self.head))
        while urn.log_mass > -np.inf and self._goes_on(tested, len(allowed)):
            token = next(head, None)
            token = urn.draw(choose) if token is None else token
            urn.remove(token)
            tested += 1
            if ok(token):
                allowed.append(token)
        log_rest = urn.log_mass
        weights = [log_p[token] for token in allowed]
        if log_rest > -np.inf and ok(one_more := urn.draw(choose)):
            allowed, weights = [*allowed, one_more], [*weights, log_rest]
        return (allowed[choose(np.array(weights))], logsumexp(np.array(weights))) if allowed else DEAD_END

    def _goes_on(self, tested: int, accepted: int) -> bool:
        if tested == self.max_tests:
            return False
        return tested < max(self.head, self.tests) or accepted < self.accepts


def _greatest(log_p: Any, k: int) -> list[int]:
    """The k most probable tokens, most probable first."""
    if k == 0:
        return []
    found = np.argpartition(log_p, -k)[-k:] if k < len(log_p) else np.arange(len(log_p))
    ordered = sorted(found.tolist(), key=lambda token: log_p[token], reverse=True)[:k]
    return [token for token in ordered if log_p[token] > -np.inf]
