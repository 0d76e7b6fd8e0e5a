"""Languages of texts as plain tables: running a character automaton, which lengths it accepts, and its words.

Reads the fields of a `CharDfa` (starts, classes, table, accepting) and calls none of its methods.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from structgen.automata.ir import Quoted, QuotedText
from tests.reference.characters import Range, overlap

DEAD = -1


class Table(NamedTuple):
    """The fields of a `CharDfa`, for languages made here."""

    starts: tuple[int, ...]
    classes: tuple[int, ...]
    table: tuple[tuple[int, ...], ...]
    accepting: tuple[bool, ...]


ANY_TEXT = Table((0, 0xD800, 0xE000), (0, 1, 0), ((0, DEAD),), (True,))


@cache
def exactly(text: str) -> Table:
    """The chain automaton of one text."""
    letters = sorted(set(text))
    bounds = sorted({0} | {ord(c) for c in letters} | {ord(c) + 1 for c in letters})
    classes = tuple(letters.index(chr(b)) + 1 if b <= 0x10FFFF and chr(b) in letters else 0 for b in bounds)
    rows = [[DEAD] * (len(letters) + 1) for _ in range(len(text) + 1)]
    for i, c in enumerate(text):
        rows[i][letters.index(c) + 1] = i + 1
    return Table(tuple(bounds), classes, tuple(map(tuple, rows)), (False,) * len(text) + (True,))


def content(expr: Quoted | QuotedText) -> Table:
    if isinstance(expr, QuotedText):
        return exactly(expr.text)
    return (
        ANY_TEXT if expr.content is None else Table(expr.content.starts, expr.content.classes, expr.content.table, expr.content.accepting)
    )


def bounds(expr: Quoted | QuotedText) -> tuple[int, int | None]:
    return (0, None) if isinstance(expr, QuotedText) else (expr.min_length, expr.max_length)


def follow(dfa: Table, state: int, code_point: int) -> int:
    if state == DEAD:
        return DEAD
    row = dfa.table[state]
    return row[dfa.classes[bisect_right(dfa.starts, code_point) - 1]] if row else DEAD


def successors(dfa: Table, state: int, ranges: list[Range]) -> Iterator[tuple[Range, int]]:
    """All ways on by one character out of the ranges, as (sub-range, next state)."""
    ends = [*[s - 1 for s in dfa.starts[1:]], 0x10FFFF]
    for wanted in ranges:
        for start, end in zip(dfa.starts, ends, strict=True):
            piece = overlap(wanted, (start, end))
            if piece and (target := follow(dfa, state, piece[0])) != DEAD:
                yield piece, target


@cache
def accepted_in(dfa: Table) -> tuple[list[frozenset[int]], int]:
    """The k-th set: the states from which some text of exactly k characters is accepted; the sets repeat after the
    last one from the given index on."""
    current = frozenset(q for q, yes in enumerate(dfa.accepting) if yes)
    sets: list[frozenset[int]] = []
    while current not in sets:
        sets.append(current)
        current = frozenset(q for q, row in enumerate(dfa.table) if any(target in current for target in row))
    return sets, sets.index(current)


def is_endless(dfa: Table) -> bool:
    """Whether every beginning of an accepted text begins infinitely many."""
    sets, back = accepted_in(dfa)
    return all(any(state in s for s in sets[back:]) for state in range(len(dfa.table)))


def accepts_length(dfa: Table, state: int, length: int) -> bool:
    sets, back = accepted_in(dfa)
    if length >= len(sets):
        length = back + (length - back) % (len(sets) - back)
    return state in sets[length]


def can_finish(dfa: Table, state: int, low: int = 0, high: int | None = None) -> bool:
    """Whether some text with a length between the bounds is accepted from the state."""
    low = max(low, 0)
    last = low + len(accepted_in(dfa)[0])
    return any(accepts_length(dfa, state, k) for k in range(low, (last if high is None else min(high, last)) + 1))


def words(dfa: Table, state: int, length: int, first: list[Range] | None = None) -> Iterator[str]:
    """All texts of exactly this length accepted from the state, their first character within the ranges if given."""
    if length == 0:
        if dfa.accepting[state] and first is None:
            yield ""
        return
    for (low, high), target in successors(dfa, state, [(0, 0x10FFFF)] if first is None else first):
        if accepts_length(dfa, target, length - 1):
            for code_point in range(low, high + 1):
                for rest in words(dfa, target, length - 1):
                    yield chr(code_point) + rest


def words_by_length(dfa: Table, state: int, low: int, high: int | None, first: list[Range] | None) -> Iterator[str]:
    """The same for all lengths between the bounds, shortest first; endless if the language is."""
    sets, back = accepted_in(dfa)
    after_first = [state] if first is None else [target for _, target in successors(dfa, state, first)]
    endless = any(q in s for q in after_first for s in sets[back:])
    longest = len(sets) + 1 if high is None or not endless else high
    length = max(low, 0)
    while (high is None or length <= high) and (endless or length <= longest):
        yield from words(dfa, state, length, first)
        length += 1
