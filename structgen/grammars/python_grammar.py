"""Python's grammar, written for tokens (library/python.gram), as a grammar for texts: white space, words that must not touch, indentation.

White space belongs to the token before it. An expression is written for the place before it and the places that it may end at
(`_python_tokens`), which is the product of the grammar and an automaton of three states (Bar-Hillel, Perles & Shamir, 1961); for
what is white space there; and, where it has lines, for the column of its block. Everything else is shared by all columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

from structgen.automata import ir
from structgen.errors import StructgenError

from ._lark_contexts import NOTHING, either, sequence
from ._python_tokens import CONTEXTS, FREE, MAY, NEVER, QUOTES, WORD, Token, fstring, kinds, literal, space
from .constraint import Constraint

__all__ = ["python_grammar"]

MAX_COLUMN = 80
"""The greatest column of a block."""
OPENING, CLOSING = (b"(", b"[", b"{"), (b")", b"]", b"}")

Places = frozenset[int]
PIECES = re.compile(r"'[^']+'|\w+|\S")


def python_grammar(text: str, *, start: str = "file") -> Constraint:
    """The texts of a rule of a grammar in the notation of python.gram."""
    rules = _Reader(text).rules
    if not isinstance(start, str) or start not in rules:
        raise StructgenError(f"there is no rule {start!r:.100} to start with; there are: {', '.join(rules)}")
    return Constraint(_Writer(rules).document(start))


class _Reader:
    """Rules as expressions; kinds of tokens are rules without a body, tokens are bytes."""

    def __init__(self, text: str) -> None:
        self.rules: dict[str, ir.Rule] = {}
        lines = re.sub(r"(?m)^#.*\n", "", text)
        for name, body in re.findall(r"(?ms)^(\w+):(.*?)(?=^\w|\Z)", lines):
            self.pieces = PIECES.findall(body)[::-1]
            self.rule(name).define(self.choice())

    def rule(self, name: str) -> ir.Rule:
        return self.rules.setdefault(name, ir.Rule(name))

    def take(self, *pieces: str) -> str:
        return self.pieces.pop() if self.pieces and self.pieces[-1] in pieces else ""

    def choice(self) -> ir.Expr:
        found = [self.sequence()]
        while self.take("|"):
            found.append(self.sequence())
        return found[0] if len(found) == 1 else ir.Choice(tuple(found))

    def sequence(self) -> ir.Expr:
        found = []
        while self.pieces and self.pieces[-1] not in "|)]":
            found.append(self.repeated())
        return found[0] if len(found) == 1 else ir.Seq(tuple(found))

    def repeated(self) -> ir.Expr:
        found = self.item()
        if self.take("."):
            item = self.item()
            self.take("+")
            return ir.Seq((item, ir.Repeat(ir.Seq((found, item)))))
        mark = self.take("*", "+")
        return ir.Repeat(found, "*+".index(mark)) if mark else found

    def item(self) -> ir.Expr:
        piece = self.pieces.pop()
        if piece in "([":
            found = self.choice()
            self.pieces.pop()
            return ir.Repeat(found, 0, 1) if piece == "[" else found
        return ir.Bytes(piece[1:-1].encode()) if piece[0] == "'" else self.rule(piece)


class Facts(NamedTuple):
    nullable: bool = False
    firsts: Places = frozenset()
    """The places where its words may not stand: one for each kind of first token."""
    lasts: Places = frozenset()
    """The places behind its words."""


NOWHERE, BEHIND = frozenset({FREE}), frozenset({FREE})
FACTS = {"LINE": Facts(False, NOWHERE, BEHIND), "INDENT": Facts(False, NOWHERE, BEHIND), "fstring": Facts(False, frozenset({WORD}), BEHIND)}
"""Of what is written here and not in the file."""


class Setting(NamedTuple):
    """What an expression is written for."""

    context: str
    column: int
    place: int
    ends: Places


class _Writer:
    def __init__(self, rules: dict[str, ir.Rule]) -> None:
        self.rules = rules
        self.kinds = {context: kinds(context) for context in CONTEXTS}
        known = set(FACTS).union(*self.kinds.values())
        if unknown := [name for name, rule in rules.items() if rule.body is None and name not in known]:
            raise StructgenError(f"neither rules nor kinds of tokens: {', '.join(unknown)}")
        self.facts: dict[ir.Rule, Facts] = {}
        self.known: dict[int, Facts] = {}
        self.find_facts()
        self.in_lines = self.find_lines()
        self.written: dict[object, ir.Expr] = {}
        self.todo: list[tuple[ir.Rule, ir.Expr, Setting]] = []

    def document(self, start: str) -> ir.Rule:
        document = ir.Rule(start)
        self.todo.append((document, self.body(self.rules[start]), Setting("line", 0, FREE, frozenset({FREE, WORD}))))
        while self.todo:
            rule, body, setting = self.todo.pop()
            rule.define(self.write(body, setting))
        return document

    def body(self, rule: ir.Rule) -> ir.Expr:
        assert rule.body is not None
        return rule.body

    # -- what is known of expressions -------------------------------------------------------------------------------------------

    def find_facts(self) -> None:
        """The least fixpoint, for rules."""
        before: dict[ir.Rule, Facts] = {}
        while before != self.facts or not before:
            before = dict(self.facts)
            for rule in self.rules.values():
                if rule.body is not None:
                    self.known = {}
                    self.facts[rule] = self.of(rule.body)
        self.known = {}

    def of(self, expr: ir.Expr) -> Facts:
        if id(expr) not in self.known:
            self.known[id(expr)] = self.find(expr)
        return self.known[id(expr)]

    def find(self, expr: ir.Expr) -> Facts:
        if isinstance(expr, ir.Rule):
            if expr.name in FACTS:
                return FACTS[expr.name]
            return self.facts.get(expr, Facts()) if expr.body is not None else self.of_tokens(self.tokens(expr))
        if isinstance(expr, ir.Bytes):
            return self.of_tokens(self.tokens(expr))
        if isinstance(expr, ir.Repeat):
            return self.of(expr.item)._replace(nullable=expr.min == 0)
        found = [self.of(item) for item in expr.items]  # type: ignore[attr-defined]
        if isinstance(expr, ir.Choice):
            return reduce(_either, found)
        return reduce(_after, found, Facts(True))

    def of_tokens(self, tokens: list[Token]) -> Facts:
        lasts = {place for token in tokens for place in (token.last, FREE)}
        return Facts(False, frozenset(token.first for token in tokens), frozenset(lasts))

    def find_lines(self) -> set[ir.Rule]:
        """The rules that have lines."""
        found: set[ir.Rule] = {rule for name, rule in self.rules.items() if name in ("LINE", "INDENT")}
        while True:
            more = {rule for rule in self.rules.values() if rule.body is not None and found & _mentioned(rule.body)} - found
            if not more:
                return found
            found |= more

    def tokens(self, expr: ir.Expr, context: str = "") -> list[Token]:
        if isinstance(expr, ir.Bytes):
            return [literal(expr.value.decode())]
        assert isinstance(expr, ir.Rule)
        contexts = [context] if context else self.kinds
        return [token for name in contexts for token in self.kinds[name].get(expr.name, [])]

    # -- expressions ------------------------------------------------------------------------------------------------------------

    def write(self, expr: ir.Expr, at: Setting) -> ir.Expr:
        """The words of an expression that may stand at a place and end at others."""
        at = _simpler(self.of(expr), at)
        if not at.ends:
            return NOTHING
        if isinstance(expr, ir.Seq):
            return self.items(expr, 0, self.contexts(expr, at.context), at)
        key = (id(expr), at)
        if key not in self.written:
            self.written[key] = WRITE[type(expr)](self, expr, at)
        return self.written[key]

    def contexts(self, expr: ir.Seq, context: str) -> list[str]:
        """The context of each item: within brackets or not."""
        inner = "bracket" if context == "line" else context
        found, depth = [], 0
        for item in expr.items:
            bracket = item.value if isinstance(item, ir.Bytes) else b""
            depth += (bracket in OPENING) - (bracket in CLOSING)
            found.append(inner if depth else context)
        return found

    def choice(self, expr: ir.Choice, at: Setting) -> ir.Expr:
        return either(self.write(item, at) for item in expr.items)

    def items(self, expr: ir.Seq, i: int, contexts: list[str], at: Setting) -> ir.Expr:
        """The items of a sequence from one on."""
        if i == len(expr.items):
            return ir.EMPTY if at.place in at.ends else NOTHING
        at = _simpler(reduce(_after, map(self.of, expr.items[i:]), Facts(True)), at)
        if not at.ends:
            return NOTHING
        key = (id(expr), i, at)
        if key not in self.written:
            self.written[key] = self.first_and_rest(expr, i, contexts, at)
        return self.written[key]

    def first_and_rest(self, expr: ir.Seq, i: int, contexts: list[str], at: Setting) -> ir.Expr:
        item = expr.items[i]
        if isinstance(item, ir.Rule) and item.name == "INDENT":
            return sequence(self.indentation(at), self.deeper(expr, i, contexts, at))
        facts = self.of(item)
        groups: dict[int, tuple[ir.Expr, set[int]]] = {}
        for place in sorted(facts.lasts | ({at.place} if facts.nullable else set())):
            rest = self.items(expr, i + 1, contexts, at._replace(place=place))
            groups.setdefault(id(rest), (rest, set()))[1].add(place)
        here = at._replace(context=contexts[i])
        return either(sequence(self.write(item, here._replace(ends=frozenset(ends))), rest) for rest, ends in groups.values())

    def deeper(self, expr: ir.Seq, i: int, contexts: list[str], at: Setting) -> ir.Expr:
        """More spaces, then the rest of a sequence in that column."""
        if at.column == MAX_COLUMN:
            return NOTHING
        after = at._replace(column=at.column + 1)
        key = (id(expr), i, after, "deeper")
        if key not in self.written:
            self.written[key] = rule = ir.Rule("INDENT")
            rest = either((self.items(expr, i + 1, contexts, after), self.deeper(expr, i, contexts, after)))
            rule.define(ir.Seq((ir.Bytes(b" "), rest)))
        return self.written[key]

    def repeat(self, expr: ir.Repeat, at: Setting) -> ir.Expr:
        empty = ir.EMPTY if expr.min == 0 and at.place in at.ends else NOTHING
        if expr.max == 1:
            return either((empty, self.write(expr.item, at)))
        return either((empty, self.loop(expr.item, at)))

    def loop(self, item: ir.Expr, at: Setting) -> ir.Expr:
        """Once or more often: from place to place by way of more and more of them (S. C. Kleene, Representation of events, 1956)."""
        lasts = self.of(item).lasts
        if lasts <= at.ends:
            whole = self.write(item, at._replace(place=FREE))
            if all(self.write(item, at._replace(place=place)) is whole for place in lasts | {at.place}):
                return ir.Repeat(whole, 1)
        ways = {(i, j): self.write(item, at._replace(place=i, ends=frozenset({j}))) for i in lasts | {at.place} for j in lasts}
        for via in sorted(lasts):
            again = ways[via, via]
            loop = ir.EMPTY if again is NOTHING else ir.Repeat(again)
            ways = {(i, j): either((way, sequence(sequence(ways[i, via], loop), ways[via, j]))) for (i, j), way in ways.items()}
        return either(ways[at.place, j] for j in sorted(lasts & at.ends))

    def rule(self, rule: ir.Rule, at: Setting) -> ir.Expr:
        if rule.name == "LINE":
            return self.indentation(at)
        if rule.name == "fstring":
            return self.fstring(at)
        if rule.body is None:
            return either(self.token(token, at) for token in self.tokens(rule, at.context))
        if rule.name[0] == "_":
            return self.write(rule.body, at)
        if rule not in self.in_lines and at.column:
            return self.write(rule, at._replace(column=0))
        written = ir.Rule(rule.name)
        self.todo.append((written, rule.body, at))
        return written

    def indentation(self, at: Setting) -> ir.Expr:
        return ir.Bytes(b" " * at.column) if at.column else ir.EMPTY

    def bytes(self, expr: ir.Bytes, at: Setting) -> ir.Expr:
        return self.token(self.tokens(expr)[0], at)

    def token(self, token: Token, at: Setting) -> ir.Expr:
        """A token and the white space behind it."""
        if token.first == at.place != FREE:
            return NOTHING
        word = token.words
        if token.space == NEVER:
            return word if token.last in at.ends else NOTHING
        may, must = space(at.context)
        if FREE not in at.ends:
            return word if token.last in at.ends and token.space == MAY else NOTHING
        return sequence(word, may if token.last in at.ends and token.space == MAY else must)

    def fstring(self, at: Setting) -> ir.Expr:
        if at.context in QUOTES:
            return NOTHING  # f-strings in f-strings are left out
        found = []
        for quote, context in QUOTES.items():
            field = self.write(self.rules["field"], Setting(context, 0, FREE, frozenset({FREE})))
            for raw in (False, True):
                begin, before, last, end = fstring(quote, raw)
                parts = [part.words for part in (begin, before, last)]
                found.append(ir.Seq((parts[0], ir.Repeat(ir.Seq((parts[1], field))), parts[2], self.token(end, at))))
        return ir.Rule("fstring", either(found))


WRITE: dict[type[ir.Expr], Callable[[_Writer, Any, Setting], ir.Expr]] = {
    ir.Choice: _Writer.choice,
    ir.Repeat: _Writer.repeat,
    ir.Rule: _Writer.rule,
    ir.Bytes: _Writer.bytes,
}


def _after(first: Facts, then: Facts) -> Facts:
    return Facts(
        first.nullable and then.nullable,
        first.firsts | (then.firsts if first.nullable else frozenset()),
        then.lasts | (first.lasts if then.nullable else frozenset()),
    )


def _either(one: Facts, other: Facts) -> Facts:
    return Facts(one.nullable or other.nullable, one.firsts | other.firsts, one.lasts | other.lasts)


def _simpler(facts: Facts, at: Setting) -> Setting:
    """A setting in which an expression has the same words; one without ends if it has none."""
    ends = at.ends & (facts.lasts | ({at.place} if facts.nullable else frozenset()))
    if not facts.nullable and facts.firsts == {at.place} != {FREE}:
        ends = frozenset()
    free = at.place not in facts.firsts and (not facts.nullable or {FREE, at.place} <= ends)
    return at._replace(place=FREE if free else at.place, ends=ends)


def _mentioned(expr: ir.Expr) -> set[ir.Rule]:
    if isinstance(expr, ir.Rule):
        return {expr}
    items = expr.items if isinstance(expr, (ir.Seq, ir.Choice)) else (expr.item,) if isinstance(expr, ir.Repeat) else ()
    return set().union(*map(_mentioned, items))
