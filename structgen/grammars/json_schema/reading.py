"""Reading the values of keywords: what a keyword must be, or an error that says what was found and where."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from structgen.errors import LimitExceeded, UnsupportedSchema

__all__ = ["boolean", "count", "exact_number", "malformed", "mapping", "names_in", "number", "shown", "text"]

MAX_EXPONENT = 5_000
"""Largest decimal exponent of a number in a schema."""


def malformed(keyword: str, expected: str, schema: dict[str, Any], pointer: str) -> UnsupportedSchema:
    message = f"{keyword} must be {expected}, found {shown(schema[keyword])}"
    return UnsupportedSchema(message, keyword=keyword, pointer=f"{pointer}/{keyword}")


def shown(value: Any) -> str:
    return f"{type(value).__name__}" if isinstance(value, dict | list) else f"{value!r:.100}"


def exact_number(value: int | float | Decimal, pointer: str) -> Fraction:
    """The number as written: a float is the decimal that ``repr`` shows."""
    if isinstance(value, int):
        return Fraction(value)
    decimal = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not decimal.is_finite():
        raise UnsupportedSchema(f"not a JSON number: {value}", pointer=pointer)
    if decimal and abs(decimal.adjusted()) > MAX_EXPONENT:
        raise LimitExceeded("exponent of a number", MAX_EXPONENT, pointer)
    return Fraction(decimal)


def number(schema: dict[str, Any], keyword: str, pointer: str) -> Fraction | None:
    if keyword not in schema:
        return None
    if isinstance(schema[keyword], bool) or not isinstance(schema[keyword], int | float | Decimal):
        raise malformed(keyword, "a number", schema, pointer)
    return exact_number(schema[keyword], f"{pointer}/{keyword}")


def count(schema: dict[str, Any], keyword: str, pointer: str) -> int | None:
    found = number(schema, keyword, pointer)
    if found is None:
        return None
    if found.denominator != 1 or found < 0:
        raise malformed(keyword, "an integer from 0", schema, pointer)
    return int(found)


def boolean(schema: dict[str, Any], keyword: str, pointer: str) -> bool:
    value = schema.get(keyword, False)
    if not isinstance(value, bool):
        raise malformed(keyword, "a boolean", schema, pointer)
    return value


def text(schema: dict[str, Any], keyword: str, pointer: str) -> str:
    if not isinstance(schema[keyword], str):
        raise malformed(keyword, "a string", schema, pointer)
    return schema[keyword]  # type: ignore[no-any-return]


def names_in(value: Any, keyword: str, pointer: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise UnsupportedSchema(
            f"{keyword} must list property names, found {shown(value)}", keyword=keyword, pointer=f"{pointer}/{keyword}"
        )
    return value


def mapping(schema: dict[str, Any], keyword: str, pointer: str) -> dict[str, Any]:
    value = schema.get(keyword, {})
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise malformed(keyword, "an object", schema, pointer)
    return value
