"""Subset construction: from position automata with look-arounds to one deterministic table over character classes.

Without look-arounds a state is a set of positions. With them it is a set of (obligations, positions) pairs, each pair one
possibility: the positions it may be at, given that every obligation, a state of the automaton of some lookahead begun
earlier, also accepts what remains. What a lookbehind says is a function of the text read so far, so its automaton runs along
from the beginning as a tracker. A lookahead body that itself looks behind is compiled for the tracker states at its start.
States are exponentially many in the worst case: `max_states` and `MAX_WORK` bound them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from structgen.automata._chardfa_anchors import resolve_anchors
from structgen.automata._chardfa_edges import after_anything, before_anything
from structgen.automata._chardfa_minimal import Table, minimize
from structgen.automata._chardfa_nfa import MAX_POSITIONS, Nfa, bits
from structgen.automata._chardfa_nodes import Look, Node
from structgen.automata.charset import ANY, Ranges, partition
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["MAX_STATES", "Alphabet", "crawl", "determinize"]

MAX_STATES = 10_000
MAX_WORK = 4_000_000
"""Bound on state-class and state-position steps of one construction: a few seconds."""
MAX_NESTED_LOOKS = 16

State = TypeVar("State", bound=Hashable)


def crawl(
    start: State,
    successors: Callable[[State], Iterable[State | None]],
    is_accepting: Callable[[State], bool],
    max_states: int,
) -> Table:
    """The table of all states reachable from ``start``; ``successors`` gives the next state for each class, None if none."""
    numbers: dict[State | None, int] = {None: -1, start: 0}
    order = [start]
    rows: list[Sequence[int]] = []
    for state in order:
        row = []
        for following in successors(state):
            number = numbers.get(following)
            if number is None:
                if len(order) >= max_states:
                    raise LimitExceeded("automaton states", max_states)
                number = numbers[following] = len(order)
                order.append(following)  # type: ignore[arg-type]
            row.append(number)
        rows.append(row)
    return rows, [is_accepting(state) for state in order]


class Alphabet:
    """The classes of characters that no set in the expression tells apart; surrogates belong to no class (-1)."""

    def __init__(self, sets: Iterable[Ranges]) -> None:
        self.index: dict[Ranges, int] = {ANY: 0}
        for ranges in sets:
            self.index.setdefault(ranges, len(self.index))
        self.starts, members = partition(self.index)
        self.members = list(dict.fromkeys(m for m in members if m & 1))
        """For each class, the bit mask of the sets (by `index`) that contain it."""
        number = {m: c for c, m in enumerate(self.members)}
        self.classes = [number.get(m, -1) for m in members]

    def class_masks(self, nfa: Nfa) -> list[int]:
        """For each class, the mask of the positions whose set contains it."""
        positions: dict[int, int] = {}
        for p, label in enumerate(nfa.labels):
            if isinstance(label, tuple):
                i = self.index[label]
                positions[i] = positions.get(i, 0) | 1 << p
        masks = []
        for members in self.members:
            mask = 0
            for i in bits(members):
                mask |= positions.get(i, 0)
            masks.append(mask)
        return masks


def determinize(root: Node, max_states: int = MAX_STATES, max_positions: int = MAX_POSITIONS) -> tuple[Alphabet, Table]:
    """The deterministic table (not yet minimal) of a regular expression."""
    nfa = resolve_anchors(Nfa.of(root, max_positions), at_start=True)
    around = _LookArounds(nfa, max_states, max_positions)
    return around.alphabet, around.table(nfa)


class _Work:
    """Counts the steps of one construction."""

    def __init__(self) -> None:
        self.done = 0

    def add(self, steps: int) -> None:
        self.done += steps
        if self.done > MAX_WORK:
            raise LimitExceeded("automaton construction steps", MAX_WORK)


class _LookArounds:
    """All position automata of one expression (its own and those of its look-arounds) over one alphabet."""

    def __init__(self, root: Nfa, max_states: int, max_positions: int) -> None:
        self.max_states = max_states
        self.max_positions = max_positions
        self.work = _Work()
        self.nfas: dict[Look, Nfa] = {}
        self.looks_behind: set[Look] = set()
        nfas = [root, *self._gather(root, 0)]
        self.alphabet = Alphabet(label for nfa in nfas for label in nfa.labels if isinstance(label, tuple))
        self.obligations: list[Table] = []
        self.known: dict[tuple[Look, tuple[int, ...]], int] = {}
        self.trackers: dict[Look, Table] = {}
        self.tracked_by: dict[Nfa, list[Look]] = {}

    def _gather(self, nfa: Nfa, depth: int) -> list[Nfa]:
        """The position automata of all look-arounds inside, innermost included."""
        found = []
        for _, look in nfa.looks():
            if look in self.nfas:
                continue
            if depth == MAX_NESTED_LOOKS:
                raise LimitExceeded("look-arounds nested in each other", MAX_NESTED_LOOKS)
            body = after_anything(look.body) if look.behind else before_anything(look.body)
            unresolved = Nfa.of(body, self.max_positions)
            if look.behind and not all(other.behind for _, other in unresolved.looks()):
                raise StructgenError("a lookbehind must not contain a lookahead, $ or a word boundary")
            inner = self.nfas[look] = resolve_anchors(unresolved, at_start=look.behind)
            found += [inner, *self._gather(inner, depth + 1)]
            if any(other.behind or other in self.looks_behind for _, other in inner.looks()):
                self.looks_behind.add(look)
        return found

    def table(self, nfa: Nfa, trackers: tuple[int, ...] | None = None) -> Table:
        """The table of an automaton begun where the trackers of `tracked` are in these states (None: at the very start)."""
        masks = self.alphabet.class_masks(nfa)
        if not nfa.looks():
            plain = _PlainSets(nfa, masks, self.work)
            return crawl(plain.start, plain.successors, plain.is_accepting, self.max_states)
        tracked = self._tracked(nfa)
        guarded = _GuardedSets(self, nfa, masks, tracked)
        start = guarded.start(trackers or (0,) * len(tracked))
        return crawl(start, guarded.successors, guarded.is_accepting, self.max_states)

    def _tracked(self, nfa: Nfa) -> list[Look]:
        """The lookbehinds that decide something in this automaton or in a lookahead that it begins, in a fixed order."""
        if nfa not in self.tracked_by:
            found: dict[Look, None] = {}
            todo = [nfa]
            for automaton in todo:
                new = [look for _, look in automaton.looks() if look not in found]
                found.update(dict.fromkeys(new))
                todo += [self.nfas[look] for look in dict.fromkeys(new) if not look.behind]
            self.tracked_by[nfa] = [look for look in found if look.behind]
        return self.tracked_by[nfa]

    def tracker(self, look: Look) -> Table:
        """Accepts the texts after which the lookbehind's body has just matched."""
        if look not in self.trackers:
            self.trackers[look] = minimize(*self.table(self.nfas[look]))
        return self.trackers[look]

    def obligation(self, look: Look, trackers: dict[Look, int]) -> int:
        """The number of the automaton that the rest of the text must satisfy for a lookahead to hold here."""
        body = self.nfas[look]
        context = tuple(trackers[behind] for behind in self._tracked(body)) if look in self.looks_behind else ()
        key = (look, context)
        if key not in self.known:
            table = self.table(body, context or None)
            self.known[key] = len(self.obligations)
            self.obligations.append(minimize(*(_complement(*table) if look.negative else table)))
        return self.known[key]


