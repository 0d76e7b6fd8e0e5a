"""Ambiguous grammars: exact against the slow twin, and of polynomial size where the number of parses is exponential."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import structgen as sg
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


def test_repeated_tokens_do_not_multiply_in_suffix_tries() -> None:
    """Every level of nesting reaches the same rest of a token in two ways."""
    automaton = sg.compile(sg.Constraint(catalan()), vocabulary())
    state = automaton.advance_bytes(automaton.initial, b"a" * 60)
    before = n_words(automaton)
    automaton.mask(state)
    assert n_words(automaton) - before < 100_000
