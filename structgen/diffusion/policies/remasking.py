"""Commits that may be taken back: ReMDM (arXiv 2503.00307) and WINO, wide-in narrow-out (arXiv 2507.18578)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.policies.ranking import Mass, check_fields, descending, proposal, uniform

__all__ = ["ReMdm", "Wino"]


class _Remembers:
    """Which positions were committed by us: what stood there in the first view is never opened again."""

    def __init__(self) -> None:
        self._given: Tensor | None = None
        self._last: View | None = None

    def committed(self, view: View) -> Tensor:
        """Positions of the block that this generation has filled."""
        start, end = view.block
        if self._given is None:
            self._given = view.canvas != view.mask_token_id
        filled = (view.canvas != view.mask_token_id) & ~self._given
        return torch.arange(start, end, device=filled.device)[filled[start:end]]

    def newly_committed(self, view: View) -> Tensor:
        """Indices into the positions of the last view that have been filled since."""
        if self._last is None:
            return torch.zeros(0, dtype=torch.long)
        return (view.canvas[self._last.positions] != view.mask_token_id).nonzero()[:, 0]


@dataclass
class ReMdm(_Remembers):
    """With the share of the text that is to stand at step t of T, a = t/T and b = (t+1)/T: a committed token is opened with
    probability sigma, an open one committed with (b - (1 - sigma) a) / (1 - a), so that the shares come out as without remasking.

    ``cap``: sigma = min(eta, (1 - b)/a); ``rescale``: sigma = eta (1 - b)/a, at most eta. With ``by_confidence`` the token at i is
    opened with softmax(-c)_i sigma, c being the probabilities with which tokens were committed. Ends after T steps.
    """

    eta: float = 0.02
    schedule: Literal["cap", "rescale"] = "cap"
    by_confidence: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        super().__init__()
        self._confidence: dict[int, float] = {}

    def begin(self) -> ReMdm:
        return ReMdm(self.eta, self.schedule, self.by_confidence, self.seed)

    def sigma(self, step: int, steps: int) -> float:
        """The probability with which a token is opened at a step."""
        now, then = min(1.0, step / steps), min(1.0, (step + 1) / steps)
        most = min(1.0, (1 - then) / now) if now else 1.0
        return min(self.eta, most) if self.schedule == "cap" else self.eta * most

    def commit_probability(self, step: int, steps: int) -> float:
        """The probability with which an open position is committed at a step."""
        now, then = step / steps, (step + 1) / steps
        return (then - (1 - self.sigma(step, steps)) * now) / (1 - now) if then < 1 else 1.0

    def propose(self, view: View) -> Proposal:
        self._note(view)
        drawn = uniform(view, self.seed, [len(view.positions)])
        n = max(1, int((drawn < self.commit_probability(view.step, view.steps)).sum()))
        return proposal(view, descending(-drawn)[:n])

    def reopen(self, view: View) -> list[int]:
        committed = self.committed(view)
        sigma = torch.full([len(committed)], self.sigma(view.step, view.steps), dtype=torch.float64, device=committed.device)
        if self.by_confidence:
            known = [self._confidence.get(i, 1.0) for i in committed.tolist()]
            sigma *= torch.tensor(known, dtype=torch.float64, device=sigma.device).neg().softmax(0)
        drawn = uniform(view, self.seed, [2, len(view.canvas)])[1]
        opened: list[int] = committed[drawn[committed] < sigma].tolist()
        return opened

    def _note(self, view: View) -> None:
        """How sure the model was of what has been committed since the last view."""
        if self._last is not None:
            new, last = self.newly_committed(view), self._last
            positions = last.positions[new]
            p = last.log_p[new, view.canvas[positions]].exp()
            self._confidence = self._confidence | dict(zip(positions.tolist(), p.tolist(), strict=True))
        self._last = view


@dataclass
class Wino(_Remembers):
    """Wide in: all candidates of at least ``wide``, from 1 to max(5, min(20, 0.7 of the open ones)). Narrow out: committed tokens of
    the block that the model gives less than ``narrow``, each when it is masked alone (one batch of look-aheads, instead of the
    paper's second block with its own attention mask), the least probable first, and fewer than were committed by the step before."""

    wide: float = 0.6
    narrow: float = 0.9
    mass: Mass = "raw"

    def __post_init__(self) -> None:
        check_fields(self)
        super().__init__()
        self._accepted = 0
        self._n_wide = 0

    def begin(self) -> Wino:
        return Wino(self.wide, self.narrow, self.mass)

    def propose(self, view: View) -> Proposal:
        self._accepted = len(self.newly_committed(view))
        self._last = view
        scores = view.scores(self.mass)
        most = min(max(5, min(20, int(0.7 * view.n_open))), len(scores))
        self._n_wide = max(1, min(most, int((scores >= self.wide).sum())))
        return proposal(view, descending(scores)[: self._n_wide])

    def reopen(self, view: View) -> list[int]:
        committed = self.committed(view)
        if self._n_wide <= 1 or self._accepted <= 1 or not len(committed):
            return []
        canvases = view.canvas.repeat(len(committed), 1)
        each = torch.arange(len(committed), device=committed.device)
        canvases[each, committed] = view.mask_token_id
        p = view.look_ahead(canvases)[each, committed, view.canvas[committed]].exp()
        doubtful = [i for i in descending(-p) if p[i] < self.narrow]
        return [int(committed[i]) for i in doubtful[: self._accepted - 1]]
