"""Strategies that draw token by token: their laws, enumerated choice by choice, against laws worked out from the definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

import structgen as sg
from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.sampling import CNTP, Ancestral, Anchored, Contrastive, EntropySwitch, Greedy, SamplingFailed, Seeded
from structgen.sampling.anchored import anchor, divergence
from structgen.sampling.logspace import logsumexp
from structgen.sampling.switching import entropy
from structgen.sampling.target import Target
from structgen.sampling.truncation import kept
from tests.sampling.enumeration import END, VOCAB, allowed, language, random_model, random_target, stepwise_law
from tests.sampling.exact import exact, outcomes
from tests.sampling.toys import toy

PATTERNS = [("[abc]*", 3), ("a*b", 3), ("(ab|c)*a?", 4), ("(a{5}|b|cc)", 3)]


def laws(strategy: Any, target: Target) -> tuple[dict[str, float], dict[str, float]]:
    """The law of the single text by enumeration, and what the strategy itself calls its probability."""
    law: dict[str, float] = {}
    own: dict[str, float] = {}
    for probability, samples in outcomes(lambda choose: strategy(target, choose)):
        (text,) = samples
        law[text] = law.get(text, 0.0) + float(probability)
        own[text] = float(np.exp(np.float64(samples.log_strategies[0])))
    return law, own


def matcher(pattern: str, max_tokens: int) -> set[str]:
    return language(re.compile(pattern).fullmatch, max_tokens)


def power_law(model: Any, power: float = 1.0, keep: Any = None) -> Any:
    """p ** power among the allowed tokens, of them those that ``keep`` takes."""

    def rule(prefix: tuple[int, ...], tokens: list[int]) -> dict[int, float]:
        p = np.exp(model.log_probs([prefix])[0])
        weights = {token: float(p[token] ** power) for token in tokens}
        total = sum(weights.values())
        law = {token: w / total for token, w in weights.items()}
        law = keep(law) if keep else law
        return {token: w / sum(law.values()) for token, w in law.items()}

    return rule


def top(law: dict[int, float], k: int) -> dict[int, float]:
    return dict(sorted(law.items(), key=lambda item: (-item[1], item[0]))[:k])


def nucleus(law: dict[int, float], mass: float) -> dict[int, float]:
    found: dict[int, float] = {}
    for token, p in sorted(law.items(), key=lambda item: -item[1]):
        if sum(found.values()) < mass:
            found[token] = p
    return found


TRUNCATIONS = [
    ({}, 1.0, None),
    ({"temperature": 0.5}, 2.0, None),
    ({"top_k": 2}, 1.0, lambda law: top(law, 2)),
    ({"top_p": 0.7}, 1.0, lambda law: nucleus(law, 0.7)),
    ({"min_p": 0.4}, 1.0, lambda law: {t: p for t, p in law.items() if p >= 0.4 * max(law.values())}),
    ({"temperature": 2.0, "top_p": 0.6}, 0.5, lambda law: nucleus(law, 0.6)),
]


@pytest.mark.parametrize("pattern, max_tokens", PATTERNS, ids=str)
@pytest.mark.parametrize("options, power, keep", TRUNCATIONS, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_ancestral_law(pattern: str, max_tokens: int, options: dict[str, Any], power: float, keep: Any) -> None:
    target = random_target(1, pattern, max_tokens)
    law, own = laws(Ancestral(**options), target)
    expected = stepwise_law(matcher(pattern, max_tokens), power_law(target.model, power, keep))
    assert law == pytest.approx(expected, rel=1e-9) and own == pytest.approx(law, rel=1e-9)


def test_ancestral_law_in_fractions() -> None:
    law: dict[str, Fraction] = {}
    for probability, samples in outcomes(lambda choose: Ancestral()(toy(), choose)):
        law[samples[0]] = law.get(samples[0], Fraction(0)) + probability
        assert exact(samples.samples[0].log_strategy) == probability
    shares = {"aab": (5, 9), "ab": (1, 9), "ba": (1, 12), "bb": (1, 12), "b": (1, 6)}
    assert law == {text: Fraction(*share) for text, share in shares.items()}


@pytest.mark.parametrize("options", [{"top_k": 3}, {"top_p": 0.8}, {"min_p": 0.2}, {"top_k": 40, "top_p": 0.5, "min_p": 0.3}], ids=str)
def test_truncation_is_that_of_transformers(options: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        logits = random.normal(0, 3, 60)
        logits[random.random(60) < 0.5] = -np.inf
        scores = torch.tensor(logits)[None]
        for warper, name in ((TopKLogitsWarper, "top_k"), (TopPLogitsWarper, "top_p"), (MinPLogitsWarper, "min_p")):
            if name in options:
                scores = warper(options[name])(torch.zeros(1, 1, dtype=torch.long), scores)
        found = kept(logits, options.get("top_k"), options.get("top_p", 1.0), options.get("min_p", 0.0))
        assert found.tolist() == torch.isfinite(scores[0]).tolist()


@pytest.mark.parametrize("pattern, max_tokens", PATTERNS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_greedy(pattern: str, max_tokens: int, seed: int) -> None:
    target = random_target(seed, pattern, max_tokens)
    expected = stepwise_law(matcher(pattern, max_tokens), power_law(target.model, keep=lambda law: top(law, 1)))
    law, own = laws(Greedy(), target)
    assert law == own == expected


def test_what_cannot_be_finished_in_time_is_not_begun() -> None:
    likes_a = sg.sampling.CallableModel(lambda prefix: np.log([0.9, 0.04, 0.03, 0.03]), 4, END)
    for strategy in (Greedy(), Ancestral(5), CNTP(5), Anchored(likes_a, 1.0, 5), EntropySwitch(likes_a, 0, 5)):
        samples = strategy(Target(likes_a, sg.regex("a{5}|b"), VOCAB, 4), Seeded(0))
        assert set(samples) == {"b"} and len(samples) == samples.draws
        with pytest.raises(UnsatisfiableSchema, match="as few as 4 tokens"):
            strategy(Target(likes_a, sg.regex("a{5}"), VOCAB, 4), Seeded(0))
        assert set(strategy(Target(likes_a, sg.regex("a?"), VOCAB, 0), Seeded(0))) == {""}


def test_what_a_predicate_does_not_foresee_is_dropped() -> None:
    target = random_target(0, "[abc]*", 3)
    ends_in_b = sg.potential(None, lambda text: text == "bbb")
    with pytest.raises(SamplingFailed, match="dead end") as failure:
        Greedy()(Target(target.model, ends_in_b, VOCAB, 2), Seeded(0))
    assert len(failure.value.samples) == 0
    samples = Ancestral(200)(Target(target.model, ends_in_b, VOCAB, 3), Seeded(0))
    assert set(samples) == {"bbb"} and 0 < samples.acceptance < 1


def test_a_limit_of_the_constraint_itself_is_kept() -> None:
    short = sg.compile(sg.regex("a*"), VOCAB, max_tokens=2)
    likes_a = sg.sampling.CallableModel(lambda prefix: np.log([0.9, 0.04, 0.03, 0.03]), 4, END)
    assert Greedy()(Target(likes_a, short, VOCAB, 5), Seeded(0)).texts == ["aa"]
    assert Greedy()(Target(likes_a, short, VOCAB, 1), Seeded(0)).texts == ["a"]


# --- anchored ---


def test_the_anchor() -> None:
    log_r, log_s = np.log([0.7, 0.2, 0.1]), np.log([0.2, 0.3, 0.5])
    log_p = anchor(log_r, log_s, 0.1)
    w = (log_p[0] - log_s[0] - (log_p[1] - log_s[1])) / (log_r[0] - log_s[0] - (log_r[1] - log_s[1]))
    assert w == pytest.approx(0.378792, abs=1e-6)
    assert np.exp(log_p) == pytest.approx([0.377952, 0.302509, 0.319539], abs=1e-6)
    assert divergence(log_p, log_r) == pytest.approx(0.263451, abs=1e-6)
    assert divergence(log_p, log_s) == pytest.approx(0.1, abs=1e-9)
    assert divergence(log_r, log_s) == pytest.approx(0.634897, abs=1e-6)
    assert anchor(log_r, log_s, 0.7) == pytest.approx(log_r) and anchor(log_r, log_s, 0.0) == pytest.approx(log_s)


def test_anchors_of_many_tokens_spend_what_they_may() -> None:
    random = np.random.default_rng(0)
    for spread in (0.01, 1.0, 10.0, 100.0):
        for k in (1e-9, 1e-3, 0.1, 1.0, 5.0):
            log_r, log_s = (logits - logsumexp(logits) for logits in random.normal(0, spread, (2, 1000)))
            spent, most = divergence(anchor(log_r, log_s, k), log_s), divergence(log_r, log_s)
            assert spent == pytest.approx(min(k, most), abs=1e-9)


@pytest.mark.parametrize("k", [0.01, 0.1, 0.4])
def test_no_law_within_the_budget_is_nearer(k: float) -> None:
    log_r, log_s = np.log([0.7, 0.2, 0.1]), np.log([0.2, 0.3, 0.5])
    best = divergence(anchor(log_r, log_s, k), log_r)
    steps = np.arange(1, 100) / 100
    grid = [np.log([a, b, 1 - a - b]) for a in steps for b in steps if a + b < 0.995]
    within = [divergence(log_p, log_r) for log_p in grid if divergence(log_p, log_s) <= k]
    assert within and best <= min(within) + 1e-12 and min(within) < best + 0.05


@pytest.mark.parametrize(
    "r, s, k, expected",
    [
        ([1, 0], [0, 1], 5, [0, 1]),  # nothing in common
        ([0.5, 0.5, 0], [0, 0.5, 0.5], 0.1, [0, 0.5, 0.5]),  # what is in common is too far from s
        ([0.5, 0.5, 0], [0, 0.5, 0.5], 1, [0, 1, 0]),
        ([0.5, 0.25, 0.25], [0, 0.5, 0.5], 9, [0, 0.5, 0.5]),
    ],
)
def test_anchors_of_laws_with_zeros(r: list[float], s: list[float], k: float, expected: list[float]) -> None:
    with np.errstate(divide="ignore"):
        found = np.exp(anchor(np.log(r), np.log(s), k))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("budget", [0.0, 0.05, 0.5, 2.0, 100.0])
@pytest.mark.parametrize("pattern, max_tokens", PATTERNS[:3], ids=str)
def test_the_whole_text_stays_within_the_budget(pattern: str, max_tokens: int, budget: float) -> None:
    target, safe = random_target(1, pattern, max_tokens), random_model(2)
    law, own = laws(Anchored(safe, budget), target)
    assert own == pytest.approx(law, rel=1e-9) and sum(law.values()) == pytest.approx(1)
    texts = matcher(pattern, max_tokens)
    of_safe, of_risky = (stepwise_law(texts, power_law(model)) for model in (safe, target.model))
    assert set(law) <= texts
    assert sum(p * np.log(p / of_safe[text]) for text, p in law.items()) <= budget + 1e-9
    if budget in (0.0, 100.0):
        assert law == pytest.approx(of_risky if budget else of_safe, rel=1e-6)


def test_what_is_left_over_is_carried() -> None:
    """Steps without a choice spend nothing; the last one may spend it all, but never what the next steps will have."""
    risky = sg.sampling.CallableModel(lambda prefix: np.log([0.98, 0.01, 0.005, 0.005]), 4, END)
    safe = sg.sampling.CallableModel(lambda prefix: np.log([0.01, 0.98, 0.005, 0.005]), 4, END)
    early, _ = laws(Anchored(safe, 0.3), Target(risky, sg.regex("[ab]cc"), VOCAB, 3))
    late, _ = laws(Anchored(safe, 0.3), Target(risky, sg.regex("cc[ab]"), VOCAB, 3))
    spent = [p * np.log(p * 99) + (1 - p) * np.log((1 - p) * 99 / 98) for p in (early["acc"], late["cca"])]
    assert spent == pytest.approx([0.3 / 4, 3 * 0.3 / 4])


# --- two models ---


@pytest.mark.parametrize("threshold", [0.0, 0.6, 1.0, np.inf])
@pytest.mark.parametrize("pattern, max_tokens", PATTERNS[:3], ids=str)
def test_switching_law(pattern: str, max_tokens: int, threshold: float) -> None:
    target, large = random_target(1, pattern, max_tokens), random_model(2)
    small_rule, large_rule = power_law(target.model), power_law(large)

    def rule(prefix: tuple[int, ...], tokens: list[int]) -> dict[int, float]:
        law = small_rule(prefix, tokens)
        unsure = -sum(p * np.log(p) for p in law.values()) > threshold
        return large_rule(prefix, tokens) if unsure else law

    law, own = laws(EntropySwitch(large, threshold), target)
    assert law == pytest.approx(stepwise_law(matcher(pattern, max_tokens), rule), rel=1e-9) and own == pytest.approx(law)
    if threshold == np.inf:
        assert law == pytest.approx(laws(Ancestral(), target)[0])


def test_the_large_model_is_only_asked_where_there_is_a_choice() -> None:
    asked: list[Any] = []
    large = random_model(2)
    spy = sg.sampling.CallableModel(lambda prefix: asked.append(prefix) or large.log_probs([prefix])[0], 4, END)  # type: ignore[func-returns-value]
    samples = EntropySwitch(spy, 0.0)(random_target(1, "ab[ab]ab", 5), Seeded(0))
    assert asked == [(0, 1)] and samples.forward_passes == 6 + 1


def test_a_large_model_without_the_allowed_tokens_is_no_dead_end() -> None:
    row = np.log([0.5, 0.5, 1e-300, 1e-300])
    row[2:] = -np.inf
    samples = EntropySwitch(sg.sampling.CallableModel(lambda prefix: row, 4, END), 0.0, 3)(random_target(1, "c*", 2), Seeded(0))
    assert len(samples) == 3


@pytest.mark.parametrize("alpha, min_p", [(0.0, 0.0), (0.5, 0.0), (1.0, 0.2), (-1.0, 0.0)])
@pytest.mark.parametrize("pattern, max_tokens", PATTERNS[:3], ids=str)
def test_contrastive_law(pattern: str, max_tokens: int, alpha: float, min_p: float) -> None:
    target, other = random_target(1, pattern, max_tokens), random_model(2)
    a_rule, b_rule = power_law(target.model), power_law(other)

    def rule(prefix: tuple[int, ...], tokens: list[int]) -> dict[int, float]:
        a, b = a_rule(prefix, tokens), b_rule(prefix, tokens)
        weights = {token: p / b[token] ** alpha for token, p in a.items() if p >= min_p * max(a.values())}
        return {token: w / sum(weights.values()) for token, w in weights.items()}

    law, own = laws(Contrastive(against=other, alpha=alpha, min_p=min_p), target)
    assert law == pytest.approx(stepwise_law(matcher(pattern, max_tokens), rule), rel=1e-9) and own == pytest.approx(law)


def test_a_contrast_with_a_zero_is_finite() -> None:
    rows = np.full((2, 4), -np.inf)
    rows[0, 0] = rows[1, END] = 0.0
    sure = sg.sampling.CallableModel(lambda prefix: rows[min(len(prefix), 1)], 4, END)
    samples = Contrastive(against=sure, greedy=True, min_p=0.0)(random_target(1, "[abc]", 1), Seeded(0))
    assert samples.texts in (["b"], ["c"]) and np.isfinite(samples.log_probs).all()


# --- cautious ---


@pytest.mark.parametrize("most, high", [(1, 1.0), (2, 1.0), (3, 1.0), (3, 0.4)])
@pytest.mark.parametrize("pattern, max_tokens", [("[abc]*", 2), ("a*b", 3), ("(ab|c)*a?", 3)], ids=str)
def test_cautious_law(pattern: str, max_tokens: int, most: int, high: float) -> None:
    """The best of N independent stretches, by sums over all N-tuples."""
    low, texts = 0.2, matcher(pattern, max_tokens)
    target = random_target(3, pattern, max_tokens)
    base = power_law(target.model)
    strategy = CNTP(least=1, most=most, low=low, high=high, stops=lambda piece: piece == b"b")

    def stretches(prefix: tuple[int, ...], tokens: tuple[int, ...], p: float) -> Iterator[tuple[tuple[int, ...], float]]:
        for token, q in base((*prefix, *tokens), allowed(texts, (*prefix, *tokens))).items():
            if token in (END, 1):
                yield (*tokens, token), p * q
            else:
                yield from stretches(prefix, (*tokens, token), p * q)

    def best_of(prefix: tuple[int, ...]) -> dict[tuple[int, ...], float]:
        law = dict(stretches(prefix, (), 1.0))
        first = base(prefix, allowed(texts, prefix))
        h = -sum(p * np.log(p) for p in first.values())
        n = 1 + int(np.floor((most - 1) * min(max((h - low) / (high - low), 0), 1)))
        assert n == strategy.trials(h)
        order = sorted(law, key=lambda tokens: np.log(law[tokens]) / len(tokens))
        below = np.cumsum([law[tokens] for tokens in order])
        return {tokens: up**n - (up - law[tokens]) ** n for tokens, up in zip(order, below, strict=True)}

    expected: dict[str, float] = {}
    stack: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    while stack:
        prefix, p = stack.pop()
        for tokens, q in best_of(prefix).items():
            if tokens[-1] == END:
                text = "".join("abc"[i] for i in (*prefix, *tokens[:-1]))
                expected[text] = expected.get(text, 0) + p * q
            else:
                stack.append(((*prefix, *tokens), p * q))
    law, own = laws(strategy, target)
    assert law == pytest.approx(expected, rel=1e-9)
    assert own == pytest.approx(law) if most == 1 else all(np.isnan(p) for p in own.values())


def test_number_of_trials() -> None:
    strategy = CNTP(least=1, most=40, low=1.0, high=3.0)
    assert [strategy.trials(h) for h in (0, 1, 2, 2.99, 3, 9)] == [1, 1, 20, 39, 40, 40]
    assert entropy(np.log([0.5, 0.5])) == pytest.approx(np.log(2)) and entropy(np.array([0.0, -np.inf])) == 0


def test_bad_options() -> None:
    model = random_model(0)
    for make in (
        lambda: Ancestral(0),
        lambda: Ancestral(temperature=0),
        lambda: Ancestral(top_k=0),
        lambda: Ancestral(top_p=0),
        lambda: Ancestral(min_p=2),
        lambda: Anchored(model, -1),
        lambda: Anchored(model, float("nan")),
        lambda: EntropySwitch(model, -1),
        lambda: Contrastive(),
        lambda: Contrastive("x", alpha=np.inf),
        lambda: CNTP(least=3, most=2),
        lambda: CNTP(low=2, high=1),
    ):
        with pytest.raises(StructgenError):
            make()
    with pytest.raises(StructgenError, match="needs a model of transformers"):
        Contrastive("x")(random_target(0), Seeded(0))
    with pytest.raises(StructgenError, match="another model is"):
        Anchored("gpt", 1.0)(random_target(0), Seeded(0))
    with pytest.raises(StructgenError, match="same token"):
        Anchored(sg.sampling.CallableModel(lambda prefix: np.zeros(4), 4, 2), 1.0)(random_target(0), Seeded(0))
