"""Hidden Markov models and their products with automata, against sums over all texts."""

from __future__ import annotations

import doctest
import math
from collections import defaultdict
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import structgen as sg
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema
from structgen.sampling import SMC, CallableModel, Seeded, Target
from tests.sampling.exact import exact, outcomes
from tests.sampling.test_lattice import PATTERNS, TOKENS, compiled, constraints
from tests.sampling.toys import P2, Z2, toy

torch = pytest.importorskip("torch")

from structgen.sampling.hmm import HiddenMarkov, HMMGuided, HMMProduct, HMMTwist, distil, draw  # noqa: E402

A, B, C, EOS = range(4)


def tensor(rows: Any) -> Any:
    return torch.tensor(rows, dtype=torch.float64)


def random_hmm(seed: int, n_states: int, size: int, zeros: float = 0.0, dtype: Any = None) -> HiddenMarkov:
    """A share of the entries is 0, but for the first of each row."""
    rng = np.random.default_rng(seed)

    def table(*shape: int) -> Any:
        found = rng.exponential(size=shape)
        found[..., 1:][rng.random(found[..., 1:].shape) < zeros] = 0
        return torch.from_numpy(found / found.sum(-1, keepdims=True)).to(dtype or torch.float64)

    return HiddenMarkov(table(n_states), table(n_states, n_states), table(n_states, size), eos=size - 1)


def probability(hmm: HiddenMarkov, tokens: tuple[int, ...]) -> float:
    """P(a text begins with these tokens): the sum over all sequences of hidden states."""
    pi, a, b = (table.double().numpy() for table in (hmm.initial, hmm.transition, hmm.emission))
    total = 0.0
    for states in product(range(hmm.n_states), repeat=len(tokens)):
        term = pi[states[0]] if states else 1.0
        for i, (z, x) in enumerate(zip(states, tokens, strict=True)):
            term *= b[z, x] * (a[states[i - 1], z] if i else 1.0)
        total += term
        if not tokens:
            break
    return total


def test_the_page() -> None:
    failed, tried = doctest.testfile(str(Path(__file__).parents[2] / "docs" / "hmm.md"), module_relative=False)
    assert tried > 5 and not failed


# -- the product ----------------------------------------------------------------------------------------------------------------


def unrolled() -> HiddenMarkov:
    """The specification's model of exactly three tokens: a copy of its two states for each position, and a state that ends."""
    pi, a, b = [0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.2, 0.3], [0.1, 0.7, 0.2]]
    initial, transition, emission = np.zeros(7), np.zeros((7, 7)), np.zeros((7, 4))
    initial[:2] = pi
    for i in range(3):
        emission[2 * i : 2 * i + 2, :3] = b
        transition[2 * i : 2 * i + 2, 2 * i + 2 : 2 * i + 4] = a if i < 2 else [[1], [1]]
    transition[6, 6] = emission[6, EOS] = 1
    return HiddenMarkov(*map(tensor, (initial, transition, emission)), eos=EOS)


def test_anchor_of_the_specification() -> None:
    product = HMMProduct(unrolled(), compiled("a*bc*|cb*"), max_tokens=3)
    assert math.exp(product.log_probability) == pytest.approx(74517 / 500000, rel=1e-9)
    (after,) = np.exp(product.log_values_after([product.start]))
    assert after == pytest.approx([38303 / 170000, 6417 / 100000, 1169 / 6500, 0], rel=1e-9)
    guided = after[:3] * [0.2, 0.3, 0.5]
    assert guided / guided.sum() == pytest.approx(np.array([9958780, 4254471, 19873000]) / 34086251, rel=1e-9)


