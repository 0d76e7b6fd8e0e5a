"""Strategies that draw one token after the other: greedy, ancestral sampling, and the base of those with laws of their own.

All of them mask first. What a strategy does to the distribution (temperature, truncation, mixing with another model) is done to the
model's distribution *among the allowed tokens*: a nucleus cut before the mask may have no allowed token left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.logspace import restrict
from structgen.sampling.prefixes import Expansion, Prefix, draw, expand, finishing, normalised
from structgen.sampling.samples import Samples, SamplingFailed
from structgen.sampling.strategy import Progress, Run, silent
from structgen.sampling.target import Target
from structgen.sampling.truncation import check_truncation, kept

__all__ = ["Ancestral", "Greedy", "Rule", "Stepwise"]

Rule = Callable[[list[Expansion]], list[Any]]
"""For each prefix [V]: log probabilities of the token to come, -inf where not allowed; all -inf at a dead end."""


class Stepwise:
    """``n`` texts, each token drawn by a rule, or with ``greedy`` the most probable of the rule (the smallest of equals).

    All texts take their step in one call of the model. Raises `SamplingFailed` if none can be completed.
    """

    def __init__(self, n: int = 1, *, greedy: bool = False) -> None:
        if n < 1:
            raise StructgenError(f"n must be at least 1, found {n}")
        self.n, self.greedy = n, greedy

    def rule(self, target: Target) -> Rule:
        """The rule of one run; a rule may remember what it said before."""
        return lambda expansions: [normalised(expansion.allowed) for expansion in expansions]

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples:
        target = finishing(target)
        run, rule, prefixes = Run(target), self.rule(target), [Prefix(target.constraint.initial)] * self.n
        while not all(prefix.done for prefix in prefixes):
            found = expand(target, prefixes)
            laws = dict(zip(found, map(self._law, rule(list(found.values()))), strict=True))
            prefixes = [p if p.done else draw(found[p.tokens], laws[p.tokens], choose) for p in prefixes]
            progress(sum(prefix.done for prefix in prefixes), self.n)
        return completed(run, prefixes, self.n)

    def _law(self, log_q: Any) -> Any:
        """The law of the token drawn: that of the rule, or all of it on the best token."""
        if not self.greedy:
            return log_q
        floats = np.asarray(log_q, np.float64)
        best = int(np.argmax(floats))
        return np.where((np.arange(len(floats)) == best) & (floats > -np.inf), 0.0, -np.inf)


class Greedy(Stepwise):
    """The most probable allowed token, each time. One text, no choice."""

    def __init__(self) -> None:
        super().__init__(greedy=True)


class Ancestral(Stepwise):
    """``n`` texts, token by token from the allowed tokens: temperature first, then top-k, top-p and min-p in this order, as transformers
    does. The law is that of masking, not P_L (see docs/sampling.md).

    ``temperature``: divides the logits, after the one of the model. ``top_k``: so many of the most probable tokens; ``top_p``: as few of
    the most probable as have this mass together; ``min_p``: at least this share of the most probable one's probability.
    """

    def __init__(self, n: int = 1, *, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0, min_p: float = 0.0) -> None:
        super().__init__(n)
        if not 0 < temperature < np.inf:
            raise StructgenError(f"sampling needs a temperature above 0, found {temperature}; for the most probable token take Greedy()")
        check_truncation(top_k, top_p, min_p)
        self.temperature, self.top_k, self.top_p, self.min_p = temperature, top_k, top_p, min_p

    def rule(self, target: Target) -> Rule:
        return lambda expansions: [self._truncated(expansion.allowed) for expansion in expansions]

    def _truncated(self, log_p: Any) -> Any:
        log_q = log_p if self.temperature == 1 else log_p * (1 / self.temperature)
        return normalised(restrict(log_q, kept(log_q, self.top_k, self.top_p, self.min_p)))


def completed(run: Run, prefixes: list[Prefix], draws: int) -> Samples:
    """The texts that were completed; raises `SamplingFailed` if there are none."""
    samples = run.samples([prefix.sample() for prefix in prefixes if not prefix.is_dead], draws)
    if not len(samples):
        raise SamplingFailed("every text came to a dead end, which this constraint does not foresee; raise max_tokens or n", samples)
    return samples
