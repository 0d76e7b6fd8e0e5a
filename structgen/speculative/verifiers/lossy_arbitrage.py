"""LOSSY. Arbitrage (arXiv 2512.05033): a drafted step of reasoning is kept whole unless a router expects the target to do it better.

The router estimates what the target would gain over the draft, from the text alone; training one is the user's business. Where it
expects much, nothing is kept for its sake and the target decides token by token. Only tokens that the constraint allows are ever
kept, so outputs are as valid as with every other verifier; their law is not the target's. To be taken by its full name or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from structgen.sampling.choice import Choose
from structgen.speculative.draft_tree import DraftTree
from structgen.speculative.interfaces import TargetView, Verdict, Verifier
from structgen.speculative.laws import draw, target_law
from structgen.speculative.verifiers.traversal import TraversalVerification

__all__ = ["LossyArbitrage"]


class LossyArbitrage:
    """``router(text, step)``: the gain expected of the target over a drafted step behind a text (token ids, the prompt's first); above
    ``threshold`` the step is left to the target.

    A step is the first drafted path down to a leaf, or as far as ``ends_step(tokens)`` is first true (a paragraph, say). It ends
    before a token that the target excludes. What is not kept for the router's sake is verified by ``otherwise``, an exact verifier.
    """

    def __init__(
        self,
        router: Callable[[Sequence[int], Sequence[int]], float],
        threshold: float = 0.0,
        ends_step: Callable[[Sequence[int]], bool] = lambda tokens: False,
        otherwise: Verifier | None = None,
    ) -> None:
        self.router, self.threshold, self.ends_step = router, threshold, ends_step
        self.otherwise = otherwise or TraversalVerification()

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        step = self._step(tree, target)
        if not step or self.router(target.text, tree.prefix(step[-1])) > self.threshold:
            return self.otherwise.verify(tree, target, choose)
        return Verdict(tuple(step), None if tree.is_end(step[-1]) else draw(choose, target_law(target, step[-1])))

    def _step(self, tree: DraftTree, target: TargetView) -> list[int]:
        """The nodes of the drafted step."""
        found, node = list[int](), 0
        while tree.children[node]:
            child = tree.children[node][0]
            log_p: Any = target.log_p(node)[tree.tokens[child]]
            if not log_p > -np.inf:
                break
            found, node = [*found, child], child
            if self.ends_step(tree.prefix(node)):
                break
        return found
