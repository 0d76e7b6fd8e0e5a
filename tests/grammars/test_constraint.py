"""Constraints compose as their operators say, and mistakes are errors when they are built."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from structgen.errors import StructgenError
from structgen.grammars.constraint import Constraint, choice, literal, regex, repeat
from structgen.grammars.json_schema import json_schema
from tests.reference.matcher import matches

TEXTS = ["".join(letters) for n in range(5) for letters in product("ab", repeat=n)]


def language(constraint: Constraint) -> set[str]:
    return {text for text in TEXTS if matches(constraint.expr, text.encode())}


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        (literal("ab"), {"ab"}),
        (choice(["a", "ab", "a"]), {"a", "ab"}),
        (literal("a") + "b", {"ab"}),
        ("a" + literal("b"), {"ab"}),
        (literal("a") | "b", {"a", "b"}),
        ("a" | choice(["b", "bb"]), {"a", "b", "bb"}),
        (choice(["a", "b"]) + choice(["", "a"]), {"a", "b", "aa", "ba"}),
        (repeat("a", 1, 2), {"a", "aa"}),
        (repeat(literal("ab"), 0, 1) + regex("b*"), {"", "b", "bb", "bbb", "bbbb", "ab", "abb", "abbb"}),
        (repeat(choice(["a", "b"]), 3, None), {text for text in TEXTS if len(text) >= 3}),
        (regex("a|b{2}"), {"a", "bb"}),
        (repeat("ab", 1, 10**30), {"ab", "abab"}),
        (choice(iter(["a", "ab"])), {"a", "ab"}),
        (choice(["a" * n for n in range(3, 3000)] + ["bb"]), {"aaa", "aaaa", "bb"}),
    ],
    ids=lambda c: c.source if isinstance(c, Constraint) else None,
)
def test_operators(constraint: Constraint, expected: set[str]) -> None:
    assert language(constraint) == expected


@pytest.mark.parametrize(
    "build",
    [
        lambda: choice([]),
        lambda: choice("ab"),
        lambda: choice(["a", 3]),  # type: ignore[list-item]
        lambda: literal("\ud800"),
        lambda: repeat("a", -1),
        lambda: repeat("a", 3, 2),
        lambda: repeat("a", 1.5),  # type: ignore[arg-type]
        lambda: repeat("a", 0, 2.0),  # type: ignore[arg-type]
        lambda: repeat("a", 10**30),
        lambda: literal(5),  # type: ignore[arg-type]
        lambda: choice([["a"]]),  # type: ignore[list-item]
        lambda: choice(iter([])),
        lambda: choice(5),  # type: ignore[arg-type]
        lambda: choice(["a" * 10**6 + f"{i}" for i in range(10)]),
        lambda: choice(["a" * 2000, "\ud800"]),
        lambda: regex("(a"),
        lambda: literal("a") + 3,  # type: ignore[operator]
    ],
)
def test_mistakes_are_errors_when_built(build: Callable[[], Constraint]) -> None:
    with pytest.raises(StructgenError):
        build()


def test_a_schema_inside_text() -> None:
    constraint = "<json>" + json_schema({"type": "boolean"}) + "</json>"
    assert matches(constraint.expr, b"<json>true</json>")
    assert not matches(constraint.expr, b"<json>1</json>")
    assert constraint.report is not None
    assert literal("a") == literal("a") != literal("b")
