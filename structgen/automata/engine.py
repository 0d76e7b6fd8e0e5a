"""One arena per vocabulary: owns the memory, calls the kernels, and writes lexemes, programs and the token trie into it.

Everything compiled for a vocabulary lives in its engine, so grammars share lexemes, states, walks and masks. Kernels run
under the engine's lock; memoised results are read without it. A kernel that runs out of room reports it; the engine then
doubles the arena (ids are offsets and stay valid) and asks again.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from structgen.automata import _arena as A
from structgen.automata import _pushdown_kernels as P
from structgen.automata import _state_kernels as K
from structgen.automata import _string_kernels as S
from structgen.automata import _trie_kernels as T
from structgen.automata import lexemes
from structgen.automata.ir import Rule, Standing
from structgen.automata.trie import TokenTrie
from structgen.errors import LimitExceeded, VocabularyError

__all__ = ["Engine"]

Words = npt.NDArray[np.int32]

SCRATCH_WORDS, LIST_WORDS, VISITED_SLOTS = 1 << 21, 1 << 22, 1 << 17
MARGIN = 1 << 22  # words a kernel may use after the point where it reports a full arena
MAX_NAMES = (1 << 20) - 1  # more than this count as endless; lexemes cap their numbers of characters just above
MAX_TOKENS = 1 << 24  # so that (state, token) packs into one integer
FIRST_WORDS, MAX_WORDS = 1 << 26, (1 << 31) - (1 << 20)


def _zero_words(n: int) -> Words:
    """n zeroed words that take no memory until touched (and, unlike numpy's own, no huge pages on first touch)."""
    private = {} if os.name == "nt" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}  # by default forked processes would share it
    return np.frombuffer(mmap.mmap(-1, 4 * n, **private), dtype=np.int32)


