"""Rule bodies as lazily determinised automata whose edges are bytes and calls of other rules.

A program is a list of instructions (4 words each); an element is (instruction, sub), where sub is the progress inside a
literal, a string state, or a loop count; a D-state is an interned set of elements, closed under the instructions that
consume nothing. Bytes lead from D-state to D-state (computed on first use and memoised); calls of a D-state are triples
(rule, D-state to return to, capture flag). Because element sets are interned, equal situations are one state.

The construction is the subset construction (Rabin & Scott 1959) for a recursive transition network (Woods 1970).
"""

from structgen.automata._arena import (
    DEAD,
    DSTATE,
    FRESH,
    HEADER,
    LISTS_END,
    LP,
    OK,
    SCRATCH_END,
    SP,
    STATUS,
    TOO_LARGE,
    UNKNOWN,
    VISITED,
    alloc,
    clear_visited,
    intern,
    sort_pairs,
    visit,
)
from structgen.automata._names_kernels import NULLABLE
from structgen.automata._string_kernels import END, S_PHASE, hex_digit, short_escape, string_accepts, string_live_bytes, string_step
from structgen.automata.jit import inlined, kernel

# Instructions: op, a, b, c. Addresses are arena offsets. BYTE low high scope; CALL rule capture scope, where capture has the bits
# of _names_kernels; LITERAL characters n scope; ACCEPT - - scope; SPLIT a b; JUMP a. Scope: see _names_kernels, 0 if names do not matter.
BYTE, JUMP, SPLIT, CALL, LITERAL, STRING_OP, ACCEPT, COUNT_START, COUNT_NEXT, FAIL = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
WIDTH = 4
CLOSING = 1  # in b of the JUMP from the separator of a counted repetition back to its item
# A rule cell: start D-state (0: not computed yet), first instruction, sub of the first element, the value if it is an item with one only.
R_START, R_CODE, R_SUB, R_VALUE = 0, 1, 2, 3
R_SIZE = 4

# Fields of a D-state, from its id.
D_FLAGS, D_CALLS, D_N_CALLS, D_ROW, D_N_LIVE, D_INLINE_BYTES, D_INLINE, D_LIVE, D_SCOPE, D_LEAST = 2, 3, 4, 5, 6, 7, 8, 12, 20, 21
D_FIELDS = 20  # D_LEAST: memory of _scope_kernels
D_KEY = HEADER + D_FIELDS
HAS_ACCEPT, HAS_BYTES, HAS_CALLS, IS_STRING = 1, 2, 4, 8

# Progress in a LITERAL: (index of the character) * 16 + spelling; index 0 is the opening quote, n + 1 the closing one.
# Spelling: 0 none, 1..3 UTF-8 bytes read, 4 backslash read, 5..8 \u and 0..3 digits, 9 the \ of the low half wanted,
# 10 its u wanted, 11..14 its digits wanted.


@kernel("void(i4[::1], i8, i8)")
def _close(h, ip, sub):
    """Append to the element list on the scratch stack every element reachable from this one without consuming."""
    base = h[LP]
    top = base
    h[top], h[top + 1] = ip, sub
    top += 2
    while top > base:
        top -= 2
        ip, sub = h[top], h[top + 1]
        if not visit(h, VISITED, ip, sub):
            continue
        op, a, b, c = h[ip], h[ip + 1], h[ip + 2], h[ip + 3]
        if top + 8 > h[LISTS_END] or h[SP] + 4 > h[SCRATCH_END]:
            h[STATUS] = TOO_LARGE
            return
        if op == JUMP:
            h[top], h[top + 1] = a, sub
            top += 2
        elif op == SPLIT:
            h[top], h[top + 1], h[top + 2], h[top + 3] = b, sub, a, sub
            top += 4
        elif op == COUNT_START:  # a: end, b: min, c: max
            if b == 0:
                h[top], h[top + 1] = a, 0
                top += 2
            if c != 0:
                h[top], h[top + 1] = ip + WIDTH, 0
                top += 2
        elif op == COUNT_NEXT:  # a: the next round, b: min, c: max; sub rounds were finished before this one
            n = sub + 1
            if c < 0 and n > b:
                n = b
            if n >= b:
                h[top], h[top + 1] = ip + WIDTH, 0
                top += 2
            if c < 0 or n < c:
                h[top], h[top + 1] = a, n
                top += 2
        elif op != FAIL:
            at = h[SP]
            h[at], h[at + 1] = ip, sub
            h[SP] = at + 2
            if op == CALL and b & NULLABLE:
                h[top], h[top + 1] = ip + WIDTH, sub
                top += 2


