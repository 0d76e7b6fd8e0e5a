"""Outputs of at most n tokens: never a dead end, nothing excluded that could have been finished."""

from __future__ import annotations

import json
from functools import cache
from random import Random
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen as sg
from structgen.errors import StructgenError, UnsatisfiableSchema
from tests.decoding.models import model, tokenizer
from tests.reference.grammars import grammars
from tests.reference.matcher import viable
from tests.test_machine_laws import toys

FEW = [b"a", b"b", b"ab", b"ba", b"aab", b"[", b"]", b"]]", b"[[", b",", b"a,", b'"', b'"a', b""]
EOS = len(FEW) - 1


@cache
def few() -> sg.Vocabulary:
    """A vocabulary that does not spell every byte, where the search is exact."""
    return sg.Vocabulary.from_bytes(FEW, eos_token_id=EOS)


NESTED = sg.gbnf('root ::= "a" | "[" root ("," root)* "]"')
CONSTRAINTS = {
    "nested": NESTED,
    "repeated": sg.repeat("ab", 2, 5),
    "regex": sg.regex("(a|ab)*b"),
    "long way round": sg.choice(["aaaa", "bab", "b"]),
    "two ways": sg.regex("a{3}(ba)*") | "[" + sg.regex("[ab]{4,6}") + "]",
    "quoted": sg.regex('"a*"') | sg.repeat(NESTED, 0, 2),
}


@cache
def onward(automaton: Any, state: int) -> frozenset[int]:
    return frozenset(automaton.advance(state, int(t)) for t in automaton.allowed(state) if t != EOS)


@cache
def finishable(automaton: Any, state: int, left: int) -> bool:
    """By trying everything."""
    return automaton.is_accepting(state) or (left > 0 and any(finishable(automaton, s, left - 1) for s in onward(automaton, state)))


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("n", range(1, 8))
def test_a_token_is_allowed_exactly_if_the_rest_can_be_finished(name: str, n: int) -> None:
    automaton = sg.compile(CONSTRAINTS[name], few())
    if not finishable(automaton, automaton.initial, n):
        with pytest.raises(UnsatisfiableSchema, match="the shortest takes"):
            automaton.limited(n)
        return
    limited = sg.compile(CONSTRAINTS[name], few(), max_tokens=n)
    todo = [(automaton.initial, limited.initial, n)]
    seen = set(todo)
    while todo:
        state, small, left = todo.pop()
        wanted = {
            t
            for t in map(int, automaton.allowed(state))
            if t != EOS and left and finishable(automaton, automaton.advance(state, t), left - 1)
        }
        wanted |= {EOS} if automaton.is_accepting(state) else set()
        assert set(map(int, limited.allowed(small))) == wanted
        assert limited.is_accepting(small) == automaton.is_accepting(state)
        for token in wanted - {EOS}:
            after = (automaton.advance(state, token), limited.advance(small, token), left - 1)
            assert after[1] != limited.dead
            if after not in seen and len(seen) < 2000:
                seen.add(after)
                todo.append(after)
        for token in set(range(EOS)) - wanted:
            assert limited.advance(small, token) == limited.dead


def shortest(automaton: Any, state: int, most: int) -> int | None:
    """How many bytes finish the output, by trying all."""
    layer, seen = {state}, {state}
    for n in range(most + 1):
        if any(automaton.is_accepting(s) for s in layer):
            return n
        layer = {automaton.advance_bytes(s, bytes([b])) for s in layer for b in automaton.next_bytes(s)} - seen
        seen |= layer
        if len(seen) > 3000:
            return None
    return None


def check_walk(automaton: Any, n: int, tokens: list[bytes], eos: int, random: Random) -> None:
    """Whatever is begun is finished, and a token is not refused if the fewest bytes that finish the output behind it fit."""
    limited = automaton.limited(n)
    state, small, left = automaton.initial, limited.initial, n
    while True:
        allowed = set(map(int, limited.allowed(small)))
        assert allowed, "a dead end"
        assert allowed <= set(map(int, automaton.allowed(state)))
        for token in random.sample(sorted(set(map(int, automaton.allowed(state))) - {eos}), k=1) if left and allowed != {eos} else []:
            after = automaton.advance(state, token)
            needed = shortest(automaton, after, left - 1)
            assert needed is None or token in allowed, (tokens[token], needed, left)
        token = random.choice(sorted(allowed))
        if token == eos:
            break
        state, small, left = automaton.advance(state, token), limited.advance(small, token), left - 1
        assert small != limited.dead and left >= 0 and limited.left(small) == left
        if left == 0:
            break
    assert automaton.is_accepting(state)


