"""The basic lexer behind a `lark.indenter.Indenter`: what each terminal may read from a place, columns aside.

A newline token ends here behind its last line break. A place behind it (`Line`) is the state that the scanner is in there; what
comes next reads the rest of the token, its column: a token of the line, the beginning of a block, or the end of the text. No block
begins behind the end of another, and a block that does not end behind a newline token ends with the text. All other places are
duties, as in `_lark_basic`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from copy import copy
from typing import Any, NamedTuple

from structgen.automata import ir
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa, is_empty, literal

from ._lark_ahead import Ahead
from ._lark_basic import BOUNDARY, Rest, _BasicLexer
from ._lark_columns import Marks
from ._lark_contexts import NOTHING
from ._lark_scanner import IGNORED, TokenScanner

__all__ = ["LineLexer", "Terminals"]

INSIDE = "ignored in brackets"
COLUMN = "column"
"""The label of what reads the rest of a newline token."""
DEDENT = "end of a block"
END = "end of the text"
"""The place at the end of the text, where blocks are still to be ended."""
NO_TEXT = literal("")


class Line(NamedTuple):
    """A place in a newline token, behind its last line break."""

    fresh: bool
    """Whether no block has been ended there."""
    at: int
    """The scanner's state."""
    duty: int
    """What the text from here on must be."""


Place = int | Line | str
Pieces = frozenset[tuple[int, Rest]]


class Terminals:
    """The terminals of a grammar in lines, which are rules without a body, and what they are for the lexer."""

    def __init__(self, newline: str) -> None:
        self.labels: dict[ir.Rule, str] = {}
        self.tokens: dict[str, ir.Rule] = {}
        self.newline = self.token(newline)
        self.white, self.indent, self.dedent = self.special(COLUMN), self.special(COLUMN), self.special(DEDENT)
        self.between = ir.Choice((ir.EMPTY, self.special(IGNORED)))
        self.between_inside = ir.Choice((ir.EMPTY, self.special(INSIDE)))
        self.column = ir.Choice((ir.EMPTY, ir.Seq((self.white, self.between))))

    def special(self, label: str) -> ir.Rule:
        rule = ir.Rule(label)
        self.labels[rule] = label
        return rule

    def token(self, name: str) -> ir.Rule:
        if name not in self.tokens:
            self.tokens[name] = self.special(name)
        return self.tokens[name]


