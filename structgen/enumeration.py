"""The words of a constraint without any model: `words` counts and orders them, `random_words` draws some.

Both walk the byte automaton of the constraint, so they see exactly the language that the masks enforce, and whatever they
return is in it: `random_words` is also how the project looks for faults in itself.
"""

from __future__ import annotations

import string
from random import Random
from typing import Any

from structgen.automata.counting import Words, byte_ranges
from structgen.automaton import TokenAutomaton
from structgen.compiler import compile
from structgen.errors import LimitExceeded, StructgenError
from structgen.vocabulary import Vocabulary

__all__ = ["byte_automaton", "random_words", "words"]

FEW_STATES = 1_000
"""Without a length bound, words are counted only if the automaton is no bigger."""
FEW_STEPS = 200_000
"""Nor its paths longer."""
NEAR_STATES = 500
"""States that are looked at for the nearest end of a random walk that found none for long."""
MAX_BYTES = 100_000
"""A random walk that is not at an end by then is given up."""


def byte_automaton(constraint: Any) -> TokenAutomaton:
    """The constraint on the vocabulary of all single bytes."""
    return compile(constraint, Vocabulary.from_bytes([bytes([byte]) for byte in range(256)], eos_token_id=256))


def words(constraint: Any, max_length: int | None = None, min_length: int = 0, **options: Any) -> Words:
    """The words of a constraint (anything that `compile` takes) as an ordered set: count, rank, unrank, sample, iterate.

    Lengths are in bytes, with ``unit="characters"`` in characters; further options as for `Words`.

    >>> import structgen as sg
    >>> codes = sg.words(sg.regex("[ab]*c?"), max_length=2)
    >>> codes.count(), codes.rank("ac"), codes.unrank(4), list(codes)
    (10, 4, b'ac', [b'', b'a', b'aa', b'ab', b'ac', b'b', b'ba', b'bb', b'bc', b'c'])
    """
    return Words(byte_automaton(constraint), max_length, min_length, **options)


def random_words(
    constraint: Any, n: int = 1, *, max_length: int | None = None, seed: int | None = None, typical_length: int = 80, **options: Any
) -> list[bytes]:
    """``n`` random words of a constraint (anything that `compile` takes); the same ones for the same seed.

    With ``max_length`` they are uniform over all words so long (options as for `words`; an error where these cannot be counted).
    Without it they are uniform over all words if these are finitely many and easily counted; otherwise each is a random walk
    along the bytes that may follow, which after ``typical_length`` bytes heads for an end.

    >>> import structgen as sg
    >>> sorted(set(sg.random_words(sg.regex("a|b|cc"), 50, seed=1)))
    [b'a', b'b', b'cc']
    """
    automaton = byte_automaton(constraint)
    random = Random(seed)
    if max_length is not None or options:
        return Words(automaton, max_length, **options).sample(random, n)
    try:
        return Words(automaton, max_states=FEW_STATES, max_steps=FEW_STEPS).sample(random, n)
    except StructgenError:
        return [random_walk(automaton, random, typical_length) for _ in range(n)]


END, OTHER = "end", "other"
KINDS = {
    "word": string.ascii_letters + string.digits + "_-.+",
    "space": " \t\r",
    "line": "\n",
    "quote": "\"'`",
    "open": "([{<",
    "close": ")]}>/",
    "comma": ",:;",
}
KIND_OF = {ord(char): kind for kind, chars in KINDS.items() for char in chars}
ON = {END: 3, "word": 8, "space": 1, "line": 0.5, "quote": 4, "open": 4, "close": 4, "comma": 4, OTHER: 1}
TEXT = {END: 3, "word": 40, "space": 8, "line": 2, "quote": 8, "open": 1, "close": 1, "comma": 1, OTHER: 1}
HOME = {END: 1000, "word": 2, "space": 1, "line": 100, "quote": 40, "open": 0.2, "close": 100, "comma": 0.5, OTHER: 0.5}
"""Weights of kinds of bytes: between marks, in free text, and when a walk heads for an end: then what may be closed is closed."""


def random_walk(automaton: TokenAutomaton, random: Random, typical_length: int) -> bytes:
    """A random word, byte by byte: draw a kind of bytes that may follow, then one of the states they lead to, then the byte.

    There are no dead ends, so any walk can end, and the weights see to it that it does.
    """
    state, word, patience = automaton.initial, bytearray(), 4 * typical_length + 1
    while len(word) < MAX_BYTES:
        if len(word) >= patience:
            end = _nearest_end(automaton, state)
            if end is not None:
                return bytes(word) + end
            patience *= 2
        kinds = _kinds(automaton, state)
        weights = HOME if len(word) >= typical_length else TEXT if _is_free(kinds) else ON
        kinds = _leaving(kinds, state) if weights is HOME else kinds
        (kind,) = random.choices(list(kinds), [weights[kind] for kind in kinds])
        if kind == END:
            return bytes(word)
        state, found = random.choice(list(kinds[kind].items()))
        word.append(random.choice(found))
    raise LimitExceeded("bytes of a random word", MAX_BYTES)


def _nearest_end(automaton: TokenAutomaton, state: int) -> bytes | None:
    """The shortest way to an end; where that is hard to say, found breadth first, None if it is not near."""
    from structgen.automata.completion import Completions

    engine = automaton._engine
    try:
        with engine.lock:
            engine.completions = engine.completions or Completions(engine)
            engine.completions.admit(automaton._expr)
            texts = [ending.text for ending in engine.completions.of(state)]
        for text in sorted(texts, key=len):
            if automaton.is_accepting(automaton.advance_bytes(state, text)):
                return bytes(text)
    except StructgenError:
        pass
    ways = {state: b""}
    for here in (todo := [state]):  # grows meanwhile
        if automaton.is_accepting(here):
            return ways[here]
        if len(ways) < NEAR_STATES:
            for first, _, target in byte_ranges(automaton, here):
                if target not in ways:
                    ways[target] = ways[here] + bytes([first])
                    todo.append(target)
    return None


def _is_free(kinds: dict[str, dict[int, list[int]]]) -> bool:
    """Whether the walk is in free text: nearly all of ASCII may follow, and more."""
    return sum(len(found) for targets in kinds.values() for found in targets.values()) > 90


def _leaving(kinds: dict[str, dict[int, list[int]]], state: int) -> dict[str, dict[int, list[int]]]:
    """Without the bytes that change nothing, such as those inside a text, unless there are no others."""
    leaving = {kind: {target: found for target, found in targets.items() if target != state} for kind, targets in kinds.items()}
    return {kind: targets for kind, targets in leaving.items() if targets or kind == END} or kinds


def _kinds(automaton: TokenAutomaton, state: int) -> dict[str, dict[int, list[int]]]:
    """The bytes that may follow, by kind and by the state after them; and whether to end here is one of the kinds."""
    kinds: dict[str, dict[int, list[int]]] = {END: {}} if automaton.is_accepting(state) else {}
    for first, last, target in byte_ranges(automaton, state):
        for byte in range(first, last + 1):
            kinds.setdefault(KIND_OF.get(byte, OTHER), {}).setdefault(target, []).append(byte)
    return kinds
