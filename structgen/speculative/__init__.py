"""Speculative decoding under a constraint: several tokens per run of the model, with exactly the law of one by one.

Names are imported on first use. See docs/speculative.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structgen.speculative.drafters.draft_model import DraftModel
    from structgen.speculative.drafters.grammar import Forced, Skeleton
    from structgen.speculative.drafters.prompt_lookup import InputCopy, PromptLookup
    from structgen.speculative.drafters.retrieval import Retrieval
    from structgen.speculative.drafters.source import Guess, Place, Source
    from structgen.speculative.drafters.token_recycling import TokenRecycling
    from structgen.speculative.generation import Speculative, auto
    from structgen.speculative.lengths import Confident, CostModel, Fixed, MovingAverage

__all__ = [
    "Confident",
    "CostModel",
    "DraftModel",
    "Fixed",
    "Forced",
    "Guess",
    "InputCopy",
    "MovingAverage",
    "Place",
    "PromptLookup",
    "Retrieval",
    "Skeleton",
    "Source",
    "Speculative",
    "TokenRecycling",
    "auto",
]

_HOMES = {
    "drafters.draft_model": ("DraftModel",),
    "drafters.grammar": ("Forced", "Skeleton"),
    "drafters.prompt_lookup": ("InputCopy", "PromptLookup"),
    "drafters.retrieval": ("Retrieval",),
    "drafters.source": ("Guess", "Place", "Source"),
    "drafters.token_recycling": ("TokenRecycling",),
    "generation": ("Speculative", "auto"),
    "lengths": ("Confident", "CostModel", "Fixed", "MovingAverage"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"structgen.speculative.{_HOME_OF[name]}"), name)
    return value
