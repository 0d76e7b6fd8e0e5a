r"""Regular expressions against Python's `re` for the Python syntax (all short patterns, random long ones, every character),
against tables written from ECMA-262 where that differs, and the official suite's ECMA cases."""

from __future__ import annotations

import doctest
import itertools
import json
import re
import sys
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structgen.automata import chardfa, ir
from structgen.automata.chardfa import CharDfa, accepts
from structgen.errors import GrammarSyntaxError, LimitExceeded, StructgenError
from structgen.grammars import formats, regex
from structgen.grammars.regex import match_dfa, parse_regex, search_dfa, search_language, to_expr
from tests.reference.matcher import matches

TEXTS = ["".join(letters) for n in range(5) for letters in itertools.product("a-\n", repeat=n)]
SUITE = Path(__file__).resolve().parents[3] / "shared" / "suite" / "tests" / "draft2020-12" / "optional"
FLAGS = {"i": re.I, "m": re.M, "s": re.S, "x": re.X, "a": re.A}


def python_pattern(pattern: str, flags: str = "") -> re.Pattern[str] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return re.compile(pattern, sum(FLAGS[letter] for letter in flags))
        except (re.error, OverflowError):
            return None


def assert_like_python(pattern: str, flags: str, oracle: re.Pattern[str], texts: list[str]) -> None:
    whole = match_dfa(pattern, flags=flags)
    found = search_dfa(pattern, syntax="python", flags=flags)
    for text in texts:
        assert accepts(whole, text) == bool(oracle.fullmatch(text)), (pattern, flags, text)
        assert accepts(found, text) == bool(oracle.search(text)), (pattern, flags, text)


# --- Python syntax against re -----------------------------------------------------------------------------------------

TOKENS = ["a", "-", ".", "^", "$", "|", "(", ")", "*", "?", "{1,2}", r"\b", "(?=", "(?<!", "[^", "]"]
SHORT_TEXTS = [text for text in TEXTS if len(text) < 4]


def test_all_short_patterns() -> None:
    """Every sequence of up to three tokens: refused exactly if `re` refuses it, else the same matches."""
    for n in range(4):
        for tokens in itertools.product(TOKENS, repeat=n):
            check_like_python("".join(tokens))


@settings(max_examples=800)
@given(st.lists(st.sampled_from([*TOKENS, *"a-)*|"]), min_size=4, max_size=9).map("".join))
def test_random_sequences_of_tokens(pattern: str) -> None:
    check_like_python(pattern)


def check_like_python(pattern: str) -> None:
    oracle = python_pattern(pattern)
    if oracle is None:
        assert_refused(pattern)
    elif not refuses_like_us(pattern):
        assert_like_python(pattern, "", oracle, SHORT_TEXTS)


def assert_refused(pattern: str) -> None:
    try:
        parse_regex(pattern, syntax="python")
    except GrammarSyntaxError:
        return
    assert "(?<!" in pattern, f"{pattern!r} is no Python pattern, but was read"  # we also read lookbehinds without fixed width


def refuses_like_us(pattern: str) -> bool:
    """Whether this is one of the patterns that `re` reads and we refuse: a lookahead inside a lookbehind."""
    if "(?<!" not in pattern or not any(ahead in pattern for ahead in ("$", r"\b", "(?=")):
        return False
    try:
        parse_regex(pattern, syntax="python")
    except GrammarSyntaxError:
        return True
    return False


atoms = st.sampled_from(["a", "-", ".", r"\w", r"\W", "[a-]", "[^a]", r"\n", r"\s", r"\d", r"\b", r"\B", "^", "$", r"\A", r"\Z", "(?i:A)"])
narrow = st.sampled_from(["a", ".", r"\w", "[^a]", "^", "a-", "(?:a|-)", "(?<=a)-", r"\A"])
possessive = st.builds(
    lambda atom, count: f"{atom}{count}", st.sampled_from(["a", ".", "[a-]", r"\w"]), st.sampled_from(["*+", "++", "?+", "{1,2}+"])
)
counts = st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,3}", "{,2}", "*?", "+?", "??"])


def grown(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(lambda a, b: a + b, children, children),
        st.builds(lambda a, b: f"(?:{a}|{b})", children, children),
        st.builds(lambda a, count: f"({a}){count}", children, counts),
        st.builds(lambda sign, a: f"(?{sign}{a})", st.sampled_from("=!"), children),
        st.builds(lambda sign, a: f"(?<{sign}{a})", st.sampled_from("=!"), narrow),
    )


