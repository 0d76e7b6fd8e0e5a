"""Reading grammar texts: a position, errors that show it, and rules that may be used before they are defined."""

from __future__ import annotations

import re
from collections.abc import Callable

from structgen.automata import ir
from structgen.errors import GrammarSyntaxError, LimitExceeded

__all__ = ["GrammarReader"]

MAX_NESTING = 100
SURROGATE = re.compile("[\ud800-\udfff]")


class GrammarReader:
    """Base of the parsers of grammar languages."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.rules: dict[str, ir.Rule] = {}
        self.used: dict[str, int] = {}  # where a rule is first mentioned
        self.depth = 0
        if surrogate := SURROGATE.search(text):
            raise self.error("this is no character of Unicode", surrogate.start())

    def error(self, message: str, at: int | None = None) -> GrammarSyntaxError:
        return GrammarSyntaxError(message, text=self.text, position=self.at if at is None else at)

    def peek(self, ahead: int = 0) -> str:
        return self.text[self.at + ahead : self.at + ahead + 1]

    def found(self) -> str:
        return repr(self.peek()) if self.peek() else "the end"

    def take(self, what: str) -> bool:
        """Whether this text comes next; if so, go on behind it."""
        here = self.text.startswith(what, self.at)
        self.at += len(what) if here else 0
        return here

    def expect(self, what: str, where: str = "") -> None:
        if not self.take(what):
            raise self.error(f"expected {what!r}{where}, found {self.found()}")

    def match(self, pattern: re.Pattern[str], what: str) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise self.error(f"expected {what}, found {self.found()}")
        self.at = match.end()
        return match[0]

    def alternatives(self, sequence: Callable[[], ir.Expr], space: Callable[[], object]) -> ir.Expr:
        """What ``sequence`` reads, again behind each ``|`` and the ``space`` there."""
        found = [sequence()]
        while self.take("|"):
            space()
            found.append(sequence())
        return found[0] if len(found) == 1 else ir.Choice(tuple(found))

    def character(self, code: int, at: int) -> int:
        """The code point itself, an error if it is no character."""
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise self.error("this is no character of Unicode", at)
        return code

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise LimitExceeded("nesting of groups", MAX_NESTING, "a grammar")

    def reference(self, name: str, at: int) -> ir.Rule:
        """The rule of this name, defined or not."""
        self.used.setdefault(name, at)
        return self.rules.setdefault(name, ir.Rule(name))

    def define(self, name: str, at: int, body: ir.Expr) -> None:
        rule = self.reference(name, at)
        if rule.body is not None:
            raise self.error(f"rule {name!r} is defined twice", at)
        rule.define(body)

    def start(self, name: str) -> ir.Rule:
        """The start rule, once all rules are read."""
        for used, at in self.used.items():
            if self.rules[used].body is None:
                raise self.error(f"rule {used!r} is used but not defined", at)
        if name not in self.rules:
            raise self.error(f"there is no rule {name!r} to start with; there are: {', '.join(self.rules) or 'none'}", 0)
        return self.rules[name]
