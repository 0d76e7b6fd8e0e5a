"""Ambiguous grammars: exact against the slow twin, and of polynomial size where the number of parses is exponential."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import structgen as sg
from structgen.automata import _state_kernels as K
from structgen.automata._arena import TOP
from structgen.automata.ir import EMPTY, Bytes, Choice, Expr, Quoted, Repeat, Rule, Seq, Unique
from structgen.automata.machine import Machine
from tests.reference.masks import naive_mask
from tests.reference.matcher import matches

A, B = Bytes(b"a"), Bytes(b"b")
TOKENS = [*(bytes([i]) for i in range(256)), b"aa", b"ab", b"aaa", b"bb", b"a)", b'"a', b'":1', b",,", b"]]", b""]
EOS = len(TOKENS) - 1


def catalan() -> Expr:
    tree = Rule("tree")
    return tree.define(Choice((A, Seq((A, tree, tree)), Seq((A, tree)))))


def dangling() -> Expr:
    statement = Rule("statement")
    return statement.define(Choice((A, Seq((A, statement, B)), Seq((A, statement)))))


def diamonds(depth: int = 40) -> Expr:
    """Rules that call the rule below them in two ways: 2^40 ways to the bottom before a byte is read."""
    below: Expr = Rule("bottom", A + B)
    for i in range(depth):
        below = Rule(f"level {i}", Rule("left", below + Repeat(B, 0, 1)) | Rule("right", below + Repeat(A, 0, 1)))
    return below


def subsets() -> Expr:
    """2^16 sets of calls lead to the same place."""
    either = Rule("one", A) | Rule("other", A)
    return Seq((Repeat(either), Rule("one", A), *[either] * 16, B))


def overlapping_lists(n_forms: int = 12) -> Expr:
    value = Rule("value")
    forms = [Seq((Bytes(b"["), Repeat(value, 0, None, Bytes(b",")), Bytes(b"]"), Repeat(B, 0, i))) for i in range(n_forms)]
    return value.define(Choice((A, *forms)))


def overlapping_scopes() -> Expr:
    """Objects of one shape in three ways, with distinct names, nested."""
    value = Rule("value")
    member = Seq((Quoted(capture=True), Bytes(b":"), value))
    forms = [Unique(Seq((Bytes(b"{"), Repeat(member, i % 2, None, Bytes(b",")), Bytes(b"}")))) for i in range(3)]
    return value.define(Choice((Bytes(b"1"), *forms)))


def counted() -> Expr:
    return Repeat(A | Bytes(b"aa"), 3, 100_000)


def nested_counts() -> Expr:
    """Both counts are ambiguous, and so is where one ends and the next begins."""
    return Repeat(Seq((Repeat(A | Bytes(b"aa"), 3, 1000), Repeat(B, 0, 1))), 900, 1000)


def nullable_tails(depth: int = 12) -> Expr:
    tail: Expr = EMPTY
    for i in range(depth):
        tail = Rule(f"tail {i}", Choice((EMPTY, Seq((A, tail)), Seq((tail, B)), tail)))
    return Seq((A, tail))


SHORT = [
    (catalan(), b"aaaaa"),
    (dangling(), b"aaaabb"),
    (diamonds(4), b"abab"),
    (overlapping_lists(3), b"[[a,[]],a]"),
    (overlapping_scopes(), b'{"a":{"b":1,"a":{}}}'),
    (counted(), b"aaaaaaa"),
    (nullable_tails(4), b"aaabb"),
]
LONG = {
    catalan: b"a" * 300,
    dangling: b"a" * 200 + b"b" * 100,
    diamonds: b"ab" + b"a" * 10 + b"b" * 10,
    subsets: b"a" * 100,
    overlapping_lists: b"[" * 100 + b"]" * 50,
    overlapping_scopes: b'{"a":' * 50 + b"{}" + b"}" * 30,
    counted: b"a" * 1000,
    nested_counts: b"a" * 1000,
    nullable_tails: b"a" * 7 + b"b" * 6,
}


@cache
def vocabulary() -> Any:
    return sg.Vocabulary.from_bytes(TOKENS, eos_token_id=EOS)


def n_words(automaton: Machine) -> int:
    """Everything allocated so far."""
    return int(automaton._engine.arena[TOP])


def allowed(automaton: Machine, state: int) -> set[int]:
    return set(map(int, automaton.allowed(state))) - {EOS}


@pytest.mark.parametrize("number", range(len(SHORT)))
def test_masks_of_ambiguous_grammars_are_those_of_the_slow_twin(number: int) -> None:
    expr, text = SHORT[number]
    automaton = sg.compile(sg.Constraint(expr), vocabulary())
    state = automaton.initial
    for i in range(len(text) + 1):
        assert allowed(automaton, state) == naive_mask(expr, text[:i], TOKENS), text[:i]
        assert automaton.is_accepting(state) == matches(expr, text[:i])
        state = automaton.advance(state, text[i]) if i < len(text) else state
    assert state != automaton.dead


@pytest.mark.parametrize("grammar", LONG)
def test_ambiguity_costs_polynomially(grammar: Any) -> None:
    automaton = sg.compile(sg.Constraint(grammar()), vocabulary())
    before = n_words(automaton)
    state = automaton.initial
    for byte in LONG[grammar]:
        assert byte in allowed(automaton, state)
        state = automaton.advance(state, byte)
    brute = {t for t in range(EOS) if automaton.advance(state, t) != automaton.dead}
    assert allowed(automaton, state) == brute
    assert n_words(automaton) - before < 12_000_000


COUNTED_ROUNDS = {
    "one or two": A | Bytes(b"aa"),
    "one or two, then one by one": Choice((A, Bytes(b"aa"), B)),
    "two or five": Bytes(b"aa") | Bytes(b"aaaaa"),
    "with a b": Seq((A, Repeat(B, 0, 1))) | Bytes(b"ab"),
    "a rule": Rule("round", A | Bytes(b"aab")),
}


@pytest.mark.parametrize("rounds", COUNTED_ROUNDS)
@pytest.mark.parametrize(("low", "high"), [(0, 9), (2, 9), (5, 9), (8, 9), (9, 9), (10, 13), (4, None)])
@pytest.mark.parametrize("separator", [None, B, B | Bytes(b"ab")], ids=["plain", "b", "b or ab"])
def test_counts_that_are_dropped_add_no_text(rounds: str, low: int, high: int | None, separator: Expr | None) -> None:
    expr = Seq((Repeat(A, 0, 2), Repeat(COUNTED_ROUNDS[rounds], low, high, separator)))
    automaton = sg.compile(sg.Constraint(expr), vocabulary())
    for text in (b"a" * 30, b"ab" * 15, b"aab" * 10, b"aaabaabaaaabab", b"aaaaa" + b"b" * 10):
        state = automaton.initial
        for i in range(len(text)):
            assert allowed(automaton, state) == naive_mask(expr, text[:i], TOKENS), text[:i]
            assert automaton.is_accepting(state) == matches(expr, text[:i])
            state = automaton.advance(state, text[i])
            if state == automaton.dead:
                break


@pytest.mark.parametrize(("low", "high"), [(150, 150), (149, 150), (147, 150), (120, 150), (3, 150), (100, None)])
@pytest.mark.parametrize("n", [90, 150, 200])
def test_many_counts_at_once(low: int, high: int | None, n: int) -> None:
    """So many that they are united into one element set; n letters a are any number of rounds from n / 2 to n, each b is one."""
    automaton = sg.compile(sg.Constraint(Repeat(Choice((A, Bytes(b"aa"), B)), low, high)), vocabulary())
    state = automaton.advance_bytes(automaton.initial, b"a" * n)
    most = 1000 if high is None else high
    for k in range(120):
        rounds = range(n // 2 + k, n + k + 1)
        assert automaton.is_accepting(state) == any(low <= c <= most for c in rounds)
        assert allowed(automaton, state) >= {ord("b")} if rounds[0] < most else not allowed(automaton, state)
        state = automaton.advance(state, ord("b"))
        if state == automaton.dead:
            break


@pytest.mark.parametrize("high", [1, 2, 5, 7, None])
def test_dropped_counts_are_covered_by_those_kept(high: int | None) -> None:
    """Every set of counts: as many rounds may follow those kept as may follow all of them, and as few as possible are kept."""
    instruction, elements = 4, 20
    for low in range(8 if high is None else high + 1):
        for chosen in range(1, 1 << (low + 1 if high is None else high)):
            counts = [c for c in range(8) if chosen >> c & 1]
            arena = np.zeros(64, np.int32)
            arena[instruction : instruction + 8] = [K.CALL, 0, 0, 0, K.COUNT_NEXT, 0, low, -1 if high is None else high]
            arena[elements : elements + 2 * len(counts)] = [x for c in counts for x in (instruction, c)]
            n = K._drop_counts.py_func(arena, elements, len(counts))
            kept = [int(c) for c in arena[elements + 1 : elements + 2 * n : 2]]

            def following(cs: list[int], low: int = low) -> set[int]:
                return {r for c in cs for r in range(max(0, low - c - 1), 20 if high is None else high - c)}

            assert following(kept) == following(counts)
            assert not any(following(kept[:i] + kept[i + 1 :]) == following(kept) for i in range(n) if n > 1)


def test_a_great_exact_number_of_rounds_is_refused_unless_the_text_determines_it() -> None:
    with pytest.raises(sg.LimitExceeded, match="nearly an exact number"):
        sg.compile(sg.Constraint(Repeat(A | Bytes(b"aa"), 100_000, 100_000)), vocabulary())
    sg.compile(sg.Constraint(Repeat(A | Bytes(b"aa"), 1000, 1000)), vocabulary())
    automaton = sg.compile({"type": "array", "minItems": 100_000, "maxItems": 100_000, "items": {"const": 1}}, vocabulary())
    for n in (99_999, 100_000):
        state = automaton.advance_bytes(automaton.initial, b"[" + b",".join([b"1"] * n))
        assert (ord(b"]") in allowed(automaton, state)) == (n == 100_000)
        assert (ord(b",") in allowed(automaton, state)) == (n < 100_000)


def test_repeated_tokens_do_not_multiply_in_suffix_tries() -> None:
    """Every level of nesting reaches the same rest of a token in two ways."""
    automaton = sg.compile(sg.Constraint(catalan()), vocabulary())
    state = automaton.advance_bytes(automaton.initial, b"a" * 60)
    before = n_words(automaton)
    automaton.mask(state)
    assert n_words(automaton) - before < 100_000
