"""A causal LM of transformers as a `LanguageModel`: batches of prefixes with one key-value cache.

The cache holds the batch of the last call. A new batch takes, for each of its prefixes, the row with the longest common beginning:
the cache is cropped to what all of them share with their rows, rows are selected (duplicated, reordered, dropped), and only
the tokens after that are computed. So particles cost one token each, and a draw begun anew costs what it does not share with
the draw before. Shorter rows are padded on the right, where causal attention does not see it; that part is always cropped.
Caches that cannot be cropped (sliding windows, recurrent layers) are computed again where that would be needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from structgen.errors import StructgenError
from structgen.sampling.language_model import Tokens
from structgen.sampling.logspace import LogWeights

__all__ = ["TransformersModel"]

CROPPABLE = {"DynamicLayer"}
SELECTABLE = CROPPABLE | {"DynamicSlidingWindowLayer"}


class TransformersModel:
    """The continuations of a prompt (token ids, at least one). The stop tokens are one end symbol ``eos``, the smallest of them, with the
    sum of their probabilities. ``temperature`` belongs to the distribution: it is that of the logits divided by it.

    ``encode``: how `beside` reads prompts that are not token ids. Not to be shared between threads: the cache is that of one run.
    """

    def __init__(
        self,
        model: Any,
        prompt: Sequence[int],
        stop_token_ids: Iterable[int],
        *,
        temperature: float = 1.0,
        encode: Callable[[Any], Sequence[int]] | None = None,
    ) -> None:
        if not temperature > 0:
            raise StructgenError(f"sampling needs a temperature above 0, found {temperature}")
        self._model, self._prompt, self._temperature, self._encode = model, list(prompt), temperature, encode
        self._cache: Any = None
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
        self._root = self._begin()
        self.size = self._root.shape[-1]
        self._stops = sorted(token for token in set(stop_token_ids) if 0 <= token < self.size)
        if not self._stops:
            raise StructgenError(f"no stop token is among the model's {self.size} logits: name one with eos_token_id=")
        self.eos = self._stops[0]

    def log_probs(self, prefixes: Sequence[Tokens]) -> LogWeights:
        """[len(prefixes), size]. One forward pass, none if there is nothing after the prompt."""
        pending = [prefix for prefix in prefixes if prefix]
        rows = iter(self._logits(pending)) if pending else iter(())
        logits = torch.stack([next(rows) if prefix else self._root for prefix in prefixes])
        return self._normalised(logits)

    def beside(self, model: Any = None, prompt: Any = None) -> TransformersModel:
        """The same by another model for the same tokenizer, or after another prompt (text, messages or token ids), or both."""
        if prompt is None:
            prompt = self._prompt
        elif not prompt or not all(isinstance(token, int) for token in prompt):
            if self._encode is None:
                raise StructgenError("this model came without a tokenizer: give the other prompt as token ids")
            prompt = self._encode(prompt)
        return TransformersModel(
            self._model if model is None else model, prompt, self._stops, temperature=self._temperature, encode=self._encode
        )

    def _normalised(self, logits: torch.Tensor) -> LogWeights:
        logits = (logits.cpu() if logits.device.type == "mps" else logits).double() / self._temperature
        log_p = torch.log_softmax(logits, dim=-1)
        if torch.isnan(log_p).any():
            raise StructgenError("the model gave logits that are not numbers")
        log_p[:, self.eos] = torch.logsumexp(log_p[:, self._stops], dim=-1)
        log_p[:, self._stops[1:]] = -torch.inf
        found: LogWeights = log_p.cpu().numpy()
        return found

    def _begin(self) -> torch.Tensor:
        """The logits after the prompt; its cache is the first batch, of one row."""
        self._rows: list[Tokens] = [()]
        self._length = 0  # tokens per row after the prompt, padding included
        return self._forward([self._prompt], None, **self._last_only)[0, -1]

    def _logits(self, prefixes: list[Tokens]) -> torch.Tensor:
        """[len(prefixes), V]: the logits after prefixes that are not empty."""
        matches = [max((_shared(row, prefix), -i) for i, row in enumerate(self._rows)) for prefix in prefixes]
        shared = min(min(length for length, _ in matches), min(map(len, prefixes)) - 1)
        if not self._fit(shared, [-i for _, i in matches]):
            shared, self._cache = -len(self._prompt), None
        tokens = [[*self._prompt, *prefix][len(self._prompt) + shared :] for prefix in prefixes]
        width = max(map(len, tokens))
        logits = self._forward([row + [0] * (width - len(row)) for row in tokens], self._cache)
        self._rows, self._length = list(prefixes), max(map(len, prefixes))
        return logits[torch.arange(len(tokens)), [len(row) - 1 for row in tokens]]

    def _fit(self, shared: int, rows: list[int]) -> bool:
        """Crop the cache to so many tokens after the prompt, then select rows; False where it cannot be used."""
        kinds = {type(layer).__name__ for layer in getattr(self._cache, "layers", [None])}
        if not kinds <= (SELECTABLE if shared == self._length else CROPPABLE):
            return False
        if shared < self._length:
            self._cache.crop(shared - self._length)
        if rows != list(range(len(self._rows))):
            self._cache.batch_select_indices(torch.tensor(rows, device=self._model.device))
        return True

    def _forward(self, tokens: list[list[int]], cache: Any, **options: Any) -> torch.Tensor:
        """[rows, length, V]: tokens are appended to the cache, which is kept."""
        input_ids = torch.tensor(tokens, device=self._model.device)
        past = cache.get_seq_length() if cache is not None else 0
        attention = torch.ones(len(tokens), past + input_ids.shape[1], dtype=torch.long, device=self._model.device)
        with torch.inference_mode():
            outputs = self._model(input_ids=input_ids, attention_mask=attention, past_key_values=cache, use_cache=True, **options)
        self._cache = getattr(outputs, "past_key_values", None)
        logits: torch.Tensor = outputs.logits
        return logits


def _shared(a: Tokens, b: Tokens) -> int:
    """How many first tokens they share."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    return int(np.argmin(np.equal(a[:n], b[:n])))
