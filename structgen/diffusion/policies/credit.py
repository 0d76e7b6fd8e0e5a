"""CreditDecoding: tokens that keep being the favourite are trusted more (arXiv 2510.06133).

The constants are those of dInfer (arXiv 2510.08666).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from structgen.diffusion.interfaces import Proposal, UnmaskPolicy, View
from structgen.diffusion.policies.fast_dllm import Threshold
from structgen.diffusion.policies.ranking import Wrapper, check_fields, matched

__all__ = ["Credit"]


@dataclass
class Credit(Wrapper):
    """At each step the credits C of an open position fade by ``fade`` and its favourite gains p^``gain``; then ``policy`` sees the rows
    softmax(log p + ``weight`` log(1 + C)), and the most probable tokens under these. Tokens that were drawn at a temperature stay."""

    policy: UnmaskPolicy = field(default_factory=Threshold)
    weight: float = 0.7
    gain: float = 0.2
    fade: float = 0.8

    def __post_init__(self) -> None:
        check_fields(self)
        self._positions = torch.zeros(0, dtype=torch.long)
        self._credits = torch.zeros(0, 0)

    def begin(self) -> Credit:
        return Credit(self.policy.begin(), self.weight, self.gain, self.fade)

    def propose(self, view: View) -> Proposal:
        boost = self.weight * self._credit(view).log1p()
        log_q = (view.log_q + boost).log_softmax(-1)
        draw = torch.where(view.draw == view.log_q.argmax(-1), log_q.argmax(-1), view.draw)
        return self.policy.propose(replace(view, log_p=(view.log_p + boost).log_softmax(-1), log_q=log_q, draw=draw))

    def _credit(self, view: View) -> Tensor:
        credits = torch.zeros_like(view.log_p)
        if len(self._positions):
            index, found = matched(self._positions, view.positions)
            credits[found] = self.fade * self._credits[index[found]]
        top, favourite = view.log_p.max(-1, keepdim=True)
        credits.scatter_add_(1, favourite, (self.gain * top).exp())
        self._positions, self._credits = view.positions, credits
        return credits
