"""How much longer does a step of the embedded diffusion model take under a constraint?

    python -m benchmarks.diffusion.overhead --data ../shared/maskbench/dev.jsonl.gz

The tasks are those of benchmarks/diffusion/validity.py for JSON. Each step's processor time (lattice, model, policy, commits) is divided by
the median step without a constraint on the same prompts; the first answer of each schema is left out, as its states are new then.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
from transformers import AutoTokenizer

import structgen as sg
from benchmarks.diffusion.masks import README
from benchmarks.diffusion.validity import MASKS, Setup, Task, json_tasks
from benchmarks.publish import provenance, publish
from structgen.diffusion.generation import Decoding, filling_of, settings_of
from structgen.models.tiny_diffusion_model import TINY_DIFFUSION_PATH, TinyDiffusion


def steps(setup: Setup, task: Task, automaton: Any, seed: int) -> list[float]:
    """Seconds of each step of an answer."""
    filling = filling_of(automaton, setup.vocab, MASKS, setup.model.mask_token_id)
    settings = settings_of(temperature=setup.temperature, seed=seed)
    decoding = Decoding(setup.model, setup.tokenizer(task.prompt)["input_ids"], filling, settings, setup.vocab)
    found, began = [], thread_time()
    while decoding.ready():
        decoding.advance(decoding.forward(decoding.canvas()[None])[0])
        found.append(thread_time() - began)
        began = thread_time()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--schemas", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="print the table, leave README.md alone")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(TINY_DIFFUSION_PATH)
    setup = Setup(TinyDiffusion.load(), tokenizer, sg.Vocabulary.from_tokenizer(tokenizer), 0.2)
    free: list[float] = []
    first: list[float] = []
    later: list[float] = []
    for task in json_tasks(setup, options.data, options.schemas, options.schemas, options.seed):
        automaton = sg.compile(task.constraint, setup.vocab)
        free += steps(setup, task, None, 0)
        first += steps(setup, task, automaton, 0)
        later += steps(setup, task, automaton, 1)
    base = float(np.median(free))
    lines = ["| steps | n | median (ms) | p95 (ms) | median / unconstrained | p95 / unconstrained |", "|:--|--:|--:|--:|--:|--:|"]
    for name, times in (("unconstrained", free), ("first answer of a schema", first), ("later answers", later)):
        median, p95 = np.percentile(times, [50, 95])
        lines.append(f"| {name} | {len(times):,} | {1e3 * median:.1f} | {1e3 * p95:.1f} | {median / base:.2f} | {p95 / base:.2f} |")
    command = f"python -m benchmarks.diffusion.overhead --schemas {options.schemas} --seed {options.seed}"
    text = f"{provenance(command)}\n\n" + "\n".join(lines)
    print(text)
    if not options.dry_run:
        publish("overhead", text, README)


if __name__ == "__main__":
    main()
