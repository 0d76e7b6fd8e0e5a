"""EBNF as the World Wide Web Consortium writes it (XML 1.0, section 6), into expressions of the machine.

Rules are ``Name ::= expression``, also numbered (``[12] Name ::= ...``); comments ``/* ... */``; notes (``[wfc: ...]``, ``[vc: ...]``)
are skipped. ``A - B`` is exact where both are regular (without recursion), and an error elsewhere.
"""

from __future__ import annotations

import re

from structgen.automata import chardfa, ir
from structgen.automata.charset import ANY, difference, intersect, normalize
from structgen.errors import LimitExceeded, StructgenError

from ._grammar_reader import MAX_NESTING, GrammarReader
from .regular import language, rules_in

__all__ = ["parse_ebnf"]

SPACE = re.compile(r"(?:\s|/\*(?:[^*]|\*(?!/))*\*/|\[\s*(?:wfc|vc|WFC|VC)\s*:[^\]]*\])*")
NAME = re.compile(r"[A-Za-z_][\w.]*(?:-[\w.]+)*")
HEAD = re.compile(r"(?:\[\s*[0-9]+[a-z]?\s*\]\s*)?([A-Za-z_][\w.]*(?:-[\w.]+)*)\s*::=")
CODE = re.compile(r"#x([0-9a-fA-F]{1,8})")
QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
REPEATS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def parse_ebnf(text: str, start: str | None = None) -> ir.Rule:
    """The start rule of a grammar: the first one, unless ``start`` names another.

    Raises `GrammarSyntaxError` with line, column and a caret, `LimitExceeded` for groups nested too deeply.

    >>> parse_ebnf("answer ::= 'yes' | 'no'")
    Rule('answer')
    """
    try:
        return _Parser(text).grammar(start)
    except RecursionError:
        raise LimitExceeded("nesting of groups", MAX_NESTING, "a grammar") from None


class _Parser(GrammarReader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.differences: list[tuple[ir.Rule, ir.Expr, ir.Expr, int]] = []  # rule, from what, what, where

    def space(self) -> None:
        self.match(SPACE, "")
        if self.text.startswith("/*", self.at):
            raise self.error("this comment does not end")

    def grammar(self, start: str | None) -> ir.Rule:
        self.space()
        first = ""
        while self.peek():
            head = self.head()
            if head is None:
                raise self.error(f"expected a rule (Name ::= ...), found {self.found()}")
            first = first or head[1]
            self.at = head.end()
            self.space()
            self.define(head[1], head.start(1), self.alternatives(self.sequence, self.space))
        rule = self.start(start or first or "the first one")
        self.subtract()
        return rule

    def head(self) -> re.Match[str] | None:
        """The name of a rule and ``::=``. A number before it is the first thing on its line: elsewhere ``[12]`` is a class."""
        found = HEAD.match(self.text, self.at)
        if found is None or self.peek() != "[":
            return found
        before = self.at
        while before and self.text[before - 1] in " \t":
            before -= 1
        return found if before == 0 or self.text[before - 1] in "\r\n" else None

    def subtract(self) -> None:
        """Work out all differences, those inside others first."""
        todo = self.differences
        while todo:
            holes = {hole for hole, *_ in todo}
            ready = [d for d in todo if not (rules_in(d[1]) | rules_in(d[2])) & holes]
            if not ready:
                raise self.error("a difference needs itself", todo[0][3])
            for hole, whole, part, at in ready:
                try:
                    hole.define(_difference(whole, part))
                except StructgenError as error:
                    raise self.error(f"cannot subtract here: {error}", at) from None
            todo = [d for d in todo if d not in ready]

    def sequence(self) -> ir.Expr:
        items: list[ir.Expr] = []
        while self.peek() and self.peek() not in "|)" and not self.head():
            items.append(self.difference())
        return items[0] if len(items) == 1 else ir.Seq(tuple(items))

    def difference(self) -> ir.Expr:
        found = self.repeated()
        while self.peek() == "-":
            at = self.at
            self.at += 1
            self.space()
            hole = ir.Rule("difference")
            self.differences.append((hole, found, self.repeated(), at))
            found = hole
        return found

    def repeated(self) -> ir.Expr:
        found = self.item()
        self.space()
        while self.peek() and self.peek() in REPEATS:
            found = ir.Repeat(found, *REPEATS[self.peek()])
            self.at += 1
            self.space()
        return found

    def item(self) -> ir.Expr:
        at = self.at
        if self.take("("):
            self.enter()
            self.space()
            found = self.alternatives(self.sequence, self.space)
            self.expect(")", " at the end of the group")
            self.depth -= 1
            return found
        if self.peek() in ('"', "'"):
            return ir.Bytes(self.match(QUOTED, "the closing quote")[1:-1].encode())
        if self.peek() == "#":
            code = self.code()
            return ir.Chars(((code, code),))
        if self.take("["):
            return self.char_class()
        return self.reference(self.match(NAME, "a name, a text, a class or a group"), at)

    def code(self) -> int:
        at = self.at
        return self.character(int(self.match(CODE, "#x and hexadecimal digits")[2:], 16), at)

    def class_character(self) -> int:
        if not self.peek():
            raise self.error("the grammar ends inside a class")
        if self.text.startswith("#x", self.at):
            return self.code()
        self.at += 1
        return ord(self.text[self.at - 1])

    def char_class(self) -> ir.Expr:
        negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        while not self.take("]"):
            at = self.at
            first = last = self.class_character()
            if self.peek() == "-" and self.peek(1) not in ("]", ""):
                self.at += 1
                last = self.class_character()
            if last < first:
                raise self.error("this range is backward", at)
            ranges.append((first, last))
        chosen = difference(ANY, normalize(ranges)) if negated else intersect(ANY, normalize(ranges))
        return ir.Chars(chosen) if chosen else ir.Choice(())


def _difference(whole: ir.Expr, part: ir.Expr) -> ir.Expr:
    dfa = chardfa.difference(language(whole), language(part))
    if chardfa.is_empty(dfa):
        return ir.Choice(())
    if chardfa.length_bounds(dfa) == (1, 1):
        ranges = [r for row, ranges in zip(dfa.table[0], dfa.class_ranges(), strict=True) if row >= 0 for r in ranges]
        return ir.Chars(normalize(ranges))
    return ir.Regular(dfa)
