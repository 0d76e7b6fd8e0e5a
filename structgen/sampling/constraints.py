"""What samplers know of a constraint: one token at a time or, where that is cheap, all at once. Automata and predicates alike.

A state is immutable and hashable: an int of a compiled automaton, the bytes so far of a predicate, a tuple of both. None
is the state after a token that is not allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from structgen.automaton import TokenAutomaton
from structgen.compiler import compile
from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.vocabulary import Vocabulary

__all__ = ["Conjunction", "Potential", "State", "TokenConstraint", "bind", "potential"]

State = Hashable
Mask = npt.NDArray[np.bool_]

REMEMBERED = 1 << 14  # answers of a predicate that are kept


class TokenConstraint(Protocol):
    """A constraint on the tokens of a vocabulary. The end symbol is no token here: it may follow where `is_accepting`."""

    @property
    def evaluations(self) -> int:
        """Tests of single tokens or ends so far."""
        ...

    @property
    def masks(self) -> int:
        """Masks so far."""
        ...

    @property
    def initial(self) -> State: ...

    def advance(self, state: State, token: int) -> State | None:
        """The state after a token, None if it is not allowed."""
        ...

    def is_accepting(self, state: State) -> bool:
        """Whether the text may end here."""
        ...

    def mask(self, state: State, size: int) -> Mask:
        """bool [size]: which tokens are allowed, `advance` for all of them."""
        ...

    def parse(self, text: str) -> Any:
        """What a complete text stands for."""
        ...


@dataclass(frozen=True)
class Potential:
    """A constraint given by predicates, made by `potential`; ``&`` joins it with any other constraint."""

    prefix_check: Callable[[Any], bool] | None
    complete_check: Callable[[Any], bool] | None
    binary: bool = False

    def __and__(self, other: Any) -> Conjunction:
        return Conjunction((self, other))

    def __rand__(self, other: Any) -> Conjunction:
        return Conjunction((other, self))


@dataclass(frozen=True)
class Conjunction:
    """Texts that fulfil every part; write the cheapest first, the others are asked only where it agrees."""

    parts: tuple[Any, ...]

    def __and__(self, other: Any) -> Conjunction:
        return Conjunction((*self.parts, other))

    def __rand__(self, other: Any) -> Conjunction:
        return Conjunction((other, *self.parts))


def potential(
    prefix_check: Callable[[Any], bool] | None = None, complete_check: Callable[[Any], bool] | None = None, *, binary: bool = False
) -> Potential:
    """Any Python predicate as a constraint for the samplers: a type checker, a dry run of SQL, a parser of SMILES.

    ``prefix_check(text)``: whether some valid text begins so; None where that is not known (then only whole texts are judged,
    and most samples may come to nothing). ``complete_check(text)``: whether the text is valid; None if every text that
    prefix_check takes is. Texts are str, cut before a character whose bytes are not all there yet; with ``binary`` bytes.

    A predicate must give the same answer each time. If prefix_check takes too much the samplers stay exact and do more
    work; a prefix it refuses is never looked at again.

    >>> even = potential(lambda text: text.isdigit() or not text, lambda text: text[-1:] in set("02468") - {""})
    >>> with_schema = {"type": "integer", "maximum": 100} & even
    """
    if prefix_check is None and complete_check is None:
        raise StructgenError("a potential needs a prefix_check or a complete_check")
    for check in (prefix_check, complete_check):
        if check is not None and not callable(check):
            raise StructgenError(f"a check is a function from text to bool, found {check!r:.80}")
    return Potential(prefix_check, complete_check, binary)


def bind(spec: Any, vocab: Vocabulary) -> TokenConstraint:
    """A `Potential`, a `Conjunction`, or anything `structgen.compile` takes, on a vocabulary."""
    if isinstance(spec, Potential):
        return Predicate(spec, vocab)
    if isinstance(spec, Conjunction):
        return Product([bind(part, vocab) for part in spec.parts])
    return Automaton(spec if isinstance(spec, TokenAutomaton) and spec.vocab == vocab else compile(spec, vocab))


class Automaton:
    """A compiled constraint."""

    def __init__(self, automaton: TokenAutomaton) -> None:
        self._automaton = automaton
        self._ends = np.array(sorted(automaton.vocab.eos_token_ids), np.int64)
        self.initial: State = automaton.initial
        self.evaluations = self.masks = 0
        self.parse = automaton.parse

    def advance(self, state: Any, token: int) -> State | None:
        self.evaluations += 1
        following = self._automaton.dead if token in self._automaton.vocab.eos_token_ids else self._automaton.advance(state, token)
        return None if following == self._automaton.dead else following

    def is_accepting(self, state: Any) -> bool:
        self.evaluations += 1
        return self._automaton.is_accepting(state)

    def mask(self, state: Any, size: int) -> Mask:
        self.masks += 1
        bits = np.unpackbits(self._automaton.mask(state).view(np.uint8), count=max(size, self._automaton.vocab.size), bitorder="little")
        bits[self._ends] = 0
        return bits[:size].view(np.bool_)


class Predicate:
    """A `Potential` on a vocabulary: a state is the text so far, as bytes."""

    masks = 0

    def __init__(self, potential: Potential, vocab: Vocabulary) -> None:
        self._potential, self._vocab = potential, vocab
        self.evaluations = 0
        self._may_go_on = lru_cache(REMEMBERED)(self._ask_prefix)
        self._may_end = lru_cache(REMEMBERED)(self._ask_complete)
        if not self._may_go_on(b""):
            raise UnsatisfiableSchema("the prefix_check refuses the empty text, with which every text begins")
        self.initial: State = b""

    def advance(self, state: Any, token: int) -> State | None:
        piece = self._vocab.token_bytes(token)
        return state + piece if piece and self._may_go_on(state + piece) else None

    def is_accepting(self, state: Any) -> bool:
        return self._may_end(state)

    def mask(self, state: Any, size: int) -> Mask:
        return np.array([self.advance(state, token) is not None for token in range(size)])

    def parse(self, text: str) -> Any:
        return text

    def _ask_prefix(self, data: bytes) -> bool:
        text = data if self._potential.binary else _whole_characters(data)
        return text is not None and self._ask(self._potential.prefix_check, text)

    def _ask_complete(self, data: bytes) -> bool:
        text = data if self._potential.binary else _whole_characters(data)
        if isinstance(text, str) and text.encode() != data:
            return False
        return self._ask(self._potential.complete_check, text)

    def _ask(self, check: Callable[[Any], bool] | None, text: Any) -> bool:
        if check is None:
            return True
        self.evaluations += 1
        return bool(check(text))


def _whole_characters(data: bytes) -> str | None:
    """The text without an unfinished character at its end; None if the bytes are no UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return data[: error.start].decode() if error.reason == "unexpected end of data" else None


