"""What cannot be finished, for want of names or because all values that an item can still become are used; masks without it.

``prune`` drops the configurations of a state that cannot be finished. What cannot be finished cannot become so later, hence
pruning after whole tokens is enough. Grammars whose names and items are free never come here, and this module is compiled on
first need.
"""

from structgen.automata._arena import DEAD, LISTS_END, LP, N_VOCAB, OK, SP, STATUS, TAPE, TOO_LARGE
from structgen.automata._item_kernels import has_items, items_can_finish, new_value
from structgen.automata._names_kernels import SCARCE, SCOPE_ITEMS
from structgen.automata._pushdown_kernels import (
    K_BEGAN,
    K_CAPTURE,
    K_DATA,
    K_PARENT,
    K_PRUNED,
    K_RETURN,
    K_TAPED,
    S_ACCEPTING,
    S_CONFIGS,
    S_PRUNED,
    S_TAPE,
    advance,
    intern_stacks,
    intern_state,
    is_captured,
    is_set,
    n_configs,
    n_tops,
    push,
    top_of,
)
from structgen.automata._scope_kernels import count_words, name_can_finish, scope_can_finish
from structgen.automata._state_kernels import D_KEY, D_SCOPE, rule_start
from structgen.automata._string_kernels import S_HI, S_LEXEME, S_LO, S_Q
from structgen.automata.jit import inlined, kernel

EMPTY = 1  # in K_PRUNED: the empty stack


@kernel("i8(i4[::1], i8, i8)")
def _scope_can_finish(h, d, names):
    """Whether a scope in D-state d can be finished after these names or items."""
    return scope_can_finish(h, d, names) and (not h[h[d + D_SCOPE] + SCOPE_ITEMS] or items_can_finish(h, d, names))


@inlined
def _node_can_finish(h, node):
    """Whether the scope that a stack node returns to, if any, can be finished."""
    if h[node + K_CAPTURE] or h[h[node + K_RETURN] + D_SCOPE] == 0:
        return 1
    return _scope_can_finish(h, h[node + K_RETURN], h[node + K_DATA])


@inlined
def _copy_node(h, node, parent):
    """The same stack node on another parent."""
    return push(h, h[node + K_RETURN], h[node + K_DATA], parent, h[node + K_CAPTURE], h[node + K_BEGAN])


@inlined
def _pruned(h, stack):
    """The result of `_prune_stack` for a stack that is settled."""
    return 0 if stack == 0 or h[stack + K_PRUNED] == EMPTY else h[stack + K_PRUNED]


@inlined
def _listed(h, base, n, x):
    """Whether x is among the n words from ``base``."""
    i = 0
    while i < n and h[base + i] != x:
        i += 1
    return i < n


@kernel("i8(i4[::1], i8)")
def _prune_stack(h, stack):
    """The stack without the nodes that lead through a scope that cannot be finished, DEAD if none is left; memoised.

    Depth first with a list of pending stacks: a stack is settled when those below it are."""
    if stack == 0:
        return 0
    pending = h[LP]
    n = 1
    h[pending] = stack
    while n and h[STATUS] == OK:
        s = h[pending + n - 1]
        if h[s + K_PRUNED]:
            n -= 1
            continue
        h[LP] = pending + n + 64
        if h[LP] + n_tops(h, s) + 64 > h[LISTS_END]:
            h[STATUS] = TOO_LARGE
            break
        if not is_set(h, s):
            parent = h[s + K_PARENT]
            if parent and not h[parent + K_PRUNED]:
                h[pending + n] = parent
                n += 1
                continue
            result = _pruned(h, parent)
            if result >= 0:
                result = _copy_node(h, s, result) if _node_can_finish(h, s) else DEAD
        else:
            waiting, kept, count = 0, h[SP], 0
            for i in range(n_tops(h, s)):
                node = top_of(h, s, i)
                if node and not h[node + K_PRUNED]:
                    h[pending + n + waiting] = node
                    waiting += 1
                elif _pruned(h, node) != DEAD and not _listed(h, kept, count, _pruned(h, node)):
                    h[kept + count] = _pruned(h, node)
                    count += 1
            if waiting:
                n += waiting
                continue
            result = intern_stacks(h, kept, count) if count else DEAD
        if h[STATUS] == OK:
            h[s + K_PRUNED] = result if result else EMPTY
            if result > 0:
                h[result + K_PRUNED] = result
    h[LP] = pending
    return _pruned(h, stack)


