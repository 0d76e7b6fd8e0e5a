"""Step samplers, all outcomes enumerated: every one is properly weighted, with the variances and costs worked out by hand."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from structgen.errors import StructgenError
from structgen.sampling.awrs import AWRS, Geometric, Recursive, TwoLoop
from structgen.sampling.choice import Seeded
from structgen.sampling.logspace import logsumexp
from structgen.sampling.steps import MaskStep
from structgen.sampling.sum_and_sample import SumAndSample
from tests.sampling.exact import exact, logs, outcomes


class Ok:
    """A checker of one step that counts the distinct tokens it is asked for."""

    def __init__(self, allowed: Any) -> None:
        self.allowed, self.asked = allowed, set[int]()

    def __call__(self, token: int) -> bool:
        self.asked.add(token)
        return bool(self.allowed[token])

    def mask(self) -> Any:
        return np.array(self.allowed, bool)


A = [4, 3, 2, 1], [0, 1, 0, 1]
B = [5, 3, 1, 1], [0, 0, 1, 1]
C = [7, 1, 1, 1], [1, 0, 1, 0]
E = [90, 5, 3, 2], [0, 0, 0, 1]


def moments(step: Any, case: Any) -> tuple[list[Fraction], Fraction, Fraction, Fraction]:
    """E[w 1{x = a}] for each a, Var(w), E[tests], P(w = 0)."""
    weights, allowed = case
    log_p = logs([Fraction(w, sum(weights)) for w in weights])
    by_token, square, tests, zero = defaultdict[Any, Fraction](Fraction), Fraction(0), Fraction(0), Fraction(0)
    for probability, (token, weight, asked) in outcomes(lambda choose: run(step, log_p, allowed, choose)):
        by_token[token] += probability * weight
        square += probability * weight**2
        tests += probability * asked
        zero += probability * (weight == 0)
    per_token = [by_token[a] for a in range(len(weights))]
    return per_token, square - sum(per_token) ** 2, tests, zero


def run(step: Any, log_p: Any, allowed: Any, choose: Any) -> tuple[int | None, Fraction, int]:
    ok = Ok(allowed)
    token, log_weight = step(log_p, ok, choose)
    return token, exact(log_weight), len(ok.asked)


TWO_WOR, TOP_1, TOP_2 = SumAndSample(0, 2, 0), SumAndSample(1, 1, 0), SumAndSample(2, 2, 0)
GOLDEN = [  # step, case, Var(w), E[tests], P(w = 0)
    (TwoLoop(), A, 0.0822962962963, 2.6805555555556, 0),
    (Recursive(), A, 0.05, 17 / 6, 0),
    (Recursive(max_rejects=3), A, 0.05, 2.6, 0),
    (Recursive(max_rejects=2), A, 0.1, 2, 7 / 30),
    (TWO_WOR, A, 11 / 420, 3, 0),
    (TOP_2, A, 0.02, 3, 0),
    (TwoLoop(), C, 0.0728888888889, 1.6385030864198, 0),
    (Recursive(), C, 0.0311111111111, 20 / 9, 0),
    (TOP_1, C, 0.02, 2, 0),
    (Recursive(), E, 0, 3.7783288117200, 0),
    (TwoLoop(), E, 0.0026034181660, 3.7578947571467, 0),
    (MaskStep(), A, 0, 0, 0),
]


@pytest.mark.parametrize("step, case, variance, tests, zero", GOLDEN, ids=lambda value: type(value).__name__)
def test_golden_numbers(step: Any, case: Any, variance: float, tests: float, zero: float) -> None:
    _, found, asked, none = moments(step, case)
    assert [float(found), float(asked), float(none)] == pytest.approx([variance, tests, zero], abs=1e-9)


STEPS = [
    MaskStep(),
    TwoLoop(),
    *(Recursive(r) for r in (None, 1, 2, 3)),
    *(Geometric(a, r) for a in (2, 3) for r in (1, 2, 3)),
    AWRS(max_rejects=3),
    *(SumAndSample(*rule) for rule in ((0, 2, 0), (1, 1, 0), (2, 2, 0), (9, 0, 0), (1, 0, 1), (0, 0, 2), (1, 2, 1, 2), (0, 0, 1, 0))),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("case", [A, B, C, E, ([1, 1, 1], [0, 0, 0]), ([1, 1, 0], [1, 1, 1]), ([5], [1])], ids=str)
def test_every_step_is_properly_weighted(step: Any, case: Any) -> None:
    per_token, *_ = moments(step, case)
    assert per_token == [Fraction(w * a, sum(case[0])) for w, a in zip(*case, strict=True)]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_what_pruning_removed_is_in_the_weight(step: Any) -> None:
    """Of p with mass 1/2 the weights are halves."""
    log_p = logs([Fraction(w, 20) for w in A[0]])
    found = sum(p * w for p, (_, w, _) in outcomes(lambda choose: run(step, log_p, A[1], choose)))
    assert found == Fraction(2, 10)


def negative_binomial(z: float, r: int, limit: int | None) -> float:
    """Var(w) of the geometric estimator from the law of its counts: n rejects before the r-th accept, or a accepts before the limit."""
    moments = [0.0, 0.0]
    for n in range(limit or 2000):
        probability, w = math.comb(r + n - 1, r - 1) * z**r * (1 - z) ** n, (r - 1) / (r + n - 1)
        moments = [moments[0] + probability * w, moments[1] + probability * w * w]
    for a in range(1, r if limit else 1):
        probability, w = math.comb(a + limit - 1, a) * z**a * (1 - z) ** limit, a / (a + limit - 1)  # type: ignore[operator]
        moments = [moments[0] + probability * w, moments[1] + probability * w * w]
    assert moments[0] == pytest.approx(z, abs=1e-12)
    return moments[1] - moments[0] ** 2


@pytest.mark.parametrize(
    "case, r, limit, variance",
    [
        (A, 2, None, 0.0843441951664),
        (A, 3, None, 0.0475410731114),
        (A, 2, 2, 0.12),
        (A, 2, 3, 0.096),
        (A, 2, 6, None),
        (E, 2, None, 0.0011967440838),
    ],
)
def test_geometric(case: Any, r: int, limit: int | None, variance: float | None) -> None:
    z = sum(w * a for w, a in zip(*case, strict=True)) / sum(case[0])
    assert variance is None or negative_binomial(z, r, limit) == pytest.approx(variance, abs=1e-9)
    if limit:
        assert float(moments(Geometric(r, limit), case)[1]) == pytest.approx(negative_binomial(z, r, limit), abs=1e-12)


def test_awrs_takes_the_geometric_estimator_where_one_token_dominates() -> None:
    assert moments(AWRS(max_rejects=2), C)[:2] == moments(Geometric(2, 2), C)[:2]
    assert moments(AWRS(max_rejects=2), A)[:2] == moments(Recursive(2), A)[:2]
    assert moments(AWRS(3, max_rejects=2), A)[:2] == moments(Geometric(3, 2), A)[:2]


@pytest.mark.parametrize("step", [TwoLoop(), Recursive(), SumAndSample()], ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("mass", [1e-6, 1e-17, 1e-300])
def test_a_small_allowed_mass_is_not_rounded_away(step: Any, mass: float) -> None:
    """Where nearly all mass is rejected, 1 - sum would cancel; a reference implementation gives up from 1 - 1e-5."""
    log_p = np.log(np.array([0.5, 0.5, mass]))
    token, log_weight = step(log_p, Ok([0, 0, 1]), Seeded(0))
    assert token == 2
    assert log_weight == pytest.approx(np.log(mass) - (np.log(3) if isinstance(step, TwoLoop) else 0), abs=1e-9)


@pytest.mark.parametrize("mass", [1e-6, 1e-17, 1e-300])
def test_geometric_counts_as_many_rejects_as_there_are(mass: float) -> None:
    """With a mass of 1e-300 the first accept comes after about 1e300 rejects."""
    log_p = np.log(np.array([0.5, 0.5, mass]))
    log_weights = [Geometric()(log_p, Ok([0, 0, 1]), Seeded(seed))[1] for seed in range(40)]
    assert abs(logsumexp(np.array(log_weights)) - np.log(40) - np.log(mass)) < 1


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_means_with_a_seed(step: Any) -> None:
    """The float path: 1000 seeded draws from 200 tokens, some without mass."""
    random = np.random.default_rng(5)
    p = random.dirichlet(np.full(200, 0.3))
    p[:5] = 0
    allowed = random.random(200) < 0.3
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    choose = Seeded(1)
    weights = np.exp([step(log_p, Ok(allowed), choose)[1] for _ in range(1000)])
    assert abs(weights.mean() - p[allowed].sum()) < 4.5 * weights.std() / math.sqrt(1000) + 1e-12


def test_bad_options() -> None:
    for make in (
        lambda: Recursive(0),
        lambda: Geometric(1),
        lambda: Geometric(2, 0),
        lambda: SumAndSample(-1),
        lambda: SumAndSample(3, max_tests=2),
    ):
        with pytest.raises(StructgenError, match="must"):
            make()
