"""Stop policies: the step at which scripted rows stop is exact, and what is filled then is valid."""

from __future__ import annotations

import math

import pytest
import torch

from structgen.diffusion.interfaces import View
from structgen.diffusion.stops import Prophet, Sched, mean_gap
from tests.diffusion.policy_toys import view_of


def with_gaps(*gaps: float) -> View:
    """Rows of three tokens whose two best are this far apart, in nats."""
    return view_of(torch.tensor([[0.0, gap, -1.0] for gap in gaps]).log_softmax(-1))


@pytest.mark.parametrize(
    "stop, gap, exits_at",
    [
        (Prophet(), 8.0, 0.0),
        (Prophet(), 7.5 + 1e-3, 0.0),
        (Prophet(), 7.5 - 1e-3, 0.33),
        (Prophet(), 5.0 - 1e-3, 0.67),
        (Prophet(), 2.5 + 1e-3, 0.67),
        (Prophet(), 2.5 - 1e-3, None),
        (Prophet(gaps=(3.0, 2.0, 1.0), progress=(0.5, 0.9)), 1.5, 0.9),
        (Sched(8.0, 0.0), 6.0, 0.25),
        (Sched(8.0, 4.0), 6.0, 0.5),
        (Sched(8.0, 4.0), 3.9, None),
        (Sched(8.0, 4.0, "cosine"), 6.0, 0.5),
        (Sched(8.0, 0.0, "cosine"), 8.0 * (1 + math.cos(math.pi * 0.25)) / 2 + 1e-3, 0.25),
        (Sched(8.0, 0.0, "exponential", rate=4.0), 8.0 * math.exp(-4.0 * 0.3) + 1e-3, 0.3),
    ],
)
def test_when_it_stops(stop: Prophet | Sched, gap: float, exits_at: float | None) -> None:
    view = with_gaps(gap - 0.25, gap + 0.25)
    exits = [t / 100 for t in range(101) if stop.begin().stops(view, t / 100)]
    assert exits == ([] if exits_at is None else [t / 100 for t in range(round(100 * exits_at), 101)])


def test_the_mean_gap_is_of_the_mass_that_is_asked_for() -> None:
    rows = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1]]).log()
    allowed = torch.tensor([[True, False, True], [True, False, False]])
    view = view_of(rows, allowed=allowed)
    assert mean_gap(view) == pytest.approx((math.log(3.5) + math.log(2)) / 2)
    assert mean_gap(view, "renormalised") == pytest.approx(math.log(7))  # a position with one possible token does not count
    assert mean_gap(view_of(rows[:1], allowed=torch.tensor([[True, False, False]])), "renormalised") == math.inf
