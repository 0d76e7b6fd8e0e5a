"""Python: the parser of the running interpreter (`ast.parse`), and what library/python.gram leaves out, found by reading the text."""

from __future__ import annotations

import ast
import re
import warnings

MAX_COLUMN = 80
NEWER = ("TryStar", "TypeAlias", "TemplateStr")
PREFIX = re.compile(r"(?i:b|u|r|f|br|rb|fr|rf)?(?=['\"])")
NUMBER = re.compile(
    r"0[xX](_?[0-9a-fA-F])+|0[oO](_?[0-7])+|0[bB](_?[01])+|((\d(_?\d)*)?\.\d(_?\d)*|\d(_?\d)*\.?)([eE][-+]?\d(_?\d)*)?[jJ]?", re.ASCII
)
BLANK_LINE = re.compile(r"[ \t\f]*(#[^\n]*)?\n")


class LeftOut(Exception):
    """A text of Python that is not in the grammar."""


def accepts(text: str) -> bool:
    if re.search("[\r\0\ud800-\udfff]", text) or text.startswith("\ufeff") or (text and not text.endswith("\n")):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    try:
        _Reader(text).module()
    except LeftOut:
        return False
    return not any(map(is_newer, ast.walk(tree)))


def is_newer(node: ast.AST) -> bool:
    """Whether this came after Python 3.10, or is an f-string as a pattern."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        items = node.slice.elts
        in_brackets = items and (node.slice.lineno, node.slice.col_offset) < (items[0].lineno, items[0].col_offset)
        return not in_brackets and any(isinstance(item, ast.Starred) for item in items)
    if isinstance(node, (ast.MatchValue, ast.MatchMapping)):
        keys = [node.value] if isinstance(node, ast.MatchValue) else node.keys
        return any(isinstance(key, ast.JoinedStr) for key in keys)
    starred = isinstance(node, ast.arg) and isinstance(node.annotation, ast.Starred)
    return starred or bool(getattr(node, "type_params", [])) or type(node).__name__ in NEWER


class _Reader:
    """A text that Python accepts, token by token."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def peek(self, width: int = 1) -> str:
        return self.text[self.at : self.at + width]

    def leave_out(self, condition: object) -> None:
        if condition:
            raise LeftOut

    def module(self) -> None:
        depth = 0
        self.indentation()
        while self.at < len(self.text):
            char = self.peek()
            if char == "#":
                self.at = self.text.index("\n", self.at)
            elif char == "\n":
                self.at += 1
                if depth == 0:
                    self.indentation()
            elif not self.word_or_literal():
                depth += (char in "([{") - (char in ")]}")
                self.at += 2 if char == "\\" else 1

    def indentation(self) -> None:
        """Blank lines, then the spaces before a statement."""
        while found := BLANK_LINE.match(self.text, self.at):
            self.at = found.end()
        spaces = re.compile(" *").match(self.text, self.at)
        assert spaces is not None
        self.leave_out(len(spaces[0]) > MAX_COLUMN or self.text[spaces.end() : spaces.end() + 1] in ("\t", "\f", "\\"))
        self.at = spaces.end()

    def word_or_literal(self) -> bool:
        """Go on behind a name, a number or a string."""
        prefix = PREFIX.match(self.text, self.at)
        char = self.peek()
        if prefix is not None:
            self.string(prefix[0].lower())
        elif (char.isdigit() and char.isascii()) or (char == "." and self.peek(2)[1:].isdigit() and self.peek(2)[1:].isascii()):
            number = NUMBER.match(self.text, self.at)
            assert number is not None
            self.at = number.end()
            self.leave_out(self.is_wordlike())
        elif self.is_wordlike():
            while self.is_wordlike():
                self.at += 1
        else:
            return False
        return True

    def is_wordlike(self) -> bool:
        return ("a" + self.peek()).isidentifier() and bool(self.peek())

    def string(self, prefix: str) -> None:
        self.at += len(prefix)
        quote = self.peek(3) if self.peek(3) in ('"""', "'''") else self.peek()
        start = self.at = self.at + len(quote)
        if "f" in prefix:
            self.fstring(quote, "r" in prefix)
            return
        while not self.text.startswith(quote, self.at):
            self.leave_out(self.peek(2) == "\\N" and prefix in ("", "u"))
            self.at += 2 if self.peek() == "\\" else 1
        empty = self.at == start and len(quote) == 1
        self.at += len(quote)
        self.leave_out(empty and PREFIX.match(self.text, self.at))

    # -- f-strings --------------------------------------------------------------------------------------------------------------

    def fstring(self, quote: str, raw: bool) -> None:
        while not self.text.startswith(quote, self.at):
            two = self.peek(2)
            if two in ("{{", "}}"):
                self.at += 2
            elif two[0] == "{":
                self.field(quote, nested=False)
            elif two[0] == "\\" and (two[1] not in "{}" or not raw):
                self.leave_out(two[1] in "{}" or (two[1] == "N" and not raw))
                self.at += 2
            else:
                self.at += 1
        self.at += len(quote)

    def field(self, quote: str, nested: bool) -> None:
        self.at += 1
        depth, before = 0, "{"  # brackets, and the token before
        while True:
            char = self.peek()
            self.leave_out(char in "\\#" or (char == "\n" and len(quote) == 1))
            if depth == 0 and (char in "}:" or (char == "!" and self.peek(2) != "!=")):
                break
            prefix = PREFIX.match(self.text, self.at)
            start = self.at
            if prefix is not None:
                self.inner_string(prefix[0].lower(), quote)
                before = "string"
            elif self.word_or_literal():
                before = self.text[start : self.at]
            else:
                self.leave_out(char == "*" and depth == 0 and before in ("{", ",", "yield"))
                depth += (char in "([{") - (char in ")]}")
                before = before if char.isspace() else char
                self.at += 1
        if self.peek() == "!":
            self.leave_out(not re.compile("![rsa][:}]").match(self.text, self.at))
            self.at += 2
        if self.peek() == ":":
            self.at += 1
            while self.peek() != "}":
                self.leave_out(self.peek() in "\\\n" or self.peek() in quote)
                self.leave_out(len(quote) > 1 and self.peek() in "'\"")
                if self.peek() == "{":
                    self.leave_out(nested or self.peek(2) == "{{")
                    self.field(quote, nested=True)
                else:
                    self.at += 1
        self.at += 1

    def inner_string(self, prefix: str, quote: str) -> None:
        """One line without quotes and backslashes."""
        self.at += len(prefix)
        inner = self.peek()
        self.leave_out("f" in prefix or inner == quote or self.peek(3) == inner * 3)
        self.at += 1
        while self.peek() != inner:
            self.leave_out(self.peek() in "\\\n'\"")
            self.at += 1
        self.at += 1
        self.leave_out(PREFIX.match(self.text, self.at))