class Product:
    """All of several constraints on one vocabulary; each is asked only if those before it agree."""

    def __init__(self, parts: list[TokenConstraint]) -> None:
        self._parts = parts
        self.initial: State = tuple(part.initial for part in parts)

    @property
    def evaluations(self) -> int:
        return sum(part.evaluations for part in self._parts)

    @property
    def masks(self) -> int:
        return sum(part.masks for part in self._parts)

    def advance(self, state: Any, token: int) -> State | None:
        following = []
        for part, its_state in zip(self._parts, state, strict=True):
            its_next = part.advance(its_state, token)
            if its_next is None:
                return None
            following.append(its_next)
        return tuple(following)

    def is_accepting(self, state: Any) -> bool:
        return all(part.is_accepting(its_state) for part, its_state in zip(self._parts, state, strict=True))

    def mask(self, state: Any, size: int) -> Mask:
        first, *others = zip(self._parts, state, strict=True)
        allowed = first[0].mask(first[1], size)
        for part, its_state in others:
            for token in np.flatnonzero(allowed):
                allowed[token] = part.advance(its_state, int(token)) is not None
        return allowed

    def parse(self, text: str) -> Any:
        """As the first part that is not a predicate reads it."""
        readers = [part for part in self._parts if not isinstance(part, Predicate)]
        return readers[0].parse(text) if readers else text
