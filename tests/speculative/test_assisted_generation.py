"""Assisted generation of transformers with our processor: outputs have the law of constrained decoding token by token, which is ours too.

The law is computed from the model's rows: p of each token among the allowed ones. Draws with fixed seeds are compared with it by
a chi-square test, so a draft law that is not what was sampled from would show (transformers issue 47932).
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import product
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

import structgen as sg
from structgen.speculative.drafters.prompt_lookup import PromptLookup
from structgen.speculative.generation import Speculative, run
from tests.decoding.models import model, tokenizer

LETTERS = "jkqxz"  # no token has two of them
PROMPT = "yes jk no jk maybe j"
TEMPERATURE = 3.0


@cache
def law() -> dict[str, float]:
    """The probability of each text of two letters, by the definition."""
    first = _letters(PROMPT)
    return {a + b: first[i] * _letters(PROMPT, a)[j] for (i, a), (j, b) in product(enumerate(LETTERS), repeat=2)}


@cache
def _letters(prompt: str, behind: str = "") -> np.ndarray:
    ids = tokenizer()(prompt)["input_ids"] + tokenizer()(behind)["input_ids"] * bool(behind)
    with torch.inference_mode():
        row = model()(torch.tensor([ids])).logits[0, -1].double().numpy() / TEMPERATURE
    p = np.exp(row - row.max())[[tokenizer()(letter)["input_ids"][0] for letter in LETTERS]]
    return p / p.sum()


def constraint() -> sg.Constraint:
    return sg.regex(f"[{LETTERS}]{{2}}")


def by_transformers(n: int, **options: Any) -> Counter[str]:
    vocab = sg.Vocabulary.from_tokenizer(tokenizer())
    automaton = sg.compile(constraint(), vocab)
    inputs = torch.tensor([tokenizer()(PROMPT)["input_ids"]])
    found: Counter[str] = Counter()
    torch.manual_seed(0)
    for _ in range(n):
        output = model().generate(
            inputs, attention_mask=torch.ones_like(inputs), logits_processor=[sg.LogitsProcessor(automaton, vocab)], max_new_tokens=4,
            do_sample=True, temperature=TEMPERATURE, top_k=0, **options,
        )  # fmt: skip
        found[tokenizer().decode(output[0, inputs.shape[1] :], skip_special_tokens=True)] += 1
    return found


def by_structgen(n: int) -> Counter[str]:
    generator = sg.Generator(model(), tokenizer())
    automaton = generator.automaton(constraint())
    ids = tokenizer()(PROMPT)["input_ids"]
    found: Counter[str] = Counter()
    way = Speculative([PromptLookup()])
    for seed in range(n):
        (tokens,), _ = run(generator, [ids], [automaton], way, temperature=TEMPERATURE, top_k=0, max_new_tokens=4, seed=seed)
        found[tokenizer().decode(tokens, skip_special_tokens=True)] += 1
    return found


def is_compatible(found: Counter[str]) -> bool:
    """Whether counts may come from the law: Pearson's statistic below its mean by five standard deviations and more of its tail."""
    n = found.total()
    assert set(found) <= set(law())
    statistic = sum((found[text] - n * p) ** 2 / (n * p) for text, p in law().items())
    degrees = len(law()) - 1
    return statistic < degrees + 5 * sqrt(2 * degrees)


def assistants() -> dict[str, dict[str, Any]]:
    other = model(1)
    other.generation_config = GenerationConfig(
        eos_token_id=tokenizer().eos_token_id, pad_token_id=tokenizer().pad_token_id, num_assistant_tokens=2
    )
    return {"nobody": {}, "a model": {"assistant_model": other}, "prompt look-up": {"prompt_lookup_num_tokens": 2}}


@pytest.mark.parametrize("name", ["nobody", "a model", "prompt look-up"])
@pytest.mark.parametrize("n", [300, pytest.param(6000, marks=pytest.mark.long)])
def test_the_law_of_assisted_sampling(name: str, n: int) -> None:
    assert is_compatible(by_transformers(n, **assistants()[name]))


@pytest.mark.parametrize("n", [300, pytest.param(6000, marks=pytest.mark.long)])
def test_our_own_loop_has_the_same_law(n: int) -> None:
    assert is_compatible(by_structgen(n))


def test_another_law_would_show() -> None:
    """The comparison can fail: draws at another temperature are refused."""
    random = np.random.default_rng(0)
    flat = Counter(random.choice(sorted(law()), size=300).tolist())
    assert not is_compatible(flat)
