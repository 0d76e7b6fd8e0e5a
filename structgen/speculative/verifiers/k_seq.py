"""k-SEQ: the siblings of a node, drawn independently, are accepted one after the other with a toned-down p (SpecTr, arXiv 2310.15141).

Child j is accepted with min(1, p / (rho q)), the same for each; with beta = sum min(p / rho, q) one of K is accepted with probability
1 - (1 - beta)^K, and what is missing to p is drawn if none is. That is exact for every rho with 1 - (1 - beta)^K <= rho beta, and accepts
most for the smallest, at least 1 - 1/e of what any rule can.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.sampling.choice import Choose
from structgen.speculative.draft_tree import DraftTree
from structgen.speculative.interfaces import TargetView, Verdict
from structgen.speculative.laws import accept, common_law, draw, normalised, positive, ratio, target_law

__all__ = ["KSeq", "tone"]

STEPS = 1 << 12
"""rho is a whole number of these parts."""


class KSeq:
    """For trees whose siblings are all `Kind.IID` of one row. A reference: without replacement more is accepted."""

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        node = 0
        while not tree.is_end(node):
            p, children = target_law(target, node), tree.children[node]
            if not children:
                return Verdict(tuple(tree.path(node)), draw(choose, p))
            q = common_law(tree, children, len(p))
            rho, taken = tone(p, q, len(children))
            toned = p * STEPS / rho
            accepted = next((c for c in children if accept(choose, ratio(toned[tree.tokens[c]], q[tree.tokens[c]]))), None)
            if accepted is None:
                return Verdict(tuple(tree.path(node)), draw(choose, normalised(positive(p - np.minimum(toned, q) * taken), p)))
            node = accepted
        return Verdict(tuple(tree.path(node)), None)


def tone(p: Any, q: Any, k: int) -> tuple[int, Any]:
    """(rho * STEPS, (1 - (1 - beta)^k) / beta) for the smallest rho of that grid which is exact; rho is from 1 to k."""

    def laws(rho: int) -> tuple[Any, Any]:
        """beta, and the probability that one of k is accepted."""
        beta = np.minimum(p * STEPS / rho, q).sum()
        return beta, 1 - (1 - beta) ** k

    def is_exact(rho: int) -> bool:
        beta, accepted = laws(rho)
        return bool(accepted * STEPS <= rho * beta)

    low, high = STEPS, k * STEPS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_exact(middle) else (middle + 1, high)
    beta, accepted = laws(low)
    return low, accepted / beta if beta > 0 else 1
