"""Who else knows the languages of the library: other implementations, and plain readers written from the standards.

The oracle of a grammar is a function here, or the function ``accepts`` of the module of that name in `tests.grammars.oracles`.
"""

from __future__ import annotations

import ast
import configparser
import datetime
import ipaddress
import json
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.grammars.test_formats import is_reference


def is_json(text: str) -> bool:
    """The json module, without the NaN and Infinity that it adds."""

    def no(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=no, parse_int=str, parse_float=str)
    except ValueError:
        return False
    return True


NUMBER = r"(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
ARITHMETIC = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.UAdd, ast.USub,
)  # fmt: skip


def is_arithmetic(text: str) -> bool:
    """Python's own parser, on this alphabet and with these operators alone."""
    text = text.strip(" ")
    if not re.fullmatch(r"[-+*/()0-9.eE ]*", text):
        return False
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except SyntaxError:
        return False
    numbers = (ast.get_source_segment(text, node) or "" for node in nodes if isinstance(node, ast.Constant))
    return all(isinstance(node, ARITHMETIC) for node in nodes) and all(re.fullmatch(NUMBER, number) for number in numbers)


def is_semver(text: str) -> bool:
    """The regular expression that semver.org suggests."""
    suggested = (
        r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
        r"(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
    )
    return re.fullmatch(suggested, text, re.ASCII) is not None


def is_csv(text: str) -> bool:
    """Field by field; only quoted ones have quotes (doubled) and line breaks."""
    if any((ord(char) < 32 and char not in "\r\n") or char == "\x7f" for char in text):
        return False
    at = 0
    while True:
        if text.startswith('"', at):
            while text.startswith('"', at):  # again for every doubled quote
                at = text.find('"', at + 1) + 1
                if not at:
                    return False
        else:
            while at < len(text) and text[at] not in ',"\r\n':
                at += 1
        if at == len(text):
            return True
        separator = next((mark for mark in (",", "\r\n") if text.startswith(mark, at)), None)
        if separator is None:
            return False
        at += len(separator)


def is_ini(text: str) -> bool:
    """The configparser module, without what it overlooks and without values over several lines."""
    if any((ord(char) < 32 and char not in "\t\n") or char == "\x7f" for char in text):
        return False
    for line in text.split("\n"):
        shown = line.strip(" \t")
        if not shown or shown[0] in "#;":
            continue
        if line[0].isspace() or (line[0] == "[" and not re.fullmatch(r"\[[^\[\]]+\][ \t]*", line)):
            return False
    try:
        configparser.RawConfigParser(strict=False).read_string(text)
    except configparser.Error:
        return False
    return True


def is_uri(text: str) -> bool:
    return is_reference(text, absolute=True)


