"""The engine as MaskBench drives it: ``maskbench.py run --engine benchmarks.maskbench_adapter:Structgen``."""

from __future__ import annotations

import os
from typing import Any

import structgen as sg

__all__ = ["Structgen", "StructgenAnyOrder"]


class Structgen:
    """One vocabulary, the last schema compiled, and the state of one sequence. ``mask``: the packed row of that state."""

    __version__ = sg.__version__
    property_order = "declared"

    def __init__(self, tokenizer: Any) -> None:
        """``tokenizer``: MaskBench's bundle (``path`` of the tokenizer folder and ``eos_id`` are used)."""
        self.vocabulary = sg.Vocabulary.from_file(os.path.join(tokenizer.path, "tokenizer.json")).with_eos(tokenizer.eos_id)

    def compile(self, schema: dict[str, Any]) -> None:
        self.automaton = sg.compile(sg.json_schema(schema, property_order=self.property_order), self.vocabulary)

    def reset(self) -> None:
        self.state = self.automaton.initial

    def fill_mask(self) -> None:
        self.mask = self.automaton.mask(self.state)

    def advance(self, token: int) -> bool:
        state = self.automaton.advance(self.state, token)
        if state < 0:
            return False
        self.state = state
        return True

    def is_accepting(self) -> bool:
        return self.automaton.is_accepting(self.state)


class StructgenAnyOrder(Structgen):
    """The same with the keys of objects in every order."""

    property_order = "any"
