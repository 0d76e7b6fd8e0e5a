"""The laws of masks and states, on random grammars and odd vocabularies, against the slow twin; then on a real vocabulary."""

from __future__ import annotations

from copy import copy
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen as sg
from structgen.automata.ir import Bytes, Chars, Expr, Quoted, Repeat, Seq, Unique
from structgen.compiler import clear_engines
from tests.reference.grammars import CROSSING, PIECES, grammars, vocabularies
from tests.reference.masks import naive_mask
from tests.reference.matcher import machine, matches, viable

BAD_TOKENS = [-1, -7, -(2**40), 2**24, 2**31, 2**32, 2**40, 2**70]


def bits(row: np.ndarray) -> set[int]:
    """The token ids of a packed mask row, read by the definition of the layout."""
    assert row.dtype in (np.uint32, np.int32) and row.ndim == 1
    return {32 * i + b for i, word in enumerate(row.tolist()) for b in range(32) if word >> b & 1}


class Toy:
    """A small vocabulary and how to spell bytes with its single-byte tokens."""

    def __init__(self, tokens: list[bytes], eos: int) -> None:
        self.tokens, self.eos = tokens, eos
        self.vocabulary = sg.Vocabulary.from_bytes(tokens, eos_token_id=eos)
        self.words = (len(tokens) + 31) // 32

    def of_byte(self, byte: int) -> int:
        return byte if byte < self.eos else byte + 1


