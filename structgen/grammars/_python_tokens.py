"""The tokens of Python (The Python Language Reference, chapter 2) as regular languages, each with what may stand beside it.

A place in a text is what may not come next: `WORD`, no word, as behind a word; `BRACE`, no opening brace, as behind the brace that
opens a field of an f-string; `FREE`, anything may.
"""

from __future__ import annotations

import keyword
import sys
from functools import cache
from itertools import groupby
from typing import NamedTuple

from structgen.automata import ir
from structgen.automata.chardfa import Char, CharDfa, Concat, Loop, compile_regex, difference, from_strings

from .regex import match_dfa

__all__ = ["BRACE", "CONTEXTS", "FREE", "MAY", "MUST", "NEVER", "QUOTES", "WORD", "Token", "fstring", "kinds", "literal", "space"]

FREE, WORD, BRACE = range(3)
NEVER, MAY, MUST = range(3)


class Token(NamedTuple):
    """Some spellings of a kind of token."""

    words: ir.Expr
    first: int = FREE
    """The place where it may not stand; `FREE` if it may stand anywhere."""
    last: int = FREE
    """The place directly behind it."""
    space: int = MAY
    """Whether there is white space behind it."""


CONTEXTS = {"line": r"[ \t\f]|\\\n", "bracket": r"[ \t\f\n]|\\\n|#[^\n\r\0]*\n", "'": r"[ \t\f]", '"': r"[ \t\f]", "'''": r"[ \t\f\n]"}
"""White space in a line, in brackets, and in the fields of an f-string with these quotes (the last: either triple quotes)."""
QUOTES = {"'": "'", '"': '"', "'''": "'''", '"""': "'''"}
"""The contexts of the fields in f-strings."""

BLANK = r"(#[^\n\r\0]*)?\n"
INTEGER = "0(_?0)*|[1-9](_?[0-9])*"
DIGITS = "[0-9](_?[0-9])*"
OTHER = "0[xX](_?[0-9a-fA-F])+|0[oO](_?[0-7])+|0[bB](_?[01])+"
EXPONENT = rf"[eE][-+]?{DIGITS}"
FLOAT = rf"{DIGITS}(\.({DIGITS})?({EXPONENT})?|{EXPONENT})"
FRACTION = rf"\.{DIGITS}({EXPONENT})?"

CODE = r"x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U(000[0-9a-fA-F]|0010)[0-9a-fA-F]{4}"
ASCII = "".join(map(chr, {*range(1, 128)} - {13}))
PREFIXES = {("text", False): "[uU]", ("text", True): "[rR]", ("bytes", False): "[bB]", ("bytes", True): "[bB][rR]|[rR][bB]"}


def kinds(context: str) -> dict[str, list[Token]]:
    """The tokens of each kind in a context."""
    return _everywhere() | (_fields(context) if context in QUOTES else _strings())


@cache
def literal(text: str) -> Token:
    """A keyword, an operator or a bracket."""
    word = WORD if text[0].isalpha() or text[0] == "_" else FREE
    return Token(ir.Bytes(text.encode()), BRACE if text == "{" else word, word)


@cache
def space(context: str) -> tuple[ir.Expr, ir.Expr]:
    """White space that may be missing, and that may not."""
    return _regex(f"({CONTEXTS[context]})*"), _regex(f"({CONTEXTS[context]})+")


@cache
def _everywhere() -> dict[str, list[Token]]:
    names = _names()

    def word(pattern: str) -> list[Token]:
        return [Token(_regex(pattern), WORD, WORD)]

    def operators(text: str) -> list[Token]:
        return [Token(ir.Choice(tuple(ir.Bytes(word.encode()) for word in text.split())))]

    binary = "+ - * ** / // % @ << >> & | ^"
    return {
        "NAME": [Token(ir.Regular(names), WORD, WORD)],
        "CAPTURE": [Token(ir.Regular(difference(names, from_strings(["_"]))), WORD, WORD)],
        "INTEGER": word(INTEGER),
        "INTEGER_SPACE": [Token(_regex(INTEGER), WORD, WORD, MUST)],
        "NUMBER": [*word(f"{OTHER}|{FLOAT}|({FLOAT}|{DIGITS})[jJ]"), Token(_regex(f"{FRACTION}[jJ]?"), FREE, WORD)],
        "REAL": [*word(f"{INTEGER}|{OTHER}|{FLOAT}"), Token(_regex(FRACTION), FREE, WORD)],
        "IMAGINARY": [*word(f"({FLOAT}|{DIGITS})[jJ]"), Token(_regex(f"{FRACTION}[jJ]"), FREE, WORD)],
        "BINARY": operators(binary),
        "AUGMENT": operators(binary.replace(" ", "= ") + "="),
        "COMPARE": operators("< > == >= <= !="),
        "UNARY": operators("+ - ~"),
        "SIGN": operators("+ -"),
        "NEWLINE": [Token(_regex(rf"{BLANK}([ \t\f]*{BLANK})*"), space=NEVER)],
        "BLANK": [Token(_regex(rf"([ \t\f]*{BLANK})+"), space=NEVER)],
    }


