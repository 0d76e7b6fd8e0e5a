"""Exact extraction (Bosc and Vincent; arXiv 2108.05857): the span of a passage that the model finds most probable as the whole answer.

A span is a run of the passage's tokens, followed by the end symbol. Spans that share their first tokens share the work: the trie of all
runs is gone through level by level, one call per level and batch, and a run less probable than the best span found is not gone into.
With a key-value cache that is O(n^2) tokens for a passage of n tokens at worst.

The tokens are those of the passage itself. `structgen.substring_of` with `BestFirst` takes all spellings of all spans of characters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.language_model import Tokens
from structgen.sampling.prefixes import Expansion, Prefix, expand
from structgen.sampling.samples import Samples, SamplingFailed
from structgen.sampling.strategy import Progress, Run, silent
from structgen.sampling.target import Target

__all__ = ["Extract"]

Runs = dict[Tokens, tuple[Prefix, list[int]]]
"""Runs of tokens, each with the positions in the passage that follow it."""


class Extract:
    """The ``n`` most probable spans of a passage (a text, or token ids) that the constraint takes, best first; never the empty one.

    ``per_token``: spans are compared by log P / (tokens + 1); then every span is looked at. ``batch``: prefixes per call of the model.
    """

    def __init__(self, passage: str | Sequence[int], n: int = 1, *, per_token: bool = False, batch: int = 64) -> None:
        if min(n, batch) < 1:
            raise StructgenError(f"n and batch must be at least 1, found {n} and {batch}")
        self.passage, self.n, self.per_token, self.batch = passage, n, per_token, batch

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples:
        run, tokens, best = Run(target), self._tokens(target), list[Prefix]()
        root = Prefix(target.constraint.initial)
        first = self._following(expand(target, [root])[()], range(len(tokens)), tokens, -np.inf)
        spans = iter(first.items())
        while runs := dict(islice(spans, self.batch)):
            while runs:
                found = expand(target, [prefix for prefix, _ in runs.values()])
                best = self._best([*best, *(e.grow(target.eos) for e in found.values() if e.ok(target.eos))])
                to_beat = self._score(best[-1]) if len(best) == self.n and not self.per_token else -np.inf
                levels = (self._following(found[each], positions, tokens, to_beat) for each, (_, positions) in runs.items())
                runs = {each: run for level in levels for each, run in level.items()}
            progress(len(best), self.n)
        samples = run.samples([span.sample(span.log_prob) for span in best], self.n)
        if not best:
            raise SamplingFailed("no span of the passage is a text of the constraint within max_tokens", samples)
        return samples

    def _tokens(self, target: Target) -> list[int]:
        tokens = self.passage
        if isinstance(tokens, str):
            if target.vocab.encode is None:
                raise StructgenError("this vocabulary has no tokenizer: give the passage as token ids")
            tokens = list(target.vocab.encode(tokens))
        if not all(0 <= token < target.model.size for token in tokens):
            raise StructgenError(f"the passage has tokens that are not among the model's {target.model.size}")
        return list(tokens)

    def _following(self, expansion: Expansion, positions: Any, tokens: list[int], to_beat: float) -> Runs:
        """The runs one token longer that are allowed and probable enough."""
        places: dict[int, list[int]] = defaultdict(list)
        for position in positions:
            if position < len(tokens):
                places[tokens[position]].append(position + 1)
        probable = {t: p for t, p in places.items() if float(expansion.prefix.log_prob + expansion.log_p[t]) > to_beat}
        grown = {token: expansion.grow(token) for token in probable if token != expansion.target.eos and expansion.ok(token)}
        return {prefix.tokens: (prefix, probable[token]) for token, prefix in grown.items()}

    def _best(self, spans: list[Prefix]) -> list[Prefix]:
        return sorted((span for span in spans if not span.is_dead), key=self._score, reverse=True)[: self.n]

    def _score(self, span: Prefix) -> float:
        return float(span.log_prob) / (len(span.tokens) + 1 if self.per_token else 1)
