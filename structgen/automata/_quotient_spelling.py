"""The spellings of JSON strings as an automaton over characters: quotes, escapes and surrogate pairs.

Boundary states, between two characters of the value, are kept apart from those in the middle of an escape, so that characters of the
value can be counted. Escapes of four digits are shared by what they lead to, from the last digit up.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache

from structgen.automata.chardfa import CharDfa, any_text, step
from structgen.errors import LimitExceeded

__all__ = ["START", "Spelling", "spelling"]

START, END = 0, 1
MAX_STATES = 50_000
SHORT = dict(zip('"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
"""Escapes of one letter and what they stand for (RFC 8259, section 7)."""
DIGITS = [f"{d:x}" for d in range(16)]
SPECIAL = sorted({*SHORT, "u", *DIGITS, *(d.upper() for d in DIGITS)})
HIGH, LOW = 0xD800, 0xDC00
Row = dict[str, int]
"""The next state by special character; "" for all characters that stand for themselves, see `Spelling._row`."""


class Spelling:
    """The automaton of the string literals with a value in ``content``: ``table[state][class]``, state 0 is the start.

    ``counted[state]``: a transition to it from another state than the start completes a character of the value."""

    def __init__(self, content: CharDfa) -> None:
        self.content = content
        marks = {ord(c) + i for c in SPECIAL for i in (0, 1)} | {0x20, HIGH, 0xE000}
        self.starts = tuple(sorted({*content.starts, *marks}))
        pairs = [
            (self._class(start), chr(start) if chr(start) in SPECIAL else None, start < 0x20 or HIGH <= start < 0xE000)
            for start in self.starts
        ]
        numbers: dict[object, int] = {}
        self.classes = tuple([numbers.setdefault(pair, len(numbers)) for pair in pairs])
        self.letters = list(dict.fromkeys(pairs))
        n = len(content.table)
        self.counted = [False, False, *[True] * n]
        self.rows: list[Row | None] = [{'"': 2}, {}, *[None] * n]
        self.made: dict[tuple[object, ...], int] = {}
        for state in range(n):
            self.rows[2 + state] = {"\\": self._escape(state)} | ({'"': END} if content.accepting[state] else {'"': -1})
        self.table = tuple(self._row(state) for state in range(len(self.rows)))
        self.accepting = tuple(state == END for state in range(len(self.rows)))

    def _letter(self, char: int) -> tuple[int, str | None, bool]:
        """The class of a character in the content, itself if it is special, and whether it must be escaped."""
        return self._class(char), chr(char) if chr(char) in SPECIAL else None, char < 0x20 or HIGH <= char < 0xE000

    def _class(self, char: int) -> int:
        return self.content.classes[bisect_right(self.content.starts, char) - 1]

    def _row(self, state: int) -> tuple[int, ...]:
        own = self.rows[state]
        assert own is not None
        inside = 2 <= state < 2 + len(self.content.table)
        found = []
        for c, char, never in self.letters:
            target = own.get(char, -1) if char is not None else -1
            if inside and not never and char not in ('"', "\\"):
                after = self.content.table[state - 2][c]
                target = after + 2 if after >= 0 else -1
            found.append(target)
        return tuple(found)

    def _state(self, row: Row) -> int:
        """The state in the middle of an escape with these transitions; -1 if there are none."""
        row = {char: target for char, target in row.items() if target >= 0}
        if not row:
            return -1
        key = tuple(sorted(row.items()))
        if key not in self.made:
            if len(self.rows) > MAX_STATES:
                raise LimitExceeded("states of the spellings of a string", MAX_STATES)
            self.made[key] = len(self.rows)
            self.rows.append(row)
            self.counted.append(False)
        return self.made[key]

    def _escape(self, state: int) -> int:
        row = {char: self._after(state, ord(value)) for char, value in SHORT.items()}
        return self._state(row | {"u": self._digits(state, 0, 4)})

    def _after(self, state: int, char: int) -> int:
        after = step(self.content, state, chr(char))
        return after + 2 if after >= 0 else -1

    def _digits(self, state: int, first: int, n: int) -> int:
        """The state where n more hexadecimal digits give the code unit ``first`` or one of those behind it; above the code units, the
        second half of a pair gives a character."""
        last = first + 16**n - 1
        if n == 0:
            if HIGH <= first < LOW:
                low = self._low(state, 0x10000 + (first - HIGH << 10))
                return self._state({"\\": self._state({"u": low})})
            return -1 if LOW <= first < 0xE000 else self._after(state, first)
        if (last < HIGH or first >= 0xE000) and self._is_uniform(first, last):
            target = self._after(state, first)
            for _ in range(n):
                target = self._digit([target] * 16)
            return target
        if first >= HIGH and last < LOW and self._is_uniform(0x10000, 0x10FFFF):
            target = self._digits(state, HIGH, 0)
            for _ in range(n):
                target = self._digit([target] * 16)
            return target
        return self._digit([self._digits(state, first + d * 16 ** (n - 1), n - 1) for d in range(16)])

    def _low(self, state: int, first: int) -> int:
        """The second half of a pair: DC00 and above stand for ``first`` and the characters behind it."""
        quarters = [self._digits(state, first + (d << 8), 2) for d in range(4)]
        third = {f"{0xC + d:x}": target for d, target in enumerate(quarters)}
        return self._state({"d": self._state(_both(third)), "D": self._state(_both(third))})

    def _digit(self, targets: list[int]) -> int:
        return self._state(_both(dict(zip(DIGITS, targets, strict=True))))

    def _is_uniform(self, first: int, last: int) -> bool:
        starts = self.content.starts
        return bisect_right(starts, first) == bisect_right(starts, last)


def _both(row: Row) -> Row:
    """With capital digits too."""
    return row | {char.upper(): target for char, target in row.items()}


@lru_cache(maxsize=256)
def spelling(content: CharDfa | None) -> Spelling:
    """The spellings of a content (None: any characters)."""
    return Spelling(any_text() if content is None else content)
