"""Masks of the Python, C, SQL and JSON grammars on a large vocabulary, replaying real texts, beside llguidance and XGrammar.

    python -m benchmarks.grammars --tokenizer ../shared/tokenizers/tekken --json ../shared/maskbench/dev.jsonl.gz

Texts: every sixth module of the running Python's standard library (those below 20 kB), the C files and SQL statements of this
repository, instances of MaskBench. All engines replay the same tokens, one engine after the other, each text twice: mask, then
advance. llguidance reads our Lark grammars without the priorities of terminals (its lexer has none), XGrammar our grammars
written out as GBNF, in which tokens may be split anywhere (it has no lexer). What they cannot read, or not within the time
limit, is said in the table. Writes it into README.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import re
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import structgen as sg
from benchmarks.publish import ROOT, provenance, publish
from structgen.grammars import library
from structgen.grammars.convert import write_grammar

NAMES = ["python", "c", "sql", "json"]
LARK_JSON = r"""
start: value
value: object | array | STRING | NUMBER | "true" | "false" | "null"
object: "{" [pair ("," pair)*] "}"
pair: STRING ":" value
array: "[" [value ("," value)*] "]"
STRING: /"(\\(["\\\/bfnrt]|u[0-9a-fA-F]{4})|[^\x00-\x1F"\\])*"/
NUMBER: /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/
%ignore /[ \t\r\n]+/
"""


class Refused(Exception):
    """An engine cannot read a grammar."""


class Ours:
    name = "structgen"

    def __init__(self, tokenizer: str) -> None:
        self.vocab = sg.Vocabulary.from_file(f"{tokenizer}/tokenizer.json")
        loaded = sg.compile("x" + sg.regex("[a-z]*"), self.vocab)
        loaded.mask(loaded.initial)  # and with it the kernels

    def compile(self, name: str) -> None:
        self.automaton = sg.compile(sg.grammar(name), self.vocab)

    def begin(self) -> None:
        self.state = self.automaton.initial

    def mask(self) -> None:
        self.row = self.automaton.mask(self.state)

    def advance(self, token: int) -> bool:
        self.state = self.automaton.advance(self.state, token)
        return self.state != self.automaton.dead


class LLGuidance:
    name = "llguidance"

    def __init__(self, tokenizer: str) -> None:
        from llguidance import LLMatcher, LLTokenizer

        ids = json.loads(Path(tokenizer, "tokenizer_config.json").read_text())
        vocab = sg.Vocabulary.from_file(f"{tokenizer}/tokenizer.json")
        assert ids
        self.matcher = LLMatcher
        self.tokenizer = LLTokenizer(f"{tokenizer}/tokenizer.json", n_vocab=vocab.size, eos_token=min(vocab.eos_token_ids))
        self.row = np.zeros((vocab.size + 31) // 32, np.int32)

    def compile(self, name: str) -> None:
        if name == "python":
            raise Refused("no indentation")
        text = LARK_JSON if name == "json" else re.sub(r"(?m)^([A-Z_0-9]+)\.\d+:", r"\1:", library.source(name)).replace(r"\0", r"\x00")
        self.first = self.matcher(self.tokenizer, self.matcher.grammar_from_lark(text), log_level=0)
        if self.first.is_error():
            raise Refused(self.first.get_error().partition("\n")[0])

    def begin(self) -> None:
        self.state = self.first.deep_copy()

    def mask(self) -> None:
        self.state.unsafe_compute_mask_ptr(self.row.ctypes.data, self.row.nbytes)

    def advance(self, token: int) -> bool:
        return bool(self.state.consume_token(token))


class XGrammar:
    name = "XGrammar"

    def __init__(self, tokenizer: str) -> None:
        import torch
        import xgrammar
        from transformers import PreTrainedTokenizerFast

        self.xgrammar = xgrammar
        info = xgrammar.TokenizerInfo.from_huggingface(PreTrainedTokenizerFast.from_pretrained(tokenizer))
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self.row = torch.zeros((1, (info.vocab_size + 31) // 32), dtype=torch.int32)

    def compile(self, name: str) -> None:
        if name == "json":
            self.compiled = self.compiler.compile_builtin_json_grammar()
            return
        loose = sg.grammar(name) if name == "python" else sg.lark(library.source(name), parser="earley", lexer="dynamic_complete")
        self.compiled = self.compiler.compile_grammar(self.xgrammar.Grammar.from_ebnf(write_grammar(loose.expr, "gbnf")))

    def begin(self) -> None:
        self.state = self.xgrammar.GrammarMatcher(self.compiled)

    def mask(self) -> None:
        self.state.fill_next_token_bitmask(self.row)

    def advance(self, token: int) -> bool:
        return bool(self.state.accept_token(token))


ENGINES: list[Callable[[str], Any]] = [Ours, LLGuidance, XGrammar]


def texts(name: str, data: str, most: int) -> Iterator[str]:
    """Real texts in the language of a grammar."""
    if name == "json":
        with gzip.open(data, "rt", encoding="utf-8") as lines:
            valid = (test["data"] for line in lines for test in json.loads(line)["tests"] if test["valid"])
            for _, instance in zip(range(most), valid, strict=False):
                yield json.dumps(instance, ensure_ascii=False)
    elif name == "python":
        modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
        yield from (path.read_text("utf-8") for path in modules[::6] if path.stat().st_size < 20_000)
    elif name == "c":
        yield from (path.read_text() for path in sorted((ROOT / "tests" / "data" / "c").glob("*.c")))
    else:
        yield from re.split(r"(?<=;)\n(?=[A-Z])", (ROOT / "benchmarks" / "data" / "queries.sql").read_text())


def replay(engine: Any, tokens: list[int]) -> tuple[list[int], bool]:
    """Nanoseconds of each mask and advance, and whether all tokens were allowed."""
    clock, times = time.perf_counter_ns, []
    engine.begin()
    for token in tokens:
        begun = clock()
        engine.mask()
        allowed = engine.advance(token)
        times.append(clock() - begun)
        if not allowed:
            return times, False
    return times, True


def measured(tokenizer: str, name: str, data: str, most: int, which: int, results: Any) -> None:
    """One engine on one grammar, in a process of its own: its row of the table, through a queue."""
    from tokenizers import Tokenizer

    engine = ENGINES[which](tokenizer)
    encode = Tokenizer.from_file(f"{tokenizer}/tokenizer.json").encode
    begun = time.perf_counter()
    try:
        engine.compile(name)
        engine.begin()
        engine.mask()
    except Refused as refusal:
        results.put(f"refused: {refusal}")
        return
    first = 1e3 * (time.perf_counter() - begun)
    cold: list[int] = []
    warm: list[int] = []
    accepted = total = 0
    for text in texts(name, data, most):
        tokens = encode(text, add_special_tokens=False).ids
        times, whole = replay(engine, tokens)
        cold += times
        warm += replay(engine, tokens)[0]
        accepted += whole
        total += 1
    results.put(
        [first, accepted, total, *(np.array([x.mean(), *np.percentile(x, [50, 99, 100])]) / 1e3 for x in map(np.array, (cold, warm)))]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="folder with tokenizer.json")
    parser.add_argument("--json", required=True, help="MaskBench's instances")
    parser.add_argument("--texts", type=int, default=200, help="instances of MaskBench")
    parser.add_argument("--limit", type=int, default=300, help="seconds for one engine and one grammar")
    parser.add_argument("--grammar", action="append", choices=NAMES)
    options = parser.parse_args()
    lines = [
        "| grammar | engine | first mask ms | texts accepted | mean | p50 | p99 | max | again: mean | p50 | p99 | max |",
        "|:--|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in options.grammar or NAMES:
        for which, engine in enumerate(ENGINES):
            results: Any = multiprocessing.get_context("spawn").Queue()
            task = (options.tokenizer, name, options.json, options.texts, which, results)
            worker = multiprocessing.get_context("spawn").Process(target=measured, args=task)
            worker.start()
            try:
                found = results.get(timeout=options.limit)
            except Exception:
                found = f"nothing within {options.limit} s"
            worker.kill()
            label = engine.name  # type: ignore[attr-defined]
            if isinstance(found, str):
                lines.append(f"| {name} | {label} | {found} |" + " |" * 9)
                continue
            first, accepted, total, *rows = found
            cells = " | ".join(f"{x:,.1f}" for row in rows for x in row)
            lines.append(f"| {name} | {label} | {first:,.0f} | {accepted} of {total} | {cells} |")
            print(lines[-1], flush=True)
    text = (
        f"{provenance('python -m benchmarks.grammars --tokenizer TEKKEN --json DEV')}\n\nMicroseconds per token, mask and advance.\n\n"
        + "\n".join(lines)
    )
    print(text)
    if not options.grammar:
        publish("grammars", text)


if __name__ == "__main__":
    main()
