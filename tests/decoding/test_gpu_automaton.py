"""Regular constraints as tables against the automaton they were made from, state by state and token by token."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch

import structgen as sg
from structgen.errors import LimitExceeded
from structgen.gpu import DeviceAutomaton, apply_masks
from structgen.vocabulary import Vocabulary

MERGES = [b"ab", b"abab", b"aa", b"bc", b"12", b"34", b"2024-", b"-0", b'"a', b'": ', "é".encode()]
PIECES = [bytes([b]) for b in range(256)] + MERGES + [b"", b""]
VOCAB = Vocabulary.from_bytes(PIECES, eos_token_id=[len(PIECES) - 2, len(PIECES) - 1])
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

CONSTRAINTS = {
    "star": sg.regex("(ab|c)*"),
    "finite": sg.regex("abab|abc|aa"),
    "date": sg.regex(r"\d{4}-\d{2}-\d{2}"),
    "letters": sg.regex("[a-zé]{1,5}"),
    "object": {"type": "object", "properties": {"a": {"enum": ["aab", 12]}}, "required": ["a"], "additionalProperties": False},
}


@pytest.fixture(scope="module", params=CONSTRAINTS)
def both(request):
    automaton = sg.compile(CONSTRAINTS[request.param], VOCAB)
    return automaton, DeviceAutomaton(automaton, DEVICE)


def states_of_both(automaton, tables):
    """All states, as the automaton and as the tables number them."""
    found = {automaton.initial: tables.initial}
    for state in (queue := [automaton.initial]):
        for token in automaton.allowed(state).tolist():
            following = automaton.advance(state, token)
            if following not in found:
                found[following] = tables.advance(torch.tensor([found[state]]).to(DEVICE), torch.tensor([token]).to(DEVICE)).item()
                queue.append(following)
    return {**found, automaton.dead: tables.dead}


def test_every_state_and_token_lead_where_the_automaton_goes(both):
    automaton, tables = both
    numbers = states_of_both(automaton, tables)
    assert len(set(numbers.values())) == len(numbers) and len(numbers) == tables.n_states
    ids = torch.arange(-2, VOCAB.size + 3, device=DEVICE)
    for state, number in numbers.items():
        after = tables.advance(torch.full_like(ids, number), ids).tolist()
        assert after == [numbers[automaton.advance(state, token)] for token in ids.tolist()]
        assert tables.accepting[number].item() == (state != automaton.dead and automaton.is_accepting(state))


def test_every_state_has_the_mask_of_the_automaton(both):
    automaton, tables = both
    for state, number in states_of_both(automaton, tables).items():
        row = tables.masks[tables.mask_ids(torch.tensor([number], device=DEVICE)).long()][0]
        assert np.array_equal(row.cpu().numpy().view(np.uint32), automaton.mask(state))


def test_classes_are_as_few_as_can_be(both):
    _, tables = both
    columns = tables.transitions.T.tolist()
    assert len({tuple(column) for column in columns}) == len(columns) == len(set(tables.token_to_class.tolist()))


def test_different_masks_are_stored_once(both):
    _, tables = both
    rows = tables.masks.tolist()
    assert len({tuple(row) for row in rows}) == len(rows) == len(set(tables.state_to_mask.tolist()))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_texts_drawn_without_the_host_are_in_the_language(both, temperature):
    automaton, tables = both
    n, steps = 64, 24
    make = torch.Generator().manual_seed(0)
    states, drawn = tables.start(n), []
    for step in range(steps):
        logits = torch.randn(n, VOCAB.size + 7, generator=make).to(DEVICE)
        logits[:, list(VOCAB.eos_token_ids)] += 4
        result, states = tables.sample(logits, states, temperatures=temperature, seeds=torch.arange(n, device=DEVICE), positions=step)
        drawn.append(result.tokens)
    for tokens, state in zip(torch.stack(drawn, 1).tolist(), states.tolist(), strict=True):
        end = next((i for i, token in enumerate(tokens) if token in VOCAB.eos_token_ids), steps)
        assert all(token in VOCAB.eos_token_ids for token in tokens[end:])
        text = b"".join(VOCAB.token_bytes(token) for token in tokens[:end])
        after = automaton.advance_bytes(automaton.initial, text)
        assert after != automaton.dead and state != tables.dead
        assert end == steps or automaton.is_accepting(after)


def test_states_of_draft_trees_are_those_behind_their_paths(both):
    automaton, tables = both
    rng = Random(0)
    numbers = states_of_both(automaton, tables)
    known = [state for state in numbers if state != automaton.dead]
    for _ in range(20):
        parents, tokens, depths, expected, roots = [], [], [], [], []
        for node in range(30):
            parent = rng.randrange(-1, node) if node else -1
            above = rng.choice(known) if parent < 0 else expected[parent]
            allowed = automaton.allowed(above).tolist() if above != automaton.dead else []
            token = rng.choice(allowed) if allowed and rng.random() < 0.9 else rng.randrange(VOCAB.size)
            roots.append(numbers[above] if parent < 0 else tables.initial)
            parents.append(parent)
            tokens.append(token)
            depths.append(1 if parent < 0 else depths[parent] + 1)
            expected.append(automaton.advance(above, token) if above != automaton.dead else above)
        as_tensors = [torch.tensor(values, device=DEVICE) for values in (roots, parents, tokens)]
        assert tables.advance_tree(*as_tensors, max(depths)).tolist() == [numbers[state] for state in expected]


def test_masks_of_the_tables_are_applied_to_padded_logits(both):
    automaton, tables = both
    logits = torch.zeros(1, 32 * len(automaton.mask(automaton.initial)) + 9, device=DEVICE)
    apply_masks(logits, tables.masks, tables.mask_ids(tables.start(1)))
    assert logits[0].isfinite().nonzero()[:, 0].tolist() == automaton.allowed(automaton.initial).tolist()


@pytest.mark.parametrize(
    "constraint, budget, what",
    [
        ({"type": "array", "items": {"$ref": "#"}}, {}, "states"),
        (sg.regex("a{3000}"), {"max_states": 2000}, "max_states"),
        (sg.regex("[ab]*c[ab]{6}"), {"max_cells": 30}, "max_cells"),
    ],
)
def test_what_is_not_regular_or_too_large_is_refused(constraint, budget, what):
    with pytest.raises(LimitExceeded, match=what):
        DeviceAutomaton(sg.compile(constraint, VOCAB), DEVICE, **budget)


def test_a_limited_automaton_ends_in_time():
    limited = sg.compile(CONSTRAINTS["star"], VOCAB).limited(3)
    tables = DeviceAutomaton(limited, DEVICE)
    numbers = states_of_both(limited, tables)
    assert tables.n_states == len(numbers)


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_a_step_is_captured_in_a_graph(both):
    _, tables = both
    n = 8
    logits, states = torch.randn(n, VOCAB.size + 7, device=DEVICE), tables.start(n)
    positions, seeds = torch.zeros(n, dtype=torch.int32, device=DEVICE), torch.arange(n, device=DEVICE)
    heat = torch.ones(n, device=DEVICE)

    def step():
        result, after = tables.sample(logits, states, temperatures=heat, seeds=seeds, positions=positions)
        states.copy_(after)
        positions.add_(1)
        return result.tokens

    expected = [step().tolist() for _ in range(5)]
    states.zero_()
    positions.zero_()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        tokens = step()
    found = []
    for _ in range(5):
        graph.replay()
        found.append(tokens.tolist())
    assert found == expected
