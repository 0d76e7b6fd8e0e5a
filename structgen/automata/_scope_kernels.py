"""Whether a scope can be finished where distinct names can run out, are required, or are counted.

``name_remains`` counts the words that continue a text against the used names that begin with it; ``names_suffice`` weighs the
names a scope still needs against those that it may still have. What cannot be finished is dropped by _prune_kernels.
"""

from structgen.automata._arena import DEAD, HEADER, LISTS_END, LP, OK, SCRATCH_END, SP, STATUS, TOO_LARGE
from structgen.automata._names_kernels import (
    CAPTURE,
    EXHAUSTIBLE,
    ITEM,
    REQUIRED,
    SCOPE_MAX,
    SCOPE_MIN,
    SCOPE_TOTAL,
    decode_text,
    extend_text,
    n_missing,
    n_names,
)
from structgen.automata._pushdown_kernels import K_CAPTURE, K_DATA, K_RETURN
from structgen.automata._state_kernels import (
    D_FLAGS,
    D_KEY,
    D_LEAST,
    D_LIVE,
    D_N_CALLS,
    D_SCOPE,
    HAS_ACCEPT,
    HAS_BYTES,
    HAS_CALLS,
    calls,
    transition,
)
from structgen.automata._string_kernels import (
    L_FLAGS,
    L_N_CLASSES,
    L_N_STATES,
    L_TABLE,
    L_WEIGHTS,
    NORMAL,
    OPEN,
    Q_ACCEPT,
    Q_FREE,
    S_HI,
    S_LEXEME,
    S_LO,
    S_PHASE,
    S_Q,
    content_next,
)
from structgen.automata.jit import inlined, kernel

NEVER = 1 << 30
MAX_STEPS = 100_000  # characters looked ahead before a language counts as inexhaustible


@kernel("i8(i4[::1], i8, i8, i8, i8, i8)")
def count_words(h, lexeme, q, lo, hi, limit):
    """Number of words of lo..hi characters from content state q, counted up to limit + 1."""
    if q < 0:
        return 0
    n, n_classes = h[lexeme + L_N_STATES], h[lexeme + L_N_CLASSES]
    now, after, length, total = h[SP], h[SP] + n, 0, 0
    if after + n + 64 > h[SCRATCH_END]:
        return limit + 1
    for i in range(n):
        h[now + i] = 0
    h[now + q] = 1
    while True:
        alive = False
        for i in range(n):
            h[after + i] = 0
            if h[now + i]:
                alive = True
                if length >= lo and h[h[lexeme + L_FLAGS] + i] & Q_ACCEPT:
                    total += h[now + i]
        if total > limit or length > MAX_STEPS:
            return limit + 1
        if not alive or length == hi:
            return total
        for i in range(n):
            if h[now + i]:
                for c in range(n_classes):
                    t = h[h[lexeme + L_TABLE] + i * n_classes + c]
                    if t >= 0:
                        h[after + t] = min(limit + 1, h[after + t] + h[now + i] * h[h[lexeme + L_WEIGHTS] + c])
        now, after = after, now
        length += 1


@kernel("i8(i4[::1], i8, i8, i8, i8, i8)")
def _suffix_accepted(h, lexeme, q, at, end, bounds):
    """Whether the UTF-8 bytes at..end (one per word) spell a word from q of lo..hi characters, (lo, hi) at ``bounds``."""
    lo, hi = h[bounds], h[bounds + 1]
    n = 0
    while at < end and q >= 0:
        b = h[at]
        if b < 0x80:
            char, size = b, 1
        elif b < 0xE0:
            char, size = b & 0x1F, 2
        elif b < 0xF0:
            char, size = b & 0x0F, 3
        else:
            char, size = b & 0x07, 4
        for i in range(1, size):
            char = (char << 6) | (h[at + i] & 0x3F)
        q = content_next(h, lexeme, q, char)
        at += size
        n += 1
    if q < 0 or n < lo or (hi >= 0 and n > hi):
        return 0
    return h[h[lexeme + L_FLAGS] + q] & Q_ACCEPT


@inlined
def _unused_word(h, s, base, n, names, bounds):
    """Whether some word that continues the n value bytes at ``base`` from string state s is not among the names."""
    lexeme, q = h[s + S_LEXEME], h[s + S_Q]
    used = 0
    for i in range(h[names + 1] >> 4):
        name = h[names + HEADER + i]
        size = h[name + 1] >> 4
        j = 0
        while j < n and j < size and h[name + HEADER + j] == h[base + j]:
            j += 1
        if j == n and n <= size and _suffix_accepted(h, lexeme, q, name + HEADER + n, name + HEADER + size, bounds):
            used += 1
    return 1 if count_words(h, lexeme, q, h[bounds], h[bounds + 1], used) > used else 0


