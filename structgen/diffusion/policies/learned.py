"""A learned filter says which candidates are final (Learn2PD, arXiv 2509.25188, trains a small network for that)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import Mass, Stateless, descending, proposal

__all__ = ["Learned"]


@dataclass(frozen=True)
class Learned(Stateless):
    """``judge``: float32 [block] confidences (1 where committed, 0 where nothing is offered) -> [block] how likely the present
    candidates are final. Those above ``threshold`` are committed, the likeliest first, and the likeliest in any case.

    (dParallel, arXiv 2509.26488, trains the model itself to be sure early: `Threshold` or `EntropyBound` decode it.)
    """

    judge: Callable[[Tensor], Tensor]
    threshold: float
    mass: Mass = "raw"

    def propose(self, view: View) -> Proposal:
        start, end = view.block
        confidences = (view.canvas[start:end] != view.mask_token_id).float()
        inside = view.positions - start
        confidences[inside] = view.scores(self.mass).float()
        final = torch.as_tensor(self.judge(confidences))[inside]
        n = max(1, int((final > self.threshold).sum()))
        return proposal(view, descending(final)[:n])
