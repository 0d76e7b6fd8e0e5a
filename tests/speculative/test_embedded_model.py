"""Every way of drafting on the embedded model, under constraints of every front-end: the sampled tokens are those of one by one.

Thousands of tokens: the noise that picks them depends on seed and place only, so that one wrong row, mask or state would show. In float64,
where runs over trees and over single tokens agree to far more digits than two tokens ever lie apart.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import structgen as sg
from structgen.models.tiny_diffusion_model import TinyDiffusion
from structgen.models.tiny_prompt import TINY_DRAFT_PATH, TINY_MODEL_PATH, prompt
from structgen.speculative.generation import Speculative, run
from structgen.speculative.gumbel import GumbelNoise
from tests.speculative.test_loop import one_by_one

TEXT = "Ada Lovelace, born 10 December 1815 in London, was a mathematician and writer."
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 30}, "city": {"type": "string"}, "century": {"type": "integer"}},
    "required": ["name", "city"],
}
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
LIMIT = 60
CONSTRAINTS: dict[str, Callable[[], Any]] = {
    "schema": lambda: PERSON,
    "schema, any order": lambda: sg.json_schema({**PERSON, "additionalProperties": False}, property_order="any"),
    "type": lambda: dict[str, list[int]],
    "regex": lambda: sg.regex(r"[A-Z][a-z]+( [A-Z][a-z]+){1,3}, born \d{1,2} (May|June|December) 1\d{3}\."),
    "literal": lambda: sg.literal("Ada Lovelace was a mathematician and writer, born in London."),
    "choice": lambda: sg.choice(["mathematician", "mathematics", "writer", "write"]),
    "lark, lalr": lambda: sg.lark('start: pair ("," pair)*\npair: NAME "=" (NAME | INT)\nNAME: /[a-z]+/\nINT: /[0-9]+/', parser="lalr"),
    "lark, earley": lambda: sg.lark('start: "a" start "b" | word+\nword: /[a-z]+/ | "ab"', parser="earley"),
    "gbnf": lambda: sg.gbnf('root ::= "[" item ("," item)* "]"\nitem ::= [a-z]+ | "\\"" [^"]* "\\""'),
    "ebnf": lambda: sg.ebnf('root ::= item ("; " item)*\nitem ::= [A-Z] [a-z]* | [0-9] [0-9] [0-9] [0-9]'),
    "substring": lambda: sg.substring_of(TEXT),
    "tagged": lambda: sg.tagged([sg.Tag("<person>", sg.json_schema(PERSON), "</person>")], least=1),
    "until": lambda: sg.until("."),
    "tool calls": lambda: sg.tool_calls([{"type": "function", "function": WEATHER}], style="hermes"),
    "forbid": lambda: sg.forbid(sg.regex(r"[a-z ]{1,80}"), ["ad", "lo", "e b"]),
    "sql": lambda: sg.sql({"people": ["name", "born"], "towns": ["name"]}),
    "xml": lambda: sg.xml({"person": ["name", "born"], "name": [], "born": []}),
    "json": lambda: sg.grammar("json"),
    "iso-8601": lambda: sg.grammar("iso-8601"),
    "python": lambda: sg.grammar("python"),
}


def loaded(path: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float64).eval()


@cache
def generator() -> sg.Generator:
    return sg.Generator(loaded(TINY_MODEL_PATH), AutoTokenizer.from_pretrained(TINY_MODEL_PATH))


@cache
def draft() -> Any:
    return loaded(TINY_DRAFT_PATH)


@cache
def ids() -> list[int]:
    return generator()._encode(prompt(TEXT, PERSON))


@cache
def automaton(name: str) -> Any:
    return generator().automaton(CONSTRAINTS[name]())


@cache
def expected(name: str, seed: int) -> list[int]:
    return one_by_one(generator().model, ids(), automaton(name), generator()._stop_set({}), LIMIT, GumbelNoise(seed))


@cache
def trimmed() -> tuple[Any, list[int]]:
    """The drafting model with a head for every third token."""
    kept = list(range(0, draft().config.vocab_size, 3))
    model = deepcopy(draft())
    model.lm_head = torch.nn.Linear(model.config.hidden_size, len(kept), bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.lm_head.weight.copy_(draft().lm_head.weight[kept])
    return model, kept


def coupled(builder: Any = None, **options: Any) -> Speculative:
    """Draws of the small model, picked by the target's noise."""
    s = sg.speculative
    model = options.pop("model", draft())
    builder = builder or s.WithoutReplacement()
    return Speculative(drafter=s.SampledModel(model, builder, is_coupled=True, **options), length=s.Fixed(10))


