"""Which way to run: Triton's kernels, or torch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

import torch

__all__ = ["Backend", "on_triton"]

Backend = Literal["auto", "triton", "torch"]


def on_triton(tensor: torch.Tensor, backend: Backend) -> bool:
    """Whether to launch Triton kernels on this tensor. ``"auto"``: on CUDA devices, if Triton is installed. ``"triton"`` asks for it
    anywhere, which on a CPU works in Triton's interpreter only (``TRITON_INTERPRET=1``)."""
    if backend == "auto":
        return tensor.is_cuda and find_spec("triton") is not None
    return backend == "triton"
