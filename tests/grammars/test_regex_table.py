r"""Every construct of ECMA-262 (2025) and of Python's `re`: what becomes of it, proved on small cases, by the automaton and by an
engine: `regress` (flag u or v) and `re`.

The tables in docs/regex.md are made of the rows below; `python -m tests.grammars.test_regex_table --write` writes them.
"""

from __future__ import annotations

import itertools
import re
import sys
import unicodedata
import warnings
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
import regress
from hypothesis import given, settings
from hypothesis import strategies as st

from structgen.automata.chardfa import accepts
from structgen.errors import GrammarSyntaxError
from structgen.grammars.regex import match_dfa, parse_regex, search_dfa
from tests.reference import unicode_properties

PAGE = Path(__file__).parents[2] / "docs" / "regex.md"
Status = Literal["exact", "exact, more is read", "refused"]


class Case(NamedTuple):
    """A pattern with flags, and texts to try besides the short ones. ``position``: of the error, where it is refused. ``known``:
    texts and whether they match, where `regress` does not do what the specification says (V8 does)."""

    pattern: str
    flags: str = ""
    texts: tuple[str, ...] = ()
    position: int = 0
    known: tuple[tuple[str, bool], ...] = ()


class Row(NamedTuple):
    """A construct as it is written, what becomes of it, what there is to say about it, and the proof."""

    construct: str
    status: Status
    remark: str
    cases: list[Case]


def exact(construct: str, *patterns: str, flags: str = "", texts: tuple[str, ...] = (), remark: str = "") -> Row:
    return Row(construct, "exact", remark, [Case(pattern, flags, texts) for pattern in patterns])


def known(construct: str, *cases: tuple[str, str, str], flags: str, remark: str = "") -> Row:
    """Exact, by the specification's word: patterns, characters or strings (divided by spaces) that match, and that do not."""
    found = []
    for pattern, matching, other in cases:
        results = ((text, good) for texts, good in ((matching, True), (other, False)) for text in (texts.split(" ") if texts else ()))
        found.append(Case(pattern, flags, (), 0, tuple(results)))
    return Row(construct, "exact", remark, found)


def refused(construct: str, remark: str, *cases: tuple[str, int], flags: str = "") -> Row:
    return Row(construct, "refused", remark, [Case(pattern, flags, (), position) for pattern, position in cases])


def lenient(construct: str, remark: str, *patterns: str, texts: tuple[str, ...] = ()) -> Row:
    """Read, though the engine refuses it: the texts that match are given."""
    return Row(construct, "exact, more is read", remark, [Case(pattern, "", texts) for pattern in patterns])


