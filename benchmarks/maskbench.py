"""How fast and how right are the masks on real schemas, next to llguidance and XGrammar in the same run?

Runs MaskBench (``--bench``: its folder) with the engines interleaved file by file, so that drift of the machine hits all
alike, and writes its tables into README.md: first everything, then only what every engine compiled.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.publish import ROOT, provenance, publish

OURS = "benchmarks.maskbench_adapter:Structgen"


def maskbench(bench: Path, *arguments: str) -> str:
    """Standard output of one MaskBench command, this checkout being importable."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    command = [sys.executable, str(bench / "maskbench.py"), *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.maskbench", description=__doc__)
    parser.add_argument("--bench", type=Path, default=ROOT.parent / "shared" / "bench", help="folder of maskbench.py")
    parser.add_argument("--engine", default=f"llg,xgr,{OURS}")
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--tokenizer", default="tekken")
    parser.add_argument("--time-limit", type=float, default=20.0, help="seconds per schema")
    parser.add_argument("--out", type=Path, help="keep the result files in this folder")
    parser.add_argument("--dry-run", action="store_true", help="print the tables, leave README.md alone")
    args = parser.parse_args()

    out = args.out or Path(tempfile.mkdtemp(prefix="maskbench-results-"))
    common = ["--tokenizer", args.tokenizer, "--sample", str(args.sample), "--time-limit", str(args.time_limit)]
    report = maskbench(args.bench, "run", "--engine", args.engine, *common, "--out", str(out / "%s.jsonl"))
    results = [str(out / (re.sub(r"[^\w.-]", "_", name) + ".jsonl")) for name in args.engine.split(",")]
    compared = maskbench(args.bench, "compare", *results) if len(results) > 1 else ""

    command = f"maskbench.py run --engine {args.engine} {' '.join(common)}"
    text = f"{provenance(command)}\n\n### All schemas\n\n{report}\n\n### Schemas compiled by all engines\n\n{compared}"
    print(text)
    if not args.dry_run:
        publish("maskbench", text)


if __name__ == "__main__":
    main()
