"""Formats against other implementations of their specifications (datetime, ipaddress, plain parsers written from the RFCs
below) and against the official suite's cases, each deviation from which is named."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structgen.automata import chardfa
from structgen.automata._chardfa_minimal import minimize
from structgen.automata.chardfa import accepts, length_bounds
from structgen.grammars.formats import BUILDERS, FORMATS, format_dfa, format_limits

SUITE = Path(__file__).resolve().parents[3] / "shared" / "suite" / "tests" / "draft2020-12" / "optional" / "format"


def valid(name: str, text: str) -> bool:
    found = format_limits(name)
    assert found is not None
    dfa, low, high = found
    return accepts(dfa, text) and low <= len(text) and (high is None or len(text) <= high)


# --- the official suite -----------------------------------------------------------------------------------------------


def suite_cases(name: str) -> list[tuple[str, bool]]:
    path = SUITE / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"needs {path}, which is not part of the repository")
    cases = [case for group in json.loads(path.read_text()) for case in group["tests"] if isinstance(case["data"], str)]
    return [(case["data"], case["valid"]) for case in cases]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_official_suite(name: str) -> None:
    wrong = [(text, expected) for text, expected in suite_cases(name) if valid(name, text) != expected]
    if name == "hostname":  # labels in Punycode are left out, as the module says
        assert all(expected and "xn--" in text for text, expected in wrong)
        wrong = []
    assert wrong == []


def test_formats_without_a_regular_language_are_unknown() -> None:
    for name in ("regex", "idn-hostname", "idn-email", "no-such-format", ""):
        assert format_dfa(name) is None and format_limits(name) is None


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_formats_are_built_quickly_and_once(name: str) -> None:
    format_dfa(name)  # whatever is shared is loaded
    times = []
    for _ in range(3):
        begin = time.process_time()
        BUILDERS[name]()
        times.append(time.process_time() - begin)
    assert min(times) < 0.2
    assert format_dfa(name) is format_dfa(name)


# --- dates and times --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("year", [1, 4, 100, 400, 1582, 1900, 1999, 2000, 2023, 2024, 2100, 9996, 9999])
def test_dates_are_those_of_the_calendar(year: int) -> None:
    for month, day in itertools.product(range(14), range(33)):
        try:
            datetime.date(year, month, day)
            expected = True
        except ValueError:
            expected = False
        assert valid("date", f"{year:04}-{month:02}-{day:02}") == expected


def test_leap_days_of_all_years() -> None:
    for year in range(10_000):
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        assert valid("date", f"{year:04}-02-29") == leap


def is_time(text: str) -> bool:
    """RFC 3339 full-time by arithmetic."""
    found = re.fullmatch(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))", text)
    if not found:
        return False
    hour, minute, second = (int(found[i]) for i in (1, 2, 3))
    offset_hour, offset_minute = int(found[5] or 0), int(found[6] or 0)
    if hour > 23 or minute > 59 or offset_hour > 23 or offset_minute > 59:
        return False
    offset = (60 * offset_hour + offset_minute) * (-1 if found[4] == "-" else 1)
    return second < 60 or (second == 60 and (60 * hour + minute - offset) % 1440 == 1439)


def test_leap_seconds_of_all_minutes_and_many_offsets() -> None:
    rng = random.Random(7)
    for hour, minute in itertools.product(range(24), range(60)):
        right = (60 * hour + minute - 1439) % 1440
        offsets = [f"+{right // 60:02}:{right % 60:02}", f"-{-right % 1440 // 60:02}:{-right % 1440 % 60:02}", "Z", "z"]
        offsets += [f"{rng.choice('+-')}{rng.randrange(26):02}:{rng.randrange(62):02}" for _ in range(10)]
        for offset in offsets:
            for second in ("60", "60.5", "61", "59"):
                text = f"{hour:02}:{minute:02}:{second}{offset}"
                assert valid("time", text) == is_time(text), text


times = st.from_regex(r"\A[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,3})?([zZ]|[+-][0-2][0-9]:[0-6][0-9])\Z")
mutations = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["", *"0129:.-+TtZz \u0660/"])), max_size=2)


def mutate(text: str, changes: list[tuple[int, str]]) -> str:
    for place, char in changes:
        text = text[:place] + char + text[place + 1 :]
    return text


@settings(max_examples=400)
@given(times, mutations)
def test_times(text: str, changes: list[tuple[int, str]]) -> None:
    text = mutate(text, changes)
    assert valid("time", text) == is_time(text)


@settings(max_examples=300)
@given(st.dates(), st.sampled_from("Tt"), times, mutations)
def test_date_times_are_dates_and_times(day: datetime.date, sign: str, clock: str, changes: list[tuple[int, str]]) -> None:
    text = mutate(f"{day.isoformat()}{sign}{clock}", changes)
    expected = len(text) > 11 and valid("date", text[:10]) and text[10] in "Tt" and is_time(text[11:])
    assert valid("date-time", text) == expected


@pytest.mark.parametrize("name", ["time", "date-time"])
def test_tables_written_by_hand_are_minimal(name: str) -> None:
    dfa = format_dfa(name)
    assert dfa is not None
    rows, _ = minimize(dfa.table, dfa.accepting)
    assert len(rows) == len(dfa.table)


def is_duration(text: str) -> bool:
    """RFC 3339 appendix A: units in order, none left out between the first and the last, weeks alone."""
    if re.fullmatch(r"P[0-9]+W", text):
        return True
    found = re.fullmatch(r"P((?:[0-9]+[YMD])*)(T(?:[0-9]+[HMS])+)?", text)
    if not found or not (found[1] or found[2]):
        return False
    date_units, time_units = (re.sub("[T0-9]", "", part or "") for part in found.groups())
    return date_units in "YMD" and time_units in "HMS"


@settings(max_examples=500)
@given(st.from_regex(r"\AP([0-9]{1,2}[YMDW]){0,4}(T([0-9]{1,2}[HMS]){0,4})?\Z"))
def test_durations(text: str) -> None:
    assert valid("duration", text) == is_duration(text)


# --- addresses --------------------------------------------------------------------------------------------------------


def is_ip(text: str, parse: Callable[[str], object]) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return text.isascii() and "%" not in text and "/" not in text


@settings(max_examples=500)
@given(st.lists(st.one_of(st.integers(0, 300).map(str), st.sampled_from(["", "00", "01", "1a", "\u0661"])), min_size=3, max_size=5))
def test_ipv4(groups: list[str]) -> None:
    text = ".".join(groups)
    assert valid("ipv4", text) == is_ip(text, ipaddress.IPv4Address)


def test_every_ipv4_octet() -> None:
    assert all(valid("ipv4", f"{n}.1.{n}.0") == (n < 256) for n in range(1000))


groups = st.lists(st.sampled_from(["", "", "0", "f", "Ab3", "ffff", "12345", "1.2.3.4", "255.0.0.256", "g"]), min_size=1, max_size=10)


@settings(max_examples=800)
@given(groups)
def test_ipv6(parts: list[str]) -> None:
    text = ":".join(parts)
    assert valid("ipv6", text) == is_ip(text, ipaddress.IPv6Address)


def test_ipv6_with_every_number_of_groups() -> None:
    for before, after, tail in itertools.product(range(10), range(10), ("", "1.2.3.4")):
        for separator in (":", "::"):
            behind = [*["b"] * after, *([tail] if tail else [])]
            text = ":".join(["a"] * before) + separator + ":".join(behind)
            assert valid("ipv6", text) == is_ip(text, ipaddress.IPv6Address), text


def is_hostname(text: str) -> bool:
    """RFC 1123 section 2.1 with the lengths of RFC 1035; no label may begin with xn--."""
    labels = text.split(".")
    shaped = all(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?", label) and len(label) <= 63 for label in labels)
    return shaped and len(text) <= 253 and not any(label.lower().startswith("xn--") for label in labels)


labels = st.one_of(
    st.from_regex(r"\A[a-z0-9-]{0,6}\Z"),
    st.sampled_from(["xn--a", "XN--", "Xn-", "xn-", "x", "xn--", "a_b", "é", "K"]),
    st.integers(55, 70).map("a".__mul__),
)


@settings(max_examples=500)
@given(st.lists(labels, max_size=6).map(".".join))
def test_hostnames(text: str) -> None:
    assert valid("hostname", text) == is_hostname(text)


def test_lengths_of_host_names_and_mail_addresses() -> None:
    label = "a" * 63
    assert valid("hostname", ".".join([label] * 3 + ["a" * 61])) and not valid("hostname", ".".join([label] * 3 + ["a" * 62]))
    assert valid("email", "a" * 64 + "@b") and not valid("email", "a" * 65 + "@b")
    assert valid("email", f'"{"a" * 62}"@b') and not valid("email", f'"{"a" * 63}"@b')
    assert valid("email", f"a@{label}") and not valid("email", f"a@{label}a")
    long = "@" + ".".join([label] * 3 + ["a" * 60])
    assert len(long) == 253 and valid("email", "a" + long) and not valid("email", "ab" + long)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a@b", True), ("a.b@c.d", True), ('""@b', True), ('"\\""@b', True), ('"\\\\"@b', True), ('"\\"@b', False), ('"a"b@c', False),
        ("a@-b", False), ("a@b-", False), ("a@b..c", False), ("a@[1.2.3.4]", True), ("a@[1.2.3]", False), ("a@[IPv6:1::8]", True),
        ("a@[ipv6:1:2:3:4:5:6:7:8]", True), ("a@[IPv6:1:2:3:4:5:6:7::]", False), ("a@[1::8]", False), ("a@[x:y]", False), ("é@b", False),
        ("a@xn--4ca", True), ("a@b\n", False), ("a b@c", False), ("a@b c", False), ("a@@b", False),
    ],
)  # fmt: skip
def test_email(text: str, expected: bool) -> None:
    assert valid("email", text) == expected


# --- references -------------------------------------------------------------------------------------------------------

UNRESERVED = "[A-Za-z0-9._~-]"
PCHAR = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
CHARACTERS = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"


def is_reference(text: str, *, absolute: bool) -> bool:
    """RFC 3986: the splitting of appendix B, then each component by the rules of section 3."""
    scheme, authority, path, query, fragment = re.fullmatch(
        r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", text, re.S
    ).groups()  # type: ignore[union-attr]
    if scheme is None and absolute:
        return False
    if scheme is not None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return False
    if authority is not None and not (is_authority(authority) and (not path or path.startswith("/"))):
        return False
    if scheme is None and authority is None and ":" in path.split("/")[0]:
        return False
    rests = [part for part in (query, fragment) if part is not None]
    return bool(re.fullmatch(f"(?:{PCHAR}|/)*", path)) and all(re.fullmatch(CHARACTERS, part) for part in rests)


def is_authority(text: str) -> bool:
    found = re.fullmatch(r"(?:(.*)@)?(\[[^\]@]*\]|[^:@\[\]]*)(?::([0-9]*))?", text, re.S)
    if not found:
        return False
    if found[1] and ("@" in found[1] or not re.fullmatch(f"{PCHAR}*", found[1])):
        return False
    if not found[2].startswith("["):
        return ":" not in found[2] and bool(re.fullmatch(f"{PCHAR}*", found[2]))
    inside = found[2][1:-1]
    future = re.fullmatch(r"[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+", inside)
    return bool(future) or is_ip(inside, ipaddress.IPv6Address)


fragments = [
    "a",
    "Z9",
    "http:",
    "//",
    "/",
    "?",
    "#",
    "@",
    ":",
    "%41",
    "%4",
    "[",
    "]",
    "::1",
    "[::1]",
    "[v1.x]",
    "1.2.3.4",
    "+",
    " ",
    "é",
    "80",
]
beginnings = st.sampled_from(["", "a:", "http://", "a-1:/", "//", "1:", "h://a@"])
pieces = st.builds(lambda first, rest: first + "".join(rest), beginnings, st.lists(st.sampled_from(fragments), max_size=5))


@settings(max_examples=1000)
@given(pieces)
def test_uris_and_references(text: str) -> None:
    assert valid("uri", text) == is_reference(text, absolute=True)
    assert valid("uri-reference", text) == is_reference(text, absolute=False)
    if text.isascii():
        assert valid("iri", text) == valid("uri", text)
        assert valid("iri-reference", text) == valid("uri-reference", text)


def test_which_characters_iris_have_beyond_uris() -> None:
    for code, allowed in [(0x9F, False), (0xA0, True), (0xD7FF, True), (0xFDD0, False), (0xFFF0, False), (0x1FFFD, True), (0x1FFFE, False)]:
        assert valid("iri", f"a:{chr(code)}") == allowed
        assert not valid("uri", f"a:{chr(code)}")
    private = "\ue000\U000f0000\U0010fffd"
    assert valid("iri", f"a:?{private}") and not valid("iri", f"a:{private}") and not valid("iri", f"a:#{private}")


# --- pointers, templates, UUIDs ---------------------------------------------------------------------------------------


@given(st.text("/~012a#\u00e9\n", max_size=8))
def test_json_pointers(text: str) -> None:
    is_pointer = (text == "" or text.startswith("/")) and re.search("~(?![01])", text) is None
    assert valid("json-pointer", text) == is_pointer


@given(st.text("/~012a#+-", max_size=8))
def test_relative_json_pointers(text: str) -> None:
    found = re.match("0|[1-9][0-9]*", text)
    rest = text[found.end() :] if found else "?"
    assert valid("relative-json-pointer", text) == (rest == "#" or valid("json-pointer", rest))


def test_uri_templates_take_the_reserved_operators() -> None:
    for operator in ["", *"+#./;?&=,!@|"]:
        assert valid("uri-template", f"x{{{operator}a,b:3,c*}}y")
    assert not valid("uri-template", "{-a}") and not valid("uri-template", "{a:3*}")


def test_uuids() -> None:
    text = "2eb8aa08-aa98-11ea-b4aa-73b441d16380"
    assert valid("uuid", text)
    for place in range(len(text)):
        assert not valid("uuid", text[:place] + "g" + text[place + 1 :]) and not valid("uuid", text[:place] + text[place + 1 :])


# --- as languages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, bounds",
    [
        ("date", (10, 10)), ("time", (9, None)), ("date-time", (20, None)), ("ipv4", (7, 15)), ("ipv6", (2, 45)), ("uuid", (36, 36)),
        ("duration", (3, None)), ("hostname", (1, None)), ("email", (3, None)), ("uri", (2, None)), ("json-pointer", (0, None)),
    ],
)  # fmt: skip
def test_length_bounds(name: str, bounds: tuple[int, int | None]) -> None:
    dfa = format_dfa(name)
    assert dfa is not None and length_bounds(dfa) == bounds


def test_formats_combine_with_other_languages() -> None:
    in_2024 = chardfa.concat(chardfa.literal("2024-02-"), chardfa.repeat(chardfa.any_char(), 2, 2))
    dates = format_dfa("date")
    assert dates is not None
    assert chardfa.words(chardfa.intersect(dates, in_2024), 40) == [f"2024-02-{day:02}" for day in range(1, 30)]