@kernel("i8(i8, i8, i8)")
def _utf8_byte(char, i, n):
    """Byte i of the n-byte UTF-8 form of a character."""
    if n == 1:
        return char
    if i == 0:
        return ((0xF00 >> n) & 0xFF) | (char >> (6 * (n - 1)))
    return 0x80 | ((char >> (6 * (n - 1 - i))) & 0x3F)


@kernel("i8(i8)")
def _utf8_size(char):
    return 1 if char < 0x80 else (2 if char < 0x800 else (3 if char < 0x10000 else 4))


@kernel("i8(i8, i8, i8)")
def _literal_char(char, spelling, b):
    """Next spelling of a character in a JSON literal after byte b; 0: the character is complete, -1: not a spelling of it."""
    size = _utf8_size(char)
    if spelling < 4:
        if spelling == 0 and b == 92:
            return 4
        if char < 32 or char == 34 or char == 92 or b != _utf8_byte(char, spelling, size):
            return -1
        return 0 if spelling + 1 == size else spelling + 1
    if spelling == 4:
        if b == 117:
            return 5
        return 0 if short_escape(b) == char else -1
    if spelling == 9:
        return 10 if b == 92 else -1
    if spelling == 10:
        return 11 if b == 117 else -1
    unit, k = char, spelling - 5
    if char >= 0x10000:
        unit = 0xD800 + ((char - 0x10000) >> 10)
    if spelling >= 11:
        unit, k = 0xDC00 + (char & 0x3FF), spelling - 11
    if hex_digit(b) != (unit >> (4 * (3 - k))) & 15:
        return -1
    if k < 3:
        return spelling + 1
    return 9 if char >= 0x10000 and spelling < 11 else 0


@inlined
def _literal_step(h, ip, sub, b):
    """Progress in the literal after byte b: -1 dead, -2 complete."""
    chars, n = h[ip + 1], h[ip + 2]
    index, spelling = sub >> 4, sub & 15
    if index == 0 or (index == n + 1 and spelling == 0):
        if b != 34:
            return -1
        return -2 if index else 16
    spelling = _literal_char(h[chars + index - 1], spelling, b)
    if spelling < 0:
        return -1
    return ((index + 1) << 4) if spelling == 0 else (index << 4) | spelling


@inlined
def _literal_live_bytes(h, ip, sub, bitmap):
    chars, n = h[ip + 1], h[ip + 2]
    index = sub >> 4
    if index == 0 or index == n + 1:
        h[bitmap + 1] |= 1 << 2  # the quote, 34 = 32 + 2
        return
    if sub & 15 == 0:  # the usual case, without trying all bytes
        h[bitmap + 2] |= 1 << 28  # the backslash, 92 = 64 + 28
        char = h[chars + index - 1]
        if char >= 32 and char != 34 and char != 92:
            b = _utf8_byte(char, 0, _utf8_size(char))
            h[bitmap + (b >> 5)] |= 1 << (b & 31)
        return
    for b in range(256):
        if _literal_char(h[chars + index - 1], sub & 15, b) >= 0:
            h[bitmap + (b >> 5)] |= 1 << (b & 31)


