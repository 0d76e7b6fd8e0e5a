"""JSON texts read and rewritten without touching their values: numbers keep all their digits, which ``json.loads`` would not."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal, DecimalException
from typing import Any

from structgen.errors import ModelOutputError

__all__ = ["loads", "plain_integers", "relayout"]

MAX_DIGITS = 1000  # of an integer written out
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def loads(text: str) -> Any:
    """The value of a JSON text, as ``json.loads`` gives it but for numbers that this would change.

    A number with fraction or exponent is a float if that is its value or, for fractions, the nearest to it; else an int, or a
    Decimal where floats do not reach and an int would be beyond `MAX_DIGITS`. Raises `ModelOutputError` for what is no JSON, has a key
    twice, or is too deep or too long for Python to read.

    >>> loads('[1.0, 18301191111141111918.0, 3E315, 0.1]') == [1.0, 18301191111141111918, 3 * 10**315, 0.1]
    True
    """
    if not isinstance(text, str):
        raise ModelOutputError(f"expected a text, found {type(text).__name__}")
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ModelOutputError("the output is JSON nested too deeply to be read", text=text) from None
    except (ValueError, DecimalException) as error:
        raise ModelOutputError(f"the output is not JSON that can be read: {error}", text=text) from None


def _number(written: str) -> int | float | Decimal:
    value, nearest = Decimal(written), float(written)
    if nearest == value:
        return nearest
    if _is_integral(value):
        return int(value)
    return nearest if nearest and math.isfinite(nearest) else value


def _is_integral(value: Decimal) -> bool:
    """Whether this is an integer that can be written out."""
    return not value or (value.adjusted() < MAX_DIGITS and value == value.to_integral_value())


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a key occurs twice in one object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_constant, object_pairs_hook=_object)


def relayout(text: str, indent: int | None = None) -> str:
    """The same JSON value on one line, or with ``indent`` spaces a level; strings spelled without needless escapes.

    >>> relayout('{"a":1.50,\\n"b" : [ ]}')
    '{"a": 1.50, "b": []}'
    """
    written: list[str] = []
    depth = 0
    tokens = [token.group() for token in TOKEN.finditer(text)]
    for before, token in zip(["", *tokens], tokens, strict=False):
        if token in "]}":
            depth -= 1
        if before and (before in ",[{" or token in "]}") and before + token not in ("[]", "{}"):
            written.append(_gap(depth, indent, after_comma=before == ","))
        written.append(_spelled(token))
        if token in "[{":
            depth += 1
    return "".join(written)


def _gap(depth: int, indent: int | None, after_comma: bool) -> str:
    if indent is None:
        return " " if after_comma else ""
    return "\n" + " " * (indent * depth)


def _spelled(token: str) -> str:
    if token == ":":
        return ": "
    return json.dumps(json.loads(token), ensure_ascii=False) if token.startswith('"') else token


def plain_integers(text: str) -> str:
    """The same JSON value with integers written as digits alone, whatever their spelling was.

    >>> plain_integers('[1.0, 1.5e1, 2e-1, "1e1"]')
    '[1, 15, 2e-1, "1e1"]'
    """
    return TOKEN.sub(lambda token: _plain(token.group()), text)


def _plain(token: str) -> str:
    if token[0] not in "-0123456789" or not {".", "e", "E"} & set(token):
        return token
    value = Decimal(token)
    return str(int(value)) if _is_integral(value) else token
