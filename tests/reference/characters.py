"""Characters as bytes, from the definitions: UTF-8 (RFC 3629) and the spellings inside a JSON string (RFC 8259, section 7).

A pending spelling is the bytes read so far of one character. `read` tells the character when the spelling is complete,
`possible` the code points some spelling of which begins with it.
"""

from __future__ import annotations

import re

SURROGATES = (0xD800, 0xDFFF)
LAST = 0x10FFFF
SHORT_ESCAPES = {b'\\"': 0x22, b"\\\\": 0x5C, b"\\/": 0x2F, b"\\b": 8, b"\\f": 12, b"\\n": 10, b"\\r": 13, b"\\t": 9}

Range = tuple[int, int]


def read(spelling: bytes, *, quoted: bool) -> int | None:
    """The code point of a complete spelling, None for anything else."""
    if quoted and spelling[:1] == b"\\":
        return read_escape(spelling)
    try:
        text = spelling.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if len(text) != 1 or (quoted and (text in '"\\' or text < " ")):
        return None
    return ord(text)


def read_escape(spelling: bytes) -> int | None:
    if spelling in SHORT_ESCAPES:
        return SHORT_ESCAPES[spelling]
    if not re.fullmatch(rb"(\\u[0-9a-fA-F]{4}){1,2}", spelling):
        return None
    units = [int(spelling[i + 2 : i + 6], 16) for i in range(0, len(spelling), 6)]
    if len(units) == 1:
        return None if is_surrogate(units[0]) else units[0]
    high, low = units
    if 0xD800 <= high <= 0xDBFF and 0xDC00 <= low <= 0xDFFF:
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
    return None


def possible(spelling: bytes, *, quoted: bool) -> list[Range]:
    """Inclusive ranges of the code points that a proper prefix of a spelling can still become; [] if none."""
    if quoted and spelling[:1] == b"\\":
        return possible_escape(spelling)
    lead = spelling[0]
    for n_bytes, marker, n_bits, low, high in ((2, 0xC0, 5, 0x80, 0x7FF), (3, 0xE0, 4, 0x800, 0xFFFF), (4, 0xF0, 3, 0x10000, LAST)):
        if lead >> n_bits == marker >> n_bits and len(spelling) < n_bytes and all(b >> 6 == 0b10 for b in spelling[1:]):
            value = lead & ((1 << n_bits) - 1)
            for b in spelling[1:]:
                value = value << 6 | b & 0x3F
            free = 6 * (n_bytes - len(spelling))
            return without_surrogates(max(low, value << free), min(high, (value + 1 << free) - 1))
    return []


def possible_escape(spelling: bytes) -> list[Range]:
    if spelling == b"\\":
        return without_surrogates(0, LAST)
    if found := re.fullmatch(rb"\\u([0-9a-fA-F]{0,4})", spelling):
        low, high = hex_range(found[1])
        pairs = supplementary(max(low, 0xD800), min(high, 0xDBFF), 0xDC00, 0xDFFF)
        return (without_surrogates(low, high) if len(found[1]) < 4 else []) + pairs
    if found := re.fullmatch(rb"\\u([0-9a-fA-F]{4})\\(?:u([0-9a-fA-F]{0,3}))?", spelling):
        high_unit = int(found[1], 16)
        low, high = hex_range(found[2] or b"")
        if 0xD800 <= high_unit <= 0xDBFF:
            return supplementary(high_unit, high_unit, max(low, 0xDC00), min(high, 0xDFFF))
    return []


def hex_range(digits: bytes) -> Range:
    """Smallest and largest 16-bit number whose four hexadecimal digits begin with these."""
    return int(digits.ljust(4, b"0"), 16), int(digits.ljust(4, b"f"), 16)


def supplementary(first_high: int, last_high: int, first_low: int, last_low: int) -> list[Range]:
    """Code points of the surrogate pairs with these units; several high units only together with all low units."""
    if first_high > last_high or first_low > last_low:
        return []
    return [
        (0x10000 + ((first_high - 0xD800) << 10) + first_low - 0xDC00, 0x10000 + ((last_high - 0xD800) << 10) + last_low - 0xDC00),
    ]


def is_surrogate(code_point: int) -> bool:
    return SURROGATES[0] <= code_point <= SURROGATES[1]


def without_surrogates(low: int, high: int) -> list[Range]:
    pieces = [(low, min(high, SURROGATES[0] - 1)), (max(low, SURROGATES[1] + 1), high)]
    return [(a, b) for a, b in pieces if a <= b]


def overlap(left: Range, right: Range) -> Range | None:
    low, high = max(left[0], right[0]), min(left[1], right[1])
    return (low, high) if low <= high else None
