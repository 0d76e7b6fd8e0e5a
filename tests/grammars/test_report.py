"""The report: what became of every keyword, what is worth a warning, and keywords that were dropped because they were named."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
import referencing

from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema, UnsupportedSchema
from structgen.grammars.json_schema import json_schema
from structgen.grammars.json_schema.report import ANNOTATION, ENFORCED, REFUSED, RUN_TIME
from tests.reference.matcher import matches

DRAFT4 = "http://json-schema.org/draft-04/schema#"
DRAFT7 = "http://json-schema.org/draft-07/schema#"
INT, STR, POINT = {"type": "integer"}, {"type": "string"}, {"properties": {"x": {"minimum": 0}}}


@pytest.mark.parametrize(
    ("schema", "options", "found"),
    [
        ({}, {}, {}),
        (True, {}, {}),
        ({"$comment": "x", "nullable": True}, {}, {"/$comment": ANNOTATION, "/nullable": ANNOTATION}),
        ({"uniqueItems": True}, {}, {"/uniqueItems": RUN_TIME}),
        ({"uniqueItems": False}, {}, {"/uniqueItems": ENFORCED}),
        ({"required": ["a"], "minProperties": 1}, {}, {"/required": ENFORCED, "/minProperties": ENFORCED}),
        ({"required": ["a"], "minProperties": 1}, {"property_order": "any"}, {"/required": RUN_TIME, "/minProperties": RUN_TIME}),
        ({"format": "date"}, {}, {"/format": ENFORCED}),
        ({"format": "date"}, {"formats": False}, {"/format": ANNOTATION}),
        ({"format": 3}, {}, {"/format": ANNOTATION}),
        ({"a/b~c": 1}, {}, {"/a~1b~0c": ANNOTATION}),
        ({"const": {"type": "x"}, "enum": [{"minimum": 1}, {"type": "x"}]}, {}, {"/const": ENFORCED, "/enum": ENFORCED}),
        ({"items": [INT, True]}, {}, {"/items": ENFORCED, "/items/0/type": ENFORCED}),
        ({"if": INT}, {}, {"/if": ANNOTATION, "/if/type": ANNOTATION}),
        ({"minContains": 2, "then": INT}, {}, {"/minContains": ANNOTATION, "/then": ANNOTATION, "/then/type": ANNOTATION}),
        (
            {"$schema": DRAFT7, "$ref": "#/definitions/a", "minimum": 3, "definitions": {"a": INT, "b": {"not": STR}}},
            {},
            {
                "/$schema": ENFORCED,
                "/$ref": ENFORCED,
                "/minimum": ANNOTATION,
                "/definitions": ENFORCED,
                "/definitions/a/type": ENFORCED,
                "/definitions/b/not": ANNOTATION,
                "/definitions/b/not/type": ANNOTATION,
            },
        ),
        (
            {"properties": {"a": POINT, "b": POINT}},  # one Python object in two places
            {},
            dict.fromkeys(
                ["/properties", *(f"/properties/{a}{rest}" for a in "ab" for rest in ("/properties", "/properties/x/minimum"))], ENFORCED
            ),
        ),
        (
            {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}},
            {},
            dict.fromkeys(["/anyOf", "/anyOf/0/$ref", "/anyOf/1/$ref", "/$defs", "/$defs/a/items", "/$defs/a/items/$ref"], ENFORCED),
        ),
    ],
)
def test_every_occurrence_has_a_status(schema: Any, options: Any, found: dict[str, str]) -> None:
    entries = json_schema(schema, **options).report.entries
    assert {entry.pointer: entry.status for entry in entries} == found and len(entries) == len(found)
    assert all(entry.pointer.replace("~1", "/").replace("~0", "~").endswith(f"/{entry.keyword}") for entry in entries)


UNDECLARED = "the required property 'z' is not declared"
CLOSED = {"type": "object", "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "pointer", "words"),
    [
        ({"type": "string", "enum": ["a", 1]}, "/enum/1", "the value 1 is impossible"),
        ({"enum": [1, 5], "allOf": [{"minimum": 2}]}, "/enum/0", "impossible"),
        ({"enum": [{"a": 1}, {"a": "x"}], "properties": {"a": INT}}, "/enum/1", "impossible"),
        ({"properties": {"a": {"type": "string", "const": 1}}}, "/properties/a", "never be present"),
        ({"properties": {"a": INT}, "allOf": [{"properties": {"a": STR}}]}, "/properties/a", "never be present"),
        ({"properties": {"ab": INT}, "propertyNames": {"maxLength": 1}}, "/properties/ab", "never be present"),
        ({"items": {"minimum": 3, "maximum": 2, "type": "number"}}, "/items", "no value is valid"),
        ({"type": "integer", "anyOf": [STR, {"minimum": 1}]}, "/anyOf/0", "branch of anyOf is unreachable"),
        ({"oneOf": [INT, {"type": "number"}]}, "/oneOf/0", "valid under another one too"),
        ({"type": "string", "if": INT, "then": {"minimum": 1}}, "/then", "never holds"),
        ({"type": "string", "if": STR, "then": {"maxLength": 1}, "else": INT}, "/else", "always holds"),
        ({"type": "string"}, "", "only the default limit of 65536 characters"),
        ({"properties": {"a": {"type": "string", "pattern": "^a"}}}, "/properties/a", "length of this string"),
        ({"type": "array", "items": INT}, "", "number of items"),
        ({"type": "object"}, "", "number of properties"),
        ({"type": "array", "items": {}, "maxItems": 1}, "/items", "any value"),
        ({**CLOSED, "properties": {"a": {"$ref": "#"}}}, "/properties/a/$ref", "contains itself"),
        ({"type": "integer", "minLength": 2}, "/minLength", "about strings, and the type is integer"),
        ({"type": ["object", "null"], "maximum": 2}, "/maximum", "about numbers, and the type is object or null"),
        ({"properties": {"a": INT}, "required": ["z"]}, "/required", UNDECLARED),
        ({"format": "no-such"}, "/format", "the format 'no-such' is unknown"),
        ({"$schema": DRAFT7, "$ref": "#/definitions/a", "minimum": 3, "definitions": {"a": INT}}, "/minimum", "ignored beside $ref"),
        ({"$schema": DRAFT7, "prefixItems": [INT]}, "/prefixItems", "no keyword of draft7 and not enforced; draft2020-12 has it"),
        ({"$schema": DRAFT4, "exclusiveMinimum": True}, "/exclusiveMinimum", "without effect: no minimum"),
        ({"dependencies": {"a": ["b"]}}, "/dependencies", "draft4, draft6, draft7 have it"),
        ({"maxLenght": 3}, "/maxLenght", "did you mean maxLength?"),
        ({"require": ["a"]}, "/require", "did you mean required?"),
        ({"additional_properties": False}, "/additional_properties", "did you mean additionalProperties?"),
        ({"additionalproperties": False}, "/additionalproperties", "did you mean additionalProperties?"),
        ({"maxContains": 2}, "/maxContains", "without effect: no contains"),
        ({"if": INT}, "/if", "without effect: neither then nor else"),
        ({"enum": ["\ud800", "a"]}, "/enum", "surrogate"),
    ],
)
def test_warnings(schema: Any, pointer: str, words: str) -> None:
    found = json_schema(schema).report.warnings
    assert any(warning.pointer == pointer and words in warning.message for warning in found), found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": ["a", 1, None, {"a": 1}]},
        {"type": ["string", "null"], "maxLength": 3, "title": "a", "x-y": 1, "nullable": True, "example": 1, "note": 1, "_format": 1},
        {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}]},
        {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}]},
        {"allOf": [{"type": "string"}, {"maxLength": 3}]},
        {"type": "string", "pattern": "^a{1,3}$"},
        {"type": "string", "format": "date"},
        {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True},
        {"type": "array", "prefixItems": [INT], "items": False},
        {**CLOSED, "properties": {"a": INT, "b": False}, "required": ["a"]},
        {**CLOSED, "properties": {"a": INT, "b": INT}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {**CLOSED, "properties": {"a": INT}, "if": {"required": ["a"]}, "then": {"properties": {"a": {"minimum": 1}}}},
        {**CLOSED, "properties": {"a": {"$ref": "#/$defs/s"}}, "$defs": {"s": {"type": "string", "maxLength": 2}, "unused": STR}},
        {"type": "integer", "not": {"minimum": 3}},
    ],
)
def test_nothing_to_warn_of(schema: Any) -> None:
    warnings = json_schema(schema).report.warnings
    assert [warning for warning in warnings if "in the usual spellings only" not in warning.message] == []


def test_the_report_is_worked_out_when_asked_for() -> None:
    report = json_schema({"type": "object"}).report
    assert {"entries", "warnings"}.isdisjoint(vars(report))
    assert report.entries is report.entries and report.warnings is report.warnings
    assert json.loads(json.dumps(report.as_dict())) == {
        "exact": True,
        "keywords": [{"pointer": "/type", "keyword": "type", "status": "enforced", "note": ""}],
        "warnings": [{"pointer": "", "message": report.warnings[0].message}],
    }


def test_a_report_as_text() -> None:
    strings = {"type": "object", "properties": {name: STR for name in "abcde"}, "additionalProperties": False}
    lines = str(json_schema(strings).report).splitlines()
    assert lines[0].split() == ["pointer", "keyword", "status"] and lines[1].split() == ["/type", "type", "enforced"]
    assert "keywords: 8 enforced" in lines
    assert (
        sum(line.startswith("warning: ") for line in lines) == 1 and "/properties/a, /properties/b, /properties/c and 2 more: " in lines[-1]
    )


def grown(depth: int) -> Any:
    """A small Python object that is a huge schema."""
    schema: Any = INT
    for _ in range(depth):
        schema = {"prefixItems": [schema, schema]}
    return schema


def test_huge_and_endless_schemas_have_a_report() -> None:
    report = json_schema(grown(40)).report
    assert 1000 < len(report.entries) < 200_000
    assert any("so large" in warning.message for warning in report.warnings)
    endless: dict[str, Any] = {"type": "integer"}
    endless["$defs"] = {"a": {"properties": {"b": endless, "c": endless}}}
    assert 1000 < len(json_schema(endless).report.entries) < 200_000
    assert len(json_schema({"properties": {f"p{i}": {f"q{i}": 1} for i in range(3000)}}).report.warnings) > 0


@pytest.mark.parametrize(
    "wrong", [{"type": [{}]}, {"type": {}}, {"required": 5}, {"properties": 3}, {"enum": 1}, {"$ref": 4}, {"anyOf": {}}, {"oneOf": [3]}]
)
def test_what_is_wrong_where_no_value_can_be_is_no_trouble(wrong: Any) -> None:
    report = json_schema({"type": "array", "maxItems": 0, "items": {"$ref": "#/$defs/a"}, "$defs": {"a": wrong}}).report
    assert report.entries and report.warnings is not None


# -- lossy ----------------------------------------------------------------------------------------------------------------------

BOOLEANS = {"type": "array", "uniqueItems": True, "items": {**CLOSED, "properties": {"a": {"type": "boolean"}}}}
BACK = {"type": "string", "pattern": r"(a|b)\1"}
ACCEPTS, REJECTS = "; invalid texts may be accepted", "and valid ones may be rejected"


@pytest.mark.parametrize(
    ("schema", "lossy", "dropped", "accepted", "rejected"),
    [
        (BACK, ["pattern"], {"/pattern": False}, '"c"', "1"),
        ({"properties": {"pattern": BACK, "b": {"pattern": "^b"}}}, ["pattern"], {"/properties/pattern/pattern": False}, "1", '{"b": "a"}'),
        ({"type": "any", "maximum": 3}, ["type"], {"/type": False}, "3", "4"),
        ({"$ref": "https://elsewhere.example/s", "maximum": 3}, ["$ref"], {"/$ref": True}, "3", "4"),
        ({"anyOf": [{"type": "integer"}, BACK]}, ["pattern", "format"], {"/anyOf/1/pattern": False}, '"c"', "[]"),
        ({"oneOf": [{"type": "integer"}, BACK]}, ["pattern"], {"/oneOf/1/pattern": True}, '"c"', "[]"),
        ({"type": ["string", "null"], "not": BACK}, ["pattern"], {"/not/pattern": True}, "null", '"c"'),
        ({"items": [BACK, BACK]}, ["pattern"], {"/items/0/pattern": False, "/items/1/pattern": False}, '["c", "d"]', "[1]"),
        (
            {"patternProperties": {r"(a)\1": INT, "^b": INT}},
            ["patternProperties"],
            {"/patternProperties": True},
            '{"b": "x"}',
            None,
        ),
        ({"type": "string", "not": BACK}, ["pattern"], None, None, None),
        (
            {"properties": {"a": {"$ref": "#/$defs/s"}, "b": {"not": {"$ref": "#/$defs/s"}}}, "$defs": {"s": BACK}},
            ["pattern"],
            {"/$defs/s/pattern": True},
            '{"a": "c", "b": 1}',
            '{"b": "c"}',
        ),
        ({"type": "integer", "minimum": 3}, ["minimum", "uniqueItems"], {}, "3", "2"),
    ],
)
def test_keywords_are_dropped_only_where_they_are_named_and_refused(
    schema: Any, lossy: list[str], dropped: dict[str, bool] | None, accepted: str | None, rejected: str | None
) -> None:
    """``dropped``: pointers, and whether the language may lack valid texts too; None: nothing is left."""
    if dropped is None:
        with pytest.raises(UnsatisfiableSchema, match="lossy has dropped"):
            json_schema(schema, lossy=lossy)
        return
    if dropped:
        with pytest.raises(UnsupportedSchema):
            json_schema(schema)
        with pytest.raises(UnsupportedSchema):
            json_schema(schema, lossy=["maxItems"])
    constraint = json_schema(schema, lossy=lossy)
    found = {entry.pointer: entry.note for entry in constraint.report.with_status(REFUSED)}
    assert {pointer: REJECTS in note for pointer, note in found.items()} == dropped
    assert all(note.startswith("dropped: ") and ACCEPTS in note and "\n" not in note for note in found.values())
    assert constraint.report.is_exact == (not dropped)
    assert {w.pointer for w in constraint.report.warnings if "is not enforced" in w.message} == set(dropped)
    assert accepted is None or matches(constraint.expr, accepted.encode())
    assert rejected is None or not matches(constraint.expr, rejected.encode())


def test_keywords_of_other_documents_are_dropped_too() -> None:
    resource = referencing.Specification.OPAQUE.create_resource({"$defs": {"s": {**BACK, "maxLength": 1}}})
    options: Any = {"registry": referencing.Registry().with_resource("other.json", resource), "lossy": ["pattern"]}
    constraint = json_schema({"$ref": "other.json#/$defs/s"}, **options)
    assert [entry.pointer for entry in constraint.report.with_status(REFUSED)] == ["other.json#/$defs/s/pattern"]
    assert matches(constraint.expr, b'"c"') and not matches(constraint.expr, b'"cc"')
    restored = pickle.loads(pickle.dumps(constraint)).report
    assert (restored.entries, restored.warnings) == (constraint.report.entries, constraint.report.warnings)


@pytest.mark.parametrize(
    ("lossy", "complaint"),
    [
        (["uniqItems"], "did you mean uniqueItems"),
        (["title"], "no keyword that is enforced"),
        ("pattern", "must list"),
        ([1], "must list"),
        (3, "must list"),
    ],
)
def test_what_lossy_names_must_be_keywords(lossy: Any, complaint: str) -> None:
    with pytest.raises(StructgenError, match=complaint):
        json_schema({}, lossy=lossy)


def test_not_too_much_is_dropped() -> None:
    with pytest.raises(LimitExceeded, match="dropped"):
        json_schema({"anyOf": [{"const": 1}, *({"pattern": rf"(a)\1{i}"} for i in range(300))]}, lossy=["pattern"])
