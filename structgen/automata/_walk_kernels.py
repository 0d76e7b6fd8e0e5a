"""Walks: the tokens of a trie run through a rule, memoised.

walk(trie, d) runs the tokens of a trie through the rule body that starts in D-state d. It yields the tokens that end inside
the rule, and, for the tokens that run past the end of the rule, the trie of their remaining bytes. Rules called on the
way are walks of their own, so walk(suffixes, D-state to return to) continues where a call ends. Every walk is memoised on
exactly what it looked at, a trie and a D-state, so all grammars share the work, and the suffix tries are tiny: past the end
of a JSON string, a vocabulary of 131,000 tokens leaves a few hundred nodes. Masks are made of walks (_mask_kernels).

Tokens come in classes 2 * level + ends: the level counts captured names finished inside the token (see _trie_kernels),
``ends`` marks tokens whose last byte may be the last of the rule.

A state of a string lexeme that differs little from the free lexeme (names excluded, a minimum length) is walked only where
the two differ. Bounds longer than the longest token do not matter to a walk and are dropped before it.
"""

from structgen.automata._arena import (
    DEAD,
    FREE_LEXEME,
    FRESH,
    HEADER,
    KP,
    LISTS_END,
    LP,
    OK,
    SCRATCH_END,
    SP,
    STATUS,
    TOKENS_END,
    TOO_LARGE,
    WALK,
    WORDS,
    alloc,
    has_room,
    intern,
)
from structgen.automata._names_kernels import CAPTURE, EXHAUSTIBLE, ITEM
from structgen.automata._state_kernels import (
    D_FIELDS,
    D_FLAGS,
    D_KEY,
    D_LIVE,
    D_N_CALLS,
    D_SCOPE,
    DSTATE,
    HAS_ACCEPT,
    HAS_BYTES,
    HAS_CALLS,
    IS_STRING,
    _describe,
    calls,
    rule_start,
    transition,
)
from structgen.automata._string_kernels import (
    L_COLUMNS,
    L_FLAGS,
    L_NEAR_FREE,
    L_PERIOD,
    NORMAL,
    OPEN,
    Q_FREE,
    S_HI,
    S_K,
    S_LEXEME,
    S_LO,
    S_PHASE,
    S_Q,
    S_VALUE,
    string_state,
)
from structgen.automata._trie_kernels import (
    N_BYTE,
    N_DEPTH,
    N_TOKEN,
    T_DEPTH,
    T_LEVEL,
    T_N_NODES,
    T_NODES,
    T_ROOTS,
    is_forest,
    merge,
    relevel,
    tokens_of,
)
from structgen.automata.jit import inlined, kernel

# Fields of a walk; the key is (trie, D-state). Parts: pairs (block, class); a block is [n, tokens...] or [-1, words...].
# Exits by level: where tokens leave the rule, pairs (trie, node); merged into one trie on first use (-1: none).
W_STAGE, W_PARTS, W_N_PARTS, W_EXITS, W_N_EXITS, W_TRIES, W_CALLS, W_N_CALLS = 2, 3, 4, 5, 8, 11, 14, 15
W_FIELDS = 14
DESCENDED, DONE = 1, 2  # stages: the rule's own body is walked; everything is
MAX_PENDING = 64  # walks that one walk waits for at a time
MAX_LEVEL = 2
SMALL_TRIE = 2000  # tries below this many nodes are walked outright
# Scratch block of a walk in progress: heads of linked lists in the list region.
B_PARTS, B_EXITS, B_CALLS, B_REMOVED, B_TRIE, B_LEVEL = 0, 1, 4, 5, 6, 7  # B_LEVEL: of tokens that end in the rule's own body
B_SIZE = 8


@kernel("void(i4[::1], i8, i8, i8)")
def add_pair(h, head, x, y):
    """Put (x, y) in front of the list whose head is stored at ``head``."""
    at = h[LP]
    if at + 8 > h[LISTS_END]:
        h[STATUS] = TOO_LARGE
        return
    h[at], h[at + 1], h[at + 2] = x, y, h[head]
    h[head] = at
    h[LP] = at + 3


@kernel("void(i4[::1], i8, i8, i8)")
def _add_part(h, block, part, kind):
    at = h[block + B_PARTS]
    while at:
        if h[at] == part and h[at + 1] == kind:
            return
        at = h[at + 2]
    add_pair(h, block + B_PARTS, part, kind)


