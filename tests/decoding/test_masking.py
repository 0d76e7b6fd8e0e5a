"""Packed masks against their definition, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structgen import masking
from structgen.errors import VocabularyError
from structgen.masking import keep_allowed, pack_tokens, unpack


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    words = np.random.default_rng(0).integers(0, 1 << 32, (4, 4), dtype=np.uint32)
    scores = torch.randn(4, 100)
    kept = keep_allowed(scores.cuda(), words)
    assert kept.is_cuda and kept.cpu().equal(keep_allowed(scores, words))


def bit(row, token):
    return bool(row[token >> 5] >> (token & 31) & 1)


@pytest.mark.parametrize("tokens", [[], [0], [31], [32], [0, 5, 31, 32, 63, 64, 200]])
def test_pack_tokens_sets_exactly_these_bits(tokens):
    words = pack_tokens(tokens)
    assert [t for t in range(32 * len(words)) if bit(words, t)] == tokens


@pytest.mark.parametrize("width", [1, 31, 32, 33, 95, 96])
def test_unpack_is_the_bit_of_each_token(width):
    words = np.random.default_rng(width).integers(0, 1 << 32, (3, 3), dtype=np.uint32)
    bits = unpack(torch.from_numpy(words.view(np.int32)), width)
    assert bits.dtype == torch.bool and bits.tolist() == [[bit(row, t) for t in range(width)] for row in words]


@pytest.fixture(params=["_lower_on_cpu", "_select_on_device"])
def way(request, monkeypatch):
    """Both ways to mask, on whatever device."""
    for name in ("_lower_on_cpu", "_select_on_device"):
        monkeypatch.setattr(masking, name, getattr(masking, request.param))
    return request.param


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("width", [1, 33, 64, 100])
def test_allowed_scores_stay_and_the_others_are_minus_infinity(width, dtype):
    rng = np.random.default_rng(width)
    words = rng.integers(0, 1 << 32, (4, -(-width // 32)), dtype=np.uint32) | np.uint32(1)
    scores = torch.from_numpy(rng.normal(0, 1e4, (4, width))).to(dtype)
    scores[0, 0] = torch.inf
    before = scores.clone()
    kept = keep_allowed(scores, words)
    assert kept.dtype == dtype and scores.equal(before)
    assert kept.tolist() == [[before[i, t].item() if bit(row, t) else -torch.inf for t in range(width)] for i, row in enumerate(words)]


@pytest.mark.usefixtures("way")
def test_something_is_left_to_sample_where_other_processors_excluded_all_that_may_follow():
    scores = torch.tensor([[-torch.inf, -torch.inf, 3.0], [1.0, -torch.inf, -torch.inf]])
    kept = keep_allowed(scores, np.array([[0b001], [0b011]], np.uint32))
    assert kept.tolist() == [[0.0, -torch.inf, -torch.inf], [1.0, -torch.inf, -torch.inf]]


@pytest.mark.usefixtures("way")
def test_a_row_of_which_nothing_may_follow_is_an_error():
    words = np.array([[1, 0], [0, 1 << 8]], np.uint32)
    assert keep_allowed(torch.zeros(2, 41), words).isfinite().nonzero().tolist() == [[0, 0], [1, 40]]
    with pytest.raises(VocabularyError, match="40 logits"):
        keep_allowed(torch.zeros(2, 40), words)
