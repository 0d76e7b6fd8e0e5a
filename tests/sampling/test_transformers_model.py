"""A transformers model asked for many prefixes in any order gives what a fresh call for each gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from structgen.errors import StructgenError
from structgen.sampling.transformers_model import TransformersModel
from tests.decoding import models

PROMPT = [5, 6, 7, 8]


def direct(model: Any, prefix: tuple[int, ...]) -> Any:
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*PROMPT, *prefix]])).logits[0, -1].double()
    return torch.log_softmax(logits, -1).numpy()


def sliding() -> Any:
    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=60,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=6,
        initializer_range=0.3,
    )
    return MistralForCausalLM(config).double().eval()


@pytest.fixture(scope="module", params=["full attention", "sliding window", "no cache"])
def model(request: Any) -> Any:
    if request.param == "sliding window":
        return sliding()
    model = models.model(dtype=torch.float64)
    if request.param == "no cache":
        model.forward, original = (lambda **options: original(**{**options, "use_cache": False, "past_key_values": None})), model.forward
        request.addfinalizer(lambda: delattr(model, "forward"))
    return model


def test_any_prefixes_in_any_order(model: Any) -> None:
    lm, random = TransformersModel(model, PROMPT, [2]), np.random.default_rng(0)
    for _ in range(40):
        prefixes = [tuple(random.integers(3, 5, random.integers(0, 7)).tolist()) for _ in range(random.integers(1, 5))]
        for row, prefix in zip(lm.log_probs(prefixes), prefixes, strict=True):
            assert np.abs(row - direct(model, prefix)).max() < 1e-9, prefix


def test_particles_that_grow_reorder_and_die(model: Any) -> None:
    lm, random = TransformersModel(model, PROMPT, [2]), np.random.default_rng(1)
    prefixes: list[tuple[int, ...]] = [(3,), (4,), (5,)]
    for _ in range(8):
        for row, prefix in zip(lm.log_probs(prefixes), prefixes, strict=True):
            assert np.abs(row - direct(model, prefix)).max() < 1e-9
        prefixes = [(*prefixes[i], int(random.integers(3, 6))) for i in random.integers(0, len(prefixes), 3)]


def test_a_particle_costs_one_token_and_a_new_draw_what_is_new() -> None:
    model, widths = models.model(), []
    lm = TransformersModel(model, PROMPT, [2])
    forward = lm._forward
    lm._forward = lambda tokens, cache, **options: widths.append(len(tokens[0])) or forward(tokens, cache, **options)  # type: ignore[method-assign,func-returns-value]
    for prefixes in ([()], [(3,)], [(3, 4), (3, 5)], [(3, 5, 6), (3, 5, 7)], [(3, 5, 8, 9)], [(3, 5, 8, 4)], [()], [(3, 6)]):
        lm.log_probs(prefixes)
    assert widths == [1, 1, 1, 2, 1, 1]


def test_stop_tokens_are_one_end_and_temperature_divides() -> None:
    model = models.model(dtype=torch.float64)
    plain, merged, warm = (
        TransformersModel(model, PROMPT, stops, temperature=t) for stops, t in (([9], 1.0), ([30, 9, 20, 10**6], 1.0), ([9], 2.0))
    )
    log_p, found, warmer = (lm.log_probs([(3, 4)])[0] for lm in (plain, merged, warm))
    assert merged.eos == 9 and merged.size == models.LOGITS
    assert np.exp(found[9]) == pytest.approx(np.exp(log_p[[9, 20, 30]]).sum()) and (found[[20, 30]] == -np.inf).all()
    assert np.exp(found).sum() == pytest.approx(1)
    assert warmer == pytest.approx(log_p / 2 - np.log(np.exp(log_p / 2).sum()))


def test_errors() -> None:
    model = models.model()
    with pytest.raises(StructgenError, match="temperature"):
        TransformersModel(model, PROMPT, [2], temperature=0)
    with pytest.raises(StructgenError, match="no stop token"):
        TransformersModel(model, PROMPT, [10**6])
