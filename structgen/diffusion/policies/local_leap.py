"""LocalLeap: what stands near to something sure may be a little less sure (arXiv 2510.07081)."""

from __future__ import annotations

from dataclasses import dataclass

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import Mass, Stateless, descending, proposal

__all__ = ["LocalLeap"]


@dataclass(frozen=True)
class LocalLeap(Stateless):
    """Anchors are candidates of at least ``threshold``; within ``radius`` positions of one, ``relaxed`` is enough. At least the best."""

    threshold: float = 0.9
    relaxed: float = 0.75
    radius: int = 4
    mass: Mass = "raw"

    def propose(self, view: View) -> Proposal:
        scores, positions = view.scores(self.mass), view.positions
        anchors = scores >= self.threshold
        near = ((positions[:, None] - positions[anchors]).abs() <= self.radius).any(1)
        chosen = anchors | (near & (scores >= self.relaxed))
        order = descending(scores)
        taken = chosen.tolist()
        return proposal(view, [i for i in order if taken[i]] or order[:1], threshold=self.relaxed)
