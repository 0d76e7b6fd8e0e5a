"""Deterministic automata over characters, one canonical automaton for each regular language.

`CharDfa` values are minimal and numbered canonically, so two of them are equal exactly if their languages are; they are
immutable and hashable. Combining automata crawls over the reachable combinations of their states (as in greenery); every
function that can blow up has a budget and raises `LimitExceeded`. Nothing recurses on the depth of its input.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

from structgen.automata._chardfa_edges import is_anchored, search, strip_edges
from structgen.automata._chardfa_minimal import Row, canonical
from structgen.automata._chardfa_nfa import MAX_POSITIONS
from structgen.automata._chardfa_nodes import (
    ANY_CHAR,
    ANY_TEXT,
    END,
    EPSILON,
    NOTHING,
    START,
    Alternation,
    Automaton,
    Char,
    Concat,
    Look,
    Loop,
    Node,
)
from structgen.automata._chardfa_subset import MAX_STATES, crawl, determinize
from structgen.automata.charset import Ranges, of_chars, partition
from structgen.errors import LimitExceeded

__all__ = [
    "ANY_CHAR", "ANY_TEXT", "END", "EPSILON", "MAX_POSITIONS", "MAX_STATES", "NOTHING", "START",
    "Alternation", "Automaton", "Char", "CharDfa", "Concat", "Look", "Loop", "Node",
    "accepts", "all_but", "any_char", "any_text", "chars", "compile_regex", "complement", "concat", "difference", "from_strings",
    "from_transitions", "intersect", "is_anchored", "is_empty", "is_finite", "length_bounds", "literal", "none", "repeat", "search",
    "shortest", "star", "step", "strip_edges", "union", "words",
]  # fmt: skip

MAX_TABLE = 20_000_000
"""Bound on states times classes of an automaton made from a list of strings."""
MAX_LETTERS = 8_000_000
"""Bound on the characters of all these strings."""
MAX_NODES = 1_000_000
"""Bound on their different beginnings."""


@dataclass(frozen=True, slots=True)
class CharDfa:
    """A minimal deterministic automaton whose letters are Unicode code points.

    State 0 is the start. Every state is reachable and can reach acceptance, except that the empty language is one state,
    not accepting, without transitions. States are numbered breadth-first in class order, classes by their first interval.
    Surrogate code points (0xD800..0xDFFF) never have a transition.
    """

    starts: tuple[int, ...]
    """Sorted first code points of the intervals that partition 0..0x10FFFF; ``starts[0] == 0``."""
    classes: tuple[int, ...]
    """The class of each interval; neighbouring intervals differ in class."""
    table: tuple[tuple[int, ...], ...]
    """``table[state][class]`` is the next state, -1 if there is none."""
    accepting: tuple[bool, ...]

    def __hash__(self) -> int:
        return hash((self.starts, self.classes, self.accepting, self.table[0]))

    def __repr__(self) -> str:
        return f"<CharDfa: {len(self.table)} states, {len(self.table[0])} classes, shortest {shortest(self)!r}>"

    def class_ranges(self) -> list[list[tuple[int, int]]]:
        """The inclusive code point ranges of each class."""
        ranges: list[list[tuple[int, int]]] = [[] for _ in self.table[0]]
        for i, c in enumerate(self.classes):
            ranges[c].append((self.starts[i], self.starts[i + 1] - 1 if i + 1 < len(self.starts) else 0x10FFFF))
        return ranges


def compile_regex(node: Node, *, max_states: int = MAX_STATES, max_positions: int = MAX_POSITIONS) -> CharDfa:
    """The automaton of a regular expression; look-arounds see the whole text."""
    alphabet, (rows, accepting) = determinize(node, max_states, max_positions)
    return CharDfa(*canonical(alphabet.starts, alphabet.classes, rows, accepting))


def from_transitions(
    letters: Sequence[Iterable[str]], table: Sequence[Row], accepting: Sequence[bool], *, minimal: bool = False
) -> CharDfa:
    """The automaton with ``table[state][i]`` the state after one of the characters ``letters[i]`` (-1: none).

    The sets of characters must be disjoint; state 0 is the start. ``minimal`` promises that every state is reachable, can
    reach acceptance and differs from all others, which spares finding that out.
    """
    return _from_table([of_chars(chars) for chars in letters], table, accepting, minimal=minimal)


def _from_table(sets: Sequence[Ranges], table: Sequence[Row], accepting: Sequence[bool], *, minimal: bool = False) -> CharDfa:
    starts, members = partition(sets)
    return CharDfa(*canonical(starts, [m.bit_length() - 1 for m in members], table, accepting, minimal=minimal))


@lru_cache(maxsize=1)
def none() -> CharDfa:
    """No text at all."""
    return compile_regex(NOTHING)


@lru_cache(maxsize=1)
def any_text() -> CharDfa:
    """Every text."""
    return compile_regex(ANY_TEXT)


@lru_cache(maxsize=1)
def any_char() -> CharDfa:
    """Every text of one character."""
    return compile_regex(ANY_CHAR)


def chars(ranges: Ranges) -> CharDfa:
    """Every text of one character of the set."""
    return compile_regex(Char(ranges))


@lru_cache(maxsize=4096)
def literal(text: str) -> CharDfa:
    """Exactly this text (no text at all if it has a surrogate)."""
    return from_strings([text])


def from_strings(texts: Iterable[str], *, max_states: int = 100_000) -> CharDfa:
    """Exactly these texts: their trie, equal subtrees shared from the leaves up. Texts with surrogates match nothing."""
    return _from_trie(_shared_trie(texts), -1, max_states)


def all_but(texts: Iterable[str], *, max_states: int = 100_000) -> CharDfa:
    """All texts except these: the complement of `from_strings`, without product and minimisation.

    Every text but finitely many can still be reached from each state, so one further state, for all other texts, completes the
    automaton, and the result is minimal.
    """
    states = _shared_trie(texts)
    if states == [(False,)]:
        return any_text()
    others = len(states)
    return _from_trie([*((not final, *edges) for final, *edges in states), (True,)], others, max_states)


TrieState = tuple[Any, ...]
"""Whether a text ends here, then pairs of a character and the next state."""


def _shared_trie(texts: Iterable[str]) -> list[TrieState]:
    """The states of the minimal automaton of these texts; the start is the last."""
    texts = list(texts)
    if sum(map(len, texts)) > MAX_LETTERS:
        raise LimitExceeded("characters in all", MAX_LETTERS, "a set of strings")
    trie: list[dict[str, int]] = [{}]
    final = [False]
    for text in texts:
        if len(trie) > MAX_NODES:
            raise LimitExceeded("different beginnings", MAX_NODES, "a set of strings")
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            continue
        node = 0
        for char in text:
            following = trie[node].get(char)
            if following is None:
                following = trie[node][char] = len(trie)
                trie.append({})
                final.append(False)
            node = following
        final[node] = True
    states: dict[TrieState, int] = {}
    number = [0] * len(trie)
    for node in range(len(trie) - 1, -1, -1):  # children have greater numbers
        state = (final[node], *sorted([(char, number[child]) for char, child in trie[node].items()]))
        number[node] = states.setdefault(state, len(states))
    return list(states)


def _from_trie(states: list[TrieState], others: int, max_states: int) -> CharDfa:
    """The automaton of these states, the start last but for ``others``, the state after all other characters (-1: none)."""
    columns: dict[str, list[tuple[int, int]]] = {}
    for source, (_, *edges) in enumerate(states):
        for char, target in edges:
            columns.setdefault(char, []).append((source, target))
    _check_size(len(states), len(columns), max_states)
    starts, classes, class_of, n_classes = _intervals({char: tuple(column) for char, column in columns.items()}, others >= 0)
    default = [others] * n_classes
    if others >= 0:
        default[class_of[SURROGATES]] = -1
    order = [len(states) - 1 if others < 0 else others - 1]
    number = {order[0]: 0, -1: -1}
    rows: list[list[int]] = []
    for state in order:
        row = default.copy()
        for char, target in states[state][1:]:
            row[class_of[char]] = target
        rows.append(row)
        for target in dict.fromkeys(row):
            if target not in number:
                number[target] = len(order)
                order.append(target)
    table = tuple([tuple([number[target] for target in row]) for row in rows])
    return CharDfa(starts, classes, table, tuple([states[state][0] for state in order]))


SURROGATES = "\ud800"
"""Stands for all of them."""


def _intervals(columns: dict[str, object], others: bool) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, int], int]:
    """Starts and classes of the intervals for these characters, the class of each character, and the number of classes:
    characters with equal columns have one class, all without a column one more, surrogates are apart if these are wanted."""
    if others:
        columns = {**columns, SURROGATES: None}
    starts: list[int] = []
    classes: list[int] = []
    number: dict[object, int] = {}

    def append(start: int, column: object) -> None:
        c = number.setdefault(column, len(number))
        if not classes or classes[-1] != c:
            starts.append(start)
            classes.append(c)

    end = 0
    for char in sorted(columns):
        if ord(char) > end:
            append(end, ())
        append(ord(char), columns[char])
        end = 0xE000 if char == SURROGATES else ord(char) + 1
    if end <= 0x10FFFF:
        append(end, ())
    return tuple(starts), tuple(classes), {char: number[column] for char, column in columns.items()}, len(number)


def _check_size(n_states: int, n_letters: int, max_states: int) -> None:
    if n_states > max_states:
        raise LimitExceeded("automaton states", max_states, "a set of strings")
    if n_states * n_letters > MAX_TABLE:
        raise LimitExceeded("automaton states times letters", MAX_TABLE, "a set of strings")


def _product(a: CharDfa, b: CharDfa, needed: tuple[bool, bool], accept: Callable[[bool, bool], bool], max_states: int) -> CharDfa:
    """Both automata side by side, as long as those that are ``needed`` have a transition, or one of them. A pair of states p, q
    is the number p * width + q, where the greatest p and q mean that no transition is left."""
    starts, pairs = _joint_classes(a, b)
    letters = list(dict.fromkeys(pairs))
    number = {pair: c for c, pair in enumerate(letters)}
    n, width = len(a.table), len(b.table) + 1
    neither = n * width + width - 1
    rows_a = _scaled([*a.table, (-1,) * len(a.table[0])], [c for c, _ in letters], width, -neither if needed[0] else n * width)
    rows_b = _scaled([*b.table, (-1,) * len(b.table[0])], [d for _, d in letters], 1, -neither - 1 if needed[1] else width - 1)
    accept_a, accept_b = [*a.accepting, False], [*b.accepting, False]

    def successors(state: int) -> list[int | None]:
        p, q = divmod(state, width)
        return [pair if 0 <= (pair := x + y) < neither else None for x, y in zip(rows_a[p], rows_b[q], strict=True)]

    rows, accepting = crawl(0, successors, lambda s: accept(accept_a[s // width], accept_b[s % width]), max_states)
    return CharDfa(*canonical(starts, [number[pair] for pair in pairs], rows, accepting))


def _scaled(table: Sequence[Row], columns: list[int], factor: int, dead: int) -> list[list[int]]:
    """The table by these columns, states multiplied by a factor."""
    return [[row[c] * factor if row[c] >= 0 else dead for c in columns] for row in table]


def _joint_classes(a: CharDfa, b: CharDfa) -> tuple[list[int], list[tuple[int, int]]]:
    """The common refinement of both partitions, each interval with its class in either."""
    starts = sorted({*a.starts, *b.starts})
    return starts, [(a.classes[bisect_right(a.starts, s) - 1], b.classes[bisect_right(b.starts, s) - 1]) for s in starts]


@lru_cache(maxsize=512)
def intersect(a: CharDfa, b: CharDfa, *, max_states: int = MAX_STATES) -> CharDfa:
    """The texts in both languages."""
    if a == b:
        return a
    return _product(a, b, (True, True), lambda x, y: x and y, max_states)


@lru_cache(maxsize=512)
def difference(a: CharDfa, b: CharDfa, *, max_states: int = MAX_STATES) -> CharDfa:
    """The texts in the first language but not in the second."""
    return _product(a, b, (True, False), lambda x, y: x and not y, max_states)


def complement(a: CharDfa) -> CharDfa:
    """The texts not in the language."""
    return difference(any_text(), a, max_states=len(a.table) + 2)


def union(*languages: CharDfa, max_states: int = MAX_STATES) -> CharDfa:
    """The texts in at least one of the languages."""
    distinct = list(dict.fromkeys(languages)) or [none()]
    if len(distinct) > 4:
        return compile_regex(Alternation(tuple(map(Automaton, distinct))), max_states=max_states)
    return reduce(lambda a, b: _union(a, b, max_states), distinct)


@lru_cache(maxsize=512)
def _union(a: CharDfa, b: CharDfa, max_states: int) -> CharDfa:
    return _product(a, b, (False, False), lambda x, y: x or y, max_states)


def concat(*languages: CharDfa, max_states: int = MAX_STATES) -> CharDfa:
    """A text of each language, one after the other."""
    return compile_regex(Concat(tuple(map(Automaton, languages))), max_states=max_states)


def star(a: CharDfa, *, max_states: int = MAX_STATES) -> CharDfa:
    """Any number of texts of the language, one after the other."""
    return repeat(a, 0, None, max_states=max_states)


def repeat(a: CharDfa, min: int, max: int | None, *, max_states: int = MAX_STATES) -> CharDfa:
    """Between ``min`` and ``max`` texts of the language (None: without bound), one after the other."""
    if max is not None and max < min:
        return none()
    return compile_regex(Loop(Automaton(a), min, max), max_states=max_states)


def is_empty(a: CharDfa) -> bool:
    return not a.accepting[0] and max(a.table[0]) < 0


def step(a: CharDfa, state: int, char: str) -> int:
    """The next state, -1 if there is none."""
    return a.table[state][a.classes[bisect_right(a.starts, ord(char)) - 1]]


def accepts(a: CharDfa, text: str) -> bool:
    """Whether the text is in the language."""
    state = 0
    for char in text:
        state = step(a, state, char)
        if state < 0:
            return False
    return a.accepting[state]


def is_finite(a: CharDfa) -> bool:
    return length_bounds(a)[1] is not None


@lru_cache(maxsize=4096)
def length_bounds(a: CharDfa) -> tuple[int, int | None]:
    """Number of characters of the shortest and of the longest text (None: no longest); (0, 0) for the empty language."""
    if is_empty(a):
        return 0, 0
    if any(state in row for state, row in enumerate(a.table)):  # every state is on the way to acceptance
        return _shortest_length(a), None
    return _shortest_length(a), _longest([set(row) - {-1} for row in a.table])


def _shortest_length(a: CharDfa) -> int:
    """Breadth first, level by level."""
    length, level, seen = 0, {0}, {-1}
    while not any(a.accepting[state] for state in level):
        seen |= level
        level = set().union(*(a.table[state] for state in level)) - seen
        length += 1
    return length


def _longest(targets: list[set[int]]) -> int | None:
    """Length of the longest text, None if there is a cycle: Kahn's algorithm."""
    n_before = [0] * len(targets)
    for following in targets:
        for state in following:
            n_before[state] += 1
    depth = [0] * len(targets)
    ready = [0] if n_before[0] == 0 else []
    for state in ready:
        for following_state in targets[state]:
            depth[following_state] = max(depth[following_state], depth[state] + 1)
            n_before[following_state] -= 1
            if n_before[following_state] == 0:
                ready.append(following_state)
    return max(depth) if len(ready) == len(targets) else None


