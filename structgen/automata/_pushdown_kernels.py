"""The pushdown machine: states are interned sets of configurations (D-state, data, stack), advanced byte by byte.

A stack is the id of its top node (D-state to return to, data, parent, capture flag); 0 is the empty stack. ``data`` is 0
except inside a scope of distinct names, where it is the set of names recorded so far, and inside a captured lexeme, whose
stack node has the capture flag, where it is the text read so far. When a captured lexeme ends, its value joins the scope's
set; a value already in the set ends the configuration. Configurations are kept closed under returning from finished rules.

A step costs one transition and one intern per configuration, about 0.1-0.3 us.
"""

from structgen.automata._arena import (
    DEAD,
    LISTS_END,
    LP,
    N_VOCAB,
    OK,
    SCRATCH_END,
    SP,
    STACK,
    STATE,
    STATUS,
    TOO_LARGE,
    VOCAB,
    VOCAB_BYTES,
    intern,
)
from structgen.automata._names_kernels import CAPTURE, EXHAUSTIBLE, add_name, extend_text
from structgen.automata._state_kernels import (
    D_FLAGS,
    D_N_CALLS,
    HAS_ACCEPT,
    HAS_BYTES,
    HAS_CALLS,
    calls,
    rule_start,
    transition,
)
from structgen.automata.jit import kernel

# A stack node, from its id.
K_RETURN, K_DATA, K_PARENT, K_CAPTURE = 2, 3, 4, 5
# A state: two fields (S_PRUNED: see _scope_kernels), then the key: accepting flag and the configurations, three words each.
S_MASK, S_PRUNED, S_ACCEPTING, S_CONFIGS = 2, 3, 4, 5
S_FIELDS = 2


@kernel("i8(i4[::1], i8)")
def n_configs(h, state):
    return ((h[state + 1] >> 4) - 1) // 3


@kernel("i8(i4[::1], i8, i8, i8, i8)")
def push(h, back, data, parent, capture):
    at = h[SP]
    h[at], h[at + 1], h[at + 2], h[at + 3] = back, data, parent, capture
    return intern(h, STACK, 0, at, 4)


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
def intern_state(h, base, accepting):
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
        s = intern_state(h, base, accepting)
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
            h[LP] = top  # the kernels called below use the list region above the pending configurations
            flags = h[d + D_FLAGS]
            if flags & HAS_BYTES:
                t = transition(h, d, b)
                if t >= 0:
                    read = extend_text(h, data, b) if stack and h[stack + K_CAPTURE] else data
                    accepting |= _settle(h, base, t, read, stack)
            if flags & HAS_CALLS:
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
                    capture &= CAPTURE | EXHAUSTIBLE
                    if capture or h[back + D_FLAGS] != HAS_ACCEPT:
                        node = push(h, back, data, stack, capture)
                    h[top], h[top + 1], h[top + 2] = start, 0, node
                    top += 3
                    h[LP] = top
    h[LP] = work
    s = intern_state(h, base, accepting)
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
