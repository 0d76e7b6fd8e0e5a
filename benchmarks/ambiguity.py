"""What do ambiguous grammars cost? Mask and step of every byte of the texts of tests/automata/test_ambiguity.py, and of a longer one.

Writes its table into README.md. The number of parses of these texts is exponential in their length or in the size of the grammar.
"""

from __future__ import annotations

import time

import structgen as sg
from benchmarks.publish import provenance, publish
from structgen.automata._pushdown_kernels import n_configs
from tests.automata.test_ambiguity import LONG, catalan, vocabulary


def row(name: str, expr: object, text: bytes) -> str:
    automaton = sg.compile(sg.Constraint(expr), vocabulary())
    automaton.mask(automaton.initial)
    state, spent = automaton.initial, []
    for byte in text:
        begun = time.perf_counter()
        automaton.mask(state)
        state = automaton.advance(state, byte)
        spent.append(time.perf_counter() - begun)
    found = n_configs.py_func(automaton._engine.arena, state)
    return f"| {name} | {len(text):,} | {1e3 * sum(spent) / len(spent):.2f} | {1e3 * max(spent):.1f} | {found} |"


def main() -> None:
    lines = ["| grammar | bytes | mean ms per byte | most ms | configurations at the end |", "|:--|--:|--:|--:|--:|"]
    lines += [row(grammar.__name__, grammar(), text) for grammar, text in LONG.items()]
    lines.append(row("catalan", catalan(), b"a" * 1000))
    text = f"{provenance('python -m benchmarks.ambiguity')}\n\n" + "\n".join(lines)
    print(text)
    publish("ambiguity", text)


if __name__ == "__main__":
    main()