@kernel("i8(i4[::1], i8, i8)")
def exit_trie(h, w, level):
    """The trie of what is left of the tokens that leave the walk at this level, -1 if there are none."""
    cell = w + W_TRIES + level
    if h[cell] == 0:
        trie = -1
        n = h[w + W_N_EXITS + level]
        if n:
            trie = merge(h, h[w + W_EXITS + level], n, level)
        if h[STATUS] != OK:
            return -1
        h[cell] = trie
    return h[cell]


@inlined
def _add_group_node(h, block, call, trie, node):
    """Note that the call (offset of its triple) is reached at a node. Groups: (rule, back, capture, nodes, next)."""
    at = h[block + B_CALLS]
    while at:
        if h[at] == h[call] and h[at + 1] == h[call + 1] and h[at + 2] == h[call + 2]:
            break
        at = h[at + 4]
    if at == 0:
        at = h[LP]
        if at + 16 > h[LISTS_END]:
            h[STATUS] = TOO_LARGE
            return
        h[at], h[at + 1], h[at + 2], h[at + 3], h[at + 4] = h[call], h[call + 1], h[call + 2], 0, h[block + B_CALLS]
        h[block + B_CALLS] = at
        h[LP] = at + 5
    add_pair(h, at + 3, node, trie)


@kernel("void(i4[::1], i8, i8, i8, i8)")
def _note_calls(h, block, d, trie, node):
    """Note all calls of a D-state at a node, 0 for the beginning of the walk."""
    triples = calls(h, d)
    for j in range(h[d + D_N_CALLS]):
        _add_group_node(h, block, triples + 3 * j, trie, node)


@kernel("void(i4[::1], i8, i8, i8, i8, i8)")
def _run(h, block, path, trie, i, n):
    """Run nodes i to n - 1 of a trie, the first with all below it or several such, from the D-state at ``path``."""
    level = h[block + B_LEVEL]
    nodes, tokens = trie + T_NODES, tokens_of(h, trie)
    above = path - h[nodes + 4 * i + N_DEPTH]  # the D-state at depth k lies at above + k + 1
    kp = h[KP]
    while i < n:
        o = nodes + 4 * i
        depth = h[o + N_DEPTH]
        t = transition(h, h[above + depth], h[o + N_BYTE])
        end = h[o]
        if t < 0:
            if h[STATUS] != OK:
                break
            i = end
            continue
        flags = h[t + D_FLAGS]
        ends = flags & HAS_ACCEPT
        first, last = h[o + N_TOKEN], h[o + 4 + N_TOKEN]
        if kp + last - first > h[TOKENS_END]:
            h[STATUS] = TOO_LARGE
            break
        for j in range(first, last):
            h[kp] = h[tokens + j] * 2 + ends
            kp += 1
        if end == i + 1:
            i = end
            continue
        if ends:
            add_pair(h, block + B_EXITS + level, trie, i)
        if flags & HAS_CALLS:
            _note_calls(h, block, t, trie, i)
        if flags & HAS_BYTES:
            h[above + depth + 1] = t
            i += 1
        else:
            i = end
    h[KP] = kp


@kernel("void(i4[::1], i8, i8, i8)")
def _descend(h, block, trie, d):
    """Run a trie or forest through the rule body from d: tokens (token * 2 + ends) go on the token stack, exits and calls on lists."""
    path = h[SP]  # D-state at each depth
    h[SP] += h[trie + T_DEPTH] + 2
    h[path] = d
    if h[d + D_FLAGS] & HAS_CALLS:
        _note_calls(h, block, d, trie, 0)
    if h[d + D_FLAGS] & HAS_BYTES:
        if is_forest(h, trie):
            for b in range(256):
                if h[d + D_LIVE + (b >> 5)] >> (b & 31) & 1:
                    for j in range(h[trie + T_NODES + b], h[trie + T_NODES + b + 1]):
                        root = trie + T_ROOTS + 2 * j
                        source, node = h[root], h[root + 1]
                        if h[STATUS] == OK:
                            _run(h, block, path, source, node, h[source + T_NODES + 4 * node])
        elif h[trie + T_N_NODES] > 1:
            _run(h, block, path, trie, 1, h[trie + T_N_NODES])
    h[SP] = path


