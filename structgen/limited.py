"""Outputs of at most n tokens that are never cut in the middle: masks that allow what can still be finished.

A state is one of the unlimited automaton together with the number of tokens left. A token is allowed if, after it, the
shortest completion (`structgen.automata.completion`) is spelled by few enough tokens; in a vocabulary that does not spell every
text, if any completion is (searched for breadth first). The end-of-sequence token is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from operator import index
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from structgen.automata.machine import DEAD, FINISHED, MAX_SPELLED, MaskRow
from structgen.automaton import TokenAutomaton
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema
from structgen.explanation import Explanation

if TYPE_CHECKING:
    from structgen.automata.completion import Choice

__all__ = ["LimitedAutomaton"]

BITS = 24
MAX_TOKENS = (1 << BITS) - 1
MAX_SEARCHED = 20_000
"""States searched for the soonest end of an output."""
MAX_NAMES = 100_000
"""Names tried that are not taken."""
MAX_PLANS = 10_000
"""States whose plans are remembered."""


class LimitedAutomaton(TokenAutomaton):
    """``automaton``, whose outputs take at most ``max_tokens`` tokens.

    Raises `UnsatisfiableSchema` if no output is so short, `StructgenError` if it cannot be known how outputs can be finished
    soonest (distinct items, names that are counted or required in any order, a large vocabulary without some single byte).
    """

    def __init__(self, automaton: TokenAutomaton, max_tokens: int) -> None:
        if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or not 0 < max_tokens <= MAX_TOKENS:
            raise StructgenError(f"max_tokens is a number of tokens from 1 to {MAX_TOKENS}, found {max_tokens!r:.100}")
        vars(self).update(vars(automaton))
        self._unlimited = automaton
        self.max_tokens: int = max_tokens
        self._next, self._masks = {}, {}
        with self._engine.lock:
            self._plan: _Plan = _Texts(automaton) if self._engine.byte_complete else _Search(automaton)
            needed = self._plan.least(automaton.initial)
        if needed > max_tokens:
            raise UnsatisfiableSchema(f"no output takes as few as {max_tokens} tokens; the shortest takes {needed}")
        self.initial = automaton.initial << BITS | max_tokens

    def left(self, state: int) -> int:
        """How many tokens are left in a state."""
        state = self._checked(state)
        return state & MAX_TOKENS if state > FINISHED else 0

    def least(self, state: int) -> int:
        """How many tokens are sure to finish the output from a state of the unlimited automaton: its shortest completion's."""
        with self._engine.lock:
            return self._plan.least(self._unlimited._checked(state))

    def with_left(self, state: int, left: int) -> int:
        """The state that a state of the unlimited automaton is with so many tokens left, enough to finish the output."""
        state = self._unlimited._checked(state)
        return state << BITS | min(left, self.max_tokens) if state > FINISHED else state

    def limited(self, max_tokens: int) -> LimitedAutomaton:
        return self._unlimited.limited(max_tokens)

    def _checked(self, state: Any) -> int:
        try:
            found = int(index(state))
        except TypeError:
            found = DEAD - 1
        if found in (DEAD, FINISHED) or found in self._masks:
            return found
        inner = self._unlimited._checked(found >> BITS if found > FINISHED else DEAD - 1)
        if inner > FINISHED and found & MAX_TOKENS <= self.max_tokens:
            return found
        raise StructgenError(f"{state!r} is not a state of this automaton: states are its `initial` and what `advance` returned")

    def _advance(self, state: int, token: int) -> int:
        mask = self.mask(state)
        if not mask[token >> 5] >> (token & 31) & 1:
            return DEAD
        if token in self._eos:
            return FINISHED
        return self._unlimited.advance(state >> BITS, token) << BITS | (state & MAX_TOKENS) - 1

    def _compute_mask(self, state: int) -> MaskRow:
        if state <= FINISHED:
            return self._unlimited.mask(state)
        inner, left = state >> BITS, state & MAX_TOKENS
        allowed = self._unlimited.mask(inner)
        with self._engine.lock:
            kept = self._plan.allowed(inner, left)
            if kept is None:
                return allowed
            kept[list(self._eos)] = True
            bits = np.zeros(32 * len(allowed), np.uint8)
            bits[: len(kept)] = kept
            row = np.packbits(bits, bitorder="little").view(np.uint32) & allowed
            return self._rows.intern(row.view(np.int32), hash(row.tobytes()))

    def is_accepting(self, state: int) -> bool:
        state = self._checked(state)
        return self._unlimited.is_accepting(state >> BITS if state > FINISHED else state)

    def advance_bytes(self, state: int, data: bytes) -> int:
        """The state after the bytes of a text, in as few tokens as can spell it."""
        state = self._checked(state)
        if state <= FINISHED:
            return DEAD if data else state
        inner = self._unlimited.advance_bytes(state >> BITS, data)
        with self._engine.lock:
            spelled = self._plan.n_tokens(data)
        if inner == DEAD or not 0 <= spelled <= state & MAX_TOKENS:
            return DEAD
        left = (state & MAX_TOKENS) - spelled
        with self._engine.lock:
            return inner << BITS | left if self._plan.least(inner) <= left else DEAD

    def next_bytes(self, state: int) -> list[int]:
        state = self._checked(state)
        first = {self.vocab.token_bytes(token)[:1] for token in map(int, self.allowed(state)) if token not in self._eos}
        return sorted(byte[0] for byte in first if byte)

    def _successors(self, state: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        found = np.full(self._size, DEAD, np.int64)
        for token in self.allowed(state).tolist():
            found[token] = self.advance(state, token)
        return found

    def forced(self, state: int) -> list[int]:
        state = self._checked(state)
        if state <= FINISHED:
            return []
        kept: list[int] = []
        for token in self._unlimited.forced(state >> BITS):
            state = self.advance(state, token)
            if state == DEAD:
                break
            kept.append(token)
        return kept or self._single_tokens(state) if state != DEAD else kept

    def explain(self, state: int | str | bytes) -> Explanation:
        if isinstance(state, (str, bytes)):
            return self._unlimited.explain(state)
        return _Explanation(self, state)


class _Explanation(Explanation):
    """With what is refused for lack of tokens alone."""

    _automaton: LimitedAutomaton

    def why(self, token: int) -> str:
        limited, inner = self._automaton, self._state >> BITS
        found = super().why(token)
        if self._state <= FINISHED or token in self.tokens or limited._unlimited.advance(inner, token) == DEAD:
            return found
        return f"{self._name(token)} is refused: with {limited.left(self._state)} tokens left, the output could not be finished after it"


class _Plan(Protocol):
    """How outputs of an automaton can be finished soonest."""

    def least(self, state: int) -> int:
        """How many tokens finish the output, at least."""

    def allowed(self, state: int, left: int) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
        """Bool [V]: the tokens after which ``left`` - 1 tokens can finish the output; None if it is all that may follow."""

    def n_tokens(self, data: bytes) -> int:
        """How many tokens spell these bytes, at least; -1 if none do."""


class _Texts:
    """By the shortest completion in bytes, which single-byte tokens can always spell."""

    def __init__(self, automaton: TokenAutomaton) -> None:
        from structgen.automata.completion import Completions

        self._automaton = automaton
        engine = automaton._engine
        if engine.completions is None:
            engine.completions = Completions(engine)
        self._completions: Completions = engine.completions
        self._completions.admit(automaton._expr)
        self._choices: dict[int, tuple[int, list[Choice]]] = {}

    def n_tokens(self, data: bytes) -> int:
        return self._completions.n_tokens(data)

    def least(self, state: int) -> int:
        if self._automaton.is_accepting(state):
            return 0
        return min((self.n_tokens(text) for text in self._endings(state)), default=MAX_TOKENS + 1)

    def allowed(self, state: int, left: int) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
        enough, choices = self._plans(state)
        if left > enough:
            return None
        size = self._automaton._engine.size
        kept, possible = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
        possible[self._automaton.allowed(state)] = True
        for choice in choices:
            if self._fits(choice, left - 1):
                kept[choice.tokens] = True
        kept &= possible
        if not kept.any() and left:
            kept[list(self._beginnings(state, left - 1))] = True
        return kept

    def _plans(self, state: int) -> tuple[int, list[Choice]]:
        """What the tokens of a state leave to be done, and the most bytes that takes."""
        if state not in self._choices:
            if len(self._choices) > MAX_PLANS:
                self._choices.clear()
            try:
                found = list(self._completions.choices(state))
            except LimitExceeded:
                found = list(self._one_by_one(state))
            self._choices[state] = max((len(c.completion) + c.spare for c in found), default=0), found
        return self._choices[state]

    def _one_by_one(self, state: int) -> Iterator[Choice]:
        """The same by the states that tokens lead to, where there are too many ways to read them."""
        from structgen.automata.completion import Choice

        after, starts, tokens = self._automaton.successors(state)
        for following, a, b in zip(after.tolist(), starts[:-1], starts[1:], strict=True):
            for text, named in self._completions.of(following):
                yield Choice(tokens[a:b].astype(np.int32), text, self._completions.spare(following) if named else 0)

    def _fits(self, choice: Choice, left: int) -> bool:
        """Where letters may come in between, no tokens can be relied on but single bytes."""
        n = len(choice.completion) + choice.spare
        return n <= left or (not choice.spare and 0 <= self.n_tokens(choice.completion) <= left)

    def _beginnings(self, state: int, left: int) -> Iterator[int]:
        """The tokens that texts begin with that finish the output in time."""
        longest = max(map(len, self._tokens))
        for text in self._endings(state):
            for n in range(1, min(len(text), longest) + 1):
                if 0 <= self.n_tokens(text[n:]) <= left:
                    yield from self._tokens.get(text[:n], ())

    @cached_property
    def _tokens(self) -> dict[bytes, list[int]]:
        offsets, data = self._automaton.vocab.marked
        found: dict[bytes, list[int]] = {}
        for token in range(self._automaton.vocab.size):
            found.setdefault(bytes(data[offsets[token] : offsets[token + 1]]), []).append(token)
        return found

    def _endings(self, state: int) -> Iterator[bytes]:
        """Shortest completions, in which a name that is taken is made longer."""
        for text, _ in self._completions.of(state):
            at = self._stops(state, text)
            if at == len(text):
                yield text
            else:
                more = self._longer_name(self._after(state, text[:at]), text[at:])
                if more is not None:
                    yield text[:at] + more + text[at:]

    def _longer_name(self, state: int, rest: bytes) -> bytes | None:
        """Letters after which the rest can follow: breadth first, at most one more than names are taken."""
        layer, tried = [(b"", state)], 0
        while layer and tried < MAX_NAMES:
            following = []
            for added, at in layer:
                for letter in b"abcdefghijklmnopqrstuvwxyz":
                    after = self._automaton._engine.step(at, letter)
                    if after == DEAD:
                        continue
                    if self._stops(after, rest) == len(rest):
                        return added + bytes([letter])
                    following.append((added + bytes([letter]), after))
                    tried += 1
            layer = following
        return None

    def _after(self, state: int, text: bytes) -> int:
        for byte in text:
            state = self._automaton._engine.step(state, byte)
        return state

    def _stops(self, state: int, text: bytes) -> int:
        """How much of a text can follow."""
        for n, byte in enumerate(text):
            state = self._automaton._engine.step(state, byte)
            if state == DEAD:
                return n
        return len(text)


class _Search:
    """By search, in vocabularies of a few thousand tokens at most."""

    def __init__(self, automaton: TokenAutomaton) -> None:
        if automaton._engine.size > MAX_SPELLED:
            raise StructgenError(f"max_tokens wants a vocabulary with every byte as a token, or of at most {MAX_SPELLED} tokens")
        self._automaton = automaton
        self._least: dict[int, int] = {}
        self._onward: dict[int, dict[int, list[int]]] = {}

    def n_tokens(self, data: bytes) -> int:
        from structgen.automata._completion_kernels import fewest_tokens

        text = np.frombuffer(data, np.uint8).astype(np.int32)
        return self._automaton._engine.call(fewest_tokens, text, np.zeros(len(data) + 1, np.int32))

    def allowed(self, state: int, left: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        kept = np.zeros(self._automaton._engine.size, np.bool_)
        for following, tokens in self._following(state).items():
            if left and self.least(following) < left:
                kept[tokens] = True
        return kept

    def least(self, state: int) -> int:
        """Breadth first, up to states whose distance from the end is known."""
        if state not in self._least:
            parents, depths, layer, depth = {state: DEAD}, {state: 0}, [state], 0
            best, last = MAX_SEARCHED, DEAD
            while layer and depth < best:
                for each in layer:
                    known = 0 if self._automaton.is_accepting(each) else self._least.get(each, best)
                    if depth + known < best:
                        best, last = depth + known, each
                following = []
                for each in layer:
                    for after in self._following(each):
                        if after not in parents:
                            parents[after], depths[after] = each, depth + 1
                            following.append(after)
                layer, depth = following, depth + 1
                if len(parents) > MAX_SEARCHED:
                    raise LimitExceeded("states searched for the soonest end", MAX_SEARCHED, "a constraint with max_tokens")
            while last != DEAD:
                self._least[last] = best - depths[last]
                last = parents[last]
        return self._least[state]

    def _following(self, state: int) -> dict[int, list[int]]:
        """The states that tokens lead to, with these tokens."""
        if state not in self._onward:
            found: dict[int, list[int]] = {}
            for token in map(int, self._automaton.allowed(state)):
                after = self._automaton.advance(state, token)
                if after > FINISHED:
                    found.setdefault(after, []).append(token)
            self._onward[state] = found
        return self._onward[state]
