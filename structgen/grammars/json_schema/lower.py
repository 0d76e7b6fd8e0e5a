"""Lowering: from normal forms to the expressions of `structgen.automata.ir`.

Scalars become lexemes in place; every array and object shape becomes one `ir.Rule`, shared by all places with an equal shape,
filled from a worklist, so that nesting and recursion cost no stack. The value that may be anything is one rule per options
and process.
"""

from __future__ import annotations

from functools import lru_cache, reduce

from structgen.automata import chardfa, ir
from structgen.errors import LimitExceeded, UnsupportedSchema

from .arrays import array_body
from .digits import number_expr
from .formulas import Formula, Formulas
from .normal import ANYTHING, SCALARS, Norm, Normaliser
from .objects import object_body
from .options import Options
from .shapes import ArrayShape, ObjectShape
from .texts import string_expr

__all__ = ["Lowering", "any_value"]

MAX_RULES = 50_000
"""Most array and object rules in one compilation."""


class Lowering:
    """Turns the formulas of one compilation into expressions; `run` fills in all rules."""

    def __init__(self, formulas: Formulas, normaliser: Normaliser, options: Options) -> None:
        self.formulas = formulas
        self.normaliser = normaliser
        self.options = options
        self.layout = options.layout
        self.limits = options.limits
        self.remarks: dict[str, None] = {}
        self._values: dict[tuple[Norm, int], ir.Expr] = {}
        self._rules: dict[tuple[ArrayShape | ObjectShape, int], ir.Rule] = {}
        self._todo: list[tuple[ir.Rule, ArrayShape | ObjectShape, int, str]] = []

    def run(self, formula: Formula) -> ir.Expr:
        """The expression of a whole document."""
        expr = self.value(formula, 0)
        while self._todo:
            rule, shape, depth, pointer = self._todo.pop()
            try:
                body = array_body(self, shape, depth) if isinstance(shape, ArrayShape) else object_body(self, shape, depth)
            except (LimitExceeded, UnsupportedSchema) as error:
                raise _located(error, pointer) from None
            rule.define(body)
        return expr

    def value(self, formula: Formula, depth: int) -> ir.Expr:
        """The JSON texts of the values of ``formula``, at nesting ``depth`` (always 0 where the layout does not care)."""
        norm = self.normaliser.norm(formula)
        key = (norm, depth)
        found = self._values.get(key)
        if found is None:
            try:
                found = self._values[key] = self.of_norm(norm, depth, formula.pointer)
            except (LimitExceeded, UnsupportedSchema) as error:
                raise _located(error, formula.pointer) from None
        return found

    def of_norm(self, norm: Norm, depth: int, pointer: str) -> ir.Expr:
        """The JSON texts of the values of a normal form."""
        if norm == ANYTHING and self.layout.indent is None and self.formulas is not _SHARED:
            return any_value(self.options)
        parts: list[ir.Expr] = [ir.Bytes(text) for kind, text in SCALARS if norm.scalars & kind]
        parts += self._numbers(norm)
        parts += self._strings(norm)
        if self.layout.max_levels is None or depth < self.layout.max_levels:
            parts += [self._rule(shape, depth, pointer) for shape in norm.arrays]
            parts += [self._rule(shape, depth, pointer) for shape in norm.objects]
        return parts[0] if len(parts) == 1 else ir.Choice(tuple(parts))

    def _numbers(self, norm: Norm) -> list[ir.Expr]:
        if not norm.numbers:
            return []
        expr, remarks = number_expr(norm.numbers, self.limits.numbers)
        self.remarks.update(dict.fromkeys(remarks))
        return [] if expr is None else [expr]

    def _strings(self, norm: Norm) -> list[ir.Expr]:
        found = [string_expr(shape, self.limits.string_length) for shape in norm.strings]
        exprs = [expr for expr in found if expr is not None]
        contents = [expr.content for expr in exprs if isinstance(expr, ir.Quoted) and expr == ir.Quoted(expr.content)]
        dfas = [content for content in contents if content is not None]
        return [ir.Quoted(reduce(chardfa.union, dfas))] if len(dfas) == len(exprs) > 1 else exprs

    def _rule(self, shape: ArrayShape | ObjectShape, depth: int, pointer: str) -> ir.Rule:
        key = (shape, depth)
        rule = self._rules.get(key)
        if rule is None:
            if len(self._rules) >= MAX_RULES:
                raise LimitExceeded("rules for arrays and objects", MAX_RULES)
            rule = self._rules[key] = ir.Rule("array" if isinstance(shape, ArrayShape) else "object")
            self._todo.append((rule, shape, depth, pointer))
        return rule

    def below(self, depth: int) -> int:
        """The depth of values inside a container at ``depth``."""
        return depth if self.layout.indent is None else depth + 1


def _located(error: LimitExceeded | UnsupportedSchema, pointer: str) -> LimitExceeded | UnsupportedSchema:
    """The error with the place where it arose, if it has none."""
    if isinstance(error, LimitExceeded):
        return error if error.where else LimitExceeded(error.limit, error.value, pointer)
    message = str(error).removesuffix(" (at #)")
    return error if error.pointer else UnsupportedSchema(message, keyword=error.keyword, pointer=pointer)


_SHARED = Formulas()


@lru_cache(maxsize=64)
def any_value(options: Options) -> ir.Rule:
    """The rule for any JSON value, one per options for the whole process."""
    lowering = Lowering(_SHARED, Normaliser(_SHARED), options)
    rule = ir.Rule("value")
    lowering._values[ANYTHING, 0] = rule
    body = lowering.of_norm(ANYTHING, 0, "")
    lowering.run(_SHARED.true)
    return rule.define(body)