def shortest(a: CharDfa) -> str | None:
    """The first of the shortest texts, None if there is no text."""
    came: dict[int, tuple[int, str]] = {0: (0, "")}
    order = [0]
    letters = list(zip(a.starts, a.classes, strict=True))
    for state in order:
        if a.accepting[state]:
            text = []
            while state:
                state, char = came[state]
                text.append(char)
            return "".join(reversed(text))
        for start, c in letters:
            target = a.table[state][c]
            if target >= 0 and target not in came:
                came[target] = (state, chr(start))
                order.append(target)
    return None


def words(a: CharDfa, limit: int) -> list[str]:
    """The first ``limit`` texts of the language, shorter ones first, equal lengths by code points."""
    found: list[str] = []
    for text in _words(a):
        if len(found) >= limit:
            break
        found.append(text)
    return found


def _words(a: CharDfa) -> Iterator[str]:
    if is_empty(a):
        return
    low, high = length_bounds(a)
    ranges = a.class_ranges()
    edges = [sorted((low_char, high_char, t) for c, t in enumerate(row) if t >= 0 for low_char, high_char in ranges[c]) for row in a.table]
    targets = [set(row) - {-1} for row in a.table]
    can_end = [{state for state, accept in enumerate(a.accepting) if accept}]  # can_end[n]: states with a text of n more characters
    length = 0
    while high is None or length <= high:
        if length >= low:
            yield from _words_of_length(edges, can_end, length)
        length += 1
        can_end.append({state for state, following in enumerate(targets) if not following.isdisjoint(can_end[-1])})


def _words_of_length(edges: list[list[tuple[int, int, int]]], can_end: list[set[int]], length: int) -> Iterator[str]:
    """Depth first in code point order, only along states from which the length can be completed."""
    if 0 not in can_end[length]:
        return
    stack: list[Iterator[tuple[str, int]]] = []
    text: list[str] = []

    def onward(state: int, remaining: int) -> Iterator[tuple[str, int]]:
        return ((chr(c), t) for low, high, t in edges[state] if t in can_end[remaining] for c in range(low, high + 1))

    if length == 0:
        yield ""
        return
    stack.append(onward(0, length - 1))
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            if text:
                text.pop()
            continue
        text.append(step[0])
        if len(text) == length:
            yield "".join(text)
            text.pop()
        else:
            stack.append(onward(step[1], length - len(text) - 1))
