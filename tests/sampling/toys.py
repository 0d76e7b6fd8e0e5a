"""Two language models and languages small enough to enumerate, in exact numbers: ``lm2`` and ``coin5``."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import structgen as sg
from structgen.sampling.language_model import CallableModel
from structgen.sampling.target import Target
from tests.sampling.exact import logs

END = 2
LM2 = {
    "": "6/10 3/10 1/10",
    "a": "1/2 1/10 4/10",
    "b": "1/4 1/4 1/2",
    "aa": "1/2 9/20 1/20",
    "ab": "1/10 1/10 8/10",
    "ba": "1/3 1/3 1/3",
    "bb": "2/10 2/10 6/10",
}
P2 = {"aab": Fraction(27, 200), "ab": Fraction(6, 125), "b": Fraction(3, 20), "ba": Fraction(1, 40), "bb": Fraction(9, 200)}
Z2 = Fraction(403, 1000)
L5 = {"00000"} | {"1" + "".join(bits) for bits in product("01", repeat=4)}


def lm2(prefix: tuple[int, ...]) -> Any:
    row = LM2["".join("ab"[i] for i in prefix)] if len(prefix) < 3 else "0 0 1"
    return logs([Fraction(p) for p in row.split()])


def coin5(prefix: tuple[int, ...]) -> Any:
    return logs([Fraction(1, 2), Fraction(1, 2), 0] if len(prefix) < 5 else [0, 0, 1])


def words_of(texts: Any) -> sg.sampling.Potential:
    """A finite language as a predicate."""
    prefixes = {text[:i] for text in texts for i in range(len(text) + 1)}
    return sg.potential(prefixes.__contains__, set(texts).__contains__)


def as_floats(function: Any) -> Any:
    return lambda prefix: function(prefix).astype(float)


def toy(name: str = "lm2", constraint: Any = None, max_tokens: int = 9, floats: bool = False) -> Target:
    """A target of one of the models, under its own language unless another constraint is given."""
    function, letters, texts = {"lm2": (lm2, b"ab", P2), "coin5": (coin5, b"01", L5)}[name]
    vocab = sg.Vocabulary.from_bytes([letters[:1], letters[1:], b""], eos_token_id=END)
    model = CallableModel(as_floats(function) if floats else function, 3, END)
    return Target(model, words_of(texts) if constraint is None else constraint, vocab, max_tokens)
