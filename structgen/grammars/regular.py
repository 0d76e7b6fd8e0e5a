"""The automaton of an expression without recursion, for operators that only regular languages have (difference)."""

from __future__ import annotations

from structgen.automata import chardfa, ir
from structgen.automata.chardfa import CharDfa
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["language", "rules_in", "use_automata"]

MAX_DEPTH = 300
MAX_STATES = 500
"""Of the automaton that a rule is compiled as."""


def language(expr: ir.Expr) -> CharDfa:
    """All texts of an expression of texts, as an automaton over characters.

    Raises StructgenError if a rule calls itself, LimitExceeded if the automaton would be too large.
    """
    return _language(expr, (), {}, 0)


def _language(expr: ir.Expr, open_: tuple[ir.Rule, ...], known: dict[ir.Rule, CharDfa], depth: int) -> CharDfa:
    if depth > MAX_DEPTH:
        raise LimitExceeded("nesting of a regular expression", MAX_DEPTH, "a grammar")
    if isinstance(expr, ir.Bytes):
        try:
            return chardfa.literal(expr.value.decode())
        except UnicodeDecodeError:
            raise StructgenError(f"the bytes {expr.value!r} are not text") from None
    if isinstance(expr, ir.Chars):
        return chardfa.chars(expr.ranges)
    if isinstance(expr, ir.Regular):
        return expr.dfa
    if isinstance(expr, ir.Bounded):
        return chardfa.intersect(expr.dfa, chardfa.repeat(chardfa.any_char(), expr.min_length, expr.max_length))
    if isinstance(expr, ir.Rule):
        if expr in open_:
            raise StructgenError(f"rule {expr.name!r} calls itself: only a language without recursion can be subtracted from another")
        if expr not in known:
            assert expr.body is not None
            known[expr] = _language(expr.body, (*open_, expr), known, depth + 1)
        return known[expr]
    if isinstance(expr, (ir.Seq, ir.Choice)):
        parts = [_language(item, open_, known, depth + 1) for item in expr.items]
        if isinstance(expr, ir.Choice):
            return chardfa.union(*parts) if parts else chardfa.none()
        return chardfa.concat(*parts) if parts else chardfa.literal("")
    if isinstance(expr, ir.Repeat) and expr.separator is None:
        return chardfa.repeat(_language(expr.item, open_, known, depth + 1), expr.min, expr.max)
    raise StructgenError(f"no language of characters: {expr!r:.100}")


def use_automata(expr: ir.Expr) -> ir.Expr:
    """The same expression, its rules compiled as automata where they do not call themselves and are small.

    An automaton is determined before any token is seen; what it saves is following all ways through calls of rules at once.
    """
    known: dict[ir.Rule, CharDfa] = {}
    for rule in _without_recursion(rules_in(expr)):
        try:
            dfa = _language(rule, (), known, 0)
        except StructgenError:
            continue
        if len(dfa.table) <= MAX_STATES and not chardfa.is_empty(dfa):
            rule.rewritten = ir.Regular(dfa)
    return expr


def _without_recursion(rules: set[ir.Rule]) -> list[ir.Rule]:
    """The rules that lead to no rule that calls itself, those first that call no others."""
    calls = {rule: rules_in(rule.body, below=False) for rule in rules if rule.body is not None}
    found: dict[ir.Rule, None] = {}
    while more := [rule for rule, called in calls.items() if rule not in found and called <= found.keys()]:
        found.update(dict.fromkeys(more))
    return list(found)


def rules_in(expr: ir.Expr, below: bool = True) -> set[ir.Rule]:
    """The rules that can be reached from an expression, or that it names itself."""
    found: set[ir.Rule] = set()
    todo = [expr]
    while todo:
        expr = todo.pop()
        if isinstance(expr, ir.Rule):
            if expr not in found:
                found.add(expr)
                todo += [expr.body] if below and expr.body is not None else []
        elif isinstance(expr, (ir.Seq, ir.Choice)):
            todo += expr.items
        elif isinstance(expr, ir.Repeat):
            todo.append(expr.item)
    return found
