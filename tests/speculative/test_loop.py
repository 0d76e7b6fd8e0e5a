"""The loop against decoding token by token: the same tokens for every way of drafting, constraint and end; and how many runs it took."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import structgen as sg
from structgen.errors import ModelOutputError, StructgenError
from structgen.models.tiny_prompt import TINY_MODEL_PATH, prompt
from structgen.speculative.cached_model import CachedModel
from structgen.speculative.draft_tree import Sapling
from structgen.speculative.drafters.fused import Fused, Rates
from structgen.speculative.drafters.source import Guess, Place, Source
from structgen.speculative.generation import Speculative, run
from structgen.speculative.gumbel import GumbelNoise
from structgen.speculative.interfaces import Verifier
from structgen.speculative.lengths import CostModel, Fixed, Length, MovingAverage
from structgen.speculative.loop import Row, decode
from structgen.speculative.stopped import Stopped
from structgen.speculative.target import allowed, masked
from structgen.speculative.verifiers.following import GreedyMatch
from tests.decoding.models import LOGITS, model, tokenizer

ROOT = Path(__file__).parents[2]
ITEM = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "n": {"type": "integer", "maximum": 99}}}
CONSTRAINTS: dict[str, Callable[[], Any]] = {
    "schema": lambda: {**ITEM, "required": ["name", "n"], "additionalProperties": False},
    "array": lambda: {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "minItems": 12, "maxItems": 15},
    "regex": lambda: sg.regex("(name|age): [a-z]{2,8}(, (name|age): [a-z]{2,8}){8}"),
    "literal": lambda: sg.literal("the name and age of the person, yes no maybe"),
    "choice": lambda: sg.choice(["yes", "no", "maybe not", "the name"]),
    "gbnf": lambda: sg.gbnf('root ::= ("a" root "b") | "name" | "x"{20}'),
    "lark": lambda: sg.lark('start: "let " NAME (" and " NAME)~6\nNAME: /[a-z]{3,9}/'),
    "ebnf": lambda: sg.ebnf('root ::= item ("," item)*\nitem ::= "yes" | "no" | [0-9] [0-9]'),
    "substring": lambda: sg.substring_of("the name and age of the person and the rest of it"),
}


def tables() -> list[Speculative]:
    """Ways to draft, fresh ones."""
    s = sg.speculative
    own: tuple[Source, ...] = (s.Forced(), s.PromptLookup(), s.Skeleton(), s.TokenRecycling())
    every = (*own, s.InputCopy(), s.Retrieval.from_texts(['{"name":"ab","n":1}', "yes"], tokenizer()), s.DraftModel(model(1)))
    return [
        *(Speculative((source,), Fixed(6), is_tree=False) for source in every),
        Speculative(own, Fixed(5), is_tree=False),
        Speculative(own, Fixed(20)),
        Speculative(own, MovingAverage(8)),
        Speculative(every, CostModel()),
        Speculative((Wild(),), Fixed(12)),
        Speculative((), Fixed(4)),
    ]


class Wild(Source):
    """Guesses anything, most of it forbidden."""

    def guesses(self, place: Place) -> list[Guess]:
        rng = random.Random(len(place.text) * 31 + len(place.draft))
        return [Guess([rng.randrange(LOGITS) for _ in range(4)], i) for i in range(12)]


class Oracle(Source):
    """Knows the output; or, with an offset, always guesses something else."""

    def __init__(self, output: Sequence[int], offset: int = 0) -> None:
        self.output, self.offset = output, offset

    def guesses(self, place: Place) -> list[Guess]:
        at = len(place.text) - place.n_prompt + len(place.draft)
        return [Guess([t if not self.offset else LOGITS - 1 - (t == LOGITS - 1) for t in self.output[at:]])]


def one_by_one(lm: Any, ids: Sequence[int], automaton: Any, stops: frozenset[int], limit: int, noise: GumbelNoise | None) -> list[int]:
    """The reference: the model, the mask and the pick of one token after the other."""
    constraint = Stopped(automaton, automaton.vocab, stops, lm.config.vocab_size)
    state, output, cache, new = constraint.initial, [], None, list(ids)
    while len(output) < limit:
        with torch.inference_mode():
            answer = lm(input_ids=torch.tensor([new]), past_key_values=cache, use_cache=True)
        cache, row = answer.past_key_values, answer.logits[0, -1].float().numpy()
        log_p = masked(row, allowed(constraint, state, len(row)))
        token = int(np.argmax(log_p)) if noise is None else noise.at(len(ids) + len(output))(log_p)
        output.append(token)
        state = constraint.advance(state, token)
        if token in stops:
            break
        new = [token]
    return output


@cache
def generator() -> sg.Generator:
    return sg.Generator(model(dtype=torch.float64), tokenizer())


@cache
def automaton(name: str) -> Any:
    return generator().automaton(CONSTRAINTS[name]())


PROMPT = "the name and age of yes no the name"
IDS = tokenizer()(PROMPT)["input_ids"]
STOPS = frozenset([tokenizer().eos_token_id])


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_every_way_of_drafting_gives_the_same_tokens(name: str) -> None:
    for seed in (None, 7):
        sampling = {"do_sample": False} if seed is None else {"temperature": 1.0, "seed": seed}
        noise = None if seed is None else GumbelNoise(seed)
        expected = one_by_one(generator().model, IDS, automaton(name), STOPS, 40, noise)
        alone = seed is not None and name in ("schema", "regex", "gbnf", "substring")
        for way in tables()[0 if alone else 7 :]:
            (found,), statistics = run(generator(), [IDS], [automaton(name)], way, max_new_tokens=40, **sampling)
            assert found == expected, way
            assert statistics.tokens == len(found) and statistics.forward_passes <= len(found)
            assert statistics.steps == statistics.forward_passes


def test_greedy_answers_are_those_of_the_generator() -> None:
    for name in ("schema", "array", "regex", "lark"):
        constraint = CONSTRAINTS[name]()
        expected = generator()(PROMPT, constraint, do_sample=False, max_new_tokens=200)
        found = sg.generate(
            generator().model, tokenizer(), PROMPT, constraint, speculative=sg.speculative.auto(), do_sample=False, max_new_tokens=200
        )
        assert found == expected


def test_a_batch_of_different_constraints_gives_what_each_gives_alone() -> None:
    names = [*CONSTRAINTS, None]
    prompts = [tokenizer()(PROMPT[: 3 + 4 * i])["input_ids"] for i in range(len(names))]
    automata = [automaton(name) if name else None for name in names]
    for sampling in ({"do_sample": False}, {"temperature": 0.9, "top_k": 40, "top_p": 0.95, "seed": 3}):
        batches = [run(generator(), prompts, automata, way, max_new_tokens=40, **sampling)[0] for way in (*tables()[7:10], tables()[-1])]
        assert all(batch == batches[-1] for batch in batches)
        alone, _ = run(generator(), prompts[:1], automata[:1], tables()[8], max_new_tokens=40, **sampling)
        assert alone[0] == batches[0][0]


def test_extraction_by_the_embedded_model() -> None:
    """Extraction with drafts in trees, sampled and greedy, against token by token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tiny = sg.Generator(
        AutoModelForCausalLM.from_pretrained(TINY_MODEL_PATH, dtype=torch.float64).eval(), AutoTokenizer.from_pretrained(TINY_MODEL_PATH)
    )
    families = {"people": "person", "events": "event", "invoices": "invoice", "products": "product", "tickets": "ticket"}
    lines = [json.loads(line) for line in (ROOT / "examples" / "train_tiny" / "handwritten.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["family"] in families][::5][:3]
    schemas = [json.loads((ROOT / "examples" / f"{families[line['family']]}.schema.json").read_text()) for line in lines]
    prompts = [tiny._encode(prompt(line["text"], schema)) for line, schema in zip(lines, schemas, strict=True)]
    automata = [tiny.automaton(schema) for schema in schemas]
    total = 0
    for sampling in ({"do_sample": False}, {"temperature": 1.5, "seed": 11}):
        plain, _ = run(tiny, prompts, automata, Speculative((), Fixed(0)), max_new_tokens=150, **sampling)
        found, statistics = run(
            tiny, prompts, automata, Speculative(sg.speculative.auto().sources, Fixed(16)), max_new_tokens=150, **sampling
        )
        assert found == plain
        total += statistics.tokens
        if not sampling.get("seed"):
            assert statistics.tokens > 2 * statistics.steps, "twice as many tokens as runs, at the very least"
            noiseless = one_by_one(tiny.model, prompts[0], automata[0], tiny._stop_set({}), 150, None)
            assert found[0] == noiseless
    assert total > 250


# ends


def decoded(
    source: Sequence[Source], constraint: Any, budget: int, limit: int = 60, ends: Any = None, verifier: Verifier | None = None
) -> tuple[list[int], Any]:
    stopped = Stopped(constraint, generator().vocab, STOPS, LOGITS)
    drafter = Fused([each.begin(stopped, IDS) for each in source], stopped, len(IDS), Rates())
    row = Row(IDS, stopped, drafter, verifier or GreedyMatch(), limit, ends)
    statistics = decode(generator().model, [row], lambda weights: 0, Fixed(budget))
    return row.tokens, statistics


def test_runs_of_the_target_with_a_perfect_and_a_useless_drafter() -> None:
    output, plain = decoded((), None, 0)
    assert plain.forward_passes == plain.tokens == len(output) == 60
    for budget in (1, 2, 5, 100):
        _, best = decoded((Oracle(output),), None, budget)
        assert best.forward_passes == -(-len(output) // (budget + 1))
        found, worst = decoded((Oracle(output, 1),), None, budget)
        assert found == output and worst.forward_passes == len(output)


@pytest.mark.parametrize("name", ["schema", "regex", "choice", "substring"])
def test_ends_inside_a_draft(name: str) -> None:
    output, _ = decoded((), automaton(name), 0)
    whole, once = decoded((Oracle(output),), automaton(name), 100)
    assert whole == output and once.forward_passes == 1 and once.tokens == len(output)
    for limit in range(len(output)):
        assert decoded((Oracle(output),), automaton(name), 100, limit)[0] == output[:limit]
    for cut in range(1, len(output)):
        found, statistics = decoded((Oracle(output),), automaton(name), 100, ends=lambda tokens, cut=cut: len(tokens) >= cut)
        assert found == output[:cut] and statistics.forward_passes == 1 and statistics.tokens == cut


def test_forced_tokens_cost_no_runs() -> None:
    """A vocabulary of single bytes: what is forced is the only token, whatever the model says."""
    vocab = sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)] + [b"</s>"], eos_token_id=256)
    rows = [("abcdefghij", 0), ("(x|y)abcdefg(x|y)abc", 2), ("[a-z]{5}", 5), ("[a-z]{3}forced", 3)]
    for pattern, runs in rows:
        constraint = Stopped(sg.compile(sg.regex(pattern), vocab), vocab, [256], LOGITS)
        row = Row([1, 2], constraint, Fused([sg.speculative.Forced().begin(constraint, [1])], constraint, 2, Rates()), GreedyMatch(), 60)
        statistics = decode(generator().model, [row], lambda weights: 0, Fixed(0))
        assert statistics.forward_passes == runs and statistics.tokens == len(row.tokens), pattern


