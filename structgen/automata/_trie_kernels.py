"""Token tries inside the arena: what is left of a set of tokens after part of their bytes, as a trie of suffixes.

A trie record holds its level, sizes, the node table in depth-first order (end of subtree, first token, byte, depth; one
sentinel row) and the tokens in the same order. ``merge`` joins the subtrees hanging below given nodes into one trie, in
time proportional to its result; equal tries are one record, so everything memoised about a trie serves all grammars.

What would be a large trie is not merged but becomes a forest: the nodes with which its subtrees begin, sorted by their bytes. A word
may end after any letter, or with a space: then what is left of the tokens is half the vocabulary or more, of which the
walk that comes next touches little.

The level counts how many captured names a token has finished before this suffix (2 stands for two or more): the masks
verify such tokens one by one.
"""

from structgen.automata._arena import (
    FOREST,
    HEADER,
    KP,
    OK,
    SCRATCH_END,
    SP,
    STATUS,
    TABLE,
    TABLE_BITS,
    TABLE_USED,
    TOKENS_END,
    TOO_LARGE,
    TOP,
    TRIE,
    grow_table,
    has_room,
    hash_words,
    lookup,
    sort_pairs,
    sort_words,
)
from structgen.automata.jit import inlined, kernel

T_FIELDS = 4
T_LEVEL = HEADER + T_FIELDS
T_N_NODES, T_N_TOKENS, T_DEPTH, T_NODES = T_LEVEL + 1, T_LEVEL + 2, T_LEVEL + 3, T_LEVEL + 4
N_END, N_TOKEN, N_BYTE, N_DEPTH = 0, 1, 2, 3
# A forest has the same head (nodes counted below all its roots, roots, longest rest of a token), then where the roots of each
# byte begin (257 numbers), then the roots, pairs (trie, node).
T_ROOTS = T_NODES + 257
MAX_MERGED = 2000  # nodes of a trie that is made


@kernel("i8(i4[::1], i8)")
def is_forest(h, trie):
    return (h[trie + 1] & 15) == FOREST


@kernel("i8(i4[::1], i8)")
def tokens_of(h, trie):
    """Offset of the tokens of a trie."""
    return trie + T_NODES + 4 * (h[trie + T_N_NODES] + 1)


@kernel("i8(i4[::1], i8, i8)")
def _intern_built(h, kind, n):
    """Intern the trie or forest whose n key words were written where a new record would have them."""
    at = h[TOP]
    key = at + HEADER + T_FIELDS
    r = lookup(h, kind, T_FIELDS, key, n)
    if r >= 0:
        return r
    h[at] = (hash_words(h, key, n) * 31 + kind) & 0x7FFFFFFF
    h[at + 1] = kind + 16 * n
    for i in range(T_FIELDS):
        h[at + HEADER + i] = 0
    h[TOP] = key + n
    if h[TABLE_USED] * 2 > (1 << h[TABLE_BITS]):
        grow_table(h)
        r = lookup(h, kind, T_FIELDS, key, n)
    h[h[TABLE] - r - 1] = at
    h[TABLE_USED] += 1
    return at


@kernel("i8(i4[::1], i8, i8)")
def relevel(h, trie, level):
    """The same trie at another level."""
    n = h[trie + 1] >> 4
    if h[trie + T_LEVEL] == level:
        return trie
    if not has_room(h, n + 64):
        return -1
    key = h[TOP] + HEADER + T_FIELDS
    for i in range(n):
        h[key + i] = h[trie + T_LEVEL + i]
    h[key] = level
    return _intern_built(h, h[trie + 1] & 15, n)


@inlined
def _copy_subtree(h, trie, node, place):
    """Append the nodes strictly below ``node`` and their tokens; ``place`` is (out table, count, depth offset) on scratch.
    Returns the new node count."""
    out, count, shift = h[place], h[place + 1], h[place + 2]
    nodes = trie + T_NODES
    end = h[nodes + 4 * node]
    if end == node + 1:
        return count
    first = h[nodes + 4 * (node + 1) + N_TOKEN]
    last = h[nodes + 4 * end + N_TOKEN]
    kp = h[KP]
    tokens_base = h[place + 3]
    source = tokens_of(h, trie)
    for i in range(last - first):
        h[kp + i] = h[source + first + i]
    h[KP] = kp + last - first
    move, token_move = count - (node + 1), (kp - tokens_base) - first
    for i in range(node + 1, end):
        o, s = out + 4 * (i + move), nodes + 4 * i
        h[o], h[o + 1], h[o + 2], h[o + 3] = h[s] + move, h[s + 1] + token_move, h[s + 2], h[s + 3] + shift
    return count + end - node - 1


