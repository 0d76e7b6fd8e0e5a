"""Infilling: texts with gaps that a model fills so that the whole is in the language of a constraint. See docs/infilling.md.

`gap_automaton` is the constraint of one gap, for decoders of any kind: ``gap_automaton(vocab, constraint, left, [gap(), "}", ...])`` is a
`TokenAutomaton` whose ``initial`` state stands behind ``left``, and that state; what it accepts are the contents of the gap.
Names are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structgen.infilling.automata import gap_automaton
    from structgen.infilling.generation import Infilling, infill
    from structgen.infilling.parts import Gap, gap

__all__ = ["Gap", "Infilling", "gap", "gap_automaton", "infill"]

_HOMES = {"automata": ("gap_automaton",), "generation": ("Infilling", "infill"), "parts": ("Gap", "gap")}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"structgen.infilling.{_HOME_OF[name]}"), name)
    return value
