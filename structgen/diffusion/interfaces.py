"""The seams of masked-diffusion decoding: who predicts, which positions are wanted, in which blocks, when to stop.

A *canvas* is a row of token ids in which open positions hold the mask token. One step: the model is run once over prompt and canvas, an
`UnmaskPolicy` orders what it would like to commit, and the guard (`structgen.diffusion.guard`) commits as much of that as is
jointly valid, at least one position. So every policy is exact under every constraint: policies decide quality and speed only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

__all__ = ["BlockAware", "BlockSchedule", "DiffusionModel", "Proposal", "Remasking", "StopPolicy", "UnmaskPolicy", "View"]


class DiffusionModel(Protocol):
    """A masked diffusion language model: two members are all that is needed."""

    mask_token_id: int

    def logits(self, ids: Tensor) -> Tensor:
        """``ids``: int64 [B, L], masks and all. float [B, L, V]: row i is about the token *at* position i."""
        ...


@dataclass(frozen=True)
class View:
    """What a policy sees at one step. Tensors lie on the model's device; m open positions, n in the canvas, V tokens."""

    step: int
    """Forward passes of this block so far, the present one not counted."""
    steps: int
    """How many steps were asked for in this block."""
    canvas: Tensor
    """int64 [n]: all tokens of the output, the mask token where open. Positions count from its beginning, the prompt left out."""
    block: tuple[int, int]
    """The block that is being filled: from, to (exclusive)."""
    positions: Tensor
    """int64 [m]: the open positions that may be committed now, ascending; at least one."""
    log_p: Tensor
    """float32 [m, V]: what the model says, normalised, before the constraint; temperature is not in it."""
    log_q: Tensor
    """float32 [m, V]: the same restricted to the tokens that some valid filling has at this position, renormalised (with
    ``marginals=True`` the exact posterior of the position). Equal to ``log_p`` without a constraint."""
    draw: Tensor
    """int64 [m]: the candidate of each position: the most probable token of ``log_q``, or one drawn from it at a temperature above 0."""
    eos_token_ids: Sequence[int]
    look_ahead: Callable[[Tensor], Tensor]
    """int64 [k, n] canvases -> float32 [k, n, V] log-probabilities: further forward passes (one batch), which are counted."""
    mask_token_id: int = -1
    """What stands at open positions of the canvas; -1 if unknown, and then `n_open` counts the positions offered."""

    @property
    def n_open(self) -> int:
        """Open positions of the block, those that cannot be committed yet included."""
        start, end = self.block
        return int((self.canvas[start:end] == self.mask_token_id).sum()) or len(self.positions)

    def scores(self, mass: str = "raw") -> Tensor:
        """float32 [m]: the probability of each candidate, of the model's own mass (``raw``) or of what is valid (``renormalised``)."""
        rows = self.log_p if mass == "raw" else self.log_q
        return rows.gather(1, self.draw[:, None])[:, 0].exp()


@dataclass(frozen=True)
class Proposal:
    """What a policy wants to commit: the most wanted first."""

    indices: Sequence[int]
    """Into ``view.positions``; each at most once."""
    tokens: Sequence[int]
    at_most: int
    """Commits of this step; the guard stops there. Positions with a single possible token are not counted."""
    at_least: int = 1
    """If fewer of the wanted ones are valid, the best valid tokens of wanted positions (then of others) are taken up to this number."""
    threshold: float = float("-inf")
    """Where a wanted token turns out to be invalid, the best valid one takes its place only if its probability is at least this."""
    joint: bool = False
    """The wanted positions get their most probable valid filling together, instead of one after another (for many at once)."""


class UnmaskPolicy(Protocol):
    """Which positions to commit next. May keep a history: ``begin`` gives a fresh policy for one generation. ``copy.copy`` of a policy
    goes its own way: histories are replaced, never changed."""

    def begin(self) -> UnmaskPolicy: ...

    def propose(self, view: View) -> Proposal: ...


class Remasking(UnmaskPolicy, Protocol):
    """A policy that also takes commits back. Opening positions only enlarges what is valid, so it is always allowed."""

    def reopen(self, view: View) -> Sequence[int]:
        """Committed positions of the canvas that are opened again, after the commits of the same step (which are not among them).
        Called after `propose` with the same view. Policies reopen fewer than they committed or end with their schedule;
        so that a policy cannot go on for ever, the loop may stop asking after some number."""
        ...


class BlockAware(Protocol):
    """What a model may offer besides: it is told of each new block before its first forward pass (cache policies need that)."""

    def begin_block(self, start: int, end: int) -> None:
        """Positions of ``ids``, the prompt included."""
        ...


class BlockSchedule(Protocol):
    """How the canvas is cut into blocks, which are filled from left to right."""

    def next_block(self, start: int, n: int, log_p: Callable[[], Tensor]) -> int:
        """The end of the block that begins at ``start`` in a canvas of n positions. ``log_p()``: float32 [n - start, V], a forward pass
        for schedules that look at the model (AdaBlock)."""
        ...


class StopPolicy(Protocol):
    """When the rest can be filled at once: with the best joint valid filling under the present rows."""

    def begin(self) -> StopPolicy: ...

    def stops(self, view: View, progress: float) -> bool:
        """``progress``: the share of the planned steps that is done, 0 to 1."""
        ...
