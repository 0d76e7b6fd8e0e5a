"""JSON Schema against the jsonschema library, the official suite where it is at hand, and the promises of the docstrings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from types import MappingProxyType
from typing import Any

import jsonschema
import numpy as np
import pytest
import referencing
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import validator_for

from structgen.automata import ir
from structgen.automata.analysis import children
from structgen.compiler import compile
from structgen.errors import GrammarSyntaxError, LimitExceeded, StructgenError, UnsatisfiableSchema, UnsupportedSchema
from structgen.grammars.json_schema import json_schema
from structgen.vocabulary import Vocabulary
from tests.reference.matcher import machine, matches

DRAFT4 = "http://json-schema.org/draft-04/schema#"
DRAFT7 = "http://json-schema.org/draft-07/schema#"
DRAFT2019 = "https://json-schema.org/draft/2019-09/schema"
SUITE = Path(__file__).parents[3] / "shared" / "suite" / "tests"


def accepts(schema: Any, text: str, **options: Any) -> bool:
    return matches(json_schema(schema, **options).expr, text.encode())


def accepts_some_order(expr: ir.Expr, value: Any) -> bool:
    """Whether the expression matches the value with the keys of its objects in some order: a search along what can be read."""
    m = machine(expr)

    def read(state: Any, text: str) -> Any:
        for byte in text.encode("utf-8", "surrogatepass"):
            state = m.step(state, byte) if state else state
        return state

    def write(state: Any, value: Any) -> Iterator[Any]:
        """The live states after the value, over all orders of its keys."""
        if isinstance(value, list):
            yield from items(read(state, "["), value, "")
        elif isinstance(value, dict):
            yield from members(read(state, "{"), value, "")
        elif after := read(state, json.dumps(value, ensure_ascii=False)):
            yield after

    def items(state: Any, rest: list[Any], separator: str) -> Iterator[Any]:
        if not rest:
            yield from [end] if (end := read(state, "]")) else []
            return
        for after in write(read(state, separator), rest[0]):
            yield from items(after, rest[1:], ", ")

    def members(state: Any, rest: dict[str, Any], separator: str) -> Iterator[Any]:
        if not rest:
            yield from [end] if (end := read(state, "}")) else []
            return
        for key in rest:
            if here := read(state, f"{separator}{json.dumps(key, ensure_ascii=False)}: "):
                for after in write(here, rest[key]):
                    yield from members(after, {k: v for k, v in rest.items() if k != key}, ", ")

    return any(m.is_accepting(state) for state in write(m.start, value))


def is_valid(schema: Any, value: Any) -> bool:
    checker = (
        validator_for(schema, default=jsonschema.Draft202012Validator) if isinstance(schema, dict) else jsonschema.Draft202012Validator
    )
    return bool(checker(schema, format_checker=checker.FORMAT_CHECKER).is_valid(value))


# -- the same instances as jsonschema accepts ---------------------------------------------------------------------------------

VALUES: list[Any] = [None, True, False, 0, 1, -3, 2.5, 10, 1e3, "", "a", "ab", "abc", "é😀", [], [1], [1, 1], [1, "a"], ["a", "b"], [[]]]
VALUES += [{}, {"a": 1}, {"a": "x"}, {"a": 1, "b": 2}, {"b": 2}, {"b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3}, {"a": {"a": 1}}, {"": 0}]
VALUES += [
    ["a", "a"],
    [1, 2, 3],
    [3, 2, 1, 0],
    [None, True],
    {"a": None, "xa": 1},
    {"xa": "s"},
    {"a": [1, 2]},
    {"b": {"b": {}}},
    "2024-02-29",
]

SCHEMAS: list[Any] = [
    True,
    {},
    {"type": "integer"},
    {"type": ["integer", "string", "null"]},
    {"type": ["number", "integer"]},
    {"type": "boolean"},
    {"type": "object"},
    {"type": "array"},
    {"minimum": 1, "exclusiveMaximum": 10},
    {"type": "number", "multipleOf": 0.5},
    {"type": "integer", "multipleOf": 3},
    {"minLength": 2, "maxLength": 3},
    {"pattern": "^a"},
    {"type": "string", "pattern": "b", "maxLength": 2},
    {"format": "date"},
    {"enum": [1, "a", None, [1], {"a": 1}]},
    {"const": {"a": [1, 2]}},
    {"const": 1.0},
    {"const": False},
    {"items": {"type": "integer"}},
    {"prefixItems": [{"type": "integer"}, {"type": "string"}]},
    {"prefixItems": [{"const": 1}], "items": False},
    {"prefixItems": [{"const": 1}, {}], "items": {"const": 3}, "minItems": 1},
    {"minItems": 2, "maxItems": 3},
    {"contains": {"const": 1}},
    {"contains": {"type": "integer"}, "minContains": 2, "maxContains": 3},
    {"contains": {"const": 1}, "maxContains": 1, "items": {"type": "integer"}},
    {"uniqueItems": True, "items": {"type": "string"}},
    {"uniqueItems": True, "items": {"enum": [1, 2, 3, 0]}},
    {"uniqueItems": True, "items": {"enum": ["a", "b"]}},
    {"properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]},
    {"properties": {"a": {}, "b": {}}, "additionalProperties": False},
    {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
    {"properties": {"a": {}, "b": False}},
    {"properties": {"a": {"properties": {"a": {"const": 1}}}}},
    {"required": ["a", "b"]},
    {"required": ["c"], "additionalProperties": False, "properties": {"a": {}}, "type": ["object", "null"]},
    {"patternProperties": {"^x": {"type": "integer"}, "a$": {"type": ["integer", "null"]}}},
    {"patternProperties": {"^x": {}, "^a$": {"type": "integer"}}, "additionalProperties": False},
    {"propertyNames": {"maxLength": 1}},
    {"patternProperties": {"^a$": {"type": "integer"}, "^b$": {"const": 2}, "^c$": {}}, "additionalProperties": {"type": "string"}},
    {"propertyNames": {"enum": ["a", "b"]}, "properties": {"c": {}}},
    {"minProperties": 1, "maxProperties": 2},
    {"properties": {"a": {}, "b": {}}, "minProperties": 2, "maxProperties": 2},
    {"properties": {"a": {}, "b": {}, "c": {}}, "required": ["b"], "maxProperties": 2},
    {"dependentRequired": {"a": ["b"]}},
    {"dependentSchemas": {"a": {"properties": {"a": {"type": "integer"}}}}},
    {"$schema": DRAFT7, "dependencies": {"a": ["b"], "c": {"minProperties": 2}}},
    {"anyOf": [{"type": "string"}, {"minimum": 2}]},
    {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}},
    {"allOf": [{"minimum": 1}, {"maximum": 5}, {"type": "integer"}]},
    {"allOf": [{"properties": {"a": {"minimum": 1}}}, {"properties": {"a": {"type": "integer"}, "b": {}}}]},
    {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    {"oneOf": [{"multipleOf": 2}, {"minimum": 1}]},
    {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    {
        "type": "object",
        "required": ["a"],
        "oneOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"a": {"const": "x"}}, "required": ["b"]}],
    },
    {
        "oneOf": [
            {"properties": {"a": {"const": 1}}, "required": ["a"]},
            {"properties": {"a": {"enum": ["x", 1]}}, "maxProperties": 1},
            {"items": False},
        ]
    },
    {"not": {"propertyNames": {"maxLength": 1}}, "minProperties": 2},
    {"oneOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"a": {"const": "x"}}, "required": ["a"]}]},
    {"not": {"type": "string"}},
    {"not": {"properties": {"a": {"type": "string"}}}},
    {"not": {"items": {"type": "integer"}}},
    {"not": {"required": ["a"]}},
    {"not": {"additionalProperties": {"type": "integer"}}},
    {"not": {"patternProperties": {"^x": {"type": "string"}}}},
    {"not": {"minLength": 2}},
    {"not": {"pattern": "a"}},
    {"not": {"enum": [1, "a", [1], {"a": 1}]}},
    {"not": {"multipleOf": 2}},
    {"not": {"contains": {"const": 1}}},
    {"not": {"minProperties": 1}},
    {"not": {"propertyNames": {"maxLength": 1}}},
    {"not": {"anyOf": [{"type": "object"}, {"type": "array"}]}},
    {"not": {"oneOf": [{"type": "integer"}, {"minimum": 2}]}},
    {"not": {"not": {"type": "integer"}}},
    {"if": {"type": "integer"}, "then": {"minimum": 1}, "else": {"not": {"type": "string"}}},
    {"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}},
    {"properties": {"a": {}}, "unevaluatedProperties": False},
    {"anyOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {}}, "required": ["b"]}], "unevaluatedProperties": False},
    {"prefixItems": [{}], "unevaluatedItems": {"type": "integer"}},
    {"contains": {"const": 1}, "unevaluatedItems": False},
    {"$defs": {"n": {"properties": {"b": {"$ref": "#/$defs/n"}}, "additionalProperties": False}}, "$ref": "#/$defs/n"},
    {"$defs": {"t": {"items": {"$ref": "#/$defs/t"}, "type": "array"}}, "anyOf": [{"$ref": "#/$defs/t"}, {"type": "null"}]},
    {"$ref": "#/$defs/a", "$defs": {"a": {"$anchor": "x", "minimum": 1}, "b": {"$ref": "#x"}}, "type": "number"},
    {"$schema": DRAFT7, "items": [{"const": 1}, {"type": "string"}], "additionalItems": False},
    {"$schema": DRAFT7, "definitions": {"a": {"type": "integer"}}, "properties": {"a": {"$ref": "#/definitions/a", "minimum": 5}}},
    {"$schema": DRAFT4, "minimum": 1, "exclusiveMinimum": True, "maximum": 10},
    {"$schema": DRAFT2019, "items": [{}], "unevaluatedItems": False},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: json.dumps(s)[:60])
def test_accepts_what_jsonschema_accepts(schema: Any) -> None:
    expr = json_schema(schema).expr
    for value in VALUES:
        assert accepts_some_order(expr, value) == is_valid(schema, value), value


KEYWORDS = st.deferred(
    lambda: st.one_of(
        st.fixed_dictionaries({"not": NODES}),
        st.fixed_dictionaries({"anyOf": st.lists(NODES, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"oneOf": st.lists(NODES, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"if": NODES, "then": NODES, "else": NODES}),
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("ab"), NODES, max_size=2)}),
        st.fixed_dictionaries({"additionalProperties": NODES}),
        st.fixed_dictionaries({"patternProperties": st.dictionaries(st.sampled_from(["^x", "a"]), NODES, max_size=2)}),
        st.fixed_dictionaries({"items": NODES, "prefixItems": st.lists(NODES, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"contains": NODES}),
        st.fixed_dictionaries({"unevaluatedProperties": NODES, "properties": st.just({"a": {}})}),
        st.sampled_from([{"type": t} for t in ("null", "integer", "number", "string", "array", "object")]),
        st.sampled_from([{"required": ["a"]}, {"required": ["a", "b"]}, {"maxProperties": 1}, {"minProperties": 2}, {"minItems": 2}]),
        st.sampled_from([{"const": 1}, {"enum": ["a", 1, None]}, {"minimum": 1}, {"maxLength": 1}, {"multipleOf": 2}, {"const": {"a": 1}}]),
    )
)
NODES: st.SearchStrategy[Any] = st.booleans() | st.builds(lambda a, b: {**a, **b}, KEYWORDS, KEYWORDS) | KEYWORDS


@given(schema=NODES)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_whole_algebra_agrees_with_jsonschema(schema: Any) -> None:
    try:
        expr = json_schema(schema).expr
    except UnsatisfiableSchema:
        assert not any(is_valid(schema, value) for value in VALUES)
        return
    except UnsupportedSchema:
        return
    for value in VALUES:
        assert accepts_some_order(expr, value) == is_valid(schema, value), value


@pytest.mark.skipif(not SUITE.exists(), reason="the official suite is not at hand")
@pytest.mark.parametrize("draft", ["draft4", "draft6", "draft7", "draft2019-09", "draft2020-12"])
def test_official_suite_is_decided_right_or_refused(draft: str) -> None:
    n_right = 0
    for path in sorted((SUITE / draft).glob("*.json")):
        if path.name in ("format.json", "vocabulary.json", "refRemote.json"):
            continue
        for group in json.loads(path.read_text()):
            schema = group["schema"]
            if isinstance(schema, dict) and draft in ("draft4", "draft6", "draft7"):
                schema = {"$schema": f"http://json-schema.org/draft-0{draft[-1]}/schema#", **schema}
            check = suite_check(schema)
            for case in group["tests"] if check else []:
                assert check is not None
                assert check(case["data"]) == case["valid"], (path.name, group["description"], case["description"])
                n_right += 1
    assert n_right > {"draft4": 500, "draft6": 650, "draft7": 700}.get(draft, 950)


def suite_check(schema: Any) -> Callable[[Any], bool] | None:
    try:
        expr = json_schema(schema).expr
    except UnsatisfiableSchema:
        return lambda value: False
    except (UnsupportedSchema, LimitExceeded):
        return None

    return lambda value: accepts_some_order(expr, value)


# -- texts --------------------------------------------------------------------------------------------------------------------

OBJECT = {"properties": {"a": {}, "b": {"items": {"type": "integer"}}}, "type": "object"}


@pytest.mark.parametrize(
    ("style", "accepted", "rejected"),
    [
        (
            "bounded",
            ['{"a": 1, "b": [1, 2]}', '{"a":1,"b":[1]}', '{\n  "a": 1\n}', '{\r\n\t"a": 1}', "{ }", "[]"],
            ["{  }", '{"a" :1}', "{}\n", " {}"],
        ),
        ("compact", ['{"a":1,"b":[1,2]}', "{}"], ['{"a": 1}', "{ }", '{"a":1, "b":[]}']),
        ("one-space", ['{"a": 1, "b": [1, 2]}', "{}"], ['{"a":1}', '{ "a": 1}', '{"a": 1,"b": []}']),
        ("any", ['{\n\n   "a"  :\t1  ,"b":[ ]  }', "{}"], [" {}", "{} "]),
        (
            {"indent": 2},
            ['{\n  "a": 1,\n  "b": [\n    1,\n    2\n  ]\n}', "{}", '{\n  "b": []\n}'],
            ['{"a": 1}', '{\n   "a": 1\n}', '{\n  "a": 1}'],
        ),
    ],
)
def test_whitespace_styles(style: Any, accepted: list[str], rejected: list[str]) -> None:
    schema = {"anyOf": [OBJECT, {"type": "array"}]}
    assert [text for text in accepted if not accepts(schema, text, whitespace=style)] == []
    assert [text for text in rejected if accepts(schema, text, whitespace=style)] == []


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(10**19), 10**19) | st.text(max_size=3),
        lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=2), v, max_size=3),
        max_leaves=8,
    )
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_output_of_json_dumps_is_accepted(value: Any) -> None:
    for style, dumps in [
        ("bounded", {}),
        ("bounded", {"indent": 4}),
        ("bounded", {"separators": (",", ":")}),
        ("one-space", {"ensure_ascii": False}),
        ("compact", {"separators": (",", ":")}),
        ({"indent": 3}, {"indent": 3}),
    ]:
        assert accepts({}, json.dumps(value, **dumps), whitespace=style), (style, dumps)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        ({}, '{"a": 1, "a": 2}', False),
        ({}, '{"a": 1, "\\u0061": 2}', False),
        ({"properties": {"a": {}}}, '{"a": 1, "a": 2}', False),
        ({"properties": {"a": {}}}, '{"\\u0061": 1}', True),
        ({"properties": {"é": {}}, "additionalProperties": False}, '{"\\u00e9": 1}', True),
        ({"type": "string"}, '"\\ud800"', False),
        ({"type": "string"}, '"\\ud83d\\ude00"', True),
        ({"type": "string", "maxLength": 1}, '"\\ud83d\\ude00"', True),
        ({"type": "string"}, '"a\nb"', False),
        ({"const": "a/b"}, '"a\\/b"', True),
        ({"type": "integer"}, "1.0", True),
        ({"$schema": DRAFT4, "type": "integer"}, "1.0", False),
        ({"$schema": DRAFT4, "not": {"type": "integer"}}, "1.0", True),
        ({"type": "number"}, "01", False),
        ({"type": "number"}, "1e-05", True),
        ({"enum": [100]}, "1e2", True),
        ({"properties": {"a": {}, "b": {}}}, '{"b": 1, "a": 2}', False),
        ({"properties": {"a": {}}}, '{"z": 1, "a": 2}', False),
    ],
)
def test_texts(schema: Any, text: str, expected: bool) -> None:
    assert accepts(schema, text) is expected


def test_default_limits_and_lifting_them() -> None:
    assert accepts({"type": "string"}, json.dumps("x" * 65_536))
    assert not accepts({"type": "string"}, json.dumps("x" * 65_537))
    assert accepts({"type": "string"}, json.dumps("x" * 65_537), limits={"string_length": None})
    assert accepts({"type": "string", "maxLength": 70_000}, json.dumps("x" * 70_000))
    assert not accepts({"type": "integer"}, "1" * 30)
    assert accepts({"type": "integer"}, "1" * 30, limits={"max_integer_digits": None})
    assert accepts({"const": 10**30}, str(10**30))
    assert not accepts({"type": "string"}, '"abc"', limits={"string_length": 2})


def test_formats_are_assertions_unless_asked() -> None:
    schema = {"type": "string", "format": "date"}
    assert not accepts(schema, '"x"')
    assert accepts(schema, '"x"', formats="annotation")
    assert accepts(schema, '"x"', formats=False)
    assert accepts({"format": "no such format"}, '"x"')


# -- errors -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "keyword", "pointer"),
    [
        ({"properties": {"a/b": {"items": {"uniqueItems": True, "contains": {}}}}}, "uniqueItems", "/properties/a~1b/items/uniqueItems"),
        ({"properties": {"a": {"pattern": "(?<=x)y("}}}, "pattern", "/properties/a/pattern"),
        ({"$ref": "other.json"}, "$ref", "/$ref"),
        ({"items": {"$ref": "#/nowhere"}}, "$ref", "/items/$ref"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "$ref", ""),
        ({"allOf": [{"type": "strin"}]}, "type", "/allOf/0/type"),
        ({"minLength": -1}, "minLength", "/minLength"),
        ({"minLength": "3"}, "minLength", "/minLength"),
        ({"multipleOf": 0}, "multipleOf", "/multipleOf"),
        ({"required": "a"}, "required", "/required"),
        ({"enum": 3}, "enum", "/enum"),
        ({"anyOf": []}, "anyOf", "/anyOf"),
        ({"properties": []}, "properties", "/properties"),
        ({"properties": {"a": 3}}, "", "/properties/a"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "$schema", "/$schema"),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", "items": [{}]}, "items", "/items"),
        ({"properties": {"a": {"const": {1: 2}}}}, "", "/properties/a/const"),
        ({"properties": {1: {}}}, "", "/properties"),
        ({"items": {"$ref": "#/anyOf/" + "9" * 5000}}, "$ref", "/items/$ref"),
        ({"prefixItems": [{}], "$ref": "#/prefixItems/00"}, "$ref", "/$ref"),
        ({"prefixItems": [{}], "$ref": "#/prefixItems/\u0660"}, "$ref", "/$ref"),
    ],
)
def test_refusals_name_keyword_and_place(schema: Any, keyword: str, pointer: str) -> None:
    with pytest.raises(UnsupportedSchema) as error:
        json_schema(schema)
    assert error.value.keyword == keyword
    assert pointer in ("", error.value.pointer)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "object", "required": ["a"], "propertyNames": {"maxLength": 0}},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False, "minProperties": 2},
        {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True, "minItems": 3},
        {"type": "array", "minItems": 1, "items": False},
        {"type": "string", "enum": [1]},
        {"type": "string", "pattern": "^a$", "minLength": 2},
        {"const": 1, "not": {"type": "number"}},
        {"oneOf": [{}, {}]},
        {"type": "number", "multipleOf": 5, "minimum": 1, "maximum": 4},
    ],
    ids=json.dumps,
)
def test_unsatisfiable_schemas(schema: Any) -> None:
    with pytest.raises(UnsatisfiableSchema):
        json_schema(schema)


@pytest.mark.parametrize("order", ["declared", "any"])
def test_names_with_lone_surrogates_are_never_written(order: str) -> None:
    lone = "\ud800"
    schema = {"type": "object", "properties": {lone: True, "a": True}, "additionalProperties": False}
    constraint = json_schema(schema, property_order=order)
    automaton = compile(constraint, Vocabulary.from_bytes([bytes([b]) for b in range(256)], eos_token_id=256))

    def fits(text: bytes) -> bool:
        state = automaton.initial
        for byte in text:
            state = automaton.advance(state, byte) if state != automaton.dead else state
        return automaton.is_accepting(state)

    assert fits(b'{"a": 1}')
    assert not fits(b'{"\xed\xa0\x80": 1}')
    assert not fits(b'{"\\ud800": 1}')
    assert any("surrogate" in str(warning) and "/properties" in str(warning) for warning in constraint.report.warnings)
    if order == "declared":
        assert accepts({"type": ["object", "null"], "required": [lone]}, "null")
        assert accepts({"enum": [{lone: 1}, lone, "a"]}, '"a"')
    never: list[Any] = [{"type": "object", "required": [lone]}, {"const": {lone: 1}}, {"const": lone}]
    never.append({"type": "object", "not": {"properties": {lone: False}}})
    for schema in never:
        with pytest.raises(UnsatisfiableSchema, match=r"ud800.*surrogate"):
            json_schema(schema, property_order=order)


HUGE = 10**30


@pytest.mark.parametrize("kind", ["array", "string", "object"])
def test_huge_bounds(kind: str) -> None:
    name = {"array": "Items", "string": "Length", "object": "Properties"}[kind]
    small = {"array": "[1]", "string": '"a"', "object": '{"a": 1}'}[kind]
    assert accepts({"type": kind, f"max{name}": HUGE}, small)
    assert accepts({"type": kind, "not": {f"min{name}": 10**9}}, small)
    assert not accepts({"type": kind, "not": {f"max{name}": 10**9}}, small)
    with pytest.raises(LimitExceeded, match=f"/items/min{name}"):
        json_schema({"items": {f"min{name}": HUGE}})
    if kind == "string":
        assert accepts({"type": kind, "maxLength": HUGE}, json.dumps("a" * 10_001))


def test_numbers_and_mappings_of_other_libraries() -> None:
    point = MappingProxyType({"type": "object", "properties": MappingProxyType({"x": MappingProxyType({"type": "null"})})})
    assert accepts(MappingProxyType({"items": point}), '[{"x": null}]')
    assert not accepts(MappingProxyType({"items": point}), '[{"x": 1}]')
    for three in (np.float64(3), np.float32(3), np.int64(3)):
        assert accepts({"minimum": three, "type": "number"}, "3")
        assert not accepts({"minimum": three, "type": "number"}, "2")
        assert accepts({"enum": [three]}, "3")


@pytest.mark.parametrize(
    ("schema", "accepted", "rejected"),
    [
        ({"enum": list(range(100_000))}, "99999", "100000"),
        ({"enum": [1, 2, 3, 3.5, 5, 7, 8]}, "3.5", "4"),
        ({"anyOf": [{"const": f"c{i}"} for i in range(5_000)]}, '"c4999"', '"c5000"'),
        ({"type": "string", "minLength": 10**6, "maxLength": 10**7, "pattern": "^(ab)*$"}, None, '"abab"'),
        (
            {"oneOf": [{"type": "object", "properties": {"t": {"const": f"k{i}"}}, "required": ["t"]} for i in range(400)]},
            '{"t": "k7"}',
            '{"t": "k400"}',
        ),
    ],
    ids=["numbers", "runs of numbers", "constants", "long strings", "tags"],
)
def test_large_schemas_compile_in_time(schema: Any, accepted: str | None, rejected: str) -> None:
    start = process_time()
    expr = json_schema(schema).expr
    assert not matches(expr, rejected.encode())
    assert accepted is None or matches(expr, accepted.encode())
    assert process_time() - start < 8


@given(tags=st.lists(st.dictionaries(st.sampled_from("ab"), st.lists(st.integers(0, 2), min_size=1, max_size=2), max_size=2), max_size=4))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_one_of_with_tags_agrees_with_jsonschema(tags: list[dict[str, list[int]]]) -> None:
    branches = [{"properties": {t: {"enum": v} for t, v in tag.items()}, "required": list(tag), "type": "object"} for tag in tags]
    schema = {"oneOf": [*branches, {"required": ["c"], "type": "object"}]}
    check = suite_check(schema)
    assert check is not None
    for value in ({}, {"c": 0}, *({"a": i, "b": j} for i in range(3) for j in range(3)), {"a": 0, "c": 0}, {"b": 1, "a": 1, "c": 1}):
        assert check(value) == is_valid(schema, value), value


def nested(depth: int, wrap: Callable[[Any], Any], inner: Any) -> Any:
    for _ in range(depth):
        inner = wrap(inner)
    return inner


HOSTILE: dict[str, Callable[[], Any]] = {
    "deep properties": lambda: nested(20_000, lambda s: {"properties": {"a": s}}, {}),
    "deep not": lambda: nested(20_000, lambda s: {"not": s}, {}),
    "deep allOf": lambda: nested(20_000, lambda s: {"allOf": [s]}, {}),
    "deep constant": lambda: {"const": nested(20_000, lambda s: [s], 1)},
    "deep unfinished text": lambda: "[" * 100_000,
    "deep text": lambda: '{"not":' * 100_000 + "{}" + "}" * 100_000,
    "long chain of references": lambda: {"$defs": {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(5000)}, "$ref": "#/$defs/0"},
    "infinity": lambda: {"maximum": float("inf")},
    "NaN": lambda: '{"maximum": NaN}',
    "huge exponent": lambda: '{"maximum": 1e999999999}',
    "huge integer": lambda: '{"maximum": ' + "9" * 10_000 + "}",
    "duplicate key": lambda: '{"type": "string", "type": "integer"}',
    "no JSON": lambda: "{'type': 'string'}",
    "product of oneOf": lambda: {"allOf": [{"oneOf": [{"required": [f"{i}a"]}, {"required": [f"{i}b"]}]} for i in range(16)]},
    "product of anyOf": lambda: {"allOf": [{"anyOf": [{"required": [f"{i}{j}"]} for j in range(6)]} for i in range(8)]},
    "overlapping patterns": lambda: {"patternProperties": {f"{c}.*": {"minimum": i} for i, c in enumerate("abcdefghijklmnopqrst")}},
    "wrong type": lambda: {"type": 3},
    "no JSON value": lambda: {"enum": [{1, 2}]},
    "array": lambda: [],
    "bytes": lambda: b"{}",
    "exponent beyond decimals": lambda: '{"minimum": 1e99999999999999999999999}',
    "many values": lambda: {"enum": list(range(1_000_000))},
    "many numbers": lambda: {"enum": list(range(0, 90_000, 3))},
    "many properties": lambda: {"properties": {str(i): {"minimum": i} for i in range(100_000)}},
    "many names": lambda: {"required": [str(i) for i in range(100_000)]},
    "mapping in itself": lambda: cyclic(),
}


def cyclic() -> Any:
    schema: dict[str, Any] = {}
    schema["items"] = MappingProxyType({"not": schema})
    return schema


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_schemas_are_refused_in_time(name: str) -> None:
    with pytest.raises(StructgenError):
        json_schema(HOSTILE[name]())


@pytest.mark.parametrize(
    "options",
    [
        {"property_order": "sorted"},
        {"whitespace": "lots"},
        {"whitespace": "indent=\u00b2"},
        {"whitespace": "indent=" + "9" * 5000},
        {"formats": "yes"},
        {"formats": 1},
        {"limits": {"x": 1}},
        {"limits": 5},
        {"limits": {"string_length": "x"}},
        {"limits": {"string_length": -1}},
        {"limits": {"string_length": 1.5}},
        {"limits": {"max_integer_digits": "a"}},
        {"draft": "draft3"},
        {"registry": 3},
    ],
    ids=str,
)
def test_unknown_options_are_errors(options: Any) -> None:
    with pytest.raises(StructgenError):
        json_schema({}, **options)


def test_limits_are_stated_briefly() -> None:
    with pytest.raises(LimitExceeded) as error:
        json_schema(nested(200, lambda s: {"items": s}, {}))
    assert len(str(error.value)) < 200
    assert "raise" not in str(error.value)


def test_schema_text_errors_show_the_place() -> None:
    with pytest.raises(GrammarSyntaxError, match="path"):
        json_schema("schema.json")
    with pytest.raises(GrammarSyntaxError, match=r"line 2, column 11"):
        json_schema('{\n  "type": string}')


# -- structure ----------------------------------------------------------------------------------------------------------------


def size(expr: ir.Expr) -> int:
    """Number of expression nodes, rules counted once."""
    seen: set[ir.Rule] = set()
    todo, n = [expr], 0
    while todo:
        here = todo.pop()
        n += 1
        if here not in seen:
            todo += children(here)
        if isinstance(here, ir.Rule):
            seen.add(here)
    return n


@pytest.mark.parametrize("required", [False, True])
def test_objects_are_linear_in_their_properties(required: bool) -> None:
    def schema(n: int) -> Any:
        names = [f"p{i}" for i in range(n)]
        return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names if required else []}

    small, large = (size(json_schema(schema(n)).expr) for n in (100, 400))
    assert large < 4.2 * small


def test_equal_parts_are_shared() -> None:
    def rules(schema: Any) -> set[ir.Rule]:
        found: set[ir.Rule] = set()
        todo = [json_schema(schema).expr]
        while todo:
            here = todo.pop()
            if here not in found:
                todo += children(here)
            if isinstance(here, ir.Rule):
                found.add(here)
        return found

    one, two = rules({"type": "array", "items": {}}), rules({"type": "object", "properties": {"x": {}}})
    assert {rule.name for rule in one & two} >= {"value", "whitespace"}
    point = {"type": "object", "properties": {"x": {"type": "number"}}, "additionalProperties": False}
    twice = rules({"type": "object", "properties": {"a": point, "b": {**point, "title": "the same"}}, "additionalProperties": False})
    assert sum(rule.name == "object" for rule in twice) == 2


def test_report_tells_what_became_of_each_keyword() -> None:
    schema = {
        "title": "T",
        "type": "object",
        "properties": {"a": {"type": "string", "format": "no-such-format", "x-hint": 1}, "b": {"format": "date", "default": "x"}},
    }
    found = {entry.pointer: entry.status for entry in json_schema(schema).report}
    assert found == {
        "/title": "annotation",
        "/type": "enforced",
        "/properties": "enforced",
        "/properties/a/type": "enforced",
        "/properties/a/format": "annotation",
        "/properties/a/x-hint": "annotation",
        "/properties/b/format": "enforced",
        "/properties/b/default": "annotation",
    }


def test_references_through_a_registry() -> None:
    from referencing.jsonschema import DRAFT202012

    resource = referencing.Resource.from_contents({"$defs": {"n": {"type": "integer"}}}, default_specification=DRAFT202012)
    registry = referencing.Registry().with_resource("https://example.com/other", resource)
    schema = {"items": {"$ref": "https://example.com/other#/$defs/n"}, "type": "array"}
    assert accepts(schema, "[1]", registry=registry)
    assert not accepts(schema, '["a"]', registry=registry)
    with pytest.raises(UnsupportedSchema, match="registry"):
        json_schema(schema)


LATEST, V2019 = "https://json-schema.org/draft/2020-12", "https://json-schema.org/draft/2019-09"
DIALECTS: dict[str, tuple[str, dict[str, bool] | None]] = {
    "https://example.com/no-validation": (LATEST, {f"{LATEST}/vocab/core": True, f"{LATEST}/vocab/applicator": True}),
    "https://example.com/all": (LATEST, None),
    "https://example.com/optional": (V2019, {f"{V2019}/vocab/applicator": True, "https://example.com/own": False}),
    "https://example.com/required": (LATEST, {"https://example.com/own": True}),
}


@pytest.mark.parametrize(
    ("dialect", "schema", "text", "expected"),
    [
        ("no-validation", {"properties": {"a": {"minimum": 5}}}, '{"a": 1}', True),
        ("no-validation", {"properties": {"a": False}}, '{"a": 1}', False),
        ("no-validation", {"unevaluatedProperties": False}, '{"a": 1}', True),
        ("all", {"properties": {"a": {"minimum": 5}}}, '{"a": 1}', False),
        ("optional", {"unevaluatedProperties": False}, '{"a": 1}', False),
        ("optional", {"prefixItems": [False]}, "[1]", True),
        ("required", {}, "1", None),
        ("unheard-of", {}, "1", None),
    ],
)
def test_the_meta_schema_of_a_dialect_chooses_vocabularies(dialect: str, schema: Any, text: str, expected: bool | None) -> None:
    registry: Any = referencing.Registry()
    for uri, (base, vocabularies) in DIALECTS.items():
        document = {"$schema": f"{base}/schema"} | ({} if vocabularies is None else {"$vocabulary": vocabularies})
        registry = registry.with_resource(uri, referencing.Resource.opaque(document))
    schema = {"$schema": f"https://example.com/{dialect}", **schema}
    if expected is None:
        with pytest.raises(UnsupportedSchema, match="unknown") as error:
            json_schema(schema, registry=registry)
        assert error.value.pointer == "/$schema"
    else:
        assert accepts(schema, text, registry=registry) is expected
