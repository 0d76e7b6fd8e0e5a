"""Character automata against the definition of regular expressions: sets of positions where a match may end, computed by
recursion on the tree for every text of a small alphabet; and the canonical form as `CharDfa` promises it."""

from __future__ import annotations

import doctest
import itertools
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structgen.automata import _chardfa_minimal, chardfa, charset
from structgen.automata.chardfa import (
    ANY_CHAR,
    ANY_TEXT,
    END,
    EPSILON,
    NOTHING,
    START,
    Alternation,
    Automaton,
    Char,
    CharDfa,
    Concat,
    Look,
    Loop,
    Node,
    accepts,
    compile_regex,
)
from structgen.errors import LimitExceeded, StructgenError

ALPHABET = "abé"
TEXTS = ["".join(letters) for n in range(5) for letters in itertools.product(ALPHABET, repeat=n)]


# --- the definition ---------------------------------------------------------------------------------------------------


def ends(node: Node, text: str, begin: int) -> set[int]:
    """Where matches of the node that begin at ``begin`` end."""
    if isinstance(node, Char):
        return {begin + 1} if begin < len(text) and charset.contains(node.ranges, ord(text[begin])) else set()
    if isinstance(node, Concat):
        found = {begin}
        for item in node.items:
            found = {end for middle in found for end in ends(item, text, middle)}
        return found
    if isinstance(node, Alternation):
        return {end for item in node.items for end in ends(item, text, begin)}
    if isinstance(node, Look):
        return {begin} if look_holds(node, text, begin) != node.negative else set()
    if isinstance(node, Automaton):
        return {end for end in range(begin, len(text) + 1) if accepts(node.dfa, text[begin:end])}
    assert isinstance(node, Loop)
    return loop_ends(node, text, begin)


def look_holds(node: Look, text: str, here: int) -> bool:
    if node.behind:
        return any(here in ends(node.body, text, begin) for begin in range(here + 1))
    return bool(ends(node.body, text, here))


def loop_ends(node: Loop, text: str, begin: int) -> set[int]:
    """After len(text) + 1 more rounds only rounds without progress remain, so nothing new can come."""
    found: set[int] = set()
    reached = {begin}
    rounds = node.min + len(text) + 1 if node.max is None else node.max
    for i in range(rounds + 1):
        if i >= node.min:
            found |= reached
        reached = {end for middle in reached for end in ends(node.item, text, middle)}
    return found


def language(node: Node) -> set[str]:
    return {text for text in TEXTS if len(text) in ends(node, text, 0)}


def accepted(dfa: CharDfa) -> set[str]:
    return {text for text in TEXTS if accepts(dfa, text)}


def assert_canonical(dfa: CharDfa) -> None:
    """What the fields of a `CharDfa` promise, each checked in the plainest way."""
    starts, classes, table, accepting = dfa.starts, dfa.classes, dfa.table, dfa.accepting
    states, letters = range(len(table)), range(len(table[0]))
    assert starts[0] == 0 and list(starts) == sorted(set(starts)) and starts[-1] <= 0x10FFFF
    assert len(starts) == len(classes) and len(table) == len(accepting)
    assert list(dict.fromkeys(classes)) == list(letters)  # numbered by first interval
    assert all(a != b for a, b in itertools.pairwise(classes))
    columns = [tuple(row[c] for row in table) for c in letters]
    assert len(set(columns)) == len(columns)
    surrogates = {c for s, e, c in zip(starts, (*starts[1:], 0x110000), classes, strict=True) if s <= 0xDFFF and e > 0xD800}
    assert all(columns[c] == (-1,) * len(table) for c in surrogates)
    order = [0]
    for state in order:
        order += [t for t in dict.fromkeys(table[state]) if t >= 0 and t not in order]
    assert order == list(states)  # reachable, numbered breadth-first
    if table == ((-1,),) and not accepting[0]:
        return
    live = {state for state in states if accepting[state]}
    while more := {s for s in states if s not in live and not live.isdisjoint(table[s])}:
        live |= more
    assert live == set(states)
    assert len(set(moore(dfa))) == len(table)


def moore(dfa: CharDfa) -> list[int]:
    """The class of each state under Moore's refinement."""
    block = [int(a) for a in dfa.accepting]
    while True:
        keys = [(block[s], *(-1 if t < 0 else block[t] for t in row)) for s, row in enumerate(dfa.table)]
        numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        refined = [numbers[key] for key in keys]
        if len(set(refined)) == len(set(block)):
            return refined
        block = refined


# --- compiling --------------------------------------------------------------------------------------------------------


