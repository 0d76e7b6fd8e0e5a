"""Properties that must exist without being named (`Some`): who can meet such a demand, and which demands say nothing new.

Undeclared names that are few and matter to a demand become names of their own first, so that a demand is met by some of the
names, each with a formula for its value, and by endless (or at least many) others. Demands that only one name can meet are
then required properties, and demands that others imply are dropped. Negations of closed objects mostly vanish this way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from .formulas import Formula
from .names import Region, products, property_names, regions
from .shapes import ObjectShape, Some, StringShape
from .texts import finite_words, n_texts

if TYPE_CHECKING:
    from .lower import Lowering

__all__ = ["Demand", "Settled", "settled", "shapes_meeting", "subsets"]

T = TypeVar("T")
MAX_WORDS = 64
"""Most names that become names of their own at once."""
MAX_JOINT = 4
"""Most demands of which all combinations are looked at."""


class Demand(NamedTuple):
    """What meets a demand: ``witnesses``, names with the whole formula of their values, and undeclared ``names``.
    Witnesses in ``sure`` meet it whatever their values."""

    some: Some
    witnesses: Mapping[str, Formula]
    sure: frozenset[str]
    names: Sequence[StringShape]


class Settled(NamedTuple):
    """A shape with the demands that are left of it, its names in their order and its undeclared names."""

    shape: ObjectShape
    names: list[str]
    regions: list[Region]
    demands: list[Demand]


def settled(lowering: Lowering, shape: ObjectShape) -> Settled:
    """The same shape with as few demands as possible; few undeclared names that matter are among its names."""
    names = property_names(shape)
    found = regions(lowering, shape, names)
    groups = [shapes_meeting(lowering, found, [some]) for some in shape.some]
    names, found = _named(lowering, shape, names, found, [*groups, *_scarce(found)])
    demands = [_demand(lowering, shape, names, found, some) for some in shape.some]
    while (simpler := _simpler(lowering, shape, demands)) != shape:
        shape = simpler
        demands = [_demand(lowering, shape, names, found, some) for some in shape.some]
    if 1 < len(demands) <= MAX_JOINT:
        groups = [shapes_meeting(lowering, found, group) for group in subsets(shape.some) if len(group) > 1]
        more, found = _named(lowering, shape, names, found, groups)
        if more != names:
            names, demands = more, [_demand(lowering, shape, more, found, some) for some in shape.some]
    return Settled(shape, names, found, demands)


def shapes_meeting(lowering: Lowering, found: Iterable[Region], demands: Sequence[Some]) -> list[StringShape]:
    """The undeclared names that can meet all these demands at once."""
    shapes: list[StringShape] = []
    for region in found:
        names: Sequence[StringShape] = region.names
        for some in demands:
            names = products(lowering, names, lowering.normaliser.norm(some.name).strings)
        if names and not lowering.normaliser.is_empty(lowering.formulas.all_of([region.value, *(some.value for some in demands)])):
            shapes += names
    return shapes


def _scarce(found: Iterable[Region]) -> list[list[StringShape]]:
    """Several kinds of names that may run out, since a scope can keep track of one kind only."""
    shapes = [name for region in found for name in region.names]
    if len(shapes) > 1 and sum(shape.max is not None or n_texts([shape]) is not None for shape in shapes) > 1:
        return [[shape] for shape in shapes]
    return []


def _named(
    lowering: Lowering, shape: ObjectShape, names: list[str], found: list[Region], groups: Iterable[Sequence[StringShape]]
) -> tuple[list[str], list[Region]]:
    """The names, and the undeclared ones, after the names of each group that are few became names of their own."""
    extra = dict.fromkeys(word for group in groups for word in finite_words(group, MAX_WORDS) or ())
    if not extra:
        return names, found
    names = list(dict.fromkeys([*names, *extra]))
    return names, regions(lowering, shape, names)


def _demand(lowering: Lowering, shape: ObjectShape, names: Sequence[str], found: Sequence[Region], some: Some) -> Demand:
    formulas, normaliser = lowering.formulas, lowering.normaliser
    strings = normaliser.norm(some.name).strings
    witnesses: dict[str, Formula] = {}
    sure = set()
    for name in names:
        if any(name in text for text in strings) and normaliser.allows_name(shape, name):
            value = shape.value(name, formulas)
            both = formulas.all_of([value, some.value])
            if not normaliser.is_empty(both):
                witnesses[name] = both
                if _implies(lowering, value, some.value):
                    sure.add(name)
    return Demand(some, witnesses, frozenset(sure), shapes_meeting(lowering, found, [some]))


def _implies(lowering: Lowering, a: Formula, b: Formula) -> bool:
    """Whether it is plain that every value of ``a`` is one of ``b``."""
    f = lowering.formulas
    return b is f.true or a is b or lowering.normaliser.is_empty(f.all_of([a, f.negate(b)]))


def _simpler(lowering: Lowering, shape: ObjectShape, demands: Sequence[Demand]) -> ObjectShape:
    """The shape without demands that one name only can meet, or else without those that the rest of it implies."""
    single = [demand for demand in demands if len(demand.witnesses) == 1 and not demand.names]
    if single:
        clauses = [lowering.formulas.clause({name: demand.some.value}) for demand in single for name in demand.witnesses]
        required = dict.fromkeys([*shape.required, *(name for demand in single for name in demand.witnesses)])
        some = tuple(demand.some for demand in demands if demand not in single)
        return replace(shape, clauses=(*shape.clauses, *clauses), required=tuple(required), some=some)
    needed = [demand for demand in demands if demand.sure.isdisjoint(shape.required)]
    for demand in list(needed):
        if any(other is not demand and _covers(lowering, other, demand) for other in needed):
            needed.remove(demand)
    return replace(shape, some=tuple(demand.some for demand in needed))


def _covers(lowering: Lowering, a: Demand, b: Demand) -> bool:
    """Whether it is plain that whatever meets demand ``a`` meets ``b``."""
    if not a.witnesses.keys() <= b.witnesses.keys() or (a.names and not _covers_names(lowering, a.some, b.some)):
        return False
    return all(name in b.sure or _implies(lowering, value, b.some.value) for name, value in a.witnesses.items())


def _covers_names(lowering: Lowering, a: Some, b: Some) -> bool:
    f = lowering.formulas
    return (a.name is b.name or lowering.normaliser.is_empty(f.all_of([a.name, f.negate(b.name)]))) and _implies(lowering, a.value, b.value)


def subsets(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """All choices of some of the items, small ones first."""
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))
