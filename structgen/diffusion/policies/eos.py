"""EOS early rejection: the end of the text is not to be decided first (EOSER, arXiv 2509.23924)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch

from structgen.diffusion.interfaces import Proposal, UnmaskPolicy, View
from structgen.diffusion.policies.ranking import Wrapper
from structgen.diffusion.policies.scheduled import AscendingSteps, LowConfidence

__all__ = ["EosRejection"]


@dataclass
class EosRejection(Wrapper):
    """``policy`` sees the confidence of end-of-sequence candidates times a factor that grows from ``low`` to ``high`` with the step s of S:
    at s / (S - 1), or, with `AscendingSteps`, at (2^(s+1) - 1) / 2^S. ``low`` is 0.4, or 0.01 with ascending steps."""

    policy: UnmaskPolicy = field(default_factory=LowConfidence)
    low: float | None = None
    high: float = 1.0

    def begin(self) -> EosRejection:
        return EosRejection(self.policy.begin(), self.low, self.high)

    def propose(self, view: View) -> Proposal:
        ends = torch.isin(view.draw, torch.tensor(list(view.eos_token_ids), device=view.draw.device))
        factor = self.factor(view.step, view.steps)
        change = torch.where(ends, math.log(factor) if factor else -math.inf, 0.0)[:, None]
        log_p, log_q = (rows.scatter_add(1, view.draw[:, None], change.to(rows.dtype)) for rows in (view.log_p, view.log_q))
        return self.policy.propose(replace(view, log_p=log_p, log_q=log_q))

    def factor(self, step: int, steps: int) -> float:
        """By what the confidence of an end is multiplied."""
        is_ascending = isinstance(self.policy, AscendingSteps)
        low = self.low if self.low is not None else 0.01 if is_ascending else 0.4
        if steps <= 1:
            return self.high
        time = (2 ** (step + 1) - 1) / 2**steps if is_ascending else step / (steps - 1)
        return low + (self.high - low) * min(1.0, time)
