"""What a source of drafts is: something that guesses how a text goes on. Guesses are point masses: no law q has to be known.

A source need not mind the constraint: what it forbids is left out when guesses are put together (`fused`). That is exact
because no chance is involved in a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


class Source:
    """Base of all sources. One object may serve many texts: ``begin`` gives what serves one, sharing what is learnt."""

    prior: float = 0.5
    """How often its guesses are expected to come true before any was seen."""
    everywhere: bool = True
    """Whether it is asked behind drafts of others too, not only behind the text."""
    constraint: Stopped

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> Source:
        """The source for one text under a constraint."""
        return begun(self, constraint)

    def guesses(self, place: Place) -> Iterable[Guess]:
        """The best first."""
        raise NotImplementedError

    def learn(self, tokens: Sequence[int], logits: Any) -> None:
        """See the target's raw ``logits`` (torch, [n, V]) behind n tokens, whether they were kept or not."""


S = TypeVar("S", bound=Source)


def begun(source: S, constraint: Stopped) -> S:
    """A copy of a source that shares what it has learnt."""
    found = copy(source)
    found.constraint = constraint
    return found