def letter(chars: str) -> Char:
    return Char(charset.of_chars(chars))


ATOMS: list[Node] = [letter("a"), letter("b"), letter("aé"), ANY_CHAR, EPSILON, NOTHING]
COUNTS = [(0, None), (1, None), (0, 1), (2, 3), (0, 0), (3, 3), (2, None)]


def extended(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.lists(children, min_size=2, max_size=3).map(lambda items: Concat(tuple(items))),
        st.lists(children, min_size=2, max_size=3).map(lambda items: Alternation(tuple(items))),
        st.builds(lambda item, counts: Loop(item, *counts), children, st.sampled_from(COUNTS)),
    )


plain_nodes = st.recursive(st.sampled_from(ATOMS), extended, max_leaves=8)
behind_looks = st.builds(Look, st.recursive(st.sampled_from([*ATOMS, START]), extended, max_leaves=3), st.just(True), st.booleans())
nodes = st.recursive(
    st.one_of(st.sampled_from([*ATOMS, START, END]), behind_looks),
    lambda children: st.one_of(extended(children), st.builds(Look, children, st.just(False), st.booleans())),
    max_leaves=10,
)


@settings(max_examples=300)
@given(plain_nodes)
def test_regular_expressions_mean_their_definition(node: Node) -> None:
    dfa = compile_regex(node)
    assert accepted(dfa) == language(node)
    assert_canonical(dfa)


@settings(max_examples=250)
@given(nodes)
def test_look_arounds_mean_their_definition(node: Node) -> None:
    dfa = compile_regex(node)
    assert accepted(dfa) == language(node)
    assert_canonical(dfa)


def spelled(text: str) -> Node:
    return Concat(tuple(ANY_CHAR if char == "." else letter(char) for char in text))


demands = st.sampled_from(
    [Look(spelled(text), False, bool(negative)) for text in ("..a", "..b", "...a", ".b", "aba", "..a.b") for negative in (0, 1)]
)
branches = st.builds(lambda looks, char: Concat((*looks, letter(char))), st.lists(demands, max_size=3), st.sampled_from(["a", "b", "ab"]))


@settings(max_examples=80)
@given(st.lists(branches, min_size=2, max_size=4))
def test_alternatives_under_different_lookaheads(items: list[Node]) -> None:
    node = Loop(Concat((Alternation(tuple(items)), Loop(letter("ab")))))
    texts = ["".join(letters) for n in range(7) for letters in itertools.product("ab", repeat=n)]
    dfa = compile_regex(node)
    assert [accepts(dfa, text) for text in texts] == [len(text) in ends(node, text, 0) for text in texts]


@settings(max_examples=200)
@given(nodes)
def test_anchors_at_the_edges_are_resolved_exactly(node: Node) -> None:
    assert compile_regex(chardfa.strip_edges(node)) == compile_regex(node)
    assert compile_regex(chardfa.search(node)) == compile_regex(Concat((ANY_TEXT, node, ANY_TEXT)))


@settings(max_examples=200)
@given(plain_nodes, plain_nodes)
def test_equal_languages_are_equal_values(a: Node, b: Node) -> None:
    left, right = compile_regex(a), compile_regex(b)
    assert (left == right) == chardfa.is_empty(chardfa.union(chardfa.difference(left, right), chardfa.difference(right, left)))
    assert compile_regex(Alternation((a, b))) == compile_regex(Alternation((b, a)))
    again = compile_regex(Concat((Automaton(left), EPSILON)))
    assert again == left and hash(again) == hash(left)


def test_a_lookbehind_with_a_lookahead_inside_is_refused() -> None:
    with pytest.raises(StructgenError, match="lookahead"):
        compile_regex(Look(Concat((letter("a"), END)), behind=True, negative=False))


# --- the algebra ------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(plain_nodes, plain_nodes)
def test_boolean_operations(a: Node, b: Node) -> None:
    left, right = compile_regex(a), compile_regex(b)
    universe = set(TEXTS)
    results: list[tuple[CharDfa, set[str]]] = [
        (chardfa.union(left, right), accepted(left) | accepted(right)),
        (chardfa.intersect(left, right), accepted(left) & accepted(right)),
        (chardfa.difference(left, right), accepted(left) - accepted(right)),
        (chardfa.complement(left), universe - accepted(left)),
    ]
    for dfa, expected in results:
        assert accepted(dfa) == expected
        assert_canonical(dfa)
    assert chardfa.complement(chardfa.complement(left)) == left
    assert chardfa.union(left, right) == compile_regex(Alternation((a, b)))


