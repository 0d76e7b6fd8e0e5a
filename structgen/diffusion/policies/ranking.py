"""What the policies share: how sure the model is of a position, and proposals made of an order of positions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from structgen.diffusion.interfaces import Proposal, UnmaskPolicy, View
from structgen.errors import StructgenError

__all__ = [
    "Mass",
    "Stateless",
    "Wrapper",
    "check_fields",
    "descending",
    "entropies",
    "gumbel",
    "margins",
    "matched",
    "proposal",
    "rows",
    "scheduled",
    "uniform",
]

Mass = Literal["raw", "renormalised"]
"""Probabilities of all that the model says, or of what is valid only."""


Self = TypeVar("Self")


def check_fields(policy: Any) -> None:
    """Raises `StructgenError` for fields of a dataclass that are not what they are declared to be: numbers, kinds of mass, policies."""
    for each in fields(policy):
        value = getattr(policy, each.name)
        wanted, is_right = {
            "float": ("a number", isinstance(value, Real) and value == value),
            "int": ("a whole number", isinstance(value, Integral)),
            "Mass": (f"one of {', '.join(get_args(Mass))}", value in get_args(Mass)),
            "UnmaskPolicy": ("a policy", hasattr(value, "propose") and not isinstance(value, type)),
        }.get(str(each.type), ("", True))
        if not is_right:
            raise StructgenError(f"{each.name} of {type(policy).__name__} is {wanted}; found {value!r:.100}")


class Stateless:
    """A policy that keeps no history is its own fresh copy."""

    def __post_init__(self) -> None:
        check_fields(self)

    def begin(self: Self) -> Self:
        return self


class Wrapper:
    """A policy around another one, ``policy``, which is copied along: a copy of a policy goes its own way. (What policies remember they
    replace and never change, so a shallow copy is enough.)"""

    policy: UnmaskPolicy

    def __post_init__(self) -> None:
        check_fields(self)

    def __copy__(self: Self) -> Self:
        found = object.__new__(type(self))
        vars(found).update(vars(self), policy=copy.copy(self.policy))  # type: ignore[attr-defined]
        return found


def rows(view: View, mass: Mass) -> Tensor:
    """float32 [m, V]: log-probabilities."""
    return view.log_p if mass == "raw" else view.log_q


def entropies(log_p: Tensor) -> Tensor:
    """[...]: the entropies of distributions [..., V], in nats."""
    found: Tensor = torch.special.entr(log_p.exp()).sum(-1)
    return found


def margins(view: View, mass: Mass) -> Tensor:
    """float32 [m]: how much more probable the candidate is than the best other token; negative if another is more probable."""
    others = rows(view, mass).scatter(1, view.draw[:, None], float("-inf")).amax(1)
    return view.scores(mass) - others.exp()


def descending(scores: Tensor) -> list[int]:
    """Indices, the greatest score first; of equal ones the leftmost."""
    order: list[int] = scores.argsort(descending=True, stable=True).tolist()
    return order


def proposal(view: View, indices: Sequence[int], *, threshold: float = float("-inf"), joint: bool = False) -> Proposal:
    """All of these, with their candidates."""
    tokens = view.draw.tolist()
    return Proposal(indices, [tokens[i] for i in indices], len(indices), threshold=threshold, joint=joint)


def scheduled(view: View) -> int:
    """LLaDA's number of commits: n positions in T steps are floor(n/T) each, and one more in the first n mod T (that is
    ceil(open/steps left), which also evens out what was committed for free)."""
    return -(-view.n_open // max(1, view.steps - view.step))


def matched(before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
    """For positions ``now``: their indices into the ascending positions ``before``, and whether they are there at all."""
    index = torch.searchsorted(before, now).clamp(max=max(0, len(before) - 1))
    return index, (before[index] == now) if len(before) else torch.zeros_like(now, dtype=torch.bool)


def uniform(view: View, seed: int, size: Sequence[int]) -> Tensor:
    """float64: numbers in (0, 1) that depend on seed, block and step only, so that a step which is repeated says the same."""
    drawn = np.random.default_rng((seed, view.block[0], view.step)).random(size)
    return torch.from_numpy(drawn.clip(1e-16, 1 - 1e-16)).to(view.log_p.device)


def gumbel(view: View, seed: int, size: Sequence[int]) -> Tensor:
    """float64: standard Gumbel noise of `uniform` numbers. Scores plus it, in order, are drawn without replacement."""
    return -(-uniform(view, seed, size).log()).log()
