"""JSONPath: a reader from RFC 9535 that works out types afterwards; the package jsonpath-rfc9535 accepts what it accepts."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import jsonpath_rfc9535

LITERAL = re.compile(r"(?:true|false|null)(?![a-z_0-9(])|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.S)
NAME = re.compile("[A-Za-z_\x80-\U0010ffff][0-9A-Za-z_\x80-\U0010ffff]*")
INTEGER = re.compile("-?[0-9]+")
FUNCTION = re.compile(r"([a-z][a-z_0-9]*)\(")
BLANKS = re.compile("[ \t\n\r]*")
COMPARISON = re.compile("[=!<>]=|[<>]")
FORGOTTEN = re.compile("[\u1100-\ud7ff]")
"""Characters that the package does not know inside names (its pattern has \\u10FFFF for \\U0010FFFF)."""
ZERO = re.compile("(?<![0-9.])0(?=[eE])")
"""The package takes 0e1 for a number with a leading zero."""
MOST = 2**53 - 1
SIGNATURES = {"length": ["V"], "count": ["N"], "match": ["V", "V"], "search": ["V", "V"], "value": ["N"]}
LOGICAL = {"match", "search"}
TYPES = {"literal": "V", "singular": "VNL", "query": "NL", "value": "V", "test": "L"}
"""What each kind of operand can stand for: a value, nodes, a truth value."""


def accepts(text: str) -> bool:
    try:
        reader = Reader(text)
        reader.expect("$")
        reader.query()
        valid = reader.at == len(text)
    except ValueError:
        return False
    if valid:
        with suppress(OverflowError):  # of numbers like 1e999, which the package works out
            jsonpath_rfc9535.compile(ZERO.sub("1", FORGOTTEN.sub("\x80", text)))
    return valid


class Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def take(self, what: str | re.Pattern[str]) -> str | None:
        found = re.compile(re.escape(what) if isinstance(what, str) else what).match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def expect(self, what: str | re.Pattern[str]) -> str:
        found = self.take(what)
        if found is None:
            raise ValueError(what)
        return found

    def blanks(self) -> None:
        self.take(BLANKS)

    def query(self) -> str:
        """The kind of the query whose $ or @ was read. Blanks after it are left to others."""
        kind = "singular"
        while True:
            before = self.at
            self.blanks()
            begin = self.at
            if self.take(".."):
                kind = "query"
                if not self.take("*") and not self.take(NAME):
                    self.selection()
            elif self.take("."):
                if self.take("*"):
                    kind = "query"
                else:
                    self.expect(NAME)
            elif self.text[begin : begin + 1] == "[":
                self.selection()
                inside = self.text[begin + 1 : self.at - 1]
                if not STRING.fullmatch(inside) and not INTEGER.fullmatch(inside):
                    kind = "query"
            else:
                self.at = before
                return kind

    def selection(self) -> None:
        self.expect("[")
        while True:
            self.blanks()
            self.selector()
            self.blanks()
            if self.take("]"):
                return
            self.expect(",")

    def selector(self) -> None:
        if self.take("?"):
            self.blanks()
            self.expression()
        elif not self.take("*") and not self.string():
            colons, numbers = 0, 0
            while True:
                before = self.at
                self.blanks()
                if colons < 2 and self.take(":"):
                    colons, numbers = colons + 1, 0
                elif numbers == 0 and self.integer():
                    numbers = 1
                else:
                    self.at = before
                    break
            if not colons and not numbers:
                raise ValueError("no selector")

    def integer(self) -> bool:
        found = self.take(INTEGER)
        if found is not None and (str(int(found)) != found or abs(int(found)) > MOST):
            raise ValueError(found)
        return found is not None

    def string(self) -> bool:
        """Read by the json module, once its quotes are those of JSON."""
        found = self.take(STRING)
        if found is None:
            return False
        if found[0] == "'":
            found = re.sub(r"(\\')|(\\.)|(\")", lambda part: "'" if part[1] else part[2] or "?", found, flags=re.S)
            found = f'"{found[1:-1]}"' if '\\"' not in found else "no"
        json.loads(found).encode()
        return True

    def expression(self) -> None:
        while True:
            self.basic()
            before = self.at
            self.blanks()
            if not self.take("&&") and not self.take("||"):
                self.at = before
                return
            self.blanks()

    def basic(self) -> None:
        negated = self.take("!")
        self.blanks()
        if self.take("("):
            self.blanks()
            self.expression()
            self.blanks()
            self.expect(")")
            return
        kind, before = self.operand(), self.at
        self.blanks()
        if not negated and self.take(COMPARISON):
            self.blanks()
            if not ("V" in TYPES[kind] and "V" in TYPES[self.operand()]):
                raise ValueError("not comparable")
        else:
            self.at = before
            if "L" not in TYPES[kind]:
                raise ValueError("no test")

    def operand(self) -> str:
        if self.take("@") or self.take("$"):
            return self.query()
        function = FUNCTION.match(self.text, self.at)
        if function is None:
            if not self.string():
                self.expect(LITERAL)
            return "literal"
        self.at = function.end()
        for i, wanted in enumerate(SIGNATURES.get(function[1], ["unknown"])):
            self.blanks()
            if i:
                self.expect(",")
                self.blanks()
            if wanted not in TYPES[self.operand()]:
                raise ValueError("wrong type")
        self.blanks()
        self.expect(")")
        return "test" if function[1] in LOGICAL else "value"
