"""Grammars from one notation to the others and back: the same texts."""

from __future__ import annotations

import itertools
from typing import Any

import lark
import pytest

import structgen as sg
from structgen.automata import ir
from structgen.grammars.convert import write_grammar
from tests.grammars import test_ebnf, test_gbnf

READERS: dict[str, Any] = {"gbnf": sg.gbnf, "ebnf": sg.ebnf}
SOURCES = [("gbnf", *row) for row in test_gbnf.ACCEPTED if row[0] not in ("backward range", "above 2000")] + [
    ("ebnf", *row) for row in test_ebnf.ACCEPTED if row[0] != "nothing left"
]


def vocabulary() -> Any:
    return sg.Vocabulary.from_bytes([*(bytes([i]) for i in range(256)), b""], eos_token_id=256)


@pytest.mark.parametrize("target", ["gbnf", "ebnf"])
@pytest.mark.parametrize(("source", "name", "grammar", "valid", "invalid"), SOURCES, ids=[f"{row[0]}: {row[1]}" for row in SOURCES])
def test_there_and_back(source: str, name: str, grammar: str, valid: list[str], invalid: list[str], target: str) -> None:
    before = READERS[source](grammar)
    after = READERS[target](write_grammar(before.expr, target))
    first, second = sg.compile(before, vocabulary()), sg.compile(after, vocabulary())
    letters = sorted(set("".join(valid + invalid)))[:6]
    texts = [*valid, *invalid, *map("".join, itertools.chain(*(itertools.product(letters, repeat=n) for n in range(4))))]
    assert [text for text in texts if first.accepts(text) != second.accepts(text)] == []


@pytest.mark.parametrize(("source", "name", "grammar", "valid", "invalid"), SOURCES, ids=[f"{row[0]}: {row[1]}" for row in SOURCES])
def test_lark_reads_it(source: str, name: str, grammar: str, valid: list[str], invalid: list[str]) -> None:
    written = write_grammar(READERS[source](grammar).expr, "lark")
    parser = lark.Lark(written, parser="earley", lexer="dynamic_complete", start="start")

    def accepts(text: str) -> bool:
        try:
            parser.parse(text)
        except lark.exceptions.LarkError:
            return False
        return True

    assert [text for text in valid if len(text) < 60 and not accepts(text)] == []
    assert [text for text in invalid if len(text) < 60 and accepts(text)] == []


@pytest.mark.parametrize(
    ("expr", "message"), [(ir.Bytes(b"\xff"), "no text"), (ir.Quoted(), "JSON strings"), (ir.Choice(()), "a choice of nothing")]
)
def test_what_cannot_be_written_is_an_error(expr: ir.Expr, message: str) -> None:
    with pytest.raises(sg.StructgenError, match=message):
        write_grammar(expr, "gbnf")


def test_unknown_notation() -> None:
    with pytest.raises(sg.StructgenError, match="gbnf, ebnf, lark"):
        write_grammar(ir.EMPTY, "bnf")


def test_what_would_be_too_large_is_refused() -> None:
    deep = sg.literal("a")
    for _ in range(2000):
        deep += "b"
    with pytest.raises(sg.LimitExceeded, match="nesting"):
        write_grammar(deep.expr, "gbnf")
    rounds = sg.gbnf('root ::= (((("a"{90} "b"){90} "c"){90} "d"){90} "f"){90}')
    with pytest.raises(sg.LimitExceeded, match="characters"):
        write_grammar(rounds.expr, "ebnf")


@pytest.mark.parametrize(("expr", "notation"), [(None, "gbnf"), (1, "lark"), (sg.literal("a"), "gbnf"), (sg.literal("a").expr, [])])
def test_wrong_arguments(expr: Any, notation: Any) -> None:
    with pytest.raises(sg.StructgenError):
        write_grammar(expr, notation)
