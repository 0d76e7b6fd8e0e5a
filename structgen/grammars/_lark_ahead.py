"""With which tokens may go on what stands in front of an expression: FIRST and FOLLOW of a grammar.

Sets are bit masks, rules are looked at until nothing is added (A. Aho, M. Lam, R. Sethi, J. Ullman, Compilers, 2006, section 4.4).
"""

from __future__ import annotations

from collections.abc import Collection

from structgen.automata import ir

__all__ = ["Ahead"]


class Ahead:
    """``first``: the mask of every terminal, which are rules without a body here; those in ``empty`` have no text."""

    def __init__(self, root: ir.Rule, first: dict[ir.Rule, int], empty: Collection[ir.Rule]) -> None:
        self.rules = {rule: rule.body for rule in _reachable(root) if rule.body is not None}
        self.firsts = {**dict.fromkeys(self.rules, (0, False)), **{rule: (mask, rule in empty) for rule, mask in first.items()}}
        self.follows: dict[int, int] = {}
        """By identity of expressions."""
        self.exprs: list[ir.Expr] = []
        while any([self.grow(rule, body) for rule, body in self.rules.items()]):
            pass
        self.changing = True
        while self.changing:
            self.changing = False
            for rule, body in self.rules.items():
                self.spread(body, self.follow(rule))

    def of(self, expr: ir.Expr) -> int:
        """With what may go on a place before the expression."""
        mask, nullable = self.first(expr)
        return mask | self.follow(expr) if nullable else mask

    def follow(self, expr: ir.Expr) -> int:
        """With what may go on a place behind the expression."""
        return self.follows.get(id(expr), 0 if isinstance(expr, ir.Rule) and expr in self.firsts else -1)

    def grow(self, rule: ir.Rule, body: ir.Expr) -> bool:
        before, self.firsts[rule] = self.firsts[rule], self.first(body)
        return before != self.firsts[rule]

    def first(self, expr: ir.Expr) -> tuple[int, bool]:
        """What an expression may begin with, and whether it may be empty."""
        if isinstance(expr, ir.Rule):
            return self.firsts.get(expr, (-1, True))
        if isinstance(expr, ir.Repeat):
            mask, nullable = self.first(expr.item) if expr.max != 0 else (0, True)
            return mask, nullable or expr.min == 0
        mask = 0
        if isinstance(expr, ir.Choice):
            found = [self.first(item) for item in expr.items]
            for more, _ in found:
                mask |= more
            return mask, any(nullable for _, nullable in found)
        for item in expr.items if isinstance(expr, ir.Seq) else ():
            more, nullable = self.first(item)
            mask |= more
            if not nullable:
                return mask, False
        return mask, True

    def spread(self, expr: ir.Expr, after: int) -> None:
        """Add what may follow to everything inside."""
        known = self.follows.get(id(expr))
        if known is None:
            self.exprs.append(expr)  # keeps it alive
        if known is None or after & ~known:
            self.changing = True
            self.follows[id(expr)] = after | (known or 0)
        if isinstance(expr, ir.Repeat):
            self.spread(expr.item, after | self.first(expr.item)[0])
        elif isinstance(expr, ir.Choice):
            for item in expr.items:
                self.spread(item, after)
        elif isinstance(expr, ir.Seq):
            for item in reversed(expr.items):
                self.spread(item, after)
                mask, nullable = self.first(item)
                after = mask | after if nullable else mask


def _reachable(root: ir.Rule) -> list[ir.Rule]:
    found: dict[ir.Rule, None] = {root: None}
    todo: list[ir.Expr] = [root]
    while todo:
        expr = todo.pop()
        inner: tuple[ir.Expr, ...] = ()
        if isinstance(expr, ir.Rule):
            inner = () if expr.body is None else (expr.body,)
        elif isinstance(expr, ir.Repeat):
            inner = (expr.item,)
        elif isinstance(expr, ir.Choice | ir.Seq):
            inner = expr.items
        for item in inner:
            if not (isinstance(item, ir.Rule) and item in found):
                todo.append(item)
                if isinstance(item, ir.Rule):
                    found[item] = None
    return list(found)
