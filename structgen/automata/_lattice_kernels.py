"""Sets of states on the way through a lattice: where they lead, which of them lead where, by which tokens.

States are numbered from 0; a set of them is a row of bits (uint8, the least significant bit first). ``bounds[2 k : 2 k + 2]`` says where
the edges of state k begin and end in ``edges``, pairs of a target and the number of a group of tokens.
"""

from structgen.automata.jit import kernel


@kernel("i8(u1[::1], i4[::1], i4[::1], u1[::1])", entry=True)
def after(states, bounds, edges, out):
    """``out``: all targets of the states."""
    for byte in range(states.size):
        bits = states[byte]
        k = 8 * byte
        while bits:
            if bits & 1:
                for e in range(bounds[2 * k], bounds[2 * k + 1]):
                    to = edges[2 * e]
                    out[to >> 3] |= 1 << (to & 7)
            bits >>= 1
            k += 1
    return 0


@kernel("i8(u1[::1], u1[::1], i4[::1], i4[::1], u1[::1])", entry=True)
def before(states, following, bounds, edges, out):
    """``out``: those of the states with a target in ``following``."""
    for byte in range(states.size):
        bits = states[byte]
        k = 8 * byte
        while bits:
            if bits & 1:
                for e in range(bounds[2 * k], bounds[2 * k + 1]):
                    to = edges[2 * e]
                    if following[to >> 3] >> (to & 7) & 1:
                        out[byte] |= 1 << (k & 7)
                        break
            bits >>= 1
            k += 1
    return 0


@kernel("i8(u1[::1], u1[::1], i4[::1], i4[::1], u1[::1])", entry=True)
def groups(states, following, bounds, edges, out):
    """``out``: the groups of tokens that lead from one of the states to one of ``following``."""
    for byte in range(states.size):
        bits = states[byte]
        k = 8 * byte
        while bits:
            if bits & 1:
                for e in range(bounds[2 * k], bounds[2 * k + 1]):
                    to = edges[2 * e]
                    if following[to >> 3] >> (to & 7) & 1:
                        group = edges[2 * e + 1]
                        out[group >> 3] |= 1 << (group & 7)
            bits >>= 1
            k += 1
    return 0


@kernel("i8(i4[::1], i4[::1], i4[::1], i4[::1], i4[::1])", entry=True)
def by_target(following, slots, tokens, targets, starts):
    """Tokens grouped by the states they lead to (``following[t]``, none if not above 0): ``tokens[starts[i] : starts[i + 1]]``, ascending,
    lead to ``targets[i]``. ``slots``: a hash table of zeros, a power of two, twice as many as there is room for targets. The number of
    targets, -1 if there is no room for them."""
    last, n = slots.size - 1, 0
    for i in range(starts.size):
        starts[i] = 0
    for t in range(following.size):
        to = following[t]
        if to > 0:
            slot = to & last
            while slots[slot] and targets[slots[slot] - 1] != to:
                slot = slot + 1 & last
            if not slots[slot]:
                if n == targets.size:
                    return -1
                targets[n] = to
                n += 1
                slots[slot] = n
            starts[slots[slot]] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    total = starts[n]
    for t in range(following.size - 1, -1, -1):
        to = following[t]
        if to > 0:
            slot = to & last
            while targets[slots[slot] - 1] != to:
                slot = slot + 1 & last
            starts[slots[slot]] -= 1
            tokens[starts[slots[slot]]] = t
    for i in range(n):
        starts[i] = starts[i + 1]
    starts[n] = total
    return n
