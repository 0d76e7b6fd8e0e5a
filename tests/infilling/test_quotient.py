"""Right quotients: what may stand before a pattern is exactly what a slow twin, or the machine on whole texts, finds."""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import structgen as sg
from structgen.automata import _quotient_lexemes, chardfa, ir, quotient
from structgen.automata._quotient_spelling import spelling
from structgen.automata.quotient import Pattern, Wild, right_quotient
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema
from structgen.grammars.constraint import Constraint
from tests.reference.earley import Grammar, to_expr
from tests.reference.grammars import grammars
from tests.reference.infilling import Gap, contents


@cache
def byte_vocabulary() -> sg.Vocabulary:
    return sg.Vocabulary.from_bytes([bytes([b]) for b in range(256)], eos_token_id=256)


def compiled(expr: ir.Expr) -> Any:
    """The automaton of an expression, None if it has no words."""
    try:
        return sg.compile(Constraint(expr), byte_vocabulary())
    except UnsatisfiableSchema:
        return None


def before(expr: ir.Expr, *parts: str | Wild) -> Any:
    return compiled(right_quotient(expr, Pattern(parts)))


def accepts(automaton: Any, text: str) -> bool:
    return automaton is not None and automaton.accepts(text)


def lives(automaton: Any, text: str) -> bool:
    return automaton is not None and automaton.advance_bytes(automaton.initial, text.encode()) != automaton.dead


def words(automaton: Any, left: str, length: int) -> set[str]:
    """All texts up to a length that may stand behind ``left``; every beginning on the way leads to an end."""
    found: set[str] = set()
    layer = [("", automaton.advance_bytes(automaton.initial, left.encode()))] if automaton is not None else []
    for _ in range(length + 1):
        layer = [(word, state) for word, state in layer if state != automaton.dead]
        found |= {word for word, state in layer if automaton.is_accepting(state)}
        assert all(automaton.next_bytes(state) or automaton.is_accepting(state) for _, state in layer)
        layer = [(word + chr(b), automaton.advance(state, b)) for word, state in layer for b in automaton.next_bytes(state)]
    return found


# grammars of letters, against the slow twin


def random_grammar(random: Random, alphabet: str) -> Grammar:
    names = ["S", "A", "B", "C"][: random.randint(1, 4)]
    symbols = [*names, *alphabet, *alphabet]
    lengths = [0, 1, 1, 2, 2, 3, 4]
    return {n: [tuple(random.choices(symbols, k=random.choice(lengths))) for _ in range(random.randint(1, 3))] for n in names}


def random_parts(random: Random, alphabet: str) -> list[str | Gap]:
    def text(least: int, most: int) -> str:
        return "".join(random.choices(alphabet, k=random.randint(least, most)))

    parts: list[str | Gap] = [text(0, 2), Gap(-1), text(1, 3)]
    for _ in range(random.choice([0, 0, 1, 1, 2])):
        parts += [Gap(random.choice([-1, -1, 0, 1, 2])), text(1, 2)]
    return [*parts, Gap(random.choice([-1, 2]))] if random.random() < 0.2 else parts


def check_against_the_twin(seed: int) -> bool:
    """Whether the gap has contents at all."""
    random = Random(seed)
    alphabet, length = random.choice([("ab", 6), ("ab", 4), ("abc", 4)])
    grammar, parts = random_grammar(random, alphabet), random_parts(random, alphabet)
    pattern = [part if isinstance(part, str) else Wild(None if part < 0 else int(part)) for part in parts[2:]]
    found = words(before(to_expr(grammar, "S"), *pattern), str(parts[0]), length)
    assert found == contents(grammar, "S", parts, alphabet, length), (seed, grammar, parts)
    return bool(found)


def test_random_grammars() -> None:
    assert sum(map(check_against_the_twin, range(150))) > 8


@pytest.mark.long
def test_many_random_grammars() -> None:
    assert sum(map(check_against_the_twin, range(150, 5_000))) > 300


# expressions of every kind, against the machine on whole texts


PIECES = ["a", "b", '"', ",", ":", "{", "}", "é", "\\", "u0061", "ab", "😀"]
LIKELY = frozenset(b'ab",:{}\\u0061d3e')


