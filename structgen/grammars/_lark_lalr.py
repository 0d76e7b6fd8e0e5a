"""Lark's LALR(1) parser with its contextual lexer, as a grammar of the machine.

Lark makes the tables and the scanners; here their runs become rules. The lexer is chosen by the parser's state after the last
shift, so a place in a text is that state, the tokens that may come next, and duties: every token is the longest match of its
scanner, which reads on behind it and must not accept again (as in `_lark_lexer`). A nonterminal is expanded for the state it
begins in and the place there, along the gotos of the table. Reducing narrows the tokens that may come next to those for which the
table says so; thus conflicts that Lark resolves, and lookaheads that LALR merges, come out as they do there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from lark.grammar import Rule, Symbol
from lark.parsers.lalr_analysis import Shift
from lark.parsers.lalr_parser import LALR_Parser

from structgen.automata import ir
from structgen.automata._chardfa_minimal import canonical
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa, is_empty
from structgen.errors import LimitExceeded

from ._lark_contexts import NOTHING, either, sequence
from ._lark_lexer import NO_DUTIES, Duties
from ._lark_scanner import IGNORED, TokenScanner, joint, next_state

__all__ = ["BoundedTables", "in_parser_states"]

MAX_PLACES = 20_000
"""Pairs of a nonterminal in a parser state and a place before or after it."""
MAX_ITEMS = 500_000
"""Items in all states of Lark's tables."""
END = "$END"


class Place(NamedTuple):
    state: int
    """The parser's state after the last shift."""
    tokens: frozenset[str] | None
    """Those that may come next, None if nothing was reduced since."""
    duties: Duties


Part = tuple[int, str, Place]
"""A nonterminal, the parser's state where it begins, and the place there."""


def in_parser_states(parser: Any) -> ir.Expr:
    """The texts that a `lark.Lark` with ``parser="lalr"`` parses."""
    return _Parser(parser).document()


class BoundedTables(LALR_Parser):
    """Lark's parser, for grammars whose LR(0) automaton, exponential in the worst case, is not too large."""

    def __init__(self, parser_conf: Any, **options: Any) -> None:
        _check_items(parser_conf.rules, parser_conf.start)
        super().__init__(parser_conf, **options)


def _check_items(rules: list[Rule], starts: list[str]) -> None:
    """Make the states of the LR(0) automaton as sets of dotted rules, only to count them."""
    by_origin: dict[str, list[int]] = {}
    for i, rule in enumerate(rules):
        by_origin.setdefault(rule.origin.name, []).append(i)
    todo = [frozenset((i, 0) for start in starts for i in by_origin.get(start, ()))]
    states, n_items = set(todo), 0
    for kernel in todo:
        items = list(kernel)
        expanded: set[str] = set()
        moves: dict[Symbol, set[tuple[int, int]]] = {}
        for i, dot in items:
            if dot == len(rules[i].expansion):
                continue
            symbol = rules[i].expansion[dot]
            moves.setdefault(symbol, set()).add((i, dot + 1))
            if symbol.name not in expanded:
                expanded.add(symbol.name)
                items += [(j, 0) for j in by_origin.get(symbol.name, ())]
        n_items += len(items)
        if n_items > MAX_ITEMS:
            raise LimitExceeded("items in the states of the LALR tables", MAX_ITEMS, "a Lark grammar")
        found = set(map(frozenset, moves.values())) - states
        states |= found
        todo += found


# -- the lexer ----------------------------------------------------------------------------------------------------------------


State = frozenset[tuple[int, bool, Duties]]
"""Possibilities: the scanner's state, whether a piece has ended here, and the duties."""


