"""What do drafts by the model's own layers, by heads trained for it and by tree search give? Extraction as in `extraction`.

    python -m benchmarks.speculative.drafters --examples 2

The heads are trained first, on what the model wrote for other records, for as long as the first line says. The embedded model has five
layers of which each takes a fraction of a millisecond, so what is drafted one by one in Python costs more time than it can save: the
tokens per run are what to look at.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import structgen as sg
from benchmarks.publish import provenance, publish
from benchmarks.speculative.extraction import HEAD, Prompts, measured, row
from examples.train_tiny.evaluate import held_out
from structgen.models.tiny_prompt import TINY_MODEL_PATH, prompt
from structgen.speculative import Fixed, Forced, PromptLookup, Skeleton, Source, Speculative, TokenRecycling

OTHER_SEED = 77  # of the records that heads are trained on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=2, help="of each of six families, with the canonical schema and with a varied one")
    parser.add_argument("--training", type=int, default=8, help="examples of each family that heads are trained on")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--publish", action="store_true", help="into README.md, between its marks of the section drafters")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(TINY_MODEL_PATH)
    generator = sg.Generator(AutoModelForCausalLM.from_pretrained(TINY_MODEL_PATH, dtype=torch.float32).eval(), tokenizer)
    prompts = prompts_of(generator, options.examples, options.seed)
    heads, seconds = trained(generator, prompts_of(generator, options.training, OTHER_SEED))
    plain, _, _ = measured(generator, prompts, Speculative((), Fixed(0)))
    table, base = [HEAD], 0.0
    for name, shape, way in ways(generator.model, heads):
        found, statistics, taken = measured(generator, prompts, way)
        base = base or taken  # of the first row: the run before warmed masks and caches
        equal = sum(a == b for a, b in zip(found, plain, strict=True))
        table.append(row(name, shape, statistics, taken, base, f"{equal} of {len(plain)}"))
        print(table[-1], flush=True)
    if options.publish:
        command = f"python -m benchmarks.speculative.drafters --examples {options.examples} --training {options.training}"
        text = f"{provenance(command)}\nThe heads were trained for {seconds:.0f} CPU seconds each, on average.\n\n" + "\n".join(table)
        publish("drafters", text, Path(__file__).parent / "README.md")


def prompts_of(generator: sg.Generator, examples: int, seed: int) -> Prompts:
    listed = [e for free in (False, True) for family in held_out(examples, seed, free=free).values() for e in family]
    return [(generator._encode(prompt(e.text, e.schema)), generator.automaton(sg.json_schema(e.schema))) for e in listed]


def trained(generator: sg.Generator, prompts: Prompts) -> tuple[dict[str, Any], float]:
    """Heads by name, and the CPU seconds that each took."""
    s, model = sg.speculative, generator.model
    outputs, _, _ = measured(generator, prompts, s.auto())
    texts = [[*ids, *output] for (ids, _), output in zip(prompts, outputs, strict=True)]
    rows, embeddings = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    torch.manual_seed(0)
    heads = {
        "Medusa, 3 heads": s.MedusaHead(rows, 3),
        "Hydra, 3 heads": s.HydraHead(rows, embeddings, 3),
        "EAGLE": s.EagleHead(rows, embeddings),
        "EAGLE of three layers": s.EagleHead(rows, embeddings, (2, 4, -1)),
    }
    start = process_time()
    for head in heads.values():
        s.train_head(head, model, texts, 4 * len(texts), 2e-3)
    return heads, (process_time() - start) / len(heads)


def ways(model: Any, heads: dict[str, Any]) -> list[tuple[str, str, Speculative]]:
    s = sg.speculative
    own: tuple[Source, ...] = (Forced(), PromptLookup(), Skeleton())
    return [
        ("nothing", "", Speculative((), Fixed(0))),
        ("token recycling", "trees of 16", Speculative((TokenRecycling(),), Fixed(16))),
        ("tree search", "trees of 16", Speculative((s.TreeSearch(),), Fixed(16))),
        ("exit behind layer 4 of 5", "chains of 8", Speculative((s.EarlyExit(model, 4, 8),), Fixed(8))),
        ("exit by tokens per layer", "chains of 8", Speculative((s.EarlyExit(model, None, 8),), Fixed(8))),
        ("without layer 3 of 5", "chains of 8", Speculative((s.LayerSkip(model, {2}, 8),), Fixed(8))),
        ("without a layer that is searched for", "chains of 8", Speculative((s.LayerSkip(model, None, 8, share=0.2),), Fixed(8))),
        *((name, "trees of 16", Speculative((s.Heads(head),), Fixed(16))) for name, head in heads.items()),
        ("forced, look-up, skeleton", "trees of 16", Speculative(own, Fixed(16))),
        ("and tree search", "trees of 16", Speculative((*own, s.TreeSearch()), Fixed(16))),
        ("and EAGLE", "trees of 16", Speculative((*own, s.Heads(heads["EAGLE"])), Fixed(16))),
        ("and exit behind layer 4", "trees of 16", Speculative((*own, s.EarlyExit(model, 4, 8)), Fixed(16))),
    ]


if __name__ == "__main__":
    main()
