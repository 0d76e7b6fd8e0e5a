"""Character automata written into the arena as string lexemes (see _string_kernels), one per content and kind.

Length bounds are counters, so the lexeme of a content serves all bounds. For liveness under bounds a table holds, per
state and count, the next accepted length: the sets of states that accept in exactly k characters are eventually periodic
in k, so a table over one pre-period and two periods answers every count.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from structgen.automata import _string_kernels as S
from structgen.errors import LimitExceeded

if TYPE_CHECKING:
    from structgen.automata.chardfa import CharDfa
    from structgen.automata.engine import Engine

__all__ = ["Bounds", "effective_bounds", "inexhaustible", "lexeme", "lexeme_rule"]

Bounds = tuple[int, int]  # least and greatest number of characters, -1 for no greatest
MAX_PERIOD = 20_000
SURROGATES = 0xD800


def lexeme(engine: Engine, dfa: CharDfa | None, quoted: bool) -> int:
    """The lexeme block of this content (None: any characters)."""
    from structgen.automata.chardfa import any_text

    key = (dfa, quoted)
    if key not in engine.lexemes:
        engine.lexemes[key] = _write(engine, any_text() if dfa is None else dfa, quoted)
    return engine.lexemes[key]


def _write(engine: Engine, dfa: CharDfa, quoted: bool) -> int:
    table, n_states, n_classes = dfa.table, len(dfa.table), len(dfa.table[0])
    ends = [*dfa.starts[1:], S.MAX_CHAR + 1]
    weights = [0] * n_classes
    ascii_classes: list[int] = []
    for start, end, c in zip(dfa.starts, ends, dfa.classes, strict=True):
        weights[c] += end - start
        ascii_classes += [c] * (min(end, 128) - start)
    of_text = {c for start, c in zip(dfa.starts, dfa.classes, strict=True) if start != SURROGATES}
    wide = {c for end, c in zip(ends, dfa.classes, strict=True) if end > 128}
    free = [accepts and all(table[state][c] == state for c in of_text) for state, accepts in enumerate(dfa.accepting)]
    flags = [accepts * S.Q_ACCEPT + is_free * S.Q_FREE for accepts, is_free in zip(dfa.accepting, free, strict=True)]
    block = [0] * S.L_SIZE
    block[S.L_QUOTED] = int(quoted)
    block[S.L_N_INTERVALS] = len(dfa.starts)
    block[S.L_N_CLASSES] = n_classes
    block[S.L_TABLE] = engine.write(np.fromiter(chain.from_iterable(table), np.int32, n_states * n_classes))
    block[S.L_NON_ASCII] = int(any(row[c] >= 0 for row in table for c in wide))
    block[S.L_NEAR_FREE] = int(quoted and any(free))
    block[S.L_N_STATES] = n_states
    at = engine.write([*dfa.starts, *dfa.classes, *flags, *ascii_classes, *(min(n, 1 << 20) for n in weights)])
    lengths = (len(dfa.starts), len(dfa.classes), n_states, 128)
    block[S.L_STARTS], block[S.L_CLASSES], block[S.L_FLAGS], block[S.L_ASCII], block[S.L_WEIGHTS] = accumulate(lengths, initial=at)
    return engine.write(block)


@lru_cache(maxsize=4096)
def effective_bounds(dfa: CharDfa | None, low: int, high: int | None) -> Bounds | None:
    """The bounds that matter for this content, None if no word satisfies them."""
    if dfa is not None:
        from structgen.automata.chardfa import is_empty, length_bounds

        if is_empty(dfa):
            return None
        if low == 0 and high is None:
            return 0, -1
        shortest, longest = length_bounds(dfa)
        low = 0 if shortest >= low else low
        if high is not None and longest is not None and longest <= high:
            high = None
        if longest is not None and longest < low:
            return None
        if high is not None and (shortest > high or (low > 0 and not _has_length(dfa, low, high))):
            return None
    if high is not None and high < low:
        return None
    return low, -1 if high is None else high


def _has_length(dfa: CharDfa, low: int, high: int) -> bool:
    """Whether some word has between low and high characters: the sets of states reached by exactly k characters are
    eventually periodic in k, so a few values of k decide."""
    delta = np.asarray(dfa.table, dtype=np.int64)
    accepting = np.asarray(dfa.accepting, dtype=bool)
    reached: npt.NDArray[np.bool_] = np.zeros(len(delta), dtype=bool)
    reached[0] = True
    seen: dict[bytes, int] = {}
    ends: list[bool] = []  # whether some word has k characters
    while (start := seen.setdefault(reached.tobytes(), len(ends))) == len(ends):
        ends.append(bool((reached & accepting).any()))
        if len(ends) > low and ends[-1]:
            return True
        if len(ends) > high:
            return False
        if len(ends) * len(delta) > 50 * MAX_PERIOD:
            raise LimitExceeded("length period of a pattern", MAX_PERIOD, "a string with a pattern and length bounds")
        following = np.unique(delta[reached])
        reached = np.zeros(len(delta), dtype=bool)
        reached[following[following >= 0]] = True
    period = len(ends) - start
    first = max(low, len(ends))
    return any(ends[start + (k - start) % period] for k in range(first, min(high, first + period - 1) + 1))


def inexhaustible(dfa: CharDfa | None) -> bool:
    """Whether every beginning of a word can go on for ever, so that a name not used yet always remains."""
    return dfa is None or all(max(row) >= 0 for row in dfa.table)


def _bound_lengths(engine: Engine, block: int, dfa: CharDfa) -> None:
    """Give a lexeme its table of next accepted lengths."""
    h = engine.arena
    if h[block + S.L_NEXT_LENGTH]:
        return
    delta = np.asarray(dfa.table, dtype=np.int64)
    accepts: list[npt.NDArray[np.bool_]] = [np.asarray(dfa.accepting, dtype=bool)]  # accepts[k][q]: in exactly k characters
    seen = {accepts[0].tobytes(): 0}
    while True:
        extended = np.append(accepts[-1], False)
        now: npt.NDArray[np.bool_] = np.any(extended[delta], axis=1)
        start = seen.setdefault(now.tobytes(), len(accepts))
        if start < len(accepts):
            break
        accepts.append(now)
        if len(accepts) * len(delta) > 50 * MAX_PERIOD:
            raise LimitExceeded("length period of a pattern", MAX_PERIOD, "a string with a pattern and length bounds")
    columns, period = len(accepts), len(accepts) - start
    table = np.full((len(delta), columns), -1, dtype=np.int64)
    following = np.full(len(delta), -1, dtype=np.int64)
    for k in range(columns + period - 1, -1, -1):
        following = np.where(accepts[k if k < columns else k - period], k, following)
        if k < columns:
            table[:, k] = following
    at = engine.write(table)
    h = engine.arena
    h[block + S.L_NEXT_LENGTH], h[block + S.L_COLUMNS], h[block + S.L_PERIOD] = at, columns, period


def lexeme_rule(engine: Engine, dfa: CharDfa | None, quoted: bool, bounds: Bounds) -> int:
    """The rule cell that reads one such lexeme, -1 if there is none."""
    key = (dfa, quoted, bounds)
    if key not in engine.lexeme_rules:
        block = lexeme(engine, dfa, quoted)
        if dfa is not None and bounds != (0, -1):
            _bound_lengths(engine, block, dfa)
        start = engine.string_start(block, *bounds)
        cell = -1
        if start >= 0:
            cell = engine.new_rule()
            engine.define_rule(cell, engine.string_code, start)
        engine.lexeme_rules[key] = cell
    return engine.lexeme_rules[key]