@kernel("i8(i4[::1], i8, i8, i8, i8, i8, i8)")
def _open_frame(h, previous, sources, n, depth, out, place):
    """Start on the children of a new node, whose END is at ``out``, made of n source nodes (pairs (trie, node)).

    One source is copied at once; several get a frame on the scratch stack with their children sorted by byte:
    (previous frame, children, next child, depth, out, then triples (byte, trie, child)). Returns the current frame."""
    if n == 1:
        trie, node = h[sources], h[sources + 1]
        h[place + 2] = depth - h[trie + T_NODES + 4 * node + N_DEPTH]
        h[place + 1] = _copy_subtree(h, trie, node, place)
        h[out] = h[place + 1]
        return previous
    frame = h[SP]
    base = frame + 5
    top = base
    for i in range(n):
        trie, node = h[sources + 2 * i], h[sources + 2 * i + 1]
        nodes = trie + T_NODES
        child, end = node + 1, h[nodes + 4 * node]
        while child < end:
            if top + 64 > h[SCRATCH_END]:
                h[STATUS] = TOO_LARGE
                return 0
            h[top], h[top + 1], h[top + 2] = h[nodes + 4 * child + N_BYTE], trie, child
            top += 3
            child = h[nodes + 4 * child]
    count = (top - base) // 3
    gap = count >> 1
    while gap > 0:  # shell sort by (byte, trie, child)
        for i in range(gap, count):
            x, y, z = h[base + 3 * i], h[base + 3 * i + 1], h[base + 3 * i + 2]
            j = i
            while j >= gap:
                u = base + 3 * (j - gap)
                if h[u] < x or (h[u] == x and (h[u + 1] < y or (h[u + 1] == y and h[u + 2] <= z))):
                    break
                h[base + 3 * j], h[base + 3 * j + 1], h[base + 3 * j + 2] = h[u], h[u + 1], h[u + 2]
                j -= gap
            h[base + 3 * j], h[base + 3 * j + 1], h[base + 3 * j + 2] = x, y, z
        gap >>= 1
    h[frame], h[frame + 1], h[frame + 2], h[frame + 3], h[frame + 4] = previous, count, 0, depth, out
    h[SP] = top
    return frame


@kernel("void(i4[::1], i8)")
def _sort_tokens(h, first):
    """Sort the tokens on the token stack from ``first`` and drop repeated ones (which ambiguous grammars bring)."""
    n = h[KP] - first
    sort_words(h, first, n)
    count = min(n, 1)
    for i in range(1, n):
        if h[first + i] != h[first + count - 1]:
            h[first + count] = h[first + i]
            count += 1
    h[KP] = first + count


@inlined
def _merge_below(h, sources, n, place):
    """Append, in order, everything below the n source nodes, merged by byte."""
    frame = _open_frame(h, 0, sources, n, 0, h[place], place)
    while frame and h[STATUS] == OK:
        count, i, depth = h[frame + 1], h[frame + 2], h[frame + 3]
        base = frame + 5
        if i == count:
            h[h[frame + 4]] = h[place + 1]
            h[SP] = frame
            frame = h[frame]
            continue
        byte, group, m = h[base + 3 * i], base + 3 * count, 0
        if group + 2 * count + 64 > h[SCRATCH_END]:
            h[STATUS] = TOO_LARGE
            return
        while i < count and h[base + 3 * i] == byte:
            if m == 0 or h[group + 2 * m - 2] != h[base + 3 * i + 1] or h[group + 2 * m - 1] != h[base + 3 * i + 2]:
                h[group + 2 * m], h[group + 2 * m + 1] = h[base + 3 * i + 1], h[base + 3 * i + 2]
                m += 1
            i += 1
        h[frame + 2] = i
        h[SP] = group + 2 * m
        out = h[place] + 4 * h[place + 1]
        h[out + N_TOKEN], h[out + N_BYTE], h[out + N_DEPTH] = h[KP] - h[place + 3], byte, depth + 1
        h[place + 1] += 1
        for j in range(m):
            trie, child = h[group + 2 * j], h[group + 2 * j + 1]
            nodes, tokens = trie + T_NODES, tokens_of(h, trie)
            for t in range(h[nodes + 4 * child + N_TOKEN], h[nodes + 4 * (child + 1) + N_TOKEN]):
                h[h[KP]] = h[tokens + t]
                h[KP] += 1
        if m > 1:
            _sort_tokens(h, h[place + 3] + h[out + N_TOKEN])
        frame = _open_frame(h, frame, group, m, depth + 1, out, place)


@kernel("i8(i4[::1], i8, i8, i8)")
def _sort_roots(h, first, n, shift):
    """Sort n roots of a forest, drop repeated ones, and move them ``shift`` words down. How many are left."""
    in_order = True
    for i in range(1, n):
        at = first + 2 * i
        in_order = in_order and (h[at - 2] < h[at] or (h[at - 2] == h[at] and h[at - 1] < h[at + 1]))
    count = n
    if not in_order:
        sort_pairs(h, first, n)
        count = min(n, 1)
        for i in range(1, n):
            at, last = first + 2 * i, first + 2 * (count - 1)
            if h[at] != h[last] or h[at + 1] != h[last + 1]:
                h[last + 2], h[last + 3] = h[at], h[at + 1]
                count += 1
    for i in range(2 * count):
        h[first - shift + i] = h[first + i]
    return count


