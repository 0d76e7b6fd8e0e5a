"""CARS that masks always and weighs instead of rejecting: no draw is lost, and the weights grow even as the trie grows."""

from __future__ import annotations

from structgen.sampling.rejection import TrieStrategy
from structgen.sampling.trie import Learn

__all__ = ["WeightedCARS"]


class WeightedCARS(TrieStrategy):
    """Draws by the bounds of the trie, masked at prefixes not seen before, with weight theta(root) times the allowed masses there.

    Each draw is properly weighted given all before it: E[w 1{x}] = P(x) 1{x in L}. The first is importance sampling by masks; the
    variance falls with what is learnt. A draw fails only at a dead end, with weight 0.
    """

    learn = Learn.CONES
    mask_new = True
    is_weighted = True
