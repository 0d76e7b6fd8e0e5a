"""Masses and residuals in float32 against float64 and fractions of the definition; the kernels are compared in test_gpu_kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structgen.errors import StructgenError
from structgen.gpu import masses, residual
from tests.decoding.test_gpu_masks import bit

TEMPERATURES = [0.5, 1.0, 3.0]


def problem(seed: int, rows: int = 6, width: int = 70, words: int = 3):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (rows, width)).astype(np.float32)
    logits[0, ::5] = -np.inf
    masks = rng.integers(0, 1 << 32, (4, words), dtype=np.uint32)
    masks[1] = 0
    ids = np.array([-1, 0, 1, 2, 3, 0][:rows], np.int32)
    q = rng.dirichlet(np.full(width, 0.3), rows).astype(np.float32)
    return logits, masks, ids, q


def tensors(logits, masks, ids):
    return torch.from_numpy(logits), torch.from_numpy(masks.view(np.int32)), torch.from_numpy(ids)


def definition(logits, masks, ids, temperature):
    """(log of the total, share of what is allowed, p) of each row in float64."""
    for row, chosen in zip(logits.astype(np.float64) / temperature, ids, strict=True):
        allowed = np.array([chosen < 0 or bit(masks[chosen], t) for t in range(len(row))])
        weights = np.exp(row)
        total = weights[allowed].sum()
        yield (np.log(total) if total else -np.inf), total / weights.sum(), np.where(allowed, weights, 0) / total if total else 0 * weights


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_masses(temperature):
    logits, masks, ids, _ = problem(1)
    found = masses(*tensors(logits, masks, ids), temperatures=temperature)
    for i, (total, share, _) in enumerate(definition(logits, masks, ids, temperature)):
        assert found.log_total[i].item() == pytest.approx(total, abs=1e-5)
        assert found.log_allowed[i].exp().item() == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("factor", [0.3, 1.0])
def test_the_excess_and_where_tokens_come_from(temperature, factor):
    logits, masks, ids, q = problem(2)
    draws = [
        residual(*tensors(logits, masks, ids), torch.from_numpy(q), factor, temperatures=temperature, seeds=seed) for seed in range(40)
    ]
    for i, (_, _, p) in enumerate(definition(logits, masks, ids, temperature)):
        left = np.maximum(factor * p - q[i], 0)
        assert draws[0].excess[i].item() == pytest.approx(left.sum(), abs=1e-5)
        tokens = [draw.tokens[i].item() for draw in draws]
        assert all(left[token] > 0 for token in tokens) if left.sum() else set(tokens) == {-1}


def test_the_law_of_draws():
    logits, masks, ids, q = problem(3, rows=2, width=5, words=1)
    masks[0] = 0b10111
    ids[:] = 0
    n = 40_000
    many = [torch.from_numpy(np.repeat(array[:1], n, 0)) for array in (logits, q)]
    table, chosen = torch.from_numpy(masks.view(np.int32)), torch.zeros(n, dtype=torch.int32)
    found = residual(many[0], table, chosen, many[1], 0.9, seeds=torch.arange(n), positions=0).tokens.numpy()
    (_, _, p), *_ = definition(logits, masks, ids, 1.0)
    left = np.maximum(0.9 * p - q[0], 0)
    assert np.abs(np.bincount(found, minlength=5) / n - left / left.sum()).max() < 0.012


@pytest.mark.parametrize("change, what", [({"temperatures": 0.0}, "temperature"), ({"q": torch.zeros(2, 3)}, "q float32")])
def test_what_has_no_residual_is_refused(change, what):
    logits, masks, ids, q = problem(1)
    options = {"q": torch.from_numpy(q), **change}
    with pytest.raises(StructgenError, match=what):
        residual(*tensors(logits, masks, ids), **options)
