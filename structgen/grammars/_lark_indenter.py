"""Grammars behind a `lark.indenter.Indenter`, which puts tokens for indentation between those of the basic lexer.

Outside brackets the indentation behind the last line break of a newline token is compared with that of the blocks: a greater one
begins a block, smaller ones end blocks. Here the newline token is cut there, and what stands next in the grammar reads the rest:
a token must find the column of its block, the beginning of a block any greater one (`_lark_indent_lexer`, `_lark_columns`).
Inside brackets newline tokens are ignored, so what may stand both inside and outside becomes two rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lark.indenter import Indenter

from structgen.automata import ir
from structgen.errors import StructgenError

from ._lark_basic import END, FREE, REDUCED, Place, Terminal
from ._lark_columns import in_columns
from ._lark_contexts import NOTHING, Contexts, without_loops
from ._lark_indent_lexer import COLUMN, INSIDE, LineLexer
from ._lark_scanner import IGNORED, Scanners

__all__ = ["Indentation", "check_options", "in_lines", "indentation"]

MAX_TAB = 100
GREATEST_COLUMN = 1_000


class Indentation(NamedTuple):
    """What an `Indenter` says: names of terminals, and the columns that a tab counts."""

    newline: str
    indent: str
    dedent: str
    opening: frozenset[str]
    closing: frozenset[str]
    tab: int
    max_column: int
    kept: frozenset[str]
    """Terminals that the lexer has whether the grammar uses them or not."""


def indentation(postlex: Any, max_column: Any) -> Indentation:
    """The settings of an indenter whose methods are Lark's own."""
    if not isinstance(postlex, Indenter):
        raise StructgenError(f"postlex: expected an instance of a subclass of lark.indenter.Indenter, found {postlex!r:.100}")
    for method in ("process", "_process", "handle_NL"):
        if getattr(type(postlex), method) is not getattr(Indenter, method) or method in vars(postlex):
            raise StructgenError(f"postlex: {type(postlex).__name__} has a method {method}() of its own, so what it does is not known")
    if type(max_column) is not int or not 1 <= max_column <= GREATEST_COLUMN:
        raise StructgenError(f"max_column is a number from 1 to {GREATEST_COLUMN}, found {max_column!r:.100}")
    if type(postlex.tab_len) is not int or not 1 <= postlex.tab_len <= MAX_TAB:
        raise StructgenError(f"postlex: tab_len is a number from 1 to {MAX_TAB}, found {postlex.tab_len!r:.100}")
    if isinstance(postlex.OPEN_PAREN_types, str) or isinstance(postlex.CLOSE_PAREN_types, str):
        raise StructgenError("postlex: OPEN_PAREN_types and CLOSE_PAREN_types are lists of names, found a text")
    opening, closing = frozenset(postlex.OPEN_PAREN_types), frozenset(postlex.CLOSE_PAREN_types)
    lines = (postlex.NL_type, postlex.INDENT_type, postlex.DEDENT_type)
    if len({*lines}) < 3 or {*lines} & (opening | closing):
        raise StructgenError("postlex: NL_type, INDENT_type, DEDENT_type and the brackets must be different terminals")
    return Indentation(*lines, opening, closing - opening, postlex.tab_len, max_column, frozenset(postlex.always_accept))


def check_options(parser: str, lexer: str | None) -> None:
    """Refuse lexers that Lark has no indenter behind."""
    if (parser, lexer) not in [("earley", None), ("earley", "basic"), ("lalr", None), ("lalr", "basic"), ("lalr", "contextual")]:
        raise StructgenError(
            f"postlex needs parser='earley' with lexer='basic', or parser='lalr', found parser={parser!r}, lexer={lexer!r}"
        )


def in_lines(root: ir.Rule, terminals: Mapping[ir.Rule, Terminal], scanners: Scanners, first: int, settings: Indentation) -> ir.Expr:
    """The whole documents of ``root``, whose ``terminals`` have no bodies; the scanner ``first`` reads their beginning."""
    lines = _Lines(root, terminals, settings)
    document = without_loops(lines.document(root))
    lexer = LineLexer(scanners, {rule: terminal for terminal, rule in lines.known.items()}, document, settings[:3])
    contexts = Contexts(lexer, document, Place(first, 0, FREE))
    found = contexts.document(defaultdict(lambda: ir.EMPTY))
    return in_columns(found, lexer.marks(contexts), settings.tab, settings.max_column)


