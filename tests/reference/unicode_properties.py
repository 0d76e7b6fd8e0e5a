r"""Scripts and binary properties of characters, as the packages `regex` (scripts) and `regress` (an ECMA-262 engine) know them.

``python -m tests.reference.unicode_properties`` writes them to structgen/automata/unicode_properties.txt, one property a line:
its names (without case, spaces and underscores), a colon, and in hexadecimal, in turn, how many characters it lacks and has.
Source of the names: ECMA-262, tables "Binary Unicode property aliases and their canonical property names" and 2025's
"Nonbinary Unicode property aliases".
"""

from __future__ import annotations

from pathlib import Path

import regex
import regress
from regex._regex_core import PROPERTIES

from structgen.automata.charset import Ranges, normalize

FILE = Path(__file__).parents[2] / "structgen" / "automata" / "unicode_properties.txt"
TEXT = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
BINARY = """
ASCII_Hex_Digit AHex|Alphabetic Alpha|Bidi_Control Bidi_C|Bidi_Mirrored Bidi_M|Case_Ignorable CI|Cased|Changes_When_Casefolded CWCF
Changes_When_Casemapped CWCM|Changes_When_Lowercased CWL|Changes_When_NFKC_Casefolded CWKCF|Changes_When_Titlecased CWT
Changes_When_Uppercased CWU|Dash|Default_Ignorable_Code_Point DI|Deprecated Dep|Diacritic Dia|Emoji|Emoji_Component EComp
Emoji_Modifier EMod|Emoji_Modifier_Base EBase|Emoji_Presentation EPres|Extended_Pictographic ExtPict|Extender Ext
Grapheme_Base Gr_Base|Grapheme_Extend Gr_Ext|Hex_Digit Hex|IDS_Binary_Operator IDSB|IDS_Trinary_Operator IDST|ID_Continue IDC
ID_Start IDS|Ideographic Ideo|Join_Control Join_C|Logical_Order_Exception LOE|Lowercase Lower|Math|Noncharacter_Code_Point NChar
Pattern_Syntax Pat_Syn|Pattern_White_Space Pat_WS|Quotation_Mark QMark|Radical|Regional_Indicator RI|Sentence_Terminal STerm
Soft_Dotted SD|Terminal_Punctuation Term|Unified_Ideograph UIdeo|Uppercase Upper|Variation_Selector VS|White_Space space
XID_Continue XIDC|XID_Start XIDS
""".strip().replace("\n", "|").split("|")  # fmt: skip


def properties() -> dict[tuple[str, ...], Ranges]:
    """The characters of each property, by its names; scripts as ``sc=...`` and their extensions as ``scx=...``."""
    found = {tuple(map(_plain, names.split())): _ecma(names.split()[0]) for names in BINARY}
    scripts: dict[int, list[str]] = {}
    for name, number in PROPERTIES["SCRIPT"][1].items():
        scripts.setdefault(number, []).append(name.lower())
    for names in scripts.values():
        for prefix in ("sc", "scx"):
            found[tuple(f"{prefix}={name}" for name in names)] = _found(regex.compile(rf"\p{{{prefix}={names[0]}}}+"))
    return found


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _found(pattern: regex.Pattern[str]) -> Ranges:
    return normalize((ord(TEXT[m.start()]), ord(TEXT[m.end() - 1])) for m in pattern.finditer(TEXT))


def _ecma(name: str) -> Ranges:
    pattern = regress.Regex(rf"^\p{{{name}}}$", "u")
    return normalize((ord(char), ord(char)) for char in TEXT if pattern.find(char))


def written(properties: dict[tuple[str, ...], Ranges]) -> str:
    """The file. Ranges that only surrogates interrupt are one."""
    lines = []
    for names, ranges in properties.items():
        at, numbers = 0, []
        for low, high in ranges:
            numbers += [f"{low - at:x}", f"{high + 1 - low:x}"]
            at = high + 1
        lines.append(f"{' '.join(names)}: {' '.join(numbers)}\n")
    return "".join(lines)


if __name__ == "__main__":
    FILE.write_text(written(properties()))
