"""What a source of drafts is: something that guesses how a text goes on. Guesses are point masses: no law q has to be known.

A source need not mind the constraint: what it forbids is left out when guesses are put together (`fused`). That is exact
because no chance is involved in a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple, TypeVar

from structgen.speculative.stopped import Stopped

__all__ = ["Guess", "Place", "Source", "begun"]


class Place(NamedTuple):
    """A text with drafts behind it."""

    text: Sequence[int]
    """All tokens so far, the prompt's first."""
    n_prompt: int
    draft: Sequence[int]
    """Drafted tokens behind the text."""
    state: int
    """The automaton state behind the drafts."""

    def last(self, n: int) -> tuple[int, ...]:
        """The last n tokens, fewer if there are not so many."""
        if n <= len(self.draft):
            return tuple(self.draft[len(self.draft) - n :])
        return (*self.text[max(0, len(self.text) - n + len(self.draft)) :], *self.draft)


class Guess(NamedTuple):
    tokens: Iterable[int]
    """How the text might go on. May be an iterator, which is asked only for as much as is drafted."""
    grade: int = 0
    """What kind of guess this is: how often guesses come true is counted for each source and grade apart."""
    chance: float | None = None
    """How likely each of its tokens is held to be before any guess of this grade was seen; None: the source's ``prior``."""


class Source:
    """Base of all sources. One object may serve many texts: ``begin`` gives what serves one, sharing what is learnt."""

    prior: float = 0.5
    """How often its guesses are expected to come true before any was seen."""
    everywhere: bool = True
    """Whether it is asked behind drafts of others too, not only behind the text."""
    again: bool = False
    """Whether it is asked behind its own guesses too, where they end."""
    layers: tuple[int, ...] = ()
    """The hidden states of the target that ``follow`` is to see, as transformers numbers them: 0 is the embeddings, -1 the last."""
    constraint: Stopped

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> Source:
        """The source for one text under a constraint."""
        return begun(self, constraint)

    def guesses(self, place: Place) -> Iterable[Guess]:
        """The best first."""
        raise NotImplementedError

    def learn(self, tokens: Sequence[int], logits: Any) -> None:
        """See the target's raw ``logits`` (torch, [n, V]) behind n tokens, whether they were kept or not."""

    def look(self, places: Sequence[Place], logits: Any) -> None:
        """The same with all that comes before: override it where one token is not enough."""
        self.learn([place.last(1)[0] for place in places], logits)

    def follow(self, hidden: Mapping[int, Any]) -> None:
        """See the target's hidden states of ``layers`` (torch, [n, d] each) at the next n tokens of the text: each token is seen once, in
        order, the prompt's first. The latest tokens of a text have none yet: the target has not been run over them."""


S = TypeVar("S", bound=Source)


def begun(source: S, constraint: Stopped) -> S:
    """A copy of a source that shares what it has learnt."""
    found = copy(source)
    found.constraint = constraint
    return found