def some_words(automaton: Any, random: Random) -> list[str]:
    """Words met on random walks."""
    found: dict[str, None] = {}
    for _ in range(6):
        state, data = automaton.initial, b""
        for _ in range(16):
            if automaton.is_accepting(state):
                found[data.decode(errors="ignore")] = None
            following = automaton.next_bytes(state)
            if not following:
                break
            likely = [b for b in following if b in LIKELY]
            byte = random.choice(likely if likely and random.random() < 0.9 else following)
            state, data = automaton.advance(state, byte), data + bytes([byte])
    return [word for word in found if word and accepts(automaton, word)]


def check_expression(expr: ir.Expr, random: Random) -> None:
    whole = compiled(expr)
    assume(whole is not None)
    texts = some_words(whole, random)
    for text in random.sample(texts, min(len(texts), 3)):
        a, b, c, d = sorted(random.randint(0, len(text)) for _ in range(4))
        left, behind, last = text[:a], text[b:c], text[d:]
        tried = [text[a:b], *(each[: random.randint(0, len(each))] for each in texts)]
        tried += ["".join(random.choices(PIECES, k=random.randint(0, 3))) for _ in range(6)]
        for parts, expected in expectations(expr, whole, text[b:], behind, last):
            try:
                automaton = before(expr, *parts)
            except LimitExceeded:
                raise
            except StructgenError:  # names that differ are cut
                continue
            for middle in tried:
                assert accepts(automaton, left + middle) == expected(left + middle), (expr, left, middle, parts)


def expectations(expr: ir.Expr, whole: Any, right: str, behind: str, last: str) -> Any:
    """Parts and what must hold of a text before them: in terms of the language itself, and of patterns with fewer gaps."""
    if right:
        yield [right], lambda text: accepts(whole, text + right)
    if behind:
        yield [behind, Wild()], lambda text: lives(whole, text + behind)
        yield [behind, Wild(1), *([last] if last else [])], lambda text: any(accepts(whole, text + behind + x + last) for x in ASCII)
    if behind and last:
        try:
            inner = before(expr, last)
        except StructgenError:
            return
        yield [behind, Wild(), last], lambda text: lives(inner, text + behind)


ASCII = ["", *map(chr, range(128))]


@settings(max_examples=30)
@given(grammars(), st.integers(0, 2**32))
def test_expressions(expr: ir.Expr, seed: int) -> None:
    check_expression(expr, Random(seed))


@pytest.mark.long
@settings(max_examples=3000)
@given(grammars(), st.integers(0, 2**32))
def test_many_expressions(expr: ir.Expr, seed: int) -> None:
    check_expression(expr, Random(seed))


# small cases whose answers are known


DYCK = sg.gbnf('root ::= "" | "(" root ")" root')
JSON = sg.grammar("json")
CASES = [
    (DYCK, [")"], "(", True),
    (DYCK, [")"], "()", False),
    (DYCK, [")"], "", False),
    (DYCK, [")", Wild(1), ")"], "((", True),
    (DYCK, [")", Wild(1), ")"], "(", True),
    (DYCK, [")", Wild(1, exact=True), ")"], "((", False),
    (DYCK, [")", Wild(1, exact=True), ")"], "(((", True),
    (DYCK, [")", Wild(2, exact=True), ")"], "((", True),
    (JSON, ["ull"], "n", True),
    (JSON, ["ull"], "nul", False),
    (JSON, ["ull"], "[nul", False),
    (JSON, ["ull", Wild()], "[n", True),
    (JSON, ["ull", Wild(), "]"], "[n", True),
    (JSON, ["ull", Wild(), "}"], "[n", False),
    (JSON, ["ello"], '"h', False),
    (JSON, ['ello"'], '"hiii', True),
    (JSON, ['ello"'], '"hiii", "', False),
    (JSON, ['ello"'], '"hiii\\n', True),
    (JSON, ['061"'], '"\\u0', True),
    (JSON, ['"', Wild(), '"}'], '{"a": ', True),
    (JSON, ["é"], '"', False),
    (JSON, ['é"'], '"é', True),
    (sg.repeat("ab", 3, 10**9), ["b"], "a" + "ba" * 2, True),
    (sg.repeat("ab", 3, 10**9), ["b"], "a" + "ba", False),
    (sg.repeat("ab", 3, 10**9), ["b", Wild()], "a", True),
    (sg.repeat("ab", 0, 2), ["b", Wild(), "b"], "a", True),
    (sg.repeat("ab", 0, 2), ["b", Wild(), "b"], "aba", False),
    (sg.repeat("ab", 0, 10**6), ["b", Wild(), "b"], "aba", True),
    (sg.token("<|x|>") + "a" | sg.literal("ba"), ["a"], "b", True),
]


