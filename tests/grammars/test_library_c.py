"""Whole programs in the C and C++ of the library, and a lenient second oracle for C++: tree-sitter."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

import structgen as sg
from structgen.automaton import TokenAutomaton
from structgen.enumeration import byte_automaton
from tests.grammars.library_oracles import ORACLES

DATA = Path(__file__).parent.parent / "data"
PROGRAMS = sorted(DATA.glob("c*/*.c*"))
NAMES = {".c": "c", ".cpp": "cpp"}


@cache
def automaton(name: str) -> TokenAutomaton:
    return byte_automaton(sg.grammar(name))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_programs(path: Path) -> None:
    text, name = path.read_text("utf-8"), NAMES[path.suffix]
    assert ORACLES[name](text) and automaton(name).accepts(text)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_programs_without_one_bracket(path: Path) -> None:
    text, name = path.read_text("utf-8").rstrip(), NAMES[path.suffix]
    brackets = [at for at, char in enumerate(text) if char in "(){}[]"]
    for at in [*brackets[::40], brackets[-1]]:
        damaged = text[:at] + text[at + 1 :]
        assert automaton(name).accepts(damaged) == ORACLES[name](damaged)
    assert not automaton(name).accepts(text[: brackets[-1]])


def test_tree_sitter_reads_what_is_in_the_examples_of_cpp() -> None:
    tree_sitter = pytest.importorskip("tree_sitter")
    parser = tree_sitter.Parser(tree_sitter.Language(pytest.importorskip("tree_sitter_cpp").language()))
    texts = [path.read_text("utf-8") for path in PROGRAMS if path.suffix == ".cpp"]
    texts += json.loads((DATA / "library" / "cpp.json").read_text("utf-8"))["accepted"]
    assert [text for text in texts if parser.parse(text.encode()).root_node.has_error] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c", "int x = a\n#x /* b;\n"),  # a comment that does not end is no division
        ("c", "int x = 1u.y;"),  # one number, and a wrong one (6.4.8)
        ("c", "int x = 0xe+1;"),
        ("cpp", "int x = 1and 2;"),
        ("javascript", "3in x"),
        ("javascript", "a\n=> b"),
        ("javascript", "a == {}"),
    ],
)
def test_words_are_not_cut(name: str, text: str) -> None:
    assert not ORACLES[name](text) and not automaton(name).accepts(text)
