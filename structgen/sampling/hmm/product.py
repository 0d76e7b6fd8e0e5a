"""A hidden Markov model read together with an automaton: P(the text will be valid, and of an admissible length | its first tokens).

With F the accepting states, d the transition function, and R_n(z, q) = P(what follows n tokens leads from the state q to a valid text |
the hidden state z emits the next token),

    R_n(z, q) = sum_x B(z, x) sum_z' A(z, z') R_n+1(z', d(q, x)) + B(z, eos) [q in F and n admissible],        R_max+1 = 0

which is computed for all n, z, q, the tokens that lead from one state to the same next one together: O(n (|Q| H^2 + E H)) for E such
edges. The states are those that can be reached within the length, so any constraint that has few enough of them will do. R is kept
as numbers of at most 1 and one logarithm for each (n, q): probabilities of long texts are too small for floating point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from structgen.automata.machine import DEAD
from structgen.automaton import TokenAutomaton
from structgen.errors import LimitExceeded, StructgenError
from structgen.sampling.hmm.model import HiddenMarkov
from structgen.sampling.logspace import LogWeights

__all__ = ["HMMProduct", "Prefix"]

MAX_NUMBERS = 1 << 27
"""Of R: (max_tokens + 1) * states * hidden states."""
MAX_EDGES = 1 << 22
MAX_GROUPED = 1 << 25
"""Tokens in all distinct groups together."""
BLOCK = 1 << 22
"""Numbers computed at a time."""


class Prefix(NamedTuple):
    """What is known after some tokens: the distribution [H] of the hidden state that emits the next one (0 if the hidden Markov model holds
    the tokens for impossible), the automaton's state as an index, -1 if dead, and how many tokens there were."""

    belief: Tensor
    state: int
    n_tokens: int


