"""Instances of JSON schemas, valid more often than not, as texts in many spellings; and jsonschema as the judge of texts.

Numbers are read exactly (as int or Decimal), so that the judge does not round. Where jsonschema departs from the specification it is
corrected here, from the specification's words; `tests/test_differential.py` shows each departure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cached_property
from random import Random
from typing import Any

import jsonschema

DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
NAMES = ["a", "ab", "b", "é"]
UNDECLARED = "z"  # may be required all the same
OTHER_NAMES = [UNDECLARED, "a b", 'q"', ""]
STRINGS = ["", "a", "b", "ab", "abc", "1", "a-1", "é", "😀", 'q"q', "\\", "/", "\t", "a\n", "\x7f", "aaaaaa", "12", "٣", "\u2028b"]
STRINGS += ["2024-02-29", "2023-02-29", "127.0.0.1", "1.2.3.256", "::1", "1::2:3::4"]
INTEGERS = [0, 1, -1, 2, 3, 4, 5, 7, 10, 12, 99, 100, 101, -5, -10, 1000]
NUMBERS: list[Any] = [*INTEGERS, 0.5, -0.5, 1.5, 2.0, 2.25, 3.0, 9.99, 10.5, -3.25, 100.0, 1e3, 12e-2, 0.3]
CONSTANTS: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    1.5,
    -2,
    "a",
    "é",
    'q"',
    "",
    [],
    [1, "a"],
    [True],
    {},
    {"a": 1},
    {"b": [None], "a": "ab"},
    2.0,
]
FORMATS = ["date", "ipv4", "ipv6", "no-such-format"]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


# -- the judge ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """A schema, the order of its property names, and the draft it is written in."""

    schema: Any
    names: tuple[str, ...] = tuple(NAMES)
    draft: str = "draft2020-12"

    @cached_property
    def judge(self) -> Any:
        return JUDGES[self.draft](for_python(exact(self.schema)), format_checker=jsonschema.FormatChecker(["date", "ipv4", "ipv6"]))

    def is_valid(self, text: str) -> bool:
        """Whether the text is JSON that can be written in UTF-8, with no key twice, and valid."""
        try:
            value = read_exactly(text, self.draft)
        except ValueError:
            return False
        with localcontext(prec=1000):
            return bool(self.judge.is_valid(value))

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


def read_exactly(text: str, draft: str = "draft2020-12") -> Any:
    """The value of a JSON text, its numbers as `exact` gives them (1.0 is no integer in draft 4); ValueError for what is refused."""
    value = json.loads(text, parse_float=Decimal if draft == "draft4" else exact_number, object_pairs_hook=without_duplicates)
    json.dumps(value, ensure_ascii=False, default=str).encode()  # UnicodeEncodeError for a lone surrogate
    return value


def without_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(members)) < len(members):
        raise ValueError("a key twice")
    return dict(members)


def for_python(schema: Any) -> Any:
    """The schema with its patterns in the dialect of Python instead of that of ECMA-262. (No property is called "pattern".)

    ``$schema`` would bring jsonschema's own class back; `referencing` crashes where lists among ``dependencies`` do not come first."""
    if isinstance(schema, list):
        return [for_python(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    translated = {k: for_python(v) for k, v in schema.items() if k != "$schema"}
    if isinstance(schema.get("pattern"), str):
        translated["pattern"] = python_pattern(schema["pattern"])
    if isinstance(schema.get("patternProperties"), dict):
        translated["patternProperties"] = {python_pattern(k): v for k, v in translated["patternProperties"].items()}
    if isinstance(schema.get("dependencies"), dict):
        translated["dependencies"] = dict(sorted(translated["dependencies"].items(), key=lambda item: not isinstance(item[1], list)))
    return translated


ECMA = {"$": r"\Z", ".": r"[^\n\r\u2028\u2029]", r"\d": "[0-9]", r"\W": "[^A-Za-z0-9_]"}


def python_pattern(pattern: str) -> str:
    """The empty pattern is written otherwise, as jsonschema takes it for none beside ``additionalProperties``."""
    return re.sub(r"\\.|\[[^]]*\]|[$.]", lambda found: ECMA.get(found[0], found[0]), pattern) or "(?:)"


def equal(one: Any, other: Any) -> bool:
    """Equality of JSON values (2020-12 core, section 4.2.2)."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def unique_items(judge: Any, unique: bool, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if unique and isinstance(value, list) and any(equal(value[i], value[j]) for i in range(len(value)) for j in range(i)):
        yield jsonschema.ValidationError("an item twice")


def additional_items(judge: Any, additional: Any, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    """Ignored beside ``items`` that is no array (2019-09 core, section 9.3.1.2)."""
    if isinstance(schema.get("items"), list) and isinstance(value, list):
        for item in value[len(schema["items"]) :]:
            yield from judge.descend(item, additional)


def unevaluated_properties(judge: Any, rest: Any, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, dict):
        for key in value.keys() - evaluated(judge, value, schema):
            yield from judge.descend(value[key], rest)


def unevaluated_items(judge: Any, rest: Any, value: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, list):
        for i in set(range(len(value))) - evaluated(judge, value, schema):
            yield from judge.descend(value[i], rest)


def evaluated(judge: Any, value: Any, schema: Any, itself: bool = False) -> set[Any]:
    """The names or indices that a valid schema evaluates, without its own ``unevaluated...`` unless ``itself``."""
    if not isinstance(schema, dict):
        return set()
    local = evaluated_keys(judge, value, schema, itself) if isinstance(value, dict) else evaluated_indices(judge, value, schema, itself)
    for branch, resolver in applied(judge, value, schema):
        here = judge.evolve(schema=branch, _resolver=resolver)
        if here.is_valid(value):
            local |= evaluated(here, value, branch, itself=True)
    return local


def applied(judge: Any, value: Any, schema: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The sub-schemas that are applied in place, as far as they matter, and where their references are resolved."""
    resolver = judge._resolver
    for keyword in ("$ref", "$dynamicRef"):
        if keyword in schema:
            target = resolver.lookup(schema[keyword])
            yield target.contents, target.resolver
    if "$recursiveRef" in schema:
        target = lookup_recursive_ref(resolver)
        yield target.contents, target.resolver
    branches = [branch for keyword in ("allOf", "anyOf", "oneOf") for branch in schema.get(keyword, [])]
    if isinstance(value, dict):
        branches += [branch for name, branch in schema.get("dependentSchemas", {}).items() if name in value]
    if "if" in schema:
        holds = judge.evolve(schema=schema["if"]).is_valid(value)
        branches += [schema["if"], schema.get("then", True)] if holds else [schema.get("else", True)]
    for branch in branches:
        yield branch, resolver


def evaluated_keys(judge: Any, value: dict[str, Any], schema: dict[str, Any], itself: bool) -> set[Any]:
    """2020-12 core, sections 10.3.2 and 11.3."""
    if "additionalProperties" in schema or (itself and "unevaluatedProperties" in schema):
        return set(value)
    named = {name for name in value if name in schema.get("properties", {})}
    return named | {name for name in value for pattern in schema.get("patternProperties", {}) if re.search(pattern, name)}


def evaluated_indices(judge: Any, value: list[Any], schema: dict[str, Any], itself: bool) -> set[Any]:
    """2020-12 core, sections 10.3.1 and 11.2; 2019-09 core, sections 9.3.1 (``contains`` evaluates nothing there)."""
    latest = "prefixItems" in judge.VALIDATORS
    items, everything = schema.get("items"), set(range(len(value)))
    if itself and "unevaluatedItems" in schema:
        return everything
    if isinstance(items, list):
        return everything if "additionalItems" in schema else set(range(min(len(items), len(value))))
    if items is not None:
        return everything
    found = set(range(min(len(schema.get("prefixItems", [])), len(value)))) if latest else set()
    if latest and "contains" in schema:
        found |= {i for i in everything if judge.evolve(schema=schema["contains"]).is_valid(value[i])}
    return found


def lookup_recursive_ref(resolver: Any) -> Any:
    from referencing.jsonschema import lookup_recursive_ref as lookup

    return lookup(resolver)


EVERYWHERE = {"uniqueItems": unique_items}
UNEVALUATED = {"unevaluatedItems": unevaluated_items, "unevaluatedProperties": unevaluated_properties}
PLAIN_JUDGES = {
    "draft4": jsonschema.Draft4Validator,
    "draft6": jsonschema.Draft6Validator,
    "draft7": jsonschema.Draft7Validator,
    "draft2019-09": jsonschema.Draft201909Validator,
    "draft2020-12": jsonschema.Draft202012Validator,
}
CORRECTIONS: dict[str, dict[str, Any]] = {
    "draft4": EVERYWHERE,
    "draft6": EVERYWHERE | {"additionalItems": additional_items},
    "draft7": EVERYWHERE | {"additionalItems": additional_items},
    "draft2019-09": EVERYWHERE | UNEVALUATED | {"additionalItems": additional_items},
    "draft2020-12": EVERYWHERE | UNEVALUATED,
}
JUDGES = {draft: jsonschema.validators.extend(judge, CORRECTIONS[draft]) for draft, judge in PLAIN_JUDGES.items()}


# -- instances ----------------------------------------------------------------------------------------------------------------------


def instance(sample: Sample, random: Random) -> Any:
    """A value that the schema asks for as far as this can be seen locally, sometimes changed in one place."""
    value = wanted(sample.schema, sample, random, 6)
    return changed(value, random) if random.random() < 0.5 else value


def anything(random: Random, depth: int = 2) -> Any:
    if depth and random.random() < 0.3:
        items = [anything(random, depth - 1) for _ in range(random.randrange(3))]
        return items if random.random() < 0.5 else dict(zip(random.sample(NAMES + OTHER_NAMES, len(items)), items, strict=True))
    return random.choice([None, True, False, random.choice(NUMBERS), random.choice(STRINGS), random.choice(CONSTANTS)])


def flattened(schema: Any, sample: Sample, random: Random, depth: int) -> dict[str, Any]:
    """The keywords of a schema and of what is applied in place, one branch of each choice, in one dict."""
    if not isinstance(schema, dict) or depth == 0:
        return {}
    parts = [schema]
    if "$ref" in schema or "$dynamicRef" in schema or "$recursiveRef" in schema:
        parts.append(flattened(target(schema.get("$ref", "#"), sample), sample, random, depth - 1))
    branches = [*schema.get("allOf", [])]
    branches += [random.choice(schema[keyword]) for keyword in ("anyOf", "oneOf") if keyword in schema]
    branches += [schema[keyword] for keyword in random.choice([("if", "then"), ("else",)]) if keyword in schema]
    parts += [flattened(branch, sample, random, depth - 1) for branch in branches]
    merged: dict[str, Any] = {}
    for part in parts:
        for keyword, value in part.items():
            if keyword in ("properties", "patternProperties", "dependentRequired") and isinstance(value, dict):
                merged[keyword] = {**value, **merged.get(keyword, {})}
            elif keyword == "required":
                merged[keyword] = [*merged.get(keyword, []), *value]
            else:
                merged.setdefault(keyword, value)
    return merged


def target(reference: str, sample: Sample) -> Any:
    number = re.search(r"[dA]([0-9])$", reference)
    return sample.schema.get("$defs", sample.schema.get("definitions", {}))[f"d{number[1]}"] if number else sample.schema


KIND_OF = {
    **dict.fromkeys(
        ["properties", "required", "additionalProperties", "minProperties", "unevaluatedProperties", "propertyNames"], "object"
    ),
    **dict.fromkeys(["items", "prefixItems", "contains", "minItems", "uniqueItems", "unevaluatedItems"], "array"),
    **dict.fromkeys(["pattern", "minLength", "maxLength", "format"], "string"),
    **dict.fromkeys(["minimum", "maximum", "multipleOf"], "number"),
}


def wanted(schema: Any, sample: Sample, random: Random, depth: int) -> Any:
    merged = flattened(schema, sample, random, 4)
    if not merged or depth == 0:
        return anything(random, min(depth, 2))
    if "const" in merged or "enum" in merged:
        return random.choice([merged["const"]] if "const" in merged else merged["enum"])
    kind = merged.get("type") or random.choice([KIND_OF[k] for k in merged if k in KIND_OF] or TYPES)
    match random.choice(kind) if isinstance(kind, list) else kind:
        case "null":
            return None
        case "boolean":
            return random.random() < 0.5
        case "string":
            return wanted_scalar(merged, STRINGS + [random.choice(STRINGS) + random.choice(STRINGS) for _ in range(4)], random)
        case "array":
            return wanted_array(merged, sample, random, depth)
        case "object":
            return wanted_object(merged, sample, random, depth)
        case kind:
            more = [random.randint(-20, 120), 30 * random.randint(-3, 9), random.randint(-2000, 12000) / 100]
            return wanted_scalar(merged, (INTEGERS if kind == "integer" else NUMBERS) + more[: 2 if kind == "integer" else 3], random)


LOCAL = frozenset(
    ["pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"]
)


def wanted_scalar(merged: dict[str, Any], candidates: list[Any], random: Random) -> Any:
    """One of a few candidates that satisfies the keywords of strings and numbers, if there is one."""
    local = {k: v for k, v in merged.items() if k in LOCAL}
    judge = JUDGES["draft4" if any(isinstance(v, bool) for v in local.values()) else "draft2020-12"]
    chosen = random.sample(candidates, 6)
    return next(
        (value for value in chosen if judge(local, format_checker=jsonschema.FormatChecker(FORMATS[:3])).is_valid(value)), chosen[0]
    )


def wanted_array(merged: dict[str, Any], sample: Sample, random: Random, depth: int) -> list[Any]:
    first, rest = merged.get("prefixItems", []), merged.get("items", merged.get("unevaluatedItems", True))
    if isinstance(rest, list):
        first, rest = rest, merged.get("additionalItems", merged.get("unevaluatedItems", True))
    least = merged.get("minItems", 0)
    most = min(merged.get("maxItems", 4), len(first) if rest is False else 4)
    items = [
        wanted(first[i] if i < len(first) else rest, sample, random, depth - 1)
        for i in range(random.randint(min(least, most), max(least, most)))
    ]
    if "contains" in merged and random.random() < 0.8:
        for _ in range(merged.get("minContains", 1)):
            items.insert(random.randint(min(len(first), len(items)), len(items)), wanted(merged["contains"], sample, random, depth - 1))
    return items


def wanted_object(merged: dict[str, Any], sample: Sample, random: Random, depth: int) -> dict[str, Any]:
    properties, other = merged.get("properties", {}), merged.get("additionalProperties", merged.get("unevaluatedProperties", True))
    required = merged.get("required", [])
    keys = [k for k in properties if k in required or (random.random() < 0.5 and properties[k] is not False)]
    keys += [k for k in required if k not in properties]
    for key in list(keys):
        keys += merged.get("dependentRequired", {}).get(key, [])
    if random.random() < (0.4 if other is not False else 0.1) or len(keys) < merged.get("minProperties", 0):
        keys += random.sample(NAMES + OTHER_NAMES, random.randint(1, 2))
    return {k: wanted(schema_of(k, merged, properties, other), sample, random, depth - 1) for k in dict.fromkeys(keys)}


def schema_of(key: str, merged: dict[str, Any], properties: dict[str, Any], other: Any) -> Any:
    matching = [sub for pattern, sub in merged.get("patternProperties", {}).items() if re.search(pattern, key)]
    return properties.get(key, matching[0] if matching else other)


def changed(value: Any, random: Random) -> Any:
    """The value with one random change somewhere."""
    chance = random.random()
    if isinstance(value, list) and chance < 0.85:
        i = random.randrange(len(value) + 1)
        here = value[i : i + 1]
        return random.choice(
            [
                value[:i] + value[i + 1 :],
                [*value, anything(random)],
                [*value[:i], *here, *here, *value[i + 1 :]],
                value[::-1],
                [*value[:i], *(changed(v, random) for v in here), *value[i + 1 :]],
                [*value[:i], *(changed(v, random) for v in here), *value[i + 1 :]],
            ]
        )
    if isinstance(value, dict) and chance < 0.85:
        chosen = random.choice([*value, *value, *OTHER_NAMES, *NAMES])
        without = {k: v for k, v in value.items() if k != chosen}
        if chosen not in value:
            return {**value, chosen: anything(random)}
        renamed = {**without, random.choice(NAMES + OTHER_NAMES): value[chosen]}
        return random.choice(
            [without, renamed, {**value, chosen: changed(value[chosen], random)}, {**value, chosen: changed(value[chosen], random)}]
        )
    if isinstance(value, str) and chance < 0.7:
        return random.choice([value + "a", value[1:], value[:-1], value * 2, "1" + value, value + "\n", value + "\ud83d", value.swapcase()])
    if isinstance(value, (int, float)) and not isinstance(value, bool) and chance < 0.8:
        return random.choice([value + 1, value - 1, -value, value + 0.5, value - 0.01, value * 10, value / 4])
    return random.choice([anything(random), [value], {random.choice(NAMES): value}, str(value)])


# -- spellings ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spelling:
    """One way to write values; ``spaces`` are drawn at each gap, one member of an object in ``twice`` is written twice."""

    random: Random
    spaces: tuple[str, ...] = ("",)
    escapes: float = 0.0
    twice: float = 0.0

    def write(self, value: Any) -> str:
        match value:
            case dict():
                members = [f"{self.text(k)}:{self.gap()}{self.write(v)}" for k, v in value.items()]
                if members and self.random.random() < self.twice:
                    key, repeated = self.random.choice(list(value.items()))
                    members.insert(self.random.randint(0, len(members)), f"{self.text(key)}:{self.gap()}{self.write(repeated)}")
                return self.enclosed("{", members, "}")
            case list():
                return self.enclosed("[", [self.write(item) for item in value], "]")
            case str():
                return self.text(value)
            case bool() | None:
                return json.dumps(value)
        return self.number(value)

    def enclosed(self, left: str, parts: list[str], right: str) -> str:
        if not parts:
            return left + self.gap() + right
        return (
            left
            + self.gap()
            + "".join(f",{self.gap()}" if i % 2 else parts[i // 2] for i in range(2 * len(parts) - 1))
            + self.gap()
            + right
        )

    def gap(self) -> str:
        return self.random.choice(self.spaces)

    def text(self, text: str) -> str:
        return f'"{"".join(map(self.character, text))}"'

    def character(self, c: str) -> str:
        if 0xD800 <= ord(c) < 0xE000 or self.random.random() < self.escapes:
            units = c.encode("utf-16-be", "surrogatepass").hex()
            written = "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
            return written if self.random.random() < 0.5 else written.upper().replace("U", "u")
        return "\\/" if c == "/" and self.random.random() < 0.5 else json.dumps(c, ensure_ascii=False)[1:-1]

    def number(self, value: int | float) -> str:
        chance = self.random.random()
        if chance < 0.15 and value == int(value) and abs(value) < 1e15:
            return f"{int(value)}.{'0' * self.random.randint(1, 3)}"
        if chance < 0.25:
            mantissa = Decimal(repr(value)).normalize()
            return f"{mantissa:e}".replace("e", self.random.choice("eE"))
        return json.dumps(value)


def has_plain_numbers(text: str) -> bool:
    """Whether all numbers are within every envelope of digits: no exponent, few digits, at most six zeros behind the point."""
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    return all(re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", number) for number in re.findall(r"-?[0-9][-+0-9.eE]*", outside))
