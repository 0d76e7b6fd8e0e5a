r"""Escapes and character classes of the two regular expression syntaxes: what one backslash or one bracket stands for.

`Reader` walks over the pattern text; an escape is read as a code point, a set of characters, or an assertion letter.
ECMA-262 is read as with the u flag (code points, ``\p{...}``), with the harmless leniencies of its annex B: any punctuation
may be escaped, and ``[\w-.]`` contains a hyphen. Unknown letter escapes are errors in both syntaxes, never taken literally.
Sources: ECMA-262 sections 22.2.1 and B.1.2; the Python library reference, module `re`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from structgen.automata import charset
from structgen.automata.charset import Ranges
from structgen.errors import GrammarSyntaxError

__all__ = ["Assertion", "Reader", "Syntax"]

Syntax = Literal["ecma", "python"]

CONTROLS = {"f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}
ASSERTIONS = {"ecma": "bB", "python": "bBAZz"}
HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
OCTAL = frozenset("01234567")
DIGITS = frozenset("0123456789")
STRING_PROPERTIES = frozenset(
    {
        "Basic_Emoji", "Emoji_Keycap_Sequence", "RGI_Emoji_Modifier_Sequence", "RGI_Emoji_Flag_Sequence", "RGI_Emoji_Tag_Sequence",
        "RGI_Emoji_ZWJ_Sequence", "RGI_Emoji",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assertion:
    r"""An escape that consumes nothing: ``\b``, ``\B``, ``\A``, ``\Z`` or (Python 3.14) ``\z``."""

    letter: str


class Reader:
    """The pattern text with a position, and the flags in force there."""

    def __init__(self, text: str, syntax: Syntax, flags: frozenset[str]) -> None:
        self.text, self.syntax, self.flags = text, syntax, flags
        self.position = 0

    def error(self, message: str, position: int | None = None) -> GrammarSyntaxError:
        at = self.position if position is None else position
        return GrammarSyntaxError(f"regular expression: {message}", text=self.text, position=at)

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def take(self, prefix: str) -> bool:
        """Step over the prefix if it comes next."""
        if not self.text.startswith(prefix, self.position):
            return False
        self.position += len(prefix)
        return True

    def take_all(self, allowed: frozenset[str], at_most: int) -> str:
        """Step over the characters of the set that come next."""
        start = self.position
        while self.position < len(self.text) and self.position - start < at_most and self.text[self.position] in allowed:
            self.position += 1
        return self.text[start : self.position]

    def take_until(self, end: str, what: str) -> str:
        """Step over the text up to and with ``end``."""
        found = self.text.find(end, self.position)
        if found < 0:
            raise self.error(f"{what} is not closed: missing {end!r}")
        value = self.text[self.position : found]
        self.position = found + len(end)
        return value

    def literal(self, code_point: int) -> Ranges:
        return self.fold(((code_point, code_point),))

    def fold(self, ranges: Ranges) -> Ranges:
        """What literal characters match: with flag i their case variants, too."""
        if "i" not in self.flags:
            return ranges
        return charset.fold_case(ranges, "ascii" if "a" in self.flags else self.syntax)

    def escape(self, *, in_class: bool) -> int | Ranges | Assertion:
        """Read an escape whose backslash has been read."""
        start = self.position - 1
        letter = self.peek()
        if not letter:
            raise self.error("a backslash at the end escapes nothing", start)
        self.position += 1
        if letter == "b" and in_class:
            return 0x08
        if letter in ASSERTIONS[self.syntax] and not in_class:
            return Assertion(letter)
        if letter in "dDwWsS":
            return self._shorthand(letter)
        if letter in CONTROLS:
            return CONTROLS[letter]
        special = self._ecma_escape if self.syntax == "ecma" else self._python_escape
        found = special(letter, start, in_class)
        if found is not None:
            return found
        if letter.isascii() and letter.isalnum():
            raise self.error(f"unknown escape \\{letter}", start)
        return ord(letter)

    def _shorthand(self, letter: str) -> Ranges:
        ranges = self._fold_named(self._shorthand_set(letter.lower()))
        return charset.complement(ranges) if letter.isupper() else ranges

    def _fold_named(self, ranges: Ranges) -> Ranges:
        r"""What named sets like ``\w`` match: Python does not fold them."""
        return self.fold(ranges) if self.syntax == "ecma" else ranges

    def _shorthand_set(self, letter: str) -> Ranges:
        if self.syntax == "ecma":
            return {"d": charset.ASCII_DIGIT, "w": charset.ASCII_WORD, "s": charset.ECMA_SPACE}[letter]
        if "a" in self.flags:
            return {"d": charset.ASCII_DIGIT, "w": charset.ASCII_WORD, "s": charset.ASCII_SPACE}[letter]
        return charset.python_class(letter)

    def word(self) -> Ranges:
        r"""The set that ``\b`` calls word characters."""
        return self._shorthand("w")

    def newline(self) -> Ranges:
        """The set that ends lines for ``.``, ``^`` and ``$``."""
        return charset.ECMA_NEWLINE if self.syntax == "ecma" else charset.of_chars("\n")

    def _hexadecimal(self, n_digits: int, start: int) -> int:
        digits = self.take_all(HEXADECIMAL, n_digits)
        if len(digits) < n_digits:
            raise self.error(f"{self.text[start : self.position]} needs {n_digits} hexadecimal digits", start)
        return self._code_point(int(digits, 16), start)

    def _code_point(self, value: int, start: int) -> int:
        if value > charset.MAX:
            raise self.error(f"{self.text[start : self.position]} is beyond the last code point U+10FFFF", start)
        return value

    def _ecma_escape(self, letter: str, start: int, in_class: bool) -> int | Ranges | None:
        if letter == "x":
            return self._hexadecimal(2, start)
        if letter == "u":
            return self._ecma_unicode(start)
        if letter == "c":
            control = self.peek()
            if not (control.isascii() and control.isalpha()):
                raise self.error("\\c needs a letter", start)
            self.position += 1
            return ord(control) % 32
        if letter == "0" and self.peek() not in DIGITS:
            return 0
        if letter in "pP":
            return self._property(letter, start)
        if letter in DIGITS and (letter == "0" or in_class):
            raise self.error("octal escapes are not ECMA-262: write \\xHH", start)
        if letter in DIGITS or letter == "k":
            raise self.error("back-references are not regular and not supported", start)
        return None

    def _ecma_unicode(self, start: int) -> int:
        if self.take("{"):
            digits = self.take_until("}", "\\u{")
            if not digits or not set(digits) <= HEXADECIMAL:
                raise self.error("\\u{...} needs hexadecimal digits", start)
            return self._code_point(int(digits[-8:], 16) if not digits[:-8].strip("0") else charset.MAX + 1, start)
        unit = self._hexadecimal(4, start)
        after = self.position
        if 0xD800 <= unit <= 0xDBFF and self.take("\\u") and len(digits := self.take_all(HEXADECIMAL, 4)) == 4:
            low = int(digits, 16)
            if 0xDC00 <= low <= 0xDFFF:
                return 0x10000 + (unit - 0xD800 << 10) + (low - 0xDC00)
        self.position = after
        return unit

    def _property(self, letter: str, start: int) -> Ranges:
        if not self.take("{"):
            raise self.error(f"\\{letter} needs a property in braces, as in \\{letter}{{Lu}}", start)
        name = self.take_until("}", f"\\{letter}{{")
        try:
            ranges = charset.named(name)
        except KeyError:
            why = "properties of strings are not supported" if name in STRING_PROPERTIES else "no property of ECMA-262"
            raise self.error(f"{name!r}: {why}", start) from None
        if letter == "p":
            return self._fold_named(ranges)
        if "v" in self.flags:  # what no character of the set matches; else what some character outside it matches
            return charset.complement(self._fold_named(ranges))
        return self._fold_named(charset.complement(ranges))

    def _python_escape(self, letter: str, start: int, in_class: bool) -> int | None:
        if letter == "a":
            return 0x07
        if letter in "xuU":
            return self._hexadecimal({"x": 2, "u": 4, "U": 8}[letter], start)
        if letter == "N" and self.take("{"):
            name = self.take_until("}", "\\N{")
            try:
                return ord(unicodedata.lookup(name))
            except (KeyError, TypeError):
                raise self.error(f"undefined character name {name!r}", start) from None
        if letter in DIGITS:
            return self._python_octal(letter, start, in_class)
        return None

    def _python_octal(self, first: str, start: int, in_class: bool) -> int:
        digits = first + self.take_all(OCTAL, 2) if first in OCTAL else first
        if first == "0" or len(digits) == 3 or (in_class and first in OCTAL):
            value = int(digits, 8)
            if value > 0o377:
                raise self.error(f"octal escape \\{digits} is beyond \\377", start)
            return value
        raise self.error("unknown escape" if in_class else "back-references are not regular and not supported", start)

    def char_class(self) -> Ranges:
        """Read a class whose opening bracket has been read."""
        start = self.position - 1
        negated = self.take("^")
        parts: list[Ranges] = []
        first = self.position
        while not self._class_ends(first, start):
            self._class_part(parts)
        ranges = charset.union(*parts)
        return charset.complement(ranges) if negated else ranges

    def _class_ends(self, first: int, start: int) -> bool:
        if self.position >= len(self.text):
            raise self.error("character class is not closed: missing ']'", start)
        if self.peek() != "]" or (self.syntax == "python" and self.position == first):
            return False
        self.position += 1
        return True

    def _class_part(self, parts: list[Ranges]) -> None:
        start = self.position
        low = self._class_atom()
        hyphen = self.position
        if not self.take("-") or self.peek() in ("]", ""):
            self.position = hyphen
            parts.append(self._as_set(low))
            return
        high = self._class_atom()
        if isinstance(low, int) and isinstance(high, int):
            if low > high:
                raise self.error("the ends of the range are in the wrong order", start)
            parts.append(self.fold(((low, high),)))
        elif self.syntax == "python":
            raise self.error("a class like \\w cannot be an end of a range", start)
        else:
            parts += [self._as_set(low), self._as_set(ord("-")), self._as_set(high)]

    def _class_atom(self) -> int | Ranges:
        char = self.peek()
        self.position += 1
        if char != "\\":
            return ord(char)
        found = self.escape(in_class=True)
        assert not isinstance(found, Assertion)
        return found

    def _as_set(self, atom: int | Ranges) -> Ranges:
        return self.literal(atom) if isinstance(atom, int) else atom
