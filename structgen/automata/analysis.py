"""Which expressions have words (productive), contain the empty word (nullable), and call themselves on the left.

The least fixpoint over the expression graph: one walk in post-order settles whatever does not lie below a cycle, a worklist the
rest. Linear in the size of the graph, without recursion, so that hostile nesting costs memory but no stack. Unproductive
alternatives are dropped when a program is written, hence the machine has no dead ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from structgen.automata.ir import (
    Bounded,
    Bytes,
    Chars,
    Choice,
    Expr,
    Item,
    Named,
    Quoted,
    QuotedText,
    Regular,
    Repeat,
    Rule,
    Seq,
    Token,
    Unique,
)
from structgen.automata.lexemes import effective_bounds
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["Analysis", "children"]

MAX_EXPRESSIONS = 2_000_000
SURROGATES = (0xD800, 0xDFFF)

PRODUCTIVE, NULLABLE, CAPTURING = 1, 2, 4
"""Facts about an expression, as bits: it has words; the empty word is one; a captured name stands in it, not inside a rule or a
scope of its own."""
WORDS = PRODUCTIVE | NULLABLE
"""The facts about the words of an expression."""

Facts = dict[int, int]
"""Facts by identity of the expression; what is not known yet counts as no fact."""


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct sub-expressions; a rule's body counts as its child."""
    found = _CHILDREN.get(type(expr))
    return found(expr) if found else ()


def _definition(rule: Rule) -> tuple[Expr]:
    found = rule.definition
    if found is None:
        raise StructgenError(f"rule {rule.name!r} is used but not defined")
    return (found,)


_CHILDREN: dict[type[Expr], Callable[[Any], tuple[Expr, ...]]] = {
    Seq: lambda expr: expr.items,
    Choice: lambda expr: expr.items,
    Repeat: lambda expr: (expr.item,) if expr.separator is None else (expr.item, expr.separator),
    Unique: lambda expr: (expr.body,),
    Item: lambda expr: (expr.value,),
    Rule: _definition,
}


class Analysis:
    """Facts about all expressions reachable from a root, keyed by identity. ``known``: rules analysed before, not to be entered,
    with a tuple that ends in their facts. ``impossible``: identities of expressions that are known to have no words."""

    def __init__(self, root: Expr, known: Mapping[Rule, tuple[int, int]], impossible: Iterable[int] = ()) -> None:
        self._facts: Facts = dict.fromkeys(impossible, 0)
        self._known = known
        self.expressions: list[Expr] = []  # children first, except on cycles
        self.heads: list[Expr] = []  # at least one of each cycle, with repetitions
        late = self._walk(root)
        if late:
            self._iterate(late)
        self.left_recursive = self._starts_with_itself()

    def of(self, expr: Expr) -> int:
        """All facts about an expression, as bits."""
        return self._facts[id(expr)]

    def productive(self, expr: Expr) -> bool:
        return self._facts.get(id(expr), 0) & PRODUCTIVE != 0

    def nullable(self, expr: Expr) -> bool:
        return self._facts[id(expr)] & NULLABLE != 0

    def capturing(self, expr: Expr) -> bool:
        """Whether a captured name stands in the expression itself (not inside a rule or a scope of its own)."""
        return self._facts[id(expr)] & CAPTURING != 0

    def _walk(self, root: Expr) -> list[Expr]:
        """Visit all expressions depth first, children before parents but for those that call back; return the latter."""
        facts, done = self._facts, self.expressions
        late: list[Expr] = []
        open_: set[int] = set()
        stack = [root]
        while stack:
            expr = stack[-1]
            key = id(expr)
            if key in facts:
                stack.pop()
            elif key in open_:
                stack.pop()
                open_.discard(key)
                done.append(expr)
                facts[key] = _FACTS[type(expr)](expr, facts)
            elif type(expr) is Rule and (entry := self._known.get(expr)):
                facts[key] = entry[1]
                done.append(expr)
            elif type(expr) not in _FACTS:
                raise StructgenError(f"not a grammar expression: {expr!r}")
            else:
                open_.add(key)
                if len(open_) + len(facts) > MAX_EXPRESSIONS:
                    raise LimitExceeded("grammar expressions", MAX_EXPRESSIONS)
                for child in children(expr):
                    if id(child) in facts:
                        continue
                    if id(child) in open_:
                        if not late or late[-1] is not expr:
                            late.append(expr)
                        self.heads.append(child)
                    elif type(child) in _LEAVES:
                        facts[id(child)] = _FACTS[type(child)](child, facts)
                        done.append(child)
                    else:
                        stack.append(child)
        return late

    def _iterate(self, work: list[Expr]) -> None:
        """Bring in what follows along cycles."""
        facts = self._facts
        parents: dict[int, list[Expr]] = {}
        for expr in self.expressions:
            for child in set(map(id, children(expr))):
                parents.setdefault(child, []).append(expr)
        while work:
            expr = work.pop()
            found = _FACTS[type(expr)](expr, facts) | facts[id(expr)]
            if found != facts[id(expr)]:
                facts[id(expr)] = found
                work += parents.get(id(expr), ())

    def first(self, expr: Expr) -> Iterator[Expr]:
        """Sub-expressions that have words and may start before anything is consumed."""
        starts = children(expr)
        if isinstance(expr, Seq):
            n_empty = next((i for i, item in enumerate(starts) if not self.nullable(item)), len(starts))
            starts = starts[: n_empty + 1]
        elif isinstance(expr, Repeat) and not self.nullable(expr.item):
            starts = (expr.item,)
        return filter(self.productive, starts)

    def _starts_with_itself(self) -> bool:
        """Whether some expression can be reached from itself before anything is consumed."""
        done: set[int] = set()
        for root in self.heads:
            if id(root) in done:
                continue
            open_: set[int] = {id(root)}
            stack: list[tuple[Expr, list[Expr]]] = [(root, list(self.first(root)))]
            while stack:
                expr, rest = stack[-1]
                if not rest:
                    stack.pop()
                    open_.discard(id(expr))
                    done.add(id(expr))
                    continue
                child = rest.pop()
                if id(child) in done:
                    continue
                if id(child) in open_:
                    return True
                open_.add(id(child))
                stack.append((child, list(self.first(child))))
        return False