@kernel("void(i4[::1], i8)")
def _describe(h, d):
    """Fill the fields of a new D-state: flags, live bytes, and inline transitions if at most four bytes are live."""
    n = (h[d + 1] >> 4) >> 1
    flags, bitmap = 0, d + D_LIVE
    for i in range(n):
        ip, sub = h[d + D_KEY + 2 * i], h[d + D_KEY + 2 * i + 1]
        op = h[ip]
        if op != STRING_OP:
            h[d + D_SCOPE] = h[ip + 3]
        if op == ACCEPT:
            flags |= HAS_ACCEPT
        elif op == CALL:
            flags |= HAS_CALLS
        elif op == BYTE:
            flags |= HAS_BYTES
            for b in range(h[ip + 1], h[ip + 2] + 1):
                h[bitmap + (b >> 5)] |= 1 << (b & 31)
        elif op == LITERAL:
            flags |= HAS_BYTES
            _literal_live_bytes(h, ip, sub, bitmap)
        elif op == STRING_OP:
            flags |= HAS_BYTES
            if n == 1:
                flags |= IS_STRING
            if string_accepts(h, sub):
                flags |= HAS_ACCEPT
            string_live_bytes(h, sub, bitmap)
    live = 0
    for b in range(256):
        if h[bitmap + (b >> 5)] >> (b & 31) & 1:
            if live < 4:
                h[d + D_INLINE_BYTES] |= b << (8 * live)
                h[d + D_INLINE + live] = UNKNOWN
            live += 1
    h[d + D_N_LIVE] = live
    h[d + D_FLAGS] = flags


@inlined
def _loop_of(h, ip):
    """The COUNT_NEXT of the counted repetition around an instruction, 0 if there is none (see `lowering._Body._counted`)."""
    while h[ip] != ACCEPT:
        if h[ip] == COUNT_NEXT:
            return ip
        ip = h[ip + 1] if h[ip] == JUMP and h[ip + 2] == CLOSING else ip + WIDTH
    return 0


@kernel("i8(i4[::1], i8, i8)")
def _drop_counts(h, base, n):
    """Drop elements that say nothing new from n sorted ones; how many are left.

    After c finished rounds of {low,high} and the one being read, between max(0, low - c - 1) and high - c - 1 rounds may
    follow. Where the same round is read with several c, what matters is the union of these ranges: a count whose range is
    covered by those of its neighbours adds no text. At most about 2 high / (high - low + 1) counts are left."""
    kept, i = 0, 0
    while i < n:
        ip, first, begin = h[base + 2 * i], kept, i
        while i < n and h[base + 2 * i] == ip:
            i += 1
        loop = 0
        if i - begin > 1 and h[ip] != LITERAL and h[ip] != STRING_OP:
            loop = _loop_of(h, ip)
        low, high = h[loop + 2], h[loop + 3]
        for j in range(begin, i):
            c = h[base + 2 * j + 1]
            contained = False
            while loop and kept > first:
                last = h[base + 2 * kept - 1]
                if max(0, low - last - 1) == max(0, low - c - 1):
                    contained = True
                    break
                before = h[base + 2 * kept - 3] if kept - first > 1 else -1
                if high >= 0 and (before < 0 or max(0, low - before - 1) > high - c):
                    break
                kept -= 1
            if not contained:
                h[base + 2 * kept], h[base + 2 * kept + 1] = ip, c
                kept += 1
    return kept


@kernel("i8(i4[::1], i8)")
def _intern_elements(h, base):
    """The D-state of the elements on the scratch stack from ``base``, which are popped; DEAD if there are none."""
    n = (h[SP] - base) >> 1
    if n == 0 or h[STATUS] == TOO_LARGE:
        h[SP] = base
        return DEAD
    sort_pairs(h, base, n)
    n = _drop_counts(h, base, n)
    d = intern(h, DSTATE, D_FIELDS, base, 2 * n)
    h[SP] = base
    if h[FRESH]:
        _describe(h, d)
    return d


@kernel("i8(i4[::1], i8, i8)")
def unite(h, first, n):
    """The D-state with the elements of n D-states, each the first word of a triple listed from ``first``."""
    clear_visited(h, VISITED)
    base = h[SP]
    for i in range(n):
        d = h[first + 3 * i]
        for j in range((h[d + 1] >> 4) >> 1):
            ip, sub = h[d + D_KEY + 2 * j], h[d + D_KEY + 2 * j + 1]
            if h[SP] + 64 > h[SCRATCH_END]:
                h[STATUS] = TOO_LARGE
            elif visit(h, VISITED, ip, sub):
                h[h[SP]], h[h[SP] + 1] = ip, sub
                h[SP] += 2
    return _intern_elements(h, base)


