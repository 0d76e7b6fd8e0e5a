"""The states after all tokens at once; loaded only when a whole transition function is wanted."""

from structgen.automata._arena import DEAD, OK, ROOT_TRIE, SP, STATUS
from structgen.automata._pushdown_kernels import step
from structgen.automata._trie_kernels import N_BYTE, N_DEPTH, N_TOKEN, T_DEPTH, T_N_NODES, T_NODES, tokens_of
from structgen.automata.jit import kernel


@kernel("i8(i4[::1], i8, i4[::1])", entry=True)
def successors(h, state, out):
    """``out[t]``: the state after token t, DEAD where it is not allowed. Every byte that tokens share is read once."""
    trie = h[ROOT_TRIE]
    nodes, n, tokens = trie + T_NODES, h[trie + T_N_NODES], tokens_of(h, trie)
    for t in range(out.size):
        out[t] = DEAD
    path = h[SP]
    h[SP] += h[trie + T_DEPTH] + 2
    h[path] = state
    i = 1
    while i < n and h[STATUS] == OK:
        o = nodes + 4 * i
        depth = h[o + N_DEPTH]
        after = step(h, h[path + depth - 1], h[o + N_BYTE])
        if after < 0:
            i = h[o]
            continue
        for j in range(h[o + N_TOKEN], h[o + 4 + N_TOKEN]):
            out[h[tokens + j]] = after
        h[path + depth] = after
        i += 1
    h[SP] = path
    return 0
