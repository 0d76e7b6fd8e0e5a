"""The Triton kernels against torch, bit for bit: on a GPU, or in Triton's interpreter, to which `test_gpu_interpreter` runs this file."""

from __future__ import annotations

import os

import pytest
import torch

from structgen.gpu import apply_masks, gumbel_noise, masses, residual, sample

tl = pytest.importorskip("triton.language", reason="Triton is not installed")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("needs a GPU or TRITON_INTERPRET=1; test_gpu_interpreter runs it so", allow_module_level=True)

import triton  # noqa: E402

from structgen.gpu import _kernels  # noqa: E402

BLOCK = 128
DTYPES = [torch.float16, torch.bfloat16, torch.float32]
SHAPES = [(1, 1, 1), (3, 33, 1), (4, 64, 2), (5, 200, 6), (2, 500, 16), (6, 300, 7)]  # rows, logits, words: padded, cut, exact


def on_device(*tensors):
    return [tensor.to(DEVICE) for tensor in tensors]


def problem(rows, width, words, dtype, seed=0):
    """Logits with ties, infinities, NaN and a stride; a table of rows, some empty, some full; ids with -1."""
    make = torch.Generator().manual_seed(seed)
    logits = (torch.randn(rows, width + 3, generator=make) * 4).round(decimals=1).to(dtype)[:, :width]
    logits[torch.rand(rows, width, generator=make) < 0.05] = -torch.inf
    logits[0, ::7] = torch.nan
    logits[-1, 3 % width] = torch.inf
    table = torch.randint(-(1 << 31), 1 << 31, (5, words), generator=make).to(torch.int32)
    table[1], table[2] = 0, -1
    ids = torch.randint(-1, 5, (rows,), generator=make, dtype=torch.int32)
    return on_device(logits, table, ids)


def copy_of(logits):
    """The same values with the same strides."""
    return torch.empty_strided(logits.shape, logits.stride(), dtype=logits.dtype, device=logits.device).copy_(logits)


def bits(tensor):
    return tensor.contiguous().view({2: torch.int16, 4: torch.int32}[tensor.element_size()])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_masks_are_applied_bit_for_bit(shape, dtype, monkeypatch):
    monkeypatch.setattr(_kernels.apply_masks, "__defaults__", (BLOCK,))
    logits, table, ids = problem(*shape, dtype)
    ours, reference = copy_of(logits), copy_of(logits)
    apply_masks(ours, table, ids, backend="triton")
    apply_masks(reference, table, ids, backend="torch")
    assert bits(ours).equal(bits(reference))


def test_nothing_beyond_the_logits_is_written():
    whole = torch.zeros(3, 100, device=DEVICE)
    table, ids = on_device(torch.zeros(1, 2, dtype=torch.int32), torch.tensor([0, -1, 0], dtype=torch.int32))
    apply_masks(whole[:, :40], table, ids, backend="triton")
    assert (whole == -torch.inf).cpu().tolist() == [[True] * 40 + [False] * 60, [False] * 100, [True] * 40 + [False] * 60]


@pytest.mark.parametrize("shape, dtype", list(zip(SHAPES, 2 * DTYPES, strict=True)))
@pytest.mark.parametrize("temperature", [0.0, 0.3, 7.0])
def test_the_same_tokens_are_drawn(shape, dtype, temperature, monkeypatch):
    monkeypatch.setattr(_kernels.sample, "__defaults__", (BLOCK,))
    logits, table, ids = problem(*shape, dtype)
    draw = {"temperatures": temperature, "seeds": -1, "positions": 1000}
    ours = sample(logits, table, ids, backend="triton", **draw)
    reference = sample(logits, table, ids, backend="torch", **draw)
    assert ours.tokens.equal(reference.tokens)
    assert torch.allclose(ours.log_probs, reference.log_probs, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_rows_have_their_own_temperatures_seeds_and_positions():
    logits, table, ids = problem(6, 300, 10, torch.float32)
    temperatures, seeds, positions = on_device(
        torch.tensor([0, 1, 0.5, 0, 2, 1]), torch.tensor([1, -1, 1 << 62, 4, 5, 6]), torch.tensor([0, 1, (1 << 31) - 1, 3, 4, 5])
    )
    draw = {"temperatures": temperatures, "seeds": seeds, "positions": positions}
    assert sample(logits, table, ids, backend="triton", **draw).tokens.equal(sample(logits, table, ids, backend="torch", **draw).tokens)


@pytest.mark.parametrize("shape, dtype", list(zip(SHAPES, 2 * DTYPES, strict=True)))
@pytest.mark.parametrize("temperature", [0.3, 7.0])
def test_masses_and_residuals_are_those_of_torch(shape, dtype, temperature, monkeypatch):
    monkeypatch.setattr(_kernels.masses, "__defaults__", (BLOCK,))
    monkeypatch.setattr(_kernels.residual, "__defaults__", (BLOCK,))
    logits, table, ids = problem(*shape, dtype)
    logits[logits == torch.inf] = 3.0
    ours, reference = (masses(logits, table, ids, temperatures=temperature, backend=backend) for backend in ("triton", "torch"))
    for a, b in zip(ours, reference, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5)
    q = torch.rand(logits.shape, generator=torch.Generator().manual_seed(1)).to(DEVICE) ** 8
    q /= q.sum(1, keepdim=True)
    settings = {"temperatures": temperature, "seeds": 5, "positions": 9}
    ours, reference = (residual(logits, table, ids, q, 0.8, backend=backend, **settings) for backend in ("triton", "torch"))
    assert torch.allclose(ours.excess, reference.excess, rtol=1e-5, atol=1e-6)
    assert ours.tokens.equal(reference.tokens)


@triton.jit
def noise_kernel(seeds, positions, out, BLOCK: tl.constexpr):
    row = tl.program_id(1)
    at = (row * tl.num_programs(0) + tl.program_id(0)) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + at, _kernels.gumbel(tl.load(seeds + row), tl.load(positions + row), tl.program_id(0), BLOCK))


def test_the_noise_has_the_same_bits():
    seeds, positions = on_device(torch.tensor([0, -5, 1 << 40]), torch.tensor([0, (1 << 31) - 1, 77], dtype=torch.int32))
    ours = torch.empty(3, 4 * 4096, device=DEVICE)
    noise_kernel[(4, 3)](seeds, positions, ours, BLOCK=4096, enable_fp_fusion=False)
    assert bits(ours).equal(bits(gumbel_noise(seeds, positions, 4 * 4096)))
    assert bits(ours).cpu().equal(bits(gumbel_noise(seeds.cpu(), positions.cpu(), 4 * 4096)))
