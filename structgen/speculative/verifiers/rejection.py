"""Recursive rejection, from the root down: each drafted token is accepted with min(1, p / q), else what q has proposed is taken out of p.

On a chain this is token-wise speculative sampling (Leviathan et al., ICML 2023, arXiv 2211.17192; Chen et al., arXiv 2302.01318), for
siblings drawn independently SpecInfer's multi-round rule (arXiv 2305.09781), for siblings without replacement RSD (arXiv 2402.14160),
where drafting all that is possible makes acceptance certain.
"""

from __future__ import annotations

from structgen.sampling.choice import Choose
from structgen.speculative.draft_tree import DraftTree
from structgen.speculative.interfaces import TargetView, Verdict
from structgen.speculative.laws import accept, draft_law, draw, normalised, positive, ratio, target_law

__all__ = ["RecursiveRejection"]


class RecursiveRejection:
    """For trees of every shape and kind. Per child that is tried O(V)."""

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        node: int | None = 0
        while node is not None:
            at, node = node, None
            if tree.is_end(at):
                return Verdict(tuple(tree.path(at)), None)
            p = target_law(target, at)
            for child in tree.children[at]:
                token, q = tree.tokens[child], draft_law(tree, child, len(p))
                if accept(choose, ratio(p[token], q[token])):
                    node = child
                    break
                p = normalised(positive(p - q), p)
        return Verdict(tuple(tree.path(at)), draw(choose, p))
