"""Fillings against the enumeration of all of them."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

import structgen as sg
from structgen.diffusion import filling as filling_module
from structgen.diffusion.filling import OPEN, Filling
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema
from tests.diffusion.toys import BRACKETS, VOCAB, choices, fillings, random_automaton

N_AUTOMATA = 400


def tokens_of(row: Any) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(row.bits.view(np.uint8), bitorder="little")).tolist())


def known_tokens(random: Random, words: set[tuple[int, ...]], n: int, size: int) -> list[int]:
    """Some positions known: mostly so that it can be finished."""
    word = random.choice(sorted(words)) if words and random.random() < 0.8 else tuple(random.randrange(size) for _ in range(n))
    return [token if random.random() < 0.4 else OPEN for token in word]


@pytest.mark.parametrize("part", range(4))
def test_what_positions_may_be(part: int) -> None:
    """Feasibility and every position's tokens, by brute force, with any known tokens, padded and not."""
    for seed in range(part, N_AUTOMATA, 4):
        random, automaton = Random(seed), random_automaton(seed)
        n, pad = random.randrange(0, 6), random.random() < 0.7
        tokens = known_tokens(random, fillings(automaton, [OPEN] * n, pad), n, automaton.vocab.size)
        words = fillings(automaton, tokens, pad)
        if not words:
            with pytest.raises(UnsatisfiableSchema):
                Filling(automaton, n, tokens=tokens, pad=pad)
            continue
        found = Filling(automaton, n, tokens=tokens, pad=pad)
        found.grow()
        assert found.horizon == n
        wanted = choices(words, n)
        for i in range(n):
            if tokens[i] == OPEN and i >= found.first:
                row = found.row(i)
                assert tokens_of(row) == wanted[i] and row.n == len(wanted[i]) and row.first == min(wanted[i])


@pytest.mark.parametrize("budget", [0, 1, 3, 64])
def test_any_order_of_commits_within_any_horizon(budget: int) -> None:
    """Random and bad proposals under budgets so small that the horizon crawls: what is offered is exact, commits are taken if and only
    if they are valid, sets only shrink but for new states at the horizon, and everything can be finished."""
    for seed in range(N_AUTOMATA // 2):
        random, automaton = Random(seed), random_automaton(seed)
        n = random.randrange(1, 6)
        words = fillings(automaton, [OPEN] * n)
        if not words:
            continue
        found = Filling(automaton, n, look_ahead=budget)
        while found.first < n:
            found.grow()
            assert found.first < found.end
            open_ones = [i for i in range(found.first, found.end) if found.tokens[i] == OPEN]
            wanted = choices(words, n)
            assert all(tokens_of(found.row(i)) == wanted[i] for i in open_ones)
            i, token = random.choice(open_ones), random.randrange(automaton.vocab.size)
            assert found.copy().commit(i, token) == (token in wanted[i])
            token = random.choice(sorted(wanted[i]))
            assert found.commit(i, token)
            words = {word for word in words if word[i] == token}
            for j in found.settle():
                assert {found.tokens[j]} <= choices(words, n)[j]
                words = {word for word in words if word[j] == found.tokens[j]}
        assert words == {tuple(found.tokens)}


def test_settling_fixes_what_has_one_value() -> None:
    found = Filling(sg.compile(sg.regex("abc?|aac"), VOCAB), 5)
    found.grow()
    assert found.settle() == [0, 3, 4] and found.tokens == [0, OPEN, OPEN, 3, 3] and found.first == 1
    assert found.commit(1, 0)
    assert found.settle() == [2] and found.tokens == [0, 0, 2, 3, 3] and found.first == 5


def test_only_the_tail_open_is_the_mask_of_left_to_right() -> None:
    for seed in range(60):
        random, automaton = Random(seed), random_automaton(seed)
        if not fillings(automaton, [OPEN] * 4):
            continue
        limited = automaton.limited(4)
        state, found = limited.initial, Filling(automaton, 4)
        for i in range(4):
            if state == 0:
                break
            assert set(limited.allowed(state).tolist()) == tokens_of(found.row(i))
            token = int(random.choice(limited.allowed(state)))
            assert found.commit(i, token)
            state = limited.advance(state, token)


@pytest.mark.parametrize(
    ("n", "options", "error", "message"),
    [
        (2, {}, UnsatisfiableSchema, "as few as 2 tokens; the shortest takes 3"),
        (3, {"tokens": [OPEN, OPEN, 0]}, UnsatisfiableSchema, "no filling of these 3 positions"),
        (4, {"pad": False}, UnsatisfiableSchema, "no filling of these 4 positions"),
        (3, {"tokens": [OPEN]}, StructgenError, "1 tokens for 3 positions"),
        (3, {"start": 12345}, StructgenError, "not a state"),
    ],
)
def test_refusals(n: int, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Filling(sg.compile(sg.regex("abc"), VOCAB), n, **options)


def test_limits_belong_to_the_canvas() -> None:
    with pytest.raises(StructgenError, match="without max_tokens"):
        Filling(sg.compile(sg.regex("abc"), VOCAB, max_tokens=5), 4)


def test_horizons_do_not_depend_on_what_was_asked_before() -> None:
    """Neither masks nor horizons differ between a table that is new and one that is full."""
    constraint = sg.gbnf('root ::= ("(" root ")" | "a" | "b" [ab]{0,5} "c")*')
    seen = []
    automata = [sg.compile(constraint, BRACKETS) for _ in range(2)]
    for automaton in (*automata, automata[0]):
        random, found, horizons = Random(1), Filling(automaton, 12, look_ahead=2), []
        while found.first < found.n:
            found.grow()
            found.settle()
            open_ones = [i for i in range(found.first, found.end) if found.tokens[i] == OPEN]
            if open_ones:
                at = random.choice(open_ones)
                assert found.commit(at, random.choice(sorted(tokens_of(found.row(at)))))
            horizons.append((found.horizon, tuple(found.tokens)))
        seen.append(horizons)
    assert seen[0] == seen[1] == seen[2]


def test_known_tokens_too_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling_module, "MAX_BUILT", 3)
    automaton = sg.compile(sg.regex("(a|bb|ccc|abcabc)*"), VOCAB)
    with pytest.raises(LimitExceeded, match="a shorter gap"):
        Filling(automaton, 9, tokens=[OPEN] * 8 + [0])
    found = Filling(automaton, 9, look_ahead=0)
    assert found.horizon == 0 and found.end == 1
