"""The fillings of a row of positions, some known and some open, that an automaton accepts: what each open position may still be.

A lattice of automaton states. Layer i holds the states that may be reached before position i (forward sets) and from which the rest
can still be filled (live sets); position i may be just the tokens that lead from a live state of layer i to one of layer i + 1. All
positions together, so that whatever is committed within these sets can be finished: there are no dead ends.

The lattice spans from the first open position to the *horizon*, as far as the budgets of states go, at least behind the last known
token. Everything behind it is open, so that a state there is alive if its shortest completion fits the rest
(`structgen.limited`): positions behind the horizon are not offered yet, and what is said about those before it is exact but for one
thing: while the horizon is not the end, outputs that could only be finished in time by a text that is longer than the
shortest, yet takes fewer tokens, are left out. Each commit updates what changed, in O(positions) set operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Protocol

import numpy as np

from structgen.automata.machine import DEAD
from structgen.automaton import TokenAutomaton
from structgen.diffusion.transitions import Row, States, Transitions, members, transitions
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema
from structgen.limited import LimitedAutomaton

__all__ = ["OPEN", "Fillable", "Filling", "Free"]

OPEN = -1
"""A position that is not known yet."""
NEW_STATES = 32
"""States that a filling may meet for the first time in one call of `Filling.grow`, whether other fillings have met them or not: answers
do not depend on what was asked before."""
AHEAD = 8
"""So many times that when a filling is made. Layers with more states than this that are new are not approached."""
MAX_LAYER = 2_000
"""States of one layer: behind larger ones there is no horizon."""
MAX_EDGE = 4
"""States at the horizon for which the next position is still offered."""
MAX_BUILT = 20_000
"""States expanded to reach known tokens, or the end where it must be reached."""


class Fillable(Protocol):
    """What guards ask of a row of positions: a `Filling`, or `Free` without a constraint."""

    n: int
    tokens: list[int]
    """`OPEN` where not known."""

    @property
    def first(self) -> int: ...

    @property
    def end(self) -> int: ...

    def grow(self) -> None: ...

    def row(self, position: int) -> Row: ...

    def commit(self, position: int, token: int) -> bool: ...

    def settle(self) -> list[int]: ...

    def reopen(self, positions: Sequence[int]) -> int: ...

    def copy(self) -> Fillable: ...


class Filling:
    """``n`` positions behind the state ``start`` (the automaton's initial one by default), ``tokens`` of them known (`OPEN`: not).

    With ``pad``, texts shorter than n are padded with end-of-sequence; without, all n are tokens of the text. ``look_ahead``: states met
    for the first time in one call of `grow`, and eight times as many at once; 0 decodes from left to right. Raises
    `UnsatisfiableSchema` if no filling is valid, `LimitExceeded` if that cannot be known within the budgets, which only
    happens with known tokens far behind open ones, without ``pad``, and where how to finish soonest is not known.
    """

    def __init__(
        self,
        automaton: TokenAutomaton,
        n: int,
        *,
        start: int | None = None,
        tokens: Sequence[int] | None = None,
        pad: bool = True,
        look_ahead: int = NEW_STATES,
    ) -> None:
        if isinstance(automaton, LimitedAutomaton):
            raise StructgenError("the limit of a filling is its number of positions: give the automaton without max_tokens")
        self.tokens: list[int] = [OPEN] * n if tokens is None else [int(token) for token in tokens]
        if len(self.tokens) != n:
            raise StructgenError(f"{len(self.tokens)} tokens for {n} positions: write OPEN (-1) where they are not known")
        self.n = n
        self.first = 0
        """The first open position; n if there is none."""
        self._look_ahead = look_ahead
        self._most = MAX_BUILT
        self._met: States = 0
        self._credit = 0
        self._table: Transitions = transitions(automaton, pad)
        state = automaton.initial if start is None else automaton._checked(start)
        self._forward: list[States] = [1 << self._table.number(state) if state != DEAD else 0]
        self._live: list[States] = list(self._forward)
        self._build()

    @property
    def automaton(self) -> TokenAutomaton:
        return self._table.automaton

    @property
    def horizon(self) -> int:
        """The last layer."""
        return len(self._forward) - 1

    @property
    def end(self) -> int:
        """Positions before this are offered, if open: those up to the horizon, and one more where few states are there."""
        h = self.horizon
        return h + 1 if h < self.n and self._live[h].bit_count() <= MAX_EDGE else h

    def copy(self) -> Filling:
        found: Filling = object.__new__(Filling)
        vars(found).update(vars(self))
        found.tokens, found._forward, found._live = list(self.tokens), list(self._forward), list(self._live)
        return found

    # -- questions --------------------------------------------------------------------------------------------------------------

    def row(self, position: int) -> Row:
        """What an open position before `end` may be, other positions being what they are."""
        if position == self.horizon:
            return self._table.last_rows(self._live[position], self.n - position)
        return self._table.row(self._live[position], self._live[position + 1])

    def layers(self) -> tuple[Transitions, list[States]]:
        """The table of transitions, and the live states of layers 0 to the horizon; only those from the first open position on
        are kept up to date."""
        return self._table, self._live

    # -- changes ----------------------------------------------------------------------------------------------------------------

    def commit(self, position: int, token: int) -> bool:
        """Fix an open position before `end`, if some valid filling has this token there; whether it was."""
        if position == self.horizon:
            return self._commit_last(token)
        if not self._table.on(self._live[position], token) & self._live[position + 1]:
            return False
        self.tokens[position] = token
        self._advance(position, position)
        self._retreat(position)
        self._skip()
        return True

    def settle(self) -> list[int]:
        """Fix all positions before the horizon that have only one possible token, and the padding; which they were."""
        table, settled = self._table, []
        ended = self._live[-1] == table.finished
        for i in range(self.first, self.n if ended else self.horizon):
            if self.tokens[i] != OPEN:
                continue
            if i >= self.horizon or self._live[i] == table.finished:
                self.tokens[i] = min(self.automaton.vocab.eos_token_ids)
            elif (row := self.row(i)).n == 1:
                self.tokens[i] = row.first
            else:
                continue
            settled.append(i)
        if settled:
            self._advance(settled[0], settled[-1])
            self._skip()
        return settled

    def reopen(self, positions: Sequence[int]) -> int:
        """Open positions again, all or (where that asks for more new states than one call of `grow`) none; how many. Their known tokens
        stay a valid filling, so there always is one."""
        if not positions:
            return 0
        before = self.copy()
        for i in positions:
            self.tokens[i] = OPEN
        self.first = min(self.first, *positions)
        del self._forward[self.first + 1 :], self._live[self.first + 1 :]
        needed = max((i for i, token in enumerate(self.tokens) if token != OPEN), default=-1) + 1
        self.grow(to=max(needed, self.first))
        if self.horizon < needed:
            vars(self).update(vars(before))
            return 0
        self._retreat(0)
        return len(positions)

    def grow(self, new_states: int | None = None, to: int | None = None) -> None:
        """Move the horizon on, at most to layer ``to``: over ``look_ahead`` states met for the first time, and those that were not used
        up in earlier calls because a layer has more."""
        before = self.horizon
        self._credit += self._look_ahead if new_states is None else new_states
        while self.horizon < (self.n if to is None else to):
            h = self.horizon
            following = self._table.on(self._forward[h], self.tokens[h]) if self.tokens[h] != OPEN else self._after(self._forward[h])
            if following is None:
                break
            self._forward.append(following)
            self._live.append(0)
        else:
            self._credit = 0
        if self.horizon > before:
            self._retreat(0)

    def _after(self, states: States) -> States | None:
        """Where any token leads; None where that asks for too many states."""
        new = states & ~self._met
        if new.bit_count() > self._most:
            self._credit = 0
            return None
        enough = new.bit_count() <= self._credit
        expanded = all([self._table.expand(k) for k in islice(members(new), self._credit)])
        if not enough:
            return None
        following = self._table.after(states) if expanded else 0
        if not expanded or following.bit_count() > MAX_LAYER:
            self._credit = 0
            return None
        self._met |= new
        self._credit -= new.bit_count()
        return following

    # -- layers -----------------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        known = [i for i, token in enumerate(self.tokens) if token != OPEN]
        needed = max(known, default=-1) + 1 if self._table.finishable else self.n
        self.grow(MAX_BUILT, to=needed)
        self._credit = 0
        if self.horizon < needed and self._forward[-1]:
            raise LimitExceeded("states between open positions and what is known behind them", MAX_BUILT, "a shorter gap")
        self._retreat(0)
        if not self._live[0]:
            self._refuse()
        self._most = AHEAD * self._look_ahead
        self.grow(self._most)
        self._skip()

    def _refuse(self) -> None:
        table, start = self._table, self._forward[0]
        if start and table.finishable and set(self.tokens) <= {OPEN}:
            needed = table.least(start.bit_length() - 1)
            raise UnsatisfiableSchema(f"no output takes as few as {self.n} tokens; the shortest takes {needed}")
        raise UnsatisfiableSchema(f"no filling of these {self.n} positions is valid")

    def _advance(self, first: int, last: int) -> None:
        """Forward sets behind positions that were fixed."""
        for i in range(first, self.horizon):
            states, token = self._forward[i], self.tokens[i]
            following = self._table.after(states) if token == OPEN else self._table.on(states, token)
            if following == self._forward[i + 1] and i >= last:
                return
            self._forward[i + 1] = following

    def _retreat(self, position: int) -> None:
        """Live sets from the horizon down to the first open position, or to where nothing changes left of ``position``, what is left of it
        being up to date."""
        table, h = self._table, self.horizon
        following = table.alive(self._forward[h], self.n - h) if table.finishable or h == self.n else self._forward[h]
        self._live[h] = following
        for i in reversed(range(min(self.first, h), h)):
            token = self.tokens[i]
            states = self._forward[i]
            found = table.before(states, following) if token == OPEN else table.before_on(states, token, following)
            if found == self._live[i] and i < position:
                return
            self._live[i] = following = found

    def _commit_last(self, token: int) -> bool:
        """Fix the position at the horizon."""
        table, h = self._table, self.horizon
        if not table.alive(table.on(self._live[h], token), self.n - h - 1):
            return False
        self.tokens[h] = token
        self._forward.append(table.on(self._forward[h], token))
        self._live.append(0)
        self._retreat(h)
        self._skip()
        return True

    def _skip(self) -> None:
        """Move on to the first open position: all before it is one path."""
        while self.first < self.n and self.tokens[self.first] != OPEN:
            self.first += 1


class Free:
    """``n`` positions without a constraint: any of ``size`` tokens but those of ``never`` (the mask token)."""

    def __init__(self, n: int, size: int, never: Sequence[int] = (), tokens: Sequence[int] | None = None) -> None:
        self.n = self.end = n
        self.tokens = [OPEN] * n if tokens is None else list(tokens)
        bits = np.zeros(-(-size // 32) * 32, np.uint8)
        bits[:size] = 1
        bits[[token for token in never if 0 <= token < size]] = 0
        self._row = Row(np.packbits(bits, bitorder="little").view(np.uint32), int(bits.sum()), int(bits.argmax()))

    @property
    def first(self) -> int:
        return self.tokens.index(OPEN) if OPEN in self.tokens else self.n

    def copy(self) -> Free:
        found: Free = object.__new__(Free)
        vars(found).update(vars(self))
        found.tokens = list(self.tokens)
        return found

    def grow(self) -> None:
        """Nothing: all positions are offered."""

    def settle(self) -> list[int]:
        return []

    def row(self, position: int) -> Row:
        return self._row

    def commit(self, position: int, token: int) -> bool:
        self.tokens[position] = token
        return True

    def reopen(self, positions: Sequence[int]) -> int:
        for i in positions:
            self.tokens[i] = OPEN
        return len(positions)
