"""Gaps filled by a model: what comes out is always valid, what cannot be completed is refused at once."""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from random import Random
from typing import Any

import pytest
import torch

import structgen as sg
from structgen.automata import ir
from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.grammars.constraint import Constraint
from structgen.infilling import gap_automaton
from structgen.infilling.parts import read_parts
from tests.decoding.models import model, tokenizer

TOKENS = [b"(", b")", b"()", b"((", b"))", b")(", b"", *(bytes([b]) for b in range(256) if b not in b"()")]
EOS = 6
DYCK = sg.gbnf('root ::= "" | "(" root ")" root')
JSON = sg.grammar("json")
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@cache
def brackets() -> sg.Vocabulary:
    return sg.Vocabulary.from_bytes(TOKENS, eos_token_id=EOS)


def is_balanced(text: str) -> bool:
    while "()" in text:
        text = text.replace("()", "")
    return not text


def outputs(automaton: Any, start: int, length: int) -> set[tuple[int, ...]]:
    """All complete token sequences up to a length, by masks; every beginning can be finished within them."""
    found, layer = set(), [((), start)]
    for _ in range(length + 1):
        following = []
        for tokens, state in layer:
            allowed = automaton.allowed(state).tolist()
            assert allowed, "a dead end"
            found |= {tokens} if EOS in allowed else set()
            following += [((*tokens, t), automaton.advance(state, t)) for t in allowed if t != EOS]
        layer = following
    return found


def sequences(length: int) -> list[tuple[int, ...]]:
    return [tokens for n in range(length + 1) for tokens in product(range(6), repeat=n)]


def spelled(tokens: tuple[int, ...]) -> str:
    return b"".join(TOKENS[t] for t in tokens).decode()


BOUNDED = [
    ("((", sg.gap(1), ""),
    ("((", sg.gap(2), ""),
    ("(", sg.gap(2), ")"),
    ("((", sg.gap(3), ")"),
    ("(((", sg.gap(2), ")"),
    ("(", sg.gap(tokens=1), ")"),
    ("(", sg.gap(tokens=2), ")"),
    ("", sg.gap(tokens=3), "))"),
    ("(", sg.gap(tokens=3), ""),
    ("((((", sg.gap(tokens=2), ""),
]


@pytest.mark.parametrize(("left", "gap", "right"), BOUNDED, ids=[f"{a} {g.max_tokens or g.tokens} {b}" for a, g, b in BOUNDED])
def test_numbers_of_tokens(left: str, gap: Any, right: str) -> None:
    most = gap.max_tokens or gap.tokens
    expected = {t for t in sequences(most) if is_balanced(left + spelled(t) + right)}
    expected = {t for t in expected if gap.tokens in (None, len(t))}
    automaton, start = gap_automaton(brackets(), DYCK, left, [gap, right])
    assert automaton.initial == start
    assert outputs(automaton, start, most) == expected
    assert expected


FEASIBLE = [
    ("((", [sg.gap(tokens=1), ")"], True),
    ("((", [sg.gap(tokens=1), ")))"], True),
    ("((", [sg.gap(tokens=1), ")))))"], False),
    ("((", [sg.gap(tokens=1)], True),
    ("(((", [sg.gap(1)], False),
    ("((((", [sg.gap(1)], False),
    ("((((", [sg.gap(2)], True),
    (")", [sg.gap()], False),
    ("(", [sg.gap(), "("], False),
    ("(", [sg.gap(), "(", sg.gap()], True),
    ("(", [sg.gap(), "((", sg.gap(2)], True),
    ("(", [sg.gap(), "((", sg.gap(1)], False),  # "))" is a token, but only single bytes are relied on
    ("(", [sg.gap(), "(", sg.gap(tokens=2), ")"], True),
    ("(", [sg.gap(), "(", sg.gap(tokens=1), "("], False),
    ("", [sg.gap(), "(", sg.gap(tokens=1)], True),
]


@pytest.mark.parametrize(("left", "right", "possible"), FEASIBLE, ids=range(len(FEASIBLE)))
def test_feasible(left: str, right: list[Any], possible: bool) -> None:
    if possible:
        gap_automaton(brackets(), DYCK, left, right)
    else:
        with pytest.raises(UnsatisfiableSchema):
            gap_automaton(brackets(), DYCK, left, right)


