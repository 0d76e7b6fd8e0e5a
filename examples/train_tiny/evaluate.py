"""How many fields does the embedded model get right, alone and under the constraint, on names and templates that it has never seen?

A field is a leaf of the expected record (a list counts as one field); it is right if the value at its path is equal, numbers by value.
Output that is no JSON has all fields wrong. Decoding is greedy. The sentences written by hand follow no template. Prints a markdown table.
    python -m examples.train_tiny.evaluate --examples 100 --publish
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.publish import ROOT, publish
from structgen.models.tiny_prompt import TINY_MODEL_PATH, prompt

from .families import FAMILIES
from .records import Example, canonical_schema, dumps, sample
from .sources import Draw

MAX_NEW_TOKENS = 320
HEAD = "| records | schema | constraint | fields right | records right | valid JSON |\n|---|---|---|---|---|---|"
HANDWRITTEN = Path(__file__).parent / "handwritten.jsonl"
Processors = Callable[[Sequence[Example]], LogitsProcessorList | None]


@dataclass(slots=True)
class Score:
    fields: int = 0
    right: int = 0
    texts: int = 0
    parsed: int = 0
    exact: int = 0

    def add(self, other: Score) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def cells(self) -> str:
        return f"{self.right / self.fields:.1%} | {self.exact / self.texts:.1%} | {self.parsed / self.texts:.1%}"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a record: everything that is not an object, by path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    else:
        yield path, value


def score(output: str, record: dict[str, Any]) -> Score:
    """Compare one output with the record that was expected."""
    expected = dict(leaves(json.loads(dumps(record), parse_float=Decimal)))
    try:
        found = dict(leaves(json.loads(output, parse_float=Decimal)))
        parsed = 1
    except ValueError:
        found, parsed = {}, 0
    right = sum(path in found and _equal(found[path], value) for path, value in expected.items())
    return Score(len(expected), right, 1, parsed, int(right == len(expected) == len(found)))


def _equal(a: Any, b: Any) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: Sequence[Example], processors: LogitsProcessorList | None
) -> list[str]:
    inputs = tokenizer([prompt(e.text, e.schema) for e in batch], return_tensors="pt", padding=True, return_token_type_ids=False)
    with torch.inference_mode():
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS, logits_processor=processors)
    return tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def constrained(tokenizer: PreTrainedTokenizerBase) -> Processors:
    """One automaton per schema, and a processor with one constraint per row."""
    import structgen as sg

    def processors(batch: Sequence[Example]) -> LogitsProcessorList:
        schemas = [sg.json_schema(e.schema) for e in batch]
        return LogitsProcessorList([sg.LogitsProcessor(schemas, tokenizer)])

    return processors


def held_out(n: int, seed: int, *, free: bool) -> dict[str, list[Example]]:
    """n examples of each family from the held-out half."""
    draw = Draw(random.Random(seed), held_out=True)
    return {family.name: [sample(family, draw, free=free) for _ in range(n)] for family in FAMILIES}


def handwritten() -> dict[str, list[Example]]:
    """A few sentences written by hand, under the canonical schemas."""
    families = {family.name: family for family in FAMILIES}
    found: dict[str, list[Example]] = {name: [] for name in families}
    for line in HANDWRITTEN.read_text(encoding="utf-8").splitlines():
        row = json.loads(line, parse_float=Decimal)
        found[row["family"]].append(Example(row["family"], row["text"], canonical_schema(families[row["family"]]), row["record"]))
    return found


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    processors: Processors,
    batch_size: int = 25,
    show: int = 0,
) -> Score:
    total = Score()
    for first in range(0, len(examples), batch_size):
        batch = examples[first : first + batch_size]
        for example, output in zip(batch, generate(model, tokenizer, batch, processors(batch)), strict=True):
            one = score(output, example.record)
            total.add(one)
            if show and one.right < one.fields:
                show -= 1
                print(f"{example.text}\n  expected {dumps(example.record)}\n  found    {output}", file=sys.stderr)
    return total


def rows(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, options: argparse.Namespace) -> Iterator[str]:
    """The rows of the table, each when it is measured."""
    samples = {
        "canonical": held_out(options.examples, options.seed, free=False),
        "varied": held_out(options.examples, options.seed, free=True),
        "canonical, by hand": handwritten(),
    }
    constraints: list[tuple[str, Processors]] = [("none", lambda batch: None), ("schema", constrained(tokenizer))]
    for schema, families in samples.items():
        for constraint, processors in constraints:
            if {"off": "schema", "on": "none"}.get(options.constraint) == constraint:
                continue
            total = Score()
            for family, examples in families.items():
                one = evaluate(model, tokenizer, examples, processors, show=options.show)
                total.add(one)
                yield f"| {family} | {schema} | {constraint} | {one.cells} |"
            yield f"| **all** | {schema} | {constraint} | {total.cells} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=TINY_MODEL_PATH)
    parser.add_argument("--examples", type=int, default=100, help="per family and row")
    parser.add_argument("--seed", type=int, default=12345)
    parser.add_argument("--constraint", choices=("off", "on", "both"), default="both")
    parser.add_argument("--show", type=int, default=0, help="print this many wrong outputs per row on stderr")
    parser.add_argument("--publish", action="store_true", help="write the table into the READMEs, here and at the top")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(TINY_MODEL_PATH)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    found: list[str] = []
    print(HEAD)
    for row in rows(model, tokenizer, options):
        found.append(row)
        print(row, flush=True)
    if options.publish:
        source = f"Output of `python -m examples.train_tiny.evaluate --examples {options.examples}`"
        overall = [row for row in found if row.startswith("| **all**")]
        publish("tiny-evaluation", "\n".join([f"{source}:\n", HEAD, *found]), Path(__file__).parent / "README.md")
        publish("tiny-evaluation", "\n".join([f"{source} (its rows over all families):\n", HEAD, *overall]), ROOT / "README.md")


if __name__ == "__main__":
    main()
