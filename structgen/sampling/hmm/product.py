"""A hidden Markov model read together with an automaton: P(the text will be valid, and of an admissible length | its first tokens).

With F the accepting states, d the transition function, and R_n(z, q) = P(what follows n tokens leads from the state q to a valid text |
the hidden state z emits the next token),

    R_n(z, q) = sum_x B(z, x) sum_z' A(z, z') R_n+1(z', d(q, x)) + B(z, eos) [q in F and n admissible],        R_max+1 = 0

which is computed for all n, z, q at once, tokens that lead from one state to the same next one grouped: O(n (|Q| H^2 + E H)) for E such groups.
The states are those that can be reached within the length, so any constraint that has few enough of them will do. Every R is kept as
numbers of at most 1 and a logarithm for each (n, q): probabilities of long texts are too small for floating point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from structgen.automata.machine import DEAD
from structgen.automaton import TokenAutomaton
from structgen.errors import LimitExceeded, StructgenError
from structgen.sampling.hmm.model import HiddenMarkov
from structgen.sampling.logspace import LogWeights

__all__ = ["HMMProduct", "Prefix"]

MAX_NUMBERS = 1 << 27
"""Of R: (max_tokens + 1) * states * hidden states."""
MAX_TOKENS_GROUPED = 1 << 26
"""In all distinct groups together."""
MAX_EDGES = 1 << 22
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
        """float64 [N, V]: log P(the text will be valid | prefix, token) for every next token; -inf exactly where there is no valid text, and for
        tokens that the hidden Markov model holds for impossible there. The end symbol has 0 or -inf: it decides."""
        beliefs = torch.stack([prefix.belief for prefix in prefixes])
        joint = torch.zeros(len(prefixes), self.hmm.size, dtype=torch.float64, device=beliefs.device)
        scales = torch.zeros_like(joint)
        self._fill(prefixes, beliefs, joint, scales)
        alone = (beliefs @ self.hmm.emission).double()
        found = torch.where(joint > 0, joint.log() - alone.log() + scales, -torch.inf).clamp_max(0.0)
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

    def _backward(self) -> tuple[Tensor, Tensor]:
        """R: values [max + 1, Q, H] of at most 1, and the logarithms [max + 1, Q] of what they are to be multiplied with."""
        hmm, edges = self.hmm, self._edges
        device, accepting = hmm.initial.device, torch.tensor(edges.accepting)
        shape = (self.max_tokens + 1, self.n_states)
        values = torch.zeros(*shape, hmm.n_states, dtype=hmm.initial.dtype, device=device)
        scales = torch.full(shape, -torch.inf, dtype=torch.float64, device=device)
        source, target, group = (t.to(device) for t in (edges.source, edges.target, edges.group))
        mass = torch.stack([hmm.by_token[tokens].sum(0) for tokens in edges.groups]) if edges.groups else values.new_zeros(0, hmm.n_states)
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
                for e in torch.arange(len(source), device=device).split(max(1, BLOCK // hmm.n_states)):
                    sums.index_add_(0, source[e], mass[group[e]] * moved[target[e]] * share[e].unsqueeze(1))
            greatest = sums.max(1).values
            values[n] = sums / torch.where(greatest > 0, greatest, 1.0).unsqueeze(1)
            scales[n] = torch.where(greatest > 0, greatest.double().log() + top, -torch.inf)
        return values, scales

    def _fill(self, prefixes: Sequence[Prefix], beliefs: Tensor, joint: Tensor, scales: Tensor) -> None:
        """P(token, valid | prefix) for tokens that are no end: ``joint`` times exp(``scales``). One product for each group of tokens."""
        by_group: dict[int, list[tuple[int, int]]] = {}
        for i, prefix in enumerate(prefixes):
            if prefix.state != DEAD and prefix.n_tokens < self.max_tokens:
                for target, group in self._edges.of(prefix.state):
                    if self._scales[prefix.n_tokens + 1, target] > -math.inf:
                        by_group.setdefault(group, []).append((i, target))
        for group, pairs in by_group.items():
            rows = torch.tensor([i for i, _ in pairs], device=joint.device)
            at = [prefixes[i].n_tokens + 1 for i, _ in pairs], [target for _, target in pairs]
            tokens = self._edges.groups[group].to(joint.device)
            onward = beliefs[rows] * (self._values[at] @ self.hmm.transition.T)
            joint[rows.unsqueeze(1), tokens] = (onward @ self.hmm.by_token[tokens].T).double()
            scales[rows.unsqueeze(1), tokens] = self._scales[at].unsqueeze(1)


class _Edges:
    """The automaton within a number of tokens: its states, and its edges ordered by their source. Equal groups of tokens are kept once."""

    def __init__(self, automaton: TokenAutomaton, max_tokens: int, max_states: int) -> None:
        self._automaton, self._groups_by_content = automaton, dict[bytes, int]()
        self.states, self.groups = [automaton.initial], list[Tensor]()
        self._index = {automaton.initial: 0}
        self._starts, self._edges, n_grouped, first = [0], list[tuple[int, int]](), 0, 0
        for _ in range(max_tokens):
            last = len(self.states)
            for state in self.states[first:last]:
                self._edges += self._edges_from(state)
                self._starts.append(len(self._edges))
                n_grouped = sum(map(len, self.groups)) if len(self.groups) > n_grouped else n_grouped
                _check("states of a hidden Markov model's product with an automaton", len(self.states), max_states)
                _check("edges of an automaton", len(self._edges), MAX_EDGES)
            first = last
        self._starts += [len(self._edges)] * (len(self.states) + 1 - len(self._starts))
        self.accepting = [automaton.is_accepting(state) for state in self.states]
        self.source = torch.repeat_interleave(torch.arange(len(self.states)), torch.tensor(self._starts).diff())
        self.target = torch.tensor([target for target, _ in self._edges], dtype=torch.int64)
        self.group = torch.tensor([group for _, group in self._edges], dtype=torch.int64)

    def of(self, state: int) -> list[tuple[int, int]]:
        """The targets and groups of the edges from a state."""
        return self._edges[self._starts[state] : self._starts[state + 1]]

    def after(self, state: int, token: int) -> int:
        following = DEAD if state == DEAD else self._automaton.advance(self.states[state], token)
        return self._index.get(following, DEAD)

    def _edges_from(self, state: int) -> list[tuple[int, int]]:
        states, starts, tokens = self._automaton.successors(state)
        return [
            (self._index_of(after), self._group(tokens[a:b]))
            for after, a, b in zip(states.tolist(), starts[:-1], starts[1:], strict=True)
        ]

    def _index_of(self, state: int) -> int:
        if state not in self._index:
            self._index[state] = len(self.states)
            self.states.append(state)
        return self._index[state]

    def _group(self, tokens: np.ndarray) -> int:
        found = self._groups_by_content.setdefault(tokens.tobytes(), len(self.groups))
        if found == len(self.groups):
            self.groups.append(torch.from_numpy(tokens.copy()))
        return found


def _check(limit: str, value: int, bound: int) -> None:
    if value > bound:
        raise LimitExceeded(limit, bound, option="MAX_NUMBERS")
