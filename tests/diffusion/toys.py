"""Small vocabularies, random automata and grammars, everything about their fillings by enumeration, and toy diffusion models."""

from __future__ import annotations

from functools import cache
from itertools import product
from random import Random
from typing import Any

import torch
from torch import Tensor

import structgen as sg

LETTERS = "abc"
EOS = 3
MASK = 4
VOCAB = sg.Vocabulary.from_bytes([b"a", b"b", b"c", b"", b""], eos_token_id=EOS)
PIECES = sg.Vocabulary.from_bytes([b"a", b"b", b"ab", b"bca", b"c", b""], eos_token_id=5)
"""Tokens that spell the same text in several ways."""


def random_pattern(seed: int, depth: int = 3) -> str:
    """A regular expression over the letters a, b, c."""
    random = Random(seed)

    def one(depth: int) -> str:
        kind = random.choice(["letter"] * 2 + ["seq", "or", "star", "optional", "count"] * (depth > 0))
        if kind == "letter":
            return random.choice([*LETTERS, "[ab]", "[^a]"])
        inside = one(depth - 1)
        low = random.randrange(3)
        return {
            "seq": f"{inside}{one(depth - 1)}",
            "or": f"({inside}|{one(depth - 1)})",
            "star": f"({inside})*",
            "optional": f"({inside})?",
            "count": f"({inside}){{{low},{low + random.randrange(3)}}}",
        }[kind]

    return "".join(one(depth) for _ in range(random.randrange(1, 4))).replace("[^a]", "[bc]")


GRAMMARS = [
    'root ::= ("(" root ")" | "a")*',
    'root ::= "a" root "b" | "c"',
    'root ::= s s\ns ::= "a" s | "b"',
    'root ::= "" | "a" root "a" | "b" root "b"',
]
BRACKETS = sg.Vocabulary.from_bytes([b"(", b")", b"a", b"b", b"c", b""], eos_token_id=5)


@cache
def random_automaton(seed: int) -> Any:
    """A constraint on one of the vocabularies, or None where the random pattern has no words there."""
    if seed % 5 == 4:
        return sg.compile(sg.gbnf(GRAMMARS[seed // 5 % len(GRAMMARS)]), BRACKETS)
    return sg.compile(sg.regex(random_pattern(seed)), (VOCAB, PIECES)[seed % 2])


def fillings(automaton: Any, tokens: list[int], pad: bool = True, start: int | None = None) -> set[tuple[int, ...]]:
    """All valid fillings of the open positions (-1), by trying every one."""
    ids = range(automaton.vocab.size)
    ends = automaton.vocab.eos_token_ids
    found = set()
    for row in product(*(ids if token == -1 else [token] for token in tokens)):
        state = automaton.initial if start is None else start
        for token in row:
            state = automaton.advance(state, token) if pad or token not in ends else automaton.dead
            if state == automaton.dead:
                break
        if state != automaton.dead and automaton.is_accepting(state):
            found.add(row)
    return found


def choices(words: set[tuple[int, ...]], n: int) -> list[set[int]]:
    """What each position may be."""
    return [{word[i] for word in words} for i in range(n)]


class TableModel:
    """A model whose rows depend on the position and on all known tokens, by a seeded table; ``spread`` is the scale of the logits."""

    def __init__(self, size: int, mask_token_id: int, seed: int = 0, spread: float = 2.0, context: bool = True) -> None:
        self.size, self.mask_token_id, self.seed, self.spread, self.context = size, mask_token_id, seed, spread, context
        self.calls = 0

    def logits(self, ids: Tensor) -> Tensor:
        self.calls += 1
        rows = torch.empty(*ids.shape, self.size)
        for b, row in enumerate(ids.tolist()):
            key = hash((self.seed, *row)) if self.context else self.seed
            for i in range(len(row)):
                random = torch.Generator().manual_seed((key * 1_000_003 + i) % 2**63)
                rows[b, i] = torch.randn(self.size, generator=random) * self.spread
        return rows


class Stubborn:
    """A model that insists on one row of tokens, whatever is valid."""

    def __init__(self, wanted: list[int], size: int, mask_token_id: int, prompt: int = 0) -> None:
        self.wanted, self.size, self.mask_token_id, self.prompt = wanted, size, mask_token_id, prompt

    def logits(self, ids: Tensor) -> Tensor:
        rows = torch.zeros(*ids.shape, self.size)
        for i, token in enumerate(self.wanted):
            rows[:, self.prompt + i, token] = 10.0 + i % 3
        return rows
