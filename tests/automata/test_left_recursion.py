"""Any context-free grammar: left recursion of every kind against an independent Earley recogniser."""

from __future__ import annotations

import itertools
from functools import cache
from random import Random
from typing import Any

import pytest

import structgen as sg
from structgen.automata.ir import Bytes, Choice, Expr, Quoted, Repeat, Rule, Seq, Unique
from structgen.automata.machine import Machine
from tests.reference.earley import Grammar, fixpoint, recognise, to_expr

GRAMMARS: dict[str, Grammar] = {
    "direct": {"S": [("S", "a"), ("b",)]},
    "sums": {"S": [("S", "+", "T"), ("T",)], "T": [("T", "*", "F"), ("F",)], "F": [("(", "S", ")"), ("a",)]},
    "indirect": {"S": [("T", "a"), ("b",)], "T": [("U", "b"), ("a",)], "U": [("S", "c"), ("T", "a")]},
    "hidden": {"S": [("E", "S", "a"), ("b",)], "E": [("c",), ()]},
    "hidden twice": {"S": [("E", "E", "T", "a")], "T": [("S",), ("b",)], "E": [("E", "c"), ()]},
    "nullable": {"S": [("S", "S"), ("a",), ()]},
    "cycle": {"S": [("T",), ("a",)], "T": [("S",), ("b", "T")]},
    "nothing but itself": {"S": [("S",)]},
    "unproductive part": {"S": [("S", "T"), ("S", "a"), ("b",)], "T": [("T", "a")]},
    "both ends": {"S": [("S", "a", "S"), ("b",)]},
    "empty in a cycle": {"S": [("T", "S"), ("a",)], "T": [("S", "T"), (), ("b",)]},
    "mirrored": {"S": [("a", "S", "a"), ("S", "b"), ()]},
}
TEXTS = 12


@cache
def vocabulary() -> Any:
    tokens = [*(bytes([i]) for i in range(256)), b"ab", b"aa", b"+a", b""]
    return sg.Vocabulary.from_bytes(tokens, eos_token_id=len(tokens) - 1)


def random_grammar(rng: Random) -> Grammar:
    names = "STUVW"[: rng.randint(1, 5)]
    symbols = names * 2 + "ab"
    return {n: [tuple(rng.choices(symbols, k=rng.choice([0, 1, 1, 2, 2, 3]))) for _ in range(rng.randint(1, 3))] for n in names}


def check(grammar: Grammar, rng: Random, n_texts: int, letters: str) -> int:
    """Compare acceptance and viability of all prefixes of random texts; how many texts."""
    constraint = sg.Constraint(to_expr(grammar, "S"))
    if "S" not in fixpoint(grammar, "productive"):
        with pytest.raises(sg.UnsatisfiableSchema):
            sg.compile(constraint, vocabulary())
        return 1
    automaton: Machine = sg.compile(constraint, vocabulary())
    for _ in range(n_texts):
        text = "".join(rng.choices(letters, k=rng.randint(0, 9)))
        state = automaton.initial
        for i, (viable, accepted) in enumerate(recognise(grammar, "S", text)):
            if i:
                state = automaton.advance(state, ord(text[i - 1]))
            assert (state >= 0) == viable, (grammar, text[:i])
            assert automaton.is_accepting(state) == accepted, (grammar, text[:i])
            if not viable:
                break
    return n_texts


@pytest.mark.parametrize("name", GRAMMARS)
def test_left_recursion(name: str) -> None:
    grammar = GRAMMARS[name]
    letters = sorted({s for ways in grammar.values() for way in ways for s in way if s not in grammar})
    check(grammar, Random(1), 200, "".join(letters) or "a")


def test_random_grammars() -> None:
    rng = Random(7)
    assert sum(check(random_grammar(rng), rng, TEXTS, "ab") for _ in range(60)) > 200


@pytest.mark.long
def test_ten_thousand_random_grammars_and_texts() -> None:
    rng, n = Random(11), 0
    while n < 10_000:
        n += check(random_grammar(rng), rng, TEXTS, "ab")


def test_long_texts_keep_the_stack_flat() -> None:
    expr = to_expr(GRAMMARS["indirect"], "S")
    automaton = sg.compile(sg.Constraint(expr), vocabulary())
    state, before = automaton.advance_bytes(automaton.initial, b"b" + b"cba" * 10), 0
    for text in (b"cba" * 100, b"cba" * 100):
        state, before = automaton.advance_bytes(state, text), state
    assert state == before


def test_extended_forms() -> None:
    """Repetitions, separators and empty items before the recursive call."""
    s = Rule("s")
    a, b, comma = Bytes(b"a"), Bytes(b"b"), Bytes(b",")
    s.define(Choice((Seq((Repeat(a, 0, 2), Repeat(s, 1, 3, comma), b)), Seq((Repeat(s | Bytes(b""), 0, None), a)), b)))
    plain: Grammar = {
        "S": [("A", "L", "b"), ("M", "a"), ("b",)],
        "A": [(), ("a",), ("a", "a")],
        "L": [("S",), ("S", ",", "S"), ("S", ",", "S", ",", "S")],
        "M": [(), ("S", "M")],
    }
    automaton = sg.compile(sg.Constraint(s), vocabulary())
    for n in range(7):
        for text in map("".join, itertools.product("ab,", repeat=n)):
            assert automaton.accepts(text) is recognise(plain, "S", text)[-1][1], text


def test_left_recursion_through_a_scope_is_refused() -> None:
    s = Rule("s")
    body: Expr = Unique(Seq((s, Quoted(capture=True))))
    s.define(body | Bytes(b"a"))
    with pytest.raises(sg.StructgenError, match="left recursion"):
        sg.compile(sg.Constraint(s), vocabulary())


@pytest.mark.parametrize("body", ["root? " * 300, "(" + "root? | " * 300 + "root) " + '"b"? ' * 300])
def test_too_many_ways_to_begin_are_refused(body: str) -> None:
    with pytest.raises(sg.LimitExceeded, match="left recursion"):
        sg.words(sg.gbnf(f'root ::= {body} | "a"'))


def test_many_calls_of_one_rule_are_looked_at_once() -> None:
    assert sg.words(sg.gbnf("root ::= " + "root " * 10_000 + '| "a"'), max_length=5).count() == 1
