"""The pushdown machine: states are interned sets of configurations (D-state, data, stack), advanced byte by byte.

A stack is the id of its top node (D-state to return to, data, parent, capture flag), 0 if it is empty, or the id of a set
of these: configurations that differ in their stacks alone are one configuration with a set of stacks, and a rule entered
from several places at once is entered once. So an ambiguous grammar costs a polynomial number of nodes instead of an
exponential number of configurations (the graph-structured stack of Tomita 1987, here of immutable, hash-consed nodes).

``data`` is 0 except inside a scope of distinct names, where it is the set of names recorded so far, and inside a captured
lexeme, whose stack node has the capture flag, where it is the text read so far. When a captured lexeme ends, its value joins
the scope's set; a value already in the set ends the configuration. Configurations are kept closed under returning from
finished rules.

Items that must differ are whole JSON values with rules of their own below them. While one is read, the state has a tape: the bytes
since the first of the items now open began, one list for all configurations, for all of them read the same bytes. The
stack node of an item knows where on the tape it began.

A step costs one transition and one intern per configuration, about 0.1-0.3 us.
"""

from structgen.automata._arena import (
    DEAD,
    HEADER,
    LISTS_END,
    LP,
    N_VOCAB,
    OK,
    SCRATCH_END,
    SP,
    STACK,
    STACKS,
    STATE,
    STATUS,
    TAPE,
    TOO_LARGE,
    VISITED,
    VOCAB,
    VOCAB_BYTES,
    clear_visited,
    intern,
    sort_words,
    visit,
)
from structgen.automata._names_kernels import (
    CAPTURE,
    EXHAUSTIBLE,
    ITEM,
    REQUIRED,
    SCARCE,
    add_item,
    add_name,
    extend_text,
    has_name,
    scope_may_end,
)
from structgen.automata._state_kernels import (
    D_FLAGS,
    D_N_CALLS,
    D_SCOPE,
    HAS_ACCEPT,
    HAS_BYTES,
    HAS_CALLS,
    R_VALUE,
    calls,
    rule_start,
    transition,
    unite,
)
from structgen.automata.jit import inlined, kernel

# A stack node, from its id: whether an item is open on it (ITEM, SCARCE); memory of _prune_kernels; then the key, the last word
# being where on the tape the item of this node began. A set of stacks has the same fields, then its members.
K_TAPED, K_PRUNED, K_RETURN, K_DATA, K_PARENT, K_CAPTURE, K_BEGAN = 2, 3, 4, 5, 6, 7, 8
K_FIELDS = 2
# A state: one field (see _prune_kernels), then the key: accepting flag, tape and the configurations, three words each.
S_PRUNED, S_ACCEPTING, S_TAPE, S_CONFIGS = 2, 3, 4, 5
S_FIELDS = 1
NO_TAPE = -1  # in TAPE: not written yet
MANY = 64  # in states with more configurations than this, those of one stack are united
CROWD = 100_000  # configurations listed before equal ones are dropped


@kernel("i8(i4[::1], i8)")
def n_configs(h, state):
    return ((h[state + 1] >> 4) - 2) // 3


@kernel("i8(i4[::1], i8)")
def is_set(h, stack):
    return stack != 0 and (h[stack + 1] & 15) == STACKS


@kernel("i8(i4[::1], i8)")
def n_tops(h, stack):
    """The number of stacks that this one stands for."""
    return h[stack + 1] >> 4 if is_set(h, stack) else 1


@kernel("i8(i4[::1], i8, i8)")
def top_of(h, stack, i):
    """The i-th of the stacks that this one stands for: a node or 0."""
    return h[stack + HEADER + K_FIELDS + i] if is_set(h, stack) else stack


@kernel("i8(i4[::1], i8)")
def is_captured(h, stack):
    """Whether a captured lexeme is being read; all members of a set agree on that."""
    node = top_of(h, stack, n_tops(h, stack) - 1)
    return h[node + K_CAPTURE] & CAPTURE if node else 0


@kernel("i8(i4[::1], i8, i8, i8, i8, i8)")
def push(h, back, data, parent, capture, began):
    at = h[SP]
    h[at], h[at + 1], h[at + 2], h[at + 3], h[at + 4] = back, data, parent, capture, began
    node = intern(h, STACK, K_FIELDS, at, 5)
    h[node + K_TAPED] = capture & (ITEM | SCARCE) | (h[parent + K_TAPED] if parent else 0)
    return node


@kernel("i8(i4[::1], i8, i8)")
def intern_stacks(h, base, n):
    """The stack for n > 0 different nodes (or 0) listed from ``base``, in any order."""
    if n == 1:
        return h[base]
    sort_words(h, base, n)
    stacks = intern(h, STACKS, K_FIELDS, base, n)
    for i in range(n):
        if h[base + i]:
            h[stacks + K_TAPED] |= h[h[base + i] + K_TAPED]
    return stacks


