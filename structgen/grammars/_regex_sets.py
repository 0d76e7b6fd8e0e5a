r"""Character classes of ECMA-262 with flag v: nested classes, ``--`` (subtraction), ``&&`` (intersection) and ``\q{...}`` (strings).

A class is a set of characters and a set of longer (or empty) strings, each string a tuple of the characters that match at each
place. With flag i all sets are closed under case folding before they are combined, as the specification's
MaybeSimpleCaseFolding has it. Source: ECMA-262 section 22.2.1, ClassContents with UnicodeSetsMode, and 22.2.2.9.
"""

from __future__ import annotations

from typing import NamedTuple

from structgen.automata import charset
from structgen.automata.charset import Ranges
from structgen.errors import LimitExceeded

from ._regex_escapes import Assertion, Reader

__all__ = ["Members", "read_class"]

MAX_DEPTH = 100
SYNTAX = frozenset("()[]{}/-\\|")
DOUBLE = frozenset("&!#$%*+,.:;<=>?@^`~")
"""Reserved where they stand twice."""


class Members(NamedTuple):
    """What a class matches: single characters and other strings. ``stringy``: as it is written, it might have strings
    (MayContainStrings in the specification), even if the operators leave none."""

    ranges: Ranges
    strings: frozenset[tuple[Ranges, ...]] = frozenset()
    stringy: bool = False


def read_class(reader: Reader, depth: int = 0) -> Members:
    """Read a class whose opening bracket has been read."""
    if depth > MAX_DEPTH:
        raise LimitExceeded("nesting of classes", MAX_DEPTH, "a regular expression")
    start = reader.position - 1
    negated = reader.take("^")
    found, n_items = Members(charset.EMPTY), 0
    while not reader.take("]"):
        if not reader.peek():
            raise reader.error("character class is not closed: missing ']'", start)
        operator = reader.text[reader.position : reader.position + 2]
        if operator in ("--", "&&") and n_items == 1:
            found = _operations(reader, depth, found, operator)
            break
        item, is_range = _item(reader, depth)
        found, n_items = _union(found, item), n_items + 1 + is_range
    if negated and found.stringy:
        raise reader.error("a negated class cannot contain strings", start)
    return Members(charset.complement(found.ranges)) if negated else found


def _union(a: Members, b: Members) -> Members:
    return Members(charset.union(a.ranges, b.ranges), a.strings | b.strings, a.stringy or b.stringy)


def _operations(reader: Reader, depth: int, found: Members, operator: str) -> Members:
    """The rest of a class whose operands are all combined by this operator."""
    while reader.take(operator):
        other = _members(reader, _operand(reader, depth))
        if operator == "--":
            found = Members(charset.difference(found.ranges, other.ranges), found.strings - other.strings, found.stringy)
        else:
            stringy = found.stringy and other.stringy
            found = Members(charset.intersect(found.ranges, other.ranges), found.strings & other.strings, stringy)
    if not reader.take("]"):
        raise reader.error(f"expected {operator} or ']': what {operator} combines is single characters or nested classes")
    return found


def _item(reader: Reader, depth: int) -> tuple[Members, bool]:
    """A part of a union, and whether it is a range."""
    start = reader.position
    low = _operand(reader, depth)
    if reader.peek() != "-" or reader.text.startswith("--", reader.position):
        return _members(reader, low), False
    reader.position += 1
    high = _operand(reader, depth)
    if not isinstance(low, int) or not isinstance(high, int):
        raise reader.error("the ends of a range are single characters", start)
    if low > high:
        raise reader.error("the ends of the range are in the wrong order", start)
    return Members(reader.fold(((low, high),))), True


def _members(reader: Reader, operand: int | Members) -> Members:
    return Members(reader.literal(operand)) if isinstance(operand, int) else operand


def _operand(reader: Reader, depth: int) -> int | Members:
    """A nested class, strings, an escaped set, or one character (its code point)."""
    if reader.take("["):
        return read_class(reader, depth + 1)
    if reader.take("\\q{"):
        return _strings(reader)
    return _character(reader)


def _character(reader: Reader) -> int | Members:
    start, char = reader.position, reader.peek()
    if char != "\\":
        if not char or char in SYNTAX:
            raise reader.error("expected a character of the class; ( ) [ ] { } / - | are escaped with a backslash", start)
        if char in DOUBLE and reader.text.startswith(2 * char, start):
            raise reader.error(f"{2 * char} is reserved in classes: escape it with backslashes", start)
        reader.position += 1
        return ord(char)
    reader.position += 1
    found = reader.escape(in_class=True)
    assert not isinstance(found, Assertion)
    return found if isinstance(found, int) else Members(found)


def _strings(reader: Reader) -> Members:
    r"""Strings ``a|bc`` up to the closing brace; those of one character are characters."""
    start = reader.position - 3
    words: list[list[Ranges]] = [[]]
    while not reader.take("}"):
        if not reader.peek():
            raise reader.error("\\q{ is not closed: missing '}'", start)
        if reader.take("|"):
            words.append([])
            continue
        at, char = reader.position, _character(reader)
        if not isinstance(char, int):
            raise reader.error("strings consist of single characters", at)
        words[-1].append(reader.literal(char))
    ranges = charset.union(*(word[0] for word in words if len(word) == 1))
    strings = frozenset(tuple(word) for word in words if len(word) != 1)
    return Members(ranges, strings, bool(strings))