def is_email(text: str) -> bool:
    """RFC 5321 Mailbox: the domain begins after the last @."""
    local, at, domain = text.rpartition("@")
    if not (at and text.isascii() and len(local) <= 64):
        return False
    atoms = (re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+", atom) for atom in local.split("."))
    if not (is_quoted(local) or all(atoms)):
        return False
    if domain.startswith("["):
        return domain.endswith("]") and is_address(domain[1:-1])
    labels = domain.split(".")
    return all(re.fullmatch("[A-Za-z0-9-]{1,63}", label) and "-" not in (label[0], label[-1]) for label in labels)


def is_quoted(local: str) -> bool:
    if len(local) < 2 or not (local[0] == local[-1] == '"'):
        return False
    inside = local[1:-1]
    plain = re.sub(r"\\[ -~]", "", inside)
    return all(" " <= char <= "~" and char not in '"\\' for char in plain)


def is_address(text: str) -> bool:
    if not text.lower().startswith("ipv6:"):
        return is_ipv4(text)
    head, _, last = text[5:].rpartition(":")
    whole = f"{head}:0:0" if "." in last and is_ipv4(last) else text[5:]
    try:
        ipaddress.IPv6Address(whole)
    except ValueError:
        return False
    n_groups = len([group for group in whole.split(":") if group])
    return "%" not in whole and "." not in whole and ("::" not in whole or n_groups <= 6)


def is_ipv4(text: str) -> bool:
    numbers = text.split(".")
    return len(numbers) == 4 and all(re.fullmatch("[0-9]{1,3}", number) and int(number) < 256 for number in numbers)


EXTENDED, BASIC, EITHER, REDUCED = "extended", "basic", "either", "reduced"


def is_iso_8601(text: str) -> bool:
    if text.startswith("P"):
        return is_duration(text)
    date, mark, time = text.partition("T")
    if not mark:
        return bool(date_format(text)) or (text[2:3] == ":" and time_format(text) == EXTENDED)
    if not date:
        return time_format(time) is not None
    formats = {date_format(date), time_format(time)}
    return formats in ({EXTENDED}, {BASIC}, {EXTENDED, EITHER}, {BASIC, EITHER})


def date_format(text: str) -> str | None:
    """By the calendar of the datetime module; it repeats after 400 years."""
    found = re.fullmatch(r"([0-9]{4})(?:(-?)(?:([0-9]{2})(?:\2([0-9]{2}))?|([0-9]{3})|W([0-9]{2})(?:\2([0-9]))?))?", text)
    if found is None:
        return None
    year, (month, day, number, week, weekday) = 2000 + int(found[1]) % 400, found.groups()[2:]
    try:
        if week:
            datetime.date.fromisocalendar(year, int(week), int(weekday or 1))
        elif number:
            assert (datetime.date(year, 1, 1) + datetime.timedelta(int(number) - 1)).year == year
        else:
            datetime.date(year, int(month or 1), int(day or 1))
    except (ValueError, AssertionError):
        return None
    if month and not (day or found[2]):
        return None  # YYYYMM would be YYMMDD
    return (EXTENDED if found[2] else BASIC) if day or number or weekday else REDUCED


def time_format(text: str) -> str | None:
    clock, offset = re.fullmatch(r"([^Z+-]*)(.*)", text, re.S).groups()  # type: ignore[union-attr]
    found = re.fullmatch(r"([0-9]{2})(?:(:?)([0-9]{2})(?:\2([0-9]{2}))?)?([.,][0-9]+)?", clock)
    shift = re.fullmatch(r"Z?|([+-])([0-9]{2})(?:(:?)([0-9]{2}))?", offset)
    if found is None or shift is None:
        return None
    hour, minute, second = (int(found[i] or 0) for i in (1, 3, 4))
    midnight = (hour, minute, second, found[5]) == (24, 0, 0, None)
    if not (midnight or hour < 24) or minute > 59 or second > 59:
        return None
    hours, minutes = int(shift[2] or 0), int(shift[4] or 0)
    if hours > 23 or minutes > 59 or (shift[1] == "-" and hours == minutes == 0):
        return None
    formats = {EXTENDED if colon else BASIC for colon, after in ((found[2], found[3]), (shift[3], shift[4])) if after}
    return EITHER if not formats else formats.pop() if len(formats) == 1 else None


def is_duration(text: str) -> bool:
    date, mark, time = text[1:].partition("T")
    parts = [re.findall(r"([0-9]+)([.,][0-9]+)?(.)", part, re.S) for part in (date, time)]
    if any("".join(map("".join, found)) != part for found, part in zip(parts, (date, time), strict=True)) or (mark and not time):
        return False
    units = ["".join(unit for *_, unit in found) for found in parts]
    fractions = [fraction for found in parts for _, fraction, _ in found]
    if not fractions or any(fractions[:-1]):
        return False
    in_order = re.fullmatch("Y?M?D?", units[0]) and re.fullmatch("H?M?S?", units[1])
    return bool(in_order) or (units == ["W", ""] and not mark)


MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
CRON_FIELDS = ((0, 59, []), (0, 23, []), (1, 31, []), (1, 12, MONTHS), (0, 7, DAYS))
MACROS = {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@reboot"}


def is_cron(text: str) -> bool:
    fields = re.split("[ \t]+", text)
    return text in MACROS or (
        len(fields) == 5
        and all(is_cron_part(part, *known) for field, known in zip(fields, CRON_FIELDS, strict=True) for part in field.split(","))
    )


def is_cron_part(part: str, least: int, most: int, names: list[str]) -> bool:
    span, slash, step = part.partition("/")
    if slash and not (re.fullmatch("[0-9]{1,2}", step) and int(step)):
        return False
    ends = span.split("-")
    if span == "*" or (slash and len(ends) == 1):
        return span == "*"
    if all(end.isascii() and end.lower() in names for end in ends):
        numbers = [names.index(end.lower()) for end in ends]
    elif all(re.fullmatch("[0-9]{1,2}", end) and least <= int(end) <= most for end in ends):
        numbers = [int(end) for end in ends]
    else:
        return False
    return len(ends) <= 2 and numbers == sorted(numbers)


ORACLES: dict[str, Callable[[str], bool]] = {
    "arithmetic": is_arithmetic,
    "cron": is_cron,
    "csv": is_csv,
    "email": is_email,
    "iso-8601": is_iso_8601,
    "ini": is_ini,
    "json": is_json,
    "semver": is_semver,
    "uri": is_uri,
    **{
        path.stem.replace("_", "-"): import_module(f"tests.grammars.oracles.{path.stem}").accepts
        for path in (Path(__file__).parent / "oracles").glob("[!_]*.py")
    },
}
