"""Special tokens in constraints: the token itself and never its text."""

from __future__ import annotations

from typing import Any

import pytest

import structgen as sg
from structgen.automata.marks import MARK, mark, with_marks

SPECIAL = {"<|call|>": 257, "<|end|>": 258, "<tool>": 260}
TOKENS = [*(bytes([i]) for i in range(256)), b"<|call|>", b"", b"", b"ab", b"", b"\xff\x00\x01\x01", b"a\xff"]


def vocabulary() -> Any:
    return sg.Vocabulary.from_bytes(TOKENS, eos_token_id=258, special=SPECIAL)


def allowed(automaton: Any, state: int) -> set[int]:
    found = set(map(int, automaton.allowed(state)))
    brute = {t for t in range(len(TOKENS)) if automaton.advance(state, t) != automaton.dead}
    assert found == brute
    return found


def test_a_token_is_not_its_text() -> None:
    automaton = sg.compile(sg.token("<|call|>") + "ab", vocabulary())
    assert allowed(automaton, automaton.initial) == {257}
    state = automaton.advance(automaton.initial, 257)
    assert allowed(automaton, state) == {ord("a"), 259}
    assert not automaton.accepts("<|call|>ab")
    assert automaton.advance_bytes(automaton.initial, mark(257)) == automaton.dead
    text = sg.compile(sg.literal("<|call|>ab"), vocabulary())
    assert allowed(text, text.initial) == {ord("<"), 256}


def test_by_id() -> None:
    automaton = sg.compile(sg.token(260) | "a", vocabulary())
    assert allowed(automaton, automaton.initial) == {260, ord("a")}


def test_free_text_has_no_special_tokens() -> None:
    automaton = sg.compile(sg.regex("(?s).*"), vocabulary())
    assert not allowed(automaton, automaton.initial) & {257, 260, 261, 262, MARK}


@pytest.mark.parametrize(
    ("name", "message"), [("<|cal|>", "did you mean '<|call|>'"), ("<|end|>", "inside an output"), (256, "256"), (9999, "9999")]
)
def test_tokens_that_cannot_be_named(name: str | int, message: str) -> None:
    with pytest.raises(sg.VocabularyError, match=message.replace("|", r"\|")):
        sg.compile(sg.token(name), vocabulary())
    with pytest.raises(sg.StructgenError, match="by a text or an id"):
        sg.token(True)


def test_tagged_regions_that_begin_with_a_token() -> None:
    call = sg.Tag(sg.token("<|call|>"), sg.regex("[0-9]+"), "!")
    automaton = sg.compile(sg.tagged([call], most=1, text_after=False), vocabulary())
    state = automaton.advance_bytes(automaton.initial, b"free <|call|> text: ")
    assert 257 in allowed(automaton, state) and 260 not in allowed(automaton, state)
    state = automaton.advance(state, 257)
    assert allowed(automaton, state) == set(range(48, 58))
    state = automaton.advance_bytes(state, b"42!")
    assert automaton.is_accepting(state) and allowed(automaton, state) == {258}


def test_forced_and_explained() -> None:
    automaton = sg.compile(sg.token("<|call|>") + "a", vocabulary())
    assert automaton.forced(automaton.initial) == [257, ord("a"), 258]
    assert "<|call|>" in str(automaton.explain(automaton.initial))


def test_forbidden_patterns_do_not_see_tokens() -> None:
    automaton = sg.compile(sg.forbid(sg.regex("[ab]*") + sg.token("<tool>") + sg.regex("[ab]*"), ["bb"]), vocabulary())
    state = automaton.advance_bytes(automaton.initial, b"ab")
    assert ord("b") not in allowed(automaton, state)
    assert ord("b") not in allowed(automaton, automaton.advance(state, 260))


def test_tokens_in_gbnf() -> None:
    automaton = sg.compile(sg.gbnf("root ::= <|call|> [a-z]+ <[260]>"), vocabulary())
    state = automaton.advance_bytes(automaton.advance(automaton.initial, 257), b"x")
    assert automaton.is_accepting(automaton.advance(state, 260))
    with pytest.raises(sg.GrammarSyntaxError, match="any token but one"):
        sg.gbnf("root ::= !<|call|>")


def test_marks() -> None:
    vocab = vocabulary()
    offsets, data = with_marks(vocab.offsets, vocab.data, {257, 260})
    tokens = [data[offsets[i] : offsets[i + 1]].tobytes() for i in range(vocab.size)]
    wanted = [b"" if MARK in vocab.token_bytes(i) else vocab.token_bytes(i) for i in range(vocab.size)]
    wanted[257], wanted[260] = mark(257), mark(260)
    assert tokens == wanted