@cache
def toys() -> list[Toy]:
    """A few vocabularies that many grammars share, as they do in use: bytes alone, odd tokens, and the end in odd places."""
    plain = [bytes([i]) for i in range(256)]
    random = Random(1)
    found = [Toy([*plain, b""], 256), Toy([b"", *plain, *CROSSING, b"", b'"', b"aa", b"ab,"], 0)]
    for n in (8, 16, 24, 200):
        odd = [b"".join(random.choices(PIECES, k=random.randint(1, 3))) for _ in range(n)]
        found.append(Toy([*plain, *CROSSING[: n // 2], b"", *odd], 256 + len(CROSSING[: n // 2])))
    return found


def compiled(expr: Expr, toy: Toy) -> Any:
    """The automaton, None for an empty language (which must be refused)."""
    if not viable(expr, b""):
        with pytest.raises(sg.UnsatisfiableSchema):
            sg.compile(sg.Constraint(expr), toy.vocabulary)
        return None
    return sg.compile(sg.Constraint(expr), toy.vocabulary)


def check_state(automaton: Any, state: int, expr: Expr, text: bytes, toy: Toy) -> set[int]:
    """Every law that concerns one state; returns the tokens with bytes that may follow."""
    allowed = bits(automaton.mask(state))
    may_end = matches(expr, text)
    expected = naive_mask(expr, text, toy.tokens)
    assert allowed - {toy.eos} == expected, (text, [toy.tokens[t] for t in allowed ^ expected if t != toy.eos])
    assert (toy.eos in allowed) == may_end == automaton.is_accepting(state)
    assert allowed, f"no token may follow {text!r}, and the text may not end"
    assert {t for t in range(len(toy.tokens)) if automaton.advance(state, t) != automaton.dead} == allowed
    assert sorted(map(int, automaton.allowed(state))) == sorted(allowed)
    return expected


@settings(max_examples=250)
@given(grammars(), st.integers(0, 5), st.data())
def test_masks_along_random_walks(expr: Expr, number: int, data: st.DataObject) -> None:
    toy = toys()[number]
    automaton = compiled(expr, toy)
    if automaton is None:
        return
    state, text = automaton.initial, b""
    for _ in range(8):
        following = check_state(automaton, state, expr, text, toy)
        if not following:
            break
        odd = sorted(t for t in following if len(toy.tokens[t]) > 1)
        plain = sorted(following - set(odd), key=lambda t: (toy.tokens[t] not in b'ab",:{}[]\\', t))[:12]
        token = data.draw(st.sampled_from(odd + plain))
        text += toy.tokens[token]
        state = automaton.advance(state, token)
        by_bytes = automaton.initial
        for byte in text:
            by_bytes = automaton.advance(by_bytes, toy.of_byte(byte))
        assert by_bytes == state, "the same text in other tokens is the same state"


@settings(max_examples=60)
@given(grammars(), vocabularies())
def test_first_mask_on_fresh_vocabularies(expr: Expr, vocabulary: tuple[list[bytes], int]) -> None:
    toy = Toy(*vocabulary)
    automaton = compiled(expr, toy)
    if automaton is not None:
        check_state(automaton, automaton.initial, expr, b"", toy)


@settings(max_examples=100)
@given(grammars(), st.lists(st.sampled_from(list(b'ab",:{}[]\\u061\xc3\xa9\xf0\x9f')), max_size=12).map(bytes))
def test_acceptance_of_arbitrary_bytes(expr: Expr, text: bytes) -> None:
    toy = toys()[0]
    automaton = compiled(expr, toy)
    if automaton is not None:
        assert automaton.accepts(text) == matches(expr, text)


@settings(max_examples=80)
@given(grammars(), st.randoms(use_true_random=False))
def test_long_walks_never_leave_the_grammar(expr: Expr, random: Random) -> None:
    """Whatever was chosen from the masks, the text so far can be completed (no dead ends)."""
    toy = toys()[0]
    automaton = compiled(expr, toy)
    if automaton is None:
        return
    state, reference = automaton.initial, machine(expr)
    position = reference.start
    for _ in range(random.randrange(12)):
        following = sorted(bits(automaton.mask(state)) - {toy.eos})
        if not following:
            break
        token = random.choice(following)
        state = automaton.advance(state, token)
        for byte in toy.tokens[token]:
            position = reference.step(position, byte)
    assert reference.is_viable(position)
    assert automaton.is_accepting(state) == reference.is_accepting(position)


def test_after_the_end_only_the_end() -> None:
    toy = toys()[0]
    automaton = sg.compile(sg.Constraint(Repeat(Bytes(b"a"), 0, 2)), toy.vocabulary)
    after = automaton.advance(automaton.initial, toy.eos)
    assert after != automaton.dead and automaton.is_accepting(after)
    assert bits(automaton.mask(after)) == {toy.eos}
    assert automaton.advance(after, toy.eos) != automaton.dead
    assert automaton.advance(after, toy.of_byte(ord("a"))) == automaton.dead


def test_a_bad_token_is_dead_and_harms_nothing() -> None:
    toy = toys()[0]
    expr = Repeat(Chars(((0, 0x10FFFF),)))
    automaton = sg.compile(sg.Constraint(expr), toy.vocabulary)
    text = b"abc"
    for n in range(len(text)):
        state = automaton.initial
        for byte in text[:n]:
            state = automaton.advance(state, toy.of_byte(byte))
        for bad in [*BAD_TOKENS, len(toy.tokens), len(toy.tokens) + 31, *(t + (s << 24) for t in range(128) for s in (1, 2, state))]:
            assert automaton.advance(state, bad) == automaton.dead, bad
            assert automaton.advance(automaton.dead, bad) == automaton.dead, bad
        check_state(automaton, state, expr, text[:n], toy)
    assert all(automaton.advance(automaton.dead, t) == automaton.dead for t in range(len(toy.tokens)))
    assert bits(automaton.mask(automaton.dead)) == set() and not automaton.is_accepting(automaton.dead)


def test_masks_are_read_only_and_stay_valid() -> None:
    toy = toys()[2]
    automaton = sg.compile(sg.Constraint(Repeat(Quoted(None, 0, 5), 0, None, Bytes(b","))), toy.vocabulary)
    first = automaton.mask(automaton.initial)
    before = first.copy()
    assert first.dtype == np.uint32 and first.shape == (toy.words,)
    with pytest.raises(ValueError):
        first[0] = 0
    state = automaton.initial
    for byte in b'"ab","cd","e","f":'[:-1]:
        state = automaton.advance(state, toy.of_byte(byte))
        automaton.mask(state)
    assert np.array_equal(first, before)
    assert np.array_equal(automaton.mask(automaton.initial), before)


@pytest.mark.parametrize("make", ["numpy int32", "numpy uint32", "torch int32", "numpy padded", "numpy view"])
def test_fill_masks_writes_the_rows(make: str) -> None:
    toy = toys()[3]
    automaton = sg.compile(sg.Constraint(Repeat(Quoted(), 0, None, Bytes(b","))), toy.vocabulary)
    inside = automaton.advance(automaton.initial, toy.of_byte(ord('"')))
    states = [automaton.initial, inside, automaton.initial, automaton.advance(inside, toy.of_byte(ord('"')))]
    width = toy.words + (3 if make == "numpy padded" else 0)
    if make == "torch int32":
        torch = pytest.importorskip("torch")
        out = torch.full((4, width), -1, dtype=torch.int32)
        rows = out.numpy()
    else:
        rows = np.full((8, width), -1, np.int32).view(np.uint32 if make == "numpy uint32" else np.int32)
        rows = rows[::2] if make == "numpy view" else rows[:4]
        out = rows
    automaton.fill_masks(states, out)
    for row, state in zip(rows.view(np.uint32), states, strict=True):
        assert np.array_equal(row[: toy.words], automaton.mask(state))
        assert not row[toy.words :].any()


def test_states_do_not_depend_on_the_order_in_which_they_are_asked_for() -> None:
    expr = Seq(
        (Bytes(b"{"), Unique(Repeat(Seq((Quoted(capture=True), Bytes(b":"), Quoted(None, 0, 2))), 0, None, Bytes(b","))), Bytes(b"}"))
    )
    texts = [b'{"a":"b","', b'{"', b'{"a":"', b'{"a":"b","b":"', b"{}", b'{"a":"b"}', b'{"\\u0061":"b","']
    toy, masks = toys()[4], []
    for order in (texts, texts[::-1], sorted(texts)):
        clear_engines()  # equal vocabularies share an engine as long as it is kept
        automaton = sg.compile(sg.Constraint(expr), toy.vocabulary)
        found = {}
        for text in order:
            state = automaton.initial
            for byte in text:
                state = automaton.advance(state, toy.of_byte(byte))
            found[text] = bits(automaton.mask(state))
        masks.append(found)
    assert masks[0] == masks[1] == masks[2]
    assert masks[0][texts[0]] == masks[0][texts[-1]], "a key recorded in another spelling is the same key"


# Real vocabularies.

SCHEMAS: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}}, "required": ["name"]},
        ["", '{"', '{"name": "A', '{"name": "A\\u00', '{"name": "A", "age": 1', '{"name":"é"', '{"name": "x", "zz'],
    ),
    (
        {"type": "array", "items": {"enum": ["red", "green", 1.5, None, {"a": []}]}, "minItems": 1},
        ["", "[", '["r', '["red", ', "[1", '["red"'],
    ),
    (
        {"type": "string", "pattern": "^[a-z]+-[0-9]{2,4}$"},
        ["", '"', '"ab', '"ab-1', '"ab-12'],
    ),
]


