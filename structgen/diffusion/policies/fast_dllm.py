"""As many as are sure enough: Fast-dLLM (arXiv 2505.22618), by a threshold or by the number of those committed together."""

from __future__ import annotations

from dataclasses import dataclass

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import Mass, Stateless, descending, proposal

__all__ = ["Factor", "Threshold"]


@dataclass(frozen=True)
class Threshold(Stateless):
    """All candidates of at least this probability, and the best in any case."""

    threshold: float = 0.9
    mass: Mass = "raw"

    def propose(self, view: View) -> Proposal:
        scores = view.scores(self.mass)
        n = max(1, int((scores >= self.threshold).sum()))
        return proposal(view, descending(scores)[:n], threshold=self.threshold)


@dataclass(frozen=True)
class Factor(Stateless):
    """The n best for the greatest n with (n + 1) (1 - c_n) < factor, c_n being the n-th greatest probability; at least the best.

    Why: if n tokens are each more probable than 1 - 1/(n + 1), their most probable values one by one are the most probable together,
    whatever their dependence (the paper's theorem 1; ``factor=1``).
    """

    factor: float = 1.0
    mass: Mass = "raw"

    def propose(self, view: View) -> Proposal:
        scores = view.scores(self.mass)
        order = descending(scores)
        sorted_scores = scores.tolist()
        n = sum((k + 2) * (1 - sorted_scores[i]) < self.factor for k, i in enumerate(order))  # the left side grows with k
        return proposal(view, order[: max(1, n)])
