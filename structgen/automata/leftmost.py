"""The texts that a backtracking matcher such as Python's `re`, given nothing else, matches to their end at its first try.

``a|ab`` given "ab" stops after "a", and ``".*?"`` stops at the first quote: which match is found depends on the order in which
alternatives are tried, and the texts matched whole are a part of the language, regular again. In any text, the match found
is the longest of its beginnings in that part: it is found there in full, and from it no shorter one is preferred.
A state is the list of places a match may be at, the most preferred first, cut off behind a finished match (R. Cox, Regular
Expression Matching: the Virtual Machine Approach, 2009). Cost O(states x classes x size); `MAX_STATES` and `MAX_STEPS` bound it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from structgen.automata._chardfa_edges import after_anything
from structgen.automata._chardfa_minimal import canonical
from structgen.automata._chardfa_nodes import Alternation, Char, Concat, Look, Loop, Node
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa, compile_regex
from structgen.automata.charset import ANY, Ranges, intersect, partition
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["Scanner", "compile_leftmost", "compile_scanner"]

MAX_PLACES = 20_000
MAX_STEPS = 4_000_000

State = tuple[tuple[int, ...], tuple[int, ...], int]
"""Places, states of the automata of lookbehinds, and the number of characters read (as far as lookbehinds look back)."""


def compile_leftmost(node: Node, *, max_states: int = MAX_STATES) -> CharDfa:
    """The texts whose preferred match is the whole text.

    Lookbehinds may only see what the match itself has read, and there are no lookaheads: what is matched must not depend on the
    text around it. Raises `StructgenError` otherwise, `LimitExceeded` for what is too large.
    """
    starts, classes, table, labels = compile_scanner([node], max_states=max_states)
    return CharDfa(*canonical(starts, classes, table, [label is not None for label in labels]))


class Scanner(NamedTuple):
    """An automaton, not minimal, whose accepting states have labels: the number of the expression that matched."""

    starts: Sequence[int]
    classes: Sequence[int]
    """As in `CharDfa`; surrogates have class -1."""
    table: Sequence[Sequence[int]]
    labels: Sequence[int | None]


def compile_scanner(nodes: Sequence[Node], *, max_states: int = MAX_STATES) -> Scanner:
    """As `compile_leftmost` for the expressions as alternatives, the first preferred, labelled with the one that matches."""
    return _Matcher(nodes, max_states).scanner()


class _Matcher:
    """A program: at each place a character to read, several places to try in order, or a lookbehind that must hold. The first
    places are those of finished matches, one for each expression."""

    def __init__(self, nodes: Sequence[Node], max_states: int) -> None:
        self.max_states, self.steps, self.n_labels = max_states, 0, len(nodes)
        self.reads: dict[int, tuple[Ranges, int]] = {}
        self.tries: dict[int, list[int]] = {}
        self.asks: dict[int, tuple[Look, int]] = {}
        self.n_places = self.n_labels
        self.entry = self.choose(*(self.build(node, i) for i, node in enumerate(nodes)))
        self.trackers = {look: compile_regex(after_anything(look.body)) for look, _ in self.asks.values()}
        self.widths = {look: _width(look.body) for look in self.trackers}
        self.max_width = max(self.widths.values(), default=0)
        sets = {ANY, *(ranges for ranges, _ in self.reads.values())}
        for tracker in self.trackers.values():
            sets |= {tuple(ranges) for ranges in tracker.class_ranges()}
        self.sets = {ranges: i for i, ranges in enumerate(sets)}

    # -- the program, from its end ----------------------------------------------------------------------------------------------

    def place(self) -> int:
        if self.n_places >= MAX_PLACES:
            raise LimitExceeded("regular expression size (bounded repetitions unrolled)", MAX_PLACES)
        self.n_places += 1
        return self.n_places - 1

    def choose(self, *places: int) -> int:
        self.tries[place := self.place()] = list(places)
        return place

    def build(self, node: Node, after: int) -> int:
        """The place from which the node is matched, going on at ``after``."""
        if isinstance(node, Char):
            self.reads[place := self.place()] = (intersect(node.ranges, ANY), after)
            return place
        if isinstance(node, Concat):
            for item in reversed(node.items):
                after = self.build(item, after)
            return after
        if isinstance(node, Alternation):
            return self.choose(*(self.build(item, after) for item in node.items))
        if isinstance(node, Loop):
            return self.loop(node, after)
        assert isinstance(node, Look), f"not a node of a parsed regular expression: {node!r}"
        if not node.behind:
            raise StructgenError("a lookahead (also $, \\b and possessive quantifiers) sees the text that follows the match")
        self.asks[place := self.place()] = (node, after)
        return place

    def loop(self, node: Loop, after: int) -> int:
        def option(inside: int) -> tuple[int, int]:
            return (after, inside) if node.lazy else (inside, after)

        if node.max != 1 and _nullable(node.item) and _hesitates(node.item):
            raise StructgenError("a repetition of something that may be empty, and rather than other matches, is not supported")
        least, place = node.min, after
        if node.max is None:
            again = self.choose()
            place = self.build(node.item, again)
            self.tries[again] += option(place)
            if least == 0:
                return self.choose(*option(place))
            least -= 1
        else:
            for _ in range(node.max - least):
                place = self.choose(*option(self.build(node.item, place)))
        for _ in range(least):
            place = self.build(node.item, place)
        return place

    # -- the automaton ----------------------------------------------------------------------------------------------------------

    def scanner(self) -> Scanner:
        starts, members = partition(self.sets)
        letters = {m: chr(start) for start, m in zip(starts, members, strict=True) if m >> self.sets[ANY] & 1}
        number = {m: c for c, m in enumerate(letters)}
        labels: list[int | None] = []

        def successors(state: State) -> list[State | None]:
            labels.append(next((place for place in state[0] if place < self.n_labels), None))
            return [self.step(state, m, char) for m, char in letters.items()]

        table, _ = crawl(self.start(), successors, lambda _: False, self.max_states)
        return Scanner(starts, [number.get(m, -1) for m in members], table, labels)

    def start(self) -> State:
        trackers = (0,) * len(self.trackers)
        return self.closure([self.entry], trackers, 0), trackers, 0

    def step(self, state: State, members: int, char: str) -> State | None:
        places, trackers, n_read = state
        moved = [after for p in places if p >= self.n_labels for ranges, after in [self.reads[p]] if members >> self.sets[ranges] & 1]
        if not moved:
            return None
        n_read = min(n_read + 1, self.max_width)
        after = tuple(_run(dfa, q, char) for dfa, q in zip(self.trackers.values(), trackers, strict=True))
        return self.closure(moved, after, n_read), after, n_read

    def closure(self, places: list[int], trackers: tuple[int, ...], n_read: int) -> tuple[int, ...]:
        """The places that read a character, and perhaps a match at the end, in the order of preference."""
        found: list[int] = []
        seen: set[int] = set()
        todo = places[::-1]
        while todo:
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            if place in self.tries:
                todo += reversed(self.tries[place])
            elif place in self.asks:
                look, after = self.asks[place]
                todo += [after] if self.holds(look, trackers, n_read) else []
            else:
                found.append(place)
                if place < self.n_labels:
                    break
        self.steps += len(seen)
        if self.steps > MAX_STEPS:
            raise LimitExceeded("automaton construction steps", MAX_STEPS)
        return tuple(found)

    def holds(self, look: Look, trackers: tuple[int, ...], n_read: int) -> bool:
        if n_read < self.widths[look]:
            raise StructgenError("a lookbehind (also ^, \\A and \\b) sees the text before the match")
        i = list(self.trackers).index(look)
        state = trackers[i]
        return (state >= 0 and self.trackers[look].accepting[state]) != look.negative


def _run(dfa: CharDfa, state: int, char: str) -> int:
    return -1 if state < 0 else dfa.table[state][dfa.classes[bisect_right(dfa.starts, ord(char)) - 1]]


def _nullable(node: Node) -> bool:
    if isinstance(node, Concat):
        return all(map(_nullable, node.items))
    if isinstance(node, Alternation):
        return any(map(_nullable, node.items))
    return isinstance(node, Look) or (isinstance(node, Loop) and (node.min == 0 or _nullable(node.item)))


def _hesitates(node: Node) -> bool:
    """Whether some part prefers an empty match to a longer one; how often a matcher repeats that is its own affair."""
    if isinstance(node, Concat):
        return any(map(_hesitates, node.items))
    if isinstance(node, Alternation):
        return any(map(_nullable, node.items[:-1])) or any(map(_hesitates, node.items))
    return isinstance(node, Loop) and (node.lazy or _hesitates(node.item))


def _width(node: Node) -> int:
    """The most characters that the body of a lookbehind reads."""
    if isinstance(node, Char):
        return 1
    if isinstance(node, Concat):
        return sum(map(_width, node.items))
    if isinstance(node, Alternation):
        return max(map(_width, node.items), default=0)
    if isinstance(node, Loop) and node.max is not None:
        return node.max * _width(node.item)
    raise StructgenError("a lookbehind without a greatest width, or with another one inside, is not supported")