@pytest.mark.long
@pytest.mark.parametrize("number", range(len(SCHEMAS)))
def test_masks_on_a_real_vocabulary_are_brute_force(tekken: Any, number: int) -> None:
    schema, prefixes = SCHEMAS[number]
    automaton = sg.compile(sg.json_schema(schema), tekken)
    for prefix in prefixes:
        state = walk(automaton, tekken, prefix.encode())
        assert state != automaton.dead, prefix
        brute = {t for t in range(len(tekken)) if automaton.advance(state, t) != automaton.dead}
        assert bits(automaton.mask(state)) == brute, prefix


@pytest.mark.long
@pytest.mark.parametrize("number, prefix", [(0, '{"name": "A'), (1, '["r'), (2, '"ab-1')])
def test_masks_on_a_real_vocabulary_are_those_of_the_slow_twin(tekken: Any, number: int, prefix: str) -> None:
    constraint = sg.json_schema(SCHEMAS[number][0])
    automaton = sg.compile(constraint, tekken)
    state = walk(automaton, tekken, prefix.encode())
    tokens = [tekken.token_bytes(t) for t in range(len(tekken))]
    allowed = bits(automaton.mask(state)) - set(tekken.eos_token_ids)
    assert allowed == naive_mask(constraint.expr, prefix.encode(), tokens)


