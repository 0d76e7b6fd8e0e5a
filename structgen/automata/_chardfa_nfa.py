"""The position automaton (Glushkov) of a regular expression: states are the occurrences of characters in it.

Sets of positions are bit masks in Python ints: bit p of ``follow[q]`` says that p may come right after q. Position 0 stands
for the beginning. A look-around occupies a position of its own that consumes no character. Bounded loops are copied, which
shifts the masks of the copied block, so building costs O(positions) mask operations.
Source: V. M. Glushkov, The abstract theory of automata (1961); first/last/follow as in Berry and Sethi (1986).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from structgen.automata._chardfa_nodes import Alternation, Automaton, Char, Concat, Look, Loop, Node
from structgen.automata.charset import ANY, Ranges, intersect
from structgen.errors import LimitExceeded

__all__ = ["MAX_POSITIONS", "Nfa", "bits"]

MAX_POSITIONS = 20_000

Label = Ranges | Look | None


class Fragment(NamedTuple):
    """A subexpression: whether it matches the empty text, and the positions it can begin and end with."""

    nullable: bool
    first: int
    last: int


NOTHING, EMPTY = Fragment(False, 0, 0), Fragment(True, 0, 0)


def bits(mask: int) -> Iterator[int]:
    """The indices of the set bits."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


@dataclass(slots=True, eq=False)
class Nfa:
    """``labels[p]`` is the set of characters, or the look-around, at position p; ``last`` the positions a match can end at."""

    labels: list[Label] = field(default_factory=lambda: [None])
    follow: list[int] = field(default_factory=lambda: [0])
    last: int = 0
    universal: int = 0
    """Positions from which any text at all is accepted: reaching one of them decides."""
    max_positions: int = MAX_POSITIONS

    @classmethod
    def of(cls, root: Node, max_positions: int = MAX_POSITIONS) -> Nfa:
        nfa = cls(max_positions=max_positions)
        whole = nfa._build(root)
        nfa.follow[0] = whole.first
        nfa.last = whole.last | int(whole.nullable)
        for p in bits(nfa.last):
            if nfa.labels[p] == ANY and nfa.follow[p] >> p & 1:
                nfa.universal |= 1 << p
        return nfa

    def looks(self) -> list[tuple[int, Look]]:
        return [(p, label) for p, label in enumerate(self.labels) if isinstance(label, Look)]

    def _build(self, root: Node) -> Fragment:
        """Post-order with an explicit stack: a node is entered, its children are built, then it is left."""
        stack: list[tuple[Node, int]] = [(root, -1)]
        done: list[Fragment] = []
        while stack:
            node, entered = stack.pop()
            if isinstance(node, Char):
                done.append(self._char(node))
            elif isinstance(node, Look):
                done.append(self._position(node))
            elif isinstance(node, Automaton):
                done.append(self._automaton(node))
            elif isinstance(node, Concat | Alternation):
                if entered < 0:
                    stack.append((node, len(self.labels)))
                    stack.extend((item, -1) for item in reversed(node.items))
                else:
                    n = len(done) - len(node.items)
                    done[n:] = [self._concat(done[n:]) if isinstance(node, Concat) else self._either(done[n:])]
            elif isinstance(node, Loop):
                if entered < 0:
                    stack += [(node, len(self.labels)), (node.item, -1)]
                else:
                    done[-1] = self._loop(node, done[-1], entered)
            else:
                raise TypeError(f"not a regular expression node: {node!r}")
        return done[0]

    def _position(self, label: Label) -> Fragment:
        self._reserve(1)
        self.labels.append(label)
        self.follow.append(0)
        bit = 1 << len(self.labels) - 1
        return Fragment(False, bit, bit)

    def _reserve(self, n: int) -> None:
        if len(self.labels) + n > self.max_positions:
            raise LimitExceeded("regular expression size (positions, bounded repetitions unrolled)", self.max_positions)

    def _char(self, node: Char) -> Fragment:
        ranges = intersect(node.ranges, ANY)
        return self._position(ranges) if ranges else NOTHING

    def _connect(self, before: int, after: int) -> None:
        for p in bits(before):
            self.follow[p] |= after

    def _join(self, a: Fragment, b: Fragment) -> Fragment:
        self._connect(a.last, b.first)
        return Fragment(
            a.nullable and b.nullable,
            a.first | b.first if a.nullable else a.first,
            a.last | b.last if b.nullable else b.last,
        )

    def _concat(self, parts: list[Fragment]) -> Fragment:
        """From the right, so that connecting costs the size of one item's ``last`` and not of all optional items before."""
        whole = EMPTY
        for part in reversed(parts):
            if part == NOTHING:
                return NOTHING
            whole = self._join(part, whole)
        return whole

    def _either(self, parts: list[Fragment]) -> Fragment:
        nullable, first, last = False, 0, 0
        for part in parts:
            nullable |= part.nullable
            first |= part.first
            last |= part.last
        return Fragment(nullable, first, last)

    def _loop(self, node: Loop, item: Fragment, begin: int) -> Fragment:
        if node.max == 0:
            del self.labels[begin:], self.follow[begin:]
            return EMPTY
        size = len(self.labels) - begin
        if not size:
            return EMPTY if node.min == 0 or item.nullable else NOTHING
        n = max(node.min, 1) if node.max is None else node.max
        self._copy(begin, size, n - 1)
        copies = [Fragment(item.nullable, item.first << i * size, item.last << i * size) for i in range(n)]
        if node.max is None:
            self._connect(copies[-1].last, copies[-1].first)
        whole = EMPTY
        for i in range(n - 1, -1, -1):  # x{2,4} is xx(x(x)?)?
            whole = self._join(copies[i], whole)
            if i >= node.min:
                whole = Fragment(True, whole.first, whole.last)
        return whole

    def _copy(self, begin: int, size: int, times: int) -> None:
        self._reserve(size * times)
        labels, follow = self.labels[begin:], self.follow[begin:]
        for i in range(1, times + 1):
            self.labels += labels
            self.follow += [mask << i * size for mask in follow]

    def _automaton(self, node: Automaton) -> Fragment:
        """One position for each state of the automaton and each set of characters that some state reads to get there."""
        dfa = node.dfa
        class_ranges = dfa.class_ranges()
        edges: list[dict[int, list[int]]] = []  # per state: next state -> classes
        for row in dfa.table:
            grouped: dict[int, list[int]] = {}
            for c, target in enumerate(row):
                if target >= 0:
                    grouped.setdefault(target, []).append(c)
            edges.append(grouped)
        positions: dict[tuple[int, tuple[int, ...]], int] = {}
        masks = [0] * len(edges)
        for state, grouped in enumerate(edges):
            for target, classes in grouped.items():
                key = (target, tuple(classes))
                if key not in positions:
                    ranges = tuple(sorted(r for c in classes for r in class_ranges[c]))
                    positions[key] = self._position(ranges).first
                masks[state] |= positions[key]
        last = 0
        for (target, _), bit in positions.items():
            self.follow[bit.bit_length() - 1] = masks[target]
            if dfa.accepting[target]:
                last |= bit
        return Fragment(dfa.accepting[0], masks[0], last)
