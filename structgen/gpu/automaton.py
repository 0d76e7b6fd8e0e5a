"""A regular constraint as tables on a device: class of each token [V], state after each class, mask row of each state.

Tokens are in one class if they lead to the same state from every state, found by refining a partition state by state. With the
tables, masks, draws and steps need no host: everything has a fixed shape and may be captured in a CUDA graph. Cost to build: one
`TokenAutomaton.successors` per state, milliseconds each on a large vocabulary; a step is two look-ups per row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from structgen.automaton import TokenAutomaton
from structgen.errors import LimitExceeded
from structgen.gpu.backend import Backend
from structgen.gpu.sampler import Sampled, sample

__all__ = ["DeviceAutomaton"]

Ints = npt.NDArray[np.int64]


class DeviceAutomaton:
    """``automaton`` with every state it can reach, numbered from 0 (`initial`); a constraint without end has none such.

    Raises `LimitExceeded` for more than ``max_states`` states, or tables of more than ``max_cells`` four-byte cells (16 million are
    64 MB). States are int32 tensors [n]; `dead` is a state too, in which nothing is allowed.
    """

    initial = 0

    def __init__(self, automaton: TokenAutomaton, device: torch.device | str, *, max_states: int = 4096, max_cells: int = 1 << 24) -> None:
        found = _tables(automaton, max_states, max_cells)
        self.size = len(found.classes) - 1
        self.n_states = len(found.after)
        self.dead = self.n_states - 1
        self.token_to_class = torch.from_numpy(found.classes).to(device)
        """int32 [V + 1]: the class of each token, and last that of ids outside the vocabulary."""
        self.transitions = torch.from_numpy(found.after).to(device)
        """int32 [states, classes]: the state after a token of a class."""
        self.masks = torch.from_numpy(found.masks.view(np.int32)).to(device)
        """int32 [rows, words]: the different masks, a table for `apply_masks` and `sample`."""
        self.state_to_mask = torch.from_numpy(found.mask_of).to(device)
        """int32 [states]: the row of each state's mask."""
        self.accepting = torch.from_numpy(found.accepting).to(device)
        """bool [states]: whether the text may end there."""

    def start(self, n: int) -> torch.Tensor:
        """The states before the first token of n texts."""
        return torch.zeros(n, dtype=torch.int32, device=self.transitions.device)

    def mask_ids(self, states: torch.Tensor) -> torch.Tensor:
        """Which rows of `masks` belong to the states."""
        return self.state_to_mask[states]

    def advance(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The states after one token each; `dead` where it is not allowed, or no token."""
        known = torch.where((tokens >= 0) & (tokens < self.size), tokens, self.size)
        return self.transitions[states, self.token_to_class[known]]

    def advance_tree(self, roots: torch.Tensor, parents: torch.Tensor, tokens: torch.Tensor, depth: int) -> torch.Tensor:
        """The states of the nodes of draft trees, int32 [nodes]: behind the ``tokens`` on the way from the root, at most ``depth``.

        ``parents`` [nodes]: the number of each node's parent, -1 if it follows a root, whose state is ``roots`` [nodes] there.
        """
        states = torch.full_like(roots, self.dead)
        for _ in range(depth):
            states = self.advance(torch.where(parents < 0, roots, states[parents.clamp(min=0)]), tokens)
        return states

    def sample(self, logits: torch.Tensor, states: torch.Tensor, *, backend: Backend = "auto", **draw: Any) -> tuple[Sampled, torch.Tensor]:
        """One allowed token per row of ``logits`` [n, V], and the states after it. ``draw``: temperatures, seeds and positions, as
        `structgen.gpu.sample` has them."""
        drawn = sample(logits, self.masks, self.mask_ids(states), backend=backend, **draw)
        return drawn, self.advance(states, drawn.tokens)


class _Tables(NamedTuple):
    """The last two states are the one after end-of-sequence, and dead."""

    classes: npt.NDArray[np.int32]
    after: npt.NDArray[np.int32]
    masks: npt.NDArray[np.uint32]
    mask_of: npt.NDArray[np.int32]
    accepting: npt.NDArray[np.bool_]


class _Partition:
    """Classes of tokens. A class is split when a state tells its tokens apart; the parts know which class they come from, so that
    what earlier states did with it holds for them."""

    def __init__(self, size: int) -> None:
        self.of = np.zeros(size, np.int64)
        self._counts = [size]
        self._parents = [-1]
        self._since = [0]  # how many states were there before the class was made
        self._steps: list[tuple[Ints, Ints]] = []  # of each state: classes and where they lead

    def __len__(self) -> int:
        return len(self._parents)

    def refine(self, tokens: Ints, after: Ints) -> None:
        """Add a state in which these tokens lead to ``after`` and all others nowhere."""
        pairs, which, counts = np.unique(np.stack([self.of[tokens], after]), axis=1, return_inverse=True, return_counts=True)
        kept = np.empty(pairs.shape[1], np.int64)
        for i, (old, count) in enumerate(zip(pairs[0].tolist(), counts.tolist(), strict=True)):
            kept[i] = old if count == self._counts[old] else self._split(old, count)
        self.of[tokens] = kept[which.reshape(-1)]
        self._steps.append((kept, pairs[1]))

    def _split(self, old: int, count: int) -> int:
        self._parents.append(old)
        self._counts.append(count)
        self._counts[old] -= count
        self._since.append(len(self._steps))
        return len(self._parents) - 1

    def tables(self, dead: int) -> tuple[Ints, npt.NDArray[np.int32]]:
        """The class of each token, counted from 0, and the state after each class [states, classes]."""
        after = np.full((len(self._steps), len(self)), dead, np.int32)
        for row, (classes, states) in zip(after, self._steps, strict=True):
            row[classes] = states
        for new, (old, states_before) in enumerate(zip(self._parents, self._since, strict=True)):
            after[:states_before, new] = after[:states_before, old]
        left, of = np.unique(self.of, return_inverse=True)
        return of.reshape(-1), after[:, left]


def _tables(automaton: TokenAutomaton, max_states: int, max_cells: int) -> _Tables:
    ends = np.array(sorted(automaton.vocab.eos_token_ids), np.int64)
    after_end = max_states  # a number no state has, until theirs is known
    partition = _Partition(automaton.vocab.size + 1)
    states, numbers = [automaton.initial], {automaton.initial: 0}
    finished = automaton.dead
    for state in states:  # grows on the way
        found = automaton.successors(state)
        states += [following for following in found.states.tolist() if following not in numbers]
        numbers.update(zip(states[len(numbers) :], range(len(numbers), len(states)), strict=True))
        if len(states) + 2 > max_states:
            raise LimitExceeded("number of states of a constraint on the device", max_states, option="max_states")
        targets = np.array([numbers[following] for following in found.states.tolist()], np.int64)
        tokens, after = found.tokens, np.repeat(targets, np.diff(found.starts))
        if automaton.is_accepting(state) and len(ends):
            finished = automaton.advance(state, int(ends[0]))
            tokens, after = np.append(tokens, ends), np.append(after, np.full(len(ends), after_end))
        partition.refine(tokens, after)
        if len(states) * len(partition) > max_cells:
            raise LimitExceeded("number of cells of a constraint's table on the device", max_cells, option="max_cells")
    partition.refine(ends, np.full(len(ends), after_end))
    partition.refine(ends[:0], ends[:0])
    classes, transitions = partition.tables(max_states + 1)
    transitions[transitions >= max_states] += len(states) - max_states
    rows = [automaton.mask(state) for state in [*states, finished, automaton.dead]]
    distinct = {id(row): row for row in rows}
    places = {known: place for place, known in enumerate(distinct)}
    return _Tables(
        classes.astype(np.int32),
        transitions,
        np.stack(list(distinct.values())),
        np.array([places[id(row)] for row in rows], np.int32),
        np.array([*map(automaton.is_accepting, states), True, False]),
    )