def test_stop_strings() -> None:
    (whole,), _ = run(generator(), [IDS], [automaton("regex")], tables()[8], do_sample=False)
    text = generator().vocab.decode(whole).decode()
    for length in (1, 2, 5):
        stop = text[10 : 10 + length]
        (found,), _ = run(generator(), [IDS], [automaton("regex")], tables()[8], do_sample=False, stop_strings=stop)
        cut = generator().vocab.decode(found).decode()
        assert stop in cut and stop not in generator().vocab.decode(found[:-1]).decode() and whole[: len(found)] == found


# one pass over trees


def test_logits_of_random_trees_and_rows() -> None:
    """Behind every node they are those of the text with the node's path, whatever was kept, dropped and selected before."""
    rng, lm = random.Random(0), model(dtype=torch.float64)
    free = Stopped(None, generator().vocab, (), LOGITS)
    texts = [[rng.randrange(300) for _ in range(n)] for n in (5, 2, 9)]
    target = CachedModel(lm, texts)
    for step in range(6):
        trees = [grown(free, rng, rng.randrange(7)) for _ in texts]
        paths = []
        for text, tree, logits in zip(texts, trees, target.forward(trees), strict=True):
            for node in range(tree.n):
                with torch.inference_mode():
                    expected = lm(input_ids=torch.tensor([text + list(tree.prefix(node))])).logits[0, -1]
                assert torch.allclose(logits[node], expected, atol=1e-12)
            paths.append(tree.path(rng.randrange(tree.n)))
        following = [[rng.randrange(300)] for _ in texts]
        target.keep(paths, following)
        texts = [
            text + [int(tree.tokens[node]) for node in path] + new
            for text, tree, path, new in zip(texts, trees, paths, following, strict=True)
        ]
        if step == 2 or step == 4:
            rows = [2, 0] if step == 2 else [1]
            target.select(rows)
            texts = [texts[row] for row in rows]
    assert target.forward_passes == 6


