"""From a transition table to the one minimal table of its language: trim, merge equal states (Hopcroft), number canonically.

Tables are partial (-1: no transition). After trimming every state can reach acceptance, so a missing transition already
tells two states apart and no sink state is needed. Cost O(n k log n) for n states and k character classes: a few rounds of
Moore's algorithm, which is quadratic at worst but settles most automata, then Hopcroft's.
Sources: E. F. Moore, Gedanken-experiments on sequential machines (1956); J. Hopcroft, An n log n algorithm for minimizing
states in a finite automaton (1971); for partial automata A. Valmari and P. Lehtinen, Efficient minimization of DFAs with
partial transition functions (2008).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

__all__ = ["Row", "Table", "canonical", "minimize"]

Row = Sequence[int]
Table = tuple[list[Row], list[bool]]
"""Rows of next states by class and which states accept; state 0 is the start."""

ROUNDS = 6
"""Rounds of Moore's algorithm before Hopcroft's takes over."""

Fields = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, ...], ...], tuple[bool, ...]]


def canonical(
    starts: Sequence[int], classes: Sequence[int], rows: Sequence[Row], accepting: Sequence[bool], *, minimal: bool = False
) -> Fields:
    """The fields of the `CharDfa` of this table; class -1 in ``classes`` marks characters without any transition.
    ``minimal`` promises that the table is trimmed and minimal already."""
    classes, rows = _merge_columns(classes, rows)
    if not minimal:
        rows, accepting = minimize(rows, accepting)
        classes, rows = _merge_columns(classes, rows)
    changes = [i for i, c in enumerate(classes) if i == 0 or classes[i - 1] != c]
    order = _breadth_first(rows)
    number = [0] * len(order) + [-1]
    for i, state in enumerate(order):
        number[state] = i
    return (
        tuple(starts[i] for i in changes),
        tuple(classes[i] for i in changes),
        tuple([tuple([number[t] for t in rows[state]]) for state in order]),
        tuple(accepting[state] for state in order),
    )


def _merge_columns(classes: Sequence[int], rows: Sequence[Row]) -> tuple[list[int], list[Row]]:
    """Give classes with equal columns one number; classes are numbered by the first interval they have."""
    columns = list(zip(*rows, strict=True))
    dead = (-1,) * len(rows)
    merged: dict[tuple[int, ...], int] = {}
    known: dict[int, int] = {}
    for c in classes:
        if c not in known:
            known[c] = merged.setdefault(dead if c < 0 else columns[c], len(merged))
    return [known[c] for c in classes], list(zip(*merged, strict=True))


def _breadth_first(rows: Sequence[Row]) -> list[int]:
    order, seen = [0], {0, -1}
    for state in order:
        for target in rows[state]:
            if target not in seen:
                seen.add(target)
                order.append(target)
    return order


def minimize(rows: Sequence[Row], accepting: Sequence[bool]) -> Table:
    """The minimal table: states that cannot reach acceptance dropped, equivalent states merged, state 0 still the start."""
    rows, accepting, distance = _trim(rows, accepting)
    block_of, stable = _moore(rows, distance)
    if not stable:
        block_of = _hopcroft(rows, block_of)
    members: dict[int, int] = {}  # a state of each block, the block of state 0 first
    for state, block in enumerate(block_of):
        members.setdefault(block, state)
    if len(members) == len(rows):
        return list(rows), list(accepting)
    number = {block: i for i, block in enumerate(members)}
    to_block = [*(number[block] for block in block_of), -1]
    return [[to_block[t] for t in rows[m]] for m in members.values()], [accepting[m] for m in members.values()]


def _trim(rows: Sequence[Row], accepting: Sequence[bool]) -> tuple[Sequence[Row], Sequence[bool], list[int]]:
    """Only states from which acceptance can be reached, with the length of the shortest way there."""
    before: list[list[int]] = [[] for _ in rows]
    for state, row in enumerate(rows):
        for target in set(row):
            if target >= 0:
                before[target].append(state)
    distance = [0 if accept else -1 for accept in accepting]
    found = [state for state, accept in enumerate(accepting) if accept]
    for state in found:
        for source in before[state]:
            if distance[source] < 0:
                distance[source] = distance[state] + 1
                found.append(source)
    if len(found) == len(rows):
        return rows, accepting, distance
    if distance[0] < 0:
        return [[-1] * len(rows[0])], [False], [-1]
    found.sort()
    number = [-1] * (len(rows) + 1)
    for i, state in enumerate(found):
        number[state] = i
    return [[number[t] for t in rows[s]] for s in found], [accepting[s] for s in found], [distance[s] for s in found]


def _moore(rows: Sequence[Row], distance: Sequence[int]) -> tuple[list[int], bool]:
    """The block of each state after a few rounds in which states of a block are told apart by the blocks they lead to, and
    whether nothing remains to be told apart. At first the distance to acceptance decides."""
    block_of, n_blocks = list(distance), len(set(distance))
    for _ in range(ROUNDS):
        to_block = [*block_of, -1]
        numbers: dict[tuple[int, ...], int] = {}
        block_of = [
            numbers.setdefault((block, *[to_block[t] for t in row]), len(numbers)) for block, row in zip(block_of, rows, strict=True)
        ]
        if len(numbers) in (n_blocks, len(rows)):
            return block_of, True
        n_blocks = len(numbers)
    return block_of, False


def _hopcroft(rows: Sequence[Row], block_of: list[int]) -> list[int]:
    """Split blocks until, for each class, all states of a block go to one block (or all nowhere)."""
    blocks: list[set[int]] = [set() for _ in range(max(block_of) + 1)]
    for state, block in enumerate(block_of):
        blocks[block].add(state)
    into: list[list[tuple[int, int]]] = [[] for _ in rows]
    for state, row in enumerate(rows):
        for c, target in enumerate(row):
            if target >= 0:
                into[target].append((c, state))
    waiting = list(range(len(blocks)))
    is_waiting = [True] * len(blocks)
    while waiting:
        splitter = waiting.pop()
        is_waiting[splitter] = False
        sources: dict[int, list[int]] = defaultdict(list)
        for state in blocks[splitter]:
            for c, source in into[state]:
                sources[c].append(source)
        for states in sources.values():
            for block, part in _by_block(states, block_of).items():
                if len(part) == len(blocks[block]):
                    continue
                new = len(blocks)
                blocks.append(set(part))
                blocks[block].difference_update(part)
                for state in part:
                    block_of[state] = new
                is_waiting.append(True)
                if not is_waiting[block] and len(blocks[block]) < len(part):
                    is_waiting[block], is_waiting[new] = True, False
                    waiting.append(block)
                else:
                    waiting.append(new)
    return block_of


def _by_block(states: list[int], block_of: list[int]) -> dict[int, list[int]]:
    parts: dict[int, list[int]] = {}
    for state in states:
        parts.setdefault(block_of[state], []).append(state)
    return parts
