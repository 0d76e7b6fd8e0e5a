"""JSON texts rewritten without touching their values: numbers keep all their digits, which ``json.loads`` would not."""

from __future__ import annotations

import json
import re
from decimal import Decimal

__all__ = ["plain_integers", "relayout"]

MAX_DIGITS = 1000  # of an integer written out
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


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
    integral = value.adjusted() < MAX_DIGITS and value == value.to_integral_value()
    return str(int(value)) if integral else token