def check(hmm: HiddenMarkov, automaton: Any, least: int, most: int, rel: float = 1e-9) -> None:
    """P(valid | prefix) for all prefixes up to the greatest length."""
    eos = hmm.eos
    mass: dict[tuple[int, ...], float] = defaultdict(float)  # P(prefix, valid), the end included in a text
    for n in range(least, most + 1):
        for tokens in product(range(eos), repeat=n):
            state = automaton.initial
            for token in tokens:
                state = automaton.advance(state, token)
            if state != automaton.dead and automaton.is_accepting(state):
                p = probability(hmm, (*tokens, eos))
                for i in range(n + 1):
                    mass[tokens[:i]] += p
    found = HMMProduct(hmm, automaton, most, min_tokens=least)
    layer = {(): found.start}
    for n in range(most + 1):
        rows = found.log_values_after(list(layer.values()))
        for (tokens, prefix), row in zip(layer.items(), rows, strict=True):
            alone = probability(hmm, tokens)
            if alone:
                assert math.exp(found.log_value(prefix)) == pytest.approx(mass[tokens] / alone, rel=rel, abs=1e-300), tokens
            state = automaton.advance_bytes(automaton.initial, automaton.vocab.decode(tokens))
            may_end = n >= least and state != automaton.dead and automaton.is_accepting(state)
            assert row[eos] == (0 if may_end else -np.inf)
            for token in range(eos):
                alone = probability(hmm, (*tokens, token))
                wanted = mass[(*tokens, token)] / alone if alone else 0.0
                assert np.exp(row[token]) == pytest.approx(wanted, rel=rel, abs=1e-300), (tokens, token)
        pairs = [(tokens, token) for tokens in layer for token in range(eos) if n < most and (len(tokens) < 2 or token < 3)]
        following = found.extend([layer[tokens] for tokens, _ in pairs], [token for _, token in pairs]) if pairs else []
        layer = {(*tokens, token): prefix for (tokens, token), prefix in zip(pairs, following, strict=True)}
        if not layer:
            break


@pytest.mark.parametrize("which", range(len(PATTERNS) + 1))
def test_against_all_texts(which: int) -> None:
    automaton = constraints()[which]
    for seed, (least, most) in enumerate([(0, 3), (0, 0), (2, 3), (1, 2), (3, 3)]):
        check(random_hmm(10 * which + seed, 1 + seed % 3, len(TOKENS), zeros=0.3 * (seed % 2)), automaton, least, most)


def test_in_single_precision_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("structgen.sampling.hmm.product.BLOCK", 5)
    check(random_hmm(3, 3, len(TOKENS), dtype=torch.float32), constraints()[3], 0, 3, rel=1e-4)


def test_texts_whose_probability_is_no_float() -> None:
    """One hidden state: P(a^n, end) = p^n q. Two states that differ by e^700 in what they think of it."""
    coin = HiddenMarkov(tensor([1.0]), tensor([[1.0]]), tensor([[0.1, 0.2, 0.3, 0.4]]), eos=EOS)
    automaton = compiled("a{900}|b{900}")
    found = HMMProduct(coin, automaton, 1000)
    assert found.log_probability == pytest.approx(900 * math.log(0.2) + math.log(0.4))  # that of a is 2^-900 of it
    row = found.log_values_after([found.start])[0]
    assert row[[A, B]] == pytest.approx(899 * np.log([0.1, 0.2]) + math.log(0.4)) and row[C] == row[EOS] == -np.inf
    sure = HiddenMarkov(tensor([0.5, 0.5]), tensor([[1.0, 0], [0, 1]]), tensor([[0.5, 0, 0, 0.5], [1e-3, 0, 0, 0.999]]), eos=EOS)
    assert HMMProduct(sure, compiled("a{90}"), 90).log_probability == pytest.approx(92 * math.log(0.5))


def test_a_constraint_with_counted_states_and_one_with_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    hmm, nested = random_hmm(0, 2, len(TOKENS)), constraints()[-1]
    assert HMMProduct(hmm, nested, 5).n_states < HMMProduct(hmm, nested, 9).n_states  # no regular language, but few states within a length
    for name, limit in [("MAX_NUMBERS", 100), ("MAX_EDGES", 3), ("MAX_GROUPED", 3)]:
        with monkeypatch.context() as patch, pytest.raises(LimitExceeded, match="hidden Markov"):
            patch.setattr(f"structgen.sampling.hmm.product.{name}", limit)
            HMMProduct(hmm, nested, 9)