@kernel("i8(i4[::1], i8, i8)")
def _step(h, d, b):
    """Compute the D-state after byte b."""
    clear_visited(h, VISITED)
    base = h[SP]
    n = (h[d + 1] >> 4) >> 1
    for i in range(n):
        ip, sub = h[d + D_KEY + 2 * i], h[d + D_KEY + 2 * i + 1]
        op = h[ip]
        if op == BYTE:
            if h[ip + 1] <= b <= h[ip + 2]:
                _close(h, ip + WIDTH, sub)
        elif op == LITERAL:
            s = _literal_step(h, ip, sub, b)
            if s >= 0:
                _close(h, ip, s)
            elif s == -2:
                _close(h, ip + WIDTH, 0)
        elif op == STRING_OP:
            s = string_step(h, sub, b)
            if s >= 0:
                if h[s + S_PHASE] == END:
                    _close(h, ip + WIDTH, 0)
                else:
                    _close(h, ip, s)
    return _intern_elements(h, base)


@kernel("i8(i4[::1], i8, i8)")
def transition(h, d, b):
    """The D-state after byte b, DEAD if there is none."""
    if not h[d + D_LIVE + (b >> 5)] >> (b & 31) & 1:
        return DEAD
    n_live = h[d + D_N_LIVE]
    if n_live <= 4:
        packed = h[d + D_INLINE_BYTES]
        i = 0
        while (packed >> (8 * i)) & 255 != b:
            i += 1
        cell = d + D_INLINE + i
    else:
        row = h[d + D_ROW]
        if row == 0:
            row = alloc(h, 256)
            for i in range(256):
                h[row + i] = UNKNOWN
            h[d + D_ROW] = row
        cell = row + b
    t = h[cell]
    if t == UNKNOWN:
        t = _step(h, d, b)
        if h[STATUS] == OK:
            h[cell] = t
    return t


@kernel("i8(i4[::1], i8)")
def rule_start(h, rule):
    """The start D-state of a rule."""
    d = h[rule + R_START]
    if d == 0:
        clear_visited(h, VISITED)
        base = h[SP]
        _close(h, h[rule + R_CODE], h[rule + R_SUB])
        d = _intern_elements(h, base)
        if h[STATUS] == OK:
            h[rule + R_START] = d
    return d


@kernel("i8(i4[::1], i8)")
def calls(h, d):
    """Offset of the calls of a D-state: D_N_CALLS triples (rule, D-state to return to, capture flag)."""
    if h[d + D_CALLS]:
        return h[d + D_CALLS]
    n = (h[d + 1] >> 4) >> 1
    found = h[LP]
    count = 0
    for i in range(n):
        ip = h[d + D_KEY + 2 * i]
        if h[ip] != CALL:
            continue
        rule, capture = h[ip + 1], h[ip + 2]
        known = False
        for j in range(count):
            if h[found + 3 * j] == rule and h[found + 3 * j + 2] == capture:
                known = True
                break
        if known:
            continue
        if found + 3 * count + 64 > h[LISTS_END]:
            h[STATUS] = TOO_LARGE
            break
        h[LP] = found + 3 * (count + 1)
        clear_visited(h, VISITED)
        base = h[SP]
        for j in range(i, n):
            at = d + D_KEY + 2 * j
            jp = h[at]
            if h[jp] == CALL and h[jp + 1] == rule and h[jp + 2] == capture:
                _close(h, jp + WIDTH, h[at + 1])
        back = _intern_elements(h, base)
        h[found + 3 * count], h[found + 3 * count + 1], h[found + 3 * count + 2] = rule, back, capture
        count += 1
    h[LP] = found
    block = alloc(h, 3 * count + 1)
    for i in range(3 * count):
        h[block + i] = h[found + i]
    h[d + D_N_CALLS] = count
    if h[STATUS] == OK:
        h[d + D_CALLS] = block
    return block
