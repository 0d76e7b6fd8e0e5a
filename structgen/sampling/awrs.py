"""Adaptive weighted rejection sampling (Lipkin et al., COLM 2025, arXiv 2504.05410): tokens tested one by one, without a mask.

Tokens are drawn from p without replacement until one is allowed; that one has exactly the law of p among the allowed. The
estimators below differ in how they weigh it; all are properly weighted (see `structgen.sampling.steps`), and with p of mass 1:

    TwoLoop     goes on until a second accept; w = (mass after the first loop) / (rejections of both loops + 1)
    Recursive   tests one more token y; w = the mass not rejected if y is allowed, else p(x)
    Geometric   plays draws with replacement up to ``max_accepts`` accepts: negative binomial
    AWRS        the choice of the authors' library between the two last ones

``max_rejects`` bounds the tests and keeps the weights unbiased: at the last one the token is taken or the weight is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose, geometric
from structgen.sampling.logspace import log1mexp, logsumexp
from structgen.sampling.steps import DEAD_END, Step
from structgen.sampling.target import Checker
from structgen.sampling.urn import Urn

__all__ = ["AWRS", "Geometric", "Recursive", "TwoLoop"]

PEAKED = np.log(2 / 3)  # above this probability of one token `Geometric` needs fewer tests than `Recursive`


class TwoLoop:
    """The estimator of the paper's experiments: an accept, and the rejections up to another accept (which may be the same token)."""

    def __call__(self, log_p: Any, ok: Checker, choose: Choose) -> Step:
        urn, tokens, rejections, log_mass = Urn(log_p), list[int](), 0, -np.inf
        while len(tokens) < 2 and urn.log_mass > -np.inf:
            token = urn.draw(choose)
            if ok(token):
                tokens.append(token)
                log_mass = urn.log_mass if len(tokens) == 1 else log_mass
            else:
                rejections += 1
                urn.remove(token)
        return (tokens[0], log_mass - np.log(rejections + 1)) if tokens else DEAD_END


class Recursive:
    """One more token is tested after the first accept: E[w | x, rejected] is the mass of all that is allowed."""

    def __init__(self, max_rejects: int | None = None) -> None:
        _check(max_rejects, "max_rejects", 1)
        self.max_rejects = max_rejects

    def __call__(self, log_p: Any, ok: Checker, choose: Choose) -> Step:
        urn, rejections = Urn(log_p), 0
        while (log_mass := urn.log_mass) > -np.inf and rejections != self.max_rejects:
            token = urn.draw(choose)
            urn.remove(token)
            if not ok(token):
                rejections += 1
            elif rejections + 1 == self.max_rejects or urn.log_mass == -np.inf or ok(urn.draw(choose)):
                return token, log_mass
            else:
                return token, log_p[token]
        return DEAD_END


class Geometric:
    """Draws with replacement up to ``max_accepts`` accepts or ``max_rejects`` rejects, of which only new tokens are tested.

    How often already rejected tokens come up again between the new ones is a geometric number. The weight is the probability,
    given the numbers of both, that the first draw was an accept.
    """

    def __init__(self, max_accepts: int = 2, max_rejects: int | None = None) -> None:
        _check(max_accepts, "max_accepts", 2)
        _check(max_rejects, "max_rejects", 1)
        self.max_accepts, self.max_rejects = max_accepts, max_rejects

    def __call__(self, log_p: Any, ok: Checker, choose: Choose) -> Step:
        urn, log_total = Urn(log_p), logsumexp(log_p)
        limit = np.inf if self.max_rejects is None else self.max_rejects
        rejects, accepted = 0.0, list[int]()
        while len(accepted) < self.max_accepts and rejects < limit and urn.log_mass > -np.inf:
            if rejects:  # phantoms: rejected tokens drawn again
                log_rejected = log1mexp(min(urn.log_mass - log_total, 0.0))
                rejects += geometric(choose, log_rejected, limit - rejects)
            if rejects >= limit:
                break
            token = urn.draw(choose)
            if ok(token):
                accepted.append(token)
                continue
            urn.remove(token)
            rejects += 1
        counted = min(self.max_accepts - 1, len(accepted))
        return (accepted[0], log_total + np.log(counted / (len(accepted) + rejects - 1))) if accepted else DEAD_END


class AWRS:
    """`Geometric` where one token has two thirds of the mass or more, or more than two accepts are wanted; else `Recursive`."""

    def __init__(self, max_accepts: int = 2, max_rejects: int | None = None) -> None:
        self.max_accepts, self.max_rejects = max_accepts, max_rejects
        self._geometric, self._recursive = Geometric(max_accepts, max_rejects), Recursive(max_rejects)

    def __call__(self, log_p: Any, ok: Checker, choose: Choose) -> Step:
        is_peaked = np.max(log_p) - logsumexp(log_p) >= PEAKED
        step = self._geometric if self.max_accepts > 2 or is_peaked else self._recursive
        return step(log_p, ok, choose)


def _check(value: int | None, name: str, least: int) -> None:
    if value is not None and value < least:
        raise StructgenError(f"{name} must be at least {least}, found {value}")
