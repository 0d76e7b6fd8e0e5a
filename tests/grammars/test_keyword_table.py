"""Every keyword of every draft: what becomes of it, proved on small cases, by the automaton and by the jsonschema library.

The table in docs/json-schema.md is made of the rows below; `python -m tests.grammars.test_keyword_table --write` writes it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
from jsonschema.validators import validator_for

import structgen as sg
from structgen.grammars.json_schema.drafts import ANNOTATIONS, DRAFTS, STRUCTURE, Draft
from structgen.grammars.json_schema.report import ANNOTATION, ENFORCED, RUN_TIME

PAGE = Path(__file__).parents[2] / "docs" / "json-schema.md"
BEGIN, END = "<!-- keyword table: made by tests/grammars/test_keyword_table.py -->\n", "<!-- end of the keyword table -->\n"
NAMES = ["4", "6", "7", "2019-09", "2020-12"]
OLD, NEW, UP_TO_2019, SINCE_2019 = NAMES[:3], NAMES[1:], NAMES[:4], NAMES[3:]


class Case(NamedTuple):
    """A schema, instances that are valid under it, instances that are not, and the drafts if not all that have the keyword."""

    schema: dict[str, Any]
    valid: list[Any]
    invalid: list[Any]
    drafts: list[str] | None = None


class Row(NamedTuple):
    """A keyword, its status, the drafts that have it, what there is to say about it, and the proof."""

    keyword: str
    status: str
    drafts: list[str]
    remark: str
    cases: list[Case]


def enforced(keyword: str, *cases: Case, drafts: list[str] = NAMES, remark: str = "", status: str = ENFORCED) -> Row:
    return Row(keyword, status, drafts, remark, list(cases))


def annotation(keyword: str, value: Any, remark: str = "") -> Row:
    return Row(keyword, ANNOTATION, NAMES, remark, [Case({keyword: value}, [None, "x", 1], [])])


BUDGET = "refused where cases multiply beyond a budget"
IN_ANY_ORDER = 'a set of names at run time with `property_order="any"`'
INT, STR = {"type": "integer"}, {"type": "string"}
TREE = {"additionalProperties": {"$ref": "#"}, "type": "object"}
ROWS = [
    enforced("type", Case({"type": ["integer", "null"]}, [1, None], ["1", 1.5]), remark="an integer may be spelled `1.0` (from draft 6)"),
    enforced(
        "enum", Case({"enum": [1, "a", None, [1], {"a": 2}]}, [1, "a", None, [1], {"a": 2}], [2, "", True, []]), remark="numbers by value"
    ),
    enforced("const", Case({"const": {"a": [1]}}, [{"a": [1]}], [{}, {"a": [2]}, 1]), drafts=NEW, remark="numbers by value"),
    enforced("minimum", Case({"minimum": 0.3}, [0.3, 1, "a"], [0.29, -1])),
    enforced("maximum", Case({"maximum": 7}, [7, -100, None], [7.5, 8])),
    enforced(
        "exclusiveMinimum",
        Case({"exclusiveMinimum": 2}, [2.1, "a"], [2, 1], NEW),
        Case({"exclusiveMinimum": True, "minimum": 2}, [2.1], [2], ["4"]),
        remark="a boolean in draft 4 and without `$schema`",
    ),
    enforced(
        "exclusiveMaximum",
        Case({"exclusiveMaximum": 2}, [1.9, "a"], [2, 3], NEW),
        Case({"exclusiveMaximum": True, "maximum": 2}, [1.9], [2], ["4"]),
        remark="a boolean in draft 4 and without `$schema`",
    ),
    enforced("multipleOf", Case({"multipleOf": 0.25}, [0.75, 0, -2], [0.1, 0.8]), remark="exact for decimals too"),
    enforced("minLength", Case({"minLength": 2}, ["ab", "é😀", 1], ["", "😀"]), remark="counts code points"),
    enforced("maxLength", Case({"maxLength": 2}, ["", "é😀", [1, 2, 3]], ["abc"]), remark="counts code points"),
    enforced(
        "pattern", Case({"pattern": "^a|b$"}, ["ax", "xb", 1], ["xa", ""]), remark="ECMA-262 searches; refused where they are not regular"
    ),
    enforced(
        "format",
        Case({"format": "ipv4"}, ["127.0.0.1", 1], ["127.0.0", "x"]),
        remark="[all of draft 2020-12](formats.md); unknown ones are annotations, as are all with `formats=False`",
    ),
    enforced("properties", Case({"properties": {"a": INT, "b": STR}}, [{"a": 1, "b": "x"}, {"c": None}, 1], [{"a": "x"}, {"b": 1}])),
    enforced("patternProperties", Case({"patternProperties": {"^x": INT}}, [{"x1": 1, "y": "a"}], [{"x": "a"}, {"y": 1, "xx": None}])),
    enforced(
        "additionalProperties",
        Case(
            {"properties": {"a": INT}, "patternProperties": {"^x": {}}, "additionalProperties": False}, [{"a": 1, "x": 2}, {}], [{"b": 1}]
        ),
        Case({"additionalProperties": INT}, [{"q": 1}], [{"q": "a"}]),
    ),
    enforced("propertyNames", Case({"propertyNames": {"maxLength": 1}}, [{"a": 1}, {}, "abc"], [{"ab": 1}]), drafts=NEW),
    enforced("required", Case({"required": ["a", "b"]}, [{"a": 1, "b": 2}, 1], [{"a": 1}, {}]), remark=IN_ANY_ORDER),
    enforced("minProperties", Case({"minProperties": 2}, [{"a": 1, "b": 2}, 1], [{"a": 1}, {}]), remark=IN_ANY_ORDER),
    enforced("maxProperties", Case({"maxProperties": 1}, [{"a": 1}, {}, [1, 2]], [{"a": 1, "b": 2}]), remark=IN_ANY_ORDER),
    enforced(
        "dependencies",
        Case(
            {"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}, [{"a": 1, "b": 2}, {"b": 1}, {"c": 1, "d": 2}], [{"a": 1}, {"c": 1}]
        ),
        drafts=OLD,
    ),
    enforced(
        "dependentRequired", Case({"dependentRequired": {"a": ["b"]}}, [{"a": 1, "b": 2}, {"b": 1}, {}], [{"a": 1}]), drafts=SINCE_2019
    ),
    enforced(
        "dependentSchemas",
        Case({"dependentSchemas": {"a": {"maxProperties": 1}}}, [{"a": 1}, {"b": 1, "c": 2}], [{"a": 1, "b": 2}]),
        drafts=SINCE_2019,
    ),
    enforced(
        "unevaluatedProperties",
        Case(
            {"anyOf": [{"properties": {"a": INT}, "required": ["a"]}, {}], "unevaluatedProperties": False},
            [{}, {"a": 1}],
            [{"b": 1}, {"a": "x"}],
        ),
        drafts=SINCE_2019,
    ),
    enforced(
        "items",
        Case({"items": INT}, [[], [1, 2], "a"], [["a"], [1, "a"]]),
        Case({"items": [INT]}, [[], [1, "a"]], [["a"]], UP_TO_2019),
        remark="as an array up to draft 2019-09 and without `$schema`",
    ),
    enforced("prefixItems", Case({"prefixItems": [INT, STR]}, [[], [1], [1, "a", None]], [["a"], [1, 2]]), drafts=["2020-12"]),
    enforced("additionalItems", Case({"items": [INT], "additionalItems": STR}, [[1, "a"], []], [[1, 2]]), drafts=UP_TO_2019),
    enforced("minItems", Case({"minItems": 2}, [[1, 2], {}], [[], [1]]), remark="counted, never unrolled"),
    enforced("maxItems", Case({"maxItems": 1}, [[], [1], "abc"], [[1, 2]]), remark="counted, never unrolled"),
    enforced(
        "uniqueItems",
        Case({"uniqueItems": True}, [[], [1, "1", [1], {"a": 1}], 1], [[1, 1], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]]),
        status=RUN_TIME,
        remark="refused beside `contains`, and where demanded items are of several kinds with few values",
    ),
    enforced("contains", Case({"contains": INT}, [[1], ["a", 2], 1], [[], ["a"]]), drafts=NEW),
    enforced("minContains", Case({"contains": INT, "minContains": 2}, [[1, 2], [1, "a", 2]], [[1], ["a", 1]]), drafts=SINCE_2019),
    enforced("maxContains", Case({"contains": INT, "maxContains": 1}, [[1], [1, "a"]], [[1, 2], []]), drafts=SINCE_2019),
    enforced(
        "unevaluatedItems",
        Case({"allOf": [{"items": [INT]}], "unevaluatedItems": False}, [[], [1]], [[1, 2], ["a"]], ["2019-09"]),
        Case({"allOf": [{"prefixItems": [INT]}], "unevaluatedItems": False}, [[], [1]], [[1, 2], ["a"]], ["2020-12"]),
        drafts=SINCE_2019,
    ),
    enforced("allOf", Case({"allOf": [INT, {"minimum": 2}]}, [2], [1, "a"])),
    enforced("anyOf", Case({"anyOf": [INT, {"maxLength": 1}]}, [2, "a", None], ["ab"]), remark=BUDGET),
    enforced("oneOf", Case({"oneOf": [INT, {"minimum": 2}]}, [1, 2.5, "a"], [3, 0.5]), remark=BUDGET),
    enforced("not", Case({"not": {"type": "string", "minLength": 1}}, ["", 1], ["a"])),
    enforced("if", Case({"if": INT, "then": {"minimum": 2}, "else": STR}, [2, "a"], [1, None]), drafts=NAMES[2:]),
    enforced("then", Case({"if": STR, "then": {"maxLength": 1}}, ["a", 1], ["ab"]), drafts=NAMES[2:]),
    enforced("else", Case({"if": STR, "else": INT}, ["a", 1], [None, 1.5]), drafts=NAMES[2:]),
    enforced(
        "$ref",
        Case({"$ref": "#/definitions/a", "definitions": {"a": INT}}, [1], ["a"]),
        Case(TREE, [{"a": {}}], [{"a": 1}, 1]),
        remark="in the document, and in the `referencing.Registry` given; nothing is fetched",
    ),
    enforced("$recursiveRef", Case({"items": {"$recursiveRef": "#"}, "type": "array"}, [[], [[]]], [[1]]), drafts=["2019-09"]),
    enforced(
        "$dynamicRef",
        Case({"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}, "type": "array"}, [[], [[]]], [[1]]),
        drafts=["2020-12"],
    ),
    enforced("$anchor", Case({"$ref": "#a", "$defs": {"x": {"$anchor": "a", **INT}}}, [1], ["a"]), drafts=SINCE_2019),
    enforced("$dynamicAnchor", Case({"$ref": "#a", "$defs": {"x": {"$dynamicAnchor": "a", **INT}}}, [1], ["a"]), drafts=["2020-12"]),
    enforced("$recursiveAnchor", Case({"$recursiveAnchor": True, **TREE}, [{"a": {}}], [1]), drafts=["2019-09"]),
    enforced("$defs", Case({"$ref": "#/$defs/a", "$defs": {"a": INT}}, [1], ["a"]), drafts=SINCE_2019),
    enforced("definitions", Case({"$ref": "#/definitions/a", "definitions": {"a": INT}}, [1], ["a"])),
    enforced(
        "$id",
        Case(
            {"$id": "http://x.example/a", "properties": {"a": {"$ref": "a#/definitions/b"}}, "definitions": {"b": INT}},
            [{"a": 1}],
            [{"a": "x"}],
        ),
        drafts=NEW,
    ),
    enforced(
        "id",
        Case(
            {"id": "http://x.example/a", "properties": {"a": {"$ref": "a#/definitions/b"}}, "definitions": {"b": INT}},
            [{"a": 1}],
            [{"a": "x"}],
        ),
        drafts=["4"],
    ),
    enforced("$schema", Case(INT, [1], ["a"]), remark="chooses the draft; without it 2020-12"),
    enforced("$vocabulary", Case({"$vocabulary": {}, **INT}, [1], ["a"]), drafts=SINCE_2019, remark="of a meta-schema in the registry"),
    annotation("title", "x"),
    annotation("description", "x"),
    annotation("default", 3),
    annotation("examples", [3]),
    annotation("deprecated", True),
    annotation("readOnly", True),
    annotation("writeOnly", True),
    annotation("$comment", "x"),
    annotation("contentEncoding", "base64"),
    annotation("contentMediaType", "application/json"),
    annotation("contentSchema", {"type": "integer"}),
    annotation("x-hint", 1, "and every other unknown keyword; likely misspellings are warned of"),
]
BY_KEYWORD = {row.keyword: row for row in ROWS}


def draft_of(name: str) -> Draft:
    return next(draft for draft in DRAFTS if draft.name == f"draft{name}")


def cases() -> Iterator[Any]:
    for row in ROWS:
        for name in row.drafts:
            for number, case in enumerate(row.cases):
                if case.drafts is None or name in case.drafts:
                    yield pytest.param(row, name, case, id=f"{row.keyword}-{name}-{number}")


@lru_cache(maxsize=1)
def vocabulary() -> sg.Vocabulary:
    return sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)], eos_token_id=256)


@pytest.mark.parametrize(("row", "name", "case"), list(cases()))
def test_a_keyword_does_what_the_table_says(row: Row, name: str, case: Case) -> None:
    schema = {"$schema": draft_of(name).uri, **case.schema}
    validator = validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
    automaton = sg.compile(schema, vocabulary())
    for instance, wanted in [*((value, True) for value in case.valid), *((value, False) for value in case.invalid)]:
        assert validator.is_valid(instance) is wanted, ("jsonschema", instance)
        assert automaton.accepts(json.dumps(instance, ensure_ascii=False)) is wanted, instance
    assert {entry.status for entry in automaton.report if entry.keyword == row.keyword} == {row.status}


@pytest.mark.parametrize("keyword", sorted(frozenset().union(*(draft.keywords for draft in DRAFTS)) - STRUCTURE))
@pytest.mark.parametrize("name", NAMES)
def test_a_keyword_of_other_drafts_is_an_annotation(keyword: str, name: str) -> None:
    row, draft = BY_KEYWORD[keyword], draft_of(name)
    assert (name in row.drafts) == (keyword in draft.keywords)
    if name not in row.drafts:
        schema = {"$schema": draft.uri, keyword: row.cases[0].schema.get(keyword)}
        report = sg.json_schema(schema).report
        assert [entry.status for entry in report if entry.keyword == keyword] == [ANNOTATION]
        assert any(warning.pointer == f"/{keyword}" for warning in report.warnings) == (keyword not in ANNOTATIONS)
        assert all(validator_for(schema)(schema).is_valid(value) for value in (1, "a", [], {}))


def test_every_keyword_has_a_row() -> None:
    known = frozenset().union(*(draft.keywords for draft in DRAFTS)) | STRUCTURE | ANNOTATIONS
    assert {row.keyword for row in ROWS} == known | {"x-hint"} and len(BY_KEYWORD) == len(ROWS)
    assert all(row.cases for row in ROWS)
    assert all(any(case.invalid for case in row.cases) == (row.status != ANNOTATION) for row in ROWS)


def test_the_page_has_the_table() -> None:
    assert PAGE.read_text() == written(PAGE.read_text()), "run python -m tests.grammars.test_keyword_table --write"


def written(page: str) -> str:
    """The page with the table as it should be."""
    head, rest = page.split(BEGIN)
    return head + BEGIN + table() + END + rest.split(END)[1]


def table() -> str:
    lines = [f"| `{row.keyword}` | {_range(row.drafts)} | {row.status} | {row.remark} |" for row in ROWS]
    return "\n".join(["| keyword | drafts | status | |", "|:--|:--|:--|:--|", *lines, ""])


def _range(drafts: list[str]) -> str:
    if drafts == NAMES:
        return "all"
    if len(drafts) == 1:
        return drafts[0]
    return f"from {drafts[0]}" if drafts[-1] == NAMES[-1] else f"up to {drafts[-1]}"


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(written(PAGE.read_text()))
