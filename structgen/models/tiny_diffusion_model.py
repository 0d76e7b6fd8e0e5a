"""The embedded masked diffusion model: a small Llama without the causal mask, which fills in masked tokens of a text.

It is trained like LLaDA (arXiv 2502.09992): row i of its logits is about the token at position i, and end-of-sequence fills what a
text does not need. `partial` computes some positions only, from cached keys and values of the others, which is what cache policies
(`structgen.diffusion.caches`) are made of. Weights and tokenizer lie in `TINY_DIFFUSION_PATH`; see examples/train_tiny.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["TINY_DIFFUSION_PATH", "Cache", "Shape", "TinyDiffusion"]

TINY_DIFFUSION_PATH = Path(__file__).parent / "tiny_diffusion"


@dataclass(frozen=True)
class Shape:
    """``width`` of the hidden states, in ``layers`` layers with heads of ``head`` numbers each."""

    vocabulary: int
    mask_token_id: int
    width: int = 192
    layers: int = 5
    head: int = 32
    inner: int = 480
    theta: float = 10_000.0
    eps: float = 1e-5


@dataclass
class Cache:
    """Keys and values of all positions as they were last computed, by layer: [B, heads, L, head] each."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)


class TinyDiffusion(nn.Module):
    """Random weights of a `Shape`; see `load` for those that ship."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.mask_token_id = shape.mask_token_id
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.eps)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)

    @staticmethod
    def load(folder: Path = TINY_DIFFUSION_PATH) -> TinyDiffusion:
        """The model of a folder, in float32."""
        from safetensors.torch import load_file

        shape = Shape(**json.loads((folder / "shape.json").read_text()))
        model = TinyDiffusion(shape)
        model.load_state_dict({name: weight.float() for name, weight in load_file(folder / "model.safetensors").items()})
        return model.eval()

    @property
    def device(self) -> torch.device:
        return self.embed_tokens.weight.device

    def hidden(self, ids: Tensor, columns: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """[B, L or k, width]: the last hidden states of ``ids`` [B, L], or of its ``columns`` [k] with a filled ``cache``."""
        positions = torch.arange(ids.shape[1], device=ids.device) if columns is None else columns
        x = self.embed_tokens(ids[:, positions])
        turn = _rotations(positions, self.shape)
        for number, layer in enumerate(self.layers):
            x = layer(x, turn, positions, number, cache)
        return self.norm(x)  # type: ignore[no-any-return]

    def head(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embed_tokens.weight)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.hidden(ids))

    @torch.no_grad()
    def logits(self, ids: Tensor) -> Tensor:
        """float32 [B, L, V] for int64 [B, L]: row i is about the token at position i."""
        return self(ids).float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def partial(self, ids: Tensor, columns: Tensor, cache: Cache) -> Tensor:
        """float32 [B, k, V]: the rows of some positions, ``columns`` int64 [k], whose keys and values are computed anew and kept in
        ``cache``; those of all others are taken from there as they are. An empty cache wants all positions."""
        return self.head(self.hidden(ids, columns, cache)).float()


class _Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head = shape.head
        self.input_layernorm = nn.RMSNorm(shape.width, shape.eps)
        self.post_attention_layernorm = nn.RMSNorm(shape.width, shape.eps)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(shape.width, shape.width, bias=False) for _ in range(4))
        self.gate_proj, self.up_proj = (nn.Linear(shape.width, shape.inner, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], positions: Tensor, number: int, cache: Cache | None) -> Tensor:
        y = self.input_layernorm(x)
        q, k, v = (linear(y).unflatten(-1, (-1, self.head)).transpose(1, 2) for linear in (self.q_proj, self.k_proj, self.v_proj))
        q, k = _rotated(q, turn), _rotated(k, turn)
        if cache is not None:
            k, v = _kept(cache, number, positions, k, v)
        attended = F.scaled_dot_product_attention(q, k, v)
        x = x + self.o_proj(attended.transpose(1, 2).flatten(-2))
        y = self.post_attention_layernorm(x)
        return x + self.down_proj(F.silu(self.gate_proj(y)) * self.up_proj(y))  # type: ignore[no-any-return]


def _kept(cache: Cache, number: int, positions: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """All keys and values of a layer, those of ``positions`` replaced."""
    if number == len(cache.keys):
        cache.keys.append(k.clone())
        cache.values.append(v.clone())
    else:
        cache.keys[number][:, :, positions] = k
        cache.values[number][:, :, positions] = v
    return cache.keys[number], cache.values[number]


def _rotations(positions: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines [k, head] of rotary position embeddings (RoFormer, arXiv 2104.09864)."""
    exponents = torch.arange(0, shape.head, 2, device=positions.device) / shape.head
    angles = positions[:, None] * shape.theta**-exponents
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def _rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = (part.to(x.dtype) for part in turn)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
