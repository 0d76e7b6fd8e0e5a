"""Trees of draws: each builder leaves the target's law as it is under every verifier that takes its trees, and has the law of its paper."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from structgen.errors import StructgenError
from structgen.sampling.choice import Seeded
from structgen.speculative import builders, lengths
from structgen.speculative.builders import (
    AboveThreshold,
    BestFirst,
    Chain,
    Growth,
    Paths,
    StochasticBeam,
    WithoutReplacement,
    grow_all,
)
from structgen.speculative.draft_tree import DraftTree, Kind, Sapling
from structgen.speculative.drafters.retrieval import Retrieval
from structgen.speculative.drafters.sampled_model import SampledModel
from structgen.speculative.generation import Speculative
from structgen.speculative.interfaces import TreeBuilder
from structgen.speculative.verifiers import (
    BlockVerification,
    KSeq,
    MultiPathBlock,
    RecursiveRejection,
    SampleFollow,
    TraversalVerification,
)
from tests.sampling.exact import law
from tests.speculative.toys import Build, Context, Laws, Toy, distance, emitted

GENERAL = SampleFollow(), RecursiveRejection(), TraversalVerification()
MASKED, ENDS = Toy(1), Toy(17, end=True)


def built(builder: TreeBuilder, budget: int = 20, forced: int = 0, **options: Any) -> Build:
    """``forced``: of the states, by a hash of their number, how many of five force the first token that they allow."""

    def build(toy: Toy, q: Laws, choose: Any) -> DraftTree:
        def must_follow(state: int) -> list[int]:
            context = toy.context(state)
            chosen = 0 < len(context) < 3 and sum((i + 2) * token for i, token in enumerate(context)) % 5 < forced
            return [toy.may_follow(context).index(True)] if chosen else []

        growth = Growth(Sapling(toy), budget, choose, forced=must_follow, **options)
        grow_all(builder, [growth], lambda asked: [[laws_behind(toy, q, growth, node) for node in nodes] for nodes in asked])
        return growth.sapling.tree()

    return build


def laws_behind(toy: Toy, q: Laws, growth: Growth, node: int) -> Any:
    assert toy.context(growth.sapling.state(node)) == growth.prefix(node)
    return toy.log(q(growth.prefix(node)))


SHAPES: list[tuple[str, Build, int, tuple[Any, ...]]] = [
    ("chain", built(Chain(2)), 3, (*GENERAL, BlockVerification(), KSeq(), MultiPathBlock())),
    ("chain with forced tokens", built(Chain(2), forced=3), 4, (*GENERAL, BlockVerification())),
    ("2 paths", built(Paths(2, 2)), 3, (*GENERAL, KSeq(), MultiPathBlock(gated=False), MultiPathBlock())),
    ("paths that a budget cuts", built(Paths(2, 5), 3), 2, (*GENERAL, KSeq(), MultiPathBlock(gated=False))),
    ("without replacement", built(WithoutReplacement((2, 1))), 3, GENERAL),
    ("without replacement, all", built(WithoutReplacement((3,))), 2, GENERAL),
    ("a budget cuts a level", built(WithoutReplacement((2, 2)), 3), 3, GENERAL),
    ("beam of 1", built(StochasticBeam(1, 2)), 3, (*GENERAL, BlockVerification())),
    ("beam", built(StochasticBeam(2, 2)), 3, GENERAL),
    ("beam with forced tokens", built(StochasticBeam(2, 2), forced=2), 4, GENERAL),
    ("best first", built(BestFirst(0.0, 3), 3), 4, GENERAL),
    ("best first, forced", built(BestFirst(0.0, 3), 3, forced=3), 4, GENERAL),
    ("best first, down to a value", built(BestFirst(0.4, 3)), 4, GENERAL),
    ("above a threshold", built(AboveThreshold(0.3, 2)), 3, GENERAL),
    ("stopped", built(WithoutReplacement((2, 2)), stop=lengths.Confident(threshold=0.55).stop), 3, GENERAL),
]
CASES = [
    pytest.param(build, n, verifier, id=f"{name}-{type(verifier).__name__}-{i}")
    for name, build, n, verifiers in SHAPES
    for i, verifier in enumerate(verifiers)
]


@pytest.mark.parametrize("build, n, verifier", CASES)
def test_drafts_under_the_mask(build: Build, n: int, verifier: Any) -> None:
    for toy in (MASKED, ENDS):
        assert toy.completed(emitted(toy, build, verifier, toy.masked(toy.q)), n) == toy.texts(n)


@pytest.mark.parametrize("build, n, verifier", CASES)
def test_drafts_that_know_no_mask(build: Build, n: int, verifier: Any) -> None:
    assert MASKED.completed(emitted(MASKED, build, verifier, MASKED.q), n) == MASKED.texts(n)


# the laws of the papers


def without_replacement(q: Laws, depth: int, n: int) -> dict[tuple[Context, ...], Fraction]:
    """The law of the first ``n`` different texts of a length, drawn one after the other without replacement; from the definition."""
    texts = {text: chance for chance, text in drafts(q, depth) if chance}
    found: dict[tuple[Context, ...], Fraction] = defaultdict(Fraction)

    def visit(drawn: tuple[Context, ...], chance: Fraction) -> None:
        left = {text: p for text, p in texts.items() if text not in drawn}
        if len(drawn) == n or not left:
            found[drawn] += chance
            return
        for text, p in left.items():
            visit((*drawn, text), chance * p / sum(left.values()))

    visit((), Fraction(1))
    return dict(found)


def drafts(q: Laws, depth: int, context: Context = ()) -> Iterator[tuple[Fraction, Context]]:
    """All texts of a length with their probabilities."""
    if len(context) == depth:
        yield Fraction(1), context
        return
    for token, p in enumerate(q(context)):
        yield from ((p * rest, text) for rest, text in drafts(q, depth, (*context, token)))


@pytest.mark.parametrize("seed, width, free", [(1, 2, False), (5, 2, True), (5, 3, False), (7, 4, False)])
def test_the_beam_of_each_level_is_a_draw_without_replacement(seed: int, width: int, free: bool) -> None:
    """Of whole drafts, whatever the race looks like: the law of stochastic beam search."""
    toy = Toy(seed, free=free)
    q = toy.masked(toy.q)

    def beams(choose: Any) -> tuple[tuple[Context, ...], ...]:
        tree = built(StochasticBeam(width, 2))(toy, q, choose)
        return tuple(tuple(tree.prefix(node) for node in range(1, tree.n) if tree.depths[node] == depth) for depth in (1, 2))

    found: list[dict[Any, Fraction]] = [defaultdict(Fraction), defaultdict(Fraction)]
    for levels, chance in law(beams).items():
        for level, beam in enumerate(levels):
            found[level][beam] += chance
    assert found == [without_replacement(q, depth, width) for depth in (1, 2)]


def test_the_best_place_is_drawn_at_first() -> None:
    """Of all places that were open, each draw takes the one with the greatest value, from the definition of values."""
    for seed in range(5):
        toy = Toy(seed, free=True)

        def tree_and_values(choose: Any, toy: Toy = toy) -> tuple[tuple[Context, ...], ...]:
            tree = built(BestFirst(0.0, 5), 5)(toy, toy.q, choose)
            return (tuple(tree.prefix(node) for node in range(1, tree.n)),)

        for (drawn,) in law(tree_and_values):
            for n in range(len(drawn)):
                places = {text: value(toy.q, text, drawn[:n]) for text in [(), *drawn[:n]]}
                assert places[drawn[n][:-1]] == max(places.values())


def value(q: Laws, place: Context, drawn: tuple[Context, ...]) -> Fraction:
    """The probability under q that a text comes by a place and there goes on with none of those drawn."""
    chance = Fraction(1)
    for i in range(len(place)):
        before = [text for text in drawn[: drawn.index(place[: i + 1])] if text[:-1] == place[:i]]
        left = 1 - sum((q(place[:i])[text[-1]] for text in before), Fraction(0))
        chance *= left * q(place[:i])[place[i]] / left
    return chance * (1 - sum((q(place)[text[-1]] for text in drawn if text[:-1] == place), Fraction(0)))


@pytest.mark.parametrize(
    "builder, greedy",
    [
        (Chain(2), [(1,), (1, 0)]),
        (Paths(2, 2), [(1,), (0,), (1, 0), (0, 1)]),
        (WithoutReplacement((2, 1)), [(1,), (0,), (1, 0), (0, 1)]),
        (AboveThreshold(0.2, 2), [(1,), (0,), (1, 0), (0, 1)]),  # (1, 1): 0.6 * (1 - 0.7) is too little
    ],
    ids=["chain", "paths", "without replacement", "above a threshold"],
)
def test_picked_tokens_are_the_most_probable_ones_and_no_draws(builder: TreeBuilder, greedy: list[Context]) -> None:
    rows = {(): [3, 6, 1], (1,): [7, 3, 0], (0,): [1, 8, 1]}

    def q(context: Context) -> list[Fraction]:
        return [Fraction(weight, 10) for weight in rows.get(context, [5, 4, 1])]

    def never(_: Any) -> int:
        raise AssertionError("nothing should be drawn")

    tree = built(builder, pick=lambda log_weights, depth: int(np.argmax([float(x) for x in log_weights])))(Toy(0, free=True), q, never)
    assert [tree.prefix(node) for node in range(1, tree.n)] == greedy
    assert (tree.kinds == Kind.POINT).all()


# how far


def sure(chance: float) -> Any:
    return np.log(np.array([chance, 1 - chance]))


@pytest.mark.parametrize(
    "rule, log_q, path, stops",
    [
        (lengths.Fixed(4), sure(0.01), [], False),
        (lengths.Confident(threshold=0.6), sure(0.5), [], True),
        (lengths.Confident(threshold=0.6), sure(0.7), [(sure(0.1), 0)], False),
        (lengths.RejectionLikely(threshold=0.3), sure(0.1), [], False),
        (lengths.RejectionLikely(threshold=0.3), sure(0.1), [(sure(0.9), 0), (sure(0.2), 1)], False),  # 1 - 0.9 * 0.8 = 0.28
        (lengths.RejectionLikely(threshold=0.3), sure(0.1), [(sure(0.9), 0), (sure(0.2), 1), (sure(0.9), 0)], True),
        (lengths.RejectionLikely(threshold=0.3, acceptance=lambda law, token: 0.5), sure(0.9), [(sure(0.9), 0)], True),
        (lengths.RejectionLikely(threshold=0.6, acceptance=lambda law, token: 0.5), sure(0.9), [(sure(0.9), 0)], False),
    ],
)
def test_where_a_rule_stops(rule: lengths.Length, log_q: Any, path: list[Any], stops: bool) -> None:
    assert rule.begin().stop(log_q, len(path), path) is stops


def test_a_rule_sees_what_was_drawn_and_is_heeded() -> None:
    """Each node's path is the rows and tokens above it, forced ones left out; nothing is drawn behind a stop."""
    toy, seen = MASKED, list[tuple[int, tuple[int, ...]]]()

    def stop(log_q: Any, depth: int, path: Any) -> bool:
        assert all(token in np.flatnonzero([log.value for log in row]) for row, token in path)
        seen.append((depth, tuple(token for _, token in path)))
        return depth == 2

    for build in (built(WithoutReplacement((2, 2, 2)), stop=stop), built(StochasticBeam(3, 4), stop=stop), built(Chain(5), stop=stop)):
        seen.clear()
        tree = build(toy, toy.masked(toy.q), lambda weights: int(np.argmax([float(x) for x in weights])))
        assert seen[0] == (0, ()) and tree.depths.max() == 2
        assert {tokens for _, tokens in seen} == {tree.prefix(node) for node in range(tree.n)}


