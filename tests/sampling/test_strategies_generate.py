"""``sg.generate(..., strategy=...)`` on the embedded model: every strategy keeps the constraint, the budget, and true probabilities."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

import structgen as sg
from structgen.errors import StructgenError
from structgen.models.tiny_prompt import TINY_MODEL_PATH, prompt
from structgen.sampling import (
    CNTP,
    Ancestral,
    Anchored,
    Beam,
    BestFirst,
    CallableModel,
    Contrastive,
    DiverseBeam,
    EntropySwitch,
    Extract,
    Greedy,
    Superposed,
)

torch = pytest.importorskip("torch")

PASSAGE = "Ada met Bob in Oslo, 1936."
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "year": {"type": "integer"}},
    "required": ["name", "year"],
    "additionalProperties": False,
}
PROMPT = prompt(PASSAGE, SCHEMA)
OTHER_PROMPT = prompt("Eve lives in Rome.", SCHEMA)
WARM = 1.5


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(TINY_MODEL_PATH)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(TINY_MODEL_PATH, dtype=torch.float64).eval()


@pytest.fixture(scope="module")
def other(model: Any) -> Any:
    """Another model for the same tokenizer: noise on the weights."""
    noisy, random = deepcopy(model), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in noisy.parameters():
            weights += torch.randn(weights.shape, generator=random, dtype=weights.dtype) * weights.std(correction=0) * 0.3
    return noisy


def row(model: Any, tokenizer: Any, text: str, tokens: tuple[int, ...]) -> Any:
    """log P(next token), by a call of its own."""
    ids = [*tokenizer(text)["input_ids"], *tokens]
    with torch.inference_mode():
        return torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, -1] / WARM, -1).numpy()


def log_prob(model: Any, tokenizer: Any, tokens: tuple[int, ...]) -> float:
    """log P(tokens, end), by one call."""
    ids = tokenizer(PROMPT)["input_ids"]
    with torch.inference_mode():
        log_p = torch.log_softmax(model(input_ids=torch.tensor([[*ids, *tokens]])).logits[0, len(ids) - 1 :] / WARM, -1)
    return float(log_p[range(len(tokens) + 1), [*tokens, tokenizer.eos_token_id]].sum())


STRATEGIES = {
    "greedy": lambda other: Greedy(),
    "ancestral": lambda other: Ancestral(3, temperature=1.3, top_k=20, top_p=0.9, min_p=0.01),
    "beam": lambda other: Beam(n=4),
    "long beam": lambda other: Beam(n=2, length_penalty=1.0),
    "diverse beam": lambda other: DiverseBeam(4, 2, 0.7),
    "superposed": lambda other: Superposed(3),
    "cautious": lambda other: CNTP(1, most=4),
    "anchored": lambda other: Anchored(other, 3.0, 2),
    "anchored greedy": lambda other: Anchored(other, 3.0, greedy=True),
    "switching": lambda other: EntropySwitch(other, 0.5, 2),
    "contrastive prompt": lambda other: Contrastive(OTHER_PROMPT, 0.5, 2),
    "contrastive model": lambda other: Contrastive(against=other, greedy=True),
}


@pytest.mark.parametrize("max_new_tokens", [12, 24])
@pytest.mark.parametrize("name", STRATEGIES)
def test_each_strategy(model: Any, other: Any, tokenizer: Any, name: str, max_new_tokens: int) -> None:
    def run(seed: int) -> Any:
        strategy = STRATEGIES[name](other)
        return sg.generate(model, tokenizer, PROMPT, SCHEMA, strategy=strategy, seed=seed, max_new_tokens=max_new_tokens, temperature=WARM)

    samples, again = run(3), run(3)
    assert samples.tokens == again.tokens and 1 <= len(samples) == samples.acceptance * samples.draws
    assert all(len(tokens) <= max_new_tokens for tokens in samples.tokens), "and none is cut in the middle:"
    assert samples.objects == [json.loads(text) for text in samples]
    assert all(
        set(value) == {"name", "year"} and len(value["name"]) <= 12 and value["year"] == int(value["year"]) for value in samples.objects
    )
    assert samples.log_probs == pytest.approx([log_prob(model, tokenizer, tokens) for tokens in samples.tokens], rel=1e-9)
    assert all(np.isnan(q) if name == "cautious" else q <= 0 for q in samples.log_strategies)
    assert samples.forward_passes > 0 and sum(samples.weights) == pytest.approx(1)


def test_beams_are_those_of_transformers(model: Any, tokenizer: Any) -> None:
    automaton = sg.compile(SCHEMA, tokenizer, max_tokens=20)
    inputs = tokenizer(PROMPT, return_tensors="pt", return_token_type_ids=False)
    options = {"length_penalty": 0.0, "early_stopping": "never", "do_sample": False, "max_new_tokens": 21}
    rows = model.generate(**inputs, logits_processor=[automaton.processor()], num_beams=4, num_return_sequences=4, **options)
    expected = [tuple(row[: row.index(tokenizer.eos_token_id)]) for row in rows[:, inputs["input_ids"].shape[1] :].tolist()]
    samples = sg.generate(model, tokenizer, PROMPT, SCHEMA, strategy=Beam(n=4), max_new_tokens=20)
    assert samples.tokens == expected and len(set(expected)) == 4


def spellings(model: Any, tokenizer: Any, text: str, max_tokens: int) -> dict[tuple[int, ...], float]:
    """P of every sequence of tokens that spells a substring of the text, not the empty one."""
    vocab, found, stack = sg.Vocabulary.from_tokenizer(tokenizer), {}, [((), "", 0.0)]
    pieces = {i: p.decode() for i in range(vocab.size) if (p := vocab.token_bytes(i)) and p.isascii() and p.decode() in text}
    while stack:
        tokens, begun, log_p = stack.pop()
        log_row = row(model, tokenizer, PROMPT, tokens)
        if tokens:
            found[tokens] = log_p + log_row[tokenizer.eos_token_id]
        if len(tokens) < max_tokens:
            stack += [((*tokens, i), begun + p, log_p + log_row[i]) for i, p in pieces.items() if begun + p in text]
    return found


def test_the_best_span_in_all_spellings(model: Any, tokenizer: Any) -> None:
    text = "met Ada, Bob"
    truth = sorted(spellings(model, tokenizer, text, 3).items(), key=lambda item: -item[1])
    assert len(truth) > 50
    options = {"max_new_tokens": 3, "temperature": WARM}
    samples = sg.generate(model, tokenizer, PROMPT, sg.substring_of(text), strategy=BestFirst(10, batch=4), **options)
    assert samples.tokens == [tokens for tokens, _ in truth[:10]]
    assert samples.log_probs == pytest.approx([log_p for _, log_p in truth[:10]])
    # and of the runs of the passage's own tokens
    own = list(sg.Vocabulary.from_tokenizer(tokenizer).encode(text))  # type: ignore[misc]
    runs = {tuple(own[i:j]) for i in range(len(own)) for j in range(i + 1, min(len(own), i + 3) + 1)}
    for passage in (text, own):
        samples = sg.generate(model, tokenizer, PROMPT, sg.substring_of(text), strategy=Extract(passage, 5, batch=2), **options)
        assert samples.tokens == [tokens for tokens, _ in truth if tokens in runs][:5]


def test_a_contrast_of_prompts_by_its_formula(model: Any, other: Any, tokenizer: Any) -> None:
    spec = sg.choice(["Ada", "Bob", "Eve"])
    for against in (model, other):
        strategy = Contrastive(OTHER_PROMPT, 0.8, against=against, min_p=0)
        samples = sg.generate(model, tokenizer, PROMPT, spec, strategy=strategy, seed=1, max_new_tokens=5, temperature=WARM)
        automaton = sg.compile(spec, tokenizer, max_tokens=5)
        state, log_q = automaton.initial, 0.0
        whole = (*samples.tokens[0], tokenizer.eos_token_id)
        for i, token in enumerate(whole):
            scores = row(model, tokenizer, PROMPT, whole[:i]) - 0.8 * row(against, tokenizer, OTHER_PROMPT, whole[:i])
            allowed = automaton.allowed(state)
            log_q += scores[token] - np.log(np.exp(scores[allowed]).sum())
            state = automaton.advance(state, token)
        assert samples.log_strategies[0] == pytest.approx(log_q)


def test_models_of_different_width_go_together(model: Any, tokenizer: Any) -> None:
    size = model.config.vocab_size
    eos = tokenizer.eos_token_id
    for width in (size + 5, size - 3):
        flat = CallableModel(lambda tokens, width=width: np.full(width, -np.log(width)), width, eos)
        samples = sg.generate(
            model, tokenizer, PROMPT, sg.choice(["Ada", "Bob"]), strategy=Anchored(flat, 0.0, 4), seed=0, max_new_tokens=5
        )
        assert set(samples) <= {"Ada", "Bob"}


def test_a_predicate_and_all_strategies(model: Any, other: Any, tokenizer: Any) -> None:
    """A predicate beside a schema: what the schema can finish is not cut."""
    digits = sg.regex("[0-9]{2,4}") & sg.potential(lambda text: not text.startswith("0"))
    for name, make in STRATEGIES.items():
        samples = sg.generate(model, tokenizer, PROMPT, digits, strategy=make(other), seed=0, max_new_tokens=4, temperature=WARM)
        assert all(text.isdigit() and 2 <= len(text) <= 4 and text[0] != "0" for text in samples), name


def test_errors(model: Any, tokenizer: Any) -> None:
    with pytest.raises(StructgenError, match="strategy="):
        sg.generate(model, tokenizer, PROMPT, SCHEMA, strategy=Beam)
    target = sg.sampling.Target(
        sg.sampling.transformers_model.TransformersModel(model, [3, 4], [tokenizer.eos_token_id]), SCHEMA, tokenizer, 20
    )
    with pytest.raises(StructgenError, match="token ids"):
        Contrastive("another prompt")(target, sg.sampling.Seeded(0))
    assert len(Contrastive([3, 5])(target, sg.sampling.Seeded(0))) == 1
