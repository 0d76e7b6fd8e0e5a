"""Verification by the target's own choice: at each node it picks a token as if there were no drafts, and follows it as far as drafted.

What comes out is what the target alone would have said, whatever the drafts were and however they came about: no law q is needed. Of all
rules for drafts without chance (searches, n-grams, retrieval) drawing from p accepts most: p of the drafted tokens. Siblings with the same
token are followed together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from structgen.sampling.choice import Choose
from structgen.speculative.draft_tree import DraftTree
from structgen.speculative.gumbel import GumbelNoise
from structgen.speculative.interfaces import TargetView, Verdict

__all__ = ["GreedyMatch", "GumbelCoupled", "SampleFollow"]

Pick = Callable[[Any, int], int]


class GreedyMatch:
    """The most probable token each time, of equal ones the smallest: greedy decoding, without chance."""

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        return follow(tree, target, lambda log_p, _: int(np.argmax(log_p)))


class SampleFollow:
    """A draw from p each time."""

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        return follow(tree, target, lambda log_p, _: choose(log_p))


class GumbelCoupled:
    """The draw that ``noise`` makes at each position of the text: bit for bit the tokens that ``noise.at(position)(log_p)`` gives one by
    one, for any drafter. ``choose`` is not used. A drafter that draws by the same noise agrees with probability
    sum_x 1 / sum_y max(p(y) / p(x), q(y) / q(x)), at least (1 - TV) / (1 + TV).
    """

    def __init__(self, noise: GumbelNoise) -> None:
        self.noise = noise

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        return follow(tree, target, lambda log_p, depth: self.noise.at(tree.start + depth)(log_p))


def follow(tree: DraftTree, target: TargetView, pick: Pick) -> Verdict:
    """Walk down as ``pick(log_p, depth)`` says while there are drafts; ``depth`` is 0 at the root."""
    nodes, depth = [0], 0
    while not tree.is_end(nodes[0]):
        token = pick(target.log_p(nodes[0]), depth)
        behind = [child for node in nodes for child in tree.children[node] if tree.tokens[child] == token]
        if not behind:
            return Verdict(tuple(tree.path(nodes[0])), token)
        nodes, depth = behind, depth + 1
    return Verdict(tuple(tree.path(nodes[0])), None)
