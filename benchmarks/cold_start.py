"""How long does a fresh process take to its first mask: the first time ever, and from then on?

Every start is a process of its own. The first one finds an empty cache folder (kernels are compiled, the vocabulary and
its trie derived and stored), the others find what it left. The schema has one property; times are wall clock from before
``import structgen`` to the first mask.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.publish import ROOT, provenance, publish

START = """
import json, sys, time
begin = time.perf_counter()
marks = {}
def mark(name):
    marks[name] = time.perf_counter() - begin
import structgen as sg
mark("import structgen")
vocabulary = sg.Vocabulary.from_file(sys.argv[1])
mark("vocabulary")
automaton = sg.compile({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, vocabulary)
mark("compile")
automaton.mask(automaton.initial)
mark("first mask")
print(json.dumps(marks))
"""


def start(tokenizer: Path, cache: str) -> dict[str, float]:
    """Seconds from the start of the program to each milestone."""
    environment = {**os.environ, "STRUCTGEN_CACHE_DIR": cache, "XDG_CACHE_HOME": cache, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", START, str(tokenizer)]
    run = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return {name: float(value) for name, value in json.loads(run.stdout.splitlines()[-1]).items()}


def row(title: str, times: dict[str, float]) -> str:
    return f"| {title} | " + " | ".join(f"{value:.2f}" for value in times.values()) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold_start", description=__doc__)
    parser.add_argument("--tokenizer", type=Path, default=ROOT.parent / "shared" / "tokenizers" / "tekken" / "tokenizer.json")
    parser.add_argument("--warm", type=int, default=5, help="number of later starts (the median is shown)")
    parser.add_argument("--dry-run", action="store_true", help="print the table, leave README.md alone")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="cold-start-") as cache:
        first = start(args.tokenizer, cache)
        later = [start(args.tokenizer, cache) for _ in range(args.warm)]
    median = {name: statistics.median(times[name] for times in later) for name in first}
    slowest = {name: max(times[name] for times in later) for name in first}
    head = ["| seconds from the start to the end of | " + " | ".join(first) + " |", "|:--|" + "--:|" * len(first)]
    rows = [row("first-ever start", first), row(f"later starts, median of {args.warm}", median), row("later starts, slowest", slowest)]
    text = f"{provenance('python -m benchmarks.cold_start')}\nVocabulary: {args.tokenizer.parent.name}.\n\n" + "\n".join(head + rows)
    print(text)
    if not args.dry_run:
        publish("cold-start", text)


if __name__ == "__main__":
    main()
