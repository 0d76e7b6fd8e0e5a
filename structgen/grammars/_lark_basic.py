"""Lark's Earley parser behind its basic lexer, as a grammar of the machine.

One scanner cuts the text into tokens whatever the parser wants, and each is the first match that Python's `re` finds where it
begins. A match that may end here leaves a duty: the rest of the text must be one that lets it end here. Duties are automata of
these rests, numbered and canonical, and cut to what can come next in the grammar (FOLLOW), so that there are only a few.
Ignored pieces between two tokens are a terminal of their own, which may stand behind every token and at the beginning.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from structgen.automata import ir
from structgen.automata._chardfa_minimal import canonical
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa, any_text, intersect, is_empty, union
from structgen.errors import LimitExceeded

from ._lark_ahead import Ahead
from ._lark_contexts import NOTHING, Contexts, without_loops
from ._lark_scanner import IGNORED, TokenScanner

__all__ = ["in_tokens"]

MAX_TABLES = 100_000
"""Entries in the tables of all duties."""
FREE = 0
"""The duty that any rest of the text fulfils."""
BOUNDARY = -1
"""Where an ignored piece has just ended, and another one may begin."""

Rest = tuple[int, int]
"""A duty and the state that its automaton is in by now."""


def in_tokens(root: ir.Rule, terminals: Mapping[ir.Rule, str], scanner: TokenScanner) -> ir.Expr:
    """The whole documents of ``root``, whose ``terminals`` have no bodies yet, only the names of the tokens that they are."""
    ignored = ir.Rule("ignored")
    between = ir.Choice((ir.EMPTY, ignored)) if any(IGNORED in types for types in scanner.types) else ir.EMPTY
    labels = {ignored: IGNORED}
    for rule, name in terminals.items():
        token = ir.Rule(name)
        labels[token] = name
        rule.define(ir.Seq((token, between)))
    document = without_loops(ir.Rule("document", ir.Seq((between, root))))
    lexing = _BasicLexer(scanner, labels, document)
    contexts = Contexts(lexing, document, FREE)
    return contexts.document({duty: ir.EMPTY if dfa.accepting[0] else NOTHING for duty, dfa in enumerate(lexing.duties)})


class _BasicLexer:
    """What each terminal may read from a place with a duty (see `_lark_contexts.Lexing`)."""

    def __init__(self, scanner: TokenScanner, labels: dict[ir.Rule, str], root: ir.Rule) -> None:
        self.scanner, self.labels = scanner, labels
        self.letters = _one_of_each_class(scanner)
        self.duties: list[CharDfa] = []
        self.numbers: dict[CharDfa, int] = {}
        self.moves: list[list[list[int]]] = []
        """For each duty its table, by the scanner's classes."""
        self.n_entries = 0
        self.number(any_text())
        self.rests: dict[Rest, int] = {}
        self.remainders: dict[int, list[int]] = {}
        """For each duty what is left of it behind a character of each class."""
        self.equal: dict[tuple[int, int], int] = {}
        self.used = {FREE: None}
        self.behind: dict[tuple[int, str], int] = {}
        self.known: dict[tuple[ir.Rule, int], dict[int, CharDfa]] = {}
        before = _sources(scanner)
        self.useful = {label: _leading_to(scanner, label, before) for label in labels.values()}
        first = {rule: self.first(label) for rule, label in labels.items()}
        self.ahead = Ahead(root, first)

    def first(self, label: str) -> int:
        """The classes, as a bit mask, with which a token may begin."""
        return sum(1 << c for c, after in enumerate(self.scanner.table[0]) if after in self.useful[label])

    # -- duties -----------------------------------------------------------------------------------------------------------------

    def number(self, dfa: CharDfa) -> int:
        if dfa not in self.numbers:
            self.n_entries += len(dfa.table) * len(self.letters)
            if self.n_entries > MAX_TABLES:
                raise LimitExceeded("table entries for what may stand behind tokens", MAX_TABLES, "a Lark grammar")
            self.numbers[dfa] = len(self.duties)
            self.duties.append(dfa)
            classes = [dfa.classes[bisect_right(dfa.starts, letter) - 1] for letter in self.letters]
            self.moves.append([[row[c] for c in classes] for row in dfa.table])
        return self.numbers[dfa]

    def automaton(self, rows: Sequence[Sequence[int]], accepting: Sequence[bool]) -> CharDfa:
        """The duty with these tables, some of whose states may not be reachable."""
        table, accepts = crawl(0, lambda state: [t if t >= 0 else None for t in rows[state]], accepting.__getitem__, MAX_STATES)
        return CharDfa(*canonical(self.scanner.starts, self.scanner.classes, table, accepts))

    def remaining(self, rest: Rest) -> int:
        """What is left of a duty."""
        duty, at = rest
        if at == 0:
            return duty
        if rest not in self.rests:
            moves = self.moves[duty]
            rows = [moves[at], *moves]
            accepting = self.duties[duty].accepting
            dfa = self.automaton([[t + 1 if t >= 0 else -1 for t in row] for row in rows], [accepting[at], *accepting])
            self.rests[rest] = self.number(dfa)
        return self.rests[rest]

    def cut(self, expr: ir.Expr, start: int) -> int | None:
        if start == FREE:
            return start
        firsts, nullable = self.ahead.first(expr)
        allowed = any(after >= 0 for c, after in enumerate(self.moves[start][0]) if firsts >> c & 1)
        return self.as_far_as(start, self.ahead.of(expr)) if allowed or nullable else None

    def as_far_as(self, duty: int, firsts: int) -> int:
        """A duty that says the same of the texts that begin with some characters, if possible one that is used already."""
        key = (duty, firsts)
        if key not in self.equal:
            form = self.begun(duty, firsts)
            self.equal[key] = next((other for other in self.used if self.begun(other, firsts) == form), duty)
            self.used[self.equal[key]] = None
        return self.equal[key]

    def begun(self, duty: int, firsts: int) -> tuple[bool, list[int]]:
        """Whether the text may end, and what is left of the duty behind each of the characters."""
        if duty not in self.remainders:
            begin = self.moves[duty][0]
            left = {t: self.remaining((duty, t)) for t in {*begin} - {-1}}
            self.remainders[duty] = [left.get(t, -1) for t in begin]
        return self.duties[duty].accepting[0], [left for c, left in enumerate(self.remainders[duty]) if firsts >> c & 1]

    def after_match(self, at: int, label: str, rest: Rest) -> int:
        """The duty behind a match that ends in a state of the scanner."""
        if (at, label) not in self.behind:
            self.behind[at, label] = self.number(self.scanner.rests(at, label))
        own, remaining = self.behind[at, label], self.remaining(rest)
        return self.number(intersect(self.duties[own], self.duties[remaining])) if remaining else own

    # -- terminals --------------------------------------------------------------------------------------------------------------

    def steps(self, terminal: ir.Rule, start: int) -> dict[int, CharDfa] | None:
        if terminal not in self.labels:
            return None
        key = (terminal, start)
        if key not in self.known:
            label = self.labels[terminal]
            found = self.pieces(start) if label == IGNORED else self.token(label, start)
            merged: dict[int, list[CharDfa]] = {}
            for duty, dfa in found.items():
                if not is_empty(self.duties[duty]):
                    merged.setdefault(self.as_far_as(duty, self.ahead.follow(terminal)), []).append(dfa)
            self.known[key] = {duty: union(*dfas) for duty, dfas in merged.items()}
        return self.known[key]

    def token(self, label: str, start: int) -> dict[int, CharDfa]:
        """One token, by the duty behind it."""
        useful, table, moves = self.useful[label], self.scanner.table, self.moves[start]
        states: list[Rest] = []

        def successors(state: Rest) -> list[Rest | None]:
            states.append(state)
            at, q = state
            return [(after, r) if after in useful and r >= 0 else None for after, r in zip(table[at], moves[q], strict=True)]

        rows, _ = crawl((0, 0), successors, lambda _: False, MAX_STATES)
        ends = [self.after_match(at, label, (start, q)) if label in self.scanner.types[at] else -1 for at, q in states]
        return self.by_end(rows, [{end} - {-1} for end in ends])

    def pieces(self, start: int) -> dict[int, CharDfa]:
        """One or more ignored pieces, by the duty behind them."""
        states: list[frozenset[tuple[int, Rest]]] = []

        def successors(state: frozenset[tuple[int, Rest]]) -> list[frozenset[tuple[int, Rest]] | None]:
            states.append(state)
            return [self.read_on(state, c) or None for c in range(len(self.letters))]

        rows, _ = crawl(frozenset({(0, (start, 0))}), successors, lambda _: False, MAX_STATES)
        return self.by_end(rows, [{self.remaining(rest) for at, rest in state if at == BOUNDARY} for state in states])

    def read_on(self, state: frozenset[tuple[int, Rest]], c: int) -> frozenset[tuple[int, Rest]]:
        found = set()
        for at, (duty, q) in state:
            after, r = self.scanner.table[max(at, 0)][c], self.moves[duty][q][c]
            if after in self.useful[IGNORED] and r >= 0:
                found.add((after, (duty, r)))
                if IGNORED in self.scanner.types[after]:
                    found.add((BOUNDARY, (self.after_match(after, IGNORED, (duty, r)), 0)))
        return frozenset(found)

    def by_end(self, rows: Sequence[Sequence[int]], ends: list[set[int]]) -> dict[int, CharDfa]:
        """One automaton for each of the duties with which a text may end."""
        outcomes = dict.fromkeys(end for found in ends for end in sorted(found))
        scanner = self.scanner
        return {end: CharDfa(*canonical(scanner.starts, scanner.classes, rows, [end in found for found in ends])) for end in outcomes}


def _one_of_each_class(scanner: TokenScanner) -> list[int]:
    found: dict[int, int] = {}
    for start, c in zip(scanner.starts, scanner.classes, strict=True):
        found.setdefault(c, start)
    return [found[c] for c in range(len(scanner.table[0]))]


def _sources(scanner: TokenScanner) -> list[list[int]]:
    """For each state those from which one character leads there."""
    before: list[list[int]] = [[] for _ in scanner.table]
    for state, row in enumerate(scanner.table):
        for after in {*row} - {-1}:
            before[after].append(state)
    return before


def _leading_to(scanner: TokenScanner, label: str, before: list[list[int]]) -> set[int]:
    """The states from which a match with this label can be reached."""
    todo = [state for state, types in enumerate(scanner.types) if label in types]
    found = set(todo)
    for state in todo:
        new = [source for source in before[state] if source not in found]
        found.update(new)
        todo += new
    return found