class HMMProduct:
    """``automaton``: of `structgen.compile`, on the model's tokens. A length from ``min_tokens`` to ``max_tokens`` is admissible, without
    the end symbol.

    Raises `LimitExceeded` if the automaton has too many states within that length.
    """

    def __init__(self, hmm: HiddenMarkov, automaton: TokenAutomaton, max_tokens: int, *, min_tokens: int = 0) -> None:
        if not 0 <= min_tokens <= max_tokens:
            raise StructgenError(f"needs 0 <= min_tokens <= max_tokens, found {min_tokens} and {max_tokens}")
        if hmm.size < automaton.vocab.size or hmm.eos not in automaton.vocab.eos_token_ids:
            raise StructgenError(
                f"the hidden Markov model has {hmm.size} tokens and ends with {hmm.eos}, which does not fit the vocabulary:"
                f" {automaton.vocab.size} tokens that end with {sorted(automaton.vocab.eos_token_ids)}"
            )
        self.hmm, self.automaton, self.max_tokens, self.min_tokens = hmm, automaton, max_tokens, min_tokens
        self._edges = _Edges(automaton, max_tokens, MAX_NUMBERS // ((max_tokens + 1) * hmm.n_states))
        self._values, self._scales = self._backward()
        self.start = Prefix(hmm.initial, 0, 0)

    @property
    def n_states(self) -> int:
        """States of the automaton that can be reached."""
        return len(self._edges.states)

    @property
    def log_probability(self) -> float:
        """log P(a text is valid and of an admissible length), under the hidden Markov model."""
        return self.log_value(self.start)

    def log_value(self, prefix: Prefix) -> float:
        """log P(the text will be valid | prefix)."""
        if prefix.state == DEAD or prefix.n_tokens > self.max_tokens:
            return -math.inf
        value = float(prefix.belief @ self._values[prefix.n_tokens, prefix.state])
        return min(math.log(value) + float(self._scales[prefix.n_tokens, prefix.state]), 0.0) if value > 0 else -math.inf

    def log_values_after(self, prefixes: Sequence[Prefix]) -> LogWeights:
        """float64 [N, V]: log P(the text will be valid | prefix, token) for every next token; -inf for those after which no text is
        valid, and for those that the hidden Markov model holds for impossible. The end symbol has 0 or -inf: it decides."""
        found = torch.full((len(prefixes), self.hmm.size), -torch.inf, dtype=torch.float64, device=self.hmm.initial.device)
        beliefs = torch.stack([prefix.belief for prefix in prefixes])
        for group, pairs in self._by_group(prefixes).items():
            self._fill(found, prefixes, beliefs, self._edges.groups[group], pairs)
        found[:, self.hmm.eos] = torch.tensor([0.0 if self._may_end(p) else -torch.inf for p in prefixes], dtype=torch.float64)
        rows: LogWeights = found.cpu().numpy()
        return rows

    def extend(self, prefixes: Sequence[Prefix], tokens: Sequence[int]) -> list[Prefix]:
        """The prefixes with one more token each, not the end symbol."""
        beliefs = torch.stack([prefix.belief for prefix in prefixes]) * self.hmm.by_token[list(tokens)]
        total = beliefs.sum(1, keepdim=True)
        following = beliefs / total.clamp_min(torch.finfo(beliefs.dtype).tiny) @ self.hmm.transition
        states = [self._edges.after(prefix.state, token) for prefix, token in zip(prefixes, tokens, strict=True)]
        return [Prefix(b, q, p.n_tokens + 1) for b, q, p in zip(following, states, prefixes, strict=True)]

    # -- the recursion ----------------------------------------------------------------------------------------------------------

    def _may_end(self, prefix: Prefix) -> bool:
        return prefix.state != DEAD and self._edges.accepting[prefix.state] and self.min_tokens <= prefix.n_tokens <= self.max_tokens

    def _backward(self) -> tuple[Tensor, NDArray[np.float64]]:
        """R: values [max + 1, Q, H] of at most 1, and the logarithms [max + 1, Q] of what they are to be multiplied with."""
        hmm, edges = self.hmm, self._edges
        device, accepting = hmm.initial.device, torch.tensor(edges.accepting)
        shape = (self.max_tokens + 1, self.n_states)
        values = torch.zeros(*shape, hmm.n_states, dtype=hmm.initial.dtype, device=device)
        scales = torch.full(shape, -torch.inf, dtype=torch.float64, device=device)
        source, target, group = (t.to(device) for t in (edges.source, edges.target, edges.group))
        mass = edges.mass(hmm)
        for n in reversed(range(self.max_tokens + 1)):
            ends = (accepting if n >= self.min_tokens else torch.zeros_like(accepting)).to(device)
            top = torch.where(ends, 0.0, -torch.inf).double()
            if n < self.max_tokens:
                top = top.scatter_reduce(0, source, scales[n + 1][target], "amax")
            top = top.nan_to_num(neginf=0.0)
            sums = torch.where(ends, (-top).exp(), 0.0).to(values.dtype).unsqueeze(1) * hmm.by_token[hmm.eos]
            if n < self.max_tokens:
                moved = values[n + 1] @ hmm.transition.T
                share = (scales[n + 1][target] - top[source]).exp().to(values.dtype)
                for e in torch.split(torch.arange(len(source), device=device), max(1, BLOCK // hmm.n_states)):
                    sums.index_add_(0, source[e], mass[group[e]] * moved[target[e]] * share[e].unsqueeze(1))
            greatest = sums.max(1).values
            values[n] = sums / torch.where(greatest > 0, greatest, 1.0).unsqueeze(1)
            scales[n] = torch.where(greatest > 0, greatest.double().log() + top, -torch.inf)
        return values, scales.cpu().numpy()

    def _by_group(self, prefixes: Sequence[Prefix]) -> dict[int, list[tuple[int, int]]]:
        """For each group of tokens the prefixes that may go on with it, as indices, and the states they then reach."""
        found: dict[int, list[tuple[int, int]]] = {}
        for i, prefix in enumerate(prefixes):
            if prefix.state != DEAD and prefix.n_tokens < self.max_tokens:
                for target, group in self._edges.of(prefix.state):
                    if self._scales[prefix.n_tokens + 1, target] > -math.inf:
                        found.setdefault(group, []).append((i, target))
        return found

    def _fill(self, out: Tensor, prefixes: Sequence[Prefix], beliefs: Tensor, tokens: Tensor, pairs: list[tuple[int, int]]) -> None:
        """log P(valid, token | prefix) / P(token | prefix) for a group of tokens, in one product."""
        tokens, rows = tokens.to(out.device), torch.tensor([i for i, _ in pairs], device=out.device)
        at = [prefixes[i].n_tokens + 1 for i, _ in pairs], [target for _, target in pairs]
        both = torch.cat([beliefs[rows] * (self._values[at] @ self.hmm.transition.T), beliefs[rows]])
        many = len(tokens) > self.hmm.size // 4  # selecting is then dearer than computing all
        mass = (both @ self.hmm.emission)[:, tokens] if many else both @ self.hmm.by_token[tokens].T
        valid, alone = mass.double().log().chunk(2)
        scales = torch.from_numpy(self._scales[at]).to(out.device).unsqueeze(1)
        out[rows.unsqueeze(1), tokens] = torch.where(valid > -torch.inf, valid - alone + scales, -torch.inf).clamp_max(0.0)


class _Edges:
    """The automaton within a number of tokens: its states, and its edges ordered by their source. Equal groups of tokens are kept once."""

    def __init__(self, automaton: TokenAutomaton, max_tokens: int, max_states: int) -> None:
        self._automaton, self._index, self._group_of = automaton, {automaton.initial: 0}, dict[bytes, int]()
        self.states, self.groups, self._n_grouped = [automaton.initial], list[Tensor](), 0
        self._of: list[list[tuple[int, int]]] = []
        n_edges = 0
        for _ in range(max_tokens):
            layer = self.states[len(self._of) :]
            if not layer:
                break
            for state in layer:
                self._of.append(self._edges_from(state))
                n_edges += len(self._of[-1])
                _check("states of the automaton", len(self.states), max_states)
                _check("edges of the automaton", n_edges, MAX_EDGES)
                _check("tokens in the groups of the automaton's edges", self._n_grouped, MAX_GROUPED)
        self._of += [[]] * (len(self.states) - len(self._of))
        self.accepting = [automaton.is_accepting(state) for state in self.states]
        flat = [(source, target, group) for source, edges in enumerate(self._of) for target, group in edges]
        self.source, self.target, self.group = torch.tensor(flat, dtype=torch.int64).reshape(-1, 3).T.contiguous()

    def of(self, state: int) -> list[tuple[int, int]]:
        """The targets and groups of the edges from a state."""
        return self._of[state]

    def after(self, state: int, token: int) -> int:
        following = DEAD if state == DEAD else self._automaton.advance(self.states[state], token)
        return self._index.get(following, DEAD)

    def mass(self, hmm: HiddenMarkov) -> Tensor:
        """[groups, H]: the probability that a hidden state emits a token of the group."""
        sizes = torch.tensor([len(tokens) for tokens in self.groups], dtype=torch.int64)
        members = torch.cat([torch.zeros(0, dtype=torch.int64), *self.groups])
        at = torch.stack([torch.repeat_interleave(torch.arange(len(sizes)), sizes), members])
        ones = torch.ones(len(members), dtype=hmm.initial.dtype)
        return torch.sparse_coo_tensor(at, ones, (len(sizes), hmm.size), check_invariants=True).to(hmm.initial.device) @ hmm.by_token

    def _edges_from(self, state: int) -> list[tuple[int, int]]:
        states, starts, tokens = self._automaton.successors(state)
        groups = [self._group(tokens[a:b]) for a, b in pairwise(starts)]
        return [(self._index_of(after), group) for after, group in zip(states.tolist(), groups, strict=True)]

    def _index_of(self, state: int) -> int:
        if state not in self._index:
            self._index[state] = len(self.states)
            self.states.append(state)
        return self._index[state]

    def _group(self, tokens: NDArray[np.int64]) -> int:
        found = self._group_of.setdefault(blake2b(tokens.tobytes()).digest(), len(self.groups))
        if found == len(self.groups):
            self.groups.append(torch.from_numpy(tokens.copy()))
            self._n_grouped += len(tokens)
        return found


def _check(limit: str, value: int, bound: int) -> None:
    if value > bound:
        raise LimitExceeded(limit, bound, "the product with a hidden Markov model")
