"""Masks on an accelerator: rows uploaded once, masked and sampled where the logits are. See docs/notes/009-gpu.md.

`MaskPool` keeps mask rows on the device and hands out their numbers, `apply_masks` and `sample` use them, and `DeviceAutomaton`
needs the host no more. Triton kernels where the logits are on a CUDA device and Triton is installed, else torch: same results.
"""

from __future__ import annotations

from structgen.gpu.ahead import MaskAhead
from structgen.gpu.automaton import DeviceAutomaton
from structgen.gpu.masks import UNCONSTRAINED, apply_masks
from structgen.gpu.noise import gumbel_noise
from structgen.gpu.pool import Lease, MaskPool
from structgen.gpu.sampler import Sampled, sample
from structgen.gpu.verification import Masses, Residual, masses, residual

__all__ = [
    "UNCONSTRAINED",
    "DeviceAutomaton",
    "Lease",
    "MaskAhead",
    "MaskPool",
    "Masses",
    "Residual",
    "Sampled",
    "apply_masks",
    "gumbel_noise",
    "masses",
    "residual",
    "sample",
]
