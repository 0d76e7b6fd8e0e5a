"""Shapes: conjunctions of constraints on values of one JSON type, closed under intersection and complement.

A `NumberShape`, `StringShape`, `ArrayShape` or `ObjectShape` denotes a set of values of its type. ``meet`` intersects two shapes
into one (None where the result is plainly empty), ``complement`` gives shapes whose union is every other value of that type.
Sub-schemas stay unevaluated formulas, so that both operations cost O(size of the shapes), never of what lies below.

Invariant: shapes are immutable and compare by content; formulas and languages inside compare by identity (they are interned).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from structgen.automata import chardfa
from structgen.automata.chardfa import CharDfa

if TYPE_CHECKING:
    from .formulas import Formula, Formulas

__all__ = [
    "ArrayShape", "Contains", "Language", "NumberShape", "ObjectClause", "ObjectShape", "Some", "StringShape", "is_writable",
    "least_upper",
]  # fmt: skip


class Language:
    """A set of strings whose automaton is built when first needed; compares by identity, ``label`` says what it is and
    ``words`` lists the strings where the language was made from a list."""

    __slots__ = ("_dfa", "_make", "label", "words")

    def __init__(self, label: str, make: Callable[[], CharDfa], words: frozenset[str] | None = None) -> None:
        self.label = label
        self.words = words
        self._make = make
        self._dfa: CharDfa | None = None

    @property
    def dfa(self) -> CharDfa:
        if self._dfa is None:
            self._dfa = self._make()
        return self._dfa

    def __contains__(self, text: str) -> bool:
        if self.words is not None:
            return text in self.words
        return bool(chardfa.accepts(self.dfa, text))

    def __repr__(self) -> str:
        return f"Language({self.label!r})"


def is_writable(text: str) -> bool:
    """Whether there is UTF-8 for the text: it has no lone surrogate."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def least_upper(a: int | None, b: int | None) -> int | None:
    """The smaller of two upper bounds, None meaning no bound."""
    return b if a is None else a if b is None else min(a, b)


def merged(a: tuple[object, ...], b: tuple[object, ...]) -> tuple:  # type: ignore[type-arg]
    """Both tuples after each other, without duplicates, order kept."""
    return a if not b or a == b else tuple(dict.fromkeys(a + b)) if a else b


@dataclass(frozen=True, slots=True)
class NumberShape:
    """Numbers between ``low`` and ``high``, multiples of ``multiple`` (1: integers) and of none of ``not_multiples``,
    in ``values`` where that is not None, and not in ``excluded``. All bounds are exact fractions. ``plain``: only those written
    without fraction and exponent (True) or only the others (False); the oldest drafts tell 1 from 1.0."""

    low: Fraction | None = None
    high: Fraction | None = None
    low_open: bool = False
    high_open: bool = False
    multiple: Fraction | None = None
    not_multiples: frozenset[Fraction] = frozenset()
    values: frozenset[Fraction] | None = None
    excluded: frozenset[Fraction] = frozenset()
    plain: bool | None = None

    def __contains__(self, x: Fraction) -> bool:
        if self.low is not None and (x < self.low or (self.low_open and x == self.low)):
            return False
        if self.high is not None and (x > self.high or (self.high_open and x == self.high)):
            return False
        if self.multiple is not None and (x / self.multiple).denominator != 1:
            return False
        if x in self.excluded or any((x / m).denominator == 1 for m in self.not_multiples):
            return False
        return self.values is None or x in self.values

    def meet(self, other: NumberShape, formulas: Formulas) -> NumberShape | None:
        if self.plain is not None and other.plain is not None and self.plain != other.plain:
            return None
        low, low_open = max((_low_key(s) for s in (self, other)), key=lambda k: k[0])[1:]
        high, high_open = min((_high_key(s) for s in (self, other)), key=lambda k: k[0])[1:]
        shape = NumberShape(
            low,
            high,
            low_open,
            high_open,
            _common_multiple(self.multiple, other.multiple),
            self.not_multiples | other.not_multiples,
            other.values if self.values is None else self.values if other.values is None else self.values & other.values,
            self.excluded | other.excluded,
            other.plain if self.plain is None else self.plain,
        )
        return shape.settled()

    def settled(self) -> NumberShape | None:
        """The same set, finite sets reduced to their values; None where it is plainly empty."""
        if self.values is not None:
            values = frozenset(x for x in self.values if x in self)
            return NumberShape(values=values, plain=self.plain) if values else None
        if self.low is not None and self.high is not None:
            if self.low > self.high or (self.low == self.high and self.low not in self):
                return None
            if self.multiple is not None and self._no_multiple():
                return None
        if self.multiple is not None and any((self.multiple / m).denominator == 1 for m in self.not_multiples):
            return None
        return self

    def _no_multiple(self) -> bool:
        assert self.low is not None and self.high is not None and self.multiple is not None
        first = math.ceil(self.low / self.multiple)
        if self.low_open and first * self.multiple == self.low:
            first += 1
        last = math.floor(self.high / self.multiple)
        if self.high_open and last * self.multiple == self.high:
            last -= 1
        return first > last

    def complement(self, formulas: Formulas) -> Iterable[NumberShape]:
        if self.low is not None:
            yield NumberShape(high=self.low, high_open=not self.low_open)
        if self.high is not None:
            yield NumberShape(low=self.high, low_open=not self.high_open)
        if self.multiple is not None:
            yield NumberShape(not_multiples=frozenset([self.multiple]))
        for multiple in sorted(self.not_multiples):
            yield NumberShape(multiple=multiple)
        if self.values is not None:
            yield NumberShape(excluded=self.values)
        if self.excluded:
            yield NumberShape(values=self.excluded)
        if self.plain is not None:
            yield NumberShape(plain=not self.plain)


