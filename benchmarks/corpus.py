"""How many real schemas compile within a budget of time and memory, which are refused and why, and are their instances decided rightly?

Runs every schema of MaskBench's data in worker processes, with a vocabulary of single bytes (compilation does not depend on the
tokenizer; masks on real tokens are the business of `benchmarks.maskbench`), and writes its table and the list of all
refused schemas into README.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing as mp
import re
import resource
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.publish import ROOT, provenance, publish

Record = dict[str, Any]
COMPILE_SECONDS = 5
COMPILE_BYTES = 1 << 30
"""For one schema, beyond what the process holds before."""
INSTANCE_SECONDS = 20
SCHEMAS_PER_WORKER = 100
STALLED_SECONDS = 60
"""A worker that reports nothing for so long is killed."""


class OutOfTime(BaseException):
    pass


def _stop(_number: int, _frame: object) -> None:
    raise OutOfTime


def read(data: Path) -> Iterator[Record]:
    with gzip.open(data, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


class Worker:
    """Decides schemas in a process of its own."""

    def __init__(self, property_order: str) -> None:
        import structgen as sg

        self.sg, self.property_order = sg, property_order
        self.vocabulary = sg.Vocabulary.from_bytes([*(bytes([i]) for i in range(256)), b""], eos_token_id=256)
        sg.compile({"type": "object"}, self.vocabulary)

    def decide(self, record: Record) -> Record:
        result: Record = {"file": record["file"], "wrong": [], "instances": len(record["tests"])}
        resource.setrlimit(resource.RLIMIT_AS, (address_space() + COMPILE_BYTES, resource.RLIM_INFINITY))
        begun = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, COMPILE_SECONDS)
            constraint = self.sg.json_schema(record["schema"], property_order=self.property_order)
            automaton = self.sg.compile(constraint, self.vocabulary)
            signal.setitimer(signal.ITIMER_REAL, 0)
            result["kind"] = "compiled"
        except OutOfTime:
            result.update(kind="out of time", why=f"more than {COMPILE_SECONDS} s")
        except MemoryError:
            result.update(kind="out of memory", why="more than 1 GB")
        except self.sg.StructgenError as error:
            result.update(kind="unsatisfiable" if isinstance(error, self.sg.UnsatisfiableSchema) else "refused", why=str(error))
        except Exception as error:
            result.update(kind="error", why=f"{type(error).__name__}: {error}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        result["seconds"] = time.perf_counter() - begun
        if result["kind"] == "compiled":
            result["wrong"] = [w for w in (self.judge(automaton, test) for test in record["tests"]) if w]
        elif result["kind"] == "unsatisfiable":
            result["wrong"] = ["valid rejected" for test in record["tests"] if test["valid"]]
        return result

    def judge(self, automaton: Any, test: Record) -> str:
        text = json.dumps(test["data"], ensure_ascii=False).encode()
        signal.setitimer(signal.ITIMER_REAL, INSTANCE_SECONDS)
        try:
            accepted = automaton.is_accepting(automaton.advance_bytes(automaton.initial, text))
        except OutOfTime:
            return "out of time"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if accepted == test["valid"]:
            return ""
        return "invalid accepted" if accepted else "valid rejected"


def work(jobs: Connection, property_order: str) -> None:
    signal.signal(signal.SIGALRM, _stop)
    worker = Worker(property_order)
    while (record := jobs.recv()) is not None:
        jobs.send(worker.decide(record))


def run(records: Iterator[Record], property_order: str, n_jobs: int) -> Iterator[Record]:
    """Results in the order in which they are ready."""
    context = mp.get_context("spawn")
    busy: dict[Connection, tuple[Any, Record, float, int]] = {}

    def start() -> tuple[Any, Connection]:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, property_order), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    def give(process: Any, pipe: Connection, n_done: int) -> None:
        record = next(records, None)
        if record is None:
            pipe.send(None)
        else:
            if n_done >= SCHEMAS_PER_WORKER:
                pipe.send(None)
                (process, pipe), n_done = start(), 0
            pipe.send(record)
            busy[pipe] = (process, record, time.monotonic(), n_done)

    for _ in range(n_jobs):
        give(*start(), 0)
    while busy:
        ready = set(wait(list(busy), timeout=1))
        for pipe, (process, record, since, n_done) in list(busy.items()):
            if pipe in ready:
                del busy[pipe]
                try:
                    yield pipe.recv()
                except EOFError:
                    process.join()
                    yield lost(record, "crash", f"exit code {process.exitcode}")
                    give(*start(), 0)
                else:
                    give(process, pipe, n_done + 1)
            elif time.monotonic() - since > STALLED_SECONDS:
                del busy[pipe]
                process.kill()
                yield lost(record, "stalled", f"nothing for {STALLED_SECONDS} s")
                give(*start(), 0)


def lost(record: Record, kind: str, why: str) -> Record:
    return {"file": record["file"], "kind": kind, "why": why, "wrong": [], "instances": 0, "seconds": 0.0}


def reason(result: Record) -> str:
    """What was said, without the place and the numbers of this schema."""
    text = re.sub(r" \(at .*\)$", "", result["why"], flags=re.DOTALL)
    return re.sub(r"\d[\d,]*", "N", re.sub(r"'[^']*'|\"[^\"]*\"", "...", text))[:160]


def tables(results: list[Record], property_order: str) -> str:
    kinds = Counter(r["kind"] for r in results)
    wrong = Counter(w for r in results for w in r["wrong"])
    seconds = sorted(r["seconds"] for r in results if r["kind"] == "compiled")
    n = len(results)
    rows = [
        ("schemas", f"{n:,}"),
        ("compiled", f"{kinds['compiled']:,} ({kinds['compiled'] / n:.2%})"),
        *((kind, f"{count:,}") for kind, count in sorted(kinds.items()) if kind != "compiled"),
        *((f"compile ms p{p}", f"{1e3 * seconds[min(len(seconds) - 1, len(seconds) * p // 100)]:,.1f}") for p in (50, 90, 99, 100)),
        ("instances", f"{sum(r['instances'] for r in results):,}"),
        ("invalid accepted", f"{wrong.pop('invalid accepted', 0):,}"),
        ("valid rejected", f"{wrong.pop('valid rejected', 0):,}"),
        *((name, f"{count:,}") for name, count in wrong.items()),
    ]
    groups: dict[str, list[str]] = defaultdict(list)
    for r in sorted(results, key=lambda r: str(r["file"])):
        if r["kind"] != "compiled":
            groups[f"{r['kind']}: {reason(r)}"].append(r["file"])
    listed = []
    for why, files in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        listed.append(f"* {len(files)} {why}: {', '.join(f'`{file}`' for file in files)}")
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"| property_order={property_order!r} | |\n|:--|--:|\n{table}\n\nNot compiled:\n\n" + "\n".join(listed)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "maskbench" / "dev.jsonl.gz")
    parser.add_argument("--property-order", choices=("declared", "any"), default="any")
    parser.add_argument("--files", nargs="*", help="only these")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the results to this file, a JSON text a line")
    parser.add_argument("--dry-run", action="store_true", help="print the tables, leave README.md alone")
    args = parser.parse_args()

    chosen = (r for r in read(args.data) if not args.files or r["file"] in args.files)
    results = []
    with open(args.out or "/dev/null", "w", encoding="utf-8") as out:
        for result in run(chosen, args.property_order, args.jobs):
            results.append(result)
            out.write(json.dumps(result) + "\n")
            out.flush()
    text = tables(results, args.property_order)
    print(text)
    if not (args.dry_run or args.files):
        command = f"python -m benchmarks.corpus --property-order {args.property_order}"
        publish(f"corpus-{args.property_order}", f"{provenance(command)}\n\n{text}")


if __name__ == "__main__":
    main()
