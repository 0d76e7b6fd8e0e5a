"""Grammars written out again: from expressions of the machine to GBNF, W3C EBNF or Lark.

What a notation cannot express exactly is an error: scopes of distinct names (JSON objects without duplicate keys), bytes that are
no text. Automata (differences, look-arounds) are written as rules, one for each state.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

from structgen.automata import ir
from structgen.automata.chardfa import CharDfa
from structgen.automata.charset import ANY, Ranges, difference
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["NOTATIONS", "write_grammar"]

MAX_TEXT = 10_000_000
"""Characters that are written."""
MAX_UNROLLED = 100
"""Rounds of a repetition written out one by one, where a notation has no bounds."""
ALTERNATIVES, SEQUENCE, REPEATED, ATOM = 0, 1, 2, 3
"""How tightly a piece of text binds."""


def write_grammar(expr: ir.Expr, notation: str) -> str:
    """The grammar of an expression as text; ``notation`` is "gbnf", "ebnf" or "lark". The start rule comes first.

    >>> print(write_grammar(ir.Bytes(b"a") | ir.Bytes(b"b"), "gbnf"), end="")
    root ::= "a" | "b"
    """
    if not isinstance(expr, ir.Expr):
        raise StructgenError(f"expected an expression (constraint.expr), found {type(expr).__name__}")
    if notation not in list(NOTATIONS):
        raise StructgenError(f"unknown notation {notation!r}; there are: {', '.join(NOTATIONS)}")
    try:
        return NOTATIONS[notation]().grammar(expr)
    except RecursionError:
        raise LimitExceeded("nesting inside a rule", 300, "a grammar to be written") from None


class Notation(ABC):
    """How one grammar language writes expressions."""

    start: str
    defines: str

    def __init__(self) -> None:
        self.names: dict[ir.Rule | tuple[CharDfa, int], str] = {}
        self.todo: deque[tuple[str, ir.Rule | tuple[CharDfa, int]]] = deque()
        self.numbers: dict[str, int] = {}  # the last one tried for each name
        self.taken: set[str] = {self.start}
        self.size = 0

    def grammar(self, expr: ir.Expr) -> str:
        start = expr if isinstance(expr, ir.Rule) else ir.Rule(self.start, expr)
        self.names[start] = self.start
        self.todo.append((self.start, start))
        lines = []
        while self.todo:
            name, what = self.todo.popleft()
            body = self.state(*what) if isinstance(what, tuple) else what.body
            assert body is not None
            lines.append(f"{name} {self.defines} {self.write(body, ALTERNATIVES)}".rstrip())
        return "\n".join(lines) + "\n"

    def name_of(self, what: ir.Rule | tuple[CharDfa, int]) -> str:
        """The name of a rule, or of a state of an automaton."""
        if what not in self.names:
            base = self.plain_name(what.name if isinstance(what, ir.Rule) else "state")
            name = base
            while name in self.taken:
                n = self.numbers[base] = self.numbers.get(base, 1) + 1
                name = f"{base}-{n}" if self.defines == "::=" else f"{base}_{n}"
            self.taken.add(name)
            self.names[what] = name
            self.todo.append((name, what))
        return self.names[what]

    def state(self, dfa: CharDfa, q: int) -> ir.Expr:
        """What may follow from a state of an automaton."""
        targets: dict[int, list[tuple[int, int]]] = {}
        for row, ranges in zip(dfa.table[q], dfa.class_ranges(), strict=True):
            if row >= 0:
                targets.setdefault(row, []).extend(ranges)
        ways: list[ir.Expr] = []
        for target, ranges in targets.items():
            char = ir.Chars(tuple(sorted(ranges)))
            last = dfa.accepting[target] and max(dfa.table[target]) < 0
            ways.append(char if last else ir.Seq((char, _State(dfa, target))))
        return ir.Choice((*ways, ir.EMPTY) if dfa.accepting[q] else tuple(ways))

    def write(self, expr: ir.Expr, tightness: int) -> str:
        """The expression, in parentheses where its neighbours would tear it apart."""
        text, own = self.piece(expr)
        self.size += len(text)
        if self.size > MAX_TEXT:
            raise LimitExceeded("characters", MAX_TEXT, "a grammar to be written")
        return text if own >= tightness else f"({text})"

    def piece(self, expr: ir.Expr) -> tuple[str, int]:
        if isinstance(expr, ir.Bytes):
            try:
                return self.literal(expr.value.decode())
            except UnicodeDecodeError:
                raise StructgenError(f"the bytes {expr.value!r} are no text, which this notation cannot express") from None
        if isinstance(expr, ir.Token):
            return self.token(expr.token), ATOM
        if isinstance(expr, ir.Chars):
            return self.characters(expr.ranges), ATOM
        if isinstance(expr, ir.Regular):
            return self.name_of((expr.dfa, 0)), ATOM
        if isinstance(expr, _State):
            return self.name_of((expr.dfa, expr.state)), ATOM
        if isinstance(expr, ir.Rule):
            return self.name_of(expr), ATOM
        if isinstance(expr, ir.Seq):
            items = [item for item in expr.items if item != ir.EMPTY]
            if len(items) < 2:
                return self.piece(items[0]) if items else self.literal("")
            return " ".join(self.write(item, REPEATED) for item in items), SEQUENCE
        if isinstance(expr, ir.Choice) and expr.items:
            return " | ".join(self.write(item, SEQUENCE) for item in expr.items), ALTERNATIVES
        if isinstance(expr, ir.Repeat):
            return self.repetition(expr)
        if isinstance(expr, ir.Choice):
            raise StructgenError("a choice of nothing cannot be written in this notation")
        raise StructgenError(f"JSON strings with distinct names or counted characters cannot be written in this notation: {expr!r:.80}")

    def repetition(self, expr: ir.Repeat) -> tuple[str, int]:
        item, low, high = expr.item, expr.min, expr.max
        if expr.separator is not None:
            rest = ir.Repeat(ir.Seq((expr.separator, item)), max(0, low - 1), None if high is None else high - 1)
            some = ir.Seq((item, rest))
            return self.piece(ir.Choice((some, ir.EMPTY)) if low == 0 else some)
        sign = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((low, high))
        text = self.write(item, ATOM)
        return (text + sign, REPEATED) if sign else self.bounded(item, text, low, high)

    def unrolled(self, item: ir.Expr, low: int, high: int | None) -> tuple[str, int]:
        """A repetition without bounds in the notation: ``x x (x (x)?)?``."""
        if max(low, high or 0) > MAX_UNROLLED:
            raise StructgenError(f"a repetition of {low} to {high} rounds cannot be written in this notation")
        rest: ir.Expr = ir.Repeat(item) if high is None else ir.EMPTY
        for _ in range((high or low) - low):
            rest = ir.Repeat(ir.Seq((item, rest)), 0, 1)
        return self.piece(ir.Seq((*[item] * low, rest)))

    @abstractmethod
    def plain_name(self, name: str) -> str:
        """A name that the notation can write."""

    def token(self, token: str | int) -> str:
        raise StructgenError("special tokens cannot be written in this notation")

    @abstractmethod
    def literal(self, text: str) -> tuple[str, int]: ...

    @abstractmethod
    def characters(self, ranges: Ranges) -> str: ...

    @abstractmethod
    def bounded(self, item: ir.Expr, text: str, low: int, high: int | None) -> tuple[str, int]: ...


class _State(ir.Expr):
    """The rest of a text of an automaton from one of its states (only while writing)."""

    __slots__ = ("dfa", "state")

    def __init__(self, dfa: CharDfa, state: int) -> None:
        self.dfa, self.state = dfa, state


class Gbnf(Notation):
    start, defines = "root", "::="

    def plain_name(self, name: str) -> str:
        return re.sub("[^a-zA-Z0-9-]+", "-", name).strip("-") or "rule"

    def token(self, token: str | int) -> str:
        if isinstance(token, str) and not (token.startswith("<") and token.find(">") == len(token) - 1):
            raise StructgenError(f"the special token {token!r} cannot be written in this notation: its name is not in angle brackets")
        return f"<[{token}]>" if isinstance(token, int) else token

    def literal(self, text: str) -> tuple[str, int]:
        return '"' + "".join(_escaped(char, '"\\') for char in text) + '"', ATOM

    def characters(self, ranges: Ranges) -> str:
        if ranges == ANY:
            return "."
        rest = difference(ANY, ranges)
        return f"[^{_ranges(rest)}]" if len(rest) < len(ranges) else f"[{_ranges(ranges)}]"

    def bounded(self, item: ir.Expr, text: str, low: int, high: int | None) -> tuple[str, int]:
        return f"{text}{{{low}{'' if high == low else ',' + ('' if high is None else str(high))}}}", REPEATED


class Ebnf(Notation):
    start, defines = "root", "::="

    def plain_name(self, name: str) -> str:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")
        return name if re.match("[A-Za-z_]", name) else f"rule-{name}".rstrip("-")

    def literal(self, text: str) -> tuple[str, int]:
        parts = [part for part in re.split(r"([\x00-\x1f\x7f-\x9f]|'+)", text) if part] or [""]
        codes = [f"#x{ord(part):X}" if ord(part[:1] or "a") < 32 or "\x7f" <= part[:1] <= "\x9f" else "" for part in parts]
        written = [code or (f'"{part}"' if "'" in part else f"'{part}'") for code, part in zip(codes, parts, strict=True)]
        return " ".join(written), ATOM if len(parts) == 1 else SEQUENCE

    def characters(self, ranges: Ranges) -> str:
        return "[" + "".join(f"#x{low:X}" + (f"-#x{high:X}" if high > low else "") for low, high in ranges) + "]"

    def bounded(self, item: ir.Expr, text: str, low: int, high: int | None) -> tuple[str, int]:
        return self.unrolled(item, low, high)


class Lark(Notation):
    start, defines = "start", ":"

    def plain_name(self, name: str) -> str:
        name = re.sub("[^a-z0-9_]+", "_", name.lower()).strip("_")
        return name if re.match("[a-z]", name) else f"rule_{name}".rstrip("_")

    def literal(self, text: str) -> tuple[str, int]:
        return (json.dumps(text, ensure_ascii=False), ATOM) if text else ("()", ATOM)

    def characters(self, ranges: Ranges) -> str:
        return f"/[{_ranges(ranges)}]/".replace("\\x2f", "\\/") if ranges != ANY else "/[\\s\\S]/"

    def bounded(self, item: ir.Expr, text: str, low: int, high: int | None) -> tuple[str, int]:
        if high is None:
            return self.unrolled(item, low, high)
        return f"{text} ~ {low}..{high}", REPEATED


NOTATIONS: dict[str, type[Notation]] = {"gbnf": Gbnf, "ebnf": Ebnf, "lark": Lark}


def _escaped(char: str, special: str) -> str:
    code = ord(char)
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    if short or char in special:
        return short or "\\" + char
    if char.isprintable():
        return char
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _ranges(ranges: Sequence[tuple[int, int]]) -> str:
    found = []
    for low, high in ranges:
        first, last = (_escaped(chr(code), "[]\\-^/") if chr(code) not in "^/" else f"\\x{code:02X}" for code in (low, high))
        found.append(first if low == high else first + last if high == low + 1 else f"{first}-{last}")
    return "".join(found)
