"""Special tokens as bytes for the machine: the byte 0xFF, which no text has in UTF-8, and the token's id.

So the machine needs to know nothing of special tokens: no text reaches them, and a grammar that names one (`ir.Token`)
reaches that one only. Tokens whose own bytes hold 0xFF are never part of a text; they are left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["MARK", "mark", "with_marks"]

MARK = 0xFF


def mark(token: int) -> bytes:
    """The bytes that stand for a special token."""
    return bytes([MARK]) + token.to_bytes(3, "big")


def with_marks(offsets: NDArray[np.int64], data: NDArray[np.uint8], tokens: Iterable[int]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The token bytes ``data[offsets[i]:offsets[i + 1]]`` with marks for these tokens (which have no bytes), as new arrays.

    >>> offsets, data = with_marks(np.array([0, 1, 1]), np.frombuffer(b"a", np.uint8), [1])
    >>> offsets.tolist(), data.tobytes()
    ([0, 1, 5], b'a\\xff\\x00\\x00\\x01')
    """
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    blank = np.zeros(len(offsets) - 1, dtype=bool)
    blank[owner[data == MARK]] = True
    ids = np.array(sorted(set(tokens)), dtype=np.int64)
    blank[ids] = True
    lengths = np.where(blank, 0, np.diff(offsets))
    lengths[ids] = len(mark(0))
    new_offsets = np.concatenate([[0], np.cumsum(lengths)])
    new_data = np.empty(int(new_offsets[-1]), dtype=np.uint8)
    kept = ~blank[owner]
    new_data[(np.arange(len(data)) - offsets[owner] + new_offsets[owner])[kept]] = data[kept]
    for token in ids.tolist():
        new_data[new_offsets[token] : new_offsets[token + 1]] = list(mark(token))
    return new_offsets, new_data