@inlined
def _unused_tops(h, d, data, stack):
    """The stacks, of those this one stands for, on which the captured text can still become a name."""
    kept, count = h[SP], 0
    h[SP] += n_tops(h, stack) + 1
    for i in range(n_tops(h, stack)):
        node = top_of(h, stack, i)
        if name_can_finish(h, d, data, node):
            h[kept + count] = node
            count += 1
    result = intern_stacks(h, kept, count) if count else DEAD
    h[SP] = kept
    return result


@kernel("i8(i4[::1], i8)")
def _finishing_stack(h, config):
    """The stack of a configuration (offset of its triple) without what cannot be finished, DEAD if nothing is left."""
    d, data, stack = h[config], h[config + 1], h[config + 2]
    if is_captured(h, stack):
        stack = _unused_tops(h, d, data, stack)
    elif h[d + D_SCOPE] and not _scope_can_finish(h, d, data):
        return DEAD
    if stack > 0:
        stack = _prune_stack(h, stack)
    if stack > 0 and h[stack + K_TAPED] & SCARCE and not new_value(h, d, data, stack, h[TAPE], 0):
        return DEAD
    return stack


@kernel("i8(i4[::1], i8)", entry=True)
def prune(h, state):
    """The state without the configurations that cannot be finished, DEAD if nothing is left."""
    known = h[state + S_PRUNED]
    if known:
        return known
    h[SP] += 2
    base = h[SP]
    h[TAPE] = h[state + S_TAPE]
    for i in range(n_configs(h, state)):
        config = state + S_CONFIGS + 3 * i
        stack = _finishing_stack(h, config)
        if stack >= 0:
            at = h[SP]
            h[at], h[at + 1], h[at + 2] = h[config], h[config + 1], stack
            h[SP] = at + 3
    result = intern_state(h, base, h[state + S_ACCEPTING])
    h[SP] = base - 2
    if h[STATUS] == OK:
        h[state + S_PRUNED] = result
        if result > 0:
            h[result + S_PRUNED] = result
    return result


@kernel("i8(i4[::1], i8)", entry=True)
def has_words(h, rule):
    """Whether a scope (its rule cell) can be finished at all."""
    d = rule_start(h, rule)
    return d != DEAD and scope_can_finish(h, d, 0) and (not h[h[d + D_SCOPE] + SCOPE_ITEMS] or has_items(h, d))


@kernel("void(i4[::1], i8, i4[::1], i4[::1])", entry=True)
def verify_scarce(h, state, row, maybe):
    """As `_mask_kernels.verify`, where names or items may run out: `advance` must leave something that can be finished."""
    for i in range(row.size):
        x = maybe[i] & 0xFFFFFFFF
        t = 32 * i
        while x and h[STATUS] == OK:
            if x & 1 and t < h[N_VOCAB]:
                after = advance(h, state, t)
                if after >= 0 and h[STATUS] == OK and prune(h, after) >= 0:
                    row[i] |= 1 << (t & 31)
            x >>= 1
            t += 1


@kernel("i8(i4[::1], i8, i8)", entry=True)
def n_words(h, rule, limit):
    """Number of words of a captured lexeme (its rule cell), -1 if more than limit."""
    s = h[rule_start(h, rule) + D_KEY + 1]
    n = count_words(h, h[s + S_LEXEME], h[s + S_Q], h[s + S_LO], h[s + S_HI], limit)
    return n if n <= limit else -1
