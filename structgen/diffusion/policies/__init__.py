"""Unmasking policies: which positions of a masked diffusion model to commit next. See docs/unmasking.md.

Names are imported on first use. All are safe under any constraint: the guard checks what they propose.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structgen.diffusion.policies.contextual import Contextual
    from structgen.diffusion.policies.credit import Credit
    from structgen.diffusion.policies.entropy_bound import EntropyBound
    from structgen.diffusion.policies.eos import EosRejection
    from structgen.diffusion.policies.explore import ExploreExploit
    from structgen.diffusion.policies.fast_dllm import Factor, Threshold
    from structgen.diffusion.policies.hierarchy import Hierarchy
    from structgen.diffusion.policies.info_gain import InfoGain
    from structgen.diffusion.policies.klass import Klass
    from structgen.diffusion.policies.learned import Learned
    from structgen.diffusion.policies.local_leap import LocalLeap
    from structgen.diffusion.policies.remasking import ReMdm, Wino
    from structgen.diffusion.policies.scheduled import AscendingSteps, Entropy, LowConfidence, Margin, Random

__all__ = [
    "AscendingSteps",
    "Contextual",
    "Credit",
    "Entropy",
    "EntropyBound",
    "EosRejection",
    "ExploreExploit",
    "Factor",
    "Hierarchy",
    "InfoGain",
    "Klass",
    "Learned",
    "LocalLeap",
    "LowConfidence",
    "Margin",
    "Random",
    "ReMdm",
    "Threshold",
    "Wino",
]

_HOMES = {
    "contextual": ("Contextual",),
    "credit": ("Credit",),
    "entropy_bound": ("EntropyBound",),
    "eos": ("EosRejection",),
    "explore": ("ExploreExploit",),
    "fast_dllm": ("Factor", "Threshold"),
    "hierarchy": ("Hierarchy",),
    "info_gain": ("InfoGain",),
    "klass": ("Klass",),
    "learned": ("Learned",),
    "local_leap": ("LocalLeap",),
    "remasking": ("ReMdm", "Wino"),
    "scheduled": ("AscendingSteps", "Entropy", "LowConfidence", "Margin", "Random"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"structgen.diffusion.policies.{_HOME_OF[name]}"), name)
    return value
