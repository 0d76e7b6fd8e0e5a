"""Outputs of exactly n tokens: a token is allowed if the output can still be finished with all the tokens that are left, no more.

Whether that is so is searched depth first over the states that tokens lead to, remembered by state and number of tokens.
"""

from __future__ import annotations

import numpy as np

from structgen.automata.machine import FINISHED, MaskRow
from structgen.automaton import TokenAutomaton
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema
from structgen.limited import BITS, MAX_TOKENS, LimitedAutomaton

__all__ = ["ExactAutomaton"]

MAX_SEARCHED = 200_000
"""States and numbers of tokens that are looked at, for one automaton."""


class ExactAutomaton(LimitedAutomaton):
    """``automaton``, whose outputs take exactly ``n_tokens`` tokens.

    Raises `UnsatisfiableSchema` if there is none, `LimitExceeded` if too many states have to be searched."""

    def __init__(self, automaton: TokenAutomaton, n_tokens: int) -> None:
        try:
            super().__init__(automaton, n_tokens)
        except UnsatisfiableSchema as error:
            raise UnsatisfiableSchema(f"{error}; wanted are exactly {n_tokens}") from None
        self._onward: dict[int, dict[int, list[int]]] = {}
        self._possible: dict[tuple[int, int], bool] = {}
        with self._engine.lock:
            if not self._can_finish(automaton.initial, n_tokens):
                raise UnsatisfiableSchema(f"no output takes exactly {n_tokens} tokens")

    def _compute_mask(self, state: int) -> MaskRow:
        if state <= FINISHED:
            return self._unlimited.mask(state)
        inner, left = state >> BITS, state & MAX_TOKENS
        bits = np.zeros(32 * self._rows.words, np.uint8)
        with self._engine.lock:
            if left:
                for after, tokens in self._following(inner).items():
                    if self._can_finish(after, left - 1):
                        bits[tokens] = 1
            else:
                bits[list(self._eos)] = self._unlimited.is_accepting(inner)
            row = np.packbits(bits, bitorder="little").view(np.uint32)
            return self._rows.intern(row.view(np.int32), hash(row.tobytes()))

    def is_accepting(self, state: int) -> bool:
        return super().is_accepting(state) and (state <= FINISHED or state & MAX_TOKENS == 0)

    def advance_bytes(self, state: int, data: bytes) -> int:
        """Not known: the number of tokens of a text is not."""
        raise StructgenError("an automaton of exactly so many tokens is asked for tokens, not for texts")

    def _can_finish(self, start: int, left: int) -> bool:
        """Whether exactly so many tokens finish the output."""
        known = self._known(start, left)
        path = [] if known is not None else [(start, left, iter(self._following(start)))]
        while path:
            state, n, rest = path[-1]
            after = next(rest, None)
            if after is None:
                self._remember(state, n, False)
                path.pop()
                continue
            known = self._known(after, n - 1)
            if known is None:
                path.append((after, n - 1, iter(self._following(after))))
            elif known:
                for state, n, _ in path:
                    self._remember(state, n, True)
                return True
        return bool(known)

    def _known(self, state: int, left: int) -> bool | None:
        """The same where nothing need be searched, else None."""
        if left == 0:
            return self._unlimited.is_accepting(state)
        if (state, left) not in self._possible and self._plan.least(state) > left:
            return False
        return self._possible.get((state, left))

    def _remember(self, state: int, left: int, possible: bool) -> None:
        self._possible[state, left] = possible
        if len(self._possible) > MAX_SEARCHED:
            raise LimitExceeded("states searched for outputs of an exact length", MAX_SEARCHED, "a gap of so many tokens")

    def _following(self, state: int) -> dict[int, list[int]]:
        """The states that tokens lead to, with these tokens."""
        if state not in self._onward:
            after, starts, tokens = self._unlimited.successors(state)
            groups = zip(after.tolist(), starts[:-1], starts[1:], strict=True)
            self._onward[state] = {each: tokens[a:b].tolist() for each, a, b in groups}
        return self._onward[state]
