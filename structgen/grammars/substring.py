"""Substrings of a text as a constraint: the suffix automaton, every state of which accepts.

A text of n characters has up to n (n + 1) / 2 substrings; its suffix automaton has at most 2n - 1 states and 3n - 4 transitions, and is
built in O(n) steps (Blumer et al., The smallest automaton recognizing the subwords of a text, 1985). A state stands for the substrings with
the same end positions; its link leads to the longest of their suffixes that occurs elsewhere too.
"""

from __future__ import annotations

from structgen.automata import ir
from structgen.automata.chardfa import CharDfa, from_transitions
from structgen.errors import LimitExceeded, UnsatisfiableSchema
from structgen.grammars.constraint import Constraint, literal

__all__ = ["factor_automaton", "substring_of"]

MAX_TABLE = 20_000_000
"""Bound on states times distinct characters."""

Transitions = list[dict[str, int]]


def substring_of(text: str, *, empty: bool = False) -> Constraint:
    """The substrings of a text: exact quotations, spans to extract. ``empty``: whether the empty one is among them.

    Raises `UnsatisfiableSchema` if there are none, `LimitExceeded` for texts of more than 10,000,000 characters times distinct ones.

    >>> substring_of("to be or not to be").source
    "substring of 'to be or not to be'"
    """
    literal(text)  # an error if it is no text
    if not text and not empty:
        raise UnsatisfiableSchema("the empty text has no substring but itself: allow it with empty=True")
    return Constraint(ir.Regular(factor_automaton(text, with_empty=empty)), source=f"substring of {text!r:.60}")


def factor_automaton(text: str, *, with_empty: bool = True) -> CharDfa:
    """The automaton of all substrings of a text, the empty one among them or not."""
    if 2 * len(text) * len(set(text)) > MAX_TABLE:
        raise LimitExceeded("length times distinct characters of a text for substring_of", MAX_TABLE // 2)
    letters = sorted(set(text))
    column = {letter: i for i, letter in enumerate(letters)}
    states = suffix_automaton(text)
    table = [[-1] * len(letters) for _ in states]
    for row, transitions in zip(table, states, strict=True):
        for letter, target in transitions.items():
            row[column[letter]] = target
    return from_transitions(letters, table, [with_empty, *[True] * (len(states) - 1)])


def suffix_automaton(text: str) -> Transitions:
    """The transitions of each state; state 0 is the start, and no transition leads there."""
    states: Transitions = [{}]
    link, length, last = [-1], [0], 0
    for letter in text:
        new = len(states)
        states.append({})
        length.append(length[last] + 1)
        link.append(0)
        p, last = last, new
        while p >= 0 and letter not in states[p]:
            states[p][letter] = new
            p = link[p]
        if p < 0:
            continue
        q = states[p][letter]
        if length[q] > length[p] + 1:
            clone = len(states)
            states.append(dict(states[q]))
            length.append(length[p] + 1)
            link.append(link[q])
            link[q] = clone
            while p >= 0 and states[p].get(letter) == q:
                states[p][letter] = clone
                p = link[p]
            q = clone
        link[new] = q
    return states
