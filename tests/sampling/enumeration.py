"""Random language models over a few letters, and everything about a constrained text by brute force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np

import structgen as sg
from structgen.sampling.language_model import CallableModel
from structgen.sampling.target import Target

LETTERS = "abc"
END = 3
VOCAB = sg.Vocabulary.from_bytes([b"a", b"b", b"c", b""], eos_token_id=END)


def random_model(seed: int, spread: float = 1.5) -> CallableModel:
    """Log-probabilities drawn anew for every prefix."""

    @cache
    def row(prefix: tuple[int, ...]) -> Any:
        logits = np.random.default_rng([seed, 7, *prefix]).normal(0, spread, 4)
        return logits - np.log(np.exp(logits).sum())

    return CallableModel(row, 4, END)


def random_target(seed: int, pattern: str = "[abc]*", max_tokens: int = 4) -> Target:
    return Target(random_model(seed), sg.regex(pattern), VOCAB, max_tokens)


def texts_up_to(max_tokens: int) -> Iterator[str]:
    for n in range(max_tokens + 1):
        yield from map("".join, product(LETTERS, repeat=n))


def tokens_of(text: str) -> tuple[int, ...]:
    return tuple(map(LETTERS.index, text))


def log_prob(model: Any, text: str) -> float:
    """log P(text, end)."""
    tokens = (*tokens_of(text), END)
    return float(sum(model.log_probs([tokens[:i]])[0][token] for i, token in enumerate(tokens)))


def language(matches: Callable[[str], Any], max_tokens: int) -> set[str]:
    return {text for text in texts_up_to(max_tokens) if matches(text)}


def allowed(texts: set[str], prefix: tuple[int, ...]) -> list[int]:
    """The tokens that can follow so that one of the texts is reached."""
    begun = "".join(LETTERS[i] for i in prefix)
    following = [i for i, letter in enumerate(LETTERS) if any(text.startswith(begun + letter) for text in texts)]
    return following + ([END] if begun in texts else [])


def stepwise_law(texts: set[str], rule: Callable[[tuple[int, ...], list[int]], dict[int, float]]) -> dict[str, float]:
    """The law of texts drawn token by token: ``rule(prefix, allowed tokens)`` gives probabilities."""
    found: dict[str, float] = {}

    def go(prefix: tuple[int, ...], p: float) -> None:
        for token, q in rule(prefix, allowed(texts, prefix)).items():
            if token == END:
                found["".join(LETTERS[i] for i in prefix)] = p * q
            elif q:
                go((*prefix, token), p * q)

    go((), 1.0)
    return {text: p for text, p in found.items() if p}
