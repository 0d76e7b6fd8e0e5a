"""The items of an array: by position for the prefix, counted repetition for the tail, a product of counters for ``contains``.

``uniqueItems`` is enforced where the items are strings (by `ir.Unique`, as for keys) or a few known values; elsewhere it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from structgen.automata import ir
from structgen.errors import UnsupportedSchema
from structgen.grammars.numbers import NumberLimits

from .digits import number_expr
from .formulas import Formula
from .normal import SCALARS, Norm
from .shapes import ArrayShape, NumberShape, StringShape
from .texts import n_texts, string_expr

if TYPE_CHECKING:
    from .lower import Lowering

__all__ = ["array_body"]

MAX_STATES = 5_000
"""Most states of one array: positions x counters."""
MAX_COUNTERS = 4
"""Most ``contains`` on one array."""
MAX_UNIQUE = 8
"""Most values, other than strings, that items which must differ may take."""
RULE_EVERY = 8
"""Nesting depth of expressions after which a rule is inserted."""


def array_body(lowering: Lowering, shape: ArrayShape, depth: int) -> ir.Expr:
    """The texts of the arrays of this shape, brackets included."""
    body = _Body(lowering, shape, depth)
    if shape.repeats and not shape.unique:
        raise UnsupportedSchema("that two items are equal cannot be enforced", keyword="uniqueItems", pointer=shape.repeats)
    choices: list[ir.Expr] = []
    if shape.min == 0 and all(c.min == 0 for c in shape.contains):
        choices.append(ir.Seq((lowering.layout.empty, ir.Bytes(b"]"))))
    items = body.unique() if shape.unique else body.counted() if shape.contains else body.items()
    if items is not None:
        choices.append(ir.Seq((lowering.layout.opened(depth), items)))
    return ir.Seq((ir.Bytes(b"["), choices[0] if len(choices) == 1 else ir.Choice(tuple(choices))))


class _State(NamedTuple):
    position: int
    counts: tuple[int, ...]


class _Body:
    """Expressions for one or more items and the closing bracket."""

    def __init__(self, lowering: Lowering, shape: ArrayShape, depth: int) -> None:
        self.lowering, self.shape, self.depth = lowering, shape, depth
        self.formulas = lowering.formulas
        self.comma = lowering.layout.comma(depth)
        self.close = ir.Seq((lowering.layout.closing(depth), ir.Bytes(b"]")))

    def value(self, formula: Formula | None) -> ir.Expr | None:
        """One item, or None where nothing satisfies the formula."""
        formula = formula or self.formulas.true
        if self.lowering.normaliser.is_empty(formula):
            return None
        return self.lowering.value(formula, self.lowering.below(self.depth))

    # -- prefix and tail ------------------------------------------------------------------------------------------------------

    def items(self) -> ir.Expr | None:
        shape, n = self.shape, len(self.shape.prefix)
        rest = self._tail(max(1, shape.min - n), None if shape.max is None else shape.max - n)
        for i in range(n - 1, -1, -1):
            item = self.value(shape.prefix[i]) if shape.max is None or i < shape.max else None
            if item is None:
                rest = None
                continue
            choices: list[ir.Expr] = [self.close] if i + 1 >= shape.min else []
            if rest is not None:
                choices.append(ir.Seq((self.comma, ir.Rule("items", rest) if i % RULE_EVERY == 0 else rest)))
            rest = ir.Seq((item, _either(choices))) if choices else None
        return rest

    def _tail(self, low: int, high: int | None) -> ir.Expr | None:
        item = None if high is not None and high < low else self.value(self.shape.tail)
        return None if item is None else ir.Seq((ir.Repeat(item, low, high, self.comma), self.close))

    # -- contains -------------------------------------------------------------------------------------------------------------

    def counted(self) -> ir.Expr | None:
        """One rule per position and values of the counters, all capped where they no longer matter."""
        if len(self.shape.contains) > MAX_COUNTERS:
            raise UnsupportedSchema(f"more than {MAX_COUNTERS} counts of the items of one array", keyword="contains")
        start = _State(0, (0,) * len(self.shape.contains))
        rules = {start: ir.Rule("items")}
        todo = [start]
        while todo:
            state = todo.pop()
            choices: list[ir.Expr] = []
            for item, after in self._steps(state):
                if after not in rules:
                    if len(rules) >= MAX_STATES:
                        message = f"counting these items takes more than {MAX_STATES} states"
                        raise UnsupportedSchema(message, keyword="contains", pointer=self.shape.contains[0].item.pointer)
                    rules[after] = ir.Rule("items")
                    todo.append(after)
                rest: list[ir.Expr] = [self.close] if self._may_end(after) else []
                rest.append(ir.Seq((self.comma, rules[after])))
                choices.append(ir.Seq((item, _either(rest))))
            rules[state].define(ir.Choice(tuple(choices)))
        return rules[start]

    def _cap(self) -> int:
        """Positions from here on behave alike."""
        shape = self.shape
        fixed = max([len(shape.prefix), shape.min, *(c.start for c in shape.contains)])
        return fixed if shape.max is None else max(fixed, shape.max)

    def _may_end(self, state: _State) -> bool:
        return state.position >= self.shape.min and all(n >= c.min for n, c in zip(state.counts, self.shape.contains, strict=True))

    def _steps(self, state: _State) -> Iterator[tuple[ir.Expr, _State]]:
        """Each way to write the next item: which of the counted formulas it satisfies, and the state after it."""
        shape = self.shape
        if shape.max is not None and state.position >= shape.max:
            return
        live = [k for k, c in enumerate(shape.contains) if state.position >= c.start and (c.max is not None or state.counts[k] < c.min)]
        for size in range(len(live) + 1):
            for hits in combinations(live, size):
                if any(shape.contains[k].max == state.counts[k] for k in hits):
                    continue
                formula = self.formulas.all_of([shape.at(state.position) or self.formulas.true, *self._signed(live, hits)])
                item = self.value(formula)
                if item is not None:
                    counts = tuple(self._count(k, n + (k in hits)) for k, n in enumerate(state.counts))
                    yield item, _State(min(state.position + 1, self._cap()), counts)

    def _signed(self, live: list[int], hits: tuple[int, ...]) -> Iterator[Formula]:
        """Counted formulas hold; the others fail where a greatest count makes that matter."""
        for k in live:
            c = self.shape.contains[k]
            if k in hits:
                yield c.item
            elif c.max is not None:
                yield self.formulas.negate(c.item)

    def _count(self, k: int, count: int) -> int:
        c = self.shape.contains[k]
        return min(count, c.min) if c.max is None else count

    # -- unique items ---------------------------------------------------------------------------------------------------------

    def unique(self) -> ir.Expr | None:
        shape = self.shape
        formula = shape.tail or self.formulas.true
        norm = self.lowering.normaliser.norm(formula)
        if shape.prefix or shape.contains:
            raise self._not_unique("together with items by position or contains")
        if not norm.arrays and not norm.objects:
            if not norm.scalars and not norm.numbers:
                return self._unique_strings(norm.strings)
            if (values := _values(norm, self.lowering.limits.numbers)) is not None:
                return self._unique_values(values)
        raise self._not_unique("for items other than strings or a few known values")

    def _not_unique(self, why: str) -> UnsupportedSchema:
        return UnsupportedSchema(f"uniqueItems {why} cannot be enforced yet", keyword="uniqueItems", pointer=self.shape.unique)

    def _unique_strings(self, strings: tuple[StringShape, ...]) -> ir.Expr | None:
        found = [string_expr(text, self.lowering.limits.string_length, capture=True) for text in strings]
        texts = [expr for expr in found if expr is not None]
        high, n = self.shape.max, n_texts(strings)
        if n is not None and (high is None or n < high):  # no more items than there are strings
            high = n
        low = max(1, self.shape.min)
        if not texts or (high is not None and high < low):
            return None
        return ir.Seq((ir.Unique(ir.Repeat(_either(texts), low, high, self.comma)), self.close))

    def _unique_values(self, values: list[ir.Expr]) -> ir.Expr | None:
        """One rule per set of values already written."""
        high = len(values) if self.shape.max is None else min(self.shape.max, len(values))
        if max(1, self.shape.min) > high:
            return None
        rules: dict[frozenset[int], ir.Expr] = {}
        for size in range(high - 1, -1, -1):
            for used in combinations(range(len(values)), size):
                rest: list[tuple[ir.Expr, ir.Expr]] = []
                for i in set(range(len(values))) - set(used):
                    end: list[ir.Expr] = [self.close] if size + 1 >= self.shape.min else []
                    if size + 1 < high:
                        end.append(ir.Seq((self.comma, rules[frozenset((*used, i))])))
                    rest.append((values[i], _either(end)))
                rules[frozenset(used)] = ir.Rule("items", ir.Choice(tuple(ir.Seq(pair) for pair in rest)))
        return rules[frozenset()]


def _values(norm: Norm, limits: NumberLimits) -> list[ir.Expr] | None:
    """The expressions of the values one by one, if they are few."""
    if any(shape.values is None for group in (norm.numbers, norm.strings) for shape in group):
        return None
    found: list[ir.Expr] = [ir.Bytes(text) for kind, text in SCALARS if norm.scalars & kind]
    for number in norm.numbers:
        for x in sorted(number.values or ()):
            expr, _ = number_expr((NumberShape(values=frozenset([x]), plain=number.plain),), limits)
            found += [expr] if expr is not None else []
    for string in norm.strings:
        found += [ir.QuotedText(text) for text in sorted(string.values or ())]
    return found if len(found) <= MAX_UNIQUE else None


def _either(choices: list[ir.Expr]) -> ir.Expr:
    return choices[0] if len(choices) == 1 else ir.Choice(tuple(choices))
