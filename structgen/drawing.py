"""Pictures of automata: Mermaid text, which needs no program to install, Graphviz's dot language, and SVG through ``dot``."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from structgen.errors import StructgenError
from structgen.explanation import byte_ranges

if TYPE_CHECKING:
    from structgen.automaton import TokenAutomaton

__all__ = ["FORMATS", "draw"]

FORMATS = ("mermaid", "dot", "svg")
SECONDS = 60
"""For the ``dot`` program."""


class Graph(NamedTuple):
    """States by number, the first being the initial one; edges (from, to, label), to is -1 for what is not drawn."""

    accepting: list[bool]
    edges: list[tuple[int, int, str]]


def draw(automaton: TokenAutomaton, max_states: int, format: str) -> str:
    """The states reachable from the initial state over bytes and special tokens, breadth first, up to ``max_states``."""
    if format not in FORMATS:
        raise StructgenError(f"unknown format {format!r:.100}; there are: {', '.join(FORMATS)}")
    graph = _graph(automaton, max_states)
    return mermaid(graph) if format == "mermaid" else dot(graph) if format == "dot" else svg(graph)


def _graph(automaton: TokenAutomaton, max_states: int) -> Graph:
    special = {i: name for name, i in automaton.vocab.special.items() if i not in automaton.vocab.eos_token_ids}
    numbers = {automaton.initial: 0}
    queue = [automaton.initial]
    edges: list[tuple[int, int, str]] = []
    for state in queue:
        labels: dict[int, list[str]] = {}
        found: dict[int, list[int]] = {}
        for b in automaton.next_bytes(state):
            found.setdefault(automaton.advance_bytes(state, bytes([b])), []).append(b)
        for target, values in found.items():
            labels.setdefault(target, []).append(byte_ranges(bytes(values)))
        for token, name in special.items():
            if (target := automaton.advance(state, token)) != automaton.dead:
                labels.setdefault(target, []).append(name)
        for target, parts in labels.items():
            if target not in numbers and len(numbers) < max_states:
                numbers[target] = len(numbers)
                queue.append(target)
            edges.append((numbers[state], numbers.get(target, -1), " ".join(parts)))
    return Graph([automaton.is_accepting(state) for state in queue], edges)


def mermaid(graph: Graph) -> str:
    """A Mermaid state diagram; what lies beyond the limit is the state ``more``."""
    lines = ["stateDiagram-v2", "  [*] --> s0"]
    lines += [f"  s{a} --> {f's{b}' if b >= 0 else 'more'} : {_plain(label)}" for a, b, label in graph.edges]
    lines += [f"  s{i} --> [*]" for i, accepting in enumerate(graph.accepting) if accepting]
    return "\n".join(lines) + "\n"


def dot(graph: Graph) -> str:
    """A graph in the dot language; accepting states have two circles."""
    lines = ["digraph structgen {", "  rankdir=LR; node [shape=circle]; start [shape=point]; start -> s0;"]
    lines += [f"  s{i} [shape=doublecircle];" for i, accepting in enumerate(graph.accepting) if accepting]
    if any(b < 0 for _, b, _ in graph.edges):
        lines.append('  more [shape=plaintext, label="..."];')
    lines += [f"  s{a} -> {f's{b}' if b >= 0 else 'more'} [label={json.dumps(label, ensure_ascii=False)}];" for a, b, label in graph.edges]
    return "\n".join(lines) + "\n}\n"


def svg(graph: Graph) -> str:
    program = shutil.which("dot")
    if program is None:
        raise StructgenError('drawing SVG needs Graphviz: install its program "dot", or use format="dot" or "mermaid"')
    done = subprocess.run([program, "-Tsvg"], input=dot(graph), capture_output=True, text=True, timeout=SECONDS, check=True)
    return done.stdout


def _plain(label: str) -> str:
    """Without what Mermaid would take for its own."""
    return label.replace(":", "colon").replace(";", "semicolon").replace("<", "").replace(">", "")