class LineLexer(_BasicLexer):
    """See `_lark_contexts.Lexing`; places are duties, lines that begin, and the end."""

    def __init__(self, scanner: TokenScanner, terminals: Terminals, root: ir.Rule) -> None:
        self.terminals, self.newline = terminals, terminals.labels[terminals.newline]
        scanner, self.line_break = _with_class(scanner, "\n")
        self.indent_bit = 1 << len(scanner.table[0])
        super().__init__(scanner, terminals.labels, root)
        first = {rule: self.first(label) for rule, label in self.labels.items()}
        first[terminals.indent] |= self.indent_bit
        self.ahead = _Ahead(root, first, terminals.dedent)

    def first(self, label: str) -> int:
        if label in (COLUMN, DEDENT):
            return (self.indent_bit - 1) & ~(1 << self.line_break)
        if label == INSIDE:
            return super().first(IGNORED) | super().first(self.newline)
        return super().first(label)

    def tails(self) -> Mapping[Place, ir.Expr]:
        """What may follow at each place behind the document."""
        ends: list[Place] = [END, *(duty for duty, dfa in enumerate(self.duties) if dfa.accepting[0])]
        return defaultdict(lambda: NOTHING, dict.fromkeys(ends, ir.EMPTY))

    def marks(self, contexts: Any) -> Marks:
        """What reads columns."""
        found: dict[ir.Rule, dict[int, CharDfa]] = {self.terminals.white: {}, self.terminals.indent: {}}
        for (terminal, _, _), expr in contexts.words.items():
            if terminal in found:
                found[terminal][id(expr)] = expr.dfa
        return Marks(found[self.terminals.white], found[self.terminals.indent])

    def cut(self, expr: ir.Expr, start: Any) -> Any:
        """As `_BasicLexer.cut`; a line is fresh only where a block may begin."""
        if isinstance(start, int):
            return super().cut(expr, start)
        if start == END:
            return END if self.ahead.first(expr)[1] else None
        return start if self.ahead.of(expr) & self.indent_bit else start._replace(fresh=False)

    def steps(self, terminal: ir.Rule, start: Any) -> Any:
        label = self.labels.get(terminal)
        plain = isinstance(start, int) and label not in (COLUMN, DEDENT, self.newline)
        if label is None or plain:
            return super().steps(terminal, start)
        key = (terminal, start)
        if key not in self.known:
            self.known[key] = self.from_place(terminal, start)
        return self.known[key]

    def from_place(self, terminal: ir.Rule, start: Place) -> dict[Any, CharDfa]:
        if terminal is self.terminals.dedent:
            return self.end_of_block(start)
        if isinstance(start, int):
            return self.line_breaks(start) if terminal is self.terminals.newline else {}
        if isinstance(start, Line) and (terminal is self.terminals.white or (terminal is self.terminals.indent and start.fresh)):
            return self.rest_of_line(terminal, start)
        return {}

    def end_of_block(self, start: Place) -> dict[Any, CharDfa]:
        if isinstance(start, Line):
            return {start._replace(fresh=False): NO_TEXT}
        return {END: NO_TEXT} if start == END or self.duties[start].accepting[0] else {}  # type: ignore[index]

    def line_breaks(self, start: int) -> dict[Any, CharDfa]:
        """A newline token up to its last line break."""
        useful, table, moves = self.useful[self.newline], self.scanner.table, self.moves[start]
        states: list[tuple[int, int, bool]] = []

        def successors(state: tuple[int, int, bool]) -> list[tuple[int, int, bool] | None]:
            states.append(state)
            pairs = enumerate(zip(table[state[0]], moves[state[1]], strict=True))
            return [(after, r, c == self.line_break) if after in useful and r >= 0 else None for c, (after, r) in pairs]

        rows, _ = crawl((0, 0, False), successors, lambda _: False, MAX_STATES)
        ends = [{Line(True, at, self.remaining((start, q)))} if broken else set() for at, q, broken in states]
        return self.by_end(rows, ends)  # type: ignore[arg-type]

    def rest_of_line(self, terminal: ir.Rule, start: Line) -> dict[Any, CharDfa]:
        """What is behind the last line break of a newline token."""
        useful, table, moves = self.useful[self.newline], self.scanner.table, self.moves[start.duty]
        states: list[Rest] = []

        def successors(state: Rest) -> list[Rest | None]:
            states.append(state)
            pairs = enumerate(zip(table[state[0]], moves[state[1]], strict=True))
            return [(after, r) if after in useful and r >= 0 and c != self.line_break else None for c, (after, r) in pairs]

        rows, _ = crawl((start.at, 0), successors, lambda _: False, MAX_STATES)
        types, follow = self.scanner.types, self.ahead.follow(terminal)
        duties = [self.after_match(at, self.newline, (start.duty, q)) if self.newline in types[at] else -1 for at, q in states]
        known = {duty: self.as_far_as(duty, follow) for duty in {*duties} - {-1} if not is_empty(self.duties[duty])}
        return self.by_end(rows, [{known[duty]} if duty in known else set() for duty in duties])

    def token(self, label: str, start: int) -> dict[int, CharDfa]:
        return self.pieces_inside(start) if label == INSIDE else super().token(label, start)

    def pieces_inside(self, start: int) -> dict[int, CharDfa]:
        """Ignored pieces and newline tokens, by the duty behind them."""
        states: list[Pieces] = []

        def successors(state: Pieces) -> list[Pieces | None]:
            states.append(state)
            return [self.read_inside(state, c) or None for c in range(len(self.letters))]

        rows, _ = crawl(frozenset({(0, (start, 0))}), successors, lambda _: False, MAX_STATES)
        return self.by_end(rows, [{self.remaining(rest) for at, rest in state if at == BOUNDARY} for state in states])

    def read_inside(self, state: Pieces, c: int) -> Pieces:
        found = set()
        for at, (duty, q) in state:
            after, r = self.scanner.table[max(at, 0)][c], self.moves[duty][q][c]
            if after >= 0 <= r and (after in self.useful[IGNORED] or after in self.useful[self.newline]):
                found.add((after, (duty, r)))
                for label in {IGNORED, self.newline} & {*self.scanner.types[after]}:
                    found.add((BOUNDARY, (self.after_match(after, label, (duty, r)), 0)))
        return frozenset(found)


class _Ahead(Ahead):
    """With the end of a block, which need not have text."""

    def __init__(self, root: ir.Rule, first: dict[ir.Rule, int], empty: ir.Rule) -> None:
        self.empty = empty
        super().__init__(root, first)

    def first(self, expr: ir.Expr) -> tuple[int, bool]:
        mask, nullable = super().first(expr)
        return mask, nullable or expr is self.empty


def _with_class(scanner: TokenScanner, letter: str) -> tuple[TokenScanner, int]:
    """The same scanner where one letter has a class of its own, and the class."""
    code, found = ord(letter), copy(scanner)
    bounds = sorted({*scanner.starts, code, code + 1})
    columns = [scanner.classes[bisect_right(scanner.starts, start) - 1] for start in bounds]
    n, own = len(scanner.table[0]), columns[bounds.index(code)]
    if columns.count(own) == 1:
        return scanner, own
    found.starts, found.classes = bounds, [n if start == code else c for start, c in zip(bounds, columns, strict=True)]
    found.table = [[*row, row[own]] for row in scanner.table]
    return found, n
