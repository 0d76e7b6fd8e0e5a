"""Gumbel noise as a function of (seed, position, token), the same bits on every device.

Words come from Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011): the key is the seed, the
counter (token // 4, position, 0, 0), and word token % 4 belongs to the token. A word w becomes the exponential variate E = -log(u),
u = (w + 1/2) / 2^32, and that the Gumbel variate -log(E). For u near 1 the logarithm is computed from 1 - u, so small E, which win, keep
all their digits. Logarithms are a series in IEEE additions, products and quotients, none fused, so torch and `_kernels` round
alike; the libraries' own would not. Noise lies within (-3.2, 22.9): a token more than 26.1 below the best is never drawn.
"""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["gumbel_noise"]

ROUND_A, ROUND_B = 0xD2511F53, 0xCD9E8D57  # multipliers of Philox4x32
KEY_A, KEY_B = 0x9E3779B9, 0xBB67AE85  # what its key grows by, each round
ROUNDS = 10
LOW = 0xFFFFFFFF

SQRT_HALF = 0x3F3504F3  # the bits of sqrt(1/2) in float32
LN2 = float(np.float32(np.log(2)))
SERIES = tuple(float(np.float32(1 / k)) for k in (17, 15, 13, 11, 9, 7, 5, 3))  # of atanh; |s| <= 1/3, so 1e-9 is left out


def gumbel_noise(seeds: torch.Tensor, positions: torch.Tensor, width: int) -> torch.Tensor:
    """Standard Gumbel variates, float32 [n, width], for tokens 0 to ``width`` - 1 of n rows.

    ``seeds``: int64 [n]; ``positions``: int32 or int64 [n], of the token to be drawn in its text, from 0 to 2^32 - 1.
    """
    quads = torch.arange(-(-width // 4), device=seeds.device)
    return _gumbel(philox(seeds, positions, quads).flatten(1)[:, :width])


def philox(seeds: torch.Tensor, positions: torch.Tensor, quads: torch.Tensor) -> torch.Tensor:
    """Philox4x32-10 of key ``seeds`` [n] and counters (quads, positions, 0, 0): int64 [n, len(quads), 4], each below 2^32."""
    c = [(quads & LOW).expand(len(seeds), -1), (positions.long() & LOW)[:, None], *[torch.zeros_like(seeds)[:, None]] * 2]
    low, high = seeds[:, None] & LOW, (seeds[:, None] >> 32) & LOW
    for _ in range(ROUNDS):
        a, b = c[0] * ROUND_A, c[2] * ROUND_B  # below 2^64: int64 wraps, the bits are right
        c = [(b >> 32) & LOW ^ c[1] ^ low, b & LOW, (a >> 32) & LOW ^ c[3] ^ high, a & LOW]
        low, high = (low + KEY_A) & LOW, (high + KEY_B) & LOW
    return torch.stack([word.expand(len(seeds), len(quads)) for word in c], dim=-1)


def _gumbel(words: torch.Tensor) -> torch.Tensor:
    upper = words > 0x7FFFFFFF
    rest = torch.minimum(words, LOW - words).float() * 2.0**-32 + 2.0**-33  # u or 1 - u, whichever is below 1/2
    exponent, fraction = _split(rest)
    exponential = -_log(
        torch.where(upper, 0.0, exponent), torch.where(upper, -rest, fraction - 1), torch.where(upper, 2 - rest, fraction + 1)
    )
    exponent, fraction = _split(exponential)
    return -_log(exponent, fraction - 1, fraction + 1)


def _split(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x = 2^exponent * fraction with sqrt(1/2) <= fraction < sqrt(2), for positive normal x."""
    bits = x.view(torch.int32)
    exponent = (bits - SQRT_HALF) >> 23
    return exponent.float(), (bits - (exponent << 23)).view(torch.float32)


def _log(exponent: torch.Tensor, numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
    """log(2^exponent * fraction) = exponent log 2 + 2 atanh(s), s = (fraction - 1) / (fraction + 1)."""
    s = numerator / denominator
    square = s * s
    series = torch.zeros_like(s)
    for coefficient in SERIES:
        series = (series + coefficient) * square
    twice = s + s
    return exponent * LN2 + (twice + twice * series)
