"""Sequential Monte Carlo over the texts of a constraint (Lew et al. 2023, arXiv 2306.03081; Loula et al., ICLR 2025, arXiv 2504.13139).

N particles grow token by token, each by a properly weighted step (`structgen.sampling.steps`); where few carry the weight, they
are resampled. The mean weight is an unbiased estimate of Z = P(L) for any N, any step and any rule of resampling; the normalised weights
approximate P_L, exactly in the limit of many particles.

All particles take their step in one call of the model. At the bound on the length the end symbol is forced, with its exact weight
P($ | u) 1{u in L}.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.constraints import State
from structgen.sampling.language_model import Tokens
from structgen.sampling.logspace import logsumexp
from structgen.sampling.resampling import RESAMPLING, effective_sample_size
from structgen.sampling.samples import Sample, Samples, SamplingFailed
from structgen.sampling.steps import DEAD_END, MaskStep, Step, StepSampler
from structgen.sampling.strategy import Progress, Run, silent
from structgen.sampling.target import Checker, Target

__all__ = ["SMC", "Critic", "Masking", "Particle"]

ROUNDING = 1e-9  # weights that differ by less count as equal


class Critic(Protocol):
    """log of a positive number for a prefix (a twist: it only guides, and is taken back at the next step) or, if ``is_complete``,
    for a text: then it stays, and the target is P(w) 1{w in L} times that. A mere guide says 0 for complete texts.
    -inf drops the particle."""

    def __call__(self, tokens: Tokens, is_complete: bool, /) -> float: ...


@dataclass(frozen=True)
class Particle:
    """A prefix and its weight; done when it ended, or died (log weight -inf)."""

    state: State
    tokens: Tokens = ()
    log_weight: Any = 0.0
    log_prob: Any = 0.0
    log_critic: Any = 0.0
    done: bool = False


class SMC:
    """``n`` particles that grow by ``step`` and are resampled when the effective sample size falls below ``ess_threshold * n``.

    ``resampling``: "systematic", "stratified", "residual" or "multinomial". ``ess_threshold=0`` never resamples (importance sampling).
    Raises `SamplingFailed` if all particles die.
    """

    def __init__(
        self,
        n: int = 8,
        *,
        step: StepSampler | None = None,
        ess_threshold: float = 0.5,
        resampling: str = "systematic",
        critic: Critic | None = None,
    ) -> None:
        if n < 1 or not 0 <= ess_threshold <= 1:
            raise StructgenError(f"SMC needs n >= 1 and 0 <= ess_threshold <= 1, found {n} and {ess_threshold}")
        if resampling not in RESAMPLING:
            raise StructgenError(f"resampling is one of {', '.join(RESAMPLING)}, found {resampling!r}")
        self.n, self.step, self.critic = n, step or MaskStep(), critic
        self.ess_threshold, self.resample = ess_threshold, RESAMPLING[resampling]

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples:
        run, particles = Run(target), [Particle(target.constraint.initial)] * self.n
        while any(not particle.done for particle in particles):
            particles = self._extended(particles, target, choose)
            particles = self._resampled(particles, choose)
            progress(sum(particle.done for particle in particles), self.n)
        log_evidence = logsumexp(np.array([particle.log_weight for particle in particles])) - np.log(self.n)
        alive = [particle for particle in particles if particle.log_weight > -np.inf]
        samples = run.samples([Sample(p.tokens, p.log_prob, p.log_weight) for p in alive], self.n, log_evidence)
        if not alive:
            raise SamplingFailed(f"all {self.n} particles came to a dead end; raise n, max_tokens, or max_rejects of the step", samples)
        return samples

    def _extended(self, particles: list[Particle], target: Target, choose: Choose) -> list[Particle]:
        """All particles one token further, with one call of the model for their distinct prefixes."""
        prefixes = list(dict.fromkeys(particle.tokens for particle in particles if not particle.done))
        rows = dict(zip(prefixes, target.log_probs(prefixes), strict=True))
        return [p if p.done else self._extend(p, rows[p.tokens], target, choose) for p in particles]

    def _extend(self, particle: Particle, log_p: Any, target: Target, choose: Choose) -> Particle:
        ok = target.checker(len(particle.tokens), particle.state)
        token, log_w = _end(log_p, ok, target.eos) if ok.is_last else self.step(log_p, ok, choose)
        if token is None:
            return replace(particle, log_weight=particle.log_weight - np.inf, done=True)
        ends = token == target.eos
        tokens = particle.tokens if ends else (*particle.tokens, token)
        log_critic = self.critic(tokens, ends) if self.critic else 0.0
        log_weight = particle.log_weight + log_w + (log_critic - particle.log_critic)
        done = ends or log_weight == -np.inf
        return Particle(ok.after(token), tokens, log_weight, particle.log_prob + log_p[token], log_critic, done)

    def _resampled(self, particles: list[Particle], choose: Choose) -> list[Particle]:
        log_weights = np.array([particle.log_weight for particle in particles])
        log_total = logsumexp(log_weights)
        if log_total == -np.inf or all(particle.done for particle in particles):
            return particles
        if effective_sample_size(log_weights) >= self.ess_threshold * self.n * (1 - ROUNDING):
            return particles
        log_mean = log_total - np.log(self.n)
        return [replace(particles[i], log_weight=log_mean) for i in self.resample(log_weights, choose)]


class Masking(SMC):
    """Token by token among the allowed ones, as any grammar engine does; the law of these texts is not P_L (see docs/sampling.md).

    The weights, the product of the allowed masses, say by how much: with them this is importance sampling.
    """

    def __init__(self, n: int = 8) -> None:
        super().__init__(n, ess_threshold=0.0)


def _end(log_p: Any, ok: Checker, eos: int) -> Step:
    return (eos, log_p[eos]) if ok(eos) else DEAD_END