@inlined
def _forest(h, sources, n, level):
    """The forest of what lies below the n source nodes."""
    counts = h[SP]
    if counts + 600 > h[SCRATCH_END]:
        h[STATUS] = TOO_LARGE
        return -1
    for b in range(257):
        h[counts + b] = 0
    depth = 0
    for i in range(n):
        trie, node = h[sources + 2 * i], h[sources + 2 * i + 1]
        if is_forest(h, trie):
            depth = max(depth, h[trie + T_DEPTH])
            for b in range(256):
                h[counts + b] += h[trie + T_NODES + b + 1] - h[trie + T_NODES + b]
            continue
        nodes = trie + T_NODES
        depth = max(depth, h[trie + T_DEPTH] - h[nodes + 4 * node + N_DEPTH])
        child, end = node + 1, h[nodes + 4 * node]
        while child < end:
            h[counts + h[nodes + 4 * child + N_BYTE]] += 1
            child = h[nodes + 4 * child]
    total = 0
    for b in range(257):  # from here on: where the next root of this byte goes
        here = h[counts + b]
        h[counts + b] = total
        total += here
    if not has_room(h, 2 * total + 1000):
        return -1
    key = h[TOP] + HEADER + T_FIELDS
    starts, roots = key + 4, key + 4 + 257
    for b in range(257):
        h[starts + b] = h[counts + b]
    for i in range(n):
        trie, node = h[sources + 2 * i], h[sources + 2 * i + 1]
        nodes = trie + T_NODES
        if is_forest(h, trie):
            for b in range(256):
                for j in range(h[nodes + b], h[nodes + b + 1]):
                    at = roots + 2 * h[counts + b]
                    h[at], h[at + 1] = h[trie + T_ROOTS + 2 * j], h[trie + T_ROOTS + 2 * j + 1]
                    h[counts + b] += 1
            continue
        child, end = node + 1, h[nodes + 4 * node]
        while child < end:
            b = h[nodes + 4 * child + N_BYTE]
            at = roots + 2 * h[counts + b]
            h[at], h[at + 1] = trie, child
            h[counts + b] += 1
            child = h[nodes + 4 * child]
    kept = 0
    for b in range(256):
        first, last = h[starts + b], h[starts + b + 1]
        h[starts + b] = kept
        kept += _sort_roots(h, roots + 2 * first, last - first, 2 * (first - kept))
    h[starts + 256] = kept
    n_nodes = 0
    for i in range(kept):
        trie, node = h[roots + 2 * i], h[roots + 2 * i + 1]
        n_nodes += h[trie + T_NODES + 4 * node] - node
    h[key], h[key + 1], h[key + 2], h[key + 3] = level, n_nodes, kept, depth
    return _intern_built(h, FOREST, 4 + 257 + 2 * kept)


@kernel("i8(i4[::1], i8, i8, i8)")
def merge(h, sources, n, level):
    """The trie, or forest, of what lies below the n source nodes (pairs (trie, node) on scratch), -1 if nothing does."""
    room, n_tokens, n_nodes, any_forest = 256, 0, 0, False
    for i in range(n):
        trie, node = h[sources + 2 * i], h[sources + 2 * i + 1]
        nodes = trie + T_NODES
        if is_forest(h, trie):
            any_forest = True
            n_tokens += 1
            continue
        end = h[nodes + 4 * node]
        if end > node + 1:
            room += 4 * (end - node)
            n_tokens += h[nodes + 4 * end + N_TOKEN] - h[nodes + 4 * (node + 1) + N_TOKEN]
            n_nodes += end - node - 1
    if n_tokens == 0:
        return -1
    if n == 1 and h[sources + 1] == 0:
        return relevel(h, h[sources], level)
    if any_forest or n_nodes > MAX_MERGED:
        return _forest(h, sources, n, level)
    if h[KP] + n_tokens + 64 > h[TOKENS_END]:
        h[STATUS] = TOO_LARGE
        return -1
    if not has_room(h, room + n_tokens):
        return -1
    tokens, place = h[KP], h[SP]
    h[SP] += 4
    key = h[TOP] + HEADER + T_FIELDS
    nodes = key + 4
    h[place], h[place + 1], h[place + 3] = nodes, 1, tokens
    h[nodes + N_TOKEN], h[nodes + N_BYTE], h[nodes + N_DEPTH] = 0, 0, 0
    _merge_below(h, sources, n, place)
    if h[STATUS] != OK:
        h[SP], h[KP] = place, tokens
        return -1
    count = h[place + 1]
    n_tokens = h[KP] - tokens
    end = nodes + 4 * count
    h[end], h[end + 1], h[end + 2], h[end + 3] = count, n_tokens, 0, 0
    depth = 0
    for i in range(count):
        depth = max(depth, h[nodes + 4 * i + N_DEPTH])
    for i in range(n_tokens):
        h[end + 4 + i] = h[tokens + i]
    h[key], h[key + 1], h[key + 2], h[key + 3] = level, count, n_tokens, depth
    h[SP], h[KP] = place, tokens
    return _intern_built(h, TRIE, 4 + 4 * (count + 1) + n_tokens)
