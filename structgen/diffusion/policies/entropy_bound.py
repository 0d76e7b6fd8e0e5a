"""EB-sampler: as many positions as have little entropy together (arXiv 2505.24857)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import Mass, Stateless, descending, entropies, margins, proposal, rows

__all__ = ["EntropyBound"]


@dataclass(frozen=True)
class EntropyBound(Stateless):
    """The k surest for the greatest k whose entropies, but for the greatest one, add up to at most ``gamma`` nats.

    That sum bounds how far the tokens, drawn independently, are from a joint draw. ``order``: what is surest, by least entropy,
    greatest confidence or greatest margin. The paper uses gamma from 0.001 to 0.1.
    """

    gamma: float = 0.01
    order: Literal["entropy", "confidence", "margin"] = "entropy"
    mass: Mass = "raw"

    def propose(self, view: View) -> Proposal:
        h = entropies(rows(view, self.mass))
        surest = {"entropy": lambda: -h, "confidence": lambda: view.scores(self.mass), "margin": lambda: margins(view, self.mass)}
        order = descending(surest[self.order]())
        ordered = h[order].double()
        bound = ordered.cumsum(0) - ordered.cummax(0).values  # grows with k
        n = int((bound <= self.gamma).sum())
        return proposal(view, order[: max(1, n)])
