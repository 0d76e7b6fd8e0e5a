"""Block verification: how much of a chain to keep is decided for all of it at once (Sun et al., arXiv 2403.10444).

With b_0 = 1 and b_i = min(1, b_{i-1} p_i(x_i) / q_i(x_i)) the chain is kept up to node i or beyond with probability b_i; token-wise
rejection keeps it with the product of min(1, p / q), which is never more. Among rules for one drafted chain none accepts more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.speculative.draft_tree import DraftTree
from structgen.speculative.interfaces import TargetView, Verdict
from structgen.speculative.laws import accept, draft_law, draw, normalised, positive, ratio, share, target_law

__all__ = ["BlockVerification", "verify_path"]

DraftLaw = Callable[[int, int], Any]


class BlockVerification:
    """For chains. O(V) per node."""

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        if not tree.is_chain:
            raise StructgenError("block verification takes a chain; TraversalVerification does the same for trees")
        return verify_path(tree, list(range(1, tree.n)), lambda i, size: draft_law(tree, i + 1, size), target, choose)


def verify_path(tree: DraftTree, path: list[int], law: DraftLaw, target: TargetView, choose: Choose) -> Verdict:
    """``path``: nodes from below the root; ``law(i, V)``: q [V] that the token of path[i] was drawn from, given those before it."""
    stops: list[tuple[int, Any, Any]] = []  # a node, the chance to stop there and not above, what to draw from then
    node, kept = 0, 1
    for i, child in enumerate(path):
        p = target_law(target, node)
        q, token = law(i, len(p)), tree.tokens[child]
        rest = positive(kept * p - q)
        stops.append((node, share(rest.sum(), 1 - kept), normalised(rest, p)))
        node, kept = child, ratio(kept * p[token], q[token])
        if not kept > 0:
            break
    if kept > 0:
        stops.append((node, kept, None))
    node, rest = next((node, rest) for node, chance, rest in reversed(stops) if accept(choose, chance))
    if tree.is_end(node):
        return Verdict(tuple(tree.path(node)), None)
    return Verdict(tuple(tree.path(node)), draw(choose, target_law(target, node) if rest is None else rest))
