"""The constrained target: what the model says behind each node of a draft tree, restricted to what the node's state allows.

LOCAL law: p~(x) proportional to p(x) 1[x allowed], which is what masking token by token samples from. TWISTED law: proportional to
p(x) 1[x allowed] Phi(x), with a weight Phi for how probably a valid text follows; where Phi is the exact probability of that under the
model, texts have exactly the model's law given that they are valid (Doob's transform; future validity: arXiv 2605.07698). The law is the
target's own business: every verifier is exact for either.

The order is fixed: model (and penalties), mask, Phi, then temperature and truncation, so that what is cut is cut from the constrained law
and something always remains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from structgen.automata.machine import DEAD
from structgen.errors import StructgenError
from structgen.sampling.logspace import logsumexp, restrict
from structgen.speculative.draft_tree import Automaton, DraftTree
from structgen.speculative.laws import widened

__all__ = ["FutureValidity", "MaskedTarget", "allowed", "masked"]

FutureValidity = Callable[[DraftTree, int], Any]
"""(tree, node) -> [V]: log Phi of each token behind the node; 0 (no preference) is as good as any where nothing is known."""
Warp = Callable[[Any], Any]
"""Temperature and truncation: normalised log-probabilities [V] to log-weights [V], -inf for what is cut."""


class MaskedTarget:
    """A `TargetView` of ``rows`` [n, V]: the model's log-probabilities behind each node of ``tree``, not necessarily normalised.

    Without ``future`` the law is LOCAL, with it TWISTED. Rows of refused and final nodes are never looked at. Where the model excludes
    everything that is allowed (``-inf``), all of it is equally probable, as in `structgen.processor`. ``hidden``: [n, d], hidden states;
    ``text``: the tokens before the tree, for verifiers that look at these.
    """

    def __init__(
        self,
        tree: DraftTree,
        automaton: Automaton,
        rows: Any,
        *,
        warp: Warp | None = None,
        future: FutureValidity | None = None,
        hidden: Any = None,
        text: Sequence[int] = (),
    ) -> None:
        if len(rows) != tree.n:
            raise StructgenError(f"a tree of {tree.n} nodes needs as many rows, found {len(rows)}")
        self._tree, self._automaton, self._rows, self._warp, self._future = tree, automaton, rows, warp, future
        self._hidden, self.text = hidden, text
        self._known: dict[int, Any] = {}

    def log_p(self, node: int) -> Any:
        if node not in self._known:
            self._known[node] = self._compute(node)
        return self._known[node]

    def hidden(self, node: int) -> Any:
        if self._hidden is None:
            raise StructgenError("this target has no hidden states: a verifier names the layer it wants in `layers`")
        return self._hidden[node]

    def _compute(self, node: int) -> Any:
        state = int(self._tree.states[node])
        if state == DEAD or self._tree.is_end(node):
            raise StructgenError(f"nothing follows node {node}, whose state is {state}")
        row = widened(np.asarray(self._rows[node]))
        log_p = masked(row, allowed(self._automaton, state, len(row)))
        if self._future is not None:
            log_p = _normalised(log_p + self._future(self._tree, node), node)
        return log_p if self._warp is None else _normalised(self._warp(log_p), node)


def allowed(automaton: Automaton, state: int, size: int) -> npt.NDArray[np.bool_]:
    """bool [size]: the tokens that may follow a state; ids beyond the vocabulary may not."""
    bits = np.unpackbits(automaton.mask(state).view(np.uint8), bitorder="little")[:size]
    return np.pad(bits, (0, size - len(bits))).view(np.bool_)


def masked(log_p: Any, may_follow: npt.NDArray[np.bool_]) -> Any:
    """[V]: the law restricted to the tokens that may follow, normalised. Raises `StructgenError` if there are none."""
    if not may_follow.any():
        raise StructgenError("no token may follow: those that the constraint allows are beyond the model's rows")
    kept = restrict(log_p, may_follow)
    log_mass = logsumexp(kept)
    return kept - log_mass if log_mass > -np.inf else masked(np.where(may_follow, 0.0, kept), may_follow)


def _normalised(log_weights: Any, node: int) -> Any:
    log_mass = logsumexp(log_weights)
    if not log_mass > -np.inf:
        raise StructgenError(f"no token is left behind node {node}: Phi, temperature or truncation excluded all that the constraint allows")
    return log_weights - log_mass
