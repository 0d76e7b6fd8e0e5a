"""What may come next and why not, in words; pictures."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest

import structgen as sg

TOKENS = [*(bytes([i]) for i in range(256)), b"ab", b"abc", b"", b""]
SPECIAL = {"<call>": 258, "<end>": 259}


def compiled(constraint: Any) -> Any:
    return sg.compile(constraint, sg.Vocabulary.from_bytes(TOKENS, eos_token_id=259, special=SPECIAL))


@pytest.mark.parametrize(
    ("prefix", "token", "expected"),
    [
        ("", 256, "token 256 ('ab') is allowed"),
        ("", 257, "token 257 ('abc') is refused: after 'ab' may follow d or the end, not c"),
        ("", ord("x"), "token 120 ('x') is refused: here may follow a, not x"),
        ("", 258, "token 258 (<call>) is refused: it is no text, and the constraint does not name it here"),
        ("", 259, "token 259 (<end>) ends the output, which may not yet end here"),
        ("ab", 259, "token 259 (<end>) ends the output, which may end here"),
        ("x", 256, "token 256 ('ab') is refused: no allowed text leads here"),
    ],
)
def test_why(prefix: str, token: int, expected: str) -> None:
    assert compiled(sg.regex("abd*")).explain(prefix).why(token) == expected


def test_why_of_no_token() -> None:
    with pytest.raises(sg.StructgenError, match="from 0 to 259"):
        compiled(sg.regex("a")).explain("").why(260)


def test_summary() -> None:
    automaton = compiled(sg.regex("ab?") | sg.token("<call>"))
    assert str(automaton.explain(automaton.initial)) == "next byte: a; 3 tokens: 'a', 'ab', <call>"
    assert str(automaton.explain(b"a")) == "the output may end here; next byte: b; 2 tokens: 'b', <end>"
    assert str(automaton.explain("x")) == "no allowed text leads here"
    assert automaton.explain("a").may_end and automaton.explain("a").next_bytes == b"b"


def test_pictures() -> None:
    automaton = compiled(sg.regex("[ab]:") + sg.token("<call>"))
    assert automaton.draw() == ("stateDiagram-v2\n  [*] --> s0\n  s0 --> s1 : a-b\n  s1 --> s2 : colon\n  s2 --> s3 : call\n  s3 --> [*]\n")
    text = automaton.draw(format="dot")
    assert re.findall(r"(s\d) -> (s\d) \[label=\"(.*?)\"\]", text) == [("s0", "s1", "a-b"), ("s1", "s2", "colon"), ("s2", "s3", "<call>")]
    assert "s3 [shape=doublecircle]" in text
    assert "more" in automaton.draw(max_states=2) and "more" in automaton.draw(max_states=2, format="dot")
    with pytest.raises(sg.StructgenError, match="mermaid, dot, svg"):
        automaton.draw(format="png")


def test_svg() -> None:
    automaton = compiled(sg.regex("ab"))
    if shutil.which("dot"):
        assert "<svg" in automaton.draw(format="svg")
    else:
        with pytest.raises(sg.StructgenError, match="Graphviz"):
            automaton.draw(format="svg")