def test_dyck_one_more() -> None:
    """Each later gap is filled whatever stands in those before it."""
    random = Random(0)
    for _ in range(60):
        parts = ["(", sg.gap(random.choice([None, 2, 3])), ")(", sg.gap(random.choice([None, 1, 2])), "(", sg.gap(4), ")"]
        text = ""
        for i, part in enumerate(parts):
            if isinstance(part, str):
                text += part
                continue
            automaton, state = gap_automaton(brackets(), DYCK, text, parts[i:])
            for n in range(8):
                allowed = automaton.allowed(state).tolist()
                token = EOS if EOS in allowed and n > 5 else random.choice(allowed)
                if token == EOS:
                    break
                state, text = automaton.advance(state, token), text + TOKENS[token].decode()
            while not automaton.is_accepting(state):
                token = min(automaton.allowed(state).tolist(), key=lambda t: TOKENS[t].count(b"("))
                state, text = automaton.advance(state, token), text + TOKENS[token].decode()
        assert is_balanced(text)


# with a model


TEXTS = [
    (PERSON, ['{"name": "', sg.gap(6), '", "age": ', sg.gap(3), "}"]),
    (PERSON, ['{"name": "', sg.gap(tokens=4), '", "age": ', sg.gap(tokens=2), "}"]),
    (PERSON, [sg.gap(8), ' "age": ', sg.gap(4)]),
    (JSON, ["[1, ", sg.gap(8), "]}", sg.gap(8)]),
    (JSON, ['{"a": ', sg.gap(6), ', "b": [', sg.gap(6), "]}"]),
    (JSON, ["[", sg.gap(), ', "é", ', sg.gap(5), "null]"]),
    (sg.regex("[ab]+c[ab]+"), ["a", sg.gap(5), "b", sg.gap(5), "a"]),
    (DYCK, ["(", sg.gap(4), "))", sg.gap(4)]),
    (DYCK, ["(", sg.gap(4), "))"]),
]


@pytest.mark.parametrize("sampling", [{}, {"do_sample": True}], ids=["greedy", "sampled"])
@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_infill(number: int, sampling: dict[str, Any]) -> None:
    constraint, parts = TEXTS[number]
    torch.manual_seed(number)
    found = sg.infill(model(), tokenizer(), parts, constraint, prompt="the name: ", max_new_tokens=12, **sampling)
    gaps = iter(found.gaps)
    assert found.text == "".join(part if isinstance(part, str) else next(gaps) for part in parts)
    assert sg.compile(constraint, tokenizer()).accepts(found.text)
    assert found.value == (json.loads(found.text) if constraint is PERSON else found.text)


def test_only_one_text_fits() -> None:
    found = sg.infill(model(), tokenizer(), ['["x", nu', sg.gap(tokens=1), "l]"], JSON)
    assert found.gaps == ("l",)
    assert sg.infill(model(), tokenizer(), ["nu", sg.gap(tokens=1), "l"], JSON).text == "null"


def test_compiled_constraints() -> None:
    """A limit on the tokens of the whole is not one on the gaps."""
    compiled = sg.compile(PERSON, tokenizer(), max_tokens=20)
    parts = ['{"name": "' + "x" * 60, sg.gap(4), '", "age": ', sg.gap(2), "}"]
    assert set(sg.infill(model(), tokenizer(), parts, compiled).value) == {"name", "age"}


