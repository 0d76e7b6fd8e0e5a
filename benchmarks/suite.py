"""Does the engine decide the official JSON-Schema-Test-Suite rightly, keys in any order?

Runs the oracle ``suite.py`` (``--bench``: its folder) as it stands, with this adapter: a schema that is reported as
unsatisfiable when it is built is a decision, namely that every instance is invalid. Then the files that the oracle leaves out, with
formats as annotations and the suite's remote documents in the registry. Writes its tables into README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.publish import ROOT, provenance, publish

DRAFTS = ("draft4", "draft6", "draft7", "draft2019-09", "draft2020-12")
Check = Callable[[str], bool]


def adapter(remotes: Path | None, **options: Any) -> Callable[[], Callable[[Any], Check]]:
    """What the oracle calls an engine: compiles a schema to a test of JSON texts."""
    import structgen as sg

    if remotes is not None:
        from referencing import Registry, Resource

        found = ((f"http://localhost:1234/{p.relative_to(remotes)}", json.loads(p.read_text())) for p in remotes.rglob("*.json"))
        options["registry"] = Registry().with_resources((uri, Resource.opaque(document)) for uri, document in found)
    vocabulary = sg.Vocabulary.from_bytes([*(bytes([i]) for i in range(256)), b""], eos_token_id=256)

    def compile(schema: Any) -> Check:
        try:
            automaton = sg.compile(sg.json_schema(schema, property_order="any", **options), vocabulary)
        except sg.UnsatisfiableSchema:
            return lambda text: False
        return lambda text: automaton.is_accepting(automaton.advance_bytes(automaton.initial, text.encode()))

    return lambda: compile


def load(bench: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("oracle", bench / "suite.py")
    assert spec is not None and spec.loader is not None
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    return oracle


def run(oracle: ModuleType, arguments: list[str]) -> str:
    """What the oracle prints."""
    sys.argv = ["suite.py", *arguments]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        oracle.main()
    return printed.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description=__doc__)
    parser.add_argument("--bench", type=Path, default=ROOT.parent / "shared" / "bench", help="folder of suite.py")
    parser.add_argument("--suite", type=Path, default=ROOT.parent / "shared" / "suite", help="folder with tests/ and remotes/")
    parser.add_argument("--draft", action="append", choices=DRAFTS, help="only these (may be given more than once)")
    parser.add_argument("--dry-run", action="store_true", help="print the tables, leave README.md alone")
    args = parser.parse_args()

    oracle = load(args.bench)
    arguments = ["structgen", *(args.draft or DRAFTS), "--tests", str(args.suite / "tests"), "--per-file", "--show", "20"]
    oracle.ENGINES["structgen"] = adapter(None)
    required = run(oracle, arguments)
    left_out, everything = oracle.SKIP, {path.name for path in (args.suite / "tests").glob("draft*/*.json")}
    oracle.SKIP = everything - left_out
    oracle.ENGINES["structgen"] = adapter(args.suite / "remotes", formats="annotation")
    others = run(oracle, arguments)
    names = ", ".join(sorted(left_out))
    text = f"{provenance('python -m benchmarks.suite')}\n\n```\n{required}```\n\nThe files left out above ({names}):\n\n```\n{others}```"
    print(text)
    if not (args.dry_run or args.draft):
        publish("suite", text)


if __name__ == "__main__":
    main()
