"""How many drafts are accepted: closed forms, and which rule accepts at least as much as which, in fractions."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from structgen.speculative.draft_tree import Kind
from structgen.speculative.verifiers import (
    BlockVerification,
    KSeq,
    MultiPathBlock,
    RecursiveRejection,
    SampleFollow,
    TraversalVerification,
)
from structgen.speculative.verifiers.k_seq import STEPS, tone
from tests.sampling.exact import Rational
from tests.speculative.toys import SIZE, Context, Laws, Toy, accepted, best_first, emitted, mixed, paths_of, points_of, tree_of

SEEDS = range(6)
LENGTH = 3
CHAIN = tree_of(1, LENGTH, Kind.IID)


def drafts(q: Laws, length: int, context: Context = ()) -> Iterator[tuple[Fraction, Context]]:
    """All beginnings of drafted chains, with their probabilities."""
    for token, chance in enumerate(q(context) if length else []):
        if chance:
            yield chance, (*context, token)
            yield from ((chance * rest, text) for rest, text in drafts(q, length - 1, (*context, token)))


def claim(p: Laws, q: Laws, text: Context) -> tuple[Fraction, Fraction]:
    """(product of min(1, p / q), b of block verification) along a text."""
    alone, block = Fraction(1), Fraction(1)
    for i, token in enumerate(text):
        ratio = p(text[:i])[token] / q(text[:i])[token]
        alone, block = alone * min(Fraction(1), ratio), min(Fraction(1), block * ratio)
    return alone, block


@pytest.mark.parametrize("seed", SEEDS)
def test_chains(seed: int) -> None:
    """Token-wise: sum_i E prod min(1, p / q); as a block: sum_i E b_i, which is never less; traversal is the same as block."""
    toy = Toy(seed)
    p, q = toy.masked(toy.p), toy.masked(toy.q)
    alone = sum(chance * claim(p, q, text)[0] for chance, text in drafts(q, LENGTH))
    block = sum(chance * claim(p, q, text)[1] for chance, text in drafts(q, LENGTH))
    assert accepted(toy, CHAIN, RecursiveRejection(), q) == alone
    assert accepted(toy, CHAIN, BlockVerification(), q) == block >= alone
    assert accepted(toy, CHAIN, TraversalVerification(), q) == block
    assert emitted(toy, CHAIN, TraversalVerification(), q) == emitted(toy, CHAIN, BlockVerification(), q)


def test_some_chain_gains_by_block_verification() -> None:
    toys = [Toy(seed) for seed in range(3)]
    gains = [accepted(t, CHAIN, BlockVerification(), t.masked(t.q)) - accepted(t, CHAIN, RecursiveRejection(), t.masked(t.q)) for t in toys]
    assert max(gains) > 0.01


@pytest.mark.parametrize("length", [1, 2, 3])
def test_tokens_per_run_where_contexts_do_not_matter(length: int) -> None:
    """(1 - a^(g + 1)) / (1 - a) for g drafts, each accepted with probability a."""
    toy = Toy(0, flat=True, free=True)
    a = sum(map(min, toy.p(()), toy.q(())))
    assert 0 < a < 1
    assert 1 + accepted(toy, tree_of(1, length, Kind.IID), RecursiveRejection(), toy.q) == (1 - a ** (length + 1)) / (1 - a)


@pytest.mark.parametrize("verifier", [SampleFollow(), RecursiveRejection(), TraversalVerification()], ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("k", [1, 2])
def test_drafts_without_chance_are_accepted_with_their_own_probability(verifier: SampleFollow, k: int) -> None:
    """The most that any exact rule can do at one position."""
    for toy in map(Toy, SEEDS):
        q = toy.masked(toy.q)
        drafted = sorted(range(SIZE), key=lambda token: -q(())[token])[:k]
        assert accepted(toy, points_of(k, 1), verifier, q) == sum(toy.masked(toy.p)(())[token] for token in drafted if q(())[token])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_k_seq_accepts_by_its_formula_with_the_least_exact_rho(k: int) -> None:
    for toy in map(Toy, range(3)):
        p, q = (np.array([Rational(x) for x in toy.masked(laws)(())], object) for laws in (toy.p, toy.q))
        rho, _ = tone(p, q, k)

        def beta(rho: int) -> Fraction:
            return sum(min(a * STEPS / rho, b) for a, b in zip(p, q, strict=True))  # noqa: B023

        assert accepted(toy, tree_of(k, 1, Kind.IID), KSeq(), toy.masked(toy.q)) == 1 - (1 - beta(rho)) ** k
        assert 1 - (1 - beta(rho)) ** k <= Fraction(rho, STEPS) * beta(rho)
        assert rho == STEPS or 1 - (1 - beta(rho - 1)) ** k > Fraction(rho - 1, STEPS) * beta(rho - 1)


def test_all_tokens_without_replacement_are_accepted_for_certain() -> None:
    for toy in map(Toy, SEEDS):
        for verifier in (RecursiveRejection(), TraversalVerification()):
            assert accepted(toy, tree_of(SIZE, 1, Kind.WOR), verifier, toy.q) == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "build", [tree_of(2, 1, Kind.IID), tree_of(2, 1, Kind.WOR), best_first(4, 3), mixed], ids=["iid", "wor", "best first", "mixed"]
)
def test_traversal_accepts_at_least_what_recursive_rejection_does(seed: int, build: object) -> None:
    toy = Toy(seed)
    q = toy.masked(toy.q)
    assert accepted(toy, build, TraversalVerification(), q) >= accepted(toy, build, RecursiveRejection(), q)  # type: ignore[arg-type]


def test_masked_drafts_are_accepted_at_least_as_often() -> None:
    for toy in map(Toy, SEEDS):
        one = tree_of(1, 1, Kind.IID)
        masked, raw = (accepted(toy, one, RecursiveRejection(), q) for q in (toy.masked(toy.q), toy.q))
        assert masked >= raw
        assert masked == sum(map(min, toy.masked(toy.p)(()), toy.masked(toy.q)(())))


def test_the_gate_keeps_a_plain_path_where_the_best_of_several_is_worse() -> None:
    """With q = p one plain path is accepted for certain."""
    toy = Toy(1, same=True)
    q = toy.masked(toy.q)
    assert accepted(toy, paths_of(2, 2), MultiPathBlock(), q) == 2
    assert accepted(toy, paths_of(2, 2), MultiPathBlock(gated=False), q) < 2


def test_the_gate_takes_the_best_path_where_that_is_nearer() -> None:
    gains = [
        accepted(t, paths_of(2, 1), MultiPathBlock(), t.q) - accepted(t, paths_of(1, 1), MultiPathBlock(), t.q) for t in map(Toy, SEEDS)
    ]
    assert min(gains) >= 0 and max(gains) > 0.1
