"""Whether an expression has any text at all: a quick search for one text, then the least fixpoint over the rules.

Lengths of repeated or quoted content are not looked at: an expression found unproductive certainly has no text. The machine
prunes exactly; this is here so that an unsatisfiable schema is an error when the constraint is built. Cost: linear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from structgen.automata import chardfa, ir
from structgen.automata.analysis import children

__all__ = ["is_productive"]

MAX_DEPTH = 100
"""Expressions inside each other, across rules, up to which the quick search looks."""


def is_productive(expr: ir.Expr) -> bool:
    """Whether at least one text matches ``expr``."""
    return _Search().finds(expr) or _fixpoint(expr)


class _Search:
    """Looks for a text depth first, never into the same rule twice; success is a proof, failure is none."""

    def __init__(self) -> None:
        self.tried: dict[ir.Rule, bool] = {}

    def finds(self, expr: ir.Expr | None, depth: int = 0) -> bool:
        if depth > MAX_DEPTH:
            return False
        if not isinstance(expr, ir.Rule):
            return _holds(expr, lambda item: self.finds(item, depth + 1))
        if expr not in self.tried:
            self.tried[expr] = False
            self.tried[expr] = self.finds(expr.body, depth + 1)
        return self.tried[expr]


def _fixpoint(expr: ir.Expr) -> bool:
    callers: dict[ir.Rule, list[ir.Rule]] = {}
    rules: dict[ir.Rule, None] = dict.fromkeys(_called(expr))
    todo = list(rules)
    while todo:
        caller = todo.pop()
        for rule in _called(caller.body):
            callers.setdefault(rule, []).append(caller)
            if rule not in rules:
                rules[rule] = None
                todo.append(rule)
    productive: set[ir.Rule] = set()

    def holds(item: ir.Expr | None) -> bool:
        return item in productive if isinstance(item, ir.Rule) else _holds(item, holds)

    todo = list(rules)
    while todo:
        rule = todo.pop()
        if rule not in productive and holds(rule.body):
            productive.add(rule)
            todo += callers.get(rule, ())
    return holds(expr)


def _holds(expr: ir.Expr | None, holds: Callable[[ir.Expr], bool]) -> bool:
    """Whether an expression other than a rule has a text, if ``holds`` says it of its parts."""
    if isinstance(expr, ir.Seq):
        return all(map(holds, expr.items))
    if isinstance(expr, ir.Choice):
        return any(map(holds, expr.items))
    if isinstance(expr, ir.Repeat):
        return expr.min == 0 or holds(expr.item)
    if isinstance(expr, ir.Unique):
        return holds(expr.body)
    if isinstance(expr, ir.Item):
        return holds(expr.value)
    if isinstance(expr, ir.Regular):
        return not chardfa.is_empty(expr.dfa)
    if isinstance(expr, ir.Quoted):
        return expr.content is None or not chardfa.is_empty(expr.content)
    return expr is not None


def _called(expr: ir.Expr | None) -> Iterator[ir.Rule]:
    """The rules that occur in the expression, not those in their bodies."""
    todo: list[ir.Expr | None] = [expr]
    while todo:
        here = todo.pop()
        if isinstance(here, ir.Rule):
            yield here
        elif here is not None:
            todo += children(here)
