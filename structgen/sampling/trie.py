"""The trie of prefixes that all grammar-aligned strategies share: what the model said, and how much of it can still come true.

The bound theta(u) of a prefix u is at least c(u), the probability that the model completes u to a text of the language:

    theta(u) = 1                                         for a prefix not seen yet, and for a complete text
    theta(u) = sum over a of P(a | u) theta(ua)          for one that was seen; 0 for tokens known not to be allowed

It only ever falls. A draw goes down by P(a | u) theta(ua), and what it learns is written after it, once: a mask found during a
draw does not bend that draw. Drawn anew from the root, a prefix seen before costs no call of the model.

Memory: a node keeps its ``keep`` most probable tokens and those drawn, and the sum of the others (which is drawn from by asking
the model again); beyond ``max_nodes`` nothing more is written, which costs acceptance but never exactness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.constraints import State
from structgen.sampling.language_model import Tokens
from structgen.sampling.logspace import logsumexp, restrict
from structgen.sampling.target import Checker, Target

__all__ = ["Draw", "Learn", "Node", "PrefixTrie", "Visit"]

KEEP = 128
MAX_NODES = 50_000


class Learn(IntEnum):
    """What draws write into the trie. Masks leave tokens out; bounds go up to the root."""

    NOTHING = 0
    PREFIXES = 1  # what the model said, and the masks; no bounds
    FAILURES = 2  # the bounds that follow from prefixes that failed; no masks
    CONES = 3  # masks, and the bounds that follow


@dataclass
class Node:
    """A prefix seen. ``tokens``, ``log_p`` and ``log_bound`` belong together; ``log_tail`` is the mass of all other tokens not left out."""

    state: State
    tokens: Any  # int64
    log_p: Any
    log_bound: Any  # log theta of the children
    log_tail: Any
    log_mass: Any  # of all tokens not left out by a mask
    entropy: float  # of these, normalised; in nats
    is_masked: bool
    children: dict[int, Node] = field(default_factory=dict)

    @property
    def log_theta(self) -> Any:
        return logsumexp(self.weights)

    @property
    def weights(self) -> Any:
        """log P(a | u) theta(ua) of the tokens, then of all others together."""
        return np.append(self.log_p + self.log_bound, self.log_tail)

    def set_bound(self, token: int, log_theta: Any) -> None:
        self.log_bound[self.tokens == token] = log_theta  # or it was left out as not allowed


class Visit(NamedTuple):
    """A node gone through, the token taken there (None where there was none to take) and its log P."""

    node: Node
    token: int | None
    log_p: Any


@dataclass
class Draw:
    """A text drawn, to its end or to where it failed.

    ``log_weight`` makes it properly weighted: theta of the root before the draw, times the allowed mass at each node masked as it was met.
    """

    path: list[Visit]
    accepted: bool
    log_weight: Any

    @property
    def log_prob(self) -> Any:
        """log P of the text under the model."""
        return sum(visit.log_p for visit in self.path)

    @property
    def tokens(self) -> Tokens:
        """Without the end symbol (of an accepted draw)."""
        return _tokens(self.path[:-1])


class PrefixTrie:
    """What the draws from a target have shown so far."""

    def __init__(self, target: Target, learn: Learn, *, keep: int | None = KEEP, max_nodes: int = MAX_NODES) -> None:
        if max_nodes < 1 or (keep is not None and keep < 1):
            raise StructgenError(f"keep and max_nodes must be at least 1, found {keep} and {max_nodes}")
        self._target, self._learn = target, learn
        self._keep, self._max_nodes = keep, max_nodes
        self.root: Node | None = None
        self.n_nodes = 0

    @property
    def log_theta(self) -> Any:
        """log theta of the root: at least log Z, and the probability that the model avoids what is known to fail."""
        return 0.0 if self.root is None else self.root.log_theta

    def mask_root(self) -> None:
        """Leave out the first tokens that are not allowed: known before any draw."""
        target, state = self._target, self._target.constraint.initial
        (log_p,) = target.log_probs([()])
        self.root = self._node(state, restrict(log_p, target.checker(0, state).mask()), is_masked=True)
        self.n_nodes = 1

    def draw(self, choose: Choose, *, mask_new: bool, start: Sequence[Visit] = (), node: Node | None = None) -> Draw:
        """A text by P(a | u) theta(ua); at prefixes not seen before by P(a | u), or if ``mask_new`` by P(a | u) ok(u, a).

        Without ``mask_new`` the accepted draws have exactly the law P_L, and the probability of acceptance is Z / theta(root).
        theta(root) must not be 0. With ``start`` the text goes on after those visits, at ``node``.
        """
        target, path = self._target, list(start)
        node = self.root if node is None else node
        state = target.constraint.initial if node is None else node.state
        log_weight = self.log_theta
        while True:
            ok = target.checker(len(path), state)
            if node is None:
                visit = self._visit_new(_tokens(path), state, ok, choose, mask_new)
                log_weight = log_weight + (visit.node.log_mass if mask_new else 0.0)
            else:
                visit = self._visit_again(node, _tokens(path), ok, choose)
            path.append(visit)
            following = None if visit.token is None else ok.after(visit.token)
            if visit.token is None or following is None:
                return Draw(path, False, -np.inf)
            if visit.token == target.eos:
                return Draw(path, True, log_weight)
            node, state = visit.node.children.get(visit.token), following

    def record(self, draw: Draw) -> None:
        """Write what a draw has shown, from its end to the root."""
        if self._learn == Learn.NOTHING:
            return
        self._attach(draw.path)
        if self._learn == Learn.PREFIXES:
            return
        last = draw.path[-1]
        if not draw.accepted and last.token is not None:
            last.node.set_bound(last.token, -np.inf)
        for parent, child in reversed(list(pairwise(draw.path))):
            assert parent.token is not None
            log_theta = child.node.log_theta
            if parent.token in parent.node.children or log_theta == -np.inf:  # a bound without its node would bend the law
                parent.node.set_bound(parent.token, log_theta)

    def _attach(self, path: list[Visit]) -> None:
        """Keep the nodes of a path, from the root as far as there is room."""
        if self.root is None:
            self.root, self.n_nodes = path[0].node, 1
        for parent, child in pairwise(path):
            assert parent.token is not None
            if parent.token in parent.node.children:
                continue
            if self.n_nodes >= self._max_nodes:
                return
            parent.node.children[parent.token] = child.node
            self.n_nodes += 1

    def _visit_new(self, prefix: Tokens, state: State, ok: Checker, choose: Choose, mask_new: bool) -> Visit:
        (log_p,) = self._target.log_probs([prefix])
        is_masked = mask_new or self._learn in (Learn.PREFIXES, Learn.CONES)
        allowed = restrict(log_p, ok.mask()) if is_masked else log_p
        node = self._node(state, allowed, is_masked)
        if mask_new and node.log_mass == -np.inf:
            return Visit(node, None, -np.inf)
        token = choose(allowed if mask_new else log_p)
        if allowed[token] > -np.inf:
            self._spell_out(node, token, allowed)
        return Visit(node, token, log_p[token])

    def _visit_again(self, node: Node, prefix: Tokens, ok: Checker, choose: Choose) -> Visit:
        if node.log_theta == -np.inf:
            return Visit(node, None, -np.inf)
        i = choose(node.weights)
        if i == len(node.tokens):
            (log_p,) = self._target.log_probs([prefix])
            allowed = restrict(log_p, ok.mask()) if node.is_masked else log_p
            self._spell_out(node, choose(_without(allowed, node.tokens)), allowed)
        return Visit(node, int(node.tokens[i]), node.log_p[i])

    def _node(self, state: State, log_p: Any, is_masked: bool) -> Node:
        possible = np.flatnonzero(log_p > -np.inf)
        log_mass = logsumexp(log_p)
        entropy = _entropy(log_p[possible] - log_mass) if self._learn == Learn.PREFIXES else 0.0
        if self._keep is not None and len(possible) > self._keep:
            possible = possible[np.argpartition(log_p[possible], -self._keep)[-self._keep :]]
        log_tail = logsumexp(_without(log_p, possible))
        return Node(state, possible, log_p[possible], np.zeros_like(log_p[possible]), log_tail, log_mass, entropy, is_masked)

    def _spell_out(self, node: Node, token: int, log_p: Any) -> None:
        """Take a token out of the sum of the others."""
        if token not in node.tokens:
            node.tokens = np.append(node.tokens, token)
            node.log_p = np.append(node.log_p, log_p[token])
            node.log_bound = np.append(node.log_bound, 0.0)
            node.log_tail = logsumexp(_without(log_p, node.tokens))


def _tokens(path: Sequence[Visit]) -> Tokens:
    return tuple(visit.token for visit in path if visit.token is not None)


def _entropy(log_p: Any) -> float:
    """In nats, of a normalised distribution without zeros."""
    log_p = log_p.astype(np.float64)
    return float(-(np.exp(log_p) * log_p).sum())


def _without(log_p: Any, tokens: Any) -> Any:
    others = np.ones(len(log_p), np.bool_)
    others[tokens] = False
    return restrict(log_p, others)
