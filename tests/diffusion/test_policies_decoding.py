"""Policies, schedules, stops, drafts and guidance in the real loop: everything is valid, and drafts change nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import structgen as sg
from structgen.diffusion import policies
from structgen.diffusion.blocks import AdaBlock, BlockCausal, BlockDiffusion, FixedBlocks
from structgen.diffusion.caches import Cached, DelayedCache, DualCache, PrefixCache, WindowCache
from structgen.diffusion.generation import Settings, Statistics, run
from structgen.diffusion.guidance import Svdd, posterior_mean, validity
from structgen.diffusion.stops import Prophet, Sched
from structgen.errors import UnsatisfiableSchema
from structgen.models.tiny_diffusion_model import Shape, TinyDiffusion
from structgen.sampling.choice import Seeded
from tests.diffusion.test_policies import ALL
from tests.diffusion.toys import BRACKETS, TableModel, random_automaton

SIZE, MASK, N = 8, 7, 7


def decoded(automaton: Any, policy: Any, model: Any = None, **options: Any) -> tuple[list[int], Statistics]:
    settings = Settings(policy, options.pop("block", FixedBlocks(None)), **options)
    return run(TableModel(SIZE, MASK, seed=1) if model is None else model, [0, 1], automaton, automaton.vocab, N, settings)


def satisfiable(automaton: Any) -> bool:
    try:
        decoded(automaton, policies.LowConfidence())
    except UnsatisfiableSchema:
        return False
    return True


@pytest.fixture(scope="module")
def automata() -> list[Any]:
    some = [automaton for automaton in map(random_automaton, range(25)) if automaton is not None][:9]
    found = [automaton for automaton in some if satisfiable(automaton)]
    assert len(found) > 4
    return found


@pytest.mark.parametrize("name", ALL)
def test_every_policy_is_valid_under_every_constraint(name: str, automata: list[Any]) -> None:
    for i, automaton in enumerate(automata):
        for options in ({"steps": 3}, {"block": FixedBlocks(3), "temperature": 0.8, "seed": i}):
            tokens, statistics = decoded(automaton, ALL[name], **options)
            assert automaton.accepts(automaton.vocab.decode(tokens))
            assert statistics.reopened <= statistics.commits


@pytest.mark.parametrize("make", [lambda seed: policies.ReMdm(0.5, seed=seed), lambda seed: policies.Wino(0.3)], ids=["remdm", "wino"])
def test_commits_are_taken_back_and_what_comes_instead_is_valid(make: Any) -> None:
    automaton = sg.compile(sg.regex("(a|bc|cab)*"), random_automaton(0).vocab)
    reopened = 0
    for seed in range(8):
        tokens, statistics = decoded(automaton, make(seed), TableModel(SIZE, MASK, seed, spread=1.0))
        assert automaton.accepts(automaton.vocab.decode(tokens))
        reopened += statistics.reopened
    assert reopened > 0


def test_a_policy_that_takes_everything_back_comes_to_an_end(automata: list[Any]) -> None:
    class Penelope(policies.LowConfidence):
        def reopen(self, view: Any) -> list[int]:
            return [i for i, token in enumerate(view.canvas.tolist()) if token != MASK]

    for automaton in automata[:3]:
        tokens, statistics = decoded(automaton, Penelope())
        assert automaton.accepts(automaton.vocab.decode(tokens))
        assert statistics.forwards <= 20 * N


DETERMINISTIC_OR_SEEDED = [
    {},
    {"steps": 3},
    {"block": FixedBlocks(3)},
    {"temperature": 0.8, "seed": 4},
    {"temperature": 0.8, "seed": 4, "block": FixedBlocks(3)},
    {"temperature": 0.8, "seed": 4, "steps": 3, "joint": "sample"},
    {"stop": Prophet()},
]


@pytest.mark.parametrize("name", ALL)
def test_drafts_do_not_change_what_is_decoded(name: str, automata: list[Any]) -> None:
    for automaton in automata[:3]:
        for options in DETERMINISTIC_OR_SEEDED:
            one, static = decoded(automaton, ALL[name], **options)
            many, drafted = decoded(automaton, ALL[name], drafts=3, **options)
            assert many == one, options
            assert drafted.forwards <= static.forwards
            assert (drafted.commits, drafted.settled, drafted.reopened) == (static.commits, static.settled, static.reopened)


def test_drafts_do_not_change_what_guidance_draws(automata: list[Any]) -> None:
    for automaton in automata[:4]:
        one, static = decoded(automaton, Svdd(validity(automaton), 3, choose=Seeded(1)))
        many, drafted = decoded(automaton, Svdd(validity(automaton), 3, choose=Seeded(1)), drafts=3)
        assert many == one and drafted.forwards <= static.forwards


def test_drafts_save_runs_of_the_model() -> None:
    automaton = sg.compile(sg.regex("[abc]{7}"), random_automaton(0).vocab)
    model = TableModel(SIZE, MASK, seed=1, context=False)
    _, statistics = decoded(automaton, policies.LowConfidence(), model, drafts=3)
    assert statistics.forwards == 1 + (7 - 1) // 3


@pytest.mark.parametrize(
    "block", [AdaBlock(frozenset({1}), window=0.5), BlockDiffusion(4, 2, offset=2), FixedBlocks(1)], ids=["ada", "diffusion", "one"]
)
@pytest.mark.parametrize("drafts", [1, 3])
def test_every_schedule_is_valid(block: Any, drafts: int, automata: list[Any]) -> None:
    for automaton in automata:
        tokens, _ = decoded(automaton, policies.Threshold(), block=block, drafts=drafts)
        assert automaton.accepts(automaton.vocab.decode(tokens))


@pytest.mark.parametrize("stop", [Prophet((0.5, 0.5, 0.5)), Sched(3.0, 0.0)], ids=["prophet", "sched"])
def test_what_is_filled_at_a_stop_is_valid(stop: Any, automata: list[Any]) -> None:
    filled = 0
    for automaton in automata:
        tokens, statistics = decoded(automaton, policies.LowConfidence(), stop=stop)
        assert automaton.accepts(automaton.vocab.decode(tokens))
        filled += statistics.filled
    assert filled > 0


@pytest.mark.parametrize("make", [PrefixCache, DualCache, lambda: DelayedCache(3), lambda: WindowCache(2, 4, 3)])
@pytest.mark.parametrize("layers", [1, 3])
def test_stale_keys_never_make_anything_invalid(make: Any, layers: int, automata: list[Any]) -> None:
    torch.manual_seed(0)
    tiny = TinyDiffusion(Shape(SIZE, MASK, width=32, layers=layers, head=16, inner=32)).eval()
    for automaton in automata:
        for model in (Cached(tiny, make()), BlockCausal(Cached(tiny, make()), 3)):
            tokens, _ = decoded(automaton, policies.LowConfidence(), model, block=FixedBlocks(4))
            assert automaton.accepts(automaton.vocab.decode(tokens))
        if layers == 1 and make in (PrefixCache, DualCache):
            assert (
                decoded(automaton, policies.LowConfidence(), Cached(tiny, make()), block=FixedBlocks(4))[0]
                == (decoded(automaton, policies.LowConfidence(), tiny, block=FixedBlocks(4))[0])
            )


def test_guidance_in_the_real_loop(automata: list[Any]) -> None:
    for i, automaton in enumerate(automata):
        for value in (validity(automaton), posterior_mean(lambda tokens: tokens.count(0))):
            tokens, _ = decoded(automaton, Svdd(value, 4, choose=Seeded(i)), steps=3)
            assert automaton.accepts(automaton.vocab.decode(tokens))


def test_ascending_steps_commit_halves_jointly() -> None:
    """Tokens that are valid one by one and not together: brackets that must be paired."""
    automaton = sg.compile(sg.gbnf('root ::= ("(" root ")" | "a")*'), BRACKETS)
    for seed in range(10):
        tokens, statistics = run(
            TableModel(SIZE, MASK, seed), [], automaton, BRACKETS, 8, Settings(policies.AscendingSteps(), FixedBlocks(None), steps=3)
        )
        assert automaton.accepts(BRACKETS.decode(tokens))
        assert statistics.forwards <= 4
