"""The substrings of a text, all texts of a few letters compared."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import structgen as sg
from structgen.automata.chardfa import accepts
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema
from structgen.grammars.substring import factor_automaton, suffix_automaton

WORDS = ["".join(letters) for n in range(8) for letters in product("ab", repeat=n)]
VOCAB = sg.Vocabulary.from_bytes([b"a", b"b", b"ab", b"ba", b"aa", "é".encode(), b"\xc3", b"\xa9", b"</s>"], eos_token_id=8)


def substrings(text: str) -> set[str]:
    return {text[i:j] for i in range(len(text) + 1) for j in range(i, len(text) + 1)}


def test_all_texts_of_two_letters() -> None:
    for text in WORDS:
        dfa, expected = factor_automaton(text), substrings(text)
        assert all(accepts(dfa, word) == (word in expected) for word in WORDS), text
        assert not accepts(factor_automaton(text, with_empty=False), "")


@pytest.mark.parametrize("text", ["a" * 500, "ab" * 250, "abb" * 200, "a" * 200 + "b" * 200, "".join(map(chr, range(32, 532)))])
def test_linear_size(text: str) -> None:
    states = suffix_automaton(text)
    assert len(states) <= 2 * len(text) - 1 and sum(map(len, states)) <= 3 * len(text) - 3
    assert len(factor_automaton(text).table) <= len(states)


@pytest.mark.parametrize("text", ["", "a", "abba", "aébéa", "ééé", "aabaab"])
@pytest.mark.parametrize("empty", [False, True])
def test_tokens(text: str, empty: bool) -> None:
    """Every sequence of tokens that spells a substring, and masks that lead nowhere else."""
    if not text and not empty:
        with pytest.raises(UnsatisfiableSchema):
            sg.substring_of(text)
        return
    automaton = sg.compile(sg.substring_of(text, empty=empty), VOCAB)
    expected = {word.encode() for word in substrings(text)} - (set() if empty else {b""})
    layer, found = {b"": automaton.initial}, set()
    while layer:
        found |= {data for data, state in layer.items() if automaton.is_accepting(state)}
        following = {}
        for data, state in layer.items():
            for token in map(int, automaton.allowed(state)):
                if token != 8:
                    after = data + VOCAB.token_bytes(token)
                    assert any(word.startswith(after) for word in expected), after
                    following[after] = automaton.advance(state, token)
        layer = following
    assert found == expected


def test_in_a_longer_constraint() -> None:
    constraint = "[" + sg.substring_of("to be or not to be") + "]"
    automaton = sg.compile(constraint, sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)] + [b""], eos_token_id=256))
    for inner, fits in (("to be", True), ("be or", True), ("", False), ("or to", False), ("t", True)):
        state = automaton.advance_bytes(automaton.initial, f"[{inner}]".encode())
        assert (state != automaton.dead and automaton.is_accepting(state)) == fits


def test_errors() -> None:
    for wrong in (None, 3, "\ud800"):
        with pytest.raises(StructgenError):
            sg.substring_of(wrong)  # type: ignore[arg-type]
    with pytest.raises(LimitExceeded, match="substring_of"):
        sg.substring_of("".join(map(chr, np.arange(5000) + 0x4E00)))