def test_a_limited_automaton_is_a_shorter_limit() -> None:
    hmm, automaton = random_hmm(2, 3, 4), compiled("(a|bc)*")
    limited, plain = HMMProduct(hmm, automaton.limited(4), 9), HMMProduct(hmm, automaton, 4)
    assert limited.log_probability == pytest.approx(plain.log_probability, rel=1e-12) and limited.n_states > plain.n_states


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("which", range(len(PATTERNS) + 1))
def test_what_a_smoothed_model_allows_is_what_can_be_finished(which: int, dtype: Any) -> None:
    """Exactly the tokens of the masks under a limit, whatever the model thinks of them, and their values add up."""
    automaton, n = constraints()[which], 40 if which < len(PATTERNS) else 12
    limited = automaton.limited(n)
    found = HMMProduct(random_hmm(which, 4, len(TOKENS), zeros=0.7).to(dtype=dtype).smoothed(1e-6), automaton, n)
    rng = np.random.default_rng(which)
    for _ in range(6):
        state, prefix = limited.initial, found.start
        while True:
            (row,) = found.log_values_after([prefix])
            allowed = np.flatnonzero(row > -np.inf)
            assert allowed.tolist() == limited.allowed(state).tolist()
            p = (prefix.belief @ found.hmm.emission).double().numpy()
            total = float(np.log(p[allowed] @ np.exp(row[allowed] - row.max()))) + row.max()
            assert total == pytest.approx(found.log_value(prefix), rel=1e-4 if dtype == torch.float32 else 1e-9, abs=1e-9)
            token = int(rng.choice(allowed))
            if token == found.hmm.eos:
                break
            state, (prefix,) = limited.advance(state, token), found.extend([prefix], [token])


def test_products_that_do_not_fit() -> None:
    automaton = compiled("a*")
    for hmm, options, message in [
        (random_hmm(0, 2, 3), {}, "does not fit the vocabulary"),
        (random_hmm(0, 2, 5), {}, "does not fit the vocabulary"),
        (random_hmm(0, 2, 4), {"min_tokens": 4}, "min_tokens <= max_tokens"),
    ]:
        with pytest.raises(StructgenError, match=message):
            HMMProduct(hmm, automaton, 3, **options)


# -- the model ------------------------------------------------------------------------------------------------------------------


def test_the_model_alone() -> None:
    hmm = random_hmm(1, 3, 4, zeros=0.3)
    texts = [tokens for n in range(4) for tokens in product(range(4), repeat=n)]
    assert hmm.log_likelihood(texts).exp().tolist() == pytest.approx([probability(hmm, tokens) for tokens in texts], abs=1e-15)
    for tokens in texts:
        alone = probability(hmm, tokens)
        if alone:
            wanted = [probability(hmm, (*tokens, x)) / alone for x in range(4)]
            assert np.exp(hmm.log_probs([(), tokens])[1]) == pytest.approx(wanted, abs=1e-12)
    with pytest.raises(StructgenError, match="gives a prefix no probability"):
        HiddenMarkov(tensor([1.0]), tensor([[1.0]]), tensor([[1.0, 0]]), eos=0).log_probs([(1,)])


def test_smoothed_has_no_zeros() -> None:
    hmm = random_hmm(2, 3, 5, zeros=0.6)
    smooth = hmm.smoothed(0.01)
    assert all((table > 0).all() for table in (smooth.initial, smooth.transition, smooth.emission))
    assert torch.allclose(smooth.emission, 0.99 * hmm.emission + 0.002) and torch.equal(hmm.smoothed(0).emission, hmm.emission)
    assert hmm.to(dtype=torch.float32).emission.dtype == torch.float32


@pytest.mark.parametrize(
    "tables, eos, message",
    [
        (([1.0], [[1.0]], [1.0]), 0, "must be"),
        (([1.0], [[1.0, 0]], [[1.0, 0]]), 0, "must be"),
        (([1.0], [[1.0]], [[0.5, 0.5]]), 2, "eos"),
        (([1.0], [[1.0]], [[0.5, 0.5]]), True, "eos"),
        (([1.0], [[0.9]], [[0.5, 0.5]]), 0, "transition"),
        (([1.0], [[1.0]], [[1.5, -0.5]]), 0, "emission"),
        (([math.nan], [[1.0]], [[0.5, 0.5]]), 0, "initial"),
    ],
)
def test_tables_that_are_none(tables: Any, eos: Any, message: str) -> None:
    with pytest.raises(StructgenError, match=message):
        HiddenMarkov(*map(tensor, tables), eos=eos)


