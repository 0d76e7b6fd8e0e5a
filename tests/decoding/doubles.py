"""A slow automaton with the interface of TokenAutomaton: the language is a finite set of texts, a state the number of a prefix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from structgen.vocabulary import Vocabulary


class SetAutomaton:
    """Written from the definition: a token is allowed if some text of the set begins with the prefix and the token's bytes."""

    dead = -1
    initial = 0

    def __init__(self, texts: Iterable[str | bytes], vocab: Any) -> None:
        self.texts = [text.encode() if isinstance(text, str) else text for text in texts]
        self.vocab = Vocabulary.from_tokenizer(vocab)
        self._prefixes = [b""]

    def advance(self, state: int, token: int) -> int:
        piece = self.vocab.token_bytes(token)
        if state < 0 or not piece:
            return self.dead
        prefix = self._prefixes[state] + piece
        if not any(text.startswith(prefix) for text in self.texts):
            return self.dead
        if prefix not in self._prefixes:
            self._prefixes.append(prefix)
        return self._prefixes.index(prefix)

    def is_accepting(self, state: int) -> bool:
        return state >= 0 and self._prefixes[state] in self.texts

    def allowed(self, state: int) -> list[int]:
        ends = sorted(self.vocab.eos_token_ids) if self.is_accepting(state) else []
        return sorted([t for t in range(self.vocab.size) if self.advance(state, t) != self.dead] + ends)

    def mask(self, state: int) -> np.ndarray:
        bits = np.zeros(32 * -(-self.vocab.size // 32), np.uint8)
        bits[self.allowed(state)] = 1
        return np.packbits(bits, bitorder="little").view(np.uint32)

    def after(self, ids: Iterable[int]) -> int:
        state = self.initial
        for token in ids:
            state = self.advance(state, token)
        return state