@pytest.mark.parametrize("verifier", GENERAL, ids=lambda v: type(v).__name__)
def test_the_law_where_a_rule_looks_at_what_was_drawn(verifier: Any) -> None:
    build = built(WithoutReplacement((2, 2)), stop=lengths.RejectionLikely(threshold=0.5).stop)
    assert MASKED.completed(emitted(MASKED, build, verifier, MASKED.q), 3) == MASKED.texts(3)


def test_a_rule_that_peeks_at_the_token_to_come_shows() -> None:
    """What a builder must not do: draw a token, and leave it out for what it is."""

    class Peeking:
        def grow(self, growth: Growth) -> Any:
            if (yield from growth.open([growth.root])):
                number = growth.sapling.law(MASKED.log(MASKED.q(())))
                token = growth.choose(MASKED.log(MASKED.q(())))
                if token != 1:
                    growth.sapling.add(0, token, Kind.IID, number)

    found = MASKED.completed(emitted(MASKED, built(Peeking()), TraversalVerification(), MASKED.q), 2)
    assert distance(found, MASKED.texts(2)) > 0.01


FULL = [
    Chain(10**9),
    Paths(3, 10**9),
    WithoutReplacement((10**9, 10**9)),
    StochasticBeam(4, 10**9),
    BestFirst(0.0, 10**9),
    AboveThreshold(0.0, 10**9),
]