def _low_key(s: NumberShape) -> tuple[tuple[bool, Fraction, bool], Fraction | None, bool]:
    return (s.low is not None, s.low or Fraction(0), s.low_open), s.low, s.low_open


def _high_key(s: NumberShape) -> tuple[tuple[bool, Fraction, bool], Fraction | None, bool]:
    return (s.high is None, s.high or Fraction(0), not s.high_open), s.high, s.high_open


def _common_multiple(a: Fraction | None, b: Fraction | None) -> Fraction | None:
    """The generator of the multiples of both: lcm of the numerators over gcd of the denominators."""
    if a is None or b is None:
        return b if a is None else a
    return Fraction(math.lcm(a.numerator, b.numerator), math.gcd(a.denominator, b.denominator))


@dataclass(frozen=True, slots=True)
class StringShape:
    """Strings in all ``languages`` and in none of ``excluded``, of ``min`` to ``max`` code points, in ``values`` where not None."""

    min: int = 0
    max: int | None = None
    languages: frozenset[Language] = frozenset()
    excluded: frozenset[Language] = frozenset()
    values: frozenset[str] | None = None

    def __contains__(self, text: str) -> bool:
        return (
            self.min <= len(text)
            and (self.max is None or len(text) <= self.max)
            and (self.values is None or text in self.values)
            and all(text in language for language in self.languages)
            and not any(text in language for language in self.excluded)
        )

    def meet(self, other: StringShape, formulas: Formulas) -> StringShape | None:
        shape = StringShape(
            max(self.min, other.min),
            least_upper(self.max, other.max),
            self.languages | other.languages,
            self.excluded | other.excluded,
            other.values if self.values is None else self.values if other.values is None else self.values & other.values,
        )
        return shape.settled()

    def settled(self) -> StringShape | None:
        """The same set, finite sets reduced to their values; None where it is plainly empty."""
        if self.values is not None:
            values = frozenset(text for text in self.values if text in self)
            return StringShape(values=values) if values else None
        if (self.max is not None and self.min > self.max) or not self.languages.isdisjoint(self.excluded):
            return None
        return self

    def complement(self, formulas: Formulas) -> Iterable[StringShape]:
        if self.min > 0:
            yield StringShape(max=self.min - 1)
        if self.max is not None:
            yield StringShape(min=self.max + 1)
        for language in sorted(self.languages, key=lambda item: item.label):
            yield StringShape(excluded=frozenset([language]))
        for language in sorted(self.excluded, key=lambda item: item.label):
            yield StringShape(languages=frozenset([language]))
        if self.values is not None:
            yield StringShape(excluded=frozenset([formulas.words(self.values)]))


