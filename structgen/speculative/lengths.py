"""How far to look ahead: always as far, by how much was accepted, while the drafter is sure, or by what a node costs and brings.

Rules about a place (`stop`) speak to drafters that draw; those about a node's worth (``least``) to guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.speculative.checks import check_shares, whole

__all__ = ["Confident", "CostModel", "Fixed", "Length", "MovingAverage", "RejectionLikely"]

FADE = 0.95  # what an observation keeps of its weight at the next one
LONGEST_PAUSE = 64  # steps
ENOUGH = 8  # steps to judge by, and tokens per text
OUTLIER = 3  # times the mean: no step counts as slower
LEAST = 0.05  # a node less likely to be accepted is not drafted, however cheap


Path = Sequence[tuple[Any, int]]
"""Drawn tokens that lead to a place, each with the law [V] that it was drawn from."""
Acceptance = Callable[[Any, int], Any]


class Length:
    """Base of all controllers, each for one run: up to ``most`` nodes, and no opinion. Forced nodes are not counted."""

    def __init__(self, most: int = 16) -> None:
        self.most = whole("most", most, 0)

    least = 0.0
    """The probability of acceptance from which a node is worth drafting."""

    def begin(self) -> Length:
        """The controller of one run."""
        return type(self)(self.most)

    def budget(self) -> int:
        return self.most

    def stop(self, log_q: Any, depth: int, path: Path = ()) -> bool:
        """Whether a drafter should draw nothing behind a place, see `LengthController`."""
        return False

    def update(self, accepted: int, proposed: int) -> None:
        """What became of a step."""

    def timed(self, texts: int, nodes: int, tokens: int, seconds: float) -> None:
        """A step ran the target over so many nodes (a root for each text included), gave so many tokens and took so long."""


class Fixed(Length):
    """Always as many nodes."""


class Confident(Length):
    """Stops where the drafter's most probable token has less than ``threshold`` (Kangaroo, arXiv 2404.18911, has 0.6)."""

    def __init__(self, most: int = 16, threshold: float = 0.6) -> None:
        super().__init__(most)
        check_shares(threshold=threshold)
        self.threshold = self.least = threshold

    def begin(self) -> Confident:
        return Confident(self.most, self.threshold)

    def stop(self, log_q: Any, depth: int, path: Path = ()) -> bool:
        return bool(np.exp(np.max(log_q)) < self.threshold)


class RejectionLikely(Length):
    """Stops a path where at least one of its tokens is rejected with a probability above ``threshold`` (SpecDec++, arXiv 2405.19715).

    ``acceptance(log_q, token)``: how probably a token drawn from a law [V] is accepted, from 0 to 1: a trained head, say. Without one it
    is the probability that the drafter gave the token.
    """

    def __init__(self, most: int = 16, threshold: float = 0.7, acceptance: Acceptance | None = None) -> None:
        super().__init__(most)
        check_shares(threshold=threshold)
        if acceptance is not None and not callable(acceptance):
            raise StructgenError(f"acceptance is a function of a law and a token, found {acceptance!r:.100}")
        self.threshold, self.acceptance = threshold, acceptance

    def begin(self) -> RejectionLikely:
        return RejectionLikely(self.most, self.threshold, self.acceptance)

    def stop(self, log_q: Any, depth: int, path: Path = ()) -> bool:
        acceptance = self.acceptance or _own_probability
        all_accepted: Any = 1
        for law, token in path:
            all_accepted = all_accepted * acceptance(law, token)
        return bool(1 - all_accepted > self.threshold)


def _own_probability(log_q: Any, token: int) -> Any:
    return np.exp(log_q[token])


class MovingAverage(Length):
    """As many as were accepted of late, and ``extra`` more if all were (DiffuSpec's rule, arXiv 2510.02358)."""

    def __init__(self, most: int = 16, extra: int = 4, weight: float = 0.5) -> None:
        super().__init__(most)
        check_shares(weight=weight)
        self.extra, self.weight = whole("extra", extra, 0), weight
        self._accepted = self._proposed = float(most)

    def begin(self) -> MovingAverage:
        return MovingAverage(self.most, self.extra, self.weight)

    def budget(self) -> int:
        return int(np.clip(int(self._proposed) + self.extra * (self._accepted >= self._proposed), 1, self.most)) if self.most else 0

    def update(self, accepted: int, proposed: int) -> None:
        if proposed:
            self._accepted += self.weight * (accepted - self._accepted)
            self._proposed += self.weight * (min(proposed, accepted + 1) - self._proposed)


class CostModel(Length):
    """Drafts a node if it is likelier to be accepted than what the same time gives otherwise: seconds per node times tokens per second.

    The seconds of a step are fitted by a line in its number of nodes, recent steps weighing more. Where a token with drafts
    takes longer than without, drafting pauses, each time twice as long, up to `LONGEST_PAUSE` steps. What it knows serves the next
    run too, and is forgotten when the number of texts changes; the first steps are without drafts, to know how long that takes.
    """

    def __init__(self, most: int = 24) -> None:
        super().__init__(most)
        self._forget(0)

    def begin(self) -> CostModel:
        return self

    def _forget(self, texts: int) -> None:
        self._texts = texts
        self._sums = np.zeros(5)  # of 1, nodes, nodes^2, seconds, nodes * seconds
        self._drafted = np.zeros(2)  # tokens and seconds of the steps with drafts
        self._alone: float | None = None  # seconds of a step without drafts
        self._pause = self._left = 0

    def budget(self) -> int:
        self._left -= self._left > 0
        return 0 if self._left or self._alone is None else self.most

    @property
    def least(self) -> float:  # type: ignore[override]
        return float(np.clip(self._seconds_per_node() * self._speed(), LEAST, 1.0))

    def timed(self, texts: int, nodes: int, tokens: int, seconds: float) -> None:
        if texts != self._texts:
            self._forget(texts)
        if self._sums[0] > ENOUGH:  # what is done for the first time takes long once
            seconds = min(seconds, OUTLIER * self._sums[3] / self._sums[0])
        self._sums = FADE * self._sums + (1, nodes, nodes * nodes, seconds, nodes * seconds)
        if nodes == texts:
            self._alone = seconds if self._alone is None else min(seconds, self._alone + 0.1 * (seconds - self._alone))
        else:
            self._drafted = FADE * self._drafted + (tokens, seconds)
            self._consider()

    def _consider(self) -> None:
        if self._alone is None or self._drafted[0] < ENOUGH * self._texts:
            return
        if self._speed() * self._alone < self._texts:
            self._pause = self._left = min(2 * self._pause + 4, LONGEST_PAUSE)
            self._drafted *= 0
        else:
            self._pause = 0

    def _speed(self) -> float:
        tokens, seconds = self._drafted
        return float(tokens / seconds) if seconds else 0.0

    def _seconds_per_node(self) -> float:
        n, nodes, squares, seconds, products = self._sums
        spread = squares * n - nodes * nodes
        return max(0.0, (n * products - nodes * seconds) / spread) if spread > 1e-9 else 0.0
