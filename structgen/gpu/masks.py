"""Mask rows, by their numbers in a table on the device, applied in place to logits or to the nodes of draft trees."""

from __future__ import annotations

import torch

from structgen.errors import StructgenError
from structgen.gpu.backend import Backend, on_triton
from structgen.gpu.pool import UNCONSTRAINED
from structgen.masking import unpack

__all__ = ["UNCONSTRAINED", "allowed_tokens", "apply_masks"]

DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def apply_masks(logits: torch.Tensor, table: torch.Tensor, ids: torch.Tensor, *, backend: Backend = "auto") -> None:
    """Set ``logits`` to -inf, in place, where the mask of their row has no bit.

    ``logits``: [n, V], float16, bfloat16 or float32; rows may be apart, tokens not; one row per text or per node of a draft tree.
    ``table``: mask rows, int32 [rows, words], bit t & 31 of word t >> 5 is token t. Tokens beyond its words (padded logits) are
    forbidden. ``ids``: int32 [n], which row of the table; -1 leaves a row alone. They are not read on the host, so the caller
    answers for their range. Fixed shapes, no waiting: may be captured in a CUDA graph. Bit for bit the same on every backend.
    """
    check_logits(logits, table, ids)
    if on_triton(logits, backend):
        from structgen.gpu import _kernels

        _kernels.apply_masks(logits, table, ids)
    else:
        logits.masked_fill_(~allowed_tokens(table, ids, logits.shape[1]), -torch.inf)


def allowed_tokens(table: torch.Tensor, ids: torch.Tensor, width: int) -> torch.Tensor:
    """The masks of the rows as booleans [n, width]."""
    bits = unpack(table[ids.clamp(min=0)], min(width, 32 * table.shape[1]))
    padded = torch.nn.functional.pad(bits, (0, width - bits.shape[1]))
    return padded | (ids == UNCONSTRAINED)[:, None]


def check_logits(logits: torch.Tensor, table: torch.Tensor, ids: torch.Tensor) -> None:
    """Raises `StructgenError` for arguments that are not what `apply_masks` describes."""
    if logits.ndim != 2 or logits.dtype not in DTYPES or (logits.shape[1] > 1 and logits.stride(1) != 1):
        found = f"{logits.dtype} {list(logits.shape)}, strides {list(logits.stride())}"
        raise StructgenError(f"expected logits [n, V] of float16, bfloat16 or float32, tokens side by side, found {found}")
    if table.ndim != 2 or table.dtype != torch.int32 or not table.is_contiguous():
        raise StructgenError(f"expected a table of mask rows, contiguous int32 [rows, words], found {table.dtype} {list(table.shape)}")
    if ids.shape != logits.shape[:1] or ids.dtype != torch.int32 or not ids.is_contiguous():
        raise StructgenError(f"expected ids int32 [{len(logits)}], found {ids.dtype} {list(ids.shape)}")
    if not logits.device == table.device == ids.device:
        raise StructgenError(f"logits, table and ids must be on one device, found {logits.device}, {table.device} and {ids.device}")
