"""Lexemes read from right to left: where their words may begin, and what of them stands before the text behind a gap.

A run goes backwards through the automaton of a lexeme and a `Pattern` side by side and counts the characters of its value, if their
number matters. It ends where the lexeme begins, or at the left end of the pattern, which cuts the lexeme in two.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from math import isqrt
from typing import NamedTuple

from structgen.automata import ir
from structgen.automata._chardfa_minimal import canonical
from structgen.automata._chardfa_subset import crawl
from structgen.automata._quotient_pattern import Pattern
from structgen.automata._quotient_spelling import START, Spelling
from structgen.automata.chardfa import CharDfa, any_text
from structgen.errors import LimitExceeded

__all__ = ["Count", "Lexeme", "Run", "counts_left"]

MAX_RUN = 500_000
"""Situations of one run."""
MAX_COUNTED = 20_000
"""States of a beginning of a JSON string with a content and a bounded length, written out."""
FEW = 500
"""Characters up to this number are counted one by one."""
WIDTHS = ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xFFFF), (0x10000, 0x10FFFF))


class Count(NamedTuple):
    """A number of characters or rounds; ``open``: or any greater one."""

    n: int
    open: bool


class Run(NamedTuple):
    """``begins``: positions where words may begin that end at one position, and whether a gap was read on the way. ``cuts``: by state,
    how many characters are read from there on, from the left end of the pattern."""

    begins: set[tuple[int, bool]]
    cuts: dict[int, set[Count]]


class Lexeme:
    """A regular language over characters with bounds on the number of characters (of the value, if it is a JSON string)."""

    def __init__(self, dfa: CharDfa | Spelling, low: int = 0, high: int | None = None) -> None:
        self.dfa, self.low, self.high = dfa, low, high
        self.spelling = dfa if isinstance(dfa, Spelling) else None
        self.quoted = self.spelling is not None
        self.counts = low > 0 or high is not None
        self.first = START if self.quoted else 0
        self.ends = [state for state, accepting in enumerate(dfa.accepting) if accepting]

    def run(self, pattern: Pattern, end: int) -> Run:
        """Backwards from ``end``, where a word ends."""
        found: set[tuple[int, bool]] = set()
        cuts: dict[int, set[Count]] = {}
        n_seen = 0
        least: dict[tuple[int, int, bool], int] = {}  # of open counts
        exact: set[tuple[int, int, bool, int]] = set()
        todo = [(state, end, False, Count(0, False)) for state in self.ends]
        while todo:
            state, p, wild, count = todo.pop()
            n_seen += 1
            if n_seen > MAX_RUN:
                raise LimitExceeded("characters read backwards", MAX_RUN, "a string of bounded length with a gap in it")
            place = state, p, wild
            if least.get(place, count.n + 1) <= count.n or (not count.open and (*place, count.n) in exact):
                continue
            if not count.open and self.high is not None and p in pattern.loops and state in self._into(state):
                count = Count(count.n, True)
            if count.open:
                least[place] = count.n
            else:
                exact.add((*place, count.n))
            if state == self.first and self._fits(count):
                found.add((p, wild))
            if p == 0:
                cuts.setdefault(state, set()).add(count)
            else:
                todo += self._steps(pattern, state, p, wild, count)
        return Run(found, cuts)

    def _steps(self, pattern: Pattern, state: int, p: int, wild: bool, count: Count) -> Iterator[tuple[int, int, bool, Count]]:
        fixed = pattern.before[p]
        if fixed is not None:
            begin, char = fixed
            for before in self.before(state, self.class_of(char)):
                yield from self._step(before, state, begin, wild, count)
        if p in pattern.loops:
            for before in self._into(state):
                yield from self._step(before, state, p, True, count)
        if p in pattern.zones:
            for width in range(1, min(4, pattern.zones[p]) + 1):
                for before in {b for c in self._of_width[width] for b in self.before(state, c)}:
                    yield from self._step(before, state, p - width, True, count)

    def _step(self, before: int, state: int, p: int, wild: bool, count: Count) -> Iterator[tuple[int, int, bool, Count]]:
        if self.counts and self.completes(before, state):
            count = Count(count.n + 1 if self.high is not None else min(count.n + 1, self.low), count.open)
            if self.high is not None and count.n > self.high:
                return
        yield before, p, wild, count

    def completes(self, before: int, state: int) -> bool:
        """Whether a transition completes a character that counts."""
        return self.spelling is None or (before != START and self.spelling.counted[state])

    def _fits(self, count: Count) -> bool:
        return not self.counts or ((self.high is None or count.n <= self.high) and (count.open or count.n >= self.low))

    def class_of(self, char: str) -> int:
        return self.dfa.classes[bisect_right(self.dfa.starts, ord(char)) - 1]

    def before(self, state: int, letter: int) -> Sequence[int]:
        """The states that a class of characters leads to this one from."""
        return self._inverse.get((state, letter), ())

    def _into(self, state: int) -> set[int]:
        return self._sources.get(state, set())

    @cached_property
    def _inverse(self) -> dict[tuple[int, int], list[int]]:
        found: dict[tuple[int, int], list[int]] = {}
        for state, row in enumerate(self.dfa.table):
            for letter, target in enumerate(row):
                if target >= 0:
                    found.setdefault((target, letter), []).append(state)
        return found

    @cached_property
    def _sources(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for (target, _), states in self._inverse.items():
            found.setdefault(target, set()).update(states)
        return found

    @cached_property
    def _of_width(self) -> list[set[int]]:
        """The classes that have characters of so many bytes."""
        ends = [*(start - 1 for start in self.dfa.starts[1:]), 0x10FFFF]
        intervals = list(zip(self.dfa.starts, ends, self.dfa.classes, strict=True))
        return [set(), *({c for a, b, c in intervals if a <= high and b >= low} for low, high in WIDTHS)]

    @cached_property
    def last_bytes(self) -> int:
        """The bytes that words may end with, as bits; bytes above 127 all or none."""
        found = 0
        ends = [*(start - 1 for start in self.dfa.starts[1:]), 0x10FFFF]
        into = {letter for state in self.ends for letter in range(len(self.dfa.table[0])) if (state, letter) in self._inverse}
        for start, end, letter in zip(self.dfa.starts, ends, self.dfa.classes, strict=True):
            if letter in into:
                found |= (1 << min(end, 127) + 1) - (1 << start) if start < 128 else 0
                found |= ABOVE if end >= 128 else 0
        return found

    def beginning(self, cuts: dict[int, set[Count]]) -> ir.Expr:
        """What may stand before a cut: the words that lead to these states, with so many characters that the rest makes a word."""
        by_bounds: dict[tuple[int, int | None], list[int]] = {}
        for state, counts in cuts.items():
            for bounds in counts_left(counts, self.low, self.high):
                by_bounds.setdefault(bounds, []).append(state)
        return ir.Choice(tuple(self._beginning(states, *bounds) for bounds, states in by_bounds.items()))

    def _beginning(self, states: list[int], low: int, high: int | None) -> ir.Expr:
        if self.spelling is None:
            words = _automaton(self.dfa, self.dfa.table, 0, states)
            return ir.Regular(words) if not low and high is None else ir.Bounded(words, low, high)
        if not low and high is None:
            return ir.Regular(_automaton(self.dfa, self.dfa.table, START, states))
        if self.spelling.content == any_text():
            return self._free(states, low, high)
        return ir.Regular(self._counted(states, low, high))

    def _counted(self, states: list[int], low: int, high: int | None) -> CharDfa:
        """The beginnings of JSON strings that lead to these states after so many characters, written out."""
        top = low if high is None else high

        def successors(place: tuple[int, int]) -> Iterator[tuple[int, int] | None]:
            state, n = place
            for target in self.dfa.table[state]:
                after = n + 1 if target >= 0 and self.completes(state, target) else n
                yield None if target < 0 or (after > top and high is not None) else (target, min(after, top))

        try:
            rows, accepting = crawl((START, 0), successors, lambda place: place[0] in states and place[1] >= low, MAX_COUNTED)
        except LimitExceeded:
            raise LimitExceeded("states of a JSON string", MAX_COUNTED, "a gap in a string with a pattern and a great length") from None
        return CharDfa(*canonical(self.dfa.starts, self.dfa.classes, rows, accepting))

    def _free(self, states: list[int], low: int, high: int | None) -> ir.Expr:
        """The beginnings of JSON strings of any characters, which are repeated."""
        ways: list[ir.Expr] = []
        one = 2
        others = [state for state in states if state not in (START, one)]
        if START in states and low == 0:
            ways.append(ir.EMPTY)
        quote = ir.Bytes(b'"')
        chars = _times(ir.Regular(self._once([one])), low, high)
        if one in states:
            ways.append(ir.Seq((quote, chars)))
        if others:
            ways.append(ir.Seq((quote, chars, ir.Regular(self._once(others)))))
        return ir.Choice(tuple(ways))

    def _once(self, states: list[int]) -> CharDfa:
        """The words from the first boundary to these states that pass no boundary again."""
        end = len(self.dfa.table)
        rows = [[end if target == 2 else -1 if target == 1 else target for target in row] for row in self.dfa.table]
        rows.append([-1] * len(rows[0]))
        return _automaton(self.dfa, rows, 2, {end if state == 2 else state for state in states})


ABOVE = (1 << 256) - (1 << 128)


def _times(char: ir.Expr, low: int, high: int | None) -> ir.Expr:
    """A character so many times. Great numbers are counted in blocks, as a search for the shortest end looks at every number of rounds:
    less than k blocks and less than a block more, or k blocks and r more, where ``high - low`` is k blocks and r."""
    if high is None or high - low < FEW:
        return ir.Repeat(char, low, high, determined=True)
    size = isqrt(high - low)
    k, r = divmod(high - low, size)
    block = ir.Repeat(char, size, size, determined=True)
    less = ir.Seq((ir.Repeat(block, 0, k - 1, determined=True), ir.Repeat(char, 0, size - 1, determined=True)))
    all_blocks = ir.Seq((ir.Repeat(block, k, k, determined=True), ir.Repeat(char, 0, r, determined=True)))
    return ir.Seq((ir.Repeat(char, low, low, determined=True), ir.Choice((less, all_blocks))))


def _automaton(letters: CharDfa | Spelling, rows: Sequence[Sequence[int]], start: int, ends: Iterable[int]) -> CharDfa:
    """The automaton of a table with other ends, only what can be reached."""
    wanted = set(ends)
    reached = crawl(start, lambda state: [None if target < 0 else target for target in rows[state]], wanted.__contains__, len(rows) + 1)
    return CharDfa(*canonical(letters.starts, letters.classes, *reached))


def counts_left(counts: Iterable[Count], low: int, high: int | None) -> list[tuple[int, int | None]]:
    """The numbers that may stand before a cut with these numbers behind it, so that their sum lies within the bounds: disjoint
    intervals (None: no upper bound)."""
    found: list[tuple[int, int | None]] = []
    for n, is_open in counts:
        if high is None:
            found.append((max(0, low - n) if not is_open else 0, None))
        elif n <= high:
            found.append((0 if is_open else max(0, low - n), high - n))
    merged: list[tuple[int, int | None]] = []
    for a, b in sorted(found, key=lambda bounds: bounds[0]):
        if merged and (merged[-1][1] is None or a <= merged[-1][1] + 1):
            end = merged[-1][1]
            merged[-1] = merged[-1][0], None if end is None or b is None else max(end, b)
        else:
            merged.append((a, b))
    return merged
