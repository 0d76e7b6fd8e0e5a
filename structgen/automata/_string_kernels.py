"""String lexemes: a character automaton read through UTF-8 and, if quoted, through JSON escapes, with length counters.

A string state is (lexeme, content state q, phase, k, value, lo, hi): q has consumed all finished characters, phase/k/value
describe the character being spelled, and lo..hi more characters are wanted (hi = -1: no bound). States are interned, so
counted strings cost one small record per visited count and nothing is unrolled. A state exists only if a word can still
be finished from it (``_live``), hence there are no dead ends. Half-spelled characters whose every completion leads to the
same place share one state. Content that accepts everything from here on is the free lexeme: all lexemes share its states.
"""

from structgen.automata._arena import FREE_LEXEME, SP, STRING, intern
from structgen.automata.jit import inlined, kernel

# A lexeme block: these words, with pointers to its tables.
L_QUOTED, L_N_INTERVALS, L_STARTS, L_CLASSES, L_N_CLASSES, L_TABLE, L_FLAGS, L_ASCII = 0, 1, 2, 3, 4, 5, 6, 7
L_NEXT_LENGTH, L_COLUMNS, L_PERIOD, L_NON_ASCII, L_NEAR_FREE = 8, 9, 10, 11, 12
L_N_STATES, L_WEIGHTS = 13, 14  # characters per class, capped
L_SIZE = 15
Q_ACCEPT, Q_FREE = 1, 2  # flags of a content state: may end here; accepts everything from here on

# Fields of a string state (from its id) and its phases.
S_LEXEME, S_Q, S_PHASE, S_K, S_VALUE, S_LO, S_HI = 2, 3, 4, 5, 6, 7, 8
OPEN, NORMAL, UTF8, ESCAPE, HEX, LOW_BACKSLASH, LOW_U, LOW_HEX, END, UTF8_ANY, HEX_ANY = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
MAX_CHAR = 0x10FFFF


@kernel("i8(i4[::1], i8, i8)")
def _interval(h, lexeme, char):
    """Index of the interval of the lexeme's alphabet partition that holds the character."""
    starts = h[lexeme + L_STARTS]
    low, high = 0, h[lexeme + L_N_INTERVALS]
    while high - low > 1:
        mid = (low + high) >> 1
        if h[starts + mid] <= char:
            low = mid
        else:
            high = mid
    return low


@kernel("i8(i4[::1], i8, i8, i8)")
def content_next(h, lexeme, q, char):
    if char < 128:
        c = h[h[lexeme + L_ASCII] + char]
    else:
        c = h[h[lexeme + L_CLASSES] + _interval(h, lexeme, char)]
    return h[h[lexeme + L_TABLE] + q * h[lexeme + L_N_CLASSES] + c]


