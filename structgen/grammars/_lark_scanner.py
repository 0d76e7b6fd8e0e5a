"""One of Lark's standard scanners as an automaton whose accepting states are labelled with the types of tokens.

A scanner is an alternation of terminals in Lark's order, of which Python's `re` takes the first that matches; a string that a
regular expression also matches is a token of that expression, and changes its type afterwards if it is the whole token.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from structgen.automata._chardfa_minimal import canonical
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa
from structgen.automata.leftmost import Scanner, compile_scanner

from ._regex_parser import parse_regex

__all__ = ["IGNORED", "TokenScanner", "joint", "next_state"]

IGNORED = ""
"""The label of what a scanner drops."""


class TokenScanner:
    """A `lark.lexer.BasicLexer` as an automaton: ``starts``, ``classes`` and ``table`` as in `CharDfa`, ``labels`` by state."""

    def __init__(self, lexer: Any) -> None:
        terminals = lexer.scanner.terminals  # and fills lexer.callback
        types = {i: IGNORED if terminal.name in lexer.ignore_types else terminal.name for i, terminal in enumerate(terminals)}
        strings = {i: lexer.callback[name].scanner.terminals for i, name in types.items() if name in lexer.callback}
        scanners = [_scanner(terminals), *map(_scanner, strings.values())]
        self.starts, columns = joint(*scanners)
        letters = [column for column in dict.fromkeys(columns) if column[0] >= 0]  # surrogates have none
        number = {column: c for c, column in enumerate(letters)}
        self.classes = [number.get(column, -1) for column in columns]
        self.labels: list[str | None] = []

        def label(state: tuple[int, ...]) -> str | None:
            found = scanners[0].labels[state[0]]
            if found is None:
                return None
            for (i, words), scanner, at in zip(strings.items(), scanners[1:], state[1:], strict=True):
                word = scanner.labels[at] if i == found and at >= 0 else None
                if word is not None:
                    return str(words[word].name)
            return types[found]

        def successors(state: tuple[int, ...]) -> list[tuple[int, ...] | None]:
            self.labels.append(label(state))
            found = [tuple(map(next_state, scanners, state, column)) for column in letters]
            return [after if after[0] >= 0 else None for after in found]

        self.table, _ = crawl((0,) * len(scanners), successors, lambda _: False, MAX_STATES)

    def longer_than(self, at: int) -> CharDfa:
        """The shortest texts, not empty, that lead from this state to another match; what begins with one makes the match longer."""

        def successors(state: tuple[int, bool]) -> list[tuple[int, bool] | None]:
            return [(after, True) if after >= 0 and not is_match(state) else None for after in self.table[state[0]]]

        def is_match(state: tuple[int, bool]) -> bool:
            return state[1] and self.labels[state[0]] is not None

        table, accepting = crawl((at, False), successors, is_match, MAX_STATES)
        return CharDfa(*canonical(self.starts, self.classes, table, accepting))

    def rests(self, at: int) -> CharDfa:
        """The texts before which a match may end in this state: none of their beginnings makes it longer."""
        anything = len(self.table)

        def successors(state: int) -> list[int | None]:
            if state == anything:
                return [anything] * len(self.table[0])
            return [anything if after < 0 else None if self.labels[after] is not None else after for after in self.table[state]]

        table, accepting = crawl(at, successors, lambda _: True, MAX_STATES + 1)
        return CharDfa(*canonical(self.starts, self.classes, table, accepting))


def _scanner(terminals: Any) -> Scanner:
    return compile_scanner([parse_regex(terminal.pattern.to_regexp(), syntax="python") for terminal in terminals])


def next_state(automaton: Any, state: int, char_class: int) -> int:
    return int(automaton.table[state][char_class]) if state >= 0 and char_class >= 0 else -1


def joint(*automata: Any) -> tuple[list[int], list[tuple[int, ...]]]:
    """The common refinement of the intervals, and the classes of each."""
    starts = sorted(set().union(*(a.starts for a in automata)))
    return starts, [tuple(a.classes[bisect_right(a.starts, s) - 1] for a in automata) for s in starts]