class _Lexer:
    """The scanners of one parser, and what each may read from places with duties."""

    def __init__(self, parser: Any) -> None:
        lexers = parser.parser.lexer.lexers
        distinct = list({id(lexer): lexer for lexer in lexers.values()}.values())
        self.scanners = [TokenScanner(lexer) for lexer in distinct]
        self.scanner_of = {state: next(i for i, other in enumerate(distinct) if other is lexer) for state, lexer in lexers.items()}
        self.longer: list[CharDfa] = []
        """The texts that make a match longer; duties are states of these."""
        self.numbers: dict[CharDfa, int] = {}
        self.duty_of: dict[tuple[int, int], int] = {}
        self.known: dict[tuple[int, Duties], dict[tuple[str, Duties], CharDfa]] = {}

    def read(self, place: Place) -> dict[tuple[str, Duties], CharDfa]:
        """By type of the next token (`END` for none) and the duties behind it: ignored pieces, then the token."""
        key = (self.scanner_of[place.state], place.duties)
        if key not in self.known:
            self.known[key] = self._read(*key)
        return self.known[key]

    def _read(self, scanner: int, duties: Duties) -> dict[tuple[str, Duties], CharDfa]:
        own = self.scanners[scanner]
        after_ignored = [self.owed(scanner, at, NO_DUTIES) for at, label in enumerate(own.labels) if label == IGNORED]
        involved = sorted({i for some in (duties, *after_ignored) for i, _ in some})
        starts, columns = joint(own, *(self.longer[i] for i in involved))
        letters = list(dict.fromkeys(columns))
        by_duty = [(first, dict(zip(involved, others, strict=True))) for first, *others in letters]
        ends: list[set[tuple[str, Duties]]] = []

        def successors(state: State) -> list[State | None]:
            ends.append(self.ends(scanner, state))
            return [self.step(scanner, state, *classes) or None for classes in by_duty]

        table, _ = crawl(frozenset({(0, True, duties)}), successors, lambda _: False, MAX_STATES)
        classes = [letters.index(column) for column in columns]
        outcomes = dict.fromkeys(end for found in ends for end in sorted(found, key=lambda e: (e[0], sorted(e[1]))))
        return {end: CharDfa(*canonical(starts, classes, table, [end in found for found in ends])) for end in outcomes}

    def ends(self, scanner: int, state: State) -> set[tuple[str, Duties]]:
        found = set()
        for at, begins, duties in state:
            label = self.scanners[scanner].labels[at]
            if begins:
                found.add((END, NO_DUTIES))
            if label:
                found.add((label, self.owed(scanner, at, duties)))
        return found

    def owed(self, scanner: int, at: int, duties: Duties) -> Duties:
        """The duties behind a match: none of the ways to make it longer may come. Equal ones are one duty, whatever the scanner."""
        key = (scanner, at)
        if key not in self.duty_of:
            dfa = self.scanners[scanner].longer_than(at)
            self.duty_of[key] = -1 if is_empty(dfa) else self.numbers.setdefault(dfa, len(self.longer))
            self.longer += [dfa] if self.duty_of[key] == len(self.longer) else []
        return duties | {(self.duty_of[key], 0)} if self.duty_of[key] >= 0 else duties

    def step(self, scanner: int, state: State, own: int, others: dict[int, int]) -> State:
        found = set()
        for at, _, duties in state:
            after = next_state(self.scanners[scanner], at, own)
            read = [(i, next_state(self.longer[i], q, others[i])) for i, q in duties]
            if after < 0 or any(q >= 0 and self.longer[i].accepting[q] for i, q in read):
                continue
            kept = frozenset((i, q) for i, q in read if q >= 0)
            found.add((after, False, kept))
            if self.scanners[scanner].labels[after] == IGNORED:
                found.add((0, True, self.owed(scanner, after, kept)))
        return frozenset(found)


# -- the parser ---------------------------------------------------------------------------------------------------------------


