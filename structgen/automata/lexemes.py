"""Character automata written into the arena as string lexemes (see _string_kernels), one per content and kind.

Length bounds are counters, so the lexeme of a content serves all bounds. For liveness under bounds a table holds, per
state and count, the next accepted length: the sets of states that accept in exactly k characters are eventually periodic
in k, so a table over one pre-period and two periods answers every count.
"""

from __future__ import annotations

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
FREE_STARTS, FREE_CLASSES = (0, 0xD800, 0xE000), (0, 1, 0)


def lexeme(engine: Engine, dfa: CharDfa | None, quoted: bool) -> int:
    """The lexeme block of this content (None: any characters)."""
    key = (dfa, quoted)
    if key not in engine.lexemes:
        if dfa is None:
            block = _write(engine, FREE_STARTS, FREE_CLASSES, [[0, -1]], [True], quoted)
        else:
            block = _write(engine, dfa.starts, dfa.classes, dfa.table, dfa.accepting, quoted)
        engine.lexemes[key] = block
    return engine.lexemes[key]


def _write(engine: Engine, starts: object, classes: object, table: object, accepting: object, quoted: bool) -> int:
    start_array = np.asarray(starts, dtype=np.int64)
    class_array = np.asarray(classes, dtype=np.int64)
    delta = np.asarray(table, dtype=np.int64)
    n_states, n_classes = delta.shape
    accept = np.asarray(accepting, dtype=np.int64)
    interval = np.searchsorted(start_array, np.arange(128), side="right") - 1
    text_classes = np.unique(class_array[start_array != 0xD800]) if 0xD800 in start_array else np.unique(class_array)
    loops = (delta[:, text_classes] == np.arange(n_states)[:, None]).all(axis=1) & (accept == 1)
    wide = class_array[np.append(start_array[1:], S.MAX_CHAR + 1) > 128]
    block = [0] * S.L_SIZE
    block[S.L_QUOTED] = int(quoted)
    block[S.L_N_INTERVALS] = len(start_array)
    block[S.L_STARTS] = engine.write(start_array)
    block[S.L_CLASSES] = engine.write(class_array)
    block[S.L_N_CLASSES] = n_classes
    block[S.L_TABLE] = engine.write(delta)
    block[S.L_FLAGS] = engine.write(accept * S.Q_ACCEPT + loops * S.Q_FREE)
    block[S.L_ASCII] = engine.write(class_array[interval])
    block[S.L_NON_ASCII] = int((delta[:, wide] >= 0).any())
    block[S.L_NEAR_FREE] = int(quoted and bool(loops.any()))
    block[S.L_N_STATES] = n_states
    sizes = np.diff(np.append(start_array, S.MAX_CHAR + 1))
    block[S.L_WEIGHTS] = engine.write(np.minimum(np.bincount(class_array, weights=sizes, minlength=n_classes), 1 << 20))
    return engine.write(block)


def effective_bounds(dfa: CharDfa | None, low: int, high: int | None) -> Bounds | None:
    """The bounds that matter for this content, None if no word satisfies them."""
    if dfa is not None:
        from structgen.automata.chardfa import is_empty, length_bounds

        if is_empty(dfa):
            return None
        shortest, longest = length_bounds(dfa)
        low = 0 if shortest >= low else low
        if high is not None and longest is not None and longest <= high:
            high = None
        if longest is not None and longest < low:
            return None
        if high is not None and not _has_length(dfa, low, high):
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
    if dfa is None:
        return True
    delta = np.asarray(dfa.table, dtype=np.int64)
    endless: npt.NDArray[np.bool_] = np.ones(len(delta), dtype=bool)  # greatest fixpoint: states with a successor that is endless
    while True:
        now: npt.NDArray[np.bool_] = np.any(np.append(endless, False)[delta], axis=1)
        if (now == endless).all():
            return bool(endless.all())
        endless = now


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