def least(automaton: Any) -> int | None:
    """The smallest number of tokens that is not refused; None if the constraint is."""
    for n in range(1, 40):
        try:
            automaton.limited(n)
            return n
        except UnsatisfiableSchema:
            continue
        except StructgenError:
            return None
    return None


@settings(max_examples=60)
@given(grammars(), st.integers(0, 5), st.integers(0, 2**32))
def test_random_grammars(expr: Any, which: int, seed: int) -> None:
    toy = toys()[which % len(toys())]
    if not viable(expr, b""):
        return
    automaton = sg.compile(sg.Constraint(expr), toy.vocabulary)
    start = least(automaton)
    random = Random(seed)
    for extra in (0, 1, 4) if start else ():
        check_walk(automaton, start + extra, toy.tokens, toy.eos, random)


@cache
def crossing() -> tuple[sg.Vocabulary, list[bytes], int]:
    """Single bytes and tokens that cross the pieces of JSON."""
    tokens = [bytes([i]) for i in range(256)] + [
        b'":',
        b'"}',
        b',"',
        b'{"',
        b'":"',
        b'"a',
        b'a"',
        b"]}",
        b'","',
        b"[[",
        b"}}",
        b": ",
        b"true",
        b'"a":',
        b'b":1',
    ]
    return sg.Vocabulary.from_bytes([*tokens, b""], eos_token_id=len(tokens)), [*tokens, b""], len(tokens)


SCHEMAS: list[Any] = [
    True,
    {"type": "object"},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    {"properties": {"a": {"type": "string", "minLength": 3}, "b": {"enum": ["long value", 1]}}, "required": ["b", "a"], "type": "object"},
    {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "boolean"}}, "minItems": 2},
    {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"const": "x"}}, "required": ["b"]},
    {"type": "string", "pattern": "^[a-c]{2,9}z+$"},
    {"anyOf": [{"type": "integer", "minimum": 7}, {"type": "string", "format": "date"}]},
]  # fmt: skip


@pytest.mark.parametrize("i", range(len(SCHEMAS)))
def test_schemas(i: int) -> None:
    """Names that are taken included: the walks prefer quotes, commas and the letter a."""
    vocabulary, tokens, eos = crossing()
    automaton = sg.compile(sg.json_schema(SCHEMAS[i]), vocabulary)
    start = least(automaton)
    assert start is not None
    likely = [t for t, token in enumerate(tokens) if token and set(token) <= set(b'{}[]",:a1')]
    random = Random(i)
    for extra in [0, 1, 2, 3, 5, 8, 13, 21] * 4:
        limited = automaton.limited(start + extra)
        state, text, left = limited.initial, b"", start + extra
        while left:
            allowed = set(map(int, limited.allowed(state)))
            assert allowed, f"nothing may follow {text!r} with {left} left"
            token = random.choice(sorted(allowed & set(likely) or allowed))
            if token == eos:
                break
            state, text, left = limited.advance(state, token), text + tokens[token], left - 1
        assert limited.is_accepting(state), text
        jsonschema.validate(json.loads(text), SCHEMAS[i])


ONE: dict[str, Any] = {"const": 1}
NAMED: list[dict[str, Any]] = [
    {"additionalProperties": ONE},
    {"properties": {"a": ONE, "aa": ONE}, "required": ["a"], "additionalProperties": ONE},
    {"additionalProperties": ONE, "minProperties": 1},
    {"additionalProperties": ONE, "maxProperties": 2},
    {"additionalProperties": ONE, "propertyNames": {"pattern": "^[a-z]*$"}},
    {"patternProperties": {"^a": ONE}, "additionalProperties": {"additionalProperties": ONE, "type": "object"}},
]


@pytest.mark.parametrize("schema", NAMED)
def test_names_that_are_taken_are_no_dead_ends(schema: dict[str, Any]) -> None:
    """All outputs in some letters, where tokens that cross the end of a name make an end cheap that is not free."""
    tokens = [bytes([i]) for i in range(256)] + [b'":', b'":1', b'"}', b',"', b'{"', b'":"', b'"a', b"aa", b"1}", b'1,"', b'"":1']
    vocabulary = sg.Vocabulary.from_bytes([*tokens, b""], eos_token_id=len(tokens))
    automaton = sg.compile(sg.json_schema({"type": "object", **schema}, whitespace="compact"), vocabulary)
    start = least(automaton)
    assert start is not None
    for extra in (0, 2, 5, 6, 8):
        limited = automaton.limited(start + extra)
        todo = [limited.initial]
        seen = set(todo)
        while todo and len(seen) < 1500:
            state = todo.pop()
            allowed = set(map(int, limited.allowed(state)))
            assert allowed, limited.left(state)
            for token in sorted(t for t in allowed if t < len(tokens) and set(tokens[t]) <= set(b'{}":,1a')):
                if (after := limited.advance(state, token)) not in seen:
                    seen.add(after)
                    todo.append(after)


