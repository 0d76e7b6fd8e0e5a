"""The slow twin against definitions that are slower still: languages enumerated as sets, `json.loads`, all spellings."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structgen.automata.ir import EMPTY, Bytes, Chars, Choice, Expr, Quoted, QuotedText, Repeat, Rule, Seq, Unique
from tests.reference.characters import possible, read
from tests.reference.matcher import matches, viable

CODE_POINTS = [
    0,
    8,
    9,
    10,
    13,
    31,
    32,
    34,
    47,
    92,
    97,
    0x7F,
    0x80,
    0x7FF,
    0x800,
    0xD7FF,
    0xE000,
    0xFFFF,
    0x10000,
    0x1F600,
    0x10FC00,
    0x10FFFF,
]


def spellings(code_point: int) -> Iterator[bytes]:
    """Every way to write a character inside a JSON string (hexadecimal digits in one case or the other)."""
    char = chr(code_point)
    if char not in '"\\' and char >= " ":
        yield char.encode()
    for short, meaning in {
        b'\\"': '"',
        b"\\\\": "\\",
        b"\\/": "/",
        b"\\b": "\b",
        b"\\f": "\f",
        b"\\n": "\n",
        b"\\r": "\r",
        b"\\t": "\t",
    }.items():
        if meaning == char:
            yield short
    units = char.encode("utf-16-be").hex()
    for digits in (units, units.upper()):
        yield "".join("\\u" + digits[i : i + 4] for i in range(0, len(digits), 4)).encode()


@given(st.sampled_from(CODE_POINTS) | st.integers(0, 0x10FFFF).filter(lambda c: not 0xD800 <= c <= 0xDFFF))
def test_every_spelling_is_read_and_every_prefix_of_it_possible(code_point: int) -> None:
    for spelling in spellings(code_point):
        assert read(spelling, quoted=True) == code_point
        for n in range(1, len(spelling)):
            assert read(spelling[:n], quoted=True) is None
            assert any(low <= code_point <= high for low, high in possible(spelling[:n], quoted=True))


@given(st.sampled_from(CODE_POINTS), st.sampled_from(CODE_POINTS), st.data())
def test_what_is_possible_has_a_spelling_with_that_prefix(known: int, other: int, data: st.DataObject) -> None:
    spelling = data.draw(st.sampled_from(list(spellings(known))))
    if len(spelling) == 1:
        return
    prefix = spelling[: data.draw(st.integers(1, len(spelling) - 1))]
    expected = any(s.lower().startswith(prefix.lower()) and len(s) > len(prefix) for s in spellings(other))
    assert any(low <= other <= high for low, high in possible(prefix, quoted=True)) == expected


STRING_PIECES = ['"', "\\", "u", "d83d", "DE00", "0", "1", "a", "é", "😀", "\n", "/", "\\u00e9", "\\ud83d\\ude00", "\x7f"]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(STRING_PIECES), max_size=5).map("".join))
def test_strings_are_those_of_json(inside: str) -> None:
    text = f'"{inside}"'
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    good = value is not None and not any(0xD800 <= ord(c) <= 0xDFFF for c in value)
    assert matches(Quoted(), text.encode()) == good
    if good:
        assert all(viable(Quoted(), text.encode()[:n]) for n in range(len(text.encode()) + 1))
        assert matches(QuotedText(value), text.encode())
        assert matches(Quoted(None, len(value), len(value)), text.encode())
        assert not matches(Quoted(None, len(value) + 1), text.encode())
        assert not matches(QuotedText(value + "x"), text.encode())


@pytest.mark.parametrize(
    "data", [b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'"\xf4\x90\x80\x80"', b'"\x80"', b'"\xe2\x28\xa1"', b'"\xf0\x80\x80\x80"']
)
def test_bad_utf8_is_refused(data: bytes) -> None:
    assert not matches(Quoted(), data)
    assert not viable(Quoted(), data[:-1])


Word = tuple[bytes, tuple[str, ...]]  # a match and what it captures


def words(expr: Expr, limit: int) -> set[Word]:
    """Matches of at most ``limit`` bytes with what they capture, straight from the definition; no recursion."""
    match expr:
        case Bytes(value):
            return {(value, ())} if len(value) <= limit else set()
        case Chars(ranges):
            return {(chr(c).encode(), ()) for low, high in ranges for c in range(low, high + 1)}
        case Quoted(content, low, high, capture):
            assert content is None and high is not None, "only short strings of a and b are enumerated"
            texts = {""} | {a + b for a in "ab" for b in ("", "a", "b")}
            return {(f'"{t}"'.encode(), (t,) if capture else ()) for t in texts if low <= len(t) <= high and len(t) + 2 <= limit}
        case Seq(items):
            found = {(b"", ())}
            for item in items:
                found = joined(found, words(item, limit), limit)
            return found
        case Choice(items):
            return {w for item in items for w in words(item, limit)}
        case Repeat(item, low, high, separator):
            return repeated(words(item, limit), words(separator or EMPTY, limit), low, high, limit)
        case Unique(body):
            return {(data, ()) for data, captured in words(body, limit) if len(set(captured)) == len(captured)}
        case Rule(body=body):
            return {(data, ()) for data, _ in words(body, limit)}
    raise TypeError(expr)


def joined(left: set[Word], right: set[Word], limit: int) -> set[Word]:
    return {(a + b, c + d) for a, c in left for b, d in right if len(a) + len(b) <= limit}


def repeated(item: set[Word], separator: set[Word], low: int, high: int | None, limit: int) -> set[Word]:
    found = {(b"", ())} if low == 0 else set()
    turn = item
    for count in range(1, (limit + 1 if high is None else high) + 1):
        if count >= low:
            found |= turn
        turn = joined(joined(turn, separator, limit), item, limit)
    return found


LIMIT = 8
SMALL = st.deferred(
    lambda: st.one_of(
        st.sampled_from([Bytes(b""), Bytes(b"a"), Bytes(b"ab"), Bytes(b"b"), Chars(((97, 98),)), Choice(())]),
        st.builds(lambda n, c: Quoted(None, n[0], n[1], c), st.sampled_from([(0, 0), (0, 1), (1, 1)]), st.booleans()),
        st.lists(SMALL, max_size=3).map(lambda items: Seq(tuple(items))),
        st.lists(SMALL, max_size=3).map(lambda items: Choice(tuple(items))),
        st.builds(
            lambda item, n, sep: Repeat(item, n[0], n[1], sep),
            SMALL,
            st.sampled_from([(0, 1), (0, 2), (1, 3), (2, 2), (3, 3), (2, 1), (0, None), (2, None)]),
            st.none() | st.just(Bytes(b",")) | SMALL,
        ),
        SMALL.map(Unique),
        SMALL.map(lambda body: Rule("r", body)),
    )
)


@settings(max_examples=400, deadline=None)
@given(SMALL, st.lists(st.sampled_from([b"a", b"b", b'"', b",", b'""', b'"a"', b'"b"', b'"a","b"']), max_size=6).map(b"".join))
def test_matches_what_the_definition_enumerates(expr: Expr, other: bytes) -> None:
    language = {data for data, _ in words(expr, LIMIT)}
    sample = sorted(language)[:40]
    assert all(matches(expr, data) for data in sample)
    assert all(viable(expr, data[:n]) for data in sample for n in range(len(data)))
    if len(other) <= LIMIT:
        assert matches(expr, other) == (other in language)
    for data in sample:
        for changed in (data[1:], data + b"a", data[:-1], data + data):
            if len(changed) <= LIMIT:
                assert matches(expr, changed) == (changed in language)


def longest(expr: Expr) -> float:
    """A bound on the length of all matches, infinite for what `words` does not enumerate completely."""
    match expr:
        case Bytes(value):
            return len(value)
        case Quoted(None, 0, 0):
            return 2
        case Seq(items):
            return sum(map(longest, items))
        case Choice(items):
            return max(map(longest, items), default=0)
        case Repeat(item, _, high, separator) if high is not None:
            return high * longest(item) + max(high - 1, 0) * longest(separator or EMPTY)
        case Unique(body) | Rule(body=body):
            return longest(body)
    return 1 if isinstance(expr, Chars) else float("inf")


@settings(max_examples=400, deadline=None)
@given(SMALL.filter(lambda e: 2 <= longest(e) <= 12), st.lists(st.sampled_from([b"a", b"b", b'"', b",", b"\\"]), max_size=4).map(b"".join))
def test_viable_exactly_if_some_word_continues(expr: Expr, prefix: bytes) -> None:
    language = {data for data, _ in words(expr, 12)}
    assert viable(expr, prefix) == any(data.startswith(prefix) for data in language)
    for data in sorted(language)[:20]:
        for byte in b'ab",':
            changed = data[:-1] + bytes([byte])
            assert viable(expr, changed) == any(other.startswith(changed) for other in language)


def pairs(value: Expr) -> Expr:
    member = Seq((Quoted(None, 0, None, True), Bytes(b":"), value))
    return Seq((Bytes(b"{"), Unique(Repeat(member, 0, None, Bytes(b","))), Bytes(b"}")))


def json_value() -> Rule:
    value = Rule("value")
    array = Seq((Bytes(b"["), Repeat(value, 0, None, Bytes(b",")), Bytes(b"]")))
    return value.define(Choice((Quoted(), Bytes(b"1"), Bytes(b"null"), array, pairs(value))))


JSON = st.recursive(
    st.just(1) | st.none() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(JSON, st.integers(0, 50), st.sampled_from(list('",:{}[]1a\\')), st.booleans())
def test_json_values_and_one_change(value: object, at: int, char: str, ascii_only: bool) -> None:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only)
    assert matches(json_value(), text.encode())
    changed = text[:at] + char + text[at + 1 :]
    assert matches(json_value(), changed.encode()) == is_compact_json(changed)


def is_compact_json(text: str) -> bool:
    """Whether the text is JSON with no white space, no key twice in an object, no number but 1 and no lone surrogate."""

    def unique(members: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(members)) < len(members):
            raise ValueError
        return dict(members)

    def only_one(digits: str) -> int:
        if digits != "1":
            raise ValueError
        return 1

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_int=only_one, parse_float=only_one, parse_constant=only_one)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return False
    outside = outside_strings(text)
    return "true" not in outside and "false" not in outside and not set(outside) & set(" \t\r\n")


def outside_strings(text: str) -> str:
    """The text with the inside of its string literals left out."""
    result, inside, escaped = [], False, False
    for c in text:
        if inside:
            escaped, inside = (not escaped and c == "\\"), not (c == '"' and not escaped)
        else:
            result.append(c)
            inside = c == '"'
    return "".join(result)


def test_a_finite_set_of_keys_runs_out() -> None:
    key = Choice((QuotedText("x"), Quoted(None, 0, 0, True)))
    assert viable(Unique(Seq((key, key))), b'""')
    only = Quoted(None, 0, 0, True)
    assert not viable(Unique(Seq((only, only))), b"")
    assert viable(Seq((Unique(only), Unique(only))), b'""')
    assert viable(Unique(Seq((only, Rule("inner", only)))), b'""')
    assert not viable(Unique(Repeat(only, 2, None)), b"")


def test_large_counts_are_counted() -> None:
    assert matches(Repeat(Chars(((97, 98),)), 3, 10**9), b"abab")
    assert not matches(Repeat(Chars(((97, 98),)), 5, 10**9), b"abab")
    assert viable(Repeat(Bytes(b"a"), 10**9, 10**9), b"aaa")
    assert matches(Repeat(Choice((EMPTY, Bytes(b"a"))), 10**9, 10**9), b"aaa")
    assert viable(Quoted(None, 10**6, 10**9), b'"a')