@kernel("i8(i4[::1], i8, i8, i8)")
def _pack(h, base, count, ends):
    """A block with those of the ``count`` tokens on the token stack from ``base`` that have this ``ends`` bit, 0 if none."""
    n = 0
    for i in range(count):
        n += (h[base + i] & 1) == ends
    if n == 0:
        return 0
    words = h[WORDS]
    if n <= words:
        block = alloc(h, n + 1)
        h[block] = n
        at = block + 1
        for i in range(count):
            if (h[base + i] & 1) == ends:
                h[at] = h[base + i] >> 1
                at += 1
        return block
    if not has_room(h, words + 1):
        return 0
    block = alloc(h, words + 1)
    h[block] = -1
    for i in range(words):
        h[block + 1 + i] = 0
    for i in range(count):
        if (h[base + i] & 1) == ends:
            t = h[base + i] >> 1
            h[block + 1 + (t >> 5)] |= 1 << (t & 31)
    return block


@kernel("i8(i4[::1], i8, i8, i8)")
def _baseline(h, trie, d, exact):
    """A D-state of the same lexeme family to compare d with, or d itself if there is none.

    exact: only drop what cannot matter within the longest token (a far upper bound, a minimum beyond reach).
    Otherwise: the free lexeme without a minimum, which most words of d share."""
    if not h[d + D_FLAGS] & IS_STRING:
        return d
    s = h[d + D_KEY + 1]
    lexeme, q, lo, hi = h[s + S_LEXEME], h[s + S_Q], h[s + S_LO], h[s + S_HI]
    depth = h[trie + T_DEPTH]
    free = h[h[lexeme + L_FLAGS] + q] & Q_FREE
    if hi >= depth + (0 if free else lo + h[lexeme + L_COLUMNS] + h[lexeme + L_PERIOD]):
        hi = -1  # any wanted length occurs within one period after lo, so liveness cannot depend on so far a bound
    if exact:
        if free and hi < 0:
            lo = min(lo, depth + 1)
        if h[s + S_HI] == hi and h[s + S_LO] == lo:
            return d
    else:
        phase = h[s + S_PHASE]
        if not h[lexeme + L_NEAR_FREE] or (phase != NORMAL and phase != OPEN) or hi >= 0 or (free and lo == 0):
            return d
        lexeme, q, lo = h[FREE_LEXEME], 0, 0
    at = h[SP]
    h[SP] = at + 2
    base = string_state(h, lexeme, q, h[s + S_PHASE], h[s + S_K], h[s + S_VALUE], lo, hi)
    h[at], h[at + 1] = h[d + D_KEY], base
    result = intern(h, DSTATE, D_FIELDS, at, 2)
    h[SP] = at
    if h[FRESH]:
        _describe(h, result)
    return result


@kernel("void(i4[::1], i8, i8, i8)")
def _descend_difference(h, block, trie, pair):
    """Walk d beside the baseline b, (d, b) = ``pair``, only where they differ. Leaves on the token stack the tokens of d in
    the differing part and, marked by their complement, those of b; lists exits of d, and under B_REMOVED
    the exit nodes of b that are not exits of d."""
    level = h[trie + T_LEVEL]
    nodes, n = trie + T_NODES, h[trie + T_N_NODES]
    tokens = tokens_of(h, trie)
    path = h[SP]
    other = path + h[trie + T_DEPTH] + 2
    h[SP] = other + h[trie + T_DEPTH] + 2
    h[path], h[other] = h[pair], h[pair + 1]
    i, kp = 1, h[KP]
    while i < n:
        o = nodes + 4 * i
        depth, end = h[o + N_DEPTH], h[o]
        d, b = h[path + depth - 1], h[other + depth - 1]
        t = transition(h, d, h[o + 2]) if d >= 0 else DEAD
        u = transition(h, b, h[o + 2]) if b >= 0 else DEAD
        if h[STATUS] != OK:
            break
        if t == u:
            i = end
            continue
        first, last = h[o + N_TOKEN], h[o + 4 + N_TOKEN]
        if kp + 2 * (last - first) + 64 > h[TOKENS_END]:
            h[STATUS] = TOO_LARGE
            break
        t_ends = h[t + D_FLAGS] & HAS_ACCEPT if t >= 0 else 0
        u_ends = h[u + D_FLAGS] & HAS_ACCEPT if u >= 0 else 0
        if t < 0 or u < 0 or t_ends != u_ends:
            for j in range(first, last):
                if t >= 0:
                    h[kp] = h[tokens + j] * 2 + t_ends
                    kp += 1
                if u >= 0:
                    h[kp] = -1 - (h[tokens + j] * 2 + u_ends)
                    kp += 1
        if end > i + 1:
            if t_ends != u_ends:
                if t_ends:
                    add_pair(h, block + B_EXITS + level, trie, i)
                else:
                    add_pair(h, block + B_REMOVED, i, 0)
        h[path + depth], h[other + depth] = t, u
        i += 1
    h[KP] = kp
    h[SP] = path


