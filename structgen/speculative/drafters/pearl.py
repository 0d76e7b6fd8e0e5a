"""Drafting while the target runs (PEARL: Liu et al., arXiv 2408.11850).

While the target verifies a draft, the draft is carried on as if all of it were right (post-verify). If it was, and the token that the
target adds is the next one too, there is another draft at once; if not, the target gives one token while a new draft is begun behind the
text (pre-verify). So the two take the time of the slower one. The drafter works in a thread of its own: with a model on another device or,
on a GPU, another stream, nothing waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from structgen.automata.machine import FINISHED
from structgen.errors import StructgenError
from structgen.speculative.checks import check_sizes
from structgen.speculative.drafters.source import Guess, Place, Source, begun
from structgen.speculative.stopped import Stopped

__all__ = ["Pearl"]


class Pearl(Source):
    """``source``: its first guess is carried on in a thread; `DraftModel` say. It must not look at hidden states.

    ``length``: tokens drafted during a run of the target, best as many as take the same time.
    """

    prior = 0.7
    everywhere = False

    def __init__(self, source: Source, length: int = 4) -> None:
        check_sizes(length=length)
        if not isinstance(source, Source) or source.layers:
            raise StructgenError(f"a source without hidden states is asked ahead, found {type(source).__name__}")
        self._source, self._length = source, length
        self._thread = ThreadPoolExecutor(1, "pearl")

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> Pearl:
        found = begun(self, constraint)
        found._inner = self._thread.submit(self._source.begin, constraint, prompt)
        found._drafted, found._assumed = None, ()
        return found

    _inner: Future[Source]
    _drafted: Future[list[int]] | None
    _assumed: tuple[int, ...]  # the text behind which it is

    def guesses(self, place: Place) -> Iterable[Guess]:
        rest = self._rest(place.text)
        state = place.state
        for token in rest:
            state = self.constraint.advance(state, token)
        self._assumed = (*place.text, *rest)
        behind = Place(self._assumed, place.n_prompt, (), state)
        self._drafted = self._thread.submit(self._draft, behind) if state > FINISHED else None
        return (Guess(rest),) if rest else ()

    def _rest(self, text: Sequence[int]) -> list[int]:
        """What of the draft comes behind the text; nothing if it went another way."""
        drafted = [] if self._drafted is None else self._drafted.result()
        is_right = tuple(text) == (*self._assumed, *drafted)[: len(text)] and len(text) >= len(self._assumed)
        return drafted[len(text) - len(self._assumed) :] if is_right else []

    def _draft(self, place: Place) -> list[int]:
        """In the thread."""
        guess = next(iter(self._inner.result().guesses(place)), None)
        return [] if guess is None else list(islice(guess.tokens, self._length))
