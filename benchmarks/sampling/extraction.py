"""Sentences to JSON by the embedded model: does it pay to sample from its own distribution under the constraint?

    python -m benchmarks.sampling.extraction

Held-out sentences and records of examples/train_tiny (names and templates that were never trained on), at temperature 1. Two constraints:
the schema, and with it a predicate: free strings must stand in the sentence, letter by letter. "fields" and "records" are the share
of right ones as in examples/train_tiny/evaluate.py, expected over the weighted texts. Writes its table; about three minutes.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import structgen as sg
from benchmarks.sampling.models import embedded, tokenizer
from benchmarks.sampling.table import ANYTHING, Row, Task, measure, publish_table
from examples.train_tiny.evaluate import held_out, score
from examples.train_tiny.records import Example, dumps
from structgen.models.tiny_prompt import prompt
from structgen.sampling import AWRS, SMC, Masking, Potential, Target
from structgen.sampling.transformers_model import TransformersModel

SEED = 12345
FAMILIES = ["addresses", "products", "tickets"]  # those whose free strings are copied
MAX_TOKENS = 160
N = 8
SCHEMA, COPIED = object(), object()  # of each sentence its own


def free_strings(schema: Mapping[str, Any]) -> Iterator[str]:
    """The names of properties whose strings are free: neither listed nor of a format."""
    for name, child in schema.get("properties", {}).items():
        yield from free_strings(child)
        if "string" in child.get("type", ()) and not {"enum", "format", "pattern"} & set(child):
            yield name


def copied(example: Example) -> Potential:
    """Every free string, as far as it is written, stands in the sentence (without escapes)."""
    value = re.compile(rf'"(?:{"|".join(free_strings(example.schema))})":\s*"([^"]*)')
    return sg.potential(lambda text: all(found in example.text for found in value.findall(text)))


def task(example: Example) -> Task:
    ids, stops = tokenizer()(prompt(example.text, example.schema))["input_ids"], [tokenizer().eos_token_id]
    schema = sg.compile(example.schema, tokenizer())
    constraints = {SCHEMA: schema, COPIED: schema & copied(example), ANYTHING: ANYTHING}

    def target(constraint: Any) -> Target:
        return Target(TransformersModel(embedded(), ids, stops), constraints[constraint], tokenizer(), MAX_TOKENS)

    found = partial(score, record=example.record)
    return Task(target, {"fields": lambda text: found(text).right / found(text).fields, "records": lambda text: found(text).exact})


ROWS = [
    Row("the model alone", ANYTHING, SMC(N, step=AWRS(), ess_threshold=0)),
    Row("schema; masking", SCHEMA, Masking(N), is_weighted=False),
    Row(f"schema; SMC({N}), masks", SCHEMA, SMC(N)),
    Row(f"schema; SMC({N}), AWRS", SCHEMA, SMC(N, step=AWRS())),
    Row("schema, copied; masking, its tokens drawn by AWRS", COPIED, SMC(N, step=AWRS(), ess_threshold=0), is_weighted=False),
    Row(f"schema, copied; SMC({N}), AWRS", COPIED, SMC(N, step=AWRS())),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=4, help="sentences of each family")
    options = parser.parse_args()
    families = held_out(options.examples, SEED, free=False)
    examples = [example for name in FAMILIES for example in families[name]]
    tasks = [task(example) for example in examples if copied(example).prefix_check(dumps(example.record))]
    print(f"{len(tasks)} of {len(examples)} sentences have all free strings of their record")
    rows = [measure(row, tasks) for row in ROWS]
    publish_table("extraction", f"python -m benchmarks.sampling.extraction --examples {options.examples}", tasks[0].columns, rows)


if __name__ == "__main__":
    main()