BACK = "not regular"
AHEAD = "what is inside would look ahead and behind at once"
ECMA = [
    exact("characters, `a\\|b`, `( )`, `(?: )`", "ab|a-", "(ab)|(?:-)", "", "|a", "()", "a||-"),
    exact("`.`", "^.$", ".a"),
    exact("`^` `$`", "^a", "a$", "^$", "a^b", "(^a|-$)", "(?:^|-)a(?:$|b)"),
    exact("`*` `+` `?` `{n}` `{n,}` `{n,m}`", "^a*-$", "^a+$", "^a?b$", "^a{2}$", "^a{2,}$", "^(?:ab){1,2}$", "^a{0}$"),
    exact("lazy `*?` `+?` `??` `{n,m}?`", "^a*?b$", "^a+?$", "^a??b$", "^a{1,2}?$", remark="no other language"),
    exact("`\\b` `\\B`", r"\ba", r"a\b", r"\Ba", r"a\B-", r"^\b$", r"^\B$", r"^-\B\b a"),
    exact("`(?=` `(?!`", "^(?=a)..$", "^(?!ab)..$", "(?!a$)b", "^(?:(?!ab).)*$", "(?=(?!b)a)a"),
    exact("`(?<=` `(?<!`", "(?<=a)b", "(?<!a)b", "(?<=^a)b", "(?<=a|b-)b", "(?<!(?<!a)b)b", "^a(?<=a*)b"),
    refused("`(?=`, `$`, `\\b` inside `(?<=`", AHEAD, ("x(?<=(?=a))", 5), ("(?<!$)", 4), (r"(?<=\b)", 4)),
    exact("named groups `(?<n> )`", "^(?<year>a)(?<$x>b)$", "(?<\u00e9t\u00e9>a)"),
    exact("one name in several alternatives", "^(?:(?<n>a)|(?<n>b)-)$", "(?:(?<n>a)|-)|(?<n>b)", remark="ECMA-262 2025"),
    refused(
        "one name twice otherwise", "a syntax error there, too", ("(?<n>a)(?<n>b)", 7), ("(?<n>a)(?:-|(?<n>b))", 12), ("(?<n>(?<n>a))", 5)
    ),
    refused(r"back-references `\1` `\k<n>`", BACK, (r"(a)\1", 3), (r"(?<n>a)\k<n>", 7)),
    exact(
        "modifiers `(?i: )` `(?-i: )` `(?ms-i: )`",
        "^(?i:a)b$",
        "(?s:.)a",
        "(?m:^a$)",
        "^(?i:a(?-i:b))$",
        "^(?i-s:a.)$",
        remark="ECMA-262 2025",
    ),
    refused(
        "modifiers of other flags, twice, or none",
        "a syntax error there, too",
        ("a(?u:b)", 1),
        ("(?ii:b)", 0),
        ("(?i-i:b)", 0),
        ("(?-:b)", 0),
        ("(?i)a", 0),
    ),
    exact(
        "flag i",
        "^ab$",
        "^[^a]$",
        "^\\w$",
        "k",
        "^[à-þ]$",
        "ß",
        "σ",
        flags="i",
        texts=("\u212a", "ſ", "K", "ẞ", "ς", "Σ", "Þ", "ss"),
        remark="simple case folding",
    ),
    exact("flag m", "^a$", "a$", "^-", flags="m", texts=("b\na", "a\r-", "a\u2028-", "\n-")),
    exact("flag s", "^.$", "a.b", flags="s", texts=("a\nb", "\u2028")),
    exact("flags d g u y", "^a$", flags="u", remark="u is always on: texts are sequences of code points; d, g and y change no language"),
    exact(r"`\d` `\D` `\w` `\W` `\s` `\S`", r"^\d$", r"^\D$", r"^\w$", r"^\W$", r"^\s$", r"^\S$"),
    exact(
        r"`\f` `\n` `\r` `\t` `\v` `\0` `\cA`",
        r"^\f$",
        r"^\n$",
        r"^\r$",
        r"^\t$",
        r"^\v$",
        r"^\0$",
        r"^\cA$",
        r"^\cz$",
        texts=("\x01", "\x1a", "\0", "\f", "\v", "\t"),
    ),
    exact(
        r"`\x41` `\u0041` `\u{41}`, surrogate pairs", r"^\x61$", r"^\u0062$", r"^\u{2d}$", r"^\u{0061}$", r"^\uD83D\uDE00$", texts=("😀",)
    ),
    exact("escaped punctuation of the syntax", r"^\^\$\\\.\*\+\?\(\)\[\]\{\}\|\/$", texts=("^$\\.*+?()[]{}|/",)),
    exact(
        "classes `[a-z]` `[^a]` `[]` `[^]` `[\\b]`",
        "^[a-c]$",
        "^[^a]$",
        "[]",
        "^[^]$",
        r"^[\b]$",
        r"^[\]\-]$",
        "^[-a]$",
        "^[a-]$",
        texts=("\b", "]"),
    ),
    exact("classes in classes", r"^[\w-]$", r"^[^\d\s]$", r"^[\p{Lu}a]$"),
    exact(
        r"`\p{L}` `\p{Letter}` `\p{gc=Lu}` `\P{ }`",
        r"^\p{Lu}$",
        r"^\p{Lowercase_Letter}$",
        r"^\p{gc=Nd}$",
        r"^\p{General_Category=Sm}$",
        r"^\P{L}$",
        r"^\p{LC}$",
        r"^\p{punct}$",
        remark="Unicode of the running Python",
    ),
    exact(
        r"`\p{Script=Greek}` `\p{sc= }` `\p{Script_Extensions= }` `\p{scx= }`",
        r"^\p{Script=Greek}$",
        r"^\p{sc=Grek}$",
        r"^\p{scx=Deva}$",
        r"^\p{Script_Extensions=Hira}$",
        r"^\P{sc=Latin}$",
        r"^\p{sc=Zyyy}$",
        texts=("α", "a", "あ", "ー"),
        remark="Unicode 17",
    ),
    exact(
        r"`\p{Alphabetic}` and the other binary properties",
        r"^\p{Alphabetic}$",
        r"^\p{White_Space}$",
        r"^\p{ID_Start}$",
        r"^\p{Emoji}$",
        r"^\p{Any}$",
        r"^\p{ASCII}$",
        r"^\p{AHex}$",
        r"^\P{Math}$",
        texts=("α", "😀"),
        remark="Unicode 17",
    ),
    exact(
        "properties with flag i",
        r"^\p{Lu}$",
        r"^[^\P{Lu}]$",
        r"^\P{Lu}$",
        r"^\p{Script=Greek}$",
        flags="i",
        texts=("α", "Α", "ε", "Ω", "\u2126"),
    ),
    exact("flag v: nested classes", "^[[a-c][^b]]$", "^[^[ab]]$", r"^[\d[a]]$", flags="v"),
    exact(
        "flag v: `--` and `&&`",
        "^[[a-c]--b]$",
        r"^[\w&&[^a]]$",
        r"^[\p{L}--\p{Lu}--[b]]$",
        "^[^[a-c]--[b]]$",
        r"^[[a-c]&&[bc]&&c]$",
        flags="v",
    ),
    exact(
        "flag v: strings `\\q{a\\|bc}`",
        r"^[\q{a|bc}]$",
        r"^[[\q{ab|b}]--\q{ab}]$",
        r"^[\q{ab|ba}&&[\q{ba}]]-$",
        flags="v",
        texts=("ba", "bc", "bc-", "ba-"),
    ),
    known("flag v: the empty string", (r"^[[\q{ab|b|}]--\q{ab}]$", "b ", "ab"), flags="v"),
    known(
        "flags v and i",
        ("^[[a-c]--[B]]$", "a A c", "b B"),
        (r"^[\q{aB}&&\q{Ab}]$", "ab AB aB", "a b"),
        (r"^\P{Lu}$", "1 -", "a A"),
        (r"^[^\P{Lu}]$", "a A", "1"),
        ("^[^[a-c]]$", "d D", "a A"),
        flags="iv",
        remark="sets are closed under folding before they are combined",
    ),
    known(
        "negated classes with flags u and i",
        (r"^[^\W]$", "k K \u212a s ſ a", "- é"),
        (r"^[^\P{Lu}]$", "", "a A"),
        (r"^\P{Lu}$", "a A 1", ""),
        flags="iu",
    ),
    refused("flag v: properties of strings", "`\\p{RGI_Emoji}` and six more", (r"\p{RGI_Emoji}", 0), (r"[a\p{Basic_Emoji}]", 2), flags="v"),
    refused(
        "flag v: reserved characters, mixed operators, negated strings",
        "a syntax error there, too",
        ("[a&&b--c]", 5),
        ("[(]", 1),
        ("[a!!b]", 2),
        ("[a-b--c]", 4),
        flags="v",
    ),
    refused("flag v: strings in a negated class", "early errors of the specification", (r"[^\q{ab}]", 0), ("[^[a\\q{}]]", 0), flags="v"),
    refused("flags u and v together", "early errors of the specification", ("a", 0), flags="uv"),
    refused(
        r"unknown escapes, octal escapes, bad counts, open groups and classes",
        "a syntax error with flag u, too",
        (r"a\a", 1),
        (r"\01", 0),
        (r"[\1]", 1),
        ("a{2,1}", 1),
        ("*", 0),
        ("(a", 0),
        ("[a", 0),
        ("a)", 1),
        ("(?<=a)*", 6),
        (r"\p{Nonsense}", 0),
        (r"\u{110000}", 0),
    ),
    lenient(
        "annex B: `]` `{` `}` by themselves, `\\-` and other escaped punctuation, `[\\w-.]`",
        "the meaning they have without flag u",
        "^]$",
        "^a{$",
        "^{}$",
        r"^\-$",
        r"^\_$",
        r"^[\w-.]$",
        r"^a{,b$",
        texts=("]", "a{", "{}", "-", "_", ".", "a", "a{,b"),
    ),
]
PYTHON = [
    exact("characters, `a\\|b`, `( )`, `(?: )`", "ab|a-", "(ab)|(?:-)", "", "|a", "()", "a||-", "a}]"),
    exact("`.` `^` `$`", ".", "^a$", "a^b", "(^a|-$)", "a$\n", "$", "-$-", remark="`$` matches before a final newline, too"),
    exact(
        "`*` `+` `?` `{n}` `{n,}` `{,m}` `{n,m}`",
        "a*-",
        "a+",
        "a?b",
        "a{2}",
        "a{2,}",
        "(ab){1,2}",
        "a{,2}",
        "a{,}",
        "a{",
        "a{1",
        "a{}",
        texts=("a{", "a{1", "a{}"),
    ),
    exact("lazy `*?` `+?` `??` `{n,m}?`", "a*?b", "a+?", "a??b", "a{1,2}?", remark="no other language"),
    exact("possessive `*+` `++` `?+` `{n,m}+` after one character", "a*+b", "[ab]++-", "a?+a", "a{1,2}+a", ".*+a", remark="Python 3.11"),
    refused("possessive quantifiers after anything else", "not supported", ("(ab)*+", 4), ("(?:a|b)++(?:ab)?+", 15)),
    exact(
        "atomic groups `(?> )` of characters in a row, the last one repeated or not",
        "(?>a)b",
        "(?>ab)-",
        "(?>)a",
        "(?>a*)a",
        "(?>ab*)b",
        "(?>[ab]{1,2})b",
        "(?>a*?)b",
        "(?>ba??)b",
        "(?:(?>a+)-?)*",
        remark="Python 3.11",
    ),
    refused("other atomic groups", "not supported", ("(?>a|ab)c", 0), ("(?>a*b)a", 0)),
    exact(r"`\A` `\Z` `\b` `\B`", r"\Aa\Z", r"\ba", r"a\b-", r"\Ba", r"a\B", r"\b", r"\B", r"-\Ba", r"a\Z\n"),
    exact(r"`\z`", r"a\z", remark=r"Python 3.14; the same as `\Z`"),
    exact("`(?=` `(?!`", "(?=a)..", "(?!ab)..", "(?:(?!ab).)*", "(?=(?!b)a)a"),
    exact("`(?<=` `(?<!`", "a(?<=a)b", "-(?<!a)b", "(?<=^)b", "ab(?<=ab)-", "(?<!(?<!a)b)b"),
    lenient("`(?<=` without a fixed width", "`re` refuses it", "a+(?<=aa+)b", "b(?<=a*b)", texts=("aab", "aaab", "b")),
    refused("`(?=`, `$`, `\\b` inside `(?<=`", AHEAD, ("x(?<=(?=a))", 5), ("(?<!$)", 4), (r"(?<=\b)", 4)),
    exact("named groups `(?P<n> )`", "(?P<x>a)-", "(?P<\u00e9>a)"),
    refused("one name twice", "a syntax error there, too", ("(?P<n>a)(?P<n>b)", 8), ("(?P<n>a)|(?P<n>b)", 9), ("(?P<n$>a)", 0)),
    refused(r"back-references `\1` `(?P=n)`", BACK, (r"(a)\1", 3), ("(?P<n>a)(?P=n)", 8)),
    refused("conditional groups `(?(1)a\\|b)`", "not supported", ("(a)?(?(1)a|b)", 4), ("(?P<n>a)?(?(n)a)", 9)),
    exact("comments `(?# )`", "a(?#b)-", "a(?#b)*"),
    exact(
        "flags for all `(?i)` `(?ims)` at the beginning",
        "(?i)a",
        "(?s).",
        "(?ms)^a$.",
        "(?x) a -",
        "(?a)\\w",
        texts=("A", "\u00e9", "a\nb"),
    ),
    refused("flags for all elsewhere", "a syntax error there, too", ("a(?i)", 1)),
    exact(
        "flags for a group `(?i: )` `(?s-i: )` `(?a: )`",
        "(?i:a)b",
        "(?s:.)a",
        "(?m:^a$)\n",
        "(?i:a(?-i:b))",
        r"(?a:\w)",
        r"(?x: a )-",
        texts=("Ab", "AB", "\u00e9", "\na"),
    ),
    refused(
        "flags that exclude each other, unknown flags",
        "a syntax error there, too",
        ("(?au)a", 0),
        ("(?au:a)", 0),
        ("(?i-i:a)", 0),
        ("(?z:a)", 0),
    ),
    exact(
        "flag i (IGNORECASE)",
        "a",
        "[^a]",
        "k",
        r"\w",
        "[à-þ]",
        "ß",
        "ı",
        "σ",
        flags="i",
        texts=("\u212a", "ſ", "K", "ẞ", "ς", "Σ", "İ", "I"),
    ),
    exact("flag m (MULTILINE)", "^a$", "(?:^.$\n?)*", flags="m", texts=("a\na", "a\nb\n")),
    exact("flag s (DOTALL)", ".", "a.b", flags="s", texts=("a\nb",)),
    exact("flag x (VERBOSE)", "a  # b\n -", r"a\ b", "[a -]", "a # [", "a +", flags="x", texts=("a b", "a ")),
    exact("flag a (ASCII)", r"\w", r"\W", r"\d", r"\s", r"\b-", flags="a", texts=("\u00e9", "\u0663", "\u2003")),
    refused("flag L (LOCALE)", "depends on where it runs", ("(?L)a", 0)),
    exact(r"`\d` `\D` `\w` `\W` `\s` `\S`", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S"),
    exact(
        r"`\a` `\f` `\n` `\r` `\t` `\v` `\x41` `\u0041` `\U00000041` `\N{BULLET}`",
        r"\a",
        r"\f",
        r"\n",
        r"\v",
        r"\x61",
        r"\u0062",
        r"\U0000002d",
        r"\N{BULLET}",
        texts=("\a", "\f", "\v", "\u2022"),
    ),
    exact(r"octal `\0` `\101`, in classes `[\1]`", r"\0", r"\141", r"[\1]", r"\07", texts=("\0", "\1", "\7")),
    exact("escaped punctuation", r"\^\$\\\.\*\+\?\(\)\[\]\{\}\|\-\/\_", texts=("^$\\.*+?()[]{}|-/_",)),
    exact(
        "classes `[a-z]` `[^a]` `[]a]` `[\\b]`",
        "[a-c]",
        "[^a]",
        "[]a]",
        "[^]a]",
        r"[\b]",
        "[-a]",
        "[a-]",
        r"[\w-]",
        r"[^\d\s]",
        "[[a]",
        "[a&&b]",
        texts=("]", "\b", "["),
    ),
    refused(
        "unknown escapes and names, bad ranges and counts, open groups and classes",
        "a syntax error there, too",
        (r"\q", 0),
        (r"\p{L}", 0),
        (r"\N{NO SUCH}", 0),
        (r"\400", 0),
        (r"[\8]", 1),
        ("[b-a]", 1),
        (r"[\w-a]", 1),
        ("a{2,1}", 1),
        ("*", 0),
        ("(a", 0),
        ("[a", 0),
        ("a)", 1),
        ("a**", 2),
    ),
]
TABLES = {"ecma": ECMA, "python": PYTHON}
SHORT = ["".join(letters) for n in range(4) for letters in itertools.product("ab-\n", repeat=n)] + list("1_\u00e9 A")
CHANGED = "\u0295\u019b\u0264"
"""Characters that got another category or case since Unicode 14."""
ASSIGNED = [chr(c) for c in [*range(0xD800), *range(0xE000, 0x20000)] if unicodedata.category(chr(c)) != "Cn" and chr(c) not in CHANGED]
"""Characters that Python's Unicode data and the engine's agree about."""


def cases(status: Status) -> list[object]:
    found = []
    for syntax, rows in TABLES.items():
        for i, row in enumerate(rows):
            if row.status == status:
                found += [pytest.param(syntax, row, case, id=f"{syntax}-{i}-{number}") for number, case in enumerate(row.cases)]
    return found


@pytest.mark.parametrize(("syntax", "row", "case"), cases("exact"))
def test_what_is_exact(syntax: str, row: Row, case: Case) -> None:
    texts = [*SHORT, *case.texts]
    if case.known:
        assert [t for t, good in case.known if accepts(search_dfa(case.pattern, flags=case.flags), t) != good] == []
        return
    if syntax == "ecma":
        engine = regress.Regex(case.pattern, case.flags if "v" in case.flags else case.flags + "u" * ("u" not in case.flags))
        dfa = search_dfa(case.pattern, flags=case.flags)
        if re.fullmatch(r"\^(\\[^0-9]|\[|\\p\{).*\$", case.pattern):
            texts += sample()
        assert [t for t in texts if accepts(dfa, t) != (engine.find(t) is not None)] == []
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pattern = re.compile(case.pattern, sum(getattr(re, letter.upper()) for letter in case.flags))
        except re.error:
            assert "Python 3." in row.remark
            pytest.skip(row.remark)
    for dfa, matches in (
        (match_dfa(case.pattern, flags=case.flags), pattern.fullmatch),
        (search_dfa(case.pattern, syntax="python", flags=case.flags), pattern.search),
    ):
        assert [t for t in texts if accepts(dfa, t) != bool(matches(t))] == []


@cache
def sample() -> list[str]:
    """One in seven of the characters, and all that have case or lie in the first blocks."""
    return [c for i, c in enumerate(ASSIGNED) if i % 7 == 0 or c.lower() != c.upper() or i < 0x500]


@pytest.mark.parametrize(("syntax", "row", "case"), cases("refused"))
def test_what_is_refused(syntax: Literal["ecma", "python"], row: Row, case: Case) -> None:
    with pytest.raises(GrammarSyntaxError) as caught:
        parse_regex(case.pattern, syntax=syntax, flags=case.flags)
    assert caught.value.position == case.position, str(caught.value)
    if "a syntax error" in row.remark:
        with pytest.raises((regress.RegressError, re.error, ValueError)), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regress.Regex(case.pattern, case.flags or "u") if syntax == "ecma" else re.compile(case.pattern)


@pytest.mark.parametrize(("syntax", "row", "case"), cases("exact, more is read"))
def test_what_is_read_leniently(syntax: Literal["ecma", "python"], row: Row, case: Case) -> None:
    with pytest.raises((regress.RegressError, re.error)):
        regress.Regex(case.pattern, "u") if syntax == "ecma" else re.compile(case.pattern)
    if syntax == "ecma":
        engine, dfa = regress.Regex(case.pattern), search_dfa(case.pattern)
        assert [t for t in [*SHORT, *case.texts] if accepts(dfa, t) != (engine.find(t) is not None)] == []
    else:
        import regex  # which has lookbehinds of any width

        dfa = match_dfa(case.pattern)
        assert [t for t in [*SHORT, *case.texts] if accepts(dfa, t) != bool(regex.fullmatch(case.pattern, t))] == []


# random patterns


atoms = st.sampled_from(
    ["a", "b", "-", ".", r"\w", r"\W", "[a-]", "[^a]", r"\s", r"\d", r"\b", r"\B", "^", "$", "(?i:A)", r"\p{L}", r"\P{Ll}"]
)
narrow = st.sampled_from(["a", ".", r"\w", "^", "a-", "(?:a|-)", "(?<=a)b", "(?<!^a)b"])
counts = st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,3}", "*?", "??"])


