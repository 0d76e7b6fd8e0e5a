"""A grammar on a vocabulary: states are plain integers, masks are rows of bits, both memoised.

A state is persistent: keep it, compare it, hash it, fork it, drop it. Equal texts of one grammar reach equal states. The hot
path is a dictionary hit: `advance` and `mask` call a kernel only for what was never asked before. Rows are stored once
per content and handed out as read-only views.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from operator import index
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from structgen.automata import _arena as A
from structgen.automata._pushdown_kernels import S_ACCEPTING
from structgen.automata.engine import Engine
from structgen.automata.ir import Expr
from structgen.automata.lowering import lower
from structgen.automata.marks import MARK
from structgen.errors import StructgenError, UnsatisfiableSchema

__all__ = ["DEAD", "Machine", "MaskRow", "Successors"]

MaskRow = npt.NDArray[np.uint32]

DEAD = -1
FINISHED = 0  # after end-of-sequence: only end-of-sequence may follow
MAX_MEMO = 2_000_000  # entries of the advance memo before it is emptied
MAX_SPELLED = 4096  # vocabularies up to this size are checked for ends that no tokens spell; also states searched
CHUNK = 64  # rows allocated at a time


class Successors(NamedTuple):
    """``tokens[starts[i]:starts[i + 1]]``, ascending, lead to ``states[i]``."""

    states: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]


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
        """The state after a token; ``dead`` (-1) where it is not allowed. Never raises for a bad token, only for a bad state."""
        if type(state) is not int or type(token) is not int:
            return self._advance_unusual(state, token)
        if not 0 <= token < self._size:
            return DEAD
        key = state << 24 | token
        following = self._next.get(key)
        if following is None:
            if len(self._next) > MAX_MEMO:
                self._next.clear()
            following = self._next[key] = self._advance(state, token)
        return following

    def _advance_unusual(self, state: Any, token: Any) -> int:
        """`advance` for what may stand for plain integers (numpy, torch): their arithmetic could wrap."""
        state = self._checked(state)
        try:
            token = int(index(token))
        except TypeError:
            return DEAD
        return self.advance(state, token)

    def _advance(self, state: int, token: int) -> int:
        state = self._checked(state)
        if state == DEAD:
            return DEAD
        if token in self._eos:
            return FINISHED if state == FINISHED or self.is_accepting(state) else DEAD
        following = DEAD if state == FINISHED else self._engine.advance(state, token)
        return following if self._spellable(following) else DEAD

    def _checked(self, state: Any) -> int:
        """The state as a plain integer. A kernel follows its words blindly, so what is none is refused here."""
        try:
            found = int(index(state))
        except TypeError:
            found = DEAD - 1
        if found in self._masks or found in (DEAD, FINISHED) or _is_state(self._engine, found):
            return found
        raise StructgenError(f"{state!r} is not a state of this automaton: states are its `initial` and what `advance` returned")

    def _spellable(self, start: int) -> bool:
        """Whether tokens lead on from here to an end. Only a small vocabulary without some single byte is asked: there the
        bytes may go on where no token does. Unanswered within the budget means yes."""
        if self._live is None or start <= FINISHED:
            return True
        parents, queue, row = {start: DEAD}, deque([start]), np.zeros(self._rows.words, np.int32)
        while queue and len(parents) < MAX_SPELLED:
            state = queue.popleft()
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
                    queue.append(following)
        if queue:
            return True
        self._live.update(dict.fromkeys(parents, False))
        return False

    def mask(self, state: int) -> MaskRow:
        """The allowed tokens, uint32 [ceil(V / 32)]: bit t & 31 of word t >> 5 is token t. Read-only, valid for ever."""
        row = self._masks.get(state)
        if row is None:
            state = self._checked(state)
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
        Words beyond this vocabulary (padded logits) are cleared, rows beyond the states left alone."""
        masks = [self.mask(state) for state in (states.tolist() if hasattr(states, "tolist") else states)]
        words = self._rows.words
        bits = _writable_bits(out, len(masks), words)
        for row, mask in zip(bits, masks, strict=False):
            row[:words] = mask
            row[words:] = 0

    def is_accepting(self, state: int) -> bool:
        """Whether the output may end here."""
        state = self._checked(state)
        return state == FINISHED or (state > FINISHED and bool(self._engine.arena.item(state + S_ACCEPTING)))

    def allowed(self, state: int) -> npt.NDArray[np.int64]:
        """Ids of the allowed tokens, ascending."""
        return np.flatnonzero(np.unpackbits(self.mask(state).view(np.uint8), bitorder="little"))

    def successors(self, state: int) -> Successors:
        """All allowed tokens but end-of-sequence, grouped by the states they lead to: the transition function at a state. It costs
        a step for every byte that tokens share, tens of milliseconds inside a free string of a large vocabulary."""
        state = self._checked(state)
        after = np.full(self._size, DEAD, np.int64)
        if state > FINISHED:
            after[:] = self._successors(state)
        ends = list(self._eos)
        after[ends] = DEAD
        tokens = np.flatnonzero(after > FINISHED)
        tokens = tokens[np.argsort(after[tokens], kind="stable")]
        states, starts = np.unique(after[tokens], return_index=True)
        return Successors(states, np.append(starts, len(tokens)), tokens)

    def _successors(self, state: int) -> npt.NDArray[np.int64] | npt.NDArray[np.int32]:
        """The states after all tokens."""
        if self._engine.scarce or self._live is not None:
            found = np.full(self._size, DEAD, np.int64)
            for token in self.allowed(state).tolist():
                found[token] = self.advance(state, token)
            return found
        from structgen.automata._successor_kernels import successors

        after = np.empty(self._size, np.int32)
        self._engine.call(successors, state, after)
        return after

    def advance_bytes(self, state: int, data: bytes) -> int:
        """The state after the bytes of a text, whatever tokens they came in; special tokens are no text."""
        state = self._checked(state)
        for b in memoryview(data):
            if state <= FINISHED or b == MARK:
                return DEAD
            state = self._engine.step(state, b)
        return state

    def accepts(self, text: str | bytes) -> bool:
        """Whether the whole text is in the language."""
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        return self.is_accepting(self.advance_bytes(self.initial, data))

    def next_bytes(self, state: int) -> list[int]:
        """The bytes of texts that may follow (special tokens have none)."""
        state = self._checked(state)
        if state <= FINISHED:
            return []
        return [b for b in range(MARK) if self._engine.step(state, b) != DEAD]


def _is_state(engine: Engine, offset: int) -> bool:
    """Whether a state lies at this offset of the arena: the hash table knows all records."""
    with engine.lock:
        word = engine.arena.item
        if not A.N_CONTROL <= offset < word(A.TOP) - 1 or word(offset + 1) & 15 != A.STATE:
            return False
        last, table = (1 << word(A.TABLE_BITS)) - 1, word(A.TABLE)
        slot = word(offset) & last
        while word(table + slot) not in (0, offset):
            slot = (slot + 1) & last
        return bool(word(table + slot) == offset)


def _writable_bits(out: Any, rows: int, words: int) -> MaskRow:
    """``out`` as rows of bits that share its memory."""
    array = out.numpy() if hasattr(out, "numpy") else out
    if not isinstance(array, np.ndarray) or array.dtype not in (np.int32, np.uint32) or array.ndim != 2:
        found = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
    elif len(array) < rows or array.shape[1] < words:
        found = f"{list(array.shape)}"
    else:
        return array.view(np.uint32)
    raise StructgenError(f"masks are written to int32 or uint32 of at least [{rows}, {words}], found {found}")
