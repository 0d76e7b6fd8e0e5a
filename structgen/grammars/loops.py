"""An automaton as an expression of characters and loops, by state elimination (Brzozowski & McCluskey 1963).

The machine walks a `Regular` as a lexeme of its own, which is best where few of its states accept. Text that may end anywhere
would end that lexeme after every character of every token; as loops inside one rule it does not.
"""

from __future__ import annotations

from typing import NamedTuple

from structgen.automata import ir
from structgen.automata.chardfa import CharDfa
from structgen.automata.charset import normalize

__all__ = ["loops"]

MAX_SIZE, MAX_STATES = 5_000, 500
"""Character sets and operators of an expression, and states; an automaton that has or needs more stays one."""


class Part(NamedTuple):
    expr: ir.Expr
    size: int


class _TooLarge(Exception):
    pass


def loops(dfa: CharDfa) -> ir.Expr:
    """The texts of the automaton."""
    if len(dfa.table) > MAX_STATES:
        return ir.Regular(dfa)
    rows = [_ways(dfa, q) for q in range(len(dfa.table))]
    ends = [Part(ir.EMPTY, 0) if accepting else None for accepting in dfa.accepting]
    try:
        for q in range(len(rows) - 1, -1, -1):
            again = rows[q].pop(q, None)
            if again is not None:
                star = Part(ir.Repeat(again.expr), again.size + 1)
                rows[q] = {target: _then(star, way) for target, way in rows[q].items()}
                ends[q] = _after(star, ends[q])
            for p in range(q):
                if (way := rows[p].pop(q, None)) is not None:
                    for target, rest in rows[q].items():
                        rows[p][target] = _either(rows[p].get(target), _then(way, rest))
                    end = _after(way, ends[q])
                    ends[p] = ends[p] if end is None else _either(ends[p], end)
    except _TooLarge:
        return ir.Regular(dfa)
    return ir.Choice(()) if ends[0] is None else ends[0].expr


def _ways(dfa: CharDfa, q: int) -> dict[int, Part]:
    """The characters that lead from a state to others."""
    targets: dict[int, list[tuple[int, int]]] = {}
    for target, ranges in zip(dfa.table[q], dfa.class_ranges(), strict=True):
        if target >= 0:
            targets.setdefault(target, []).extend(ranges)
    return {target: Part(ir.Chars(normalize(ranges)), 1) for target, ranges in targets.items()}


def _then(first: Part, rest: Part) -> Part:
    return rest if first.expr == ir.EMPTY else first if rest.expr == ir.EMPTY else _checked(ir.Seq((first.expr, rest.expr)), first, rest)


def _after(way: Part, end: Part | None) -> Part | None:
    return None if end is None else _then(way, end)


def _either(one: Part | None, other: Part) -> Part:
    return other if one is None else _checked(ir.Choice((one.expr, other.expr)), one, other)


def _checked(expr: ir.Expr, one: Part, other: Part) -> Part:
    if one.size + other.size >= MAX_SIZE:
        raise _TooLarge
    return Part(expr, one.size + other.size + 1)
