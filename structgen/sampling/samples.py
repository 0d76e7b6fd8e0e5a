"""What a strategy returns: weighted texts and what they cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from structgen.errors import StructgenError
from structgen.sampling.language_model import Tokens
from structgen.sampling.logspace import logsumexp
from structgen.sampling.target import Target

__all__ = ["Sample", "Samples", "SamplingFailed"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """A complete text: its tokens without the end symbol, log P(tokens, end) under the model, its log weight, and the log probability
    with which the strategy draws it (nan where it does not know)."""

    tokens: Tokens
    log_prob: Any
    log_weight: Any = 0.0
    log_strategy: Any = np.nan


@dataclass(frozen=True)
class Samples(Sequence[str]):
    """The texts of a run, with their weights and its costs; a sequence of the texts.

    ``draws``: texts begun, of which ``len(samples)`` were completed. ``log_evidence``: an estimate of log Z, the log probability that
    the model alone gives a text of the constraint; None where the strategy has none. The costs are of this run alone: ``forward_passes``
    of the model with ``sequences`` prefixes in all, ``constraint_evaluations`` (tests of single tokens or ends) and ``masks``.
    """

    samples: tuple[Sample, ...]
    target: Target = field(repr=False)
    draws: int
    log_evidence: Any = None
    forward_passes: int = 0
    sequences: int = 0
    constraint_evaluations: int = 0
    masks: int = 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: Any) -> Any:
        return self.texts[i]

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    @cached_property
    def texts(self) -> list[str]:
        return [self.target.vocab.decode(sample.tokens).decode(errors="replace") for sample in self.samples]

    @cached_property
    def objects(self) -> list[Any]:
        """What the texts stand for, as the constraint reads them."""
        return [self.target.constraint.parse(text) for text in self.texts]

    @property
    def tokens(self) -> list[Tokens]:
        return [sample.tokens for sample in self.samples]

    @property
    def log_weights(self) -> Floats:
        """Not normalised: their mean over the draws estimates Z where they are importance weights, and all are 0 where the
        samples have the law of the target (exactly or in the limit)."""
        return np.array([sample.log_weight for sample in self.samples])

    @property
    def log_probs(self) -> Floats:
        """log P(w) under the model alone, the end included."""
        return np.array([sample.log_prob for sample in self.samples])

    @property
    def log_strategies(self) -> Floats:
        """log probability of each text under the strategy itself: 0 for one that makes no choices, nan where it is not known."""
        return np.array([sample.log_strategy for sample in self.samples])

    @property
    def log_probs_under_constraint(self) -> Any:
        """log P(w | w in L), with the estimate of Z; raises if there is none."""
        if self.log_evidence is None:
            raise StructgenError("this strategy does not estimate the probability of the constraint")
        return self.log_probs - self.log_evidence

    @property
    def weights(self) -> Any:
        """The weights normalised to sum to 1."""
        return np.exp(self.log_weights - logsumexp(self.log_weights))

    @property
    def acceptance(self) -> float:
        """Completed texts per draw."""
        return len(self) / self.draws if self.draws else 0.0

    @property
    def effective_sample_size(self) -> float:
        """As many independent samples of the target would be about as good, as far as the weights tell."""
        return float(1 / (self.weights**2).sum())

    def posterior(self) -> dict[str, float]:
        """Estimated probability of each distinct text under the target, greatest first."""
        shares: dict[str, float] = defaultdict(float)
        for text, weight in zip(self.texts, self.weights, strict=True):
            shares[text] += float(weight)
        return dict(sorted(shares.items(), key=lambda item: -item[1]))


class SamplingFailed(StructgenError):
    """A budget ran out before enough texts were complete; ``samples`` are those that are."""

    def __init__(self, message: str, samples: Samples) -> None:
        self.samples = samples
        super().__init__(message)