@dataclass(frozen=True, slots=True)
class Contains:
    """Between ``min`` and ``max`` of the items from index ``start`` on satisfy ``item``."""

    item: Formula
    start: int = 0
    min: int = 1
    max: int | None = None

    def is_impossible(self, most: int | None) -> bool:
        """Whether no array of at most ``most`` items can have so many."""
        return (self.max is not None and self.min > self.max) or (most is not None and self.min > max(0, most - self.start))


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """Arrays whose items satisfy ``prefix`` by position and ``tail`` after it (None: anything), of ``min`` to ``max`` items.

    ``unique``: all items differ; ``repeats``: two are equal. Their value is the JSON pointer to name in errors ("" means off).
    """

    prefix: tuple[Formula, ...] = ()
    tail: Formula | None = None
    min: int = 0
    max: int | None = None
    contains: tuple[Contains, ...] = ()
    unique: str = ""
    repeats: str = ""

    def at(self, index: int) -> Formula | None:
        return self.prefix[index] if index < len(self.prefix) else self.tail

    def meet(self, other: ArrayShape, formulas: Formulas) -> ArrayShape | None:
        shape = ArrayShape(
            tuple(formulas.both(self.at(i), other.at(i)) or formulas.true for i in range(max(len(self.prefix), len(other.prefix)))),
            formulas.both(self.tail, other.tail),
            max(self.min, other.min),
            least_upper(self.max, other.max),
            merged(self.contains, other.contains),
            self.unique or other.unique,
            self.repeats or other.repeats,
        )
        return shape.settled(formulas)

    def settled(self, formulas: Formulas) -> ArrayShape | None:
        """The same set with a bound where an item is forbidden; None where it is plainly empty."""
        bound = next((i for i, item in enumerate(self.prefix) if item is formulas.false), None)
        if bound is None and self.tail is formulas.false:
            bound = len(self.prefix)
        high = least_upper(self.max, bound)
        if (high is not None and self.min > high) or any(c.is_impossible(high) for c in self.contains):
            return None
        if self.unique and (self.repeats or (high is not None and high <= 1)):
            return None if self.repeats else replace(self, max=high, unique="")
        return self if high == self.max else replace(self, max=high)

    def complement(self, formulas: Formulas) -> Iterable[ArrayShape]:
        for i, item in enumerate(self.prefix):
            if item is not formulas.true:
                yield ArrayShape((formulas.true,) * i + (formulas.negate(item),), min=i + 1)
        if self.tail is not None and self.tail is not formulas.true:
            yield ArrayShape(contains=(Contains(formulas.negate(self.tail), len(self.prefix)),))
        if self.min > 0:
            yield ArrayShape(max=self.min - 1)
        if self.max is not None:
            yield ArrayShape(min=self.max + 1)
        for c in self.contains:
            if c.min > 0:
                yield ArrayShape(contains=(Contains(c.item, c.start, 0, c.min - 1),))
            if c.max is not None:
                yield ArrayShape(contains=(Contains(c.item, c.start, c.max + 1),))
        if self.unique:
            yield ArrayShape(repeats=self.unique)
        if self.repeats:
            yield ArrayShape(unique=self.repeats)


class ObjectClause:
    """What one schema says about the values of an object's properties: ``properties`` by name, ``patterns`` by language of the
    name, ``additional`` for names that neither covers. ``declares``: its names give the order in which they are written."""

    __slots__ = ("additional", "declares", "patterns", "properties")

    def __init__(
        self,
        properties: Mapping[str, Formula],
        patterns: tuple[tuple[Language, Formula], ...],
        additional: Formula,
        declares: bool,
    ) -> None:
        self.properties, self.patterns, self.additional, self.declares = properties, patterns, additional, declares

    def is_single(self, formulas: Formulas) -> bool:
        """Whether it speaks of one property only, without declaring it."""
        return not self.declares and len(self.properties) == 1 and not self.patterns and self.additional is formulas.true

    def values(self, name: str) -> Iterable[Formula]:
        """The formulas that the value of property ``name`` must satisfy."""
        if not self.patterns:
            return (self.properties.get(name, self.additional),)
        found = [self.properties[name]] if name in self.properties else []
        found += [formula for language, formula in self.patterns if name in language]
        return found or (self.additional,)


