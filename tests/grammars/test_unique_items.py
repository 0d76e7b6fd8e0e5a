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


def closed(properties: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False, **keywords}


BOOLEAN, NULL = {"type": "boolean"}, {"type": "null"}
SCARCE: list[dict[str, Any]] = [
    {"items": closed({"a": BOOLEAN})},
    {"items": closed({"a": BOOLEAN}, required=["a"]), "minItems": 2},
    {"items": closed({"a": BOOLEAN, "b": NULL}, required=["b"])},
    {"items": closed({"a": BOOLEAN, "b": NULL}, required=["b"]), "minItems": 3},
    {"items": closed({"a": BOOLEAN, "b": NULL}, maxProperties=1)},
    {"items": {"type": "integer", "minimum": 1, "maximum": 3}},
    {"items": {"type": "integer", "minimum": 9, "maximum": 11}, "maxItems": 2},
    {"items": {"type": "integer", "minimum": -1, "maximum": 1}},
    {"items": {"type": "number", "minimum": 1, "maximum": 1.2}},
    {"items": {"type": "array", "items": BOOLEAN, "maxItems": 1}},
    {"items": {"type": "array", "items": BOOLEAN, "maxItems": 2, "uniqueItems": True}},
    {"items": {"type": "array", "items": closed({"a": BOOLEAN}, required=["a"]), "maxItems": 2, "uniqueItems": True}},
    {"items": {"anyOf": [BOOLEAN, closed({"a": BOOLEAN}, required=["a"])]}},
    {"items": {"anyOf": [closed({"a": BOOLEAN}, required=["a"]), closed({"a": {"const": True}}), {"const": "x"}]}},
    {"items": {"anyOf": [{"type": "string", "pattern": "^[ab]?$"}, NULL]}},
    {"items": {"anyOf": [{"type": "string", "pattern": '^["\\\\]$'}, NULL]}},
    {"items": False, "prefixItems": [BOOLEAN, {"const": True}]},
    {"items": BOOLEAN, "prefixItems": [BOOLEAN, {"const": True}]},
    {"items": BOOLEAN, "prefixItems": [NULL]},
    {"items": closed({"a": BOOLEAN}), "prefixItems": [closed({"a": BOOLEAN}), BOOLEAN]},
    {"items": closed({"a": BOOLEAN}), "prefixItems": [NULL, BOOLEAN], "minItems": 2},
]
"""Arrays of few values, some of which have beginnings that can be finished in few ways."""
MIXED: list[dict[str, Any]] = [
    {"items": closed({"a": {}, "b": BOOLEAN})},
    {"items": closed({"a": {}, "b": BOOLEAN}, required=["b"]), "minItems": 2},
    {"items": closed({"a": {"type": ["string", "null"]}})},
    {"items": {"type": "object", "properties": {"a": BOOLEAN}, "additionalProperties": {"type": "integer", "minimum": 1}}},
    {"items": {"anyOf": [BOOLEAN, {"type": "array", "items": {"$ref": "#/items"}, "minItems": 1, "maxItems": 2}]}},
    {"items": {"anyOf": [{"type": "array", "items": closed({"a": {}}), "uniqueItems": True}, {"maxLength": 1}]}},
    {"items": {"type": "integer", "minimum": 1, "maximum": 65535}},
    {"items": {"type": "number", "minimum": 0, "maximum": 2.5}},
    {"items": closed({"a": {"type": "string", "pattern": "^[ab]+$"}, "b": BOOLEAN}, required=["a"])},
    {"items": closed({"a": {"type": "string", "pattern": "^[ab]+1?$"}}, required=["a"])},
]
"""Arrays of items of which some beginnings run out and others do not."""
REFUSED: list[dict[str, Any]] = [
    {"contains": {"type": "null"}},
    {"prefixItems": [BOOLEAN, {"const": True}], "minItems": 2},
    {"prefixItems": [{"type": "string"}], "items": BOOLEAN, "minItems": 2},
    {"items": closed({"a": BOOLEAN}), "minItems": 101},
]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 1.0, 2, 10, 2.5, 1e1, -0.0, "a", "b", "", "1"),
    *([], [1], [1.0], [True], [[1]], {}, {"a": 1}, {"a": 1.0}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": []}),
]
LONGER = [",\n", '"a', 'a"', "1,", "[1", "1]", "tr", "ue", "e,", "e]", "[]", "{}", "},{", "],["]
TOKENS = [*(bytes([i]) for i in range(256)), *(token.encode() for token in LONGER), b""]
EOS = len(TOKENS) - 1


@pytest.fixture(scope="module")
def vocabulary() -> Any:
    return sg.Vocabulary.from_bytes(TOKENS, eos_token_id=EOS)


def unique(schema: dict[str, Any], vocabulary: Any) -> Any:
    return sg.compile(sg.json_schema({"type": "array", "uniqueItems": True, **schema}, property_order="any"), vocabulary)


def judge(schema: dict[str, Any]) -> Any:
    return jsonschema.Draft202012Validator({"uniqueItems": True, **schema})