class _Parser:
    def __init__(self, parser: Any) -> None:
        tables = parser.parser.parser._parse_table
        self.table: dict[int, dict[str, tuple[Any, Any]]] = tables.states
        ((self.start, state),) = tables.start_states.items()
        self.begin = Place(state, None, NO_DUTIES)
        self.rules: dict[str, list[Rule]] = {}
        for rule in parser.rules:
            self.rules.setdefault(rule.origin.name, []).append(rule)
        self.lexer = _Lexer(parser)
        self.found: dict[Part, dict[Place, None]] = {}
        self.written: dict[tuple[Part, Place], ir.Rule] = {}
        self.todo: list[tuple[Part, Place, ir.Rule]] = []

    def document(self) -> ir.Expr:
        root = (self.begin.state, self.start, self.begin)
        self.solve(root)
        ends = [place for place in self.found[root] if place.tokens is not None and END in place.tokens]
        tails = [self.lexer.read(place)[END, NO_DUTIES] for place in ends]
        document = either(sequence(self.rule(root, end), ir.Regular(tail)) for end, tail in zip(ends, tails, strict=True))
        while self.todo:
            part, end, written = self.todo.pop()
            written.define(either(self.alternative(rule, part, end) for rule in self.rules[part[1]]))
        return document

    def solve(self, root: Part) -> None:
        """Find the places after every part."""
        self.found[root] = {}
        size = 0
        while size != (size := len(self.found) + sum(map(len, self.found.values()))):
            for part in list(self.found):
                for rule in self.rules[part[1]]:
                    states, layers = self.run(rule, part)
                    self.found[part].update(dict.fromkeys(p for place in layers[-1] if (p := self.reduced(rule, states[-1], place))))
            if size > MAX_PLACES:
                raise LimitExceeded("rules, each counted for the parser states and tokens before and after it", MAX_PLACES)

    def run(self, rule: Rule, part: Part) -> tuple[list[int], list[dict[Place, None]]]:
        """The states of the parser and the places before, between and after the symbols of a rule."""
        states, layers = [part[0]], [{part[2]: None}]
        for symbol in rule.expansion:
            action, after = self.table[states[-1]].get(symbol.name, (None, -1))
            if action is not Shift:
                return states, [{}]
            layers.append(dict.fromkeys(place for before in layers[-1] for place, _ in self.steps(states[-1], symbol, before)))
            states.append(after)
        return states, layers

    def steps(self, state: int, symbol: Symbol, place: Place) -> Iterator[tuple[Place, CharDfa | None]]:
        """The places after a symbol, as far as they are known, for a terminal with the texts on the way."""
        if not symbol.is_term:
            yield from [(after, None) for after in self.found.setdefault((state, symbol.name, place), {})]
        elif place.tokens is None or symbol.name in place.tokens:
            for (name, duties), dfa in self.lexer.read(place).items():
                if name == symbol.name:
                    yield Place(self.table[state][name][1], None, duties), dfa

    def reduced(self, rule: Rule, state: int, place: Place) -> Place | None:
        """The place after reducing, None if no token that may come next makes the parser do that."""
        tokens = frozenset(name for name, action in self.table[state].items() if action[0] is not Shift and action[1] == rule)
        tokens &= tokens if place.tokens is None else place.tokens
        return place._replace(tokens=tokens) if tokens else None

    # -- bodies -----------------------------------------------------------------------------------------------------------------

    def alternative(self, rule: Rule, part: Part, end: Place) -> ir.Expr:
        states, layers = self.run(rule, part)
        rest: dict[Place, ir.Expr] = {place: ir.EMPTY for place in layers[-1] if self.reduced(rule, states[-1], place) == end}
        if not rest:
            return NOTHING
        for symbol, state, layer in reversed(list(zip(rule.expansion, states, layers, strict=False))):
            rest = {before: either(self.ways(symbol, state, before, rest)) for before in layer}
        return rest.get(part[2], NOTHING)

    def ways(self, symbol: Symbol, state: int, before: Place, rest: dict[Place, ir.Expr]) -> Iterable[ir.Expr]:
        for after, dfa in self.steps(state, symbol, before):
            if after in rest:
                first = self.rule((state, symbol.name, before), after) if dfa is None else ir.Regular(dfa)
                yield sequence(first, rest[after])

    def rule(self, part: Part, end: Place) -> ir.Rule:
        if (part, end) not in self.written:
            self.written[part, end] = ir.Rule(part[1])
            self.todo.append((part, end, self.written[part, end]))
        return self.written[part, end]
