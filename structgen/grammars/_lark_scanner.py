"""One of Lark's standard scanners as an automaton whose accepting states are labelled with the types of tokens.

A scanner is an alternation of terminals in Lark's order, of which Python's `re` takes the first that matches; a string that a
regular expression also matches is a token of that expression, and changes its type afterwards if it is the whole token.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from structgen.automata._chardfa_minimal import canonical
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa
from structgen.automata.leftmost import Scanner

from ._regex_parser import parse_regex

__all__ = ["IGNORED", "TokenScanner", "joint", "next_state"]

IGNORED = ""
"""The label of what a scanner drops."""


class TokenScanner:
    """A `lark.lexer.BasicLexer` as an automaton: ``starts``, ``classes`` and ``table`` as in `CharDfa`. ``ahead``: whether
    terminals may look at the text behind them; then the rest of the text decides which of the ``types`` of a state it is."""

    def __init__(self, lexer: Any, *, ahead: bool = False) -> None:
        terminals = lexer.scanner.terminals  # and fills lexer.callback
        self.names = [IGNORED if terminal.name in lexer.ignore_types else terminal.name for terminal in terminals]
        self.strings = {i: lexer.callback[name].scanner.terminals for i, name in enumerate(self.names) if name in lexer.callback}
        self.scanners = scanners = [_scanner(terminals, ahead), *(_scanner(strings) for strings in self.strings.values())]
        self.starts, columns = joint(*scanners)
        letters = [column for column in dict.fromkeys(columns) if column[0] >= 0]  # surrogates have none
        number = {column: c for c, column in enumerate(letters)}
        self.classes = [number.get(column, -1) for column in columns]
        self.matches: list[tuple[int, dict[int, str]]] = []
        """For each state that of the first scanner, and the type for each terminal that may match."""

        def successors(state: tuple[int, ...]) -> list[tuple[int, ...] | None]:
            self.matches.append((state[0], {i: self.type(i, state[1:]) for i in scanners[0].labels[state[0]]}))
            found = [tuple(map(next_state, scanners, state, column)) for column in letters]
            return [after if after[0] >= 0 else None for after in found]

        self.table, _ = crawl((0,) * len(scanners), successors, lambda _: False, MAX_STATES)
        self.types = [list(dict.fromkeys(types.values())) for _, types in self.matches]
        self.labels = [types[0] if types else None for types in self.types]
        """The type in each state where no terminal looks at the text behind it."""

    def type(self, terminal: int, states: Sequence[int]) -> str:
        """The type of a token, by the states of the scanners for strings."""
        for (i, words), scanner, at in zip(self.strings.items(), self.scanners[1:], states, strict=True):
            if i == terminal and at >= 0 and scanner.labels[at]:
                return str(words[scanner.labels[at][0]].name)
        return self.names[terminal]

    def longer_than(self, at: int) -> CharDfa:
        """The shortest texts, not empty, that lead from this state to another match; what begins with one makes the match longer."""

        def successors(state: tuple[int, bool]) -> list[tuple[int, bool] | None]:
            return [(after, True) if after >= 0 and not is_match(state) else None for after in self.table[state[0]]]

        def is_match(state: tuple[int, bool]) -> bool:
            return state[1] and self.labels[state[0]] is not None

        table, accepting = crawl((at, False), successors, is_match, MAX_STATES)
        return CharDfa(*canonical(self.starts, self.classes, table, accepting))

    def rests(self, at: int, label: str) -> CharDfa:
        """The texts before which a match may end in this state with this type."""
        own, types = self.matches[at]
        return self.scanners[0].rests(own, [i for i, name in types.items() if name == label])


def _scanner(terminals: Any, ahead: bool = False) -> Scanner:
    return Scanner([parse_regex(terminal.pattern.to_regexp(), syntax="python") for terminal in terminals], ahead=ahead)


def next_state(automaton: Any, state: int, char_class: int) -> int:
    return int(automaton.table[state][char_class]) if state >= 0 and char_class >= 0 else -1


def joint(*automata: Any) -> tuple[list[int], list[tuple[int, ...]]]:
    """The common refinement of the intervals, and the classes of each."""
    starts = sorted(set().union(*(a.starts for a in automata)))
    return starts, [tuple(a.classes[bisect_right(a.starts, s) - 1] for a in automata) for s in starts]
