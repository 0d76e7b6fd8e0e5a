"""Beam search, and diverse beam search (Vijayakumar et al., AAAI 2018, arXiv 1610.02424), over the allowed tokens.

Prefixes are compared by log P(prefix), not renormalised under the mask, so the search looks for texts that the *model* finds probable. Of
all extensions of the live prefixes the best by rank are taken: an end among the first ``width`` completes a text, and the ``width``
best that do not end live on. This is the rule of transformers with ``early_stopping="never"``.

Diverse beams divide the width among groups, which take their step one after the other; a group subtracts ``diversity`` times the number of
earlier extensions of this step by the same token (Hamming) when it compares, after the mask. Scores themselves stay log P; a group that
cannot improve any more takes no further steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.language_model import Tokens
from structgen.sampling.prefixes import Expansion, Prefix, expand, finishing
from structgen.sampling.samples import Samples, SamplingFailed
from structgen.sampling.strategy import Progress, Run, silent
from structgen.sampling.target import Target

__all__ = ["Beam", "DiverseBeam"]


class DiverseBeam:
    """``n`` beams in ``groups`` groups; the best texts of all groups, each once, best first.

    Score of a text: log P / (tokens + 1) ** ``length_penalty``. Stops when no live prefix can beat the texts found. With one group, or
    with ``diversity=0`` in each group, this is beam search. One call of the model per token.
    """

    def __init__(self, n: int = 4, groups: int = 2, diversity: float = 0.5, *, length_penalty: float = 0.0) -> None:
        if groups < 1 or n < groups or n % groups:
            raise StructgenError(f"n beams must share out evenly among the groups, found n={n} and groups={groups}")
        if not 0 <= diversity < np.inf or not np.isfinite(length_penalty):
            raise StructgenError(f"diversity must not be negative, and both finite, found {diversity} and {length_penalty=}")
        self.n, self.groups, self.diversity, self.length_penalty = n, groups, diversity, length_penalty

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples:
        target = finishing(target)
        run = Run(target)
        groups = [_Group(target, self.n // self.groups, self.length_penalty) for _ in range(self.groups)]
        while live := [prefix for group in groups for prefix in group.live]:
            expansions = expand(target, live)
            taken = np.zeros(target.model.size)
            for group in groups:
                np.add.at(taken, group.advance(expansions, self.diversity * taken), 1)
            progress(sum(len(group.finished) for group in groups), self.n)
        texts = {prefix.tokens: prefix for group in groups for prefix in group.finished}
        best = sorted(texts.values(), key=groups[0].score, reverse=True)
        samples = run.samples([prefix.sample(prefix.log_prob) for prefix in best], self.n)
        if not best:
            raise SamplingFailed(f"all {self.n} beams came to a dead end; raise n or max_tokens", samples)
        return samples


class Beam(DiverseBeam):
    """Beam search: the best texts that ``n`` beams find, best first; their weights are their probabilities. ``n=1`` is greedy, but goes
    on after an end as long as a longer text can be more probable."""

    def __init__(self, n: int = 4, *, length_penalty: float = 0.0) -> None:
        super().__init__(n, 1, 0.0, length_penalty=length_penalty)


class _Group:
    """Beams that compete with each other: the prefixes that go on, and the best texts so far."""

    def __init__(self, target: Target, width: int, length_penalty: float) -> None:
        self._target, self._width, self._length_penalty = target, width, length_penalty
        self.live = [Prefix(target.constraint.initial)]
        self.finished: list[Prefix] = []

    def score(self, prefix: Prefix) -> float:
        """Of a complete text."""
        return float(float(prefix.log_prob) / (len(prefix.tokens) + 1) ** self._length_penalty)

    def advance(self, expansions: dict[Tokens, Expansion], penalty: Any) -> list[int]:
        """One token further; the tokens taken. ``penalty`` [V] is subtracted from the scores of this comparison."""
        found = [expansions[prefix.tokens] for prefix in self.live]
        if not found:
            return []
        following, tokens = list[Prefix](), list[int]()
        for rank, (i, token) in enumerate(self._ranked(found, penalty)):
            ends = token == self._target.eos
            if (ends and rank < self._width) or (not ends and len(following) < self._width):
                (self.finished if ends else following).append(found[i].grow(token))
                tokens.append(token)
        self.finished = sorted(self.finished, key=self.score, reverse=True)[: self._width]
        self.live = following if self._can_improve(following) else []
        return tokens

    def _ranked(self, found: Sequence[Expansion], penalty: Any) -> list[tuple[int, int]]:
        """The best extensions as (prefix, token): enough of them, since each prefix ends but once."""
        scores = np.stack([np.asarray(e.prefix.log_prob + e.allowed, np.float64) for e in found]) - penalty
        flat, n = scores.ravel(), 2 * self._width
        best = np.argpartition(-flat, n)[:n] if n < flat.size else np.arange(flat.size)
        best = best[np.lexsort((best, -flat[best]))]
        return [(int(i) // scores.shape[1], int(i) % scores.shape[1]) for i in best if flat[i] > -np.inf]

    def _can_improve(self, live: list[Prefix]) -> bool:
        """Whether a text that begins with one of these can be better than the worst found."""
        if len(self.finished) < self._width or not live:
            return True
        length = self._target.max_tokens if self._length_penalty > 0 else len(live[0].tokens)
        best = max(float(prefix.log_prob) for prefix in live) / (length + 1) ** self._length_penalty
        return bool(best > self.score(self.finished[-1]))
