"""FreeDave: the model drafts its own next steps and verifies them with the next forward pass (arXiv 2510.00294).

A step of decoding is a function of the canvas and its rows. With the rows of the last canvas in hand, the next steps are guessed by
going on with these old rows; the canvas that is really next and the guesses go through the model as one batch. As long as real steps
lead to canvases of the batch, their rows are there already. So the sequence is that of decoding step by step, whatever policy,
constraint and histories are, and there are never more forward passes (calls, that is: each has up to ``drafts`` canvases).
For L commits, one a step, of a model whose rows never change, 1 + ceil((L - 1) / drafts).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from structgen.errors import StructgenError

__all__ = ["FreeDave", "Walk"]


class Walk(Protocol):
    """A generation under way."""

    def canvas(self) -> Tensor:
        """int64 [n]: the tokens so far."""
        ...

    def ready(self) -> bool:
        """Move on to the canvas that the model is asked about next (fix what has one value, begin a block); False if there is none."""
        ...

    def advance(self, rows: Tensor) -> None:
        """One step with the model's rows [n, V] of the canvas."""
        ...

    def fork(self, rows: Tensor) -> Walk:
        """A copy that goes on by itself, histories and randomness too, and takes ``rows`` for all that the model could say."""
        ...


class FreeDave:
    """For one generation. ``forward``: int64 [k, n] canvases -> [k, n, V]; ``drafts``: canvases per call (4 to 8 pay where a batch
    costs little more than one canvas)."""

    def __init__(self, forward: Callable[[Tensor], Tensor], drafts: int = 4) -> None:
        if drafts < 1:
            raise StructgenError(f"drafts: at least the next canvas itself, found {drafts}")
        self._forward, self._drafts = forward, drafts
        self._known: dict[bytes, Tensor] = {}
        self._last: Tensor | None = None

    def rows(self, walk: Walk) -> Tensor:
        """[n, V]: what the model says of the walk's canvas."""
        canvas = walk.canvas()
        key = _key(canvas)
        if key not in self._known:
            canvases = [canvas, *self._guesses(walk)]
            found = self._forward(torch.stack(canvases))
            self._known = {_key(canvas): rows for canvas, rows in zip(canvases, found, strict=True)}
        self._last = self._known[key]
        return self._last

    def run(self, walk: Walk) -> None:
        """Step until it is done."""
        while walk.ready():
            walk.advance(self.rows(walk))

    def _guesses(self, walk: Walk) -> list[Tensor]:
        """The canvases that would follow if the rows did not change."""
        if self._last is None:
            return []
        found: list[Tensor] = []
        guess = walk.fork(self._last)
        while len(found) < self._drafts - 1:
            guess.advance(self._last)
            if not guess.ready():
                break
            found.append(guess.canvas())
        return found


def _key(canvas: Tensor) -> bytes:
    return canvas.cpu().numpy().tobytes()
