"""The options of `json_schema`, checked once; equal options are equal values, so that shared rules can be kept per options."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from structgen.errors import StructgenError
from structgen.grammars.numbers import DEFAULT, NumberLimits

from .drafts import DRAFTS
from .layout import Layout, layout_of
from .reading import MAX_COUNT

__all__ = ["Limits", "Options", "UnknownOption", "lossy_keywords", "options_of"]


class UnknownOption(StructgenError, TypeError):
    """A value of an option that this version does not have; a TypeError, as an unknown keyword argument is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Default bounds on what the schema itself leaves open, so that a weak model cannot write for ever; None lifts a bound.

    A string or key has at most ``string_length`` code points unless ``maxLength`` says otherwise; for ``numbers`` see
    `structgen.grammars.numbers.NumberLimits`.
    """

    string_length: int | None = 65_536
    numbers: NumberLimits = DEFAULT

    def __post_init__(self) -> None:
        if self.string_length is not None and not 0 <= _whole("string_length", self.string_length) <= MAX_COUNT:
            raise StructgenError(f"string_length must be between 0 and {MAX_COUNT}, or None for no limit; found {self.string_length}")
        if not isinstance(self.numbers, NumberLimits):
            raise UnknownOption(f"numbers must be NumberLimits, found {type(self.numbers).__name__}")


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
    if not isinstance(formats, bool) and formats != "annotation":
        raise UnknownOption(f'formats must be True, False or "annotation", found {formats!r}')
    return Options(layout_of(whitespace), _limits(limits), formats is True, property_order == "any")


def _whole(name: str, value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise UnknownOption(f"{name} must be an integer or None, found {value!r:.100}")
    return value


def _limits(limits: Limits | Mapping[str, Any] | None) -> Limits:
    if limits is None:
        return Limits()
    if isinstance(limits, Limits):
        return limits
    if not isinstance(limits, Mapping):
        raise UnknownOption(f"limits must be a mapping or Limits, found {limits!r:.100}")
    known = set(Limits.__dataclass_fields__) | set(NumberLimits.__dataclass_fields__)
    if not set(limits) <= known:
        raise StructgenError(f"limits are {', '.join(sorted(known))}; found {', '.join(map(str, limits))}")
    numbers = NumberLimits(**{name: _whole(name, value) for name, value in limits.items() if name in NumberLimits.__dataclass_fields__})
    return Limits(**{"numbers": numbers, **{name: limits[name] for name in Limits.__dataclass_fields__ if name in limits}})


def lossy_keywords(names: Collection[str]) -> frozenset[str]:
    """Check the option ``lossy``: the keywords that may be dropped where they cannot be enforced."""
    known = frozenset().union(*(draft.keywords for draft in DRAFTS))
    if isinstance(names, str) or not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise UnknownOption(f"lossy must list keywords, found {names!r:.100}")
    for name in names:
        if name not in known:
            like = get_close_matches(name[:40], known, 1)
            hint = f"; did you mean {like[0]}?" if like else ""
            raise UnknownOption(f"lossy names {name!r:.100}, which is no keyword that is enforced{hint}")
    return frozenset(names)
