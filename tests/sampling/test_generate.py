"""``sg.generate(..., strategy=...)`` on the embedded model, against all texts of a small constraint in all their tokenizations."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import structgen as sg
from structgen.errors import StructgenError
from structgen.models.tiny_prompt import TINY_MODEL_PATH, prompt
from structgen.sampling import AWRS, CARS, MCMC, SMC, Masking, Seeded, SumAndSample, Target, WeightedCARS
from structgen.sampling.trie import Learn, PrefixTrie
from tests.sampling.exact import outcomes

torch = pytest.importorskip("torch")

NAMES = ['Ada"}', 'Bob"}', 'Eve"}']
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": False}
WARM = 1.5  # a temperature at which no name has all the mass
PROMPT = prompt("Ada and Bob met in London.", SCHEMA) + '{"name": "'


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(TINY_MODEL_PATH)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(TINY_MODEL_PATH, dtype=torch.float64).eval()


@pytest.fixture(scope="module")
def truth(model: Any, tokenizer: Any) -> dict[tuple[int, ...], float]:
    """P(tokens, end) of every sequence of tokens that spells a name, each by a call of its own."""
    ids, vocab = tokenizer(PROMPT)["input_ids"], sg.Vocabulary.from_tokenizer(tokenizer)
    letters = set("".join(NAMES).encode())
    pieces = {i: p.decode() for i in range(vocab.size) if (p := vocab.token_bytes(i)) and letters.issuperset(p)}
    found, stack = {}, [((), "", 0.0)]
    while stack:
        tokens, text, log_p = stack.pop()
        with torch.inference_mode():
            row = torch.log_softmax(model(input_ids=torch.tensor([[*ids, *tokens]])).logits[0, -1] / WARM, -1).numpy()
        if text in NAMES:
            found[tokens] = np.exp(log_p + row[tokenizer.eos_token_id])
        stack += [((*tokens, i), text + p, log_p + row[i]) for i, p in pieces.items() if any(n.startswith(text + p) for n in NAMES)]
    return found


@pytest.fixture()
def target(model: Any, tokenizer: Any) -> Any:
    from structgen.sampling.transformers_model import TransformersModel

    lm = TransformersModel(model, tokenizer(PROMPT)["input_ids"], [tokenizer.eos_token_id], temperature=WARM)
    return Target(lm, sg.choice(NAMES), tokenizer, 8)


def test_importance_weights_are_the_probabilities(target: Any, truth: dict[tuple[int, ...], float]) -> None:
    found = dict.fromkeys(truth, 0.0)
    for probability, samples in outcomes(lambda choose: Masking(1)(target, choose)):
        (sample,) = samples.samples
        found[sample.tokens] += float(probability) * float(np.exp(sample.log_weight))
        assert np.exp(sample.log_prob) == pytest.approx(truth[sample.tokens], rel=1e-9)
    assert found == pytest.approx(truth, rel=1e-9, abs=1e-300)


def test_the_bounds_close_in_on_the_evidence(target: Any, truth: dict[tuple[int, ...], float]) -> None:
    trie, choose, z = PrefixTrie(target, Learn.CONES, keep=5), Seeded(0), sum(truth.values())
    bounds = []
    for _ in range(200):
        trie.record(trie.draw(choose, mask_new=True))
        bounds.append(np.exp(trie.log_theta))
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in pairwise(bounds))
    assert z * (1 - 1e-9) <= bounds[-1] < bounds[0]
    assert bounds[-1] == pytest.approx(z, rel=0.05)


STRATEGIES = [
    Masking(4),
    SMC(4),
    SMC(4, step=AWRS(), ess_threshold=0.9),
    SMC(4, step=SumAndSample(head=4)),
    CARS(4),
    WeightedCARS(4),
    MCMC(3, steps=3),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: type(strategy).__name__)
def test_each_strategy(model: Any, tokenizer: Any, truth: Any, strategy: Any, capsys: Any) -> None:
    def run(**options: Any) -> Any:
        return sg.generate(
            model, tokenizer, PROMPT, sg.choice(NAMES), strategy=strategy, seed=3, max_new_tokens=8, temperature=WARM, **options
        )

    samples, again = run(), run(progress=True)
    assert samples.texts == again.texts and samples.tokens == again.tokens
    assert np.allclose(samples.log_weights, again.log_weights) and "text" in capsys.readouterr().err
    assert set(samples) <= set(NAMES) and samples.objects == samples.texts
    assert all(np.exp(p) == pytest.approx(truth[t], rel=1e-9) for p, t in zip(samples.log_probs, samples.tokens, strict=True))
    assert samples.forward_passes > 0 and samples.constraint_evaluations + samples.masks > 0


def test_a_predicate_and_objects(model: Any, tokenizer: Any) -> None:
    short = sg.potential(lambda text: len(text) <= 16)
    messages = prompt("Ada and Bob met in London.", SCHEMA)
    samples = sg.generate(model, tokenizer, messages, SCHEMA & short, strategy=SMC(4), seed=0, max_new_tokens=16)
    assert samples.objects and all(len(value["name"]) <= 5 for value in samples.objects)


def test_errors(model: Any, tokenizer: Any) -> None:
    for nothing in ("beam", CARS):
        with pytest.raises(StructgenError, match=r"strategy=.*is not available yet"):
            sg.generate(model, tokenizer, PROMPT, sg.choice(NAMES), strategy=nothing)
    with pytest.raises(TypeError):
        sg.generate(model, tokenizer, PROMPT, sg.choice(NAMES), strategy=CARS(1), num_beams=3)
