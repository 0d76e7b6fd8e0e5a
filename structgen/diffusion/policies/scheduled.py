"""A number of commits per step that is fixed beforehand; the policies differ in what they call sure.

LLaDA (arXiv 2502.09992) takes the most probable or random positions, Dream (arXiv 2508.15487) also those of least entropy or of
the greatest margin. Cost: as many forward passes as steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import (
    Mass,
    Stateless,
    descending,
    entropies,
    gumbel,
    margins,
    proposal,
    rows,
    scheduled,
)

__all__ = ["AscendingSteps", "Entropy", "LowConfidence", "Margin", "Random"]


@dataclass(frozen=True)
class _Scheduled(Stateless):
    mass: Mass = "raw"
    position_temperature: float = 0.0
    """Above 0, positions are drawn without replacement in proportion to exp(score / temperature) (Dream's ``alg_temp``)."""
    seed: int = 0

    def propose(self, view: View) -> Proposal:
        scores = self.order(view)
        if self.position_temperature > 0:
            scores = scores / self.position_temperature + gumbel(view, self.seed, [len(scores)])
        return proposal(view, descending(scores)[: self.count(view)], joint=self.joint)

    joint = False

    def count(self, view: View) -> int:
        return scheduled(view)

    def order(self, view: View) -> Tensor:
        raise NotImplementedError


class LowConfidence(_Scheduled):
    """The most probable candidates first, the others stay masked: LLaDA's low-confidence remasking, Dream's ``maskgit_plus``."""

    def order(self, view: View) -> Tensor:
        return view.scores(self.mass)


class Entropy(_Scheduled):
    """The positions of the least entropy first (Dream's ``entropy``)."""

    def order(self, view: View) -> Tensor:
        return -entropies(rows(view, self.mass))


class Margin(_Scheduled):
    """The greatest margin between the candidate and the best other token first (Dream's ``topk_margin``)."""

    def order(self, view: View) -> Tensor:
        return margins(view, self.mass)


class Random(_Scheduled):
    """Positions in random order (LLaDA's ``random``): a permutation of the canvas that depends on the seed only."""

    def order(self, view: View) -> Tensor:
        priority = np.random.default_rng(self.seed).random(len(view.canvas))
        return torch.from_numpy(priority).to(view.positions.device)[view.positions]


class AscendingSteps(LowConfidence):
    """Step s commits 2^s tokens, the last step all that is left: log2 of the length many steps (ASS, arXiv 2509.23924).

    Ask for ``steps`` = log2 of the length, without blocks, and combine it with `EosRejection`. Late steps commit half of the text at
    once, so their tokens are chosen jointly under the constraint.
    """

    joint = True

    def count(self, view: View) -> int:
        return view.n_open if view.step >= view.steps - 1 else min(2**view.step, view.n_open)
