"""Mask, temperature, softmax and draw in one pass over the logits, greedy or by the greatest score + Gumbel noise.

The noise is a function of seed, position and token (`noise`): a draw can be repeated anywhere, whatever the batch. The token has the
law softmax(logits / temperature) over what the mask allows, up to the rounding of float32. Tokens are the same on every backend and
device; log-probabilities agree to about 1e-5, as their sums are added up in different orders.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from structgen.errors import StructgenError
from structgen.gpu.backend import Backend, on_triton
from structgen.gpu.masks import allowed_tokens, check_logits
from structgen.gpu.noise import gumbel_noise

__all__ = ["Sampled", "column", "sample"]

CHUNK = 1 << 22  # logits at a time where torch makes the noise, which takes some 100 bytes for each


class Sampled(NamedTuple):
    """What `sample` drew for each row."""

    tokens: torch.Tensor
    """int64 [n]; -1 where no allowed token has a score above -inf."""
    log_probs: torch.Tensor
    """float32 [n]: of these tokens, under the masked and tempered distribution (temperature 1 where greedy); -inf for token -1."""


def sample(
    logits: torch.Tensor,
    table: torch.Tensor,
    ids: torch.Tensor,
    *,
    temperatures: float | torch.Tensor = 0.0,
    seeds: int | torch.Tensor = 0,
    positions: int | torch.Tensor = 0,
    backend: Backend = "auto",
) -> Sampled:
    """One token per row of ``logits`` [n, V], among those its mask allows; logits are only read. NaN counts as -inf.

    ``table``, ``ids``: as in `apply_masks`. ``temperatures``: 0 takes the greatest logit, the lowest token of equals. ``seeds``: any
    integers of 64 bits. ``positions``: of the token drawn in its text, below 2^31: rows with equal seeds and positions share their
    noise. Each is a number or a tensor [n] on the device. Fixed shapes, no waiting: may be captured in a CUDA graph, with tensors.
    """
    check_logits(logits, table, ids)
    if not logits.shape[1]:
        raise StructgenError("expected logits of at least one token")
    heat = column(temperatures, logits, torch.float32)
    seed = column(seeds, logits, torch.int64)
    position = column(positions, logits, torch.int32)
    if on_triton(logits, backend):
        from structgen.gpu import _kernels

        return Sampled(*_kernels.sample(logits, table, ids, heat, seed, position))
    rows, width = max(1, CHUNK // logits.shape[1]), logits.shape[1]
    spans = [slice(start, start + rows) for start in range(0, max(1, len(logits)), rows)]
    parts = [_sample(logits[at], allowed_tokens(table, ids[at], width), heat[at], seed[at], position[at]) for at in spans]
    return Sampled(*map(torch.cat, zip(*parts, strict=True)))


def column(value: float | torch.Tensor, logits: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A number for every row, contiguous on the device of the logits."""
    if not isinstance(value, torch.Tensor):
        return torch.full(logits.shape[:1], value, dtype=dtype, device=logits.device)
    if value.shape != logits.shape[:1] or value.device != logits.device:
        wanted = f"a number or a tensor [{len(logits)}] on {logits.device}"
        raise StructgenError(f"expected {wanted}, found {list(value.shape)} on {value.device}")
    return value.to(dtype).contiguous()


def _sample(
    logits: torch.Tensor, allowed: torch.Tensor, heat: torch.Tensor, seed: torch.Tensor, position: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    width = logits.shape[1]
    scale = torch.where(heat > 0, 1.0 / heat, 1.0)
    x = logits.float() * scale[:, None]
    x = torch.where(allowed & ~x.isnan(), x, -torch.inf)
    greedy = not heat.is_cuda and not bool(heat.any())  # asked where the answer is at hand: noise is the dear part
    score = x if greedy else torch.where((heat > 0)[:, None], x + gumbel_noise(seed, position, width), x)
    best = score.amax(1, keepdim=True)
    tokens = torch.where(score == best, torch.arange(width, device=x.device), width).amin(1)
    log_probs = x.gather(1, tokens[:, None])[:, 0] - x.logsumexp(1)
    nothing = best[:, 0] == -torch.inf
    return tokens.masked_fill(nothing, -1), log_probs.masked_fill(nothing, -torch.inf)
