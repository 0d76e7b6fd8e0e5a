"""Models made of the target's own layers, the exit and length by tokens per layer, and the search for layers to leave out."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import structgen as sg
from structgen.errors import StructgenError
from structgen.speculative.drafters.fused import Fused, Rates
from structgen.speculative.drafters.own_layers import EarlyExit, LayerSkip, MatchRates, best_exit, submodel, tokens_per_layer
from structgen.speculative.drafters.skip_search import EVERY, GOOD_ENOUGH, MAX_TRIALS, SkipSearch, expected_improvement
from structgen.speculative.drafters.source import Source
from structgen.speculative.lengths import Fixed
from structgen.speculative.loop import Row, Statistics, decode
from structgen.speculative.stopped import Stopped
from structgen.speculative.verifiers.following import GreedyMatch
from tests.decoding.models import LOGITS, model
from tests.speculative.test_loop import IDS, STOPS, automaton, generator

IDENTITY = (2, 4)


@cache
def lazy() -> Any:
    """Six layers, of which two do nothing."""
    lm = deepcopy(model(3, torch.float64, layers=6))
    with torch.no_grad():
        for i in IDENTITY:
            lm.model.layers[i].self_attn.o_proj.weight.zero_()
            lm.model.layers[i].mlp.down_proj.weight.zero_()
    return lm


def decoded(source: Source, lm: Any, name: str | None, limit: int = 32, budget: int = 16) -> tuple[list[int], Statistics]:
    constraint = Stopped(automaton(name) if name else None, generator().vocab, STOPS, LOGITS)
    row = Row(IDS, constraint, Fused([source.begin(constraint, IDS)], constraint, len(IDS), Rates()), GreedyMatch(), limit)
    return row.tokens, decode(lm, [row], lambda weights: 0, Fixed(budget))


# parts of a model


def run(lm: Any, ids: Sequence[int]) -> Any:
    return lm.requires_grad_(False)(input_ids=torch.tensor([ids]), output_hidden_states=True)


def test_submodels() -> None:
    lm = lazy()
    whole = run(lm, IDS)
    assert torch.equal(run(submodel(lm, range(6)), IDS).logits, whole.logits)
    for layer in range(1, 6):
        expected = lm.lm_head(lm.model.norm(whole.hidden_states[layer]))
        assert torch.allclose(run(submodel(lm, range(layer)), IDS).logits, expected, atol=1e-12), layer
    active = [i for i in range(6) if i not in IDENTITY]
    assert torch.allclose(run(submodel(lm, active), IDS).logits, whole.logits, atol=1e-12)
    with_adapter = submodel(lm, [0, 1], adapter=lm.model.layers[3])
    assert torch.allclose(run(with_adapter, IDS).logits, run(submodel(lm, [0, 1, 3]), IDS).logits)
    assert [layer.self_attn.layer_idx for layer in lm.model.layers] == list(range(6)) and len(lm.model.layers) == 6
    assert submodel(lm, [0]).lm_head.weight.data_ptr() == lm.lm_head.weight.data_ptr(), "weights are shared"


def test_submodels_of_another_kind() -> None:
    torch.manual_seed(0)
    lm = GPT2LMHeadModel(GPT2Config(vocab_size=LOGITS, n_embd=16, n_layer=3, n_head=2, n_positions=64)).eval()
    hidden = run(lm, IDS).hidden_states
    assert torch.allclose(run(submodel(lm, [0, 1]), IDS).logits, lm.lm_head(lm.transformer.ln_f(hidden[2])), atol=1e-5)


def test_what_has_no_layers_is_refused() -> None:
    with pytest.raises(StructgenError, match="submodel="):
        submodel(torch.nn.Linear(2, 2), [0])
    for kept in ([], [6], [-1]):
        with pytest.raises(StructgenError, match="0 to 5"):
            submodel(lazy(), kept)
    for make in (
        lambda: EarlyExit(lazy(), 7),
        lambda: EarlyExit(lazy(), 0),
        lambda: EarlyExit(lazy(), 2, 0),
        lambda: EarlyExit(lazy(), 2, confidence=1.5),
        lambda: EarlyExit(lazy(), None, adapter=lazy().model.layers[0]),
        lambda: LayerSkip(lazy(), range(6)),
        lambda: LayerSkip(lazy(), [9]),
        lambda: LayerSkip(lazy(), share=0.0),
        lambda: LayerSkip(lazy(), window=0),
    ):
        with pytest.raises(StructgenError):
            make()


# drafts


@pytest.mark.parametrize("name", [None, "schema", "lark"])
def test_leaving_out_what_does_nothing_is_always_right(name: str | None) -> None:
    expected, _ = decoded(LayerSkip(lazy(), IDENTITY), lazy(), name, budget=0)
    for source in (LayerSkip(lazy(), IDENTITY, 5, 0.0), EarlyExit(lazy(), 6, 5, 0.0)):
        found, statistics = decoded(source, lazy(), name)
        assert found == expected and statistics.accepted == statistics.drafted > 0
        assert statistics.steps <= -(-statistics.tokens // 6) + 1


def test_an_exit_with_and_without_confidence() -> None:
    expected, _ = decoded(EarlyExit(lazy(), 2), lazy(), None, budget=0)
    drafted = []
    for confidence in (0.0, 0.6, 1.0):
        found, statistics = decoded(EarlyExit(lazy(), 2, 4, confidence), lazy(), None, 24)
        assert found == expected[:24]
        drafted.append(statistics.drafted)
    assert drafted == sorted(drafted, reverse=True) and drafted[0] > 2 * drafted[-1]


def test_the_exit_is_chosen_by_what_was_right() -> None:
    """Of a model whose last four layers do nothing: exit 2 is always right and is found, from a single step on."""
    lm = deepcopy(model(3, torch.float64, layers=6))
    with torch.no_grad():
        for layer in lm.model.layers[2:]:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    expected, _ = decoded(EarlyExit(lm, 2), lm, None, 48, budget=0)
    for name in (None, "schema"):
        source = EarlyExit(lm, confidence=0.0)
        found, statistics = decoded(source, lm, name, 48)
        assert found == expected or name
        rates = source.rates.rates()
        assert rates[1] > 0.9 and rates[1:] == sorted(rates[1:]) and rates[0] < rates[1] - 0.2
        assert best_exit(rates, 6, 6) == (2, 6) and statistics.tokens > 2.5 * statistics.steps


def test_match_rates_are_those_of_one_run_over_the_text() -> None:
    """What the layers are credited with while decoding, from the hidden states of the whole output."""
    lm = lazy()
    for name in (None, "regex"):
        source = EarlyExit(lm, confidence=0.0)
        constraint = Stopped(automaton(name) if name else None, generator().vocab, STOPS, LOGITS)
        begun = source.begin(constraint, IDS)
        row = Row(IDS, constraint, Fused([begun], constraint, len(IDS), Rates()), GreedyMatch(), 30)
        decode(lm, [row], lambda weights: 0, Fixed(4))
        assert isinstance(begun, EarlyExit)
        expected = MatchRates(6)
        n_seen = begun._n_seen - len(IDS) + 1  # tokens that were compared
        hidden, state = run(lm, row.text).hidden_states, constraint.initial
        for i, token in enumerate(row.tokens[:n_seen]):
            may_follow = [t for t in range(LOGITS) if constraint.advance(state, t) >= 0]
            for layer in range(1, 6):
                logits = lm.lm_head(lm.model.norm(hidden[layer][0, len(IDS) - 1 + i]))
                if len(may_follow) > 1:
                    expected.add(layer, [max(may_follow, key=lambda t: float(logits[t])) == token])
            state = constraint.advance(state, token)
        assert n_seen > 10 and source.rates.rates() == pytest.approx(expected.rates())


def test_tokens_per_layer() -> None:
    """The tokens of a step, by their law: a draft is followed up to its first wrong token."""
    rng = random.Random(0)
    for _ in range(50):
        rate, n_layers, most = rng.choice([0.0, rng.random(), 1.0]), rng.randrange(2, 40), rng.randrange(1, 8)
        layer, length = rng.randrange(1, n_layers), rng.randrange(most + 1)
        tokens = sum(rate**i * (1 - rate) * (i + 1) for i in range(length)) + rate**length * (length + 1)
        assert tokens_per_layer(rate, layer, length, n_layers) == pytest.approx(tokens / (length * layer + n_layers))
        rates = [rng.random() for _ in range(n_layers - 1)]
        all_of_them = {(x, d): tokens_per_layer(rates[x - 1], x, d, n_layers) for x in range(1, n_layers) for d in range(most + 1)}
        assert all_of_them[best_exit(rates, most, n_layers)] == max(all_of_them.values())
    assert best_exit([0.0, 0.0, 0.0], 6, 4)[1] == 0 and best_exit([], 6, 1) == (1, 0)


# the search


def test_the_search_finds_what_does_nothing() -> None:
    source = LayerSkip(lazy(), None, 4, 0.0, share=0.33, window=8, seed=1)
    expected, _ = decoded(source, lazy(), None, 100, budget=0)
    assert source.search is not None and source.skipped == set(IDENTITY) and source.search.is_done
    found, statistics = decoded(source, lazy(), None, 60)
    assert found == expected[:60] and statistics.accepted == statistics.drafted


def test_match_rates_of_a_choice() -> None:
    """By hand: the model without the layers, run over the text, with the mask."""
    lm = lazy()
    source = LayerSkip(lm, None, window=8, share=0.33)
    constraint = Stopped(automaton("regex"), generator().vocab, STOPS, LOGITS)
    begun = source.begin(constraint, IDS)
    row = Row(IDS, constraint, Fused([begun], constraint, len(IDS), Rates()), GreedyMatch(), 20)
    decode(lm, [row], lambda weights: 0, Fixed(0))
    text, skipped = row.text, frozenset({1, 3})
    logits = run(submodel(lm, [0, 2, 4, 5]), text[-33:-1]).logits[0]
    matches, state = [], constraint.initial
    for i, token in enumerate(row.tokens):
        may_follow = [t for t in range(LOGITS) if constraint.advance(state, t) >= 0]
        at = logits[len(IDS) + i - len(text)]
        if i >= len(row.tokens) - 8 and len(may_follow) > 1:
            matches.append(max(may_follow, key=lambda t, at=at: float(at[t])) == token)
        state = constraint.advance(state, token)
    assert isinstance(begun, LayerSkip) and begun._match_rate(skipped, text) == pytest.approx(sum(matches) / len(matches))


@pytest.mark.parametrize("seed", range(3))
def test_a_search_improves_and_ends(seed: int) -> None:
    """Scores fall with what good layers are left out: the search comes near the best choice, and never takes a worse one."""
    good = random.Random(seed).sample(range(1, 15), 6)

    def score(skipped: frozenset[int]) -> float:
        return 0.9 - 0.1 * len(skipped & set(good))

    search = SkipSearch(16, 0.4, seed)
    best = [score(search.best)]
    while not search.is_done:
        search.trial(score)
        best.append(score(search.best))
        assert all(1 <= layer <= 14 for layer in search.best) and len(search.best) == 6
    assert best == sorted(best) and best[-1] >= 0.8 and len(best) - 1 == MAX_TRIALS
    assert max(map(score, search.scores)) == best[-1] and len(search.scores) == MAX_TRIALS + 1, "no choice is tried twice"


def test_a_search_ends_when_it_is_good_enough_or_nothing_is_left() -> None:
    search = SkipSearch(8, 0.5)
    search.trial(lambda skipped: GOOD_ENOUGH)
    assert search.is_done and len(search.scores) == 1
    search = SkipSearch(5, 0.4)
    for _ in range(20):
        search.trial(lambda skipped: 0.5)
    assert search.is_done and set(search.scores) == {frozenset(pair) for pair in combinations((1, 2, 3), 2)}
    assert SkipSearch(3, 0.4).is_done and EVERY > 1, "one choice only"


def test_expected_improvement() -> None:
    """Against sampling the posterior of the same Gaussian process, by hand for one observation."""
    seen, scores = np.array([[0.0, 0.0]]), np.array([0.4])
    choices = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    found = expected_improvement(seen, scores, choices)
    for choice, gain in zip(choices, found, strict=True):
        correlation = math.exp(-choice.sum()) * 0.09 / (0.09 + 0.0025)
        deviation = math.sqrt(0.09 - 0.09 * math.exp(-choice.sum()) * correlation)
        draws = np.random.default_rng(0).normal(0.4, deviation, 200_000)
        assert gain == pytest.approx(np.maximum(0, draws - 0.4).mean(), abs=2e-3)
    assert found[0] < found[1] < found[2], "the unknown promises more"
    likely = expected_improvement(np.eye(3), np.array([0.1, 0.1, 0.9]), np.array([[1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 1.0]]))
    assert likely[2] > likely[0], "near what was good rather than near what was bad"


def test_models_of_ones_own() -> None:
    """make=: for models that submodel() cannot take apart."""
    made = []

    def make(lm: Any, kept: Sequence[int]) -> Any:
        made.append(tuple(kept))
        return submodel(lm, kept)

    expected, _ = decoded(EarlyExit(lazy(), 3, make=make), lazy(), None, 12)
    assert made == [(0, 1, 2)] and expected == decoded(sg.speculative.Forced(), lazy(), None, 12)[0]
