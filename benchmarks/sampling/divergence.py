"""How far from the model's distribution given the constraint are n samples of each strategy?

    python -m benchmarks.sampling.divergence

The embedded model reads a sentence about a support ticket and fills in category and priority, under a schema with a rule: a crash has high
or urgent priority. The model would mostly call it a crash of normal priority; masking meets the rule only when "crash" is written, and
then it is too late. The law of the 22 allowed texts is found by going through all ways to write them in tokens, as long as the beginning
has a probability above ``NEGLIGIBLE``; what that leaves out is added up and said. Writes docs/divergence.svg and the table in
docs/sampling.md; about two minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.publish import ROOT, provenance, publish
from benchmarks.sampling.models import Remembered, embedded, tokenizer
from benchmarks.sampling.plot import line_chart
from structgen.models.tiny_prompt import prompt
from structgen.sampling import AWRS, CARS, MCMC, SMC, ASAp, DecodingStrategy, Masking, Samples, Seeded, Target, WeightedCARS
from structgen.sampling.constraints import State
from structgen.sampling.language_model import Tokens
from structgen.sampling.transformers_model import TransformersModel

TEXT = "The app is slow and sometimes crashes when I log in."
SCHEMA = {
    "type": "object",
    "properties": {
        "category": {"enum": ["login", "billing", "shipping", "crash", "performance", "feature"]},
        "priority": {"enum": ["low", "normal", "high", "urgent"]},
    },
    "required": ["category", "priority"],
    "additionalProperties": False,
}
RULE = {"if": {"properties": {"category": {"const": "crash"}}}, "then": {"properties": {"priority": {"enum": ["high", "urgent"]}}}}
TEMPERATURE = 1.5
MAX_TOKENS = 30
NEGLIGIBLE = 1e-8
SIZES = [10, 30, 100, 300]
Law = dict[str, float]


def ticket(model: Any) -> Target:
    return Target(model, SCHEMA | RULE, tokenizer(), MAX_TOKENS)


def language_model() -> Remembered:
    ids = tokenizer()(prompt(TEXT, SCHEMA))["input_ids"]
    return Remembered(TransformersModel(embedded(), ids, [tokenizer().eos_token_id], temperature=TEMPERATURE))


def truth(target: Target) -> tuple[Law, float, float]:
    """P(text, end) of each text that is allowed, in whatever tokens; the total of the probabilities left out; the number of prefixes."""
    law: Law = {}
    left_out, n = 0.0, 0
    level: list[tuple[Tokens, State, float]] = [((), target.constraint.initial, 0.0)]
    while level:
        following: list[tuple[Tokens, State, float]] = []
        for begin in range(0, len(level), 64):
            batch = level[begin : begin + 64]
            n += len(batch)
            for (tokens, state, log_p), row in zip(batch, target.log_probs([tokens for tokens, _, _ in batch]), strict=True):
                ok = target.checker(len(tokens), state)
                for token in map(int, np.flatnonzero(ok.mask())):
                    log_next = log_p + row[token]
                    if token == target.eos:
                        text = target.vocab.decode(tokens).decode()
                        law[text] = law.get(text, 0.0) + float(np.exp(log_next))
                    elif log_next > np.log(NEGLIGIBLE):
                        following.append(((*tokens, token), ok.after(token), log_next))
                    else:
                        left_out += float(np.exp(log_next))
        level = following
    return law, left_out, n


def divergence(samples: Samples, law: Law, n: int, is_weighted: bool) -> float:
    """KL of the estimate from the first n samples, merged by text, to the law; in nats."""
    log_weights = samples.log_weights[:n] if is_weighted else np.zeros(n)
    weights = np.exp(log_weights - log_weights.max())
    shares: Law = {}
    for text, weight in zip(samples.texts, weights / weights.sum(), strict=False):
        shares[text] = shares.get(text, 0.0) + float(weight)
    return sum(share * float(np.log(share / law[text])) for text, share in shares.items() if share)


@dataclass(frozen=True)
class Contender:
    """A strategy for n samples. Of those that draw one text after the other, the first n of a long run are n samples."""

    name: str
    strategy: Callable[[int], DecodingStrategy]
    is_weighted: bool = True
    is_sequence: bool = True


CONTENDERS = [
    Contender("masking", Masking, is_weighted=False),
    Contender("masking, weighed", Masking),
    Contender("ASAp", lambda n: ASAp(n)),
    Contender("CARS", lambda n: CARS(n)),
    Contender("weighted CARS", lambda n: WeightedCARS(n)),
    Contender("MCMC, 10 steps", lambda n: MCMC(n, steps=10)),
    Contender("SMC(n)", lambda n: SMC(n), is_sequence=False),
    Contender("SMC(n), AWRS", lambda n: SMC(n, step=AWRS()), is_sequence=False),
]


def run(contender: Contender, model: Any, law: Law, seed: int) -> tuple[list[float], Samples]:
    """The divergence for each of `SIZES`, and the samples for the last."""
    found: list[float] = []
    for n in SIZES[-1:] if contender.is_sequence else SIZES:
        samples = contender.strategy(n)(ticket(model), Seeded(seed))
        found += [divergence(samples, law, size, contender.is_weighted) for size in (SIZES if contender.is_sequence else [n])]
    return found, samples


def ideal(law: Law, repeats: int) -> list[float]:
    """The mean divergence of independent draws from the law itself: what no unbiased strategy can be expected to beat."""
    p, random = np.array([*law.values()]), np.random.default_rng(0)
    shares = [random.multinomial(n, p, size=100 * repeats) / n for n in SIZES]
    return [float(np.where(q > 0, q * np.log(np.maximum(q, 1e-300) / p), 0).sum(1).mean()) for q in shares]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="runs of each strategy, over which the divergence is averaged")
    options = parser.parse_args()
    model = language_model()
    law, left_out, n = truth(ticket(model))
    z = sum(law.values())
    law = {text: p / z for text, p in law.items()}
    lines, rows = dict[str, list[float]](), []
    for contender in CONTENDERS:
        runs = [run(contender, model, law, seed) for seed in range(options.repeats)]
        lines[contender.name] = [float(x) for x in np.mean([found for found, _ in runs], axis=0)]
        drawn, passed, tested, masks = (
            np.mean([getattr(samples, cost) for _, samples in runs]) / SIZES[-1]
            for cost in ("draws", "sequences", "constraint_evaluations", "masks")
        )
        rows.append((contender.name, lines[contender.name], f"{drawn:.2f} | {passed:.2f} | {masks:.2f} | {tested:.1f}"))
        print(rows[-1], flush=True)
    lines["drawn from the law"] = ideal(law, options.repeats)
    rows.append(("drawn from the law", lines["drawn from the law"], " | | | "))
    text = "\n".join(
        [
            f"{provenance(f'python -m benchmarks.sampling.divergence --repeats {options.repeats}')}",
            "",
            f"Z = {z:.4f}; {len(law)} texts; {n} prefixes enumerated at temperature {TEMPERATURE}; {left_out / z:.1e} left out.",
            f"KL divergence in nats after n samples, mean of {options.repeats} runs. Costs per sample at n = {SIZES[-1]:,}: texts begun,",
            "prefixes given to the model (each prefix of a batch or a trie once), masks, tests of single tokens.",
            "",
            "| strategy | " + " | ".join(f"n = {size:,}" for size in SIZES) + " | draws | prefixes | masks | tests |",
            "|:--|" + "--:|" * (len(SIZES) + 4),
            *(f"| {name} | " + " | ".join(f"{x:.4f}" for x in found) + f" | {costs} |" for name, found, costs in rows),
        ]
    )
    publish("divergence", text, ROOT / "docs" / "sampling.md")
    chart = {name: list(zip(SIZES, found, strict=True)) for name, found in lines.items()}
    title, y_label = "From n samples to the model given the constraint", "KL divergence, nats"
    line_chart(ROOT / "docs" / "divergence.svg", title, "samples n", y_label, chart, log_x=True, log_y=True)


if __name__ == "__main__":
    main()
