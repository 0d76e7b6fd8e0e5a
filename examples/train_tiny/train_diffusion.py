"""Train the embedded masked diffusion model on CPU: the answer's tokens are hidden at random and filled in from all around.

As LLaDA (arXiv 2502.09992): a share t of the canvas, uniform in (0, 1], is masked, and the loss is the cross-entropy of what is masked.
The canvas is the answer and some end-of-sequence tokens behind it. Half of the examples are as block by block decoding meets them:
all before a block is open, all behind it masked. Attention sees everything. The weights begin as those of the causal model (DiffuLLaMA,
arXiv 2410.17891), which learns far faster than from scratch; `--start` goes on from a checkpoint instead.

    python -m examples.train_tiny.train_diffusion build/tiny/data.npz build/tiny/diffusion --minutes 60
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoTokenizer

from structgen.models.tiny_diffusion_model import Shape, TinyDiffusion
from structgen.models.tiny_prompt import TINY_MODEL_PATH

from .dataset import Tokens
from .loop import main, width_of

BLOCK = 32
SPARE = 24  # end-of-sequence tokens behind an answer, at most, beyond what the longest of a batch leaves
MASK_TOKEN = "<|mask|>"


class Masked:
    """The masked tokens of a canvas, given the prompt and the rest of the canvas."""

    def new_model(self, options: dict[str, Any]) -> TinyDiffusion:
        """The weights of the causal model, or those of a checkpoint."""
        tokenizer = AutoTokenizer.from_pretrained(TINY_MODEL_PATH)
        self.end_token, self.mask_token = tokenizer.eos_token_id, len(tokenizer)
        return TinyDiffusion.load(options["start"]) if options["start"] else from_causal(TINY_MODEL_PATH, self.mask_token)

    def batch(self, data: Tokens, group: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(ids, labels) [examples, width]: ids with masks, labels -100 where nothing is masked."""
        width = width_of(data, group) + 8 * int(rng.integers(0, SPARE // 8 + 1))
        ids = np.full((len(group), width), self.end_token, dtype=np.int64)
        hidden = np.zeros((len(group), width), dtype=bool)
        for row, i in enumerate(group):
            start, answer, end = data.starts[i], data.answers[i], data.starts[i + 1]
            ids[row, : end - start] = data.tokens[start:end]
            hidden[row, answer - start :] = masks(width - int(answer - start), rng)
        labels = np.where(hidden, ids, -100)
        return torch.from_numpy(np.where(hidden, self.mask_token, ids)), torch.from_numpy(labels)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Mean cross-entropy of the masked tokens, the only positions where the head is applied."""
        ids, labels = batch
        wanted = labels != -100
        hidden = model.hidden(ids)[wanted]  # type: ignore[operator]
        return nn.functional.cross_entropy(model.head(hidden).float(), labels[wanted])  # type: ignore[operator]

    def save(self, model: Any, masters: list[Tensor], folder: Path) -> None:
        """The model as it ships: float16 weights, shape and tokenizer."""
        names = [name for name, _ in model.named_parameters()]
        save_file({name: master.detach().half() for name, master in zip(names, masters, strict=True)}, folder / "model.safetensors")
        (folder / "shape.json").write_text(json.dumps(asdict(model.shape), indent=2) + "\n")
        tokenizer = AutoTokenizer.from_pretrained(TINY_MODEL_PATH)
        tokenizer.add_special_tokens({"mask_token": MASK_TOKEN})
        tokenizer.save_pretrained(folder)


def from_causal(folder: Path, mask_token: int) -> TinyDiffusion:
    """The weights of a causal model of the same shape; the mask token, one more, begins as the mean of all."""
    weights = {
        name.removeprefix("model.").replace("self_attn.", "").replace("mlp.", ""): weight.float()
        for name, weight in load_file(folder / "model.safetensors").items()
    }
    embeddings = weights["embed_tokens.weight"]
    weights["embed_tokens.weight"] = torch.cat([embeddings, embeddings.mean(0, keepdim=True)])
    model = TinyDiffusion(Shape(mask_token + 1, mask_token))
    model.load_state_dict(weights)
    return model


def masks(n: int, rng: np.random.Generator) -> np.ndarray:
    """Which of n positions are hidden: any at random, or all behind a block and some of the block. At least one."""
    share = 1 - rng.random()
    found = rng.random(n) < share
    if rng.random() < 0.5:
        start = int(rng.integers(0, -(-n // BLOCK))) * BLOCK
        found[:start] = False
        found[start + BLOCK :] = True
    found[rng.integers(0, n) if not found.any() else np.flatnonzero(found)[0]] = True
    return found


if __name__ == "__main__":
    main(Masked(), __doc__)