patterns = st.recursive(st.one_of(atoms, possessive) if sys.version_info >= (3, 11) else atoms, grown, max_leaves=10)


@settings(max_examples=300)
@given(patterns, st.sampled_from(["", "", "m", "s", "ms", "a", "i"]))
def test_random_patterns(pattern: str, flags: str) -> None:
    oracle = python_pattern(pattern, flags)
    if oracle is not None:
        assert_like_python(pattern, flags, oracle, TEXTS)


EVERY_CHARACTER = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
CHARACTER_PATTERNS = [
    r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", ".", r"[^\W\d_]", r"[\w-]", r"[\x00-\xff]", r"[^\s\d]", r"\u00e9", r"\U0001f600",
    r"\N{BULLET}", r"\101", r"\0", r"[\1]", r"[]a]", r"[^]a]", "[a-]", "[-a]", r"[\]\-]", r"\a", r"\v", r"[\b]", r"(?a:\w)", r"(?a:\W)",
    r"(?a:\s)", r"(?s:.)", "(?i)k", "(?i)[a-z]", "(?i)[^k]", "(?i)ß", "(?i)σ", "(?i)[à-þ]", "(?i)ſ", "(?i)İ", "(?i)i", "(?i)ı", "(?i)ǆ",
    "(?i)Ω", "(?i)\u0345", r"(?i)[\wk]", r"(?i)\W", "(?ai)k", "(?ai)[x-\u212a]", "(?i)ﬅ", "(?i)ꭰ", "(?i)[Ა-Ჺ]",
]  # fmt: skip


@pytest.mark.parametrize("pattern", CHARACTER_PATTERNS)
def test_every_character_like_python(pattern: str) -> None:
    expected = [run.span() for run in re.finditer(f"{pattern}+", EVERY_CHARACTER)]
    accepted = one_character_texts(match_dfa(pattern))
    assert sum(end - start for start, end in expected) == len(accepted)
    assert all(EVERY_CHARACTER[i] in accepted for start, end in expected for i in (start, end - 1))


def one_character_texts(dfa: CharDfa) -> set[str]:
    ranges = dfa.class_ranges()
    good = [c for c, target in enumerate(dfa.table[0]) if target >= 0 and dfa.accepting[target]]
    return {chr(code) for c in good for low, high in ranges[c] for code in range(low, high + 1)}


@pytest.mark.parametrize(
    "pattern, flags",
    [
        ("a  # the letter\n -", "x"), (r"a\ -", "x"), ("[a -]+", "x"), ("(?x) a - ", ""), ("(?x: a )-", ""), ("a +", "x"),
        ("(?P<name>a)-", ""), ("(?#comment)a-", ""), ("a(?#comment)*-", ""), ("a{,2}-", ""), ("a{,}-", ""), ("a{-", ""), ("a{}", ""),
        ("a{1", ""),        ("a{1,2", ""), ("{-", ""), ("(?>a)-", ""), ("(?:)", ""), ("()", ""), ("", ""), ("|a", ""), ("a||-", ""),
        ("(?s-i:.)(?-s:.)", "s"),        (r"(?m)^-$", ""), ("a}-]", ""),
    ],
)  # fmt: skip
def test_further_python_syntax(pattern: str, flags: str) -> None:
    oracle = python_pattern(pattern, flags)
    if oracle is None and sys.version_info < (3, 11):
        pytest.skip("atomic groups came with Python 3.11")
    assert oracle is not None
    extra = ["a -", "a ", "a{}", "a{1", "a{1,2", "a{-", "{-", "a}-]", "aa-", "aaa-"]
    assert_like_python(pattern, flags, oracle, TEXTS + extra)


def test_a_final_newline_in_python_and_in_ecma() -> None:
    assert accepts(search_dfa("^a$", syntax="python"), "a\n")
    assert not accepts(search_dfa("^a$", syntax="python"), "a\n\n")
    assert not accepts(match_dfa("^a$"), "a\n")
    assert not accepts(search_dfa("^a$"), "a\n")


