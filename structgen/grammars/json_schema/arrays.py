"""The items of an array: by position for the prefix, counted repetition for the tail, a product of counters for ``contains``.

``uniqueItems`` is enforced by an `ir.Unique` scope of captured strings, as for keys, or of `ir.Item`s: an item is one of some single
values, of a kind that never runs out, or of one that may run out (scarce), for which the machine looks ahead. It looks one item
ahead, so where more items are demanded, they must be of one kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from structgen.automata import ir
from structgen.errors import UnsupportedSchema

from .formulas import Formula
from .normal import NOTHING, SCALARS, Norm
from .objects import has_endless_names
from .shapes import ArrayShape, NumberShape, ObjectShape, StringShape, least_upper
from .texts import is_inexhaustible, n_texts, string_expr

if TYPE_CHECKING:
    from .lower import Lowering

__all__ = ["array_body"]

MAX_STATES = 5_000
"""Most states of one array: positions x counters."""
MAX_COUNTERS = 4
"""Most ``contains`` on one array."""
MAX_UNIQUE = 1000
"""Most single values among items that must differ."""
MAX_PREFIX = 50
"""Most items by position among items that must differ."""
MAX_DEMANDED = 100
"""Most items demanded of a kind that may run out."""
ZERO = Fraction(0)
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
        self.bounds: tuple[int, int | None] = 0, None  # that the scope of unique items keeps itself
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
        return None if item is None else ir.Seq((ir.Repeat(item, low, high, self.comma, determined=True), self.close))

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
        if shape.contains:
            raise self._not_unique("together with contains")
        strings = self._strings_only()
        if strings is not None and not shape.prefix:
            return self._unique_strings(strings)
        n = len(shape.prefix) if shape.max is None else min(len(shape.prefix), shape.max)
        if n > MAX_PREFIX:
            raise self._not_unique(f"for more than {MAX_PREFIX} items by position")
        rest = self._unique_tail(n)
        for i in range(n - 1, -1, -1):
            rest = self._then(i, self._unique_item(i), rest)
        low, high = self.bounds
        return None if rest is None else ir.Seq((ir.Unique(rest, min=low, max=high), self.close))

    def _not_unique(self, why: str) -> UnsupportedSchema:
        return UnsupportedSchema(f"uniqueItems {why} cannot be enforced yet", keyword="uniqueItems", pointer=self.shape.unique)

    def _strings_only(self) -> tuple[StringShape, ...] | None:
        """The shapes of the items after the prefix if all of them are strings."""
        norm = self.lowering.normaliser.norm(self.shape.tail or self.formulas.true)
        return None if norm.scalars or norm.numbers or norm.arrays or norm.objects else norm.strings

    def _unique_strings(self, strings: tuple[StringShape, ...]) -> ir.Expr | None:
        found = [string_expr(text, self.lowering.limits.string_length, capture=True) for text in strings]
        texts = [expr for expr in found if expr is not None]
        high, n = self.shape.max, n_texts(strings)
        if n is not None and (high is None or n < high):  # no more items than there are strings
            high = n
        low = max(1, self.shape.min)
        if not texts or (high is not None and high < low):
            return None
        return ir.Seq((ir.Unique(ir.Repeat(_either(texts), low, high, self.comma, determined=True)), self.close))

    def _then(self, i: int, items: list[ir.Expr], rest: ir.Expr | None) -> ir.Expr | None:
        """Item i and what may follow it; nothing where there is no such item, or where more must follow and cannot."""
        after: list[ir.Expr] = [ir.EMPTY] if i + 1 >= self.shape.min else []
        if rest is not None:
            after.append(ir.Seq((self.comma, rest)))
        return ir.Seq((_either(items), _either(after))) if items and after else None

    def _unique_item(self, i: int) -> list[ir.Expr]:
        """Item i of the prefix; one that is demanded must have a value left whatever the items before it are."""
        formula = self.shape.prefix[i]
        if self.lowering.normaliser.is_empty(formula):
            return []
        items = self._items(formula)
        if items.scarce or (items.rest is None and len(items.few) <= i):
            if self.shape.min > i:
                raise self._not_unique("where an item by position has few values")
            items = items.looked_after()
        return items.all()

    def _unique_tail(self, n: int) -> ir.Expr | None:
        """One or more items after the first n."""
        low, high = max(1, self.shape.min - n), None if self.shape.max is None else self.shape.max - n
        formula = self.shape.tail or self.formulas.true
        if (high is not None and high < low) or self.lowering.normaliser.is_empty(formula):
            return None
        items = self._items(formula)
        if items.scarce or (items.rest is None and n):
            if n and self.shape.min > n:
                raise self._not_unique("where items by position are followed by items with few values")
            if low > MAX_DEMANDED:
                raise self._not_unique(f"for more than {MAX_DEMANDED} items with few values")
            self.bounds = low if n == 0 else 0, self.shape.max
            return ir.Repeat(_either(items.looked_after().all()), 1, None, self.comma)
        if items.rest is None:
            high = least_upper(high, len(items.few))
        if high is not None and high < low:
            return None
        return ir.Repeat(_either(items.all()), low, high, self.comma, determined=True)

    def _items(self, formula: Formula) -> _Items:
        """The items that satisfy a formula."""
        lowering = self.lowering
        norm, depth = lowering.normaliser.norm(formula), lowering.below(self.depth)
        few, rest = values_apart(norm)
        if len(few) > MAX_UNIQUE:
            raise self._not_unique(f"for more than {MAX_UNIQUE} single values")
        scarce = not all(endless(lowering, shape) for shapes in rest[1:] for shape in shapes)
        single = tuple(ir.Item(lowering.of_norm(one, depth, formula.pointer), text) for text, one in few.items())
        return _Items(single, ir.Item(lowering.of_norm(rest, depth, formula.pointer)) if any(rest) else None, scarce)


class _Items(NamedTuple):
    """Items that must differ: those with a value of their own, and the others; ``scarce``: of these, a beginning may run out."""

    few: tuple[ir.Item, ...]
    rest: ir.Item | None
    scarce: bool

    def looked_after(self) -> _Items:
        """The same, so that the machine looks ahead."""
        few = tuple(replace(item, scarce=True) for item in self.few)
        return _Items(few, self.rest and replace(self.rest, scarce=True), self.scarce)

    def all(self) -> list[ir.Expr]:
        return [*self.few, *([self.rest] if self.rest else [])]


def values_apart(norm: Norm) -> tuple[dict[str, Norm], Norm]:
    """The values that a normal form names one by one, and zero, whose spellings lead nowhere else: each as a JSON text and a normal
    form of its own, and the rest of it."""
    few = {text.decode(): NOTHING._replace(scalars=kind) for kind, text in SCALARS if norm.scalars & kind}
    for number in norm.numbers:
        for x in sorted(number.values or ({ZERO} if ZERO in number else ())):
            few[json_number(x)] = NOTHING._replace(numbers=(NumberShape(values=frozenset([x]), plain=number.plain),))
    for string in norm.strings:
        for text in sorted(string.values or ()):
            few[json.dumps(text)] = NOTHING._replace(strings=(StringShape(values=frozenset([text])),))
    numbers = tuple(replace(shape, excluded=shape.excluded | {ZERO}) for shape in norm.numbers if shape.values is None)
    strings = tuple(shape for shape in norm.strings if shape.values is None)
    return few, Norm(0, numbers, strings, norm.arrays, norm.objects)


def endless(lowering: Lowering, shape: object) -> bool:
    """Whether every beginning of a value of this shape can go on in infinitely many ways; False may mean "not known".

    Numbers end after the digits that the limits allow, which counts as endless, as with strings without a greatest length."""
    if isinstance(shape, NumberShape):
        return shape.low is None or shape.high is None
    if isinstance(shape, StringShape):
        return shape.max is None and is_inexhaustible(shape)
    if isinstance(shape, ArrayShape):
        more = shape.max is None and all(c.max is None for c in shape.contains) and not shape.unique
        return more and not (shape.tail is not None and lowering.normaliser.is_empty(shape.tail))
    assert isinstance(shape, ObjectShape)
    return shape.max is None and has_endless_names(lowering, shape)


def json_number(x: Fraction) -> str:
    """A JSON text of a number; all numbers of schemas are decimal fractions."""
    digits = 0
    while x.denominator != 1:
        x, digits = x * 10, digits + 1
    return f"{x.numerator}e-{digits}" if digits else str(x.numerator)


def _either(choices: list[ir.Expr]) -> ir.Expr:
    return choices[0] if len(choices) == 1 else ir.Choice(tuple(choices))
