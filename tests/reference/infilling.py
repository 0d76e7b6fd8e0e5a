"""The slow twin of right quotients and infilling: which words of a context-free grammar a finite automaton accepts, from the definition.

Bar-Hillel, Perles & Shamir (1961): the pairs of states that the words of each nonterminal lead between are the least solution of the
grammar read as equations over relations. Knows nothing of the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from tests.reference.earley import Grammar

Relation = frozenset[tuple[int, int]]
Edges = dict[tuple[int, str], set[int]]


class Gap(int):
    """At most so many letters, -1: any number."""


def automaton(parts: Sequence[str | Gap], alphabet: str) -> tuple[Edges, dict[int, set[int]], int]:
    """The texts that the parts make: edges, where one may go without reading, and the last state; the first is 0."""
    edges: Edges = {}
    free: dict[int, set[int]] = {}
    last = 0
    for part in parts:
        if isinstance(part, str):
            for letter in part:
                edges.setdefault((last, letter), set()).add(last + 1)
                last += 1
        elif part < 0:
            for letter in alphabet:
                edges.setdefault((last, letter), set()).add(last)
        else:
            for _ in range(part):
                free.setdefault(last, set()).add(last + 1)
                for letter in alphabet:
                    edges.setdefault((last, letter), set()).add(last + 1)
                last += 1
    return edges, free, last


def feasible(grammar: Grammar, start: str, parts: Sequence[str | Gap], alphabet: str) -> bool:
    """Whether some word of the grammar is what the parts make."""
    edges, free, last = automaton(parts, alphabet)
    states = range(last + 1)
    silent = {(p, p) for p in states}
    while more := {(p, r) for p, q in silent for r in free.get(q, ())} - silent:
        silent |= more
    letters = {a: compose(compose(silent, {(p, q) for p in states for q in edges.get((p, a), ())}), silent) for a in alphabet}
    found: dict[str, set[tuple[int, int]]] = {name: set() for name in grammar}
    grown = True
    while grown:
        grown = False
        for name, ways in grammar.items():
            for way in ways:
                pairs = silent
                for symbol in way:
                    pairs = compose(pairs, found[symbol] if symbol in found else letters.get(symbol, set()))
                if not pairs <= found[name]:
                    found[name] |= pairs
                    grown = True
    return (0, last) in found[start]


def compose(first: set[tuple[int, int]], second: set[tuple[int, int]]) -> set[tuple[int, int]]:
    onward: dict[int, list[int]] = {}
    for p, q in second:
        onward.setdefault(p, []).append(q)
    return {(p, r) for p, q in first for r in onward.get(q, ())}


def contents(grammar: Grammar, start: str, parts: Sequence[str | Gap], alphabet: str, length: int) -> set[str]:
    """What the first gap may hold, up to a length: the first part is a text, the second the gap."""
    words = ("".join(letters) for n in range(length + 1) for letters in product(alphabet, repeat=n))
    return {word for word in words if feasible(grammar, start, [parts[0] + word, *parts[2:]], alphabet)}
