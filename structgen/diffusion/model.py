"""Masked diffusion language models, as `structgen.diffusion.interfaces` wants them: those of transformers, and what has the two members.

Some models predict the token at a position in its own row (LLaDA, BERT and its kin), others in the row before, as the causal models do
from which they were made (Dream, DiffuCoder): their rows are shifted here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from structgen.diffusion.interfaces import DiffusionModel
from structgen.errors import StructgenError

__all__ = ["HuggingFace", "as_diffusion_model", "device_of"]

SHIFTED = frozenset({"dream"})
"""Model types whose row i is about position i + 1."""


class HuggingFace:
    """A transformers model without a causal mask. ``mask_token_id``: the config's unless given; ``shifted``: whether row i is about
    position i + 1 (known for Dream)."""

    def __init__(self, model: Any, *, mask_token_id: int | None = None, shifted: bool | None = None) -> None:
        config = getattr(model, "config", None)
        found = getattr(config, "mask_token_id", None) if mask_token_id is None else mask_token_id
        if not isinstance(found, int):
            raise StructgenError(f"{type(model).__name__} has no mask token in its config: name it with mask_token_id=")
        self.model = model
        self.mask_token_id: int = found
        self.shifted = str(getattr(config, "model_type", "")).lower() in SHIFTED if shifted is None else shifted

    @property
    def device(self) -> torch.device:
        return self.model.device  # type: ignore[no-any-return]

    @torch.inference_mode()
    def logits(self, ids: Tensor) -> Tensor:
        """float [B, L, V] for int64 [B, L]: row i is about the token at position i."""
        rows: Tensor = self.model(input_ids=ids).logits
        return torch.cat([rows[:, :1], rows[:, :-1]], dim=1) if self.shifted else rows


def as_diffusion_model(model: Any, tokenizer: Any = None) -> DiffusionModel:
    """``model`` itself if it has ``mask_token_id`` and ``logits``; a model of transformers with a mask token in its config or its
    tokenizer as `HuggingFace`."""
    if callable(getattr(model, "logits", None)) and isinstance(getattr(model, "mask_token_id", None), int):
        return model  # type: ignore[no-any-return]
    if not callable(model) or not hasattr(model, "config"):
        raise StructgenError(f"a diffusion model has mask_token_id and logits, or is one of transformers; found {type(model).__name__}")
    named = getattr(model.config, "mask_token_id", None)
    return HuggingFace(model, mask_token_id=getattr(tokenizer, "mask_token_id", None) if named is None else named)


def device_of(model: DiffusionModel) -> torch.device:
    """Where the model runs; the CPU where it does not say."""
    return torch.device(getattr(model, "device", "cpu"))