def grown(free: Stopped, rng: random.Random, n: int) -> Any:
    sapling = Sapling(free)
    for _ in range(n):
        sapling.add(rng.randrange(len(sapling)), rng.randrange(300))
    return sapling.tree()


# refusals


def test_what_cannot_be_done_is_refused() -> None:
    auto, schema = sg.speculative.auto(), {"type": "boolean"}
    rows: list[tuple[dict[str, Any], str]] = [
        ({"speculative": "x"}, r"as auto\(\) gives it"),
        ({"speculative": auto, "num_beams": 4}, "no option num_beams"),
        ({"speculative": auto, "temperature": -1.0}, "temperature above 0"),
        ({"speculative": auto, "temperature": "0.5"}, "temperature is a number"),
        ({"speculative": auto, "top_p": 2.0}, "top_p"),
        ({"speculative": auto, "top_k": 2.5, "do_sample": True}, "top_k must be a whole number"),
        ({"speculative": auto, "seed": -1}, "seed must be a whole number"),
        ({"speculative": auto, "seed": 1.5}, "seed must be a whole number"),
        ({"speculative": auto, "max_new_tokens": None}, "max_new_tokens must be a whole number"),
        ({"speculative": auto, "max_new_tokens": -1}, "max_new_tokens must be a whole number"),
        ({"speculative": auto, "stop_strings": [5]}, "stop_strings is a text"),
        ({"speculative": auto, "future": 5}, "future is a function"),
        ({"speculative": auto, "future": lambda *_: [0.0]}, "log-weights, one for each"),
        ({"speculative": auto, "future": lambda *_: float("nan")}, "log-weights, one for each"),
        ({"speculative": auto, "stop_strings": [""]}, "empty"),
        ({"speculative": auto, "strategy": sg.sampling.CARS(n=2)}, "one of the two"),
    ]
    for options, message in rows:
        with pytest.raises(StructgenError, match=message):
            sg.generate(model(), tokenizer(), PROMPT, schema, **options)
    with pytest.raises(ModelOutputError, match="after 2 tokens"):
        sg.generate(model(), tokenizer(), PROMPT, sg.literal("the name and age of no one"), speculative=auto, max_new_tokens=2)
    with pytest.raises(StructgenError, match="needs the tokenizer"):
        sg.speculative.auto(examples=["x"])


