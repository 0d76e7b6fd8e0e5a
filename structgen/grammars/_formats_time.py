"""The automata of RFC 3339 dates and times, leap years and leap seconds exact.

A leap second (``:60``) is right only where the time is 23:59:60 in UTC, so after ``hh:mm:60`` the offset that must follow depends
on all of hh:mm. That makes 1440 states for each place between; they are written down as blocks of rows, one row for each
minute of the day, because a regular expression for them would list 1440 alternatives. Which days have leap seconds is not
checked (the list is open). Building takes about 40 ms.
Source: RFC 3339, section 5.6 (grammar, T and Z in either case), 5.7 and appendices C and D (leap years and seconds).
"""

from __future__ import annotations

from structgen.automata.chardfa import CharDfa, from_transitions, step

from .regex import match_dfa

__all__ = ["date", "date_time", "time"]

LETTERS = [*((digit,) for digit in "0123456789"), (":",), (".",), ("-",), ("+",), ("Z", "z"), ("T", "t")]
COLUMN = {char: i for i, chars in enumerate(LETTERS) for char in chars}
DIGITS = "0123456789"
MINUTES = 24 * 60

LEAP_YEAR = r"(?:[0-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
DATE = (
    r"[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    rf"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{LEAP_YEAR}-02-29"
)


def date() -> CharDfa:
    """RFC 3339 full-date, years 0000 to 9999 of the proleptic Gregorian calendar."""
    return match_dfa(DATE, syntax="ecma")


def time() -> CharDfa:
    """RFC 3339 full-time."""
    rows = _Rows()
    _add_time(rows, rows.block(1))
    return rows.automaton()


def date_time() -> CharDfa:
    """RFC 3339 date-time."""
    rows = _Rows()
    days = date()
    start = rows.block(len(days.table))
    begin = rows.block(1)
    for state in range(len(days.table)):
        for char in DIGITS + "-":
            target = step(days, state, char)
            if target >= 0:
                rows.put(start + state, char, start + target)
        if days.accepting[state]:
            rows.put(start + state, "T", begin)
    _add_time(rows, begin)
    return rows.automaton()


class _Rows:
    """A transition table under construction; state 0 is the start."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self.final = -1

    def block(self, n: int) -> int:
        """New states, without transitions; returns the first."""
        first = len(self.rows)
        self.rows += [[-1] * len(LETTERS) for _ in range(n)]
        return first

    def put(self, state: int, chars: str, target: int) -> None:
        row = self.rows[state]
        for char in chars:
            row[COLUMN[char]] = target

    def automaton(self) -> CharDfa:
        return from_transitions(LETTERS, self.rows, [state == self.final for state in range(len(self.rows))], minimal=True)


def _add_time(rows: _Rows, begin: int) -> None:
    rows.final = rows.block(1)
    minute = _add_hours_and_minutes(rows, begin)
    second = _add_seconds(rows)
    leap = _add_leap_seconds(rows)
    colon = rows.block(MINUTES)
    for i in range(MINUTES):
        rows.put(minute + i, ":", colon + i)
        rows.put(colon + i, "012345", second)
        rows.put(colon + i, "6", leap + i)


def _add_hours_and_minutes(rows: _Rows, begin: int) -> int:
    """hh:mm; returns the first of the states after each minute of the day."""
    hour_tens, hour, colon, ten_minutes, minute = map(rows.block, (3, 24, 24, 24 * 6, MINUTES))
    for tens in range(3):
        rows.put(begin, DIGITS[tens], hour_tens + tens)
    for h in range(24):
        rows.put(hour_tens + h // 10, DIGITS[h % 10], hour + h)
        rows.put(hour + h, ":", colon + h)
        for tens in range(6):
            rows.put(colon + h, DIGITS[tens], ten_minutes + 6 * h + tens)
    for i in range(MINUTES):
        rows.put(ten_minutes + i // 10, DIGITS[i % 10], minute + i)
    return minute


def _add_seconds(rows: _Rows) -> int:
    """The second digit of ordinary seconds, their fraction and any offset; returns the state after the first digit."""
    first, second, point, fraction = map(rows.block, (1, 1, 1, 1))
    sign, low_hour, high_hour, hour, colon, ten_minutes = map(rows.block, (1, 1, 1, 1, 1, 1))
    rows.put(first, DIGITS, second)
    rows.put(second, ".", point)
    rows.put(point, DIGITS, fraction)
    rows.put(fraction, DIGITS, fraction)
    for state in (second, fraction):
        rows.put(state, "Z", rows.final)
        rows.put(state, "+-", sign)
    rows.put(sign, "01", low_hour)
    rows.put(sign, "2", high_hour)
    rows.put(low_hour, DIGITS, hour)
    rows.put(high_hour, "0123", hour)
    rows.put(hour, ":", colon)
    rows.put(colon, "012345", ten_minutes)
    rows.put(ten_minutes, DIGITS, rows.final)
    return first


def _add_leap_seconds(rows: _Rows) -> int:
    """``0`` after ``:6``, a fraction and the one offset that makes it 23:59:60 UTC; returns the first of the states by minute."""
    six, second, point, fraction = map(rows.block, (MINUTES,) * 4)
    offset = _add_exact_offsets(rows)
    for i in range(MINUTES):
        rows.put(six + i, "0", second + i)
        rows.put(second + i, ".", point + i)
        rows.put(point + i, DIGITS, fraction + i)
        rows.put(fraction + i, DIGITS, fraction + i)
        for state in (second + i, fraction + i):
            rows.put(state, "+", offset + (i + 1) % MINUTES)  # local time = 23:59 + offset
            rows.put(state, "-", offset + MINUTES - 1 - i)
    for state in (second, fraction):
        rows.put(state + MINUTES - 1, "Z", rows.final)
    return six


def _add_exact_offsets(rows: _Rows) -> int:
    """hh:mm with exactly these digits, for each minute of the day; returns the first of the states before."""
    offset, hour_tens, hour, colon, ten_minutes = map(rows.block, (MINUTES, 600, 60, 60, 10))
    for i in range(MINUTES):
        rows.put(offset + i, DIGITS[i // 600], hour_tens + i % 600)
    for i in range(600):
        rows.put(hour_tens + i, DIGITS[i // 60], hour + i % 60)
    for i in range(60):
        rows.put(hour + i, ":", colon + i)
        rows.put(colon + i, DIGITS[i // 10], ten_minutes + i % 10)
    for i in range(10):
        rows.put(ten_minutes + i, DIGITS[i], rows.final)
    return offset
