"""What samplers know of a language model: the log-probabilities of the next token after a batch of prefixes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from structgen.sampling.logspace import LogWeights

__all__ = ["CallableModel", "LanguageModel", "Tokens"]

Tokens = tuple[int, ...]


class LanguageModel(Protocol):
    """A distribution over token sequences that end with ``eos``, the one end symbol (see `TransformersModel`)."""

    @property
    def size(self) -> int:
        """Tokens are 0 ... size - 1."""
        ...

    @property
    def eos(self) -> int: ...

    def log_probs(self, prefixes: Sequence[Tokens]) -> LogWeights:
        """[len(prefixes), size] float64: log P(token | prefix), normalised, for prefixes without ``eos``."""
        ...


class CallableModel:
    """The model of a function from a prefix to the log-probabilities of what follows: tables, n-grams, other libraries.

    >>> import numpy as np
    >>> coin = CallableModel(lambda prefix: np.log([0.25, 0.25, 0.5]), size=3, eos=2)
    >>> np.exp(coin.log_probs([(), (0, 1)])).tolist()
    [[0.25, 0.25, 0.5], [0.25, 0.25, 0.5]]
    """

    def __init__(self, function: Callable[[Tokens], Any], size: int, eos: int) -> None:
        self._function, self.size, self.eos = function, size, eos

    def log_probs(self, prefixes: Sequence[Tokens]) -> LogWeights:
        return np.stack([self._function(prefix) for prefix in prefixes])
