"""The texts that a backtracking matcher such as Python's `re`, given nothing else, matches to their end at its first try.

``a|ab`` given "ab" stops after "a", and ``".*?"`` stops at the first quote: which match is found depends on the order in which
alternatives are tried, and the texts matched whole are a part of the language, regular again. In any text, the match found
is the longest of its beginnings in that part: it is found there in full, and from it no shorter one is preferred.
A state is the list of places a match may be at, the most preferred first, cut off behind a finished match (R. Cox, Regular
Expression Matching: the Virtual Machine Approach, 2009). With lookaheads each place has duties: automata of lookaheads that were
begun on the way there, all of which the rest of the text has to satisfy. Only what a duty-free match rules out is cut off then, and
whether a match is the one found depends on the rest (`Scanner.rests`). Cost O(states x classes x size); `MAX_STATES` and
`MAX_STEPS` bound it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from structgen.automata._chardfa_edges import after_anything, before_anything
from structgen.automata._chardfa_minimal import Table, canonical
from structgen.automata._chardfa_nodes import Alternation, Char, Concat, Look, Loop, Node
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa, compile_regex, complement, is_empty
from structgen.automata.charset import ANY, Ranges, intersect, partition
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["Scanner", "compile_leftmost"]

MAX_PLACES = 20_000
MAX_STEPS = 4_000_000

ENDED, WANTED = -1, -2
"""Places of matches that ended earlier; `Scanner.rests` asks about the wanted ones."""

Duty = frozenset[tuple[int, int]]
"""Automata of lookaheads, by number, and their states."""
FREE: Duty = frozenset()
Thread = tuple[int, Duty]
State = tuple[tuple[Thread, ...], tuple[int, ...], int]
"""Places with duties, states of the automata of lookbehinds, and the number of characters read (as far as lookbehinds look back)."""


def compile_leftmost(node: Node, *, max_states: int = MAX_STATES) -> CharDfa:
    """The texts whose preferred match is the whole text.

    Lookbehinds may only see what the match itself has read, and there are no lookaheads: what is matched must not depend on the
    text around it. Raises `StructgenError` otherwise, `LimitExceeded` for what is too large.
    """
    return Scanner([node], max_states=max_states).whole()


class Scanner:
    """As `compile_leftmost` for the expressions as alternatives, the first preferred: an automaton, not minimal, whose accepting
    states have labels, the numbers of the expressions that match.

    ``ahead``: whether lookaheads may see the text behind the match. Then there may be several labels, and what follows decides.
    """

    def __init__(self, nodes: Sequence[Node], *, ahead: bool = False, max_states: int = MAX_STATES) -> None:
        self.matcher = _Matcher(nodes, ahead, max_states)
        self.starts, self.classes = self.matcher.starts, self.matcher.classes
        """As in `CharDfa`; surrogates have class -1."""
        self.states: list[State] = []
        self.table, _ = crawl(self.matcher.start(), self._successors, lambda _: False, max_states)
        self.labels = [[place for place, _ in threads if 0 <= place < len(nodes)] for threads, _, _ in self.states]
        self.known: dict[tuple[int, frozenset[int]], CharDfa] = {}

    def _successors(self, state: State) -> list[State | None]:
        self.states.append(state)
        after = [self.matcher.step(state, c) for c in range(len(self.matcher.letters))]
        return [state if any(place >= 0 for place, _ in state[0]) else None for state in after]

    def whole(self) -> CharDfa:
        """The texts that are matched to their end, whatever the expression."""
        return CharDfa(*canonical(self.starts, self.classes, self.table, [bool(found) for found in self.labels]))

    def rests(self, at: int, wanted: Iterable[int]) -> CharDfa:
        """The texts before which the match found ends in this state, and is of one of the expressions ``wanted``."""
        key = at, frozenset(wanted)
        if key not in self.known:
            table, accepting = self._rests_of_threads(*key) if self.matcher.lookaheads else self._rests(at)
            self.known[key] = CharDfa(*canonical(self.starts, self.classes, table, accepting))
        return self.known[key]

    def _rests(self, at: int) -> Table:
        """Without lookaheads: the texts of which no beginning makes the match longer."""
        anything = len(self.table)

        def successors(state: int) -> list[int | None]:
            if state == anything:
                return [anything] * len(self.table[0])
            return [anything if after < 0 else None if self.labels[after] else after for after in self.table[state]]

        return crawl(at, successors, lambda _: True, self.matcher.max_states + 1)

    def _rests_of_threads(self, at: int, wanted: frozenset[int]) -> Table:
        matcher = self.matcher
        threads, trackers, n_read = self.states[at]
        ended = [(place if place >= matcher.n_labels else WANTED if place in wanted else ENDED, duty) for place, duty in threads]
        start = _until_wanted((tuple(ended), trackers, n_read))
        assert start is not None, "an expression that does not match in this state"

        def successors(state: State) -> list[State | None]:
            return [_until_wanted(matcher.step(state, c)) for c in range(len(matcher.letters))]

        def is_accepting(state: State) -> bool:
            return next((place for place, duty in state[0] if place < matcher.n_labels and matcher.at_end(duty)), ENDED) == WANTED

        return crawl(start, successors, is_accepting, matcher.max_states)


def _until_wanted(state: State) -> State | None:
    """The state without what is preferred less than all wanted matches, None if there are none."""
    threads, trackers, n_read = state
    last = max((i for i, (place, _) in enumerate(threads) if place == WANTED), default=-1)
    return (threads[: last + 1], trackers, n_read) if last >= 0 else None


class _Matcher:
    """A program: at each place a character to read, several places to try in order, or a lookbehind that must hold. The first
    places are those of finished matches, one for each expression."""

    def __init__(self, nodes: Sequence[Node], ahead: bool, max_states: int) -> None:
        self.ahead, self.max_states, self.steps, self.n_labels = ahead, max_states, 0, len(nodes)
        self.reads: dict[int, tuple[Ranges, int]] = {}
        self.tries: dict[int, list[int]] = {}
        self.asks: dict[int, tuple[Look, int]] = {}
        self.n_places = self.n_labels
        self.entry = self.choose(*(self.build(node, i) for i, node in enumerate(nodes)))
        self.trackers = {look: compile_regex(after_anything(look.body)) for look, _ in self.asks.values() if look.behind}
        ahead_of = {look: _lookahead(look) for look, _ in self.asks.values() if not look.behind}
        self.lookaheads = list(dict.fromkeys(ahead_of.values()))
        self.begun = {look: (self.lookaheads.index(dfa), 0) for look, dfa in ahead_of.items()}
        self.widths = {look: _width(look.body) for look in self.trackers}
        self.max_width = max(self.widths.values(), default=0)
        sets = {ANY, *(ranges for ranges, _ in self.reads.values())}
        for dfa in (*self.trackers.values(), *self.lookaheads):
            sets |= {tuple(ranges) for ranges in dfa.class_ranges()}
        number = {ranges: i for i, ranges in enumerate(sets)}
        self.starts, members = partition(number)
        chars = {m: chr(start) for start, m in zip(self.starts, members, strict=True) if m >> number[ANY] & 1}
        self.letters = list(chars.values())
        """One character of each class."""
        self.classes = [list(chars).index(m) if m in chars else -1 for m in members]
        self.readable = {place: [m >> number[ranges] & 1 for m in chars] for place, (ranges, _) in self.reads.items()}
        self.duties: dict[tuple[Duty, int], Duty | None] = {}

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
        if not node.behind and not self.ahead:
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

    def start(self) -> State:
        trackers = (0,) * len(self.trackers)
        return self.closure([(self.entry, FREE)], trackers, 0), trackers, 0

    def step(self, state: State, c: int) -> State:
        """The state after a character of a class; matches have ended before it."""
        threads, trackers, n_read = state
        moved = []
        for place, duty in threads:
            reads = place >= self.n_labels
            if not reads or self.readable[place][c]:
                kept = self.read_on(duty, c) if duty else duty
                if kept is not None:
                    moved.append((self.reads[place][1] if reads else WANTED if place == WANTED else ENDED, kept))
        if moved:
            n_read = min(n_read + 1, self.max_width)
            trackers = tuple([_run(dfa, q, self.letters[c]) for dfa, q in zip(self.trackers.values(), trackers, strict=True)])
        found = self.closure(moved, trackers, n_read)
        if not any(place >= self.n_labels for place, _ in found):
            trackers, n_read = (-1,) * len(trackers), 0  # nothing asks them any more
        return found, trackers, n_read

    def closure(self, threads: list[Thread], trackers: tuple[int, ...], n_read: int) -> tuple[Thread, ...]:
        """The places that read a character, and matches, in the order of preference, without those that are never the first:
        another one comes earlier, with no more duties, that is at the same place or a match."""
        found: list[Thread] = []
        matches: list[Duty] = []
        seen: dict[int, list[Duty]] = {}
        todo = threads[::-1]
        while todo:
            place, duty = todo.pop()
            earlier = seen.setdefault(place, [])
            self.steps += 1 + len(earlier) + len(matches)
            if any(known <= duty for known in earlier) or any(known <= duty for known in matches):
                continue
            earlier.append(duty)
            if place in self.tries:
                todo += [(option, duty) for option in reversed(self.tries[place])]
            elif place in self.asks:
                look, after = self.asks[place]
                assumed = self.assume(look, duty, trackers, n_read)
                todo += [] if assumed is None else [(after, assumed)]
            else:
                found.append((place, duty))
                matches += [duty] if place < self.n_labels else []
        if self.steps > MAX_STEPS:
            raise LimitExceeded("automaton construction steps", MAX_STEPS)
        return tuple(found)

    def assume(self, look: Look, duty: Duty, trackers: tuple[int, ...], n_read: int) -> Duty | None:
        """The duties behind an assertion, None if it does not hold."""
        if look.behind:
            return duty if self.holds(look, trackers, n_read) else None
        return self.normal([*duty, self.begun[look]])

    def read_on(self, duty: Duty, c: int) -> Duty | None:
        """The duties after a character of a class, None if one is broken."""
        if (duty, c) not in self.duties:
            self.duties[duty, c] = self.normal([(k, _run(self.lookaheads[k], q, self.letters[c])) for k, q in duty])
        return self.duties[duty, c]

    def normal(self, duty: Iterable[tuple[int, int]]) -> Duty | None:
        """Without what any text satisfies; None if no text satisfies one of them."""
        kept = []
        for k, q in duty:
            dfa = self.lookaheads[k]
            if q < 0 or is_empty(dfa):
                return None
            if not (dfa.accepting[q] and all(_run(dfa, q, letter) == q for letter in self.letters)):
                kept.append((k, q))
        return frozenset(kept)

    def at_end(self, duty: Duty) -> bool:
        """Whether the end of the text satisfies all."""
        return all(self.lookaheads[k].accepting[q] for k, q in duty)

    def holds(self, look: Look, trackers: tuple[int, ...], n_read: int) -> bool:
        if n_read < self.widths[look]:
            raise StructgenError("a lookbehind (also ^, \\A and \\b) sees the text before the match")
        i = list(self.trackers).index(look)
        state = trackers[i]
        return (state >= 0 and self.trackers[look].accepting[state]) != look.negative


def _lookahead(look: Look) -> CharDfa:
    """The texts in front of which a lookahead holds."""
    if any(inner.behind for inner in _looks(look.body)):
        raise StructgenError("a lookbehind (also ^ and \\b) inside a lookahead is not supported")
    dfa = compile_regex(before_anything(look.body))
    return complement(dfa) if look.negative else dfa


def _looks(node: Node) -> Iterator[Look]:
    if isinstance(node, Concat | Alternation):
        for item in node.items:
            yield from _looks(item)
    elif isinstance(node, Loop):
        yield from _looks(node.item)
    elif isinstance(node, Look):
        yield node
        yield from _looks(node.body)


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
