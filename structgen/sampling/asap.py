"""Adaptive sampling with approximate expected futures (Park et al., NeurIPS 2024, arXiv 2405.21047)."""

from __future__ import annotations

from structgen.sampling.rejection import TrieStrategy
from structgen.sampling.trie import Learn

__all__ = ["ASAp"]


class ASAp(TrieStrategy):
    """Draws by the bounds of the trie, masked at prefixes not seen before. The law of the t-th text tends to P_L; the first ones are
    biased like masking. A baseline: `CARS` is exact at every draw, `WeightedCARS` draws the same texts and weighs them right.
    """

    learn = Learn.CONES
    mask_new = True
