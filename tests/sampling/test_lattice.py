"""Lattice inference against the enumeration of all fillings."""

from __future__ import annotations

import doctest
import math
from collections import Counter
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

import structgen as sg
from structgen.errors import LimitExceeded, StructgenError
from structgen.lattice import Lattice
from tests.sampling.exact import law as exact_law

ABC = [b"a", b"b", b"c", b""]
EOS = 3
ANCHOR = np.log(np.array([[0.5, 0.3, 0.2, 1e-300], [0.1, 0.6, 0.3, 1e-300], [0.4, 0.4, 0.2, 1e-300]]))
ANCHOR[:, EOS] = -np.inf


@cache
def compiled(pattern: str, tokens: tuple[bytes, ...] = tuple(ABC)) -> Any:
    return sg.compile(sg.regex(pattern), sg.Vocabulary.from_bytes(list(tokens), eos_token_id=len(tokens) - 1))


def test_anchor_of_the_specification() -> None:
    """States s -a-> A, s -b-> B, s -c-> C, A -a-> A, A -b-> B, B -c-> B, C -b-> C, final B and C."""
    lattice = Lattice(compiled("a*bc*|cb*"), ANCHOR)
    assert math.exp(lattice.log_partition) == pytest.approx(73 / 500, rel=1e-12)
    tokens, log_weight = lattice.best()
    assert tokens == [0, 1, 2] and math.exp(log_weight) == pytest.approx(3 / 50)
    assert lattice.marginals()[0, :3] == pytest.approx(np.array([40, 9, 24]) / 73)
    assert law(lattice) == pytest.approx({(0, 0, 1): 10 / 73, (0, 1, 2): 30 / 73, (1, 2, 2): 9 / 73, (2, 1, 1): 24 / 73})


def law(lattice: Lattice) -> dict[tuple[int, ...], float]:
    return {tokens: float(p) for tokens, p in exact_law(lambda choose: tuple(lattice.sample(choose))).items()}


TOKENS = [b"a", b"b", b"ab", b"ba", b"(", b")", b"()", b""]
PATTERNS = ["a*b*", "(ab|ba)*", "a(a|b){2,5}", "(a|b)*abb?", "(\\(a*\\))*", "[ab()]{3}|b", "(a|ab)(b|ba)*"]


def constraints() -> list[Any]:
    vocabulary = sg.Vocabulary.from_bytes(TOKENS, eos_token_id=len(TOKENS) - 1)
    nested = sg.gbnf('root ::= ("(" root ")" | "a")*')
    return [sg.compile(c, vocabulary) for c in (*map(sg.regex, PATTERNS), nested)]


@pytest.mark.parametrize("which", range(len(PATTERNS) + 1))
def test_against_all_fillings(which: int) -> None:
    automaton = constraints()[which]
    rng = np.random.default_rng(which)
    for n in (0, 1, 2, 3, 4):
        for _ in range(4):
            weights = np.log(rng.random((n, len(TOKENS))))
            weights[rng.random(weights.shape) < 0.3] = -np.inf
            check(automaton, weights, n)


def check(automaton: Any, weights: Any, n: int) -> None:
    fillings = {}
    for tokens in product(range(len(TOKENS)), repeat=n):
        state = automaton.initial
        for token in tokens:
            state = automaton.advance(state, token)
        if state != automaton.dead and automaton.is_accepting(state) and all(weights[i, t] > -np.inf for i, t in enumerate(tokens)):
            fillings[tokens] = math.exp(sum(weights[i, t] for i, t in enumerate(tokens)))
    lattice = Lattice(automaton, weights)
    assert lattice.feasible == bool(fillings)
    if not fillings:
        for ask in (lattice.best, lattice.marginals, lambda: lattice.sample(lambda w: 0)):
            with pytest.raises(StructgenError, match="no filling"):
                ask()
        return
    total = sum(fillings.values())
    assert math.exp(lattice.log_partition) == pytest.approx(total, rel=1e-9)
    tokens, log_weight = lattice.best()
    assert math.exp(log_weight) == pytest.approx(max(fillings.values())) == pytest.approx(fillings[tuple(tokens)])
    wanted = np.zeros_like(weights)
    for tokens_, weight in fillings.items():
        for i, token in enumerate(tokens_):
            wanted[i, token] += weight / total
    assert lattice.marginals() == pytest.approx(wanted, abs=1e-12)
    assert law(lattice) == pytest.approx({tokens_: weight / total for tokens_, weight in fillings.items()})


