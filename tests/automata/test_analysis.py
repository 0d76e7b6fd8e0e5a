"""Facts about expressions: least fixpoints through recursion, and rules known from earlier grammars."""

from __future__ import annotations

import pytest

import structgen as sg
from structgen.automata.analysis import Analysis
from structgen.automata.engine import Engine
from structgen.automata.ir import EMPTY, Bytes, Chars, Choice, Expr, Item, Quoted, Repeat, Rule, Seq, Unique
from structgen.automata.lowering import lower
from structgen.errors import StructgenError

A, NEVER = Bytes(b"a"), Choice(())


def facts(expr: Expr) -> str:
    """p productive, n nullable, c capturing."""
    analysis = Analysis(expr, {})
    found = (analysis.productive(expr), analysis.nullable(expr), analysis.capturing(expr))
    return "".join(letter for letter, holds in zip("pnc", found, strict=True) if holds)


def recursive(name: str) -> Expr:
    rule = Rule(name)
    bodies: dict[str, Expr] = {
        "list": Choice((A, Seq((A, rule)))),
        "nothing": Seq((A, rule)),
        "late": Seq((A, Repeat(Seq((A, rule)), 0, 1), Choice((Seq((A, rule)), A)))),
        "empty": Choice((Seq((A, rule)), EMPTY)),
    }
    return rule.define(bodies[name])


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (EMPTY, "pn"),
        (NEVER, ""),
        (Seq(()), "pn"),
        (Seq((A, NEVER)), ""),
        (Choice((NEVER, A)), "p"),
        (Chars(((0xD800, 0xDFFF),)), ""),
        (Repeat(NEVER), "pn"),
        (Repeat(A, 1, separator=NEVER), "p"),
        (Repeat(A, 2, separator=NEVER), ""),
        (Repeat(A, 3, 2), ""),
        (Quoted(capture=True, min_length=2, max_length=1), "c"),
        (Seq((A, Quoted(capture=True))), "pc"),
        (Item(EMPTY), "pnc"),
        (Unique(Repeat(Quoted(capture=True))), "pn"),
        (Unique(Repeat(Quoted(capture=True)), min=1), "p"),
        (recursive("list"), "p"),
        (recursive("nothing"), ""),
        (recursive("late"), "p"),
        (recursive("empty"), "pn"),
    ],
)
def test_facts(expr: Expr, expected: str) -> None:
    assert facts(expr) == expected


def test_undefined_rules_and_foreign_objects_are_refused() -> None:
    with pytest.raises(StructgenError, match="'hole' is used but not defined"):
        facts(Rule("hole"))
    with pytest.raises(StructgenError, match="not a grammar expression"):
        facts(Seq((A, "b")))  # type: ignore[arg-type]


def test_rules_of_an_earlier_grammar_are_not_entered_again() -> None:
    vocabulary = sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)])
    engine = Engine(*vocabulary.marked, vocabulary.trie)
    shared = recursive("empty")
    lower(engine, Seq((A, shared)))
    analysis = Analysis(Seq((shared, A)), engine.rules)
    assert analysis.nullable(shared) and len(analysis.expressions) == 3
