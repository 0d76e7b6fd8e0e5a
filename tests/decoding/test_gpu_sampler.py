"""The fused draw in plain torch: its words against published vectors, its noise against float64, its law against softmax."""

from __future__ import annotations

import math

import pytest
import torch

from structgen.errors import StructgenError
from structgen.gpu import gumbel_noise, sample
from structgen.gpu.noise import _gumbel, philox

FULL = torch.full((1, 1), -1, dtype=torch.int32)


def philox_by_hand(key, counter):
    """Philox4x32-10 in Python's integers, after the paper's figure."""
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        a, b = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = b >> 32 ^ c1 ^ k0, b & 0xFFFFFFFF, a >> 32 ^ c3 ^ k1, a & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


@pytest.mark.parametrize(
    "key, counter, words",
    [
        ([0, 0], [0, 0, 0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 2, [0xFFFFFFFF] * 4, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ([0xA4093822, 0x299F31D0], [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_the_twin_gives_the_known_answers_of_random123(key, counter, words):
    assert philox_by_hand(key, counter) == [int(word, 16) for word in words.split()]


def test_words_are_those_of_the_twin():
    seeds = [0, 1, -1, (1 << 62) + 12345, -(1 << 63)]
    positions = [0, 5, (1 << 31) - 1, 7, (1 << 32) - 1]
    quads = [0, 1, 99, 1 << 20]
    found = philox(torch.tensor(seeds), torch.tensor(positions), torch.tensor(quads))
    key = [(seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF) for seed in seeds]
    assert found.tolist() == [[philox_by_hand(k, [q, p, 0, 0]) for q in quads] for k, p in zip(key, positions, strict=True)]


def test_noise_is_the_gumbel_variate_of_its_word():
    make = torch.Generator().manual_seed(0)
    ends = torch.tensor([0, 1, 2, 0x7FFFFFFE, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF])
    words = torch.cat([ends, torch.randint(0, 1 << 32, (200_000,), generator=make), (1 << 32) - 1 - (1 << torch.arange(32))])
    upper = (0xFFFFFFFF - words + 0.5).double() * 2.0**-32
    exact = -torch.log(torch.where(words < 1 << 31, -torch.log((words + 0.5).double() * 2.0**-32), -torch.log1p(-upper)))
    assert (_gumbel(words).double() - exact).abs().max() < 4e-6
    assert _gumbel(ends).min() > -3.2 and _gumbel(ends).max() < 22.9


def test_noise_depends_on_seed_position_and_token_only():
    noise = gumbel_noise(torch.tensor([7, 7, 8]), torch.tensor([3, 4, 3]), 10)
    assert noise.shape == (3, 10) and noise.dtype == torch.float32 and len(set(noise.flatten().tolist())) == 30
    assert gumbel_noise(torch.tensor([8]), torch.tensor([3]), 7)[0].equal(noise[2, :7])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_have_the_law_of_the_masked_and_tempered_softmax(temperature):
    n = 200_000
    logits, mask = torch.tensor([0.0, 1.0, 2.0, 3.0, -1.0, 9.0]), 0b011111
    table, ids = torch.tensor([[mask]], dtype=torch.int32), torch.zeros(n, dtype=torch.int32)
    drawn = sample(logits.expand(n, -1), table, ids, temperatures=temperature, seeds=3, positions=torch.arange(n))
    law = torch.softmax(logits[:5] / temperature, 0)
    seen = torch.bincount(drawn.tokens, minlength=6) / n
    assert seen[5] == 0 and (seen[:5] - law).abs().max() < 0.004
    assert torch.allclose(drawn.log_probs, law.log()[drawn.tokens], atol=1e-5)


@pytest.mark.parametrize(
    "logits, mask, token",
    [
        ([1.0, 5.0, 3.0], 0b111, 1),
        ([1.0, 5.0, 3.0], 0b101, 2),
        ([1.0, 5.0, 3.0], 0, -1),
        ([-math.inf, 5.0, -math.inf], 0b101, -1),
        ([math.nan, 5.0, 3.0], 0b101, 2),
        ([math.inf, 5.0, math.inf], 0b110, 2),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 1e-3])
def test_the_greatest_allowed_logit_without_or_with_next_to_no_noise(logits, mask, token, temperature):
    drawn = sample(
        torch.tensor([logits]), torch.tensor([[mask]], dtype=torch.int32), torch.zeros(1, dtype=torch.int32), temperatures=temperature
    )
    assert drawn.tokens.tolist() == [token] and (token >= 0 or drawn.log_probs.item() == -math.inf)


def test_of_equal_logits_the_lowest_token_is_taken_without_noise():
    drawn = sample(torch.full((1, 40), 5.0), torch.tensor([[0b110]], dtype=torch.int32), torch.zeros(1, dtype=torch.int32))
    assert drawn.tokens.tolist() == [1] and drawn.log_probs.item() == pytest.approx(-math.log(2))


def test_a_row_draws_the_same_in_any_batch_and_any_chunk(monkeypatch):
    make = torch.Generator().manual_seed(1)
    logits, table = torch.randn(9, 50, generator=make), torch.randint(-(1 << 31), 1 << 31, (4, 2), generator=make).to(torch.int32)
    ids = torch.randint(-1, 4, (9,), generator=make, dtype=torch.int32)
    draw = {"temperatures": torch.rand(9, generator=make), "seeds": torch.arange(9), "positions": torch.arange(9) * 5}
    whole = sample(logits, table, ids, **draw)
    alone = [
        sample(logits[i : i + 1], table, ids[i : i + 1], **{name: value[i : i + 1] for name, value in draw.items()}).tokens.item()
        for i in range(9)
    ]
    monkeypatch.setattr("structgen.gpu.sampler.CHUNK", 100)
    assert whole.tokens.tolist() == alone == sample(logits, table, ids, **draw).tokens.tolist()


def test_no_rows_are_drawn_for_no_rows():
    drawn = sample(torch.zeros(0, 5), FULL, torch.zeros(0, dtype=torch.int32))
    assert drawn.tokens.shape == drawn.log_probs.shape == (0,)


@pytest.mark.parametrize("draw", [{"seeds": torch.zeros(2, dtype=torch.int64)}, {"temperatures": torch.zeros(1, 1)}])
def test_a_column_has_a_number_for_every_row(draw):
    with pytest.raises(StructgenError, match=r"tensor \[1\]"):
        sample(torch.zeros(1, 5), FULL, torch.zeros(1, dtype=torch.int32), **draw)
