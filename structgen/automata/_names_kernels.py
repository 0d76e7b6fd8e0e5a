"""Names and items that must be distinct: the text of a captured lexeme or item, its value, and sets of values.

A text is a linked list of bytes, the value of a name the bytes it stands for after unescaping, a set the sorted ids of values.
Whether names can run out is the business of _scope_kernels.
"""

from structgen.automata._arena import CANON, HEADER, KEYSET, SCRATCH_END, SP, STATUS, TEXT, TOO_LARGE, intern
from structgen.automata._value_kernels import json_value, unescape
from structgen.automata.jit import kernel

CAPTURE, EXHAUSTIBLE, REQUIRED, NULLABLE, ITEM, SCARCE = 1, 2, 4, 8, 16, 32  # bits of the capture word of a call
# A scope whose names may run out, or are to be complete or counted: least and greatest number of names (-1: no greatest), number of
# names that there are (-1: endless), whether there are items that may run out, number of required names, these (ascending ids).
SCOPE_MIN, SCOPE_MAX, SCOPE_TOTAL, SCOPE_ITEMS, SCOPE_N_REQUIRED, SCOPE_REQUIRED = 0, 1, 2, 3, 4, 5


@kernel("i8(i4[::1], i8, i8)")
def extend_text(h, text, b):
    at = h[SP]
    h[at], h[at + 1] = text, b
    return intern(h, TEXT, 0, at, 2)


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
    return unescape(h, base + 1, base + n, base) - base


@kernel("i8(i4[::1], i8)")
def n_names(h, names):
    return h[names + 1] >> 4 if names else 0


@kernel("i8(i4[::1], i8, i8)")
def _with_name(h, names, name):
    """The set of names with one more, -1 if it is already there. 0 is the empty set."""
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


@kernel("i8(i4[::1], i8, i8)")
def has_name(h, names, name):
    """Whether a name is in the set."""
    i, n = 0, n_names(h, names)
    while i < n and h[names + HEADER + i] != name:
        i += 1
    return i < n


@kernel("i8(i4[::1], i8, i8)")
def add_name(h, names, text):
    """The set of names with the value of the captured text added, -1 if it is already there. 0 is the empty set."""
    n = decode_text(h, text)
    return _with_name(h, names, intern(h, CANON, 0, h[SP], n))


@kernel("i8(i4[::1], i8, i8, i8)")
def add_item(h, values, text, start):
    """The set of values with the JSON value of the text after ``start`` added, -1 if it is already there."""
    n, t = 0, text
    while t != start:
        n += 1
        t = h[t + 2]
    base = h[SP]
    if base + 3 * n + 64 > h[SCRATCH_END]:
        h[STATUS] = TOO_LARGE
        return -1
    t, i = text, base + n
    while t != start:
        i -= 1
        h[i] = h[t + 3]
        t = h[t + 2]
    h[SP] = base + n
    value = json_value(h, base, n)
    h[SP] = base
    return _with_name(h, values, value)


@kernel("i8(i4[::1], i8, i8)")
def n_missing(h, scope, names):
    """How many of the required names of a scope are not in the set."""
    missing, i, n = 0, 0, n_names(h, names)
    for j in range(h[scope + SCOPE_N_REQUIRED]):
        wanted = h[scope + SCOPE_REQUIRED + j]
        while i < n and h[names + HEADER + i] < wanted:
            i += 1
        missing += i == n or h[names + HEADER + i] != wanted
    return missing


@kernel("i8(i4[::1], i8, i8)")
def scope_may_end(h, scope, names):
    """Whether a scope may end with these names."""
    return n_names(h, names) >= h[scope + SCOPE_MIN] and n_missing(h, scope, names) == 0


@kernel("i8(i4[::1], i8, i8)", entry=True)
def name_id(h, at, n):
    """The id of the name whose UTF-8 bytes are the n words at ``at``."""
    return intern(h, CANON, 0, at, n)
