"""Tree search, self-speculation, heads, a diffusion drafter and drafting ahead in the real loop: the tokens are those of one by one,
whatever is drafted; and each gains on a case made for it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch

import structgen as sg
from structgen.automata.machine import DEAD
from structgen.sampling.choice import Choose
from structgen.sampling.language_model import Tokens
from structgen.speculative.draft_tree import DraftTree, Kind
from structgen.speculative.drafters.fused import MAX_NODES, Fused, Rates
from structgen.speculative.drafters.source import Guess, Place, Source, begun
from structgen.speculative.generation import Speculative, run
from structgen.speculative.gumbel import GumbelNoise
from structgen.speculative.lengths import CostModel, Fixed
from structgen.speculative.loop import Row, Statistics, decode
from structgen.speculative.stopped import Stopped
from structgen.speculative.verifiers.following import GreedyMatch
from tests.decoding.models import LOGITS, model, tokenizer
from tests.speculative.test_loop import IDS, PROMPT, STOPS, automaton, one_by_one

NAMES = ["schema", "array", "regex", "choice", "gbnf", "lark", "ebnf", "substring"]
LAYERS = 5
MASK = LOGITS - 1


@cache
def generator() -> sg.Generator:
    return sg.Generator(model(dtype=torch.float64, layers=LAYERS), tokenizer())


class RandomDiffusion:
    """The same random rows at each place, whatever the text."""

    mask_token_id = MASK

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        rows = torch.randn(ids.shape[1], LOGITS, generator=torch.Generator().manual_seed(ids.shape[1] % 7))
        return rows[None].expand(len(ids), -1, -1) * 3


def weights(lm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return lm.get_output_embeddings().weight, lm.get_input_embeddings().weight


def sources() -> list[Source]:
    """Each of them, fresh."""
    s, lm = sg.speculative, generator().model
    output, embeddings = weights(lm)
    torch.manual_seed(0)
    trimmed = s.trimmed_vocabulary([IDS], 20, generator().vocab, STOPS)
    return [
        s.TreeSearch(simulations=12),
        s.EarlyExit(lm, 2, confidence=0.0),
        s.EarlyExit(lm, None, length=3, confidence=0.1),
        s.LayerSkip(lm, {1, 3}, length=3, confidence=0.0),
        s.LayerSkip(lm, None, length=2, confidence=0.1, share=0.4, window=6),
        s.Heads(s.MedusaHead(output, 3), confidence=0.0),
        s.Heads(s.HydraHead(output, embeddings, 2), confidence=0.0),
        s.Heads(s.EagleHead(output[trimmed], embeddings, (1, 3, -1)), most=2, confidence=0.0, target_ids=trimmed),
        s.DiffusionDraft(RandomDiffusion(), lengths=(3, 5), width=2),
        s.Pearl(s.DraftModel(model(1, torch.float64), confidence=0.0), length=3),
    ]


def ways() -> list[Speculative]:
    """One source at a time as chains, or trees; then all together."""
    s = sg.speculative
    every = (s.Forced(), *sources(), s.PromptLookup(), s.Skeleton())
    return [
        *(Speculative((source,), Fixed(6), is_tree=bool(i % 2)) for i, source in enumerate(sources())),
        Speculative(every, Fixed(24)),
        Speculative(every, CostModel()),
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [None, 7])
def test_every_source_gives_the_same_tokens(name: str, seed: int | None) -> None:
    sampling: dict[str, Any] = {"do_sample": False} if seed is None else {"temperature": 1.0, "seed": seed}
    expected = one_by_one(generator().model, IDS, automaton(name), STOPS, 32, None if seed is None else GumbelNoise(seed))
    for i, way in enumerate(ways()):
        if (i + NAMES.index(name)) % (3 if seed is None else 2) and i < 10:
            continue  # some of the sources for each constraint
        (found,), statistics = run(generator(), [IDS], [automaton(name)], way, max_new_tokens=32, **sampling)
        assert found == expected, i
        assert statistics.steps == statistics.forward_passes <= statistics.tokens


def test_a_batch_gives_what_each_gives_alone() -> None:
    names = [*NAMES[:4], None]
    prompts = [tokenizer()(PROMPT[: 3 + 4 * i])["input_ids"] for i in range(len(names))]
    automata = [automaton(name) if name else None for name in names]
    sampling: dict[str, Any] = {"temperature": 0.9, "top_k": 40, "seed": 3}
    plain, _ = run(generator(), prompts, automata, Speculative((), Fixed(0)), max_new_tokens=24, **sampling)
    for way in (ways()[2], ways()[4], ways()[7], ways()[9], ways()[10]):
        assert run(generator(), prompts, automata, way, max_new_tokens=24, **sampling)[0] == plain


# what they gain


@cache
def periodic() -> sg.Generator:
    """A model that was taught one text, which repeats itself."""
    torch.manual_seed(0)
    lm = deepcopy(model(dtype=torch.float32, layers=3)).train()
    ids = torch.tensor([SONG * 6])
    optimizer = torch.optim.Adam(lm.parameters(), 3e-3)
    for _ in range(60):
        loss = lm(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return sg.Generator(lm.double().eval(), tokenizer())


SONG = [tokenizer()(text)["input_ids"][0] for text in ("a", "n", "a", "m", "b", "n", "b", "m", "c", "a", "o")]


@cache
def plain(pattern: str | None) -> list[int]:
    return decoded(pattern, Speculative((), Fixed(0)))[0]


def decoded(pattern: str | None, way: Speculative) -> tuple[list[int], Statistics]:
    constraint = None if pattern is None else generator().automaton(sg.regex(pattern))
    (found,), statistics = run(periodic(), [SONG * 2], [constraint], way, max_new_tokens=50, do_sample=False)
    return found, statistics


def gained(source: Source, pattern: str | None = None) -> float:
    """Tokens per run of the target."""
    found, statistics = decoded(pattern, Speculative((source,), Fixed(8)))
    assert found == plain(pattern)
    return statistics.tokens / statistics.steps


def test_heads_trained_for_seconds_gain() -> None:
    s, lm = sg.speculative, periodic().model
    output, embeddings = weights(lm)
    torch.manual_seed(0)
    few = s.trimmed_vocabulary([SONG], 10, generator().vocab, STOPS)
    rows: list[tuple[Any, Sequence[int] | None, float]] = [
        (s.MedusaHead(output, 3), None, 2.0),
        (s.HydraHead(output, embeddings, 3), None, 2.0),
        (s.EagleHead(output, embeddings), None, 2.0),
        (s.EagleHead(output[few], embeddings, (1, 2, -1)), few, 1.5),
    ]
    for head, ids, least in rows:
        before = gained(s.Heads(deepcopy(head), target_ids=ids))
        s.train_head(head, lm, [SONG * 4], steps=60, target_ids=ids)
        assert gained(s.Heads(head, target_ids=ids)) > max(least, before + 0.3), type(head)


def test_sources_gain_on_periodic_text() -> None:
    s, lm = sg.speculative, periodic().model
    rows: list[tuple[Source, float]] = [
        (s.TreeSearch(), 2.0),
        (s.TreeSearch(outputs=[SONG * 2]), 4.0),
        (s.TokenRecycling(), 2.0),
        (s.EarlyExit(lm, 2), 2.0),
        (s.EarlyExit(lm), 2.0),
        (s.Pearl(s.DraftModel(lm)), 3.0),
    ]
    for source, least in rows:
        for pattern in (None, "([abcmno]|an|am){60,80}"):
            found = gained(source, pattern)
            assert found > least, (type(source), found)


# trees of all of them, and what they see


class Watched(Fused):
    """Checks each tree."""

    filled = 0

    def propose(self, context: Tokens, state: int, budget: int, choose: Choose) -> DraftTree:
        tree = super().propose(context, state, budget, choose)
        n_drafted = int((tree.kinds[1:] != Kind.FORCED).sum())
        assert n_drafted <= budget and tree.n <= MAX_NODES and (tree.states != DEAD).all() and tree.start == len(context)
        pairs = list(zip(tree.parents.tolist(), tree.tokens.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs), "the same token twice behind a node"
        self.filled += n_drafted == budget
        return tree


@pytest.mark.parametrize("name", ["schema", "regex", "gbnf"])
def test_all_together_keep_to_constraint_and_budget(name: str) -> None:
    constraint = Stopped(automaton(name), generator().vocab, STOPS, LOGITS)
    for budget in (0, 1, 7, 40):
        every = (sg.speculative.Forced(), *sources(), sg.speculative.PromptLookup())
        drafter = Watched([source.begin(constraint, IDS) for source in every], constraint, len(IDS), Rates())
        row = Row(IDS, constraint, drafter, GreedyMatch(), 16)
        statistics = decode(generator().model, [row], lambda weights: 0, Fixed(budget))
        assert drafter.filled >= min(3, statistics.steps - 2), "enough is guessed to fill trees"


class Sees(Source):
    """Keeps what it is shown. Each token is one hidden state and, with the drafts, one row of logits."""

    layers = (0, 2, -1)
    prior = 1.0

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> Sees:
        found = begun(self, constraint)
        found.hidden, found.rows = [], []
        return found

    hidden: list[Mapping[int, torch.Tensor]]
    rows: list[tuple[tuple[int, ...], torch.Tensor]]

    def guesses(self, place: Place) -> list[Guess]:
        rng = random.Random(len(place.text) + 31 * len(place.draft))
        return [Guess([rng.randrange(LOGITS) for _ in range(3)], i) for i in range(3)]

    def look(self, places: Sequence[Place], logits: torch.Tensor) -> None:
        self.rows += [((*place.text, *place.draft), row) for place, row in zip(places, logits, strict=True)]

    def follow(self, hidden: Mapping[int, torch.Tensor]) -> None:
        self.hidden.append(hidden)


def test_what_a_source_sees_is_what_the_model_said() -> None:
    """In a batch of different texts, against one run over each whole text."""
    names = ["regex", "gbnf", "array", None]
    rows, watched = [], []
    for i, name in enumerate(names):
        prompt = IDS[: 2 + i]
        constraint = Stopped(automaton(name) if name else None, generator().vocab, STOPS, LOGITS)
        source = Sees().begin(constraint, prompt)
        recycling = sg.speculative.TokenRecycling().begin(constraint, prompt)
        watched.append(source)
        rows.append(Row(prompt, constraint, Fused([source, recycling], constraint, len(prompt), Rates()), GreedyMatch(), 12 + 3 * i))
    statistics = decode(generator().model, rows, lambda weights: 0, Fixed(9))
    assert statistics.accepted > 0
    for row, source in zip(rows, watched, strict=True):
        n = sum(len(hidden[0]) for hidden in source.hidden)
        assert len(row.prompt) <= n < len(row.text)
        with torch.inference_mode():
            expected = generator().model(input_ids=torch.tensor([row.text]), output_hidden_states=True).hidden_states
        for layer in Sees.layers:  # each token once, in order
            assert torch.allclose(torch.cat([hidden[layer] for hidden in source.hidden]), expected[layer][0, :n], atol=1e-10)
        for text, logits in source.rows[::5]:
            with torch.inference_mode():
                assert torch.allclose(logits, generator().model(input_ids=torch.tensor([text])).logits[0, -1], atol=1e-10)


class Fixated(Source):
    """Always the same guesses."""

    def __init__(self, *guesses: Guess, again: bool = False) -> None:
        self.found, self.again = guesses, again

    def guesses(self, place: Place) -> Sequence[Guess]:
        return [Guess(list(guess.tokens), guess.grade, guess.chance) for guess in self.found]


def drafted(source: Source, least: float = 0.0, budget: int = 6) -> list[tuple[int, int]]:
    constraint = Stopped(None, generator().vocab, STOPS, LOGITS)
    drafter = Fused([source.begin(constraint, [1])], constraint, 1, Rates())
    drafter.least = least
    tree = drafter.propose((1,), constraint.initial, budget, lambda weights: 0)
    return list(zip(tree.parents.tolist(), tree.tokens.tolist(), strict=True))[1:]


def test_chances_and_asking_again() -> None:
    sure, unsure = Guess([10, 11], 0, 0.9), Guess([20, 21], 1, 0.5)
    assert drafted(Fixated(sure, unsure), 0.4) == [(0, 10), (1, 11), (0, 20)]
    assert drafted(Fixated(sure, unsure), 0.55) == [(0, 10), (1, 11)]
    assert drafted(Fixated(Guess([10], 0, 0.9)), 0.5) == [(0, 10)]
    assert drafted(Fixated(Guess([10], 0, 0.9), again=True), 0.8) == [(0, 10), (1, 10)]
    assert drafted(Fixated(sure, again=True), 0.0, 5) == [(0, 10), (1, 11), (2, 10), (3, 11), (4, 10)], "again where a guess ends"
