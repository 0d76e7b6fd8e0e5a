"""Speculative decoding of a batch of prompts: draft for each text, run the target once, verify, keep what was accepted.

One step gives each text at least one token and costs one forward pass for all of them, whatever their constraints and however much of
their drafts is accepted. Texts that are done leave the batch. The output is that of decoding token by token: exactly, with
`GumbelCoupled` (the default) or at temperature 0; else in law. Nothing is rolled back: states are plain integers, and of the cache only the
accepted path is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from structgen.automata.machine import DEAD, FINISHED
from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.speculative.builders import Growth
from structgen.speculative.cached_model import CachedModel
from structgen.speculative.draft_tree import DraftTree, Kind
from structgen.speculative.drafters.fused import Fused
from structgen.speculative.drafters.grafted import Grafted
from structgen.speculative.drafters.sampled_model import SampledDrafts
from structgen.speculative.interfaces import Drafter, Verdict, Verifier
from structgen.speculative.lengths import Length
from structgen.speculative.stopped import Stopped
from structgen.speculative.target import FutureValidity, MaskedTarget

__all__ = ["Row", "Statistics", "decode"]

Ends = Callable[[list[int]], bool]
Future = Callable[[Sequence[int], int], Any]
"""(generated tokens, drafts included, state behind them) -> [V]: log-weights Phi of the next token, for the TWISTED law (see `target`)."""


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
    draft_passes: int = 0
    """Runs of the model whose drafts are draws."""

    def add(self, other: Statistics) -> None:
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Row:
    """One text while it is generated. ``ends``: whether it should end, asked after each token with the generated ones. ``future``: the
    weights of the TWISTED law; None is the LOCAL one."""

    prompt: Sequence[int]
    constraint: Stopped
    drafter: Drafter
    verifier: Verifier
    max_new_tokens: int
    ends: Ends | None = None
    future: Future | None = None
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


def decode(
    model: Any,
    rows: Sequence[Row],
    choose: Choose,
    length: Length,
    warp: Any = None,
    sampling: Callable[[Sequence[Row]], SampledDrafts] | None = None,
) -> Statistics:
    """Generate the tokens of all rows. ``warp``: temperature and truncation, see `MaskedTarget`; None is the model's own law.
    ``sampling``: what draws drafts for rows, beside what their own drafters guess."""
    statistics = Statistics(tokens=sum(len(row.tokens) for row in rows))
    rows = [row for row in rows if not row.is_done]
    if not rows:
        return statistics
    target = CachedModel(model, [row.text for row in rows], _layers(rows))
    sampled = sampling(rows) if sampling is not None else None
    first = True
    while rows:
        start = perf_counter()
        drafts = _propose(rows, sampled, length, choose)
        trees = [draft.tree for draft in drafts]
        logits = target.forward(trees)
        verdicts = [
            _verify(row, draft, each, choose, warp, hidden)
            for row, draft, each, hidden in zip(rows, drafts, logits, _hidden(target, rows, trees), strict=True)
        ]
        if any(_asks(row) for row in rows):
            _follow(rows, target.hidden([verdict.path for verdict in verdicts]))
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
            if sampled is not None:
                sampled.select(going)
        if not first:
            length.timed(
                len(trees), sum(tree.n for tree in trees), sum(len(row.tokens) for row in rows) - generated, perf_counter() - start
            )
        rows, first = [rows[i] for i in going], False
    statistics.forward_passes = target.forward_passes
    statistics.draft_passes = sampled.forward_passes if sampled is not None else 0
    return statistics


def _layers(rows: Sequence[Row]) -> list[int]:
    """The hidden states of the target that drafters and verifiers ask for."""
    return sorted({layer for row in rows for layer in (*_asks(row), *getattr(row.verifier, "layers", ()))})


def _asks(row: Row) -> tuple[int, ...]:
    """The hidden states that a text's drafter asks for."""
    return row.drafter.layers if isinstance(row.drafter, Fused) else ()


def _hidden(target: CachedModel, rows: Sequence[Row], trees: Sequence[DraftTree]) -> list[Any]:
    """For each text the hidden states [nodes, d] of the layer that its verifier asks for, None if it asks for none."""
    wanted = [getattr(row.verifier, "layers", ())[:1] for row in rows]
    if not any(wanted):
        return [None] * len(rows)
    states = target.hidden([range(1, tree.n) for tree in trees])
    return [each[layer[0]][-tree.n :] if layer else None for each, layer, tree in zip(states, wanted, trees, strict=True)]


def _follow(rows: Sequence[Row], hidden: Sequence[Mapping[int, Any]]) -> None:
    for row, states in zip(rows, hidden, strict=True):
        if isinstance(row.drafter, Fused):
            row.drafter.follow(states)


def _propose(rows: Sequence[Row], sampled: SampledDrafts | None, length: Length, choose: Choose) -> list[Grafted]:
    """Draws first, then guesses with what is left of the budget."""
    budget = length.budget()
    if sampled is None:
        return [_guess(row, None, budget, length.least, choose) for row in rows]
    growths = sampled.propose([tuple(row.text) for row in rows], [row.state for row in rows], budget, choose, length.stop)
    return [_guess(row, growth, growth.budget, length.least, choose) for row, growth in zip(rows, growths, strict=True)]


def _guess(row: Row, growth: Growth | None, budget: int, least: float, choose: Choose) -> Grafted:
    if isinstance(row.drafter, Fused):
        row.drafter.least = least
    guesses = row.drafter.propose(tuple(row.text), row.state, budget, choose)
    return Grafted(None if growth is None else growth.sapling, guesses)


def _verify(row: Row, draft: Grafted, logits: Any, choose: Choose, warp: Any, hidden: Any) -> Verdict:
    rows = logits.float().cpu().numpy()
    view = MaskedTarget(draft.tree, row.constraint, rows, warp=warp, future=_future(row), hidden=hidden, text=row.text)
    verdict = row.verifier.verify(draft.tree, view, choose)
    tree = draft.branch
    row.drafter.observe(tree, *draft.seen(view, verdict))
    if isinstance(row.drafter, Fused):
        row.drafter.learn([row.text[-1], *tree.tokens[1:].tolist()], draft.rows(logits))
    return verdict


def _future(row: Row) -> FutureValidity | None:
    weights = row.future
    if weights is None:
        return None
    return lambda tree, node: weights((*row.tokens, *tree.prefix(node)), int(tree.states[node]))


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
