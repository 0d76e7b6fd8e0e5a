"""Views made by hand, a model that is a hash function, and the shortest decoding loop, whose guard tries all words."""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from structgen.diffusion.interfaces import Proposal, View

MASK = 9
EOS = 3


def no_look_ahead(canvases: Tensor) -> Tensor:
    raise AssertionError("this policy does not look ahead")


def view_of(
    log_p: Tensor,
    *,
    allowed: Tensor | None = None,
    positions: Sequence[int] | None = None,
    canvas: Sequence[int] | None = None,
    step: int = 0,
    steps: int | None = None,
    block: tuple[int, int] | None = None,
    look_ahead: Callable[[Tensor], Tensor] = no_look_ahead,
) -> View:
    """A view of rows [m, V]; by default positions 0, 1, ... of a canvas of masks are open."""
    positions = list(range(len(log_p))) if positions is None else positions
    canvas = [MASK] * (max(positions) + 1) if canvas is None else canvas
    log_q = log_p if allowed is None else log_p.masked_fill(~allowed, -torch.inf).log_softmax(-1)
    return View(
        step=step,
        steps=len(log_p) if steps is None else steps,
        canvas=torch.tensor(canvas),
        block=(0, len(canvas)) if block is None else block,
        positions=torch.tensor(positions),
        log_p=log_p,
        log_q=log_q,
        draw=log_q.argmax(-1),
        eos_token_ids=[EOS],
        look_ahead=look_ahead,
        mask_token_id=MASK,
    )


class HashModel:
    """Rows [n, V] that depend on the whole canvas in no foreseeable way, more or less sharply. ``context`` False: they never change."""

    mask_token_id = MASK

    def __init__(self, seed: int, n: int, size: int = 4, sharpness: float = 2.0, context: float = 1.0) -> None:
        self.seed, self.n, self.size, self.sharpness, self.context = seed, n, size, sharpness, context
        self.passes = 0

    def row(self, canvas: Sequence[int]) -> Tensor:
        base = np.random.default_rng(self.seed).normal(size=(self.n, self.size)) * self.sharpness
        digest = hashlib.sha256(bytes([*canvas, self.seed % 251])).digest()
        noise = np.random.default_rng(int.from_bytes(digest[:8], "little")).normal(size=base.shape)
        return torch.tensor(base + self.context * noise, dtype=torch.float32)

    def logits(self, ids: Tensor) -> Tensor:
        self.passes += 1
        return torch.stack([self.row(canvas) for canvas in ids.tolist()])


@cache
def words_of(seed: int, n: int, size: int = 4, share: float = 0.2) -> list[tuple[int, ...]]:
    """A random set of valid words."""
    rng = np.random.default_rng(seed)
    words = [w for w in itertools.product(range(size), repeat=n) if rng.random() < share]
    return words or [tuple(int(t) for t in rng.integers(0, size, n))]


class Toy:
    """Decoding step by step (a `Walk`). ``words``: what is valid; None: everything."""

    def __init__(
        self,
        model: HashModel,
        policy: Any,
        *,
        words: Iterable[tuple[int, ...]] | None = None,
        steps: int | None = None,
        block: int | None = None,
        given: dict[int, int] | None = None,
    ) -> None:
        self.model, self.policy = model, policy.begin()
        self.words = None if words is None else list(words)
        self.tokens = [(given or {}).get(i, MASK) for i in range(model.n)]
        self.length = block or model.n
        self.steps = steps or self.length
        self.step_number = 0
        self.start = 0
        self.reopened = 0
        self.asked: Callable[[Tensor], Tensor] = model.logits
        self.trace: list[tuple[int, ...]] = []

    # -- Walk -------------------------------------------------------------------------------------------------------------------

    def canvas(self) -> Tensor:
        return torch.tensor(self.tokens)

    def ready(self) -> bool:
        return MASK in self.tokens

    def fork(self, rows: Tensor) -> Toy:
        other = copy.copy(self)
        other.policy = copy.copy(self.policy)
        other.tokens, other.trace = list(self.tokens), list(self.trace)
        other.asked = lambda canvases: rows.expand(len(canvases), -1, -1)
        return other

    def advance(self, rows: Tensor) -> None:
        self._enter()
        log_p = rows.log_softmax(-1)
        view = self.view(log_p)
        proposal = self.policy.propose(view)
        reopened = getattr(self.policy, "reopen", lambda view: [])(view)
        assert MASK not in [self.tokens[i] for i in reopened]
        self._commit(view, proposal, log_p)
        for i in reopened:
            self.tokens[i] = MASK
        self.reopened += len(reopened)
        self.step_number += 1
        self.trace.append(tuple(self.tokens))

    # -- the loop ---------------------------------------------------------------------------------------------------------------

    def run(self) -> tuple[int, ...]:
        while self.ready():
            self.advance(self.model.logits(self.canvas()[None])[0])
        return tuple(self.tokens)

    def view(self, log_p: Tensor) -> View:
        end = min(self.start + self.length, len(self.tokens))
        positions = [i for i in range(self.start, end) if self.tokens[i] == MASK]
        allowed = torch.tensor([[self.possible(i, v) for v in range(self.model.size)] for i in positions])
        return view_of(
            log_p[positions],
            allowed=allowed,
            positions=positions,
            canvas=self.tokens,
            step=self.step_number,
            steps=self.steps,
            block=(self.start, end),
            look_ahead=lambda canvases: self.asked(canvases).log_softmax(-1),
        )

    def possible(self, position: int, token: int) -> bool:
        """By trying all words."""
        if self.words is None:
            return True
        wanted = {i: t for i, t in enumerate(self.tokens) if t != MASK} | {position: token}
        return any(all(w[i] == t for i, t in wanted.items()) for w in self.words)

    def _enter(self) -> None:
        """The block with the first open position."""
        start = self.tokens.index(MASK) // self.length * self.length
        if start > self.start:
            self.start, self.step_number = start, 0

    def _commit(self, view: View, proposal: Proposal, log_p: Tensor) -> None:
        positions, done = view.positions.tolist(), 0
        assert len(set(proposal.indices)) == len(proposal.indices) == len(proposal.tokens)
        for index, token in zip(proposal.indices, proposal.tokens, strict=True):
            if done == proposal.at_most:
                break
            i = positions[index]
            if not self.possible(i, token):
                token = max((v for v in range(self.model.size) if self.possible(i, v)), key=lambda v: float(log_p[i, v]))
                if float(log_p[i, token].exp()) < proposal.threshold:
                    continue
            self.tokens[i] = token
            done += 1
        if not done:
            i = positions[proposal.indices[0]]
            self.tokens[i] = max((v for v in range(self.model.size) if self.possible(i, v)), key=lambda v: float(log_p[i, v]))