def grown(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(lambda a, b: a + b, children, children),
        st.builds(lambda a, b: f"(?:{a}|{b})", children, children),
        st.builds(lambda a, count: f"({a}){count}", children, counts),
        st.builds(lambda sign, a: f"(?{sign}{a})", st.sampled_from("=!"), children),
        st.builds(lambda sign, a: f"(?<{sign}{a})", st.sampled_from("=!"), narrow),
    )


@settings(max_examples=200)
@given(st.recursive(atoms, grown, max_leaves=8), st.sampled_from(["u", "u", "mu", "su", "iu"]))
def test_random_ecma_patterns(pattern: str, flags: str) -> None:
    engine, dfa = regress.Regex(pattern, flags), search_dfa(pattern, flags=flags)
    assert [t for t in SHORT if accepts(dfa, t) != (engine.find(t) is not None)] == []


class Set(NamedTuple):
    """A class of flag v as text, its members among `MEMBERS`, and whether it may contain strings by the look of it."""

    text: str
    members: frozenset[str]
    stringy: bool = False
    is_operand: bool = True


LETTERS = frozenset("ab1-_AB")
MEMBERS = LETTERS | {"", "ab", "ba"}
LEAVES = [
    *(Set(text, frozenset(text)) for text in "ab1"),
    Set(r"\d", frozenset("1")),
    Set(r"\w", LETTERS - {"-"}),
    Set(r"\p{Lu}", frozenset("AB")),
    Set(r"\q{a|ab}", frozenset(["a", "ab"]), True),
    Set(r"\q{ab|ba|1|}", frozenset(["ab", "ba", "1", ""]), True),
    Set("[]", frozenset()),
    Set("a-b", frozenset("ab"), False, False),
    Set(r"\--a", frozenset("-1AB_a"), False, False),
    Set("[^]", LETTERS),
]


