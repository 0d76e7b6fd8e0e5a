"""What `structgen.automata.completion` asks of the arena; loaded only when outputs are to be finished within a number of tokens."""

from structgen.automata._arena import DEAD, KP, OK, ROOT_TRIE, SCRATCH_END, SP, STATUS, TOO_LARGE
from structgen.automata._state_kernels import D_FLAGS, HAS_BYTES, LITERAL, _literal_step, calls, rule_start, transition
from structgen.automata._string_kernels import END, S_PHASE, string_accepts, string_step
from structgen.automata._trie_kernels import N_BYTE, N_DEPTH, N_TOKEN, T_DEPTH, T_N_NODES, T_NODES, T_ROOTS, is_forest, merge
from structgen.automata.jit import kernel


@kernel("void(i4[::1], i8, i8, i8, i8, i4[::1])")
def _land_below(h, path, trie, i, n, out):
    """`land` for nodes i to n - 1, from the D-state at ``path``."""
    nodes = trie + T_NODES
    above = path - h[nodes + 4 * i + N_DEPTH]
    while i < n and h[STATUS] == OK:
        o = nodes + 4 * i
        depth = h[o + N_DEPTH]
        t = transition(h, h[above + depth], h[o + N_BYTE])
        if t >= 0:
            out[i] = t
            h[above + depth + 1] = t
        i = i + 1 if t >= 0 and h[t + D_FLAGS] & HAS_BYTES else h[o]


@kernel("i8(i4[::1], i8, i8, i8, i4[::1])", entry=True)
def land(h, trie, source, d, out):
    """Run a trie or forest through the rule body from D-state d: ``out[i]`` is the D-state at node i of the trie ``source``, which is
    the trie itself or one that roots of the forest lie in; DEAD where there is none."""
    for i in range(out.size):
        out[i] = DEAD
    path = h[SP]
    h[SP] += h[trie + T_DEPTH] + 2
    h[path] = d
    if h[d + D_FLAGS] & HAS_BYTES:
        if not is_forest(h, trie):
            _land_below(h, path, trie, 1, h[trie + T_N_NODES], out)
        else:
            for j in range(h[trie + T_NODES + 256]):
                root = trie + T_ROOTS + 2 * j
                if h[root] == source:
                    _land_below(h, path, source, h[root + 1], h[source + T_NODES + 4 * h[root + 1]], out)
    h[SP] = path
    return 0


@kernel("i8(i4[::1], i4[::1])", entry=True)
def below(h, pairs):
    """The trie or forest of what is left of the tokens below some nodes, pairs (trie, node); -1 if nothing is."""
    sources, kp = h[SP], h[KP]
    if sources + pairs.size + 64 > h[SCRATCH_END]:
        h[STATUS] = TOO_LARGE
        return -1
    for i in range(pairs.size):
        h[sources + i] = pairs[i]
    h[SP] = sources + pairs.size
    result = merge(h, sources, pairs.size // 2, 0)
    h[SP], h[KP] = sources, kp
    return result


@kernel("i8(i4[::1], i8)", entry=True)
def calls_of(h, d):
    """Where the calls of a D-state are listed (see `_state_kernels.calls`)."""
    return calls(h, d)


@kernel("i8(i4[::1], i8)", entry=True)
def start_of(h, rule):
    return rule_start(h, rule)


@kernel("i8(i4[::1], i8, i8, i4[::1])", entry=True)
def element_steps(h, ip, sub, out):
    """The progress of a literal or string after each byte, -1 where it does not go on so, -2 where the byte ends it. Whether
    it may be over already."""
    literal = h[ip] == LITERAL
    for b in range(256):
        if literal:
            out[b] = _literal_step(h, ip, sub, b)
        else:
            s = string_step(h, sub, b)
            out[b] = -2 if s >= 0 and h[s + S_PHASE] == END else s
    return 0 if literal else string_accepts(h, sub)


@kernel("i8(i4[::1], i4[::1], i4[::1])", entry=True)
def fewest_tokens(h, text, best):
    """``best[i]``: how many tokens it takes at least to spell the bytes of ``text`` from i on, -1 if none spell them."""
    nodes, n = h[ROOT_TRIE] + T_NODES, text.size
    best[n] = 0
    for i in range(n - 1, -1, -1):
        best[i] = -1
        node, at = 0, i
        while at < n:
            child, end = node + 1, h[nodes + 4 * node]
            while child < end and h[nodes + 4 * child + N_BYTE] != text[at]:
                child = h[nodes + 4 * child]
            if child >= end:
                break
            node, at = child, at + 1
            o = nodes + 4 * node
            if h[o + N_TOKEN] < h[o + 4 + N_TOKEN] and best[at] >= 0 and (best[i] < 0 or best[at] + 1 < best[i]):
                best[i] = best[at] + 1
    return best[0]
