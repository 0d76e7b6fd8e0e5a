r"""Assertions about one neighbouring character (``^ $ \b \B``, ``(?=[a-z])``) compiled away from a position automaton.

Each position is split into parts by the sets that assertions ask about, so that a part knows whether it satisfies them; paths
through assertions then become direct steps between the parts that fit. Parts lie in planes: part j of position p has number
j * n + p, so sets of positions are moved by shifting masks. Cost O(planes * assertions) mask operations for each position.
"""

from __future__ import annotations

from structgen.automata._chardfa_nfa import Nfa, bits
from structgen.automata._chardfa_nodes import Char, Look
from structgen.automata.charset import Ranges, difference, intersect

__all__ = ["resolve_anchors"]

MAX_LOOKS = 64
MAX_PLANES = 8


def resolve_anchors(nfa: Nfa, *, at_start: bool) -> Nfa:
    """An automaton without assertions for the same texts, or the given one if some assertion asks about more than one
    character. ``at_start``: position 0 is the beginning of the whole text, so that looking behind from there is known."""
    looks = dict(nfa.looks())
    if not 0 < len(looks) <= MAX_LOOKS:
        return nfa
    if not all(isinstance(look.body, Char) and (at_start or not look.behind) for look in looks.values()):
        return nfa
    split = _Split(nfa, looks)
    return nfa if len(split.planes) > MAX_PLANES else split.resolved()


class _Split:
    """The parts of all positions: ``planes[j]`` maps position to signature, the mask of the sets that contain part j."""

    def __init__(self, nfa: Nfa, looks: dict[int, Look]) -> None:
        self.nfa, self.looks = nfa, looks
        self.look_mask = sum(1 << p for p in looks)
        bodies = [look.body.ranges for look in looks.values() if isinstance(look.body, Char)]
        self.sets: dict[Ranges, int] = {ranges: i for i, ranges in enumerate(dict.fromkeys(bodies))}
        self.planes: list[dict[int, tuple[int, Ranges]]] = [{}]
        known: dict[Ranges, list[tuple[int, Ranges]]] = {}
        for p, label in enumerate(nfa.labels):
            if isinstance(label, tuple):
                if label not in known:
                    known[label] = self._parts(label)
                for j, part in enumerate(known[label]):
                    if j == len(self.planes):
                        self.planes.append({})
                    self.planes[j][p] = part
        self.allowed: dict[tuple[int, int], list[int]] = {}

    def _parts(self, label: Ranges) -> list[tuple[int, Ranges]]:
        parts = [(0, label)]
        for ranges, i in self.sets.items():
            inside = [(signature | 1 << i, intersect(part, ranges)) for signature, part in parts]
            outside = [(signature, difference(part, ranges)) for signature, part in parts]
            parts = [(signature, part) for signature, part in inside + outside if part]
        return parts

    def resolved(self) -> Nfa:
        n = len(self.nfa.labels)
        result = Nfa([None] * (n * len(self.planes)), [0] * (n * len(self.planes)), max_positions=self.nfa.max_positions)
        result.universal = self._expand(self.nfa.universal, 0, 0)
        self._connect(result, 0, 0, None)
        for j, plane in enumerate(self.planes):
            for p, (signature, ranges) in plane.items():
                result.labels[j * n + p] = ranges
                self._connect(result, j * n + p, p, signature)
        return result

    def _connect(self, result: Nfa, new: int, p: int, left: int | None) -> None:
        """Fill in what follows the part ``new`` of position p, whose signature is ``left`` (None: there is no character)."""
        todo = [(p, 0, 0)]  # position or assertion passed, sets that the next character must and must not be in
        seen = set(todo)
        for q, required, forbidden in todo:
            if self.nfa.last >> q & 1 and not required:
                result.last |= 1 << new
            following = self.nfa.follow[q]
            result.follow[new] |= self._expand(following & ~self.look_mask, required, forbidden)
            for t in bits(following & self.look_mask):
                passed = self._pass(t, required, forbidden, left)
                if passed is not None and passed not in seen:
                    seen.add(passed)
                    todo.append(passed)

    def _pass(self, p: int, required: int, forbidden: int, left: int | None) -> tuple[int, int, int] | None:
        look = self.looks[p]
        assert isinstance(look.body, Char)
        bit = 1 << self.sets[look.body.ranges]
        if look.behind:
            holds = left is not None and bool(left & bit)
            return (p, required, forbidden) if holds != look.negative else None
        if look.negative:
            forbidden |= bit
        else:
            required |= bit
        return None if required & forbidden else (p, required, forbidden)

    def _expand(self, mask: int, required: int, forbidden: int) -> int:
        """The parts of these positions that satisfy the demands."""
        key = (required, forbidden)
        if key not in self.allowed:
            fits = [[p for p, (s, _) in plane.items() if s & required == required and not s & forbidden] for plane in self.planes]
            self.allowed[key] = [sum(1 << p for p in positions) for positions in fits]
        n = len(self.nfa.labels)
        parts = 0
        for j, allowed in enumerate(self.allowed[key]):
            parts |= (mask & allowed) << j * n
        return parts
