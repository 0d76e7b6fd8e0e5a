"""`structgen.masking.keep_allowed` with mask rows that stay on the device between calls: what the logits processor uses on CUDA."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from structgen.gpu.masks import DTYPES, allowed_tokens, apply_masks
from structgen.gpu.pool import MaskPool, MaskRow
from structgen.masking import restore_lost

__all__ = ["ResidentMasks"]

MAX_ROWS = 4096


class ResidentMasks:
    """A `MaskPool` for each device that scores come from."""

    def __init__(self) -> None:
        self._pools: dict[torch.device, MaskPool] = {}

    def serves(self, scores: torch.Tensor) -> bool:
        """Whether these scores are better masked here than by `structgen.masking`."""
        return scores.is_cuda and scores.dtype in DTYPES

    def keep_allowed(self, scores: torch.Tensor, masks: Sequence[MaskRow | None]) -> torch.Tensor:
        """What `structgen.masking.keep_allowed` returns and raises, for rows of a pool; None allows everything."""
        pool = self._pool(scores.device, masks)
        width = scores.shape[1]
        with pool.lease(masks) as ids:
            kept = scores.clone(memory_format=torch.contiguous_format)
            apply_masks(kept, pool.table, ids)
            return restore_lost(kept, lambda: allowed_tokens(pool.table, ids, width))

    def _pool(self, device: torch.device, masks: Sequence[MaskRow | None]) -> MaskPool:
        """The pool of a device, made anew if the masks do not fit."""
        words = max((len(mask) for mask in masks if mask is not None), default=1)
        pool = self._pools.get(device)
        if pool is None or pool.words < words or pool.max_rows < len(masks):
            pool = self._pools[device] = MaskPool(words, device, max_rows=max(MAX_ROWS, len(masks)))
        return pool
