"""When to stop stepping: the open positions are sure enough together, and the rest is filled at once, jointly and validly.

The measure is the mean gap between the greatest and the second log-probability of a position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from structgen.diffusion.interfaces import View
from structgen.diffusion.policies.ranking import Mass, Stateless, rows

__all__ = ["Prophet", "Sched", "mean_gap"]


def mean_gap(view: View, mass: Mass = "raw") -> float:
    """The mean gap of the open positions offered, in nats; infinite if each has one possible token."""
    top = rows(view, mass).topk(2).values
    gaps = top[:, 0] - top[:, 1]
    gaps = gaps[gaps.isfinite()]
    return float(gaps.mean()) if len(gaps) else torch.inf


@dataclass(frozen=True)
class Prophet(Stateless):
    """From a mean gap of 7.5 on, of 5 after a third of the steps and of 2.5 after two thirds (arXiv 2508.19982; its code's constants)."""

    gaps: tuple[float, float, float] = (7.5, 5.0, 2.5)
    progress: tuple[float, float] = (0.33, 0.67)
    mass: Mass = "raw"

    def stops(self, view: View, progress: float) -> bool:
        phase = sum(progress >= share for share in self.progress)
        return mean_gap(view, self.mass) >= self.gaps[phase]


@dataclass(frozen=True)
class Sched(Stateless):
    """From a mean gap on that falls with progress p from ``high`` to ``low`` (SchED, arXiv 2512.02892): ``linear``, ``cosine``, or
    ``exponential``, low + (high - low) exp(-rate p). The values are to be tuned to a model."""

    high: float = 7.5
    low: float = 2.5
    shape: Literal["linear", "cosine", "exponential"] = "linear"
    rate: float = 4.0
    mass: Mass = "raw"

    def needed(self, progress: float) -> float:
        """The mean gap that is enough at this progress."""
        shares = {
            "linear": 1 - progress,
            "cosine": (1 + math.cos(math.pi * progress)) / 2,
            "exponential": math.exp(-self.rate * progress),
        }
        return self.low + (self.high - self.low) * shares[self.shape]

    def stops(self, view: View, progress: float) -> bool:
        return mean_gap(view, self.mass) >= self.needed(progress)
