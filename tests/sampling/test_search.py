"""Searches against slow twins written from the definitions, enumeration, and transformers' own beam search."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

import structgen as sg
from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.sampling import Beam, BestFirst, DiverseBeam, Extract, Greedy, SamplingFailed, Seeded, Superposed
from structgen.sampling.target import Target
from tests.decoding import models
from tests.sampling.enumeration import END, VOCAB, allowed, language, log_prob, random_model, random_target, texts_up_to, tokens_of

PATTERNS = [("[abc]*", 4), ("a*b", 4), ("(ab|c)*a?", 4), ("(a{6}|b|cc|ccb)", 3)]


def text_of(tokens: tuple[int, ...]) -> str:
    return "".join("abc"[i] for i in tokens)


def slow_beams(model: Any, texts: set[str], width: int, groups: int, diversity: float, penalty: float) -> list[str]:
    """Beams by definition: every extension of every prefix, sorted. Groups with ``diversity`` end when they cannot improve, for then they
    no longer stand in the way of others; without, nothing ends early."""

    def score(text: str) -> float:
        return log_prob(model, text) / (len(text) + 1) ** penalty

    live, done = [[((), 0.0)] for _ in range(groups)], [list[str]() for _ in range(groups)]
    while any(live):
        taken = Counter[int]()
        for g in range(groups):
            found = [
                (value + model.log_probs([prefix])[0][token], prefix, token)
                for prefix, value in live[g]
                for token in allowed(texts, prefix)
            ]
            found.sort(key=lambda each: each[0] - diversity * taken[each[2]], reverse=True)
            going = [(value, (*prefix, token)) for value, prefix, token in found if token != END][:width]
            ended = [prefix for _, prefix, token in found[:width] if token == END]
            live[g] = [(prefix, value) for value, prefix in going]
            done[g] = sorted([*done[g], *map(text_of, ended)], key=score, reverse=True)[:width]
            if diversity and len(done[g]) == width and all(value <= score(done[g][-1]) for _, value in live[g]):
                live[g] = []
            taken.update([prefix[-1] for _, prefix in going] + [END] * len(ended))
    best = {text for texts_of_group in done for text in texts_of_group}
    return sorted(best, key=score, reverse=True)


@pytest.mark.parametrize("pattern, max_tokens", PATTERNS, ids=str)
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("penalty", [0.0, 1.0, -0.5])
def test_beams(pattern: str, max_tokens: int, n: int, penalty: float) -> None:
    texts = language(re.compile(pattern).fullmatch, max_tokens)
    for seed in range(8):
        target = random_target(seed, pattern, max_tokens)
        samples = Beam(n, length_penalty=penalty)(target, Seeded(0))
        assert samples.texts == slow_beams(target.model, texts, n, 1, 0.0, penalty)
        assert samples.log_probs == pytest.approx([log_prob(target.model, text) for text in samples])


def test_beams_wait_for_longer_texts_as_long_as_these_may_score_better() -> None:
    rows = np.log([[0.3, 0.05, 0.05, 0.6], *[[0.97, 0.01, 0.01, 0.01]] * 5, [0.01, 0.01, 0.01, 0.97]])
    target = Target(sg.sampling.CallableModel(lambda prefix: rows[len(prefix)], 4, END), sg.regex("(a{6})?"), VOCAB, 6)
    assert Beam(1)(target, Seeded(0)).texts == [""]
    assert Beam(1, length_penalty=1.0)(target, Seeded(0)).texts == ["aaaaaa"]


@pytest.mark.parametrize("pattern, max_tokens", PATTERNS, ids=str)
@pytest.mark.parametrize("n, groups, diversity", [(4, 2, 0.5), (3, 3, 0.8), (4, 2, 20.0), (6, 3, 0.2)])
def test_diverse_beams(pattern: str, max_tokens: int, n: int, groups: int, diversity: float) -> None:
    texts = language(re.compile(pattern).fullmatch, max_tokens)
    differs = False
    for seed in range(8):
        target = random_target(seed, pattern, max_tokens)
        diverse = DiverseBeam(n, groups, diversity)(target, Seeded(0))
        assert diverse.texts == slow_beams(target.model, texts, n // groups, groups, diversity, 0.0)
        differs |= set(diverse) != set(Beam(n // groups)(target, Seeded(0)))
        assert DiverseBeam(n, groups, 0.0)(target, Seeded(0)).texts == Beam(n // groups)(target, Seeded(0)).texts
        assert DiverseBeam(n, 1, diversity)(target, Seeded(0)).texts == Beam(n)(target, Seeded(0)).texts
    assert differs or pattern != "[abc]*"


@pytest.mark.parametrize("pattern, max_tokens", PATTERNS, ids=str)
@pytest.mark.parametrize("n", [1, 3, 50])
@pytest.mark.parametrize("batch", [1, 4])
def test_best_first_is_the_enumeration(pattern: str, max_tokens: int, n: int, batch: int) -> None:
    texts = language(re.compile(pattern).fullmatch, max_tokens)
    for seed in range(5):
        target = random_target(seed, pattern, max_tokens)
        expected = sorted(texts, key=lambda text: -log_prob(target.model, text))[:n]
        samples = BestFirst(n, batch=batch)(target, Seeded(0))
        assert samples.texts == expected
        assert samples.log_probs == pytest.approx([log_prob(target.model, text) for text in expected])


@pytest.mark.parametrize("n", [1, 2, 4, 9])
def test_best_first_where_beams_come_to_dead_ends(n: int) -> None:
    texts = ["aba", "ccb", "cbb", "bcaa"]
    for seed in range(5):
        target = Target(random_model(seed), sg.potential(None, texts.__contains__), VOCAB, 4)
        assert BestFirst(n)(target, Seeded(0)).texts == sorted(texts, key=lambda text: -log_prob(target.model, text))[:n]


def test_a_bound_saves_calls_and_changes_nothing() -> None:
    saved = 0
    for seed in range(10):
        target = random_target(seed, "[abc]*", 5)
        values = {tokens_of(text): log_prob(target.model, text) for text in texts_up_to(5)}

        def rest(tokens: tuple[int, ...], state: Any, values: Any = values, model: Any = target.model) -> float:
            """Exactly the best completion."""
            so_far = sum(model.log_probs([tokens[:i]])[0][token] for i, token in enumerate(tokens))
            return max(value for text, value in values.items() if text[: len(tokens)] == tokens) - so_far + 1e-9

        plain, bounded = BestFirst()(target, Seeded(0)), BestFirst(bound=rest)(target, Seeded(0))
        assert plain.texts == bounded.texts and bounded.sequences <= plain.sequences
        saved += plain.sequences - bounded.sequences
        beams = Beam(1)(target, Seeded(0)).sequences
        assert bounded.sequences <= beams + 1 + max(map(len, bounded.tokens))
    assert saved > 0


def test_budgets() -> None:
    target = random_target(0, "[abc]*", 6)
    with pytest.raises(SamplingFailed, match="max_expansions") as failure:
        BestFirst(5, max_expansions=3)(target, Seeded(0))
    assert failure.value.samples.texts == Beam(5)(target, Seeded(0)).texts
    impossible = sg.potential(None, lambda text: False)
    for strategy in (Beam(2), DiverseBeam(2, 2), BestFirst(2), Extract([0, 1]), Greedy()):
        with pytest.raises(SamplingFailed):
            strategy(Target(target.model, impossible, VOCAB, 3), Seeded(0))
    for strategy in (Beam(2), DiverseBeam(2, 2), BestFirst(2)):
        with pytest.raises(UnsatisfiableSchema):
            strategy(Target(target.model, sg.regex("a{5}"), VOCAB, 4), Seeded(0))
        assert set(strategy(Target(target.model, sg.regex("a*"), VOCAB, 0), Seeded(0))) == {""}


@pytest.mark.parametrize("passage", ["abacab", "aaaa", "c", "abcabcabca"])
@pytest.mark.parametrize("pattern, max_tokens", [("[abc]*", 4), ("[ab]*", 3), (".b.*", 20)], ids=str)
@pytest.mark.parametrize("batch, per_token", [(1, False), (2, True), (64, False), (64, True)])
def test_extract_is_brute_force(passage: str, pattern: str, max_tokens: int, batch: int, per_token: bool) -> None:
    target = random_target(4, pattern, max_tokens)
    spans = {passage[i:j] for i in range(len(passage)) for j in range(i + 1, min(len(passage), i + max_tokens) + 1)}
    spans = {span for span in spans if re.fullmatch(pattern, span)}
    values = {span: log_prob(target.model, span) / (len(span) + 1 if per_token else 1) for span in spans}
    for n in (1, 3, 100):
        strategy = Extract(tokens_of(passage), n, per_token=per_token, batch=batch)
        if not spans:
            with pytest.raises(SamplingFailed, match="no span"):
                strategy(target, Seeded(0))
            continue
        samples = strategy(target, Seeded(0))
        assert samples.texts == sorted(spans, key=lambda span: -values[span])[:n]
        assert samples.log_probs == pytest.approx([log_prob(target.model, span) for span in samples])


def test_extract_asks_for_no_run_twice() -> None:
    target = random_target(4, "[abc]*", 9)
    samples = Extract(tokens_of("abababab"), 100)(target, Seeded(0))
    assert samples.sequences == 1 + len(samples)  # the root, and every distinct run
    assert Extract(tokens_of("abababab"))(target, Seeded(0)).sequences < samples.sequences


# --- models of transformers ---

PROMPT = [5, 6, 7, 8]
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer", "maximum": 99, "minimum": 0}, "ok": {"type": "boolean"}}}


WAVES = sg.sampling.CallableModel(lambda tokens: np.cos(np.arange(models.LOGITS) + len(tokens)), models.LOGITS, 1)


def lm(seed: int = 0) -> Any:
    from structgen.sampling.transformers_model import TransformersModel

    return TransformersModel(models.model(seed, torch.float64), PROMPT, [models.tokenizer().eos_token_id])


@pytest.mark.parametrize("n", [1, 2, 4, 7])
@pytest.mark.parametrize("pattern", ["yes|no|maybe|(yes )+(no )+", "[ab]{2,4}", "[0-9]{1,3}(,[0-9]{3})*"])
@pytest.mark.parametrize("seed", [0, 1])
def test_beams_are_those_of_transformers(n: int, pattern: str, seed: int) -> None:
    model, tokenizer, limit = models.model(seed, torch.float64), models.tokenizer(), 12
    automaton = sg.compile(sg.regex(pattern), tokenizer, max_tokens=limit)
    output = model.generate(
        input_ids=torch.tensor([PROMPT]),
        attention_mask=torch.ones(1, len(PROMPT), dtype=torch.long),
        logits_processor=[automaton.processor()],
        num_beams=n,
        num_return_sequences=n,
        length_penalty=0.0,
        early_stopping="never",
        do_sample=False,
        max_new_tokens=limit + 1,
        return_dict_in_generate=True,
        output_scores=True,
    )
    expected = []
    scores = output.sequences_scores if n > 1 else [0.0]
    for row, score in zip(output.sequences[:, len(PROMPT) :].tolist(), scores, strict=True):
        if float(score) > -1e8 and tokenizer.eos_token_id in row:
            expected.append((tuple(row[: row.index(tokenizer.eos_token_id)]), float(score)))
    strategy = Beam(n) if n > 1 else Greedy()
    samples = strategy(Target(lm(seed), automaton, tokenizer, limit), Seeded(0))
    assert samples.tokens == [tokens for tokens, _ in expected]
    if n > 1:
        assert samples.log_probs == pytest.approx([score for _, score in expected], rel=1e-6)


def slow_superposed(model: Any, automaton: Any, k: int, branching: int, limit: int, ngram: Any, alpha: float) -> list[tuple[int, ...]]:
    """Each pass over all the mixtures again; drafts as (tokens, log score, ended)."""
    embed, eos = model.get_input_embeddings(), models.tokenizer().eos_token_id
    inputs = embed(torch.tensor(PROMPT))
    drafts = [((), 0.0, False)]
    limited = automaton.limited(limit)
    while not all(ended for *_, ended in drafts):
        live = [(tokens, score) for tokens, score, ended in drafts if not ended]
        if live[0][0]:
            weights = torch.softmax(torch.tensor([score for _, score in live]), 0)
            mixture = sum(w * embed.weight[tokens[-1]] for w, (tokens, _) in zip(weights, live, strict=True))
            inputs = torch.cat([inputs, mixture[None]])
        log_p = torch.log_softmax(model(inputs_embeds=inputs[None]).logits[0, -1].double(), -1)
        found = []
        for tokens, score in live:
            state = limited.initial
            for token in tokens:
                state = limited.advance(state, token)
            options = sorted(limited.allowed(state).tolist(), key=lambda t: -float(log_p[t]))[:branching]
            for t in options:
                value = float(log_p[t])
                if ngram is not None:
                    value = (1 - alpha) * value + alpha * float(ngram.log_probs([tokens])[0][t])
                found.append((tokens if t == eos else (*tokens, t), score + value, t == eos))
        found += [draft for draft in drafts if draft[2]]
        drafts = sorted(found, key=lambda draft: -draft[1])[:k]
    return [tokens for tokens, *_ in drafts]


@pytest.mark.parametrize("spec", [SCHEMA, sg.regex("(yes|no|maybe)( and (yes|no|maybe))*")], ids=["schema", "regex"])
@pytest.mark.parametrize("k, branching, with_ngram", [(1, 9, False), (3, 9, False), (3, 2, True), (5, 3, False)])
def test_superposed(spec: Any, k: int, branching: int, with_ngram: bool) -> None:
    with torch.inference_mode():
        automaton = sg.compile(spec, models.tokenizer())
        ngram = (
            sg.sampling.CallableModel(lambda tokens: np.cos(np.arange(models.LOGITS) + len(tokens)), models.LOGITS, 1)
            if with_ngram
            else None
        )
        strategy = Superposed(k, branching, ngram=ngram, alpha=0.54)
        samples = strategy(Target(lm(), automaton, models.tokenizer(), 14), Seeded(0))
        expected = slow_superposed(models.model(0, torch.float64), automaton, k, branching, 14, ngram, 0.54)
        assert sorted(samples.tokens) == sorted(expected)
        assert samples.log_probs == pytest.approx([direct(tokens) for tokens in samples.tokens])
        assert list(samples.log_probs) == sorted(samples.log_probs, reverse=True)
        if k == 1:
            assert samples.tokens == Greedy()(Target(lm(), automaton, models.tokenizer(), 14), Seeded(0)).tokens
        assert samples.sequences == max(map(len, samples.tokens)) + 1 + len(samples), "one row per step, and the scores"


def direct(tokens: tuple[int, ...]) -> float:
    ids = [*PROMPT, *tokens]
    log_p = torch.log_softmax(models.model(0, torch.float64)(input_ids=torch.tensor([ids])).logits[0], -1)
    targets = [*ids[len(PROMPT) :], models.tokenizer().eos_token_id]
    return float(log_p[range(len(PROMPT) - 1, len(ids)), targets].sum())


def test_superposed_needs_embeddings() -> None:
    with pytest.raises(StructgenError, match="reads embeddings"):
        Superposed()(random_target(0), Seeded(0))


def test_bad_options() -> None:
    for make in (
        lambda: Beam(0),
        lambda: Beam(2, length_penalty=float("nan")),
        lambda: DiverseBeam(4, 3),
        lambda: DiverseBeam(4, 2, -1.0),
        lambda: BestFirst(0),
        lambda: BestFirst(batch=0),
        lambda: Extract("a", 0),
        lambda: Superposed(0),
        lambda: Superposed(alpha=2),
    ):
        with pytest.raises(StructgenError):
            make()
    with pytest.raises(StructgenError, match="not among the model's 4"):
        Extract([0, 4])(random_target(0), Seeded(0))
    with pytest.raises(StructgenError, match="token ids"):
        Extract("abc")(random_target(0), Seeded(0))


def test_random_model_is_normalised() -> None:
    assert np.exp(random_model(3).log_probs([(), (0, 1)])).sum(axis=1) == pytest.approx([1, 1])
