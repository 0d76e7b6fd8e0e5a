"""What the automaton of a schema accepts is what jsonschema validates: random schemas and instances, and random samples.

In declared order a valid instance must be accepted in some order of its keys (found by trying all of them, where the declared
one is not obvious), an invalid one in none. In any order, every shuffled text is accepted exactly where it is valid.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import cache, reduce
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import structgen as sg
from tests.reference.matcher import machine
from tests.reference.schemas import Sample, instance, read_exactly, samples

INSTANCES_PER_SCHEMA = 10
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


def constraint_of(sample: Sample, counts: Counter[str], order: str = "declared") -> Any:
    """The constraint, None where the schema is refused or unsatisfiable (counted)."""
    counts["schemas"] += 1
    try:
        return sg.json_schema(sample.schema, property_order=order)
    except sg.UnsupportedSchema as error:
        assert error.keyword, error
        counts["unsupported"] += 1
    except sg.UnsatisfiableSchema:
        counts["unsatisfiable"] += 1
        random = Random(0)
        valid = [value for value in (instance(sample, random) for _ in range(40)) if sample.is_valid(value)]
        assert not valid, f"{sample.schema} has valid instances: {valid[:3]}"
    return None


class Reader(NamedTuple):
    """A recogniser of bytes: its first state, the state after bytes (None: no text begins so), and where a text may end."""

    initial: Any
    read: Callable[[Any, bytes], Any]
    is_accepting: Callable[[Any], bool]

    def accepts(self, text: str) -> bool:
        return any(map(self.is_accepting, self.after({self.initial}, text)))

    def accepts_in_some_order(self, value: Any) -> bool:
        """Whether the value is accepted with the keys of its objects in any order."""
        return any(map(self.is_accepting, self.after_value({self.initial}, value)))

    def after(self, states: set[Any], text: str) -> set[Any]:
        return {after for state in states if (after := self.read(state, text.encode())) is not None}

    def after_value(self, states: set[Any], value: Any) -> set[Any]:
        if isinstance(value, dict):
            return self.after_object(states, value)
        if not isinstance(value, list):
            return self.after(states, json.dumps(value, ensure_ascii=False))
        states = self.after(states, "[")
        for i, item in enumerate(value):
            states = self.after_value(self.after(states, "," if i else ""), item)
        return self.after(states, "]")

    def after_object(self, states: set[Any], value: dict[str, Any]) -> set[Any]:
        """After each set of keys the states that some order of them leads to, set by set."""
        reached = {frozenset[str](): self.after(states, "{")}
        for n in range(len(value)):
            following: dict[frozenset[str], set[Any]] = {}
            for done, before in reached.items():
                for key in value.keys() - done:
                    begun = self.after(before, f"{',' if n else ''}{json.dumps(key, ensure_ascii=False)}:")
                    following.setdefault(done | {key}, set()).update(self.after_value(begun, value[key]))
            reached = following
        return self.after(set().union(*reached.values()), "}")


def engine_reader(constraint: Any) -> Reader:
    automaton = sg.compile(constraint, byte_vocabulary())

    def read(state: int, data: bytes) -> int | None:
        for byte in data:
            state = automaton.advance(state, byte)
        return None if state == automaton.dead else state

    return Reader(automaton.initial, read, automaton.is_accepting)


def twin_reader(constraint: Any) -> Reader:
    twin = machine(constraint.expr)
    return Reader(twin.start, lambda state, data: reduce(twin.step, data, state) or None, twin.is_accepting)


def check_instance(reader: Reader, sample: Sample, value: Any, style: dict[str, Any], counts: Counter[str]) -> None:
    valid = sample.is_valid(value)
    counts["valid" if valid else "invalid"] += 1
    text = json.dumps(sample.arrange(value), **style)
    accepted = reader.accepts(text)
    if valid and not accepted:
        counts["in another order"] += 1
        accepted = reader.accepts_in_some_order(value)
    if not valid:
        accepted = accepted or reader.accepts_in_some_order(value)
    assert accepted == valid, f"{json.dumps(sample.schema)}: valid: {valid}, accepted: {accepted}: {text}"


def shuffled(value: Any, random: Random) -> Any:
    """The value with the keys of all its objects in a random order."""
    if isinstance(value, list):
        return [shuffled(item, random) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: shuffled(value[key], random) for key in random.sample(list(value), len(value))}


def compare_in_any_order(n_schemas: int) -> Counter[str]:
    """Compare acceptance of shuffled texts with the judge."""
    counts: Counter[str] = Counter()

    @settings(max_examples=n_schemas)
    @given(samples(), st.integers(0, 2**32))
    def run(sample: Sample, seed: int) -> None:
        constraint = constraint_of(sample, counts, "any")
        if constraint is None:
            return
        reader, random = engine_reader(constraint), Random(seed)
        for _ in range(INSTANCES_PER_SCHEMA):
            value = instance(sample, random)
            valid = sample.is_valid(value)
            counts["valid" if valid else "invalid"] += 1
            text = json.dumps(shuffled(value, random), **random.choice(STYLES))
            assert reader.accepts(text) == valid, f"{json.dumps(sample.schema)}: valid: {valid}: {text}"

    run()
    return counts


def compare(n_schemas: int, reader_of: Callable[[Any], Reader]) -> Counter[str]:
    """Compare ``reader_of(constraint)`` with the judge on random schemas and instances of each."""
    counts: Counter[str] = Counter()

    @settings(max_examples=n_schemas)
    @given(samples(), st.integers(0, 2**32))
    def run(sample: Sample, seed: int) -> None:
        constraint = constraint_of(sample, counts)
        if constraint is None:
            return
        reader, random = reader_of(constraint), Random(seed)
        for _ in range(INSTANCES_PER_SCHEMA):
            check_instance(reader, sample, instance(sample, random), random.choice(STYLES), counts)

    run()
    return counts


def check_counts(counts: Counter[str], n_schemas: int) -> None:
    """The comparison was worth something: enough pairs of both kinds, few schemas refused."""
    summary = dict(counts)
    assert counts["unsupported"] <= 0.05 * counts["schemas"], summary
    assert counts["valid"] >= 2 * n_schemas and counts["invalid"] >= n_schemas, summary
    assert counts["in another order"] <= 0.05 * counts["valid"], summary


def test_the_automaton_accepts_what_is_valid() -> None:
    counts = compare(400, engine_reader)
    check_counts(counts, 400)


@pytest.mark.long
def test_the_automaton_accepts_what_is_valid_at_length() -> None:
    counts = compare(5000, engine_reader)
    check_counts(counts, 5000)


def test_in_any_order_the_automaton_accepts_what_is_valid() -> None:
    counts = compare_in_any_order(300)
    check_counts(counts, 300)


@pytest.mark.long
def test_in_any_order_the_automaton_accepts_what_is_valid_at_length() -> None:
    counts = compare_in_any_order(5000)
    check_counts(counts, 5000)


def test_the_grammar_means_what_is_valid() -> None:
    """The same with the slow twin instead of the machine: the front-end alone."""
    counts = compare(100, twin_reader)
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


def sampled(n_schemas: int, vocabulary: sg.Vocabulary, order: str = "declared") -> Counter[str]:
    counts: Counter[str] = Counter()

    @settings(max_examples=n_schemas)
    @given(samples(), st.integers(0, 2**32))
    def run(sample: Sample, seed: int) -> None:
        constraint = constraint_of(sample, counts, order)
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


def test_what_is_sampled_in_any_order_is_valid() -> None:
    assert sampled(100, toy_vocabulary(), "any")["texts"] > 250


@pytest.mark.long
@pytest.mark.parametrize("order", ["declared", "any"])
def test_what_is_sampled_through_masks_is_valid_at_length(order: str) -> None:
    assert sampled(1500, toy_vocabulary(), order)["texts"] > 4000


@pytest.mark.long
def test_what_is_sampled_from_a_real_vocabulary_is_valid(tekken: Any) -> None:
    assert sampled(60, tekken)["texts"] > 150