def test_positions_that_are_fixed_tensors_and_other_starts() -> None:
    automaton = compiled("a*bc*|cb*")
    weights = torch.from_numpy(ANCHOR).clone()
    weights[1] = torch.tensor([-torch.inf, 0.0, -torch.inf, -torch.inf])
    assert Lattice(automaton, weights).best()[0] == [0, 1, 2]
    assert math.exp(Lattice(automaton, weights).log_partition) == pytest.approx(0.2 * 0.4 + 0.5 * 0.2)
    start = automaton.advance(automaton.initial, 2)
    assert math.exp(Lattice(automaton, ANCHOR[:2], start=start).log_partition) == pytest.approx(0.3 * 0.6)


def test_padding_with_end_of_sequence() -> None:
    weights = np.log(np.full((4, 4), 0.25))
    lattice = Lattice(compiled("ab?"), weights)
    assert math.exp(lattice.log_partition) == pytest.approx(2 / 256)
    assert set(law(lattice)) == {(0, EOS, EOS, EOS), (0, 1, EOS, EOS)}


def test_sampling_follows_the_law() -> None:
    lattice = Lattice(compiled("a*bc*|cb*"), ANCHOR)
    choose = sg.sampling.Seeded(1)
    counts = Counter(tuple(lattice.sample(choose)) for _ in range(4000))
    for tokens, p in law(lattice).items():
        assert abs(counts[tokens] / 4000 - p) < 5 * math.sqrt(p * (1 - p) / 4000)


@pytest.mark.parametrize(
    ("before", "gap", "after", "feasible"),
    [
        ("((", 1, "", False),
        ("((", 2, "", True),
        ("((", 0, ")", False),
        ("((", 1, ")", True),
        (")", 0, "", False),
        (")", 5, "", False),
        ("", 4, "", True),
    ],
)
def test_gaps_in_nested_brackets(before: str, gap: int, after: str, feasible: bool) -> None:
    """The anchors of the specification: gaps of an exact length between texts, for a grammar that is not regular."""
    letters = "()"
    automaton = sg.compile(sg.gbnf('root ::= ("(" root ")")*'), sg.Vocabulary.from_bytes([b"(", b")", b""], eos_token_id=2))
    weights = np.full((len(before) + gap + len(after), 3), -np.inf)
    weights[:, :2] = 0.0
    for i, letter in [*enumerate(before), *enumerate(after, len(before) + gap)]:
        weights[i, 1 - letters.index(letter)] = -np.inf
    assert Lattice(automaton, weights).feasible == feasible


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((2, 3)), np.full((1, 4), np.nan), np.full((1, 4), np.inf)])
def test_weights_that_are_none(bad: Any) -> None:
    with pytest.raises(StructgenError, match="log_weights must be"):
        Lattice(compiled("a"), bad)


def test_too_many_states_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("structgen.lattice.MAX_STATES", 10)
    with pytest.raises(LimitExceeded, match="states at all positions"):
        Lattice(compiled("(a{1,9}b{1,9}c{1,9})*"), np.zeros((20, 4)))


def test_successors_are_the_transition_function() -> None:
    """On a vocabulary of all bytes, where a kernel finds them, and on one that has to be searched."""
    random = Random(3)
    pieces = [bytes([i]) for i in range(256)] + [b'":', b'"}', b',"', b'{"', b"]}", b"true", b'"a":'] + [b""]
    wide = sg.Vocabulary.from_bytes(pieces, eos_token_id=len(pieces) - 1)
    for automaton in (sg.compile(sg.json_schema({"type": "object", "properties": {"a": {"type": "array"}}}), wide), constraints()[-1]):
        state = automaton.initial
        for _ in range(40):
            found = {}
            successors = automaton.successors(state)
            for after, first, last in zip(successors.states, successors.starts[:-1], successors.starts[1:], strict=True):
                found |= dict.fromkeys(successors.tokens[first:last].tolist(), int(after))
            ends = automaton.vocab.eos_token_ids
            assert found == {t: automaton.advance(state, t) for t in map(int, automaton.allowed(state)) if t not in ends}
            if not found:
                break
            state = random.choice(sorted(found.values()))


def test_the_page() -> None:
    failed, tried = doctest.testfile(str(Path(__file__).parents[2] / "docs" / "lattice.md"), module_relative=False)
    assert tried > 5 and not failed
