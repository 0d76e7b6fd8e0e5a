"""Speculative decoding under a constraint: several tokens per run of the model, with exactly the law of one by one.

Names are imported on first use. See docs/speculative.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structgen.speculative.builders import AboveThreshold, BestFirst, Chain, Paths, StochasticBeam, WithoutReplacement
    from structgen.speculative.drafters.diffusion_draft import DiffusionDraft
    from structgen.speculative.drafters.draft_model import DraftModel
    from structgen.speculative.drafters.grammar import Forced, Skeleton
    from structgen.speculative.drafters.heads import Heads, trimmed_vocabulary
    from structgen.speculative.drafters.other_tokenizer import OtherTokenizerModel
    from structgen.speculative.drafters.own_layers import EarlyExit, LayerSkip
    from structgen.speculative.drafters.pearl import Pearl
    from structgen.speculative.drafters.prompt_lookup import InputCopy, PromptLookup
    from structgen.speculative.drafters.reference_heads import EagleHead, HydraHead, MedusaHead, train_head
    from structgen.speculative.drafters.retrieval import Retrieval
    from structgen.speculative.drafters.sampled_model import SampledModel
    from structgen.speculative.drafters.source import Guess, Place, Source
    from structgen.speculative.drafters.token_recycling import TokenRecycling
    from structgen.speculative.drafters.tree_search import TreeSearch
    from structgen.speculative.generation import Speculative, auto
    from structgen.speculative.lengths import Confident, CostModel, Fixed, MovingAverage, RejectionLikely

__all__ = [
    "AboveThreshold",
    "BestFirst",
    "Chain",
    "Confident",
    "CostModel",
    "DiffusionDraft",
    "DraftModel",
    "EagleHead",
    "EarlyExit",
    "Fixed",
    "Forced",
    "Guess",
    "Heads",
    "HydraHead",
    "InputCopy",
    "LayerSkip",
    "MedusaHead",
    "MovingAverage",
    "OtherTokenizerModel",
    "Paths",
    "Pearl",
    "Place",
    "PromptLookup",
    "RejectionLikely",
    "Retrieval",
    "SampledModel",
    "Skeleton",
    "Source",
    "Speculative",
    "StochasticBeam",
    "TokenRecycling",
    "TreeSearch",
    "WithoutReplacement",
    "auto",
    "train_head",
    "trimmed_vocabulary",
]

_HOMES = {
    "builders": ("AboveThreshold", "BestFirst", "Chain", "Paths", "StochasticBeam", "WithoutReplacement"),
    "drafters.diffusion_draft": ("DiffusionDraft",),
    "drafters.draft_model": ("DraftModel",),
    "drafters.grammar": ("Forced", "Skeleton"),
    "drafters.heads": ("Heads", "trimmed_vocabulary"),
    "drafters.own_layers": ("EarlyExit", "LayerSkip"),
    "drafters.other_tokenizer": ("OtherTokenizerModel",),
    "drafters.pearl": ("Pearl",),
    "drafters.prompt_lookup": ("InputCopy", "PromptLookup"),
    "drafters.reference_heads": ("EagleHead", "HydraHead", "MedusaHead", "train_head"),
    "drafters.retrieval": ("Retrieval",),
    "drafters.sampled_model": ("SampledModel",),
    "drafters.source": ("Guess", "Place", "Source"),
    "drafters.token_recycling": ("TokenRecycling",),
    "drafters.tree_search": ("TreeSearch",),
    "generation": ("Speculative", "auto"),
    "lengths": ("Confident", "CostModel", "Fixed", "MovingAverage", "RejectionLikely"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"structgen.speculative.{_HOME_OF[name]}"), name)
    return value
