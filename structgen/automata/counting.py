"""Counting, ranking and drawing the words of a constraint, all exact: enumerative coding (Cover, IEEE Trans. IT 1973).

The words are byte strings in lexicographic order of their bytes, a prefix before what begins with it; for UTF-8 text this is the
order of code points. A machine is a deterministic walk over sets of configurations, so every word is one path and is counted
once, in ambiguous grammars too: determinisation makes counting exact for any constraint, at the cost of its distinct states.

The table holds, for each state and each length of what was read, the number of words that go on from there: the recursive method
(Hickey & Cohen, SIAM J. Comput. 1983; for very long words of regular languages Bernardi & Giménez, Algorithmica 2012, need less).
It takes one number of O(length) bits for each pair of a state and a length, the sum of at most 256 products; ``rank`` and
``unrank`` take at most 256 additions for each byte of the word.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from operator import index
from typing import TYPE_CHECKING, Literal

from structgen.errors import LimitExceeded, StructgenError

if TYPE_CHECKING:
    from random import Random

    from structgen.automata.machine import Machine

__all__ = ["Words", "byte_ranges"]

MAX_STATES = 50_000
"""Bound on the distinct states of the machine; finding the edges of one takes about half a millisecond, with names in it two."""
MAX_STEPS = 10_000_000
"""Bound on the edges followed, those of a state once for each length at which it is reached."""
MAX_TABLE = 1 << 29
"""Bound on the bytes of all numbers in the table."""

Range = tuple[int, int, int]
"""First and last byte, and the state after each byte between them."""

STEPS = {"bytes": [1] * 256, "characters": [4] * 0x80 + [1] * 0x40 + [3] * 0x20 + [2] * 0x10 + [1] * 0x10}
"""How far each byte moves on; the bytes of a UTF-8 character move on by 4 in all, so that only ends of characters are multiples of 4."""


def byte_ranges(machine: Machine, state: int) -> list[Range]:
    """The bytes that may follow, ascending, as ranges with one following state each."""
    ranges: list[Range] = []
    for byte in machine.next_bytes(state):
        target = machine.advance_bytes(state, bytes([byte]))
        if ranges and ranges[-1][1:] == (byte - 1, target):
            ranges[-1] = ranges[-1][0], byte, target
        else:
            ranges.append((byte, byte, target))
    return ranges


class Words:
    """The words of ``machine``, whatever its tokens, with ``min_length`` to ``max_length`` bytes or characters, as an ordered set.

    ``max_length`` None: all words; refused where they are infinitely many. Made by `structgen.words` from any constraint.
    Raises `LimitExceeded` where there are more than ``max_states`` states or ``max_steps`` edges to follow.
    """

    def __init__(
        self,
        machine: Machine,
        max_length: int | None = None,
        min_length: int = 0,
        *,
        unit: Literal["bytes", "characters"] = "bytes",
        max_states: int = MAX_STATES,
        max_steps: int = MAX_STEPS,
    ) -> None:
        if unit not in list(STEPS):
            raise StructgenError(f"a length is in bytes or characters, not in {unit!r}")
        for number in (min_length, max_states, max_steps, 0 if max_length is None else max_length):
            if isinstance(number, bool) or not isinstance(number, int):
                raise StructgenError(f"lengths and limits are integers, found {number!r:.100}")
        if min_length < 0 or (max_length is not None and max_length < min_length):
            raise StructgenError(f"no word has a length between {min_length} and {max_length}: need 0 <= min_length <= max_length")
        self._machine = machine
        self._steps, self._scale = STEPS[unit], STEPS[unit][0]
        self._low = min_length * self._scale
        self._high = None if max_length is None else max_length * self._scale
        self._max_states, self._max_steps = max_states, max_steps
        self._graph: dict[int, tuple[bool, list[Range]]] = {}
        self._layers: list[dict[int, int]] = []  # for each position: state -> number of words that go on from there, never 0
        self._fill(self._reach())

    def count(self) -> int:
        """The number of words."""
        return self._layers[0].get(self._machine.initial, 0)

    def count_by_length(self) -> dict[int, int]:
        """The number of words of each length that some word has, ascending."""
        found: dict[int, int] = {}
        waiting = {0: {self._machine.initial: 1}}  # position -> state -> number of beginnings that lead there
        for at in range(len(self._layers)):
            for state, ways in waiting.pop(at, {}).items():
                if self._ends(state, at):
                    found[at // self._scale] = found.get(at // self._scale, 0) + ways
                for first, last, target in self._graph[state][1]:
                    if self._following(at, first, target):
                        layer = waiting.setdefault(at + self._steps[first], {})
                        layer[target] = layer.get(target, 0) + ways * (last - first + 1)
        return found

    def rank(self, word: bytes | str) -> int:
        """The number of words before this one; an error if it is none of the words."""
        if word not in self:
            raise StructgenError(f"{word!r:.100} is not a word of this constraint with a length within the bounds")
        state, at, before = self._machine.initial, 0, 0
        for byte in _encoded(word):
            before += self._ends(state, at)
            for first, last, target in self._graph[state][1]:
                number = self._following(at, first, target)
                if byte <= last:
                    before += (byte - first) * number
                    state, at = target, at + self._steps[byte]
                    break
                before += (last - first + 1) * number
        return before

    def unrank(self, rank: int) -> bytes:
        """The word with ``rank`` words before it."""
        rest = index(rank)
        if not 0 <= rest < self.count():
            raise StructgenError(f"no word has rank {_shown(rest)}: there are {_shown(self.count())} words")
        state, at, word = self._machine.initial, 0, bytearray()
        while True:
            if self._ends(state, at):
                if rest == 0:
                    return bytes(word)
                rest -= 1
            for first, last, target in self._graph[state][1]:
                number = self._following(at, first, target)
                if rest < number * (last - first + 1):
                    skipped, rest = divmod(rest, number)
                    word.append(first + skipped)
                    state, at = target, at + self._steps[first]
                    break
                rest -= number * (last - first + 1)

    def sample(self, random: Random, n: int = 1) -> list[bytes]:
        """``n`` independent words, each drawn uniformly from all: `unrank` of a random rank."""
        total = self.count()
        if n > 0 and total == 0:
            raise StructgenError("no word has a length within the bounds")
        return [self.unrank(random.randrange(total)) for _ in range(n)]

    def __contains__(self, word: object) -> bool:
        if not isinstance(word, (bytes, str)):
            return False
        data = _encoded(word)
        length = sum(self._steps[byte] for byte in data)
        return self._low <= length and (self._high is None or length <= self._high) and self._machine.accepts(data)

    def __iter__(self) -> Iterator[bytes]:
        """All words in order, made one by one."""
        pending = [(b"", self._machine.initial, 0)]
        while pending:
            word, state, at = pending.pop()
            if self._ends(state, at):
                yield word
            for first, last, target in reversed(self._graph[state][1]):
                if self._following(at, first, target):
                    pending += [(word + bytes([byte]), target, at + self._steps[byte]) for byte in range(last, first - 1, -1)]

    # the table

    def _ends(self, state: int, at: int) -> bool:
        """Whether a word ends in this state at this position."""
        return at >= self._low and self._graph[state][0]

    def _following(self, at: int, first: int, target: int) -> int:
        """The number of words that go on from the state ``target`` after a byte like ``first`` at this position."""
        to = at + self._steps[first]
        return self._layers[to].get(target, 0) if to < len(self._layers) else 0

    def _reach(self) -> list[list[int]]:
        """The states that beginnings of words lead to, for each position."""
        reached: list[dict[int, None]] = [{self._machine.initial: None}]
        n_steps = 0
        for at, layer in enumerate(reached):  # grows meanwhile
            for state in layer:
                ranges = self._ranges(state, at)
                n_steps += len(ranges) + 1
                for first, _, target in ranges:
                    to = at + self._steps[first]
                    if self._high is None or to <= self._high:
                        while len(reached) <= to:
                            reached.append({})
                        reached[to][target] = None
            if n_steps > self._max_steps:
                raise LimitExceeded("edges followed", self._max_steps, "counting words", option="max_steps")
            if self._high is None and layer and at // self._scale >= len(self._graph):
                raise StructgenError("there are infinitely many words (some path is longer than there are states): give max_length")
        return [list(layer) for layer in reached]

    def _ranges(self, state: int, at: int) -> list[Range]:
        """The edges of a state, found once."""
        if state not in self._graph:
            if len(self._graph) >= self._max_states:
                raise LimitExceeded("distinct states", self._max_states, "counting words", option="max_states")
            self._graph[state] = self._machine.is_accepting(state), self._split(byte_ranges(self._machine, state))
        accepting, ranges = self._graph[state]
        if self._scale > 1 and ((at % 4 and accepting) or any((0x80 <= first < 0xC0) != (at % 4 > 0) for first, _, _ in ranges)):
            raise StructgenError("lengths in characters need words that are UTF-8, and some are not: count in bytes")
        return ranges

    def _split(self, ranges: list[Range]) -> list[Range]:
        """The ranges cut where bytes begin to move on differently."""
        cuts = [byte for byte in range(1, 256) if self._steps[byte] != self._steps[byte - 1]]
        found = []
        for first, last, target in ranges:
            edges = [first, *(cut for cut in cuts if first < cut <= last), last + 1]
            found += [(low, high - 1, target) for low, high in pairwise(edges)]
        return found

    def _fill(self, reached: list[list[int]]) -> None:
        """Count backwards from the last position."""
        self._layers = [{} for _ in reached]
        size = 0
        for at in range(len(reached) - 1, -1, -1):
            for state in reached[at]:
                number = int(self._ends(state, at))
                for first, last, target in self._graph[state][1]:
                    number += (last - first + 1) * self._following(at, first, target)
                if number:
                    self._layers[at][state] = number
                    size += number.bit_length() // 8
            if size > MAX_TABLE:
                raise LimitExceeded("bytes of the table", MAX_TABLE, "counting words")


def _encoded(word: bytes | str) -> bytes:
    return word.encode("utf-8", "surrogatepass") if isinstance(word, str) else word


def _shown(number: int) -> int | str:
    """A number for a message; Python writes no huge ones in decimal."""
    return number if number.bit_length() < 256 else f"about 2^{number.bit_length()}"
