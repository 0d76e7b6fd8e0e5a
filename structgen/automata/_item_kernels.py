"""Whether an item that must differ from others, once begun, can become a value not used yet.

``new_value`` tries the ways on from a configuration, depth first, until one leads out of all items that may run out: every way
tried ends with a value, which is new or one of those used, so there are few more tries than used values. It ranges over values
rather than texts: one kind of white space, one spelling of a character, one of an exponent. Strings with more words
than anyone writes settle the matter at once. Items of which every beginning can go on for ever never come here.
"""

from structgen.automata._arena import DEAD, LISTS_END, LP, OK, STATUS, TOO_LARGE
from structgen.automata._names_kernels import (
    CAPTURE,
    EXHAUSTIBLE,
    ITEM,
    REQUIRED,
    SCARCE,
    SCOPE_MIN,
    add_item,
    add_name,
    extend_text,
    has_name,
    n_names,
    scope_may_end,
)
from structgen.automata._pushdown_kernels import K_BEGAN, K_CAPTURE, K_DATA, K_PARENT, K_RETURN, K_TAPED, is_captured, n_tops, push, top_of
from structgen.automata._scope_kernels import NEVER, count_words, least_names, name_can_finish, scope_can_finish
from structgen.automata._state_kernels import (
    D_FLAGS,
    D_KEY,
    D_LIVE,
    D_N_CALLS,
    D_N_LIVE,
    D_SCOPE,
    HAS_ACCEPT,
    HAS_BYTES,
    HAS_CALLS,
    IS_STRING,
    R_VALUE,
    calls,
    rule_start,
    transition,
)
from structgen.automata._string_kernels import L_FLAGS, L_QUOTED, NORMAL, Q_FREE, S_HI, S_LEXEME, S_LO, S_PHASE, S_Q
from structgen.automata.jit import inlined, kernel

ENDLESS = 1  # result of new_value: more values than anyone writes
MANY = (1 << 20) - 1  # strings with more words than this do not run out
MAX_DEPTH, MAX_TRIES = 1 << 14, 1 << 20  # bytes and calls of one value looked ahead, and of all
# A configuration on the way: D-state, data, stack, text of the items, place in that text, the next way on to try.
F_D, F_DATA, F_STACK, F_TEXT, F_PLACE, F_NEXT = 0, 1, 2, 3, 4, 5
F_SIZE = 6
# Places: between the tokens of JSON or in a number, in a string, after a backslash, before each of four hexadecimal digits; in an
# escape that was begun before the search, any is tried.
OUTSIDE, INSIDE, ESCAPE, HEX = 0, 1, 2, 3
BEGUN = 8


@kernel("i8(i8, i8)")
def _next_place(place, b):
    """The place after byte b."""
    kind, begun = place & 7, place & BEGUN
    if kind == OUTSIDE:
        return INSIDE if b == 34 else OUTSIDE
    if kind == INSIDE:
        return OUTSIDE if b == 34 else (ESCAPE if b == 92 else INSIDE)
    if kind == ESCAPE:
        return HEX | begun if b == 117 else INSIDE
    return kind + 1 | begun if kind < HEX + 3 else INSIDE


@kernel("i8(i4[::1], i8)")
def _place_after(h, text):
    """The place after a text of items, the last of which is being read."""
    n, t, place = 0, text, OUTSIDE
    while t:
        n += 1
        t = h[t + 2]
    at = h[LP]
    if at + n + 64 > h[LISTS_END]:
        h[STATUS] = TOO_LARGE
        return OUTSIDE
    t, i = text, at + n
    while t:
        i -= 1
        h[i] = h[t + 3]
        t = h[t + 2]
    for i in range(at, at + n):
        place = _next_place(place, h[i])
    return place | BEGUN if place >= ESCAPE else place


@inlined
def _is_worth_trying(place, b, blank):
    """Whether byte b may lead to a value that no other byte leads to; ``blank``: only white space can be read here."""
    kind = place & 7
    if kind == OUTSIDE:
        return not blank and b != 43 and b != 69  # 1e+1, 1E1
    if kind == INSIDE:
        return 1
    if place & BEGUN:
        return b < 65 or b > 70  # hexadecimal digits A to F
    if kind == ESCAPE:
        return b != 47
    return b == 48 if kind < HEX + 2 else (b <= 49 if kind == HEX + 2 else b < 65 or b > 70)  # of control characters alone


@kernel("i8(i4[::1], i8)")
def _is_blank(h, d):
    """Whether only white space can be read from a D-state, or nothing."""
    if not h[d + D_FLAGS] & HAS_ACCEPT or h[d + D_FLAGS] & HAS_CALLS:
        return 0
    others = h[d + D_LIVE] & ~((1 << 9) | (1 << 10) | (1 << 13)) | h[d + D_LIVE + 1] & ~1
    for i in range(2, 8):
        others |= h[d + D_LIVE + i]
    return others == 0


@inlined
def _is_endless(h, d):
    """Whether a D-state is in a string that has more words than anyone writes."""
    if not h[d + D_FLAGS] & IS_STRING:
        return 0
    s = h[d + D_KEY + 1]
    lexeme, q, hi = h[s + S_LEXEME], h[s + S_Q], h[s + S_HI]
    if h[s + S_PHASE] != NORMAL or not h[lexeme + L_QUOTED]:
        return 0
    if h[h[lexeme + L_FLAGS] + q] & Q_FREE:
        return hi != 0
    return count_words(h, lexeme, q, h[s + S_LO], hi, MANY) > MANY


