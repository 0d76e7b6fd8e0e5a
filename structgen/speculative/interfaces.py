"""The seams of speculative decoding: who drafts, how a tree grows, what the target says, who decides, how far to look ahead.

One step: a `LengthController` gives a budget, a `Drafter` proposes a `DraftTree` (a `TreeBuilder`, where drafts are drawn), the model
is run once over all its nodes, a `TargetView` makes the rows, a `Verifier` keeps a path and one token behind it. The laws are those of the
papers: p the target after mask and truncation, q what a drafted token was drawn from. Every verifier is exact for every p and every
honest q, so drafting under the constraint is a matter of speed; masks at the target alone make the output right.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from structgen.sampling.choice import Choose
from structgen.sampling.language_model import Tokens
from structgen.speculative.draft_tree import DraftTree

if TYPE_CHECKING:
    from structgen.speculative.builders import Growth

__all__ = ["Drafter", "LengthController", "TargetView", "TreeBuilder", "Verdict", "Verifier"]


@dataclass(frozen=True)
class Verdict:
    """What a verifier keeps: a path of drafted nodes and the token that follows them."""

    path: tuple[int, ...]
    """Accepted nodes from below the root; their states and cache rows are the ones to go on with."""
    token: int | None
    """The token behind the path, drawn from the target or its residual; None if the path ends with an end-of-sequence."""

    def tokens(self, tree: DraftTree) -> list[int]:
        """All tokens of this step, at least one."""
        return [int(tree.tokens[node]) for node in self.path] + ([] if self.token is None else [self.token])


class Drafter(Protocol):
    """Proposes continuations of a text. It may keep what it likes between calls, but learns what became of a draft only from the next
    ``context``: a cache is cut to the longest common beginning, so there is nothing to roll back.
    """

    honest_q: bool
    """Whether the rows it gives are the laws it sampled from; if not, it may only draft kinds without rows."""

    def propose(self, context: Tokens, state: int, budget: int, choose: Choose) -> DraftTree:
        """At most ``budget`` nodes (those of kind `Kind.FORCED` not counted) behind ``context``, whose state is ``state``; maybe only
        the root. ``context``: all tokens so far, prompt included; the tree's ``start`` is its length."""
        ...

    def observe(self, tree: DraftTree, target: TargetView, verdict: Verdict) -> None:
        """See what the target said, for drafters that learn; all rows of ``target`` may be looked at."""
        ...


class TreeBuilder(Protocol):
    """Turns laws of the next token into a tree: a chain, independent paths, draws without replacement, the best first (see `builders`)."""

    def grow(self, growth: Growth) -> Generator[list[int], Sequence[Any], Any]:
        """Draw by ``growth`` as long as its budget reaches. Yields nodes whose laws [V] it needs, and is sent these."""
        ...


class TargetView(Protocol):
    """The target's laws behind the nodes of one tree, processed lazily: only rows that a verifier asks for cost anything."""

    @property
    def text(self) -> Sequence[int]:
        """All tokens before the tree, the prompt's first, as far as known."""
        ...

    def log_p(self, node: int) -> Any:
        """[V]: normalised log-probabilities of the token behind a node; -inf for what the constraint refuses. Not to be asked at nodes
        whose token is refused, or that end the text."""
        ...

    def hidden(self, node: int) -> Any:
        """[d]: the target's hidden state at a node's token, of the layer that the verifier names in ``layers``."""
        ...


class Verifier(Protocol):
    """Decides by the rows alone: a function of tree and target, whose only randomness is ``choose``."""

    def verify(self, tree: DraftTree, target: TargetView, choose: Choose) -> Verdict: ...


class LengthController(Protocol):
    """How far to draft: fixed, by acceptance so far, by cost, or until the drafter is in doubt."""

    def budget(self) -> int:
        """Nodes to draft in the next step, 0 for none."""
        ...

    def stop(self, log_q: Any, depth: int, path: Sequence[tuple[Any, int]] = ()) -> bool:
        """Asked before tokens are drawn behind a place: whether to stop there. ``log_q``: [V], the normalised law of the token to come;
        ``depth``: how many tokens were drawn on the way; ``path``: these, each with the law it was drawn from. It never sees the token to
        come."""
        ...

    def update(self, accepted: int, proposed: int) -> None:
        """What became of a step: nodes on the accepted path and on the longest drafted one, forced ones not counted in either."""
        ...
