"""Objects in any order of their keys: every order of valid members and nothing else, with exact masks and no dead ends."""

from __future__ import annotations

import itertools
import json
from random import Random
from typing import Any

import jsonschema
import pytest

import structgen as sg
from structgen.automata import chardfa
from structgen.automata.ir import Bytes, Choice, Expr, Quoted, Repeat, Unique
from tests.reference.texts import is_endless
from tests.reference.walks import check_walks

INTEGER = {"type": "integer"}
PAIR = {"a": INTEGER, "b": INTEGER}
SCHEMAS: list[dict[str, Any]] = [
    {"properties": PAIR, "required": ["a", "b"]},
    {"properties": PAIR, "required": ["a", "b"], "additionalProperties": False},
    {"properties": {**PAIR, "c": {"type": "string"}}, "required": ["b"], "additionalProperties": False},
    {"properties": {**PAIR, "c": {"type": "string"}}, "required": ["b"], "maxProperties": 2},
    {"properties": {**PAIR, "c": {"type": "string"}}, "required": ["b"], "minProperties": 3, "additionalProperties": False},
    {"properties": PAIR, "required": ["a"], "minProperties": 2, "maxProperties": 2},
    {"minProperties": 2, "maxProperties": 3, "required": ["zz"]},
    {"patternProperties": {"^z": INTEGER}, "additionalProperties": False, "properties": {"a": INTEGER}},
    {"propertyNames": {"enum": ["a", "b", "zz"]}, "minProperties": 2},
    {"propertyNames": {"enum": ["a", "b", "zz"]}, "minProperties": 3, "required": ["b"]},
    {"propertyNames": {"pattern": "^[a-c]$"}, "maxProperties": 2, "required": ["b"]},
    {"not": {"required": ["a"]}, "properties": {"b": INTEGER}},
    {"dependentRequired": {"a": ["b"]}},
    {"not": {"additionalProperties": {"type": "string"}}, "properties": {"b": INTEGER}},
    {"not": {"additionalProperties": {"type": "string"}}, "properties": {"b": INTEGER}, "required": ["c"], "minProperties": 3},
    {"const": {"a": 1, "b": "x"}},
    {"properties": {"a": False, "b": INTEGER}, "required": ["b"]},
    {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    {"properties": {"a": {"properties": PAIR, "required": ["b"], "additionalProperties": False}}, "required": ["a"]},
]
TEXT = {"type": "string"}
CLOSED_A, CLOSED_B = ({"properties": {name: INTEGER}, "additionalProperties": False} for name in "ab")
TEXTS, OBJECTS = ({"additionalProperties": value} for value in (TEXT, {"type": "object"}))
NOT_NUMBERS = {"not": {"additionalProperties": {"type": "number"}}}
FEW = {"properties": {**PAIR, "c": {}}, "additionalProperties": False}
SOME_OF_FEW = {"not": {"properties": PAIR, "additionalProperties": False}}
DEMANDS: list[dict[str, Any]] = [
    {"oneOf": [CLOSED_A, CLOSED_B]},  # {} is valid in both
    {"oneOf": [CLOSED_A, CLOSED_B, {"properties": PAIR, "additionalProperties": False}]},
    {"oneOf": [{"properties": {**PAIR, name: TEXT}, "additionalProperties": False} for name in "abc"]},
    {"oneOf": [{"properties": {name: {}}, "additionalProperties": False} for name in ["a", "b", "c", "d", "e", "f"]]},
    {"enum": [{"a": 1, "b": "x"}, {"a": 1}, {}], "not": {"patternProperties": {"^b": INTEGER}}},
    {**FEW, "not": {"patternProperties": {"^[ab]$": {"const": 1}}}},
    {**FEW, "not": {"patternProperties": {"^[ab]$": False}}, "maxProperties": 2, "required": ["c"]},
    {**FEW, "allOf": [{"not": {"patternProperties": {f"^[{few}]$": False}}} for few in ("ab", "bc", "ac")], "maxProperties": 2},
    {**FEW, "allOf": [{"not": {"propertyNames": {"not": {"enum": few}}}} for few in (["a", "b"], ["b", "c"])], "maxProperties": 1},
    {**FEW, "allOf": [{"not": {"patternProperties": {".": {"const": value}}}} for value in (1, "x")], "minProperties": 2},
    {"not": {"propertyNames": {"not": {"const": "a"}}}},
    {"not": {"propertyNames": {"not": {"enum": ["a", "zz"]}}}, "properties": {"a": INTEGER}, "maxProperties": 2},
    {**SOME_OF_FEW, "maxProperties": 1},
    {**SOME_OF_FEW, "maxProperties": 2, "required": ["a"]},
    {**SOME_OF_FEW, "maxProperties": 3, "required": ["a"], "minProperties": 2},
    {**NOT_NUMBERS, "maxProperties": 1},
    {**NOT_NUMBERS, "maxProperties": 3, "properties": {"b": {}}},
    {**NOT_NUMBERS, "maxProperties": 2, "required": ["c"], "properties": {"c": INTEGER}},
    {"allOf": [{"not": TEXTS}, {"not": OBJECTS}], "maxProperties": 2},
    {"allOf": [{"not": TEXTS}, {"not": OBJECTS}], "minProperties": 3, "maxProperties": 3},
    {"allOf": [NOT_NUMBERS, {"not": TEXTS}], "maxProperties": 3, "required": ["b"]},
    {"allOf": [NOT_NUMBERS, {"not": {"patternProperties": {"^z": TEXT}}}], "properties": {"zz": {}}},
    {"propertyNames": {"maxLength": 1}, "not": {"propertyNames": {"enum": ["a", "b"]}}, "maxProperties": 2},
    {"propertyNames": {"pattern": "^..?$"}, "allOf": [{"not": {"patternProperties": {z: False}}} for z in ("z$", "^z")]},
    {"anyOf": [{"required": ["a", "b"], "maxProperties": 1}, {"required": ["c"]}]},
]
SCHEMAS += DEMANDS
NAMES = ["a", "b", "c", "zz"]
TOKENS = [*(bytes([i]) for i in range(256)), b'"a', b'a"', b'":', b"1,", b"1}", b'"}', b'","', b'{"', b'1,"b"', b"}}", b""]
EOS = len(TOKENS) - 1


@pytest.fixture(scope="module")
def vocabulary() -> Any:
    return sg.Vocabulary.from_bytes(TOKENS, eos_token_id=EOS)


def in_any_order(schema: dict[str, Any], vocabulary: Any) -> Any:
    return sg.compile(sg.json_schema({"type": "object", **schema}, property_order="any"), vocabulary)


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_every_order_of_valid_members_is_accepted_and_nothing_else(schema: dict[str, Any], vocabulary: Any) -> None:
    automaton, judge, random = in_any_order(schema, vocabulary), jsonschema.Draft202012Validator(schema), Random(1)
    for n in range(len(NAMES) + 1):
        for names in itertools.permutations(NAMES, n):
            for _ in range(3):
                value = {name: random.choice([1, "x", {"b": 2}, {"b": 1, "a": 3}]) for name in names}
                assert automaton.accepts(json.dumps(value)) == judge.is_valid(value), value
    assert not automaton.accepts('{"a": 1, "b": 1, "a": 1}')


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_masks_are_exact_and_lead_to_an_end(schema: dict[str, Any], vocabulary: Any) -> None:
    automaton, validator = in_any_order(schema, vocabulary), jsonschema.Draft202012Validator(schema)
    check_walks(automaton, TOKENS, b'abcz":,{}1x', validator.is_valid, Random(2), 8, 40)


@pytest.mark.parametrize("schema", DEMANDS, ids=json.dumps)
def test_in_declared_order_every_valid_object_has_one_text(schema: dict[str, Any], vocabulary: Any) -> None:
    automaton, judge = sg.compile(sg.json_schema({"type": "object", **schema}), vocabulary), jsonschema.Draft202012Validator(schema)
    for n in range(4):
        for names in itertools.combinations(NAMES, n):
            for values in itertools.product([1, "x", {"b": 2}], repeat=n):
                members = list(zip(names, values, strict=True))
                accepted = [automaton.accepts(json.dumps(dict(order))) for order in itertools.permutations(members)]
                assert any(accepted) == judge.is_valid(dict(members)), members
    check_walks(automaton, TOKENS, b'abcz":,{}1x', judge.is_valid, Random(2), 8, 40)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"allOf": [{"not": TEXTS}, {"not": OBJECTS}], "maxProperties": 100}, "a large count of properties"),
        ({"required": list("abcdef"), **NOT_NUMBERS, "properties": dict.fromkeys("abcdef", INTEGER), "maxProperties": 7}, "beside others"),
        ({"propertyNames": {"pattern": "^[0-9]{3}$"}, "not": {"patternProperties": {"^[01]": False}}}, "great but limited number of names"),
        ({"allOf": [{"not": {"patternProperties": {c: False}}} for c in "abcde"]}, "more than 4 properties"),
        ({"properties": {str(i): {} for i in range(200)}, "additionalProperties": False,
          "allOf": [{"not": {"patternProperties": {f"{i}$": False}}} for i in range(6)]}, "choices of names"),
        ({"patternProperties": {f"{a}.*{b}": {"minLength": ord(a)} for a, b in itertools.pairwise("abcdefghi")}}, "overlap in too"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_too_many_combinations_are_refused(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(sg.UnsupportedSchema, match=message):
        sg.json_schema({"type": "object", **schema}, property_order="any")


def scopes() -> list[Unique]:
    a, b, some = chardfa.literal("a"), chardfa.literal("b"), chardfa.star(chardfa.from_strings(["c"]))
    keys: list[Expr] = [Quoted(content, capture=True) for content in (a, b, some)]
    few, comma = Choice(tuple(keys[:2])), Bytes(b",")
    found = [
        Unique(Repeat(Choice(tuple(keys)), 0, None, comma), required, low, high)
        for required in ((), ("a",), ("a", "b"))
        for low in (0, 1, 3)
        for high in (None, 1, 2, 3)
    ]
    found += [Unique(Repeat(few, 0, None, comma), required, low, 2) for required in ((), ("b",)) for low in (0, 1, 2)]
    return [s for s in found if s.max is None or s.max >= max(s.min, len(s.required))]


@pytest.mark.parametrize("scope", scopes(), ids=lambda s: f"{s.required}-{s.min}-{s.max}-{is_endless(s.body.item.items[-1].content)}")
def test_scopes_by_enumeration(scope: Unique, vocabulary: Any) -> None:
    """All sequences of up to four names out of a, b, "", c and cc, against the definition."""
    automaton = sg.compile(sg.Constraint(scope), vocabulary)
    endless = len(scope.body.item.items) == 3  # type: ignore[attr-defined]
    names = ["a", "b", "", "c", "cc"] if endless else ["a", "b", "c"]
    for n in range(5):
        for words in itertools.product(names, repeat=n):
            text = ",".join(f'"{word}"' for word in words)
            wanted = (
                len(set(words)) == n
                and set(scope.required) <= set(words)
                and scope.min <= n
                and (scope.max is None or n <= scope.max)
                and (endless or "c" not in words)
            )
            assert automaton.accepts(text) == wanted, text
            state = automaton.advance_bytes(automaton.initial, text.encode())
            if state != automaton.dead:
                assert len(automaton.allowed(state)), f"nothing may follow {text}"
