"""Free text with constrained regions in it, against all short texts and a definition in terms of `str.find`."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen as sg
from structgen import Tag
from structgen.automata import chardfa, ir
from structgen.grammars.loops import loops
from structgen.grammars.regex import search_dfa


@cache
def vocabulary() -> Any:
    return sg.Vocabulary.from_bytes([*(bytes([i]) for i in range(256)), b"<x", b"1/", b"<x1/a<x", b""], eos_token_id=259)


def read(text: str, tags: list[tuple[str, str, str, str]], most: int, before: bool, after: bool) -> list[int]:
    """The numbers of regions with which a text can be read, written from the definition: tags are (trigger, begin, content, end)."""
    found: list[int] = []

    def go(at: int, n: int) -> None:
        first = min((i for t, *_ in tags if (i := text.find(t, at)) >= 0), default=-1)
        if at == len(text) or (first < 0 and (after or (n == 0 and before))):
            found.append(n)
        if n == most or first < 0 or (not before and first != at):
            return
        for _, begin, content, end in tags:
            region = begin + content + end
            if text.startswith(region, first):
                go(first + len(region), n + 1)

    go(0, 0)
    return found


FORMS = [
    ([("<x", "<x", "1", "/")], "<x1/"),
    ([("<x", "<x1", "1", ""), ("<x", "<xx", "", "/")], "<x1/"),
    ([("aa", "aa", "b", "a")], "ab"),
    ([("<", "<", "1", ">"), ("a", "a1", "", "a")], "<1>a"),
]


@pytest.mark.parametrize("form", range(len(FORMS)))
@pytest.mark.parametrize(("least", "most"), [(0, None), (1, None), (0, 1), (1, 1), (2, 3)])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_regions(form: int, least: int, most: int | None, before: bool, after: bool) -> None:
    tags, letters = FORMS[form]
    constraint = sg.tagged(
        [Tag(begin, content, end, trigger) for trigger, begin, content, end in tags],
        least=least, most=most, text_before=before, text_after=after,
    )  # fmt: skip
    automaton = sg.compile(constraint, vocabulary())
    for n in range(9 if len(letters) < 3 else 7):
        for text in map("".join, itertools.product(letters, repeat=n)):
            numbers = read(text, tags, 99 if most is None else most, before, after)
            assert automaton.accepts(text) == any(least <= number for number in numbers), text


def test_tool_calls_with_a_schema() -> None:
    call = sg.json_schema({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
    automaton = sg.compile(sg.tagged([Tag("<tool_call>", call, "</tool_call>")]), vocabulary())
    assert automaton.accepts('I look. <tool_call>{"city": "Rome"}</tool_call> and <b>again</b> <tool_call>{"city": "<"}</tool_call>')
    assert not automaton.accepts('<tool_call>{"town": "Rome"}</tool_call>')
    assert not automaton.accepts("<tool_call>")


@pytest.mark.parametrize("standing", ["text", "inside"])
@pytest.mark.parametrize(("least", "most"), [(0, None), (1, 2)])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_regions_that_begin_with_a_marker(standing: str, least: int, most: int | None, before: bool, after: bool) -> None:
    """M stands for the special token where there is one, for its text ``aa`` elsewhere; free text has neither."""
    vocab = marked(standing)
    tags = [Tag(sg.marker("aa"), "b", sg.marker("aa")), Tag("ba", "", "a")]
    automaton = sg.compile(sg.tagged(tags, least=least, most=most, text_before=before, text_after=after), vocab)
    for n in range(8):
        for letters in itertools.product("abM" if standing == "inside" else "ab", repeat=n):
            state = automaton.initial
            for letter in letters:
                state = automaton.advance(state, 256 if letter == "M" else ord(letter))
            numbers = read_marked("".join(letters), standing, 99 if most is None else most, before, after)
            assert automaton.is_accepting(state) == any(least <= number for number in numbers), letters


def marked(standing: str) -> Any:
    tokens = [*(bytes([i]) for i in range(256)), b"", b"aab", b"ba", b""]
    special = {"text": {}, "inside": {"aa": 256}, "end": {"aa": 256}}[standing]
    return sg.Vocabulary.from_bytes(tokens, eos_token_id=256 if standing == "end" else 259, special=special)


def read_marked(text: str, standing: str, most: int, before: bool, after: bool) -> list[int]:
    """The numbers of regions with which a text can be read: `read`, with free text that also ends before an M."""
    m = "M" if standing == "inside" else "aa"
    found: list[int] = []

    def go(at: int, n: int) -> None:
        first = min((i for t in {"aa", "ba", m} if (i := text.find(t, at)) >= 0), default=-1)
        if at == len(text) or (first < 0 and (after or (n == 0 and before))):
            found.append(n)
        if n == most or first < 0 or (not before and first != at):
            return
        for region in (m + "b" + m, "baa"):
            if text.startswith(region, first):
                go(first + len(region), n + 1)

    go(0, 0)
    return found


def test_a_marker_that_ends_the_output() -> None:
    with pytest.raises(sg.VocabularyError, match="inside an output"):
        sg.compile("x" + sg.marker("aa"), marked("end"))
    automaton = sg.compile("x" + sg.marker("aa", at_end=True), marked("end"))
    assert automaton.accepts("x") and not automaton.accepts("xaa")
    assert sg.compile("x" + sg.marker("aa", at_end=True), marked("text")).accepts("xaa")


def test_a_marker_in_a_forbidden_constraint() -> None:
    constraint = sg.forbid(sg.until(sg.marker("aa"), most=5) + "b*", ["bab"])
    assert sg.compile(constraint, marked("text")).accepts("baab*") and not sg.compile(constraint, marked("text")).accepts("babaab*")
    assert sg.compile(constraint, marked("inside")).accepts("b") is False


@pytest.mark.parametrize("end", ["ab", "aa", "aba", "é"])
@pytest.mark.parametrize("most", [None, 0, 1, 2, 4])
def test_until_with_a_greatest_length(end: str, most: int | None) -> None:
    """Counted in characters before the end; and every allowed token keeps the end in reach."""
    automaton = sg.compile(sg.until(end, most=most) + "!", vocabulary())
    for n in range(8):
        for text in map("".join, itertools.product("abé", repeat=n)):
            wanted = len(text) >= len(end) and text.find(end) == len(text) - len(end) and (most is None or n - len(end) <= most)
            assert automaton.accepts(text + "!") == wanted, text
    todo, seen = [automaton.initial], {automaton.initial}
    while todo and len(seen) < 2000:
        state = todo.pop()
        following = {automaton.advance(state, int(token)) for token in automaton.allowed(state)}
        assert following or automaton.is_accepting(state)
        todo += following - seen
        seen |= following


def test_until_of_a_marker() -> None:
    constraint = sg.until(sg.marker("aa"), most=2) + "!"
    inside = sg.compile(constraint, marked("inside"))
    assert inside.is_accepting(inside.advance(inside.advance(inside.advance_bytes(inside.initial, b"ab"), 256), ord("!")))
    assert inside.advance(inside.advance_bytes(inside.initial, b"aba"), 256) == inside.dead
    text = sg.compile(constraint, marked("text"))
    assert text.accepts("abaa!") and not text.accepts("abbaa!") and not text.accepts("aaaa!")


def test_a_long_section_is_counted() -> None:
    automaton = sg.compile(sg.until("</think>", most=10_000_000), vocabulary())
    assert automaton.accepts("a" * 5000 + "</think>")
    short = sg.compile(sg.until("</think>", most=5000), vocabulary())
    assert short.accepts("<" * 5000 + "</think>") and not short.accepts("<" * 5001 + "</think>")


TEXTS = ["".join(letters) for n in range(7) for letters in itertools.product("ab", repeat=n)]
words = st.text("ab", min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(words, st.text("ab", max_size=2), st.text("ab", max_size=2), st.integers(1, 4)), min_size=1, max_size=3),
    st.integers(0, 2), st.one_of(st.none(), st.integers(0, 1)), st.booleans(), st.booleans(),
)  # fmt: skip
def test_random_tags(tags: list[tuple[str, str, str, int]], least: int, more: int | None, before: bool, after: bool) -> None:
    """Any begin, content and end over two letters: triggers that overlap themselves, each other, and what is in regions."""
    known = [(begin[:length], begin, content, end) for begin, content, end, length in tags]
    most = None if more is None else max(1, least) + more
    made = [Tag(begin, content, end, trigger) for trigger, begin, content, end in known]
    try:
        automaton = sg.compile(sg.tagged(made, least=least, most=most, text_before=before, text_after=after), vocabulary())
    except sg.StructgenError as error:
        assert "occurs in the trigger" in str(error)
        return
    for text in TEXTS:
        numbers = read(text, known, 99 if most is None else most, before, after)
        assert automaton.accepts(text) == any(least <= number for number in numbers), text


@settings(max_examples=100, deadline=None)
@given(st.lists(words, min_size=1, max_size=3), st.booleans())
def test_loops_have_the_texts_of_the_automaton(forbidden: list[str], wanted: bool) -> None:
    found = search_dfa("|".join(forbidden))
    automaton = sg.compile(sg.Constraint(loops(found if wanted else chardfa.complement(found))), vocabulary())
    for text in TEXTS:
        assert automaton.accepts(text) == (any(word in text for word in forbidden) == wanted), text


def test_loops_of_a_large_automaton_are_that_automaton() -> None:
    dfa = search_dfa("^(a|b)*a(a|b){9}$")
    assert loops(dfa) == ir.Regular(dfa)
    assert loops(chardfa.none()) == ir.Choice(())


@pytest.mark.parametrize("n", [300, 20_000])
def test_many_and_long_triggers_end_soon(n: int) -> None:
    """Read or refused; what is read is exact."""
    for triggers in ([f"<{i:05d}>" for i in range(n)], ["<" + "a" * n]):
        try:
            constraint = sg.tagged([Tag(trigger, "!") for trigger in triggers])
        except sg.LimitExceeded:
            continue
        automaton = sg.compile(constraint, vocabulary())
        assert automaton.accepts(triggers[-1] + "! <") and not automaton.accepts(triggers[-1] + "?")


def test_until_ends_at_the_first_end() -> None:
    automaton = sg.compile(sg.until("</t>") + "42", vocabulary())
    assert automaton.accepts("<t> 1 </ t></t>42")
    assert not automaton.accepts("a</t>b</t>42")
    assert not automaton.accepts("42")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sg.tagged([]), "at least one"),
        (lambda: sg.tagged([Tag("a", "b")], least=2, most=1), "at most 1"),
        (lambda: Tag("", "b"), "not empty"),
        (lambda: Tag("ab", "c", trigger="b"), "no beginning"),
        (lambda: sg.tagged([Tag("<a", "1"), Tag("<", "2")]), "occurs in the trigger"),
        (lambda: sg.until(""), "not empty"),
        (lambda: sg.until(None), "is a text"),
        (lambda: sg.until("\ud800"), "surrogate"),
        (lambda: sg.until("a", most=-1), "need an integer"),
        (lambda: sg.until("a", most=True), "need an integer"),
        (lambda: sg.until("a", most=10**30), "limit"),
        (lambda: sg.marker(""), "not empty"),
        (lambda: sg.marker(3), "not empty"),
        (lambda: sg.marker("\ud800"), "surrogate"),
        (lambda: sg.tagged([Tag(sg.marker("<a"), "1"), Tag("<", "2")]), "occurs in the trigger"),
        (lambda: sg.tagged(None), "at least one"),
        (lambda: sg.tagged([Tag("a", "b")], least=None), "need integers"),
        (lambda: sg.tagged([Tag("a", "b")], most="2"), "need integers"),
        (lambda: sg.tagged([Tag("a", "b")], least=10**30), "limit"),
        (lambda: Tag(None, "b"), "expected a constraint or a text"),
        (lambda: Tag("a", 1), "expected a constraint or a text"),
        (lambda: Tag("ab", "c", trigger=1), "no beginning"),
        (lambda: Tag("a\ud800", "c", trigger="a"), "surrogate"),
    ],
)
def test_errors(make: Any, message: str) -> None:
    with pytest.raises(sg.StructgenError, match=message):
        make()


def test_huge_greatest_numbers_are_none() -> None:
    assert sg.compile(sg.tagged([Tag("a", "b")], most=10**30), vocabulary()).accepts("abab")
