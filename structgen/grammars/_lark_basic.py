"""Grammars behind Lark's standard lexers, basic and contextual, as grammars of the machine.

A scanner cuts the text into tokens, each the first match that Python's `re` finds where it begins. A match that may end here
leaves a duty: the rest of the text must be one that lets it end here. Duties are automata of these rests, numbered and
canonical. An LALR parser chooses the scanner of the next token by its state after the last one, and may rule out tokens that
the grammar allows (`_lark_lalr`): a place in a text is a scanner, tokens that may not come next, and a duty. All three are
cut to what can come next in the grammar (FIRST and FOLLOW), so that there are only a few places.
Ignored pieces between two tokens are a terminal of their own, which may stand behind every token and at the beginning.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

from structgen.automata import ir
from structgen.automata._chardfa_minimal import canonical
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa, any_text, intersect, is_empty, union
from structgen.errors import LimitExceeded

from ._lark_ahead import Ahead
from ._lark_contexts import NO_TEXT, Contexts, without_loops
from ._lark_scanner import IGNORED, Scanners

__all__ = ["END", "FREE", "REDUCED", "Place", "Terminal", "TokenLexer", "in_tokens"]

MAX_TABLES = 100_000
"""Entries in the tables of all duties."""
FREE = 0
"""The duty that any rest of the text fulfils."""
BOUNDARY = -1
"""Where an ignored piece has just ended, and another one may begin."""
END = "$END"
"""The label of the end of a text."""
REDUCED = "reduced"
"""The label of a terminal without text: a reduction of the parser, behind which some tokens may not come."""

Rest = tuple[int, int]
"""A duty and the state that its automaton is in by now."""
End = TypeVar("End", bound=Any)
Key = TypeVar("Key", bound=Hashable)


class Terminal(NamedTuple):
    """What a rule without a body stands for."""

    label: str
    """The type of a token, `IGNORED` for one or more ignored pieces, `END`, `REDUCED`."""
    scanner: int | None = None
    """The scanner that reads on behind it, None for the one before it."""
    banned: frozenset[str] = frozenset()
    """The tokens that may not come next."""


class Place(NamedTuple):
    scanner: int
    """That reads the next token."""
    banned: int
    """The tokens that may not come next, as a bit mask."""
    duty: int
    """What the rest of the text must be."""


def in_tokens(root: ir.Rule, terminals: Mapping[ir.Rule, Terminal], scanners: Scanners, first: int = 0) -> ir.Expr:
    """The whole documents of ``root``, whose ``terminals`` have no bodies yet; the scanner ``first`` reads their beginning."""
    known: dict[Terminal, ir.Rule] = {}

    def rule(terminal: Terminal) -> ir.Rule:
        return known.setdefault(terminal, ir.Rule(terminal.label))

    has_ignored = any(IGNORED in types for states in scanners.types for types in states)
    between = ir.Choice((ir.EMPTY, rule(Terminal(IGNORED)))) if has_ignored else ir.EMPTY
    for token, terminal in terminals.items():
        token.define(rule(terminal) if terminal.label == REDUCED else ir.Seq((rule(terminal), between)))
    document = without_loops(ir.Rule("document", ir.Seq((between, root, rule(Terminal(END))))))
    lexer = TokenLexer(scanners, {rule: terminal for terminal, rule in known.items()}, document)
    return Contexts(lexer, document, Place(first, 0, FREE)).document(defaultdict(lambda: ir.EMPTY))


class TokenLexer:
    """What each terminal may read from a place (see `_lark_contexts.Lexing`). ``empty``: labels of tokens without text."""

    def __init__(self, scanners: Scanners, terminals: Mapping[ir.Rule, Terminal], root: ir.Rule, empty: Sequence[str] = (REDUCED,)) -> None:
        self.scanners, self.terminals = scanners, terminals
        self.duties: list[CharDfa] = []
        self.numbers: dict[CharDfa, int] = {}
        self.moves: list[list[list[int]]] = []
        """For each duty its table, by the scanners' classes."""
        self.n_entries = 0
        self.number(any_text())
        self.end = Place(0, 0, self.number(NO_TEXT))
        """The place at the end of a text."""
        self.rests: dict[Rest, int] = {}
        self.remainders: dict[int, list[int]] = {}
        """For each duty what is left of it behind a character of each class."""
        self.equal: dict[tuple[int, int], int] = {}
        self.places: dict[tuple[Place, int, int], Place] = {}
        self.used = {FREE: None}
        self.behind: dict[tuple[int, int, str], int] = {}
        self.known: dict[tuple[ir.Rule, Any], dict[Any, CharDfa]] = {}
        self.labels = list(dict.fromkeys(terminal.label for terminal in terminals.values()))
        self.bits = {label: 1 << i for i, label in enumerate(self.labels)}
        self.readings: dict[Hashable, int] = {}
        self.scanner_of: dict[tuple[int, tuple[int, ...]], int] = {}
        for method in ("useful", "sources", "chars", "reading", "alike"):
            setattr(self, method, cache(getattr(self, method)))
        first = {rule: 0 if terminal.label == REDUCED else self.bits[terminal.label] for rule, terminal in terminals.items()}
        without_text = {rule for rule, terminal in terminals.items() if terminal.label in empty}
        self.ahead = Ahead(root, first, without_text)
        """The text that may come next."""
        self.tokens = Ahead(root, first, without_text | {rule for rule, terminal in terminals.items() if terminal.scanner is None})
        """The tokens that may come next, perhaps behind ignored pieces."""

    # -- duties -----------------------------------------------------------------------------------------------------------------

    def number(self, dfa: CharDfa) -> int:
        if dfa not in self.numbers:
            letters = self.scanners.letters
            self.n_entries += len(dfa.table) * len(letters)
            if self.n_entries > MAX_TABLES:
                raise LimitExceeded("table entries for what may stand behind tokens", MAX_TABLES, "a Lark grammar")
            self.numbers[dfa] = len(self.duties)
            self.duties.append(dfa)
            classes = [dfa.classes[bisect_right(dfa.starts, letter) - 1] for letter in letters]
            self.moves.append([[row[c] for c in classes] for row in dfa.table])
        return self.numbers[dfa]

    def automaton(self, rows: Sequence[Sequence[int]], accepting: Sequence[bool]) -> CharDfa:
        """The duty with these tables, some of whose states may not be reachable."""
        table, accepts = crawl(0, lambda state: [t if t >= 0 else None for t in rows[state]], accepting.__getitem__, MAX_STATES)
        return CharDfa(*canonical(self.scanners.starts, self.scanners.classes, table, accepts))

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

    def duty_as_far_as(self, duty: int, firsts: int) -> int:
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

    def after_match(self, scanner: int, at: int, label: str, rest: Rest) -> int:
        """The duty behind a match that ends in a state of a scanner."""
        if (scanner, at, label) not in self.behind:
            self.behind[scanner, at, label] = self.number(self.scanners.rests(scanner, at, label))
        own, remaining = self.behind[scanner, at, label], self.remaining(rest)
        return self.number(intersect(self.duties[own], self.duties[remaining])) if remaining else own

    # -- scanners ---------------------------------------------------------------------------------------------------------------

    def useful(self, scanner: int, label: str) -> set[int]:
        """The states from which a match with this label can be reached."""
        before = self.sources(scanner)
        todo = [state for state, types in enumerate(self.scanners.types[scanner]) if label in types]
        found = set(todo)
        for state in todo:
            new = [source for source in before[state] if source not in found]
            found.update(new)
            todo += new
        return found

    def sources(self, scanner: int) -> list[list[int]]:
        """For each state those from which one character leads there."""
        before: list[list[int]] = [[] for _ in self.scanners.tables[scanner]]
        for state, row in enumerate(self.scanners.tables[scanner]):
            for after in {*row} - {-1}:
                before[after].append(state)
        return before

    def chars(self, scanner: int, tokens: int) -> int:
        """The classes, as a bit mask, with which some of these tokens begin."""
        useful = {state for i, label in enumerate(self.labels) if tokens >> i & 1 for state in self.useful(scanner, label)}
        return sum(1 << c for c, after in enumerate(self.scanners.tables[scanner][0]) if after in useful)

    def alike(self, scanner: int, tokens: int) -> int:
        """A scanner that reads these tokens as this one does, if possible one that is used already."""
        if len(self.scanners.tables) == 1:
            return scanner
        readings = tuple([self.reading(scanner, label) for i, label in enumerate(self.labels) if tokens >> i & 1])
        return self.scanner_of.setdefault((tokens, readings), scanner)

    def reading(self, scanner: int, label: str) -> int:
        """A number for what a scanner reads as a token, and the duties behind that."""
        found = self.token(label, scanner, FREE) if self.useful(scanner, label) else {}
        return self.readings.setdefault(frozenset(found.items()), len(self.readings))

    # -- places -----------------------------------------------------------------------------------------------------------------

    def cut(self, expr: ir.Expr, start: Place) -> Place | None:
        firsts, nullable = self.ahead.first(expr)
        if not nullable and not self.allows(start, firsts & ~start.banned):
            return None
        return self.as_far_as(start, self.ahead.of(expr), self.tokens.of(expr))

    def allows(self, place: Place, tokens: int) -> bool:
        """Whether one of these tokens may begin there."""
        if tokens & self.bits[END] and self.duties[place.duty].accepting[0]:
            return True
        chars = self.chars(place.scanner, tokens)
        return any(after >= 0 for c, after in enumerate(self.moves[place.duty][0]) if chars >> c & 1)

    def as_far_as(self, place: Place, firsts: int, tokens: int) -> Place:
        """A place that says the same of texts that begin with ``firsts``, and of the next token, one of ``tokens``."""
        key = (place, firsts, tokens)
        if key not in self.places:
            banned = place.banned & tokens
            duty = self.duty_as_far_as(place.duty, self.chars(place.scanner, firsts & ~banned)) if place.duty != FREE else FREE
            self.places[key] = Place(self.alike(place.scanner, tokens), banned, duty)
        return self.places[key]

    # -- terminals --------------------------------------------------------------------------------------------------------------

    def steps(self, rule: ir.Rule, start: Any) -> dict[Any, CharDfa] | None:
        if rule not in self.terminals:
            return None
        key = (rule, start)
        if key not in self.known:
            follow, merged = (self.ahead.follow(rule), self.tokens.follow(rule)), dict[Any, list[CharDfa]]()
            for place, dfa in self.read(self.terminals[rule], start):
                if not is_empty(self.duties[place.duty]):
                    merged.setdefault(self.as_far_as(place, *follow), []).append(dfa)
            self.known[key] = {place: union(*dfas) for place, dfas in merged.items()}
        return self.known[key]

    def read(self, terminal: Terminal, start: Any) -> Iterable[tuple[Any, CharDfa]]:
        """The places behind a terminal, with the texts that lead there."""
        label, scanner, banned = terminal
        if label == REDUCED:
            return [(start._replace(banned=start.banned | sum(self.bits.get(name, 0) for name in banned)), NO_TEXT)]
        if start.banned & self.bits[label]:
            return []
        if label == END:
            return [(self.end, NO_TEXT)] if self.duties[start.duty].accepting[0] else []
        found = self.pieces(start) if label == IGNORED else self.token(label, start.scanner, start.duty)
        after = start if scanner is None else Place(scanner, 0, FREE)
        return [(after._replace(duty=duty), dfa) for duty, dfa in found.items()]

    def token(self, label: str, scanner: int, duty: int) -> dict[int, CharDfa]:
        """One token, by the duty behind it."""
        useful, table, moves = self.useful(scanner, label), self.scanners.tables[scanner], self.moves[duty]
        types, states = self.scanners.types[scanner], list[Rest]()

        def successors(state: Rest) -> list[Rest | None]:
            states.append(state)
            at, q = state
            return [(after, r) if after in useful and r >= 0 else None for after, r in zip(table[at], moves[q], strict=True)]

        rows, _ = crawl((0, 0), successors, lambda _: False, MAX_STATES)
        ends = [{self.after_match(scanner, at, label, (duty, q))} if label in types[at] else set[int]() for at, q in states]
        return self.by_end(rows, ends)

    def pieces(self, start: Place) -> dict[int, CharDfa]:
        """One or more ignored pieces, by the duty behind them."""
        return self.one_or_more([IGNORED], start)

    def one_or_more(self, labels: Sequence[str], start: Place) -> dict[int, CharDfa]:
        """Pieces with some of these labels, by the duty behind them."""
        table, types = self.scanners.tables[start.scanner], self.scanners.types[start.scanner]
        useful = set[int]().union(*(self.useful(start.scanner, label) for label in labels))
        states: list[frozenset[tuple[int, Rest]]] = []

        def read_on(state: frozenset[tuple[int, Rest]], c: int) -> Iterator[tuple[int, Rest]]:
            for at, (duty, q) in state:
                after, r = table[max(at, 0)][c], self.moves[duty][q][c]
                if after in useful and r >= 0:
                    yield after, (duty, r)
                    for label in labels:
                        if label in types[after]:
                            yield BOUNDARY, (self.after_match(start.scanner, after, label, (duty, r)), 0)

        def successors(state: frozenset[tuple[int, Rest]]) -> list[frozenset[tuple[int, Rest]] | None]:
            states.append(state)
            return [frozenset(read_on(state, c)) or None for c in range(len(self.scanners.letters))]

        rows, _ = crawl(frozenset({(0, (start.duty, 0))}), successors, lambda _: False, MAX_STATES)
        return self.by_end(rows, [{self.remaining(rest) for at, rest in state if at == BOUNDARY} for state in states])

    def by_end(self, rows: Sequence[Sequence[int]], ends: Sequence[set[End]]) -> dict[End, CharDfa]:
        """One automaton for each of the ends that a text may have."""
        outcomes = dict.fromkeys(end for found in ends for end in sorted(found))
        starts, classes = self.scanners.starts, self.scanners.classes
        return {end: CharDfa(*canonical(starts, classes, rows, [end in found for found in ends])) for end in outcomes}
