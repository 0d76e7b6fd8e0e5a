"""Guesses beside draws: two trees behind one text as one, what was drawn first.

Siblings are verified in the order of the tree, and a guess takes nothing but its own token out of what is left, so guesses behind all draws
leave those what they are. Where both drafted the same token it is one node.
"""

from __future__ import annotations

from typing import Any

from structgen.automata.machine import FINISHED
from structgen.speculative.draft_tree import DraftTree, Kind, Sapling
from structgen.speculative.interfaces import TargetView, Verdict

__all__ = ["Grafted"]


class Grafted:
    """``tree``: the draws of ``trunk`` and, behind them, the guesses of ``branch``, a tree of points."""

    def __init__(self, trunk: Sapling | None, branch: DraftTree) -> None:
        self.branch = branch
        self._nodes = list(range(branch.n)) if trunk is None else _graft(trunk, branch)
        self.tree = branch if trunk is None else trunk.tree()
        self._back = {node: i for i, node in reversed(list(enumerate(self._nodes)))}

    def rows(self, logits: Any) -> Any:
        """Of rows behind the nodes of ``tree`` those behind the guesses."""
        return logits if self.tree is self.branch else logits[self._nodes]

    def seen(self, target: TargetView, verdict: Verdict) -> tuple[TargetView, Verdict]:
        """Target and verdict as whoever guessed should see them: as if nothing else had been drafted."""
        path, tokens = [], verdict.tokens(self.tree)
        for node in verdict.path:
            if node not in self._back:
                break
            path.append(self._back[node])
        follows = tokens[len(path)] if len(path) < len(tokens) else None
        return _View(target, self._nodes), Verdict(tuple(path), follows)


class _View:
    def __init__(self, target: TargetView, nodes: list[int]) -> None:
        self._target, self._nodes, self.text = target, nodes, target.text

    def log_p(self, node: int) -> Any:
        return self._target.log_p(self._nodes[node])

    def hidden(self, node: int) -> Any:
        return self._target.hidden(self._nodes[node])


def _graft(trunk: Sapling, branch: DraftTree) -> list[int]:
    """Add what is not there; for each node of the branch its node in the trunk."""
    tree, found = trunk.tree(), [0]
    known = {(int(tree.parents[node]), int(tree.tokens[node])): node for node in reversed(range(1, tree.n))}
    for node in range(1, branch.n):
        parent, token = found[branch.parents[node]], int(branch.tokens[node])
        if (parent, token) not in known:
            assert trunk.state(parent) > FINISHED
            known[parent, token] = trunk.add(parent, token, Kind(int(branch.kinds[node])))
        found.append(known[parent, token])
    return found