class _Lines:
    """The grammar as one of tokens, pieces between them, and columns.

    A rule is copied for each way to be used: behind a token, in brackets, or ``lined``: where a line may have to be begun."""

    def __init__(self, root: ir.Rule, terminals: Mapping[ir.Rule, Terminal], settings: Indentation) -> None:
        self.terminals, self.settings = terminals, settings
        self.known: dict[Terminal, ir.Rule] = {}
        self.between, self.between_inside = (ir.Choice((ir.EMPTY, self.terminal(Terminal(label)))) for label in (IGNORED, INSIDE))
        self.column = ir.Choice((ir.EMPTY, ir.Seq((self.terminal(Terminal(COLUMN)), self.between))))
        names = {rule: terminal.label for rule, terminal in terminals.items()}
        self.rules = {rule: _body(rule) for rule in _reachable(root, names)}
        self.lined = self.closure(lambda expr, known: _any(expr, known), {r for r, name in names.items() if name in settings[:3]})
        self.nullable = self.closure(_nullable, {rule for rule, name in names.items() if name == REDUCED})
        self.copies: dict[tuple[ir.Rule, bool, bool], ir.Rule] = {}
        self.todo: list[tuple[ir.Rule, bool, bool]] = []
        self.tokens: dict[tuple[ir.Rule, bool], ir.Expr] = {}
        self.at = root
        for rule, body in self.rules.items():
            self.at = rule
            if self.depths(body) != (0, 0):
                raise self.error(f"brackets ({', '.join(sorted(settings.opening))}) that are not closed in the same alternative")

    def error(self, message: str) -> StructgenError:
        return StructgenError(f"postlex: rule {self.at.name!r} has {message}, which is not supported")

    def closure(self, holds: Any, known: set[ir.Rule]) -> set[ir.Rule]:
        """The rules whose bodies have a property that depends on the rules in them."""
        size = -1
        while size != (size := len(known)):
            for rule, body in reversed(self.rules.items()):  # what a rule mentions is found behind it, mostly
                if rule not in known and holds(body, known):
                    known.add(rule)
        return known

    def terminal(self, terminal: Terminal) -> ir.Rule:
        return self.known.setdefault(terminal, ir.Rule(terminal.label))

    def name(self, expr: ir.Expr) -> str | None:
        return self.terminals[expr].label if isinstance(expr, ir.Rule) and expr in self.terminals else None

    def depths(self, expr: ir.Expr) -> tuple[int, int]:
        """By how much an expression changes the depth of brackets, and the least depth inside, at most 0."""
        name = self.name(expr)
        if name in self.settings.opening:
            return 1, 0
        if name in self.settings.closing:
            return -1, -1
        if isinstance(expr, ir.Seq):
            depth = least = 0
            for item in expr.items:
                change, inside = self.depths(item)
                least = min(least, depth + inside)
                depth += change
            return depth, least
        found = {self.depths(item) for item in _items(expr)} or {(0, 0)}
        if len({change for change, _ in found}) > 1 or (isinstance(expr, ir.Repeat) and found != {(0, 0)}):
            raise self.error("brackets that are closed in some alternatives or repetitions only")
        return min(found)

    # -- the copy ---------------------------------------------------------------------------------------------------------------

    def document(self, root: ir.Rule) -> ir.Rule:
        document = ir.Rule("document", ir.Seq((self.between, self.copy(root, False, 0), self.column, self.terminal(Terminal(END)))))
        while self.todo:
            self.at, lined, inside = self.todo.pop()
            self.copies[self.at, lined, inside].define(self.copy(self.rules[self.at], lined, int(inside)))
        return document

    def copy(self, expr: ir.Expr, lined: bool, depth: int) -> ir.Expr:
        """An expression at a depth of brackets; ``lined``: where a column may have to be read before it."""
        name, flat = self.name(expr), self.is_flat(expr)
        if isinstance(expr, ir.Rule) and name in (REDUCED, *self.settings[:3]):
            return self.terminal(self.terminals[expr]) if name == REDUCED else self.newline(expr, lined, depth)
        if lined and flat and not _nullable(expr, self.nullable):
            return ir.Seq((self.column, self.copy(expr, False, depth)))
        if isinstance(expr, ir.Choice):
            return ir.Choice(tuple([self.copy(item, lined, depth) for item in expr.items]))
        if isinstance(expr, ir.Repeat):
            again = not depth and not flat and expr.max != 1
            return ir.Repeat(self.copy(expr.item, lined or again, depth), expr.min, expr.max)
        if isinstance(expr, ir.Seq):
            return self.sequence(list(_flat(expr)), lined, depth)
        assert isinstance(expr, ir.Rule)
        if name is not None:
            return self.token(expr, depth)
        key = (expr, lined, depth > 0)
        if key not in self.copies:
            self.copies[key] = ir.Rule(expr.name)
            self.todo.append(key)
        return self.copies[key]

    def is_flat(self, expr: ir.Expr) -> bool:
        return not _any(expr, self.lined)

    def newline(self, expr: ir.Rule, lined: bool, depth: int) -> ir.Expr:
        if depth:
            return NOTHING
        if self.name(expr) != self.settings.newline:
            raise self.error(f"{self.name(expr)} without its counterpart in the same alternative")
        newline = self.terminal(self.terminals[expr])
        return ir.Seq((self.column, newline)) if lined else newline

    def token(self, expr: ir.Rule, depth: int) -> ir.Expr:
        """A token and the pieces behind it."""
        inside = depth + self.depths(expr)[0] > 0
        key = self.terminal(self.terminals[expr]), inside
        if key not in self.tokens:
            self.tokens[key] = ir.Seq((key[0], self.between_inside if inside else self.between))
        return self.tokens[key]

    def sequence(self, items: Sequence[ir.Expr], lined: bool, depth: int) -> ir.Expr:
        found, i = [], 0
        while i < len(items):
            end = self.end_of_block(items, i) if not depth and self.name(items[i]) == self.settings.indent else i
            found.append(self.block(items[i : end + 1]) if end > i else self.copy(items[i], lined, depth))
            flat = all(map(self.is_flat, items[i : end + 1]))
            depth += sum(self.depths(item)[0] for item in items[i : end + 1])
            lined = not depth and (not flat or (lined and _nullable(items[i], self.nullable)))
            i = end + 1
        return ir.Seq(tuple(found))

    def end_of_block(self, items: Sequence[ir.Expr], i: int) -> int:
        level = 0
        for end in range(i, len(items)):
            name = self.name(items[end])
            level += (name == self.settings.indent) - (name == self.settings.dedent)
            if not level:
                return end
        raise self.error(f"{self.settings.indent} without {self.settings.dedent} in the same alternative")

    def block(self, items: Sequence[ir.Expr]) -> ir.Expr:
        indent, dedent = (self.terminal(self.terminals[rule]) for rule in (items[0], items[-1]) if isinstance(rule, ir.Rule))
        return ir.Rule("block", ir.Seq((indent, self.between, self.sequence(items[1:-1], False, 0), self.column, dedent)))


