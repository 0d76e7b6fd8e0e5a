"""How many tokens does a run of the target give, and is that faster? Extraction by the embedded model, way of drafting by way of drafting.

    python -m benchmarks.speculative.extraction --examples 5 --publish

Texts and schemas are those of `examples.train_tiny` that the model has not seen (needs Faker), one text at a time, greedily. The first two
rows decode without drafts. A way of drafting learns from one text to the next, as it would in use; automata and masks are warm, so
that times compare decoding alone (CPU time: the machine may have other work). Every output is compared with that of plain decoding.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import structgen as sg
from benchmarks.publish import provenance, publish
from examples.train_tiny.evaluate import held_out
from examples.train_tiny.families import FAMILIES
from examples.train_tiny.records import dumps, sample
from examples.train_tiny.sources import Draw
from structgen.models.tiny_prompt import TINY_DRAFT_PATH, TINY_MODEL_PATH, prompt
from structgen.speculative import DraftModel, Fixed, Forced, InputCopy, PromptLookup, Retrieval, Skeleton, Speculative, TokenRecycling, auto
from structgen.speculative.generation import run
from structgen.speculative.loop import Statistics

HEAD = (
    "| drafts from | shape | tokens per target run | drafted | accepted | CPU seconds per 100 tokens |"
    " CPU time of plain decoding / CPU time | outputs equal to plain |\n|---|---|--:|--:|--:|--:|--:|--:|"
)
MAX_NEW_TOKENS = 320
Prompts = Sequence[tuple[list[int], sg.TokenAutomaton]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--examples", type=int, default=5, help="of each of six families, with the canonical schema and as many with a varied one"
    )
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--publish", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = AutoTokenizer.from_pretrained(TINY_MODEL_PATH)
    generator = sg.Generator(AutoModelForCausalLM.from_pretrained(TINY_MODEL_PATH, dtype=torch.float32).eval(), tokenizer)
    listed = [e for free in (False, True) for family in held_out(options.examples, options.seed, free=free).values() for e in family]
    prompts = [(generator._encode(prompt(e.text, e.schema)), generator.automaton(sg.json_schema(e.schema))) for e in listed]
    plain, _, _ = measured(generator, prompts, Speculative((), Fixed(0)))
    table = [HEAD]
    base = 0.0
    for name, shape, way in ways(generator.vocab, options.seed):
        found, statistics, seconds = measured(generator, prompts, way)
        base = base or seconds
        equal = sum(a == b for a, b in zip(found, plain, strict=True))
        table.append(row(name, shape, statistics, seconds, base, f"{equal} of {len(plain)}"))
        print(table[-1], flush=True)
    if options.publish:
        command = (
            f"python -m benchmarks.speculative.extraction --examples {options.examples} --seed {options.seed} --threads {options.threads}"
        )
        publish("extraction", provenance(command) + "\n\n" + "\n".join(table), Path(__file__).parent / "README.md")


def ways(vocab: sg.Vocabulary, seed: int) -> list[tuple[str, str, Speculative]]:
    draw = Draw(random.Random(seed + 1), held_out=False)
    texts = [dumps(sample(family, draw, free=False).record) for family in FAMILIES for _ in range(50)]
    own = (Forced(), PromptLookup(), Skeleton(), TokenRecycling())
    small = AutoModelForCausalLM.from_pretrained(TINY_DRAFT_PATH, dtype=torch.float32).eval()
    return [
        ("nothing", "", Speculative((), Fixed(0))),
        ("what is forced", "chains of 8", Speculative((Forced(),), Fixed(8), is_tree=False)),
        ("skeleton", "trees of 16", Speculative((Skeleton(),), Fixed(16))),
        ("prompt look-up", "chains of 8", Speculative((PromptLookup(),), Fixed(8), is_tree=False)),
        ("input copy", "chains of 8", Speculative((InputCopy(),), Fixed(8), is_tree=False)),
        ("token recycling", "trees of 16", Speculative((TokenRecycling(),), Fixed(16))),
        ("retrieval from 300 outputs", "trees of 16", Speculative((Retrieval.from_texts(texts, vocab),), Fixed(16))),
        ("forced, look-up, skeleton", "chains of 8", Speculative(own[:3], Fixed(8), is_tree=False)),
        ("forced, look-up, skeleton", "trees of 16", Speculative(own[:3], Fixed(16))),
        ("and token recycling", "trees of 16", Speculative(own, Fixed(16))),
        ("and retrieval", "trees of 16", Speculative((*own, Retrieval.from_texts(texts, vocab)), Fixed(16))),
        ("`auto()`", "trees by cost", auto()),
        ("a smaller model", "chains of 8", Speculative((DraftModel(small),), Fixed(8), is_tree=False)),
        ("forced, skeleton, smaller model", "trees of 16", Speculative((Forced(), Skeleton(), DraftModel(small)), Fixed(16))),
        ("forced, look-up, skeleton, smaller model", "trees of 16", Speculative((*own[:3], DraftModel(small)), Fixed(16))),
        ("`auto(draft_model=...)`", "trees by cost", auto(draft_model=small)),
    ]


def measured(generator: sg.Generator, prompts: Prompts, way: Speculative) -> tuple[list[list[int]], Statistics, float]:
    """The outputs, what they took, and the CPU seconds of all."""
    total, outputs, start = Statistics(), [], process_time()
    for ids, automaton in prompts:
        found, statistics = run(generator, [ids], [automaton], way, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        total.add(statistics)
        outputs += found
    return outputs, total, process_time() - start


def row(name: str, shape: str, s: Statistics, seconds: float, base: float, equal: str) -> str:
    accepted = f"{s.accepted / s.drafted:.0%}" if s.drafted else ""
    return (
        f"| {name} | {shape} | {s.tokens / s.forward_passes:.2f} | {s.drafted} | {accepted} | {100 * seconds / s.tokens:.2f} |"
        f" {base / seconds:.2f} | {equal} |"
    )


if __name__ == "__main__":
    main()
