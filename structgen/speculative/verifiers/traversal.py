"""Traversal verification: a tree is judged from its leaves to its root, so that a branch counts as a whole (arXiv 2505.12398).

A node is reached with a claim r: min(1, r p / q) of its parent's. First its children are tried, in the order of their draws; each one that
fails takes what it proposed out of p and out of the claim: with D = [r p - q]+ and S = sum D, p becomes D / S and r becomes
S / (S + 1 - r). Then the node itself is kept with probability r. On a chain this is block verification, and on every tree tried it accepts
at least as much as recursive rejection.
"""

from __future__ import annotations

from typing import Any

from structgen.sampling.choice import Choose
from structgen.speculative.draft_tree import DraftTree
from structgen.speculative.interfaces import TargetView, Verdict
from structgen.speculative.laws import accept, draft_law, draw, normalised, positive, ratio, share, target_law

__all__ = ["TraversalVerification"]


class TraversalVerification:
    """For trees of every shape and kind: the one to take where drafts are drawn. O(V) per node visited."""

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        stack = [_Visit(tree, target, 0, 1)]
        while True:
            visit = stack[-1]
            claim = visit.try_child()
            if claim is None and accept(choose, visit.claim):
                return Verdict(tuple(tree.path(visit.node)), None if tree.is_end(visit.node) else draw(choose, visit.p))
            if claim is None:
                stack.pop()
                stack[-1].child_failed()
            elif claim > 0:
                stack.append(_Visit(tree, target, visit.child, claim))
            else:
                visit.child_failed()


class _Visit:
    """A node on the way from the root to the one that is judged now; r of the papers is ``claim``."""

    def __init__(self, tree: DraftTree, target: TargetView, node: int, claim: Any) -> None:
        self.tree, self.node, self.claim = tree, node, claim
        self.p: Any = None if tree.is_end(node) else target_law(target, node)
        self._untried = iter(tree.children[node])

    def try_child(self) -> Any:
        """The claim of the next child, None if there is none left."""
        self.child = next(self._untried, 0)
        if not self.child:
            return None
        self._q = draft_law(self.tree, self.child, len(self.p))
        token = self.tree.tokens[self.child]
        return ratio(self.claim * self.p[token], self._q[token])

    def child_failed(self) -> None:
        rest = positive(self.claim * self.p - self._q)
        total = rest.sum()
        self.p, self.claim = normalised(rest, self.p), share(total, 1 - self.claim)
