"""Coherent contextual decoding: sure is what several contexts agree on (CCD, arXiv 2512.02044).

The rule for how many is rebuilt from the paper's description and summaries of its code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import check_fields, descending, entropies, matched, proposal

__all__ = ["Contextual"]


class _Step(NamedTuple):
    positions: Tensor
    p: Tensor
    near_the_top: Tensor
    """Which of the positions were among the surest."""


@dataclass
class Contextual:
    """The positions that were among the ``width`` of least entropy in each of the last ``history`` steps and had the same favourite in all
    of them; if there are none, the position whose mean distribution over these steps has the least entropy. (``history``: 2 for LLaDA, 3
    for Dream.)"""

    history: int = 2
    width: int = 4

    def __post_init__(self) -> None:
        check_fields(self)
        self._steps: tuple[_Step, ...] = ()

    def begin(self) -> Contextual:
        return Contextual(self.history, self.width)

    def propose(self, view: View) -> Proposal:
        p = view.log_p.exp()
        surest = torch.zeros_like(view.positions, dtype=torch.bool)
        surest[descending(-entropies(view.log_p))[: self.width]] = True
        total, count, agreed = p, torch.ones_like(view.positions), surest
        for step in self._steps:
            index, found = matched(step.positions, view.positions)
            total = torch.where(found[:, None], total + step.p[index], total)
            count = count + found
            agreed = agreed & found & step.near_the_top[index] & (step.p[index].argmax(-1) == p.argmax(-1))
        enough = len(self._steps) == self.history - 1
        self._steps = (*self._steps, _Step(view.positions, p, surest))[max(0, len(self._steps) + 2 - self.history) :]
        order = descending(-entropies((total / count[:, None]).log()))
        agree = agreed.tolist()
        return proposal(view, [i for i in order if enough and agree[i]] or order[:1])
