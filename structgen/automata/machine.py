"""A grammar on a vocabulary: states are plain integers, masks are rows of bits, both memoised.

A state is persistent: keep it, compare it, hash it, fork it, drop it. Equal texts of one grammar reach equal states. The hot
path is a dictionary hit: `advance` and `mask` call a kernel only for what was never asked before. Rows are stored once
per content and handed out as read-only views.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from structgen.automata.engine import Engine
from structgen.automata.ir import Expr
from structgen.automata.lowering import lower
from structgen.errors import UnsatisfiableSchema

__all__ = ["DEAD", "Machine", "MaskRow"]

MaskRow = npt.NDArray[np.uint32]

DEAD = -1
FINISHED = 0  # after end-of-sequence: only end-of-sequence may follow
MAX_MEMO = 2_000_000  # entries of the advance memo before it is emptied
MAX_SPELLED = 4096  # vocabularies up to this size are checked for ends that no tokens spell; also states searched
CHUNK = 64  # rows allocated at a time


class MaskRows:
    """The pool of mask rows of one engine: one row per content, as read-only views that stay valid."""

    def __init__(self, words: int) -> None:
        self.words = words
        self._chunk = np.zeros((0, words), np.int32)
        self._used = 0
        self._by_content: dict[int, list[MaskRow]] = {}
        self._scratch = np.zeros(words, np.int32)

    def scratch(self) -> npt.NDArray[np.int32]:
        return self._scratch

    def intern(self, row: npt.NDArray[np.int32], content: int) -> MaskRow:
        """The stored row equal to this one; ``content`` is its hash."""
        known = self._by_content.setdefault(content, [])
        for other in known:
            if np.array_equal(other, row.view(np.uint32)):
                return other
        if self._used == len(self._chunk):
            self._chunk, self._used = np.zeros((CHUNK, self.words), np.int32), 0
        stored = self._chunk[self._used]
        self._used += 1
        stored[:] = row
        view: MaskRow = stored.view(np.uint32)
        view.flags.writeable = False
        known.append(view)
        return view


class Machine:
    """The language of ``expr`` over the tokens of ``engine``; ``eos_ids`` are allowed exactly where the text may end."""

    dead = DEAD

    def __init__(self, engine: Engine, rows: MaskRows, expr: Expr, eos_ids: Iterable[int]) -> None:
        self._engine = engine
        self._rows = rows
        self._expr = expr  # keeps the rules alive, and with them their cells
        self._eos = tuple(sorted(set(eos_ids)))
        self._size = engine.size
        self._next: dict[int, int] = {}
        self._masks: dict[int, MaskRow] = {}
        self._live: dict[int, bool] | None = None if engine.byte_complete or engine.size > MAX_SPELLED else {}
        self.initial: int = engine.initial_state(lower(engine, expr))
        if not self._spellable(self.initial):
            raise UnsatisfiableSchema("the vocabulary has no tokens that spell a valid text")

    def advance(self, state: int, token: int) -> int:
        """The state after a token; ``dead`` (-1) where it is not allowed. Never raises for a bad token."""
        if not 0 <= token < self._size:
            return DEAD
        key = state << 24 | token
        following = self._next.get(key)
        if following is None:
            if len(self._next) > MAX_MEMO:
                self._next.clear()
            following = self._next[key] = self._advance(state, token)
        return following

    def _advance(self, state: int, token: int) -> int:
        token = int(token)
        if state == DEAD:
            return DEAD
        if token in self._eos:
            return FINISHED if state == FINISHED or self.is_accepting(state) else DEAD
        following = DEAD if state == FINISHED else self._engine.advance(state, token)
        return following if self._spellable(following) else DEAD

    def _spellable(self, start: int) -> bool:
        """Whether tokens lead on from here to an end. Only a small vocabulary without some single byte is asked: there the
        bytes may go on where no token does. Unanswered within the budget means yes."""
        if self._live is None or start <= FINISHED:
            return True
        parents, stack, row = {start: DEAD}, [start], np.zeros(self._rows.words, np.int32)
        while stack and len(parents) < MAX_SPELLED:
            state = stack.pop()
            if self._live.get(state) or self.is_accepting(state):
                while state != DEAD:
                    self._live[state] = True
                    state = parents[state]
                return True
            if state in self._live:
                continue
            self._engine.fill_mask(state, row)
            for token in np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")):
                following = self._engine.advance(state, int(token))
                if following not in parents and following != DEAD:
                    parents[following] = state
                    stack.append(following)
        if stack:
            return True
        self._live.update(dict.fromkeys(parents, False))
        return False

    def mask(self, state: int) -> MaskRow:
        """The allowed tokens, uint32 [ceil(V / 32)]: bit t & 31 of word t >> 5 is token t. Read-only, valid for ever."""
        row = self._masks.get(state)
        if row is None:
            row = self._masks[state] = self._compute_mask(state)
        return row

    def _compute_mask(self, state: int) -> MaskRow:
        with self._engine.lock:
            row = self._rows.scratch()
            content = 0
            if state > FINISHED:
                content = self._engine.fill_mask(state, row)
                if self._live is not None:
                    content = self._drop_unspellable(state, row)
            else:
                row[:] = 0
            if state != DEAD and self.is_accepting(state):
                bits = row.view(np.uint32)
                for t in self._eos:
                    bits[t >> 5] |= np.uint32(1 << (t & 31))
                    content ^= 0x9E3779B9 + t
            return self._rows.intern(row, content)

    def _drop_unspellable(self, state: int, row: npt.NDArray[np.int32]) -> int:
        """Clear the tokens after which no tokens spell an end; a content hash of what remains."""
        bits = row.view(np.uint32)
        for token in np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")):
            if self.advance(state, int(token)) == DEAD:
                bits[token >> 5] &= ~np.uint32(1 << (token & 31))
        return hash(row.tobytes())

    def fill_masks(self, states: Iterable[int], out: Any) -> None:
        """Write the masks of the states to the rows of ``out``: [B, ceil(V / 32)] int32 or uint32, numpy or torch CPU.
        Words beyond this vocabulary (padded logits) are cleared."""
        rows = out.numpy() if hasattr(out, "numpy") else out
        bits = rows.view(np.uint32)
        words = self._rows.words
        for i, state in enumerate(states):
            bits[i, :words] = self.mask(int(state))
        bits[:, words:] = 0

    def is_accepting(self, state: int) -> bool:
        """Whether the output may end here."""
        return state == FINISHED or (state > FINISHED and bool(self._engine.arena[state + 4]))

    def allowed(self, state: int) -> npt.NDArray[np.int64]:
        """Ids of the allowed tokens, ascending."""
        return np.flatnonzero(np.unpackbits(self.mask(state).view(np.uint8), bitorder="little"))

    def advance_bytes(self, state: int, data: bytes) -> int:
        """The state after bytes, whatever tokens they came in."""
        for b in data:
            if state <= FINISHED:
                return DEAD
            state = self._engine.step(state, b)
        return state

    def accepts(self, text: str | bytes) -> bool:
        """Whether the whole text is in the language."""
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        return self.is_accepting(self.advance_bytes(self.initial, data))

    def next_bytes(self, state: int) -> list[int]:
        """The bytes that may follow."""
        if state <= FINISHED:
            return []
        return [b for b in range(256) if self._engine.step(state, b) != DEAD]
