"""Words of any constraint: what `words` takes, random members of everything, the page about it and the example."""

from __future__ import annotations

import doctest
import importlib.util
import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen as sg
from structgen import enumeration
from structgen.automata.ir import Expr
from tests.reference.grammars import grammars
from tests.reference.matcher import matches, viable

ROOT = Path(__file__).resolve().parents[2]


# what `words` takes


@pytest.mark.parametrize(
    "constraint", [Literal[True, False], {"type": "boolean"}, '{"enum": [true, false]}', sg.regex("true|false")], ids=repr
)
def test_words_of_whatever_compiles(constraint: Any) -> None:
    assert list(sg.words(constraint)) == [b"false", b"true"]


def test_words_of_an_automaton_are_those_of_its_constraint() -> None:
    vocabulary = sg.Vocabulary.from_bytes([b"a", b"b", b"ab", b"x"], eos_token_id=4)
    assert list(sg.words(sg.compile(sg.regex("a?b"), vocabulary))) == [b"ab", b"b"]


# random words


RECORD = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "tags"],
}
MEMBERS: list[tuple[str, Any]] = [
    ("record", RECORD),
    ("any JSON", True),
    ("names must differ", {"type": "object", "minProperties": 3}),
    ("items must differ", {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 5}),
    ("long", {"type": "string", "minLength": 150}),
    ("date-time", {"type": "string", "format": "date-time"}),
]


@pytest.mark.parametrize("schema", [pytest.param(schema, id=name) for name, schema in MEMBERS])
def test_random_members_of_schemas_are_valid(schema: Any) -> None:
    drawn = sg.random_words(schema, 12, seed=1)
    assert len(set(drawn)) > 5
    for word in drawn:
        jsonschema.validate(json.loads(word), schema)
    assert drawn == sg.random_words(schema, 12, seed=1)


NESTED = 'root ::= "(" root ")" root | "[" [^\\]]* "]" | ""'


@pytest.mark.parametrize("constraint", [sg.regex(".*"), sg.regex("<!--[^>]*>"), sg.regex("(?:ab)*c{50}"), sg.gbnf(NESTED)], ids=str)
def test_walks_end(constraint: Any) -> None:
    automaton = enumeration.byte_automaton(constraint)
    for typical_length in (0, 1, 50):
        for seed in range(5):
            assert automaton.accepts(enumeration.random_walk(automaton, Random(seed), typical_length))


@settings(max_examples=60)
@given(grammars(max_rules=2, depth=2), st.integers(0, 10**6))
def test_random_words_of_random_grammars_are_in_the_language(expr: Expr, seed: int) -> None:
    if viable(expr, b""):
        automaton = enumeration.byte_automaton(sg.Constraint(expr))
        assert matches(expr, enumeration.random_walk(automaton, Random(seed), 6))


def test_a_walk_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enumeration, "MAX_BYTES", 100)
    with pytest.raises(sg.LimitExceeded, match="100"):
        sg.random_words({"type": "string", "minLength": 300}, seed=0)


def test_a_choice_is_drawn_from_uniformly() -> None:
    texts = ["a", "ab", "abc", *(f"long text {i}" for i in range(7))]
    drawn = Counter(sg.random_words(sg.choice(texts), 3000, seed=4))
    assert sorted(drawn) == sorted(text.encode() for text in texts)
    assert sum((number - 300) ** 2 / 300 for number in drawn.values()) < 23.6  # 9 degrees of freedom, p = 0.005


def test_with_a_bound_words_are_uniform_or_refused() -> None:
    drawn = sg.random_words(sg.regex("a*|b"), 2000, max_length=3, seed=2)
    assert set(drawn) == {b"", b"a", b"aa", b"aaa", b"b"} and min(Counter(drawn).values()) > 330
    assert max(len(word.decode()) for word in sg.random_words(sg.regex("é*"), 50, max_length=3, unit="characters", seed=2)) == 3
    with pytest.raises(sg.LimitExceeded):
        sg.random_words({"type": "object"}, max_length=100, max_states=100)
    with pytest.raises(sg.StructgenError, match="no word"):
        sg.random_words(sg.regex("a{9}"), max_length=3)


# the page and the example


def test_the_examples_of_the_page() -> None:
    assert doctest.testfile(str(ROOT / "docs" / "counting.md"), module_relative=False).failed == 0


@pytest.fixture(scope="module")
def dna() -> Any:
    spec = importlib.util.spec_from_file_location("dna_loco", ROOT / "examples" / "dna_loco.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("length, max_run, gc", [(4, 1, (0.5, 0.5)), (6, 2, (0.3, 0.7)), (5, 3, (0, 1)), (6, 6, (0, 0))])
def test_strands_by_enumeration(dna: Any, length: int, max_run: int, gc: tuple[float, float]) -> None:
    from itertools import groupby, product

    every = ["".join(bases) for bases in product("ACGT", repeat=length)]
    expected = [
        strand
        for strand in every
        if max(len(list(run)) for _, run in groupby(strand)) <= max_run
        and gc[0] * length <= sum(base in "GC" for base in strand) <= gc[1] * length
    ]
    assert [strand.decode() for strand in dna.strands(length, max_run, gc)] == expected


def test_bytes_to_strands_and_back(dna: Any) -> None:
    code = dna.strands(40, 3, (0.4, 0.6))
    for data in (b"", b"\0", b"\0\0\xff", Random(3).randbytes(200)):
        strands = dna.encode(data, code)
        assert dna.decode(strands, code) == data
        assert len(strands) == -(-(8 * len(data) + 1) // dna.bits_per_strand(code))
        assert all(strand in code for strand in strands)
    with pytest.raises(sg.StructgenError, match="not a word"):
        dna.decode(["AAAA" + "CGTA" * 9], code)


def test_the_rate_approaches_the_capacity(dna: Any) -> None:
    """Without bounds on GC, strands of length n number about capacity to the power n."""
    count = dna.strands(100, 3, (0, 1)).count()
    shorter = dna.strands(99, 3, (0, 1)).count()
    assert count / shorter == pytest.approx(2 ** dna.capacity(3), rel=1e-12)
    assert dna.capacity(3) == pytest.approx(1.9824, abs=1e-4)  # arXiv 2311.08325
    assert dna.bits_per_strand(dna.strands(200, 3, (0.45, 0.55))) == 396


def test_the_example_runs(dna: Any, capsys: pytest.CaptureFixture[str]) -> None:
    dna.main(["some data", "--length", "30"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "some data" and len(printed[0]) == 30


def test_random_words_find_an_end_that_weights_do_not_lead_to() -> None:
    (word,) = sg.random_words(sg.until("</t>"), seed=3)
    assert word.endswith(b"</t>") and len(word) < 1000


@pytest.mark.parametrize("options", [{"max_length": "2"}, {"min_length": None}, {"max_states": True}, {"unit": []}])
def test_wrong_options(options: Any) -> None:
    with pytest.raises(sg.StructgenError):
        sg.words(sg.regex("a|b"), **options)
