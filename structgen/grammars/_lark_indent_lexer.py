"""Lark's lexers behind a `lark.indenter.Indenter`: what each terminal may read from a place, columns aside.

A newline token ends here behind its last line break. A place behind it (`Line`) is the state that its scanner is in there; what
comes next reads the rest of the token, its column: a token of the line, the beginning of a block, or the end of the text. No block
begins behind the end of another, and a block that does not end behind a newline token ends with the text. All other places are
those of `_lark_basic`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from structgen.automata import ir
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa

from ._lark_basic import FREE, REDUCED, Place, Rest, Terminal, TokenLexer
from ._lark_columns import Marks
from ._lark_contexts import NO_TEXT
from ._lark_scanner import IGNORED, Scanners

__all__ = ["COLUMN", "INSIDE", "LINE_BREAK", "LineLexer"]

INSIDE = "ignored in brackets"
COLUMN = "column"
"""The label of what reads the rest of a newline token."""
LINE_BREAK = "\n"


class Line(NamedTuple):
    """A place in a newline token, behind its last line break."""

    scanner: int
    """That reads on behind the newline token."""
    banned: int
    """The tokens that may not come next, as a bit mask."""
    duty: int
    """What the text from here on must be."""
    reader: int
    """The scanner of the newline token."""
    at: int
    """Its state."""
    fresh: bool
    """Whether no block has been ended there."""


class LineLexer(TokenLexer):
    """See `_lark_contexts.Lexing`; places are those of tokens and lines that begin. ``lines``: the types of newline tokens, and of
    those that begin and end blocks."""

    def __init__(self, scanners: Scanners, terminals: Mapping[ir.Rule, Terminal], root: ir.Rule, lines: Sequence[str]) -> None:
        self.newline, self.indent, self.dedent = lines
        super().__init__(scanners, terminals, root, (REDUCED, self.dedent))
        starts = enumerate(scanners.starts)
        self.line_break = next(scanners.classes[i] for i, start in starts if start == ord(LINE_BREAK))

    def marks(self, contexts: Any) -> Marks:
        """What reads columns."""
        found: dict[str, dict[int, CharDfa]] = {COLUMN: {}, self.indent: {}}
        for (rule, _, _), expr in contexts.words.items():
            if self.terminals[rule].label in found:
                found[self.terminals[rule].label][id(expr)] = expr.dfa
        return Marks(found[COLUMN], found[self.indent])

    def useful(self, scanner: int, label: str) -> set[int]:
        if label == INSIDE:
            return super().useful(scanner, IGNORED) | super().useful(scanner, self.newline)
        return super().useful(scanner, label)

    def reading(self, scanner: int, label: str) -> int:
        if label == INSIDE:
            key = super().reading(scanner, IGNORED), super().reading(scanner, self.newline)
            return self.readings.setdefault(key, len(self.readings))
        return super().reading(scanner, label)

    def cut(self, expr: ir.Expr, start: Any) -> Any:
        """As `TokenLexer.cut`; a line is fresh only where a block may begin."""
        return super().cut(expr, start) if isinstance(start, Place) else self.as_far_as(start, 0, self.tokens.of(expr))

    def as_far_as(self, place: Any, firsts: int, tokens: int) -> Any:
        if isinstance(place, Place):
            return super().as_far_as(place, firsts, tokens)
        fresh = place.fresh and tokens & self.bits.get(self.indent, 0) != 0
        return place._replace(scanner=self.alike(place.scanner, tokens), banned=place.banned & tokens, fresh=fresh)

    def read(self, terminal: Terminal, start: Any) -> Iterable[tuple[Any, CharDfa]]:
        label, scanner, _ = terminal
        if label == REDUCED or label not in (COLUMN, self.newline, self.indent, self.dedent):
            return super().read(terminal, start) if label == REDUCED or isinstance(start, Place) else []
        if start.banned & self.bits[label]:
            return []
        after = Place(start.scanner, start.banned, FREE) if scanner is None else Place(scanner, 0, FREE)
        if label == self.dedent:
            return self.end_of_block(start, after)
        if isinstance(start, Place):
            return self.line_breaks(start, after) if label == self.newline else []
        return self.rest_of_line(start, after) if label == COLUMN or (label == self.indent and start.fresh) else []

    def end_of_block(self, start: Any, after: Place) -> Iterable[tuple[Any, CharDfa]]:
        if isinstance(start, Line):
            return [(start._replace(scanner=after.scanner, banned=0, fresh=False), NO_TEXT)]
        return [(after._replace(duty=self.end.duty), NO_TEXT)] if self.duties[start.duty].accepting[0] else []

    def line_breaks(self, start: Place, after: Place) -> Iterable[tuple[Any, CharDfa]]:
        """A newline token up to its last line break."""
        reader = self.alike(start.scanner, self.bits[self.newline])
        useful, table, moves = self.useful(reader, self.newline), self.scanners.tables[reader], self.moves[start.duty]
        states: list[tuple[int, int, bool]] = []

        def successors(state: tuple[int, int, bool]) -> list[tuple[int, int, bool] | None]:
            states.append(state)
            pairs = enumerate(zip(table[state[0]], moves[state[1]], strict=True))
            return [(after, r, c == self.line_break) if after in useful and r >= 0 else None for c, (after, r) in pairs]

        rows, _ = crawl((0, 0, False), successors, lambda _: False, MAX_STATES)
        ends = [{(at, self.remaining((start.duty, q)))} if broken else set() for at, q, broken in states]
        found = self.by_end(rows, ends)
        return [(Line(after.scanner, after.banned, duty, reader, at, True), dfa) for (at, duty), dfa in found.items()]

    def rest_of_line(self, start: Line, after: Place) -> Iterable[tuple[Any, CharDfa]]:
        """What is behind the last line break of a newline token."""
        useful, table, moves = self.useful(start.reader, self.newline), self.scanners.tables[start.reader], self.moves[start.duty]
        states: list[Rest] = []

        def successors(state: Rest) -> list[Rest | None]:
            states.append(state)
            pairs = enumerate(zip(table[state[0]], moves[state[1]], strict=True))
            return [(after, r) if after in useful and r >= 0 and c != self.line_break else None for c, (after, r) in pairs]

        rows, _ = crawl((start.at, 0), successors, lambda _: False, MAX_STATES)
        types = self.scanners.types[start.reader]
        rests = [self.after_match(start.reader, at, self.newline, (start.duty, q)) if self.newline in types[at] else -1 for at, q in states]
        ends = [{duty} - {-1} for duty in rests]
        return [(after._replace(duty=duty), dfa) for duty, dfa in self.by_end(rows, ends).items()]

    def token(self, label: str, scanner: int, duty: int) -> dict[int, CharDfa]:
        if label == INSIDE:
            return self.one_or_more([IGNORED, self.newline], Place(scanner, 0, duty))
        return super().token(label, scanner, duty)
