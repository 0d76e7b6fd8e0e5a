"""Joint inference over the open positions of a filling: the best filling (DINGO), exact marginals, exact samples.

The weight of a filling is the product of its tokens' weights at the open positions before the horizon, over all that is valid (what
is behind the horizon weighs 1 if it can be filled at all). Sums or maxima over it are messages over the states of the lattice:
O(edges + tokens) per position. DINGO (arXiv 2505.23061) is `Joint.best`; marginals and samples are the sum-product version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from structgen.diffusion.filling import OPEN, Filling
from structgen.diffusion.transitions import States, Transitions, members

__all__ = ["Joint"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class _Layer(NamedTuple):
    """The edges between two layers, ascending by source; states are numbered within their layers."""

    sources: Ints
    targets: Ints
    groups: Ints
    """Indices into ``names``."""
    names: Ints
    """The token groups that occur."""
    tokens: Ints
    """Of all these groups, one after the other."""
    starts: Ints
    """Where each group begins."""


class Joint:
    """``log_weights``: for each open position before the horizon, [V] logarithms of the tokens' weights; tokens of open positions that
    are not given weigh 1 each."""

    def __init__(self, filling: Filling, log_weights: Mapping[int, Any]) -> None:
        table, self._live = filling.layers()
        self._first, self._end = filling.first, filling.horizon
        self._tokens = filling.tokens
        self._rows = {i: np.asarray(row, np.float64) for i, row in log_weights.items()}
        self._layers = [
            _open_layer(table, self._live[i], self._live[i + 1])
            if self._tokens[i] == OPEN
            else _known_layer(table, self._live[i], self._tokens[i], self._live[i + 1])
            for i in range(self._first, self._end)
        ]

    def best(self) -> dict[int, int]:
        """The tokens of the open positions in the filling of the greatest weight; of equal ones the first by states and tokens."""
        messages, at, found = self._backward(np.maximum), 0, {}
        for i, layer in self._walk():
            edges = np.flatnonzero(layer.sources == at)
            weights = self._group_weights(i, layer, np.maximum)
            edge = edges[int((weights[layer.groups[edges]] + messages[i + 1 - self._first][layer.targets[edges]]).argmax())]
            if self._tokens[i] == OPEN:
                tokens = _tokens_of(layer, int(layer.groups[edge]))
                found[i] = int(tokens[int(self._rows[i][tokens].argmax())]) if i in self._rows else int(tokens[0])
            at = int(layer.targets[edge])
        return found

    def sample(self, choose: Callable[[Floats], int]) -> dict[int, int]:
        """The tokens of the open positions in a filling drawn in proportion to its weight. ``choose(log_weights)`` is an index, drawn in
        proportion to the weights (`structgen.sampling.Seeded`): two choices per position."""
        messages, at, found = self._log_beta, 0, {}
        for i, layer in self._walk():
            edges = np.flatnonzero(layer.sources == at)
            weights = self._group_weights(i, layer, np.logaddexp)
            edge = edges[choose(weights[layer.groups[edges]] + messages[i + 1 - self._first][layer.targets[edges]])]
            if self._tokens[i] == OPEN:
                tokens = _tokens_of(layer, int(layer.groups[edge]))
                found[i] = int(tokens[choose(self._rows[i][tokens] if i in self._rows else np.zeros(len(tokens)))])
            at = int(layer.targets[edge])
        return found

    @property
    def log_partition(self) -> float:
        """The logarithm of the weight of all fillings."""
        return float(self._log_beta[0][0])

    def log_marginals(self) -> dict[int, Floats]:
        """For each position with weights, [V]: the logarithm of the probability of each token."""
        found = {}
        log_alpha = np.zeros(1)
        for i, layer in self._walk():
            weights = self._group_weights(i, layer, np.logaddexp)
            beta = self._log_beta[i + 1 - self._first]
            if i in self._rows:
                through = _scatter(layer.groups, log_alpha[layer.sources] + beta[layer.targets], len(layer.names))
                sizes = np.diff(np.append(layer.starts, len(layer.tokens)))
                row = self._rows[i]
                found[i] = row + _scatter(layer.tokens, np.repeat(through, sizes), len(row)) - self.log_partition
            log_alpha = _scatter(layer.targets, log_alpha[layer.sources] + weights[layer.groups], len(beta))
        return found

    # -- messages ---------------------------------------------------------------------------------------------------------------

    def _walk(self) -> Sequence[tuple[int, _Layer]]:
        return list(enumerate(self._layers, self._first))

    @cached_property
    def _log_beta(self) -> list[Floats]:
        return self._backward(np.logaddexp)

    def _backward(self, plus: np.ufunc) -> list[Floats]:
        """The weight of all that may follow, for every state of every layer: summed (logaddexp) or the greatest (maximum)."""
        messages = [np.zeros(self._live[self._end].bit_count())]
        for i, layer in reversed(self._walk()):
            ways = self._group_weights(i, layer, plus)[layer.groups] + messages[-1][layer.targets]
            messages.append(_scatter(layer.sources, ways, self._live[i].bit_count(), plus))
        return messages[::-1]

    def _group_weights(self, i: int, layer: _Layer, plus: np.ufunc) -> Floats:
        """What the tokens of each group weigh together."""
        if i not in self._rows:
            sizes = np.diff(np.append(layer.starts, len(layer.tokens)))
            open_sum = plus is not np.maximum and self._tokens[i] == OPEN
            return np.log(sizes) if open_sum else np.zeros(len(layer.names))
        weights = self._rows[i][layer.tokens]
        top = np.maximum.reduceat(weights, layer.starts)
        if plus is np.maximum:
            return np.asarray(top)
        sizes = np.diff(np.append(layer.starts, len(weights)))
        with np.errstate(invalid="ignore", divide="ignore"):
            summed = top + np.log(np.add.reduceat(np.exp(weights - np.repeat(top, sizes)), layer.starts))
        return np.where(top == -np.inf, -np.inf, summed)


def _open_layer(table: Transitions, states: States, following: States) -> _Layer:
    layer: _Layer = table.remember(("layer", states, following), lambda: _new_layer(table, states, following))
    return layer


def _new_layer(table: Transitions, states: States, following: States) -> _Layer:
    local = np.full(len(table.states), -1)
    local[list(members(following))] = np.arange(following.bit_count())
    edges = [table.edges(k) for k in members(states)]
    sources = np.repeat(np.arange(len(edges)), [len(to) for to, _ in edges])
    targets = local[np.concatenate([to for to, _ in edges])]
    groups = np.concatenate([by for _, by in edges])
    kept = targets >= 0
    names, numbers = np.unique(groups[kept], return_inverse=True)
    tokens = [table.groups[g] for g in names.tolist()]
    starts = np.cumsum([0, *map(len, tokens)])[:-1]
    return _Layer(sources[kept], targets[kept], numbers, names, np.concatenate(tokens).astype(np.int64), starts)


def _known_layer(table: Transitions, states: States, token: int, following: States) -> _Layer:
    number, local = {k: j for j, k in enumerate(members(states))}, {k: j for j, k in enumerate(members(following))}
    steps = [(number[k], local[to.bit_length() - 1]) for k, to in table.steps(states, token) if to & following]
    pairs = np.array(steps, np.int64).reshape(-1, 2)
    zeros = np.zeros(len(pairs), np.int64)
    return _Layer(pairs[:, 0], pairs[:, 1], zeros, zeros[:1], np.array([token]), zeros[:1])


def _tokens_of(layer: _Layer, group: int) -> Ints:
    stop = layer.starts[group + 1] if group + 1 < len(layer.starts) else len(layer.tokens)
    return layer.tokens[layer.starts[group] : stop]


def _scatter(to: Ints, log_weights: Floats, n: int, plus: np.ufunc = np.logaddexp) -> Floats:
    """[n]: the log weights that go to each index, together."""
    top = np.full(n, -np.inf)
    np.maximum.at(top, to, log_weights)
    if plus is np.maximum:
        return top
    scale = np.where(top == -np.inf, 0.0, top)
    with np.errstate(divide="ignore"):
        return np.asarray(scale + np.log(np.bincount(to, np.exp(log_weights - scale[to]), n)))