@kernel("void(i4[::1], i8, i8, i8)")
def _sort_triples(h, base, n, first):
    """Shell sort of n triples by their words ``first``, ``first`` + 1 and ``first`` + 2, counted modulo 3."""
    second, third = (first + 1) % 3, (first + 2) % 3
    gap = n >> 1
    while gap > 0:
        for i in range(gap, n):
            x, y, z = h[base + 3 * i + first], h[base + 3 * i + second], h[base + 3 * i + third]
            j = i
            while j >= gap:
                at = base + 3 * (j - gap)
                u, v, w = h[at + first], h[at + second], h[at + third]
                if u < x or (u == x and (v < y or (v == y and w <= z))):
                    break
                at = base + 3 * j
                h[at + first], h[at + second], h[at + third] = u, v, w
                j -= gap
            h[base + 3 * j + first], h[base + 3 * j + second], h[base + 3 * j + third] = x, y, z
        gap >>= 1


@kernel("i8(i4[::1], i8, i8)")
def _merge_stacks(h, base, n):
    """Sort the n triples (x, y, stack) listed from ``base`` and join those that differ in their stacks alone; how many remain."""
    if n < 2:
        return n
    _sort_triples(h, base, n, 0)
    out, i = base, 0
    while i < n:
        x, y, stack = h[base + 3 * i], h[base + 3 * i + 1], h[base + 3 * i + 2]
        last = i + 1
        while last < n and h[base + 3 * last] == x and h[base + 3 * last + 1] == y:
            last += 1
        if h[base + 3 * last - 1] != stack:
            members, count = h[SP], 0
            clear_visited(h, VISITED)
            for j in range(i, last):
                stack = h[base + 3 * j + 2]
                if members + count + n_tops(h, stack) + 64 > h[SCRATCH_END]:
                    h[STATUS] = TOO_LARGE
                    return 0
                for k in range(n_tops(h, stack)):
                    if visit(h, VISITED, top_of(h, stack, k), 0):
                        h[members + count] = top_of(h, stack, k)
                        count += 1
            stack = intern_stacks(h, members, count)
        h[out], h[out + 1], h[out + 2] = x, y, stack
        out += 3
        i = last
    return (out - base) // 3


@kernel("i8(i4[::1], i8)")
def _is_plain(h, config):
    """Whether names are no concern of a configuration."""
    return h[h[config] + D_SCOPE] == 0 and is_captured(h, h[config + 2]) == 0


@inlined
def _unite_states(h, base, n):
    """Join those of the n configurations listed from ``base`` that differ in their D-states alone; how many remain.
    (The subset construction over calls: without it, the ways to call several rules in turn on one text could multiply.)"""
    _sort_triples(h, base, n, 1)
    out, i = base, 0
    while i < n and h[STATUS] == OK:
        d, data, stack = h[base + 3 * i], h[base + 3 * i + 1], h[base + 3 * i + 2]
        last = i + 1
        while (
            last < n
            and h[base + 3 * last + 1] == data
            and h[base + 3 * last + 2] == stack
            and _is_plain(h, base + 3 * i)
            and _is_plain(h, base + 3 * last)
        ):
            last += 1
        if last > i + 1:
            d = unite(h, base + 3 * i, last - i)
        h[out], h[out + 1], h[out + 2] = d, data, stack
        out += 3
        i = last
    return (out - base) // 3


