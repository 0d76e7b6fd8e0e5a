"""How many outputs of the embedded diffusion model are valid: unconstrained, with check and retry, and with exact masks?

    python -m benchmarks.diffusion.validity --data ../shared/maskbench/dev.jsonl.gz

JSON for schemas of MaskBench from the values of an instance, judged by jsonschema; C++ functions and SMILES with gaps, judged by the
oracles of tests/grammars/oracles (SMILES by the syntax that partialsmiles reads, whatever the valences). All commit what has a probability
of 0.9, at least one token a step (Fast-dLLM's rule). *Check and retry* proposes one token at a time, the surest first, and takes back what
cannot be completed, 100 times per output, as in arXiv 2508.10111 (its check ignores how many masks are left; ours here is exact).

Times are of the processor, over those of unconstrained decoding: both at the median, both at the 95th percentile. Exact masks come first
for each output, so that what has to be built for it, and is found ready by check and retry, counts as theirs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from time import thread_time
from typing import Any, NamedTuple

import jsonschema
import numpy as np
import torch
from transformers import AutoTokenizer

import structgen as sg
from benchmarks.diffusion.masks import README, cases, closed
from benchmarks.publish import provenance, publish
from structgen.diffusion.filling import NEW_STATES, OPEN, Fillable, Filling, Free
from structgen.diffusion.generation import Decoding, before_end, settings_of
from structgen.diffusion.guard import offered
from structgen.diffusion.infilling import LOOK_AHEAD
from structgen.diffusion.policies import Threshold
from structgen.errors import StructgenError
from structgen.infilling.automata import gap_automaton
from structgen.infilling.parts import Gap
from structgen.models.tiny_diffusion_model import TINY_DIFFUSION_PATH, TinyDiffusion
from structgen.models.tiny_prompt import prompt as prompt_of
from tests.grammars.oracles import cpp, smiles

MASKS = 96
MAX_PROMPT = 200
"""Tokens: the model knows no longer ones."""
RETRIES = 100
METHODS = ("exact masks", "check and retry", "unconstrained")


class Task(NamedTuple):
    constraint: Any
    prompt: str
    parts: list[Any]
    judge: Callable[[str], bool]


class Setup(NamedTuple):
    model: Any
    tokenizer: Any
    vocab: Any
    temperature: float


def json_tasks(setup: Setup, data: Path, schemas: int, n: int, seed: int) -> list[Task]:
    """Schemas without undeclared properties whose shortest values fit, and prompts made of the values of an instance."""
    found = []
    for _, schema, text in cases(data, 10**6, seed):
        schema = closed(schema)
        try:
            constraint = sg.json_schema(schema, whitespace="one-space", limits={"string_length": None})
            Filling(sg.compile(constraint, setup.vocab), MASKS // 2, look_ahead=0)
            jsonschema.validate(json.loads(text), schema)
        except (StructgenError, jsonschema.exceptions.ValidationError, jsonschema.exceptions.SchemaError):
            continue
        values = " ".join(leaves(json.loads(text)))[:200]
        if len(setup.tokenizer(prompt_of(values, schema))["input_ids"]) <= MAX_PROMPT:
            found.append((constraint, schema, values))
        if len(found) == schemas:
            break
    return [
        Task(constraint, prompt_of(f"{text} ({i})", schema), [sg.gap(MASKS)], lambda text, schema=schema: is_json(text, schema))  # type: ignore[misc]
        for i, (constraint, schema, text) in ((i, found[i % len(found)]) for i in range(n))
    ]


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield str(value)


def is_json(text: str, schema: Any) -> bool:
    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, RecursionError, jsonschema.exceptions.ValidationError):
        return False
    return True


FUNCTIONS = [
    ["int {f}(int {x}, int {y}) {{ return ", 8, "; }}"],
    ["int {f}(int {x}) {{ int {y} = ", 6, "; return {y}; }}"],
    ["double {f}(double {x}) {{ if (", 8, ") {{ return {x}; }} return ", 6, "; }}"],
    ["void {f}(int {x}) {{ for (int {y} = 0; ", 6, "; {y}++) {{ ", 10, " }} }}"],
    ["bool {f}(const std::string& {x}) {{ return {x}.size() ", 6, "; }}"],
]
NAMES = ["f", "sum", "g", "count", "total", "x", "y", "n", "left", "value", "limit", "a", "b"]


def cpp_tasks(n: int, seed: int) -> list[Task]:
    random, constraint = Random(seed), sg.grammar("cpp")
    found = []
    for i in range(n):
        f, x, y = random.sample(NAMES, 3)
        parts = [part.format(f=f, x=x, y=y) if isinstance(part, str) else sg.gap(part) for part in FUNCTIONS[i % len(FUNCTIONS)]]
        found.append(Task(constraint, "", parts, cpp.accepts))
    return found


ATOMS = ["C", "N", "O", "c1ccccc1", "C(=O)", "CC", "S", "C1CCCC1", "F", "Cl", "[nH]", "[O-]"]


def smiles_tasks(n: int, seed: int) -> list[Task]:
    random, constraint, found = Random(seed), sg.grammar("smiles"), []
    while len(found) < n:
        left, right = ("".join(random.choices(ATOMS[:8], k=random.randint(1, 3))) for _ in range(2))
        opened = random.choice(["", "(", "(=O)"])
        parts = [left + opened, sg.gap(random.randint(4, 10)), right + (")" if opened == "(" else "")]
        found.append(Task(constraint, "", [*parts, "C"] if opened == "(" else parts, smiles.accepts))
    return found


def answer(setup: Setup, task: Task, method: str, seed: int) -> str:
    """The whole text, its gaps filled one after the other."""
    parts = [setup.tokenizer(task.prompt)["input_ids"] if task.prompt else []]
    mask = setup.model.mask_token_id
    for part in task.parts:
        is_gap = isinstance(part, Gap)
        parts.append([mask] * part.max_tokens if is_gap else setup.tokenizer(part, add_special_tokens=False)["input_ids"])
    text, lost = "", False  # lost: retries were used up
    settings = settings_of(temperature=setup.temperature, seed=seed, policy=Threshold())
    for i, part in enumerate(task.parts):
        if isinstance(part, str):
            text += part
            continue
        n = len(parts[i + 1])
        filling: Fillable = Free(n, setup.vocab.size, [mask])
        if method != "unconstrained" and not lost:
            automaton, start = gap_automaton(setup.vocab, task.constraint, text, [Gap(), *task.parts[i + 1 :]])
            filling = Filling(automaton, n, start=start, look_ahead=LOOK_AHEAD if len(task.parts) > 1 else NEW_STATES)
        before, after = ([token for ids in row for token in ids] for row in (parts[: i + 1], parts[i + 2 :]))
        decoding = Decoding(setup.model, before, filling, settings, setup.vocab, after)
        if method == "check and retry":
            check_and_retry(decoding, setup, seed)
            lost = isinstance(decoding.filling, Free)
        else:
            decoding.run()
        parts[i + 1] = before_end(decoding.filling.tokens, setup.vocab)
        text += setup.vocab.decode(parts[i + 1]).decode(errors="replace")
    return text


def check_and_retry(decoding: Decoding, setup: Setup, seed: int) -> None:
    """The surest token of the model's own rows goes in if the rest can still be filled; when the retries are used up, it goes in anyway."""
    filling, retries = decoding.filling, RETRIES
    random = torch.Generator().manual_seed(seed)
    while filling.first < filling.n:
        filling.grow()
        positions = offered(filling, 0, filling.n) if retries else [i for i, t in enumerate(filling.tokens) if t == OPEN]
        rows = decoding.forward(decoding.canvas()[None])[0][positions].log_softmax(-1)
        rows[:, setup.model.mask_token_id] = -torch.inf
        noise = -torch.empty_like(rows).exponential_(generator=random).log()
        while True:
            draw = (rows / setup.temperature + noise if setup.temperature else rows).argmax(-1)
            best = int(rows.gather(1, draw[:, None])[:, 0].argmax())
            if retries == 0:
                filling.tokens[positions[best]] = int(draw[best])
                break
            if filling.commit(positions[best], int(draw[best])):
                break
            rows[best, int(draw[best])] = -torch.inf
            retries -= 1
            if retries == 0:
                filling = decoding.filling = Free(filling.n, setup.vocab.size, (), filling.tokens)
                break


