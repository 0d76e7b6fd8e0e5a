"""JSON values from their texts, as interned records: equal values have one id, however they were written.

A value is the record [type, content...]: the digits and exponent of a number without superfluous zeros, the bytes of a string, the
ids of the items of an array, the pairs of ids of the members of an object sorted by key. Texts are known to be valid JSON.
"""

from structgen.automata._arena import LISTS_END, LP, SCRATCH_END, SP, STATUS, TOO_LARGE, VALUE, intern
from structgen.automata._string_kernels import hex_digit, short_escape
from structgen.automata.jit import inlined, kernel

NULL, TRUE, FALSE, NUMBER, STRING, ARRAY, OBJECT = 1, 2, 3, 4, 5, 6, 7
MAX_EXPONENT = 1 << 30  # greater ones count as this


@kernel("i8(i4[::1], i8, i8)")
def put_utf8(h, at, char):
    """Write the UTF-8 bytes of a character, one per word; the offset after them."""
    if char < 0x80:
        h[at] = char
        return at + 1
    if char < 0x800:
        h[at] = 0xC0 | (char >> 6)
    else:
        if char < 0x10000:
            h[at] = 0xE0 | (char >> 12)
        else:
            h[at], h[at + 1] = 0xF0 | (char >> 18), 0x80 | ((char >> 12) & 0x3F)
            at += 1
        h[at + 1] = 0x80 | ((char >> 6) & 0x3F)
        at += 1
    h[at + 1] = 0x80 | (char & 0x3F)
    return at + 2


@kernel("i8(i4[::1], i8, i8, i8)")
def unescape(h, i, end, out):
    """Write the value of the inside of a JSON string, the words i..end up to a closing quote, to ``out``, one byte per word; the
    offset after it. An unfinished escape at the end is left out."""
    high = 0
    while i < end and h[i] != 34:
        b = h[i]
        if b != 92:
            h[out] = b
            out += 1
            i += 1
            continue
        if i + 1 >= end:
            break
        if h[i + 1] != 117:
            h[out] = short_escape(h[i + 1])
            out += 1
            i += 2
            continue
        if i + 6 > end:
            break
        unit = (hex_digit(h[i + 2]) << 12) | (hex_digit(h[i + 3]) << 8) | (hex_digit(h[i + 4]) << 4) | hex_digit(h[i + 5])
        i += 6
        if 0xD800 <= unit <= 0xDBFF:
            high = 0x10000 + ((unit - 0xD800) << 10)
        else:
            out = put_utf8(h, out, high + unit - 0xDC00 if high else unit)
            high = 0
    return out


@inlined
def _write_number(h, i, end, out):
    """Write the content of the number that begins at word i to ``out``: sign, exponent, digits; nothing for zero.
    Returns the offsets behind both, packed (the text in the lower 32 bits)."""
    negative = h[i] == 45
    i += negative
    digits = out + 2
    top, exponent, point = digits, 0, False
    while i < end and (48 <= h[i] <= 57 or h[i] == 46):
        if h[i] == 46:
            point = True
        else:
            exponent -= point
            if top > digits or h[i] != 48:
                h[top] = h[i]
                top += 1
        i += 1
    if i < end and (h[i] == 101 or h[i] == 69):
        i += 1
        minus = h[i] == 45
        if h[i] == 45 or h[i] == 43:
            i += 1
        power = 0
        while i < end and 48 <= h[i] <= 57:
            power = min(MAX_EXPONENT, power * 10 + h[i] - 48)
            i += 1
        exponent += -power if minus else power
    while top > digits and h[top - 1] == 48:
        top -= 1
        exponent += 1
    if top == digits:
        top = out
    else:
        h[out], h[out + 1] = negative, exponent
    return top << 32 | i


@inlined
def _sort_members(h, base, n):
    """Insertion sort of n pairs by their first word."""
    for i in range(1, n):
        x, y, j = h[base + 2 * i], h[base + 2 * i + 1], i
        while j > 0 and h[base + 2 * j - 2] > x:
            h[base + 2 * j], h[base + 2 * j + 1] = h[base + 2 * j - 2], h[base + 2 * j - 1]
            j -= 1
        h[base + 2 * j], h[base + 2 * j + 1] = x, y


@kernel("i8(i4[::1], i8, i8)")
def json_value(h, at, n):
    """The id of the value of the JSON text in the n words from ``at``."""
    end, sp, marks = at + n, h[SP], h[LP]
    top, depth, i = sp, 0, at  # finished values, and where those of each open array and object begin
    while i < end:
        if top + n + 64 > h[SCRATCH_END] or marks + depth + 64 > h[LISTS_END]:
            h[STATUS] = TOO_LARGE
            return 0
        b, size = h[i], -1
        if b == 91 or b == 123:
            h[marks + depth] = top
            depth += 1
            h[top] = ARRAY if b == 91 else OBJECT
            top += 1
            i += 1
        elif b == 93 or b == 125:
            depth -= 1
            size = top - h[marks + depth]
            top = h[marks + depth]
            if b == 125:
                _sort_members(h, top + 1, (size - 1) >> 1)
            i += 1
        elif b == 34:
            h[top] = STRING
            size = unescape(h, i + 1, end, top + 1) - top
            i += 1
            while h[i] != 34:
                i += 2 if h[i] == 92 else 1
            i += 1
        elif b == 45 or 48 <= b <= 57:
            h[top] = NUMBER
            packed = _write_number(h, i, end, top + 1)
            i, size = packed & 0xFFFFFFFF, (packed >> 32) - top
        elif b == 110 or b == 116 or b == 102:
            h[top] = NULL if b == 110 else (TRUE if b == 116 else FALSE)
            i, size = i + (5 if b == 102 else 4), 1
        else:
            i += 1  # white space, comma, colon
        if size >= 0:
            h[SP] = top + size
            h[top] = intern(h, VALUE, 0, top, size)
            top += 1
    h[SP] = sp
    return h[top - 1]


@kernel("i8(i4[::1], i8, i8)", entry=True)
def value_id(h, at, n):
    """`json_value` for the host."""
    return json_value(h, at, n)
