"""Masked diffusion language models under a constraint: every commit is checked exactly, so what comes out is always valid.

Names are imported on first use. See docs/diffusion.md, and docs/unmasking.md for policies, blocks, stops and caches.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structgen.diffusion import policies
    from structgen.diffusion.blocks import AdaBlock, BlockCausal, BlockDiffusion, FixedBlocks
    from structgen.diffusion.caches import Cached, DelayedCache, DualCache, PrefixCache, WindowCache
    from structgen.diffusion.filling import Filling
    from structgen.diffusion.generation import Statistics, generate, run
    from structgen.diffusion.guidance import Svdd
    from structgen.diffusion.infilling import infill
    from structgen.diffusion.joint import Joint
    from structgen.diffusion.model import HuggingFace, as_diffusion_model
    from structgen.diffusion.stops import Prophet, Sched

__all__ = [
    "AdaBlock",
    "BlockCausal",
    "BlockDiffusion",
    "Cached",
    "DelayedCache",
    "DualCache",
    "Filling",
    "FixedBlocks",
    "HuggingFace",
    "Joint",
    "PrefixCache",
    "Prophet",
    "Sched",
    "Statistics",
    "Svdd",
    "WindowCache",
    "as_diffusion_model",
    "generate",
    "infill",
    "policies",
    "run",
]

_HOMES = {
    "blocks": ("AdaBlock", "BlockCausal", "BlockDiffusion", "FixedBlocks"),
    "caches": ("Cached", "DelayedCache", "DualCache", "PrefixCache", "WindowCache"),
    "filling": ("Filling",),
    "generation": ("Statistics", "generate", "run"),
    "guidance": ("Svdd",),
    "infilling": ("infill",),
    "joint": ("Joint",),
    "model": ("HuggingFace", "as_diffusion_model"),
    "stops": ("Prophet", "Sched"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "policies":
        return import_module("structgen.diffusion.policies")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"structgen.diffusion.{_HOME_OF[name]}"), name)
    return value
