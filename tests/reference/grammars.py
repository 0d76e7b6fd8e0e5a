"""Random grammars and vocabularies: small alphabets, so that overlaps, ambiguity and dead ends are frequent.

What front-ends promise holds: rules are never left-recursive (a rule is called only behind something that consumes a byte,
or when it has a higher number than the caller), at most one kind of captured names in a scope can run out, and in a counted
repetition the item or the separator consumes something. Vocabularies hold every single byte and odd tokens that cross several lexemes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from structgen.automata import chardfa
from structgen.automata.ir import EMPTY, Bytes, Chars, Choice, Expr, Quoted, QuotedText, Regular, Repeat, Rule, Seq, Unique
from tests.reference.texts import is_endless

LITERALS = [b"a", b"b", b"ab", b"ba", b",", b":", b"{", b"}", b"[", b"]", b'"', b'"a"', b'"a":', b"\xc3\xa9", b"\xc3", b" "]
TEXTS = ["", "a", "b", "ab", "aba", "é", 'a"', "\\", "\n", "/", "😀", "\x7f", "\u2028"]
CHARS = [
    ((97, 98),),
    ((97, 97),),
    ((0, 0x10FFFF),),
    ((34, 34), (92, 92)),
    ((0xE0, 0xEF),),
    ((0x80, 0x10FFFF),),
    ((0, 31),),
    ((0xD7FF, 0xE000),),
    ((0xD800, 0xDFFF),),
]


def languages() -> list[Any]:
    """A few regular languages of texts: finite and infinite, the empty one, counted, with characters of every length."""
    a, b, e = chardfa.literal("a"), chardfa.literal("b"), chardfa.literal("é")
    either = chardfa.union(a, b)
    return [
        chardfa.any_text(),
        chardfa.none(),
        chardfa.literal(""),
        a,
        either,
        chardfa.from_strings(["a", "ab", "b", "é", "\n", "😀"]),
        chardfa.from_strings(["", "a", "\\", '"']),
        chardfa.star(either),
        chardfa.star(chardfa.concat(a, b)),
        chardfa.concat(chardfa.star(either), a),
        chardfa.difference(chardfa.any_text(), chardfa.star(either)),
        chardfa.complement(chardfa.from_strings(["a", "b", "ab"])),
        chardfa.concat(chardfa.star(chardfa.union(a, e)), chardfa.literal("😀")),
    ]


LANGUAGES = languages()
NAMES = [None, *(dfa for dfa in LANGUAGES if is_endless(dfa))]  # what may be captured: names cannot run out


@dataclass(frozen=True)
class Calls:
    """Which rules may be called here: those numbered above ``caller``, all of them once a byte has been consumed."""

    rules: tuple[Rule, ...]
    caller: int
    free: bool
    captures: bool = False

    def allowed(self) -> tuple[Rule, ...]:
        return self.rules if self.free else self.rules[self.caller + 1 :]

    def behind(self, expr: Expr) -> Calls:
        return Calls(self.rules, self.caller, self.free or consumes(expr), self.captures)

    def capturing(self, captures: bool = True) -> Calls:
        return Calls(self.rules, self.caller, self.free, captures)


def consumes(expr: Expr) -> bool:
    """Whether every match has at least one byte, as far as can be told without looking into rules."""
    match expr:
        case Bytes(value):
            return bool(value)
        case Regular(dfa):
            return not dfa.accepting[0]
        case Seq(items):
            return any(map(consumes, items))
        case Choice(items):
            return all(map(consumes, items))
        case Repeat(item, low, _, separator):
            return low > 0 and (consumes(item) or (low > 1 and consumes(separator or EMPTY)))
        case Unique(body):
            return consumes(body)
    return not isinstance(expr, Rule)


def lexemes(calls: Calls) -> st.SearchStrategy[Expr]:
    contents = st.none() | st.sampled_from(LANGUAGES)
    lengths = st.sampled_from([(0, None), (0, None), (0, 0), (1, 1), (0, 2), (1, None), (2, 3), (2, None), (0, 40), (3, 1000)])
    names = st.builds(lambda c, low: Quoted(c, low, None, True), st.sampled_from(NAMES), st.sampled_from([0, 0, 1, 3]))
    return st.one_of(
        *([names] if calls.captures else []),
        st.sampled_from(LITERALS).map(Bytes),
        st.sampled_from(LITERALS).map(Bytes),
        st.sampled_from(CHARS).map(Chars),
        st.sampled_from(LANGUAGES).map(Regular),
        st.sampled_from(TEXTS).map(QuotedText),
        st.builds(lambda c, n: Quoted(c, *n), contents, lengths),
    )


@st.composite
def expressions(draw: st.DrawFn, calls: Calls, depth: int) -> Expr:
    kinds = ["lexeme", "lexeme", "empty"]
    if depth > 0:
        kinds += ["seq", "seq", "choice", "choice", "repeat", "repeat", "unique", "members"]
    if calls.allowed():
        kinds += ["call", "call"]
    match draw(st.sampled_from(kinds)):
        case "lexeme":
            return draw(lexemes(calls))
        case "call":
            return draw(st.sampled_from(calls.allowed()))
        case "seq":
            return draw(sequences(calls, depth - 1))
        case "choice":
            return Choice(tuple(draw(st.lists(expressions(calls, depth - 1), max_size=3))))
        case "repeat":
            return draw(repetitions(calls, depth - 1))
        case "unique":
            return Unique(draw(expressions(calls.capturing(), depth - 1)))
        case "members":
            return draw(members(calls, depth - 1))
    return EMPTY


@st.composite
def sequences(draw: st.DrawFn, calls: Calls, depth: int) -> Expr:
    items: list[Expr] = []
    for _ in range(draw(st.integers(0, 3))):
        items.append(draw(expressions(calls, depth)))
        calls = calls.behind(items[-1])
    return Seq(tuple(items))


@st.composite
def repetitions(draw: st.DrawFn, calls: Calls, depth: int) -> Expr:
    item = draw(expressions(calls, depth))
    separator = draw(st.none() | st.just(Bytes(b",")) | expressions(calls.behind(item), depth - 1 if depth else 0))
    bounds = [(0, None), (0, None), (1, None), (0, 1), (0, 0)]
    if consumes(item) or consumes(separator or EMPTY):
        bounds += [(0, 2), (2, 3), (2, 2), (2, None), (0, 10**9), (1, 300)]
    low, high = draw(st.sampled_from(bounds))
    return Repeat(item, low, high, separator)


@st.composite
def members(draw: st.DrawFn, calls: Calls, depth: int) -> Expr:
    """An object: captured names, each with a value. The names may run out; then they are the only ones of their scope."""
    key = Quoted(draw(st.none() | st.sampled_from(LANGUAGES)), *draw(st.sampled_from([(0, None), (1, None), (0, 1), (2, 3)])), capture=True)
    inside = calls.capturing(key.max_length is None and key.content in NAMES).behind(key)
    member = Seq((key, Bytes(b":"), draw(expressions(inside, depth))))
    low, high = draw(st.sampled_from([(0, None), (0, None), (1, None), (0, 2), (2, 3)]))
    return Unique(Seq((Bytes(b"{"), Repeat(member, low, high, Bytes(b",")), Bytes(b"}"))))


@st.composite
def grammars(draw: st.DrawFn, max_rules: int = 3, depth: int = 3) -> Expr:
    """A random grammar; its language may be empty, finite or infinite."""
    rules = tuple(Rule(f"r{i}") for i in range(draw(st.integers(0, max_rules))))
    for i, rule in enumerate(rules):
        rule.define(draw(expressions(Calls(rules, i, False), depth)))
    return draw(expressions(Calls(rules, -1, True), depth))


PIECES = [
    *LITERALS,
    b"\\", b"\\u", b"\\u00", b"61", b'\\u0061"', b"\\ud83d", b"\\ude00", b"\\n", b'\\"', b"\\\\",
    b"\xa9", b"\xf0\x9f", b"\x98\x80", b"\xf0\x9f\x98\x80", b"\xed", b"\x00", b"\x7f", b"\xff", b"/",
]  # fmt: skip
CROSSING = [
    b'":1,"a":',
    b'":',
    b'","',
    b'"},{"',
    b'"a","b"',
    b'a":"',
    b'":"a","b',
    b"]]",
    b"}]",
    b'"}',
    b'{"a":{"',
    b',"a",',
    b'\xa9"',
    b"aaaaaa",
]


@st.composite
def vocabularies(draw: st.DrawFn, max_extra: int = 24) -> tuple[list[bytes], int]:
    """Token bytes by id (every single byte, odd ones, duplicates, empty ones) and the id of the end of the text."""
    pieces = st.lists(st.sampled_from(PIECES), min_size=0, max_size=3).map(b"".join).filter(lambda data: len(data) <= 12)
    extra = draw(st.lists(st.sampled_from(CROSSING) | pieces, max_size=max_extra))
    tokens = [bytes([i]) for i in range(256)] + extra
    eos = draw(st.integers(0, len(tokens)))
    tokens.insert(eos, b"")
    return tokens, eos
