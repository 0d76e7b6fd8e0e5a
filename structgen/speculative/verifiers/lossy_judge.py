"""LOSSY. Judge decoding (arXiv 2501.19309): a drafted token is kept if a judge finds it fine, or if the target would have said it.

The paper's judge is a linear head on the target's last hidden state at the token, trained on tokens marked as right or wrong in their
context. Training one is the user's business. Only tokens that the constraint allows are ever kept, so outputs are as valid as with every
other verifier; their law is not the target's. To be taken by its full name or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from structgen.sampling.choice import Choose
from structgen.speculative.checks import check_shares
from structgen.speculative.draft_tree import DraftTree
from structgen.speculative.interfaces import TargetView, Verdict
from structgen.speculative.laws import draw, target_law

__all__ = ["Judged", "LossyJudge"]


class Judged(NamedTuple):
    """A drafted token as a judge sees it."""

    token: int
    log_p: Any
    """[V]: what the target says in its place."""
    hidden: Any
    """[d]: the target's hidden state at the token itself; None if no layer was asked for."""


class LossyJudge:
    """``head(judged)``: how probably a token is fine; above ``threshold`` it is kept. ``layer``: whose hidden states the head gets, -1 the
    last, None for none. Of siblings the first fine one is kept; where none is, the target draws, and goes on with a draft that it drew.
    """

    def __init__(self, head: Callable[[Judged], float], threshold: float = 0.5, layer: int | None = -1) -> None:
        check_shares(threshold=threshold)
        self.head, self.threshold, self.layers = head, threshold, () if layer is None else (layer,)

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        node = 0
        while not tree.is_end(node):
            children, log_p = tree.children[node], target.log_p(node)
            fine = next((child for child in children if self._is_fine(tree, target, child, log_p)), None)
            if fine is None:
                token = draw(choose, target_law(target, node))
                fine = next((child for child in children if tree.tokens[child] == token), None)
                if fine is None:
                    return Verdict(tuple(tree.path(node)), token)
            node = fine
        return Verdict(tuple(tree.path(node)), None)

    def _is_fine(self, tree: DraftTree, target: TargetView, node: int, log_p: Any) -> bool:
        token = int(tree.tokens[node])
        if not log_p[token] > -np.inf:  # the constraint, or truncation
            return False
        return bool(self.head(Judged(token, log_p, target.hidden(node) if self.layers else None)) > self.threshold)
