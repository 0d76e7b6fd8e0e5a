"""What do unmasking policies cost and give? Extraction by the embedded diffusion model, each answer valid by construction.

    python -m benchmarks.diffusion.policies --examples 2 --publish

A run of the model counts once, whatever its batch; canvases count each. "Right" are answers equal to the record, property by property; the
CPU time is that of one thread for all of decoding. The model is small: a step's own work weighs as much as a run of it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AutoTokenizer

import structgen as sg
from benchmarks.publish import provenance, publish
from examples.train_tiny.evaluate import held_out
from structgen.diffusion import policies as p
from structgen.diffusion.blocks import AdaBlock, FixedBlocks
from structgen.diffusion.caches import Cached, DelayedCache, DualCache, PrefixCache
from structgen.diffusion.generation import Settings, run
from structgen.diffusion.stops import Prophet, Sched
from structgen.models.tiny_diffusion_model import TINY_DIFFUSION_PATH, TinyDiffusion
from structgen.models.tiny_prompt import prompt

LENGTH = 96


class Example(NamedTuple):
    ids: list[int]
    automaton: Any
    record: Any


class Counting:
    """The model, its canvases and positions counted."""

    def __init__(self, model: Any) -> None:
        self.model, self.mask_token_id = model, model.mask_token_id
        self.canvases = 0

    def logits(self, ids: Tensor) -> Tensor:
        self.canvases += len(ids)
        return self.model.logits(ids)  # type: ignore[no-any-return]

    def begin_block(self, start: int, end: int) -> None:
        if hasattr(self.model, "begin_block"):
            self.model.begin_block(start, end)


def ways(vocab: sg.Vocabulary) -> dict[str, tuple[Settings, Any]]:
    """Settings, and what is put around the model, by name."""
    base = Settings(p.LowConfidence(), FixedBlocks(32))

    def policy(made: Any, **options: Any) -> tuple[Settings, None]:
        return replace(base, policy=made, **options), None

    whole = FixedBlocks(None)
    return {
        "one token per step, low confidence": policy(p.LowConfidence()),
        "the same with 4 drafts": policy(p.LowConfidence(), drafts=4),
        "the same with 8 drafts": policy(p.LowConfidence(), drafts=8),
        "random": policy(p.Random()),
        "entropy": policy(p.Entropy()),
        "margin": policy(p.Margin()),
        "a quarter of the steps": policy(p.LowConfidence(), steps=LENGTH // 4),
        "a quarter of the steps, jointly": policy(p.LowConfidence(), steps=LENGTH // 4, joint="viterbi"),
        "threshold 0.9": policy(p.Threshold()),
        "threshold 0.9, 4 drafts": policy(p.Threshold(), drafts=4),
        "threshold 0.9, blocks by delimiters": policy(p.Threshold(), block=AdaBlock.of(vocab, [b",", b'",', b"}", b'"}'])),
        "factor": policy(p.Factor()),
        "entropy bound 0.1": policy(p.EntropyBound(0.1)),
        "KLASS": policy(p.Klass()),
        "LocalLeap": policy(p.LocalLeap()),
        "credit": policy(p.Credit()),
        "hierarchy": policy(p.Hierarchy()),
        "contextual": policy(p.Contextual()),
        "explore, exploit": policy(p.ExploreExploit(), block=whole),
        "ascending steps, late ends": policy(p.EosRejection(p.AscendingSteps()), block=whole, steps=7),
        "ReMDM, half the steps": policy(p.ReMdm(), steps=LENGTH // 2),
        "WINO": policy(p.Wino()),
        "Prophet": policy(p.LowConfidence(), stop=Prophet()),
        "SchED": policy(p.LowConfidence(), stop=Sched()),
        "threshold 0.9, prefix cache": (replace(base, policy=p.Threshold()), lambda model: Cached(model, PrefixCache())),
        "threshold 0.9, dual cache": (replace(base, policy=p.Threshold()), lambda model: Cached(model, DualCache())),
        "threshold 0.9, delayed cache": (replace(base, policy=p.Threshold()), lambda model: Cached(model, DelayedCache())),
    }


def examples(vocab: sg.Vocabulary, tokenizer: Any, n: int, seed: int) -> list[Example]:
    listed = [e for family in held_out(n, seed, free=False).values() for e in family]
    return [
        Example(
            tokenizer(prompt(e.text, e.schema), add_special_tokens=False).input_ids,
            sg.compile(sg.json_schema(e.schema, limits={"string_length": None}), vocab),
            e.record,
        )
        for e in listed
    ]


def measured(model: Any, vocab: sg.Vocabulary, listed: list[Example], settings: Settings, around: Any) -> list[float]:
    """Runs and canvases per answer, tokens per run, CPU milliseconds per answer, the share that is right."""
    runs = canvases = tokens = right = 0
    began = process_time()
    for example in listed:
        counting = Counting(around(model) if around else model)
        found, statistics = run(counting, example.ids, example.automaton, vocab, LENGTH, settings)
        runs, canvases, tokens = runs + statistics.forwards, canvases + counting.canvases, tokens + len(found)
        right += json.loads(vocab.decode(found), parse_float=Decimal) == example.record
    n = len(listed)
    return [runs / n, canvases / n, tokens / runs, 1e3 * (process_time() - began) / n, right / n]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=2, help="of each of six families")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--only", help="ways whose names contain this")
    parser.add_argument("--publish", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(TINY_DIFFUSION_PATH)
    vocab, model = sg.Vocabulary.from_tokenizer(tokenizer), TinyDiffusion.load()
    listed = examples(vocab, tokenizer, options.examples, options.seed)
    chosen = {name: way for name, way in ways(vocab).items() if not options.only or options.only in name}
    measured(model, vocab, listed, *next(iter(chosen.values())))  # compiles and fills the automata
    table = ["| decoding | runs of the model | canvases | tokens per run | CPU ms | right |", "|:--|--:|--:|--:|--:|--:|"]
    print("\n".join(table), flush=True)
    for name, way in chosen.items():
        runs, canvases, speed, ms, right = measured(model, vocab, listed, *way)
        table.append(f"| {name} | {runs:.1f} | {canvases:.1f} | {speed:.1f} | {ms:.0f} | {100 * right:.0f}% |")
        print(table[-1], flush=True)
    if options.publish:
        command = f"python -m benchmarks.diffusion.policies --examples {options.examples} --seed {options.seed}"
        text = f"{provenance(command)}\n{len(listed)} answers on a canvas of {LENGTH} tokens.\n\n" + "\n".join(table)
        publish("policies", text, Path(__file__).with_name("README.md"))


if __name__ == "__main__":
    main()
