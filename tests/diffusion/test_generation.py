"""Whole answers: always valid, whatever the model says; the adapters; infilling; the options and their errors."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import structgen as sg
from structgen.cli import main
from structgen.diffusion.filling import OPEN, Filling
from structgen.diffusion.generation import Decoding, filling_of, run, settings_of
from structgen.diffusion.interfaces import Proposal, View
from structgen.diffusion.model import HuggingFace, as_diffusion_model
from structgen.diffusion.stops import Prophet
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema
from structgen.models.tiny_diffusion_model import TINY_DIFFUSION_PATH
from tests.decoding.models import LOGITS, tokenizer
from tests.diffusion.toys import EOS, MASK, VOCAB, Stubborn, TableModel, fillings, random_automaton

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
MASK_ID = 340  # beyond the tokenizer's vocabulary, within the logits


class Adversary:
    """A policy that wants all positions at once, from right to left, with tokens that do not fit."""

    def begin(self) -> Adversary:
        return self

    def propose(self, view: View) -> Proposal:
        indices = list(range(len(view.positions)))[::-1]
        return Proposal(indices, [(7 * i + view.step) % view.log_p.shape[1] for i in indices], at_most=1 + view.step % 3)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"joint": "viterbi", "steps": 2},
    {"joint": "sample", "temperature": 1.0},
    {"temperature": 0.7},
    {"marginals": True},
    {"policy": Adversary()},
    {"policy": Adversary(), "joint": "viterbi", "block": 2},
    {"block": 1},
    {"steps": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=[str(i) for i in range(len(OPTIONS))])
def test_answers_are_valid(options: dict[str, Any]) -> None:
    """Random automata and models; at most one run of the model per position; the same seed, the same answer."""
    for seed in range(40):
        automaton, n = random_automaton(seed), 1 + seed % 5
        words = fillings(automaton, [OPEN] * n)
        model = TableModel(automaton.vocab.size + 1, automaton.vocab.size, seed)
        if not words:
            with pytest.raises(UnsatisfiableSchema, match="as few as"):
                run(model, [0], automaton, automaton.vocab, n, settings_of(seed=seed, **options))
            continue
        tokens, took = run(model, [0], automaton, automaton.vocab, n, settings_of(seed=seed, **options))
        assert any(tuple(tokens) == word[: len(tokens)] and set(word[len(tokens) :]) <= automaton.vocab.eos_token_ids for word in words)
        assert took.forwards <= n and took.commits + took.settled == n
        assert (tokens, took.forwards) == (lambda t: (t[0], t[1].forwards))(
            run(model, [0], automaton, automaton.vocab, n, settings_of(seed=seed, **options))
        )


def test_a_stubborn_model_gets_what_is_nearest() -> None:
    """The model insists on a b a b, the constraint on b or c at first: every other position is its own."""
    automaton = sg.compile(sg.regex("[bc][ab]{3}"), VOCAB)
    tokens, took = run(Stubborn([0, 1, 0, 1], 5, MASK), [], automaton, VOCAB, 4)
    assert VOCAB.decode(tokens) == b"bbab" and took.refused >= 1


def test_a_model_that_excludes_all_that_is_valid() -> None:
    class Never(Stubborn):
        def logits(self, ids: torch.Tensor) -> torch.Tensor:
            rows = super().logits(ids)
            rows[..., 1] = -torch.inf
            return rows

    for joint in ("sequential", "viterbi"):
        automaton = sg.compile(sg.regex("b{3}|cb"), VOCAB)
        tokens, _ = run(Never([0, 0, 0], 5, MASK), [], automaton, VOCAB, 3, settings_of(joint=joint, steps=1))
        assert VOCAB.decode(tokens) in (b"bbb", b"cb")


def test_json_with_a_tokenizer() -> None:
    model = TableModel(LOGITS, MASK_ID, 1, context=False)
    for seed in range(2):
        found = sg.diffusion.generate(model, tokenizer(), "Ada", PERSON, length=32, temperature=1.0, seed=seed, steps=8)
        assert set(found) == {"name", "age"} and isinstance(found["name"], str) and 0 <= found["age"] <= 150
    assert isinstance(sg.diffusion.generate(model, tokenizer(), "Ada", None, length=8), str)
    with pytest.raises(UnsatisfiableSchema, match="the shortest takes"):
        sg.diffusion.generate(model, tokenizer(), "Ada", PERSON, length=4)
    few = sg.compile(sg.regex("[ab]{1,9}"), sg.Vocabulary.from_tokenizer(tokenizer()), max_tokens=3)
    assert len(sg.diffusion.generate(model, tokenizer(), "Ada", few, length=20)) <= 9


def test_steps_are_shared_out_over_blocks() -> None:
    automaton = sg.compile(sg.regex("[abc]{12}"), VOCAB)
    for steps, block, forwards in ((None, 4, 12), (6, 4, 6), (3, 12, 3), (1, 4, 3)):
        _, took = run(TableModel(5, MASK), [], automaton, VOCAB, 12, settings_of(steps=steps, block=block))
        assert took.forwards == forwards


def test_reopened_positions_are_filled_again() -> None:
    class Doubtful:
        """Takes the first commit back, once."""

        def __init__(self) -> None:
            self.opened = False

        def begin(self) -> Doubtful:
            return Doubtful()

        def propose(self, view: View) -> Proposal:
            return Proposal([0], [int(view.draw[0])], 1)

        def reopen(self, view: View) -> list[int]:
            first = (view.canvas[:3] != MASK).nonzero().flatten().tolist()[:1]
            self.opened, again = bool(first), [] if self.opened else first
            return again

    automaton = sg.compile(sg.regex("[ab]{3}c"), VOCAB)
    tokens, took = run(TableModel(5, MASK), [], automaton, VOCAB, 4, settings_of(policy=Doubtful()))
    assert automaton.accepts(VOCAB.decode(tokens)) and took.reopened == 1 and took.forwards == 4


def test_opening_again_restores_what_was_possible() -> None:
    found = Filling(sg.compile(sg.regex("ab|ba"), VOCAB), 3)
    found.grow()
    found.settle()
    assert found.commit(0, 1) and found.settle() == [1]
    assert found.reopen([0, 1]) == 2 and found.first == 0 and found.row(0).n == 2 and found.commit(1, 1) and found.settle() == [0]
    assert found.tokens == [0, 1, EOS]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"joint": "best"}, "joint is one of"),
        ({"joint": "sample"}, "give a temperature above 0"),
        ({"temperature": -1.0}, "a temperature is at least 0"),
        ({"steps": 0}, "steps is a number of forward passes"),
        ({"block": 0}, "a block"),
        ({"look_ahead": -1}, "look_ahead is a number of states"),
        ({"length": 0}, "length is a number of tokens"),
        ({"temperature": "x"}, "a temperature is at least 0"),
        ({"temperature": None}, "a temperature is at least 0"),
        ({"drafts": 1.5}, "drafts is a number of canvases"),
        ({"seed": -1}, "a seed is a whole number"),
        ({"seed": 1.5}, "a seed is a whole number"),
        ({"block": 1.5}, "block is a number of tokens or a schedule"),
        ({"policy": 5}, "a policy is an object"),
        ({"policy": Prophet}, "a policy is an object"),
        ({"stop": Prophet}, "a stop is an object"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], message: str) -> None:
    with pytest.raises(StructgenError, match=message):
        sg.diffusion.generate(TableModel(LOGITS, MASK_ID), tokenizer(), "Ada", PERSON, **options)


@pytest.mark.parametrize("rows", [None, torch.zeros(1, 3, 5), torch.zeros(4, 5)], ids=["none", "short", "flat"])
def test_rows_that_are_none(rows: Any) -> None:
    table = TableModel(LOGITS, MASK_ID)
    table.logits = lambda ids: rows  # type: ignore[method-assign]
    with pytest.raises(StructgenError, match="a diffusion model gives a tensor"):
        sg.diffusion.generate(table, tokenizer(), "Ada", PERSON, length=16)


def test_an_automaton_of_another_vocabulary() -> None:
    foreign = sg.compile(PERSON, sg.Vocabulary.from_bytes([*(bytes([b]) for b in range(256)), b""], eos_token_id=256))
    found = sg.diffusion.generate(TableModel(LOGITS, MASK_ID), tokenizer(), "Ada", foreign, length=40)
    assert set(found) == {"name", "age"}
    with pytest.raises(StructgenError, match="another vocabulary"):
        run(TableModel(LOGITS, MASK_ID), [], foreign, sg.Vocabulary.from_tokenizer(tokenizer()), 40)


def test_the_mask_token_cannot_be_an_answer() -> None:
    automaton = sg.compile(sg.regex("[abc]{2}"), VOCAB)
    with pytest.raises(StructgenError, match="allows the mask token"):
        run(TableModel(5, 0), [], automaton, VOCAB, 2)


def test_adapters() -> None:
    config = SimpleNamespace(mask_token_id=4, model_type="Dream")

    class Echo:
        """Row i has the token at i + 1 (as causal models do), or at i."""

        def __init__(self, config: Any) -> None:
            self.config, self.device = config, torch.device("cpu")

        def __call__(self, input_ids: torch.Tensor) -> Any:
            return SimpleNamespace(logits=torch.nn.functional.one_hot(input_ids, 5).float())

    ids = torch.tensor([[0, 1, 2, 3]])
    assert as_diffusion_model(Echo(config)).logits(ids).argmax(-1).tolist() == [[0, 0, 1, 2]]
    config.model_type = "llada"
    assert as_diffusion_model(Echo(config)).logits(ids).argmax(-1).tolist() == [[0, 1, 2, 3]]
    assert HuggingFace(Echo(config), shifted=True).logits(ids).argmax(-1).tolist() == [[0, 0, 1, 2]]
    nameless = Echo(SimpleNamespace())
    assert as_diffusion_model(nameless, SimpleNamespace(mask_token_id=3)).mask_token_id == 3
    with pytest.raises(StructgenError, match="no mask token in its config"):
        as_diffusion_model(nameless)
    with pytest.raises(StructgenError, match="a diffusion model has mask_token_id and logits"):
        as_diffusion_model(3)
    toy = TableModel(5, 4)
    assert as_diffusion_model(toy) is toy


def test_masked_language_models_of_transformers() -> None:
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    config = BertConfig(vocab_size=LOGITS, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model = HuggingFace(BertForMaskedLM(config).eval(), mask_token_id=MASK_ID)
    assert sg.diffusion.generate(model, tokenizer(), "yes or no?", sg.choice(["yes", "no", "maybe"]), length=6) in ("yes", "no", "maybe")


def test_infilling() -> None:
    model = TableModel(LOGITS, MASK_ID, 2, context=False)
    found = sg.infill(model, tokenizer(), ['{"name":', sg.gap(6), ',"age":', sg.gap(tokens=2), "}"], PERSON, prompt="Ada")
    assert found.value == json.loads(found.text) and found.text == '{"name":' + found.gaps[0] + ',"age":' + found.gaps[1] + "}"
    with pytest.raises(UnsatisfiableSchema, match="cannot be completed"):
        sg.infill(model, tokenizer(), ['{"name":', sg.gap(1), ',"age":3}'], PERSON)
    with pytest.raises(StructgenError, match="there is no gap"):
        sg.infill(model, tokenizer(), ["{}"], PERSON)


def test_the_model_sees_what_is_fixed_and_masks() -> None:
    seen = []

    class Watched(TableModel):
        def logits(self, ids: torch.Tensor) -> torch.Tensor:
            seen.append(ids[0].tolist())
            return super().logits(ids)

    model = Watched(LOGITS, MASK_ID, context=False)
    found = sg.infill(model, tokenizer(), ["a", sg.gap(2), "b", sg.gap(tokens=1)], sg.regex("a[xyz]{1,2}b[xyz]"), prompt="the")
    before, between = (tokenizer()(text, add_special_tokens=False)["input_ids"] for text in ("the", "b"))
    letters = [tokenizer()(letter, add_special_tokens=False)["input_ids"][0] for letter in "ab"]
    assert seen[0] == [*before, letters[0], MASK_ID, MASK_ID, *between, MASK_ID]
    assert MASK_ID not in seen[-1][:-1] and len(seen[-1]) == len(before) + 1 + len(found.gaps[0]) + 1 + 1


def test_exact_gaps_that_cannot_be_known() -> None:
    automaton = sg.compile(sg.json_schema({}), sg.Vocabulary.from_tokenizer(tokenizer()))
    with pytest.raises(LimitExceeded):
        Filling(automaton, 60, pad=False)


def test_forks_go_on_by_themselves() -> None:
    automaton = sg.compile(sg.regex("[abc]{4}"), VOCAB)
    decoding = Decoding(TableModel(5, MASK), [], filling_of(automaton, VOCAB, 4, MASK), settings_of(), VOCAB)
    assert decoding.ready()
    rows = decoding.forward(decoding.canvas()[None])[0]
    fork = decoding.fork(rows)
    fork.advance(rows)
    assert fork.filling.tokens != decoding.filling.tokens == [OPEN] * 4


@pytest.mark.skipif(not (TINY_DIFFUSION_PATH / "model.safetensors").exists(), reason="the embedded diffusion model is not there")
def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(PERSON))
    assert main(["generate", "--diffusion", "--schema", str(path), "--max-new-tokens", "32", "--quiet", "Ada is 36."]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"name", "age"}
