"""Explore then exploit: where little is sure, guess an uncertain token that makes others sure (ETE, arXiv 2511.21103).

Exploitation follows the paper; of exploration only the idea could be read, so trigger and choice are rebuilt from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import Mass, Stateless, descending, entropies, proposal

__all__ = ["ExploreExploit"]


@dataclass(frozen=True)
class ExploreExploit(Stateless):
    """All candidates of at least ``threshold``. If these are fewer than ``enough``, also the position of the greatest entropy: each of its
    ``width`` most probable valid tokens is tried in one batch, and the one after which most others reach the threshold is committed.
    Meant for the whole canvas as one block."""

    threshold: float = 0.9
    enough: int = 2
    width: int = 4
    mass: Mass = "raw"

    def propose(self, view: View) -> Proposal:
        scores = view.scores(self.mass)
        sure = [i for i in descending(scores) if scores[i] >= self.threshold]
        if len(sure) >= self.enough or len(sure) == len(scores):
            return proposal(view, sure, threshold=self.threshold)
        unsure = entropies(view.log_p)
        unsure[sure] = -1.0
        index = descending(unsure)[0]
        token = self._most_telling(view, sure, index)
        found = proposal(view, [*sure, index])
        return Proposal(found.indices, [*found.tokens[:-1], token], found.at_most)

    def _most_telling(self, view: View, sure: list[int], index: int) -> int:
        """The token of this position that makes most others sure; of equal ones the most probable."""
        top = view.log_q[index].topk(min(self.width, view.log_q.shape[1]))
        tokens = top.indices[top.values > -torch.inf]
        canvases = view.canvas.repeat(len(tokens), 1)
        canvases[:, view.positions[sure]] = view.draw[sure]
        canvases[:, view.positions[index]] = tokens
        others = [i for i in range(len(view.positions)) if i != index and i not in set(sure)]
        return int(tokens[descending(self._surer(view, canvases, others))[0]])

    def _surer(self, view: View, canvases: Tensor, others: list[int]) -> Tensor:
        if len(canvases) == 1 or not others:
            return torch.zeros(len(canvases))
        best = view.look_ahead(canvases)[:, view.positions[others]].amax(-1)
        return (best.exp() >= self.threshold).sum(1)
