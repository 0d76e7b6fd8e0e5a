"""The re module decides; a scan of the text finds what the grammar leaves out."""

from __future__ import annotations

import re
import warnings

COUNT = "(0|[1-9][0-9]{0,3})"
BEYOND = [0xE0, 0xF0, 0x100, 0x3A0, 0x3C0, 0x420, 0x440, 0x5E0, 0x680, 0x940, 0xE30, 0x3060, 0x30C0, 0x6000, 0xC000, 0xF900]
BEYOND += [0x1F400, 0x1F620, 0x20000]


def accepts(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, OverflowError):
        return False
    return not has_what_is_left_out(text)


def has_what_is_left_out(text: str) -> bool:
    at = found.end() if (found := re.match(r"\(\?[auims]+\)", text)) else 0
    behind = False
    while at < len(text):
        char = text[at]
        if char == "\\":
            if is_other_escape(text[at + 1]):
                return True
            at += 2
        elif char == "[":
            at = after_class(text, at + 1)
            if at < 0:
                return True
        elif char == "(":
            kind = re.compile(r"\((?!\?)|\(\?([:=!]|<[=!]|-?[ims]+:)").match(text, at)
            if kind is None or behind:
                return True
            behind = "<" in kind[0]
            at = kind.end()
        elif behind and char in "|*+?":
            return True
        elif char in "*+?{":
            repetition = re.compile(rf"[*+?]|\{{({COUNT}(,|,{COUNT})?|,{COUNT})\}}").match(text, at)
            if repetition is None or (behind and "," in repetition[0]):
                return True
            low, _, high = repetition[0].strip("{}").partition(",")
            at = repetition.end()
            if (high and len(low) > 2) or text[at : at + 1] == "+" or (behind and text[at : at + 1] == "?"):
                return True
            at += text[at : at + 1] == "?"
        else:
            behind = behind and char != ")"
            at += 1
    return False


def is_other_escape(letter: str) -> bool:
    return letter in "123456789N"


def after_class(text: str, at: int) -> int:
    """Where a class ends, -1 if it has what is left out; as the re module reads it."""
    at += text[at] == "^"
    if text[at] in "]^":
        return -1
    while text[at] != "]":
        first, at = member(text, at)
        if len(first) > 1 and is_other_escape(first[1]):
            return -1
        if text[at] == "-" and text[at + 1] != "]":
            last, at = member(text, at + 1)
            if not is_known_range(first, last):
                return -1
    return at + 1


def member(text: str, at: int) -> tuple[str, int]:
    length = {"\\x": 4, "\\u": 6, "\\U": 10}.get(text[at : at + 2], 2) if text[at] == "\\" else 1
    return text[at : at + length], at + length


def is_known_range(first: str, last: str) -> bool:
    if "\\" in first[:1] + last[:1]:
        digits, others = first[2:].lower(), last[2:].lower()
        less = digits[:1] < others[:1] or (digits[:1] == others[:1] == "0" and digits[1] < others[1])
        return first[:2] == last[:2] and first[1] in "xu" and less
    return " " <= first <= "~" or any(ord(first) < mark <= ord(last) and ord(first) >= 0x80 for mark in BEYOND)
