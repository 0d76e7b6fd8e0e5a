"""What verification of drafts asks of rows of logits, where they are: the mass of what is allowed, and draws from residuals.

p is the masked and tempered distribution of a row. `masses` gives its normaliser and how much of the model's own distribution is
allowed; `residual` gives, for a draft law q and a factor b, the sum of [b p - q]+ and a token drawn in proportion to it, which is all that
recursive rejection, block and traversal verification need (`structgen.speculative.laws`). Sums are those of float32, in another order
on each backend: they agree to about 1e-5, and so do tokens but for scores that are as close.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from structgen.errors import StructgenError
from structgen.gpu.backend import Backend, on_triton
from structgen.gpu.masks import allowed_tokens, check_logits
from structgen.gpu.noise import gumbel_noise
from structgen.gpu.sampler import column

__all__ = ["Masses", "Residual", "masses", "residual"]


class Masses(NamedTuple):
    """Of the rows of `masses`, float32 [n] each; -inf where no allowed token has a logit above -inf."""

    log_total: torch.Tensor
    """log of the sum of exp(logit / temperature) over the allowed tokens: log p is a logit / temperature less this."""
    log_allowed: torch.Tensor
    """log of the share of that in the sum over all tokens: how probable the allowed ones are to the model."""


class Residual(NamedTuple):
    """What `residual` found for each row."""

    excess: torch.Tensor
    """float32 [n]: the sum of [b p - q]+."""
    tokens: torch.Tensor
    """int64 [n]: drawn in proportion to [b p - q]+; -1 where that is 0 everywhere."""


def masses(
    logits: torch.Tensor, table: torch.Tensor, ids: torch.Tensor, *, temperatures: float | torch.Tensor = 1.0, backend: Backend = "auto"
) -> Masses:
    """The masses of rows of ``logits`` [n, V]. ``table``, ``ids``: as in `apply_masks`. ``temperatures``: above 0, a number or [n]."""
    check_logits(logits, table, ids)
    heat = _heat(temperatures, logits)
    if on_triton(logits, backend):
        from structgen.gpu import _kernels

        return Masses(*_kernels.masses(logits, table, ids, heat))
    x = _tempered(logits, heat)
    total = x.masked_fill(~allowed_tokens(table, ids, logits.shape[1]), -torch.inf).logsumexp(1)
    return Masses(total, (total - x.logsumexp(1)).masked_fill(total == -torch.inf, -torch.inf))


def residual(
    logits: torch.Tensor,
    table: torch.Tensor,
    ids: torch.Tensor,
    q: torch.Tensor,
    factors: float | torch.Tensor = 1.0,
    *,
    temperatures: float | torch.Tensor = 1.0,
    seeds: int | torch.Tensor = 0,
    positions: int | torch.Tensor = 0,
    backend: Backend = "auto",
) -> Residual:
    """The residual of each row and a draw from it. ``q``: float32 [n, V], probabilities. ``factors``: b, a number or [n]; the rest as
    for `structgen.gpu.sample`."""
    heat, factor = _heat(temperatures, logits), column(factors, logits, torch.float32)
    if q.shape != logits.shape or q.dtype != torch.float32 or q.device != logits.device or not q.is_contiguous():
        raise StructgenError(f"expected q float32 {list(logits.shape)}, contiguous, found {q.dtype} {list(q.shape)} on {q.device}")
    total = masses(logits, table, ids, temperatures=heat, backend=backend).log_total
    seed, position = column(seeds, logits, torch.int64), column(positions, logits, torch.int32)
    if on_triton(logits, backend):
        from structgen.gpu import _kernels

        return Residual(*_kernels.residual(logits, table, ids, q, factor, heat, total, seed, position))
    width = logits.shape[1]
    allowed = allowed_tokens(table, ids, width) & (total > -torch.inf)[:, None]
    p = (_tempered(logits, heat) - total[:, None]).masked_fill(~allowed, -torch.inf).exp()
    left = (factor[:, None] * p - q).clamp(min=0)
    score = left.log() + gumbel_noise(seed, position, width)
    best = score.amax(1, keepdim=True)
    tokens = torch.where(score == best, torch.arange(width, device=logits.device), width).amin(1)
    return Residual(left.sum(1), tokens.masked_fill(best[:, 0] == -torch.inf, -1))


def _tempered(logits: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    x = logits.float() * (1.0 / heat)[:, None]
    return x.masked_fill(x.isnan(), -torch.inf)


def _heat(temperatures: float | torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    if not isinstance(temperatures, torch.Tensor) and not temperatures > 0:
        raise StructgenError(f"a residual needs a temperature above 0, found {temperatures}")
    return column(temperatures, logits, torch.float32)
