"""GBNF, the grammar language of llama.cpp, as its own parser reads it (llama-grammar.cpp), into expressions of the machine.

Deliberate differences: a rule defined twice is an error (there, the last definition wins); every bound of a repetition is exact
(there, a greatest number above 2000 means no bound, and a least one is an error); left recursion works.
"""

from __future__ import annotations

import re
import string

from structgen.automata import ir
from structgen.automata.charset import ANY, difference, intersect, normalize
from structgen.errors import LimitExceeded

from ._grammar_reader import MAX_NESTING, GrammarReader

__all__ = ["parse_gbnf"]

MAX_COUNT = 10**9
SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
SPACE_OR_NEWLINE = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
NAME = re.compile(r"[a-zA-Z0-9-]+")
TOKEN, TOKEN_ID = re.compile("<[^>]+>"), re.compile(r"<\[[0-9]{1,9}\]>")
NUMBER = re.compile(r"[0-9]+")
ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-"}
HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
REPEATS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def parse_gbnf(text: str, start: str = "root") -> ir.Rule:
    """The start rule of a grammar.

    Raises `GrammarSyntaxError` with line, column and a caret, `LimitExceeded` for groups nested too deeply.

    >>> parse_gbnf('root ::= "yes" | "no"')
    Rule('root')
    """
    try:
        return _Parser(text).grammar(start)
    except RecursionError:
        raise LimitExceeded("nesting of groups", MAX_NESTING, "a grammar") from None


class _Parser(GrammarReader):
    def space(self, newline: bool) -> None:
        self.match(SPACE_OR_NEWLINE if newline else SPACE, "")

    def char(self) -> int:
        """One character of a literal or a class."""
        begin = self.at
        if not self.peek():
            raise self.error("the grammar ends inside a literal or a class")
        self.at += 1
        if self.text[begin] != "\\":
            code = ord(self.text[begin])
        else:
            letter = self.peek()
            self.at += 1
            if letter in ESCAPES:
                return ord(ESCAPES[letter])
            if letter not in HEX_DIGITS:
                raise self.error(f"unknown escape \\{letter}", begin)
            digits = self.text[self.at : self.at + HEX_DIGITS[letter]]
            if len(digits) < HEX_DIGITS[letter] or not set(digits) <= set(string.hexdigits):
                raise self.error(f"expected {HEX_DIGITS[letter]} hexadecimal digits")
            self.at += len(digits)
            code = int(digits, 16)
        return self.character(code, begin)

    # -- grammar --------------------------------------------------------------------------------------------------------------

    def grammar(self, start: str) -> ir.Rule:
        self.space(True)
        while self.peek():
            self.rule()
        return self.start(start)

    def rule(self) -> None:
        at = self.at
        name = self.match(NAME, "the name of a rule")
        self.space(False)
        self.expect("::=", f" after the rule name {name!r}")
        self.space(True)
        self.define(name, at, self.body(nested=False))
        if self.peek() and not (self.take("\r\n") or self.take("\r") or self.take("\n")):
            raise self.error(f"expected the end of rule {name!r}, found {self.peek()!r}")
        self.space(True)

    def body(self, nested: bool) -> ir.Expr:
        return self.alternatives(lambda: self.sequence(nested), lambda: self.space(True))

    def sequence(self, nested: bool) -> ir.Expr:
        items: list[ir.Expr] = []
        while True:
            begin, char = self.at, self.peek()
            if char and char in "*+?{":
                if not items:
                    raise self.error(f"there is nothing before {char!r} to repeat")
                low, high = self.bounds(nested)
                if high is not None and high < low:
                    raise self.error(f"a repetition of at least {low} and at most {high} times", begin)
                items[-1] = ir.Repeat(items[-1], low, high)
            elif char and (char in '"[(.<!' or NAME.match(char)):
                items.append(self.item(char))
            else:
                return items[0] if len(items) == 1 else ir.Seq(tuple(items))
            self.space(nested)

    def bounds(self, nested: bool) -> tuple[int, int | None]:
        char = self.peek()
        self.at += 1
        if char in REPEATS:
            return REPEATS[char]
        self.space(nested)
        low = high = self.number(nested)
        unbounded = False
        if self.take(","):
            self.space(nested)
            unbounded = not NUMBER.match(self.text, self.at)
            high = 0 if unbounded else self.number(nested)
        self.expect("}", " at the end of the bounds")
        return low, None if unbounded else high

    def number(self, nested: bool) -> int:
        at = self.at
        digits = self.match(NUMBER, "a number")
        if len(digits) > 10 or int(digits) > MAX_COUNT:
            raise self.error(f"at most {MAX_COUNT} repetitions", at)
        self.space(nested)
        return int(digits)

    def item(self, char: str) -> ir.Expr:
        if char == '"':
            return self.literal()
        if char == "[":
            return self.char_class()
        if char == "(":
            return self.group()
        if char == ".":
            self.at += 1
            return ir.Chars(ANY)
        if char == "<":
            return self.token()
        if char == "!":
            raise self.error("any token but one (!<...>) cannot be enforced: it may end inside a character")
        at = self.at
        return self.reference(self.match(NAME, "the name of a rule"), at)

    def token(self) -> ir.Expr:
        """``<[1234]>`` by its id, ``<name>`` by its name, angle brackets included."""
        name = self.match(TOKEN, "a token: <name> or <[id]>")
        return ir.Token(int(name[2:-2]) if TOKEN_ID.fullmatch(name) else name)

    def literal(self) -> ir.Expr:
        self.at += 1
        codes = []
        while not self.take('"'):
            codes.append(self.char())
        return ir.Bytes("".join(map(chr, codes)).encode())

    def char_class(self) -> ir.Expr:
        self.at += 1
        negated, empty = self.take("^"), True
        ranges: list[tuple[int, int]] = []
        while not self.take("]"):
            first = last = self.char()
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                last = self.char()
            empty = False
            ranges += [(first, last)] if first <= last else []
        if empty:  # as llama.cpp reads it: no character at all is asked for
            return ir.EMPTY
        chosen = difference(ANY, normalize(ranges)) if negated else intersect(ANY, normalize(ranges))
        return ir.Chars(chosen) if chosen else ir.Choice(())

    def group(self) -> ir.Expr:
        self.at += 1
        self.enter()
        self.space(True)
        found = self.body(nested=True)
        self.expect(")", " at the end of the group")
        self.depth -= 1
        return found