# --- ECMA-262 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern, found, not_found",
    [
        ("^a|b$", ["a", "ax", "b", "xb"], ["xa", "bx", ""]),
        ("(^|,)x", ["x", "a,x", "xa"], ["ax", ",", ""]),
        ("(^$)|(^foo$)", ["", "foo"], ["foo ", "f"]),
        ("a^b", [], ["ab", "a^b", ""]),
        ("a$b", [], ["ab", "a$b"]),
        ("", ["", "x"], []),
        ("^(?!tag|category)$", [""], ["tag", "x"]),
        ("^(?!^lucene\\.|builtin\\.).*", ["x", "lucenex", "xlucene."], ["lucene.", "builtin.x"]),
        ("^((?!(c|C)at).)*$", ["", "dog", "ca"], ["cat", "xCaty", "\n"]),
        ("^(?=[^=]+$)(?!\\s+$)(.|\\n)+$", ["a b", "a\n"], ["", " ", "a=b"]),
        ("(?<=\\$)\\d", ["$1", "a$22"], ["1", "$"]),
        ("(?<!\\$)\\b\\d+", ["1", "a 1"], ["$1", "a1"]),
        ("^\\w+\\b!$", ["a!"], ["!", "a"]),
        ("^.$", ["a", "\x85", "\U0001f600"], ["\n", "\r", "\u2028", "\u2029", "ab"]),
        ("^[^]$", ["\n", "a", "\u2028"], ["", "ab"]),
        ("[]", [], ["", "a", "[]"]),
        ("^\\d$", ["0"], ["\u0660", "a"]),
        ("^\\w$", ["a", "_", "7"], ["\u00e9", "-", "\u212a"]),
        ("^\\s$", list(" \t\n\v\f\r\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\ufeff"), ["\x85", "\x1c", "\u200b", "\u180e"]),
        ("^\\cA\\cz$", ["\x01\x1a"], ["cA"]),
        ("^\\0$", ["\0"], ["0"]),
        ("^\\x41\\u0042\\u{43}\\u{00000044}$", ["ABCD"], []),
        ("^\\uD83D\\uDE00$", ["\U0001f600"], ["\ud83d\ude00"]),
        ("^[\\uD83D\\uDE00]$", ["\U0001f600"], []),
        ("^\\/\\-\\@\\_\\ \\\"$", ['/-@_ "'], []),
        ("^[\\w-.]+$", ["a-.b"], [" "]),
        ("^[\\b]$", ["\b"], ["b"]),
        ("^{a}]$", ["{a}]"], []),
        ("^a{2}$", ["aa"], ["a", "a{2}"]),
        ("^a{,b$", ["a{,b"], []),
        ("^\\p{Lu}\\p{Letter}\\P{L}$", ["Aé1", "Éa "], ["aA1"]),
        ("^\\p{gc=Nd}\\p{General_Category=Decimal_Number}\\p{digit}$", ["1\u06663"], ["a"]),
        ("^\\p{ASCII}\\p{Any}$", ["a\u00e9"], ["\u00e9a"]),
        ("^[\\p{Zs}a]+$", ["a \u00a0"], ["\t"]),
        ("^(?<year>\\d{2})$", ["20"], ["2"]),
        ("^(?i:k)k$", ["Kk", "\u212ak"], ["kK"]),
        ("^(?:a|b)??c$", ["c", "ac"], []),
    ],
)  # fmt: skip
def test_ecma(pattern: str, found: list[str], not_found: list[str]) -> None:
    dfa = search_dfa(pattern)
    assert [text for text in found if not accepts(dfa, text)] == []
    assert [text for text in not_found if accepts(dfa, text)] == []


def test_ecma_flags() -> None:
    assert accepts(match_dfa("ſ", syntax="ecma", flags="i"), "S")
    assert accepts(match_dfa(r"\w", syntax="ecma", flags="iu"), "\u017f")
    assert not accepts(match_dfa(r"\W", syntax="ecma", flags="iu"), "\u017f")
    assert accepts(search_dfa("^a$", flags="m"), "b\u2028a\r")
    assert accepts(match_dfa(".", syntax="ecma", flags="s"), "\n")
    assert not accepts(match_dfa("ß", syntax="ecma", flags="i"), "ss")
    assert accepts(match_dfa("ß", syntax="ecma", flags="i"), "ẞ")


