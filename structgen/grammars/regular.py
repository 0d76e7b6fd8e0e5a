"""The automaton of an expression without recursion, for operators that only regular languages have (difference)."""

from __future__ import annotations

from structgen.automata import chardfa, ir
from structgen.automata.chardfa import CharDfa
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["language"]

MAX_DEPTH = 300


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
