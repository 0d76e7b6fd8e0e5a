"""Hidden Markov models of token sequences.

In the papers' symbols: z_1, z_2, ... are hidden states, pi(z) the first one's distribution, A(z, z') that of the next, B(z, x) that of
the token x which z emits. A text ends at the first end symbol ``eos``, which is a token of the model as any other; what comes after it
does not matter. So the model is a `LanguageModel`: P(w, end) sums to at most 1 over texts.

Probabilities are scaled to sum to 1 at every position (Rabiner 1989, section V.A), so texts may be long. A pass over n tokens in all
costs O(n H^2) for H states.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from structgen.errors import StructgenError
from structgen.sampling.language_model import Tokens
from structgen.sampling.logspace import LogWeights

__all__ = ["HiddenMarkov", "padded"]

TOLERANCE = 1e-3  # by which the rows of a table may miss 1; float32 sums of 100,000 numbers do


class HiddenMarkov:
    """``initial`` [H], ``transition`` [H, H], ``emission`` [H, V]: floating-point tensors of one dtype and device, rows sum to 1.
    ``eos``: the token that ends a text.

    >>> coin = HiddenMarkov(torch.ones(1), torch.ones(1, 1), torch.tensor([[0.25, 0.25, 0.5]]), eos=2)
    >>> [round(p, 9) for p in coin.log_likelihood([(), (0,), (0, 2)]).exp().tolist()]
    [1.0, 0.25, 0.125]
    """

    def __init__(self, initial: Tensor, transition: Tensor, emission: Tensor, eos: int) -> None:
        n_states, size = emission.shape if emission.ndim == 2 else (0, 0)
        if not size or initial.shape != (n_states,) or transition.shape != (n_states, n_states):
            shapes = [list(table.shape) for table in (initial, transition, emission)]
            raise StructgenError(f"initial, transition and emission must be [H], [H, H] and [H, V], found {shapes}")
        if isinstance(eos, bool) or not isinstance(eos, int) or not 0 <= eos < size:
            raise StructgenError(f"eos must be one of the {size} tokens, found {eos!r:.80}")
        if len({(table.dtype, table.device) for table in (initial, transition, emission)}) > 1:
            raise StructgenError("initial, transition and emission must have one dtype and be on one device")
        for name, table in (("initial", initial), ("transition", transition), ("emission", emission)):
            if not table.is_floating_point() or not bool((table >= 0).all() & ((table.sum(-1) - 1).abs() < TOLERANCE).all()):
                raise StructgenError(f"the rows of {name} must be probabilities that sum to 1")
        self.initial, self.transition, self.eos = initial, transition, eos
        self.by_token = emission.T.contiguous()
        """[V, H]: the emission, stored so that the row of a token lies together."""

    @property
    def emission(self) -> Tensor:
        """[H, V]."""
        return self.by_token.T

    @property
    def n_states(self) -> int:
        return len(self.initial)

    @property
    def size(self) -> int:
        """Tokens are 0 ... size - 1."""
        return len(self.by_token)

    # -- inference --------------------------------------------------------------------------------------------------------------

    def log_likelihood(self, sequences: Sequence[Tokens]) -> Tensor:
        """float64 [N]: log P(a text begins with these tokens); that of the whole text for a sequence that ends with ``eos``."""
        total = torch.zeros(len(sequences), dtype=torch.float64)
        order, tokens, active = padded(sequences, self)
        for _, scales in self.filtered(tokens, active):
            total[order[: len(scales)]] += scales.double().log().cpu()
        return total

    def beliefs(self, prefixes: Sequence[Tokens]) -> Tensor:
        """[N, H]: the distribution of the hidden state that emits the token after each prefix; 0 after a prefix that is impossible."""
        found = self.initial.expand(len(prefixes), -1).clone()
        order, tokens, active = padded(prefixes, self)
        for posterior, _ in self.filtered(tokens, active):
            found[order[: len(posterior)]] = posterior @ self.transition
        return found

    def log_probs(self, prefixes: Sequence[Tokens]) -> LogWeights:
        """As a `LanguageModel`: [N, V], log P(token | prefix). Raises if a prefix is impossible."""
        probabilities = (self.beliefs(prefixes) @ self.emission).double()
        total = probabilities.sum(1, keepdim=True)
        if not bool((total > 0).all()):
            raise StructgenError("the hidden Markov model gives a prefix no probability, so nothing can follow it")
        found: LogWeights = (probabilities / total).log().cpu().numpy()
        return found

    def filtered(self, tokens: Tensor, active: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """At each position of a `padded` batch, of the sequences that are as long: P(hidden state | tokens up to this one) [n, H] and
        P(this token | those before) [n]."""
        belief = self.initial.expand(len(tokens), -1)
        for column, n in zip(tokens.T, active, strict=True):
            joint = belief[:n] * self.by_token[column[:n]]
            scales = joint.sum(1)
            posterior = joint / scales.clamp_min(torch.finfo(joint.dtype).tiny).unsqueeze(1)
            yield posterior, scales
            belief = posterior @ self.transition

    def smoothed(self, share: float) -> HiddenMarkov:
        """With this share of every distribution spread evenly, so that no token and no transition is impossible."""
        if not 0 <= share <= 1:
            raise StructgenError(f"a share is from 0 to 1, found {share}")
        return self.mapped(lambda table: (1 - share) * table + share / table.shape[-1])

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> HiddenMarkov:
        """On another device, or of another dtype."""
        return self.mapped(lambda table: table.to(device=device, dtype=dtype))

    def mapped(self, function: Callable[[Tensor], Tensor]) -> HiddenMarkov:
        """With a function of each table in its place."""
        return HiddenMarkov(function(self.initial), function(self.transition), function(self.emission), self.eos)

    # -- making and keeping -----------------------------------------------------------------------------------------------------

    @staticmethod
    def fit(
        sequences: Sequence[Tokens],
        n_states: int,
        *,
        size: int,
        eos: int,
        iterations: int = 50,
        smoothing: float = 0.1,
        seed: int = 0,
        tolerance: float = 1e-5,
        dtype: torch.dtype = torch.float64,
        device: Any = "cpu",
        report: Callable[[int, float], None] | None = None,
    ) -> HiddenMarkov:
        """By expectation maximisation from a random start; the same for the same seed and machine.

        ``sequences``: token ids, with ``eos`` at the end where the text ends there, without it where it was cut. ``smoothing``: counts
        added to every distribution in all, evenly; with 0, what was never seen becomes impossible. Stops after so many
        ``iterations``, or when one gains less than ``tolerance`` per token. ``report(iteration, objective)`` is told, before each
        update, the log-likelihood per token (with the logarithm of the smoothing's prior), which never falls.
        """
        from structgen.sampling.hmm.training import maximise, random_start

        start = random_start(sequences, n_states, size, eos, smoothing, seed).to(device, dtype)
        return maximise(start, sequences, iterations, smoothing, tolerance, report or (lambda iteration, objective: None))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file."""
        from safetensors.torch import save_file

        tables = {"initial": self.initial, "transition": self.transition, "emission": self.emission}
        metadata = {"structgen": json.dumps({"kind": "hidden Markov model", "eos": self.eos})}
        save_file({name: table.contiguous() for name, table in tables.items()}, path, metadata)

    @staticmethod
    def load(path: str | os.PathLike[str], device: str = "cpu") -> HiddenMarkov:
        """Read what `save` wrote."""
        from safetensors import safe_open

        try:
            with safe_open(path, framework="pt", device=device) as file:
                eos = json.loads((file.metadata() or {})["structgen"])["eos"]
                initial, transition, emission = map(file.get_tensor, ("initial", "transition", "emission"))
        except OSError:
            raise
        except Exception as error:  # safetensors has an exception of its own for each kind of damage
            raise StructgenError(f"{os.fspath(path)} holds no hidden Markov model: {error!r:.200}") from None
        return HiddenMarkov(initial, transition, emission, eos)


def padded(sequences: Sequence[Tokens], model: HiddenMarkov) -> tuple[Tensor, Tensor, list[int]]:
    """The sequences as a tensor [N, longest], longest first: their order, the tokens, and how many are longer than each position."""
    lengths = torch.tensor([len(sequence) for sequence in sequences], dtype=torch.int64)
    order = torch.argsort(lengths, descending=True, stable=True)
    width = int(lengths.max()) if len(lengths) else 0
    tokens = torch.zeros(len(sequences), width, dtype=torch.int64)
    for row, i in enumerate(order.tolist()):
        tokens[row, : lengths[i]] = torch.tensor(sequences[i], dtype=torch.int64)
    if tokens.numel() and not bool(((tokens >= 0) & (tokens < model.size)).all()):
        raise StructgenError(f"the sequences have tokens outside 0 ... {model.size - 1}")
    active = [int((lengths > t).sum()) for t in range(width)]
    return order, tokens.to(model.initial.device), active
