"""Small heads for `Heads`, each the plainest form of its kind, and how to train them on texts that the target wrote.

They show what the interface carries, and are enough for small models. For checkpoints of others write a class with the same `step`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from structgen.errors import StructgenError

__all__ = ["EagleHead", "HydraHead", "MedusaHead", "train_head"]

Hidden = Mapping[int, Tensor]
Step = tuple[Tensor | None, Any]


class MedusaHead(nn.Module):
    """Head k says from the state that chose a token which is the (k + 1)-th behind it: a residual block and an output layer of its own.

    ``output``: the rows of the target's output layer [V', d] to begin with (those of a trimmed vocabulary).
    """

    layers = (-1,)

    def __init__(self, output: Tensor, n_heads: int = 4) -> None:
        super().__init__()
        if n_heads < 1:
            raise StructgenError(f"a head has at least 1 part, found {n_heads}")
        self.n_heads = n_heads
        self.blocks = nn.ModuleList(_zeroed(nn.Linear(output.shape[1], output.shape[1], dtype=output.dtype)) for _ in range(n_heads))
        self.outputs = nn.ParameterList(nn.Parameter(output.detach().clone()) for _ in range(n_heads))

    def step(self, memory: Any, tokens: Tensor, hidden: Hidden | None) -> Step:
        state, k = (hidden[-1][-1], 0) if hidden is not None else (memory[0], memory[1] + 1)
        return (self.logits(state, k) if k < self.n_heads else None), (state, k)

    def logits(self, states: Tensor, k: int) -> Any:
        return (states + F.silu(self.blocks[k](states))) @ self.outputs[k].T

    def loss(self, tokens: Tensor, hidden: Hidden, index: Tensor) -> Tensor:
        """Cross-entropy over a text: ``tokens`` [n], ``hidden`` [n, d] at them; ``index`` [V]: of tokens in the head's vocabulary."""
        parts = [_cross_entropy(self.logits(hidden[-1][: -2 - k], k), index[tokens[2 + k :]]) for k in range(self.n_heads)]
        return torch.stack(parts).mean()


class HydraHead(MedusaHead):
    """As Medusa, but head k also sees the embeddings of the k + 1 tokens since: ``embeddings`` [V, d] are the target's."""

    def __init__(self, output: Tensor, embeddings: Tensor, n_heads: int = 4) -> None:
        super().__init__(output, n_heads)
        width = output.shape[1]
        self.embeddings = embeddings.detach()
        self.blocks = nn.ModuleList(_zeroed(nn.Linear(width * (k + 2), width, dtype=output.dtype)) for k in range(n_heads))

    def step(self, memory: Any, tokens: Tensor, hidden: Hidden | None) -> Step:
        state, seen = (hidden[-1][-1], self.embeddings[tokens[-1]]) if hidden is not None else memory
        if hidden is None:
            seen = torch.cat([seen, self.embeddings[tokens[-1]]])
        k = len(seen) // len(state) - 1
        return (self.logits(torch.cat([state, seen]), k) if k < self.n_heads else None), (state, seen)

    def logits(self, states: Tensor, k: int) -> Any:
        state = states[..., : self.embeddings.shape[1]]
        return (state + F.silu(self.blocks[k](states))) @ self.outputs[k].T

    def loss(self, tokens: Tensor, hidden: Hidden, index: Tensor) -> Tensor:
        parts = []
        for k in range(self.n_heads):
            n = max(0, len(tokens) - 2 - k)
            seen = [self.embeddings[tokens[1 + i : 1 + i + n]] for i in range(k + 1)]
            parts.append(_cross_entropy(self.logits(torch.cat([hidden[-1][:n], *seen], -1), k), index[tokens[2 + k :]]))
        return torch.stack(parts).mean()


