"""What the automaton of a schema accepts is what jsonschema validates: random schemas and instances, and random samples.

Keys are written in declared order, which is enforced by design: a valid instance must be accepted in some order of its
keys, an invalid one in none.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen as sg
from tests.reference.matcher import matches
from tests.reference.schemas import Sample, instance, read_exactly, samples

INSTANCES_PER_SCHEMA = 10
MAX_ORDERS = 2000  # of the keys of one instance, where the declared one is not obvious (allOf, anyOf)
STYLES: list[dict[str, Any]] = [
    {"separators": (",", ":"), "ensure_ascii": False},
    {"separators": (",", ":"), "ensure_ascii": True},
    {"ensure_ascii": False},
    {"indent": 2},
]


@cache
def byte_vocabulary() -> sg.Vocabulary:
    return sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)] + [b""], eos_token_id=256)


@cache
def toy_vocabulary() -> sg.Vocabulary:
    """Bytes, and tokens that cross the borders of lexemes."""
    longer = [
        '{"',
        '":',
        '": "',
        '", "',
        '"}',
        "]}",
        '":1',
        "null",
        "true",
        "ab",
        "abc",
        '{"a":',
        '"a"',
        "10",
        "0.5",
        ' "',
        "é",
        '"]',
        "[[",
        "\\u",
        "\\ud83d",
    ]
    return sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)] + [t.encode() for t in longer] + [b""], eos_token_id=256 + len(longer))


def constraint_of(sample: Sample, counts: Counter[str]) -> Any:
    """The constraint, None where the schema is refused or unsatisfiable (counted)."""
    counts["schemas"] += 1
    try:
        return sg.json_schema(sample.schema)
    except sg.UnsupportedSchema as error:
        assert error.keyword, error
        counts["unsupported"] += 1
    except sg.UnsatisfiableSchema:
        counts["unsatisfiable"] += 1
        random = Random(0)
        valid = [value for value in (instance(sample, random) for _ in range(40)) if sample.is_valid(value)]
        assert not valid, f"{sample.schema} has valid instances: {valid[:3]}"
    return None


def check_instance(accepts: Any, sample: Sample, value: Any, style: dict[str, Any], counts: Counter[str]) -> None:
    valid = sample.is_valid(value)
    counts["valid" if valid else "invalid"] += 1
    orders = sample.orders(value, MAX_ORDERS if valid else 6)
    texts = [json.dumps(v, **style) for v in orders]
    accepted = next((text for text in texts if accepts(text)), None)
    if valid:
        assert accepted is not None, f"valid under {json.dumps(sample.schema)} but refused: {texts[0]}"
        counts["in another order"] += accepted != texts[0]
    else:
        assert accepted is None, f"not valid under {json.dumps(sample.schema)} but accepted: {accepted}"


def compare(n_schemas: int, accepts_of: Any) -> Counter[str]:
    """Run ``n_schemas`` random schemas with instances each through ``accepts_of(constraint)(text)`` and the judge."""
    counts: Counter[str] = Counter()

    @settings(max_examples=n_schemas)
    @given(samples(), st.integers(0, 2**32))
    def run(sample: Sample, seed: int) -> None:
        constraint = constraint_of(sample, counts)
        if constraint is None:
            return
        accepts, random = accepts_of(constraint), Random(seed)
        for _ in range(INSTANCES_PER_SCHEMA):
            check_instance(accepts, sample, instance(sample, random), random.choice(STYLES), counts)

    run()
    return counts


def check_counts(counts: Counter[str], n_schemas: int) -> None:
    """The comparison was worth something: enough pairs of both kinds, few schemas refused."""
    summary = dict(counts)
    assert counts["unsupported"] <= 0.05 * counts["schemas"], summary
    assert counts["valid"] >= 2 * n_schemas and counts["invalid"] >= n_schemas, summary
    assert counts["in another order"] <= 0.05 * counts["valid"], summary


def test_the_automaton_accepts_what_is_valid() -> None:
    counts = compare(400, lambda constraint: sg.compile(constraint, byte_vocabulary()).accepts)
    check_counts(counts, 400)


@pytest.mark.long
def test_the_automaton_accepts_what_is_valid_at_length() -> None:
    counts = compare(5000, lambda constraint: sg.compile(constraint, byte_vocabulary()).accepts)
    check_counts(counts, 5000)


def test_the_grammar_means_what_is_valid() -> None:
    """The same with the slow twin instead of the machine: the front-end alone."""
    counts = compare(100, lambda constraint: lambda text: matches(constraint.expr, text.encode()))
    assert counts["valid"] > 100, dict(counts)


# Sampling through masks.


def urge(token: bytes) -> float:
    """How much a token is preferred on the way to the end: the end itself, a quote, a bracket, then one character, few others."""
    if token in (b"{", b"[", b",", b"\\", b" ", b"\t", b"\n", b"\r"):
        return 0.05
    return {b"": 1e6, b'"': 1e4, b"}": 100.0, b"]": 100.0}.get(token, 10.0 if len(token) == 1 else 0.001)


@cache
def urges(vocabulary: sg.Vocabulary) -> np.ndarray:
    return np.array([urge(vocabulary.token_bytes(t)) for t in range(len(vocabulary))])


def sample_text(automaton: Any, vocabulary: sg.Vocabulary, random: np.random.Generator, n_free: int, n_most: int) -> str:
    """A text drawn token by token from the masks: uniformly at first, then with a preference for tokens that end things."""
    state, text = automaton.initial, b""
    for step in range(n_most):
        allowed = automaton.allowed(state)
        assert len(allowed), f"no token may follow {text!r}"
        weights = np.ones(len(allowed)) if step < n_free else urges(vocabulary)[allowed]
        token = int(allowed[np.searchsorted(np.cumsum(weights), random.random() * weights.sum(), side="right")])
        state = automaton.advance(state, token)
        assert state != automaton.dead, f"{token} is allowed after {text!r} and leads nowhere"
        if token in vocabulary.eos_token_ids:
            return text.decode()
        text += vocabulary.token_bytes(token)
    raise AssertionError(f"no end within {n_most} tokens: {text[:300]!r}")


def no_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({k for k, _ in members}) == len(members), f"a key twice: {members}"
    return dict(members)


def check_text(text: str, sample: Sample) -> None:
    json.loads(text, object_pairs_hook=no_duplicates)
    text.encode()
    json.dumps(json.loads(text), ensure_ascii=False).encode()  # no lone surrogates, escaped ones included
    assert sample.is_valid(read_exactly(text)), f"not valid under {json.dumps(sample.schema)}: {text}"


def sampled(n_schemas: int, vocabulary: sg.Vocabulary) -> Counter[str]:
    counts: Counter[str] = Counter()

    @settings(max_examples=n_schemas)
    @given(samples(), st.integers(0, 2**32))
    def run(sample: Sample, seed: int) -> None:
        constraint = constraint_of(sample, counts)
        if constraint is None:
            return
        automaton, random = sg.compile(constraint, vocabulary), np.random.default_rng(seed)
        for n_free in (0, 3, 20, 60):
            text = sample_text(automaton, vocabulary, random, n_free, 3000)
            counts["texts"] += 1
            check_text(text, sample)

    run()
    return counts


def test_what_is_sampled_through_masks_is_valid() -> None:
    assert sampled(150, toy_vocabulary())["texts"] > 400


@pytest.mark.long
def test_what_is_sampled_through_masks_is_valid_at_length() -> None:
    assert sampled(1500, toy_vocabulary())["texts"] > 4000


@pytest.mark.long
def test_what_is_sampled_from_a_real_vocabulary_is_valid(tekken: Any) -> None:
    assert sampled(60, tekken)["texts"] > 150
