"""The constraint of one gap: what may stand between a text and what comes behind it, as a `TokenAutomaton`.

It is the right quotient of the constraint by what comes behind (`structgen.automata.quotient`), read from the state behind the text.
Later gaps stand for any text; one that is limited to n tokens, for a text of at most n bytes, since every byte can be a token of its own.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any

from structgen.automata import ir
from structgen.automata.quotient import Pattern, right_quotient
from structgen.automaton import TokenAutomaton
from structgen.compiler import compile
from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.grammars.constraint import Constraint
from structgen.infilling.exact import ExactAutomaton
from structgen.infilling.parts import Gap, Part, check_text, read_parts

__all__ = ["first_gap", "gap_automaton"]

MAX_QUOTIENTS = 64
_quotients: OrderedDict[tuple[int, str, tuple[Part, ...]], tuple[ir.Expr, Constraint]] = OrderedDict()
"""With the expression, which keeps its identity from being reused."""
_lock = threading.Lock()


def gap_automaton(vocab: Any, constraint: Any, left: str | bytes, right: Iterable[Part]) -> tuple[TokenAutomaton, int]:
    """The automaton of a gap behind the text ``left``, and its state before the gap's first token.

    ``constraint`` and ``vocab``: as `structgen.compile` takes them. ``right``: the gap (`structgen.gap`) and what comes behind it. The
    automaton accepts what may stand in the gap, within its number of tokens; a state of it lives as long as the gap, and all that comes
    behind it, can be finished. Where ``right`` is the gap alone, it ends where the whole text may end.

    Raises `UnsatisfiableSchema` if nothing may stand there, `StructgenError` where it cannot be known (docs/infilling.md).
    """
    parts = read_parts(right)
    if not parts or not isinstance(parts[0], Gap):
        raise StructgenError(f"what comes behind the left text begins with a gap, found {parts[:1]!r:.100}")
    first, behind = parts[0], parts[1:]
    data = left
    if isinstance(data, str):
        check_text(data)
        data = data.encode()
    if not isinstance(data, bytes):
        raise StructgenError(f"the left text is a str or bytes, found {left!r:.100}")
    automaton = _before(_whole(vocab, constraint), behind)
    state = automaton.advance_bytes(automaton.initial, data)
    if state == automaton.dead:
        raise UnsatisfiableSchema("no text in the gap makes what stands around it valid")
    automaton = copy(automaton)
    automaton.initial, automaton._parse = state, None  # the contents of a gap are a text
    if first.tokens is not None:
        automaton = ExactAutomaton(automaton, first.tokens)
    elif first.max_tokens is not None:
        automaton = automaton.limited(first.max_tokens)
    return automaton, automaton.initial


def _whole(vocab: Any, constraint: Any) -> TokenAutomaton:
    """The automaton of the whole text, without a limit on its tokens."""
    return compile(constraint.constraint if isinstance(constraint, TokenAutomaton) else constraint, vocab)


def _before(whole: TokenAutomaton, behind: Sequence[Part]) -> TokenAutomaton:
    """The automaton of all that may stand before these parts."""
    if not behind:
        return whole
    if len(behind) > 1 and not whole._engine.byte_complete:
        raise StructgenError("several gaps want a vocabulary with every byte as a token, so that each can be filled whatever it needs")
    try:
        return compile(_quotient(whole, tuple(behind)), whole.vocab)
    except UnsatisfiableSchema:
        raise UnsatisfiableSchema(f"no valid text ends with {behind[-1]!r:.100}" if len(behind) == 1 else NOTHING_FITS) from None


def _quotient(whole: TokenAutomaton, behind: tuple[Part, ...]) -> Constraint:
    """The constraint of what may stand before these parts, from the cache if it was asked for before."""
    expr, engine = whole.constraint.expr, whole._engine
    key = id(expr), whole.vocab.key, behind
    with _lock:
        if key in _quotients:
            _quotients.move_to_end(key)
            return _quotients[key][1]

    def impossible(guard: ir.Named) -> bool:
        return engine.standing(guard.token) != guard.standing

    pattern = Pattern([part if isinstance(part, str) else part.wild for part in behind])
    found = Constraint(right_quotient(expr, pattern, impossible=impossible), source=f"what may stand before {behind[0]!r:.40}")
    with _lock:
        _quotients[key] = expr, found
        while len(_quotients) > MAX_QUOTIENTS:
            _quotients.popitem(last=False)
    return found


NOTHING_FITS = "no text in the gaps makes what stands between them valid"


def first_gap(vocab: Any, constraint: Any, parts: Sequence[Part]) -> TokenAutomaton:
    """The automaton of the first gap among the parts, as `gap_automaton` gives it.

    Raises `UnsatisfiableSchema` if no filling makes the parts valid, naming the first that cannot stand where it does."""
    left, right = (parts[0], parts[1:]) if isinstance(parts[0], str) else ("", parts)
    try:
        return gap_automaton(vocab, constraint, left, right)[0]
    except UnsatisfiableSchema as error:
        raise UnsatisfiableSchema(f"the parts cannot be completed: {_culprit(vocab, constraint, left, right) or error}") from None


def _culprit(vocab: Any, constraint: Any, left: str, right: Sequence[Part]) -> str:
    """What is said of the first part that cannot stand where it is."""
    whole = _whole(vocab, constraint)
    state = whole.initial
    for i, char in enumerate(left):
        state = whole.advance_bytes(state, char.encode())
        if state == whole.dead:
            return f"the first text goes wrong at position {i}, {left[i : i + 20]!r}"
    for i, part in enumerate(right):
        if isinstance(part, str):
            try:
                gap_automaton(vocab, constraint, left, [*right[: i + 1], Gap()])
            except UnsatisfiableSchema:
                return f"{part!r:.100} cannot stand behind what comes before it"
    return f"no valid text ends with {right[-1]!r:.100} behind the rest" if isinstance(right[-1], str) else ""
