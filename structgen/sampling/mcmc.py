"""Markov chains whose stationary law is P_L (Gonzalez et al., NeurIPS 2025, arXiv 2506.05754): Metropolis-Hastings over whole texts.

A proposal keeps the text up to a position i, drawn by r(i | w), and draws the rest token by token under the mask. With GCD(w_j | w_<j) the
masked next-token probabilities,

    q(w' | w) = sum over i <= min(lcp(w, w'), |w| - 1) of r(i | w) prod over j >= i of GCD(w'_j | w'_<j)

where lcp is the number of first tokens they share, and the proposal is accepted with probability
min(1, P(w') q(w | w') / (P(w) q(w' | w))).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose, coin
from structgen.sampling.logspace import logsumexp
from structgen.sampling.samples import Sample, Samples, SamplingFailed
from structgen.sampling.strategy import Progress, Run, silent
from structgen.sampling.target import Target
from structgen.sampling.trie import KEEP, MAX_NODES, Draw, Learn, PrefixTrie

__all__ = ["MCMC", "PROPOSALS", "Chain"]

MAX_STARTS = 1000


def restart(word: Draw) -> Any:
    """Everything is drawn anew."""
    return np.where(np.arange(len(word.path)) == 0, 0.0, -np.inf)


def prefix(word: Draw) -> Any:
    """All positions alike, that of the end included."""
    return np.zeros(len(word.path))


def priority(word: Draw) -> Any:
    """In proportion to exp(H) - 1, with the entropy H of the masked next-token distribution: where there was most to choose."""
    with np.errstate(divide="ignore"):
        log_r = np.log(np.expm1(np.array([visit.node.entropy for visit in word.path])))
    return log_r if log_r.max() > -np.inf else restart(word)


PROPOSALS: dict[str, Callable[[Draw], Any]] = {"restart": restart, "prefix": prefix, "priority": priority}
"""log r(i | w) for each position i of a text, not normalised."""


class Chain:
    """A Markov chain over the texts of a target; a state is an accepted `Draw`."""

    def __init__(self, trie: PrefixTrie, proposal: str) -> None:
        if proposal not in PROPOSALS:
            raise StructgenError(f"proposal is one of {', '.join(PROPOSALS)}, found {proposal!r}")
        self._trie, self._positions = trie, PROPOSALS[proposal]

    def start(self, choose: Choose) -> Draw | None:
        """A text by masking alone; None if it came to a dead end."""
        return self._accepted(self._trie.draw(choose, mask_new=True))

    def step(self, word: Draw, choose: Choose) -> Draw:
        """The next text, which may be the same."""
        i = choose(self._positions(word))
        proposed = self._accepted(self._trie.draw(choose, mask_new=True, start=word.path[:i], node=word.path[i].node))
        if proposed is None or proposed.tokens == word.tokens:
            return word
        log_ratio = proposed.log_prob + self._log_q(word, proposed) - (word.log_prob + self._log_q(proposed, word))
        return proposed if coin(choose, min(log_ratio, 0.0)) else word

    def _accepted(self, draw: Draw) -> Draw | None:
        self._trie.record(draw)
        return draw if draw.accepted else None

    def _log_q(self, to: Draw, word: Draw) -> Any:
        """log q(to | word)."""
        log_r = self._positions(word)
        log_gcd = np.array([visit.log_p - visit.node.log_mass for visit in to.path])
        log_rest = np.cumsum(log_gcd[::-1])[::-1]
        shared = min(_shared(word, to) + 1, len(word.path))
        return logsumexp(log_r[:shared] + log_rest[:shared]) - logsumexp(log_r)


class MCMC:
    """``n`` independent chains of ``steps`` steps, each from a text drawn by masking; their last texts. Not exact, but good at any time:
    the distance to P_L never grows, and vanishes. ``proposal``: "priority", "prefix" or "restart".

    Raises `SamplingFailed` if masking finds no text to begin with.
    """

    def __init__(
        self, n: int = 8, steps: int = 10, proposal: str = "priority", *, keep: int | None = KEEP, max_nodes: int = MAX_NODES
    ) -> None:
        if n < 1 or steps < 0:
            raise StructgenError(f"MCMC needs n >= 1 and steps >= 0, found {n} and {steps}")
        if proposal not in PROPOSALS:
            raise StructgenError(f"proposal is one of {', '.join(PROPOSALS)}, found {proposal!r}")
        self.n, self.steps, self.proposal, self.keep, self.max_nodes = n, steps, proposal, keep, max_nodes

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples:
        run, found = Run(target), list[Sample]()
        trie = PrefixTrie(target, Learn.PREFIXES, keep=self.keep, max_nodes=self.max_nodes)
        chain, draws = Chain(trie, self.proposal), 0
        while len(found) < self.n:
            word = next((draw for _ in range(MAX_STARTS) if (draw := chain.start(choose)) is not None), None)
            if word is None:
                raise SamplingFailed(f"masking found no complete text in {MAX_STARTS} draws; raise max_tokens", run.samples(found, draws))
            for _ in range(self.steps):
                word = chain.step(word, choose)
            draws += 1
            found.append(Sample(word.tokens, word.log_prob))
            progress(len(found), self.n)
        return run.samples(found, draws)


def _shared(a: Draw, b: Draw) -> int:
    """How many first tokens they share."""
    pairs = zip(a.path, b.path, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one.token != other.token), min(len(a.path), len(b.path)))