@pytest.mark.parametrize(("constraint", "parts", "left", "expected"), CASES, ids=[f"{i}: {case[2]}" for i, case in enumerate(CASES)])
def test_known(constraint: Constraint, parts: list[str | Wild], left: str, expected: bool) -> None:
    vocabulary = sg.Vocabulary.from_bytes([bytes([b]) for b in range(256)] + [b"", b"<|x|>"], eos_token_id=256, special={"<|x|>": 257})
    try:
        automaton = sg.compile(Constraint(right_quotient(constraint.expr, Pattern(parts))), vocabulary)
    except UnsatisfiableSchema:
        automaton = None
    assert accepts(automaton, left) == expected


BOUNDED = [
    ir.Quoted(None, 2, 4),
    ir.Quoted(chardfa.star(chardfa.literal("ab")), 1, 4),
    ir.Quoted(chardfa.complement(chardfa.from_strings(["ab", "😀"])), 0, 2),
    ir.Bounded(chardfa.star(chardfa.literal("ab")), 3, 6),
    ir.Bounded(chardfa.any_text(), 2, 3),
    ir.QuotedText("aé😀"),
    ir.Repeat(ir.Quoted(None, 1, 1), 2, 3, ir.Bytes(b",")),
    ir.Seq((ir.Bytes("é".encode()), ir.Repeat(ir.Chars(((97, 98),)), 2, 3))),
]
SPELLED = ['"', "a", "b", "é", "😀", "\\u0061", "\\ud83d\\ude00", ",", '"a"', "\\n", "ab"]


@pytest.mark.parametrize("number", range(len(BOUNDED)))
def test_every_cut_of_counted_words(number: int) -> None:
    expr = BOUNDED[number]
    whole = compiled(expr)
    texts = ["".join(pieces) for n in range(5) for pieces in product(SPELLED, repeat=n)]
    texts += [f'"{text}"' for text in texts]
    valid = [text for text in dict.fromkeys(texts) if accepts(whole, text)]
    assert len(valid) >= 1
    random = Random(number)
    for text in random.sample(valid, min(len(valid), 12)):
        for at in range(len(text)):
            right, left = text[at:], text[:at]
            found, open_end = before(expr, right), before(expr, right[0], Wild())
            for other in [left, *(each[: random.randint(0, len(each))] for each in random.choices(valid, k=8))]:
                assert accepts(found, other) == accepts(whole, other + right), (other, right)
                assert accepts(open_end, other) == lives(whole, other + right[0]), (other, right[0])


CONTENTS = [
    chardfa.any_text(),
    chardfa.star(chardfa.literal("a")),
    chardfa.from_strings(["é", "😀", "\n", '"a', "/"]),
    chardfa.complement(chardfa.from_strings(["ab", "😀"])),
]


@pytest.mark.parametrize("number", range(len(CONTENTS)))
def test_spellings(number: int) -> None:
    """Against the json module."""
    content, random = CONTENTS[number], Random(number)
    automaton = spelling(content)
    pieces = [*'"\\u061aAdD8cEe9/nf\né😀3\x7f\u2028', "\\ud83d\\ude00", "\\u0061", "\\u00e9", "\\uD83D", "\\n", '"a']
    n_valid = 0
    for _ in range(5000):
        text = '"' + "".join(random.choices(pieces, k=random.randint(0, 5))) + '"'
        try:
            value = json.loads(text)
            expected = isinstance(value, str) and not any("\ud800" <= c < "\ue000" for c in value) and chardfa.accepts(content, value)
        except ValueError:
            expected = False
        state = 0
        for char in text:
            letter = automaton.classes[sum(start <= ord(char) for start in automaton.starts) - 1]
            state = automaton.table[state][letter] if state >= 0 else -1
        assert (state >= 0 and automaton.accepting[state]) == expected, text
        n_valid += expected
    assert n_valid > 50


def test_characters_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_quotient_lexemes, "FEW", 1)
    for low, high in [(low, low + more) for low in range(3) for more in range(12)]:
        automaton = compiled(_quotient_lexemes._times(ir.Bytes(b"a"), low, high))
        assert [automaton.accepts("a" * n) for n in range(20)] == [low <= n <= high for n in range(20)]


# names that differ