@inlined
def _name_remains_here(h, d, text, names):
    """`name_remains` between two characters."""
    s, base = h[d + D_KEY + 1], h[SP]
    if h[h[h[s + S_LEXEME] + L_FLAGS] + h[s + S_Q]] & Q_FREE and (h[s + S_HI] < 0 or h[s + S_HI] > (h[names + 1] >> 4)):
        return 1
    n = decode_text(h, text)
    bounds = base + n
    h[bounds], h[bounds + 1] = h[s + S_LO], h[s + S_HI]
    h[SP] = bounds + 2
    found = _unused_word(h, s, base, n, names, bounds)
    h[SP] = base
    return found


@kernel("i8(i4[::1], i8, i8, i8)")
def name_remains(h, d, text, names):
    """Whether the captured text, now in D-state d of its lexeme, can become a word that is not among the names.

    Inside the spelling of a character: whether some way to finish that character can."""
    work = h[LP]
    top = work
    h[top], h[top + 1] = d, text
    top += 2
    found = 0
    while top > work and not found:
        top -= 2
        d, text = h[top], h[top + 1]
        if not h[d + D_FLAGS] & HAS_BYTES:  # just ended: `add_name` decides
            found = 1
            break
        phase = h[h[d + D_KEY + 1] + S_PHASE]
        if phase == NORMAL or phase == OPEN:
            found = _name_remains_here(h, d, text, names)
            continue
        for b in range(255, -1, -1):
            if h[d + D_LIVE + (b >> 5)] >> (b & 31) & 1:
                h[LP] = top
                t = transition(h, d, b)
                if t >= 0:
                    h[top], h[top + 1] = t, extend_text(h, text, b)
                    top += 2
        if top + 1024 > h[LISTS_END]:
            h[STATUS] = TOO_LARGE
            break
    h[LP] = work
    return found


@kernel("i8(i4[::1], i8)")
def least_names(h, d):
    """The least number of names or items captured on the way from a D-state of a scope to its end, NEVER if there is no way; memoised.

    A search over the D-states of the scope: pairs (D-state, names)."""
    if h[d + D_LEAST]:
        return h[d + D_LEAST] - 1
    known = h[LP]
    count, i, least = 1, 0, NEVER
    h[known], h[known + 1] = d, 0
    while i < count:
        at, cost = h[known + 2 * i], h[known + 2 * i + 1]
        i += 1
        if cost >= least:
            continue
        if h[at + D_FLAGS] & HAS_ACCEPT:
            least = cost
            continue
        n_calls = 0
        if h[at + D_FLAGS] & HAS_CALLS:
            calls(h, at)
            n_calls = h[at + D_N_CALLS]
        for k in range(-n_calls, 256):
            h[LP] = known + 2 * count + 64
            following, price = DEAD, cost
            if k < 0:
                triple = calls(h, at) + 3 * (-1 - k)
                following = h[triple + 1]
                price += h[triple + 2] & (CAPTURE | ITEM) != 0
            elif h[at + D_FLAGS] & HAS_BYTES:
                following = transition(h, at, k)
            if following < 0:
                continue
            j = 0
            while j < count and h[known + 2 * j] != following:
                j += 1
            if j == count:
                h[known + 2 * count], h[known + 2 * count + 1] = following, price
                count += 1
            elif h[known + 2 * j + 1] > price:
                h[known + 2 * j + 1] = price
                i = min(i, j)
        if known + 2 * count + 4096 > h[LISTS_END]:
            h[STATUS] = TOO_LARGE
            break
    h[LP] = known
    if h[STATUS] == OK:
        h[d + D_LEAST] = least + 1
    return least


@kernel("i8(i4[::1], i8, i8, i8)")
def names_suffice(h, d, n, missing):
    """Whether a scope in D-state d with n names, ``missing`` of the required ones not among them, can be finished."""
    scope = h[d + D_SCOPE]
    n += max(least_names(h, d), missing, h[scope + SCOPE_MIN] - n)
    most, total = h[scope + SCOPE_MAX], h[scope + SCOPE_TOTAL]
    return n < NEVER and (most < 0 or n <= most) and (total < 0 or n <= total)


@kernel("i8(i4[::1], i8, i8)")
def scope_can_finish(h, d, names):
    """Whether a scope in D-state d can be finished after these names."""
    return names_suffice(h, d, n_names(h, names), n_missing(h, h[d + D_SCOPE], names))


@kernel("i8(i4[::1], i8, i8, i8)")
def name_can_finish(h, d, text, node):
    """Whether the captured text, now in D-state d of its lexeme, can become a name that the scope below the node can take."""
    names, capture, back = h[node + K_DATA], h[node + K_CAPTURE], h[node + K_RETURN]
    if h[back + D_SCOPE]:
        missing = n_missing(h, h[back + D_SCOPE], names) - (1 if capture & REQUIRED else 0)
        if not names_suffice(h, back, n_names(h, names) + 1, missing):
            return 0
    return names == 0 or not capture & EXHAUSTIBLE or name_remains(h, d, text, names)
