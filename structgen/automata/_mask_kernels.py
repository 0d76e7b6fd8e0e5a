"""Masks: the walks of each configuration, up its stack, as rows of bits.

The mask of a configuration is walk(vocabulary, d), then walk(rest, frame) up the stack until nothing is left of any token. Tokens
of a level that depends on the names used already are set apart, to be verified by `advance`.
"""

from structgen.automata._arena import (
    HEADER,
    KP,
    LP,
    N_VOCAB,
    OK,
    ROOT_TRIE,
    SCRATCH_END,
    SEEN,
    SP,
    STATUS,
    TOO_LARGE,
    TRIES,
    WORDS,
    clear_visited,
    intern,
    visit,
)
from structgen.automata._item_kernels import MANY
from structgen.automata._names_kernels import EXHAUSTIBLE, SCARCE, decode_text
from structgen.automata._pushdown_kernels import (
    K_CAPTURE,
    K_DATA,
    K_PARENT,
    K_RETURN,
    K_TAPED,
    S_CONFIGS,
    advance,
    is_captured,
    is_set,
    n_configs,
    n_tops,
    top_of,
)
from structgen.automata._scope_kernels import count_words
from structgen.automata._state_kernels import D_FLAGS, D_KEY, D_SCOPE, HAS_ACCEPT, IS_STRING
from structgen.automata._string_kernels import END, L_FLAGS, L_N_STATES, L_QUOTED, Q_FREE, S_HI, S_LEXEME, S_LO, S_PHASE, S_Q
from structgen.automata._trie_kernels import T_DEPTH, T_LEVEL, merge
from structgen.automata._walk_kernels import MAX_LEVEL, W_N_EXITS, W_N_PARTS, W_PARTS, add_pair, exit_trie, walk
from structgen.automata.jit import inlined, kernel

MAX_CONTENT = 64  # states of the content of a string that are asked one by one


@inlined
def _or_part(h, part, row):
    """Set the bits of a block in a row."""
    if h[part] < 0:
        for i in range(h[WORDS]):
            row[i] |= h[part + 1 + i]
    else:
        for i in range(h[part]):
            t = h[part + 1 + i]
            row[t >> 5] |= 1 << (t & 31)


@inlined
def _conflict(h, names, text):
    """Whether the captured text so far is the beginning of a name in the set."""
    if names == 0:
        return 0
    n = decode_text(h, text)
    base = h[SP]
    for i in range(h[names + 1] >> 4):
        name = h[names + HEADER + i]
        if h[name + 1] >> 4 < n:
            continue
        j = 0
        while j < n and h[name + HEADER + j] == h[base + j]:
            j += 1
        if j == n:
            return 1
    return 0


@inlined
def _trusted_level(h, text, stack):
    """Tokens of a captured lexeme up to this level need no verification, on any of the stacks."""
    trusted = 1
    for i in range(n_tops(h, stack)):
        node = top_of(h, stack, i)
        if _conflict(h, h[node + K_DATA], text):
            trusted = min(trusted, -1 if h[node + K_CAPTURE] & EXHAUSTIBLE else 0)
    return trusted


@inlined
def _is_endless_string(h, d):
    """Whether a D-state is in a string that does not run out, whatever part of it a token writes."""
    s = h[d + D_KEY + 1]
    lexeme, room = h[s + S_LEXEME], h[s + S_HI]
    if room >= 0:
        room = max(0, room - h[h[ROOT_TRIE] + T_DEPTH])
    if not h[d + D_FLAGS] & IS_STRING or not h[lexeme + L_QUOTED] or h[s + S_PHASE] == END or room == 0:
        return 0
    n = 0 if h[h[lexeme + L_FLAGS] + h[s + S_Q]] & Q_FREE else h[lexeme + L_N_STATES]
    q = 0
    while q < n and n <= MAX_CONTENT and count_words(h, lexeme, q, h[s + S_LO], room, MANY) > MANY:
        q += 1
    return q == n


@kernel("i8(i4[::1], i8)")
def _ends_value(h, stack):
    """1 if a value that must differ from others may end with the rule that stands on this stack."""
    for i in range(n_tops(h, stack)):
        node = top_of(h, stack, i)
        if node and h[node + K_CAPTURE]:
            return 1
    return 0


@kernel("void(i4[::1], i8, i8, i8)")
def _exits_above(h, exits, w, bump):
    """Add what is left of the tokens that leave a walk to the lists by level at ``exits``, ``bump`` levels higher."""
    for m in range(MAX_LEVEL + 1):
        if h[w + W_N_EXITS + m]:
            rest = exit_trie(h, w, m)
            if rest >= 0:
                add_pair(h, exits + min(MAX_LEVEL, m + bump), rest, 0)


@inlined
def _merge_exits(h, exits, tries):
    """One trie for each level at ``tries`` from the lists at ``exits``, -1 if nothing is left. Whether any trie is left."""
    running = False
    for l in range(MAX_LEVEL + 1):
        n, at, sources = 0, h[exits + l], h[SP]
        while at:
            h[sources + 2 * n], h[sources + 2 * n + 1] = h[at], h[at + 1]
            n += 1
            at = h[at + 2]
        h[SP] = sources + 2 * n
        h[tries + l] = merge(h, sources, n, l) if n else -1
        h[SP] = sources
        running = running or h[tries + l] >= 0
    return running


