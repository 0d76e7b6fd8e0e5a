"""Free text with constrained regions in it, against all short texts and a definition in terms of `str.find`."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest

import structgen as sg
from structgen import Tag


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
