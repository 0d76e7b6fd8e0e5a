"""From string and number shapes to lexemes: the languages of the shapes as automata, and the expressions that write them.

A string is `ir.Quoted` with its content and length kept apart (lengths are counted by the machine, not unrolled), a finite
set of strings one automaton, a single string `ir.QuotedText`. Equal shapes give equal lexemes, which the machine compiles once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce

from structgen.automata import chardfa, ir
from structgen.automata.chardfa import CharDfa
from structgen.automata.lexemes import inexhaustible

from .shapes import Language, StringShape, is_writable

__all__ = ["finite_words", "n_texts", "string_expr", "text_is_empty", "text_language"]


@lru_cache(maxsize=1024)
def text_language(languages: frozenset[Language], excluded: frozenset[Language]) -> CharDfa | None:
    """The strings in all ``languages`` and in none of ``excluded``; None means any string."""
    if not languages and excluded and all(language.words is not None for language in excluded):
        return _all_but(frozenset().union(*(language.words or () for language in excluded)))
    steps = [(language, True) for language in languages] + [(language, False) for language in excluded]
    steps.sort(key=lambda step: (len(step[0].dfa.table), step[0].label))
    if len(steps) > MAX_SHARED:
        return reduce(_narrowed, steps, None)
    return _shared(tuple(steps))


Step = tuple[Language, bool]
"""A language, and whether texts must be in it or must not."""
MAX_SHARED = 64
"""Steps of which every beginning is kept, because other combinations of the same languages begin alike."""


@lru_cache(maxsize=4096)
def _shared(steps: tuple[Step, ...]) -> CharDfa | None:
    return _narrowed(_shared(steps[:-1]), steps[-1]) if steps else None


def _narrowed(dfa: CharDfa | None, step: Step) -> CharDfa:
    language, wanted = step[0].dfa, step[1]
    if dfa is None:
        return language if wanted else chardfa.complement(language)
    return chardfa.intersect(dfa, language) if wanted else chardfa.difference(dfa, language)


@lru_cache(maxsize=1024)
def _all_but(words: frozenset[str]) -> CharDfa:
    return chardfa.all_but(sorted(words))


def text_is_empty(shape: StringShape) -> bool:
    """Whether no string has this shape."""
    if shape.values is not None:
        return False
    if text_is_plain(shape):
        return shape.max is not None and shape.min > shape.max
    return window(shape) is None


def text_is_plain(shape: StringShape) -> bool:
    """Whether only finitely many strings are excluded, and lengths leave infinitely many or nearly so."""
    if shape.values is not None or shape.languages or (shape.max is not None and shape.max < 2):
        return False
    return all(language.words is not None for language in shape.excluded)


def window(shape: StringShape) -> tuple[CharDfa | None, int, int | None] | None:
    """Content, least and greatest length of the strings of this shape, bounds that the content implies left out; None: no string."""
    if shape.values is not None:
        return chardfa.from_strings(sorted(shape.values)), 0, None
    low, high = shape.min, shape.max
    if text_is_plain(shape):
        return None if high is not None and low > high else (text_language(shape.languages, shape.excluded), low, high)
    dfa = text_language(shape.languages, shape.excluded) or chardfa.any_text()
    if chardfa.is_empty(dfa):
        return None
    shortest, longest = length_bounds(shape.languages, shape.excluded)
    if (high is not None and shortest > high) or (longest is not None and longest < low):
        return None
    if high is not None and longest is not None and longest <= high:
        high = None
    return dfa, 0 if shortest >= low else low, high


@lru_cache(maxsize=1024)
def length_bounds(languages: frozenset[Language], excluded: frozenset[Language]) -> tuple[int, int | None]:
    """Least and greatest length (None: unbounded) of the strings in all ``languages`` and in none of ``excluded``."""
    return chardfa.length_bounds(text_language(languages, excluded) or chardfa.any_text())


def string_expr(shape: StringShape, limit: int | None, *, capture: bool = False) -> ir.Expr | None:
    """The JSON string literals of this shape, or None if there are none; ``limit`` bounds strings that nothing else bounds,
    except captured ones: distinct names that may run out have to be counted, those without a bound never run out."""
    if shape.values is not None:
        values = [text for text in shape.values if is_writable(text)]
        if len(values) == 1 and not capture:
            return ir.QuotedText(values[0])
        return ir.Quoted(chardfa.from_strings(sorted(values)), capture=capture) if values else None
    found = window(shape)
    if found is None:
        return None
    dfa, low, high = found
    endless = high is None and (text_is_plain(shape) or length_bounds(shape.languages, shape.excluded)[1] is None)
    if endless and limit is not None and not capture:
        high = max(limit, 2 * low)
    return ir.Quoted(dfa, low, high, capture)


def is_inexhaustible(shape: StringShape) -> bool:
    """Whether every beginning of a string of this shape can go on for ever."""
    found = window(shape)
    return found is not None and found[2] is None and inexhaustible(found[0])


MANY = 1_000_000
"""Finite sets larger than this count as unbounded: nothing runs out of them."""


def n_texts(shapes: Sequence[StringShape]) -> int | None:
    """How many strings have one of these shapes; None: infinitely many, or more than anyone will write."""
    dfas = [_finite(shape) for shape in shapes]
    known = [dfa for dfa in dfas if dfa is not None]
    if len(known) < len(dfas):
        return None
    count = _count(reduce(chardfa.union, known)) if known else 0
    return None if count > MANY else count


def finite_words(shapes: Sequence[StringShape], limit: int) -> list[str] | None:
    """All strings of these shapes, if there are at most ``limit``."""
    count = n_texts(shapes)
    if count is None or count > limit:
        return None
    dfas = [dfa for shape in shapes if (dfa := _finite(shape)) is not None]
    return sorted({word for dfa in dfas for word in chardfa.words(dfa, limit)})


@lru_cache(maxsize=1024)
def _finite(shape: StringShape) -> CharDfa | None:
    """The automaton of a shape with few enough strings to count them, lengths included."""
    if text_is_plain(shape) and (shape.max is None or shape.max > 64):
        return None
    found = window(shape)
    if found is None:
        return chardfa.none()
    dfa, low, high = found
    if dfa is None or (high is not None and high > 64):
        return chardfa.literal("") if high == 0 else None
    if low or high is not None:
        dfa = chardfa.intersect(dfa, chardfa.repeat(chardfa.any_char(), low, high))
    return dfa if chardfa.is_finite(dfa) else None


@lru_cache(maxsize=1024)
def _count(dfa: CharDfa) -> int:
    """Number of accepted strings of a finite language."""
    ends = (*dfa.starts[1:], 0x110000)
    sizes = [0] * len(dfa.table[0])
    for start, end, cls in zip(dfa.starts, ends, dfa.classes, strict=True):
        sizes[cls] += end - start
    counts: dict[int, int] = {}
    todo = [0]
    while todo:
        state = todo[-1]
        targets = [(t, size) for t, size in zip(dfa.table[state], sizes, strict=True) if t >= 0]
        open_targets = [t for t, _ in targets if t not in counts]
        if open_targets:
            todo += open_targets
            continue
        counts[state] = dfa.accepting[state] + sum(counts[t] * size for t, size in targets)
        todo.pop()
    return counts[0]