@pytest.mark.parametrize("builder", FULL, ids=lambda builder: type(builder).__name__)
@pytest.mark.parametrize("forced", [0, 3])
def test_a_full_tree_ends_growth(builder: TreeBuilder, forced: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builders, "MAX_NODES", 9)
    tree = built(builder, 10**9, forced)(MASKED, MASKED.masked(MASKED.q), Seeded(0))
    assert 7 <= tree.n <= 9
    if isinstance(builder, Paths) and not forced:
        assert tree.n == 7  # two levels of three, and no third level of two


def test_bad_settings_are_refused() -> None:
    rows: list[tuple[Callable[[], Any], str]] = [
        (lambda: Chain(0), "length must be a whole number and at least 1"),
        (lambda: Chain(2.5), "length must be a whole number"),  # type: ignore[arg-type]
        (lambda: WithoutReplacement(3), "branching is"),  # type: ignore[arg-type]
        (lambda: BestFirst(float("nan")), "least must be a number from 0 to 1"),
        (lambda: lengths.Fixed("8"), "most must be a whole number and at least 0"),  # type: ignore[arg-type]
        (lambda: lengths.Confident(threshold=float("nan")), "threshold must be"),
        (lambda: lengths.MovingAverage(weight=2), "weight must be"),
        (lambda: lengths.RejectionLikely(acceptance=0.5), "acceptance is a function"),  # type: ignore[arg-type]
        (lambda: SampledModel(None), "a causal LM drafts"),
        (lambda: Retrieval("ab"), "outputs are lists of token ids"),  # type: ignore[arg-type]
        (lambda: Speculative(None), "sources are several"),  # type: ignore[arg-type]
        (lambda: Speculative((Chain(),)), "a source is a Source"),  # type: ignore[arg-type]
        (lambda: Speculative(length=8), "length is a Length"),  # type: ignore[arg-type]
        (lambda: Speculative(drafter=Chain()), "a drafter is"),  # type: ignore[arg-type]
        (lambda: Speculative(verifier=3), "a verifier has"),  # type: ignore[arg-type]
        (lambda: Paths(0, 1), "n must be"),
        (lambda: WithoutReplacement(()), "branching"),
        (lambda: WithoutReplacement((2, 0)), "branching"),
        (lambda: StochasticBeam(1, 0), "depth"),
        (lambda: BestFirst(1.5), "least must be a number from 0 to 1"),
        (lambda: AboveThreshold(-0.1), "least must be a number from 0 to 1"),
        (lambda: lengths.RejectionLikely(threshold=2), "threshold must be a number from 0 to 1"),
    ]
    for make, message in rows:
        with pytest.raises(StructgenError, match=message):
            make()
