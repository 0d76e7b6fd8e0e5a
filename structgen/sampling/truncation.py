"""Top-k, top-p (Holtzman et al., ICLR 2020, arXiv 1904.09751) and min-p (Nguyen et al., ICLR 2025, arXiv 2407.01082)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from structgen.errors import StructgenError
from structgen.sampling.logspace import logsumexp

__all__ = ["check_truncation", "kept"]


def kept(log_p: Any, top_k: int | None, top_p: float, min_p: float) -> npt.NDArray[np.bool_]:
    """bool [V]: the tokens that stay, each cut judged by what the one before left; of equals the smaller token stays.

    O(V log V), or O(V) without top-k and top-p.
    """
    log_p = np.asarray(log_p, np.float64)
    if top_k is None and top_p == 1:
        least = log_p.max() + np.log(min_p) if min_p else -np.inf
        found: npt.NDArray[np.bool_] = np.isfinite(log_p) & (log_p >= least)
        return found
    order = np.argsort(-log_p, kind="stable")
    order = order[np.isfinite(log_p[order])][:top_k]
    if top_p < 1 and len(order):
        p = np.exp(log_p[order] - logsumexp(log_p[order]))
        order = order[np.cumsum(p) - p < top_p]
    if min_p and len(order):
        order = order[log_p[order] >= log_p[order[0]] + np.log(min_p)]
    stays = np.zeros(len(log_p), np.bool_)
    stays[order] = True
    return stays


def check_truncation(top_k: int | None, top_p: float, min_p: float) -> None:
    """Raises StructgenError for values that cut everything or mean nothing."""
    if top_k is not None and top_k < 1:
        raise StructgenError(f"top_k must be at least 1, or None for all tokens, found {top_k}")
    if not 0 < top_p <= 1:
        raise StructgenError(f"top_p must be above 0 and at most 1, found {top_p}")
    if not 0 <= min_p <= 1:
        raise StructgenError(f"min_p must be from 0 to 1, found {min_p}")