def test_many_ways_to_read_a_token_are_no_error() -> None:
    """SQL: an expression begins in very many ways."""
    vocabulary, tokens, eos = crossing()
    automaton = sg.compile(sg.grammar("sql"), vocabulary)
    for seed in range(3):
        check_walk_text(automaton, 8, tokens, eos, Random(seed))


def check_walk_text(automaton: Any, n: int, tokens: list[bytes], eos: int, random: Random) -> None:
    """A random output is finished in time."""
    limited = automaton.limited(n)
    state, text = limited.initial, b""
    while (token := random.choice(limited.allowed(state).tolist())) != eos:
        state, text = limited.advance(state, token), text + tokens[token]
    assert automaton.accepts(text)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "minProperties": 2},
        {"type": "object", "properties": {"a": True}, "minProperties": 2},
        {"type": "array", "uniqueItems": True, "items": {"type": "integer"}, "minItems": 2},
        {"type": "object", "patternProperties": {"^a(bbbb)*$": True}, "additionalProperties": False, "minProperties": 2},
    ],
)
def test_what_cannot_be_known_is_refused(schema: Any) -> None:
    with pytest.raises(StructgenError, match="max_tokens does not go with"):
        sg.compile(sg.json_schema(schema), crossing()[0], max_tokens=100)


@pytest.mark.parametrize("n", [0, -1, True, 1.5, "9", 2**24])
def test_what_is_no_number_of_tokens(n: Any) -> None:
    with pytest.raises(StructgenError, match="max_tokens is a number of tokens"):
        sg.compile(sg.choice(["a"]), few(), max_tokens=n)


def test_states_texts_and_forced_tokens() -> None:
    limited = sg.compile(sg.choice(["ab", "aab", "bbbb"]), few(), max_tokens=3)
    assert limited.accepts("ab") and limited.accepts(b"aab") and not limited.accepts("bbbb")
    assert limited.next_bytes(limited.initial) == [ord("a")]
    assert limited.left(limited.initial) == 3 and limited.limited(4).max_tokens == 4
    out = np.zeros((2, 1), np.int32)
    limited.fill_masks([limited.initial, limited.dead], out)
    assert out[1, 0] == 0 and out[0, 0] == limited.mask(limited.initial).view(np.int32)[0]
    for bad in (7, 2**80, limited.initial + 1, "x"):
        with pytest.raises(StructgenError, match="not a state"):
            limited.mask(bad)  # type: ignore[arg-type]
    one = sg.compile(sg.choice(["aab"]), few(), max_tokens=1)
    assert one.forced(one.initial) == [FEW.index(b"aab"), EOS]
    assert one.advance(one.advance(one.initial, FEW.index(b"aab")), EOS) == 0


def test_compiling_again_keeps_the_limit_and_refusals_name_it() -> None:
    limited = sg.compile(sg.choice(["ab", "aab", "bbbb"]), few(), max_tokens=3)
    again = sg.compile(limited, few())
    assert again.max_tokens == 3 and sg.compile(limited, few(), max_tokens=4).max_tokens == 4
    b = FEW.index(b"b")
    assert "with 3 tokens left, the output could not be finished" in limited.explain(limited.initial).why(b)
    assert "here may follow a, not b" not in limited.explain(limited.initial).why(b)
    assert limited.explain(limited.initial).why(FEW.index(b"a")).endswith("is allowed")


def test_generate_never_cuts_the_output() -> None:
    generate = sg.Generator(model(), tokenizer())
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "number"}}},
        "required": ["a", "b"],
    }
    for n in (12, 16, 40):
        for seed in range(3):
            torch.manual_seed(seed)
            answer = generate("Say something.", schema, max_new_tokens=n, finish=True, do_sample=True)
            jsonschema.validate(answer, schema)
    with pytest.raises(UnsatisfiableSchema):
        generate("Say something.", schema, max_new_tokens=2, finish=True)
