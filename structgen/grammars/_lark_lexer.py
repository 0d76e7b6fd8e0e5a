"""What Lark's dynamic lexer matches between two symbols of a grammar: ignored pieces, then a terminal, as one automaton.

An ignored piece is always the match that Python's matcher finds: the longest text in the piece's automaton (`compile_leftmost`).
"// a" may not be ignored where "// ab" stands. So a piece that has ended leaves a duty behind: its automaton goes on reading,
and must not accept again. With ``longest`` terminals leave duties, too. A state is a set of possibilities, each of them a piece or
the terminal with its state, and the duties not yet settled. Duties that are not settled when the terminal ends are passed on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from structgen.automata import ir
from structgen.automata._chardfa_minimal import canonical
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa, literal
from structgen.errors import LimitExceeded

from ._lark_contexts import Contexts

__all__ = ["NO_DUTIES", "Duties", "Lexer", "in_contexts"]

MAX_POSSIBILITIES = 1_000
"""Ways in which one text can be split."""

Duties = frozenset[tuple[int, int]]
"""Automata of pieces that have ended, by number, each in the state it is in by now."""
NO_DUTIES: Duties = frozenset()
State = frozenset[tuple[int, int, Duties]]
"""Possibilities: the automaton that reads, its state, and the duties."""


class Lexer:
    """The automata of one grammar. ``ignored``: the pieces that may stand before every terminal and at the end of a text;
    ``longest``: terminals, too, take their longest match only."""

    def __init__(self, ignored: Iterable[CharDfa], longest: bool) -> None:
        self.automata: list[CharDfa] = []
        self.numbers: dict[CharDfa, int] = {}
        self.onward: list[list[bool]] = []
        self.ignored = [self.number(dfa) for dfa in ignored]
        self.longest = longest
        self.known: dict[tuple[int, Duties, bool], dict[Duties, CharDfa]] = {}

    def number(self, dfa: CharDfa) -> int:
        if dfa not in self.numbers:
            self.numbers[dfa] = len(self.automata)
            self.automata.append(dfa)
            self.onward.append([max(row) >= 0 for row in dfa.table])
        return self.numbers[dfa]

    def before(self, word: CharDfa, duties: Duties = NO_DUTIES) -> dict[Duties, CharDfa]:
        """What may stand between a place with duties and the end of a terminal, by the duties there."""
        return self._before(self.number(word), duties, False)

    def at_end(self, duties: Duties = NO_DUTIES) -> CharDfa:
        """What may stand between a place with duties and the end of the text: there, all duties are settled."""
        return self._before(self.number(literal("")), duties, True)[NO_DUTIES]

    def _before(self, word: int, duties: Duties, at_end: bool) -> dict[Duties, CharDfa]:
        key = (word, duties, at_end)
        if key not in self.known:
            self.known[key] = _Run(self, word, duties, at_end).automata()
        return self.known[key]


def in_contexts(root: ir.Rule, words: Mapping[ir.Rule, CharDfa], lexer: Lexer) -> ir.Expr:
    """The whole documents of ``root``, where the rules in ``words`` are the terminals."""
    contexts = Contexts(_Words(words, lexer), root, NO_DUTIES)
    return contexts.document({end: ir.Regular(lexer.at_end(end)) for end in contexts.ends(root, NO_DUTIES)})


class _Words:
    """See `_lark_contexts.Lexing`."""

    def __init__(self, words: Mapping[ir.Rule, CharDfa], lexer: Lexer) -> None:
        self.words, self.lexer = words, lexer

    def steps(self, terminal: ir.Rule, start: Duties) -> Mapping[Duties, CharDfa] | None:
        return self.lexer.before(self.words[terminal], start) if terminal in self.words else None

    def cut(self, expr: ir.Expr, start: Duties) -> Duties:
        return start


class _Run:
    """The automata from a place with duties to the end of one terminal."""

    def __init__(self, lexer: Lexer, word: int, duties: Duties, at_end: bool) -> None:
        self.lexer, self.word, self.at_end = lexer, word, at_end
        self.start: State = frozenset(self.begin(duties))
        self.involved = {word, *lexer.ignored, *(i for i, _ in duties)}

    def automata(self) -> dict[Duties, CharDfa]:
        dfas = [(i, self.lexer.automata[i]) for i in sorted(self.involved)]
        starts = sorted(set().union(*(dfa.starts for _, dfa in dfas)))
        columns = [tuple(dfa.classes[bisect_right(dfa.starts, s) - 1] for _, dfa in dfas) for s in starts]
        number = {column: c for c, column in enumerate(dict.fromkeys(columns))}
        letters = [{i: c for (i, _), c in zip(dfas, column, strict=True)} for column in number]
        ends: dict[State, set[Duties]] = {}

        def successors(state: State) -> list[State | None]:
            ends[state] = self.ends(state)
            return [self.step(state, classes) or None for classes in letters]

        rows, _ = crawl(self.start, successors, lambda _: False, MAX_STATES)
        classes = [number[column] for column in columns]
        outcomes = dict.fromkeys(duties for state in ends for duties in sorted(ends[state], key=sorted))
        return {duties: CharDfa(*canonical(starts, classes, rows, [duties in found for found in ends.values()])) for duties in outcomes}

    def begin(self, duties: Duties) -> Iterable[tuple[int, int, Duties]]:
        return ((i, 0, duties) for i in (self.word, *self.lexer.ignored))

    def ends(self, state: State) -> set[Duties]:
        """The duties with which the terminal may end here; where there are some, more of them say nothing new."""
        ends: set[Duties] = set()
        for i, at, duties in state:
            if i == self.word and self.lexer.automata[i].accepting[at]:
                ends.add(NO_DUTIES if self.at_end else self.owed(i, at, duties) if self.lexer.longest else duties)
        return {duties for duties in ends if not any(fewer < duties for fewer in ends)}

    def owed(self, i: int, at: int, duties: Duties) -> Duties:
        """The duties after a piece that ends here."""
        return duties | {(i, at)} if self.lexer.onward[i][at] else duties

    def step(self, state: State, classes: dict[int, int]) -> State:
        found: set[tuple[int, int, Duties]] = set()
        for i, at, duties in state:
            after = self.lexer.automata[i].table[at][classes[i]]
            kept = self.read_on(duties, classes)
            if after < 0 or kept is None:
                continue
            found.add((i, after, kept))
            if i in self.lexer.ignored and self.lexer.automata[i].accepting[after]:
                found.update(self.begin(self.owed(i, after, kept)))
        if len(found) > MAX_POSSIBILITIES:
            raise LimitExceeded("ways to split one text into ignored pieces", MAX_POSSIBILITIES)
        return frozenset(found)

    def read_on(self, duties: Duties, classes: dict[int, int]) -> Duties | None:
        """The duties after one more character, None if one is broken."""
        automata = self.lexer.automata
        after = [(i, automata[i].table[at][classes[i]]) for i, at in duties]
        if any(at >= 0 and automata[i].accepting[at] for i, at in after):
            return None
        return frozenset((i, at) for i, at in after if at >= 0)