@kernel("i8(i4[::1], i8, i8, i8)")
def _patch(h, part, ends, base):
    """A copy of a block of the baseline changed by the tokens on the token stack from ``base``: tokens of d added, tokens
    of the baseline removed, both only where their ``ends`` bit agrees."""
    words = h[WORDS]
    count = h[KP] - base
    changes = 0
    for i in range(count):
        x = h[base + i]
        code = x if x >= 0 else -1 - x
        changes += (code & 1) == ends
    if changes == 0 or not has_room(h, words + count + 64):
        return part
    row = h[KP]
    if row + words + 64 > h[TOKENS_END]:
        h[STATUS] = TOO_LARGE
        return part
    for i in range(words):
        h[row + i] = 0
    if part:
        if h[part] < 0:
            for i in range(words):
                h[row + i] = h[part + 1 + i]
        else:
            for i in range(h[part]):
                t = h[part + 1 + i]
                h[row + (t >> 5)] |= 1 << (t & 31)
    for sign in range(2):  # first remove, then add
        for i in range(count):
            x = h[base + i]
            code = x if x >= 0 else -1 - x
            if (code & 1) == ends and (x >= 0) == (sign == 1):
                t = code >> 1
                if x < 0:
                    h[row + (t >> 5)] &= ~(1 << (t & 31))
                else:
                    h[row + (t >> 5)] |= 1 << (t & 31)
    n = 0
    for i in range(words):
        x = h[row + i] & 0xFFFFFFFF
        while x:
            x &= x - 1
            n += 1
    if n > words:
        block = alloc(h, words + 1)
        h[block] = -1
        for i in range(words):
            h[block + 1 + i] = h[row + i]
        return block
    block = alloc(h, n + 1)
    h[block] = n
    at = block + 1
    for i in range(words):
        x = h[row + i] & 0xFFFFFFFF
        b = 0
        while x:
            if x & 1:
                h[at] = i * 32 + b
                at += 1
            x >>= 1
            b += 1
    return block


@kernel("void(i4[::1], i8, i8)")
def _finish(h, w, block):
    """Store the lists of a finished walk in its record."""
    n, at = 0, h[block + B_PARTS]
    while at:
        n += 1
        at = h[at + 2]
    parts = alloc(h, 2 * n + 1)
    i, at = 0, h[block + B_PARTS]
    while at:
        h[parts + 2 * i], h[parts + 2 * i + 1] = h[at], h[at + 1]
        i += 1
        at = h[at + 2]
    h[w + W_PARTS], h[w + W_N_PARTS] = parts, n
    for level in range(MAX_LEVEL + 1):
        n, at = 0, h[block + B_EXITS + level]
        while at:
            n += 1
            at = h[at + 2]
        if not has_room(h, 2 * n + 64):
            return
        exits = alloc(h, 2 * n + 1)
        i, at = 0, h[block + B_EXITS + level]
        while at:
            h[exits + 2 * i], h[exits + 2 * i + 1] = h[at], h[at + 1]
            i += 1
            at = h[at + 2]
        h[w + W_EXITS + level], h[w + W_N_EXITS + level] = exits, n


@kernel("void(i4[::1], i8, i8, i8)")
def _difference_walk(h, block, w, pair):
    """Fill the lists of the walk of (trie, d) from the finished walk of its baseline; ``pair`` is (d, baseline)."""
    base_walk, trie = h[pair + 2], h[w + HEADER + W_FIELDS]
    level = h[trie + T_LEVEL]
    kp = h[KP]
    _descend_difference(h, block, trie, pair)
    if h[STATUS] != OK:
        h[KP] = kp
        return
    for ends in range(2):
        part = 0
        for i in range(h[base_walk + W_N_PARTS]):
            if h[h[base_walk + W_PARTS] + 2 * i + 1] == 2 * level + ends:
                part = h[h[base_walk + W_PARTS] + 2 * i]
        part = _patch(h, part, ends, kp)
        if part:
            add_pair(h, block + B_PARTS, part, 2 * level + ends)
    h[KP] = kp
    exits = h[base_walk + W_EXITS + level]
    for i in range(h[base_walk + W_N_EXITS + level]):
        node = h[exits + 2 * i + 1]
        at = h[block + B_REMOVED]
        while at and h[at] != node:
            at = h[at + 2]
        if not at:
            add_pair(h, block + B_EXITS + level, trie, node)


