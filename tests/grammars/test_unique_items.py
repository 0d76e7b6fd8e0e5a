"""``uniqueItems`` for items of every kind: equality as JSON has it, exact masks, no dead ends, and what is refused."""

from __future__ import annotations

import itertools
import json
from random import Random
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen as sg
from tests.reference.walks import check_walks

SCHEMAS: list[dict[str, Any]] = [
    {},
    {"maxItems": 2},
    {"minItems": 2, "items": {"type": ["integer", "null"]}},
    {"items": {"type": ["boolean", "null"]}},
    {"items": {"type": ["boolean", "number"]}, "minItems": 2},
    {"items": {"enum": [1, "a", True, None, 2.5]}, "minItems": 2},
    {"items": {"type": "array"}},
    {"items": {"type": "object"}},
    {"items": {"type": "object", "required": ["a"]}},
    {"items": {"type": "string"}},
    {"items": {"type": "array", "items": {"type": "integer"}}, "maxItems": 3},
    {"prefixItems": [{"type": "boolean"}, {"type": "boolean"}]},
    {"prefixItems": [{"type": "boolean"}, {"type": "boolean"}], "items": False},
    {"prefixItems": [{"type": "array"}, {}], "minItems": 2, "items": {"type": ["object", "string"]}},
]
REFUSED: list[dict[str, Any]] = [
    {"contains": {"type": "null"}},
    {"items": {"type": "object", "properties": {"a": {"type": "boolean"}}, "additionalProperties": False}},
    {"prefixItems": [{"type": "boolean"}, {"const": True}]},
    {"prefixItems": [{"type": "string"}], "items": {"type": "boolean"}},
]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 1.0, 2, 10, 2.5, 1e1, -0.0, "a", "b", "", "1"),
    *([], [1], [1.0], [True], [[1]], {}, {"a": 1}, {"a": 1.0}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": []}),
]
LONGER = ['"a', 'a"', "1,", "[1", "1]", "tr", "ue", "e,", "e]", "[]", "{}", "},{", "],["]
TOKENS = [*(bytes([i]) for i in range(256)), *(token.encode() for token in LONGER), b""]
EOS = len(TOKENS) - 1


@pytest.fixture(scope="module")
def vocabulary() -> Any:
    return sg.Vocabulary.from_bytes(TOKENS, eos_token_id=EOS)


def unique(schema: dict[str, Any], vocabulary: Any) -> Any:
    return sg.compile(sg.json_schema({"type": "array", "uniqueItems": True, **schema}, property_order="any"), vocabulary)


def judge(schema: dict[str, Any]) -> Any:
    return jsonschema.Draft202012Validator({"uniqueItems": True, **schema})


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_arrays_are_accepted_exactly_if_their_items_differ(schema: dict[str, Any], vocabulary: Any) -> None:
    automaton, validator, random = unique(schema, vocabulary), judge(schema), Random(1)
    arrays: list[Any] = [[], *([v] for v in VALUES), *map(list, itertools.product(VALUES, repeat=2))]
    arrays += [random.choices(VALUES, k=random.randint(3, 4)) for _ in range(200)]
    for value in arrays:
        assert automaton.accepts(json.dumps(value)) == validator.is_valid(value), value


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_masks_are_exact_and_lead_to_an_end(schema: dict[str, Any], vocabulary: Any) -> None:
    automaton, validator = unique(schema, vocabulary), judge(schema)
    check_walks(automaton, TOKENS, b'ab"[]{},1tfn', validator.is_valid, Random(2), 8, 30)


@pytest.mark.parametrize("schema", REFUSED, ids=json.dumps)
def test_what_could_run_into_a_dead_end_is_refused(schema: dict[str, Any], vocabulary: Any) -> None:
    with pytest.raises(sg.UnsupportedSchema) as caught:
        unique(schema, vocabulary)
    assert caught.value.keyword == "uniqueItems"


def test_states_forget_the_text_between_items(vocabulary: Any) -> None:
    automaton = unique({"items": {"type": ["number", "null"]}}, vocabulary)
    texts = [b"[1.50, 2, ", b"[2.0, 15e-1, ", b"[0.2e1, 1.5, "]
    states = {automaton.advance_bytes(automaton.initial, text) for text in texts}
    assert len(states) == 1 and automaton.dead not in states
    assert automaton.advance_bytes(automaton.initial, b"[1.5, 2,null, n") == automaton.dead


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 10.0, 1e2, 100, -0.0, 12.5]) | st.text('aé\\"\n😀', max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "é"]), inner, max_size=3),
    max_leaves=6,
)


def respelled(value: Any, random: Random) -> str:
    """A JSON text of the value in another spelling."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, str):
        return '"' + "".join(random.choice([json.dumps(c)[1:-1], json.dumps(c, ensure_ascii=False)[1:-1]]) for c in value) + '"'
    if isinstance(value, (int, float)):
        tenths = round(value * 10)
        return random.choice([repr(value), f"{tenths}e-1", f"{tenths}0.0E-02", f"{float(value):.3f}", f"{float(value):e}"])
    space = random.choice(["", " ", "\n"])
    if isinstance(value, list):
        return f"[{space}" + f"{space},".join(respelled(item, random) for item in value) + "]"
    names = random.sample(list(value), len(value))
    return "{" + f",{space}".join(f"{respelled(name, random)}:{space}{respelled(value[name], random)}" for name in names) + "}"


def equal(a: Any, b: Any) -> bool:
    """Equality as JSON Schema has it."""
    return not jsonschema.Draft202012Validator({"uniqueItems": True}).is_valid([a, b])


@settings(max_examples=300)
@given(json_values, json_values, st.randoms(use_true_random=False))
def test_values_are_one_exactly_if_they_are_equal(a: Any, b: Any, random: Random) -> None:
    engine = sg.compile(sg.json_schema(True), sg.Vocabulary.from_bytes(TOKENS, eos_token_id=EOS))._engine
    ids = {engine.value(respelled(a, random)) for _ in range(3)}
    assert len(ids) == 1
    assert (engine.value(respelled(b, random)) in ids) == equal(a, b)
