"""Rules that are another law by their own account: what they keep, and that nothing the constraint forbids is ever among it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from structgen.errors import StructgenError
from structgen.speculative.draft_tree import DraftTree, Kind
from structgen.speculative.drafters.sampled_model import SampledModel
from structgen.speculative.generation import Speculative, run
from structgen.speculative.lengths import Fixed
from structgen.speculative.target import MaskedTarget
from structgen.speculative.verifiers import LossyArbitrage, LossyJudge, SampleFollow
from structgen.speculative.verifiers.lossy_judge import Judged
from tests.sampling.exact import law
from tests.speculative.toys import Toy, emitted, points_of, step, tree_of

SEEDS = range(2)
SHAPES = {"points": points_of(2, 2), "iid": tree_of(2, 1, Kind.IID), "chain": tree_of(1, 2, Kind.IID)}
ALWAYS, NEVER = LossyJudge(lambda judged: 1.0, layer=None), LossyJudge(lambda judged: 0.0, layer=None)


def is_valid(toy: Toy, text: Sequence[int]) -> bool:
    return all(toy.may_follow(tuple(text[:i]))[token] for i, token in enumerate(text))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_judge_who_finds_nothing_fine_leaves_the_law_alone(shape: str, seed: int) -> None:
    """He keeps what the target says itself; a router that expects much of the target does so too."""
    toy = Toy(seed, end=True)
    for verifier in (NEVER, LossyArbitrage(lambda text, drafted: 1.0, otherwise=SampleFollow())):
        assert toy.completed(emitted(toy, SHAPES[shape], verifier, toy.q), 3) == toy.texts(3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_is_kept_is_allowed(shape: str, seed: int) -> None:
    toy = Toy(seed, end=True)
    odd = LossyJudge(lambda judged: judged.token % 2, layer=None)
    for verifier in (ALWAYS, odd, LossyArbitrage(lambda text, drafted: -1.0), LossyArbitrage(lambda text, drafted: drafted[0])):
        found = emitted(toy, SHAPES[shape], verifier, toy.q)  # q knows no mask: some drafts are forbidden
        assert sum(found.values()) == 1 and all(is_valid(toy, text) for text in found)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_judge_keeps_the_first_child_that_is_fine(seed: int) -> None:
    toy, build = Toy(seed, end=True), SHAPES["points"]
    seen: list[Judged] = []

    def head(judged: Judged) -> float:
        seen.append(judged)
        return float(judged.token != 0)

    for tokens, verdict in law(lambda choose: step(toy, build, LossyJudge(head, 0.5, layer=None), toy.q, choose)):
        kept = tokens[: len(verdict.path)]
        for i in range(len(kept)):
            drafted = sorted(range(3), key=lambda token: -toy.q(kept[:i])[token])[:2]
            fine = [token for token in drafted if token != 0 and toy.may_follow(kept[:i])[token]]
            assert not fine or kept[i] == fine[0]
    assert seen and all(judged.log_p[judged.token].value > 0 and judged.hidden is None for judged in seen)


def chain_of(toy: Toy, q: Any, choose: Any) -> DraftTree:
    return points_of(1, 3)(toy, q, choose)


@pytest.mark.parametrize("threshold, kept", [(0.5, True), (1.0, True), (0.49, False)])
def test_a_step_is_kept_whole_or_not_for_its_sake(threshold: float, kept: bool) -> None:
    toy, steps = Toy(0, free=True), list[Any]()

    def router(text: Sequence[int], drafted: Sequence[int]) -> float:
        steps.append((tuple(text), tuple(drafted)))
        return 0.5

    for cut, length in ((lambda tokens: False, 3), (lambda tokens: len(tokens) == 2, 2)):
        steps.clear()
        tree = chain_of(toy, toy.q, None)
        target = MaskedTarget(tree, toy, [toy.log(toy.p(tree.prefix(node))) for node in range(tree.n)], text=[7, 8])
        verifier = LossyArbitrage(router, threshold, cut, SampleFollow())
        lengths = {len(verdict.path) for verdict in law(lambda choose: verifier.verify(tree, target, choose))}  # noqa: B023
        assert lengths == ({length} if kept else {0, 1, 2, 3})
        assert set(steps) == {((7, 8), tree.prefix(length))}


def test_the_law_of_a_kept_step_is_another_one() -> None:
    toy = Toy(1)
    found = toy.completed(emitted(toy, SHAPES["chain"], ALWAYS, toy.masked(toy.q)), 2)
    expected: dict[tuple[int, ...], Fraction] = toy.texts(2, toy.masked(toy.q))
    assert {text: p for text, p in found.items() if p} == {text: p for text, p in expected.items() if p} != toy.texts(2)


def test_in_the_loop_a_head_sees_the_hidden_states_of_the_tokens_it_judges() -> None:
    """The last layer's at each drafted token, its own text read anew; in a batch, and for any layer."""
    import torch

    import structgen as sg
    from structgen.speculative.builders import WithoutReplacement
    from tests.decoding.models import model, tokenizer

    lm = model(dtype=torch.float64)
    generator, ids = sg.Generator(lm, tokenizer()), tokenizer()("the name and age")["input_ids"]
    automata = [generator.automaton(sg.regex("[ab]{4}")), generator.automaton(sg.regex("(name|age) [abc]{3}"))]
    for layer in (-1, 1):
        seen: list[Judged] = []
        judge = LossyJudge(lambda judged: seen.append(judged) or 0.9, layer=layer)  # type: ignore[func-returns-value]  # noqa: B023
        way = Speculative(length=Fixed(6), verifier=judge, drafter=SampledModel(model(3, dtype=torch.float64), WithoutReplacement((2, 1))))
        found, statistics = run(generator, [ids, ids[:3]], automata, way, temperature=1.0, seed=0)
        for automaton, text in zip(automata, found, strict=True):
            assert automaton.accepts(generator.vocab.decode(text[:-1]))
        states = []
        for prompt, text in zip((ids, ids[:3]), found, strict=True):
            with torch.inference_mode():
                hidden = lm(input_ids=torch.tensor([[*prompt, *text]]), output_hidden_states=True).hidden_states[layer][0]
            states += [hidden[len(prompt) + i] for i in range(len(text))]
        kept = [judged for judged in seen if any(torch.allclose(judged.hidden, state, atol=1e-9) for state in states)]
        assert statistics.accepted > 0 and len(kept) >= statistics.accepted - statistics.forced_accepted


def test_bad_settings_are_refused() -> None:
    with pytest.raises(StructgenError, match="threshold must be a number from 0 to 1"):
        LossyJudge(lambda judged: 1.0, 1.5)
    toy = Toy(0, free=True)
    tree = chain_of(toy, toy.q, None)
    with pytest.raises(StructgenError, match="no hidden states"):
        LossyJudge(lambda judged: 1.0).verify(tree, toy.target(tree), lambda weights: int(np.argmax(weights)))