def _complement(rows: Sequence[Sequence[int]], accepting: Sequence[bool]) -> Table:
    sink = len(rows)
    full = [[sink if t < 0 else t for t in row] for row in rows]
    return [*full, [sink] * len(rows[0])], [*(not a for a in accepting), True]


Closed = tuple[int, bool]
"""Positions that may be read next, and whether a match can end here."""


class _PlainSets:
    """States without look-arounds: what may be read next and whether a match can end here."""

    def __init__(self, nfa: Nfa, masks: list[int], work: _Work) -> None:
        self.nfa, self.masks, self.work = nfa, masks, work
        self.known: dict[int, Closed] = {}
        self.start = self.close(1)

    def close(self, reached: int) -> Closed:
        """The state after reading one of these positions; one from which any text is accepted stands for all."""
        found = self.known.get(reached)
        if found is None:
            following = 0
            follow = self.nfa.follow
            decided = reached & self.nfa.universal
            for p in bits(decided & -decided or reached):
                following |= follow[p]
            self.work.add(reached.bit_count())
            found = self.known[reached] = following, bool(reached & self.nfa.last)
        return found

    def successors(self, state: Closed) -> list[Closed | None]:
        following = state[0]
        self.work.add(len(self.masks))
        return [self.close(reached) if (reached := following & mask) else None for mask in self.masks]

    def is_accepting(self, state: Closed) -> bool:
        return state[1]


Duty = frozenset[tuple[int, int]]
"""States (automaton, state) of lookahead automata that all have to accept the rest of the text."""
FREE: Duty = frozenset()
Guarded = tuple[tuple[int, ...], frozenset[tuple[Duty, Closed]]]