def _all(items: tuple[Expr, ...], facts: Facts) -> int:
    """The facts of a sequence: each has words, each has the empty word, some capture."""
    words, capturing = WORDS, 0
    for item in items:
        found = facts.get(id(item), 0)
        words &= found
        capturing |= found & CAPTURING
    return words | capturing


def _any(items: tuple[Expr, ...], facts: Facts) -> int:
    found = 0
    for item in items:
        found |= facts.get(id(item), 0)
    return found


def _repeat(expr: Repeat, facts: Facts) -> int:
    found = _all(children(expr), facts)
    if expr.min == 0:
        found |= WORDS
    elif expr.min == 1:
        found |= facts.get(id(expr.item), 0)
    return found & ~PRODUCTIVE if expr.max is not None and expr.max < expr.min else found


def _unique(expr: Unique, facts: Facts) -> int:
    return facts.get(id(expr.body), 0) & (PRODUCTIVE if expr.required or expr.min > 0 else WORDS)


def _quoted(expr: Quoted, _: Facts) -> int:
    is_empty = effective_bounds(expr.content, expr.min_length, expr.max_length) is None
    return (0 if is_empty else PRODUCTIVE) | (CAPTURING if expr.capture else 0)


def _chars(expr: Chars, _: Facts) -> int:
    return PRODUCTIVE if any(lo < SURROGATES[0] or hi > SURROGATES[1] for lo, hi in expr.ranges) else 0


def _regular(expr: Regular, _: Facts) -> int:
    return (PRODUCTIVE if any(expr.dfa.accepting) else 0) | (NULLABLE if expr.dfa.accepting[0] else 0)


def _bounded(expr: Bounded, _: Facts) -> int:
    if effective_bounds(expr.dfa, expr.min_length, expr.max_length) is None:
        return 0
    return WORDS if expr.min_length == 0 and expr.dfa.accepting[0] else PRODUCTIVE


_FACTS: dict[type[Expr], Callable[[Any, Facts], int]] = {
    Bytes: lambda expr, _: PRODUCTIVE if expr.value else WORDS,
    QuotedText: lambda expr, _: PRODUCTIVE,
    Token: lambda expr, _: PRODUCTIVE,
    Chars: _chars,
    Regular: _regular,
    Bounded: _bounded,
    Named: lambda expr, _: WORDS,  # the wrong ones are among the impossible expressions
    Quoted: _quoted,
    Seq: lambda expr, facts: _all(expr.items, facts),
    Choice: lambda expr, facts: _any(expr.items, facts),
    Repeat: _repeat,
    Unique: _unique,
    Item: lambda expr, facts: facts.get(id(expr.value), 0) | CAPTURING,
    Rule: lambda expr, facts: facts.get(id(expr.definition), 0) & WORDS,
}
"""What follows for an expression from what is known of its children."""
_LEAVES = _FACTS.keys() - _CHILDREN.keys()