@pytest.mark.parametrize("dtype, message", [(torch.float32, "one dtype"), (torch.int64, "one dtype")])
def test_tables_of_different_types(dtype: Any, message: str) -> None:
    with pytest.raises(StructgenError, match=message):
        HiddenMarkov(tensor([1.0]).to(dtype), tensor([[1.0]]), tensor([[0.5, 0.5]]), 0)
    with pytest.raises(StructgenError, match="probabilities"):
        HiddenMarkov(torch.ones(1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.int64), 0)


def test_save_and_load(tmp_path: Path) -> None:
    hmm, path = random_hmm(1, 3, 7), tmp_path / "hmm.safetensors"
    hmm.save(path)
    found = HiddenMarkov.load(path)
    assert found.eos == 6 and all(torch.equal(getattr(found, t), getattr(hmm, t)) for t in ("initial", "transition", "emission"))
    from safetensors.torch import save_file

    save_file({"initial": torch.ones(1)}, path)
    with pytest.raises(StructgenError, match="holds no hidden Markov model"):
        HiddenMarkov.load(path)
    path.write_bytes(b"\x80\x04N.")
    with pytest.raises(StructgenError, match="holds no hidden Markov model"):
        HiddenMarkov.load(path)
    with pytest.raises(FileNotFoundError):
        HiddenMarkov.load(tmp_path / "none")


# -- training -------------------------------------------------------------------------------------------------------------------


