"""The embedded diffusion model: its files, its layers against those of transformers, and the positions that it computes alone."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from structgen.models.tiny_diffusion_model import TINY_DIFFUSION_PATH, Cache, Shape, TinyDiffusion
from structgen.models.tiny_prompt import TINY_MODEL_PATH, prompt

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXT = "Ada Lovelace, born 10 December 1815 in London, was a mathematician and writer. She wrote Notes on the Analytical Engine."
ANSWER = (
    '{"name": "Ada Lovelace", "birth": {"date": "1815-12-10", "city": "London", "country": null}, "century": 19, "gender": "unknown",'
    ' "field": "science", "occupations": ["mathematician", "writer"], "works": ["Notes on the Analytical Engine"]}'
)
SHAPE = Shape(vocabulary=50, mask_token_id=49, width=64, layers=2, head=16, inner=96)


@cache
def toy() -> TinyDiffusion:
    torch.manual_seed(0)
    model = TinyDiffusion(SHAPE)
    for weight in model.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.3)
    return model.double().eval()


@cache
def embedded() -> tuple[TinyDiffusion, Any]:
    return TinyDiffusion.load(), AutoTokenizer.from_pretrained(TINY_DIFFUSION_PATH)


def some_ids(n: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, SHAPE.vocabulary, (1, n), generator=torch.Generator().manual_seed(seed))


def test_layers_are_those_of_llama_without_the_causal_mask() -> None:
    model = toy()
    config = LlamaConfig(
        vocab_size=SHAPE.vocabulary, hidden_size=SHAPE.width, num_hidden_layers=SHAPE.layers, intermediate_size=SHAPE.inner,
        num_attention_heads=SHAPE.width // SHAPE.head, rope_theta=SHAPE.theta, tie_word_embeddings=True, rms_norm_eps=SHAPE.eps,
        attn_implementation="eager",
    )  # fmt: skip
    llama = LlamaForCausalLM(config).double().eval()
    named = {}
    for name, weight in model.state_dict().items():
        part = name.replace(".q_", ".self_attn.q_").replace(".k_", ".self_attn.k_").replace(".v_", ".self_attn.v_")
        part = (
            part.replace(".o_proj", ".self_attn.o_proj")
            .replace(".gate", ".mlp.gate")
            .replace(".up", ".mlp.up")
            .replace(".down", ".mlp.down")
        )
        named[f"model.{part}"] = weight
    llama.load_state_dict({**named, "lm_head.weight": model.embed_tokens.weight})
    ids = some_ids(23)
    with torch.no_grad():
        expected = llama(input_ids=ids, attention_mask=torch.zeros(1, 1, 23, 23, dtype=torch.float64)).logits
        assert torch.allclose(model(ids), expected, atol=1e-4)  # transformers normalises in float32


def test_some_positions_alone_equal_all_when_nothing_else_changed() -> None:
    model, ids, kept = toy(), some_ids(20), Cache()
    everything = torch.arange(20)
    assert torch.equal(model.partial(ids, everything, kept), model.logits(ids))
    columns = torch.tensor([3, 7, 19])
    assert torch.allclose(model.partial(ids, columns, kept), model.logits(ids)[:, columns], atol=1e-5)


def test_what_is_recomputed_is_kept_and_the_rest_stays_stale() -> None:
    model, before, after, kept = toy(), some_ids(20), some_ids(20, seed=2), Cache()
    everything = torch.arange(20)
    model.partial(before, everything, kept)
    stale = model.partial(after, torch.tensor([5]), kept)
    assert not torch.allclose(stale, model.logits(after)[:, [5]], atol=1e-3)
    assert torch.allclose(model.partial(after, everything, kept), model.logits(after), atol=1e-6)


def test_files_and_tokenizer() -> None:
    model, tokenizer = embedded()
    names = {path.name for path in TINY_DIFFUSION_PATH.iterdir()}
    assert names == {"model.safetensors", "shape.json", "tokenizer.json", "tokenizer_config.json"}
    assert (TINY_DIFFUSION_PATH / "model.safetensors").stat().st_size <= 12_000_000
    causal = AutoTokenizer.from_pretrained(TINY_MODEL_PATH)
    assert tokenizer.mask_token_id == model.mask_token_id == len(causal) == model.shape.vocabulary - 1
    for text in ('{"name": "José", "n": -1.5e3}', "a  b\n\t", "東京 🙂"):
        assert tokenizer(text)["input_ids"] == causal(text)["input_ids"]


@pytest.mark.parametrize("hidden", ["Ada Lovelace", "1815-12-10", "London", "mathematician", "Analytical"])
def test_fills_in_what_the_text_says(hidden: str) -> None:
    model, tokenizer = embedded()
    schema = json.loads((EXAMPLES / "person.schema.json").read_text())
    encoded = tokenizer(ANSWER, add_special_tokens=False, return_offsets_mapping=True)
    start = ANSWER.index(hidden)
    at = [i for i, (a, b) in enumerate(encoded["offset_mapping"]) if a < start + len(hidden) and b > start]
    ids = tokenizer(prompt(TEXT, schema))["input_ids"]
    canvas = [model.mask_token_id if i in at else token for i, token in enumerate(encoded["input_ids"])]
    rows = model.logits(torch.tensor([[*ids, *canvas, tokenizer.eos_token_id]]))[0, len(ids) :]
    assert [int(rows[i].argmax()) for i in at] == [encoded["input_ids"][i] for i in at]
