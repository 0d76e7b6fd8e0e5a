"""How many fields does the embedded diffusion model get right, alone and under the constraint? Scored as in `evaluate`, canonical schemas.

python -m examples.train_tiny.evaluate_diffusion --examples 10 --publish
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import AutoTokenizer

import structgen as sg
from benchmarks.publish import publish
from structgen.diffusion.generation import compiled, run, settings_of
from structgen.diffusion.policies import LowConfidence, Threshold
from structgen.models.tiny_diffusion_model import TINY_DIFFUSION_PATH, TinyDiffusion
from structgen.models.tiny_prompt import prompt

from .evaluate import Score, held_out, score

LENGTH = 128
HEAD = "| policy | constraint | fields right | records right | valid JSON | runs of the model per answer |\n|---|---|---|---|---|---|"
POLICIES = {"one token a step, the surest": LowConfidence, "all with a probability of 0.9": Threshold}


def rows(n: int, seed: int) -> Iterator[str]:
    """The rows of the table, each when it is measured."""
    model, tokenizer = TinyDiffusion.load(), AutoTokenizer.from_pretrained(TINY_DIFFUSION_PATH)
    vocab = sg.Vocabulary.from_tokenizer(tokenizer)
    examples = [example for family in held_out(n, seed, free=False).values() for example in family]
    for policy, kind in POLICIES.items():
        for constraint in ("none", "schema"):
            total, runs = Score(), 0
            for example in examples:
                automaton = compiled(example.schema, vocab) if constraint == "schema" else None
                ids = tokenizer(prompt(example.text, example.schema))["input_ids"]
                tokens, statistics = run(model, ids, automaton, vocab, LENGTH, settings_of(policy=kind()))
                total.add(score(vocab.decode(tokens).decode(errors="replace"), example.record))
                runs += statistics.forwards
            yield f"| {policy} | {constraint} | {total.cells} | {runs / len(examples):.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10, help="of each of six families")
    parser.add_argument("--seed", type=int, default=12345)
    parser.add_argument("--publish", action="store_true", help="write the table into README.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [HEAD]
    print(HEAD)
    for row in rows(options.examples, options.seed):
        found.append(row)
        print(row, flush=True)
    if options.publish:
        command = f"python -m examples.train_tiny.evaluate_diffusion --examples {options.examples}"
        publish("tiny-diffusion-evaluation", "\n".join([f"Output of `{command}`:\n", *found]), Path(__file__).parent / "README.md")


if __name__ == "__main__":
    main()
