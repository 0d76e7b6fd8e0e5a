"""The text becomes tokens as section 7 of the standard has them; then a stack of variations is kept while they are read."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)|(?P<comment>\{[^}]*\}|;[^\n]*\n)|(?P<string>"(?:[^"\\\x00-\x1f\x7f]|\\["\\])*")
    |(?P<nag>\$[0-9]+)|(?P<word>[A-Za-z0-9][A-Za-z0-9_+\#=:/-]*)|(?P<marks>[!?]+)|(?P<dots>\.+)|(?P<mark>[][()*])""",
    re.VERBOSE,
)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
RESULTS = {"1-0", "0-1", "1/2-1/2", "*"}
APART = {"word", "marks", "nag"}
"""Tokens of which two are never next to each other, but for the marks and NAGs of a move."""


def accepts(text: str) -> bool:
    if CONTROL.search(text):
        return False
    tokens, at, before, games = [], 0, "", 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            return False
        kind = str(found.lastgroup)
        if kind == "word" and before in APART:
            return False
        if kind == "dots" and before != "word":
            return False
        if kind == "marks" and before != "word":
            return False
        if kind not in ("space", "comment"):
            tokens.append((kind, found[0], before))
        before, at = kind, found.end()
    while tokens:
        tokens = read_game(tokens, first=not games)
        if tokens == [FAILED]:
            return False
        games += 1
    return True


Token = tuple[str, str, str]
FAILED: Token = ("", "", "")


def read_game(tokens: list[Token], first: bool) -> list[Token]:
    """The tokens after a game."""
    if not first and tokens[0][2] not in ("space", "comment"):
        return [FAILED]
    at = 0
    while tokens[at : at + 1] and tokens[at][1] == "[":
        pair = tokens[at + 1 : at + 4]
        if [kind for kind, *_ in pair] != ["word", "string", "mark"] or not re.fullmatch(r"\w+", pair[0][1]) or pair[2][1] != "]":
            return [FAILED]
        at += 4
    depth, state = 0, "start"  # start of a line, after a number, after a move, after a variation
    while at < len(tokens):
        kind, text, _ = tokens[at]
        at += 1
        if text in RESULTS and (kind != "mark" or text == "*") and depth == 0 and state != "number":
            return tokens[at:]
        if kind == "word" and re.fullmatch("[0-9]+", text) and state != "number":
            state = "number"
            at += tokens[at : at + 1] != [] and tokens[at][0] == "dots"
        elif kind == "word" and is_move(text):
            state = "move"
            if tokens[at : at + 1] and tokens[at][0] == "marks":
                if tokens[at][1] not in ("!", "?", "!!", "!?", "?!", "??"):
                    return [FAILED]
                at += 1
            while tokens[at : at + 1] and tokens[at][0] == "nag":
                if int(tokens[at][1][1:]) > 255 or tokens[at][1] != f"${int(tokens[at][1][1:])}":
                    return [FAILED]
                at += 1
        elif text == "(" and state in ("move", "variation"):
            depth, state = depth + 1, "start"
        elif text == ")" and depth and state in ("move", "variation"):
            depth, state = depth - 1, "variation"
        else:
            return [FAILED]
    return [FAILED]


def is_move(text: str) -> bool:
    move = text[:-1] if text[-1] in "+#" else text
    if move in ("O-O", "O-O-O"):
        return True
    move, promotion, piece = move.partition("=")
    found = re.fullmatch(r"([KQRBN]?)([a-h]?)([1-8]?)(x?)([a-h])([1-8])", move)
    if found is None:
        return False
    name, file, rank, takes, to_file, to_rank = found.groups()
    if name:
        return not promotion and not (name == "K" and file + rank)
    if bool(takes) != bool(file) or rank or (takes and abs(ord(file) - ord(to_file)) != 1):
        return False
    return (piece in list("QRBN") and to_rank in "18") if promotion else to_rank not in "18"
