"""A grammar whose terminals leave duties to the text behind them (`_lark_lexer`), as a grammar of the machine.

An expression read from a place with duties S to a place with duties T is an expression of its own: the product of a grammar and
a finite automaton (Bar-Hillel, Perles & Shamir, On formal properties of simple phrase structure grammars, 1961), made only for
the pairs that occur. First the duties that each rule can end with are found, as a least fixpoint; then the bodies are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from structgen.automata import ir
from structgen.automata.chardfa import CharDfa
from structgen.errors import LimitExceeded

from ._lark_lexer import NO_DUTIES, Duties, Lexer

__all__ = ["NOTHING", "either", "in_contexts", "sequence"]

MAX_CONTEXTS = 5_000
"""Pairs of a rule and the duties before or after it."""
MAX_UNROLLED = 1_000
"""Rounds of a bounded repetition: the duties may differ after each."""
NOTHING = ir.Choice(())


def in_contexts(root: ir.Rule, words: Mapping[ir.Rule, CharDfa], lexer: Lexer) -> ir.Expr:
    """The whole documents of ``root``, where the rules in ``words`` are the terminals."""
    contexts = _Contexts(words, lexer)
    contexts.solve(root)
    ends = contexts.ends(root, NO_DUTIES)
    document = either(sequence(contexts.write(root, NO_DUTIES, end), ir.Regular(lexer.at_end(end))) for end in ends)
    while contexts.todo:
        rule, start, end, written = contexts.todo.pop()
        written.define(contexts.write(contexts.body(rule), start, end))
    return document


class _Contexts:
    def __init__(self, words: Mapping[ir.Rule, CharDfa], lexer: Lexer) -> None:
        self.words, self.lexer = words, lexer
        self.loops: dict[int, ir.Expr] = {}
        self.found: dict[tuple[ir.Rule, Duties], dict[Duties, None]] = {}
        self.written: dict[tuple[ir.Rule, Duties, Duties], ir.Rule] = {}
        self.todo: list[tuple[ir.Rule, Duties, Duties, ir.Rule]] = []

    def body(self, rule: ir.Rule) -> ir.Expr:
        assert rule.body is not None
        return rule.body

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

    def solve(self, root: ir.Rule) -> None:
        """Find the duties that each rule can end with."""
        self.found[root, NO_DUTIES] = {}
        size = 0
        while size != (size := len(self.found) + sum(map(len, self.found.values()))):
            for rule, start in list(self.found):
                self.found[rule, start].update(dict.fromkeys(self.ends(self.body(rule), start)))
            if size > MAX_CONTEXTS:
                raise LimitExceeded("rules, each counted for all that the lexer has to check before and after it", MAX_CONTEXTS)

    def ends(self, expr: ir.Expr, start: Duties) -> list[Duties]:
        """The duties after an expression, as far as they are known."""
        if isinstance(expr, ir.Rule):
            return list(self.lexer.before(self.words[expr], start) if expr in self.words else self.found.setdefault((expr, start), {}))
        if isinstance(expr, ir.Choice):
            return list(dict.fromkeys(end for item in expr.items for end in self.ends(item, start)))
        if isinstance(expr, ir.Seq):
            return list(self.layers(expr.items, start)[-1])
        if isinstance(expr, ir.Repeat):
            return self.ends(self.loop(expr), start)
        assert expr == ir.EMPTY
        return [start]

    def layers(self, items: Iterable[ir.Expr], start: Duties) -> list[dict[Duties, None]]:
        """The duties before, between and after the items of a sequence."""
        layers = [{start: None}]
        for item in items:
            layers.append(dict.fromkeys(end for before in layers[-1] for end in self.ends(item, before)))
        return layers

    def write(self, expr: ir.Expr, start: Duties, end: Duties) -> ir.Expr:
        """The texts of an expression from a place with duties to another."""
        if isinstance(expr, ir.Rule):
            return self.rule(expr, start, end)
        if isinstance(expr, ir.Choice):
            return either(self.write(item, start, end) for item in expr.items)
        if isinstance(expr, ir.Repeat):
            return self.write(self.loop(expr), start, end)
        items = expr.items if isinstance(expr, ir.Seq) else ()
        rest: dict[Duties, ir.Expr] = {end: ir.EMPTY}
        for item, layer in reversed(list(zip(items, self.layers(items, start), strict=False))):
            rest = {
                before: either(sequence(self.write(item, before, after), rest[after]) for after in self.ends(item, before) if after in rest)
                for before in layer
            }
        return rest.get(start, NOTHING)

    def rule(self, rule: ir.Rule, start: Duties, end: Duties) -> ir.Expr:
        if end not in self.ends(rule, start):
            return NOTHING
        if rule in self.words:
            return ir.Regular(self.lexer.before(self.words[rule], start)[end])
        key = (rule, start, end)
        if key not in self.written:
            self.written[key] = ir.Rule(rule.name)
            self.todo.append((*key, self.written[key]))
        return self.written[key]


def either(items: Iterable[ir.Expr]) -> ir.Expr:
    found = [item for item in items if item is not NOTHING]
    return ir.Choice(tuple(found)) if len(found) > 1 else found[0] if found else NOTHING


def sequence(first: ir.Expr, rest: ir.Expr) -> ir.Expr:
    if first is NOTHING or rest is NOTHING:
        return NOTHING
    return first if rest is ir.EMPTY else rest if first is ir.EMPTY else ir.Seq((first, rest))