@inlined
def _list_config(h, base, d, data, stack):
    """Append a configuration to those listed on the scratch stack from ``base``."""
    if h[SP] - base > 3 * CROWD:
        h[SP] = base + 3 * _merge_stacks(h, base, (h[SP] - base) // 3)
    at = h[SP]
    if at - base > 3 * CROWD or at + 64 > h[SCRATCH_END]:
        h[STATUS] = TOO_LARGE
    else:
        h[at], h[at + 1], h[at + 2] = d, data, stack
        h[SP] = at + 3


@kernel("i8(i4[::1], i8, i8, i8, i8)")
def _settle(h, base, d, data, stack):
    """Add (d, data, stack), and what is reached by returning from finished rules, to the configurations listed on the
    scratch stack from ``base``. 1 if the whole grammar is finished."""
    todo = h[LP]  # pairs (stack, data) still to return to
    top, accepting, marking = todo, 0, False
    while h[STATUS] == OK:
        if h[d + D_FLAGS] & (HAS_BYTES | HAS_CALLS):
            _list_config(h, base, d, data, stack)
        if h[d + D_FLAGS] & HAS_ACCEPT and (h[d + D_SCOPE] == 0 or scope_may_end(h, h[d + D_SCOPE], data)):
            if not marking and is_set(h, stack):
                clear_visited(h, VISITED)
                marking = True
            if top + 2 * n_tops(h, stack) + 64 > h[LISTS_END]:
                h[STATUS] = TOO_LARGE
                break
            what = data if marking and is_captured(h, stack) else 0  # where a return leads depends on no more than this
            if not is_set(h, stack) or visit(h, VISITED, stack, what):
                for i in range(n_tops(h, stack)):
                    if not marking or visit(h, VISITED, top_of(h, stack, i), what):
                        h[top], h[top + 1] = top_of(h, stack, i), data
                        top += 2
        data = -1
        while data < 0 and top > todo:
            top -= 2
            stack, data = h[top], h[top + 1]
            if stack == 0:
                accepting, data = 1, -1
            elif h[stack + K_CAPTURE] & ITEM:
                data = add_item(h, h[stack + K_DATA], h[TAPE], h[stack + K_BEGAN])
            elif h[stack + K_CAPTURE]:
                data = add_name(h, h[stack + K_DATA], data)
            else:
                data = h[stack + K_DATA]
        if data < 0:
            break
        d, stack = h[stack + K_RETURN], h[stack + K_PARENT]
    return accepting


@kernel("i8(i4[::1], i8, i8)")
def intern_state(h, base, accepting):
    """The state of the configurations listed on the scratch stack from ``base`` (two words before it are free), which are popped,
    and of the tape, if an item is open; DEAD if there are none."""
    n = (h[SP] - base) // 3
    if n > MANY:
        n = _merge_stacks(h, base, n)
        if n > MANY:
            n = _unite_states(h, base, n)
    n = _merge_stacks(h, base, n)
    if (n == 0 and not accepting) or h[STATUS] != OK:
        h[SP] = base
        return DEAD
    taped = 0
    if h[TAPE] != NO_TAPE:
        for i in range(n):
            taped |= h[base + 3 * i + 2] != 0 and h[h[base + 3 * i + 2] + K_TAPED] != 0
    h[base - 2], h[base - 1] = accepting, h[TAPE] if taped else 0
    s = intern(h, STATE, S_FIELDS, base - 2, 3 * n + 2)
    h[SP] = base
    return s


@kernel("i8(i4[::1], i8)", entry=True)
def initial_state(h, rule):
    """The state before the first byte of a grammar whose start rule is given."""
    h[SP] += 2
    base = h[SP]
    d = rule_start(h, rule)
    s = DEAD
    h[TAPE] = NO_TAPE
    if d != DEAD:
        accepting = _settle(h, base, d, 0, 0)
        s = intern_state(h, base, accepting)
    h[SP] = base - 2
    return s


@inlined
def _write_tape(h, tape, b):
    """Write byte b on the tape, once a step."""
    if h[TAPE] == NO_TAPE:
        h[TAPE] = extend_text(h, tape, b)


@inlined
def _enter(h, d, data, stack, tape):
    """List (start D-state, capture flag, stack), for every call of a D-state, at the end of the list region."""
    block = calls(h, d)
    if h[LP] + 3 * h[d + D_N_CALLS] + 64 > h[LISTS_END]:
        h[STATUS] = TOO_LARGE
    if h[STATUS] != OK:
        return
    for j in range(h[d + D_N_CALLS]):
        rule, back, capture = h[block + 3 * j], h[block + 3 * j + 1], h[block + 3 * j + 2]
        start = rule_start(h, rule)
        if start == DEAD:
            continue
        if capture & ITEM and h[rule + R_VALUE] and has_name(h, data, h[rule + R_VALUE]):
            continue
        node = stack
        capture &= CAPTURE | EXHAUSTIBLE | REQUIRED | ITEM | SCARCE
        if capture or h[back + D_FLAGS] != HAS_ACCEPT:
            node = push(h, back, data, stack, capture, tape if capture & ITEM else 0)
        at = h[LP]
        h[at], h[at + 1], h[at + 2] = start, capture, node
        h[LP] = at + 3


@kernel("i8(i4[::1], i8, i8)", entry=True)
def step(h, state, b):
    """The state after byte b, DEAD if the grammar does not continue so.

    Rules called are entered in rounds, each rule once a round from all places at once; there are at most as many rounds as
    rules, for no rule calls itself before it has consumed a byte."""
    h[SP] += 2
    base, work = h[SP], h[LP]
    now, n, accepting, entered, tape = state + S_CONFIGS, n_configs(h, state), 0, False, h[state + S_TAPE]
    h[TAPE] = NO_TAPE
    while n and h[STATUS] == OK:
        following = h[LP]
        for i in range(n):
            d, data, stack = h[now + 3 * i], h[now + 3 * i + 1], h[now + 3 * i + 2]
            if entered:
                data = 0  # the capture flag stands in its place
            if stack and h[stack + K_TAPED]:
                _write_tape(h, tape, b)
            if h[d + D_FLAGS] & HAS_BYTES:
                t = transition(h, d, b)
                if t >= 0:
                    accepting |= _settle(h, base, t, extend_text(h, data, b) if is_captured(h, stack) else data, stack)
            if h[d + D_FLAGS] & HAS_CALLS:
                _enter(h, d, data, stack, tape)
            if h[STATUS] != OK:
                break
        n = _merge_stacks(h, following, (h[LP] - following) // 3)
        now, entered = following, True
        h[LP] = following + 3 * n
    h[LP] = work
    s = intern_state(h, base, accepting)
    h[SP] = base - 2
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
