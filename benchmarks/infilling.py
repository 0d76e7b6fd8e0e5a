"""How long does it take to know what may stand in a gap, for a text of 1,000 bytes behind it?

    python -m benchmarks.infilling [--publish]

CPU seconds, for a gap before the text, and for one with a second gap in the middle of the text: the right quotient, its compilation
for a vocabulary of bytes, and, to compare, the compilation of the grammar itself. ``--publish`` writes the table into docs/infilling.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import process_time
from typing import Any

import structgen as sg
from benchmarks.publish import ROOT, provenance, publish
from structgen.automata.quotient import Pattern, Wild, right_quotient
from structgen.grammars.constraint import Constraint

SIZE = 1000
JSON = ', {"id": 17, "name": "a name", "tags": ["x", "y\\n"], "at": [1.5, -2e3], "ok": true}'
CPP = "\nint f{n}(int a, char *b) {{ for (int i = 0; i < a; ++i) {{ if (b[i] == 'x') return i * 2 + {n}; }} /* none */ return -1; }}"
PYTHON = """
def f{n}(a, b=None):
    for i, x in enumerate(a):
        if x == 'y' and b:
            return [i * 2, {n}]  # found
    return a.b(c=-1)
"""
TEXTS = {
    "json": ("[1", lambda: JSON * (SIZE // len(JSON)) + "]"),
    "cpp": ("int main() { return 0", lambda: ";}" + _many(CPP)),
    "python": ("x = 1\ny = ", lambda: "z\n" + _many(PYTHON)),
}


def _many(text: str) -> str:
    found, n = "", 0
    while len(found) < SIZE:
        found, n = found + text.format(n=n), n + 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--publish", action="store_true")
    options = parser.parse_args()
    vocab = sg.Vocabulary.from_bytes([bytes([b]) for b in range(256)], eos_token_id=256)
    sg.compile(sg.regex("a"), vocab)
    rows = [row for name in TEXTS for row in measured(name, vocab)]
    head = "| grammar | bytes behind | gaps | grammar alone, s | quotient, s | its compilation, s |\n|:--|--:|--:|--:|--:|--:|"
    table = "\n".join([head, *rows])
    print(table)
    if options.publish:
        publish("infilling", provenance("python -m benchmarks.infilling") + "\n\n" + table, ROOT / "docs" / "infilling.md")


def measured(name: str, vocab: sg.Vocabulary) -> list[str]:
    left, right = TEXTS[name][0], TEXTS[name][1]()
    grammar = sg.grammar(name)
    alone, whole = timed(lambda: sg.compile(grammar, vocab))
    assert whole.accepts(left + right), name
    rows = []
    middle = len(right) // 2
    for parts in ([right], [right[:middle], Wild(), right[middle:]]):
        built, expr = timed(lambda parts=parts: right_quotient(grammar.expr, Pattern(parts)))
        compiled, automaton = timed(lambda expr=expr: sg.compile(Constraint(expr), vocab))
        assert automaton.accepts(left)
        rows.append(f"| {name} | {len(right.encode()):,} | {len(parts) // 2 + 1} | {alone:.2f} | {built:.2f} | {compiled:.2f} |")
        print(rows[-1], flush=True)
    return rows


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = process_time()
    found = run()
    return process_time() - start, found


if __name__ == "__main__":
    main()
