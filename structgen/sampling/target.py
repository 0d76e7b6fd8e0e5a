"""What is to be sampled: P(w) of a language model for the w that a constraint allows and that are not too long.

In the papers' symbols: P is the model, L the constraint, Z = P(L); the target is P_L(w) = P(w) 1[w in L] / Z, and ok(u, a) says
whether the token a may follow the prefix u. The bound on the length belongs to L: after ``max_tokens`` tokens only the end
symbol is ok. So no algorithm needs to know of it, and all are exact for the texts of L that are not longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.constraints import Mask, State, bind
from structgen.sampling.language_model import LanguageModel, Tokens
from structgen.vocabulary import Vocabulary

__all__ = ["Checker", "Target"]


class Target:
    """A model under a constraint: a `Potential`, a conjunction with one, or anything that `structgen.compile` takes.

    ``vocab``: a `Vocabulary` or a tokenizer. ``max_tokens`` counts tokens without the end symbol.
    ``forward_passes`` counts calls of the model, ``sequences`` the prefixes in them.
    """

    def __init__(self, model: LanguageModel, constraint: Any, vocab: Any, max_tokens: int) -> None:
        if max_tokens < 0:
            raise StructgenError(f"max_tokens must not be negative, found {max_tokens}")
        self.vocab = Vocabulary.from_tokenizer(vocab)
        self.model, self.constraint, self.max_tokens = model, bind(constraint, self.vocab), max_tokens
        self.eos = model.eos
        self.forward_passes = self.sequences = 0

    def log_probs(self, prefixes: Sequence[Tokens]) -> Any:
        """[len(prefixes), V]: log P(token | prefix), whatever the constraint says."""
        self.forward_passes += 1
        self.sequences += len(prefixes)
        return self.model.log_probs(prefixes)

    def checker(self, length: int, state: State) -> Checker:
        """ok(u, .) for a prefix of so many tokens that led to this state."""
        return Checker(self, state, is_last=length >= self.max_tokens)


class Checker:
    """ok(u, .) of one prefix u, asked lazily: a token asked again costs nothing."""

    def __init__(self, target: Target, state: State, is_last: bool) -> None:
        self._target, self._constraint, self._state = target, target.constraint, state
        self.is_last = is_last  # only the end may follow
        self._after: dict[int, State | None] = {}

    def __call__(self, token: int) -> bool:
        """Whether the token (or the end symbol) may follow."""
        return self.after(token) is not None

    def after(self, token: int) -> State | None:
        """The state after the token, None if it may not follow."""
        if token not in self._after:
            self._after[token] = self._ask(token)
        return self._after[token]

    def _ask(self, token: int) -> State | None:
        if token == self._target.eos:
            return self._state if self._constraint.is_accepting(self._state) else None
        return None if self.is_last else self._constraint.advance(self._state, token)

    def mask(self) -> Mask:
        """bool [V]: all tokens at once. Cheap for an automaton; for a predicate V evaluations."""
        size = self._target.model.size
        allowed = np.zeros(size, np.bool_) if self.is_last else self._constraint.mask(self._state, size)
        allowed[self._target.eos] = self(self._target.eos)
        return allowed
