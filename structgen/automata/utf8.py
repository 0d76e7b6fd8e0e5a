"""Ranges of characters as alternatives of byte-range sequences in UTF-8 (after RE2 and Rust's utf8-ranges)."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["byte_sequences"]

Sequence = tuple[tuple[int, int], ...]
LIMITS = ((0x00, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF))


@lru_cache(maxsize=4096)
def byte_sequences(ranges: tuple[tuple[int, int], ...]) -> tuple[Sequence, ...]:
    """All encodings of the characters in the inclusive ranges; surrogates have none."""
    found: list[Sequence] = []
    for first, last in ranges:
        for low, high in LIMITS:
            a, b = max(first, low), min(last, high)
            if a <= b:
                found.extend(_split(a, b))
    return tuple(found)


def _split(a: int, b: int) -> list[Sequence]:
    """Sequences for a..b, all of one encoded length: cut until every byte position is a full range below the first cut."""
    size = len(chr(a).encode())
    for i in range(1, size):
        mask = (1 << (6 * i)) - 1
        if a & ~mask != b & ~mask:
            if a & mask:
                return _split(a, a | mask) + _split((a | mask) + 1, b)
            if b & mask != mask:
                return _split(a, (b & ~mask) - 1) + _split(b & ~mask, b)
    return [tuple(zip(chr(a).encode(), chr(b).encode(), strict=True))]