def walk(automaton: Any, vocabulary: Any, text: bytes) -> int:
    """The state after a text spelled in single-byte tokens."""
    of_byte = {vocabulary.token_bytes(t): t for t in range(len(vocabulary)) if len(vocabulary.token_bytes(t)) == 1}
    state = automaton.initial
    for byte in text:
        state = automaton.advance(state, of_byte[bytes([byte])])
    return int(state)


def test_no_token_leads_where_no_tokens_go_on() -> None:
    """Without all single bytes, bytes may go on where no token does: such tokens are not allowed."""
    vocabulary = sg.Vocabulary.from_bytes([b"true", b"false", b"f", b"fal"], eos_token_id=4)
    automaton = sg.compile({"type": "boolean"}, vocabulary)
    assert bits(automaton.mask(automaton.initial)) == {0, 1}
    assert automaton.advance(automaton.initial, 2) == automaton.dead
    with pytest.raises(sg.UnsatisfiableSchema):
        sg.compile({"type": "null"}, vocabulary)


# Misuse.


@cache
def small() -> Any:
    automaton = sg.compile({"enum": ["aab", "bc"]}, toys()[0].vocabulary)
    automaton.allowed(automaton.initial)
    return automaton


CALLS = {
    "mask": lambda automaton, state: automaton.mask(state),
    "allowed": lambda automaton, state: automaton.allowed(state),
    "advance": lambda automaton, state: automaton.advance(state, 34),
    "advance_bytes": lambda automaton, state: automaton.advance_bytes(state, b'"'),
    "next_bytes": lambda automaton, state: automaton.next_bytes(state),
    "is_accepting": lambda automaton, state: automaton.is_accepting(state),
    "explain": lambda automaton, state: automaton.explain(state),
    "forced": lambda automaton, state: automaton.forced(state),
    "fill_masks": lambda automaton, state: automaton.fill_masks([state], np.zeros((1, 9), np.int32)),
}
NO_STATES = [1, 3, 7, 31, 10**6, 10**9, 10**12, 10**30, -2, -100, 2.5, None, "x", "+1", "-1", "+2", "top"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", NO_STATES, ids=str)
def test_what_is_no_state_is_refused(call: str, state: Any) -> None:
    automaton = small()
    if (call, state) == ("explain", "x"):  # a text
        assert "no allowed text" in str(automaton.explain(state))
        return
    near = {"+1": 1, "-1": -1, "+2": 2}
    if state in near:
        state = automaton.initial + near[state]
    elif state == "top":
        state = int(automaton._engine.arena[0])
    with pytest.raises(sg.StructgenError, match="is not a state"):
        CALLS[call](automaton, state)


def test_no_offset_but_those_of_states_is_a_state() -> None:
    """Whatever lies in the arena: what is taken for a state is one that was returned or found on the way."""
    vocabulary = sg.Vocabulary.from_bytes([*toys()[0].tokens, b"of this test alone"], eos_token_id=256)
    automaton = sg.compile({"enum": ["ab", "bc"]}, vocabulary)
    found, todo = {automaton.dead, 0, automaton.initial}, [automaton.initial]
    for state in todo:
        for byte in automaton.next_bytes(state):
            following = automaton.advance_bytes(state, bytes([byte]))
            if following not in found:
                found.add(following)
                todo.append(following)
    taken = set()
    arena = automaton._engine.arena
    for offset in [-1, 0, *np.flatnonzero(arena[: int(arena[0])] & 15 == 3) - 1]:
        try:
            automaton.is_accepting(int(offset))
            taken.add(int(offset))
        except sg.StructgenError:
            pass
    assert taken == found


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint32, "torch"], ids=str)
def test_integers_of_other_kinds_are_the_same(kind: Any) -> None:
    number = pytest.importorskip("torch").tensor if kind == "torch" else kind
    automaton = small()
    first = automaton.advance(automaton.initial, 34)
    states = [automaton.initial, first, automaton.advance(first, 97), automaton.advance(first, 98)]
    wanted = [[automaton.advance(state, token) for token in range(257)] for state in states]
    fresh = copy(automaton)
    fresh._next, fresh._masks = {}, {}
    assert [[fresh.advance(number(state), number(token)) for token in range(257)] for state in states] == wanted
    assert [fresh.advance(states[0], np.uint8(token)) for token in range(256)] == wanted[0][:256]
    for state in states:
        assert fresh.mask(number(state)) is automaton.mask(state)
        assert fresh.is_accepting(number(state)) == automaton.is_accepting(state)
        assert fresh.next_bytes(number(state)) == automaton.next_bytes(state)


