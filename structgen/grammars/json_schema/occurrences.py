"""Where keywords occur in a schema, and what status each has: a walk over the document along applied keywords and references.

`Walk` finds the schemas that apply to some value; keywords elsewhere (in definitions that nothing refers to) are annotations. A place
is ``whole`` where nothing else constrains the same value, and ``mixed`` where a weaker schema may make the document stricter.
Nothing is normalised. Cost: linear in the size of the document, parts that Python shares counted apart; bounded by `MAX_LENGTH`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from structgen.errors import StructgenError

from .drafts import ANNOTATIONS, DRAFTS, STRUCTURE, Draft
from .formulas import Formulas
from .parse import HANDLERS, TARGETS, Parser, Scope, format_shape
from .report import ANNOTATION, ENFORCED, RUN_TIME, Entry, Source
from .resolve import Location, escaped, sub_schemas

__all__ = ["Place", "Walk", "entries", "idle", "is_handled", "others_with"]

MAX_LENGTH = 5_000_000
"""Most characters of pointers in all, `PER_PLACE` added for each schema; what is beyond is not in the report, which says so."""
PER_PLACE = 100
IN_PLACE = frozenset(["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies", *TARGETS])
"""Keywords that apply schemas to the same value."""
PARTIAL = frozenset(["allOf", "not", "if", "then", "else", "dependentSchemas", "dependencies", "contains", "propertyNames"])
"""Keywords whose schemas are never all that is said of a value."""
ONLY_MEANS = frozenset(["anyOf", "oneOf", *TARGETS])
"""Keywords whose schemas are all that is said of a value, if they stand alone."""
AT_RUN_TIME = frozenset(["required", "minProperties", "maxProperties"])
"""Keywords that a set of names decides at run time if properties come in any order."""


class Place(NamedTuple):
    """A schema, how it is read, and its JSON pointer."""

    schema: dict[str, Any]
    scope: Scope
    pointer: str
    whole: bool = True
    mixed: bool = False


class Walk:
    """The places of a document where schemas apply, by pointer in the order met; ``loops``: the references that lead back."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.resolver = source.resolver()
        self.parser = Parser(Formulas(), self.resolver, formats=source.options.formats)
        self.places: dict[str, Place] = {}
        self.mixed: set[str] = set()  # the pointers of mixed places
        self.loops: dict[str, None] = {}
        self.is_complete = True
        if isinstance(source.document, dict):
            self._run(Place(source.document, Scope(self.resolver.root), ""))

    def draft(self, place: Place) -> Draft:
        return self.inside(place).resource.draft

    def inside(self, place: Place) -> Scope:
        return self.parser.entered(Location(place.schema, place.scope.resource, place.pointer), place.scope)

    def _run(self, root: Place) -> None:
        """Depth first; a place that is met again while it is open contains itself."""
        seen: set[tuple[Any, ...]] = set()
        still_open: set[str] = set()
        length = 0
        todo: list[tuple[Place | None, str]] = [(root, "")]
        while todo:
            place, via = todo.pop()
            if place is None:
                still_open.discard(via)
                continue
            if via and place.pointer in still_open:
                self.loops[via] = None
            key = (place.pointer, place.scope, place.whole, place.mixed)
            if key in seen:
                continue
            seen.add(key)
            length += len(place.pointer) + PER_PLACE
            if length > MAX_LENGTH:
                self.is_complete = False
                return
            self._note(place)
            if place.pointer not in still_open:
                still_open.add(place.pointer)
                todo.append((None, place.pointer))
            todo += reversed(list(self._below(place)))

    def _note(self, place: Place) -> None:
        if place.whole or place.pointer not in self.places:
            self.places[place.pointer] = place
        if place.mixed:
            self.mixed.add(place.pointer)

    def _below(self, place: Place) -> Iterator[tuple[Place, str]]:
        """The places that the keywords of this one lead to, each with the pointer of the keyword."""
        schema, scope, draft = place.schema, self.inside(place), self.draft(place)
        meaning = [keyword for keyword in schema if is_handled(keyword, draft) and not idle(schema, keyword, draft)]
        alone = len(meaning) == 1
        for keyword in meaning:
            at = f"{place.pointer}/{keyword}"
            if keyword in ONLY_MEANS:
                whole = place.whole and alone
            else:
                whole = place.whole and keyword not in PARTIAL and not any(other in IN_PLACE for other in meaning)
            mixed = place.mixed or keyword in ("not", "if", "oneOf") or (keyword == "contains" and "maxContains" in schema)
            if keyword in TARGETS:
                try:
                    found, inside = self.parser.location(schema, keyword, scope, place.pointer)
                except StructgenError:
                    continue
                if isinstance(found.schema, dict):
                    yield Place(found.schema, inside, found.pointer, whole, mixed), at
                continue
            for sub in sub_schemas(Location({keyword: schema[keyword]}, scope.resource, place.pointer)):
                if isinstance(sub.schema, dict):
                    yield Place(sub.schema, scope, sub.pointer, whole, mixed), at


