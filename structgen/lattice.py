"""Independent distributions at n positions, conditioned on an automaton: feasibility, the best filling, marginals, exact samples.

The weight of a token sequence is the product of its tokens' weights, if the automaton accepts it after n tokens, else 0. This is
what a masked diffusion model proposes for a block of positions, restricted to what is valid. Backward messages over the states
reached (Rabiner 1989; the max-product version is DINGO, arXiv 2505.23061, section 4) give everything exactly.

Outputs that are shorter are padded with end-of-sequence, as the automaton allows nothing else behind the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from structgen.automata.machine import DEAD
from structgen.automaton import TokenAutomaton
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["Lattice"]

MAX_STATES = 200_000
"""States at all positions together."""
FEW = 64
"""Tokens of a position up to this many are tried one by one."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Edges:
    """The tokens that lead from one state to the states of the next position, in groups of one target each."""

    targets: Ints
    """Indices into the states of the next position."""
    starts: Ints
    tokens: Ints
    log_weights: Floats

    def group_of(self) -> Ints:
        """The group of each token."""
        return np.repeat(np.arange(len(self.targets)), np.diff(np.append(self.starts, len(self.tokens))))


class Lattice:
    """``automaton`` read from the state ``start`` (its initial state by default) over n positions.

    ``log_weights``: [n, V] float, logarithms of the tokens' weights at each position, not necessarily normalised; -inf
    excludes a token, so a position that is fixed has one finite entry. A torch tensor will do, on any device.

    Raises `LimitExceeded` if more than 200,000 states can be reached.
    """

    def __init__(self, automaton: TokenAutomaton, log_weights: Any, *, start: int | None = None) -> None:
        weights = np.asarray(log_weights.detach().cpu().double() if hasattr(log_weights, "detach") else log_weights, np.float64)
        size = automaton.vocab.size
        if weights.ndim != 2 or weights.shape[1] < size or np.isnan(weights).any() or (weights == np.inf).any():
            raise StructgenError(f"log_weights must be [positions, at least {size}], without NaN and +inf; found {list(weights.shape)}")
        self._automaton = automaton
        self._weights = weights[:, :size]
        self._states: list[list[int]] = [[automaton.initial if start is None else start]]
        self._edges: list[list[_Edges]] = []
        self._all_groups: dict[int, list[tuple[int, Ints]]] = {}
        self._reach()
        self._all_groups.clear()
        self._log_beta = self._backward(np.logaddexp)

    @property
    def n(self) -> int:
        """The number of positions."""
        return len(self._weights)

    @property
    def log_partition(self) -> float:
        """The logarithm of the weight of all valid fillings; -inf if there are none."""
        return float(self._log_beta[0][0])

    @property
    def feasible(self) -> bool:
        """Whether some filling is valid."""
        return self.log_partition > -np.inf

    def best(self) -> tuple[list[int], float]:
        """The valid filling of the greatest weight and the logarithm of its weight. Of equal ones, the first by the order of states
        and tokens."""
        self._check()
        messages, tokens, at = self._log_best, [], 0
        for i, edges in enumerate(self._edges):
            e = edges[at]
            scores = e.log_weights + messages[i + 1][e.targets][e.group_of()]
            k = int(scores.argmax())
            tokens.append(int(e.tokens[k]))
            at = int(e.targets[e.group_of()[k]])
        return tokens, float(messages[0][0])

    def marginals(self) -> Floats:
        """[n, V]: the probability of each token at each position, given that the filling is valid."""
        self._check()
        found = np.zeros(self._weights.shape)
        log_alpha = np.zeros(1)
        for i, edges in enumerate(self._edges):
            following = np.full(len(self._states[i + 1]), -np.inf)
            for alpha, e in zip(log_alpha, edges, strict=True):
                if alpha == -np.inf or not len(e.tokens):
                    continue
                beta = self._log_beta[i + 1][e.targets][e.group_of()]
                found[i, e.tokens] += np.exp(alpha + e.log_weights + beta - self.log_partition)
                np.logaddexp.at(following, e.targets, alpha + _by_group(np.logaddexp, e.log_weights, e.starts))
            log_alpha = following
        return found

    def sample(self, choose: Callable[[Floats], int]) -> list[int]:
        """A filling in proportion to its weight. ``choose(log_weights)`` is an index, drawn in proportion to the weights
        (`structgen.sampling.Seeded`, for example): one choice per position."""
        self._check()
        tokens, at = [], 0
        for i, edges in enumerate(self._edges):
            e = edges[at]
            k = choose(e.log_weights + self._log_beta[i + 1][e.targets][e.group_of()])
            tokens.append(int(e.tokens[k]))
            at = int(e.targets[e.group_of()[k]])
        return tokens

    # -- messages ---------------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if not self.feasible:
            raise StructgenError("no filling of these positions is valid")

    def _reach(self) -> None:
        """Find the states that may be reached at each position, and how."""
        n_states = 1
        for row in self._weights:
            index: dict[int, int] = {}
            layer = [self._edges_from(state, row, index) for state in self._states[-1]]
            self._edges.append(layer)
            self._states.append(list(index))
            n_states += len(index)
            if n_states > MAX_STATES:
                raise LimitExceeded(
                    "states at all positions of a lattice", MAX_STATES, "a constraint that is too large for exact inference"
                )

    def _edges_from(self, state: int, row: Floats, index: dict[int, int]) -> _Edges:
        groups = self._groups(state, row)
        targets = np.array([index.setdefault(following, len(index)) for following, _ in groups], np.int64)
        sizes = [len(tokens) for _, tokens in groups]
        tokens = np.concatenate([tokens for _, tokens in groups]) if groups else np.zeros(0, np.int64)
        return _Edges(targets, np.cumsum([0, *sizes])[:-1], tokens, row[tokens])

    def _groups(self, state: int, row: Floats) -> list[tuple[int, Ints]]:
        """The states after the tokens that are not excluded, with these tokens."""
        possible = np.flatnonzero(row > -np.inf)
        if len(possible) <= FEW:
            found: dict[int, list[int]] = {}
            for token in possible.tolist():
                found.setdefault(self._automaton.advance(state, token), []).append(token)
            found.pop(DEAD, None)
            return [(after, np.array(tokens)) for after, tokens in found.items()]
        if state not in self._all_groups:
            self._all_groups[state] = self._successors(state)
        kept = ((after, group[row[group] > -np.inf]) for after, group in self._all_groups[state])
        return [(after, group) for after, group in kept if len(group)]

    def _successors(self, state: int) -> list[tuple[int, Ints]]:
        """The states after all tokens, with these tokens; the same at every position."""
        states, starts, tokens = self._automaton.successors(state)
        groups = [(int(after), tokens[a:b]) for after, a, b in zip(states, starts[:-1], starts[1:], strict=True)]
        ends = [t for t in sorted(self._automaton.vocab.eos_token_ids) if self._automaton.advance(state, t) != DEAD]
        return [*groups, (self._automaton.advance(state, ends[0]), np.array(ends))] if ends else groups

    def _backward(self, plus: np.ufunc) -> list[Floats]:
        """The weight of all that may follow, for every state at every position: summed (logaddexp) or the greatest (maximum)."""
        accepting = [self._automaton.is_accepting(state) for state in self._states[-1]]
        messages = [np.where(accepting, 0.0, -np.inf)]
        for layer in reversed(self._edges):
            following = messages[-1]
            ways = (_by_group(plus, e.log_weights, e.starts) + following[e.targets] for e in layer)
            messages.append(np.array([plus.reduce(way) if len(way) else -np.inf for way in ways]))
        return messages[::-1]

    @cached_property
    def _log_best(self) -> list[Floats]:
        return self._backward(np.maximum)


def _by_group(plus: np.ufunc, log_weights: Floats, starts: Ints) -> Floats:
    """The weights of each group together, in a numerically safe way."""
    if not len(log_weights):
        return np.zeros(0)
    top = np.maximum.reduceat(log_weights, starts)
    if plus is np.maximum:
        return np.asarray(top)
    sizes = np.diff(np.append(starts, len(log_weights)))
    with np.errstate(invalid="ignore"):
        return np.asarray(top + np.log(np.add.reduceat(np.exp(log_weights - np.repeat(top, sizes)), starts)))
