"""A language without the texts that contain a pattern: against all texts, one by one."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen as sg
from structgen.automata import ir
from structgen.automata.ir import Bytes, Repeat, Rule, Seq
from tests.automata.test_left_recursion import GRAMMARS, random_grammar
from tests.reference.earley import Grammar, fixpoint, recognise, to_expr


def vocabulary() -> Any:
    return sg.Vocabulary.from_bytes([*(bytes([i]) for i in range(256)), b"ab", b"ba", b"aba", b""], eos_token_id=259)


def texts(letters: str, length: int) -> list[str]:
    return ["".join(t) for n in range(length + 1) for t in itertools.product(letters, repeat=n)]


def check(constraint: sg.Constraint, patterns: list[str], letters: str, length: int, accepts: Any) -> None:
    wanted = {t for t in texts(letters, length) if accepts(t) and not any(p in t for p in patterns)}
    try:
        automaton = sg.compile(sg.forbid(constraint, patterns), vocabulary())
    except sg.UnsatisfiableSchema:
        assert not wanted
        return
    assert {t for t in texts(letters, length) if automaton.accepts(t)} == wanted


def regular(expr: ir.Expr) -> Any:
    automaton = sg.compile(sg.Constraint(expr), vocabulary())
    return automaton.accepts


A, B = Bytes(b"a"), Bytes(b"b")
EXPRESSIONS: dict[str, ir.Expr] = {
    "text": sg.regex("[ab]*").expr,
    "counted": Repeat(A | B, 3, 5),
    "exactly": Repeat(A | B, 4, 4),
    "at least": Repeat(A | B, 2, None),
    "separated": Repeat(A, 0, 3, B),
    "separated by choice": Repeat(A | Bytes(b"ba"), 1, None, B | Bytes(b"")),
    "nullable rounds": Repeat(Repeat(A, 0, 2) | B, 0, None),
    "look-around": sg.regex("(?=a)[ab]*(?<!aa)").expr,
    "nested": Repeat(Seq((Repeat(A, 1, None), Repeat(B, 0, 1))), 1, 3),
    "rule": Rule("r", Seq((A, Repeat(Rule("inner", A | B)), B))),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("patterns", [["ab"], ["aa", "bb"], ["a"], ["aba"], ["abab", "ba"], [""]], ids=str)
def test_expressions(name: str, patterns: list[str]) -> None:
    check(sg.Constraint(EXPRESSIONS[name]), patterns, "ab", 7, regular(EXPRESSIONS[name]))


@pytest.mark.parametrize("name", ["direct", "sums", "hidden", "both ends", "nullable", "mirrored"])
def test_grammars(name: str) -> None:
    grammar = GRAMMARS[name]
    check_grammar(grammar, ["ab", "+a+"], "".join({s for w in grammar.values() for way in w for s in way if s not in grammar}))


def check_grammar(grammar: Grammar, patterns: list[str], letters: str) -> None:
    check(sg.Constraint(to_expr(grammar, "S")), patterns, letters, 4, lambda t: recognise(grammar, "S", t)[-1][1])


def test_random_grammars() -> None:
    rng = Random(3)
    for _ in range(40):
        grammar = random_grammar(rng)
        if "S" in fixpoint(grammar, "productive"):
            check_grammar(grammar, rng.choice([["ab"], ["aa", "b"], ["bab"]]), "ab")


leaves = st.sampled_from(
    ["a", "b", "ab", "", "[ab]", "a*", "(?:ab)+", "b{1,2}", "(?=a)[ab]*", "[ab]*(?<!a)"],
).map(sg.regex) | st.sampled_from([sg.until("ab"), sg.until("b", most=2), sg.until("aa", most=0), sg.choice(["aab", "ba"])])


def grown(children: st.SearchStrategy[sg.Constraint]) -> st.SearchStrategy[sg.Constraint]:
    bounds = st.sampled_from([(0, None), (1, None), (0, 2), (2, 3), (3, 12), (2, 2)])
    return st.one_of(
        st.builds(lambda a, b: a + b, children, children),
        st.builds(lambda a, b: a | b, children, children),
        st.builds(lambda a, low_high: sg.repeat(a, *low_high), children, bounds),
    )


patterns = st.one_of(st.text("ab", max_size=3), st.sampled_from(["ab?a", "b+a", "^a", "b$", "(?<!a)b"]).map(sg.regex))


@settings(max_examples=200, deadline=None)
@given(st.recursive(leaves, grown, max_leaves=5), st.lists(patterns, min_size=1, max_size=3))
def test_random_constraints_and_patterns(constraint: sg.Constraint, found: list[str | sg.Constraint]) -> None:
    """A pattern is a language of whole texts, so ``^a`` is ``a``: it occurs if any part of the text is one of its texts."""
    try:
        whole = sg.compile(constraint, vocabulary())
    except sg.UnsatisfiableSchema:
        return
    words: set[str] = set()
    for pattern in found:
        if isinstance(pattern, str):
            words.add(pattern)
            continue
        automaton = sg.compile(pattern, vocabulary())
        words |= {text for text in texts("ab", 6) if automaton.accepts(text)}
    wanted = {t for t in texts("ab", 6) if whole.accepts(t) and not any(word in t for word in words)}
    try:
        automaton = sg.compile(sg.forbid(constraint, found), vocabulary())
    except (sg.UnsatisfiableSchema, sg.LimitExceeded) as error:
        assert not wanted or isinstance(error, sg.LimitExceeded)
        return
    assert {t for t in texts("ab", 6) if automaton.accepts(t)} == wanted


def test_patterns_may_be_regular() -> None:
    code = sg.regex(r"[a-z(), .;]*")
    automaton = sg.compile(sg.forbid(code, ["eval(", sg.regex(r"os\. *system")]), vocabulary())
    assert automaton.accepts("eva(x); os.sys")
    assert not automaton.accepts("x; eval(y)")
    assert not automaton.accepts("os.  system(a)")


def test_a_pattern_across_tokens_is_masked() -> None:
    automaton = sg.compile(sg.forbid(sg.regex("[ab]*"), ["bb"]), vocabulary())
    state = automaton.advance_bytes(automaton.initial, b"ab")
    assert sorted(automaton.vocab.token_bytes(int(t)) for t in automaton.allowed(state)) == [b"", b"a", b"ab", b"aba"]


def test_what_cannot_be_looked_into_is_refused() -> None:
    with pytest.raises(sg.StructgenError, match="compared as values"):
        sg.forbid(sg.json_schema({"type": "string"}), ["x"])
    with pytest.raises(sg.StructgenError, match="calls itself"):
        sg.forbid("a", [sg.gbnf('root ::= "a" root | "b"')])
    with pytest.raises(sg.StructgenError, match="list of patterns"):
        sg.forbid("a", "b")
    with pytest.raises(sg.LimitExceeded):
        sg.forbid(sg.repeat(sg.regex("[ab]"), 0, 10_000), ["abab"])


def test_counted_repetitions_share_their_rounds() -> None:
    words = sg.words(sg.forbid(sg.repeat(sg.regex("[ab]"), 0, 200), ["ab" * 20]), max_length=40)
    assert words.count() == 2**41 - 2
    words = sg.words(sg.forbid(sg.gbnf('root ::= x{0,60}\nx ::= "a" | "b" | "(" x ")"'), ["ab"]), max_length=3)
    assert words.count() == 1 + 2 + 3 + (4 + 2)


def test_counted_characters_have_masks_with_long_tokens() -> None:
    """Once an expression for each count, which were all followed at once: too many for a vocabulary of real size."""
    from transformers import AutoTokenizer

    from structgen.models.tiny_prompt import TINY_MODEL_PATH

    vocab = sg.Vocabulary.from_tokenizer(AutoTokenizer.from_pretrained(TINY_MODEL_PATH))
    automaton = sg.compile(sg.forbid(sg.regex("[a-z ]{1,80}"), ["ad", "lo", "e b"]), vocab)
    state, random = automaton.initial, Random(1)
    while tokens := [token for token in automaton.allowed(state).tolist() if token not in vocab.eos_token_ids]:
        assert not any(part in vocab.token_bytes(token) for token in tokens for part in (b"ad", b"lo", b"e b"))
        state = automaton.advance(state, random.choice(tokens))
    assert automaton.is_accepting(state)


def test_long_patterns_in_a_regular_language() -> None:
    pattern = "abcdefghij" * 100
    automaton = sg.compile(sg.forbid(sg.regex("[a-z]*"), [pattern]), sg.Vocabulary.from_bytes([b"a", b""], eos_token_id=1))
    assert automaton.accepts(pattern[:-1]) and not automaton.accepts("x" + pattern + "x")


def test_long_patterns_in_a_recursive_language_are_refused() -> None:
    with pytest.raises(sg.LimitExceeded):
        sg.forbid(sg.gbnf('root ::= [a-z] root? | "(" root ")" root'), ["abcdefghij" * 100])
