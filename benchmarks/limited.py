"""What a limit on the number of tokens costs: random outputs of a schema on the Tekken vocabulary with ever less room.

    python -m benchmarks.limited --tokenizer ../shared/tokenizers/tekken/tokenizer.json

Prints, for each limit, how long masks took in microseconds, and how the masks without a limit do on the same tokens.
"""

from __future__ import annotations

import argparse
from random import Random
from time import perf_counter
from typing import Any

import numpy as np

import structgen as sg

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 3},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "children": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["name", "age"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--outputs", type=int, default=30)
    options = parser.parse_args()
    vocab = sg.Vocabulary.from_file(options.tokenizer)
    print("| limit | tokens | mean | p50 | p99 | max | without a limit: mean |\n|--:|--:|--:|--:|--:|--:|--:|")
    for limit in (12, 20, 50, 200, 1000):
        free = sg.compile(SCHEMA, vocab)
        limited = free.limited(limit)
        times, others = [], []
        for seed in range(options.outputs):
            tokens, took = replay(limited, Random(seed), limit)
            times += took
            others += timed(free, tokens)
        row = [np.mean(times), *np.percentile(times, [50, 99, 100]), np.mean(others)]
        print(f"| {limit} | {len(times)} | " + " | ".join(f"{1e6 * x:,.1f}" for x in row) + " |")


def replay(automaton: Any, random: Random, limit: int) -> tuple[list[int], list[float]]:
    """Random tokens up to the end, and how long each mask took in seconds."""
    state, tokens, times = automaton.initial, [], []
    while len(tokens) < limit:
        start = perf_counter()
        automaton.mask(state)
        times.append(perf_counter() - start)
        token = int(random.choice(automaton.allowed(state)))
        if token in automaton.vocab.eos_token_ids:
            break
        tokens.append(token)
        state = automaton.advance(state, token)
    assert automaton.is_accepting(state)
    return tokens, times


def timed(automaton: Any, tokens: list[int]) -> list[float]:
    state, times = automaton.initial, []
    for token in tokens:
        start = perf_counter()
        automaton.mask(state)
        times.append(perf_counter() - start)
        state = automaton.advance(state, token)
    return times


if __name__ == "__main__":
    main()
