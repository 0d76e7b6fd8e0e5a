"""Examples as token arrays on disk, so that training is never waiting for data.

A file holds the tokens of all examples end to end; `starts[i]` is where example i begins and `answers[i]` where its JSON begins.
Half of the examples have the canonical schema of their family, half a varied one; people, the most varied texts, come twice as often.
    python -m examples.train_tiny.dataset build/tiny/data.npz --examples 300000
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from structgen.models.tiny_prompt import TINY_MODEL_PATH, prompt

from .families import FAMILIES
from .people import PEOPLE
from .records import Example, dumps, sample
from .sources import Draw

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Tokens:
    """uint16[n_tokens], int64[n_examples + 1], int64[n_examples]."""

    tokens: np.ndarray
    starts: np.ndarray
    answers: np.ndarray


def examples(seed: int, n: int, *, held_out: bool = False) -> Iterator[Example]:
    draw = Draw(random.Random(seed), held_out)
    mixture = (*FAMILIES, PEOPLE)
    for i in range(n):
        yield sample(mixture[i % len(mixture)], draw, free=draw.chance(0.5))


def tokenize(tokenizer: PreTrainedTokenizerFast, batch: list[Example]) -> list[tuple[list[int], list[int]]]:
    """Prompt and answer tokens; they are encoded apart, for so they are when generating."""
    prompts = tokenizer([prompt(e.text, e.schema) for e in batch])["input_ids"]
    answers = tokenizer([dumps(e.record) for e in batch], add_special_tokens=False)["input_ids"]
    return [(p, [*a, tokenizer.eos_token_id]) for p, a in zip(prompts, answers, strict=True)]


def write(path: Path, seed: int, n: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY_MODEL_PATH)
    source = examples(seed, n)
    parts: list[np.ndarray] = []
    lengths: list[int] = []
    prompt_lengths: list[int] = []
    while batch := [e for _, e in zip(range(CHUNK), source, strict=False)]:
        for asked, answer in tokenize(tokenizer, batch):
            parts.append(np.array(asked + answer, dtype=np.uint16))
            lengths.append(len(asked) + len(answer))
            prompt_lengths.append(len(asked))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    np.savez(path, tokens=np.concatenate(parts), starts=starts, answers=starts[:-1] + np.array(prompt_lengths))


def read(path: Path) -> Tokens:
    with np.load(path) as file:
        return Tokens(file["tokens"], file["starts"], file["answers"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--examples", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    arguments.path.parent.mkdir(parents=True, exist_ok=True)
    write(arguments.path, arguments.seed, arguments.examples)
