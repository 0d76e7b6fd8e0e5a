"""Random walks through the masks of an automaton, every state checked against `advance` for every token."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any


def check_walks(
    automaton: Any, tokens: list[bytes], likely: bytes, is_valid: Callable[[Any], bool], random: Random, n_walks: int, n_steps: int
) -> None:
    """Masks are exact, no state is a dead end, and what may end is valid JSON. The last token is the end; tokens of several bytes and
    single ones out of ``likely`` are preferred."""
    end = len(tokens) - 1
    preferred = {t for t, token in enumerate(tokens[:end]) if len(token) > 1 or token in likely}
    for _ in range(n_walks):
        state, text = automaton.initial, b""
        for _ in range(n_steps):
            allowed = set(map(int, automaton.allowed(state)))
            assert allowed == {t for t in range(len(tokens)) if automaton.advance(state, t) != automaton.dead}, text
            assert allowed, f"nothing may follow {text!r}"
            if end in allowed:
                assert is_valid(json.loads(text)), text
                if random.random() < 0.4:
                    break
            token = random.choice(sorted(allowed & preferred or allowed - {end} or allowed))
            if token == end:
                break
            state, text = automaton.advance(state, token), text + tokens[token]