@dataclass(frozen=True, slots=True)
class Some:
    """At least one property has a name that satisfies ``name`` (a formula over strings) and a value that satisfies ``value``."""

    name: Formula
    value: Formula


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """Objects that satisfy all ``clauses``, have the ``required`` names, between ``min`` and ``max`` properties, only names
    that satisfy ``names`` (formulas over strings), and a property for each of ``some``."""

    clauses: tuple[ObjectClause, ...] = ()
    required: tuple[str, ...] = ()
    min: int = 0
    max: int | None = None
    names: tuple[Formula, ...] = ()
    some: tuple[Some, ...] = ()

    def meet(self, other: ObjectShape, formulas: Formulas) -> ObjectShape | None:
        shape = ObjectShape(
            merged(self.clauses, other.clauses),
            merged(self.required, other.required),
            max(self.min, other.min),
            least_upper(self.max, other.max),
            merged(self.names, other.names),
            merged(self.some, other.some),
        )
        return shape.settled(formulas)

    def settled(self, formulas: Formulas) -> ObjectShape | None:
        """Itself, or None where it is plainly empty."""
        return None if self.max is not None and max(self.min, len(self.required)) > self.max else self

    def value(self, name: str, formulas: Formulas) -> Formula:
        """What the value of property ``name`` must satisfy (false: it is forbidden or cannot be written), `names` left aside."""
        if not is_writable(name):
            return formulas.false
        found = [f for clause in self.clauses for f in clause.values(name) if f is not formulas.true]
        return found[0] if len(found) == 1 else formulas.all_of(found)

    def implies(self, other: ObjectShape) -> bool:
        """Whether it is plain that every object of this shape has the other one too: it has all its parts."""
        return (
            set(other.clauses) <= set(self.clauses)
            and set(other.required) <= set(self.required)
            and other.min <= self.min
            and (other.max is None or (self.max is not None and self.max <= other.max))
            and set(other.names) <= set(self.names)
            and set(other.some) <= set(self.some)
        )

    def complement(self, formulas: Formulas) -> Iterable[ObjectShape]:
        for clause in self.clauses:
            yield from _clause_complement(clause, frozenset(self.required), formulas)
        for name in self.required:
            if not any(clause.properties.get(name, formulas.true) is not formulas.true for clause in self.clauses):
                yield ObjectShape((formulas.clause({name: formulas.false}),))
        if self.min > 0:
            yield ObjectShape(max=self.min - 1)
        if self.max is not None:
            yield ObjectShape(min=self.max + 1)
        for names in self.names:
            yield ObjectShape(some=(Some(formulas.negate(names), formulas.true),))
        assert not self.some, "only shapes as schemas write them are complemented, and those have no `some`"


def _clause_complement(clause: ObjectClause, required: frozenset[str], formulas: Formulas) -> Iterable[ObjectShape]:
    """Objects that break the clause; where a property is required, also those without it."""
    for name, formula in clause.properties.items():
        if formula is not formulas.true:
            present = () if name in required else (name,)
            yield ObjectShape((formulas.clause({name: formulas.negate(formula)}),), required=present)
    for language, formula in clause.patterns:
        if formula is not formulas.true:
            yield ObjectShape(some=(Some(formulas.in_language(language), formulas.negate(formula)),))
    if clause.additional is not formulas.true:
        known = [formulas.in_language(language) for language, _ in clause.patterns]
        if clause.properties:
            known.append(formulas.in_language(formulas.words(clause.properties)))
        yield ObjectShape(some=(Some(formulas.negate(formulas.any_of(known)), formulas.negate(clause.additional)),))
