"""From number shapes to one lexeme: the spellings of all numbers of the shapes, by `structgen.grammars.numbers`.

Shapes are split at excluded values into intervals, so that every part is a plain set of multiples between bounds; the union of the
parts is one automaton, because a number read by several automata at once costs the machine a state for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache, reduce

from structgen.automata import chardfa, ir
from structgen.automata.chardfa import CharDfa
from structgen.errors import LimitExceeded
from structgen.grammars.numbers import NumberLimits, NumberSet, equal_dfa, number_language

from .shapes import NumberShape

__all__ = ["number_expr"]

MAX_EXCLUDED = 200
"""Most excluded values of one set of numbers."""
MAX_VALUES = 5_000
"""Most single values of one set of numbers."""
LARGE = 10**90
"""Single numbers are written with all their digits, however many; bounds of intervals only up to 100."""


@lru_cache(maxsize=4096)
def number_expr(shapes: tuple[NumberShape, ...], limits: NumberLimits) -> tuple[ir.Expr | None, tuple[str, ...]]:
    """The numbers that have one of the shapes (None: there are none), and remarks on which spellings are left out."""
    found = [_spellings(shape, limits) for shape in shapes]
    dfas = [dfa for dfa, _ in found if not chardfa.is_empty(dfa)]
    remarks = tuple(dict.fromkeys(remark for _, remarks in found for remark in remarks))
    return (ir.Regular(_union(dfas)), remarks) if dfas else (None, remarks)


def _spellings(shape: NumberShape, limits: NumberLimits) -> tuple[CharDfa, tuple[str, ...]]:
    remarks: dict[str, None] = {}
    if shape.values is not None:
        dfa = _any_of(sorted(shape.values), limits)
    else:
        parts = []
        for part in _intervals(shape):
            language, more = _multiples(part, shape.not_multiples, limits)
            parts.append(language)
            remarks.update(dict.fromkeys(more))
        dfa = _union(parts)
    if shape.plain is not None:
        dfa = chardfa.intersect(dfa, _plain()) if shape.plain else chardfa.difference(dfa, _plain())
    return dfa, tuple(remarks)


def _any_of(values: list[Fraction], limits: NumberLimits) -> CharDfa:
    """These numbers, in increasing order; integers that follow each other as one interval."""
    runs: list[list[Fraction]] = []
    for value in values:
        if runs and value.denominator == 1 and value == runs[-1][-1] + 1 and abs(value) < LARGE:
            runs[-1].append(value)
        else:
            runs.append([value])
    if len(runs) > MAX_VALUES:
        raise LimitExceeded("numbers in one set, not counting integers that follow each other,", MAX_VALUES)
    return _union([_interval(run[0], run[-1], limits) for run in runs])


def _interval(low: Fraction, high: Fraction, limits: NumberLimits) -> CharDfa:
    """The integers between, or the only number."""
    return equal_dfa(low, limits) if low == high else number_language(NumberSet(low, high, multiple=Fraction(1)), limits)[0]


def _multiples(part: NumberSet, avoided: Iterable[Fraction], limits: NumberLimits) -> tuple[CharDfa, tuple[str, ...]]:
    """The numbers of ``part`` that are multiples of none of ``avoided``."""
    dfa, remarks = number_language(part, limits)
    for multiple in sorted(avoided):
        rest, more = number_language(NumberSet(not_multiple=multiple), limits)
        dfa, remarks = chardfa.intersect(dfa, rest), remarks + more
    return dfa, remarks


def _intervals(shape: NumberShape) -> Iterator[NumberSet]:
    """The shape cut at its excluded values."""
    cuts = sorted(value for value in shape.excluded if value in NumberShape(shape.low, shape.high, multiple=shape.multiple))
    if len(cuts) > MAX_EXCLUDED:
        raise LimitExceeded("excluded numbers", MAX_EXCLUDED)
    low, low_open = shape.low, shape.low_open
    for cut in cuts:
        if low is None or low < cut:
            yield NumberSet(low, cut, low_open, True, shape.multiple)
        low, low_open = cut, True
    if low is None or shape.high is None or low < shape.high or (low == shape.high and not low_open and not shape.high_open):
        yield NumberSet(low, shape.high, low_open, shape.high_open, shape.multiple)


def _union(dfas: list[CharDfa]) -> CharDfa:
    """The union, halves first, so that the large automata are merged only once."""
    if len(dfas) <= 2:
        return reduce(chardfa.union, dfas) if dfas else chardfa.none()
    middle = len(dfas) // 2
    return chardfa.union(_union(dfas[:middle]), _union(dfas[middle:]))


@lru_cache(maxsize=1)
def _plain() -> CharDfa:
    """Integers written without fraction and exponent."""
    from structgen.grammars.regex import search_dfa

    return search_dfa("^-?(0|[1-9][0-9]*)$")