def joined(kind: str, parts: list[Set]) -> Set:
    """A class of these parts: their union, difference or intersection."""
    if kind in ("--", "&&"):
        parts = [part if part.is_operand else joined("", [part]) for part in parts]
    members, stringy = parts[0].members, parts[0].stringy
    for part in parts[1:]:
        if kind == "&&":
            members, stringy = members & part.members, stringy and part.stringy
        elif kind == "--":
            members -= part.members
        else:
            members, stringy = members | part.members, stringy or part.stringy
    if kind == "^" and not stringy:
        return Set(f"[^{''.join(part.text for part in parts)}]", LETTERS - members)
    return Set(f"[{(kind if kind != '^' else '').join(part.text for part in parts)}]", members, stringy)


def larger(children: st.SearchStrategy[Set]) -> st.SearchStrategy[Set]:
    return st.builds(joined, st.sampled_from(["", "^", "--", "&&"]), st.lists(children, min_size=1, max_size=3))


@settings(max_examples=400)
@given(st.recursive(st.sampled_from(LEAVES), larger, max_leaves=8))
def test_random_classes_of_flag_v(found: Set) -> None:
    whole = joined("", [found])
    dfa = search_dfa(f"^{whole.text}$", flags="v")
    assert {text for text in MEMBERS if accepts(dfa, text)} == whole.members
    if whole.stringy:
        with pytest.raises(GrammarSyntaxError, match="a negated class cannot contain strings"):
            search_dfa(f"[^{found.text}]", flags="v")


@pytest.mark.long
def test_scripts_and_properties_are_those_of_the_engines() -> None:
    assert unicode_properties.FILE.read_text() == unicode_properties.written(unicode_properties.properties())


# the page


def test_the_page_has_the_tables() -> None:
    assert PAGE.read_text() == written(PAGE.read_text()), "run python -m tests.grammars.test_regex_table --write"


def written(page: str) -> str:
    """The page with the tables as they should be."""
    for syntax, rows in TABLES.items():
        begin, end = f"<!-- {syntax}: made by tests/grammars/test_regex_table.py -->\n", f"<!-- end of {syntax} -->\n"
        head, rest = page.split(begin)
        lines = [f"| {row.construct} | {row.status} | {row.remark} |" for row in rows]
        page = head + begin + "\n".join(["| construct | | |", "|:--|:--|:--|", *lines, ""]) + end + rest.split(end)[1]
    return page


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(written(PAGE.read_text()))
