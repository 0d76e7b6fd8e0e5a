"""The names that an object may have: those its schemas mention, and kinds of others that share what their values must satisfy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from structgen.automata import chardfa
from structgen.automata.chardfa import CharDfa
from structgen.errors import UnsupportedSchema

from .formulas import Formula
from .shapes import Language, ObjectClause, ObjectShape, StringShape
from .texts import text_is_empty, text_language

if TYPE_CHECKING:
    from .lower import Lowering

__all__ = ["Region", "products", "property_names", "regions"]

MAX_NAME_STATES = 100_000
"""States of all automata of the kinds of undeclared names of one object."""
MAX_PATTERNS = 12
"""Most different name patterns of one object (each may double the number of kinds of undeclared keys)."""


@dataclass(frozen=True, slots=True)
class Region:
    """Undeclared keys that share one formula for their values; the names are the union of the shapes."""

    names: tuple[StringShape, ...]
    value: Formula


def property_names(shape: ObjectShape) -> list[str]:
    """All names that the shape mentions: those of ``properties`` keywords in their order, then others, then required ones."""
    names: dict[str, None] = {}
    for declares in (True, False):
        for clause in shape.clauses:
            if clause.declares == declares:
                names.update(dict.fromkeys(clause.properties))
    names.update(dict.fromkeys(shape.required))
    return list(names)


def regions(lowering: Lowering, shape: ObjectShape, names: Sequence[str]) -> list[Region]:
    """The undeclared names, split by the patterns that they match, with what their values must satisfy."""
    by_value: dict[Formula, list[StringShape]] = {}
    for matched, others in _splits(list(dict.fromkeys(language for clause in shape.clauses for language, _ in clause.patterns))):
        value = lowering.formulas.all_of([f for clause in shape.clauses for f in _undeclared_values(clause, matched)])
        if value is lowering.formulas.false or lowering.normaliser.is_empty(value):
            continue
        found = [StringShape(languages=matched, excluded=others)]
        for formula in shape.names:
            found = products(lowering, found, lowering.normaliser.norm(formula).strings)
        by_value.setdefault(value, []).extend(found)
    return [Region(tuple(_without(lowering, _merged(lowering, shapes), names)), value) for value, shapes in by_value.items() if shapes]


def _splits(languages: Sequence[Language]) -> list[tuple[frozenset[Language], frozenset[Language]]]:
    """The non-empty ways in which a name can be in some of the languages and not in the others."""
    if len(languages) > MAX_PATTERNS:
        message = f"cannot be enforced yet: more than {MAX_PATTERNS} name patterns in one object"
        raise UnsupportedSchema(message, keyword="patternProperties")
    splits: list[tuple[frozenset[Language], frozenset[Language]]] = [(frozenset(), frozenset())]
    for language in languages:
        one = frozenset([language])
        halves = [half for a, b in splits for half in ((a | one, b), (a, b | one))]
        splits, n_states = [], 0
        for matched, others in halves:
            if not text_is_empty(StringShape(languages=matched, excluded=others)):
                splits.append((matched, others))
                dfa = text_language(matched, others)
                n_states += 0 if dfa is None else len(dfa.table)
            if n_states > MAX_NAME_STATES:
                message = f"name patterns that overlap in too many ways: more than {MAX_NAME_STATES} automaton states in all"
                raise UnsupportedSchema(message, keyword="patternProperties")
    return splits


def _undeclared_values(clause: ObjectClause, matched: frozenset[Language]) -> list[Formula]:
    return [formula for language, formula in clause.patterns if language in matched] or [clause.additional]


def _merged(lowering: Lowering, shapes: Sequence[StringShape]) -> Sequence[StringShape]:
    """The union as one shape, where no lengths are counted."""
    if len(shapes) == 1 or any(shape.min or shape.max is not None or shape.values is not None for shape in shapes):
        return shapes

    def union() -> CharDfa:
        dfas = [text_language(shape.languages, shape.excluded) or chardfa.any_text() for shape in shapes]
        return reduce(chardfa.union, dfas)

    return [StringShape(languages=frozenset([lowering.formulas.language(("union", *shapes), "union of names", union)]))]


def _without(lowering: Lowering, shapes: Sequence[StringShape], names: Sequence[str]) -> Iterator[StringShape]:
    for shape in shapes:
        taken = frozenset(name for name in names if name in shape)
        rest = shape.meet(StringShape(excluded=frozenset([lowering.formulas.words(taken)])), lowering.formulas) if taken else shape
        if rest is not None and not text_is_empty(rest):
            yield rest


def products(lowering: Lowering, xs: Sequence[StringShape], ys: Sequence[StringShape]) -> list[StringShape]:
    """The non-empty intersections."""
    found = (x.meet(y, lowering.formulas) for x in xs for y in ys)
    return [shape for shape in dict.fromkeys(found) if shape is not None and not text_is_empty(shape)]
