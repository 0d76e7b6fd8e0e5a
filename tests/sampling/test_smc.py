"""Sequential Monte Carlo, all paths enumerated: the evidence is unbiased exactly, with the variances worked out."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import structgen as sg
from structgen.errors import StructgenError
from structgen.sampling.awrs import Recursive
from structgen.sampling.resampling import RESAMPLING, effective_sample_size
from structgen.sampling.samples import SamplingFailed
from structgen.sampling.smc import SMC, Masking
from structgen.sampling.sum_and_sample import SumAndSample
from tests.sampling.exact import exact, logs, outcomes
from tests.sampling.toys import L5, P2, Z2, toy


def enumerated(strategy: SMC, **options: Any) -> tuple[Fraction, Fraction, dict[str, Fraction], int]:
    """E[Z], Var(Z), E[w 1{x}] / N of each text, and the number of paths."""

    def run(choose: Any) -> tuple[Fraction, list[tuple[str, Fraction]]]:
        try:
            samples = strategy(toy(**options), choose)
        except SamplingFailed as failure:
            samples = failure.samples
        return exact(samples.log_evidence), [(text, exact(w)) for text, w in zip(samples.texts, samples.log_weights, strict=True)]

    mean, square, paths, per_text = Fraction(0), Fraction(0), 0, Counter[str]()
    for probability, (z, weighted) in outcomes(run):
        mean, square, paths = mean + probability * z, square + probability * z * z, paths + 1
        for text, weight in weighted:
            per_text[text] += probability * weight / strategy.n  # type: ignore[assignment]
    return mean, square - mean**2, dict(per_text), paths  # type: ignore[return-value]


GOLDEN = [  # settings, Var(Z), paths
    ({"n": 1}, 0.057932, 5),
    ({"n": 1, "step": Recursive()}, 0.080239, 186),
    ({"n": 2, "ess_threshold": 0}, 0.028966, 25),
    ({"n": 2, "ess_threshold": 0.9, "resampling": "multinomial"}, 0.028966, 37),
    ({"n": 2, "ess_threshold": 1, "resampling": "multinomial"}, 0.03295225, 103),
    ({"n": 2, "ess_threshold": 1, "resampling": "systematic"}, None, None),
    ({"n": 2, "ess_threshold": 1, "resampling": "residual"}, None, None),
    ({"n": 2, "ess_threshold": 1, "resampling": "stratified"}, None, None),
    ({"n": 1, "step": SumAndSample()}, None, None),
]


@pytest.mark.parametrize(("settings", "variance", "paths"), GOLDEN, ids=range(len(GOLDEN)))
def test_the_evidence_is_unbiased(settings: dict[str, Any], variance: float | None, paths: int | None) -> None:
    mean, found, per_text, n_paths = enumerated(SMC(**settings))
    assert mean == Z2 and per_text == P2
    assert variance is None or float(found) == pytest.approx(variance, abs=1e-12)
    assert paths is None or n_paths == paths


def test_importance_sampling() -> None:
    """Of lm2 the weights themselves; of coin5 their second moment."""
    weights = {}
    for _, (text, weight) in outcomes(lambda choose: weighted(Masking(1)(toy(), choose))):
        weights[text] = weight
    assert weights == {
        "aab": Fraction(243, 1000),
        "ab": Fraction(432, 1000),
        "b": Fraction(9, 10),
        "ba": Fraction(3, 10),
        "bb": Fraction(54, 100),
    }
    for name, second, share in (("lm2", 0.220341, 0.162409 / 0.220341), ("coin5", 257 / 512, 289 / 514)):
        mean, variance, _, _ = enumerated(Masking(1), name=name)
        assert float(variance + mean**2) == pytest.approx(second, abs=1e-12)
        assert float(mean**2 / (variance + mean**2)) == pytest.approx(share, abs=1e-12)


def weighted(samples: Any) -> tuple[str, Fraction]:
    return samples.texts[0], exact(samples.log_weights[0])


def divergence(p: dict[str, Fraction], q: dict[str, Fraction]) -> float:
    return float(sum(float(p[x]) * np.log(float(p[x] / q[x])) for x in p))


@pytest.mark.parametrize(
    "name, target, kl, reverse, tv",
    [
        ("lm2", {text: p / Z2 for text, p in P2.items()}, 0.139621155214, 0.152234928703, 0.241866556383),
        ("coin5", dict.fromkeys(L5, Fraction(1, 17)), 0.753771802376, 0.469429104494, 0.441176470588),
    ],
)
def test_masking_bends_the_law(name: str, target: dict[str, Fraction], kl: float, reverse: float, tv: float) -> None:
    law = Counter[str]()
    for probability, text in outcomes(lambda choose: Masking(1)(toy(name), choose).texts[0]):
        law[text] += probability  # type: ignore[assignment]
    found: dict[str, Fraction] = dict(law)  # type: ignore[arg-type]
    assert divergence(found, target) == pytest.approx(kl, abs=1e-9)
    assert divergence(target, found) == pytest.approx(reverse, abs=1e-9)
    assert float(sum(abs(found[x] - target[x]) for x in target)) / 2 == pytest.approx(tv, abs=1e-9)


@pytest.mark.parametrize("step", [None, Recursive()])
@pytest.mark.parametrize("max_tokens", [1, 2])
def test_the_end_is_forced_with_its_weight(step: Any, max_tokens: int) -> None:
    short = {text: p for text, p in P2.items() if len(text) <= max_tokens}
    mean, _, per_text, _ = enumerated(SMC(1, step=step), max_tokens=max_tokens)
    assert mean == sum(short.values()) and per_text == short


@pytest.mark.parametrize("limited, deaths", [(False, True), (True, False)])
def test_an_automaton_with_a_limit_has_no_dead_ends(limited: bool, deaths: bool) -> None:
    automaton = sg.compile(sg.regex("[ab]*bb"), toy().vocab, max_tokens=2 if limited else None)
    target = toy(constraint=automaton, max_tokens=2)
    mean, died = Fraction(0), False
    for probability, log_evidence in outcomes(lambda choose: evidence(Masking(1), target, choose)):
        mean, died = mean + probability * exact(log_evidence), died or log_evidence == -np.inf
    assert mean == P2["bb"] and died == deaths


def evidence(strategy: SMC, target: Any, choose: Any) -> Any:
    try:
        return strategy(target, choose).log_evidence
    except SamplingFailed as failure:
        return failure.samples.log_evidence


def test_a_twist_guides_and_a_score_changes_the_target() -> None:
    def twist(tokens: tuple[int, ...], is_complete: bool) -> float:
        return 0.0 if is_complete else float(np.log(3.0)) * tokens.count(0)

    def score(tokens: tuple[int, ...], is_complete: bool) -> Any:
        return float(np.log(2)) if is_complete and tokens[0] == 1 else -np.inf if tokens == (0, 1) else 0.0

    mean, _, per_text, _ = enumerated(SMC(2, critic=twist, ess_threshold=1, resampling="multinomial"))
    assert mean == Z2 and per_text == P2
    _, _, per_text, _ = enumerated(SMC(1, critic=score))
    assert per_text == {"aab": P2["aab"], "b": 2 * P2["b"], "ba": 2 * P2["ba"], "bb": 2 * P2["bb"]}


def test_all_dead_is_an_error() -> None:
    with pytest.raises(SamplingFailed, match="all 3 particles") as failure:
        SMC(3)(toy(constraint=sg.potential(None, lambda text: False)), sg.sampling.Seeded(0))
    assert len(failure.value.samples) == 0 and failure.value.samples.log_evidence == -np.inf


@pytest.mark.parametrize("scheme", RESAMPLING)
@pytest.mark.parametrize("weights", [(1, 2, 3), (0, 5, 1, 0), (1, 1), (4, 0, 0), (1, 2, 3, 4)], ids=str)
def test_resampling_copies_in_proportion(scheme: str, weights: tuple[int, ...]) -> None:
    log_weights, n, mean = logs(weights), len(weights), Counter[int]()
    for probability, kept in outcomes(lambda choose: RESAMPLING[scheme](log_weights, choose)):
        assert len(kept) == n
        for i in kept:
            mean[i] += probability  # type: ignore[assignment]
        if scheme == "systematic":
            assert all(abs(kept.count(i) - Fraction(n * w, sum(weights))) < 1 for i, w in enumerate(weights))
    assert mean == {i: Fraction(n * w, sum(weights)) for i, w in enumerate(weights) if w}


def test_effective_sample_size() -> None:
    assert effective_sample_size(np.log(np.array([1.0, 1.0, 1.0]))) == pytest.approx(3)
    assert effective_sample_size(np.array([-2000.0, -np.inf])) == pytest.approx(1)


def test_resampling_with_a_seed_never_revives_the_dead() -> None:
    choose = sg.sampling.Seeded(3)
    log_weights = np.array([-np.inf, -1.0, -1.5, -np.inf, -900.0, -np.inf])
    for scheme in RESAMPLING.values():
        for _ in range(50):
            assert set(scheme(log_weights, choose)) <= {1, 2}


def test_one_call_of_the_model_per_step() -> None:
    samples = SMC(5)(toy(floats=True), sg.sampling.Seeded(0))
    longest = max(len(tokens) for tokens in samples.tokens)
    assert samples.forward_passes == longest + 1 and samples.sequences <= 5 * (longest + 1)
    assert samples.draws == 5 and 0 < samples.effective_sample_size <= 5.0001
    assert sum(samples.posterior().values()) == pytest.approx(1)
    assert np.allclose(samples.log_probs_under_constraint, samples.log_probs - samples.log_evidence)


def test_bad_options() -> None:
    for options in ({"n": 0}, {"ess_threshold": 2}, {"resampling": "fair"}):
        with pytest.raises(StructgenError):
            SMC(**options)
