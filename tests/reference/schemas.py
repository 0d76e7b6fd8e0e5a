"""Random JSON schemas over the core keywords, instances that are valid more often than not, and jsonschema as the judge.

All objects of one schema declare their properties in one order, that of ``names``; instances are written in that order
with other keys behind, first the one that may be required without being declared. Numbers are read exactly (as int or
Decimal), so that the judge does not round.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

import jsonschema
from hypothesis import strategies as st

NAMES = ["a", "b", "name", "é"]
UNDECLARED = "z"  # may be required all the same
OTHER_NAMES = [UNDECLARED, "a b", 'q"', ""]
STRINGS = [
    "",
    "a",
    "b",
    "ab",
    "abc",
    "1",
    "a-1",
    "é",
    "😀",
    'q"q',
    "\\",
    "/",
    "\t",
    "\x7f",
    "aaaaaa",
    "2024-02-29",
    "2023-02-29",
    "127.0.0.1",
    "1.2.3.256",
]
INTEGERS = [0, 1, -1, 2, 3, 4, 5, 7, 10, 12, 99, 100, 101, -5, -10, 1000]
NUMBERS: list[Any] = [*INTEGERS, 0.5, -0.5, 1.5, 2.0, 2.25, 3.0, 9.99, 10.5, -3.25, 100.0, 1e3, 12e-2]
CONSTANTS: list[Any] = [None, True, False, 0, 1, 1.5, -2, "a", "é", 'q"', "", [], [1, "a"], {}, {"a": 1}, {"b": [None], "a": "x"}, 2.0]
PATTERNS = ["a", "^a", "b$", "^[a-c]+$", "^[0-9]{1,3}$", "^(a|bc)*$", "[^a]", "^a-?[0-9]*$", "^.{2,3}$", "1|é", "^$"]
FORMATS = ["date", "ipv4"]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


@dataclass(frozen=True)
class Sample:
    """A schema, the order of its property names, and the draft it is written in."""

    schema: Any
    names: tuple[str, ...]
    draft: str = "2020-12"

    def is_valid(self, value: Any) -> bool:
        checker = jsonschema.Draft7Validator if self.draft == "draft7" else jsonschema.Draft202012Validator
        return bool(checker(exact(self.schema), format_checker=jsonschema.FormatChecker(FORMATS)).is_valid(exact(value)))

    def arrange(self, value: Any) -> Any:
        """The value with the keys of all objects in the order of ``names``, others behind in their own order."""
        order = [*self.names, UNDECLARED]
        if isinstance(value, list):
            return [self.arrange(item) for item in value]
        if isinstance(value, dict):
            keys = sorted(value, key=lambda k: order.index(k) if k in order else len(order))
            return {k: self.arrange(value[k]) for k in keys}
        return value


def exact(value: Any) -> Any:
    """The same JSON value without binary fractions: integral numbers as int, others as Decimal."""
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return {k: exact(v) for k, v in value.items()}
    return exact_number(repr(value)) if isinstance(value, float) else value


def exact_number(digits: str) -> int | Decimal:
    value = Decimal(digits)
    return int(value) if value == value.to_integral_value() else value


def read_exactly(text: str) -> Any:
    """The value of a JSON text, its numbers as `exact` gives them."""
    return json.loads(text, parse_float=exact_number)


# Schemas.


@st.composite
def samples(draw: st.DrawFn, depth: int = 3) -> Sample:
    names = tuple(draw(st.permutations(NAMES)))
    definitions = [f"d{i}" for i in range(draw(st.integers(0, 2)))]
    draft = draw(st.sampled_from(["2020-12", "2020-12", "2020-12", "draft7"]))
    schema = draw(schemas(Context(names, tuple(definitions), -1, True, draft), depth))
    if definitions and isinstance(schema, dict):
        bodies = [draw(schemas(Context(names, tuple(definitions), i, False, draft), depth - 1)) for i in range(len(definitions))]
        schema = {**schema, definitions_key(draft): dict(zip(definitions, bodies, strict=True))}
    if draft == "draft7" and isinstance(schema, dict):
        schema = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    return Sample(schema, names, draft)


def definitions_key(draft: str) -> str:
    return "definitions" if draft == "draft7" else "$defs"


@dataclass(frozen=True)
class Context:
    """Where a subschema stands: definitions up to ``caller`` may be referred to only below a container (``free``)."""

    names: tuple[str, ...]
    definitions: tuple[str, ...]
    caller: int
    free: bool
    draft: str

    def references(self) -> list[str]:
        return [f"#/{definitions_key(self.draft)}/{d}" for d in (self.definitions if self.free else self.definitions[self.caller + 1 :])]

    def inside(self) -> Context:
        return Context(self.names, self.definitions, self.caller, True, self.draft)


@st.composite
def schemas(draw: st.DrawFn, at: Context, depth: int) -> Any:
    kinds = ["string", "integer", "number", "enum", "const", "boolean", "anything", "types", "string", "object", "object", "array"]
    kinds += ["object", "object", "array", "anyOf", "anyOf", "allOf"] if depth > 0 else []
    kinds += ["ref"] * 3 if at.references() else []
    match draw(st.sampled_from(kinds)):
        case "enum":
            return {"enum": draw(st.lists(st.sampled_from(CONSTANTS), min_size=1, max_size=4, unique_by=repr))}
        case "const":
            return {"const": draw(st.sampled_from(CONSTANTS))}
        case "boolean":
            return draw(st.sampled_from([{"type": "boolean"}, {"type": "null"}, True, False, {}]))
        case "anything":
            return draw(st.sampled_from([True, {}, {"description": "whatever"}]))
        case "types":
            return {"type": draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True))}
        case "ref":
            return {"$ref": draw(st.sampled_from(at.references()))}
        case "anyOf":
            branches = draw(st.lists(schemas(at, depth - 1), min_size=1, max_size=3))
            around = draw(schemas(at, 0)) if draw(st.integers(0, 4)) == 0 else {}
            return {**(around if isinstance(around, dict) and "$ref" not in around else {}), "anyOf": branches}
        case "allOf":
            return {"allOf": draw(st.lists(schemas(at, depth - 1), min_size=1, max_size=2))}
        case "string":
            return draw(string_schemas())
        case "array":
            return draw(array_schemas(at.inside(), depth))
        case "object":
            return draw(object_schemas(at.inside(), depth))
        case kind:
            return draw(number_schemas(kind))


def optional(draw: st.DrawFn, keywords: dict[str, st.SearchStrategy[Any]], one_in: int = 3) -> dict[str, Any]:
    """Each keyword with probability 1 / one_in."""
    return {k: draw(values) for k, values in keywords.items() if draw(st.integers(1, one_in)) == 1}


@st.composite
def string_schemas(draw: st.DrawFn) -> Any:
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 6),
        "pattern": st.sampled_from(PATTERNS),
        "format": st.sampled_from(FORMATS),
    }
    return {"type": "string", **optional(draw, keywords)}


@st.composite
def number_schemas(draw: st.DrawFn, kind: str) -> Any:
    low, high = sorted([draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(NUMBERS))])
    schema: dict[str, Any] = {"type": kind}
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "maximum", "exclusiveMaximum"]))] = high
    if kind == "integer" and draw(st.integers(1, 4)) == 1:
        schema["multipleOf"] = draw(st.sampled_from([1, 2, 3, 5, 10]))
    return schema


@st.composite
def array_schemas(draw: st.DrawFn, at: Context, depth: int) -> Any:
    inner = schemas(at, depth - 1) if depth > 0 else st.sampled_from([True, {"type": "integer"}, {"enum": ["a", 1]}])
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "prefixItems": st.lists(inner, min_size=1, max_size=2),
        "items": inner,
        "minItems": st.integers(0, 3),
        "maxItems": st.integers(0, 4),
    }
    schema = {"type": "array", **optional(draw, keywords, 2)}
    if at.draft == "draft7" and "prefixItems" in schema:
        renamed = {"prefixItems": "items", "items": "additionalItems"}
        schema = {renamed.get(k, k): v for k, v in schema.items()}
    return schema


@st.composite
def object_schemas(draw: st.DrawFn, at: Context, depth: int) -> Any:
    inner = schemas(at, depth - 1) if depth > 0 else st.sampled_from([True, {"type": "integer"}, {"type": "string"}, {"enum": ["a", 1]}])
    declared = [n for n in at.names if draw(st.booleans())]
    schema: dict[str, Any] = {"type": "object", "properties": {n: draw(inner) for n in declared}}
    if draw(st.booleans()):
        required = [n for n in declared if draw(st.booleans())]
        if len(declared) == len(at.names) and draw(st.booleans()):
            required.append(UNDECLARED)
        schema["required"] = draw(st.permutations(required))
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.just(False) | inner)
    return schema


# Instances.


def instance(sample: Sample, random: Random) -> Any:
    """A value that the schema asks for as far as this can be seen locally, sometimes changed in one place."""
    value = wanted(sample.schema, sample, random, 6)
    return changed(value, random) if random.random() < 0.6 else value


def anything(random: Random, depth: int = 2) -> Any:
    if depth and random.random() < 0.3:
        items = [anything(random, depth - 1) for _ in range(random.randrange(3))]
        return items if random.random() < 0.5 else dict(zip(random.sample(OTHER_NAMES, len(items)), items, strict=True))
    return random.choice([None, True, False, random.choice(NUMBERS), random.choice(STRINGS), random.choice(CONSTANTS)])


def wanted(schema: Any, sample: Sample, random: Random, depth: int) -> Any:
    if not isinstance(schema, dict) or depth == 0:
        return anything(random, min(depth, 2))
    if "$ref" in schema:
        _, key, name = schema["$ref"].split("/")
        return wanted(sample.schema[key][name], sample, random, depth - 1)
    if "const" in schema or "enum" in schema:
        return random.choice([schema["const"]] if "const" in schema else schema["enum"])
    if "anyOf" in schema:
        return wanted(random.choice(schema["anyOf"]), sample, random, depth)
    if "allOf" in schema:
        parts = [wanted(part, sample, random, depth) for part in schema["allOf"]]
        return {k: v for part in parts for k, v in part.items()} if all(isinstance(p, dict) for p in parts) else random.choice(parts)
    kind = schema.get("type", random.choice(TYPES))
    match random.choice(kind) if isinstance(kind, list) else kind:
        case "null":
            return None
        case "boolean":
            return random.random() < 0.5
        case "string":
            return wanted_string(schema, random)
        case "array":
            return wanted_array(schema, sample, random, depth)
        case "object":
            return wanted_object(schema, sample, random, depth)
        case kind:
            return wanted_number(schema, kind, random)


def wanted_string(schema: dict[str, Any], random: Random) -> str:
    good = [
        text
        for text in [*STRINGS, *(random.choice(STRINGS) + random.choice(STRINGS) for _ in range(8))]
        if jsonschema.Draft202012Validator(schema).is_valid(text)
    ]
    return random.choice(good or STRINGS)


def wanted_number(schema: dict[str, Any], kind: str, random: Random) -> Any:
    candidates = [*(INTEGERS if kind == "integer" else NUMBERS), random.randint(-20, 120), random.randint(-2000, 12000) / 100]
    good = [n for n in candidates if jsonschema.Draft202012Validator(schema).is_valid(n)]
    return random.choice(good or candidates)


def wanted_array(schema: dict[str, Any], sample: Sample, random: Random, depth: int) -> list[Any]:
    first, rest = schema.get("prefixItems", []), schema.get("items", True)
    if isinstance(rest, list):
        first, rest = rest, schema.get("additionalItems", True)
    longest = min(schema.get("maxItems", 4), len(first) if rest is False else 4)
    length = random.randint(min(schema.get("minItems", 0), 4), max(longest, min(schema.get("minItems", 0), 4)))
    return [wanted(first[i] if i < len(first) else rest, sample, random, depth - 1) for i in range(length)]


def wanted_object(schema: dict[str, Any], sample: Sample, random: Random, depth: int) -> dict[str, Any]:
    properties, other = schema.get("properties", {}), schema.get("additionalProperties", True)
    keys = [k for k in properties if k in schema.get("required", []) or (random.random() < 0.5 and properties[k] is not False)]
    keys += [k for k in schema.get("required", []) if k not in properties]
    if other is not False and random.random() < 0.3:
        keys.append(random.choice([n for n in NAMES + 3 * OTHER_NAMES if n not in properties]))
    return {k: wanted(properties.get(k, other), sample, random, depth - 1) for k in dict.fromkeys(keys)}


def changed(value: Any, random: Random) -> Any:
    """The value with one random change somewhere."""
    if isinstance(value, list) and random.random() < 0.8:
        i = random.randrange(len(value) + 1)
        return random.choice(
            [
                value[:i] + value[i + 1 :],
                [*value, anything(random)],
                [*value[:i], *(changed(v, random) for v in value[i : i + 1]), *value[i + 1 :]],
            ]
        )
    if isinstance(value, dict) and random.random() < 0.8:
        chosen = random.choice([*value, *OTHER_NAMES, *NAMES])
        if chosen in value and random.random() < 0.4:
            return {k: v for k, v in value.items() if k != chosen}
        return {**value, chosen: changed(value[chosen], random) if chosen in value else anything(random)}
    if isinstance(value, str) and random.random() < 0.6:
        return random.choice([value + "a", value[1:], value * 2, "1" + value])
    if isinstance(value, (int, float)) and not isinstance(value, bool) and random.random() < 0.7:
        return random.choice([value + 1, value - 1, -value, value + 0.5, float(value), value * 10])
    return anything(random)