@pytest.mark.parametrize("schema", SCHEMAS + SCARCE + MIXED, ids=json.dumps)
def test_arrays_are_accepted_exactly_if_their_items_differ(schema: dict[str, Any], vocabulary: Any) -> None:
    automaton, validator, random = unique(schema, vocabulary), judge(schema), Random(1)
    arrays: list[Any] = [[], *([v] for v in VALUES), *map(list, itertools.product(VALUES, repeat=2))]
    arrays += [random.choices(VALUES, k=random.randint(3, 4)) for _ in range(200)]
    for value in arrays:
        assert automaton.accepts(json.dumps(value)) == validator.is_valid(value), value


LIMITS = {"max_integer_digits": 3, "max_fraction_digits": 1, "max_exponent": 0, "string_length": 1}
SPARED = set(b"\\ \n\r\t")  # spellings left out


def item_texts(schema: Any, vocabulary: Any) -> dict[bytes, str]:
    """The texts of the values of a schema that has few, without escapes, each with a text of its value."""
    automaton = compact(schema, vocabulary)
    found, todo = {}, [(automaton.initial, b"")]
    while todo:
        state, text = todo.pop()
        if automaton.is_accepting(state):
            found[text] = canonical(text)
        todo += [(automaton.advance_bytes(state, bytes([b])), text + bytes([b])) for b in automaton.next_bytes(state) if b not in SPARED]
        assert len(found) < 100
    return found


def canonical(text: bytes) -> str:
    """A text that equal values share."""
    return json.dumps(json.loads(text, parse_int=number, parse_float=number), sort_keys=True)


def number(digits: str) -> float:
    return float(digits) + 0.0  # there is no -0 in JSON Schema


def compact(schema: Any, vocabulary: Any) -> Any:
    return sg.compile(sg.json_schema(schema, property_order="any", whitespace="compact", limits=LIMITS), vocabulary)


@pytest.mark.parametrize("schema", [s for s in SCARCE if "\\" not in json.dumps(s)], ids=json.dumps)
def test_what_may_follow_is_exactly_what_leads_to_an_array(schema: dict[str, Any], vocabulary: Any) -> None:
    """All texts of all arrays of few values: after each prefix, the bytes of those arrays that begin with it."""
    automaton = compact({"type": "array", "uniqueItems": True, **schema}, vocabulary)
    tail = item_texts(schema["items"], vocabulary) if schema["items"] else {}
    prefix = [item_texts(item, vocabulary) for item in schema.get("prefixItems", [])]
    least, most = schema.get("minItems", 0), schema.get("maxItems", 9)

    def unused(position: int, used: frozenset[str]) -> dict[bytes, str]:
        texts = prefix[position] if position < len(prefix) else tail
        return {text: value for text, value in texts.items() if value not in used} if position < most else {}

    def check(state: int, position: int, used: frozenset[str], before: bytes) -> None:
        items = unused(position, used)
        states = {b"": state}
        for begun in sorted({text[:n] for text in items for n in range(len(text) + 1)}, key=len):
            if begun:
                states[begun] = automaton.advance_bytes(states[begun[:-1]], begun[-1:])
            expected = {text[len(begun)] for text in items if text.startswith(begun) and text != begun}
            if begun in items:
                expected |= {*b","} if unused(position + 1, used | {items[begun]}) else set()
            if position + 1 >= least if begun in items else position == least == 0 and not begun:
                expected |= {*b"]"}
            assert set(automaton.next_bytes(states[begun])) - SPARED == expected, before + begun
        for text, value in items.items():
            if len(before) < 40 and unused(position + 1, used | {value}):
                check(automaton.advance_bytes(states[text], b","), position + 1, used | {value}, before + text + b",")

    check(automaton.advance_bytes(automaton.initial, b"["), 0, frozenset(), b"[")


@pytest.mark.parametrize("whitespace", ["one-space", "any", {"indent": 2}], ids=str)
def test_looking_ahead_knows_all_layouts(whitespace: Any, vocabulary: Any) -> None:
    schema = {"type": "array", "uniqueItems": True, "items": closed({"a": BOOLEAN, "b": NULL}, required=["a"])}
    automaton = sg.compile(sg.json_schema(schema, property_order="any", whitespace=whitespace), vocabulary)
    values = [{"a": True}, {"a": False}, {"a": True, "b": None}, {"a": False, "b": None}]
    text = json.dumps(values, indent=whitespace["indent"]) if isinstance(whitespace, dict) else json.dumps(values)
    assert automaton.accepts(text)
    last = automaton.advance_bytes(automaton.initial, text[: text.rindex("}") + 1].encode())
    assert automaton.advance_bytes(last, b",") == automaton.dead
    assert automaton.accepts(text.replace("false", "true", 1)) is False


def test_more_items_than_there_are_values_are_unsatisfiable(vocabulary: Any) -> None:
    with pytest.raises(sg.UnsatisfiableSchema):
        unique({"items": closed({"a": BOOLEAN}), "minItems": 4}, vocabulary)


@pytest.mark.parametrize("schema", SCHEMAS + SCARCE + MIXED, ids=json.dumps)
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
