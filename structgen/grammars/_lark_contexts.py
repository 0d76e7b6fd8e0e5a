"""A grammar whose terminals leave duties to the text behind them, as a grammar of the machine.

An expression read from a place with duties to places with other duties is an expression of its own: the product of a grammar and
a finite automaton (Bar-Hillel, Perles & Shamir, On formal properties of simple phrase structure grammars, 1961), made only for
what occurs. First the duties that each rule can end with are found, as a least fixpoint with a worklist; then the bodies are
written, one for all ends of a rule behind which the same may follow. What a duty is, a lexer knows (`Lexing`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from structgen.automata import ir
from structgen.automata.chardfa import CharDfa, literal, union
from structgen.errors import LimitExceeded

__all__ = ["NOTHING", "NO_TEXT", "Contexts", "Lexing", "either", "sequence", "without_loops"]

MAX_CONTEXTS = 50_000
"""Expressions, each counted for the duties before and the sets of duties after it."""
MAX_UNROLLED = 1_000
"""Rounds of a bounded repetition: the duties may differ after each."""
NOTHING = ir.Choice(())
NO_TEXT = literal("")

Duties = TypeVar("Duties", bound=Hashable)


class Lexing(Protocol[Duties]):
    """What a lexer knows about the terminals of a grammar, which are rules without a body here."""

    def steps(self, terminal: ir.Rule, start: Duties) -> Mapping[Duties, CharDfa] | None:
        """The texts of a terminal from a place with duties, by the duties behind it; None for other rules."""

    def cut(self, expr: ir.Expr, start: Duties) -> Duties | None:
        """The duties as far as what begins with the expression can break them, None if nothing can begin there."""


Place = tuple[int, Duties]
"""An expression, by identity, and the duties before it."""


class Contexts(Generic[Duties]):
    """The expressions of a grammar from place to place."""

    def __init__(self, lexing: Lexing[Duties], root: ir.Rule, start: Duties) -> None:
        self.lexing, self.root, self.start = lexing, root, start
        self.exprs: dict[int, ir.Expr] = {}
        self.loops: dict[int, ir.Expr] = {}
        self.cuts: dict[Place[Duties], Duties | None] = {}
        self.found: dict[Place[Duties], dict[Duties, None]] = {}
        self.readers: dict[Place[Duties], dict[Place[Duties], None]] = {}
        self.todo: dict[Place[Duties], None] = {}
        self.at: Place[Duties] | None = None
        self.words: dict[tuple[ir.Rule, Duties, frozenset[Duties]], ir.Expr] = {}
        self.written: dict[tuple[ir.Rule, Duties, frozenset[Duties]], ir.Rule] = {}
        self.solve()

    def document(self, tails: Mapping[Duties, ir.Expr]) -> ir.Expr:
        """The texts of the root, behind each of its ends what may follow there."""
        groups: dict[ir.Expr, set[Duties]] = {}
        for end in self.ends(self.root, self.start):
            groups.setdefault(tails[end], set()).add(end)
        document = either(sequence(self.write(self.root, self.start, frozenset(ends)), tail) for tail, ends in groups.items())
        n_done = 0
        while n_done < len(self.written):
            todo = list(self.written.items())[n_done:]
            for (rule, start, ends), written in todo:
                written.define(_loop(written, self.write(_body(rule), start, ends)))
            n_done += len(todo)
            self.check_size()
        return document

    def check_size(self) -> None:
        if len(self.found) + len(self.written) > MAX_CONTEXTS:
            raise LimitExceeded("expressions, each counted for all that the lexer has to check before and after it", MAX_CONTEXTS)

    # -- the duties behind everything -------------------------------------------------------------------------------------------

    def solve(self) -> None:
        """Find the duties that each expression can end with."""
        self.ends(self.root, self.start)
        while self.todo:
            key = self.at = self.todo.popitem()[0]
            ends = [end for end in self.ends_of(self.exprs[key[0]], key[1]) if end not in self.found[key]]
            if ends:
                self.found[key].update(dict.fromkeys(ends))
                self.todo.update(self.readers[key])
            self.check_size()
        self.at = None

    def ends(self, expr: ir.Expr, start: Duties) -> Iterable[Duties]:
        """The duties after an expression, as far as they are known; who asks is told when there are more."""
        begin = self.cut(expr, start)
        if begin is None:
            return ()
        key = (id(expr), begin)
        if key not in self.found:
            self.exprs[id(expr)] = expr  # and keeps it alive
            steps = self.lexing.steps(expr, begin) if isinstance(expr, ir.Rule) else None
            self.found[key], self.readers[key] = dict.fromkeys(steps or ()), {}
            if steps is None:
                self.todo[key] = None
        if self.at is not None:
            self.readers[key][self.at] = None
        return self.found[key]

    def ends_of(self, expr: ir.Expr, start: Duties) -> Iterable[Duties]:
        """The duties after an expression by those of its parts."""
        if isinstance(expr, ir.Rule):
            return self.ends(_body(expr), start)
        if isinstance(expr, ir.Choice):
            return [end for item in expr.items for end in self.ends(item, start)]
        if isinstance(expr, ir.Seq):
            return self.layers(expr.items, start)[-1]
        if isinstance(expr, ir.Repeat):
            ends = self.ends(expr.item, start)
            return [start] * (start in ends or not expr.min) if {*ends} <= {start} else self.ends(self.loop(expr), start)
        assert expr == ir.EMPTY
        return [start]

    def cut(self, expr: ir.Expr, start: Duties) -> Duties | None:
        key = (id(expr), start)
        if key not in self.cuts:
            self.cuts[key] = self.lexing.cut(expr, start)
            self.exprs[id(expr)] = expr
        return self.cuts[key]

    def layers(self, items: Iterable[ir.Expr], start: Duties) -> list[dict[Duties, None]]:
        """The duties before, between and after the items of a sequence."""
        layers = [{start: None}]
        for item in items:
            layers.append({end: None for before in layers[-1] for end in self.ends(item, before)})
        return layers

    def loop(self, expr: ir.Repeat) -> ir.Expr:
        """A repetition as a choice or a rule."""
        if id(expr) not in self.loops:
            if max(expr.min, expr.max or 0) > MAX_UNROLLED:
                raise LimitExceeded("rounds of a repetition behind which the lexer has something to check", MAX_UNROLLED, "a Lark grammar")
            if expr.max is None:
                more: ir.Expr = ir.Rule("repeat")
                more.define(ir.Choice((ir.EMPTY, ir.Seq((expr.item, more)))))  # type: ignore[attr-defined]
            else:
                more = ir.EMPTY
                for _ in range(expr.max - expr.min):
                    more = ir.Rule("repeat", ir.Choice((ir.EMPTY, ir.Seq((expr.item, more)))))
            self.loops[id(expr)] = ir.Seq((*[expr.item] * expr.min, more))
        return self.loops[id(expr)]

    # -- the expressions --------------------------------------------------------------------------------------------------------

    def write(self, expr: ir.Expr, start: Duties, ends: frozenset[Duties]) -> ir.Expr:
        """The texts of an expression from a place with duties to places with some of these."""
        begin = self.cut(expr, start)
        return NOTHING if begin is None else self.write_from(expr, begin, ends)

    def write_from(self, expr: ir.Expr, start: Duties, ends: frozenset[Duties]) -> ir.Expr:
        if isinstance(expr, ir.Rule):
            return self.rule(expr, start, ends)
        if isinstance(expr, ir.Choice):
            return either(self.write(item, start, ends) for item in expr.items)
        if isinstance(expr, ir.Repeat):
            return self.repetition(expr, start, ends)
        items = expr.items if isinstance(expr, ir.Seq) else ()
        layers = self.layers(items, start)
        rest: dict[Duties, ir.Expr] = {end: ir.EMPTY for end in layers[-1] if end in ends}
        for item, layer in reversed(list(zip(items, layers, strict=False))):
            rest = self.preceded(item, layer, rest)
        return rest.get(start, NOTHING)

    def preceded(self, item: ir.Expr, layer: Iterable[Duties], rest: dict[Duties, ir.Expr]) -> dict[Duties, ir.Expr]:
        """The expressions ``rest``, given by the duties before them, with an item before them."""
        same = {id(expr): expr for expr in rest.values()}
        made: dict[Hashable, ir.Expr] = {}
        found = {}
        for before in layer:
            groups: dict[int, set[Duties]] = {}
            for after in self.ends(item, before):
                if after in rest:
                    groups.setdefault(id(rest[after]), set()).add(after)
            if groups:
                start = self.cut(item, before)
                assert start is not None
                key = (start, frozenset((group, frozenset(ends)) for group, ends in groups.items()))
                if key not in made:
                    made[key] = either(sequence(self.write(item, start, frozenset(ends)), same[group]) for group, ends in groups.items())
                found[before] = made[key]
        return found

    def repetition(self, expr: ir.Repeat, start: Duties, ends: frozenset[Duties]) -> ir.Expr:
        inner = {*self.ends(expr.item, start)}
        if not inner <= {start}:
            return self.write(self.loop(expr), start, ends)
        if start not in ends or (expr.min and not inner):
            return NOTHING
        return ir.Repeat(self.write(expr.item, start, ends), expr.min, expr.max) if inner else ir.EMPTY

    def rule(self, rule: ir.Rule, start: Duties, ends: frozenset[Duties]) -> ir.Expr:
        reached = ends.intersection(self.ends(rule, start))
        if not reached:
            return NOTHING
        key = (rule, start, reached)
        steps = self.lexing.steps(rule, start)
        if steps is not None:
            if key not in self.words:
                texts = union(*(dfa for end, dfa in steps.items() if end in reached))
                self.words[key] = ir.EMPTY if texts == NO_TEXT else ir.Regular(texts)
            return self.words[key]
        if key not in self.written:
            self.written[key] = ir.Rule(rule.name)
        return self.written[key]


def _body(rule: ir.Rule) -> ir.Expr:
    assert rule.body is not None
    return rule.body


def without_loops(root: ir.Rule) -> ir.Rule:
    """The same grammar with rules instead of ``*`` and ``+``, and choices instead of ``?``; rules without a body are kept."""
    copies: dict[ir.Rule, ir.Rule] = {}
    todo = [root]

    def copy(expr: ir.Expr) -> ir.Expr:
        if isinstance(expr, ir.Rule):
            if expr.body is None:
                return expr
            if expr not in copies:
                copies[expr] = ir.Rule(expr.name)
                todo.append(expr)
            return copies[expr]
        if isinstance(expr, ir.Choice):
            return ir.Choice(tuple([copy(item) for item in expr.items]))
        if isinstance(expr, ir.Seq):
            return ir.Seq(tuple([copy(item) for item in expr.items]))
        if not isinstance(expr, ir.Repeat):
            return expr
        item = copy(expr.item)
        if (expr.min, expr.max) == (0, 1):
            return ir.Choice((ir.EMPTY, item))
        if expr.min > 1 or expr.max is not None:
            return ir.Repeat(item, expr.min, expr.max)
        more = ir.Rule("repeat")
        more.define(ir.Choice((ir.EMPTY, ir.Seq((item, more)))))
        return ir.Seq((item, more)) if expr.min else more

    copy(root)
    del todo[0]
    for rule in todo:  # grows
        copies[rule].define(copy(_body(rule)))
    return copies[root]


def _loop(rule: ir.Rule, body: ir.Expr) -> ir.Expr:
    """The body of a rule, as a repetition if it is one."""
    match body:
        case ir.Choice((ir.Bytes(b""), ir.Seq((item, again)))) if again is rule:
            return ir.Repeat(item)
    return body


def either(items: Iterable[ir.Expr]) -> ir.Expr:
    found = [item for item in items if item is not NOTHING]
    return ir.Choice(tuple(found)) if len(found) > 1 else found[0] if found else NOTHING


def sequence(first: ir.Expr, rest: ir.Expr) -> ir.Expr:
    if first is NOTHING or rest is NOTHING:
        return NOTHING
    return first if rest is ir.EMPTY else rest if first is ir.EMPTY else ir.Seq((first, rest))
