"""Real grammars with the embedded model: what is put together is accepted by the constraint and by another implementation."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

import structgen as sg
from structgen.models.tiny_prompt import TINY_MODEL_PATH
from tests.grammars.library_oracles import is_json
from tests.grammars.oracles import cpp, python, smiles

TEXTS = [
    ("json", is_json, ["[1, ", sg.gap(12), "], ", sg.gap(6), ', {"a": "', sg.gap(8), '"}]']),
    ("json", is_json, ['{"a": {"b": "', sg.gap(10), '"}, "c": [', sg.gap(6), "]}"]),
    ("cpp", cpp.accepts, ["int f(int a) { ", sg.gap(10), " return x; }"]),
    ("cpp", cpp.accepts, ["int f() { if (", sg.gap(6), ") { ", sg.gap(8), " } return 0; }\n", sg.gap(8)]),
    ("python", python.accepts, ["def f(a):\n    ", sg.gap(10), "\n    return x\n"]),
    ("smiles", smiles.accepts, ["C", sg.gap(8), "C1CC", sg.gap(8), "O"]),
]


@cache
def embedded() -> tuple[Any, Any]:
    return AutoModelForCausalLM.from_pretrained(TINY_MODEL_PATH), AutoTokenizer.from_pretrained(TINY_MODEL_PATH)


def check(number: int) -> None:
    name, oracle, parts = TEXTS[number]
    found = sg.infill(*embedded(), parts, sg.grammar(name), prompt="Fill in: ")
    gaps = iter(found.gaps)
    assert found.text == "".join(part if isinstance(part, str) else next(gaps) for part in parts)
    assert sg.compile(sg.grammar(name), embedded()[1]).accepts(found.text)
    assert oracle(found.text), found.text


@pytest.mark.parametrize("number", [0, 1])
def test_json(number: int) -> None:
    check(number)


@pytest.mark.long
@pytest.mark.parametrize("number", range(2, len(TEXTS)))
def test_library(number: int) -> None:
    check(number)