NO_TOKENS = [34.0, 34.5, float("nan"), float("inf"), None, '"', b'"', [34], np.float32(34), np.array([34, 35])]


@pytest.mark.parametrize("token", NO_TOKENS, ids=str)
def test_what_is_no_integer_is_a_bad_token(token: Any) -> None:
    automaton = small()
    for state in (automaton.initial, np.int32(automaton.initial), automaton.dead, 0):
        assert automaton.advance(state, token) == automaton.dead


WORDS = 9


@pytest.mark.parametrize(
    "out",
    [
        *(np.full((2, 4 * WORDS), 7, dtype) for dtype in (np.int64, np.uint64, np.float32, np.float64, np.uint8, np.int8, bool, ">i4")),
        *(np.full(shape, 7, np.int32) for shape in (WORDS, (2, WORDS - 1), (1, WORDS), (2, WORDS, 2), (0, WORDS))),
        [[7] * WORDS] * 2,
        None,
        7,
    ],
    ids=lambda out: f"{out.dtype}{out.shape}" if isinstance(out, np.ndarray) else type(out).__name__,
)
def test_fill_masks_refuses_what_masks_cannot_be_written_to(out: Any) -> None:
    before = np.array(out, copy=True)
    with pytest.raises(sg.StructgenError, match="masks are written to int32 or uint32"):
        small().fill_masks([small().initial] * 2, out)
    assert np.array_equal(out, before)


@pytest.mark.parametrize("make", [list, tuple, iter, np.array, lambda states: pytest.importorskip("torch").tensor(states)])
def test_fill_masks_clears_the_padding_of_its_rows_and_touches_no_others(make: Any) -> None:
    automaton, out = small(), np.full((5, WORDS + 1), -1, np.int32)
    automaton.fill_masks(make([automaton.initial, automaton.dead]), out)
    assert np.array_equal(out[0, :WORDS].view(np.uint32), automaton.mask(automaton.initial)) and out[0].any()
    assert not out[1].any() and not out[:2, WORDS:].any() and (out[2:] == -1).all()


@pytest.mark.parametrize("data", ["x", [34], 5, None], ids=str)
def test_bytes_are_bytes(data: Any) -> None:
    with pytest.raises(TypeError, match="bytes-like"):
        small().advance_bytes(small().initial, data)
