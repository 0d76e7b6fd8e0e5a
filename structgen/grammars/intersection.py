"""A context-free language and a regular one: the texts in both (Bar-Hillel, Perles & Shamir 1961), as expressions again.

A rule R becomes rules R[p, q]: the words of R that lead the automaton from state p to state q. Which q can be reached from p
is found first, so that only pairs that occur are written.
"""

from __future__ import annotations

from collections.abc import Mapping

from structgen.automata import chardfa, ir
from structgen.automata._chardfa_minimal import canonical
from structgen.automata.chardfa import CharDfa
from structgen.automata.charset import Ranges, intersect, normalize
from structgen.errors import LimitExceeded, StructgenError

from .regular import language

__all__ = ["intersection"]

MAX_PAIRS = 200_000
"""Expressions times states that are looked at, and ways from one state to another."""
MAX_UNROLLED = 100
"""Rounds of a bounded repetition that are written out where the automaton moves in it."""

Exits = Mapping[int, ir.Expr]
"""By state of the automaton: the words that lead there."""


def intersection(expr: ir.Expr, dfa: CharDfa) -> ir.Expr:
    """The texts of the expression that the automaton accepts.

    Raises StructgenError for JSON strings and scopes of distinct names, whose spelling an automaton of texts does not see, and
    LimitExceeded where the result would be too large.
    """
    try:  # where it is regular, one automaton will do, which is never in two places at once
        return ir.Regular(chardfa.intersect(language(expr), dfa))
    except StructgenError:
        found = _Product(dfa).run(expr)
    return ir.Choice(tuple(words for q, words in found.items() if dfa.accepting[q]))


