"""Forests: sets of trie nodes too large to be merged, kept as lists of roots. Masks through them equal following every token by bytes."""

from __future__ import annotations

from functools import cache
from itertools import product
from random import Random

import numpy as np
import pytest

import structgen as sg
from structgen.automata import _arena as A
from structgen.automata._trie_kernels import MAX_MERGED
from structgen.automata.engine import Engine

LETTERS = b"ab()"
GRAMMARS = {
    "ambiguous items": 'root ::= item*\nitem ::= "a" | "b" | "(" root ")" | "(" root | word\nword ::= [ab]+',
    "left recursion": 'root ::= s s s\ns ::= "(" s ")" | [ab]* | s "a" s',
    "overlapping pieces": 'root ::= (x | y | z)*\nx ::= [ab]+ "(" [ab()]* ")"\ny ::= "(" root ")" | "a"\nz ::= [ab(]+ ")"',
    "returns at many depths": 'root ::= t t\nt ::= u "b" | "a"* | "(" t\nu ::= v ")" | "b" t\nv ::= [ab]* | "(" t t',
}


@cache
def vocabulary() -> sg.Vocabulary:
    """All texts of up to six letters: far more of them share a state than are merged into one trie."""
    tokens = [bytes([i]) for i in range(256)] + [bytes(p) for n in range(2, 7) for p in product(LETTERS, repeat=n)]
    assert len(tokens) > MAX_MERGED
    return sg.Vocabulary.from_bytes([*tokens, b""], eos_token_id=len(tokens))


def records(engine: Engine, kind: int) -> int:
    """How many records of a kind the arena holds."""
    word = engine.arena.item
    table, size = word(A.TABLE), 1 << word(A.TABLE_BITS)
    return sum(1 for i in range(size) if (at := word(table + i)) and word(at + 1) & 15 == kind)


@pytest.mark.parametrize("name", GRAMMARS)
def test_masks_through_forests(name: str) -> None:
    automaton = sg.compile(sg.ebnf(GRAMMARS[name]), vocabulary())
    random = Random(1)
    vocab = vocabulary()
    for _ in range(6):
        state = automaton.initial
        for _ in range(5):
            expected = [t for t in range(vocab.size - 1) if automaton.advance_bytes(state, vocab.token_bytes(t)) != automaton.dead]
            allowed = [t for t in automaton.allowed(state).tolist() if t != vocab.size - 1]
            assert allowed == expected
            assert np.array_equal(np.sort(automaton.successors(state).tokens), expected)
            if not expected:
                break
            state = automaton.advance(state, random.choice(expected))
    assert records(automaton._engine, A.FOREST) > 0