@kernel("i8(i4[::1], i8, i8, i8, i8, i8, i8)")
def _try_config(h, top, d, data, stack, text, place):
    """Put a configuration on the list of those to go on from, unless its scope cannot be finished; the end of that list."""
    if d < 0 or (h[d + D_SCOPE] and not scope_can_finish(h, d, data)):
        return top
    h[top], h[top + 1], h[top + 2], h[top + 3], h[top + 4], h[top + 5] = d, data, stack, text, place, 0
    return top + F_SIZE


@inlined
def _return(h, top, frame, node):
    """Return from the rule of a configuration to a stack node."""
    capture, data = h[node + K_CAPTURE], h[node + K_DATA]
    if capture & ITEM:
        data = add_item(h, data, h[frame + F_TEXT], h[node + K_BEGAN])
    elif capture:
        data = add_name(h, data, h[frame + F_DATA])
    if data < 0:
        return top
    return _try_config(h, top, h[node + K_RETURN], data, h[node + K_PARENT], h[frame + F_TEXT], h[frame + F_PLACE])


@inlined
def _read(h, top, frame, b, captured):
    """Read a byte."""
    d, place = h[frame + F_D], h[frame + F_PLACE]
    only = h[d + D_N_LIVE] == 1 and h[d + D_FLAGS] & (HAS_ACCEPT | HAS_CALLS) == 0
    t = transition(h, d, b) if only or _is_worth_trying(place, b, _is_blank(h, d)) else DEAD
    if t < 0:
        return top
    data = extend_text(h, h[frame + F_DATA], b) if captured else h[frame + F_DATA]
    text = extend_text(h, h[frame + F_TEXT], b)
    place = _next_place(place, b)
    return _try_config(h, top, t, data, h[frame + F_STACK], text, place | BEGUN if only and place == ESCAPE else place)


@inlined
def _call(h, top, frame, triple):
    """Enter a rule."""
    rule, back, capture = h[triple], h[triple + 1], h[triple + 2]
    data, stack, text = h[frame + F_DATA], h[frame + F_STACK], h[frame + F_TEXT]
    start = rule_start(h, rule)
    if start < 0 or _is_blank(h, start) or (capture & ITEM and h[rule + R_VALUE] and has_name(h, data, h[rule + R_VALUE])):
        return top
    capture &= CAPTURE | EXHAUSTIBLE | REQUIRED | ITEM | SCARCE
    node = push(h, back, data, stack, capture, text if capture & ITEM else 0)
    if capture & CAPTURE and not name_can_finish(h, start, 0, node):
        return top
    return _try_config(h, top, start, 0, node, text, h[frame + F_PLACE])


@kernel("i8(i4[::1], i8, i8, i8, i8, i8)")
def new_value(h, d, data, stack, text, goal):
    """Whether some way leads on from the configuration (d, data, stack) after the text of the items being read to where no
    item that may run out is open: ENDLESS, or 0 if there is none. Where an item ends on the stack ``goal``: the offset of the
    configuration after it, valid until the next search."""
    first = h[LP]
    top = _try_config(h, first, d, data, stack, text, _place_after(h, text))
    tries, result = 0, 0
    while top > first and result == 0 and h[STATUS] == OK:
        frame = top - F_SIZE
        h[LP] = top + 64
        d, stack, way = h[frame + F_D], h[frame + F_STACK], h[frame + F_NEXT]
        if way == 0:
            tries += 1
            if stack == 0 or not h[stack + K_TAPED] & SCARCE or _is_endless(h, d):
                result = ENDLESS
                break
            if tries > MAX_TRIES or top - first > MAX_DEPTH * F_SIZE:
                h[STATUS] = TOO_LARGE
                break
        h[frame + F_NEXT] = way + 1
        n = 0
        if h[d + D_FLAGS] & HAS_ACCEPT and (h[d + D_SCOPE] == 0 or scope_may_end(h, h[d + D_SCOPE], h[frame + F_DATA])):
            n = n_tops(h, stack)
        if way < n:
            node = top_of(h, stack, way)
            if node == 0 or not h[node + K_TAPED] & SCARCE:
                result = ENDLESS
                break
            top = _return(h, top, frame, node)
            if top > frame + F_SIZE and h[node + K_CAPTURE] & ITEM and h[node + K_PARENT] == goal:
                result = top - F_SIZE
            continue
        way -= n
        if way < 256:
            b = 34 if way == 0 else 256 - way
            if h[d + D_FLAGS] & HAS_BYTES and (way == 0 or b != 34):
                top = _read(h, top, frame, b, is_captured(h, stack))
            continue
        way -= 256
        if h[d + D_FLAGS] & HAS_CALLS:
            triples = calls(h, d)
            if way < h[d + D_N_CALLS]:
                top = _call(h, top, frame, triples + 3 * way)
                continue
        top = frame
    h[LP] = first
    return result if h[STATUS] == OK else 0


@kernel("i8(i4[::1], i8, i8)")
def next_value(h, d, values):
    """The configuration after one more value of a scope in D-state d; ENDLESS if that never ends, 0 if there is none."""
    goal = push(h, d, 0, 0, SCARCE, 0)
    return new_value(h, d, values, goal, 0, goal)


@kernel("i8(i4[::1], i8, i8)")
def items_can_finish(h, d, values):
    """Whether a scope of items in D-state d can be finished after these values. Where more than one is wanted, there are as many:
    all items are of one kind, which was asked when the scope was made."""
    least = least_names(h, d)
    return least == 0 or (least < NEVER and next_value(h, d, values) != 0)


@kernel("i8(i4[::1], i8)")
def has_items(h, d):
    """Whether there are as many values as a scope of items wants from its start."""
    values, after = 0, ENDLESS + 1
    while after > ENDLESS and (least_names(h, d) > 0 or n_names(h, values) < h[h[d + D_SCOPE] + SCOPE_MIN]):
        after = next_value(h, d, values)
        d, values = h[after + F_D], h[after + F_DATA]
    return after != 0
