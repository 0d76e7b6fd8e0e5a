"""Counting, ranking and drawing against enumeration from the definition, the slow twin, and numbers that everyone knows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import islice, product
from math import comb
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen as sg
from structgen.automata import chardfa, counting
from structgen.automata.ir import EMPTY, Bytes, Chars, Choice, Expr, Quoted, Regular, Repeat, Rule, Seq, Unique
from tests.reference.grammars import grammars
from tests.reference.matcher import machine, viable

A, B = Bytes(b"a"), Bytes(b"b")


def words_of(expr: Expr, *lengths: int, **options: Any) -> sg.Words:
    return sg.words(sg.Constraint(expr), *lengths, **options)


def check(words: sg.Words, expected: list[bytes]) -> None:
    """Every law of an ordered set, given its elements in order."""
    assert list(words) == expected
    assert words.count() == len(expected)
    assert [words.unrank(i) for i in range(len(expected))] == expected
    assert [words.rank(word) for word in expected] == list(range(len(expected)))
    assert all(word in words for word in expected)


# against enumeration


def regexes() -> st.SearchStrategy[str]:
    atoms = st.sampled_from(["a", "b", "é", "[ab]", ".", "", "aé"])

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        either = st.tuples(inner, inner)
        return (
            either.map("".join)
            | either.map("|".join).map("(?:{})".format)
            | st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}")
        )

    return st.recursive(atoms, larger, max_leaves=6)


@settings(max_examples=50)
@given(regexes(), st.integers(0, 4), st.integers(0, 4), st.sampled_from(["bytes", "characters"]))
def test_regexes_against_enumeration(pattern: str, low: int, high: int, unit: Any) -> None:
    if low > high:
        low, high = high, low
    texts = ["".join(letters) for n in range(high + 1) for letters in product("abé", repeat=n)]
    lengths = [len(text) if unit == "characters" else len(text.encode()) for text in texts]
    expected = [t for t, n in zip(texts, lengths, strict=True) if low <= n <= high and re.fullmatch(pattern, t)]
    try:
        constraint = sg.Constraint(Regular(chardfa.intersect(letters_dfa(), dfa_of(pattern))))
        words = sg.words(constraint, high, low, unit=unit)
    except sg.UnsatisfiableSchema:
        assert expected == []
        return
    check(words, sorted(text.encode() for text in expected))
    by_length = Counter(len(text) if unit == "characters" else len(text.encode()) for text in expected)
    assert words.count_by_length() == dict(sorted(by_length.items()))
    assert list(words.count_by_length()) == sorted(by_length)


def letters_dfa() -> chardfa.CharDfa:
    return chardfa.star(chardfa.from_strings(["a", "b", "é"]))


def dfa_of(pattern: str) -> chardfa.CharDfa:
    from structgen.grammars.regex import match_dfa

    return match_dfa(pattern)


def twin_counts(expr: Expr, max_length: int) -> dict[int, int]:
    """How many words of each length the slow twin has: subsets of its configurations, with the number of ways to each."""
    reference = machine(expr)
    layer, found = {reference.start: 1}, {}
    for length in range(max_length + 1):
        accepted = sum(ways for state, ways in layer.items() if reference.is_accepting(state))
        if accepted:
            found[length] = accepted
        following: Counter[Any] = Counter()
        for state, ways in layer.items() if length < max_length else ():
            for byte in range(256):
                if after := reference.step(state, byte):
                    following[after] += ways
        layer = following
    return found


@settings(max_examples=40)
@given(grammars(max_rules=2, depth=2))
def test_grammars_against_the_slow_twin(expr: Expr) -> None:
    if not viable(expr, b""):
        return
    words = words_of(expr, 2)
    assert words.count_by_length() == twin_counts(expr, 2)
    assert words.count() == sum(words.count_by_length().values())
    first = list(islice(words, 50))
    assert first == sorted(set(first)) == [words.unrank(i) for i in range(len(first))]
    for i in {*range(len(first)), *(words.count() * k // 7 for k in range(7))} - {words.count()}:
        word = words.unrank(i)
        assert words.rank(word) == i and machine(expr).is_accepting(machine(expr).read(word)) and len(word) <= 2


def small_expressions(rule: Rule) -> st.SearchStrategy[Expr]:
    """Over a and b; the rule is called behind a byte only, so there is no left recursion."""
    atoms = st.sampled_from([A, B, EMPTY, Bytes(b"ab"), Seq((A, rule)), Seq((B, rule, A)), Seq((A, rule, rule))])
    return st.recursive(
        atoms,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3).map(lambda items: Seq(tuple(items)))
            | st.lists(inner, min_size=1, max_size=3).map(lambda items: Choice(tuple(items)))
        ),
        max_leaves=5,
    )


@settings(max_examples=80)
@given(st.data())
def test_recursive_and_ambiguous_grammars_against_enumeration(data: st.DataObject) -> None:
    rule = Rule("r")
    rule.define(data.draw(small_expressions(rule)))
    if not viable(rule, b""):
        return
    reference = machine(rule)
    texts = [bytes(letters) for n in range(7) for letters in product(b"ab", repeat=n)]
    check(words_of(rule, 6), sorted(text for text in texts if reference.is_accepting(reference.read(text))))


# numbers that everyone knows


def balanced() -> Expr:
    tree = Rule("balanced")
    return tree.define(Choice((EMPTY, Seq((Bytes(b"("), tree, Bytes(b")"), tree)))))


def ambiguous() -> Expr:
    """a^n with as many parses as there are binary trees: each is one word."""
    tree = Rule("tree")
    return tree.define(Choice((A, Seq((A, tree, tree)), Seq((A, tree)))))


def fibonacci(n: int) -> int:
    a, b = 1, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def names(letters: str) -> Expr:
    """Lists of distinct one-letter names."""
    name = Quoted(chardfa.from_strings(letters), capture=True)
    return Unique(Repeat(name, 0, None, Bytes(b",")))


SEQUENCES: list[tuple[str, Callable[[], Any], int, Callable[[int], int]]] = [
    ("powers of two", lambda: sg.regex("[ab]*"), 300, lambda n: 2**n),
    ("words without bb are Fibonacci numbers", lambda: sg.regex("(?:a|ba)*b?"), 200, lambda n: fibonacci(n + 1)),
    ("balanced parentheses are Catalan numbers", lambda: sg.Constraint(balanced()), 40, lambda n: catalan(n // 2) * (n % 2 == 0)),
    ("ambiguity does not count", lambda: sg.Constraint(ambiguous()), 60, lambda n: int(n > 0)),
    ("GC content is binomial", lambda: sg.regex("(?:[AT]*[CG]){7}[AT]*"), 60, lambda n: comb(n, 7) * 2**n),
    ("any byte string that is UTF-8", lambda: sg.Constraint(Repeat(Chars(((0, 0x10FFFF),)))), 40, lambda n: utf8(n)),
]


def catalan(n: int) -> int:
    return comb(2 * n, n) // (n + 1)


def utf8(n: int) -> int:
    """Code points of one to four bytes: 128, 1920, 63488 - 2048, 1048576."""
    sizes = {1: 128, 2: 1920, 3: 63488 - 2048, 4: 1048576}
    known = [1]
    for length in range(1, n + 1):
        known.append(sum(known[length - size] * number for size, number in sizes.items() if size <= length))
    return known[n]


@pytest.mark.parametrize("make, max_length, number", [pytest.param(*row, id=name) for name, *row in SEQUENCES])
def test_sequences(make: Callable[[], Any], max_length: int, number: Callable[[int], int]) -> None:
    words = sg.words(make(), max_length)
    expected = {n: number(n) for n in range(max_length + 1) if number(n)}
    assert words.count_by_length() == expected
    assert words.count() == sum(expected.values())
    exact = sg.words(make(), max_length, max_length)
    assert exact.count() == number(max_length)
    random = Random(5)
    for rank in [random.randrange(exact.count()) for _ in range(20)] if exact.count() else []:
        word = exact.unrank(rank)
        assert len(word) == max_length and exact.rank(word) == rank


def test_all_texts_of_a_number_of_characters() -> None:
    words = sg.words(sg.Constraint(Repeat(Chars(((0, 0x10FFFF),)))), 3, unit="characters")
    n = 0x110000 - 0x800
    assert words.count_by_length() == {0: 1, 1: n, 2: n**2, 3: n**3}
    assert words.unrank(words.count() - 1).decode() == "\U0010ffff" * 3
    assert words.rank("\U0010ffff") == words.count() - 1 - n - n**2


def test_finite_languages_need_no_bound() -> None:
    check(sg.words(sg.choice(["b", "a", "ab", "é"])), [b"a", b"ab", b"b", "é".encode()])
    assert words_of(names("abcd")).count() == sum(comb(4, k) * [1, 1, 2, 6, 24][k] * spellings(k) for k in range(5))
    assert sg.words(sg.regex("a{0,300}")).count() == 301


def spellings(k: int) -> int:
    """Each of these letters is written as itself or as an escape, whose digits (0061 to 0064) have no case."""
    return 2**k


# drawing


class Fixed:
    """Stands for a random generator: draws what it is told, once it was asked for a number below ``bound``."""

    def __init__(self, value: int, bound: int) -> None:
        self.value, self.bound = value, bound

    def randrange(self, stop: int) -> int:
        assert stop == self.bound
        return self.value


def test_every_word_is_drawn_by_exactly_one_choice() -> None:
    words = sg.words(sg.regex("(?:ab|b|é){0,4}"), 6)
    drawn = [words.sample(Fixed(i, words.count()), 1)[0] for i in range(words.count())]  # type: ignore[arg-type]
    assert sorted(drawn) == list(words) and len(set(drawn)) == len(drawn)


def test_draws_are_uniform_and_reproducible() -> None:
    words = words_of(balanced(), 8)
    drawn = words.sample(Random(11), 8000)
    expected = 8000 / words.count()
    chi_square = sum((number - expected) ** 2 / expected for number in Counter(drawn).values())
    assert words.count() == 1 + 1 + 2 + 5 + 14 == len(set(drawn))
    assert chi_square < 42.8  # 22 degrees of freedom, p = 0.005
    assert words.sample(Random(11), 8000) == drawn
    assert words.sample(Random(11), 0) == []


# bounds, errors, budgets


def test_iteration_is_lazy() -> None:
    words = sg.words(sg.regex("[ab]*"), 500)
    assert list(islice(words, 4)) == [b"", b"a", b"aa", b"aaa"]
    assert words.count() == 2**501 - 1
    assert words.rank(b"b" * 500) == words.count() - 1


def test_lengths_beyond_the_recursion_limit() -> None:
    words = sg.words(sg.regex("a*b"), 3000)
    assert words.count() == 3000 and words.unrank(2999) == b"b" and next(iter(words)) == b"a" * 2999 + b"b"


def test_no_word_within_the_bounds() -> None:
    words = sg.words(sg.regex("a{5}"), 3)
    check(words, [])
    assert words.count_by_length() == {}
    with pytest.raises(sg.StructgenError, match="no word has a length"):
        words.sample(Random(0))


@pytest.mark.parametrize("word", [b"", b"abcde", b"ba", "é", b"\xff", "\ud800", b"aaaa", b"ab\x00"])
def test_what_is_no_word_has_no_rank(word: bytes | str) -> None:
    words = sg.words(sg.regex("[abc]*c|ab"), 4, 2)
    assert word not in words
    with pytest.raises(sg.StructgenError, match="not a word"):
        words.rank(word)
    assert 7 not in words


@pytest.mark.parametrize("rank", [-1, 7, 10**100, pytest.param(2**20000, id="huge")])
def test_ranks_without_a_word(rank: int) -> None:
    words = sg.words(sg.regex("[ab]{0,2}"))
    assert words.count() == 7
    with pytest.raises(sg.StructgenError, match="there are 7 words"):
        words.unrank(rank)


REFUSED: list[tuple[str, Expr, dict[str, Any], type[Exception], str]] = [
    ("infinite", Repeat(A), {}, sg.StructgenError, "infinitely many"),
    ("infinite in characters", Repeat(Chars(((0, 0x10FFFF),))), {"unit": "characters"}, sg.StructgenError, "infinitely many"),
    ("infinite with a stack", balanced(), {"max_states": 500}, sg.LimitExceeded, "distinct states"),
    ("too many states", Repeat(A, 0, 10**9), {"max_states": 999}, sg.LimitExceeded, "max_states"),
    ("too many steps", Repeat(A), {"max_length": 10**18, "max_steps": 1000}, sg.LimitExceeded, "max_steps"),
    ("half a character", Bytes(b"\xc3"), {"max_length": 4, "unit": "characters"}, sg.StructgenError, "UTF-8"),
    ("the other half", Bytes(b"\xa9"), {"max_length": 4, "unit": "characters"}, sg.StructgenError, "UTF-8"),
    ("one byte missing", Bytes(b"\xe2\x82a"), {"max_length": 4, "unit": "characters"}, sg.StructgenError, "UTF-8"),
    ("no such unit", A, {"max_length": 4, "unit": "tokens"}, sg.StructgenError, "tokens"),
    ("bounds the wrong way round", A, {"max_length": 1, "min_length": 2}, sg.StructgenError, "min_length <= max_length"),
    ("a negative bound", A, {"max_length": 1, "min_length": -1}, sg.StructgenError, "0 <= min_length"),
]


@pytest.mark.parametrize("expr, options, error, message", [pytest.param(*row, id=name) for name, *row in REFUSED])
def test_refused(expr: Expr, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        words_of(expr, **options)


def test_big_numbers_have_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_TABLE", 10_000)
    assert sg.words(sg.regex("[ab]*"), 300).count() == 2**301 - 1
    with pytest.raises(sg.LimitExceeded, match="bytes of the table"):
        sg.words(sg.regex("[ab]*"), 500)


@pytest.mark.parametrize("low, high", [(low, high) for high in range(6) for low in range(high + 1)])
def test_length_bounds(low: int, high: int) -> None:
    every = [bytes(letters) for n in range(6) for letters in product(b"ab", repeat=n)]
    expected = sorted(word for word in every if low <= len(word) <= high and not word.endswith(b"ab"))
    check(sg.words(sg.regex("(?!.*ab$)[ab]*"), high, low), expected)