def _names() -> CharDfa:
    """Identifiers as the running Python knows them, without keywords."""
    characters = [chr(code) for code in range(sys.maxunicode + 1)]
    first, further = (_ranges([(prefix + char).isidentifier() for char in characters]) for prefix in ("", "a"))
    return difference(compile_regex(Concat((Char(first), Loop(Char(further))))), from_strings(keyword.kwlist))


def _ranges(members: list[bool]) -> tuple[tuple[int, int], ...]:
    found, start = [], 0
    for member, group in groupby(members):
        end = start + len(list(group))
        found += [(start, end - 1)] if member else []
        start = end
    return tuple(found)


# -- strings ------------------------------------------------------------------------------------------------------------------------


@cache
def _strings() -> dict[str, list[Token]]:
    """Literals of text and of bytes outside f-strings; those that are empty, in single quotes, must not touch others."""
    found = {}
    for name, kind in (("STRING", "text"), ("BYTES", "bytes")):
        prefixed = [f"({PREFIXES[kind, raw]}){quote}{_body(quote, kind, raw)}{quote}" for raw in (False, True) for quote in QUOTES]
        plain = [f"{quote}{_body(quote, kind, False)}{quote}" for quote in QUOTES] if kind == "text" else []
        prefixes = f"({PREFIXES[kind, False]}|{PREFIXES[kind, True]})"
        found[name] = _literals(plain, prefixed, MAY)
        empty = "EMPTY" if kind == "text" else "EMPTY_BYTES"
        for suffix, spaced in (("", MAY), ("_SPACE", MUST)):
            found[empty + suffix] = _literals(["''", '""'] if kind == "text" else [], [f"{prefixes}(''|\"\")"], spaced)
    return found


@cache
def _fields(context: str) -> dict[str, list[Token]]:
    """What is in the fields of f-strings: literals on one line, without backslashes and quotes, that do not touch others."""
    found: dict[str, list[Token]] = {}
    quotes = [quote for quote in "'\"" if quote != context]
    for kind, empty, letters in (("text", "EMPTY", r"[^\n\r\0\\'\"]"), ("bytes", "EMPTY_BYTES", _class(set(ASCII) - set("\n\\'\"")))):
        prefixes = f"({PREFIXES[kind, False]}|{PREFIXES[kind, True]})"
        plain = [f"{quote}{letters}*{quote}" for quote in quotes]
        for suffix, spaced in (("", MAY), ("_SPACE", MUST)):
            found[empty + suffix] = _literals(plain if kind == "text" else [], [f"{prefixes}({'|'.join(plain)})"], spaced)
    but = r"[^{}\\\n\r\0'\"]" if context == "'''" else rf"[^{{}}\\\n\r\0{context}]"
    return found | {
        "FIELD": [Token(_regex("[{]"), FREE, BRACE)],
        "CONVERSION": [Token(_regex("![rsa]"), space=NEVER)],
        "SPECIFICATION": [Token(_regex(":"), space=NEVER)],
        "SPECIFIED": [Token(_regex(f"{but}+"), space=NEVER)],
        "FIELD_END": [Token(_regex("}"), space=NEVER)],
    }


@cache
def fstring(quote: str, raw: bool) -> tuple[Token, Token, Token, Token]:
    """The beginning of an f-string, what may be before its fields, what may be before its end, and its end."""
    prefix = "[rR][fF]|[fF][rR]" if raw else "[fF]"
    text = _body(quote, "field", raw)
    before = rf"({text})?" + (f"{quote[0]}{{0,2}}" if quote[1:] else "") + (r"\\?" if raw else "")
    parts = (f"({prefix}){quote}", before, rf"({text})?", quote)
    begin, inside, last, end = map(_regex, parts)
    return Token(begin, WORD, space=NEVER), Token(inside, space=NEVER), Token(last, space=NEVER), Token(end)


def _literals(plain: list[str], prefixed: list[str], spaced: int) -> list[Token]:
    found = [Token(_regex("|".join(plain)), space=spaced)] if plain else []
    return [*found, Token(_regex("|".join(prefixed)), WORD, space=spaced)]


def _body(quote: str, kind: str, raw: bool) -> str:
    """What is between the quotes: not nothing if they are single; ``kind`` "field": with doubled braces."""
    but = "\\" + quote[0] + ("" if quote[1:] else "\n") + ("{}" if kind == "field" else "")
    if kind == "bytes":
        plain, escaped = _class(set(ASCII) - set(but)), _class(set(ASCII) - set("" if raw else "x"))
        piece = rf"{plain}|\\{escaped}" + ("" if raw else r"|\\x[0-9a-fA-F]{2}")
    else:
        braces = "{}" if kind == "field" else ""
        piece = rf"[^{_escaped(but)}\r\0]|\\[^{braces}\r\0{'' if raw else 'xuUN'}]" + ("" if raw else rf"|\\({CODE})")
        doubled = r"\{\{|\}\}"
        piece += (rf"|\\?({doubled})" if raw else f"|{doubled}") if braces else ""
    return f"({quote[0]}{{0,2}}({piece}))*" if quote[1:] else f"({piece})+"


def _regex(pattern: str) -> ir.Expr:
    return ir.Regular(match_dfa(pattern))


def _class(characters: set[str]) -> str:
    return "[" + _escaped("".join(sorted(characters))) + "]"


def _escaped(text: str) -> str:
    return "".join(f"\\x{ord(char):02x}" for char in text)
