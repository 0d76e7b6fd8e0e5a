"""Hidden Markov models from data: expectation maximisation (Baum and Welch; Rabiner 1989, section III.C), and distillation.

One iteration over sequences of n tokens in all costs O(n H^2). With smoothing this maximises the posterior under a Dirichlet prior,
so it is that which never falls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose, Seeded
from structgen.sampling.hmm.model import HiddenMarkov, padded
from structgen.sampling.language_model import LanguageModel, Tokens

__all__ = ["distil", "draw", "maximise", "random_start"]

MAX_NUMBERS = 1 << 25
"""Numbers of one kind held for a batch of sequences, which decides how large it is."""


def random_start(sequences: Sequence[Tokens], n_states: int, size: int, eos: int, smoothing: float, seed: int) -> HiddenMarkov:
    """Random tables; the tokens about as frequent as in the data."""
    if n_states < 1 or not smoothing >= 0 or not any(map(len, sequences)):
        raise StructgenError(
            f"needs n_states >= 1, smoothing >= 0 and some tokens; found {n_states}, {smoothing} and {len(sequences)} sequences"
        )
    flat = np.concatenate([np.asarray(sequence, np.int64) for sequence in sequences])
    if flat.min() < 0 or flat.max() >= size:
        raise StructgenError(f"the sequences have tokens outside 0 ... {size - 1}")
    frequency = torch.from_numpy(np.bincount(flat, minlength=size) + smoothing / size)
    generator = torch.Generator().manual_seed(seed)

    def table(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.float64).exponential_(generator=generator)

    initial, transition, emission = table(n_states), table(n_states, n_states), table(n_states, size) * frequency
    return HiddenMarkov(_normalised(initial), _normalised(transition), _normalised(emission), eos)


def maximise(
    model: HiddenMarkov,
    sequences: Sequence[Tokens],
    iterations: int,
    smoothing: float,
    tolerance: float,
    report: Callable[[int, float], None],
) -> HiddenMarkov:
    """The model after so many iterations of EM, or when the objective per token gains less than the tolerance."""
    batches = [padded(batch, model)[1:] for batch in _batches(sequences, model.n_states)]
    n_tokens, before = sum(map(len, sequences)), -float("inf")
    for iteration in range(iterations):
        counts = _Counts(model)
        log_likelihood = sum(counts.add(model, *batch) for batch in batches)
        objective = (log_likelihood + _log_prior(model, smoothing)) / n_tokens
        report(iteration, objective)
        if objective - before < tolerance:
            return model
        model, before = counts.model(smoothing), objective
    return model


class _Counts:
    """Expected numbers of first states, of transitions (before they are multiplied with A) and of emissions."""

    def __init__(self, model: HiddenMarkov) -> None:
        self.of = model
        self.initial, self.transition, self.by_token = map(torch.zeros_like, (model.initial, model.transition, model.by_token))

    def add(self, model: HiddenMarkov, tokens: Tensor, active: list[int]) -> float:
        """Count a batch; its log-likelihood."""
        steps = list(model.filtered(tokens, active))
        beta = torch.ones_like(self.initial).expand(len(tokens), -1).clone()  # P(tokens after t | state at t) / that given those up to t
        for t in reversed(range(len(active))):
            n, (posterior, scales), column = active[t], steps[t], tokens[:, t]
            gamma = posterior * beta[:n]
            self.by_token.index_add_(0, column[:n], gamma)
            if t == 0:
                self.initial += gamma.sum(0)
                break
            onward = model.by_token[column[:n]] * beta[:n] / scales.clamp_min(torch.finfo(scales.dtype).tiny).unsqueeze(1)
            self.transition += steps[t - 1][0][:n].T @ onward
            beta[:n] = onward @ model.transition.T
        return sum(float(scales.double().log().sum()) for _, scales in steps)

    def model(self, smoothing: float) -> HiddenMarkov:
        tables = self.initial, self.transition * self.of.transition, self.by_token.T
        initial, transition, emission = (_normalised(table, smoothing) for table in tables)
        return HiddenMarkov(initial, transition, emission, self.of.eos)


def _normalised(table: Tensor, smoothing: float = 0.0) -> Tensor:
    """Rows that sum to 1, after so much was spread over each; even where there is nothing."""
    table = table + smoothing / table.shape[-1]
    total = table.sum(-1, keepdim=True)
    return torch.where(total > 0, table / total.clamp_min(torch.finfo(table.dtype).tiny), 1 / table.shape[-1])


def _log_prior(model: HiddenMarkov, smoothing: float) -> float:
    if smoothing == 0:
        return 0.0
    return sum(smoothing * float(table.double().log().mean(-1).sum()) for table in (model.initial, model.transition, model.emission))


def _batches(sequences: Sequence[Tokens], n_states: int) -> list[list[Tokens]]:
    """Sequences of similar lengths together, as many as fit."""
    ordered, batches = sorted((sequence for sequence in sequences if sequence), key=len, reverse=True), []
    while ordered:
        n = max(1, MAX_NUMBERS // (len(ordered[0]) * n_states))
        batches.append(ordered[:n])
        ordered = ordered[n:]
    return batches


def draw(model: LanguageModel, n: int, max_tokens: int, choose: Choose, *, batch: int = 64) -> list[Tokens]:
    """``n`` texts of a language model alone: tokens with the end symbol, without it where they were cut after ``max_tokens``."""
    found: list[Tokens] = []
    while len(found) < n:
        texts: list[Tokens] = [()] * min(batch, n - len(found))
        for _ in range(max_tokens):
            unfinished = [i for i, text in enumerate(texts) if text[-1:] != (model.eos,)]
            if not unfinished:
                break
            for i, row in zip(unfinished, model.log_probs([texts[i] for i in unfinished]), strict=True):
                texts[i] = (*texts[i], choose(row))
        found += texts
    return found


def distil(
    models: LanguageModel | Sequence[LanguageModel],
    n_states: int,
    *,
    n: int = 1000,
    max_tokens: int = 64,
    seed: int = 0,
    **options: Any,
) -> HiddenMarkov:
    """A hidden Markov model of what a language model says: fitted to ``n`` of its own texts, cut after ``max_tokens`` tokens.

    ``models``: one `LanguageModel`, or one for each of several prompts, which share the draws; see `HiddenMarkov.fit` for the ``options``.
    """
    many = list(models) if isinstance(models, Sequence) else [models]
    if not many or len({(model.size, model.eos) for model in many}) > 1:
        raise StructgenError("distil needs one language model or several with the same tokens and end symbol")
    choose = Seeded(seed)
    shares = [n // len(many) + (i < n % len(many)) for i in range(len(many))]
    texts = [text for model, share in zip(many, shares, strict=True) for text in draw(model, share, max_tokens, choose)]
    return HiddenMarkov.fit(texts, n_states, size=many[0].size, eos=many[0].eos, seed=seed, **options)
