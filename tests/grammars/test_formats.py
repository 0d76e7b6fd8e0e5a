"""Formats against other implementations of their specifications (datetime, ipaddress, idna, plain parsers written from the RFCs
and from ECMA-262 below) and against the official suite's cases, each deviation from which is named."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import json
import random
import re
import string
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structgen.automata import chardfa
from structgen.automata._chardfa_minimal import minimize
from structgen.automata.chardfa import Automaton, CharDfa, accepts, compile_regex, length_bounds
from structgen.errors import GrammarSyntaxError
from structgen.grammars._formats_idna import UNITS, weighing
from structgen.grammars._formats_regex import NESTING, STARTS
from structgen.grammars.formats import BUILDERS, FORMATS, format_dfa, format_limits
from structgen.grammars.regex import parse_regex

SUITE = Path(__file__).resolve().parents[3] / "shared" / "suite" / "tests" / "draft2020-12" / "optional" / "format"


def valid(name: str, text: str) -> bool:
    found = format_limits(name)
    assert found is not None
    dfa, low, high = found
    return accepts(dfa, text) and low <= len(text) and (high is None or len(text) <= high)


# --- the official suite -----------------------------------------------------------------------------------------------


VALID_BUT_LEFT_OUT = {
    "hostname": r"xn--.*",
    "idn-hostname": r"xn--.*|α͵β|.*\u30fb.*|.*\u0660.*|\u0628\u064a\u200c.*|(?:παράδειγμα){5}.*",  # the last is too long for `UNITS`
    "idn-email": r"user@cafe\u0301\.com",  # no valid label by RFC 5890, section 2.3.2.1
    "regex": r"\(\?<n.*",
}
"""The suite's valid texts that are not accepted; nothing else is decided differently, and nothing invalid is accepted."""


def suite_cases(name: str) -> list[tuple[str, bool]]:
    files = [SUITE / f"{file}.json" for file in (name, *(["ecmascript-regex"] if name == "regex" else []))]
    if not all(path.is_file() for path in files):
        pytest.skip(f"needs {SUITE}, which is not part of the repository")
    cases = [case for path in files for group in json.loads(path.read_text()) for case in group["tests"]]
    return [(case["data"], case["valid"]) for case in cases if isinstance(case["data"], str)]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_official_suite(name: str) -> None:
    wrong = [(text, expected) for text, expected in suite_cases(name) if valid(name, text) != expected]
    left_out = re.compile(VALID_BUT_LEFT_OUT.get(name, "(?!)"), re.S)
    assert [case for case in wrong if not (case[1] and left_out.fullmatch(case[0]))] == []
    assert bool(wrong) == (name in VALID_BUT_LEFT_OUT)


def test_other_names_are_unknown() -> None:
    for name in ("no-such-format", "Date", ""):
        assert format_dfa(name) is None and format_limits(name) is None


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_formats_are_built_once_and_stay_within_a_size(name: str) -> None:
    """Leap seconds make the times large; the rest is small."""
    assert len(BUILDERS[name]().table) <= (12_000 if "time" in name else 3_000)
    assert format_dfa(name) is format_dfa(name)


def walks(dfa: CharDfa, n: int, seed: int) -> Iterator[str]:
    """Texts of the language, found by walking through its automaton at random."""
    rng = random.Random(seed)
    ranges = dfa.class_ranges()
    edges = [[(letter, target) for letter, target in enumerate(row) if target >= 0] for row in dfa.table]
    for _ in range(n):
        state, text, stop = 0, "", rng.choice([0.05, 0.1, 0.3])
        while not (dfa.accepting[state] and (rng.random() < stop or not edges[state])):
            letter, state = rng.choice(edges[state])
            low, high = rng.choice(ranges[letter])
            text += chr(rng.choice([low, high, rng.randint(low, high)]))
        yield text


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


# --- internationalised names ------------------------------------------------------------------------------------------

SEPARATORS = "[.\u3002\uff0e\uff61]"


