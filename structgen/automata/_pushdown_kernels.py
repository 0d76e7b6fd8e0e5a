"""The pushdown machine: states are interned sets of configurations (D-state, data, stack), advanced byte by byte.

A stack is the id of its top node (D-state to return to, data, parent, capture flag); 0 is the empty stack. ``data`` is 0
except inside a scope of distinct names, where it is the set of names recorded so far, and inside a captured lexeme, whose
stack node has the capture flag, where it is the text read so far. When a captured lexeme ends, its value joins the scope's
set; a value already in the set ends the configuration. Configurations are kept closed under returning from finished rules.

A step costs one transition and one intern per configuration, about 0.1-0.3 us.
"""

from structgen.automata._arena import (
    CANON,
    DEAD,
    HEADER,
    KEYSET,
    LISTS_END,
    LP,
    N_VOCAB,
    OK,
    SCRATCH_END,
    SP,
    STACK,
    STATE,
    STATUS,
    TEXT,
    TOO_LARGE,
    VOCAB,
    VOCAB_BYTES,
    intern,
)
from structgen.automata._state_kernels import D_FLAGS, D_N_CALLS, HAS_ACCEPT, HAS_BYTES, HAS_CALLS, calls, rule_start, transition
from structgen.automata._string_kernels import hex_digit, short_escape
from structgen.automata.jit import kernel

# A stack node, from its id.
K_RETURN, K_DATA, K_PARENT, K_CAPTURE = 2, 3, 4, 5
# A state: two fields, then the key: accepting flag and the configurations, three words each.
S_MASK, S_SPARE, S_ACCEPTING, S_CONFIGS = 2, 3, 4, 5
S_FIELDS = 2


@kernel("i8(i4[::1], i8)")
def n_configs(h, state):
    return ((h[state + 1] >> 4) - 1) // 3


@kernel("i8(i4[::1], i8, i8, i8, i8)")
def push(h, back, data, parent, capture):
    at = h[SP]
    h[at], h[at + 1], h[at + 2], h[at + 3] = back, data, parent, capture
    return intern(h, STACK, 0, at, 4)


@kernel("i8(i4[::1], i8, i8)")
def extend_text(h, text, b):
    at = h[SP]
    h[at], h[at + 1] = text, b
    return intern(h, TEXT, 0, at, 2)


@kernel("i8(i4[::1], i8, i8)")
def _put_utf8(h, at, char):
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


@kernel("i8(i4[::1], i8)")
def decode_text(h, text):
    """Write the value of the JSON string read so far at the scratch stack, one byte per word; its length.
    The opening quote is dropped, a closing one too; an unfinished escape at the end is left out."""
    n, t = 0, text
    while t:
        n += 1
        t = h[t + 2]
    base = h[SP]
    if base + 2 * n + 64 > h[SCRATCH_END]:
        h[STATUS] = TOO_LARGE
        return 0
    t, i = text, base + n
    while t:
        i -= 1
        h[i] = h[t + 3]
        t = h[t + 2]
    out, i, end, high = base, base + 1, base + n, 0
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
            out = _put_utf8(h, out, high + unit - 0xDC00 if high else unit)
            high = 0
    return out - base


@kernel("i8(i4[::1], i8, i8)")
def add_name(h, names, text):
    """The set of names with the value of the captured text added, -1 if it is already there. 0 is the empty set."""
    n = decode_text(h, text)
    name = intern(h, CANON, 0, h[SP], n)
    at, count = h[SP], 0
    size = (h[names + 1] >> 4) if names else 0
    placed = False
    for i in range(size):
        known = h[names + HEADER + i]
        if known == name:
            return -1
        if known > name and not placed:
            h[at + count] = name
            count += 1
            placed = True
        h[at + count] = known
        count += 1
    if not placed:
        h[at + count] = name
        count += 1
    return intern(h, KEYSET, 0, at, count)


@kernel("i8(i4[::1], i8, i8, i8, i8)")
def _settle(h, base, d, data, stack):
    """Add (d, data, stack), and what is reached by returning from finished rules, to the configurations listed on the
    scratch stack from ``base``. 1 if the whole grammar is finished."""
    while True:
        flags = h[d + D_FLAGS]
        if flags & (HAS_BYTES | HAS_CALLS):
            at = base
            while at < h[SP] and not (h[at] == d and h[at + 1] == data and h[at + 2] == stack):
                at += 3
            if at == h[SP]:
                if at + 16 > h[SCRATCH_END] or at - base > 3 * 8192:
                    h[STATUS] = TOO_LARGE
                    return 0
                h[at], h[at + 1], h[at + 2] = d, data, stack
                h[SP] = at + 3
        if not flags & HAS_ACCEPT:
            return 0
        if stack == 0:
            return 1
        if h[stack + K_CAPTURE]:
            data = add_name(h, h[stack + K_DATA], data)
            if data < 0:
                return 0
        else:
            data = h[stack + K_DATA]
        d = h[stack + K_RETURN]
        stack = h[stack + K_PARENT]


