"""The one interface of everything that decodes: a target and choices in, `Samples` out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

from structgen.sampling.choice import Choose
from structgen.sampling.samples import Sample, Samples
from structgen.sampling.target import Target

__all__ = ["DecodingStrategy", "Progress", "Run", "silent"]

Progress = Callable[[int, int], None]
"""Told how many of how many texts are complete."""


def silent(done: int, total: int) -> None:
    """No progress shown."""


@runtime_checkable
class DecodingStrategy(Protocol):
    """A way to decode. It draws only through ``choose``, and knows model and constraint only as the target."""

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples: ...


class Run:
    """The costs of one run: what the counters of the target gained since it began."""

    def __init__(self, target: Target) -> None:
        self._target, self._start = target, _costs(target)

    def samples(self, samples: Iterable[Sample], draws: int, log_evidence: Any = None) -> Samples:
        costs = {name: now - self._start[name] for name, now in _costs(self._target).items()}
        return Samples(tuple(samples), self._target, draws, log_evidence, **costs)


def _costs(target: Target) -> dict[str, int]:
    return {
        "forward_passes": target.forward_passes,
        "sequences": target.sequences,
        "constraint_evaluations": target.constraint.evaluations,
        "masks": target.constraint.masks,
    }
