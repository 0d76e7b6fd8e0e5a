"""Greedy multi-path block verification: of K independent paths the best-looking one is verified as a block (after arXiv 2602.16961).

At each node the tokens are ranked by p / q; of the K paths the one that is greatest by these ranks, from the root down, is taken. With A
the probability of all paths below a subtree and m that of the subtree, the taken path lies in it with probability (A + m)^K - A^K. The
conditional laws of that, and not q, are what the path was drawn from, so block verification against them is exact.

Taking the best path helps if its law is nearer to p than q is. It need not be: where p and q agree, one plain path is accepted for
certain and the best of several is not. ``gated`` decides by the laws at the root, which no draw has touched.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.speculative.draft_tree import DraftTree
from structgen.speculative.interfaces import TargetView, Verdict
from structgen.speculative.laws import common_law, draft_law, target_law
from structgen.speculative.verifiers.block import verify_path

__all__ = ["MultiPathBlock"]


class MultiPathBlock:
    """For K chains side by side behind the root, all `Kind.IID` of the same laws and of one length; only an end of the text or a refused
    token makes one shorter. O(V log V) per node of the path taken. A reference: `TraversalVerification` takes any tree.
    """

    def __init__(self, *, gated: bool = True) -> None:
        self.gated = gated

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict:
        paths = _paths(tree)
        taken, laws = _best(tree, paths, target) if paths else ([], [])
        if self.gated and laws and not _is_nearer(laws[0], tree, target):
            taken, laws = paths[0], [draft_law(tree, node, len(laws[0])) for node in paths[0]]
        return verify_path(tree, taken, lambda i, _: laws[i], target, choose)


def _paths(tree: DraftTree) -> list[list[int]]:
    leaves = [node for node in range(1, tree.n) if not tree.children[node]]
    paths = [tree.path(leaf) for leaf in leaves]
    longest = max(map(len, paths), default=0)
    whole = [len(path) == longest or tree.states[path[-1]] <= 0 for path in paths]
    if not all(whole) or sum(map(len, paths)) != tree.n - 1:
        raise StructgenError("multi-path block verification takes chains of one length behind the root")
    return paths


def _best(tree: DraftTree, paths: list[list[int]], target: TargetView) -> tuple[list[int], list[Any]]:
    """The greatest path, and the laws of its tokens given that it is the greatest of K."""
    k, node, laws = len(paths), 0, list[Any]()
    below: Any = 0  # A and m of the subtree of ``node``, scaled so that they sum to 1
    mass: Any = 1
    while len(laws) < len(paths[0]):
        p, tokens = target_law(target, node), [int(tree.tokens[path[len(laws)]]) for path in paths]
        q = common_law(tree, [path[len(laws)] for path in paths], len(p))
        order = np.flatnonzero(q > 0)
        order = order[np.argsort(p[order] / q[order], kind="stable")]
        masses = mass * q[order]
        belows = below + np.append(0, np.cumsum(masses)[:-1])
        law = q * 0
        law[order] = q[order] * _slope(belows, masses, k) / _slope(below, mass, k)
        best = max(int(np.flatnonzero(order == token)[0]) for token in tokens)
        paths = [path for path, token in zip(paths, tokens, strict=True) if token == order[best]]
        node = paths[0][len(laws)]
        laws.append(law)
        total = belows[best] + masses[best]
        below, mass = belows[best] / total, masses[best] / total
    return paths[0], laws


def _slope(below: Any, mass: Any, k: int) -> Any:
    """((A + m)^k - A^k) / m, without cancellation."""
    return sum((below + mass) ** j * below ** (k - 1 - j) for j in range(k))


def _is_nearer(law: Any, tree: DraftTree, target: TargetView) -> bool:
    p = target_law(target, 0)
    plain = draft_law(tree, tree.children[0][0], len(p))
    return bool(np.minimum(p, law).sum() > np.minimum(p, plain).sum())