class EagleHead(nn.Module):
    """One layer that goes on by itself: from the feature that chose a token and the token's embedding to the next feature, which the output
    layer reads. Several ``layers`` are first made one feature (EAGLE-3). Its attention sees all of the text and has no positions.
    """

    def __init__(self, output: Tensor, embeddings: Tensor, layers: Sequence[int] = (-1,), n_attention_heads: int = 2) -> None:
        super().__init__()
        width = output.shape[1]
        linear = partial(nn.Linear, bias=False, dtype=output.dtype)
        if width % n_attention_heads:
            raise StructgenError(f"{n_attention_heads} attention heads do not divide a width of {width}")
        self.layers, self._n_heads = tuple(layers), n_attention_heads
        self.output, self.embeddings = output.detach(), embeddings.detach()
        self.fuse = linear(len(self.layers) * width, width) if len(self.layers) > 1 else nn.Identity()
        self.join = linear(2 * width, width)
        self.attention = linear(width, 3 * width)
        self.mix = linear(width, width)
        self.widen, self.narrow = linear(width, 2 * width), linear(2 * width, width)

    def step(self, memory: Any, tokens: Tensor, hidden: Hidden | None) -> Step:
        past, feature = memory or (None, None)
        features, past = self._layer(tokens, self._fused(hidden) if hidden is not None else feature, past)
        return features[-1] @ self.output.T, (past, features[-1:])

    def loss(self, tokens: Tensor, hidden: Hidden, index: Tensor) -> Tensor:
        """Cross-entropy of the token after next, and how far its feature is off where the target's own is the feature."""
        features, _ = self._layer(tokens[1:-1], self._fused({layer: states[:-2] for layer, states in hidden.items()}), None)
        loss = _cross_entropy(features @ self.output.T, index[tokens[2:]])
        return loss + F.smooth_l1_loss(features, hidden[-1][1:-1]) if self.layers == (-1,) else loss

    def _fused(self, hidden: Hidden) -> Tensor:
        return self.fuse(torch.cat([hidden[layer] for layer in self.layers], -1))  # type: ignore[no-any-return]

    def _layer(self, tokens: Tensor, features: Any, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Features [n, d] behind n tokens, and keys and values [heads, all, d / heads] of all so far."""
        x = self.join(torch.cat([self.embeddings[tokens], features], -1))
        parts = self.attention(F.rms_norm(x, x.shape[-1:])).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self._n_heads, -1)).transpose(0, 1) for part in parts)
        if past is not None:
            k, v = torch.cat([past[0], k], 1), torch.cat([past[1], v], 1)
        mask = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool, device=x.device).tril(k.shape[1] - q.shape[1])
        attended = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask)[0].transpose(0, 1).flatten(1)
        x = x + self.mix(attended)
        return x + self.narrow(F.silu(self.widen(F.rms_norm(x, x.shape[-1:])))), (k, v)


def train_head(
    head: Any, model: Any, texts: Sequence[Sequence[int]], steps: int = 200, rate: float = 3e-3, target_ids: Sequence[int] | None = None
) -> float:
    """Train a head that has a ``loss`` on texts (at least 3 token ids each, best written by the target ``model``); the last loss.

    Each step is one text; the target's states at it are computed once and kept. ``target_ids`` as for `Heads`.
    """
    size = model.get_output_embeddings().weight.shape[0]
    ids = torch.arange(size) if target_ids is None else torch.as_tensor(target_ids)
    index = torch.full((size,), -100).scatter(0, ids, torch.arange(len(ids))).to(model.device)
    data = [(tokens, _states(model, tokens, head.layers)) for tokens in (torch.tensor(text, device=model.device) for text in texts)]
    optimizer = torch.optim.Adam(head.parameters(), rate)
    loss = torch.zeros(())
    for step in range(steps):
        tokens, hidden = data[step % len(data)]
        loss = head.loss(tokens, hidden, index)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    head.requires_grad_(False)
    return loss.item()


def _states(model: Any, tokens: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
    with torch.no_grad():
        states = model(input_ids=tokens[None], output_hidden_states=True, use_cache=False).hidden_states
    return {layer: states[layer][0] for layer in layers}


def _cross_entropy(logits: Tensor, tokens: Tensor) -> Tensor:
    """Tokens that the head does not have (-100) are left out."""
    return F.cross_entropy(logits, tokens) if (tokens >= 0).any() else logits.sum() * 0


def _zeroed(linear: nn.Linear) -> nn.Linear:
    """The block is the identity at first."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
