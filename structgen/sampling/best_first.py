"""The most probable texts of a constraint, exactly: best-first search (A*, Hart, Nilsson and Raphael 1968) with branch and bound.

A prefix u has the value f(u) = log P(u) + h(u), where h(u) must be at least the log probability of the best completion
("admissible"); h = 0 always is. What beams find first is the value to beat. The search ends when no prefix has a greater value than
the n-th best text found: then nothing better exists within ``max_tokens``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.beam import Beam
from structgen.sampling.choice import Choose
from structgen.sampling.constraints import State
from structgen.sampling.language_model import Tokens
from structgen.sampling.prefixes import Expansion, Prefix, expand, finishing
from structgen.sampling.samples import Samples, SamplingFailed
from structgen.sampling.strategy import Progress, Run, silent
from structgen.sampling.target import Checker, Target

__all__ = ["BestFirst", "Bound"]

Bound = Callable[[Tokens, State], float]
"""At least log P(rest, end | prefix) of every text that goes on from the prefix: tokens so far, state of the constraint."""

MAX_FRONTIER = 2_000_000


class Waiting(NamedTuple):
    """An extension not looked at yet. Heaps give the smallest first, and of equals the oldest."""

    cost: float  # -f
    order: int
    prefix: Prefix
    ok: Checker
    token: int
    log_p: float
    is_bounded: bool  # whether f includes the bound


class BestFirst:
    """The ``n`` most probable texts, best first, with the proof that no other is more probable (of equals any may be left out).

    ``bound``: an admissible h; the tighter, the fewer calls of the model. ``batch``: prefixes per call. Raises `SamplingFailed` with the
    best texts so far after ``max_expansions`` prefixes, or 2,000,000 waiting ones.
    """

    def __init__(self, n: int = 1, *, bound: Bound | None = None, batch: int = 1, max_expansions: int = 2_000) -> None:
        if min(n, batch, max_expansions) < 1:
            raise StructgenError(f"n, batch and max_expansions must be at least 1, found {n}, {batch} and {max_expansions}")
        self.n, self.bound, self.batch, self.max_expansions = n, bound, batch, max_expansions

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples:
        target = finishing(target)
        run, search = Run(target), _Search(target, self.n, self.bound)
        search.look_ahead(choose)
        search.push(expand(target, [Prefix(target.constraint.initial)]).values())
        expanded = 1
        while (batch := search.pop(self.batch)) and expanded < self.max_expansions and len(search.heap) <= MAX_FRONTIER:
            search.push(expand(target, batch).values())
            expanded += len(batch)
            progress(len(search.found), self.n)
        samples = run.samples([prefix.sample(prefix.log_prob) for prefix in search.found], self.n)
        if batch:
            raise SamplingFailed(f"{expanded} prefixes did not prove these texts the best; raise max_expansions or lower n", samples)
        if not search.found:
            raise SamplingFailed("the model gives no text of the constraint any probability within max_tokens", samples)
        return samples


class _Search:
    def __init__(self, target: Target, n: int, bound: Bound | None) -> None:
        self._target, self._n, self._bound, self._order = target, n, bound, count()
        self.heap: list[Waiting] = []
        self.found: list[Prefix] = []  # best first

    @property
    def to_beat(self) -> float:
        return float(self.found[-1].log_prob) if len(self.found) == self._n else -np.inf

    def look_ahead(self, choose: Choose) -> None:
        """Texts that beams find: without a value to beat every token of every prefix would have to wait."""
        try:
            samples = Beam(self._n)(self._target, choose)
        except SamplingFailed:
            return
        for sample in samples.samples:
            self._complete(Prefix(None, sample.tokens, sample.log_prob, done=True))

    def push(self, expansions: Iterable[Expansion]) -> None:
        """What may follow these prefixes, as far as it can beat the texts found."""
        for expansion in expansions:
            log_p, prefix = np.array(expansion.allowed, np.float64), expansion.prefix
            value = float(prefix.log_prob)
            if value + log_p[self._target.eos] > self.to_beat:
                self._complete(expansion.grow(self._target.eos))
            log_p[self._target.eos] = -np.inf
            for token in np.flatnonzero(value + log_p > self.to_beat):
                self._wait(-value - log_p[token], prefix, expansion.ok, int(token), log_p[token], self._bound is None)

    def pop(self, batch: int) -> list[Prefix]:
        """The most promising prefixes; none if none can beat the texts found."""
        found: list[Prefix] = []
        while self.heap and len(found) < batch and -self.heap[0].cost > self.to_beat:
            _, _, prefix, ok, token, log_p, is_bounded = heapq.heappop(self.heap)
            extended = prefix.then(token, ok.after(token), log_p)
            if is_bounded:
                found.append(extended)
            elif (f := float(extended.log_prob) + self._log_bound(extended)) > self.to_beat:
                self._wait(-f, prefix, ok, token, log_p, True)
        return found

    def _wait(self, cost: float, *rest: Any) -> None:
        heapq.heappush(self.heap, Waiting(cost, next(self._order), *rest))

    def _log_bound(self, prefix: Prefix) -> float:
        assert self._bound is not None
        return min(0.0, float(self._bound(prefix.tokens, prefix.state)))

    def _complete(self, prefix: Prefix) -> None:
        texts = {each.tokens: each for each in [prefix, *self.found]}
        self.found = sorted(texts.values(), key=lambda each: float(each.log_prob), reverse=True)[: self._n]
