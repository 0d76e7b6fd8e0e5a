"""``unevaluatedProperties`` and ``unevaluatedItems``: by cases, according to which branches of a schema evaluate what.

A case is a set of branches (of anyOf, oneOf, if, dependentSchemas ...) assumed to hold and all that these evaluate; the keyword is the
disjunction over the cases of "the branches hold, and what they leave unevaluated satisfies the sub-schema". A case that assumes too
little only asks for more, so no negations are needed. Cost: the product of the branches that evaluate something new, bounded.
Source: JSON Schema 2020-12, sections 11.2 and 11.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from structgen.errors import LimitExceeded, UnsupportedSchema

from .formulas import ARRAY, OBJECT, Formula
from .resolve import Location, escaped
from .shapes import ArrayShape, ObjectShape

if TYPE_CHECKING:
    from .parse import Parser, Scope

__all__ = ["unevaluated_items", "unevaluated_properties"]

MAX_CASES = 300
"""Most cases of one schema."""
MAX_DEPTH = 50
"""Most schemas applied in place inside each other."""


@dataclass(frozen=True, slots=True)
class Case:
    """Branches that hold, and what they evaluate: names and patterns of names, items before ``n_items`` and those that satisfy
    one of ``contains``; ``everything``: all properties (or items)."""

    holds: tuple[Formula, ...] = ()
    names: frozenset[str] = frozenset()
    patterns: frozenset[str] = frozenset()
    n_items: int = 0
    contains: tuple[Formula, ...] = ()
    everything: bool = False

    def __or__(self, other: Case) -> Case:
        return Case(
            tuple(dict.fromkeys(self.holds + other.holds)),
            self.names | other.names,
            self.patterns | other.patterns,
            max(self.n_items, other.n_items),
            tuple(dict.fromkeys(self.contains + other.contains)),
            self.everything or other.everything,
        )

    def adds_nothing_to(self, other: Case) -> bool:
        """Whether assuming this case beside the other evaluates nothing new."""
        return replace(self | other, holds=()) == replace(other, holds=())


@dataclass(slots=True)
class _Reader:
    """Reads the cases of schemas for one of the two keywords; ``own`` gives what a schema evaluates by itself."""

    parser: Parser
    keyword: str
    own: Callable[[_Reader, dict[str, Any], Scope, str], Case]
    depth: int = field(default=0)

    def cases(self, schema: Any, scope: Scope, pointer: str, *, outermost: bool = False) -> list[Case]:
        """All cases of a schema; the first assumes no branch."""
        if not isinstance(schema, dict):
            return [Case()]
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise LimitExceeded(f"depth of schemas under {self.keyword}", MAX_DEPTH, pointer)
        scope = self.parser.entered(Location(schema, scope.resource, pointer), scope)
        case = self.own(self, schema, scope, pointer)
        if self.keyword in schema and not outermost:
            case |= Case(everything=True)
        found = [case]
        for alternatives in self._parts(schema, scope, pointer):
            found = self._product(found, alternatives, pointer)
        self.depth -= 1
        return found

    def _product(self, xs: list[Case], ys: Sequence[Case], pointer: str) -> list[Case]:
        found: dict[Case, None] = {}
        for x in xs:
            for y in ys:
                found[x if y.adds_nothing_to(x) else x | y] = None
                if len(found) > MAX_CASES:
                    message = f"the branches beside {self.keyword} evaluate properties in more than {MAX_CASES} ways"
                    raise UnsupportedSchema(message, keyword=self.keyword, pointer=pointer)
        return list(found)

    def _parts(self, schema: dict[str, Any], scope: Scope, pointer: str) -> Iterable[Sequence[Case]]:
        """For each schema applied in place, its cases (and the case that it does not hold, where that may be)."""
        parser, keywords = self.parser, scope.resource.draft.keywords
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if keyword in schema and keyword in keywords:
                location, inside = parser.location(schema, keyword, scope, pointer)
                yield self.cases(location.schema, inside, location.pointer)
        for i, sub in enumerate(schema.get("allOf", ())):
            yield self.cases(sub, scope, f"{pointer}/allOf/{i}")
        for keyword in ("anyOf", "oneOf"):
            for i, sub in enumerate(schema.get(keyword, ())):
                yield self._assumed(sub, scope, f"{pointer}/{keyword}/{i}")
        if "if" in schema:
            yield self._conditional(schema, scope, pointer)
        for name, sub in schema.get("dependentSchemas", {}).items():
            present = parser.formulas.leaf(OBJECT, ObjectShape(required=(name,)), guarded=False)
            yield self._assumed(sub, scope, f"{pointer}/dependentSchemas/{escaped(name)}", present)

    def _assumed(self, sub: Any, scope: Scope, pointer: str, *conditions: Formula) -> list[Case]:
        """Nothing assumed, or the branch holds, in each of its cases."""
        holds = (*conditions, self._held(sub, scope, pointer))
        return [Case(), *(replace(case, holds=holds + case.holds) for case in self.cases(sub, scope, pointer))]

    def _held(self, sub: Any, scope: Scope, pointer: str) -> Formula:
        """The formula of a branch, read later: the keyword may stand inside it, below a container."""
        return self.parser.formulas.ref((id(sub), scope), lambda: self.parser.schema(sub, scope, pointer), pointer)

    def _conditional(self, schema: dict[str, Any], scope: Scope, pointer: str) -> list[Case]:
        condition = self._held(schema["if"], scope, f"{pointer}/if")
        true = self.cases(schema["if"], scope, f"{pointer}/if")
        if "then" in schema:
            true = self._product(true, self.cases(schema["then"], scope, f"{pointer}/then"), pointer)
        false = self.cases(schema["else"], scope, f"{pointer}/else") if "else" in schema else []
        negated = self.parser.formulas.negate(condition)
        return [
            Case(),
            *(replace(case, holds=(condition, *case.holds)) for case in true),
            *(replace(case, holds=(negated, *case.holds)) for case in false),
        ]


def _own_properties(reader: _Reader, schema: dict[str, Any], scope: Scope, pointer: str) -> Case:
    return Case(
        names=frozenset(schema.get("properties", ())),
        patterns=frozenset(schema.get("patternProperties", ())),
        everything="additionalProperties" in schema,
    )


def _own_items(reader: _Reader, schema: dict[str, Any], scope: Scope, pointer: str) -> Case:
    draft = scope.resource.draft
    items = schema.get("items")
    prefix = items if isinstance(items, list) else schema.get("prefixItems", []) if "prefixItems" in draft.keywords else []
    rest = "additionalItems" in schema if isinstance(items, list) else items is not None
    contains: tuple[Formula, ...] = ()
    if "contains" in schema and draft.contains_evaluates:
        contains = (reader.parser.schema(schema["contains"], scope, f"{pointer}/contains"),)
    return Case(n_items=len(prefix), contains=contains, everything=rest)


def unevaluated_properties(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    """The formula of ``unevaluatedProperties`` beside the other keywords of the schema."""
    f = parser.formulas
    rest = parser.below(schema, "unevaluatedProperties", scope, pointer)
    found: list[Formula] = []
    for case in _Reader(parser, "unevaluatedProperties", _own_properties).cases(schema, scope, pointer, outermost=True):
        parts = list(case.holds)
        if not case.everything:
            patterns = tuple((parser.pattern(source, pointer), f.true) for source in sorted(case.patterns))
            clause = f.clause(dict.fromkeys(sorted(case.names), f.true), patterns, rest)
            parts.append(f.leaf(OBJECT, ObjectShape((clause,)), pointer))
        found.append(f.all_of(parts, pointer))
    return f.any_of(found, f"{pointer}/unevaluatedProperties")


def unevaluated_items(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    """The formula of ``unevaluatedItems`` beside the other keywords of the schema."""
    f = parser.formulas
    rest = parser.below(schema, "unevaluatedItems", scope, pointer)
    found: list[Formula] = []
    for case in _Reader(parser, "unevaluatedItems", _own_items).cases(schema, scope, pointer, outermost=True):
        parts = list(case.holds)
        if not case.everything:
            shape = ArrayShape((f.true,) * case.n_items, f.any_of([rest, *case.contains]))
            parts.append(parser.leaf(ARRAY, shape.settled(f), pointer))
        found.append(f.all_of(parts, pointer))
    return f.any_of(found, f"{pointer}/unevaluatedItems")
