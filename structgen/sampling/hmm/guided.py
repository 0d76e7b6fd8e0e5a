"""Decoding guided by a hidden Markov model: as proposals, with weights that say what it bends (`HMMGuided`), and as a twist (`HMMTwist`).

With psi(u) = P(the text will be valid | u) under the hidden Markov model, a token x after the prefix u is drawn in proportion to

    (P(x | u) psi(u x)) ^ (1 / temperature)                                            (Ctrl-G, arXiv 2406.13892, section 4)

which is P(x | u, valid) at temperature 1 if the hidden Markov model is the language model. It never is, so texts come with their importance
weights P / q; with resampling, for which psi makes the weights of unfinished texts comparable, this is twisted SMC (Lew et al. 2023).
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.sampling.choice import Choose
from structgen.sampling.constraints import Automaton
from structgen.sampling.hmm.model import HiddenMarkov
from structgen.sampling.hmm.product import HMMProduct, Prefix
from structgen.sampling.language_model import Tokens
from structgen.sampling.logspace import logsumexp
from structgen.sampling.samples import Samples
from structgen.sampling.smc import SMC, Particle
from structgen.sampling.strategy import Progress, silent
from structgen.sampling.target import Target

__all__ = ["HMMGuided", "HMMTwist"]

REMEMBERED = 1 << 12
"""Prefixes whose hidden states a twist keeps."""


class HMMGuided(SMC):
    """``n`` texts drawn from P(x | u) psi(u x), of ``min_tokens`` tokens at least. Every text is valid and none is begun in vain.

    Ctrl-G as published is ``ess_threshold=0``: independent texts, whose weights correct what is reported of them (`Samples.posterior`,
    `log_evidence`). With a threshold above 0 the texts are resampled and their law tends to the target's with n. For Deco-G, prompt the
    model with the task alone and distil ``hmm`` from prompts that also describe the format.

    ``temperature`` is that of the product; that of `sg.generate` belongs to the language model, before it. The constraint must be compiled
    (`sg.regex`, a schema ...) with few enough states; with a predicate, take ``SMC(critic=HMMTwist(product))``.
    """

    def __init__(
        self,
        hmm: HiddenMarkov,
        n: int = 8,
        *,
        temperature: float = 1.0,
        min_tokens: int = 0,
        ess_threshold: float = 0.0,
        resampling: str = "systematic",
    ) -> None:
        super().__init__(n, ess_threshold=ess_threshold, resampling=resampling)
        if not temperature > 0:
            raise StructgenError(f"sampling needs a temperature above 0, found {temperature}")
        self.hmm, self.temperature, self.min_tokens = hmm, temperature, min_tokens
        self._product: HMMProduct | None = None
        self._prefixes: dict[Tokens, Prefix] = {}

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples:
        product = self._product = self._product_with(target)
        run = copy(self)  # a run of its own, so that the strategy can be shared
        run._product, run._prefixes = product, {(): product.start}
        return SMC.__call__(run, target, choose, progress)

    def _product_with(self, target: Target) -> HMMProduct:
        """The product with the target's constraint, the last one if that is the same."""
        if not isinstance(target.constraint, Automaton):
            raise StructgenError("a hidden Markov model guides compiled constraints; with a predicate, take SMC(critic=HMMTwist(product))")
        if (target.model.size, target.eos) != (self.hmm.size, self.hmm.eos):
            raise StructgenError(
                f"the hidden Markov model has {self.hmm.size} tokens and ends with {self.hmm.eos},"
                f" the language model {target.model.size} and {target.eos}"
            )
        automaton, known = target.constraint._automaton, self._product
        if known and known.automaton is automaton and known.max_tokens == target.max_tokens:
            return known
        product = HMMProduct(self.hmm, automaton, target.max_tokens, min_tokens=self.min_tokens)
        if product.log_probability == -np.inf:
            raise UnsatisfiableSchema(
                f"no text of {self.min_tokens} to {target.max_tokens} tokens is valid and possible for the hidden Markov model;"
                " see HiddenMarkov.smoothed"
            )
        return product

    def _extended(self, particles: list[Particle], target: Target, choose: Choose) -> list[Particle]:
        assert self._product is not None
        prefixes = list(dict.fromkeys(particle.tokens for particle in particles if not particle.done))
        log_p = dict(zip(prefixes, target.log_probs(prefixes), strict=True))
        log_psi = dict(zip(prefixes, self._product.log_values_after([self._prefixes[u] for u in prefixes]), strict=True))
        found = [p if p.done else self._draw(p, log_p[p.tokens], log_psi[p.tokens], target.eos, choose) for p in particles]
        grown = list(dict.fromkeys(p.tokens for p in found if not p.done))
        following = self._product.extend([self._prefixes[u[:-1]] for u in grown], [u[-1] for u in grown]) if grown else []
        self._prefixes = dict(zip(grown, following, strict=True))
        return found

    def _draw(self, particle: Particle, log_p: Any, log_psi: Any, eos: int, choose: Choose) -> Particle:
        possible = np.flatnonzero((log_p > -np.inf) & (log_psi > -np.inf))
        if not len(possible):
            return replace(particle, log_weight=-np.inf, done=True)
        log_q = (log_p + log_psi)[possible] / self.temperature
        log_q -= logsumexp(log_q)
        i = choose(log_q)
        token = int(possible[i])
        log_weight = particle.log_weight + log_p[token] - log_q[i] + log_psi[token] - particle.log_critic
        tokens = particle.tokens if token == eos else (*particle.tokens, token)
        return Particle(particle.state, tokens, log_weight, particle.log_prob + log_p[token], log_psi[token], token == eos)


class HMMTwist:
    """psi as the critic of `SMC`, with any steps and any further constraint: it says which particles are worth keeping, and is taken
    back, so that the law stays the target's and ``exp(log_evidence)`` unbiased, whatever the hidden Markov model says.

    ``least``: psi is at least this share of its value at the start, for what it holds for hopeless may not be. Not to be shared between
    threads.
    """

    def __init__(self, product: HMMProduct, *, least: float = 1e-6) -> None:
        if not 0 < least <= 1:
            raise StructgenError(f"least is a share above 0, up to 1, found {least}")
        self.product, self._least = product, product.log_probability + np.log(least)
        if self._least == -np.inf:
            raise UnsatisfiableSchema("the hidden Markov model holds every valid text for impossible; see HiddenMarkov.smoothed")
        self._known: dict[Tokens, Prefix] = {(): product.start}

    def __call__(self, tokens: Tokens, is_complete: bool, /) -> float:
        return 0.0 if is_complete else max(self.product.log_value(self._at(tokens)), float(self._least))

    def _at(self, tokens: Tokens) -> Prefix:
        n = len(tokens)
        while tokens[:n] not in self._known:
            n -= 1
        prefix = self._known[tokens[:n]]
        for i in range(n, len(tokens)):
            if len(self._known) >= REMEMBERED:
                self._known = {(): self.product.start}
            (prefix,) = self.product.extend([prefix], [tokens[i]])
            self._known[tokens[: i + 1]] = prefix
        return prefix