class _GuardedSets:
    """States with look-arounds: tracker states, and for each duty what may be read next under it."""

    def __init__(self, around: _LookArounds, nfa: Nfa, masks: list[int], tracked: list[Look]) -> None:
        self.around, self.masks, self.tracked = around, masks, tracked
        self.plain = _PlainSets(nfa, masks, around.work)
        self.looks = dict(nfa.looks())
        self.look_mask = sum(1 << p for p in self.looks)
        self.before_looks = _leading_to(nfa, self.look_mask)
        self.trackers = [around.tracker(look)[0] for look in tracked]
        self.moves: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        self.accepting: dict[Guarded, bool] = {}

    def start(self, trackers: tuple[int, ...]) -> Guarded:
        return trackers, frozenset([(FREE, self.plain.start)])

    def successors(self, state: Guarded) -> list[Guarded | None]:
        ready = self._ready(state)
        tables = self.around.obligations
        self.accepting[state] = any(ends and all(tables[k][1][q] for k, q in duty) for duty, (_, ends) in ready.items())
        return [self._step(ready, c, mask, moved) for c, (mask, moved) in enumerate(zip(self.masks, self._moved(state[0]), strict=True))]

    def is_accepting(self, state: Guarded) -> bool:
        return self.accepting[state]

    def _moved(self, trackers: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The tracker states after a character of each class."""
        if trackers not in self.moves:
            rows = [table[q] if q >= 0 else [-1] * len(self.masks) for q, table in zip(trackers, self.trackers, strict=True)]
            self.moves[trackers] = [tuple(row[c] for row in rows) for c in range(len(self.masks))]
        return self.moves[trackers]

    def _ready(self, state: Guarded) -> dict[Duty, Closed]:
        """The possibilities of the state, those behind look-arounds that hold here (perhaps with more duties) included."""
        trackers = dict(zip(self.tracked, state[0], strict=True))
        ready: dict[Duty, Closed] = {}
        todo = list(state[1])
        for duty, (following, ends) in todo:
            known, ended = ready.get(duty, (0, False))
            ready[duty] = known | following, ended or ends
            for p in bits(following & ~known & self.look_mask):
                extended = self._assume(self.looks[p], duty, trackers)
                if extended is not None:
                    todo.append((extended, self.plain.close(1 << p)))
        self.around.work.add(len(todo))
        return ready

    def _assume(self, look: Look, duty: Duty, trackers: dict[Look, int]) -> Duty | None:
        """The duty with this assertion added, None if it does not hold."""
        if look.behind:
            state = trackers[look]
            holds = state >= 0 and self.around.tracker(look)[1][state]
            return duty if holds != look.negative else None
        return self._normal([*duty, (self.around.obligation(look, trackers), 0)])

    def _normal(self, duty: Iterable[tuple[int, int]]) -> Duty | None:
        """Without obligations that any text satisfies; None if no text satisfies one of them."""
        kept = []
        for number, state in duty:
            rows, accepting = self.around.obligations[number]
            if state < 0 or (len(rows) == 1 and not accepting[0]):
                return None
            if not (accepting[state] and all(t == state for t in rows[state])):
                kept.append((number, state))
        return frozenset(kept)

    def _step(self, ready: dict[Duty, Closed], c: int, mask: int, trackers: tuple[int, ...]) -> Guarded | None:
        groups: dict[Duty, int] = {}
        for duty, (following, _) in ready.items():
            reached = following & mask
            if reached:
                after = self._normal((k, self.around.obligations[k][0][q][c]) for k, q in duty) if duty else FREE
                if after is not None:
                    groups[after] = groups.get(after, 0) | reached
        self.around.work.add(len(ready))
        if not groups:
            return None
        if len(groups) > 1:
            groups = self._absorb(groups)
        closed = frozenset((duty, self.plain.close(reached)) for duty, reached in groups.items())
        if not any(following & self.before_looks for _, (following, _) in closed):
            trackers = (-1,) * len(trackers)  # nothing asks them any more
        return trackers, closed

    def _absorb(self, groups: dict[Duty, int]) -> dict[Duty, int]:
        """Drop possibilities that another one with fewer duties covers."""
        if groups.get(FREE, 0) & self.plain.nfa.universal:
            return {FREE: groups[FREE]}
        kept = {}
        for duty, reached in groups.items():
            for other, covered in groups.items():
                if other < duty:
                    reached &= ~covered
            if reached:
                kept[duty] = reached
        return kept


def _leading_to(nfa: Nfa, goal: int) -> int:
    """The positions from which one of these can be reached, themselves included."""
    before = [0] * len(nfa.follow)
    for p, mask in enumerate(nfa.follow):
        for q in bits(mask):
            before[q] |= 1 << p
    found = todo = goal
    while todo:
        low = todo & -todo
        new = before[low.bit_length() - 1] & ~found
        found |= new
        todo = (todo ^ low) | new
    return found
