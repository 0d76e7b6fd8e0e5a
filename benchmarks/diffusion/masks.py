"""What do exact masks of 64 open positions cost on a large vocabulary, for real schemas?

    python -m benchmarks.diffusion.masks --tokenizer ../shared/tokenizers/tekken/tokenizer.json --data ../shared/maskbench/dev.jsonl.gz

Valid instances of MaskBench's schemas are filled in on a canvas, their own tokens in random order, from a block of 64 open positions
to the next. A step is what a guard does before the model's rows can be used (new states, positions with one value, one row for every
position offered) and one commit; times are of the processor, so that other work on the machine does not count. The first round on a
schema is cold, the last of several (other orders) is the steady state.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import thread_time
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

import structgen as sg
from benchmarks.publish import provenance, publish
from structgen.diffusion.filling import OPEN, Filling
from structgen.errors import StructgenError

BLOCK = 64
README = Path(__file__).with_name("README.md")


class Step(NamedTuple):
    masks: float
    """Seconds."""
    commit: float
    offered: int
    open: int
    """Positions of the block that are open."""


def cases(data: Path, n: int, seed: int) -> Iterator[tuple[str, Any, str]]:
    """Schemas with a valid instance, as compact JSON, in random order."""
    with gzip.open(data, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    Random(seed).shuffle(records)
    for record in records:
        valid = [test["data"] for test in record["tests"] if test["valid"]]
        if valid and n:
            text = json.dumps(valid[0], ensure_ascii=False, separators=(",", ":"))
            n -= 1
            yield record["file"], record["schema"], text


def closed(schema: Any) -> Any:
    """The schema without properties that it does not declare."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and "patternProperties" not in schema:
        found.setdefault("additionalProperties", False)
        if found["additionalProperties"] is True:
            found["additionalProperties"] = False
    return found


def fill(automaton: Any, tokens: list[int], random: Random) -> list[Step]:
    """The tokens on a canvas, committed in random order."""
    filling, steps = Filling(automaton, len(tokens)), []
    for start in range(0, len(tokens), BLOCK):
        end = min(start + BLOCK, len(tokens))
        while OPEN in filling.tokens[start:end]:
            began = thread_time()
            filling.grow()
            filling.settle()
            offered = [i for i in range(max(start, filling.first), min(end, filling.end)) if filling.tokens[i] == OPEN]
            for i in offered:
                filling.row(i)
            took = thread_time() - began
            if offered:
                at = random.choice(offered)
                n_open = filling.tokens[start:end].count(OPEN)
                began = thread_time()
                assert filling.commit(at, tokens[at]), "a valid instance was refused"
                steps.append(Step(took, thread_time() - began, len(offered), n_open))
    assert filling.tokens == tokens
    return steps


def measure(options: argparse.Namespace, close: bool) -> tuple[list[list[Step]], int]:
    """The steps of each round, all schemas together, and how many schemas were measured."""
    vocab, tokenizer = sg.Vocabulary.from_file(str(options.tokenizer)), Tokenizer.from_file(str(options.tokenizer))
    eos = min(vocab.eos_token_ids)
    rounds: list[list[Step]] = [[] for _ in range(options.rounds)]
    n = 0
    for name, schema, text in cases(options.data, 20 * options.schemas, options.seed):
        if n == options.schemas:
            break
        try:
            constraint = sg.json_schema(closed(schema) if close else schema, limits={"string_length": None})
            automaton = sg.compile(constraint, vocab)
            tokens = [*tokenizer.encode(text, add_special_tokens=False).ids[: options.longest], eos]
            if tokens[-2] == eos or not accepted(automaton, tokens):
                continue
            Filling(automaton, len(tokens), look_ahead=0)
        except StructgenError:
            continue
        n += 1
        began = thread_time()
        for i, steps in enumerate(rounds):
            steps += fill(automaton, tokens, Random(i))
        if options.verbose:
            last = [s.masks * 1e3 for s in rounds[-1][-len(tokens) :]]
            print(name, len(tokens), f"{np.median(last):.2f} {max(last):.2f} ms, {thread_time() - began:.1f} s", flush=True)
    return rounds, n


def accepted(automaton: Any, tokens: list[int]) -> bool:
    state = automaton.initial
    for token in tokens:
        state = automaton.advance(state, token)
    return bool(state != automaton.dead and automaton.is_accepting(state))


def row(name: str, steps: list[Step]) -> str:
    masks, commits = ([1e3 * s for s in column] for column in ([s.masks for s in steps], [s.commit for s in steps]))
    offered = np.mean([s.offered / s.open for s in steps])
    percentiles = (*np.percentile(masks, [50, 95, 99]), *np.percentile(commits, [50, 95]))
    return f"| {name} | {len(steps):,} | {100 * offered:.0f} % | " + " | ".join(f"{p:.2f}" for p in percentiles) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--schemas", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--longest", type=int, default=192, help="tokens of an instance")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--dry-run", action="store_true", help="print the table, leave README.md alone")
    options = parser.parse_args()
    lines = [
        "| schemas | steps | offered | masks p50 (ms) | p95 | p99 | commit p50 (ms) | p95 |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, close in (("closed", True), ("as they are", False)):
        rounds, n = measure(options, close)
        lines += [row(f"{n} {name}, first round", rounds[0]), row(f"{n} {name}, round {len(rounds)}", rounds[-1])]
    command = f"python -m benchmarks.diffusion.masks --schemas {options.schemas} --rounds {options.rounds} --seed {options.seed}"
    text = f"{provenance(command)}\n\n" + "\n".join(lines)
    print(text)
    if not options.dry_run:
        publish("masks", text, README)


if __name__ == "__main__":
    main()