def _items(expr: ir.Expr) -> tuple[ir.Expr, ...]:
    return expr.items if isinstance(expr, ir.Seq | ir.Choice) else (expr.item,) if isinstance(expr, ir.Repeat) else ()


def _flat(expr: ir.Seq) -> Iterator[ir.Expr]:
    for item in expr.items:
        if isinstance(item, ir.Seq):
            yield from _flat(item)
        else:
            yield item


def _any(expr: ir.Expr, rules: set[ir.Rule]) -> bool:
    return expr in rules if isinstance(expr, ir.Rule) else any(_any(item, rules) for item in _items(expr))


def _nullable(expr: ir.Expr, rules: set[ir.Rule]) -> bool:
    if isinstance(expr, ir.Rule):
        return expr in rules
    if isinstance(expr, ir.Repeat):
        return expr.min == 0 or _nullable(expr.item, rules)
    found = [_nullable(item, rules) for item in _items(expr)]
    return any(found) if isinstance(expr, ir.Choice) else all(found)


def _reachable(root: ir.Rule, names: Mapping[ir.Rule, Any]) -> list[ir.Rule]:
    found: dict[ir.Rule, None] = {root: None}
    todo: list[ir.Expr] = [root]
    while todo:
        expr = todo.pop()
        for item in (_body(expr),) if isinstance(expr, ir.Rule) else _items(expr):
            if not isinstance(item, ir.Rule) or (item not in found and item not in names):
                todo.append(item)
                if isinstance(item, ir.Rule):
                    found[item] = None
    return list(found)


def _body(rule: ir.Rule) -> ir.Expr:
    assert rule.body is not None
    return rule.body