def test_the_official_ecma_cases() -> None:
    path = SUITE / "ecmascript-regex.json"
    if not path.is_file():
        pytest.skip(f"needs {path}, which is not part of the repository")
    n_cases = 0
    for group in json.loads(path.read_text()):
        pattern = group["schema"].get("pattern")
        for case in group["tests"]:
            if pattern is not None and isinstance(case["data"], str):
                n_cases += 1
                assert accepts(search_dfa(pattern), case["data"]) == case["valid"], (pattern, case)
    assert n_cases > 50


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "syntax, pattern, position",
    [
        ("ecma", "(ab", 0), ("ecma", "ab)", 2), ("ecma", "*a", 0), ("ecma", "a**", 2), ("ecma", "^*", 1), ("ecma", "a{2,1}", 1),
        ("ecma", "x[b-a]", 2), ("ecma", "x[a", 1), ("ecma", "ab\\", 2), ("ecma", r"a\a", 1), ("ecma", r"a\Z", 1), ("ecma", r"(a)\1", 3),
        ("ecma", r"(?<n>a)\k<n>", 7), ("ecma", r"a\u12", 1), ("ecma", r"\u{110000}", 0), ("ecma", r"\x4", 0), ("ecma", r"\c1", 0),
        ("ecma", r"a\p{Script=Grek}\p{sc=Klingon}", 16), ("ecma", r"\p{Nonsense}", 0), ("ecma", r"\pL", 0), ("ecma", "a(?P<n>b)", 1),
        ("ecma", "a(?#c)", 1),        ("ecma", "(?i)a", 0), ("ecma", "a{,5}", 1), ("ecma", r"\01", 0), ("ecma", "(?<=a)*", 6),
        ("ecma", "b(?<=a$)", 6),        ("ecma", r"(?<!\b)", 4), ("ecma", "(?>a)", 0), ("ecma", "x(?<=(?=a))", 5), ("ecma", "a{1}{2}", 4),
        ("python", r"\1", 0), ("python", r"(?P<n>a)(?P=n)", 8), ("python", r"\p{L}", 0), ("python", r"\q", 0), ("python", "(?>a|ab)c", 0),
        ("python", "(ab)*+", 4), ("python", "(?(1)a)", 0), ("python", r"[\w-a]", 1), ("python", r"\N{NO SUCH}", 0), ("python", "a(?i)", 1),
        ("python", "(?P<n>a)(?P<n>b)", 8), ("python", r"\400", 0), ("python", r"[\8]", 1), ("python", "(?L)a", 0), ("python", "(?<n>a)", 0),
    ],
)  # fmt: skip
def test_errors_point_at_the_place(syntax: str, pattern: str, position: int) -> None:
    with pytest.raises(GrammarSyntaxError) as caught:
        parse_regex(pattern, syntax=syntax)  # type: ignore[arg-type]
    assert caught.value.position == position, str(caught.value)
    assert "^" in str(caught.value)


@pytest.mark.parametrize("options", [{"syntax": "pcre"}, {"syntax": None}, {"syntax": []}, {"flags": None}, {"flags": b"i"}])
def test_options_that_are_none(options: dict[str, object]) -> None:
    with pytest.raises(StructgenError, match=r"regular expression is|flags are"):
        to_expr("a", **options)  # type: ignore[arg-type]


def test_unknown_flags_are_errors() -> None:
    for syntax, flags in [("ecma", "x"), ("python", "L"), ("ecma", "uv"), ("python", "q"), ("python", "au")]:
        with pytest.raises(GrammarSyntaxError):
            parse_regex("a", syntax=syntax, flags=flags)  # type: ignore[arg-type]


# --- hostile patterns -------------------------------------------------------------------------------------------------

