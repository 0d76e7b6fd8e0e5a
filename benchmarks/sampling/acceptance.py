"""What share of the draws of RS, RSFT, ARS and CARS is accepted, as they learn?

    python -m benchmarks.sampling.acceptance

The model is an n-gram over the tokens of the embedded model, learnt from the few right examples of a grammar in tests/data/library: it has
an idea of the language and no notion of its nesting. The probability that draw t is accepted is Z / theta(t), with the bound theta of the
root before the draw; Z is estimated once, from weighted draws. Next to it, the share of draws that were accepted. Writes
docs/acceptance.svg (the grammar of `SHOWN`) and the table in docs/sampling.md; about two minutes.
"""

from __future__ import annotations

import json

import numpy as np

import structgen as sg
from benchmarks.publish import ROOT, provenance, publish
from benchmarks.sampling.models import NGram, Remembered, tokenizer
from benchmarks.sampling.plot import line_chart
from structgen.sampling import ARS, CARS, RS, RSFT, Seeded, Target, WeightedCARS
from structgen.sampling.rejection import TrieStrategy

GRAMMARS = ["iso-8601", "jsonpath", "smiles"]
SHOWN = "iso-8601"
ORDER = 3
MAX_TOKENS = 60
DRAWS = 500
AT = [1, 10, 100, DRAWS]  # draws of the table
SEEDS = range(3)
STRATEGIES = [RS, RSFT, ARS, CARS]


def language_model(name: str) -> Remembered:
    texts = json.loads((ROOT / "tests" / "data" / "library" / f"{name}.json").read_text("utf-8"))["accepted"]
    return Remembered(NGram(texts, ORDER))


def learn(strategy: type[TrieStrategy], target: Target, seed: int) -> tuple[np.ndarray, int]:
    """theta(root) before each draw, and how many were accepted."""
    trie, choose = strategy(1).trie(target), Seeded(seed)
    thetas, accepted = [], 0
    for _ in range(DRAWS):
        thetas.append(np.exp(trie.log_theta))
        draw = trie.draw(choose, mask_new=False)
        trie.record(draw)
        accepted += draw.accepted
    return np.array(thetas), accepted


def main() -> None:
    rows = []
    for name in GRAMMARS:
        model, constraint = language_model(name), sg.compile(sg.grammar(name), tokenizer())
        z = np.exp(WeightedCARS(DRAWS)(Target(model, constraint, tokenizer(), MAX_TOKENS), Seeded(0)).log_evidence)
        curves = {}
        for strategy in STRATEGIES:
            runs = [learn(strategy, Target(model, constraint, tokenizer(), MAX_TOKENS), seed) for seed in SEEDS]
            curve = np.mean([z / thetas for thetas, _ in runs], axis=0)
            observed = np.mean([accepted / DRAWS for _, accepted in runs])
            cells = " | ".join(f"{curve[t - 1]:.3f}" for t in AT)
            rows.append(f"| {name}, Z = {z:.3f} | {strategy.__name__} | {cells} | {curve.mean():.3f} | {observed:.3f} |")
            print(rows[-1], flush=True)
            curves[strategy.__name__] = [(t, curve[t - 1]) for t in sorted({int(x) for x in np.geomspace(1, DRAWS, 60)})]
        if name == SHOWN:
            title = f"Acceptance over draws: {name}"
            line_chart(ROOT / "docs" / "acceptance.svg", title, "draw", "probability that it is accepted", curves, log_x=True)
    text = [
        provenance("python -m benchmarks.sampling.acceptance"),
        "",
        f"Probability that a draw is accepted, mean of {len(SEEDS)} runs of {DRAWS:,} draws; over all draws as computed and as observed.",
        "The n-grams nearly always begin right, so that a masked first token (RSFT) gains nothing.",
        "",
        "| grammar | strategy | " + " | ".join(f"draw {t:,}" for t in AT) + " | all draws | observed |",
        "|:--|:--|" + "--:|" * (len(AT) + 2),
        *rows,
    ]
    publish("acceptance", "\n".join(text), ROOT / "docs" / "sampling.md")


if __name__ == "__main__":
    main()
