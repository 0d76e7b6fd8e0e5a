"""The Triton kernels behind `apply_masks`, `sample`, `masses` and `residual`; import only where Triton is installed.

A program handles one block of tokens of one row. Floating-point fusion is switched off (``enable_fp_fusion``), so that scores have
the bits that `noise` gives in torch; the sums behind log-probabilities are added up in another order.
"""

# mypy: ignore-errors

from __future__ import annotations

import torch
import triton
import triton.language as tl

BLOCK = 2048  # tokens of a program, a multiple of 32
DRAW_BLOCK = 1024  # where each takes many more instructions
FORBIDDEN = tl.constexpr(float("-inf"))
NO_TOKEN = tl.constexpr(0x7FFFFFFF)
SQRT_HALF = tl.constexpr(0x3F3504F3)
LN2 = tl.constexpr(0.693147182464599609375)


def apply_masks(logits: torch.Tensor, table: torch.Tensor, ids: torch.Tensor, block: int = BLOCK) -> None:
    """See `structgen.gpu.masks.apply_masks`."""
    n, width = logits.shape
    if n and width:
        apply_kernel[(n * triton.cdiv(width, block),)](logits, logits.stride(0), width, table, table.shape[1], ids, BLOCK=block)


def sample(
    logits: torch.Tensor,
    table: torch.Tensor,
    ids: torch.Tensor,
    temperatures: torch.Tensor,
    seeds: torch.Tensor,
    positions: torch.Tensor,
    block: int = DRAW_BLOCK,
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `structgen.gpu.sampler.sample`: tokens int64 [n] and log-probabilities float32 [n]."""
    n, width = logits.shape
    blocks = triton.cdiv(width, block)
    parts = torch.empty((n, blocks, 4), dtype=torch.float32, device=logits.device)
    winners = torch.empty((n, blocks), dtype=torch.int32, device=logits.device)
    tokens = torch.empty(n, dtype=torch.int64, device=logits.device)
    log_probs = torch.empty(n, dtype=torch.float32, device=logits.device)
    if n:
        draw = (temperatures, seeds, positions)
        block_kernel[(n * blocks,)](
            logits, logits.stride(0), width, table, table.shape[1], ids, *draw, parts, winners, BLOCK=block, enable_fp_fusion=False
        )
        room = triton.next_power_of_2(blocks)
        row_kernel[(n,)](parts, winners, blocks, tokens, log_probs, BLOCKS=room, enable_fp_fusion=False)
    return tokens, log_probs


def masses(
    logits: torch.Tensor, table: torch.Tensor, ids: torch.Tensor, temperatures: torch.Tensor, block: int = BLOCK
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `structgen.gpu.verification.masses`: the logarithms of both masses, float32 [n]."""
    n, width = logits.shape
    blocks = triton.cdiv(width, block)
    parts = torch.empty((n, blocks, 4), dtype=torch.float32, device=logits.device)
    log_total, log_allowed = (torch.empty(n, dtype=torch.float32, device=logits.device) for _ in range(2))
    if n:
        mass_kernel[(n * blocks,)](logits, logits.stride(0), width, table, table.shape[1], ids, temperatures, parts, BLOCK=block)
        mass_row_kernel[(n,)](parts, blocks, log_total, log_allowed, BLOCKS=triton.next_power_of_2(blocks))
    return log_total, log_allowed


def residual(
    logits: torch.Tensor,
    table: torch.Tensor,
    ids: torch.Tensor,
    q: torch.Tensor,
    factors: torch.Tensor,
    temperatures: torch.Tensor,
    log_total: torch.Tensor,
    seeds: torch.Tensor,
    positions: torch.Tensor,
    block: int = DRAW_BLOCK,
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `structgen.gpu.verification.residual`: sums float32 [n] and tokens int64 [n]."""
    n, width = logits.shape
    blocks = triton.cdiv(width, block)
    parts = torch.empty((n, blocks, 2), dtype=torch.float32, device=logits.device)
    winners = torch.empty((n, blocks), dtype=torch.int32, device=logits.device)
    excess = torch.empty(n, dtype=torch.float32, device=logits.device)
    tokens = torch.empty(n, dtype=torch.int64, device=logits.device)
    if n:
        law = (q, factors, temperatures, log_total, seeds, positions)
        residual_kernel[(n * blocks,)](
            logits, logits.stride(0), width, table, table.shape[1], ids, *law, parts, winners, BLOCK=block, enable_fp_fusion=False
        )
        residual_row_kernel[(n,)](parts, winners, blocks, excess, tokens, BLOCKS=triton.next_power_of_2(blocks))
    return excess, tokens


@triton.jit
def apply_kernel(logits, stride, width, table, words, ids, BLOCK: tl.constexpr):
    blocks = tl.cdiv(width, BLOCK)
    row, block = (tl.program_id(0) // blocks).to(tl.int64), tl.program_id(0) % blocks
    mask = tl.load(ids + row).to(tl.int64)
    if mask >= 0:
        tokens = block * BLOCK + tl.arange(0, BLOCK)
        allowed = allowed_bits(table, words, mask, block, BLOCK)
        tl.store(logits + row * stride + tokens, FORBIDDEN, mask=(tokens < width) & (allowed == 0))


@triton.jit
def block_kernel(logits, stride, width, table, words, ids, temperatures, seeds, positions, parts, winners, BLOCK: tl.constexpr):
    """Of a block of tokens: the best score and its token, that token's tempered logit, the greatest, the sum of exp(logit - greatest)."""
    blocks = tl.cdiv(width, BLOCK)
    row, block = (tl.program_id(0) // blocks).to(tl.int64), tl.program_id(0) % blocks
    mask = tl.load(ids + row).to(tl.int64)
    tokens = block * BLOCK + tl.arange(0, BLOCK)
    allowed = tokens < width
    if mask >= 0:
        allowed = allowed & (allowed_bits(table, words, mask, block, BLOCK) != 0)
    best, winner, value, greatest, total = float("-inf"), NO_TOKEN, float("-inf"), float("-inf"), 0.0
    if tl.max(allowed.to(tl.int32), 0) > 0:
        temperature = tl.load(temperatures + row)
        scale = 1.0
        if temperature > 0:
            scale = tl.div_rn(1.0, temperature)
        x = tl.load(logits + row * stride + tokens, mask=allowed, other=float("-inf")).to(tl.float32) * scale
        x = tl.where(x == x, x, float("-inf"))
        score = x
        if temperature > 0:
            score = x + gumbel(tl.load(seeds + row), tl.load(positions + row), block, BLOCK)
        best = tl.max(score, 0)
        winner = tl.min(tl.where((score == best) & (score > float("-inf")), tokens, NO_TOKEN), 0)
        value = tl.max(tl.where(tokens == winner, x, float("-inf")), 0)
        greatest = tl.max(x, 0)
        total = tl.sum(tl.where(x > float("-inf"), tl.exp(x - greatest), 0.0), 0)
    at = row * blocks + block
    tl.store(winners + at, winner)
    tl.store(parts + 4 * at, best)
    tl.store(parts + 4 * at + 1, value)
    tl.store(parts + 4 * at + 2, greatest)
    tl.store(parts + 4 * at + 3, total)


@triton.jit
def row_kernel(parts, winners, blocks, tokens, log_probs, BLOCKS: tl.constexpr):
    """The winner among the blocks of a row, the lowest token of equal scores, and its log-probability."""
    row = tl.program_id(0).to(tl.int64)
    block = tl.arange(0, BLOCKS)
    at = row * blocks + block
    there = block < blocks
    score = tl.load(parts + 4 * at, mask=there, other=float("-inf"))
    value = tl.load(parts + 4 * at + 1, mask=there, other=float("-inf"))
    greatest = tl.load(parts + 4 * at + 2, mask=there, other=float("-inf"))
    total = tl.load(parts + 4 * at + 3, mask=there, other=0.0)
    winner = tl.load(winners + at, mask=there, other=NO_TOKEN)
    token = tl.min(tl.where(score == tl.max(score, 0), winner, NO_TOKEN), 0)
    if token == NO_TOKEN:
        tl.store(tokens + row, tl.full((), -1, tl.int64))
        tl.store(log_probs + row, FORBIDDEN)
    else:
        top = tl.max(greatest, 0)
        mass = tl.sum(tl.where(greatest > float("-inf"), total * tl.exp(greatest - top), 0.0), 0)
        chosen = tl.max(tl.where(winner == token, value, float("-inf")), 0)
        tl.store(tokens + row, token.to(tl.int64))
        tl.store(log_probs + row, chosen - top - tl.log(mass))


@triton.jit
def mass_kernel(logits, stride, width, table, words, ids, temperatures, parts, BLOCK: tl.constexpr):
    """Of a block of tokens, of the allowed ones and of all: the greatest tempered logit, the sum of exp(logit - greatest)."""
    blocks = tl.cdiv(width, BLOCK)
    row, block = (tl.program_id(0) // blocks).to(tl.int64), tl.program_id(0) % blocks
    tokens = block * BLOCK + tl.arange(0, BLOCK)
    x = tempered(logits + row * stride, tokens, width, temperatures + row)
    allowed = is_allowed(table, words, tl.load(ids + row).to(tl.int64), block, tokens < width, BLOCK)
    chosen = tl.where(allowed, x, float("-inf"))
    at = parts + 4 * (row * blocks + block)
    tl.store(at, tl.max(chosen, 0))
    tl.store(at + 1, exponentials(chosen))
    tl.store(at + 2, tl.max(x, 0))
    tl.store(at + 3, exponentials(x))


@triton.jit
def mass_row_kernel(parts, blocks, log_total, log_allowed, BLOCKS: tl.constexpr):
    """The masses of a row from those of its blocks."""
    row = tl.program_id(0).to(tl.int64)
    block = tl.arange(0, BLOCKS)
    at, there = parts + 4 * (row * blocks + block), block < blocks
    some = combined(tl.load(at, mask=there, other=float("-inf")), tl.load(at + 1, mask=there, other=0.0))
    all_of_it = combined(tl.load(at + 2, mask=there, other=float("-inf")), tl.load(at + 3, mask=there, other=0.0))
    tl.store(log_total + row, some)
    tl.store(log_allowed + row, tl.where(some > float("-inf"), some - all_of_it, float("-inf")))


@triton.jit
def residual_kernel(
    logits, stride, width, table, words, ids, q, factors, temperatures, log_total, seeds, positions, parts, winners, BLOCK: tl.constexpr
):
    """Of a block of tokens: the sum of [b p - q]+, the best of its logarithms plus noise, and which token that is."""
    blocks = tl.cdiv(width, BLOCK)
    row, block = (tl.program_id(0) // blocks).to(tl.int64), tl.program_id(0) % blocks
    tokens = block * BLOCK + tl.arange(0, BLOCK)
    total = tl.load(log_total + row)
    allowed = is_allowed(table, words, tl.load(ids + row).to(tl.int64), block, tokens < width, BLOCK)
    x = tempered(logits + row * stride, tokens, width, temperatures + row)
    p = tl.where(allowed & (x > float("-inf")), tl.exp(x - total), 0.0)
    left = tl.load(factors + row) * p - tl.load(q + row * width + tokens, mask=tokens < width, other=0.0)
    left = tl.where(left > 0, left, 0.0)
    noise = gumbel(tl.load(seeds + row), tl.load(positions + row), block, BLOCK)
    score = tl.where(left > 0, tl.log(left) + noise, float("-inf"))
    best = tl.max(score, 0)
    at = row * blocks + block
    tl.store(parts + 2 * at, tl.sum(left, 0))
    tl.store(parts + 2 * at + 1, best)
    tl.store(winners + at, tl.min(tl.where((score == best) & (score > float("-inf")), tokens, NO_TOKEN), 0))


@triton.jit
def residual_row_kernel(parts, winners, blocks, excess, tokens, BLOCKS: tl.constexpr):
    """The sum of a row, and the winner among its blocks, the lowest token of equal scores."""
    row = tl.program_id(0).to(tl.int64)
    block = tl.arange(0, BLOCKS)
    at, there = row * blocks + block, block < blocks
    score = tl.load(parts + 2 * at + 1, mask=there, other=float("-inf"))
    winner = tl.load(winners + at, mask=there, other=NO_TOKEN)
    token = tl.min(tl.where(score == tl.max(score, 0), winner, NO_TOKEN), 0)
    tl.store(excess + row, tl.sum(tl.load(parts + 2 * at, mask=there, other=0.0), 0))
    tl.store(tokens + row, tl.where(token == NO_TOKEN, -1, token).to(tl.int64))


@triton.jit
def tempered(row, tokens, width, temperature):
    """Logits over their temperature, float32; -inf for NaN and beyond the row."""
    x = tl.load(row + tokens, mask=tokens < width, other=float("-inf")).to(tl.float32) * tl.div_rn(1.0, tl.load(temperature))
    return tl.where(x == x, x, float("-inf"))


@triton.jit
def is_allowed(table, words, mask, block, there, BLOCK: tl.constexpr):
    bits = allowed_bits(table, words, tl.maximum(mask, 0), block, BLOCK)
    return there & ((bits != 0) | (mask < 0))


@triton.jit
def exponentials(x):
    """The sum of exp(x - greatest), 0 where all are -inf."""
    return tl.sum(tl.where(x > float("-inf"), tl.exp(x - tl.max(x, 0)), 0.0), 0)


@triton.jit
def combined(greatest, totals):
    """The logarithm of the sum of totals * exp(greatest)."""
    top = tl.max(greatest, 0)
    mass = tl.sum(tl.where(greatest > float("-inf"), totals * tl.exp(greatest - top), 0.0), 0)
    return tl.where(top > float("-inf"), top + tl.log(tl.where(mass > 0, mass, 1.0)), float("-inf"))


@triton.jit
def allowed_bits(table, words, mask, block, BLOCK: tl.constexpr):
    """The bits of a mask for the tokens of a block, int32 [BLOCK]; 0 beyond the mask."""
    at = block * (BLOCK // 32) + tl.arange(0, BLOCK // 32)
    packed = tl.load(table + mask * words + at, mask=at < words, other=0)
    return tl.reshape((packed[:, None] >> tl.arange(0, 32)[None, :]) & 1, (BLOCK,))


@triton.jit
def gumbel(seed, position, block, BLOCK: tl.constexpr):
    """`structgen.gpu.noise.gumbel_noise` for the tokens of a block, operation by operation."""
    quads = (block * (BLOCK // 4) + tl.arange(0, BLOCK // 4)).to(tl.uint32)
    zero = quads * 0
    w0, w1, w2, w3 = tl.philox(seed, quads, zero + position.to(tl.uint32), zero, zero)
    word = tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), (BLOCK,))
    upper = word > 0x7FFFFFFF
    rest = tl.minimum(word, word ^ 0xFFFFFFFF).to(tl.int32).to(tl.float32) * 2.3283064365386963e-10 + 1.1641532182693481e-10
    exponent, fraction = split(rest)
    exponential = -log(tl.where(upper, 0.0, exponent), tl.where(upper, -rest, fraction - 1.0), tl.where(upper, 2.0 - rest, fraction + 1.0))
    exponent, fraction = split(exponential)
    return -log(exponent, fraction - 1.0, fraction + 1.0)


@triton.jit
def split(x):
    bits = x.to(tl.int32, bitcast=True)
    exponent = (bits - SQRT_HALF) >> 23
    return exponent.to(tl.float32), (bits - (exponent << 23)).to(tl.float32, bitcast=True)


@triton.jit
def log(exponent, numerator, denominator):
    s = tl.div_rn(numerator, denominator)
    square = s * s
    series = (0.0588235296308994293212890625) * square
    series = (series + 0.066666670143604278564453125) * square
    series = (series + 0.076923079788684844970703125) * square
    series = (series + 0.0909090936183929443359375) * square
    series = (series + 0.111111111938953399658203125) * square
    series = (series + 0.14285714924335479736328125) * square
    series = (series + 0.20000000298023223876953125) * square
    series = (series + 0.3333333432674407958984375) * square
    twice = s + s
    return exponent * LN2 + (twice + twice * series)
