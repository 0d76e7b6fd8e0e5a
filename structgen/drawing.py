"""Pictures of automata as Mermaid text, which needs no program to install."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structgen.automata.machine import Machine

__all__ = ["mermaid"]


def mermaid(machine: Machine, max_states: int) -> str:
    """States and byte edges reachable from the initial state, breadth first; what lies beyond the limit is drawn as ``...``."""
    names = {machine.initial: "s0"}
    queue, lines = [machine.initial], ["stateDiagram-v2", "  [*] --> s0"]
    for state in queue:
        edges: dict[int, list[int]] = {}
        for b in machine.next_bytes(state):
            edges.setdefault(machine.advance_bytes(state, bytes([b])), []).append(b)
        for target, found in edges.items():
            if target not in names:
                if len(names) >= max_states:
                    lines.append(f"  {names[state]} --> more : {_label(found)}")
                    continue
                names[target] = f"s{len(names)}"
                queue.append(target)
            lines.append(f"  {names[state]} --> {names[target]} : {_label(found)}")
        if machine.is_accepting(state):
            lines.append(f"  {names[state]} --> [*]")
    return "\n".join(lines) + "\n"


def _label(found: list[int]) -> str:
    """Byte ranges in readable form: a-z, 0x00-0x1f."""
    parts = []
    for _, run in groupby(enumerate(found), lambda pair: pair[1] - pair[0]):
        values = [b for _, b in run]
        parts.append(_name(values[0]) if len(values) == 1 else f"{_name(values[0])}-{_name(values[-1])}")
    return " ".join(parts)


def _name(b: int) -> str:
    return chr(b) if chr(b).isalnum() and b < 128 else {32: "space", 34: "quote", 58: "colon", 44: "comma"}.get(b, f"0x{b:02x}")
