"""Whitespace between the tokens of a JSON text, and how much of it: one `Layout` per style, shared by all schemas.

A layout says what may stand after ``{ [ , :`` and before ``} ] , :``; nothing stands before the first or after the last token of a
document. Gaps are shared objects, so that they are compiled once per process. Only "any" lets a model write whitespace for ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from structgen.automata import ir
from structgen.errors import StructgenError

__all__ = ["Layout", "layout_of"]

MAX_INDENT = 64
"""Most spaces or tabs after a line break in the bounded style (16 levels of four)."""
MAX_LEVELS = 24
"""Deepest nesting that a fixed indentation writes."""

SPACE = ir.Bytes(b" ")
BLANK = ir.Chars(((9, 9), (32, 32)))
LINE_BREAK = ir.Choice((ir.Bytes(b"\n"), ir.Bytes(b"\r\n")))
BOUNDED = ir.Rule("whitespace", ir.Choice((ir.EMPTY, SPACE, ir.Seq((LINE_BREAK, ir.Repeat(BLANK, 0, MAX_INDENT))))))
ANY = ir.Rule("any whitespace", ir.Repeat(ir.Chars(((9, 10), (13, 13), (32, 32)))))


@dataclass(frozen=True)
class Layout:
    """The gaps of one style. ``inside`` is the gap after an opening or before a closing bracket, ``empty`` the one in an empty
    container; with ``indent`` the gaps ``inside`` and ``after_comma`` are line breaks that depend on the depth."""

    name: str
    inside: ir.Expr = ir.EMPTY
    empty: ir.Expr = ir.EMPTY
    before: ir.Expr = ir.EMPTY
    after_comma: ir.Expr = ir.EMPTY
    after_colon: ir.Expr = ir.EMPTY
    indent: int | None = None

    @property
    def max_levels(self) -> int | None:
        """Deepest nesting of containers that this layout can write."""
        return None if self.indent is None else MAX_LEVELS

    def opened(self, depth: int) -> ir.Expr:
        """The gap after an opening bracket at nesting ``depth`` (0: outermost)."""
        return self.inside if self.indent is None else self._line(depth + 1)

    def closing(self, depth: int) -> ir.Expr:
        """The gap before a closing bracket."""
        return self.inside if self.indent is None else self._line(depth)

    def comma(self, depth: int) -> ir.Expr:
        after = self.after_comma if self.indent is None else self._line(depth + 1)
        return _seq(self.before, ir.Bytes(b","), after)

    def colon(self) -> ir.Expr:
        return _seq(self.before, ir.Bytes(b":"), self.after_colon)

    def _line(self, level: int) -> ir.Expr:
        assert self.indent is not None
        return ir.Bytes(b"\n" + b" " * (self.indent * level))


def _seq(*parts: ir.Expr) -> ir.Expr:
    kept = tuple(part for part in parts if part != ir.EMPTY)
    return kept[0] if len(kept) == 1 else ir.Seq(kept)


STYLES = {
    "bounded": Layout("bounded", inside=BOUNDED, empty=BOUNDED, after_comma=BOUNDED, after_colon=BOUNDED),
    "compact": Layout("compact"),
    "one-space": Layout("one-space", after_comma=SPACE, after_colon=SPACE),
    "any": Layout("any", inside=ANY, empty=ANY, before=ANY, after_comma=ANY, after_colon=ANY),
}


def layout_of(whitespace: str | int | Mapping[str, Any]) -> Layout:
    """The layout for the option ``whitespace``: the name of a style, or the indentation as a number or ``{"indent": n}``."""
    if isinstance(whitespace, Mapping) and set(whitespace) == {"indent"}:
        whitespace = whitespace["indent"]
    if isinstance(whitespace, str) and re.fullmatch("indent=[0-9]{1,2}", whitespace):
        whitespace = int(whitespace[7:])
    if isinstance(whitespace, int) and not isinstance(whitespace, bool) and 0 <= whitespace <= 16:
        return _indented(whitespace)
    if isinstance(whitespace, str) and whitespace in STYLES:
        return STYLES[whitespace]
    raise StructgenError(f'whitespace must be one of {", ".join(map(repr, STYLES))} or {{"indent": 0..16}}, found {whitespace!r:.100}')


@lru_cache(maxsize=32)
def _indented(indent: int) -> Layout:
    return Layout(f"indent={indent}", after_colon=SPACE, indent=indent)