def known() -> HiddenMarkov:
    return HiddenMarkov(tensor([0.9, 0.1]), tensor([[0.8, 0.2], [0.3, 0.7]]), tensor([[0.7, 0.2, 0.05, 0.05], [0.05, 0.1, 0.7, 0.15]]), EOS)


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_em_never_falls_and_is_the_same_again(smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = draw(known(), 60, 12, Seeded(0))
    seen: list[float] = []

    def fit(n: int, **options: Any) -> HiddenMarkov:
        return HiddenMarkov.fit(texts, n, size=6, eos=EOS, smoothing=smoothing, tolerance=-1, iterations=20, **options)

    hmm = fit(3, report=lambda i, objective: seen.append(objective))
    assert len(seen) == 20 and all(later >= earlier - 1e-12 for earlier, later in pairwise(seen)) and seen[-1] > seen[0] + 0.05
    assert bool((hmm.emission[:, 4:] > 0).all()) == bool(smoothing)
    monkeypatch.setattr("structgen.sampling.hmm.training.MAX_NUMBERS", 100)  # many batches
    assert torch.allclose(hmm.emission, fit(3).emission, atol=1e-9)
    assert not torch.allclose(hmm.emission, fit(3, seed=1).emission, atol=1e-3)
    if not smoothing:  # the objective is the likelihood of the model before the update
        last = HiddenMarkov.fit(texts, 3, size=6, eos=EOS, smoothing=0.0, tolerance=-1, iterations=19)
        assert float(last.log_likelihood(texts).sum()) / sum(map(len, texts)) == pytest.approx(seen[-1], rel=1e-9)


def test_one_update_is_the_expected_counts() -> None:
    """Against sums over all hidden paths."""
    start, texts = random_hmm(4, 2, 4), [(0, 1, 3), (2,), (0, 0), (1, 2, 2, 3)]
    initial, transition, emission = np.zeros(2), np.zeros((2, 2)), np.zeros((2, 4))
    pi, a, b = (table.numpy() for table in (start.initial, start.transition, start.emission))
    for tokens in texts:
        total = probability(start, tokens)
        for path in product(range(2), repeat=len(tokens)):
            p = pi[path[0]] * math.prod(a[y, z] for y, z in pairwise(path)) * math.prod(b[z, x] for z, x in zip(path, tokens, strict=True))
            initial[path[0]] += p / total
            for y, z in pairwise(path):
                transition[y, z] += p / total
            for z, x in zip(path, tokens, strict=True):
                emission[z, x] += p / total
    from structgen.sampling.hmm.training import maximise

    found = maximise(start, texts, 1, 0.0, 0.0, lambda i, objective: None)
    for table, counts in ((found.initial, initial), (found.transition, transition), (found.emission, emission)):
        assert table.numpy() == pytest.approx(counts / counts.sum(-1, keepdims=True), rel=1e-9)


def test_a_known_model_is_recovered_by_distillation() -> None:
    truth = known()
    hmm = distil(truth, 2, n=800, max_tokens=30, iterations=60, seed=1)
    fresh = draw(truth, 400, 30, Seeded(5))
    gap = float((truth.log_likelihood(fresh) - hmm.log_likelihood(fresh)).sum()) / sum(map(len, fresh))
    assert abs(gap) < 0.01
    single = distil([truth, truth], 1, n=800, max_tokens=30, seed=1)  # one state cannot
    assert float((truth.log_likelihood(fresh) - single.log_likelihood(fresh)).sum()) / sum(map(len, fresh)) > 0.02


def test_draws_are_cut_or_end() -> None:
    texts = draw(known(), 100, 4, Seeded(2), batch=7)
    assert len(texts) == 100 and all(len(text) == 4 or text[-1] == EOS for text in texts)
    assert all(EOS not in text[:-1] for text in texts) and any(text[-1] != EOS for text in texts)


@pytest.mark.parametrize(
    "texts, options", [([], {}), ([()], {}), ([(0, 9)], {}), ([(-1,)], {}), ([(0,)], {"n_states": 0}), ([(0,)], {"smoothing": -1})]
)
def test_data_that_is_none(texts: Any, options: Any) -> None:
    with pytest.raises(StructgenError, match=r"needs n_states|tokens outside"):
        HiddenMarkov.fit(texts, **{"n_states": 2, "size": 4, "eos": EOS, **options})


def test_distil_needs_models_of_one_vocabulary() -> None:
    for models in ([], [known(), random_hmm(0, 2, 5)]):
        with pytest.raises(StructgenError, match="distil needs"):
            distil(models, 2)


# -- decoding -------------------------------------------------------------------------------------------------------------------

L2 = sg.regex("|".join(P2))


def per_text(strategy: Any, target: Any) -> tuple[float, dict[str, float], dict[str, float]]:
    """E[exp(log_evidence)], E[w 1{x}] / n and E[1{x}] / n of each text, over all outcomes of all choices."""
    mean, weighted, plain = 0.0, defaultdict[str, float](float), defaultdict[str, float](float)
    for p, samples in outcomes(lambda choose: strategy(target, choose), negligible=Fraction(1, 10**12)):
        mean += float(p) * float(exact(samples.log_evidence))
        for text, weight in zip(samples.texts, samples.log_weights, strict=True):
            weighted[text] += float(p) * float(np.exp(float(weight))) / strategy.n
            plain[text] += float(p) / strategy.n
    return mean, dict(weighted), dict(plain)


@pytest.mark.parametrize("resampled", [{}, {"ess_threshold": 1, "resampling": "multinomial"}])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_guided_texts_are_properly_weighted(resampled: Any, temperature: float) -> None:
    strategy = HMMGuided(random_hmm(5, 3, 3), 2 if resampled else 1, temperature=temperature, **resampled)
    mean, weighted, plain = per_text(strategy, toy(constraint=L2, floats=True))
    assert mean == pytest.approx(float(Z2), rel=1e-6)
    assert weighted == pytest.approx({text: float(p) for text, p in P2.items()}, rel=1e-6)
    assert sum(plain.values()) == pytest.approx(1)


def test_guided_texts_follow_the_formula() -> None:
    """The probability of a text is the product of normalised (P(x | u) psi(u x))^(1/T)."""
    hmm, target, temperature = random_hmm(6, 2, 3), toy(constraint=L2, floats=True), 0.7
    p_valid = defaultdict[str, float](float)
    for text in P2:
        p = probability(hmm, (*("ab".index(c) for c in text), 2))
        for i in range(len(text) + 1):
            p_valid[text[:i]] += p

    def share(prefix: str, following: str) -> float:
        tokens = tuple("ab".index(c) for c in prefix)
        log_p = target.model.log_probs([tokens])[0]
        weights = {"$": math.exp(log_p[2]) * (prefix in P2)}
        for i, c in enumerate("ab"):
            weights[c] = math.exp(log_p[i]) * p_valid[prefix + c] / probability(hmm, (*tokens, i))
        powers = {c: w ** (1 / temperature) for c, w in weights.items()}
        return powers[following] / sum(powers.values())

    wanted = {text: math.prod(share(text[:i], c) for i, c in enumerate(text + "$")) for text in P2}
    _, _, plain = per_text(HMMGuided(hmm, 1, temperature=temperature), target)
    assert plain == pytest.approx(wanted, rel=1e-9)


def test_a_model_that_is_the_guide_gives_independent_exact_samples() -> None:
    """Then all weights are P(valid), for a text of any length."""
    hmm = random_hmm(7, 3, 4)
    target = Target(hmm, sg.regex("a*bc*|cb*"), sg.Vocabulary.from_bytes([b"a", b"b", b"c", b""], eos_token_id=EOS), 6)
    log_z = HMMProduct(hmm, target.constraint._automaton, 6, min_tokens=2).log_probability  # type: ignore[attr-defined]
    samples = HMMGuided(hmm, 200, min_tokens=2)(target, Seeded(0))
    assert samples.log_weights == pytest.approx(np.full(200, log_z)) and samples.forward_passes <= 7
    assert {len(tokens) for tokens in samples.tokens} == {2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    "hmm", [random_hmm(8, 2, 3), HiddenMarkov(tensor([1]), tensor([[1]]), tensor([[0, 0.5, 0.5]]), 2)], ids=["", "zeros"]
)
@pytest.mark.parametrize("n, options", [(1, {"ess_threshold": 0}), (2, {"ess_threshold": 1, "resampling": "multinomial"})])
def test_a_twist_leaves_the_law_alone(hmm: HiddenMarkov, n: int, options: Any) -> None:
    target = toy(constraint=L2, floats=True)
    twist = HMMTwist(HMMProduct(hmm, target.constraint._automaton, 9), least=0.01)  # type: ignore[attr-defined]
    mean, weighted, _ = per_text(SMC(n, critic=twist, **options), target)
    assert mean == pytest.approx(float(Z2), rel=1e-6)
    assert weighted == pytest.approx({text: float(p) for text, p in P2.items()}, rel=1e-6)


def test_a_twist_forgets_and_finds_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("structgen.sampling.hmm.guided.REMEMBERED", 5)
    product = HMMProduct(random_hmm(9, 2, 4), compiled("(ab|c)*"), 30)
    twist, tokens, prefix = HMMTwist(product), (A, B, C) * 8, product.start
    for token in tokens:
        (prefix,) = product.extend([prefix], [token])
    assert twist(tokens, False) == pytest.approx(product.log_value(prefix)) and len(twist._known) <= 5
    assert twist(tokens[:10], False) == pytest.approx(HMMTwist(product)(tokens[:10], False))
    assert twist((A, A), False) == twist(tokens * 2, False) == pytest.approx(product.log_probability - 6 * math.log(10))
    assert twist(tokens, True) == 0


def test_the_guide_looks_ahead() -> None:
    """Masks alone give 00000 half of the time, its guide 1 in 17."""
    target = toy("coin5", sg.regex("00000|1[01]{4}"), max_tokens=5, floats=True)
    hmm = HiddenMarkov(tensor([1.0]), tensor([[1.0]]), tensor([[0.4, 0.4, 0.2]]), 2)
    _, _, plain = per_text(HMMGuided(hmm, 1), target)
    assert plain == pytest.approx(dict.fromkeys(plain, 1 / 17)) and len(plain) == 17


def test_one_strategy_for_several_targets() -> None:
    strategy = HMMGuided(random_hmm(5, 3, 3), 40)
    for constraint, most, wanted in [
        (L2, 9, set(P2)),
        (L2, 2, {"ab", "b", "ba", "bb"}),
        (L2, 9, set(P2)),
        (sg.regex("a*"), 3, {"", "a", "aa", "aaa"}),
    ]:
        assert set(strategy(toy(constraint=constraint, max_tokens=most, floats=True), Seeded(0))) == wanted


def test_what_cannot_be_guided() -> None:
    good, constant = random_hmm(0, 2, 3), HiddenMarkov(tensor([1.0]), tensor([[1.0]]), tensor([[1.0, 0, 0]]), 2)
    for hmm, target, error, message in [
        (good, toy(), StructgenError, "with a predicate"),
        (random_hmm(0, 2, 4), toy(constraint=L2), StructgenError, "has 4 tokens"),
        (constant, toy(constraint=L2), UnsatisfiableSchema, "possible for the hidden Markov model"),
        (good, toy(constraint=sg.regex("a{9}"), max_tokens=4), UnsatisfiableSchema, "0 to 4 tokens"),
    ]:
        with pytest.raises(error, match=message):
            HMMGuided(hmm)(target, Seeded(0))
    with pytest.raises(UnsatisfiableSchema, match="every valid text for impossible"):
        HMMTwist(HMMProduct(constant, toy(constraint=L2).constraint._automaton, 3))  # type: ignore[attr-defined]
    with pytest.raises(StructgenError, match="a share above 0"):
        HMMTwist(HMMProduct(good, toy(constraint=L2).constraint._automaton, 3), least=0)  # type: ignore[attr-defined]
    with pytest.raises(StructgenError, match="temperature"):
        HMMGuided(good, temperature=0)
    silent_model = CallableModel(lambda prefix: np.array([-np.inf, 0, -np.inf]), 3, 2)
    target = Target(silent_model, L2, toy().vocab, 9)
    with pytest.raises(StructgenError, match="dead end"):
        HMMGuided(good, 2)(target, Seeded(0))  # the model itself never says what is valid


def test_stop_tokens_and_logits_beyond_the_vocabulary() -> None:
    """The model's logits are padded to 7; of two stop tokens the first is the end symbol, the other never follows."""
    vocabulary = sg.Vocabulary.from_bytes([b"a", b"b", b"</s>", b"<end>"], eos_token_id=[2, 3])
    rng = np.random.default_rng(0)
    emission = torch.from_numpy(rng.dirichlet(np.ones(7), 2))
    hmm = HiddenMarkov(tensor([0.5, 0.5]), tensor([[0.9, 0.1], [0.2, 0.8]]), emission, eos=2)
    product = HMMProduct(hmm, sg.compile(sg.regex("a+b?"), vocabulary), 4)
    (row,) = product.log_values_after(product.extend([product.start], [0]))
    assert (row > -np.inf).tolist() == [True, True, True, False, False, False, False]
    target = Target(CallableModel(lambda prefix: np.full(7, -np.log(7)), 7, 2), sg.regex("a+b?"), vocabulary, 4)
    assert all(text.rstrip("b") and set(text) <= set("ab") for text in HMMGuided(hmm, 50)(target, Seeded(0)))


# -- the embedded model ---------------------------------------------------------------------------------------------------------


def test_on_the_embedded_model() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from structgen.models.tiny_prompt import TINY_MODEL_PATH, prompt
    from structgen.sampling.transformers_model import TransformersModel

    tokenizer = AutoTokenizer.from_pretrained(TINY_MODEL_PATH)
    model = AutoModelForCausalLM.from_pretrained(TINY_MODEL_PATH).eval()
    schema = {"properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    texts = [prompt(f"{name} is {age}.", schema) for name, age in (("Ada", 36), ("Bob", 7))]
    models = [TransformersModel(model, tokenizer(text)["input_ids"], [tokenizer.eos_token_id]) for text in texts]
    hmm = distil(models, 8, n=30, max_tokens=20, iterations=8, dtype=torch.float32)
    valid = sg.regex(r'\{"name": "[A-Z][a-z]{1,8}", "age": [1-9][0-9]{0,2}\}')
    for strategy in (HMMGuided(hmm, 4), HMMGuided(hmm, 4, temperature=0.5, ess_threshold=0.9)):
        options = {"strategy": strategy, "seed": 0, "max_new_tokens": 24}
        samples, again = (sg.generate(model, tokenizer, texts[0], valid, **options) for _ in range(2))
        automaton = sg.compile(valid, tokenizer)
        assert len(samples) == 4 and all(map(automaton.accepts, samples)) and samples.texts == again.texts
        assert np.isfinite(samples.log_weights).all() and samples.log_evidence <= 0.5
    assert "Ada" in max(samples.posterior())
