"""The grammar of Python on the standard library: whole files, and its statements with damage done to their tokens."""

from __future__ import annotations

import re
import sysconfig
from functools import cache
from pathlib import Path
from random import Random

import pytest

import structgen as sg
from structgen.automaton import TokenAutomaton
from structgen.enumeration import byte_automaton
from structgen.errors import StructgenError
from structgen.grammars import python_grammar
from tests.grammars.oracles.python import accepts

PIECES = re.compile(r"\w+|[^\w\s]+|[ \t]+|\n[ ]*")
OTHERS = [
    "not ", "lambda ", "\n", "\\\n", "if", "yield", "*", "**", ":=", "=", ",", ":", ";", ".", "...", "1", "1.", "''", "f'{a}'",
    "(", ")", "[", "]", "{", "}", "_",
]  # fmt: skip


@cache
def automaton(start: str = "file") -> TokenAutomaton:
    return byte_automaton(sg.grammar("python", start=start))


@cache
def files() -> list[str]:
    """Some files of the standard library, the same ones every time."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text("utf-8") for path in paths if path.stat().st_size < 30_000]
    return Random(1).sample(texts, 30)


def agree(text: str) -> bool:
    found = automaton().accepts(text)
    assert found == accepts(text), f"{'accepts' if found else 'rejects'} {text!r}"
    return found


def test_files_of_the_standard_library() -> None:
    assert sum(agree(text) for text in files()) >= 25


def test_damaged_statements_of_the_standard_library() -> None:
    random = Random(2)
    statements = [text for file in files() for text in re.split(r"\n(?=\w|@)", file) if len(text) < 300]
    verdicts = []
    for text in random.sample(statements, 700):
        verdicts.append(agree(text + "\n"))
        for _ in range(3):
            pieces = PIECES.findall(text)
            i, j = random.randrange(len(pieces)), random.randrange(len(pieces))
            pieces[i : i + random.randrange(2)] = random.choice(([], [pieces[j]], [random.choice(OTHERS)], [pieces[j], " "]))
            verdicts.append(agree("".join(pieces) + "\n"))
    assert min(verdicts.count(True), verdicts.count(False)) > 500


def test_indentation_up_to_the_greatest_column() -> None:
    for column in (1, 7, 79, 80, 81):
        for text in (f"if a:\n{' ' * column}b\n{' ' * column}c\n", f"if a:\n b\n{' ' * column}c\n"):
            agree(text)
    nested = "".join(" " * depth + "if a:\n" for depth in range(80)) + " " * 80 + "b\n"
    assert automaton().accepts(nested) and not automaton().accepts(nested + " " * 81 + "c\n")
    assert python_grammar.MAX_COLUMN == 80


@pytest.mark.parametrize(
    ("start", "right", "wrong"),
    [
        ("expression", ["a", "lambda: 0", "a if b else c", "[\n]"], ["a, b", "a := 1", "a = 1", "yield"]),
        ("parameters", ["a, /, b=1, *, c", "*a, **b,"], ["/", "a=1, b", "*"]),
        ("pattern", ["A(b, c=1)", "[a, *_]"], ["a.b()c", "f''"]),
    ],
)
def test_rules(start: str, right: list[str], wrong: list[str]) -> None:
    assert all(automaton(start).accepts(text) for text in right) and not any(automaton(start).accepts(text) for text in wrong)


def test_an_unknown_start() -> None:
    with pytest.raises(StructgenError, match="no rule 'nowhere'"):
        sg.grammar("python", start="nowhere")
