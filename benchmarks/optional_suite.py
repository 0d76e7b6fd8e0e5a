"""How many of the official suite's optional tests (formats, ECMA-262 patterns, big numbers) does the engine decide rightly?

Formats are asserted and keys may come in any order. A schema is compiled or refused; every instance is fed byte by byte, as
``json.dumps`` writes it without escapes. Prints what was not decided rightly and writes the totals into docs/formats.md.
"""

from __future__ import annotations

import argparse
import json
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from benchmarks.publish import ROOT, provenance, publish

DRAFTS = ("draft4", "draft6", "draft7", "draft2019-09", "draft2020-12", "v1")
KINDS = ("right", "false accept", "false reject", "refused", "error", "timeout")
SECONDS = 20
"""For one schema or one instance."""

Check = Callable[[bytes], bool]


class Case(NamedTuple):
    """One test, what became of it, and the error if there was one."""

    file: str
    group: str
    test: str
    data: Any
    kind: str
    why: str = ""

    def __str__(self) -> str:
        what = self.why or f"{self.test}: {json.dumps(self.data)[:100]}"
        return f"{self.kind:12} {self.file}: {self.group} | {what}"


class Timeout(BaseException):
    """More than `SECONDS` have passed."""


@contextmanager
def time_limit() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Timeout

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def engine(remotes: Path) -> Callable[[Any, str], Check]:
    """Compiles a schema of a draft to a test of JSON texts; references lead into the suite's remote documents."""
    from referencing import Registry, Resource

    import structgen as sg

    vocabulary = sg.Vocabulary.from_bytes([*(bytes([i]) for i in range(256)), b""], eos_token_id=256)
    documents = {f"http://localhost:1234/{path.relative_to(remotes)}": path for path in remotes.rglob("*.json")}
    resources = ((uri, Resource.opaque(json.loads(path.read_text()))) for uri, path in documents.items())
    registry: Registry[Any] = Registry().with_resources(resources)

    def compile(schema: Any, draft: str) -> Check:
        automaton = sg.compile(sg.json_schema(schema, draft=draft, registry=registry, property_order="any"), vocabulary)

        def accepts(text: bytes) -> bool:
            state = automaton.initial
            for byte in text:
                state = automaton.advance(state, byte)
                if state < 0:
                    return False
            return automaton.is_accepting(state)

        return accepts

    return compile


def run(compile: Callable[[Any, str], Check], draft: str, folder: Path) -> Iterator[Case]:
    """All optional tests of a draft."""
    for path in sorted((folder / draft / "optional").rglob("*.json")):
        file = str(path.relative_to(folder / draft / "optional"))
        for group in json.loads(path.read_text()):
            yield from run_group(compile, draft, file, group)


def run_group(compile: Callable[[Any, str], Check], draft: str, file: str, group: dict[str, Any]) -> Iterator[Case]:
    check, kind, why = attempt(lambda: compile(group["schema"], draft))
    for test in group["tests"]:
        case = Case(file, group["description"], test["description"], test["data"], kind, why)
        if check is not None:
            text = json.dumps(test["data"], ensure_ascii=False).encode()
            found, kind_of_test, why_of_test = attempt(lambda: check(text))  # noqa: B023 (called at once)
            if found is None:
                case = case._replace(kind=kind_of_test, why=why_of_test)
            else:
                case = case._replace(kind="right" if found == test["valid"] else "false accept" if found else "false reject")
        yield case


def attempt(action: Callable[[], Any]) -> tuple[Any, str, str]:
    """The result, or None with the kind of failure and what it said."""
    from structgen.errors import StructgenError

    try:
        with time_limit():
            return action(), "", ""
    except Timeout:
        return None, "timeout", f"more than {SECONDS} s"
    except StructgenError as error:
        return None, "refused", f"{type(error).__name__}: {error}"
    except Exception as error:
        return None, "error", f"{type(error).__name__}: {error}"


def table(rows: Iterable[tuple[str, Counter[str]]], name: str) -> str:
    kinds = KINDS
    lines = [f"| {name} | cases | {' | '.join(kinds)} |", f"|:--|{'--:|' * (len(kinds) + 1)}"]
    for label, counts in rows:
        lines.append(f"| {label} | {counts.total():,} | {' | '.join(f'{counts[kind]:,}' for kind in kinds)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optional_suite", description=__doc__)
    parser.add_argument("--suite", type=Path, default=ROOT.parent / "shared" / "suite", help="folder with tests/ and remotes/")
    parser.add_argument("--draft", action="append", choices=DRAFTS, help="only these (may be given more than once)")
    parser.add_argument("--dry-run", action="store_true", help="print the tables, leave docs/formats.md alone")
    args = parser.parse_args()

    compile = engine(args.suite / "remotes")
    totals: list[tuple[str, Counter[str]]] = []
    for draft in args.draft or DRAFTS:
        files: dict[str, Counter[str]] = {}
        failures = []
        for case in run(compile, draft, args.suite / "tests"):
            files.setdefault(case.file, Counter())[case.kind] += 1
            failures += [case] if case.kind != "right" else []
        print(f"\n{draft}\n\n{table(files.items(), 'file')}\n")
        print("\n".join(dict.fromkeys(map(str, sorted(failures, key=lambda case: KINDS.index(case.kind))))))
        totals.append((draft, sum(files.values(), Counter())))
    text = f"{provenance('python -m benchmarks.optional_suite')}\n\n{table(totals, 'draft')}"
    print(f"\n{text}")
    if not (args.dry_run or args.draft):
        publish("optional-suite", text, ROOT / "docs" / "formats.md")


if __name__ == "__main__":
    main()
