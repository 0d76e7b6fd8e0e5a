"""A transformers model that reads mixtures of embeddings in place of tokens, for `structgen.sampling.superposed`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from structgen.errors import StructgenError
from structgen.sampling.prefixes import Prefix, normalised
from structgen.sampling.target import Target
from structgen.sampling.transformers_model import TransformersModel

__all__ = ["Mixture"]


class Mixture:
    """One row of the model whose inputs after the prompt are mixtures of embeddings."""

    def __init__(self, target: Target) -> None:
        lm = target.model
        if not isinstance(lm, TransformersModel):
            raise StructgenError("superposed decoding reads embeddings: it needs a causal LM of transformers")
        self._target, self._model, self._prompt, self._normalised = target, lm._model, lm._prompt, lm._normalised
        self._embed = self._model.get_input_embeddings()
        self._cache: Any = None

    def next(self, drafts: Sequence[Prefix]) -> Any:
        """[V]: the log-probabilities after drafts that are all of one length and share all mixtures before."""
        if self._cache is None:
            inputs = self._embedded(self._prompt)
        else:
            weights = np.exp(normalised(np.array([draft.log_prob for draft in drafts])))
            vectors = self._embedded([draft.tokens[-1] for draft in drafts])
            inputs = (torch.as_tensor(weights, dtype=vectors.dtype, device=vectors.device)[:, None] * vectors).sum(0, keepdim=True)
        self._count(1)
        with torch.inference_mode():
            outputs = self._model(inputs_embeds=inputs[None], past_key_values=self._cache, use_cache=True)
        self._cache = outputs.past_key_values
        return self._normalised(outputs.logits[:, -1])[0]

    def score(self, drafts: Sequence[Prefix]) -> list[float]:
        """log P(tokens, end) of each complete text, in one pass."""
        width = len(self._prompt) + max(len(draft.tokens) for draft in drafts)
        rows = [[*self._prompt, *draft.tokens] for draft in drafts]
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=self._model.device)
        self._count(len(drafts))
        with torch.inference_mode():
            logits = self._model(input_ids=ids, use_cache=False).logits[:, len(self._prompt) - 1 :]
        scores = []
        for row, draft in zip(logits, drafts, strict=True):
            tokens = [*draft.tokens, self._target.eos]
            log_p = self._normalised(row[: len(tokens)])
            scores.append(float(log_p[np.arange(len(tokens)), tokens].sum()))
        return scores

    def _embedded(self, tokens: Sequence[int]) -> torch.Tensor:
        with torch.inference_mode():
            vectors: torch.Tensor = self._embed(torch.tensor(tokens, device=self._model.device))
        return vectors

    def _count(self, rows: int) -> None:
        self._target.forward_passes += 1
        self._target.sequences += rows
