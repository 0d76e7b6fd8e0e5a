"""Packed masks against their definition, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from structgen.masking import forbid, pack_tokens, unpack, unpack_on_device


@pytest.mark.parametrize("tokens", [[], [0], [31], [32], [0, 5, 31, 32, 63, 64, 200]])
def test_pack_tokens_sets_exactly_these_bits(tokens):
    words = pack_tokens(tokens)
    assert [t for t in range(32 * len(words)) if words[t >> 5] >> (t & 31) & 1] == tokens


@pytest.mark.parametrize("width", [1, 31, 32, 33, 96, 100, 128])
def test_unpack_is_the_bit_of_each_token(width):
    words = np.random.default_rng(width).integers(0, 1 << 32, (3, 3), dtype=np.uint32)
    expected = [[t < 96 and bool(row[t >> 5] >> (t & 31) & 1) for t in range(width)] for row in words]
    for bits in (unpack(words, width, torch.device("cpu")), unpack_on_device(torch.from_numpy(words.view(np.int32)), width)):
        assert bits.dtype == torch.bool and bits.tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_forbid_keeps_dtype_and_allowed_scores(dtype):
    scores = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=dtype)
    before = scores.clone()
    masked = forbid(scores, torch.tensor([[True, False, True], [False, False, True]]))
    assert masked.dtype == dtype and scores.equal(before)
    assert masked.tolist() == [[-torch.inf, 2.0, -torch.inf], [4.0, 5.0, -torch.inf]]


def test_forbid_leaves_something_to_sample_where_other_processors_excluded_all_that_may_follow():
    scores = torch.tensor([[-torch.inf, -torch.inf, 3.0], [1.0, -torch.inf, -torch.inf]])
    masked = forbid(scores, torch.tensor([[False, True, True], [False, False, True]]))
    assert masked.tolist() == [[0.0, -torch.inf, -torch.inf], [1.0, -torch.inf, -torch.inf]]