def check_name(name: str) -> None:
    """IDNA 2008 by the idna library, the Bidi rule for all labels of names that need it; raises if the name is not valid."""
    idna = pytest.importorskip("idna")
    labels = re.split(SEPARATORS, name)
    ascii_forms = []
    for label in labels:
        if label.isascii():
            assert is_hostname(label) and label[2:4] != "--", name
        ascii_forms.append(label if label.isascii() else idna.alabel(label).decode())
    if any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in name):
        for label in labels:
            idna.check_bidi(label, check_ltr=True)
    assert max(map(len, ascii_forms)) <= 63 and (len(".".join(ascii_forms)) <= 253 or len(name) > 253), name


def test_no_invalid_internationalised_name_is_accepted() -> None:
    dfa = format_dfa("idn-hostname")
    assert dfa is not None
    for name in walks(dfa, 4000, seed=5):
        check_name(name)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("bücher.example", True), ("BÜCHER.example", False), ("Bücher.example", False), ("bücher.Example", False), ("Example.ORG", True),
        ("例え。テスト", True), ("例え..テスト", False), ("한국.kr", True), ("पञ्च.भारत", True), ("ผู้.ไทย", True), ("க்ஷ.இந்தியா", True),
        ("col·lecció", True), ("a·l", False), ("l·", False), ("क्\u200dष", True), ("क\u200dष", False), ("\u0301a", False),
        ("e\u0301", False), ("ক\u09be", True), ("ক\u09c7\u09be", False), ("ক\u09c7ক\u09be", True),
        ("ü--a", True), ("üb--a", False), ("xn--4ca", False), ("ü-", False), ("-ü", False), ("a1-2.b", True), ("a_b", False), ("ｕ", False),
        ("שלום.co", True), ("שלום.1co", False), ("1שלום", False), ("שלום1", True), ("a.שלום", True), ("ü.שלום", False), ("א׳", True),
        ("׳א", False),
        ("مثال.إختبار", True), ("۱۲.ایران", False), ("ایران۱۲", True), ("ایران-۱۲", True), ("ایران-\u064b", False), ("a۱", True),
        ("ü.ü.ü.ü", True), ("ü.ü.ü.ü.ü", False), ("a.b.c.d.e.f", True), ("ü" * 14, True), ("ü" * 15, False), ("ü" + "a" * 26, True),
        ("ü" + "a" * 27, False), ("a" * 63, True), ("a" * 64, False), ("ü." + "a" * 28, True), ("ü." + "a" * 29, False), ("", False),
        (".", False),
    ],
)  # fmt: skip
def test_internationalised_names(text: str, expected: bool) -> None:
    assert valid("idn-hostname", text) == expected
    if expected:
        check_name(text)


BEYOND = 0xFFFF - 0x80
"""What the code points of a label can rise by in all."""


def n_digits(delta: int, bias: int) -> int:
    """RFC 3492, section 6.3: how many digits a delta takes."""
    n, k = 1, 36
    while delta >= (threshold := min(max(k - bias, 1), 26)):
        delta, n, k = (delta - threshold) // (36 - threshold), n + 1, k + 36
    return n


def adapted(delta: int, n_characters: int, *, first: bool) -> int:
    """RFC 3492, section 6.1: the bias after a delta."""
    delta //= 700 if first else 2
    delta += delta // n_characters
    k = 0
    while delta > 455:
        delta, k = delta // 35, k + 36
    return k + 36 * delta // (delta + 38)


def outcomes(bias: int, n_characters: int, *, first: bool) -> Iterator[tuple[int, int, int]]:
    """The numbers of digits and next biases that are possible, each with the least delta that gives them."""
    most = (BEYOND + 1) * n_characters

    def outcome(delta: int) -> tuple[int, int]:
        return n_digits(delta, bias), adapted(delta, n_characters, first=first)

    delta = 0
    while delta <= most:
        yield (delta, *outcome(delta))
        last, beyond = delta, delta + 1  # the last delta known to have this outcome, and the first that may have another
        while beyond <= most and outcome(beyond) == outcome(delta):
            last, beyond = beyond, 2 * beyond - delta
        beyond = min(beyond, most + 1)
        while beyond - last > 1:
            middle = (last + beyond) // 2
            last, beyond = (middle, beyond) if outcome(middle) == outcome(delta) else (last, middle)
        delta = beyond


