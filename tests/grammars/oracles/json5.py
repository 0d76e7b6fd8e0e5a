"""JSON5 as the package json5 reads it, without what it adds to unquoted names: any escapes, and letters newer than Unicode 3.2."""

from __future__ import annotations

import re
from unicodedata import ucd_3_2_0

import json5

QUOTED_OR_COMMENT = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|//[^\n\r\u2028\u2029]*|/\*.*?\*/", re.S)
KNOWN = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nl", "Mn", "Mc", "Nd", "Pc", "Zs", "Zl", "Zp", "Cf"}
"""General categories of names, white space, U+200C, U+200D and U+FEFF."""


def accepts(text: str) -> bool:
    try:
        json5.loads(text)
    except ValueError:
        return False
    bare = QUOTED_OR_COMMENT.sub(" ", text)
    return "\\" not in bare and all(char.isascii() or (char < "\U00010000" and ucd_3_2_0.category(char) in KNOWN) for char in bare)