@kernel("i8(i8, i8)")
def _bump(capture, kind):
    """How many levels a part of a captured lexeme rises: tokens that end the name, or all if the names may run out."""
    if not capture & (CAPTURE | ITEM):
        return 0
    return 1 if capture & EXHAUSTIBLE else kind & 1


@kernel("i8(i4[::1], i8, i8)")
def _walk_record(h, trie, d):
    at = h[SP]
    h[at], h[at + 1] = trie, d
    return intern(h, WALK, W_FIELDS, at, 2)


@inlined
def _entry(h, group, block):
    """The trie with which the inner nodes of a call group enter the called rule, -1 if only the root does."""
    sources, n = h[SP], 0
    node = h[group + 3]
    while node:
        if h[node]:
            if sources + 2 * n + 64 > h[SCRATCH_END]:
                h[STATUS] = TOO_LARGE
                return -1
            h[sources + 2 * n], h[sources + 2 * n + 1] = h[node + 1], h[node]
            n += 1
        node = h[node + 2]
    h[SP] = sources + 2 * n
    inner = merge(h, sources, n, h[block + B_LEVEL]) if n else -1
    h[SP] = sources
    return inner


@inlined
def _store_calls(h, w, block):
    """Keep the calls reached by the descent: entries (rule, back, capture, trie to enter with)."""
    first, n = h[LP], 0
    group = h[block + B_CALLS]
    while group and h[STATUS] == OK:
        whole, node = 0, h[group + 3]
        while node:
            whole |= h[node] == 0
            node = h[node + 2]
        for turn in range(2):
            entered = (h[block + B_TRIE] if whole else -1) if turn else _entry(h, group, block)
            if entered < 0:
                continue
            if first + 4 * n + 64 > h[LISTS_END]:
                h[STATUS] = TOO_LARGE
                return
            at = first + 4 * n
            h[at], h[at + 1], h[at + 2], h[at + 3] = h[group], h[group + 1], h[group + 2], entered
            n += 1
        group = h[group + 4]
    calls_block = alloc(h, 4 * n + 1)
    for i in range(4 * n):
        h[calls_block + i] = h[first + i]
    h[w + W_CALLS], h[w + W_N_CALLS] = calls_block, n


@kernel("i8(i4[::1], i8, i8, i8)")
def _descend_walk(h, w, block, pending):
    """First stage of a walk: the rule's own body. Returns the number of walks it has to wait for (put on ``pending``)."""
    trie, d = h[w + HEADER + W_FIELDS], h[w + HEADER + W_FIELDS + 1]
    same = _baseline(h, trie, d, 1)
    if same != d:
        source = _walk_record(h, trie, same)
        if h[source + W_STAGE] < DONE:
            h[pending] = source
            return 1
        for i in range(W_STAGE, W_STAGE + W_FIELDS):
            h[w + i] = h[source + i]
        return 0
    # Where the names of a scope matter, every byte read in its own body is to be verified.
    level = min(MAX_LEVEL, h[trie + T_LEVEL] + (1 if h[d + D_SCOPE] else 0))
    h[block + B_LEVEL] = level
    kp = h[KP]
    baseline = d
    if h[trie + T_N_NODES] > SMALL_TRIE and not is_forest(h, trie):
        baseline = _baseline(h, trie, d, 0)
    if baseline != d:
        pair = h[SP]
        h[pair], h[pair + 1], h[pair + 2] = d, baseline, _walk_record(h, trie, baseline)
        if h[h[pair + 2] + W_STAGE] < DONE:
            h[pending] = h[pair + 2]
            return 1
        h[SP] = pair + 3
        _difference_walk(h, block, w, pair)
    else:
        _descend(h, block, trie, d)
        for ends in range(2):
            part = _pack(h, kp, h[KP] - kp, ends)
            if part:
                add_pair(h, block + B_PARTS, part, 2 * level + ends)
    h[KP] = kp
    if h[STATUS] == OK:
        _store_calls(h, w, block)
    if h[STATUS] == OK:
        _finish(h, w, block)
        if h[STATUS] == OK:
            h[w + W_STAGE] = DESCENDED if h[w + W_N_CALLS] else DONE
    return 0