@kernel("i8(i4[::1], i8, i8)")
def _intern_state(h, base, accepting):
    """The state of the configurations listed from ``base``, which are popped; DEAD if nothing is left."""
    n = (h[SP] - base) // 3
    if n == 0 and not accepting:
        h[SP] = base
        return DEAD
    for i in range(1, n):  # insertion sort: configurations are few and nearly sorted
        x, y, z = h[base + 3 * i], h[base + 3 * i + 1], h[base + 3 * i + 2]
        j = i - 1
        while j >= 0:
            u, v, w = h[base + 3 * j], h[base + 3 * j + 1], h[base + 3 * j + 2]
            if u < x or (u == x and (v < y or (v == y and w <= z))):
                break
            h[base + 3 * j + 3], h[base + 3 * j + 4], h[base + 3 * j + 5] = u, v, w
            j -= 1
        h[base + 3 * j + 3], h[base + 3 * j + 4], h[base + 3 * j + 5] = x, y, z
    h[base - 1] = accepting
    s = intern(h, STATE, S_FIELDS, base - 1, 3 * n + 1)
    h[SP] = base
    return s


@kernel("i8(i4[::1], i8)", entry=True)
def initial_state(h, rule):
    """The state before the first byte of a grammar whose start rule is given."""
    h[SP] += 1
    base = h[SP]
    d = rule_start(h, rule)
    s = DEAD
    if d != DEAD:
        accepting = _settle(h, base, d, 0, 0)
        s = _intern_state(h, base, accepting)
    h[SP] = base - 1
    return s


@kernel("i8(i4[::1], i8, i8)", entry=True)
def step(h, state, b):
    """The state after byte b, DEAD if the grammar does not continue so."""
    h[SP] += 1
    base = h[SP]
    work = h[LP]
    top = work
    accepting = 0
    for i in range(n_configs(h, state)):
        c = state + S_CONFIGS + 3 * i
        h[top], h[top + 1], h[top + 2] = h[c], h[c + 1], h[c + 2]
        top += 3
        while top > work:
            top -= 3
            d, data, stack = h[top], h[top + 1], h[top + 2]
            flags = h[d + D_FLAGS]
            if flags & HAS_BYTES:
                t = transition(h, d, b)
                if t >= 0:
                    read = extend_text(h, data, b) if stack and h[stack + K_CAPTURE] else data
                    accepting |= _settle(h, base, t, read, stack)
            if flags & HAS_CALLS:
                h[LP] = top
                block = calls(h, d)
                if top + 3 * h[d + D_N_CALLS] + 64 > h[LISTS_END]:
                    h[STATUS] = TOO_LARGE
                if h[STATUS] != OK:
                    break
                for j in range(h[d + D_N_CALLS]):
                    rule, back, capture = h[block + 3 * j], h[block + 3 * j + 1], h[block + 3 * j + 2]
                    start = rule_start(h, rule)
                    if start == DEAD:
                        continue
                    node = stack
                    if capture or h[back + D_FLAGS] != HAS_ACCEPT:
                        node = push(h, back, data, stack, capture)
                    h[top], h[top + 1], h[top + 2] = start, 0, node
                    top += 3
    h[LP] = work
    s = _intern_state(h, base, accepting)
    h[SP] = base - 1
    return s if h[STATUS] == OK else DEAD


@kernel("i8(i4[::1], i8, i8)", entry=True)
def advance(h, state, token):
    """The state after a token, DEAD if it is not allowed (unknown ids and tokens without text never are)."""
    if state < 0 or token < 0 or token >= h[N_VOCAB]:
        return DEAD
    first, last = h[h[VOCAB] + token], h[h[VOCAB] + token + 1]
    if first == last:
        return DEAD
    for i in range(first, last):
        state = step(h, state, h[h[VOCAB_BYTES] + i])
        if state < 0:
            return DEAD
    return state


@kernel("i8(i4[::1], i8)")
def is_accepting(h, state):
    return h[state + S_ACCEPTING]
