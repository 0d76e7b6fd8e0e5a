"""Hierarchical decoding: one token in the midst of every gap, so that gaps halve (dInfer, arXiv 2510.08666)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import Mass, Stateless, descending, proposal

__all__ = ["Hierarchy"]


@dataclass(frozen=True)
class Hierarchy(Stateless):
    """The best candidate of every maximal run of open positions if it has more than ``low``, all of at least ``threshold``, and
    the best of all."""

    threshold: float = 0.9
    low: float = 0.4
    mass: Mass = "raw"

    def propose(self, view: View) -> Proposal:
        scores, positions = view.scores(self.mass).tolist(), view.positions.tolist()
        order = descending(view.scores(self.mass))
        runs = _runs(positions)
        best_of_run = {runs[i]: i for i in reversed(order)}  # the best comes last and stays
        leaders = {i for i in best_of_run.values() if scores[i] > self.low}
        chosen = [i for i in order if i in leaders or scores[i] >= self.threshold]
        return proposal(view, chosen or order[:1])


def _runs(positions: list[int]) -> list[int]:
    """The number of the run of neighbours that each position belongs to."""
    return list(accumulate(int(b != a + 1) for a, b in zip([-1, *positions], positions, strict=False)))
