r"""The automaton of regular expressions: texts that are patterns of ECMA-262 read with the u flag, as JSON Schema reads them.

Valid patterns are no regular language: groups nest, and numbers are compared. The automaton accepts valid patterns only, and all
of them but those with
* groups nested otherwise than `NESTING` has it;
* named groups and back-references: whether names differ and references lead somewhere is not regular;
* properties other than the general categories by their short names (``\p{L}``, ``\p{Lu}``);
* ranges in a class that begin with an escaped code point other than zero, end with an escape, or lie between two of `STARTS`;
* repetitions ``{m,n}`` where ``m`` has two digits and ``n`` is less than ``m`` rounded up to tens, or ``m`` has three;
  counts with leading zeros; ``\u{...}`` beyond FFFFF or with more than five digits.

Patterns in which groups are only opened are one small automaton, compiled from a pattern; it is copied for each way in which
groups can be open. Building takes under 100 ms.
Source: ECMA-262, 11th edition (the one that JSON Schema 2020-12 cites), section 21.2.1 with parameter U.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import reduce
from itertools import pairwise

from structgen.automata import charset
from structgen.automata.chardfa import CharDfa, step

from .regex import match_dfa

__all__ = ["NESTING", "regex"]

NESTING = ("", "G", "GG", "GGG", "GGGG", "L", "LG", "GL", "GLG", "GGL")
"""The groups that can be open at once, outermost first: G captures or only groups, L looks ahead or behind."""

STARTS = [0x20, 0x2F, *range(0x31, 0x3A, 2), 0x40, *range(0x42, 0x5B, 2), 0x60, *range(0x62, 0x7B, 2), 0x7E]
STARTS += [0xC0, 0x100, 0x391, 0x3B1, 0x410, 0x430, 0x5D0, 0x621, 0x3041, 0x30A1, 0x4E00, 0xAC00]
"""A range must reach the first of these that does not precede its start. Every second digit and letter is enough: only ranges
of one character, like ``b-b`` but ``a-a``, are lost."""

CLOSING = r"\]"
HEX = "[0-9A-Fa-f]"
SPECIAL = r"^$\.*+?()[]{}|"
ESCAPED_SPECIAL = "".join(rf"\{char}" for char in SPECIAL)
ZERO = r"\\(?:0(?![0-9])|x00|u0000)"
ESCAPE = rf"\\(?:[fnrtv/{ESCAPED_SPECIAL}]|c[A-Za-z]|x{HEX}{{2}}|u{HEX}{{4}}|u\{{{HEX}{{1,5}}\}}|0(?![0-9]))"
CATEGORY = "C[cfnos]?|L[Clmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?"
SETS = rf"\\(?:[dDsSwW]|[pP]\{{(?:{CATEGORY})\}})"


def _class() -> str:
    """A character class. A hyphen is itself at the beginning, after a range and at the end."""
    ranges = "|".join(_ranges(below + 1, start) for below, start in pairwise([-1, *STARTS]))
    from_zero = rf"{ZERO}-(?:[^\\\]]|{ESCAPE}|\\[b\-])"
    one = rf"(?:[^\\\]\-]|{ESCAPE}|{SETS}|\\[b\-])"
    from_hyphen = "--" + _set(0x2F, charset.MAX, CLOSING)
    content = rf"(?:-?{one}*(?:{ranges}|{from_zero})|{from_hyphen})*-?{one}*-?"
    return rf"\[(?:\^|(?!\^)){content}\]"


def _ranges(first: int, last: int) -> str:
    """The ranges that start from ``first`` to ``last`` and reach ``last``."""
    escaped = "".join(rf"\{char}" for char in SPECIAL + "/-" if first <= ord(char) <= last) if first else "bfnrtv"
    low, high = _set(first, last, "-" + CLOSING), _set(last, charset.MAX, CLOSING)
    return rf"(?:{low}|\\[{escaped}])-{high}" if escaped else f"{low}-{high}"


def _set(first: int, last: int, without: str) -> str:
    parts = charset.difference(((first, last),), charset.of_chars(without))
    return "[" + "".join(rf"\u{{{low:X}}}-\u{{{high:X}}}" for low, high in parts) + "]"


def _counts() -> str:
    """What stands between the braces of a repetition: numbers of at most four digits, in order."""
    forms = ["(?:0|[1-9][0-9]{0,3}),?", "0,(?:[0-9]|[1-9][0-9]{1,3})"]
    forms += [f"{n},(?:[{n}-9]|[1-9][0-9]{{1,3}})" for n in range(1, 10)]
    forms += [f"{tens}0,{_from_tens(tens)}" for tens in range(1, 10)]
    forms += [f"{tens}[1-9],{_from_tens(tens + 1)}" for tens in range(1, 9)]
    return "|".join([*forms, "9[1-9],[1-9][0-9]{2,3}"])


def _from_tens(tens: int) -> str:
    return f"(?:[{tens}-9][0-9]|[1-9][0-9]{{2,3}})"


def _flat() -> CharDfa:
    """Patterns whose groups are opened and never closed."""
    atom = rf"(?:[^{ESCAPED_SPECIAL}]|\.|{ESCAPE}|{SETS}|{_class()})"
    quantifier = rf"(?:[*+?]|\{{(?:{_counts()})\}})\??"
    opening = r"\((?:\?(?:[:=!]|<[=!]))?"
    return match_dfa(rf"(?:[\^$|]|\\[bB]|{opening}|{atom}(?:{quantifier})?)*", syntax="ecma")


def regex() -> CharDfa:
    """Regular expressions."""
    copies = _Copies(_flat())
    order = [0]
    number = {-1: -1, 0: 0}
    table = []
    for state in order:
        row = copies.row(*divmod(state, copies.n))
        for target in row:
            if target not in number:
                number[target] = len(order)
                order.append(target)
        table.append(tuple([number[target] for target in row]))
    return CharDfa(copies.flat.starts, copies.flat.classes, tuple(table), tuple(map(copies.accepts, order)))


class _Copies:
    """A copy of the flat automaton for each entry of `NESTING`, state q of copy i being number i * n + q."""

    def __init__(self, flat: CharDfa) -> None:
        self.flat, self.n = flat, len(flat.table)
        self.opened, self.asked, self.behind, self.atom = (self._after(text) for text in ("(", "(?", "(?<", "a"))
        self.column = {char: flat.classes[bisect_right(flat.starts, ord(char)) - 1] for char in "()?:=!<"}

    def _after(self, text: str) -> int:
        return reduce(lambda state, char: step(self.flat, state, char), text, 0)

    def accepts(self, state: int) -> bool:
        return state < self.n and state != self.opened and self.flat.accepting[state]

    def _start(self, nesting: str) -> int:
        """The first state inside these groups, -1 if they cannot be open at once."""
        return NESTING.index(nesting) * self.n if nesting in NESTING else -1

    def row(self, copy: int, state: int) -> list[int]:
        """The states after each class of characters."""
        nesting = NESTING[copy]
        group, look = self._start(nesting + "G"), self._start(nesting + "L")
        row = [-1 if target < 0 else copy * self.n + target for target in self.flat.table[state]]
        if state == self.opened:
            asked = row[self.column["?"]]
            row = self.row(group // self.n, 0) if group >= 0 else [-1] * len(row)
            row[self.column["?"]] = asked
        elif state in (self.asked, self.behind):
            for char in "=!":
                row[self.column[char]] = look
            if state == self.asked:
                row[self.column[":"]] = group
                row[self.column["<"]] = -1 if look < 0 else row[self.column["<"]]
        else:
            if group < 0 and look < 0 and row[self.column["("]] == copy * self.n + self.opened:
                row[self.column["("]] = -1
            if nesting and self.flat.accepting[state]:  # a group that looks is no atom: nothing to repeat after it
                row[self.column[")"]] = self._start(nesting[:-1]) + (self.atom if nesting[-1] == "G" else 0)
        return row
