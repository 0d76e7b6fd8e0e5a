r"""The regular expressions of pydantic's ``pattern`` as ECMA-262 ones (flag u), which is what JSON Schema has.

pydantic reads them with Rust's ``regex`` or Python's `re`, to both of which ``\d``, ``\w``, ``\s`` and ``\b`` are classes of Unicode, and
``.`` is all but a line feed. What else differs is translated or refused. Characters that Python's Unicode database does not have yet
belong to no class, nor to the opposite of one. ``$`` is the very end: Python's may also be before a last line feed, which is not used.
"""

from __future__ import annotations

import re
from typing import Literal

from structgen.errors import UnsupportedSchema

__all__ = ["portable_pattern"]

Engine = Literal["rust", "python"]

SPACE = r"\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
RUST_WORD = (
    r"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u200c\u200d"
    r"\u24b6-\u24e9\u{1f130}-\u{1f149}\u{1f150}-\u{1f169}\u{1f170}-\u{1f189}"
)
CLASSES: dict[Engine, dict[str, str]] = {
    "rust": {"d": r"\p{Nd}", "s": SPACE, "w": RUST_WORD},
    "python": {"d": r"\p{Nd}", "s": rf"\x1c-\x1f{SPACE}", "w": r"\p{L}\p{N}_"},
}
NO_SPACE = r"\0-\x08\x0e-\x1f!-\x84\x86-\x9f\xa1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2fff\u3001-\u{10ffff}"
"""What is in no class of white space, as the members of a class."""
OTHERS = {"A": "^", "z": "$", "Z": "$", "a": r"\x07"}
ESCAPE = r"\\(?:[xuU]\{[^}]*\}|U[0-9a-fA-F]{8}|[pP](?:\{[^}]*\}|.)|[bB]\{[a-z]|.)"
PIECE = re.compile(rf"{ESCAPE}|\(\?P?<[A-Za-z_][^>]*>|\(\?(?:[:=!]|<[=!]|[^:)]*[:)]?)|\{{,|\[\^?\]?|.", re.DOTALL)
MEMBER = re.compile(rf"{ESCAPE}|&&|--|~~|.", re.DOTALL)


def portable_pattern(pattern: str, engine: Engine, flags: int = 0) -> str:
    r"""The pattern that ECMA-262 finds in the same texts; `UnsupportedSchema` if there is none.

    >>> portable_pattern(r"^\d.[^\s]\z", "rust") == rf"^\p{{Nd}}[^\n][^{SPACE}]$"
    True
    """
    if flags & ~re.UNICODE:
        raise _unsupported(pattern, "flags")
    folded = pattern.startswith("(?i)") and engine == "rust"
    written: list[str] = []
    position = len("(?i)") if folded else 0
    in_class = False
    while position < len(pattern):
        piece = (MEMBER if in_class else PIECE).match(pattern, position)[0]  # type: ignore[index]
        position += len(piece)
        if not in_class and piece.startswith("["):
            in_class, begin = True, len(written)
            written.append(piece[:-1] + r"\]" if piece.endswith("]") else piece)
        elif in_class and piece == "]":
            in_class = False
            is_open = written[begin].startswith("[^") and any(r"\p" in member for member in written[begin:])
            written.append(r"\p{Cn}]" if is_open else "]")
        elif piece.startswith("\\"):
            written.append(_escape(piece, pattern, engine, in_class))
        else:
            written.append((_member if in_class else _plain)(piece, pattern, engine))
    found = "".join(written)
    return f"(?i:{found})" if folded else found


def _escape(piece: str, pattern: str, engine: Engine, in_class: bool) -> str:
    letter = piece[1]
    if letter in "dswDSW" and in_class:
        return _class_member(letter, pattern, engine)
    if letter in "dsw":
        return _one_of(CLASSES[engine][letter])
    if letter in "DSW":
        members = CLASSES[engine][letter.lower()]
        return f"[^{members}]" if letter == "S" else rf"[^{members}\p{{Cn}}]"
    if letter in "bB" and not in_class:
        if len(piece) > 2:
            raise _unsupported(pattern, piece)
        word = f"[{CLASSES[engine]['w']}]"
        sides = ("!", "=") if letter == "b" else ("=", "!")
        return f"(?:(?<={word})(?{sides[0]}{word})|(?<!{word})(?{sides[1]}{word}))"
    if letter in "<>" and engine == "rust":
        raise _unsupported(pattern, piece)
    if letter in "xuU" and len(piece) > 2:
        return rf"\u{{{piece[2:].strip('{}').lstrip('0') or '0'}}}"
    if letter in "pP" and piece[2:3] != "{":
        return f"\\{letter}{{{piece[2:]}}}"
    return piece if in_class and letter in "AzZ" else OTHERS.get(letter, piece)


def _class_member(letter: str, pattern: str, engine: Engine) -> str:
    """A class inside brackets, of which ECMA-262 has no opposites but for those with a name."""
    if letter == "W":
        raise _unsupported(pattern, r"\W in brackets")
    return {"D": r"\P{Nd}", "S": NO_SPACE if engine == "rust" else NO_SPACE.replace("x1f", "x1b")}.get(letter) or CLASSES[engine][letter]


def _member(piece: str, pattern: str, engine: Engine) -> str:
    if engine == "rust" and (piece.startswith("[") or piece in ("&&", "--", "~~")):
        raise _unsupported(pattern, f"{piece} in brackets")
    return f"\\{piece}" if piece.startswith("[") else piece


def _plain(piece: str, pattern: str, engine: Engine) -> str:
    if piece == ".":
        return r"[^\n]"
    if piece == "{,":
        return "{0,"
    if piece.startswith("(?P<"):
        return f"(?<{piece[4:]}"
    if piece.startswith("(?") and piece[2:3] not in (":", "=", "!", "<") and not (piece == "(?i:" and engine == "rust"):
        raise _unsupported(pattern, piece)
    return piece


def _one_of(members: str) -> str:
    return members if members == r"\p{Nd}" else f"[{members}]"


def _unsupported(pattern: str, what: str) -> UnsupportedSchema:
    return UnsupportedSchema(f"the regular expression {pattern!r:.100} has no equal in JSON Schema: {what}", keyword="pattern")