class Engine:
    """The arena of one vocabulary. ``offsets``/``data``: token bytes, special tokens by their marks; ``trie``: the same as a
    trie; ``special``: the tokens that grammars may name; ``ends``: the names of those that end the output."""

    def __init__(
        self,
        offsets: npt.NDArray[np.int64],
        data: npt.NDArray[np.uint8],
        trie: TokenTrie,
        special: Mapping[str, int] | None = None,
        ends: Collection[str] = (),
    ) -> None:
        self.special = special or {}
        self.ends = frozenset(ends)
        self.size = len(offsets) - 1
        if self.size > MAX_TOKENS:
            raise LimitExceeded("tokens of a vocabulary", MAX_TOKENS)
        self.words = (self.size + 31) // 32
        single = offsets[:-1][np.diff(offsets) == 1]
        self.byte_complete = len(np.unique(data[single])) >= 255  # every byte of texts (all but the mark) is a token of its own
        self.lock = threading.RLock()
        self.rules: WeakKeyDictionary[Rule, tuple[int, int]] = WeakKeyDictionary()  # cell, and facts (see analysis)
        self.texts: dict[str, int] = {}
        self.lexemes: dict[Any, int] = {}
        self.lexeme_rules: dict[Any, int] = {}
        self.completions: Any = None  # see completion, made on first use
        self.scarce = False  # whether some grammar has a scope whose names may run out
        self._maybe = np.zeros(self.words, np.int32)
        self.arena = self._lay_out(len(data) + trie.nodes.size + trie.tokens.size + self.size)
        self._write_vocabulary(offsets, data, trie)
        self.string_code = self.write([[K.STRING_OP, 0, 0, 0], [K.ACCEPT, 0, 0, 0]])
        self.arena[A.FREE_LEXEME] = lexemes.lexeme(self, None, True)

    def _lay_out(self, vocabulary_words: int) -> Words:
        tokens = 4 * self.size + (1 << 20)
        fixed = A.N_CONTROL + SCRATCH_WORDS + LIST_WORDS + tokens + 6 * VISITED_SLOTS
        h = _zero_words(FIRST_WORDS + fixed + 2 * vocabulary_words)
        at = A.N_CONTROL
        h[A.SP], h[A.SCRATCH_END] = at, at + SCRATCH_WORDS
        at += SCRATCH_WORDS
        h[A.LP], h[A.LISTS], h[A.LISTS_END] = at, at, at + LIST_WORDS
        at += LIST_WORDS
        h[A.KP], h[A.TOKENS], h[A.TOKENS_END] = at, at, at + tokens
        at += tokens
        for which in (A.VISITED, A.SEEN):
            h[which], h[which + 1] = at, VISITED_SLOTS.bit_length() - 1
            at += 3 * VISITED_SLOTS
        h[A.TABLE], h[A.TABLE_BITS] = at, 16
        h[A.TOP] = at + (1 << 16)
        h[A.LIMIT] = h.size - MARGIN
        h[A.WORDS] = self.words
        return h

    def _write_vocabulary(self, offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], trie: TokenTrie) -> None:
        h = self.arena
        h[A.VOCAB], h[A.VOCAB_BYTES], h[A.N_VOCAB] = self.write(offsets), self.write(data), self.size
        n = len(trie.nodes) - 1
        depth = int(trie.nodes[:, 3].max())
        head = [0, 0, *[0] * T.T_FIELDS, 0, n, len(trie.tokens), depth]
        h[A.ROOT_TRIE] = self.write(np.concatenate([np.array(head, np.int32), trie.nodes.ravel(), trie.tokens]))

    def write(self, values: Any) -> int:
        """Copy integers into the arena; their offset."""
        flat = np.asarray(values, dtype=np.int32).ravel()
        at = self.reserve(len(flat))
        end = at + len(flat)
        self.arena[at:end] = flat
        self.arena[A.TOP] = end
        return at

    def text(self, text: str) -> int:
        """The offset of the characters of a text, each written once."""
        at = self.texts.get(text)
        if at is None:
            at = self.texts[text] = self.write(list(map(ord, text)))
        return at

    def reserve(self, n: int) -> int:
        """Make sure n words can be allocated; where they will be."""
        top = int(self.arena[A.TOP])
        while top + n > self.arena[A.LIMIT]:
            self._grow()
        return top

    def _grow(self) -> None:
        old = self.arena
        if 2 * old.size > MAX_WORDS:
            raise LimitExceeded("arena words", MAX_WORDS, "the engine of this vocabulary")
        new = _zero_words(2 * old.size)
        new[: int(old[A.TOP])] = old[: int(old[A.TOP])]
        new[A.LIMIT] = new.size - MARGIN
        self.arena = new

    def call(self, kernel: Callable[..., Any], *args: Any) -> int:
        """Run a kernel on the arena, growing it as needed. Callers hold no lock."""
        with self.lock:
            while True:
                h = self.arena
                result = kernel(h, *args)
                status = h[A.STATUS]
                if status == A.OK:
                    return result  # type: ignore[no-any-return]
                h[A.STATUS] = A.OK
                h[A.SP], h[A.LP], h[A.KP] = A.N_CONTROL, h[A.LISTS], h[A.TOKENS]
                if status == A.TOO_LARGE:
                    raise LimitExceeded("words of scratch memory", SCRATCH_WORDS, "the grammar (it is too ambiguous here)")
                self._grow()

    def fill_mask(self, state: int, row: Words) -> int:
        """Write the mask of a state (without end-of-sequence) to a row; returns its content hash."""
        from structgen.automata import _mask_kernels as M

        with self.lock:
            if self.call(M.fill_mask, state, row, self._maybe):
                verify = M.verify
                if self.scarce:
                    from structgen.automata._prune_kernels import verify_scarce as verify
                self.call(verify, state, row, self._maybe)
            return int(M.row_hash(row))

    def _pruned(self, state: int) -> int:
        """The state without what cannot be finished for want of names."""
        if state < 0 or not self.scarce:
            return state
        from structgen.automata._prune_kernels import prune

        return self.call(prune, state)

    def initial_state(self, rule: int) -> int:
        return self._pruned(self.call(P.initial_state, rule))

    def step(self, state: int, byte: int) -> int:
        return self._pruned(self.call(P.step, state, byte))

    def advance(self, state: int, token: int) -> int:
        return self._pruned(self.call(P.advance, state, token))

    def new_rule(self) -> int:
        """An empty rule cell, to be filled with `define_rule`."""
        return self.write([0] * K.R_SIZE)

    def define_rule(self, cell: int, code: int, sub: int = 0) -> None:
        self.arena[cell : cell + K.R_VALUE] = 0, code, sub

    def special_token(self, token: str | int) -> int:
        """The id of a special token that does not end the output."""
        found = self.special.get(token) if isinstance(token, str) else token if token in self.special.values() else None
        if found is None:
            close = get_close_matches(str(token), self.special, 3)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else f"; there are {len(self.special)} special tokens"
            raise VocabularyError(f"the vocabulary has no special token {token!r:.100} that may stand inside an output{hint}")
        return found

    def standing(self, name: str) -> Standing:
        """What a name is in this vocabulary."""
        return "end" if name in self.ends else "inside" if name in self.special else "text"

    def name(self, text: str) -> int:
        """The id of a name, as scopes keep it."""
        from structgen.automata._names_kernels import name_id

        data = text.encode()
        return self.call(name_id, self.write(list(data)), len(data))

    def value(self, text: str) -> int:
        """The id of the value of a JSON text, as scopes keep it."""
        from structgen.automata._value_kernels import value_id

        data = text.encode()
        return self.call(value_id, self.write(list(data)), len(data))

    def n_words(self, rule: int) -> int:
        """How many names a captured lexeme has (its rule cell), -1 for more than anyone writes."""
        from structgen.automata._prune_kernels import n_words

        return self.call(n_words, rule, MAX_NAMES)

    def can_finish(self, rule: int) -> bool:
        """Whether the scope that is this rule, of names that matter, can be finished at all."""
        from structgen.automata._prune_kernels import has_words

        self.scarce = True
        return bool(self.call(has_words, rule))

    def string_start(self, lexeme: int, lo: int, hi: int) -> int:
        """The start state of a string lexeme, -1 if no word has a length within the bounds."""
        return self.call(S.string_start, lexeme, lo, hi)
