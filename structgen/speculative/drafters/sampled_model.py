"""A smaller causal LM whose drafts are draws: trees of them, from laws that verification knows, as many texts at a time as there are.

The draft model says what may come next, the constraint and the target's temperature and truncation are applied to that, and a
`TreeBuilder` draws. What is drawn from is what the tree records (`law_of`), so acceptance is as high as the two models are alike, and the
target's law stays what it is. What the constraint forces is drafted in between and takes no run of the draft model. In greedy decoding
nothing is drawn: the same builder takes the most probable tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.language_model import Tokens
from structgen.sampling.logspace import logsumexp, restrict
from structgen.speculative.builders import Growth, Pick, Stop, WithoutReplacement, grow_all
from structgen.speculative.draft_tree import Sapling
from structgen.speculative.drafters.tree_model import TreeModel
from structgen.speculative.interfaces import TreeBuilder
from structgen.speculative.stopped import Stopped
from structgen.speculative.target import Warp, allowed

__all__ = ["SampledDrafts", "SampledModel", "law_of"]


@dataclass(frozen=True)
class SampledModel:
    """``model``: a causal LM whose tokens are the target's, or some of them.

    ``builder``: the shape of the drafts, see `structgen.speculative.builders`. ``temperature``: of the drafts; None draws with the target's
    temperature and truncation. ``is_masked``: whether drafts keep to the constraint; they are accepted at least as often if they do.
    ``target_ids``: for a head over fewer tokens (VocabTrim, arXiv 2506.22694; EAGLE-3's d2t as ids, not as differences), the target's id of
    each of its rows; where the constraint allows none of them, drafting stops. ``forces``: whether to draft what the constraint
    forces, inside or outside of these ids. ``is_coupled``: tokens are picked by the noise that the target picks by too, instead of drawn;
    then one seed is one text, with or without drafts, and a few drafts less are accepted.
    """

    model: Any
    builder: TreeBuilder = WithoutReplacement()  # noqa: RUF009 (frozen)
    temperature: float | None = None
    is_masked: bool = True
    target_ids: Sequence[int] | None = None
    forces: bool = True
    is_coupled: bool = False

    def __post_init__(self) -> None:
        if not hasattr(self.model, "forward") or not hasattr(self.builder, "grow"):
            found = f"{type(self.model).__name__} and {type(self.builder).__name__}"
            raise StructgenError(f"a causal LM drafts, and a builder grows trees of its draws; found {found}")
        if self.temperature is not None and not self.temperature > 0:
            raise StructgenError(f"drafts need a temperature above 0, found {self.temperature}; greedy decoding drafts greedily anyway")
        ids = self.target_ids
        if ids is not None and (min(ids, default=-1) < 0 or len(set(ids)) != len(ids)):
            raise StructgenError("target_ids are different token ids of the target, one for each row of the draft model's head")


class SampledDrafts:
    """The drafts of several texts under their constraints. ``warp``: the target's; None drafts greedily.

    ``noises``: for each text what picks a token, given weights and the position in the text, where the model's drafts are coupled.
    """

    def __init__(
        self,
        settings: SampledModel,
        texts: Sequence[Tokens],
        constraints: Sequence[Stopped],
        size: int,
        warp: Warp | None,
        noises: Sequence[Callable[[int], Choose]] = (),
    ) -> None:
        self.settings, self._constraints, self._size, self._warp = settings, list(constraints), size, warp
        self._noises = list(noises) if settings.is_coupled and warp is not None else []
        if warp is not None and settings.temperature is not None:
            self._warp = lambda log_p: log_p / settings.temperature
        self._ids = None if settings.target_ids is None else np.asarray(settings.target_ids, np.int64)
        if self._ids is not None and self._ids.max() >= size:
            raise StructgenError(f"target_ids has {self._ids.max()}, and the target {size} logits")
        self._model = TreeModel(settings.model, texts)

    @property
    def forward_passes(self) -> int:
        return self._model.forward_passes

    def propose(self, texts: Sequence[Tokens], states: Sequence[int], budget: int, choose: Choose, stop: Stop) -> list[Growth]:
        """A tree for each text, with up to ``budget`` draws. The texts begin as those before."""
        growths = [self._growth(i, text, state, budget, choose, stop) for i, (text, state) in enumerate(zip(texts, states, strict=True))]
        if budget > 0:
            self._model.settle(texts)
            grow_all(self.settings.builder, growths, lambda asked: self._laws(growths, asked))
        return growths

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these texts only."""
        self._model.select(rows)
        self._constraints = [self._constraints[row] for row in rows]
        self._noises = [self._noises[row] for row in rows] if self._noises else []

    def _growth(self, i: int, text: Tokens, state: int, budget: int, choose: Choose, stop: Stop) -> Growth:
        constraint = self._constraints[i]
        pick: Pick | None = None
        if self._warp is None:
            pick = _greedy
        elif self._noises:
            pick = _coupled(self._noises[i], len(text))
        forced = constraint.forced if self.settings.forces else lambda state: ()
        return Growth(Sapling(constraint, state, len(text)), budget, choose, stop=stop, forced=forced, pick=pick)

    def _laws(self, growths: Sequence[Growth], asked: Sequence[Sequence[int]]) -> list[list[Any]]:
        found = self._model.logits([[growth.prefix(node) for node in nodes] for growth, nodes in zip(growths, asked, strict=True)])
        laws = []
        for growth, nodes, rows, constraint in zip(growths, asked, found, self._constraints, strict=True):
            may_follow = [allowed(constraint, growth.sapling.state(node), self._size) for node in nodes]
            masks = may_follow if self.settings.is_masked else [None] * len(nodes)
            laws.append([self._law(row, mask) for row, mask in zip(rows, masks, strict=True)])
        return laws

    def _law(self, logits: Any, may_follow: npt.NDArray[np.bool_] | None) -> Any:
        row = logits.double().cpu().numpy()
        if self._ids is not None and len(row) != len(self._ids):
            raise StructgenError(f"target_ids has {len(self._ids)} ids, and the draft model {len(row)} logits")
        return law_of(row, self._size, self._ids, may_follow, self._warp)


def law_of(
    logits: Any, size: int, ids: npt.NDArray[np.int64] | None, may_follow: npt.NDArray[np.bool_] | None, warp: Warp | None
) -> npt.NDArray[np.float64]:
    """[size]: the law that drafts are drawn from, normalised log-probabilities; all -inf where nothing is left.

    In the order of the target: logits at their ids, mask, temperature and truncation. Ids beyond the target's ``size`` are left out.
    """
    found = np.full(size, -np.inf)
    n = min(size, len(logits))
    found[slice(n) if ids is None else ids] = logits[:n] if ids is None else logits
    found = found if may_follow is None else restrict(found, may_follow)
    log_mass = logsumexp(found)
    if not log_mass > -np.inf:
        return found
    found = found - log_mass
    if warp is not None:
        found = warp(found)
        found = found - logsumexp(found)
    law: npt.NDArray[np.float64] = found
    return law


def _greedy(log_weights: Any, depth: int) -> int:
    return int(np.argmax(log_weights))


def _coupled(noise: Callable[[int], Choose], start: int) -> Pick:
    return lambda log_weights, depth: noise(start + depth)(log_weights)
