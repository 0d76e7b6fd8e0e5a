"""Train the embedded model from scratch on CPU: Llama architecture, loss on the JSON only.

python -m examples.train_tiny.train build/tiny/data.npz build/tiny/run --minutes 60
python -m examples.train_tiny.train build/tiny/data.npz build/tiny/draft --minutes 10 --width 64 --layers 2
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

from structgen.models.tiny_prompt import TINY_MODEL_PATH

from .dataset import Tokens
from .loop import main, width_of


def config(width: int, layers: int, vocabulary: int) -> LlamaConfig:
    tokenizer = AutoTokenizer.from_pretrained(TINY_MODEL_PATH)
    return LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, intermediate_size=width * 5 // 2,
        num_attention_heads=width // 32, max_position_embeddings=1024, rope_theta=10_000.0, tie_word_embeddings=True, rms_norm_eps=1e-5,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        attn_implementation="eager",
    )  # fmt: skip


class Causal:
    """The next token of the answer, given the prompt and what comes before."""

    def new_model(self, options: dict[str, Any]) -> LlamaForCausalLM:
        """Fresh weights, or those of a checkpoint."""
        if options["start"]:
            return LlamaForCausalLM.from_pretrained(options["start"], dtype=torch.float32, attn_implementation="eager")
        return LlamaForCausalLM(config(options["width"], options["layers"], len(AutoTokenizer.from_pretrained(TINY_MODEL_PATH))))

    def batch(self, data: Tokens, group: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(ids, labels), padded on the right; labels are -100 outside the answer."""
        width = width_of(data, group)
        ids = np.zeros((len(group), width), dtype=np.int64)
        labels = np.full((len(group), width), -100, dtype=np.int64)
        for row, i in enumerate(group):
            start, answer, end = data.starts[i], data.answers[i], data.starts[i + 1]
            ids[row, : end - start] = data.tokens[start:end]
            labels[row, answer - start - 1 : end - start - 1] = data.tokens[answer:end]
        return torch.from_numpy(ids), torch.from_numpy(labels)

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Mean cross-entropy of the answers, the only positions where the head is applied. Right padding needs no mask in causal
        attention."""
        ids, labels = batch
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state  # type: ignore[operator,union-attr]
        wanted = labels != -100
        return nn.functional.cross_entropy(model.lm_head(hidden[wanted]).float(), labels[wanted])  # type: ignore[operator]

    def save(self, model: Any, masters: list[Tensor], folder: Path) -> None:
        """The model as it ships: float16 weights and configuration, to stand beside the tokenizer."""
        half = LlamaForCausalLM(model.config).half()
        for p, master in zip(half.parameters(), masters, strict=True):
            p.data.copy_(master)
        half.config.dtype = torch.float16
        special = {name: getattr(half.config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        half.generation_config = GenerationConfig(**special, max_new_tokens=512, do_sample=False)
        half.save_pretrained(folder)


if __name__ == "__main__":
    main(Causal(), __doc__)
