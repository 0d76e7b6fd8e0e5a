"""Info-Gain: try several choices of positions and take the one after which the rest is the surest.

From "Improving Sampling for Masked Diffusion Models via Information Gain", with the constants of its code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import Mass, Stateless, descending, entropies, gumbel, proposal, scheduled
from structgen.errors import StructgenError

__all__ = ["InfoGain"]


@dataclass(frozen=True)
class InfoGain(Stateless):
    """One batch of ``candidates`` look-aheads per step, each of as many commits as the schedule says, drawn without replacement in
    proportion to exp(confidence / ``position_temperature``), the first one the greedy choice. Taken is the set a of the greatest
    - (sum of H_i over a) - (mean of H over what is still open after a). All at once if all are ``threshold`` sure.
    """

    candidates: int = 8
    position_temperature: float = 0.2
    threshold: float = 0.8
    mass: Mass = "raw"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.candidates < 1:
            raise StructgenError(f"candidates: at least 1, found {self.candidates}")

    def propose(self, view: View) -> Proposal:
        scores = view.scores(self.mass)
        if bool((scores >= self.threshold).all()):
            return proposal(view, descending(scores))
        sets = self._sets(view, scores)
        gains = _gains(view, sets) if len(sets) > 1 else torch.zeros(1)
        chosen = sets[descending(gains)[0]]
        return proposal(view, sorted(chosen, key=descending(scores).index))

    def _sets(self, view: View, scores: Tensor) -> list[list[int]]:
        """Distinct choices of indices, the greedy one first."""
        noise = gumbel(view, self.seed, [self.candidates, len(scores)])
        noise[0] = 0.0
        keys = scores / max(self.position_temperature, 1e-9) + noise
        n = min(scheduled(view), len(scores))
        return [list(s) for s in dict.fromkeys(tuple(sorted(descending(row)[:n])) for row in keys)]


def _gains(view: View, sets: list[list[int]]) -> Tensor:
    chosen = torch.zeros(len(sets), len(view.positions), dtype=torch.bool, device=view.positions.device)
    for row, indices in zip(chosen, sets, strict=True):
        row[indices] = True
    canvases = view.canvas.repeat(len(sets), 1)
    canvases[:, view.positions] = torch.where(chosen, view.draw, canvases[:, view.positions])
    after = entropies(view.look_ahead(canvases)[:, view.positions]).masked_fill(chosen, 0.0).sum(1) / (~chosen).sum(1).clamp(min=1)
    return -(chosen * entropies(view.log_p)).sum(1) - after
