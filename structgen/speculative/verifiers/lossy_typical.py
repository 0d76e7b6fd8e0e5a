"""LOSSY. Typical acceptance (Medusa, arXiv 2401.10774): a drafted token is kept if it is not too improbable, whatever its law was.

Only tokens that the constraint allows are ever kept, so outputs are as valid as with every other verifier; their law is not the
target's. To be taken by its full name or not at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.speculative.draft_tree import DraftTree
from structgen.speculative.interfaces import TargetView, Verdict
from structgen.speculative.laws import draw, target_law

__all__ = ["LossyTypicalAcceptance"]


class LossyTypicalAcceptance:
    """Keeps the longest drafted path whose tokens all have p > min(``epsilon``, ``delta`` exp(-H(p))), H in nats; then a draw from p."""

    def __init__(self, epsilon: float = 0.09, delta: float = 0.3) -> None:
        if not 0 <= epsilon <= 1 or not 0 <= delta <= 1:
            raise StructgenError(f"epsilon and delta are from 0 to 1, found {epsilon} and {delta}")
        self.epsilon, self.delta = epsilon, delta

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        kept = [0]
        for node in kept:  # grows meanwhile, nodes further down behind those above
            if tree.children[node]:
                p = np.asarray(target_law(target, node), np.float64)
                kept += [child for child in tree.children[node] if p[tree.tokens[child]] > self._threshold(p)]
        deepest = max(tree.depths[kept])
        node = next(node for node in kept if tree.depths[node] == deepest)
        return Verdict(tuple(tree.path(node)), None if tree.is_end(node) else draw(choose, target_law(target, node)))

    def _threshold(self, p: Any) -> float:
        p = p[p > 0]
        return min(self.epsilon, self.delta * float(np.exp((p * np.log(p)).sum())))