class _Product:
    def __init__(self, dfa: CharDfa) -> None:
        self.dfa = dfa
        self.ranges = dfa.class_ranges()
        self.reached: dict[tuple[ir.Rule, int], set[int]] = {}  # phase 1: states after a rule
        self.rules: dict[tuple[ir.Rule, int, int], ir.Rule] = {}
        self.todo: list[tuple[ir.Rule, int]] = []
        self.known: dict[tuple[int, int], Exits] = {}  # per phase, by identity of the expression and state
        self.kept: list[ir.Expr] = []  # made on the way: identities must stay theirs
        self.starred: dict[tuple[int, int], Exits] = {}
        self.paths: dict[tuple[int, int], CharDfa] = {}
        self.n_pairs = 0

    def run(self, expr: ir.Expr) -> Exits:
        try:
            self.exits(expr, 0)
            while self._grow():
                pass
            self.known, self.starred = {}, {}
            found = self.exits(expr, 0)
            while self.todo:
                rule, p = self.todo.pop()
                assert rule.body is not None
                words = self.exits(rule.body, p)
                for q, hole in self._rule(rule, p).items():
                    hole.define(words.get(q, ir.Choice(())))
        except RecursionError:
            raise LimitExceeded("nesting inside a rule", 300, "an intersection") from None
        return found

    def _grow(self) -> bool:
        """Another round of phase 1; whether anything was added."""
        self.known, self.starred = {}, {}
        grown, n_rules = False, len(self.reached)
        for (rule, p), found in list(self.reached.items()):
            assert rule.body is not None
            more = set(self.exits(rule.body, p)) - found
            grown = grown or bool(more)
            found |= more
        self.todo = list(self.reached)
        return grown or len(self.reached) > n_rules

    def exits(self, expr: ir.Expr, p: int) -> Exits:
        key = id(expr), p
        if key not in self.known:
            self.count(1)
            self.known[key] = self._exits(expr, p)
            self.kept.append(expr)
        return self.known[key]

    def count(self, n: int) -> None:
        self.n_pairs += n
        if self.n_pairs > MAX_PAIRS:
            raise LimitExceeded("expressions times states", MAX_PAIRS, "an intersection")

    def _exits(self, expr: ir.Expr, p: int) -> Exits:
        if isinstance(expr, ir.Bytes):
            return self._text(expr, p)
        if isinstance(expr, (ir.Token, ir.Named)):  # no text
            return {p: expr}
        if isinstance(expr, ir.Chars):
            return {q: ir.Chars(ranges) for q, ranges in self._characters(expr.ranges, p).items()}
        if isinstance(expr, ir.Regular):
            return {q: ir.Regular(words) for q, words in self._regular(expr.dfa, p).items()}
        if isinstance(expr, ir.Bounded):
            return {q: ir.Bounded(words, expr.min_length, expr.max_length) for q, words in self._regular(expr.dfa, p).items()}
        if isinstance(expr, ir.Rule):
            return self._rule(expr, p)
        if isinstance(expr, ir.Choice):
            return _union([self.exits(item, p) for item in expr.items])
        if isinstance(expr, ir.Seq):
            found: Exits = {p: ir.EMPTY}
            for item in expr.items:
                found = self._then(found, item)
            return found
        if isinstance(expr, ir.Repeat):
            return self._repeat(expr, p)
        raise StructgenError("only texts can be looked into: JSON strings and objects (json_schema) are compared as values")

    def _text(self, expr: ir.Bytes, p: int) -> Exits:
        try:
            text = expr.value.decode()
        except UnicodeDecodeError:
            raise StructgenError(f"the bytes {expr.value!r} are not text") from None
        q = p
        for char in text:
            q = chardfa.step(self.dfa, q, char)
            if q < 0:
                return {}
        return {q: expr}

    def _characters(self, ranges: Ranges, p: int) -> dict[int, Ranges]:
        found: dict[int, list[tuple[int, int]]] = {}
        for q, members in zip(self.dfa.table[p], self.ranges, strict=True):
            common = intersect(ranges, tuple(members)) if q >= 0 else ()
            if common:
                found.setdefault(q, []).extend(common)
        return {q: normalize(members) for q, members in found.items()}

    def _regular(self, dfa: CharDfa, p: int) -> dict[int, CharDfa]:
        found = {}
        self.count(len(self.dfa.table) * len(dfa.table))
        for q in range(len(self.dfa.table)):
            words = chardfa.intersect(dfa, self._between(p, q))
            if not chardfa.is_empty(words):
                found[q] = words
        return found

    def _between(self, p: int, q: int) -> CharDfa:
        """The texts that lead from one state to the other."""
        if (p, q) not in self.paths:
            order = [p, *(state for state in range(len(self.dfa.table)) if state != p)]
            number = {state: i for i, state in enumerate(order)} | {-1: -1}
            rows = [tuple(number[target] for target in self.dfa.table[state]) for state in order]
            self.paths[p, q] = CharDfa(*canonical(self.dfa.starts, self.dfa.classes, rows, [state == q for state in order]))
        return self.paths[p, q]

    def _rule(self, rule: ir.Rule, p: int) -> dict[int, ir.Rule]:
        found = {}
        for q in self.reached.setdefault((rule, p), set()):
            if (rule, p, q) not in self.rules:
                self.rules[rule, p, q] = ir.Rule(rule.name)
            found[q] = self.rules[rule, p, q]
        return found

    def _then(self, before: Exits, item: ir.Expr) -> Exits:
        self.count(len(before))
        return _union([{q: _sequence(words, rest) for q, rest in self.exits(item, p).items()} for p, words in before.items()])

    def _repeat(self, expr: ir.Repeat, p: int) -> Exits:
        item, low, high = expr.item, expr.min, expr.max
        if expr.separator is not None:
            again = ir.Repeat(self._kept(ir.Seq((expr.separator, item))), max(0, low - 1), None if high is None else high - 1)
            some = self._then(self.exits(item, p), self._kept(again))
            return _union([some, {p: ir.EMPTY}]) if low == 0 else some
        around = self.exits(item, p)
        if not around and low == 0:
            return {p: ir.EMPTY}
        if set(around) == {p}:  # the automaton does not move
            return {p: ir.Repeat(around[p], low, high)}
        if max(low, high or 0) > MAX_UNROLLED:
            raise LimitExceeded("rounds of a repetition", MAX_UNROLLED, "an intersection")
        found: Exits = {p: ir.EMPTY}
        for _ in range(low):
            found = _shared(self._then(found, item))
        if high is None:
            return _union([{q: _sequence(words, rest) for q, rest in self._star(item, r).items()} for r, words in found.items()])
        every = [found]
        for _ in range(high - low):
            every.append(_shared(self._then(every[-1], item)))
        return _union(every)

    def _star(self, item: ir.Expr, p: int) -> Exits:
        """Any number of rounds from state p on: rules for the paths between the states that rounds lead to."""
        if (id(item), p) in self.starred:
            return self.starred[id(item), p]
        nodes, todo = {p}, [p]
        while todo:
            for q in set(self.exits(item, todo.pop())) - nodes:
                nodes.add(q)
                todo.append(q)
        self.count(len(nodes) ** 2)
        rules = {(a, b): ir.Rule("rounds") for a in nodes for b in nodes}
        for (a, b), rule in rules.items():
            self.count(len(self.exits(item, a)))
            ways = [_sequence(words, rules[c, b]) for c, words in self.exits(item, a).items()]
            rule.define(ir.Choice((*ways, ir.EMPTY) if a == b else tuple(ways)))
        for a in nodes:
            self.starred[id(item), a] = {b: rules[a, b] for b in nodes}
        return self.starred[id(item), p]

    def _kept(self, expr: ir.Expr) -> ir.Expr:
        self.kept.append(expr)
        return expr


def _sequence(first: ir.Expr, rest: ir.Expr) -> ir.Expr:
    return rest if first == ir.EMPTY else first if rest == ir.EMPTY else ir.Seq((first, rest))


def _shared(exits: Exits) -> Exits:
    """The same words as rules, which are written once however often they are used."""
    return {q: ir.Rule("rounds", words) for q, words in exits.items()}


def _union(exits: list[Exits]) -> Exits:
    found: dict[int, list[ir.Expr]] = {}
    for each in exits:
        for q, words in each.items():
            found.setdefault(q, []).append(words)
    return {q: words[0] if len(words) == 1 else ir.Choice(tuple(words)) for q, words in found.items()}
