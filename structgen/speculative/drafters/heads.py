"""Trained heads on the target's hidden states: Medusa (arXiv 2401.10774), Hydra (2402.05109), EAGLE 1 to 3 (2401.15077, 2406.16858,
2503.01840).

A head is anything with the method of `Head`. What it remembers of a text is a value that is never changed: each branch of a draft has
one of its own, so a tree is drafted without rollback. `Heads` asks it behind every drafted node for the most probable tokens that the
constraint allows; which nodes are drafted is decided by their probabilities, corrected by how often guesses of such a probability came
true (the dynamic trees of EAGLE-2).

The head's vocabulary may be a part of the target's (d2t of EAGLE-3; VocabTrim, arXiv 2506.22694): see `trimmed_vocabulary`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from string import punctuation, whitespace
from typing import Any, Protocol

import numpy as np
import torch

from structgen.errors import StructgenError
from structgen.speculative.checks import check_shares, check_sizes
from structgen.speculative.drafters.source import Guess, Place, Source, begun
from structgen.speculative.stopped import Stopped
from structgen.speculative.target import allowed
from structgen.vocabulary import Vocabulary

__all__ = ["Head", "Heads", "trimmed_vocabulary"]

GRADES = 4
STRUCTURAL = frozenset((punctuation + whitespace).encode())


class Head(Protocol):
    """What `Heads` asks of a head. Tensors are on the target's device."""

    layers: tuple[int, ...]
    """The hidden states it looks at, as transformers numbers them: -1 for the last (after the norm), three of them for EAGLE-3."""

    def step(self, memory: Any, tokens: torch.Tensor, hidden: Mapping[int, torch.Tensor] | None) -> tuple[torch.Tensor | None, Any]:
        """Take n more tokens, int64 [n], and say how they go on.

        ``hidden``: by layer the target's states [n, d] one place *before* each of the tokens, where it chose them; None for drafted tokens,
        for which the target was not run. ``memory``: what was returned for the tokens before, None at first; not to be changed in place.
        Returns logits over the head's vocabulary for the token behind the last one (None: no opinion) and the new memory.
        """
        ...


class Heads(Source):
    """``most``: tokens guessed behind a node, each with a probability of at least ``confidence``.

    ``target_ids``: the target's token for each of the head's, where it has fewer (the ``d2t`` of EAGLE-3 checkpoints is the difference of
    the two).
    """

    again = True

    def __init__(self, head: Head, most: int = 3, confidence: float = 0.1, target_ids: Sequence[int] | None = None) -> None:
        if not hasattr(head, "step"):
            raise StructgenError(f"a head has a method step, found {type(head).__name__}")
        check_sizes(most=most)
        check_shares(confidence=confidence)
        self._head, self._most, self._confidence = head, most, confidence
        self._ids = None if target_ids is None else np.asarray(target_ids, np.int64)
        self.layers = tuple(head.layers)

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> Heads:
        found = begun(self, constraint)
        found._hidden, found._n_seen, found._known = [], 0, {}
        return found

    _hidden: list[Mapping[int, torch.Tensor]]  # not shown to the head yet
    _n_seen: int  # tokens of the text whose hidden states the head has seen
    _known: dict[tuple[int, ...], tuple[torch.Tensor | None, Any]]  # by what follows those and the next token: logits and memory

    def follow(self, hidden: Mapping[int, Any]) -> None:
        self._hidden.append(hidden)

    def guesses(self, place: Place) -> Iterable[Guess]:
        with torch.inference_mode():
            self._catch_up(place.text)
            logits = self._logits((*place.text[self._n_seen + 1 :], *place.draft)) if self._known else None
        return () if logits is None else self._best(logits.float().cpu().numpy(), place.state)

    def _catch_up(self, text: Sequence[int]) -> None:
        """Show the head what the target's states were."""
        for hidden in self._hidden:
            n = len(hidden[self.layers[0]])
            _, memory = self._known.get((), (None, None))
            tokens = torch.tensor(text[self._n_seen + 1 : self._n_seen + n + 1], device=hidden[self.layers[0]].device)
            self._known, self._n_seen = {(): self._head.step(memory, tokens, hidden)}, self._n_seen + n
        self._hidden = []

    def _logits(self, tokens: tuple[int, ...]) -> torch.Tensor | None:
        """Behind tokens for which there are no hidden states."""
        logits, memory = self._known[()]
        for n in range(1, len(tokens) + 1):
            if logits is None:
                return None
            if tokens[:n] not in self._known:
                self._known[tokens[:n]] = self._head.step(memory, torch.tensor([tokens[n - 1]], device=logits.device), None)
            logits, memory = self._known[tokens[:n]]
        return logits

    def _best(self, logits: Any, state: int) -> Iterable[Guess]:
        ids = np.arange(len(logits)) if self._ids is None else self._ids
        logits = np.where(allowed(self.constraint, state, int(ids.max()) + 1)[ids], logits, -np.inf)
        if not logits.max() > -np.inf:
            return
        law = np.exp(logits - logits.max())
        law /= law.sum()
        for rank, i in enumerate(np.argsort(-law, kind="stable")[: self._most]):
            if law[i] > 0 and law[i] >= self._confidence:
                p = float(law[i])
                yield Guess((int(ids[i]),), 11 * min(rank, GRADES - 1) + int(10 * p), p)


def trimmed_vocabulary(outputs: Iterable[Sequence[int]], size: int, vocab: Vocabulary, stops: Iterable[int] = ()) -> list[int]:
    """The tokens that a small head is to have, ascending: the ``size`` most frequent in ``outputs`` (token ids that the target
    generated), and whatever these have not that structure is made of: single bytes, tokens of nothing but punctuation and whitespace,
    the ``stops`` and the vocabulary's own ends. Without them a constraint would leave the head nothing to say.
    """
    counts = Counter(int(token) for output in outputs for token in output)
    frequent = sorted(counts, key=lambda token: (-counts[token], token))[:size]
    texts = ((token, vocab.token_bytes(token)) for token in range(len(vocab)))
    structural = {token for token, text in texts if len(text) == 1 or (text and STRUCTURAL.issuperset(text))}
    return sorted({*frequent, *structural, *stops, *vocab.eos_token_ids})
