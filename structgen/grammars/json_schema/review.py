"""What the author of a schema may not have meant: values, branches and properties that can never be, keywords without effect,
and parts that nothing bounds.

Everything is proved on the formulas of the schema itself, as the compiler does; what cannot be proved within its budgets is not said.
One function per question, by table. Cost: a proof or a few per schema, bounded by `MAX_REVIEWED` and the budgets of `normal`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import Any

from structgen.errors import StructgenError

from .drafts import ANNOTATIONS, DRAFTS, STRUCTURE
from .formulas import Formula
from .lower import Lowering
from .normal import ANYTHING, Norm, Normaliser
from .objects import has_endless_names
from .occurrences import ONLY_MEANS, Place, Walk, idle, is_handled, others_with
from .parse import Scope, format_shape, one_of_values
from .reading import escaped
from .report import SchemaWarning, Source
from .shapes import ArrayShape, ObjectShape, StringShape
from .texts import length_bounds

__all__ = ["review"]

MAX_REVIEWED = 2_000
"""Most schemas that are examined."""
MAX_VALUES = 500
"""Most constants and properties of one schema that are examined."""
MIN_NAME, MAX_NAME = 5, 40
"""Lengths of unknown keywords for which a known one like it is sought."""
VALID_FOR = {
    "number": "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
    "string": "minLength maxLength pattern format",
    "array": "items prefixItems additionalItems minItems maxItems uniqueItems contains minContains maxContains unevaluatedItems",
    "object": "properties patternProperties additionalProperties propertyNames required minProperties maxProperties dependentRequired "
    "dependentSchemas dependencies unevaluatedProperties",
}
TYPE_OF = {keyword: kind for kind, names in VALID_FOR.items() for keyword in names.split()}
"""The type of value that a keyword is about."""


def review(source: Source) -> Iterator[SchemaWarning]:
    """All warnings about a schema, in the order of its places."""
    walk = Walk(source)
    examiner = _Examiner(walk)
    for place in islice(walk.places.values(), MAX_REVIEWED):
        yield from _about_keywords(walk, place)
        yield from examiner.about(place)
    for pointer in walk.loops:
        yield SchemaWarning(pointer, "the schema contains itself here, so that nothing bounds how deep values are nested")
    if len(walk.places) > MAX_REVIEWED or not walk.is_complete:
        yield SchemaWarning("", f"the schema is so large that only {MAX_REVIEWED} of its parts were examined")


# -- what can be seen from the keywords -----------------------------------------------------------------------------------------


def _about_keywords(walk: Walk, place: Place) -> Iterator[SchemaWarning]:
    schema, draft = place.schema, walk.draft(place)
    names = schema.get("type", [])
    names = [str(name) for name in (names if isinstance(names, list) else [names])]
    types = {"number" if name == "integer" else name for name in names}
    for keyword, value in schema.items():
        at = f"{place.pointer}/{escaped(keyword)}"
        why = idle(schema, keyword, draft)
        if why:
            yield SchemaWarning(at, f"{keyword} is {why}")
        elif not is_handled(keyword, draft):
            hint = _hint(keyword, draft.name)
            if hint:
                yield SchemaWarning(at, hint)
        elif "type" in schema and keyword in TYPE_OF and TYPE_OF[keyword] not in types:
            yield SchemaWarning(at, f"{keyword} is without effect: it is about {TYPE_OF[keyword]}s, and the type is {' or '.join(names)}")
        elif keyword == "format" and walk.source.options.formats and format_shape(value) is None:
            yield SchemaWarning(at, f"the format {value!r:.60} is unknown and only an annotation")


def _hint(keyword: str, draft: str) -> str:
    """Why a keyword that the draft does not have may be a mistake; "" if it looks like none."""
    if keyword in ANNOTATIONS or keyword in STRUCTURE:
        return ""
    elsewhere = others_with(keyword)
    if elsewhere:
        return f"{keyword} is no keyword of {draft} and not enforced; {', '.join(elsewhere)} {'has' if len(elsewhere) == 1 else 'have'} it"
    like = _like(keyword) if len(keyword) <= MAX_NAME else ""
    return f"{keyword} is no keyword and not enforced; did you mean {like}?" if like else ""


@lru_cache(maxsize=256)
def _like(keyword: str) -> str:
    """A keyword that differs from this one by a slip of the pen."""
    known = {name.lower(): name for draft in DRAFTS for name in draft.keywords}
    plain = keyword.lower().replace("_", "")
    if plain in known and not keyword.startswith("_"):  # which is how keywords are taken out
        return known[plain]
    found = get_close_matches(keyword, known.values(), 1, 0.85) if len(keyword) >= MIN_NAME and keyword[0].isalpha() else []
    return found[0] if found else ""


# -- what takes a proof ---------------------------------------------------------------------------------------------------------


class _Examiner:
    """Asks questions about the formulas of a document, which are made for this and kept apart from those of the compilation."""

    def __init__(self, walk: Walk) -> None:
        self.walk, self.parser, self.formulas = walk, walk.parser, walk.parser.formulas
        self.normaliser = Normaliser(self.formulas)
        self.lowering = Lowering(self.formulas, self.normaliser, walk.source.options)
        self.impossible: set[str] = set()
        self._kept: list[Any] = []  # schemas made here: the parser goes by identity

    def about(self, place: Place) -> Iterator[SchemaWarning]:
        """All that is to be said about one place; a question that cannot be answered is passed over."""
        if place.pointer in self.impossible:
            return
        try:
            formula = self.parser.schema(place.schema, place.scope, place.pointer)
            if self._is_empty(formula):
                yield SchemaWarning(place.pointer, "no value is valid under this schema")
                return
        except (StructgenError, RecursionError):
            return
        for question in QUESTIONS:
            try:
                yield from question(self, place, formula)
            except (StructgenError, RecursionError):
                continue

    def impossible_values(self, place: Place, formula: Formula) -> Iterator[SchemaWarning]:
        """Constants that the other keywords of their schema forbid."""
        values = place.schema.get("enum")
        if not isinstance(values, list) or len(place.schema) == 1 or "enum" not in self._meaning(place):
            return
        for i, value in enumerate(values[:MAX_VALUES]):
            pointer = f"{place.pointer}/enum/{i}"
            if self._is_empty(self.formulas.all_of([formula, one_of_values(self.parser, [value], pointer)], pointer)):
                yield SchemaWarning(pointer, f"the value {_shown(value)} is impossible here: other keywords forbid it")

    def unreachable_branches(self, place: Place, formula: Formula) -> Iterator[SchemaWarning]:
        """Branches of anyOf, oneOf and if that no value takes."""
        meaning = self._meaning(place)
        for keyword in ("anyOf", "oneOf"):
            for i, sub in enumerate(place.schema[keyword] if keyword in meaning else ()):
                pointer = f"{place.pointer}/{keyword}/{i}"
                branch = self.parser.schema(sub, self.walk.inside(place), pointer)
                if self._is_empty(self.formulas.all_of([self._without(place, keyword), branch], pointer)):
                    why = "no value can be valid under it" + (" and the keywords beside it" if len(meaning) > 1 else "")
                elif keyword == "oneOf" and self._is_empty(self.formulas.all_of([formula, branch], pointer)):
                    why = "whatever is valid under it is valid under another one too"
                else:
                    continue
                self.impossible.add(pointer)
                yield SchemaWarning(pointer, f"this branch of {keyword} is unreachable: {why}")
        if "if" in meaning:
            yield from self._conditional(place)

    def _conditional(self, place: Place) -> Iterator[SchemaWarning]:
        condition = self.parser.schema(place.schema["if"], self.walk.inside(place), f"{place.pointer}/if")
        others = self._without(place, "if", "then", "else")
        for keyword, case, when in (("then", condition, "never"), ("else", self.formulas.negate(condition), "always")):
            if keyword in place.schema and self._is_empty(self.formulas.all_of([others, case], place.pointer)):
                yield SchemaWarning(f"{place.pointer}/{keyword}", f"this branch is unreachable: the condition under if {when} holds")

    def impossible_properties(self, place: Place, formula: Formula) -> Iterator[SchemaWarning]:
        """Properties that no valid object has, unless their schema is the word false."""
        if "properties" not in self._meaning(place):
            return
        shapes = self._norm(formula).objects
        for name, sub in list(place.schema["properties"].items())[:MAX_VALUES] if shapes else ():
            if sub is not False and all(self._forbids(shape, name) for shape in shapes):
                pointer = f"{place.pointer}/properties/{escaped(name)}"
                self.impossible.add(pointer)
                yield SchemaWarning(pointer, "this property can never be present: no value is valid for it")

    def undeclared_names(self, place: Place, formula: Formula) -> Iterator[SchemaWarning]:
        """Required names that no schema of the same value declares."""
        if not place.whole or "required" not in self._meaning(place):
            return
        shapes = self._norm(formula).objects
        clauses = [clause for shape in shapes for clause in shape.clauses if clause.declares]
        for name in place.schema["required"][:MAX_VALUES]:
            if not any(name in clause.properties or any(name in names for names, _ in clause.patterns) for clause in clauses):
                yield SchemaWarning(f"{place.pointer}/required", f"the required property {name!r:.60} is not declared: it may be any value")

    def unbounded(self, place: Place, formula: Formula) -> Iterator[SchemaWarning]:
        """Strings, arrays and objects of any size."""
        meaning = self._meaning(place)
        if not place.whole or (len(meaning) == 1 and meaning[0] in ONLY_MEANS):
            return
        norm = self._norm(formula)
        if norm == ANYTHING:
            yield SchemaWarning(place.pointer, "any value is valid here")
            return
        limit = self.walk.source.options.limits.string_length
        if any(map(_is_long, norm.strings)):
            only = "nothing bounds" if limit is None else f"only the default limit of {limit} characters bounds"
            yield SchemaWarning(place.pointer, f"{only} the length of this string; maxLength does")
        if any(self._is_endless_array(shape) for shape in norm.arrays):
            yield SchemaWarning(place.pointer, "nothing bounds the number of items; maxItems does")
        if any(shape.max is None and has_endless_names(self.lowering, shape) for shape in norm.objects):
            message = "nothing bounds the number of properties; additionalProperties: false or maxProperties does"
            yield SchemaWarning(place.pointer, message)

    def _meaning(self, place: Place) -> list[str]:
        """The keywords that constrain values."""
        draft = self.walk.draft(place)
        return [keyword for keyword in place.schema if is_handled(keyword, draft) and not idle(place.schema, keyword, draft)]

    def _without(self, place: Place, *keywords: str) -> Formula:
        """The formula of the other keywords of a schema."""
        rest = {keyword: place.schema[keyword] for keyword in self._meaning(place) if keyword not in keywords}
        self._kept.append(rest)
        scope: Scope = self.walk.inside(place)
        return self.parser.schema(rest, scope, place.pointer)

    def _norm(self, formula: Formula) -> Norm:
        found = self.normaliser.attempt(formula)
        if found is None:
            raise StructgenError("not known")
        return found

    def _is_empty(self, formula: Formula) -> bool:
        return formula is self.formulas.false or self.normaliser.is_empty(formula)

    def _forbids(self, shape: ObjectShape, name: str) -> bool:
        return shape.max == 0 or self._is_empty(shape.value(name, self.formulas)) or not self.normaliser.allows_name(shape, name)

    def _is_endless_array(self, shape: ArrayShape) -> bool:
        if shape.max is not None or (shape.tail is not None and self._is_empty(shape.tail)):
            return False
        if not shape.unique or shape.tail is None:
            return True
        items = self._norm(shape.tail)
        endless = any(number.values is None for number in items.numbers) or any(string.values is None for string in items.strings)
        return endless or bool(items.arrays or items.objects)


def _is_long(shape: StringShape) -> bool:
    return shape.values is None and shape.max is None and length_bounds(shape.languages, shape.excluded)[1] is None


def _shown(value: Any) -> str:
    return "of this " + {dict: "object", list: "array"}[type(value)] if isinstance(value, dict | list) else f"{value!r:.60}"


QUESTIONS: tuple[Callable[[_Examiner, Place, Formula], Iterator[SchemaWarning]], ...] = (
    _Examiner.impossible_values,
    _Examiner.unreachable_branches,
    _Examiner.impossible_properties,
    _Examiner.undeclared_names,
    _Examiner.unbounded,
)