def is_handled(keyword: str, draft: Draft) -> bool:
    """Whether the keyword constrains values in this draft."""
    return keyword in draft.keywords and keyword in HANDLERS


def idle(schema: dict[str, Any], keyword: str, draft: Draft) -> str:
    """Why the keyword means nothing beside the others; "" if it means something."""
    if draft.ref_overrides and "$ref" in schema and keyword != "$ref" and keyword in draft.keywords:
        return f"ignored beside $ref in {draft.name}"
    if keyword == "if" and not ("then" in schema or "else" in schema):
        return "without effect: neither then nor else"
    if keyword == "additionalItems" and not isinstance(schema.get("items"), list):
        return "without effect: items is not an array"
    wanted = NEEDS.get(keyword, "")
    if wanted in schema or not wanted or (keyword in EXCLUSIVE and not isinstance(schema[keyword], bool)):
        return ""
    return f"without effect: no {wanted}"


EXCLUSIVE = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
NEEDS = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains", **EXCLUSIVE}
"""Keywords that say something about another one."""


def others_with(keyword: str) -> list[str]:
    """The drafts that have this keyword."""
    return [draft.name for draft in DRAFTS if keyword in draft.keywords]


def entries(walk: Walk) -> list[Entry]:
    """Every occurrence of a keyword in the document, in its order, and in the places of other documents that it refers to."""
    found: list[Entry] = []
    shown: set[str] = set()
    todo: list[Entry | Location] = [Location(walk.source.document, walk.resolver.root, "")]
    length = 0
    while todo and length <= MAX_LENGTH:
        item = todo.pop()
        if isinstance(item, Entry):
            found.append(item)
        elif isinstance(item.schema, dict):
            shown.add(item.pointer)
            length += len(item.pointer) + PER_PLACE
            todo += reversed(list(_parts(walk, walk.resolver.enter(item))))
    for pointer, place in walk.places.items():
        if pointer not in shown:
            location = Location(place.schema, walk.inside(place).resource, pointer)
            found += [part for part in _parts(walk, location) if isinstance(part, Entry)]
    return found


def _parts(walk: Walk, location: Location) -> Iterator[Entry | Location]:
    """The keywords of one schema, each followed by the schemas under it."""
    for keyword in location.schema:
        status, note = _status(walk, location, keyword)
        if status == ENFORCED and location.pointer not in walk.places:
            status, note = ANNOTATION, "without effect: nothing refers to this schema"
        yield Entry(f"{location.pointer}/{escaped(keyword)}", keyword, status, note)
        yield from sub_schemas(Location({keyword: location.schema[keyword]}, location.resource, location.pointer))


def _status(walk: Walk, location: Location, keyword: str) -> tuple[str, str]:
    schema, draft, options = location.schema, location.resource.draft, walk.source.options
    why = idle(schema, keyword, draft)
    if why:
        return ANNOTATION, why
    if keyword in ANNOTATIONS:
        return ANNOTATION, ""
    if keyword in STRUCTURE and keyword not in ({"id", "$id"} - {draft.id_keyword}):
        return ENFORCED, draft.name if keyword == "$schema" else "says where schemas are"
    if not is_handled(keyword, draft):
        return ANNOTATION, f"no keyword of {draft.name}"
    if keyword == "format" and (not options.formats or format_shape(schema["format"]) is None):
        return ANNOTATION, "unknown format" if options.formats else "by option"
    if (keyword == "uniqueItems" and schema[keyword]) or (keyword in AT_RUN_TIME and options.any_order):
        return RUN_TIME, ""
    return ENFORCED, ""
