"""Rejection samplers: texts that the constraint refuses are drawn again, so what is accepted has the law P_L, exactly and independently.

    RS     learns nothing (von Neumann); accepts Z of all draws
    RSFT   knows from the start which first tokens are allowed
    ARS    avoids the prefixes that failed before (adaptive rejection sampling)
    CARS   avoids, besides, everything that was not allowed along the way

ARS, RSFT and CARS are from Parys et al., Constrained adaptive rejection sampling (arXiv 2510.01902). At each draw the probability of
acceptance is Z / theta(root); it only rises. A first draw under a mask (ASAp) would not have the law P_L: see `PrefixTrie.draw`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.logspace import logsumexp
from structgen.sampling.samples import Sample, Samples, SamplingFailed
from structgen.sampling.strategy import Progress, Run, silent
from structgen.sampling.target import Target
from structgen.sampling.trie import KEEP, MAX_NODES, Learn, PrefixTrie

__all__ = ["ARS", "CARS", "RS", "RSFT", "TrieStrategy"]

MAX_DRAWS = 10_000


class TrieStrategy:
    """``n`` accepted draws from a prefix trie, of no more than ``max_draws`` in all; raises `SamplingFailed` if that is not enough.

    ``keep``: tokens remembered per prefix (None: all); ``max_nodes``: prefixes remembered. Neither changes the law.
    """

    learn = Learn.NOTHING
    mask_root = False
    mask_new = False
    is_weighted = False

    def __init__(self, n: int = 8, *, max_draws: int = MAX_DRAWS, keep: int | None = KEEP, max_nodes: int = MAX_NODES) -> None:
        if not 1 <= n <= max_draws:
            raise StructgenError(f"n must be from 1 to max_draws, found {n} and {max_draws}")
        self.n, self.max_draws, self.keep, self.max_nodes = n, max_draws, keep, max_nodes

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples:
        run, trie = Run(target), self.trie(target)
        accepted: list[Sample] = []
        log_estimates: list[Any] = []  # of Z, each draw's own
        while len(accepted) < self.n and len(log_estimates) < self.max_draws and trie.log_theta > -np.inf:
            log_theta = trie.log_theta
            draw = trie.draw(choose, mask_new=self.mask_new)
            trie.record(draw)
            log_estimates.append(draw.log_weight if self.mask_new or not draw.accepted else log_theta)
            if draw.accepted:
                accepted.append(Sample(draw.tokens, draw.log_prob, draw.log_weight if self.is_weighted else 0.0))
                progress(len(accepted), self.n)
        log_evidence = logsumexp(np.array(log_estimates)) - np.log(len(log_estimates)) if log_estimates else -np.inf
        samples = run.samples(accepted, len(log_estimates), log_evidence)
        if trie.log_theta == -np.inf:
            raise SamplingFailed("the model gives no text of the constraint any probability within max_tokens", samples)
        if len(accepted) < self.n:
            raise SamplingFailed(f"{len(accepted)} of {self.n} texts after {self.max_draws} draws; raise max_draws or lower n", samples)
        return samples

    def trie(self, target: Target) -> PrefixTrie:
        """The trie before the first draw."""
        trie = PrefixTrie(target, self.learn, keep=self.keep, max_nodes=self.max_nodes)
        if self.mask_root:
            trie.mask_root()
        return trie


class RS(TrieStrategy):
    """Rejection sampling: the model alone, until the constraint agrees."""


class RSFT(TrieStrategy):
    """Rejection sampling whose first token is masked."""

    mask_root = True


class ARS(TrieStrategy):
    """Adaptive rejection sampling: no failing prefix twice. Needs no masks, so it suits predicates."""

    learn = Learn.FAILURES


class CARS(TrieStrategy):
    """Constrained adaptive rejection sampling: the strategy to take where exact samples are wanted."""

    learn = Learn.CONES
    mask_root = True
