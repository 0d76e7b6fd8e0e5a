"""Masks of the next step prepared while the model runs: for constraints that live on the host (anything but `DeviceAutomaton`).

rows = MaskAhead(automaton, pool, 64)
ids = rows.ids()                     # waits for the preparation, not for the model
drawn = sample(logits, pool.table, ids, ...)
rows.take(drawn.tokens)              # returns at once
logits = model(...)                  # meanwhile a thread advances the states and uploads rows that are new
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext

import torch

from structgen.automata.machine import Machine
from structgen.errors import StructgenError
from structgen.gpu.pool import Lease, MaskPool

__all__ = ["MaskAhead"]


class MaskAhead:
    """The states of ``n`` texts under ``automata`` (one for all, or one each; None is free), one step of masks ahead.

    Tokens come to the host through pinned memory behind an event, which is over before the model that is launched next, and rows go
    back on the stream that was current at `take`, so what is queued there later finds them. One thread; use from one thread.
    """

    def __init__(self, automata: Machine | Sequence[Machine | None], pool: MaskPool, n: int) -> None:
        self._automata = [automata] * n if isinstance(automata, Machine) else list(automata)
        if len(self._automata) != n:
            raise StructgenError(f"expected one constraint, or {n}, found {len(self._automata)}")
        self.states = [-1 if automaton is None else automaton.initial for automaton in self._automata]
        """The states as of the latest `ids`."""
        self._pool = pool
        self._lease: Lease | None = None
        self._worker = ThreadPoolExecutor(1)
        self._next: Future[torch.Tensor] = self._worker.submit(self._prepare, None, None, None)

    def ids(self) -> torch.Tensor:
        """The numbers of the masks for the next tokens, int32 [n] on the device: valid until the next `ids`."""
        return self._next.result()

    def take(self, tokens: torch.Tensor) -> None:
        """Begin to prepare what follows these tokens, [n]."""
        if not tokens.is_cuda:
            self._next = self._worker.submit(self._prepare, tokens.clone(), None, None)
            return
        host = torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=True).copy_(tokens, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        self._next = self._worker.submit(self._prepare, host, arrived, torch.cuda.current_stream(tokens.device))

    def close(self) -> None:
        """Give the rows and the thread back."""
        self._worker.shutdown()
        if self._lease is not None:
            self._lease.release()

    def _prepare(self, tokens: torch.Tensor | None, arrived: torch.cuda.Event | None, stream: torch.cuda.Stream | None) -> torch.Tensor:
        if arrived is not None:
            arrived.synchronize()
        if tokens is not None:
            steps = zip(self._automata, self.states, tokens.tolist(), strict=True)
            self.states = [state if automaton is None else automaton.advance(state, token) for automaton, state, token in steps]
        masks = [None if automaton is None else automaton.mask(state) for automaton, state in zip(self._automata, self.states, strict=True)]
        with torch.cuda.stream(stream) if stream is not None else nullcontext():
            lease = self._pool.lease(masks)
        if self._lease is not None:
            self._lease.release()
        self._lease = lease
        return lease.ids
