"""SVDD: guidance by any reward, without gradients, that looks at partly filled canvases (arXiv 2408.08252).

At each step M candidates for the next canvas are drawn from the model, x ~ p, and one of them is taken with probability proportional
to exp(v(x) / alpha), v being a soft value: alpha log E[exp(r / alpha) | x] for a reward r of finished texts. As M grows the law of a step
becomes p(x) exp(v(x) / alpha) / Z; with one candidate it is p. Cost: M look-aheads per step, as one batch.

For r = log 1[the text is valid] and alpha = 1, exp v is the probability that the text will be valid if the rest is drawn from the
model's rows, position by position: a partition function, which `validity` computes exactly, without any training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from structgen.automaton import TokenAutomaton
from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import scheduled
from structgen.errors import StructgenError
from structgen.lattice import Lattice
from structgen.sampling.choice import Choose, Seeded

__all__ = ["Svdd", "Value", "posterior_mean", "validity"]

Value = Callable[[Tensor, Tensor, Tensor], Tensor]
"""int64 [M, n] canvases, bool [M, n] what is open, float32 [M, n, V] log-probabilities -> [M] values; -inf excludes a candidate."""


@dataclass
class Svdd:
    """An unmasking policy. A candidate commits as many random positions as the schedule says (or ``per_step``), each with a token drawn
    from what is valid there; ``value`` judges it, with the model's rows for it. ``alpha`` 0 takes the best candidate.

    Tokens come from ``view.log_q`` and the weights have the factor p/q, so the limit is about the model's own law p even where the
    constraint leaves positions different shares of it. ``choose`` draws everything (a seeded generator by default).
    """

    value: Value
    candidates: int = 10
    alpha: float = 1.0
    per_step: int | None = None
    choose: Choose = field(default_factory=Seeded)

    def __post_init__(self) -> None:
        if self.candidates < 1 or self.alpha < 0:
            raise StructgenError(f"at least one candidate and no negative alpha, found {self.candidates} and {self.alpha}")

    def begin(self) -> Svdd:
        return self

    def __copy__(self) -> Svdd:
        return replace(self, choose=copy.deepcopy(self.choose))

    def propose(self, view: View) -> Proposal:
        candidates = [self._candidate(view) for _ in range(self.candidates)]
        indices, tokens = candidates[self._select(view, candidates)]
        return Proposal(indices, tokens, len(indices))

    def _candidate(self, view: View) -> tuple[list[int], list[int]]:
        """A set of positions, uniform, and tokens for them, each by its row."""
        rest = list(range(len(view.positions)))
        indices = sorted(rest.pop(self.choose(np.zeros(len(rest)))) for _ in range(min(self.per_step or scheduled(view), len(rest))))
        return indices, [self.choose(view.log_q[i].double().cpu().numpy()) for i in indices]

    def _select(self, view: View, candidates: list[tuple[list[int], list[int]]]) -> int:
        if len(candidates) == 1:
            return 0
        values = self._values(view, candidates)
        if not np.isfinite(values).any():  # all are excluded: one as good as the other, and the guard mends it
            values = np.zeros(len(values))
        if self.alpha == 0:
            return int(values.argmax())
        share = (view.log_p - view.log_q).double()
        return self.choose(values / self.alpha + [float(share[indices, tokens].sum()) for indices, tokens in candidates])

    def _values(self, view: View, candidates: list[tuple[list[int], list[int]]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """[M]: equal candidates are looked at once."""
        distinct = list(dict.fromkeys((tuple(indices), tuple(tokens)) for indices, tokens in candidates))
        canvases = view.canvas.repeat(len(distinct), 1)
        for canvas, (indices, tokens) in zip(canvases, distinct, strict=True):
            canvas[view.positions[list(indices)]] = torch.tensor(tokens, device=canvas.device)
        values = self.value(canvases, canvases == view.mask_token_id, view.look_ahead(canvases)).double().tolist()
        of = dict(zip(distinct, values, strict=True))
        return np.array([of[tuple(indices), tuple(tokens)] for indices, tokens in candidates])


def validity(automaton: TokenAutomaton, start: int | None = None) -> Value:
    """log P(valid | canvas): open positions drawn independently by their rows, from the state ``start`` on (the initial one by default).

    Exact, in float64, by `sg.Lattice`, whose limits hold.
    """

    def value(canvases: Tensor, is_open: Tensor, log_p: Tensor) -> Tensor:
        known = torch.full_like(log_p, -torch.inf, dtype=torch.float64).scatter(2, canvases.masked_fill(is_open, 0)[..., None], 0.0)
        weights = torch.where(is_open[..., None], log_p.double(), known)
        return torch.tensor([Lattice(automaton, w, start=start).log_partition for w in weights], dtype=torch.float64)

    return value


def posterior_mean(reward: Callable[[list[int]], float]) -> Value:
    """The reward of the canvas with its open positions filled by their most probable tokens: a value without training (SVDD-PM).

    ``reward``: token ids of the whole canvas -> a number; any function, it need not be differentiable.
    """

    def value(canvases: Tensor, is_open: Tensor, log_p: Tensor) -> Tensor:
        filled = torch.where(is_open, log_p.argmax(-1), canvases)
        return torch.tensor([reward(tokens) for tokens in filled.tolist()], dtype=torch.float64)

    return value
