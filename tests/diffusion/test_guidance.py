"""SVDD on chains small enough to enumerate: the law for M candidates, its limits, and the value function of a constraint."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import structgen as sg
from structgen.diffusion.guidance import Svdd, Value, posterior_mean, validity
from structgen.diffusion.interfaces import View
from structgen.errors import StructgenError
from structgen.sampling.choice import Seeded
from tests.diffusion.policy_toys import MASK, HashModel, Toy, view_of, words_of
from tests.sampling.exact import law

P = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.3, 0.6]])
Canvas = tuple[int, ...]


def rows(canvases: Tensor) -> Tensor:
    return P.log().expand(len(canvases), -1, -1)


def table_value(canvas: Canvas) -> float:
    """Any function of a canvas; one value excludes it."""
    found = math.sin(3.0 * sum((i + 1) * (t + 2) for i, t in enumerate(canvas)))
    return -math.inf if canvas in ((2, MASK), (0, 0)) else found


def table(canvases: Tensor, is_open: Tensor, log_p: Tensor) -> Tensor:
    assert torch.equal(is_open, canvases == MASK) and log_p.shape == (*canvases.shape, 3)
    return torch.tensor([table_value(tuple(canvas)) for canvas in canvases.tolist()])


def view(allowed: Tensor | None = None) -> View:
    return view_of(P.log(), allowed=allowed, look_ahead=rows)


def canvas_of(proposal: Any) -> Canvas:
    canvas = [MASK, MASK]
    for index, token in zip(proposal.indices, proposal.tokens, strict=True):
        canvas[index] = token
    assert proposal.at_most == len(proposal.indices)
    return tuple(canvas)


def plain_law(per_step: int) -> dict[Canvas, float]:
    """What a step of the model alone leads to: uniform positions, tokens by the rows."""
    p = P.double().tolist()
    if per_step == 2:
        return {(a, b): p[0][a] * p[1][b] for a in range(3) for b in range(3)}
    return {(a, MASK): p[0][a] / 2 for a in range(3)} | {(MASK, b): p[1][b] / 2 for b in range(3)}


def law_of(m: int, per_step: int, alpha: float) -> dict[Canvas, float]:
    """By trying all tuples of candidates."""
    plain, found = plain_law(per_step), defaultdict(float)
    for drawn in itertools.product(plain, repeat=m):
        weights = [math.exp(table_value(c) / alpha) for c in drawn]
        if m == 1 or not any(weights):
            weights = [1.0] * m
        for canvas, weight in zip(drawn, weights, strict=True):
            found[canvas] += math.prod(plain[c] for c in drawn) * weight / sum(weights)
    return found


def close(found: dict[Canvas, Any], expected: dict[Canvas, float], tolerance: float = 1e-6) -> bool:
    return all(abs(float(found.get(c, 0)) - expected.get(c, 0)) < tolerance for c in {*found, *expected})


@pytest.mark.parametrize("m, per_step, alpha", [(1, 1, 1.0), (1, 2, 1.0), (2, 1, 1.0), (2, 2, 0.5), (3, 1, 2.0)])
def test_the_law_of_a_step_for_every_choice(m: int, per_step: int, alpha: float) -> None:
    found = law(lambda choose: canvas_of(Svdd(table, m, alpha, per_step, choose).propose(view())))
    expected = law_of(m, per_step, alpha)
    assert close(found, expected)
    if m == 1:
        assert close(found, plain_law(per_step))


class Recorder:
    """Seeded choices, the weights of the last one kept."""

    def __init__(self) -> None:
        self.choose, self.last = Seeded(0), np.zeros(0)

    def __call__(self, log_weights: Any) -> int:
        self.last = np.asarray(log_weights)
        return self.choose(log_weights)


def limit_of(value: Value, per_step: int, allowed: Tensor | None = None, m: int = 6_000) -> dict[Canvas, float]:
    """The law of a step for many candidates: their weights, summed over equal ones."""
    recorder, candidates = Recorder(), []
    policy = Svdd(value, m, 1.0, per_step, recorder)
    draw = policy._candidate
    policy._candidate = lambda view: candidates.append(draw(view)) or candidates[-1]  # type: ignore[method-assign,func-returns-value]
    policy.propose(view(allowed))
    found: dict[Canvas, float] = defaultdict(float)
    for (indices, tokens), weight in zip(candidates, np.exp(recorder.last - recorder.last.max()), strict=True):
        canvas = [MASK, MASK]
        for index, token in zip(indices, tokens, strict=True):
            canvas[index] = token
        found[tuple(canvas)] += weight
    total = sum(found.values())
    return {canvas: weight / total for canvas, weight in found.items()}


def normalised(weights: dict[Canvas, float]) -> dict[Canvas, float]:
    total = sum(weights.values())
    return {canvas: weight / total for canvas, weight in weights.items()}


@pytest.mark.parametrize("per_step", [1, 2])
@pytest.mark.parametrize("constrained", [False, True])
def test_for_many_candidates_the_law_is_that_of_the_model_times_the_value(per_step: int, constrained: bool) -> None:
    allowed = torch.tensor([[True, True, False], [True, True, True]]) if constrained else None
    expected = {
        canvas: p * math.exp(table_value(canvas)) for canvas, p in plain_law(per_step).items() if not (constrained and canvas[0] == 2)
    }
    assert close(limit_of(table, per_step, allowed), normalised(expected), 0.025)


def test_without_alpha_the_best_candidate_is_taken() -> None:
    choose = Seeded(0)
    found = {canvas_of(Svdd(table, 200, 0.0, 2, choose).propose(view())) for _ in range(5)}
    assert found == {max(plain_law(2), key=table_value)}


def test_where_all_candidates_are_excluded_one_is_taken_all_the_same() -> None:
    policy = Svdd(lambda canvases, is_open, log_p: torch.full([len(canvases)], -math.inf), 3)
    assert len(policy.propose(view()).indices) == 1


@pytest.mark.parametrize("options", [{"candidates": 0}, {"alpha": -1.0}])
def test_senseless_numbers_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(StructgenError, match="at least one candidate"):
        Svdd(table, **options)


# -- the constraint's own value function -----------------------------------------------------------------------------------------

VOCAB = sg.Vocabulary.from_bytes([b"a", b"b", b"c", b""], eos_token_id=3)
PATTERNS = ["a*bc*|cb*", "(ab)*c?", "[abc]{1,3}", "c(a|b)*c"]


def probability_of_validity(automaton: sg.TokenAutomaton, canvas: Canvas, p: list[list[float]]) -> float:
    total = 0.0
    for word in itertools.product(range(4), repeat=len(canvas)):
        if all(t in (MASK, w) for t, w in zip(canvas, word, strict=True)):
            state = automaton.initial
            for token in word:
                state = automaton.advance(state, token) if state != automaton.dead else state
            if state != automaton.dead and automaton.is_accepting(state):
                total += math.prod(p[i][w] for i, w in enumerate(word) if canvas[i] == MASK)
    return total


@pytest.mark.parametrize("pattern", PATTERNS)
def test_validity_is_the_probability_that_the_text_will_be_valid(pattern: str) -> None:
    automaton = sg.compile(sg.regex(pattern), VOCAB)
    canvases = list(itertools.product([0, 1, 3, MASK], repeat=3))
    model = HashModel(len(pattern), 3)
    log_p = model.logits(torch.tensor(canvases)).log_softmax(-1)
    ids = torch.tensor(canvases)
    found = validity(automaton)(ids, ids == MASK, log_p).exp().tolist()
    expected = [probability_of_validity(automaton, canvas, p.double().exp().tolist()) for canvas, p in zip(canvases, log_p, strict=True)]
    assert found == pytest.approx(expected, abs=1e-6)
    assert 0.0 in found and max(found) > 0


@pytest.mark.parametrize("pattern", PATTERNS)
def test_validity_is_the_mean_of_its_values_one_step_later(pattern: str) -> None:
    """If the rows do not change; so chains that follow the limit of the law are exact draws given that the text is valid."""
    automaton = sg.compile(sg.regex(pattern), VOCAB)
    log_p = HashModel(1, 3, context=0.0).logits(torch.tensor([[MASK] * 3])).log_softmax(-1)
    value = validity(automaton)

    def of(canvas: list[int]) -> float:
        ids = torch.tensor([canvas])
        return float(value(ids, ids == MASK, log_p).exp())

    for at in range(3):
        later = [float(log_p[0, at, t].exp()) * of([t if i == at else MASK for i in range(3)]) for t in range(4)]
        assert of([MASK] * 3) == pytest.approx(sum(later))


def test_validity_from_another_state() -> None:
    automaton = sg.compile(sg.regex("abc*"), VOCAB)
    start = automaton.advance(automaton.initial, 0)
    ids = torch.tensor([[MASK, MASK]])
    log_p = torch.full((1, 2, 4), 0.25).log()
    assert float(validity(automaton, start)(ids, ids == MASK, log_p).exp()) == pytest.approx(2 / 16)  # "bc" and "b" with its end


def test_guided_by_validity_nothing_invalid_is_proposed() -> None:
    automaton = sg.compile(sg.regex("(ab)*c?"), VOCAB)
    for seed in range(20):
        model = HashModel(seed, 4, sharpness=0.5, context=0.3)
        toy = Toy(model, Svdd(validity(automaton), 200, choose=Seeded(seed)))
        text = VOCAB.decode(t for t in toy.run() if t != 3).decode()
        assert automaton.accepts(text)


# -- rewards -------------------------------------------------------------------------------------------------------------------


def test_the_posterior_mean_fills_what_is_open_with_the_most_probable_tokens() -> None:
    asked: list[list[int]] = []
    value = posterior_mean(lambda tokens: asked.append(tokens) or float(tokens[0] - tokens[1]))  # type: ignore[func-returns-value]
    canvases = torch.tensor([[1, MASK], [MASK, 0], [2, 2]])
    assert value(canvases, canvases == MASK, rows(canvases)).tolist() == [-1.0, 0.0, 0.0]
    assert asked == [[1, 2], [0, 0], [2, 2]]


def test_a_reward_raises_itself_under_a_constraint() -> None:
    words = words_of(1, 5)

    def mean_reward(candidates: int) -> float:
        value = posterior_mean(lambda tokens: 3.0 * tokens.count(2))
        found = [Toy(HashModel(seed, 5), Svdd(value, candidates, choose=Seeded(seed)), words=words).run() for seed in range(12)]
        assert all(word in words for word in found)
        return sum(word.count(2) for word in found) / len(found)

    assert mean_reward(12) > mean_reward(1) + 0.5
