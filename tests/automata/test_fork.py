"""A forked process has an arena of its own: what it finds must not appear in its parent's."""

from __future__ import annotations

import os

import pytest

import structgen as sg
from structgen.automata import _arena as A


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_what_a_child_compiles_is_not_in_the_memory_of_its_parent() -> None:
    vocab = sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)] + [b"ab", b""], eos_token_id=257)
    automaton = sg.compile(sg.regex("[a-c]{3}"), vocab)
    allowed = automaton.allowed(automaton.initial).tolist()
    engine = automaton._engine
    before = engine.arena[: engine.arena.item(A.TOP)].copy()
    child = os.fork()
    if child == 0:
        try:
            other = sg.compile(sg.regex("(x|yz)*w[0-9]+"), vocab)
            other.mask(other.advance_bytes(other.initial, b"xyzw"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (engine.arena[: len(before)] == before).all()
    assert automaton.allowed(automaton.initial).tolist() == allowed
    state = automaton.advance_bytes(automaton.initial, b"abc")
    assert automaton.is_accepting(state)
