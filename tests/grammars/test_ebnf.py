"""EBNF of the W3C: every form of the notation, grammars from its specifications, and errors that say where."""

from __future__ import annotations

from typing import Any

import pytest

import structgen as sg
from structgen.grammars.ebnf import parse_ebnf

XML = """
[1] document ::= element /* without a prolog */
[3] S ::= (#x20 | #x9 | #xD | #xA)+
[2] Char ::= #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]
[4] NameStartChar ::= [A-Z] | "_" | [a-z] | [#xC0-#xD6]
[4a] NameChar ::= NameStartChar | "-" | "." | [0-9]
[5] Name ::= NameStartChar (NameChar)*
[14] CharData ::= [^<&]* - ([^<&]* ']]>' [^<&]*)
[15] Comment ::= '<!--' ((Char - '-') | ('-' (Char - '-')))* '-->'
[16] PI ::= '<?' PITarget (S (Char* - (Char* '?>' Char*)))? '?>'
[17] PITarget ::= Name - (('X' | 'x') ('M' | 'm') ('L' | 'l'))
[39] element ::= STag content ETag [WFC: Element Type Match]
[40] STag ::= '<' Name S? '>'
[42] ETag ::= '</' Name S? '>'
[43] content ::= CharData? ((element | PI | Comment) CharData?)*
"""

ACCEPTED = [
    ("text", "a ::= \"x'\" '\"'", ["x'\""], ["x"]),
    ("empty text", "a ::= '' | 'b'", ["", "b"], ["bb"]),
    ("codes", "a ::= #x41 #x1F600", ["A😀"], ["A"]),
    ("class", "a ::= [a-c#x30-#x39_-]", ["b", "5", "_", "-"], ["d"]),
    ("negated class", "a ::= [^a#x62]", ["c"], ["a", "b", ""]),
    ("repetitions", "a ::= 'x'? 'y'* 'z'+", ["z", "xyyzz"], ["x", "xxz"]),
    ("precedence", "a ::= 'a' 'b' | 'c'", ["ab", "c"], ["ac"]),
    ("rules without lines", "a ::= b b b ::= 'x'", ["xx"], ["x"]),
    ("numbered rules", "[1] a ::= b\r\n \t[2b]b ::= 'x' [3] [12]\n[3] c ::= 'y'", ["x31", "x32"], ["x", "x3", "xy"]),
    ("classes of digits are no numbers of rules", "a ::= b [01]\nb ::= 'x' | [12]c ::= 'y'", ["x0", "20"], ["x", "0"]),
    ("empty alternative", "a ::= ('b' |) 'c'", ["c", "bc"], ["b"]),
    ("difference of characters", "a ::= [a-z] - [aeiou]", ["b"], ["a", "bb"]),
    ("difference of texts", "a ::= [a-z]+ - ('if' | 'do')", ["i", "iff", "od"], ["if", "do", ""]),
    ("difference twice", "a ::= [a-z] - 'a' - 'b'", ["c"], ["a", "b"]),
    ("difference of a difference", "a ::= b - 'x' b ::= [x-z] - 'y'", ["z"], ["x", "y"]),
    ("nothing left", "a ::= 'b' | ('a' - 'a')", ["b"], ["a"]),
    ("name with a dash", "a-b ::= 'x' | '(' a-b ')'", ["x", "((x))"], ["(x"]),
    ("xml", XML, ["<a>x<b-1></b-1 ><!-- c - d --></a>", "<a><?b x?></a>"], ["<a>]]></a>", "<a><!----->", "<a><?xml ?></a>", "<1></1>"]),
]

REFUSED = [
    ("a = 'b'", 1, 1, "a rule"),
    ("a ::= b", 1, 7, "'b' is used but not defined"),
    ("a ::= 'b", 1, 7, "closing quote"),
    ("a ::= ('b'", 1, 11, "')'"),
    ("a ::= 'b')", 1, 10, "a rule"),
    ("a ::= [a", 1, 9, "inside a class"),
    ("a ::= [z-a]", 1, 8, "backward"),
    ("a ::= #xD800", 1, 7, "no character"),
    ("a ::= '\ud800'", 1, 8, "no character"),
    ("a ::= [\ud800]", 1, 8, "no character"),
    ("a ::= #y", 1, 7, "#x and hexadecimal"),
    ("a ::= *", 1, 7, "a name, a text"),
    ("a ::= 'b' /* c", 1, 11, "does not end"),
    ("a ::= 'b'\na ::= 'c'", 2, 1, "defined twice"),
    ("a ::= b - 'x'\nb ::= 'y' b | 'x'", 1, 9, "calls itself"),
    ("a ::= 'x' - a", 1, 11, "needs itself"),
    ("", 1, 1, "no rule"),
]


def vocabulary() -> Any:
    return sg.Vocabulary.from_bytes([*(bytes([i]) for i in range(256)), b""], eos_token_id=256)


@pytest.mark.parametrize(("grammar", "valid", "invalid"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_texts(grammar: str, valid: list[str], invalid: list[str]) -> None:
    automaton = sg.compile(sg.ebnf(grammar), vocabulary())
    assert [text for text in valid if not automaton.accepts(text)] == []
    assert [text for text in invalid if automaton.accepts(text)] == []


@pytest.mark.parametrize(("grammar", "line", "column", "message"), REFUSED)
def test_errors_say_where(grammar: str, line: int, column: int, message: str) -> None:
    with pytest.raises(sg.GrammarSyntaxError, match=message.replace("(", r"\(").replace(")", r"\)")) as error:
        parse_ebnf(grammar)
    assert (error.value.line, error.value.column) == (line, column)


@pytest.mark.parametrize("depth", [150, 199, 10_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    with pytest.raises(sg.LimitExceeded, match="nesting"):
        parse_ebnf("a ::= " + "(" * depth + "'a'" + ")" * depth)


def test_start_rule() -> None:
    assert sg.compile(sg.ebnf("a ::= 'x' b b ::= 'y'", start="b"), vocabulary()).accepts("y")