def object_of(names: list[str], **bounds: Any) -> ir.Expr:
    """An object with any of these names, each once, and small numbers for values; no names: any at all."""
    content = chardfa.from_strings(names) if names else None
    member = ir.Seq((ir.Quoted(content, 0, None, True), ir.Bytes(b":"), ir.Chars(((48, 57),))))
    return ir.Unique(ir.Seq((ir.Bytes(b"{"), ir.Repeat(member, 0, None, ir.Bytes(b",")), ir.Bytes(b"}"))), **bounds)


NAMES_IN_SCOPES = [
    (object_of([]), ["1}"], '{"a":', True),
    (object_of([]), [',"a":1}'], '{"a":1', False),
    (object_of([]), [',"a":1}'], '{"\\u0061":1', False),
    (object_of([]), [',"\\u0061":1}'], '{"a":1', False),
    (object_of([]), [',"a":1}'], '{"b":1', True),
    (object_of([]), [',"a":1,"a":2}'], '{"b":1', False),
    (object_of([]), [',"a":1,', Wild(), "2}"], '{"b":1', True),
    (object_of([]), [',"a":1,', Wild(), "2}"], '{"a":1', False),
    (object_of([]), ['"a":1}'], "{", None),
    (object_of([]), [',"a"', Wild(), ":1}"], '{"a":1', False),
    (object_of([]), [',"a"', Wild(), ":1}"], '{"b":1', True),
    (object_of([]), [',"a"', Wild(1), ":1}"], '{"a":1', None),
    (object_of([]), [',"a"', Wild(1), ":1}"], '{"b":1', None),
    (object_of([]), [',"a', Wild(), '":1}'], '{"a":1', True),
    (object_of([]), [",", Wild(), '"a":1}'], '{"a":1', None),
    (object_of(["a", "b"]), [",", Wild(), '"a":1}'], '{"a":1', None),
    (object_of(["a", "b"]), ['"a":1}'], "{", True),
    (object_of(["a", "b"]), ['"a":1}'], '{"a":1,', False),
    (object_of(["a", "b"]), ['"a":1}'], '{"b":1,', True),
    (object_of([]), [',"a":1}', Wild()], '{"a":1', False),
    (object_of(["a", "b"]), [':1,"b":2}'], '{"a"', True),
    (object_of([]), ['b":1}'], '{"a', None),
    (object_of([], min=2), [":1}"], '{"a"', None),
    (ir.Choice((ir.Bytes(b"[]"), object_of([], min=2))), ["]"], "[", True),
    (ir.Seq((ir.Bytes(b"["), object_of([], min=2), ir.Bytes(b"]"))), ['{"a":1,"b":2}]'], "[", True),
    (ir.Seq((ir.Bytes(b"["), object_of([], min=2), ir.Bytes(b"]"))), ['{"a":1}]'], "[", False),
    (ir.Seq((ir.Bytes(b"["), object_of([], required=("b",)), ir.Bytes(b"]"))), ['{"a":1}]'], "[", False),
    (ir.Seq((ir.Bytes(b"["), object_of([], required=("b",)), ir.Bytes(b"]"))), ['{"a":1,"b":1}]'], "[", True),
]
"""None: refused, as it would depend on names that are not known."""


@pytest.mark.parametrize(("expr", "parts", "left", "expected"), NAMES_IN_SCOPES, ids=range(len(NAMES_IN_SCOPES)))
def test_names(expr: ir.Expr, parts: list[str | Wild], left: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(StructgenError, match="not supported"):
            before(expr, *parts)
    else:
        assert accepts(before(expr, *parts), left) == expected


# limits


def test_what_comes_behind_begins_with_a_text() -> None:
    for parts in [], [""], [Wild(), "a"]:
        with pytest.raises(StructgenError, match="begins with a text"):
            Pattern(parts)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LimitExceeded, match="bytes behind a gap"):
        Pattern(["a", Wild(10**9), "b"])
    monkeypatch.setattr(quotient, "MAX_ITEMS", 1000)
    ambiguous = sg.gbnf('root ::= "" | "a" root | root root root')
    with pytest.raises(LimitExceeded, match="steps of a right quotient"):
        right_quotient(ambiguous.expr, Pattern(["a" * 100]))


def test_deep_nesting() -> None:
    """No recursion on the depth of the grammar or of the text."""
    expr: ir.Expr = ir.Bytes(b"x")
    for _ in range(2_000):
        expr = ir.Seq((ir.Bytes(b"("), expr, ir.Bytes(b")")))
    assert accepts(before(expr, ")" * 2_000), "(" * 2_000 + "x")
    assert lives(before(DYCK.expr, ")" * 1_000), "(" * 999)
