"""Mask rows on a device, each uploaded once; a step sends four bytes per row of its batch.

A row is known by identity: automata hand out one read-only array per content (`TokenAutomaton.mask`), and the pool keeps a
reference to each array that it holds. Invariants: a number that is leased means the same bits until the lease ends, also when
the pool grows; what is not leased may be replaced, the least recently used first. Uploads go to the current stream, so work
queued there before still reads the rows of its time. Cost of a lease: O(batch) dictionary look-ups, and the rows not yet there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from structgen.errors import LimitExceeded, StructgenError

__all__ = ["UNCONSTRAINED", "Lease", "MaskPool"]

UNCONSTRAINED = -1
"""The number of no row: everything is allowed, tokens beyond the vocabulary too."""

MaskRow = npt.NDArray[np.uint32]


class Lease:
    """Numbers of rows, which stay what they are until `release`, or the end of a ``with``."""

    def __init__(self, pool: MaskPool, slots: list[int], ids: torch.Tensor) -> None:
        self._pool = pool
        self._slots = slots
        self.ids = ids
        """int32 [rows], on the device of the pool; -1 for rows without a constraint."""

    def release(self) -> None:
        """Allow the rows to be replaced. A second call does nothing."""
        slots, self._slots = self._slots, []
        self._pool._release(slots)

    def __enter__(self) -> torch.Tensor:
        return self.ids

    def __exit__(self, *_: Any) -> None:
        self.release()


class MaskPool:
    """Room for mask rows of ``words`` 32-bit words (``(V + 31) // 32``) on ``device``.

    ``rows``: how many to make room for at first; the room is doubled when it is full, up to ``max_rows``. With ``rows=max_rows``
    the memory never moves, which a captured CUDA graph needs. One row takes 4 * ``words`` bytes on the device.
    """

    def __init__(self, words: int, device: torch.device | str, *, rows: int = 64, max_rows: int = 4096) -> None:
        if words < 1 or not 1 <= rows <= max_rows:
            raise StructgenError(f"expected words >= 1 and 1 <= rows <= max_rows, found {words}, {rows} and {max_rows}")
        self.words = words
        self.max_rows = max_rows
        self.bytes_sent = 0
        """Bytes that went to the device so far, rows and numbers."""
        with torch.inference_mode(False):  # an inference tensor could not be written to outside that mode
            self._table = torch.zeros((rows, words), dtype=torch.int32, device=device)
        self._slots: OrderedDict[int, int] = OrderedDict()  # identity of a row to its number, least recently used first
        self._held: list[MaskRow] = []  # the rows by number
        self._leases: list[int] = []  # how many leases hold each number
        self._lock = RLock()

    @property
    def table(self) -> torch.Tensor:
        """The rows, int32 [room, words]: ask anew after every `lease`, which may have made more room."""
        return self._table

    @property
    def device(self) -> torch.device:
        return self._table.device

    def __len__(self) -> int:
        """How many rows are on the device."""
        return len(self._held)

    def lease(self, masks: Sequence[MaskRow | None]) -> Lease:
        """The numbers of these rows, uploaded where needed; None is `UNCONSTRAINED`.

        Raises `LimitExceeded` where more than ``max_rows`` rows are leased at once, `StructgenError` for an array that is no mask
        row: rows are read-only uint32 of at most ``words`` words (missing ones count as zero).
        """
        with self._lock, torch.inference_mode(False):
            slots: list[int] = []
            fresh: dict[int, MaskRow] = {}
            try:
                for mask in masks:
                    slots.append(UNCONSTRAINED if mask is None else self._slot(mask, fresh))
            except StructgenError:
                self._release(slots)
                raise
            finally:
                self._upload(fresh)
            return Lease(self, slots, self._sent(torch.tensor(slots, dtype=torch.int32)))

    def _check(self, mask: MaskRow) -> None:
        if mask.dtype != np.uint32 or mask.ndim != 1 or len(mask) > self.words:
            raise StructgenError(f"expected a mask row, uint32 of at most {self.words} words, found {mask.dtype} {list(mask.shape)}")
        if mask.flags.writeable:
            raise StructgenError("a mask row must be read-only: it is known by identity, so its bits must not change")

    def _slot(self, mask: MaskRow, fresh: dict[int, MaskRow]) -> int:
        """The number of a row, leased once more; added to ``fresh`` if it is not on the device yet."""
        slot = self._slots.get(id(mask))
        if slot is None:
            self._check(mask)
            slot = self._slots[id(mask)] = self._free_slot()
            self._held[slot] = fresh[slot] = mask
        self._slots.move_to_end(id(mask))
        self._leases[slot] += 1
        return slot

    def _free_slot(self) -> int:
        if len(self._held) == len(self._table) < self.max_rows:
            self._grow()
        if len(self._held) < len(self._table):
            self._held.append(np.zeros(0, np.uint32))
            self._leases.append(0)
            return len(self._held) - 1
        for known, slot in self._slots.items():
            if not self._leases[slot]:
                del self._slots[known]
                return slot
        raise LimitExceeded("mask rows in use on the device", self.max_rows, option="max_rows")

    def _grow(self) -> None:
        grown = self._table.new_zeros((min(2 * len(self._table), self.max_rows), self.words))
        grown[: len(self._table)] = self._table
        self._table = grown

    def _upload(self, fresh: dict[int, MaskRow]) -> None:
        if not fresh:
            return
        rows = np.zeros((len(fresh), self.words), np.uint32)
        for row, mask in zip(rows, fresh.values(), strict=True):
            row[: len(mask)] = mask
        slots = self._sent(torch.tensor(list(fresh), dtype=torch.int64))
        self._table.index_copy_(0, slots, self._sent(torch.from_numpy(rows.view(np.int32))))

    def _sent(self, host: torch.Tensor) -> torch.Tensor:
        """A copy on the device, from pinned memory so that the host does not wait."""
        self.bytes_sent += host.numel() * host.element_size()
        if self.device.type != "cuda":
            return host.to(self.device)
        return host.pin_memory().to(self.device, non_blocking=True)

    def _release(self, slots: list[int]) -> None:
        with self._lock:
            for slot in slots:
                if slot != UNCONSTRAINED:
                    self._leases[slot] -= 1
