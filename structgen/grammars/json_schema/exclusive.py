"""``oneOf``: exactly one of several schemas, with negations only where two of them can hold together.

Branches mostly exclude each other: by the kind of value, or by a required property with different constants (a tag). Both are
seen from the normal forms of single branches; only for the remaining pairs a proof of emptiness is tried, together with the
constraints beside the ``oneOf``. Cost: one test for each two branches that the most common tag does not tell apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from .formulas import ALL, ARRAY, NUMBER, OBJECT, STRING, Formula
from .shapes import ObjectShape

if TYPE_CHECKING:
    from .normal import Norm, Normaliser

__all__ = ["exactly_one"]

Constant = str | int | Fraction
Tags = dict[str, frozenset[tuple[type, Constant]]]


GROUPS = (OBJECT, ARRAY, ALL & ~(OBJECT | ARRAY))
"""Kinds of values looked at apart: tagged objects exclude each other, though all of the branches may allow, say, numbers."""


def exactly_one(normaliser: Normaliser, items: Sequence[Formula], context: Formula) -> list[Formula]:
    """Formulas whose union is: exactly one of the items holds (where ``context`` does)."""
    f = normaliser.formulas
    kinds = [_kinds(normaliser, f.all_of((context, item), item.pointer)) for item in items]
    found: list[Formula] = []
    for group in GROUPS:
        members = [item for item, mask in zip(items, kinds, strict=True) if mask & group]
        only = context if all(not mask & ~group for mask in kinds) else f.all_of((context, f.kinds(group)))
        found += _exclusive(normaliser, members, only)
    return found


def _exclusive(normaliser: Normaliser, items: Sequence[Formula], context: Formula) -> Iterator[Formula]:
    """For each item, it and none of the others that may overlap with it where ``context`` holds."""
    f = normaliser.formulas
    tags = [_tags(normaliser, f.all_of((context, item), item.pointer)) if len(items) > 1 else {} for item in items]
    rivals: list[list[Formula]] = [[] for _ in items]
    for i, j in _pairs(tags):
        a, b = items[i], items[j]
        apart = any(values.isdisjoint(tags[j].get(name, values)) for name, values in tags[i].items())
        if a is b or not (apart or normaliser.is_empty(f.all_of((context, b, a)))):
            rivals[i].append(b)
            rivals[j].append(a)
    for item, others in zip(items, rivals, strict=True):
        yield f.all_of((context, item, *map(f.negate, others)), item.pointer)


def _pairs(tags: Sequence[Tags]) -> Iterator[tuple[int, int]]:
    """The pairs (i, j) with j < i that the most common tag does not tell apart."""
    common = Counter(name for tag in tags for name in tag).most_common(1)
    name = common[0][0] if common else ""
    alike: dict[tuple[type, Constant], list[int]] = {}
    untagged: list[int] = []
    for i, tag in enumerate(tags):
        before = range(i) if name not in tag else sorted({*untagged, *(j for value in tag[name] for j in alike.get(value, ()))})
        yield from ((i, j) for j in before)
        for value in tag.get(name, ()):
            alike.setdefault(value, []).append(i)
        if name not in tag:
            untagged.append(i)


def _kinds(normaliser: Normaliser, item: Formula) -> int:
    """The kinds of values that the formula may have; all where this cannot be told."""
    norm = normaliser.attempt(item)
    if norm is None:
        return ALL
    slots = ((NUMBER, norm.numbers), (STRING, norm.strings), (ARRAY, norm.arrays), (OBJECT, norm.objects))
    return norm.scalars | sum(kind for kind, shapes in slots if shapes)


def _tags(normaliser: Normaliser, item: Formula) -> Tags:
    """The properties that all values of the formula have, with the constants to which each is limited."""
    norm = normaliser.attempt(item)
    if norm is None or not norm.objects or norm.scalars or norm.numbers or norm.strings or norm.arrays:
        return {}
    found: Tags | None = None
    for shape in norm.objects:
        here = _tags_of_shape(normaliser, shape)
        found = here if found is None else {name: values | here[name] for name, values in found.items() if name in here}
    return found or {}


def _tags_of_shape(normaliser: Normaliser, shape: ObjectShape) -> Tags:
    found: Tags = {}
    for name in shape.required:
        norm = normaliser.attempt(shape.value(name, normaliser.formulas))
        values = None if norm is None else _constants(norm)
        if values is not None:
            found[name] = values
    return found


def _constants(norm: Norm) -> frozenset[tuple[type, Constant]] | None:
    """The values of the norm, if they are a few constants."""
    if norm.arrays or norm.objects or any(s.values is None for s in norm.numbers) or any(s.values is None for s in norm.strings):
        return None
    found: set[tuple[type, Constant]] = {(int, 1 << i) for i in range(3) if norm.scalars & 1 << i}
    found.update((Fraction, x) for number in norm.numbers for x in number.values or ())
    found.update((str, x) for text in norm.strings for x in text.values or ())
    return frozenset(found)
