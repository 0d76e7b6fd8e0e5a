"""A second model beside the one that is decoded, or the same model after another prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.language_model import LanguageModel, Tokens
from structgen.sampling.logspace import restrict
from structgen.sampling.prefixes import Expansion, normalised
from structgen.sampling.target import Target

__all__ = ["Companion"]


class Companion:
    """``model``: a `LanguageModel`, or a causal LM of transformers for the same tokenizer (None: the target's own); ``prompt``: a text,
    chat messages or token ids (None: the target's own). Its calls count as the target's.

    Models padded to different sizes go together: what the target's does not have is left out.
    """

    def __init__(self, target: Target, model: Any = None, prompt: Any = None) -> None:
        self._target = target
        self.model: LanguageModel = model if hasattr(model, "log_probs") else _beside(target.model, model, prompt)
        if self.model.eos != target.eos:
            raise StructgenError(f"both models must end a text with the same token, found {target.eos} and {self.model.eos}")

    def log_probs(self, prefixes: Sequence[Tokens]) -> Any:
        """[len(prefixes), V], V that of the target's model."""
        self._target.forward_passes += 1
        self._target.sequences += len(prefixes)
        rows = self.model.log_probs(prefixes)
        return _resized(rows, self._target.model.size)

    def allowed(self, expansions: Sequence[Expansion]) -> list[Any]:
        """For each prefix [V]: the law among the allowed tokens, by one call."""
        rows = self.log_probs([expansion.prefix.tokens for expansion in expansions])
        return [normalised(restrict(row, expansion.ok.mask())) for row, expansion in zip(rows, expansions, strict=True)]


def _beside(main: Any, model: Any, prompt: Any) -> LanguageModel:
    if model is not None and not hasattr(model, "forward"):
        raise StructgenError(f"another model is a LanguageModel or a causal LM of transformers, found {model!r:.100}")
    if not hasattr(main, "beside"):
        raise StructgenError("another model or prompt as such needs a model of transformers; give a LanguageModel instead")
    found: LanguageModel = main.beside(model, prompt)
    return found


def _resized(rows: Any, size: int) -> Any:
    """[..., size]: with -inf at the end, or cut."""
    missing = max(0, size - rows.shape[1])
    return np.pad(rows, ((0, 0), (0, missing)), constant_values=-np.inf)[:, :size]
