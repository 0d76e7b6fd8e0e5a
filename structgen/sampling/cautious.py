"""Cautious next-token prediction (CNTP, arXiv 2507.03038): where the model is unsure, several continuations are tried up to the next
punctuation mark and the one with the lowest perplexity is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import floor

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.prefixes import Expansion, Prefix, draw, expand, finishing, normalised
from structgen.sampling.samples import Samples
from structgen.sampling.stepwise import completed
from structgen.sampling.strategy import Progress, Run, silent
from structgen.sampling.switching import entropy
from structgen.sampling.target import Target

__all__ = ["CNTP"]

MARKS = frozenset(b".,;:!?\n\"'()[]{}")


def is_punctuation(piece: bytes) -> bool:
    """Whether a token has a punctuation mark of ASCII."""
    return not MARKS.isdisjoint(piece)


class CNTP:
    """``n`` texts, one after the other. With H the entropy (nats) of the law among the allowed tokens, the number of trials is

        least + floor((most - least) * clip((H - low) / (high - low), 0, 1))

    All trials of a stretch grow in one call of the model per token, each up to a token for which ``stops(bytes)`` holds, or the end. Of
    them the one with the greatest mean log probability per token is kept, of equals the first. With ``most=1`` this is ancestral sampling.
    """

    def __init__(
        self,
        n: int = 1,
        *,
        least: int = 1,
        most: int = 8,
        low: float = 0.5,
        high: float = 3.5,
        stops: Callable[[bytes], bool] = is_punctuation,
    ) -> None:
        if n < 1 or not 1 <= least <= most:
            raise StructgenError(f"CNTP needs n >= 1 and 1 <= least <= most, found {n}, {least} and {most}")
        if not 0 <= low < high:
            raise StructgenError(f"the entropies must be 0 <= low < high, found {low} and {high}")
        self.n, self.least, self.most, self.low, self.high, self.stops = n, least, most, low, high, stops

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples:
        target = finishing(target)
        run, texts = Run(target), list[Prefix]()
        while len(texts) < self.n:
            prefix = Prefix(target.constraint.initial)
            while not prefix.done:
                prefix = self._stretch(target, prefix, choose)
            texts.append(prefix if self.most == 1 else replace(prefix, log_strategy=np.nan))  # the law of the best of several is not known
            progress(len(texts), self.n)
        return completed(run, texts, self.n)

    def trials(self, entropy: float) -> int:
        """How many continuations are tried."""
        share = min(max((entropy - self.low) / (self.high - self.low), 0.0), 1.0)
        return self.least + floor((self.most - self.least) * share)

    def _stretch(self, target: Target, prefix: Prefix, choose: Choose) -> Prefix:
        """The prefix with the best of its trials."""
        (first,) = expand(target, [prefix]).values()
        trials = self.trials(entropy(normalised(first.allowed)))
        rolls = [_drawn(first, choose) for _ in range(trials)]
        while growing := [i for i, roll in enumerate(rolls) if not self._is_over(target, roll)]:
            found = expand(target, [rolls[i] for i in growing])
            for i in growing:
                rolls[i] = _drawn(found[rolls[i].tokens], choose)
        return max(rolls, key=lambda roll: _mean_log_prob(prefix, roll))

    def _is_over(self, target: Target, roll: Prefix) -> bool:
        return roll.done or self.stops(target.vocab.token_bytes(roll.tokens[-1]))


def _drawn(expansion: Expansion, choose: Choose) -> Prefix:
    return draw(expansion, normalised(expansion.allowed), choose)


def _mean_log_prob(before: Prefix, after: Prefix) -> float:
    """Per token, by the laws drawn from; -inf at a dead end."""
    n_tokens = len(after.tokens) - len(before.tokens) + after.done
    return -np.inf if after.is_dead else float(after.log_strategy - before.log_strategy) / n_tokens
