"""Greedy matching, one seed one text, and the noise behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from structgen.errors import StructgenError
from structgen.sampling.choice import Seeded
from structgen.speculative.draft_tree import DraftTree, Kind, Sapling
from structgen.speculative.gumbel import GumbelNoise
from structgen.speculative.verifiers import GreedyMatch, GumbelCoupled
from tests.speculative.toys import SIZE, Context, Propose, Toy, decode

LENGTH = 7


def never(_: Any) -> int:
    raise AssertionError("nothing should be drawn")


def random_tree(budget: int, seed: int) -> Propose:
    """Any tree whatever: points and pretended draws, equal siblings, refused tokens."""

    def propose(toy: Toy, text: Context) -> DraftTree:
        random = np.random.default_rng([seed, len(text)])
        sapling = Sapling(toy, toy.state(text), start=len(text))
        number = sapling.law(np.log(np.ones(SIZE) / SIZE))
        for _ in range(budget):
            parent = int(random.integers(len(sapling)))
            if sapling.state(parent) > 0:
                drawn = bool(random.integers(2))
                sapling.add(parent, int(random.integers(SIZE)), Kind.IID if drawn else Kind.POINT, number if drawn else -1)
        return sapling.tree()

    return propose


def coupled(noise: GumbelNoise, length: int) -> Propose:
    """A chain that the drafter's own law picks by the same noise."""

    def propose(toy: Toy, text: Context) -> DraftTree:
        sapling, node = Sapling(toy, toy.state(text), start=len(text)), 0
        for position in range(len(text), len(text) + length):
            if sapling.state(node) > 0:
                log_q = np.log([float(q) for q in toy.q(toy.context(sapling.state(node)))])
                node = sapling.add(node, noise.at(position)(log_q))
        return sapling.tree()

    return propose


DRAFTERS = {"one": random_tree(1, 0), "a few": random_tree(4, 1), "many": random_tree(25, 2)}


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_one_seed_is_one_text_for_every_drafter(seed: int, end: bool) -> None:
    toy, noise = Toy(seed, end=end, floats=True), GumbelNoise(seed)
    plain: Context = ()
    while len(plain) < LENGTH and (not plain or plain[-1] != toy.end):
        weights = np.array([float(p) for p in toy.masked(toy.p)(plain)])
        plain = (*plain, int((np.log(weights, where=weights > 0, out=np.full(SIZE, -np.inf)) + noise.row(len(plain), SIZE)).argmax()))
    for propose in (random_tree(0, 0), *DRAFTERS.values(), coupled(noise, 1), coupled(noise, 4)):
        assert decode(toy, propose, GumbelCoupled(noise), never, LENGTH)[0] == plain


@pytest.mark.parametrize("propose", DRAFTERS.values(), ids=DRAFTERS.keys())
def test_greedy_decoding_for_every_drafter(propose: Propose) -> None:
    for seed in range(6):
        toy = Toy(seed, end=bool(seed % 2))
        plain: Context = ()
        while len(plain) < LENGTH and (not plain or plain[-1] != toy.end):
            row = toy.masked(toy.p)(plain)
            plain = (*plain, row.index(max(row)))
        assert decode(toy, propose, GreedyMatch(), never, LENGTH)[0] == plain


def test_noise_is_a_function_of_seed_position_and_token() -> None:
    noise = GumbelNoise(7)
    row = noise.row(3, 100)
    assert noise.row(4, 5).tolist() != row[:5].tolist() != GumbelNoise(8).row(3, 5).tolist()
    assert noise.row(3, 10).tolist() == row[:10].tolist() == GumbelNoise(7).row(3, 10).tolist()
    assert np.isfinite(noise.row(0, 100_000)).all()
    assert not set(noise.row(3, 1000)) & set(noise.row(4, 1000))
    assert np.array_equal(noise.row(0, 3).round(6), [1.988639, -0.198475, 0.142407])  # the same on every machine


@pytest.mark.parametrize("seed", range(3))
def test_coupled_draws_agree_as_often_as_the_formula_says(seed: int) -> None:
    """And each has its own law. 200,000 draws: the standard error is at most 0.0012."""
    random = np.random.default_rng(seed)
    p, q = random.dirichlet(np.full(5, 0.5), size=2)
    noise = GumbelNoise(seed).row(0, 5 * 200_000).reshape(-1, 5)
    by_p, by_q = (np.log(p) + noise).argmax(1), (np.log(q) + noise).argmax(1)
    with np.errstate(over="ignore"):
        agree = sum(1 / sum(max(p[y] / p[x], q[y] / q[x]) for y in range(5)) for x in range(5))
    variation = abs(p - q).sum() / 2
    assert (1 - variation) / (1 + variation) <= agree <= 1 - variation
    assert abs((by_p == by_q).mean() - agree) < 0.005
    assert abs(np.bincount(by_p, minlength=5) / len(by_p) - p).max() < 0.005


def test_noise_refuses_what_it_cannot_choose_from() -> None:
    for weights in ([-np.inf, -np.inf], [np.nan, 0.0], []):
        with pytest.raises(StructgenError, match="nothing can be chosen"):
            GumbelNoise(0).at(0)(weights)
    for seed in (-1, 1 << 128):
        with pytest.raises(StructgenError, match="seed"):
            GumbelNoise(seed)


def test_a_refused_token_is_never_picked_however_great_its_noise() -> None:
    noise = GumbelNoise(1)
    assert {noise.at(position)([-np.inf, 0.0, -np.inf]) for position in range(50)} == {1}
    assert Seeded(0)([-np.inf, 0.0]) == 1