@settings(max_examples=150)
@given(plain_nodes, plain_nodes, st.sampled_from(COUNTS))
def test_sequences_and_repetitions_of_automata(a: Node, b: Node, counts: tuple[int, int | None]) -> None:
    left, right = compile_regex(a), compile_regex(b)
    assert chardfa.concat(left, right) == compile_regex(Concat((a, b)))
    assert chardfa.repeat(left, *counts) == compile_regex(Loop(a, *counts))
    assert chardfa.star(left) == compile_regex(Loop(a))


def test_the_simplest_languages() -> None:
    assert chardfa.none() == CharDfa((0,), (0,), ((-1,),), (False,))
    assert chardfa.any_text() == CharDfa((0, 0xD800, 0xE000), (0, 1, 0), ((0, -1),), (True,))
    assert chardfa.literal("") == CharDfa((0,), (0,), ((-1,),), (True,))
    assert chardfa.any_char() == chardfa.chars(((0, 0x10FFFF),))
    assert chardfa.complement(chardfa.any_text()) == chardfa.none() == chardfa.union()
    assert chardfa.concat() == chardfa.literal("")
    assert chardfa.repeat(chardfa.any_char(), 3, 2) == chardfa.none()
    assert chardfa.literal("\ud800") == chardfa.chars(((0xD800, 0xDFFF),)) == chardfa.none()
    assert not accepts(chardfa.any_text(), "a\udfff")


@pytest.mark.parametrize(
    "texts", [[], [""], ["a"], ["a", "b"], ["ab", "cb", ""], ["\ud800"], ["\ud7ff", "\ue000"], ["\x00", "\U0010ffff"], ["aa", "aab", "ba"]]
)
def test_all_but_a_list_is_the_complement_of_the_list(texts: list[str]) -> None:
    found, expected = chardfa.all_but(texts), chardfa.complement(chardfa.from_strings(texts))
    assert (found.starts, found.classes, found.table, found.accepting) == (
        expected.starts,
        expected.classes,
        expected.table,
        expected.accepting,
    )


