"""KLASS: a token is sure if it is probable and has stopped changing (arXiv 2511.05664)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import Mass, check_fields, descending, matched, proposal

__all__ = ["Klass"]


@dataclass
class Klass:
    """Candidates of at least ``threshold`` whose distributions changed by less than ``divergence`` nats, KL(now || before), in each of
    the last ``history`` steps; else the best one. The history is of the model's own rows, which no constraint changes."""

    threshold: float = 0.9
    divergence: float = 0.01
    history: int = 2
    mass: Mass = "raw"

    def __post_init__(self) -> None:
        check_fields(self)
        self._positions = torch.zeros(0, dtype=torch.long)
        self._log_p = torch.zeros(0, 0)
        self._stable = torch.zeros(0, dtype=torch.long)

    def begin(self) -> Klass:
        return Klass(self.threshold, self.divergence, self.history, self.mass)

    def propose(self, view: View) -> Proposal:
        self._observe(view)
        scores = view.scores(self.mass)
        stable = ((self._stable >= self.history) & (scores >= self.threshold)).tolist()
        order = descending(scores)
        return proposal(view, [i for i in order if stable[i]] or order[:1], threshold=self.threshold)

    def _observe(self, view: View) -> None:
        """For how many steps each position has been stable."""
        stable = torch.zeros_like(view.positions)
        if len(self._positions):
            index, found = matched(self._positions, view.positions)
            calm = found & (_divergences(view.log_p, self._log_p[index]) < self.divergence)
            stable = torch.where(calm, self._stable[index] + 1, stable)
        self._positions, self._log_p, self._stable = view.positions, view.log_p, stable


def _divergences(log_p: Tensor, log_q: Tensor) -> Tensor:
    """[m]: KL(p || q) of rows [m, V], in nats."""
    return torch.where(log_p > -torch.inf, log_p.exp() * (log_p - log_q), 0.0).sum(-1)