def longest_ascii_form(n_ascii: int, n_beyond: int) -> int:
    """The greatest length of a label's ASCII form: for each bias, the least rise of code points that gives a number of digits."""
    best = {72: {0: 0}}
    for n_characters in range(n_ascii + 1, n_ascii + n_beyond + 1):
        following: dict[int, dict[int, int]] = {}
        for bias, rises in best.items():
            for delta, digits, next_bias in outcomes(bias, n_characters, first=n_characters == n_ascii + 1):
                rise = -(-max(delta - n_characters + 1, 0) // n_characters)
                to = following.setdefault(next_bias, {})
                for total, before in rises.items():
                    if before + rise <= min(BEYOND, to.get(total + digits, BEYOND)):
                        to[total + digits] = before + rise
        best = following
    return len("xn--") + (n_ascii + 1 if n_ascii else 0) + max(map(max, best.values()))


@pytest.mark.parametrize("n_beyond", [1, 2, 3, *(pytest.param(n, marks=pytest.mark.long) for n in range(4, UNITS // 2 + 1))])
def test_labels_stay_short_in_ascii_whatever_their_characters_are(n_beyond: int) -> None:
    """Four labels of at most 61 characters and three dots stay below 253."""
    assert longest_ascii_form(UNITS - 2 * n_beyond, n_beyond) <= 61


@pytest.mark.parametrize(
    "text, expected",
    [
        ("δοκιμή@παράδειγμα.ελ", True), ("a@b", True), ('"δ κ"@b', True), ("δ κ@b", False), ("\u0085@b", True), ("a@[1.2.3.4]", True),
        ("a@e\u0301", False), ("a@例え。テスト", False), ("a@例え.テスト", True), ("@b", False), ("a@\u302e", False), ("\ud7ff@b", True),
        ("é" * 32 + "@b", True), ("é" * 32 + "a@b", False), ("一" * 21 + "a@b", True), ("一" * 22 + "@b", False), ("😀" * 16 + "@b", True),
        ("😀" * 17 + "@b", False), ("a" * 65 + "@b", False), ("a.é@b", True), ("é.@b", False), ("a@שלום.co", True),
    ],
)  # fmt: skip
def test_internationalised_mail_addresses(text: str, expected: bool) -> None:
    assert valid("idn-email", text) == expected
    if text.isascii():
        assert valid("email", text) == expected


def test_automata_written_by_hand_are_canonical() -> None:
    patterns = format_dfa("regex")
    assert patterns is not None
    for dfa in (
        patterns,
        weighing(5, {0: 1, 0x80: 2, 0xD800: 0, 0xE000: 2}),
        weighing(64, {0: 1, 0x80: 2, 0x800: 3, 0xD800: 0, 0xE000: 3}),
    ):
        assert compile_regex(Automaton(dfa)) == dfa


# --- regular expressions ----------------------------------------------------------------------------------------------

CATEGORIES = {unicodedata.category(chr(code)) for code in range(0x110000)}
CATEGORIES |= {"LC", *(category[0] for category in CATEGORIES)}
ESCAPE = re.compile(
    r"\\(?:(?P<set>[dDsSwW])|[pP]\{(?P<property>\w+)\}|(?P<control>[fnrtv])|c(?P<letter>[A-Za-z])|(?P<zero>0)(?![0-9])"
    r"|x(?P<hex2>[0-9A-Fa-f]{2})|u(?P<hex4>[0-9A-Fa-f]{4})|u\{(?P<hex>[0-9A-Fa-f]+)\}|(?P<syntax>[\^$\\.*+?()\[\]{}|/])"
    r"|(?P<backspace>b)|(?P<hyphen>-))"
)
QUANTIFIER = re.compile(r"(?:[*+?]|\{([0-9]+)(?:,([0-9]*))?\})\??")
OPENING = re.compile(r"\((?:\?(?:(<?[=!])|:))?")


class Pattern:
    """ECMA-262, 11th edition, section 21.2.1 with parameter U, without named groups and back-references, by a plain scan.

    ``valid``: whether the text is a pattern; ``left_out``: whether it has something that the format is documented to leave out.
    """

    def __init__(self, text: str) -> None:
        self.text, self.at, self.left_out = text, 0, False
        self.valid = self.scan()

    def scan(self) -> bool:
        open_groups, repeatable = "", False
        while self.at < len(self.text):
            char = self.text[self.at]
            if found := OPENING.match(self.text, self.at):
                open_groups += "L" if found[1] else "G"
                self.left_out |= open_groups not in NESTING
                self.at, repeatable = found.end(), False
            elif char == ")":
                if not open_groups:
                    return False
                repeatable, open_groups = open_groups[-1] == "G", open_groups[:-1]
                self.at += 1
            elif char in "^$|" or self.text.startswith((r"\b", r"\B"), self.at):
                self.at += 2 if char == "\\" else 1
                repeatable = False
            elif found := QUANTIFIER.match(self.text, self.at):
                if not repeatable or (found[2] and int(found[2]) < int(found[1])):
                    return False
                self.left_out |= any(self.is_left_out(*counts) for counts in [(found[1], found[2])] if found[1])
                self.at, repeatable = found.end(), False
            elif char in "]{}*+?" or (self.character_class() if char == "[" else self.atom(in_class=False)) is None:
                return False
            else:
                repeatable = True
        return not open_groups

    @staticmethod
    def is_left_out(low: str, high: str | None) -> bool:
        unusual = any(len(count) > 4 or (len(count) > 1 and count[0] == "0") for count in (low, high or ""))
        return unusual or bool(high and int(low) > 9 and (int(low) > 99 or int(high) < -(-int(low) // 10) * 10))

    def atom(self, *, in_class: bool) -> tuple[int, str] | None:
        """A character, -1 for a set of them, and how it is written (the name of a group of `ESCAPE`); None if it is not valid."""
        if self.text[self.at] != "\\":
            self.at += 1
            return ord(self.text[self.at - 1]), "plain"
        found = ESCAPE.match(self.text, self.at)
        if not found or (not in_class and found.lastgroup in ("backspace", "hyphen")):
            return None
        self.at, kind = found.end(), found.lastgroup or ""
        value = found[kind]
        if kind in ("set", "property"):
            return (-1, kind) if kind == "set" or value in CATEGORIES else None
        if kind.startswith("hex"):
            self.left_out |= len(value) > 5
            code = int(value, 16)
            trail = re.compile(r"\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})").match(self.text, self.at)
            if kind == "hex4" and 0xD800 <= code < 0xDC00 and trail:
                self.at, code, kind = trail.end(), 0x10000 + (code - 0xD800 << 10) + int(trail[1], 16) - 0xDC00, "pair"
            return (code, kind) if code <= 0x10FFFF else None
        if kind in ("control", "backspace"):
            return {"b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}[self.text[self.at - 1]], "control"
        return (ord(value) % 32, kind) if kind == "letter" else (0, kind) if kind == "zero" else (ord(self.text[self.at - 1]), "syntax")

    def character_class(self) -> bool | None:
        self.at += 2 if self.text.startswith("[^", self.at) else 1
        while self.at < len(self.text):
            if self.text[self.at] == "]":
                self.at += 1
                return True
            if (low := self.atom(in_class=True)) is None:
                return None
            if not self.text.startswith("-", self.at) or self.text.startswith("-]", self.at):
                continue
            self.at += 1
            if self.at == len(self.text) or (high := self.atom(in_class=True)) is None or low[0] < 0 or high[0] < low[0]:
                return None
            self.left_out |= not self.is_plain(low, high)
        return None

    @staticmethod
    def is_plain(low: tuple[int, str], high: tuple[int, str]) -> bool:
        if low[0] == 0 and low[1] in ("zero", "hex2", "hex4"):
            return True
        return low[1] in ("plain", "control", "syntax") and high[1] == "plain" and any(low[0] <= start <= high[0] for start in STARTS)


def test_the_scan_knows_patterns_from_others() -> None:
    for text in ("", "a|b", "(?<=a+)b", "[]", "[^]", r"\cA", r"[\b\-]", "a{2,2}", "[--9]", "[a-b-c]", r"[\w-]", r"\uD83D\uDE00", "(?:){0}"):
        assert Pattern(text).valid, text
    for text in (
        r"\a",
        "^(abc]",
        "*",
        "\\",
        "(?i)a",
        "(?P<n>a)",
        "(?=a)*",
        "a**",
        "a{2,1}",
        "[b-a]",
        r"[\w-a]",
        "{",
        "a{",
        "]",
        r"\-",
        r"\01",
        "[",
    ):
        assert not Pattern(text).valid, text


def assert_right_regex(text: str) -> None:
    scanned = Pattern(text)
    accepted = valid("regex", text)
    assert accepted == (scanned.valid and not scanned.left_out), text
    if accepted:
        try:
            parse_regex(text)
        except GrammarSyntaxError as error:
            assert "looks ahead, which is not supported inside a lookbehind" in str(error)


PIECES = [
    *"aAz09-^$.|()[]{}*+?,:=!<\\/ é一", *re.findall(r"\\[^\\]+|\\\\", r"\d\w\b\B\cA\0\x00\x41\u0041\u{1F600}\p{Lu}\-\]\\\n\k\1"),
    "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?<", "[^", "[a-z]", "[0-", "a)", "a*)", "{2}", "{2,}", "{2,1}", "{9,10}", "{12,19}", "{10,15}",
    "{,2}",
]  # fmt: skip


@settings(max_examples=1500)
@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
def test_regexes(text: str) -> None:
    assert_right_regex(text)


class_escapes = re.findall(r"\\[^\\]+", r"\d\-\]\^\x00\0\n\b\w\x41\.\u0000\u0041")
class_pieces = st.sampled_from([*"abyzABYZ0189-^[ .,+!/~é一", *class_escapes, "-", "-"])


@settings(max_examples=1500)
@given(st.lists(class_pieces, max_size=6).map("".join))
def test_classes_in_regexes(text: str) -> None:
    assert_right_regex(f"[{text}]")
    assert_right_regex(f"[^{text}]a")


def test_ranges_of_letters_and_digits_in_regexes() -> None:
    for letters in (string.digits, string.ascii_lowercase, string.ascii_uppercase):
        for low, high in itertools.product(letters, repeat=2):
            assert low == high or valid("regex", f"[x{low}-{high}]") == (low < high)


def test_counts_in_regexes() -> None:
    for low, high in itertools.product([*range(25), 29, 30, 31, 89, *range(90, 102), 110, 999, 9999, 10000, "00", "01"], repeat=2):
        assert_right_regex(f"a{{{low},{high}}}?")
        assert_right_regex(f"(a){{{low}}}")
        assert_right_regex(f"[a]{{{low},}}+")


def test_groups_in_regexes() -> None:
    for n in range(1, 6):
        for pieces in itertools.product(("(", "(?!", ")", ")*", "a"), repeat=n):
            assert_right_regex("".join(pieces))
            assert_right_regex("((" + "".join(pieces) + "))")


def test_accepted_regexes_are_those_of_the_scan() -> None:
    dfa = format_dfa("regex")
    assert dfa is not None and len(dfa.table) < 2200
    for text in walks(dfa, 3000, seed=8):
        assert_right_regex(text)


def test_accepted_regexes_are_python_patterns_where_the_syntax_is_the_same() -> None:
    dfa = format_dfa("regex")
    assert dfa is not None
    n = 0
    for text in walks(dfa, 3000, seed=9):
        if "(?<" not in text and not re.search(r"\\[cpPu/]|\[\^?\]", text):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                re.compile(text)
            n += 1
    assert n > 1000


@pytest.mark.parametrize(
    "text",
    [
        r"^[a-z0-9]+(?:-[a-z0-9]+)*$", r"^\d{4}-(0[1-9]|1[0-2])-([0-2]\d|3[01])$", r"^(?!\s*$).+", r"^\$\{[^}]+\}$",
        r"^[\w.+-]+@[\w-]+\.[\w.-]+$",
        r"^(?:25[0-5]|2[0-4]\d|1?\d{1,2})(?:\.(?:25[0-5]|2[0-4]\d|1?\d{1,2})){3}$", r"^[^\x00-\x1F]*$", r"^\p{Lu}\p{L}*$", "^[А-Яа-я]+$",
        "[一-龥]",
        r"^((?!(a|b)).)*$", r"^#(?:[0-9a-fA-F]{3}){1,2}$", r"[e-gE-G3-5]", r"^/.+/$", r"^[ -~]*$",
    ],
)  # fmt: skip
def test_usual_regexes(text: str) -> None:
    assert valid("regex", text)


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
        ("regex", (0, None)),
        ("idn-hostname", (1, None)), ("idn-email", (3, None)),
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