def test_a_generation_config_is_followed_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = model(2)
    monkeypatch.setattr(lm.generation_config, "repetition_penalty", 1.3)
    with pytest.raises(StructgenError, match=r"repetition_penalty=1\.3"):
        sg.generate(lm, tokenizer(), PROMPT, {"type": "boolean"}, speculative=sg.speculative.auto())


def test_a_cache_that_cannot_be_cropped_is_refused() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    lm = MistralForCausalLM(MistralConfig(vocab_size=LOGITS, sliding_window=8, **sizes)).eval()
    with pytest.raises(StructgenError, match="cropped"):
        sg.generate(lm, tokenizer(), PROMPT, {"type": "boolean"}, speculative=sg.speculative.auto())


def test_a_finished_answer_fits_its_limit() -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    found = sg.generate(model(), tokenizer(), PROMPT, schema, speculative=sg.speculative.auto(), max_new_tokens=12, finish=True)
    assert found == sg.generate(model(), tokenizer(), PROMPT, schema, max_new_tokens=12, finish=True)


# lengths


def test_lengths() -> None:
    average: Length = MovingAverage(most=10, extra=2, weight=1.0).begin()
    assert average.budget() == 10
    for accepted, proposed, budget in ((0, 10, 1), (1, 1, 3), (3, 3, 5), (2, 5, 3)):
        average.update(accepted, proposed)
        assert average.budget() == budget
    with pytest.raises(StructgenError):
        Fixed(-1)


def test_drafting_stops_where_it_does_not_pay_and_comes_back() -> None:
    """Drafts that take twice as long and give nothing pause; ones that give three tokens in that time do not."""
    for tokens, pauses in ((1, True), (3, False)):
        cost = CostModel().begin()
        assert cost.budget() == 0, "how long it takes without drafts comes first"
        cost.timed(1, 1, 1, 0.01)
        budgets = []
        for _ in range(100):
            budgets.append(cost.budget())
            drafted = budgets[-1] > 0
            cost.timed(1, 9 if drafted else 1, tokens if drafted else 1, 0.02 if drafted else 0.01)
        assert (budgets.count(0) > 50) is pauses and (budgets.count(0) < 99)


def test_a_node_must_be_worth_its_time() -> None:
    cost = CostModel().begin()
    for nodes in (1, 5, 9, 5, 9):
        cost.timed(1, nodes, 4 if nodes > 1 else 1, 0.010 + 0.001 * nodes)
    speed = 4 * (0.95**3 + 0.95**2 + 0.95 + 1) / (0.015 * 0.95**3 + 0.019 * 0.95**2 + 0.015 * 0.95 + 0.019)
    assert cost.least == pytest.approx(0.001 * speed)
