"""Keys and values that are not computed anew: which positions each forward pass computes, for models that can compute some only.

Bidirectional attention makes every key depend on every token, so keys of positions that are left out are a little out of date: caches
trade quality for time, and what they give is still valid, as the guard does not ask where rows come from. A token that was just
committed is always computed again: before, its key was that of a mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from structgen.diffusion.model import device_of
from structgen.errors import StructgenError

__all__ = ["Cache", "CachePolicy", "Cached", "DelayedCache", "DualCache", "PartialModel", "PrefixCache", "Seen", "WindowCache"]


@dataclass
class Cache:
    """Keys and values by layer, which belong to the model; empty to begin with."""

    keys: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


class PartialModel(Protocol):
    """A `DiffusionModel` that can compute some positions only."""

    mask_token_id: int

    def logits(self, ids: Tensor) -> Tensor:
        """int64 [B, L] -> float [B, L, V]: all positions, without a cache."""
        ...

    def partial(self, ids: Tensor, columns: Tensor, cache: Any) -> Tensor:
        """int64 [1, L] -> float [1, k, V]: the rows of ``columns``, int64 [k], whose keys and values are computed and kept in the
        `Cache`; those of all others are taken from there. With an empty one, ``columns`` are all positions."""
        ...


@dataclass(frozen=True)
class Seen:
    """What a cache policy sees before a forward pass. L positions, the prompt included."""

    ids: Tensor
    """int64 [L]."""
    is_open: Tensor
    """bool [L]."""
    block: tuple[int, int]
    """The positions that are being filled."""
    age: int
    """Forward passes since everything was computed."""
    cached: int
    """How many positions were computed then: fewer than L if the rest was cut off."""


class CachePolicy:
    """Base: everything, always."""

    def refreshes(self, seen: Seen) -> bool:
        """Whether to compute everything. It is done anyway for a new block and a new text."""
        return True

    def length(self, seen: Seen) -> int:
        """How many positions a refresh shows to the model; it is not told of those behind."""
        return len(seen.ids)

    def columns(self, seen: Seen) -> Tensor:
        """bool [L]: what to compute if not everything. Tokens committed since the last pass are added."""
        return torch.ones_like(seen.is_open)


class PrefixCache(CachePolicy):
    """Kept for the time of a block: what stands before it (Fast-dLLM, arXiv 2505.22618)."""

    def refreshes(self, seen: Seen) -> bool:
        return False

    def columns(self, seen: Seen) -> Tensor:
        return _span(seen, seen.block[0], len(seen.ids))


class DualCache(PrefixCache):
    """Kept for the time of a block: everything outside (Fast-dLLM, arXiv 2505.22618)."""

    def columns(self, seen: Seen) -> Tensor:
        return _span(seen, *seen.block)


@dataclass(frozen=True)
class DelayedCache(CachePolicy):
    """Kept: tokens, from one step after they were committed; all anew every ``refresh`` steps, 4 to 16 (dKV-Cache, arXiv 2505.15781)."""

    refresh: int = 8

    def refreshes(self, seen: Seen) -> bool:
        return seen.age >= self.refresh

    def columns(self, seen: Seen) -> Tensor:
        return seen.is_open


@dataclass(frozen=True)
class WindowCache(CachePolicy):
    """Computed: the first ``active`` open positions. Shown: the first ``window`` open positions and all that is known; the masks behind
    are cut off. All anew every ``refresh`` steps (Window-Diffusion, with its constants for LLaDA)."""

    active: int = 16
    window: int = 64
    refresh: int = 32

    def refreshes(self, seen: Seen) -> bool:
        return seen.age >= self.refresh or not bool(seen.is_open[: seen.cached].any())

    def length(self, seen: Seen) -> int:
        shown = (seen.is_open.cumsum(0) <= self.window) | ~seen.is_open
        return int(shown.nonzero().max()) + 1

    def columns(self, seen: Seen) -> Tensor:
        return seen.is_open & (seen.is_open.cumsum(0) <= self.active)


class Cached:
    """``model`` with a cache policy is a `DiffusionModel` again, for one text at a time; batches of several go past the cache.

    Rows that were not computed are those computed last, and uniform where the model was not shown a position; the tensor
    returned is written to by the next call. ``computed`` and ``passes`` count positions and forward passes.
    """

    def __init__(self, model: PartialModel, policy: CachePolicy) -> None:
        self.model, self.policy, self.mask_token_id = model, policy, model.mask_token_id
        self.device = device_of(model)
        self.computed = self.passes = 0
        self._block: tuple[int, int] | None = None
        self._ids: Tensor | None = None
        self._rows: Tensor | None = None
        self._age = self._cached = 0
        self._cache = Cache()

    def begin_block(self, start: int, end: int) -> None:
        """Positions ``start`` to ``end`` of the ids, the prompt included, are filled next: everything is computed once."""
        if not 0 <= start < end:
            raise StructgenError(f"a block from {start} to {end} has no positions")
        self._block = (start, end)
        self._forget()

    def logits(self, ids: Tensor) -> Tensor:
        self.passes += 1
        if len(ids) != 1:
            self.computed += ids.numel()
            return self.model.logits(ids)
        columns = self._columns(ids[0])
        shown = ids[:, : self._cached]
        found = self.model.partial(shown, columns, self._cache)
        if self._rows is None:
            self._rows = found.new_zeros(1, ids.shape[1], found.shape[-1])
        self._rows[:, columns] = found
        self._ids = ids[0].clone()
        self.computed += len(columns)
        return self._rows

    def _columns(self, ids: Tensor) -> Tensor:
        """int64: what to compute now."""
        is_open = ids == self.mask_token_id
        seen = Seen(ids, is_open, self._block or (0, len(ids)), self._age, self._cached)
        if not self._is_of(ids) or self.policy.refreshes(seen):
            self._forget()
            self._cached = self.policy.length(seen)
            columns = torch.ones_like(is_open)
        else:
            columns = self.policy.columns(seen) | (ids != self._ids)
        self._age += 1
        return columns[: self._cached].nonzero()[:, 0]

    def _is_of(self, ids: Tensor) -> bool:
        """Whether the cache is about this text: one of the same length that differs where it was open, or is open again."""
        if self._ids is None or len(self._ids) != len(ids):
            return False
        changed = ids != self._ids
        known = (self._ids != self.mask_token_id) & (ids != self.mask_token_id)
        return not bool((changed & known).any())

    def _forget(self) -> None:
        self._cache, self._rows, self._ids = Cache(), None, None
        self._age = self._cached = 0


def _span(seen: Seen, start: int, end: int) -> Tensor:
    found = torch.zeros_like(seen.is_open)
    found[start:end] = True
    return found
