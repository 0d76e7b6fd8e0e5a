"""Guesses of several sources as one tree, the most promising first.

Each node is worth the probability that it will be accepted: that of its parent times how often guesses of this source and grade came
true so far. The tree grows by the most valuable guess while that is worth more than ``least``, what running the target over one
more node costs. What the constraint forbids is left out. Where it forces tokens, nothing else is asked.

What came true is counted for every guess that stood behind an accepted node, drafted or not, so a source that has gone quiet is heard again
when it would have been right.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from structgen.automata.machine import DEAD, FINISHED
from structgen.sampling.choice import Choose
from structgen.sampling.language_model import Tokens
from structgen.speculative.draft_tree import DraftTree, Kind, Sapling
from structgen.speculative.drafters.grammar import Forced
from structgen.speculative.drafters.source import Place, Source
from structgen.speculative.interfaces import TargetView, Verdict
from structgen.speculative.stopped import Stopped

__all__ = ["Fused", "Rates"]

MEMORY = 60  # guesses that a rate looks back on
PRIOR_WEIGHT = 3
MAX_NODES = 128  # in one tree, forced ones included
Label = tuple[int, int, bool]  # number of the source, grade, whether it is the first token of the guess


class Rates:
    """How often guesses come true, by source, grade and whether it is a guess's first token."""

    def __init__(self) -> None:
        self._seen: dict[Label, tuple[float, float]] = {}

    def __call__(self, label: Label, prior: float) -> float:
        true, asked = self._seen.get(label, (0.0, 0.0))
        return (true + PRIOR_WEIGHT * prior) / (asked + PRIOR_WEIGHT)

    def add(self, label: Label, is_true: bool) -> None:
        true, asked = self._seen.get(label, (0.0, 0.0))
        fade = 1 - 1 / MEMORY
        self._seen[label] = true * fade + is_true, asked * fade + 1


@dataclass(frozen=True)
class Offer:
    """The next token of a guess behind a node."""

    parent: int
    token: int
    label: Label
    rest: Iterator[int]
    prior: float


@dataclass
class _Growth:
    """A tree while it grows."""

    sapling: Sapling
    drafts: list[tuple[int, ...]] = field(default_factory=lambda: [()])
    children: dict[tuple[int, int], int] = field(default_factory=dict)
    parents: set[int] = field(default_factory=set)
    heap: list[tuple[float, int, Offer]] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    ticket: Iterator[int] = field(default_factory=count)


class Fused:
    """A `Drafter` for one text. ``is_tree``: whether a node may have several children; ``rates`` may be shared."""

    honest_q = False

    def __init__(self, sources: Sequence[Source], constraint: Stopped, n_prompt: int, rates: Rates, is_tree: bool = True) -> None:
        self._sources, self._constraint, self._n_prompt, self._rates, self._is_tree = sources, constraint, n_prompt, rates, is_tree
        self._offers: list[Offer] = []
        self._places: list[Place] = []
        self.least = 0.0

    @property
    def layers(self) -> tuple[int, ...]:
        """The hidden states of the target that a source asks for."""
        return tuple(sorted({layer for source in self._sources for layer in source.layers}))

    def propose(self, context: Tokens, state: int, budget: int, choose: Choose) -> DraftTree:
        growth = _Growth(Sapling(self._constraint, state, len(context)))
        self._ask(growth, context, 0, 1.0, None)
        while growth.heap and len(growth.sapling) < MAX_NODES:
            value, _, offer = heapq.heappop(growth.heap)
            if -value < self.least:
                break
            forced = self._is_forced(offer.label)
            if not forced and budget <= 0:
                continue
            node, is_new = self._node(growth, offer, forced)
            if node is None:
                continue
            goes_on = self._go_on(growth, offer, node, -value)
            if is_new:
                budget -= not forced
                if not (forced and goes_on):
                    number = offer.label[0]
                    is_asked = self._sources[number].again and not goes_on
                    self._ask(growth, context, node, -value, None if is_asked else number)
        self._offers = growth.offers
        self._places = [Place(context, self._n_prompt, draft, growth.sapling.state(node)) for node, draft in enumerate(growth.drafts)]
        return growth.sapling.tree()

    def observe(self, tree: DraftTree, target: TargetView, verdict: Verdict) -> None:
        following = dict(zip((0, *verdict.path), verdict.tokens(tree), strict=False))
        for offer in self._offers:
            if offer.parent in following:
                self._rates.add(offer.label, following[offer.parent] == offer.token)

    def learn(self, tokens: Sequence[int], logits: Any) -> None:
        """Pass the target's logits behind the nodes of the last tree on to the sources."""
        for source in self._sources:
            source.look(self._places, logits)

    def follow(self, hidden: Mapping[int, Any]) -> None:
        """Pass the target's hidden states at the next tokens of the text on to the sources that ask for them."""
        for source in self._sources:
            if source.layers:
                source.follow({layer: hidden[layer] for layer in source.layers})

    def _node(self, growth: _Growth, offer: Offer, forced: bool) -> tuple[int | None, bool]:
        """The node of an offer, and whether it is a new one; None if it cannot be drafted."""
        known = growth.children.get((offer.parent, offer.token))
        if known is not None:
            return known, False
        if not self._is_tree and offer.parent in growth.parents:
            return None, False
        node = growth.sapling.add(offer.parent, offer.token, Kind.FORCED if forced else Kind.POINT)
        growth.children[offer.parent, offer.token] = node
        growth.parents.add(offer.parent)
        growth.drafts.append((*growth.drafts[offer.parent], offer.token))
        return node, True

    def _ask(self, growth: _Growth, context: Tokens, node: int, value: float, but: int | None) -> None:
        """Collect the guesses behind a node, of all sources or, where tokens are forced, of that one; not of number ``but``."""
        state = growth.sapling.state(node)
        if state <= FINISHED:
            return
        place = Place(context, self._n_prompt, growth.drafts[node], state)
        for number, source in enumerate(self._sources):
            if number == but or (node and not source.everywhere):
                continue
            found = False
            for guess in source.guesses(place):
                prior = source.prior if guess.chance is None else guess.chance
                found |= self._offer(growth, node, iter(guess.tokens), (number, guess.grade, True), value, prior)
            if found and isinstance(source, Forced):
                break

    def _go_on(self, growth: _Growth, offer: Offer, node: int, value: float) -> bool:
        """Offer the next token of a guess behind its last one."""
        return growth.sapling.state(node) > FINISHED and self._offer(
            growth, node, offer.rest, (*offer.label[:2], False), value, offer.prior
        )

    def _offer(self, growth: _Growth, node: int, tokens: Iterator[int], label: Label, value: float, prior: float) -> bool:
        """Note the next token of a guess, if the constraint allows it."""
        token = next(tokens, None)
        if token is None or self._constraint.advance(growth.sapling.state(node), token) == DEAD:
            return False
        offer = Offer(node, int(token), label, tokens, prior)
        growth.offers.append(offer)
        worth = value * self._rates(label, prior)
        heapq.heappush(growth.heap, (-worth, next(growth.ticket), offer))
        return True

    def _is_forced(self, label: Label) -> bool:
        return isinstance(self._sources[label[0]], Forced)