HOSTILE = {
    "parentheses": "(" * 100_000 + "a" + ")" * 100_000,
    "open parentheses": "(" * 1_000_000,
    "half a megabyte of letters": "a" * 500_000,
    "many classes": "[ab]" * 30_000,
    "many branches": "a|" * 30_000,
    "exponential": "(a|b)*a(a|b){30}",
    "optional letters": "(a?){1000}" + "a" * 1000,
    "nested counts": "(((a{100}){100}){100}){100}",
    "a huge count": "a{0,999999999999999999}",
    "a count too large to read": "a{" + "9" * 100_000 + "}",
    "many different letters": "|".join(map(chr, range(0x4E00, 0x4E00 + 4_000))),
    "many lookaheads": "".join(f"(?=.*{c}.*{c})" for c in "abcdefghijklmnop") + ".*",
    "stars of stars": "(?:" * 100 + "a" + ")*" * 100,
    "branches of branches": "(^a|$b" * 100 + ")*" * 100,
    "anchored branches": "(^|^a" * 100 + ")" * 100 + "b",
    "lookaheads in lookaheads": "(?=" * 100 + "a" + ")" * 100,
    "many anchors": "^" * 30_000,
    "many word boundaries": r"(\b|a)*" * 300,
    "many backslashes": "\\" * 100_000,
    "open classes": "[" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_patterns_end_soon(name: str) -> None:
    begin = time.process_time()
    for build in (search_dfa.__wrapped__, to_expr):
        try:
            build(HOSTILE[name])
        except StructgenError as error:
            assert len(str(error)) < 1000
    assert time.process_time() - begin < 20


# --- lengths apart ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern, bounds",
    [
        ("^[a-z]{1,500}$", (1, 500)), ("^.*$", (0, None)), ("^[ab]{3}$", (3, 3)), ("^(?:a)+$", (1, None)), ("^a|b{2}$", (0, None)),
        ("[a-z]{1,500}", (0, None)), ("^(?:ab){1,5}$", (0, None)),
    ],
)  # fmt: skip
def test_counted_characters_are_not_unrolled(pattern: str, bounds: tuple[int, int | None]) -> None:
    dfa, low, high = search_language(pattern)
    assert (low, high) == bounds
    assert chardfa.intersect(dfa, chardfa.repeat(chardfa.any_char(), low, high)) == search_dfa(pattern)


def test_a_count_beyond_the_budget_is_only_a_bound() -> None:
    dfa, low, high = search_language("^[^/]{2,1000000}$")
    assert (len(dfa.table), low, high) == (1, 2, 1_000_000)
    with pytest.raises(LimitExceeded):
        search_dfa("^[^/]{2,1000000}$")


# --- expressions ------------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(patterns, st.sampled_from(["", "m", "s", "i"]))
def test_expressions_have_the_same_texts(pattern: str, flags: str) -> None:
    oracle = python_pattern(pattern, flags)
    if oracle is None:
        return
    expr = to_expr(pattern, flags=flags)
    for text in SHORT_TEXTS:
        assert matches(expr, text.encode()) == bool(oracle.fullmatch(text)), (pattern, flags, text)


def test_repetitions_stay_counted() -> None:
    assert to_expr("a{3,1000000000}") == ir.Repeat(ir.Bytes(b"a"), 3, 1_000_000_000)
    assert to_expr("(?:ab|c)*") == ir.Repeat(ir.Choice((ir.Bytes(b"ab"), ir.Bytes(b"c"))))
    assert to_expr("^a+?$") == ir.Repeat(ir.Bytes(b"a"), 1)
    assert to_expr("x{0}") == ir.EMPTY == to_expr("") == to_expr("^$")


def test_literals_are_joined_and_classes_are_sets() -> None:
    assert to_expr("héllo") == ir.Bytes("héllo".encode())
    assert to_expr("a|b|[c-e]") == ir.Chars(((97, 101),))
    assert to_expr(".", flags="s") == ir.Chars(((0, 0xD7FF), (0xE000, 0x10FFFF)))
    assert to_expr("ab[cd]e(f)g") == ir.Seq((ir.Bytes(b"ab"), ir.Chars(((99, 100),)), ir.Bytes(b"efg")))
    assert to_expr("[]", syntax="ecma") == ir.Choice(())


def test_look_arounds_become_automata() -> None:
    expr = to_expr(r"(?!ab$)\w+")
    assert isinstance(expr, ir.Regular)
    assert not matches(expr, b"ab") and matches(expr, b"abc")


def test_flags_as_python_writes_them() -> None:
    assert to_expr("k", flags=re.I) == to_expr("k", flags="i") == to_expr("(?i)k")
    assert to_expr("a # x", flags=re.X | re.A) == ir.Bytes(b"a")


def test_the_examples_in_the_documentation() -> None:
    for module in (regex, formats):
        assert doctest.testmod(module).failed == 0 < doctest.testmod(module).attempted
