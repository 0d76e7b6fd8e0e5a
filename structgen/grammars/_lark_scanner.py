"""Lark's standard scanners as automata whose accepting states are labelled with the types of tokens.

A scanner is an alternation of terminals in Lark's order, of which Python's `re` takes the first that matches; a string that a
regular expression also matches is a token of that expression, and changes its type afterwards if it is the whole token. The
contextual lexer has a scanner for each set of terminals that the parser can use in some state; they share one alphabet here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa, literal
from structgen.automata.leftmost import Scanner
from structgen.errors import LimitExceeded

from ._regex_parser import parse_regex

__all__ = ["IGNORED", "Scanners"]

IGNORED = ""
"""The label of what a scanner drops."""
MAX_ENTRIES = 5_000_000
"""Entries in the tables of all scanners, and steps of the matchers they are made from."""

Regexes = dict[tuple[str, ...], Scanner]


class Scanners:
    """Several `lark.lexer.BasicLexer`: ``starts`` and ``classes`` as in `CharDfa`, and a table for each of them.
    ``alone``: characters that have a class of their own."""

    def __init__(self, lexers: Sequence[Any], alone: str = "") -> None:
        known: Regexes = {}
        self.scanners: list[_TokenScanner] = []
        n_entries = 0
        for lexer in lexers:
            self.scanners.append(scanner := _TokenScanner(lexer, known))
            n_entries += len(scanner.table) * len(scanner.table[0])
            _check(n_entries + sum(automaton.matcher.steps for automaton in known.values()))
        self.starts, columns = _joint(*self.scanners, *map(literal, alone))
        letters = [column for column in dict.fromkeys(columns) if max(column[: len(lexers)]) >= 0]  # surrogates have none
        number = {column: c for c, column in enumerate(letters)}
        self.classes = [number.get(column, -1) for column in columns]
        first = dict(zip(reversed(self.classes), reversed(self.starts), strict=True))
        self.letters = [first[c] for c in range(len(letters))]
        """One character of each class."""
        _check(sum(len(scanner.table) for scanner in self.scanners) * len(letters))
        self.tables = [
            [[_next(scanner, state, column[i]) for column in letters] for state in range(len(scanner.table))]
            for i, scanner in enumerate(self.scanners)
        ]
        self.types = [scanner.types for scanner in self.scanners]
        """For each state of each scanner the types of tokens that may end there; the rest of the text decides among several."""

    def rests(self, scanner: int, at: int, label: str) -> CharDfa:
        """The texts before which a match may end in this state with this type."""
        return self.scanners[scanner].rests(at, label)


def _check(n_entries: int) -> None:
    if n_entries > MAX_ENTRIES:
        raise LimitExceeded("table entries of the scanners of all parser states", MAX_ENTRIES, "a Lark grammar")


class _TokenScanner:
    """One scanner, over an alphabet of its own."""

    def __init__(self, lexer: Any, known: Regexes) -> None:
        terminals = lexer.scanner.terminals  # and fills lexer.callback
        self.names = [IGNORED if terminal.name in lexer.ignore_types else terminal.name for terminal in terminals]
        self.strings = {i: lexer.callback[name].scanner.terminals for i, name in enumerate(self.names) if name in lexer.callback}
        self.scanners = scanners = [_scanner(terminals, known), *(_scanner(strings, known) for strings in self.strings.values())]
        self.starts, columns = _joint(*scanners)
        letters = [column for column in dict.fromkeys(columns) if column[0] >= 0]
        number = {column: c for c, column in enumerate(letters)}
        self.classes = [number.get(column, -1) for column in columns]
        self.matches: list[tuple[int, dict[int, str]]] = []
        """For each state that of the first scanner, and the type for each terminal that may match."""

        def successors(state: tuple[int, ...]) -> list[tuple[int, ...] | None]:
            self.matches.append((state[0], {i: self.type(i, state[1:]) for i in scanners[0].labels[state[0]]}))
            found = [tuple(map(_next, scanners, state, column)) for column in letters]
            return [after if after[0] >= 0 else None for after in found]

        self.table, _ = crawl((0,) * len(scanners), successors, lambda _: False, MAX_STATES)
        self.types = [list(dict.fromkeys(types.values())) for _, types in self.matches]

    def type(self, terminal: int, states: Sequence[int]) -> str:
        """The type of a token, by the states of the scanners for strings."""
        for (i, words), scanner, at in zip(self.strings.items(), self.scanners[1:], states, strict=True):
            if i == terminal and at >= 0 and scanner.labels[at]:
                return str(words[scanner.labels[at][0]].name)
        return self.names[terminal]

    def rests(self, at: int, label: str) -> CharDfa:
        own, types = self.matches[at]
        return self.scanners[0].rests(own, [i for i, name in types.items() if name == label])


def _scanner(terminals: Any, known: Regexes) -> Scanner:
    regexes = tuple(terminal.pattern.to_regexp() for terminal in terminals)
    if regexes not in known:
        known[regexes] = Scanner([parse_regex(regex, syntax="python") for regex in regexes], ahead=True)
    return known[regexes]


def _next(automaton: Any, state: int, char_class: int) -> int:
    return int(automaton.table[state][char_class]) if state >= 0 and char_class >= 0 else -1


def _joint(*automata: Any) -> tuple[list[int], list[tuple[int, ...]]]:
    """The common refinement of the intervals, and the classes of each."""
    starts = sorted(set().union(*(a.starts for a in automata)))
    return starts, [tuple(a.classes[bisect_right(a.starts, s) - 1] for a in automata) for s in starts]