@kernel("i8(i4[::1], i8, i8, i8, i8)")
def _live(h, lexeme, q, lo, hi):
    """Whether some word of lo..hi characters is accepted from q (a table gives the next accepted length at or after lo)."""
    if q < 0:
        return 0
    table = h[lexeme + L_NEXT_LENGTH]
    if table == 0 or h[h[lexeme + L_FLAGS] + q] & Q_FREE:
        return 1 if hi < 0 or lo <= hi else 0
    columns, period = h[lexeme + L_COLUMNS], h[lexeme + L_PERIOD]
    shift = 0
    if lo >= columns:
        shift = ((lo - columns) // period + 1) * period
    length = h[table + q * columns + lo - shift]
    if length < 0:
        return 0
    return 1 if hi < 0 or length + shift <= hi else 0


@kernel("i8(i4[::1], i8, i8, i8, i8)")
def _uniform(h, lexeme, q, first, last):
    """The one state that all characters first..last lead to, or -2 if they differ."""
    i = _interval(h, lexeme, first)
    row = h[lexeme + L_TABLE] + q * h[lexeme + L_N_CLASSES]
    target = h[row + h[h[lexeme + L_CLASSES] + i]]
    i += 1
    while i < h[lexeme + L_N_INTERVALS] and h[h[lexeme + L_STARTS] + i] <= last:
        if h[row + h[h[lexeme + L_CLASSES] + i]] != target:
            return -2
        i += 1
    return target


@kernel("i8(i4[::1], i8, i8, i8, i8, i8, i8)")
def _any_live(h, lexeme, q, first, last, lo, hi):
    """Whether some character in first..last leads to a live state; lo and hi are the counts before that character."""
    if hi == 0 or first > last:
        return 0
    lo1, hi1 = max(lo - 1, 0), (hi - 1 if hi > 0 else -1)
    i = _interval(h, lexeme, first)
    row = h[lexeme + L_TABLE] + q * h[lexeme + L_N_CLASSES]
    while i < h[lexeme + L_N_INTERVALS] and h[h[lexeme + L_STARTS] + i] <= last:
        if _live(h, lexeme, h[row + h[h[lexeme + L_CLASSES] + i]], lo1, hi1):
            return 1
        i += 1
    return 0


@kernel("i8(i4[::1], i8, i8, i8, i8, i8, i8, i8)")
def string_state(h, lexeme, q, phase, k, value, lo, hi):
    """Intern a state (its liveness is the caller's business), in canonical form."""
    if phase == END or h[h[lexeme + L_FLAGS] + q] & Q_FREE:
        if h[lexeme + L_QUOTED]:
            lexeme, q = h[FREE_LEXEME], 0
    at = h[SP]
    h[at], h[at + 1], h[at + 2], h[at + 3], h[at + 4], h[at + 5], h[at + 6] = lexeme, q, phase, k, value, lo, hi
    return intern(h, STRING, 0, at, 7)


@kernel("i8(i4[::1], i8, i8, i8, i8, i8, i8, i8)")
def _finish_char(h, lexeme, q, phase, k, value, lo, hi):
    """The state after a character that leads to q, spelled up to (phase, k, value); lo, hi count it as not yet read."""
    if q < 0 or hi == 0:
        return -1
    lo1, hi1 = max(lo - 1, 0), (hi - 1 if hi > 0 else -1)
    if not _live(h, lexeme, q, lo1, hi1):
        return -1
    return string_state(h, lexeme, q, phase, k, value, lo1, hi1)


@kernel("i8(i4[::1], i8, i8, i8, i8, i8, i8)")
def _utf8(h, lexeme, q, k, value, lo, hi):
    """The state with k continuation bytes to come and leading bits ``value``."""
    if k == 0:
        return _finish_char(h, lexeme, content_next(h, lexeme, q, value), NORMAL, 0, 0, lo, hi)
    first, last, whole = value << (6 * k), ((value + 1) << (6 * k)) - 1, True
    if k == 2 and value == 0:
        first, whole = 0x800, False
    if k == 3 and value == 0:
        first, whole = 0x10000, False
    if last > MAX_CHAR:
        last, whole = MAX_CHAR, False
    if first <= 0xDFFF and last >= 0xD800:
        whole = False
    if whole:
        target = _uniform(h, lexeme, q, first, last)
        if target != -2:
            return _finish_char(h, lexeme, target, UTF8_ANY, k, 0, lo, hi)
    if not _any_live(h, lexeme, q, first, last, lo, hi):
        return -1
    return string_state(h, lexeme, q, UTF8, k, value, lo, hi)


@kernel("i8(i4[::1], i8, i8, i8, i8, i8, i8)")
def _hex(h, lexeme, q, k, value, lo, hi):
    """The state after k of the four hexadecimal digits of \\uXXXX with value so far."""
    if k == 4:
        if value < 0xD800 or value > 0xDFFF:
            return _finish_char(h, lexeme, content_next(h, lexeme, q, value), NORMAL, 0, 0, lo, hi)
        if value >= 0xDC00:
            return -1
        base = 0x10000 + ((value - 0xD800) << 10)
        target = _uniform(h, lexeme, q, base, base + 0x3FF)
        if target != -2:
            return _finish_char(h, lexeme, target, LOW_BACKSLASH, 0, -1, lo, hi)
        if not _any_live(h, lexeme, q, base, base + 0x3FF, lo, hi):
            return -1
        return string_state(h, lexeme, q, LOW_BACKSLASH, 0, base, lo, hi)
    first = value << (4 * (4 - k))
    last = first + (1 << (4 * (4 - k))) - 1
    if last < 0xD800 or first > 0xDFFF:
        target = _uniform(h, lexeme, q, first, last)
        if target != -2:
            return _finish_char(h, lexeme, target, HEX_ANY, 4 - k, 0, lo, hi)
    ok = _any_live(h, lexeme, q, first, min(last, 0xD7FF), lo, hi) or _any_live(h, lexeme, q, max(first, 0xE000), last, lo, hi)
    if not ok and last >= 0xD800 and first <= 0xDBFF:
        high0, high1 = max(first, 0xD800) - 0xD800, min(last, 0xDBFF) - 0xD800
        ok = _any_live(h, lexeme, q, 0x10000 + (high0 << 10), 0x10000 + (high1 << 10) + 0x3FF, lo, hi)
    if not ok:
        return -1
    return string_state(h, lexeme, q, HEX, k, value, lo, hi)


@kernel("i8(i8)")
def hex_digit(b):
    if 48 <= b <= 57:
        return b - 48
    if 97 <= b <= 102:
        return b - 87
    if 65 <= b <= 70:
        return b - 55
    return -1


@kernel("i8(i8)")
def short_escape(b):
    """The character that backslash + b stands for, -1 if none."""
    if b == 34 or b == 92 or b == 47:
        return b
    if b == 98:
        return 8
    if b == 102:
        return 12
    if b == 110:
        return 10
    if b == 114:
        return 13
    if b == 116:
        return 9
    return -1


@inlined
def _low_hex(h, lexeme, q, b, s, lo, hi):
    """A digit of the low half of a surrogate pair; VALUE is the first character still possible, -1 if all lead to q."""
    k, value, digit = h[s + S_K], h[s + S_VALUE], hex_digit(b)
    if digit < 0 or (k == 0 and digit != 13) or (k == 1 and digit < 12):
        return -1
    if value < 0:
        if k == 3:
            return string_state(h, lexeme, q, NORMAL, 0, 0, lo, hi)
        return string_state(h, lexeme, q, LOW_HEX, k + 1, -1, lo, hi)
    if k == 0:
        return string_state(h, lexeme, q, LOW_HEX, 1, value, lo, hi)
    value += (digit - 12) << 8 if k == 1 else (digit << 4 if k == 2 else digit)
    if k == 3:
        return _finish_char(h, lexeme, content_next(h, lexeme, q, value), NORMAL, 0, 0, lo, hi)
    if not _any_live(h, lexeme, q, value, value + (255 if k == 1 else 15), lo, hi):
        return -1
    return string_state(h, lexeme, q, LOW_HEX, k + 1, value, lo, hi)


@kernel("i8(i4[::1], i8, i8)")
def string_step(h, s, b):
    """The string state after byte b, -1 if no word continues so."""
    lexeme, q, phase = h[s + S_LEXEME], h[s + S_Q], h[s + S_PHASE]
    lo, hi = h[s + S_LO], h[s + S_HI]
    if phase == NORMAL:
        if h[lexeme + L_QUOTED]:
            if b == 34:
                if lo == 0 and h[h[lexeme + L_FLAGS] + q] & Q_ACCEPT:
                    return string_state(h, lexeme, q, END, 0, 0, 0, -1)
                return -1
            if b == 92:
                if not _any_live(h, lexeme, q, 0, MAX_CHAR, lo, hi):
                    return -1
                return string_state(h, lexeme, q, ESCAPE, 0, 0, lo, hi)
            if b < 32:
                return -1
        if b < 0x80:
            return _finish_char(h, lexeme, content_next(h, lexeme, q, b), NORMAL, 0, 0, lo, hi)
        if 0xC2 <= b <= 0xDF:
            return _utf8(h, lexeme, q, 1, b & 0x1F, lo, hi)
        if 0xE0 <= b <= 0xEF:
            return _utf8(h, lexeme, q, 2, b & 0x0F, lo, hi)
        if 0xF0 <= b <= 0xF4:
            return _utf8(h, lexeme, q, 3, b & 0x07, lo, hi)
        return -1
    k, value = h[s + S_K], h[s + S_VALUE]
    if phase == UTF8_ANY:
        if b & 0xC0 != 0x80:
            return -1
        if k == 1:
            return string_state(h, lexeme, q, NORMAL, 0, 0, lo, hi)
        return string_state(h, lexeme, q, UTF8_ANY, k - 1, 0, lo, hi)
    if phase == UTF8:
        if b & 0xC0 != 0x80:
            return -1
        if (k == 2 and value == 0 and b < 0xA0) or (k == 2 and value == 0xD and b >= 0xA0):
            return -1
        if (k == 3 and value == 0 and b < 0x90) or (k == 3 and value == 4 and b >= 0x90):
            return -1
        return _utf8(h, lexeme, q, k - 1, (value << 6) | (b & 0x3F), lo, hi)
    if phase == OPEN:
        return string_state(h, lexeme, q, NORMAL, 0, 0, lo, hi) if b == 34 else -1
    if phase == ESCAPE:
        if b == 117:
            return _hex(h, lexeme, q, 0, 0, lo, hi)
        c = short_escape(b)
        return _finish_char(h, lexeme, content_next(h, lexeme, q, c), NORMAL, 0, 0, lo, hi) if c >= 0 else -1
    if phase == HEX:
        digit = hex_digit(b)
        return _hex(h, lexeme, q, k + 1, value * 16 + digit, lo, hi) if digit >= 0 else -1
    if phase == HEX_ANY:
        if hex_digit(b) < 0:
            return -1
        if k == 1:
            return string_state(h, lexeme, q, NORMAL, 0, 0, lo, hi)
        return string_state(h, lexeme, q, HEX_ANY, k - 1, 0, lo, hi)
    if phase == LOW_BACKSLASH:
        return string_state(h, lexeme, q, LOW_U, 0, value, lo, hi) if b == 92 else -1
    if phase == LOW_U:
        return string_state(h, lexeme, q, LOW_HEX, 0, value, lo, hi) if b == 117 else -1
    if phase == LOW_HEX:
        return _low_hex(h, lexeme, q, b, s, lo, hi)
    return -1


@kernel("i8(i4[::1], i8)")
def string_accepts(h, s):
    """Whether the lexeme may end here (a quoted one only after its closing quote)."""
    phase, lexeme = h[s + S_PHASE], h[s + S_LEXEME]
    if phase == END:
        return 1
    if phase != NORMAL or h[lexeme + L_QUOTED] or h[s + S_LO]:
        return 0
    return h[h[lexeme + L_FLAGS] + h[s + S_Q]] & Q_ACCEPT


@kernel("i8(i4[::1], i8, i8, i8)", entry=True)
def string_start(h, lexeme, lo, hi):
    """The start state of a lexeme with length bounds, -1 if no word satisfies them."""
    if not _live(h, lexeme, 0, lo, hi):
        return -1
    return string_state(h, lexeme, 0, OPEN if h[lexeme + L_QUOTED] else NORMAL, 0, 0, lo, hi)


@inlined
def string_live_bytes(h, s, bitmap):
    """Set the bits (8 words at ``bitmap``) of all bytes that may have a successor (a superset)."""
    lexeme, phase = h[s + S_LEXEME], h[s + S_PHASE]
    quoted = h[lexeme + L_QUOTED]
    row = h[lexeme + L_TABLE] + h[s + S_Q] * h[lexeme + L_N_CLASSES]
    for b in range(256):
        on = False
        if phase == NORMAL:
            if b < 128:
                on = (h[row + h[h[lexeme + L_ASCII] + b]] >= 0 and (not quoted or b >= 32)) or (quoted and (b == 34 or b == 92))
            else:
                on = h[lexeme + L_NON_ASCII] != 0 and 0xC2 <= b <= 0xF4
        elif phase == UTF8 or phase == UTF8_ANY:
            on = 0x80 <= b <= 0xBF
        elif phase == OPEN:
            on = b == 34
        elif phase == ESCAPE:
            on = b == 117 or short_escape(b) >= 0
        elif phase == HEX or phase == HEX_ANY or phase == LOW_HEX:
            on = hex_digit(b) >= 0
        elif phase == LOW_BACKSLASH:
            on = b == 92
        elif phase == LOW_U:
            on = b == 117
        if on:
            h[bitmap + (b >> 5)] |= 1 << (b & 31)