def ways() -> dict[str, Callable[[], Speculative]]:
    s, target = sg.speculative, generator().model
    output, embeddings = target.get_output_embeddings().weight, target.get_input_embeddings().weight

    def chain(*sources: Any) -> Callable[[], Speculative]:
        return lambda: Speculative(sources, s.Fixed(8), is_tree=False)

    def tree(*sources: Any) -> Callable[[], Speculative]:
        return lambda: Speculative(sources, s.Fixed(16))

    return {
        "auto": s.auto,
        "forced": chain(s.Forced()),
        "skeleton": tree(s.Skeleton()),
        "prompt look-up": chain(s.PromptLookup()),
        "input copy": chain(s.InputCopy()),
        "token recycling": tree(s.TokenRecycling()),
        "retrieval": tree(s.Retrieval.from_texts(['{"name": "Ada", "city": "London"}', "mathematician"], generator().tokenizer)),
        "tree search": tree(s.TreeSearch()),
        "early exit": chain(s.EarlyExit(target, 2, confidence=0.0)),
        "layer skip": chain(s.LayerSkip(target, {1, 3}, confidence=0.0)),
        "medusa": tree(s.Heads(s.MedusaHead(output, 3), confidence=0.0)),
        "hydra": tree(s.Heads(s.HydraHead(output, embeddings, 2), confidence=0.0)),
        "eagle": tree(s.Heads(s.EagleHead(output, embeddings, (1, 3, -1)), confidence=0.0)),
        "diffusion": chain(s.DiffusionDraft(TinyDiffusion.load())),
        "draft model": chain(s.DraftModel(draft(), confidence=0.0)),
        "pearl": chain(s.Pearl(s.DraftModel(draft()))),
        "all": tree(s.Forced(), s.PromptLookup(), s.Skeleton(), s.TokenRecycling(), s.DraftModel(draft()), s.EarlyExit(target, 2)),
        "drawn chain": lambda: coupled(s.Chain()),
        "drawn paths": lambda: coupled(s.Paths()),
        "drawn without replacement": coupled,
        "stochastic beam": lambda: coupled(s.StochasticBeam()),
        "best first": lambda: coupled(s.BestFirst()),
        "above threshold": lambda: coupled(s.AboveThreshold()),
        "drawn, trimmed head": lambda: coupled(model=trimmed()[0], target_ids=trimmed()[1]),
    }


@pytest.mark.parametrize("name", [*CONSTRAINTS][::5])
def test_some_ways_of_drafting(name: str) -> None:
    for way in ("auto", "drawn without replacement"):
        (found,), _ = run(generator(), [ids()], [automaton(name)], ways()[way](), max_new_tokens=LIMIT, temperature=1.0, seed=1)
        assert found == expected(name, 1), way


@pytest.mark.long
def test_every_way_of_drafting_under_every_constraint() -> None:
    n_tokens = n_runs = 0
    for name in CONSTRAINTS:
        for number, (label, way) in enumerate(ways().items()):
            seed = number % 2
            sampling = {"max_new_tokens": LIMIT, "temperature": 1.0, "seed": seed}
            (found,), statistics = run(generator(), [ids()], [automaton(name)], way(), **sampling)
            assert found == expected(name, seed), (name, label)
            n_tokens += len(found)
            n_runs += statistics.steps
    print(n_tokens, "tokens in", n_runs, "runs of the target")
    assert n_tokens > 5_000