@inlined
def _config_mask(h, config, sure, maybe):
    """Add the tokens of one configuration (offset of its triple): certain ones, and ones to verify.

    From the D-state of the configuration with the whole vocabulary, and then from every frame that tokens run on into with
    what is left of them: a list of (D-state, stack, tries by level) still to do."""
    captured = is_captured(h, h[config + 2])
    trusted = _trusted_level(h, h[config + 1], h[config + 2]) if captured else 0
    scarce = h[config + 2] != 0 and h[h[config + 2] + K_TAPED] & SCARCE != 0  # then what ends a value may leave too few others
    if scarce:
        trusted = min(trusted, 0) if _is_endless_string(h, h[config]) else -1
    exits, tries, todo = h[SP], h[SP] + 3, h[SP] + 6
    h[todo], h[todo + 1], h[todo + 2], h[todo + 3], h[todo + 4] = h[config], h[config + 2], h[ROOT_TRIE], -1, -1
    n, first, marking = 1, True, False
    while n and h[STATUS] == OK:
        n -= 1
        at = todo + 5 * n
        d, stack = h[at], h[at + 1]
        h[tries], h[tries + 1], h[tries + 2] = h[at + 2], h[at + 3], h[at + 4]
        h[exits], h[exits + 1], h[exits + 2] = 0, 0, 0
        h[SP] = at
        bump = 1 if scarce else _ends_value(h, stack)
        list_top = h[LP]
        for l in range(MAX_LEVEL + 1):
            trie = h[tries + l]
            if trie < 0 or h[STATUS] != OK:
                continue
            w = walk(h, trie, d)
            if h[STATUS] != OK:
                break
            for i in range(h[w + W_N_PARTS]):
                part, kind = h[h[w + W_PARTS] + 2 * i], h[h[w + W_PARTS] + 2 * i + 1]
                level = min(MAX_LEVEL, (kind >> 1) + (bump & kind & 1))
                _or_part(h, part, sure if level <= trusted else maybe)
            if stack:
                _exits_above(h, exits, w, bump)
                if h[d + D_FLAGS] & HAS_ACCEPT and not first:
                    add_pair(h, exits + min(MAX_LEVEL, h[trie + T_LEVEL] + bump + (1 if h[d + D_SCOPE] else 0)), trie, 0)
        first = False
        if scarce:
            trusted = -1
        running = h[STATUS] == OK and stack != 0 and _merge_exits(h, exits, tries)
        h[LP] = list_top
        if not running:
            continue
        rest = 0
        if marking or is_set(h, stack):  # from here on, do nothing twice
            if not marking:
                clear_visited(h, SEEN)
            marking = True
            rest = intern(h, TRIES, 0, tries, 3)
            if not visit(h, SEEN, stack, rest):
                continue
        for i in range(n_tops(h, stack)):
            node = top_of(h, stack, i)
            at = todo + 5 * n
            if at + 64 > h[SCRATCH_END]:
                h[STATUS] = TOO_LARGE
            elif node and (not is_set(h, stack) or visit(h, SEEN, node, rest)):
                h[at], h[at + 1] = h[node + K_RETURN], h[node + K_PARENT]
                h[at + 2], h[at + 3], h[at + 4] = h[tries], h[tries + 1], h[tries + 2]
                n += 1
    h[SP] = exits


@kernel("i8(i4[::1], i8, i4[::1], i4[::1])", entry=True)
def fill_mask(h, state, row, maybe):
    """Write the tokens that are certainly allowed to ``row`` (without end-of-sequence), and those to verify to ``maybe``.
    1 if there are any to verify."""
    for i in range(row.size):
        row[i] = 0
        maybe[i] = 0
    sp, lp, kp = h[SP], h[LP], h[KP]
    for c in range(n_configs(h, state)):
        _config_mask(h, state + S_CONFIGS + 3 * c, row, maybe)
    h[SP], h[LP], h[KP] = sp, lp, kp
    unsure = 0
    for i in range(row.size):
        maybe[i] &= ~row[i]
        unsure |= maybe[i]
    return 1 if unsure else 0


@kernel("void(i4[::1], i8, i4[::1], i4[::1])", entry=True)
def verify(h, state, row, maybe):
    """Add to the row those of the tokens in ``maybe`` that `advance` allows."""
    for i in range(row.size):
        x = maybe[i] & 0xFFFFFFFF
        t = 32 * i
        while x and h[STATUS] == OK:
            if x & 1 and t < h[N_VOCAB] and advance(h, state, t) >= 0:
                row[i] |= 1 << (t & 31)
            x >>= 1
            t += 1


@kernel("i8(i4[::1])", entry=True)
def row_hash(row):
    """A content hash."""
    content = 0
    for i in range(row.size):
        content = (content ^ row[i]) * -7046029254386353131
        content ^= content >> 29
    return content
