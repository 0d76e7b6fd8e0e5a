"""Commits under the constraint: as much of what a policy proposes as is jointly valid, at least one position per step.

Positions are coupled: tokens that are valid one by one may be invalid together. *Sequential*: each commit is checked against those
before it, exactly. *Viterbi*: the chosen positions get the most probable valid tokens together (DINGO, arXiv 2505.23061). *Sample*:
they are drawn from the product of the model's distributions, given that the whole filling is valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from structgen.diffusion.filling import OPEN, Fillable, Filling
from structgen.diffusion.interfaces import Proposal
from structgen.diffusion.joint import Joint
from structgen.diffusion.transitions import Row
from structgen.errors import StructgenError
from structgen.sampling.choice import Choose

__all__ = ["JOINTS", "JointMode", "Rows", "allowed_tokens", "commit", "fill", "offered"]

JointMode = Literal["sequential", "viterbi", "sample"]
JOINTS: tuple[str, ...] = get_args(JointMode)
LEAST = -1e5
"""Log-probabilities count as at least this: what the model excludes can still be all that is valid."""


@dataclass(frozen=True)
class Rows:
    """What the model says about the positions offered, [m, V] each."""

    positions: Sequence[int]
    log_p: Tensor
    """Normalised, before the constraint."""
    log_q: Tensor
    """After the constraint."""
    preference: Tensor
    """What candidates are the greatest of: ``log_q``, with noise at a temperature above 0."""

    @property
    def draw(self) -> Tensor:
        return self.preference.argmax(-1)


def offered(filling: Fillable, start: int, end: int) -> list[int]:
    """The open positions of a block that may be committed now."""
    return [i for i in range(max(start, filling.first), min(end, filling.end)) if filling.tokens[i] == OPEN]


def allowed_tokens(rows: Sequence[Row], size: int, device: torch.device) -> Tensor:
    """bool [m, size]: which tokens rows of bits have. Positions that share a row share the work."""
    number: dict[int, int] = {}
    index = [number.setdefault(id(row.bits), len(number)) for row in rows]
    distinct = {id(row.bits): row.bits for row in rows}
    packed = np.stack(list(distinct.values())).view(np.uint8)
    bits = np.unpackbits(packed, axis=1, bitorder="little", count=min(size, packed.shape[1] * 8)).view(np.bool_)
    found = torch.zeros(len(distinct), size, dtype=torch.bool)
    found[:, : bits.shape[1]] = torch.from_numpy(bits)
    return found.to(device)[index]


def commit(
    filling: Fillable,
    rows: Rows,
    proposal: Proposal,
    mode: JointMode = "sequential",
    choose: Choose | None = None,
    temperature: float = 1.0,
) -> list[int]:
    """Commit what is proposed, in the order of the proposal; the indices of the positions that were committed."""
    wanted = _checked(proposal, len(rows.positions))
    if (mode != "sequential" or proposal.joint) and isinstance(filling, Filling):
        wanted = _together(filling, rows, wanted[: proposal.at_most], "viterbi" if mode == "sequential" else mode, choose, temperature)
    done: list[int] = []
    left_out: list[int] = []
    for i, token in wanted:
        if len(done) == proposal.at_most:
            break
        if filling.commit(rows.positions[i], token) or _replace(filling, rows, i, proposal.threshold):
            done.append(i)
        else:
            left_out.append(i)
    least = min(proposal.at_least, len(rows.positions))
    others = (i for i in _by_confidence(rows) if i not in done and i not in left_out)
    for i in _chained(left_out, others):
        if len(done) >= max(1, least):
            break
        if _replace(filling, rows, i, float("-inf")):
            done.append(i)
    if not done:
        raise StructgenError("no position could be committed: the model's rows or the filling are inconsistent")
    return done


def fill(filling: Fillable, log_p: Tensor, choose: Choose | None = None, temperature: float = 1.0) -> int:
    """Fill all open positions from the rows [n, V] of one forward pass, with the best joint filling up to the horizon, then up to the
    next one, and so on (with ``choose``: a filling drawn from the joint law); how many were filled."""
    n = 0
    while filling.first < filling.n:
        filling.grow()
        n += len(filling.settle())
        window = offered(filling, 0, filling.n)
        if not window:
            continue
        inside = [i for i in window if isinstance(filling, Filling) and i < filling.horizon]
        joint = _solve(filling, {i: log_p[i] for i in inside}, choose, temperature) if inside else {}
        for i in inside or window:
            if not filling.commit(i, joint[i] if i in joint else int(log_p[i].argmax())):
                _best(filling, i, log_p[i])
            n += 1
    return n


def _solve(filling: Fillable, log_p: dict[int, Tensor], choose: Choose | None, temperature: float) -> dict[int, int]:
    assert isinstance(filling, Filling)
    weights = {i: row.double().clamp(min=LEAST).cpu().numpy() / temperature for i, row in log_p.items()}
    joint = Joint(filling, weights)
    return joint.best() if choose is None else joint.sample(choose)


def _together(
    filling: Filling, rows: Rows, wanted: list[tuple[int, int]], mode: JointMode, choose: Choose | None, temperature: float
) -> list[tuple[int, int]]:
    """The wanted positions with the tokens of a joint filling; those at the horizon keep theirs."""
    inside = [i for i, _ in wanted if rows.positions[i] < filling.horizon]
    if not inside:
        return wanted
    weighed = inside if mode == "viterbi" else [i for i, at in enumerate(rows.positions) if at < filling.horizon]
    log_p = {rows.positions[i]: rows.log_p[i] for i in weighed}
    tokens = _solve(filling, log_p, choose if mode == "sample" else None, temperature if mode == "sample" else 1.0)
    return [(i, tokens.get(rows.positions[i], token)) for i, token in wanted]


def _checked(proposal: Proposal, m: int) -> list[tuple[int, int]]:
    indices, tokens = [int(i) for i in proposal.indices], [int(token) for token in proposal.tokens]
    if len(indices) != len(tokens) or len(set(indices)) < len(indices) or not all(0 <= i < m for i in indices):
        raise StructgenError(f"a proposal names each of {m} positions at most once, with a token each; found {indices} and {tokens}")
    return list(zip(indices, tokens, strict=True))


def _replace(filling: Fillable, rows: Rows, i: int, threshold: float) -> bool:
    """Commit the best valid token of a position, if it is probable enough."""
    if filling.tokens[rows.positions[i]] != OPEN:
        return False
    if threshold > 0 and float(rows.log_p[i].max().exp()) < threshold:
        return False
    return _best(filling, rows.positions[i], rows.preference[i], rows.log_p[i], threshold)


def _best(filling: Fillable, position: int, preference: Tensor, log_p: Tensor | None = None, threshold: float = 0.0) -> bool:
    """Commit the most preferred of the tokens that are valid at a position now."""
    if position >= filling.end:
        return False
    mask = allowed_tokens([filling.row(position)], len(preference), preference.device)[0]
    ranked = torch.where(mask, preference.clamp(min=LEAST), -torch.inf)
    while True:
        token = int(ranked.argmax())
        if ranked[token] == -torch.inf or (log_p is not None and float(log_p[token].exp()) < threshold):
            return False
        if filling.commit(position, token):
            return True
        ranked[token] = -torch.inf


def _by_confidence(rows: Rows) -> Iterator[int]:
    """All indices, the surest candidate first."""
    scores = rows.log_q.gather(1, rows.draw[:, None])[:, 0]
    yield from scores.argsort(descending=True, stable=True).tolist()


def _chained(*parts: Iterable[int]) -> Iterator[int]:
    for part in parts:
        yield from part
