"""The grammars of data formats: real texts, names in JSON5, nested elements, and what other programs write."""

from __future__ import annotations

import json
import re
import unicodedata
from random import Random

import pytest

import structgen as sg
from structgen.grammars import library
from structgen.grammars.regular import use_automata
from tests.grammars.library_oracles import ORACLES
from tests.grammars.test_library import agree, automaton, random_value

REAL = {
    "json5": """// Settings of a build
{
  name: 'demo', version: "1.0.0",
  'compiler-options': { target: 'es2022', strict: true, lib: ["dom", 'esnext',], /* trailing comma */
    ratio: +.5, mask: 0xFF00, limit: Infinity, text: 'several \\
lines with "quotes" and \\u00e9', },
  größe: [1, 2., -3e10, NaN],
}
""",
    "toml": """# A package
[project]
name = "demo"   # comment
version = "1.0.0"
authors = [{ name = "A. Author", email = "a@example.org" }]
dependencies = [
  "numpy>=1.26",  # arrays
  'scipy',
]
released = 1979-05-27T07:32:00.5-08:00
limits.size = 1_000_000
text = \"\"\"
several "lines" \\
   of text\"\"\"

[[project.servers]]
ip = "10.0.0.1"
""",
    "html": """<section class="news" id=main>
  <h2>Weather &amp; more</h2>
  <p>It rained <em>all</em> day, see <a href="https://example.org/?q=1">the <b>report</b></a>.<br>
  Next line</p> <!-- a comment -->
  <ul>
    <li>one</li>
    <li data-x='2'>two &mdash; 3 &gt; 2</li>
  </ul>
  <table><thead><tr><th>h</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>
</section>
""",
    "yaml": """# settings
{
  name: demo app, version: "1.0", urls: [http://example.org/a, 'it''s', 12:30:45], # more
  nested: {deep: [true, ~, -1.5, {x: y}], "json":1},
}
""",
    "jsonpath": "$.store..book[?@.price < 10.5 && (match(@.title, 'The .*') || !@.isbn), 0, -1, 1:10:2]['first name'][?count(@.*) == $.n]",
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_texts(name: str) -> None:
    assert agree(name, REAL[name])


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_texts_without_one_character(name: str) -> None:
    text = REAL[name]
    verdicts = [agree(name, text[:i] + text[i + 1 :]) for i in range(len(text))]
    assert not all(verdicts)


@pytest.mark.parametrize("name", ["json5", "yaml"])
def test_what_the_json_module_writes(name: str) -> None:
    """Collections only, and for YAML without surrogates in escapes and characters that it does not print."""
    random = Random(4)
    for _ in range(300):
        text = json.dumps([random_value(random)], ensure_ascii=False, indent=random.choice((None, 0, 3)))
        if name == "json5" or not re.search("[\x7f\u2028]", text):
            assert agree(name, text)


def test_what_tomli_w_writes() -> None:
    tomli_w = pytest.importorskip("tomli_w")
    random = Random(5)
    for _ in range(300):
        value = without_none({f"k{i}": random_value(random) for i in range(3)})
        assert agree("toml", tomli_w.dumps(value, multiline_strings=random.random() < 0.5))


def without_none(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_none(inside) for key, inside in value.items() if inside is not None}
    return [without_none(inside) for inside in value if inside is not None] if isinstance(value, list) else value


def test_all_letters_of_names_in_json5() -> None:
    """The basic multilingual plane: what begins a name and what goes on with one, in Unicode 3.2 and today."""
    letters, marks = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nl"}, {"Mn", "Mc", "Nd", "Pc"}
    for code in [*range(0x80, 0xD800), *range(0xE000, 0x10000)]:
        char = chr(code)
        kinds = {unicodedata.category(char), unicodedata.ucd_3_2_0.category(char)}
        begins = kinds <= letters
        goes_on = kinds <= letters | marks or char in "\u200c\u200d"
        assert automaton("json5").accepts(f"{{{char}:1}}") == begins, hex(code)
        blank = unicodedata.category(char)[0] == "Z" or char == "\ufeff"
        assert automaton("json5").accepts(f"{{a{char}:1}}") == (goes_on or blank), hex(code)


def test_nested_elements_of_html() -> None:
    """Random fragments of tags alone: with all texts they would seldom nest."""
    text = library.source("html")
    for rule, body in (("text", '"x"'), ("attribute", '"a"'), ("comment", '"<!---->"')):
        text = re.sub(rf"(?m)^{rule} ::=.*$", f"{rule} ::= {body}", text)
    fragments = [word.decode() for word in sg.random_words(sg.gbnf(text), 200, seed=1, typical_length=60)]
    assert all(agree("html", fragment) for fragment in fragments) and sum("</" in fragment for fragment in fragments) > 50


@pytest.mark.parametrize("number", [2**53 - 2, 2**53 - 1, 2**53, 10**15 - 1, 10**15, 10**16, 9007199254740889, 9007199254739999])
def test_the_range_of_integers_in_jsonpath(number: int) -> None:
    for text in (f"$[{number}]", f"$[-{number}]", f"$[:{number}]"):
        assert agree("jsonpath", text) == (number < 2**53)


@pytest.mark.parametrize("digits", range(1, 17))
def test_integers_near_the_greatest_one_in_jsonpath(digits: int) -> None:
    """The greatest integer with one digit changed."""
    greatest = str(2**53 - 1)
    for digit in "0123456789":
        agree("jsonpath", f"$[{greatest[: digits - 1]}{digit}{greatest[digits:]}]")


@pytest.mark.parametrize("name", ["json", "cron", "toml"])
def test_automata_instead_of_rules_change_no_word(name: str) -> None:
    """A grammar compiled as it is written has the same words."""
    reader = sg.ebnf if name == "cron" else sg.gbnf
    written = sg.compile(reader(library.source(name)), sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)], eos_token_id=256))
    for word in sg.random_words(library.grammar(name), 50, seed=6):
        for text in (word, word[:-1], word + b"]"):
            if is_utf8(text):
                assert written.accepts(text.decode()) == automaton(name).accepts(text.decode()) == ORACLES[name](text.decode())


def is_utf8(text: bytes) -> bool:
    return text.decode(errors="replace").encode() == text


def test_rules_that_call_themselves_stay() -> None:
    constraint = sg.gbnf('root ::= "(" root ")" | word\nword ::= [a-z]+')
    use_automata(constraint.expr)
    assert [rule.rewritten is None for rule in (constraint.expr, constraint.expr.body.items[1])] == [True, False]
