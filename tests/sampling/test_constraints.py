"""Predicates over text and bytes as constraints, alone and joined with automata."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import structgen as sg
from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.sampling.constraints import bind
from structgen.sampling.language_model import CallableModel
from structgen.sampling.target import Target

PIECES = [b"a", b"b", b"ab", b"\xc3", b"\xa9", "é".encode(), b"\xff", b"", b"</s>", b"1"]
VOCAB = sg.Vocabulary.from_bytes(PIECES, eos_token_id=8, special={"<x>": 7})


def texts_of(spec: Any, max_tokens: int = 3) -> set[bytes]:
    """All texts that the constraint takes, by one token at a time; masks must say the same."""
    constraint, found = bind(spec, VOCAB), set()
    layer = [(constraint.initial, b"")]
    for _ in range(max_tokens + 1):
        found |= {text for state, text in layer if constraint.is_accepting(state)}
        following = []
        for state, text in layer:
            steps = {token: constraint.advance(state, token) for token in range(len(PIECES))}
            assert constraint.mask(state, 12).tolist() == [steps.get(token) is not None for token in range(12)]
            following += [(after, text + VOCAB.token_bytes(token)) for token, after in steps.items() if after is not None]
        layer = following
    return found


def test_predicate_over_text() -> None:
    seen: list[str] = []

    def prefix(text: str) -> bool:
        seen.append(text)
        return text.count("é") <= 1 and len(text) <= 2

    found = texts_of(sg.potential(prefix, lambda text: text.endswith("é")))
    assert found == {"é".encode(), "aé".encode(), "bé".encode(), "1é".encode()}
    assert len(seen) == len(set(seen)) or seen.count("a") == 2  # with and without half an é behind it


def test_predicate_over_bytes() -> None:
    assert texts_of(sg.potential(lambda data: len(data) < 3, lambda data: b"\xff" in data, binary=True), 1) == {b"\xff"}


def test_one_check_alone() -> None:
    assert texts_of(sg.potential(lambda text: "ab".startswith(text))) == {b"", b"a", b"ab"}
    assert texts_of(sg.potential(None, lambda text: text == "ab")) == {b"ab"}
    assert b"\xc3" not in texts_of(sg.potential(lambda text: True)), "half a character is no text"


def test_a_back_reference_no_automaton_has() -> None:
    doubled = re.compile(r"(a|b|1)\1")
    assert texts_of(sg.potential(lambda text: len(text) < 3, lambda text: bool(doubled.fullmatch(text)))) == {b"aa", b"bb", b"11"}


@pytest.mark.parametrize("spec", [sg.regex("[ab]*"), "a regex in a conjunction"], ids=["automaton", "conjunction"])
def test_automata(spec: Any) -> None:
    even = sg.potential(None, lambda text: len(text) % 2 == 0)
    if isinstance(spec, str):
        for joined in (sg.regex("[ab]*") & even, even & sg.regex("[ab]*"), sg.regex("[ab]*") & even & sg.regex("(ab|b)*")):
            found = texts_of(joined, 2)
            assert found and all(len(text) % 2 == 0 and not set(text) - set(b"ab") for text in found)
    else:
        assert texts_of(spec, 2) == {b"", b"a", b"b", b"ab", b"aa", b"ba", b"bb", b"aab", b"abb", b"aba", b"bab", b"abab"}
        assert bind(sg.compile(spec, VOCAB), VOCAB)._automaton is not None  # type: ignore[attr-defined]


def test_the_end_of_another_vocabulary_is_no_token() -> None:
    """The end symbol is the model's: tokens that end the output for the tokenizer alone are never text."""
    target = Target(CallableModel(lambda prefix: np.zeros(12), 12, 9), sg.regex("a?"), VOCAB, 5)
    ok = target.checker(0, target.constraint.initial)
    assert np.flatnonzero(ok.mask()).tolist() == [0, 9] and ok(9) and not ok(8)


def test_the_last_token_is_the_end() -> None:
    target = Target(CallableModel(lambda prefix: np.zeros(12), 12, 9), sg.regex("a*"), VOCAB, 2)
    last = target.checker(2, target.constraint.initial)
    assert last.is_last and np.flatnonzero(last.mask()).tolist() == [9] and not last(0) and last(9)


def test_evaluations_are_counted_once() -> None:
    asked: list[str] = []
    constraint = bind(sg.potential(lambda text: not asked.append(text), None), VOCAB)
    for _ in range(3):
        constraint.mask(constraint.initial, 10)
    assert constraint.evaluations == len(asked) and constraint.masks == 0


def test_errors() -> None:
    with pytest.raises(StructgenError, match="needs a prefix_check or a complete_check"):
        sg.potential()
    with pytest.raises(StructgenError, match="function from text to bool"):
        sg.potential("[a-z]")  # type: ignore[arg-type]
    with pytest.raises(UnsatisfiableSchema, match="empty text"):
        bind(sg.potential(lambda text: bool(text)), VOCAB)
    with pytest.raises(StructgenError, match="max_tokens"):
        Target(CallableModel(lambda prefix: np.zeros(12), 12, 9), sg.regex("a*"), VOCAB, -1)
    with pytest.raises(ZeroDivisionError):  # what a predicate raises is not hidden
        bind(sg.potential(lambda text: 1 / 0 > 0), VOCAB)
