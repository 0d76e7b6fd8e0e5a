"""From JSON Schema keywords to formulas: one function per keyword or group of keywords, by table.

Every keyword of the draft is translated exactly or raises `UnsupportedSchema`; `occurrences` tells which ones a draft has. Sub-schemas are
parsed on the way down (bounded depth), references only when they are normalised, so that unused definitions cost nothing.
Property order follows the document: a schema's parts are combined in the order of its keywords.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from structgen.automata.chardfa import CharDfa
from structgen.errors import LimitExceeded, StructgenError, UnsupportedSchema

from .formulas import ARRAY, BOOLEAN, FALSE, NULL, NUMBER, OBJECT, STRING, TRUE, Formula, Formulas, Shape
from .reading import MAX_COUNT, at_least, at_most, boolean, count, escaped, exact_number, malformed, mapping, names_in, number, shown, text
from .report import SchemaWarning
from .resolve import Location, Resolver, Resource
from .shapes import ArrayShape, Contains, Language, NumberShape, ObjectShape, StringShape, is_writable
from .unevaluated import unevaluated_items, unevaluated_properties

__all__ = ["HANDLERS", "MAX_NESTING", "TARGETS", "Parser", "Scope", "format_shape", "one_of_values"]

MAX_NESTING = 150
"""Most sub-schemas inside each other, and most levels of a constant."""
MAX_SCHEMAS = 25_000
"""Most sub-schemas of one compilation, and most names that one object requires."""
MAX_VALUES = 100_000
"""Most constants and required names."""
KINDS = {"null": NULL, "boolean": BOOLEAN, "number": NUMBER, "string": STRING, "array": ARRAY, "object": OBJECT}


class Scope(NamedTuple):
    """Where a schema is read: its resource, and the resources with dynamic anchors that were entered on the way to it."""

    resource: Resource
    dynamic: tuple[Resource, ...] = ()


class Parser:
    """Parses the schemas of one compilation."""

    def __init__(self, formulas: Formulas, resolver: Resolver, *, formats: bool) -> None:
        self.formulas = formulas
        self.resolver = resolver
        self.formats = formats
        self.unwritable: dict[SchemaWarning, None] = {}
        self._known: dict[tuple[int, Scope], Formula] = {}
        self._depth = 0
        self._n_values = 0

    def schema(self, schema: Any, scope: Scope, pointer: str) -> Formula:
        """The formula of a schema."""
        if schema is True or schema is False:
            return self.formulas.true if schema else self.formulas.false
        if not isinstance(schema, dict):
            raise UnsupportedSchema(f"a schema is an object or a boolean, found {shown(schema)}", pointer=pointer)
        key = (id(schema), scope)
        found = self._known.get(key)
        if found is None:
            if self._depth >= MAX_NESTING:
                raise LimitExceeded("nesting of schemas", MAX_NESTING, pointer)
            if len(self._known) >= MAX_SCHEMAS:
                raise LimitExceeded("number of sub-schemas", MAX_SCHEMAS, pointer)
            self._depth += 1
            try:
                found = self._known[key] = self._parsed(schema, scope, pointer)
            finally:
                self._depth -= 1
        return found

    def _parsed(self, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
        scope = self.entered(Location(schema, scope.resource, pointer), scope)
        draft = scope.resource.draft
        if draft.ref_overrides and "$ref" in schema:
            return HANDLERS["$ref"](self, schema, scope, pointer)
        parts: list[Formula] = []
        done: set[Callable[..., Formula]] = set()
        for keyword in schema:
            handler = HANDLERS.get(keyword) if keyword in draft.keywords else None
            if handler is None or handler in done:
                continue
            if not (handler is objects and keyword != "properties" and "properties" in schema):
                done.add(handler)
                parts.append(handler(self, schema, scope, pointer))
        return parts[0] if len(parts) == 1 else self.formulas.all_of(parts, pointer)

    def entered(self, location: Location, scope: Scope) -> Scope:
        """The scope inside a schema, which may start a resource of its own."""
        resource = self.resolver.enter(location).resource
        dynamic = scope.dynamic
        if self.resolver.dynamic and resource not in dynamic:
            dynamic = (*dynamic, resource)
        return scope if resource is scope.resource and dynamic is scope.dynamic else Scope(resource, dynamic)

    def location(self, schema: dict[str, Any], keyword: str, scope: Scope, pointer: str) -> tuple[Location, Scope]:
        """Where the reference under ``keyword`` leads, and the scope there."""
        reference = text(schema, keyword, pointer)
        location = TARGETS[keyword](self, reference, scope, f"{pointer}/{keyword}")
        return location, self.entered(location, scope)

    def count_values(self, n: int, pointer: str) -> None:
        """Take note of so many constants or required names."""
        self._n_values += n
        if self._n_values > MAX_VALUES:
            raise LimitExceeded("number of constants and required names", MAX_VALUES, pointer)

    def note_unwritable(self, texts: Iterable[str], pointer: str) -> None:
        """Take note of constants and names that have lone surrogates."""
        for lone in texts:
            if not is_writable(lone):
                message = f"{lone!r:.100} has a lone surrogate, which UTF-8 cannot write; it never occurs"
                self.unwritable[SchemaWarning(pointer, message)] = None

    def pattern(self, source: str, pointer: str) -> Language:
        """The strings in which the pattern is found; errors name the place."""
        return _pattern(source, pointer)

    def below(self, schema: dict[str, Any], keyword: str, scope: Scope, pointer: str) -> Formula:
        """The formula of the sub-schema under ``keyword``."""
        return self.schema(schema[keyword], scope, f"{pointer}/{keyword}")

    def leaf(self, kind: int, shape: Shape | None, pointer: str) -> Formula:
        """Values that have the shape if they are of this kind; None is the shape of no value."""
        if shape is None:
            return self.formulas.negate(self.formulas.kinds(kind))
        return self.formulas.leaf(kind, shape, pointer)


# -- references -----------------------------------------------------------------------------------------------------------------


def _reference(keyword: str) -> Callable[[Parser, dict[str, Any], Scope, str], Formula]:
    def reference(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
        location, inside = parser.location(schema, keyword, scope, pointer)
        key = (id(location.schema), inside) if isinstance(location.schema, dict) else location.pointer
        return parser.formulas.ref(key, lambda: parser.schema(location.schema, inside, location.pointer), pointer)

    return reference


def _dynamic_target(parser: Parser, reference: str, scope: Scope, pointer: str) -> Location:
    """``$dynamicRef``: like ``$ref``, but a dynamic anchor of the outermost resource that has one of this name comes first."""
    location = parser.resolver.resolve(reference, scope.resource, pointer)
    anchor = reference.rpartition("#")[2]
    if location.resource.dynamic_anchors.get(anchor) == location:
        location = next((r.dynamic_anchors[anchor] for r in scope.dynamic if anchor in r.dynamic_anchors), location)
    return location


def _recursive_target(parser: Parser, reference: str, scope: Scope, pointer: str) -> Location:
    """``$recursiveRef``: the root of this resource, or of the outermost one with ``$recursiveAnchor`` if this one has it."""
    if reference != "#":
        raise UnsupportedSchema('$recursiveRef must be "#"', keyword="$recursiveRef", pointer=pointer)
    resource = scope.resource
    if resource.recursive:
        resource = next(outer for outer in scope.dynamic if outer.recursive)
    return Location(resource.schema, resource, resource.pointer)


def _static_target(parser: Parser, reference: str, scope: Scope, pointer: str) -> Location:
    return parser.resolver.resolve(reference, scope.resource, pointer)


TARGETS = {"$ref": _static_target, "$dynamicRef": _dynamic_target, "$recursiveRef": _recursive_target}


# -- any kind of value ----------------------------------------------------------------------------------------------------------


def types(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    names = schema["type"]
    names = names if isinstance(names, list) else [names]
    kinds = 0
    for name in names:
        if not isinstance(name, str) or (name not in KINDS and name != "integer"):
            raise malformed("type", "null, boolean, integer, number, string, array or object, or a list of them", schema, pointer)
        kinds |= KINDS.get(name, 0)
    if "integer" not in names or kinds & NUMBER:
        return parser.formulas.kinds(kinds)
    shape = NumberShape(plain=True) if scope.resource.draft.plain_integers else NumberShape(multiple=Fraction(1))
    integers = parser.formulas.leaf(NUMBER, shape, pointer, guarded=False)
    return parser.formulas.any_of([parser.formulas.kinds(kinds), integers], pointer)


def enumeration(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    if not isinstance(schema["enum"], list):
        raise malformed("enum", "an array", schema, pointer)
    return one_of_values(parser, schema["enum"], f"{pointer}/enum")


def constant(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    return one_of_values(parser, [schema["const"]], f"{pointer}/const")


def one_of_values(parser: Parser, values: list[Any], pointer: str, depth: int = 0) -> Formula:
    """Values equal to one of these; numbers compare by value, objects without regard to order (they are written in theirs)."""
    if depth > MAX_NESTING:
        raise LimitExceeded("nesting of constants", MAX_NESTING, pointer)
    f = parser.formulas
    kinds = 0
    strings: set[str] = set()
    numbers: set[Fraction] = set()
    others: list[Formula] = []
    parser.count_values(len(values), pointer)
    for value in values:
        if value is None or isinstance(value, bool):
            kinds |= NULL if value is None else TRUE if value else FALSE
        elif isinstance(value, str):
            strings.add(value)
        elif isinstance(value, int | float | Decimal):
            numbers.add(exact_number(value, pointer))
        elif isinstance(value, list):
            items = tuple(one_of_values(parser, [item], pointer, depth + 1) for item in value)
            others.append(f.leaf(ARRAY, ArrayShape(items, f.false, len(items), len(items)), pointer, guarded=False))
        elif isinstance(value, dict):
            parser.note_unwritable(value, pointer)
            members = {name: one_of_values(parser, [member], pointer, depth + 1) for name, member in value.items()}
            shape = ObjectShape((f.clause(members, (), f.false, declares=True),), tuple(value))
            others.append(f.leaf(OBJECT, shape, pointer, guarded=False))
        else:
            raise UnsupportedSchema(f"not a JSON value: {shown(value)}", keyword="enum", pointer=pointer)
    if strings:
        parser.note_unwritable(strings, pointer)
        others.append(f.leaf(STRING, StringShape(values=frozenset(strings)), pointer, guarded=False))
    if numbers:
        others.append(f.leaf(NUMBER, NumberShape(values=frozenset(numbers)), pointer, guarded=False))
    return f.any_of([f.kinds(kinds), *others], pointer)


def _list_of(parser: Parser, schema: dict[str, Any], keyword: str, scope: Scope, pointer: str) -> list[Formula]:
    if not isinstance(schema[keyword], list) or not schema[keyword]:
        raise malformed(keyword, "a non-empty array of schemas", schema, pointer)
    return [parser.schema(sub, scope, f"{pointer}/{keyword}/{i}") for i, sub in enumerate(schema[keyword])]


def all_of(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    return parser.formulas.all_of(_list_of(parser, schema, "allOf", scope, pointer), f"{pointer}/allOf")


def any_of(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    return parser.formulas.any_of(_list_of(parser, schema, "anyOf", scope, pointer), f"{pointer}/anyOf")


def one_of(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    return parser.formulas.one_of(_list_of(parser, schema, "oneOf", scope, pointer), f"{pointer}/oneOf")


def negation(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    return parser.formulas.negate(parser.below(schema, "not", scope, pointer))


def conditional(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    if "if" not in schema or not ("then" in schema or "else" in schema):
        return parser.formulas.true
    f = parser.formulas
    condition = parser.below(schema, "if", scope, pointer)
    then = parser.below(schema, "then", scope, pointer) if "then" in schema else f.true
    otherwise = parser.below(schema, "else", scope, pointer) if "else" in schema else f.true
    return f.any_of([f.all_of([condition, then], pointer), f.all_of([f.negate(condition), otherwise], pointer)], f"{pointer}/if")


# -- numbers --------------------------------------------------------------------------------------------------------------------


def numbers(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    low, low_open = _bound(schema, "minimum", "exclusiveMinimum", scope, pointer, max)
    high, high_open = _bound(schema, "maximum", "exclusiveMaximum", scope, pointer, min)
    multiple = number(schema, "multipleOf", pointer)
    if multiple is not None and multiple <= 0:
        raise malformed("multipleOf", "a number greater than 0", schema, pointer)
    return parser.leaf(NUMBER, NumberShape(low, high, low_open, high_open, multiple).settled(), pointer)


def _bound(
    schema: dict[str, Any], keyword: str, exclusive: str, scope: Scope, pointer: str, tighter: Callable[..., Fraction]
) -> tuple[Fraction | None, bool]:
    """The bound and whether it is exclusive, in the old (boolean) or the new (numeric) form of the exclusive keyword."""
    bound = number(schema, keyword, pointer)
    if isinstance(schema.get(exclusive), bool) and scope.resource.draft.boolean_exclusive:
        return bound, bound is not None and schema[exclusive]
    open_bound = number(schema, exclusive, pointer) if exclusive in scope.resource.draft.keywords else None
    if bound is None or open_bound is None:
        return (bound, False) if open_bound is None else (open_bound, True)
    return tighter(bound, open_bound), tighter(bound, open_bound) == open_bound


# -- strings --------------------------------------------------------------------------------------------------------------------


def strings(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    longest = count(schema, "maxLength", pointer)
    shape = StringShape(at_least(schema, "minLength", pointer), None if longest is None else min(longest, MAX_COUNT))
    if "pattern" in schema:
        shape = replace(shape, languages=frozenset([_pattern(text(schema, "pattern", pointer), f"{pointer}/pattern")]))
    found: Formula = parser.leaf(STRING, shape.settled(), pointer)
    known = format_shape(schema["format"]) if "format" in schema and parser.formats else None
    if known is not None:
        found = parser.leaf(STRING, shape.meet(known, parser.formulas), pointer)
    return found


def _pattern(source: str, pointer: str, keyword: str = "pattern") -> Language:
    found = pattern_language(source)
    try:
        found.dfa  # noqa: B018 (compiled here, so that errors name this place)
    except StructgenError as error:
        raise UnsupportedSchema(f"the pattern {source!r:.200} cannot be enforced: {error}", keyword=keyword, pointer=pointer) from error
    return found


@lru_cache(maxsize=4096)
def pattern_language(source: str) -> Language:
    """The strings in which the pattern is found, as ECMA-262 has it."""

    def make() -> CharDfa:
        from structgen.grammars.regex import search_dfa

        return search_dfa(source)

    return Language(f"pattern {source}", make)


def format_shape(name: object) -> StringShape | None:
    """The strings of this format, or None if it is unknown."""
    return _format(name) if isinstance(name, str) else None


@lru_cache(maxsize=256)
def _format(name: str) -> StringShape | None:
    from structgen.grammars.formats import format_limits

    found = format_limits(name)
    if found is None:
        return None
    dfa, low, high = found
    return StringShape(low, high, frozenset([Language(f"format {name}", lambda: dfa)]))


# -- arrays ---------------------------------------------------------------------------------------------------------------------


def arrays(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    draft, f = scope.resource.draft, parser.formulas
    prefix: list[Formula] = []
    tail: Formula | None = None
    if isinstance(schema.get("items"), list):
        if not draft.array_items:
            message = f"items must be a schema in {draft.name}: write prefixItems, or declare an older $schema"
            raise UnsupportedSchema(message, keyword="items", pointer=f"{pointer}/items")
        prefix = [parser.schema(sub, scope, f"{pointer}/items/{i}") for i, sub in enumerate(schema["items"])]
        if "additionalItems" in schema:
            tail = parser.below(schema, "additionalItems", scope, pointer)
    else:
        if "prefixItems" in schema and "prefixItems" in draft.keywords:
            prefix = _list_of(parser, schema, "prefixItems", scope, pointer)
        if "items" in schema:
            tail = parser.below(schema, "items", scope, pointer)
    unique = boolean(schema, "uniqueItems", pointer)
    shape = ArrayShape(
        tuple(prefix),
        None if tail is f.true else tail,
        at_least(schema, "minItems", pointer),
        at_most(schema, "maxItems", pointer),
        _contains(parser, schema, scope, pointer),
        f"{pointer}/uniqueItems" if unique else "",
    )
    return parser.leaf(ARRAY, shape.settled(f), pointer)


def _contains(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> tuple[Contains, ...]:
    keywords = scope.resource.draft.keywords
    if "contains" not in schema or "contains" not in keywords:
        return ()
    low = at_least(schema, "minContains", pointer) if "minContains" in keywords and "minContains" in schema else 1
    high = at_most(schema, "maxContains", pointer) if "maxContains" in keywords else None
    return (Contains(parser.below(schema, "contains", scope, pointer), 0, low, high),)


# -- objects --------------------------------------------------------------------------------------------------------------------


def objects(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    f = parser.formulas
    names: tuple[Formula, ...] = ()
    if "propertyNames" in schema and "propertyNames" in scope.resource.draft.keywords:
        name = parser.below(schema, "propertyNames", scope, pointer)
        names = () if name is f.true else (name,)
    shape = ObjectShape(
        _clauses(parser, schema, scope, pointer),
        _names(parser, schema["required"], "required", pointer) if "required" in schema else (),
        at_least(schema, "minProperties", pointer),
        at_most(schema, "maxProperties", pointer),
        names,
    )
    return parser.leaf(OBJECT, shape.settled(f), pointer)


def _names(parser: Parser, value: Any, keyword: str, pointer: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(names_in(value, keyword, pointer)))
    parser.count_values(len(names), f"{pointer}/{keyword}")
    if len(names) > MAX_SCHEMAS:
        raise LimitExceeded("number of required names", MAX_SCHEMAS, f"{pointer}/{keyword}")
    parser.note_unwritable(names, f"{pointer}/{keyword}")
    return names


def _clauses(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> tuple[Any, ...]:
    properties = {
        name: parser.schema(sub, scope, f"{pointer}/properties/{escaped(name)}")
        for name, sub in mapping(schema, "properties", pointer).items()
    }
    patterns = tuple(
        (_pattern(source, place, "patternProperties"), parser.schema(sub, scope, place))
        for source, sub in mapping(schema, "patternProperties", pointer).items()
        for place in [f"{pointer}/patternProperties/{escaped(source)}"]
    )
    additional = parser.below(schema, "additionalProperties", scope, pointer) if "additionalProperties" in schema else None
    parser.note_unwritable(properties, f"{pointer}/properties")
    if not properties and not patterns and additional is None:
        return ()
    return (parser.formulas.clause(properties, patterns, additional, declares=True),)


def dependent_required(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    named = mapping(schema, "dependentRequired", pointer)
    return parser.formulas.all_of(
        [
            _if_present(parser, name, _required(parser, _names(parser, names, "dependentRequired", pointer), pointer), pointer)
            for name, names in named.items()
        ]
    )


def dependent_schemas(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str, keyword: str = "dependentSchemas") -> Formula:
    parts: list[Formula] = []
    for name, sub in mapping(schema, keyword, pointer).items():
        if keyword == "dependencies" and isinstance(sub, list):
            then = _required(parser, _names(parser, sub, keyword, pointer), pointer)
        else:
            then = parser.schema(sub, scope, f"{pointer}/{keyword}/{escaped(name)}")
        parts.append(_if_present(parser, name, then, pointer))
    return parser.formulas.all_of(parts)


def dependencies(parser: Parser, schema: dict[str, Any], scope: Scope, pointer: str) -> Formula:
    return dependent_schemas(parser, schema, scope, pointer, "dependencies")


def _required(parser: Parser, names: tuple[str, ...], pointer: str) -> Formula:
    return parser.formulas.leaf(OBJECT, ObjectShape(required=names), pointer)


def _if_present(parser: Parser, name: str, then: Formula, pointer: str) -> Formula:
    """An object with property ``name`` satisfies ``then``."""
    f = parser.formulas
    absent = f.leaf(OBJECT, ObjectShape((f.clause({name: f.false}),)), pointer)
    return f.any_of([absent, f.all_of([_required(parser, (name,), pointer), then], pointer)], pointer)


HANDLERS: dict[str, Callable[[Parser, dict[str, Any], Scope, str], Formula]] = {
    **{keyword: _reference(keyword) for keyword in TARGETS},
    "type": types,
    "enum": enumeration,
    "const": constant,
    "allOf": all_of,
    "anyOf": any_of,
    "oneOf": one_of,
    "not": negation,
    "dependentRequired": dependent_required,
    "dependentSchemas": dependent_schemas,
    "dependencies": dependencies,
    "unevaluatedProperties": unevaluated_properties,
    "unevaluatedItems": unevaluated_items,
    **dict.fromkeys(["if", "then", "else"], conditional),
    **dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"], numbers),
    **dict.fromkeys(["minLength", "maxLength", "pattern", "format"], strings),
    **dict.fromkeys(
        ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains"], arrays
    ),
    **dict.fromkeys(
        ["properties", "patternProperties", "additionalProperties", "propertyNames", "required", "minProperties", "maxProperties"], objects
    ),
}