def test_minimal_however_many_rounds_are_left_to_hopcroft(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 12
    rows = [[(i + 1) % (2 * n), (3 * i) % (2 * n)] for i in range(2 * n)]  # states i and i + n are equal
    accepting = [i % n == 0 for i in range(2 * n)]
    expected = _chardfa_minimal.canonical([0, 97, 98], [-1, 0, 1], rows, accepting)
    assert len(expected[2]) == n
    for rounds in (1, 2, 3):
        monkeypatch.setattr(_chardfa_minimal, "ROUNDS", rounds)
        assert _chardfa_minimal.canonical([0, 97, 98], [-1, 0, 1], rows, accepting) == expected


words = st.lists(st.text("ab\U0010ffff\u00e9", max_size=4), max_size=8)


@given(words)
def test_finite_sets_of_strings(texts: list[str]) -> None:
    dfa = chardfa.from_strings(texts)
    assert_canonical(dfa)
    assert dfa == chardfa.union(*map(chardfa.literal, texts))
    assert chardfa.words(dfa, 100) == sorted(set(texts), key=lambda text: (len(text), text))
    assert chardfa.is_finite(dfa)


@settings(max_examples=200)
@given(plain_nodes)
def test_what_is_asked_of_a_language(node: Node) -> None:
    dfa = compile_regex(node)
    found = sorted(accepted(dfa), key=lambda text: (len(text), text))
    within = chardfa.intersect(dfa, compile_regex(Loop(letter(ALPHABET), 0, 4)))
    assert chardfa.words(within, 1000) == found
    assert chardfa.is_empty(dfa) == (chardfa.shortest(dfa) is None)
    low, high = chardfa.length_bounds(dfa)
    if found:
        assert low == len(found[0])
    longer = chardfa.difference(dfa, chardfa.repeat(chardfa.any_char(), low, high))
    assert chardfa.is_empty(longer)
    assert chardfa.is_finite(dfa) == (high is not None)
    if high is not None and not chardfa.is_empty(dfa):
        assert not chardfa.is_empty(chardfa.intersect(dfa, chardfa.repeat(chardfa.any_char(), high, high)))


def test_words_come_shortest_first_and_only_as_many_as_asked() -> None:
    dfa = compile_regex(Loop(Concat((letter("ab"), letter("ab"), letter("ab")))))
    assert chardfa.words(dfa, 4) == ["", "aaa", "aab", "aba"]
    assert chardfa.words(dfa, 0) == []
    assert chardfa.words(chardfa.repeat(chardfa.any_char(), 30, 30), 1) == ["\0" * 30]
    assert chardfa.shortest(chardfa.difference(dfa, chardfa.literal(""))) == "aaa"
    assert chardfa.length_bounds(chardfa.none()) == (0, 0)


def test_tables_given_by_symbol() -> None:
    dfa = chardfa.from_transitions([("a", "b"), ("c",)], [[1, 2], [1, 2], [-1, -1]], [False, False, True])
    assert dfa == compile_regex(Concat((Loop(letter("ab")), letter("c"))))
    assert_canonical(dfa)


# --- budgets ----------------------------------------------------------------------------------------------------------


def explosive(n: int) -> Node:
    """The n-th letter from the end is an a: 2**n states."""
    return Concat((ANY_TEXT, letter("a"), Loop(ANY_CHAR, n, n)))


def nested(depth: int, wrap: Callable[[Node], Node]) -> Node:
    node: Node = letter("a")
    for _ in range(depth):
        node = wrap(node)
    return node


@pytest.mark.parametrize(
    "node",
    [
        explosive(30),
        explosive(5000),
        Concat((Look(explosive(30), behind=False, negative=True), ANY_TEXT)),
        Concat((ANY_TEXT, Look(explosive(30), behind=True, negative=False))),
        Loop(letter("a"), 0, 10**12),
        Loop(Loop(Loop(letter("a"), 100, 100), 100, 100), 100, 100),
        Concat((letter("a"),) * 200_000),
        nested(100, lambda node: Look(node, behind=False, negative=True)),
    ],
    ids=["subsets", "wide subsets", "lookahead", "lookbehind", "count", "counts of counts", "length", "nested look-arounds"],
)
def test_what_would_blow_up_is_refused_in_time(node: Node) -> None:
    begin = time.process_time()
    with pytest.raises(LimitExceeded):
        compile_regex(node)
    assert time.process_time() - begin < 20


def test_products_and_lists_have_budgets_too() -> None:
    a = compile_regex(Loop(Loop(ANY_CHAR, 89, 89)))
    b = compile_regex(Loop(Loop(ANY_CHAR, 97, 97)))
    assert len(chardfa.intersect(a, b).table) == 89 * 97
    for combine in (chardfa.intersect, chardfa.difference, chardfa.union):
        with pytest.raises(LimitExceeded):
            combine(a, b, max_states=8000)
    with pytest.raises(LimitExceeded):
        chardfa.from_strings(["x" * 101], max_states=100)


@pytest.mark.parametrize(
    "wrap",
    [lambda n: Concat((n,)), lambda n: Alternation((n, NOTHING)), lambda n: Loop(n, 0, 1), lambda n: Loop(n)],
    ids=["concat", "alternation", "optional", "star"],
)
def test_depth_does_not_matter(wrap: Callable[[Node], Node]) -> None:
    assert accepts(compile_regex(nested(30_000, wrap)), "a")


def test_empty_loops_are_not_unrolled() -> None:
    assert compile_regex(Loop(EPSILON, 10**12, 10**12)) == chardfa.literal("")
    assert compile_regex(Loop(NOTHING, 10**12, 10**12)) == chardfa.none()
    assert compile_regex(Loop(NOTHING, 0, 10**12)) == chardfa.literal("")


# --- sets of characters -----------------------------------------------------------------------------------------------

ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda r: (min(r), max(r))), max_size=5)


def members(of: charset.Ranges) -> set[int]:
    return {c for c in range(60) if charset.contains(of, c)}


@given(ranges, ranges)
def test_sets_of_characters(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    x, y = charset.normalize(a), charset.normalize(b)
    assert members(x) == {c for low, high in a for c in range(low, high + 1)}
    assert all(low <= high for low, high in x) and all(p[1] + 1 < q[0] for p, q in itertools.pairwise(x))
    assert members(charset.union(x, y)) == members(x) | members(y)
    assert members(charset.intersect(x, y)) == members(x) & members(y)
    assert members(charset.difference(x, y)) == members(x) - members(y)
    assert members(charset.complement(x)) == set(range(60)) - members(x)
    assert charset.complement(charset.complement(x)) == x
    assert charset.size(x) == len(members(x))
    starts, classes = charset.partition([x, y])
    for s, mask in zip(starts, classes, strict=True):
        assert mask == charset.contains(x, s) + 2 * charset.contains(y, s)


def test_the_examples_in_the_documentation() -> None:
    assert doctest.testmod(charset).failed == 0 < doctest.testmod(charset).attempted
