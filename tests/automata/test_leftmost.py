"""`compile_leftmost` and `Scanner` against Python's `re`, whose matcher they describe."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Sequence
from random import Random

import pytest

import structgen as sg
from structgen.automata.chardfa import CharDfa, accepts
from structgen.automata.leftmost import Scanner, compile_leftmost
from structgen.grammars._regex_parser import parse_regex

PATTERNS = [
    "a|ab", "ab|a", "(?:a|ab)(?:c|bc)?", "a*?", "a+?b", "a??b", "a{1,3}?", "(?:a|ab){2}", "(?:ab?)*?c", "(?:a|b)*?ab",
    "a*(?:ab)?", "(?:a*)*", "(?:a?b?)+", "(?:|a)b", "a(?:|b)", "(?:a|)*", "/[*]?", "a(?:.|\n)*?b", "[^a]*a?", "(?i:aB)+?c",
    "a.*?(?<!b)(?:bb)*?a", "a[ab]*(?<=b)", "aab?(?<!ab)c?", "aa+(?<=aa)b?", "a(?<=a)b|abc", "c{0}a", "(?:a{0,2}){2}b",
]  # fmt: skip
WORDS = ["".join(word) for n in range(7) for word in itertools.product("abc", repeat=n)]


def leftmost(pattern: str) -> CharDfa:
    return compile_leftmost(parse_regex(pattern, syntax="python"))


def wrong(pattern: str, words: list[str]) -> list[str]:
    dfa, matcher = leftmost(pattern), re.compile(pattern)
    return [word for word in words if accepts(dfa, word) != ((m := matcher.match(word)) is not None and m.end() == len(word))]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_texts_that_re_matches_to_their_end(pattern: str) -> None:
    assert wrong(pattern, WORDS) == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_re_finds_is_the_longest_of_them(pattern: str) -> None:
    dfa = leftmost(pattern)
    for word in WORDS:
        found = re.compile(pattern).match(word)
        ends = [n for n in range(len(word) + 1) if accepts(dfa, word[:n])]
        assert (max(ends) if ends else None) == (found.end() if found else None), word


def random_pattern(random: Random, depth: int) -> str:
    kind = random.randrange(4) if depth else 0
    if kind == 0:
        return random.choice(["a", "b", "[ab]", ".", ""])
    first, second = random_pattern(random, depth - 1), random_pattern(random, depth - 1)
    if kind == 1:
        return first + second
    repeats = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?", "{2,}", "{1,}?", "{0,3}"]
    return f"(?:{first}|{second})" if kind == 2 else f"(?:{first}){random.choice(repeats)}"


def test_random_patterns() -> None:
    random = Random(3)
    words = [word for word in WORDS if "c" not in word and len(word) < 6]
    n_refused = 0
    for _ in range(1_000):
        pattern = random_pattern(random, random.choice((2, 3, 4)))
        try:
            assert wrong(pattern, words) == [], pattern
        except sg.StructgenError:
            n_refused += 1
    assert n_refused < 200


LOOKING = [
    r"a(?!\w)", r"a\b", "a(?=b)", "[ab]+(?!c)", "[ab]+?(?=c)", "(?:a(?=b)|b)+", "(?!ab)[a-c]+", "a$", r"a\Z", "a(?=b|$)", "a++",
    "(?:a|b(?!a))*", "a*(?=.*c)", "a(?=(?:b|c)*a)", "a(?!b(?!c))", "(?=a)[ab]+(?!b)", "c(?!.*c)", "a??(?=a)a|ab", "(?:b|(?=a))*a",
    "a(?<=a)(?=b)", "b|c", "a|ab",
]  # fmt: skip


def found(scanner: Scanner, word: str) -> list[tuple[int, int]]:
    """The matches at the beginning of a text, whose number and end the rest of the text decides."""
    state, matches = 0, []
    for n in range(len(word) + 1):
        labels = scanner.labels[state]
        matches += [(label, n) for label in dict.fromkeys(labels) if accepts(scanner.rests(state, [label]), word[n:])]
        state = scanner.table[state][scanner.classes[bisect_right(scanner.starts, ord(word[n])) - 1]] if n < len(word) else -1
        if state < 0:
            break
    return matches


def by_re(patterns: Sequence[str], word: str) -> list[tuple[int, int]]:
    match = re.match("|".join(f"({pattern})" for pattern in patterns), word)
    return [(match.lastindex - 1, match.end())] if match is not None and match.lastindex is not None else []


@pytest.mark.parametrize("pattern", LOOKING)
def test_lookaheads_see_the_rest_of_the_text(pattern: str) -> None:
    """Alone, and before and behind another alternative: at most one match, the one that `re` finds."""
    for patterns in ([pattern], [pattern, "[abc]+"], ["ab(?=c)|b", pattern]):
        scanner = Scanner([parse_regex(each, syntax="python") for each in patterns], ahead=True)
        for word in [word for word in WORDS if len(word) < 6]:
            assert found(scanner, word) == by_re(patterns, word), (patterns, word)


def test_random_lookaheads() -> None:
    random = Random(4)
    words = [word for word in WORDS if "c" not in word and len(word) < 6]
    n_compared = 0
    for _ in range(120):
        patterns = []
        for _ in range(random.choice((1, 2))):
            parts = [random_pattern(random, random.choice((1, 2))) for _ in range(4)]
            patterns.append("{}(?{}{}){}|{}".format(parts[0], random.choice("=!"), *parts[1:]))
        try:
            scanner = Scanner([parse_regex(pattern, syntax="python") for pattern in patterns], ahead=True)
        except sg.StructgenError as error:
            assert "may be empty" in str(error)
            continue
        for word in words:
            assert found(scanner, word) == by_re(patterns, word), (patterns, word)
        n_compared += 1
    assert n_compared > 60


@pytest.mark.parametrize(
    "pattern", ["a(?=b)", "a(?!b)", r"a\b", "a$", r"a\Z", "^a", r"\Aa", "(?<=a)b", "a?(?<!b)a", "(?:a??|b)*", "(?:|a)+b"]
)
def test_what_depends_on_the_surroundings_is_refused(pattern: str) -> None:
    with pytest.raises(sg.StructgenError, match=r"sees the text|may be empty"):
        leftmost(pattern)


def test_size_is_bounded() -> None:
    with pytest.raises(sg.LimitExceeded):
        leftmost("a{1,100000}")
