"""An Earley recogniser (Earley 1970; empty rules as in Aycock & Horspool 2002) for any context-free grammar, written from the definition.

A grammar maps each nonterminal to its alternatives, tuples of nonterminals (keys of the grammar) and terminals (single
characters). Knows nothing of the library except, in `to_expr`, its expressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from structgen.automata.ir import Bytes, Choice, Rule, Seq

Grammar = Mapping[str, Sequence[tuple[str, ...]]]
Item = tuple[str, tuple[str, ...], int, int]  # nonterminal, alternative, position of the dot, where it began


def fixpoint(grammar: Grammar, holds: str) -> set[str]:
    """The nonterminals that have words at all, or the empty word (``holds``: "productive" or "nullable")."""
    found: set[str] = set()

    def good(symbol: str) -> bool:
        return symbol in found if symbol in grammar else holds == "productive"

    while True:
        more = {n for n, ways in grammar.items() if any(all(map(good, way)) for way in ways)} - found
        if not more:
            return found
        found |= more


def recognise(grammar: Grammar, start: str, text: str) -> list[tuple[bool, bool]]:
    """For every prefix of the text: (whether some word begins with it, whether it is a word)."""
    productive, nullable = fixpoint(grammar, "productive"), fixpoint(grammar, "nullable")
    useful = {n: [way for way in ways if all(s in productive or s not in grammar for s in way)] for n, ways in grammar.items()}
    sets: list[dict[Item, None]] = [{(start, way, 0, 0): None for way in useful[start]}]
    found = []
    for i in range(len(text) + 1):
        items, done = sets[i], 0
        following: dict[Item, None] = {}
        while done < len(items):
            name, way, dot, began = list(items)[done]
            done += 1
            if dot == len(way):
                for n, w, d, b in list(sets[began]):
                    if d < len(w) and w[d] == name:
                        items.setdefault((n, w, d + 1, b))
            elif way[dot] in grammar:
                for w in useful[way[dot]]:
                    items.setdefault((way[dot], w, 0, i))
                if way[dot] in nullable:
                    items.setdefault((name, way, dot + 1, began))
            elif i < len(text) and text[i] == way[dot]:
                following[name, way, dot + 1, began] = None
        found.append((bool(items), any(n == start and d == len(w) and b == 0 for n, w, d, b in items)))
        sets.append(following)
    return found


def to_expr(grammar: Grammar, start: str) -> Rule:
    rules = {name: Rule(name) for name in grammar}
    for name, ways in grammar.items():
        rules[name].define(Choice(tuple(Seq(tuple(rules[s] if s in rules else Bytes(s.encode()) for s in way)) for way in ways)))
    return rules[start]