_work: dict[str, Any] = {}
"""What forked processes work on."""


def _measured(job: tuple[str, int]) -> tuple[bool, float]:
    """Whether an output is valid, and the processor time that it took."""
    torch.set_num_threads(1)
    method, seed = job
    task, began = _work["rows"][seed], thread_time()
    text = answer(_work["setup"], task, method, seed)
    return task.judge(text), thread_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=int, default=1000)
    parser.add_argument("--schemas", type=int, default=50)
    parser.add_argument("--cpp", type=int, default=500)
    parser.add_argument("--smiles", type=int, default=500)
    parser.add_argument("--temperature", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--dry-run", action="store_true", help="print the table, leave README.md alone")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(TINY_DIFFUSION_PATH)
    setup = Setup(TinyDiffusion.load(), tokenizer, sg.Vocabulary.from_tokenizer(tokenizer), options.temperature)
    tasks = {
        f"JSON, {options.schemas} schemas": json_tasks(setup, options.data, options.schemas, options.json, options.seed),
        "C++ infilling": cpp_tasks(options.cpp, options.seed),
        "SMILES infilling": smiles_tasks(options.smiles, options.seed),
    }
    lines = [
        "| outputs | n | "
        + " | ".join(f"{m}, valid" for m in METHODS)
        + " | "
        + " | ".join(f"{m}, time p50, p95" for m in METHODS[1:])
        + " |"
    ]
    lines.append("|:--|--:" + "|--:" * 5 + "|")
    for name, rows in tasks.items():
        _work.update(setup=setup, rows=rows)
        jobs = [(method, seed) for seed in range(len(rows)) for method in METHODS]
        with multiprocessing.get_context("fork").Pool(options.processes) as pool:
            found = dict(zip(jobs, pool.imap(_measured, jobs, chunksize=3), strict=True))
        valid = [np.mean([found[method, seed][0] for seed in range(len(rows))]) for method in METHODS]
        times = [np.percentile([found[method, seed][1] for seed in range(len(rows))], [50, 95]) for method in METHODS]
        ratios = ["{:.2f}, {:.2f}".format(*(t / times[-1])) for t in times[:-1]]
        lines.append(f"| {name} | {len(rows)} | " + " | ".join([*(f"{v:.1%}" for v in valid), *ratios]) + " |")
        print(lines[-1], flush=True)
    sizes = f"--json {options.json} --schemas {options.schemas} --cpp {options.cpp} --smiles {options.smiles}"
    command = f"python -m benchmarks.diffusion.validity {sizes} --temperature {options.temperature} --seed {options.seed}"
    text = f"{provenance(command)}\n\n" + "\n".join(lines)
    if not options.dry_run:
        publish("validity", text, README)
    print(text)


if __name__ == "__main__":
    main()
