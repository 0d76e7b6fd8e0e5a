"""Reading the values of keywords: what a keyword must be, or an error that says what was found and where."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

from structgen.errors import LimitExceeded, UnsupportedSchema

__all__ = [
    "at_least", "at_most", "boolean", "count", "escaped", "exact_number", "malformed", "mapping", "names_in", "number", "plain",
    "shown", "text",
]  # fmt: skip

MAX_EXPONENT = 5_000
"""Largest decimal exponent of a number in a schema."""
PLAIN = (str, int, float, bool, type(None), Decimal)
MAX_COUNT = 10**9
"""Greater numbers of characters, items or properties do not occur in a text: as a greatest number they say nothing."""


def malformed(keyword: str, expected: str, schema: dict[str, Any], pointer: str) -> UnsupportedSchema:
    message = f"{keyword} must be {expected}, found {shown(schema[keyword])}"
    return UnsupportedSchema(message, keyword=keyword, pointer=f"{pointer}/{keyword}")


def shown(value: Any) -> str:
    return f"{type(value).__name__}" if isinstance(value, dict | list) else f"{value!r:.100}"


def plain(document: Any) -> Any:
    """The document in dicts, lists and Python's own numbers: other mappings become dicts, numbers of other libraries Python's.

    Usually that is the document itself. What is shared stays shared, as references go by identity."""
    outermost = [document]
    todo: list[tuple[Any, str]] = [(outermost, "")]
    seen: set[int] = set()
    is_plain = True
    while todo:
        value, pointer = todo.pop()
        if isinstance(value, Mapping):
            odd = next((name for name in value if not isinstance(name, str)), "")
            if not isinstance(odd, str):
                raise UnsupportedSchema(f"the name {odd!r:.100} is not a string", pointer=pointer)
        members = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, member in members:
            if isinstance(member, Mapping | list):
                is_plain = is_plain and isinstance(member, dict | list)
                if id(member) not in seen:
                    seen.add(id(member))
                    todo.append((member, f"{pointer}/{escaped(name)}" if value is not outermost else ""))
            elif is_plain and type(member) not in PLAIN:
                is_plain = not isinstance(member, Real)
    return document if is_plain else _converted(document, {})


def _converted(value: Any, known: dict[int, Any]) -> Any:
    if isinstance(value, Mapping | list):
        if id(value) not in known:
            known[id(value)] = value  # while it is read: a document that contains itself stays as it is
            known[id(value)] = (
                {name: _converted(member, known) for name, member in value.items()}
                if isinstance(value, Mapping)
                else [_converted(item, known) for item in value]
            )
        return known[id(value)]
    if isinstance(value, bool | Fraction) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def escaped(token: str | int) -> str:
    """A JSON pointer token."""
    return str(token).replace("~", "~0").replace("/", "~1")


def exact_number(value: int | float | Decimal, pointer: str) -> Fraction:
    """The number as written: a float is the decimal that ``repr`` shows."""
    if isinstance(value, int):
        return Fraction(value)
    decimal = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
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


def at_least(schema: dict[str, Any], keyword: str, pointer: str) -> int:
    """A least number of characters, items or properties, 0 where there is none."""
    found = count(schema, keyword, pointer) or 0
    if found > MAX_COUNT:
        raise LimitExceeded(keyword, MAX_COUNT, f"{pointer}/{keyword}")
    return found


def at_most(schema: dict[str, Any], keyword: str, pointer: str) -> int | None:
    """A greatest number of them, None where there is none."""
    found = count(schema, keyword, pointer)
    return None if found is None or found > MAX_COUNT else found


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
