"""Choices and what is made of them: coins, geometric numbers, urns; and the enumerator itself."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from structgen.errors import StructgenError
from structgen.sampling.choice import Seeded, coin, geometric
from structgen.sampling.logspace import log1mexp, logsumexp
from structgen.sampling.urn import Urn
from tests.sampling.exact import Log, law, logs, outcomes

P = [Fraction(4, 10), Fraction(3, 10), Fraction(2, 10), Fraction(1, 10)]


def test_the_enumerator_sees_every_outcome_once() -> None:
    def run(choose: Any) -> tuple[int, ...]:
        first = choose(logs([1, 0, 3]))
        return (first, choose(np.zeros(2))) if first else (first,)

    found = list(outcomes(run))
    assert sorted((r, p) for p, r in found) == [((0,), Fraction(1, 4)), ((2, 0), Fraction(3, 8)), ((2, 1), Fraction(3, 8))]


def test_coin() -> None:
    assert law(lambda choose: coin(choose, Log(Fraction(1, 3)))) == {True: Fraction(1, 3), False: Fraction(2, 3)}
    assert law(lambda choose: coin(choose, 0.0)) == {True: 1}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 9])
@pytest.mark.parametrize("p", [Fraction(1, 3), Fraction(9, 10)])
def test_geometric_up_to_a_limit(p: Fraction, limit: int) -> None:
    expected = {k: p**k * (1 - p) for k in range(limit)} | {limit: p**limit}
    assert law(lambda choose: geometric(choose, Log(p), limit)) == expected


def test_geometric_without_limit() -> None:
    found = law(lambda choose: geometric(choose, Log(Fraction(1, 3))), negligible=1e-15)
    assert all(abs(found[k] - Fraction(2, 3 ** (k + 1))) < 1e-14 for k in range(20))


@pytest.mark.parametrize("block", [None, 1, 2, 3])
def test_an_urn_is_emptied_in_the_order_of_successive_draws(block: int | None) -> None:
    def run(choose: Any) -> tuple[int, ...]:
        urn, order = Urn(logs(P), block), []
        while urn.log_mass > -np.inf:
            order.append(urn.draw(choose))
            urn.remove(order[-1])
        return tuple(order)

    found = law(run)
    assert len(found) == 24
    for order, probability in found.items():
        expected, rest = Fraction(1), Fraction(1)
        for i in order:
            expected, rest = expected * P[i] / rest, rest - P[i]
        assert probability == expected


def test_the_mass_left_in_an_urn_does_not_cancel() -> None:
    log_p = np.log([1.0, 1e-20, 1e-300, 1e-300])
    urn = Urn(log_p)
    urn.remove(0)
    urn.remove(1)
    assert urn.log_mass == pytest.approx(np.log(2e-300), rel=1e-14)
    assert Urn(np.array([-1000.0, -2000.0])).log_mass == -1000


def test_seeded() -> None:
    log_weights = np.array([-np.inf, np.log(0.75), -np.inf, np.log(0.25), -np.inf])
    drawn = [Seeded(seed)(log_weights - 5000) for seed in range(400)]
    assert set(drawn) == {1, 3} and 60 < drawn.count(3) < 140
    first, second = Seeded(7), Seeded(7)
    assert [first(np.zeros(9)) for _ in range(20)] == [second(np.zeros(9)) for _ in range(20)]
    for nothing in ([], [-np.inf], [np.nan, 0.0], [np.inf]):
        with pytest.raises(StructgenError, match="nothing can be chosen"):
            Seeded(0)(np.array(nothing))


def test_seeded_when_rounding_reaches_the_whole() -> None:
    choose = Seeded(0)
    choose._random = type("", (), {"random": lambda self: 1.0})()  # as no generator gives it, but as a product may round
    assert choose(np.array([0.0, -np.inf])) == 0


def test_logspace() -> None:
    assert logsumexp(np.array([])) == -np.inf and logsumexp(np.array([-np.inf] * 2)) == -np.inf
    assert logsumexp(np.array([[-2000.0, -2000.0], [-np.inf, -np.inf]]), axis=1).tolist() == [-2000 + np.log(2), -np.inf]
    assert (
        log1mexp(-1e-18) == pytest.approx(np.log(1e-18)) and log1mexp(-50.0) == pytest.approx(-np.exp(-50.0)) and log1mexp(0.0) == -np.inf
    )
