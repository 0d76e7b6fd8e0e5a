"""The language models of these benchmarks, all over the 4,096 tokens of the embedded model: that model itself, and n-grams."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from structgen.models.tiny_prompt import TINY_MODEL_PATH
from structgen.sampling import LanguageModel
from structgen.sampling.language_model import Tokens

__all__ = ["NGram", "Remembered", "embedded", "tokenizer"]


@lru_cache(1)
def tokenizer() -> Any:
    """The tokenizer of the embedded model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(TINY_MODEL_PATH)


@lru_cache(1)
def embedded() -> Any:
    """The embedded model, in double precision: batches of any size give the same probabilities to many digits."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(TINY_MODEL_PATH, dtype=torch.float64).eval()


class Remembered:
    """A model that keeps its last ``room`` rows, for many runs over the same few prefixes."""

    def __init__(self, model: LanguageModel, room: int = 20_000) -> None:
        self._model, self._room, self.size, self.eos = model, room, model.size, model.eos
        self._rows: OrderedDict[Tokens, Any] = OrderedDict()

    def log_probs(self, prefixes: Sequence[Tokens]) -> Any:
        missing = [prefix for prefix in dict.fromkeys(prefixes) if prefix not in self._rows]
        if missing:
            self._rows.update(zip(missing, self._model.log_probs(missing), strict=True))
        rows = np.stack([self._rows[prefix] for prefix in prefixes])
        while len(self._rows) > self._room:
            self._rows.popitem(last=False)
        return rows


class NGram:
    """P(token | the ``order - 1`` before it), learnt from texts that may have weights.

    Each length of context is smoothed by the next shorter one, as by ``prior`` more observations with its probabilities (a Dirichlet
    prior); the shortest is smoothed by the uniform distribution. So every token is possible everywhere.
    """

    def __init__(self, texts: Iterable[str], order: int = 4, prior: float = 0.2, weights: Iterable[float] | None = None) -> None:
        self._order, self._prior = order, prior
        self.size, self.eos = len(tokenizer()), tokenizer().eos_token_id
        counts: dict[Tokens, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        texts = list(texts)
        for text, weight in zip(texts, weights or [1.0] * len(texts), strict=True):
            tokens = (*tokenizer().encode(text, add_special_tokens=False), self.eos)
            for i, token in enumerate(tokens):
                for context in self._contexts(tokens[:i]):
                    counts[context][token] += weight
        self._counts = {context: (np.array([*found]), np.array([*found.values()])) for context, found in counts.items()}

    def log_probs(self, prefixes: Sequence[Tokens]) -> Any:
        return np.log(np.stack([self._probs(prefix) for prefix in prefixes]))

    def _probs(self, prefix: Tokens) -> Any:
        p = np.full(self.size, 1 / self.size)
        for context in self._contexts(prefix):
            if context in self._counts:
                tokens, counts = self._counts[context]
                p *= self._prior
                p[tokens] += counts
                p /= self._prior + counts.sum()
        return p

    def _contexts(self, prefix: Tokens) -> list[Tokens]:
        """The last 0, 1, ... tokens; -1 stands before the first."""
        padded = (*[-1] * self._order, *prefix)
        return [padded[len(padded) - length :] for length in range(self._order)]