@kernel("i8(i4[::1], i8, i8, i8)")
def _resolve_walk(h, w, block, pending):
    """Second stage: the rules called and what follows them. Returns the number of walks it has to wait for."""
    waiting = 0
    for i in range(h[w + W_N_PARTS]):
        add_pair(h, block + B_PARTS, h[h[w + W_PARTS] + 2 * i], h[h[w + W_PARTS] + 2 * i + 1])
    for l in range(MAX_LEVEL + 1):
        for i in range(h[w + W_N_EXITS + l]):
            at = h[w + W_EXITS + l] + 2 * i
            add_pair(h, block + B_EXITS + l, h[at], h[at + 1])
    for c in range(h[w + W_N_CALLS]):
        at = h[w + W_CALLS] + 4 * c
        rule, back, capture = h[at], h[at + 1], h[at + 2]
        called = _walk_record(h, h[at + 3], rule_start(h, rule))
        if h[called + W_STAGE] < DONE:
            if waiting < MAX_PENDING:
                h[pending + waiting] = called
                waiting += 1
            continue
        for i in range(h[called + W_N_PARTS]):
            kind = h[h[called + W_PARTS] + 2 * i + 1]
            ends = kind & h[back + D_FLAGS] & HAS_ACCEPT  # both are bit 0
            _add_part(h, block, h[h[called + W_PARTS] + 2 * i], 2 * min(MAX_LEVEL, (kind >> 1) + _bump(capture, kind)) + ends)
        for l in range(MAX_LEVEL + 1):
            rest = exit_trie(h, called, l)
            if rest >= 0 and capture & (CAPTURE | ITEM):
                rest = relevel(h, rest, min(MAX_LEVEL, l + 1))
            if rest < 0 or h[STATUS] != OK:
                continue
            if h[back + D_FLAGS] & (HAS_BYTES | HAS_CALLS):
                after = _walk_record(h, rest, back)
                if h[after + W_STAGE] < DONE:
                    if waiting < MAX_PENDING:
                        h[pending + waiting] = after
                        waiting += 1
                    continue
                for i in range(h[after + W_N_PARTS]):
                    _add_part(h, block, h[h[after + W_PARTS] + 2 * i], h[h[after + W_PARTS] + 2 * i + 1])
                for m in range(MAX_LEVEL + 1):
                    exits = h[after + W_EXITS + m]
                    for i in range(h[after + W_N_EXITS + m]):
                        add_pair(h, block + B_EXITS + m, h[exits + 2 * i], h[exits + 2 * i + 1])
            if h[back + D_FLAGS] & HAS_ACCEPT:
                add_pair(h, block + B_EXITS + min(MAX_LEVEL, h[rest + T_LEVEL] + (1 if h[back + D_SCOPE] else 0)), rest, 0)
    if waiting == 0 and h[STATUS] == OK:
        _finish(h, w, block)
        if h[STATUS] == OK:
            h[w + W_STAGE] = DONE
    return waiting


@kernel("i8(i4[::1], i8, i8)")
def walk(h, trie, d):
    """Id of the memoised walk of the trie from D-state d. Walks it depends on are done first, from a list of pending ones."""
    w = _walk_record(h, trie, d)
    if h[w + W_STAGE] == DONE:
        return w
    pending, list_top = h[LP], h[LP]
    n = 1
    h[pending] = w
    while n and h[STATUS] == OK:
        if pending + n + 2 * MAX_PENDING > h[LISTS_END]:
            h[STATUS] = TOO_LARGE
            break
        top = h[pending + n - 1]
        stage = h[top + W_STAGE]
        if stage == DONE:
            n -= 1
            continue
        block = h[SP]
        h[SP] = block + B_SIZE
        for i in range(B_SIZE):
            h[block + i] = 0
        h[block + B_TRIE] = h[top + HEADER + W_FIELDS]
        h[LP] = pending + n + MAX_PENDING
        if stage == 0:
            n += _descend_walk(h, top, block, pending + n)
        else:
            n += _resolve_walk(h, top, block, pending + n)
        h[SP] = block
    h[LP] = list_top
    return w