def test_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the model is shown: the text before the gap, and between the tokens of a model that fills in the middle what comes behind."""
    from structgen.generator import Generator

    shown = []
    run = Generator._run
    monkeypatch.setattr(Generator, "_run", lambda self, prompts, *rest: shown.extend(prompts) or run(self, prompts, *rest))
    parts = ["[tr", sg.gap(tokens=1), "e, ", sg.gap(1), "null]"]
    for fim in (None, ("<p>", "<s>", "<m>")):
        sg.infill(model(), tokenizer(), parts, JSON, prompt="> ", fim=fim)
    assert shown == ["> [tr", "> [true, ", "<p>> [tr<s>e, <m>", "<p>> [true, <s>null]<m>"]


REFUSED = [
    (JSON, ["[1, ]", sg.gap(), "]"], "the first text goes wrong at position 4"),
    (JSON, ["[1, ", sg.gap(), "]]", sg.gap(), "}"], "no valid text ends with '}'"),
    (JSON, ["[", sg.gap(), "\n", sg.gap(), "}"], "'}'"),
    (JSON, ["nul", sg.gap(), "ull"], "'ull' cannot stand"),
    (JSON, ["[", sg.gap(), "\n", sg.gap(), "e", sg.gap(tokens=1), "}"], "no valid text ends with '}'"),
    (sg.regex("a*"), ["a", sg.gap(), "b"], "'b' cannot stand"),
    (DYCK, ["((", sg.gap(1), "("], "no valid text ends with '\\('"),
]


@pytest.mark.parametrize(("constraint", "parts", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refused_at_once(constraint: Any, parts: list[Any], message: str) -> None:
    with pytest.raises(UnsatisfiableSchema, match=f"cannot be completed: .*{message}"):
        sg.infill(model(), tokenizer(), parts, constraint)


WRONG = [
    ([sg.gap(), sg.gap()], "two gaps with nothing between them"),
    ([sg.gap(), "", sg.gap()], "two gaps with nothing between them"),
    (["a", b"b", sg.gap()], "text \\(str\\) or a gap"),
    (["a"], "no gap"),
    ([], "no gap"),
    ("a", "list of texts and gaps"),
    (["\ud800", sg.gap()], "lone surrogate"),
]


@pytest.mark.parametrize(("parts", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_parts(parts: Any, message: str) -> None:
    with pytest.raises(StructgenError, match=message):
        sg.infill(model(), tokenizer(), parts, JSON)


def test_wrong_options_of_infill() -> None:
    parts = ["(", sg.gap(), ")"]
    options: list[tuple[dict[str, Any], str]] = [
        ({"prompt": None}, "prompt of infill is a text"),
        ({"prompt": [{"role": "user", "content": "x"}]}, "prompt of infill is a text"),
        ({"fim": 5}, "fim is three texts"),
        ({"max_new_tokens": 0}, "max_new_tokens is a number"),
        ({"max_new_tokens": 1.5}, "max_new_tokens is a number"),
        ({"max_new_tokens": None}, "max_new_tokens is a number"),
        ({"num_return_sequences": "x"}, "num_return_sequences"),
    ]
    for each, message in options:
        with pytest.raises(StructgenError, match=message):
            sg.infill(model(), tokenizer(), parts, DYCK, **each)


def test_wrong_arguments_of_gap_automaton() -> None:
    rows: list[tuple[Any, list[Any], str]] = [("(", [], "begins with a gap"), (5, [sg.gap()], "a str or bytes")]
    for left, right, message in rows:
        with pytest.raises(StructgenError, match=message):
            gap_automaton(brackets(), DYCK, left, right)


def test_wrong_options() -> None:
    for wrong in ({"max_tokens": 0}, {"tokens": True}, {"max_tokens": 2, "tokens": 2}):
        with pytest.raises(StructgenError):
            sg.gap(**wrong)
    for options in ({"fim": "<p>"}, {"fim": ("a", "b")}, {"num_return_sequences": 2}):
        with pytest.raises(StructgenError):
            sg.infill(model(), tokenizer(), ["[", sg.gap(1), "]"], JSON, **options)


def test_parts_are_joined() -> None:
    assert read_parts(["a", "", "b", sg.gap(), "", "c"]) == ["ab", sg.gap(), "c"]


def test_several_gaps_want_every_byte() -> None:
    few = sg.Vocabulary.from_bytes([b"(", b")", b""], eos_token_id=2)
    automaton, state = gap_automaton(few, DYCK, "((", [sg.gap(), ")"])
    assert automaton.allowed(state).tolist() == [0, 1]
    with pytest.raises(StructgenError, match="every byte as a token"):
        gap_automaton(few, DYCK, "((", [sg.gap(), ")", sg.gap()])


def test_special_tokens_may_stand_in_gaps() -> None:
    vocabulary = sg.Vocabulary.from_bytes([b"a", b"b", b"<x>", b""], eos_token_id=3, special={"<x>": 2})
    automaton, state = gap_automaton(vocabulary, "a" + sg.token("<x>") + "b", "a", [sg.gap(), "b"])
    assert automaton.allowed(state).tolist() == [2]
    assert automaton.allowed(automaton.advance(state, 2)).tolist() == [3]


def test_vocabularies_decide_guards() -> None:
    """An alternative that is meant for vocabularies without the special token counts only there."""
    expr = ir.Seq((ir.Bytes(b"a"), ir.Choice((ir.Seq((ir.named("<x>", "text"), ir.Bytes(b"xb"))), ir.Bytes(b"b")))))
    for special, expected in ({}, True), ({"<x>": 2}, False):
        vocabulary = sg.Vocabulary.from_bytes([b"a", b"b", b"<x>", b"x", b""], eos_token_id=4, special=special)
        automaton, state = gap_automaton(vocabulary, Constraint(expr), "a", [sg.gap(), "b"])
        assert (automaton.advance(state, 3) != automaton.dead) == expected
