"""What comes behind a gap: fixed texts with further gaps between them, read from right to left.

The language is u1 Σ* u2 Σ* ... as a nondeterministic automaton whose states are positions 0..n between the bytes of all texts; a
gap is a loop at a position, or, where it takes a limited number of bytes, a zone of as many positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from structgen.errors import LimitExceeded, StructgenError

__all__ = ["Pattern", "Wild"]

MAX_POSITIONS = 200_000


class Wild(NamedTuple):
    """Any text: of exactly ``most`` bytes, or, not ``exact``, of at most so many (None: of any number). A special token counts as one."""

    most: int | None = None
    exact: bool = False


class Pattern:
    """The texts that are the ``parts`` one after the other: texts and `Wild`s by turns, the first a text that is not empty.

    ``before[p]``: the fixed character that ends at p and the position where it begins, or None; ``byte_before[p]`` likewise."""

    def __init__(self, parts: Sequence[str | Wild]) -> None:
        if not parts or not isinstance(parts[0], str) or not parts[0]:
            raise StructgenError("what comes behind a gap begins with a text that is not empty")
        self.before: list[tuple[int, str] | None] = [None]
        self.byte_before: list[tuple[int, int] | None] = [None]
        self.loops: set[int] = set()
        self.zones: dict[int, int] = {}
        """By position in a zone: how many bytes it lies behind the beginning of its zone."""
        for part in parts:
            if isinstance(part, str):
                self._text(part)
            else:
                self._wild(part)
            if len(self.before) > MAX_POSITIONS:
                raise LimitExceeded("bytes behind a gap", MAX_POSITIONS)
        self.end = len(self.before) - 1

    def _text(self, text: str) -> None:
        for char in text:
            begin = len(self.before) - 1
            for byte in char.encode():
                self.byte_before.append((len(self.before) - 1, byte))
                self.before.append(None)
            self.before[-1] = begin, char

    def _wild(self, wild: Wild) -> None:
        start = len(self.before) - 1
        if wild.most is None:
            self.loops.add(start)
            return
        if start + wild.most > MAX_POSITIONS:
            raise LimitExceeded("bytes behind a gap", MAX_POSITIONS)
        for n in range(1, wild.most + 1):  # with fewer bytes than it may take: what ends before the zone may end here
            self.before.append(None if wild.exact else self.before[start])
            self.byte_before.append(None if wild.exact else self.byte_before[start])
            self.zones[start + n] = n

    def is_wild(self, p: int) -> bool:
        """Whether anything may end at a position."""
        return p in self.loops or p in self.zones

    def fixed(self, p: int, q: int) -> bytes:
        """The fixed bytes from p to q, with nothing in the gaps between them."""
        found = bytearray()
        while q > p:
            step = self.byte_before[q]
            assert step is not None, "a gap that may be empty, or none"
            q, byte = step
            found.append(byte)
        return bytes(reversed(found))
