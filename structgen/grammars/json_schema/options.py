"""The options of `json_schema`, checked once; equal options are equal values, so that shared rules can be kept per options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from structgen.errors import StructgenError
from structgen.grammars.numbers import DEFAULT, NumberLimits

from .layout import Layout, layout_of

__all__ = ["Limits", "Options", "UnknownOption", "options_of"]


class UnknownOption(StructgenError, TypeError):
    """A value of an option that this version does not have; a TypeError, as an unknown keyword argument is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Default bounds on what the schema itself leaves open, so that a weak model cannot write for ever; None lifts a bound.

    A string or key has at most ``string_length`` code points unless ``maxLength`` says otherwise; for ``numbers`` see
    `structgen.grammars.numbers.NumberLimits`.
    """

    string_length: int | None = 10_000
    numbers: NumberLimits = DEFAULT


@dataclass(frozen=True)
class Options:
    """Everything besides the schema that decides the language."""

    layout: Layout
    limits: Limits
    formats: bool
    any_order: bool = False


def options_of(
    whitespace: str | int | Mapping[str, Any], property_order: str, formats: bool | str, limits: Limits | Mapping[str, Any] | None
) -> Options:
    """Check the options of `json_schema`."""
    if property_order not in ("declared", "any"):
        raise UnknownOption(f'property_order must be "declared" or "any", found {property_order!r}')
    if formats not in (True, False, "annotation"):
        raise UnknownOption(f'formats must be True, False or "annotation", found {formats!r}')
    return Options(layout_of(whitespace), _limits(limits), formats is True, property_order == "any")


def _limits(limits: Limits | Mapping[str, Any] | None) -> Limits:
    if limits is None:
        return Limits()
    if isinstance(limits, Limits):
        return limits
    known = set(Limits.__dataclass_fields__) | set(NumberLimits.__dataclass_fields__)
    if not set(limits) <= known:
        raise StructgenError(f"limits are {', '.join(sorted(known))}; found {', '.join(map(str, limits))}")
    numbers = NumberLimits(**{name: value for name, value in limits.items() if name in NumberLimits.__dataclass_fields__})
    return Limits(**{"numbers": numbers, **{name: limits[name] for name in Limits.__dataclass_fields__ if name in limits}})
