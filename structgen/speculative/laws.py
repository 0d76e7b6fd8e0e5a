"""What all rejection rules are made of: p, q, a residual, a coin. Probabilities, not logarithms: residuals are differences.

Only operators are used that exact numbers also have, so that the tests run this very code on fractions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.logspace import logsumexp, restrict
from structgen.speculative.draft_tree import DraftTree, Kind
from structgen.speculative.interfaces import TargetView

__all__ = ["accept", "common_law", "draft_law", "draw", "log", "normalised", "positive", "ratio", "share", "target_law", "widened"]


def widened(log_weights: Any) -> Any:
    """In float64, whatever the model computes in: what a ratio or a residual compares must not be rounded differently."""
    return log_weights if log_weights.dtype == object else np.asarray(log_weights, np.float64)


def target_law(target: TargetView, node: int) -> Any:
    """p [V] behind a node."""
    return np.exp(target.log_p(node))


def draft_law(tree: DraftTree, node: int, size: int) -> Any:
    """q [size] that the token of a node was drawn from, given its earlier siblings: a point mass for the kinds that are not drawn.

    Raises `StructgenError` where that is impossible: the row gives the token no probability.
    """
    token = int(tree.tokens[node])
    if tree.is_point(node):
        return (np.arange(size) == token).astype(np.int64)
    log_q = widened(tree.log_q[tree.rows[node]])
    if len(log_q) != size:
        raise StructgenError(f"a draft's law is a row of {size} probabilities, like the target's; found {len(log_q)}")
    if tree.kinds[node] == Kind.WOR:
        siblings = tree.children[tree.parents[node]]
        log_q = restrict(log_q, ~np.isin(np.arange(size), tree.tokens[siblings[: siblings.index(node)]]))
    if not log_q[token] > -np.inf:
        raise StructgenError(f"token {token} of node {node} cannot have been drawn: its law gives it no probability")
    return np.exp(log_q - logsumexp(log_q))


def common_law(tree: DraftTree, nodes: list[int], size: int) -> Any:
    """q [size] that several tokens were all drawn from, independently; `StructgenError` if they were not."""
    q, *others = [draft_law(tree, node, size) for node in nodes]
    if (tree.kinds[nodes] != Kind.IID).any() or not all(np.array_equal(q, other) for other in others):
        raise StructgenError("this verifier takes tokens that were drawn independently from one law; TraversalVerification takes all kinds")
    return q


def positive(weights: Any) -> Any:
    """The positive parts."""
    return np.where(weights > 0, weights, weights * 0)


def normalised(weights: Any, otherwise: Any) -> Any:
    """Weights divided by their sum; ``otherwise`` where that is 0, as a residual is if p and q are the same."""
    total = weights.sum()
    return weights / total if total > 0 else otherwise


def ratio(p: Any, q: Any) -> Any:
    """min(1, p / q), for q > 0; what p excludes has no chance whatever q is."""
    return p / q if p < q else int(p > 0)


def share(total: Any, missing: Any) -> Any:
    """total / (total + missing): the chance to stop where ``total`` is left to draw from and ``missing`` was given up; 1 for 0 / 0."""
    return total / (total + missing) if total + missing > 0 else 1


def log(weights: Any) -> Any:
    """Logarithms, -inf for 0."""
    with np.errstate(divide="ignore"):
        return np.log(weights)


def accept(choose: Choose, probability: Any) -> bool:
    """A coin; nothing is drawn where it is certain."""
    if probability <= 0 or probability >= 1:
        return bool(probability >= 1)
    return choose(log(np.array([probability, 1 - probability]))) == 0


def draw(choose: Choose, weights: Any) -> int:
    """A token in proportion to its weight."""
    return choose(log(weights))
