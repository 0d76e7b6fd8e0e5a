"""Speculative decoding of a batch of prompts: draft for each text, run the target once, verify, keep what was accepted.

One step gives each text at least one token and costs one forward pass for all of them, whatever their constraints and however much of
their drafts is accepted. Texts that are done leave the batch. The output is that of decoding token by token: exactly, with
`GumbelCoupled` (the default) or at temperature 0; else in law. Nothing is rolled back: states are plain integers, and of the cache only the
accepted path is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from structgen.automata.machine import DEAD, FINISHED
from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.speculative.cached_model import CachedModel
from structgen.speculative.draft_tree import DraftTree, Kind
from structgen.speculative.drafters.fused import Fused
from structgen.speculative.interfaces import Drafter, Verdict, Verifier
from structgen.speculative.lengths import Length
from structgen.speculative.stopped import Stopped
from structgen.speculative.target import MaskedTarget

__all__ = ["Row", "Statistics", "decode"]

Ends = Callable[[list[int]], bool]


@dataclass
class Statistics:
    """What decoding took. ``forward_passes`` are those of the whole batch; the rest is summed over its texts."""

    forward_passes: int = 0
    tokens: int = 0
    """Generated, stop tokens included; of these some were the only ones allowed and took no run of the target."""
    steps: int = 0
    """Trees verified: tokens / steps is how many tokens a text gets for one run of the target."""
    drafted: int = 0
    accepted: int = 0
    forced_drafted: int = 0
    """Of these, forced by the constraint; so with the next."""
    forced_accepted: int = 0

    def add(self, other: Statistics) -> None:
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Row:
    """One text while it is generated. ``ends``: whether it should end, asked after each token with the generated ones."""

    prompt: Sequence[int]
    constraint: Stopped
    drafter: Drafter
    verifier: Verifier
    max_new_tokens: int
    ends: Ends | None = None
    tokens: list[int] = field(default_factory=list)
    """Generated, with the stop token if there was one."""

    def __post_init__(self) -> None:
        self.text, self.state = list(self.prompt), self.constraint.initial
        self.is_done = self.max_new_tokens <= 0
        self.append(())

    def append(self, tokens: Sequence[int]) -> None:
        """Take tokens over up to the one with which the text ends, and then those that are the only ones allowed: whatever the
        model, their probability is 1."""
        for token in tokens:
            if not self.is_done:
                self._take(token)
        while not self.is_done and (only := self.constraint.only(self.state)) is not None:
            self._take(only)

    def _take(self, token: int) -> None:
        self.tokens.append(token)
        self.text.append(token)
        self.state = self.constraint.advance(self.state, token)
        if self.state == DEAD:
            raise StructgenError(f"a verifier gave token {token}, which the constraint forbids")
        is_cut = len(self.tokens) >= self.max_new_tokens or (self.ends is not None and self.ends(self.tokens))
        self.is_done = is_cut or self.state == FINISHED


def decode(model: Any, rows: Sequence[Row], choose: Choose, length: Length, warp: Any = None) -> Statistics:
    """Generate the tokens of all rows. ``warp``: temperature and truncation, see `MaskedTarget`; None is the model's own law."""
    statistics = Statistics(tokens=sum(len(row.tokens) for row in rows))
    rows = [row for row in rows if not row.is_done]
    if not rows:
        return statistics
    target = CachedModel(model, [row.text for row in rows])
    first = True
    while rows:
        start = perf_counter()
        budget = length.budget()
        trees = [_propose(row, budget, length.least, choose) for row in rows]
        logits = target.forward(trees)
        verdicts = [_verify(row, tree, each, choose, warp) for row, tree, each in zip(rows, trees, logits, strict=True)]
        generated, known = sum(len(row.tokens) for row in rows), []
        for row, tree, verdict in zip(rows, trees, verdicts, strict=True):
            _count(statistics, tree, verdict, length)
            known.append(len(row.tokens) + len(verdict.path))
            row.append(verdict.tokens(tree))
        statistics.tokens += sum(len(row.tokens) for row in rows) - generated
        going = [i for i, row in enumerate(rows) if not row.is_done]
        if going:
            target.keep([v.path for v in verdicts], [row.tokens[n:] for row, n in zip(rows, known, strict=True)])
        if 0 < len(going) < len(rows):
            target.select(going)
        if not first:
            length.timed(
                len(trees), sum(tree.n for tree in trees), sum(len(row.tokens) for row in rows) - generated, perf_counter() - start
            )
        rows, first = [rows[i] for i in going], False
    statistics.forward_passes = target.forward_passes
    return statistics


def _propose(row: Row, budget: int, least: float, choose: Choose) -> DraftTree:
    if isinstance(row.drafter, Fused):
        row.drafter.least = least
    return row.drafter.propose(tuple(row.text), row.state, budget, choose)


def _verify(row: Row, tree: DraftTree, logits: Any, choose: Choose, warp: Any) -> Verdict:
    view = MaskedTarget(tree, row.constraint, logits.float().cpu().numpy(), warp=warp)
    verdict = row.verifier.verify(tree, view, choose)
    row.drafter.observe(tree, view, verdict)
    if isinstance(row.drafter, Fused):
        row.drafter.learn([row.text[-1], *tree.tokens[1:].tolist()], logits)
    return verdict


def _count(statistics: Statistics, tree: DraftTree, verdict: Verdict, length: Length) -> None:
    forced = tree.kinds == Kind.FORCED
    path = list(verdict.path)
    statistics.steps += 1
    statistics.drafted += tree.n - 1
    statistics.accepted += len(path)
    statistics.forced_drafted += int(forced.sum())
    statistics.forced_accepted += int(forced[path].sum())
    length.update(int((~forced[path]).sum()), _longest(tree, ~forced))


def _longest(tree: DraftTree, counted: npt.NDArray[np.bool_]) -> int:
    """Of all paths the most nodes that count."""
    found = np.zeros(tree.n, np.int64)
    for node in range(1, tree.n):
        found[node] = found[tree.parents[node]] + counted[node]
    return int(found.max())
