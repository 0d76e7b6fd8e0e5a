"""GBNF as llama.cpp reads it: every form of the language, and errors that say where."""

from __future__ import annotations

from typing import Any

import pytest

import structgen as sg
from structgen.grammars.gbnf import parse_gbnf

JSON = r"""
# a JSON object, as in the grammars that come with llama.cpp
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws

string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws

number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws

# whitespace is limited
ws ::= | " " | "\n" [ \t]{0,20}
"""

ACCEPTED = [
    ("literal", 'root ::= "ab"', ["ab"], ["a", "abc", ""]),
    ("empty literal", 'root ::= "" "a"', ["a"], [""]),
    ("escapes", r'root ::= "\t\r\n\\\"\[\]\-\x41\u00e9\U0001F600"', ['\t\r\n\\"[]-Aé😀'], []),
    ("raw newline in a literal", 'root ::= "a\nb"', ["a\nb"], []),
    ("class", "root ::= [a-cx]", ["a", "c", "x"], ["d", "ab"]),
    ("class with a dash", "root ::= [a-]", ["a", "-"], ["b"]),
    ("class with escapes", r"root ::= [\]\[\\\--9]", ["]", "[", "\\", "-", "5"], ["a"]),
    ("negated class", "root ::= [^a-c]", ["d", "é", "\n"], ["a", ""]),
    ("empty classes", 'root ::= [] "a" [^]', ["a"], ["", "ab"]),
    ("backward range", "root ::= [z-a]?", [""], ["a", "z", "m"]),
    ("any", "root ::= .", ["a", "\n", "😀"], ["", "ab"]),
    ("alternatives", 'root ::= "a" | "b" |', ["a", "b", ""], ["ab"]),
    ("star", 'root ::= "ab"*', ["", "ab", "abab"], ["aba"]),
    ("plus", 'root ::= "a"+', ["a", "aa"], [""]),
    ("question mark", 'root ::= "a"?', ["", "a"], ["aa"]),
    ("exactly", 'root ::= "a"{3}', ["aaa"], ["aa", "aaaa"]),
    ("at least", 'root ::= "a"{2,}', ["aa", "a" * 50], ["a"]),
    ("between", 'root ::= "a"{ 2 , 3 }', ["aa", "aaa"], ["a", "aaaa"]),
    ("above 2000", 'root ::= "a"{0,2001}', ["a" * 2001], ["a" * 2002]),
    ("repeated repetition", 'root ::= "a"{2}*', ["", "aa", "aaaa"], ["aaa"]),
    ("groups over lines", 'root ::= ("a"\n  # a comment\n | "b"\n)+ "c"', ["ac", "babc"], ["c"]),
    ("alternatives over lines", 'root ::= "a" |\n "b"', ["a", "b"], []),
    ("rules", 'root ::= x-1 "," 2y\nx-1 ::= "a"\r\n2y ::= "b"', ["a,b"], ["a,"]),
    ("any order of rules", 'b ::= "b"\nroot ::= b', ["b"], []),
    ("right recursion", 'root ::= "a" root | "b"', ["b", "aaab"], ["a"]),
    ("left recursion", 'root ::= root "+" root | "1"', ["1", "1+1+1"], ["+1", "1+"]),
    ("unicode", 'root ::= "é" [à-ü]+', ["éäö"], ["e"]),
    ("json", JSON, ['{"a": [1, -2.5e3, {}], "b":"\\u00e9"}', "{}"], ["[]", '{"a"}', '{"a":01}']),
]

REFUSED = [
    ('root := "a"', 1, 6, "'::='"),
    ("root ::= a", 1, 10, "'a' is used but not defined"),
    ('root ::= "a', 1, 12, "ends inside"),
    ("root ::= [a", 1, 12, "ends inside"),
    ('root ::= ("a"', 1, 14, "')'"),
    ('root ::= "a")', 1, 13, "end of rule"),
    ("root ::= *", 1, 10, "nothing before"),
    ('root ::= "a" | +', 1, 16, "nothing before"),
    ('root ::= "a"{x}', 1, 14, "a number"),
    ('root ::= "a"{2 3}', 1, 16, "'}'"),
    ('root ::= "a"{3,2}', 1, 13, "at least 3 and at most 2"),
    ('root ::= "a"{99999999999}', 1, 14, "at most"),
    (r'root ::= "\q"', 1, 11, "unknown escape"),
    (r'root ::= "\u12"', 1, 13, "4 hexadecimal digits"),
    (r'root ::= "\ud800"', 1, 11, "no character"),
    ('root ::= "a"\nroot ::= "b"', 2, 1, "defined twice"),
    ('start ::= "a"', 1, 1, "no rule 'root'"),
    ("", 1, 1, "no rule 'root'"),
    ('\n\nroot ::= "a"\n  | @', 4, 3, "the name of a rule"),
]


def vocabulary() -> Any:
    return sg.Vocabulary.from_bytes([*(bytes([i]) for i in range(256)), b""], eos_token_id=256)


@pytest.mark.parametrize(("grammar", "valid", "invalid"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_texts(grammar: str, valid: list[str], invalid: list[str]) -> None:
    automaton = sg.compile(sg.gbnf(grammar), vocabulary())
    assert [text for text in valid if not automaton.accepts(text)] == []
    assert [text for text in invalid if automaton.accepts(text)] == []


@pytest.mark.parametrize(("grammar", "line", "column", "message"), REFUSED)
def test_errors_say_where(grammar: str, line: int, column: int, message: str) -> None:
    with pytest.raises(sg.GrammarSyntaxError, match=message.replace("(", r"\(").replace(")", r"\)")) as error:
        parse_gbnf(grammar)
    assert (error.value.line, error.value.column) == (line, column)


@pytest.mark.parametrize("text", ['root ::= "\ud800"', "root ::= [\ud800]", "root ::= <\ud800>"])
def test_surrogates_in_the_grammar_are_refused(text: str) -> None:
    with pytest.raises(sg.GrammarSyntaxError, match="no character"):
        parse_gbnf(text)


def test_other_line_separators_do_not_hide_the_place() -> None:
    with pytest.raises(sg.GrammarSyntaxError) as error:
        parse_gbnf('root ::= "\x0b\u2028" # \x85\n  x ::= @')
    assert (error.value.line, error.value.column) == (2, 9)
    assert error.value.snippet == "  x ::= @\n        ^"


@pytest.mark.parametrize("make", [sg.gbnf, sg.ebnf, sg.lark, sg.regex])
@pytest.mark.parametrize("text", [None, 1, True, b"root ::= 'a'", ["a"]])
def test_only_texts_are_read(make: Any, text: Any) -> None:
    with pytest.raises(sg.StructgenError, match=r"expected a text \(str\)"):
        make(text)


@pytest.mark.parametrize("start", [None, 1, ["root"]])
def test_start_is_a_name(start: Any) -> None:
    with pytest.raises(sg.StructgenError, match=r"expected a text \(str\)"):
        sg.gbnf('root ::= "a"', start=start)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(sg.LimitExceeded, match="nesting"):
        parse_gbnf("root ::= " + "(" * 10_000 + '"a"' + ")" * 10_000)


def test_other_start_rules() -> None:
    assert sg.compile(sg.gbnf('a ::= "x" b\nb ::= "y"', start="b"), vocabulary()).accepts("y")
