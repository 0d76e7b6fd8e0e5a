"""SMILES whose ring bonds are paired, from a grammar of its atoms, bonds and links.

Which ring numbers are open is a set that runs through all branches; a context-free grammar can carry it into a branch and out
again only by guessing. With bounded branches the language is regular, and the grammar right-linear: three rules for each place, a
set of open numbers and a number of open branches. No state has two stacks, so masks are cheap.
"""

from __future__ import annotations

from itertools import combinations

from structgen.automata import ir

from .constraint import Constraint, gbnf

__all__ = ["MAX_BRANCHES", "MAX_RINGS", "rings"]

NUMBERS = "123456789"
MAX_RINGS = 5
"""Ring bonds that may be open at once."""
MAX_BRANCHES = 5
"""Branches that may be open at once."""


def rings(text: str, start: str | None = None) -> Constraint:
    """The molecules that the rules ``atom``, ``bond`` and ``link`` of a grammar in GBNF make, or the texts of its rule ``start``.

    At each atom, ring bonds that close, with their bonds, come first, then those that open, then branches and links to other atoms.
    """
    if start is not None:
        return gbnf(text, start)
    atom, bond, link = (gbnf(text, name).expr for name in ("atom", "bond", "link"))
    bonded, linked = ir.Choice((_seq(bond, atom), atom)), ir.Choice((_seq(link, atom), atom))
    sets = [frozenset(chosen) for n in range(MAX_RINGS + 1) for chosen in combinations(NUMBERS, n)]
    places = [(opened, depth) for opened in sets for depth in range(MAX_BRANCHES + 1)]
    closings, openings, links = ({place: ir.Rule(name) for place in places} for name in ("closings", "openings", "links"))
    for opened, depth in places:
        here = opened, depth
        closing = [_seq(ir.Choice((bond, ir.EMPTY)), number, closings[opened - {number}, depth]) for number in sorted(opened)]
        closings[here].define(ir.Choice((*closing, openings[here])))
        free = [number for number in NUMBERS if number not in opened] if len(opened) < MAX_RINGS else []
        openings[here].define(ir.Choice((*(_seq(number, openings[opened | {number}, depth]) for number in free), links[here])))
        ways: list[ir.Expr] = [_seq(linked, closings[here])]
        if depth < MAX_BRANCHES:
            ways.append(_seq("(", bonded, closings[opened, depth + 1]))
        if depth:
            ways.append(_seq(")", links[opened, depth - 1]))
        elif not opened:
            ways.append(ir.EMPTY)
        links[here].define(ir.Choice(tuple(ways)))
    return Constraint(_seq(atom, closings[frozenset(), 0]))


def _seq(*items: str | ir.Expr) -> ir.Seq:
    return ir.Seq(tuple(ir.Bytes(item.encode()) if isinstance(item, str) else item for item in items))
