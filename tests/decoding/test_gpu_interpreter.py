"""The kernels' tests in Triton's interpreter, in a process of their own: it must be chosen before Triton is imported. And the
kernels compiled for GPUs, which takes none: what the interpreter lets pass (types, shapes) is an error there."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from structgen.gpu import _kernels

TYPES = dict(
    logits="*bf16", stride="i32", width="i32", table="*i32", words="i32", ids="*i32", temperatures="*fp32", seeds="*i64", positions="*i32",
    q="*fp32", factors="*fp32", log_total="*fp32", log_allowed="*fp32", excess="*fp32",
    parts="*fp32", winners="*i32", blocks="i32", tokens="*i64", log_probs="*fp32", BLOCK="constexpr", BLOCKS="constexpr",
)
for name in ("apply_kernel", "block_kernel", "row_kernel", "mass_kernel", "mass_row_kernel", "residual_kernel", "residual_row_kernel"):
    kernel = getattr(_kernels, name)
    size = {(len(kernel.arg_names) - 1,): 1024 if "BLOCK" in kernel.arg_names else 64}
    source = ASTSource(kernel, {name: TYPES[name] for name in kernel.arg_names}, size)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": False})
    print(kernel.__name__, len(made.asm["cubin"]) > 0, "fma.rn" in made.asm["ptx"], ".ftz" in made.asm["ptx"])
"""


def run(*command: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    finished = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
    return finished.stdout


def test_the_kernels_in_the_interpreter():
    printed = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", str(HERE / "test_gpu_kernels.py")), TRITON_INTERPRET="1"
    )
    assert " passed" in printed and " skipped" not in printed, printed


def test_the_kernels_compile_for_gpus_and_scores_are_rounded_as_in_torch(tmp_path):
    """No fused products and sums, no subnormals flushed: the noise would have other bits."""
    made = [line.split() for line in run("-c", COMPILE, TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path)).splitlines()]
    assert len(made) == 7 and all(compiled == "True" for _, compiled, *_ in made)
    assert [rounding for name, _, *rounding in made if name == "block_kernel"] == [["False", "False"]]
