"""Rules that call themselves before anything is read, rewritten into rules that do not, with the same words.

The rules of one cycle of left calls are a system of left-linear equations X_i = X_1 a_1i | ... | X_n a_ni | b_i. A word of X_i is a
word of some b_k followed by the labels of a path from node k to node i in the graph with an edge j -> i for every a_ji; the
paths from k to i are a right-recursive rule, whose last call the machine makes without pushing. Empty words are split off
first (X = X+ | empty), so that what hides behind an empty word (hidden left recursion) and cycles of rules that consume nothing
need no special treatment. For one rule this is the textbook X = b a* (Aho, Lam, Sethi & Ullman 2006, section 4.3.3); parse
trees change, membership does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from structgen.automata import chardfa
from structgen.automata.ir import EMPTY, Bounded, Bytes, Choice, Expr, Item, Named, Regular, Repeat, Rule, Seq, Unique
from structgen.errors import LimitExceeded, StructgenError

if TYPE_CHECKING:
    from structgen.automata.analysis import Analysis

__all__ = ["without_left_recursion"]

MAX_CYCLE = 400
"""Rules in one cycle of left calls."""
MAX_PATHS = 100_000
"""Edges in all rules for paths."""
MAX_SIZE = 100_000
"""Items of all sequences that begin with a word that is not empty."""
NOTHING = Choice(())


def without_left_recursion(facts: Analysis) -> dict[Rule, Expr]:
    """New definitions of the rules of the grammar that are left-recursive, directly, indirectly or behind empty words.

    Raises StructgenError where the recursion passes through a scope of distinct names, LimitExceeded for too large a cycle."""
    cycles = list(left_cycles(facts))
    if any(isinstance(expr, (Unique, Item)) for cycle in cycles for expr in cycle):
        raise StructgenError("left recursion through a scope of distinct names: what it calls first must consume something before")
    try:
        return _Elimination(facts, [[expr for expr in cycle if isinstance(expr, Rule)] for cycle in cycles]).run() if cycles else {}
    except RecursionError:
        raise LimitExceeded("nesting inside a left-recursive rule", 300) from None


def left_cycles(facts: Analysis) -> Iterator[list[Expr]]:
    """The strongly connected components of "may start with" that have a cycle (Tarjan 1972, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[Expr] = []
    open_: set[int] = set()
    for root in facts.expressions:
        if id(root) in order:
            continue
        todo: list[tuple[Expr, Iterator[Expr]]] = []
        child: Expr | None = root
        while child is not None or todo:
            if child is not None:
                order[id(child)] = low[id(child)] = len(order)
                path.append(child)
                open_.add(id(child))
                todo.append((child, iter(facts.first(child))))
            expr, rest = todo[-1]
            child = None
            for below in rest:
                if id(below) not in order:
                    child = below
                    break
                if id(below) in open_:
                    low[id(expr)] = min(low[id(expr)], order[id(below)])
            if child is not None:
                continue
            todo.pop()
            if todo:
                above = todo[-1][0]
                low[id(above)] = min(low[id(above)], low[id(expr)])
            if low[id(expr)] == order[id(expr)]:
                at = next(i for i in range(len(path) - 1, -1, -1) if path[i] is expr)
                component = path[at:]
                del path[at:]
                open_.difference_update(map(id, component))
                if len(component) > 1 or any(below is expr for below in facts.first(expr)):
                    yield component


class _Elimination:
    def __init__(self, facts: Analysis, cycles: list[list[Rule]]) -> None:
        self.facts = facts
        self.cycles = cycles
        self.in_cycle = {rule for cycle in cycles for rule in cycle}
        self.known = {id(expr) for expr in facts.expressions}
        self.plus: dict[Rule, Rule] = {}  # a rule that may be empty -> its other words
        self.todo: list[Rule] = []  # those whose `plus` has no body yet
        self.bodies: dict[Rule, Expr] = {}
        self.size = 0

    def run(self) -> dict[Rule, Expr]:
        for cycle in self.cycles:
            if len(cycle) > MAX_CYCLE:
                raise LimitExceeded("rules of one left recursion", MAX_CYCLE, f"rule {cycle[0].name!r}")
            self.solve(cycle)
        while self.todo:
            rule = self.todo.pop()
            assert rule.body is not None
            self.plus[rule].define(self.nonempty(rule.body) or NOTHING)
        return self.bodies

    # -- empty words ----------------------------------------------------------------------------------------------------------

    def nullable(self, expr: Expr) -> bool:
        if id(expr) in self.known:
            return self.facts.nullable(expr)
        if isinstance(expr, Seq):
            return all(map(self.nullable, expr.items))
        if isinstance(expr, Choice):
            return any(map(self.nullable, expr.items))
        return expr == EMPTY or (isinstance(expr, Repeat) and (expr.min == 0 or self.nullable(expr.item)))

    def without_empty(self, rule: Rule) -> Rule:
        """The rule of the same words but the empty one."""
        if not self.nullable(rule):
            return rule
        if rule not in self.plus:
            self.plus[rule] = Rule(f"{rule.name} (not empty)")
            if rule not in self.in_cycle:
                self.todo.append(rule)
        return self.plus[rule]

    def nonempty(self, expr: Expr) -> Expr | None:
        """The words that are not empty; no word of what it starts with is empty. None if there are none."""
        if isinstance(expr, Rule):
            return self.without_empty(expr)
        if isinstance(expr, Choice):
            return _either([found for item in expr.items if (found := self.nonempty(item)) is not None])
        if isinstance(expr, Seq):
            return self._nonempty_sequence(expr.items)
        if isinstance(expr, Repeat):
            return self._nonempty_rounds(expr)
        if isinstance(expr, Bytes):
            return expr if expr.value else None
        if isinstance(expr, Regular) and expr.dfa.accepting[0]:
            rest = chardfa.difference(expr.dfa, chardfa.literal(""))
            return None if chardfa.is_empty(rest) else Regular(rest)
        if isinstance(expr, Bounded) and self.nullable(expr):
            return None if expr.max_length == 0 else Bounded(expr.dfa, 1, expr.max_length)
        if isinstance(expr, Named):
            return None
        if isinstance(expr, (Unique, Item)) and self.nullable(expr):
            raise StructgenError("left recursion beside a scope of distinct names that may be empty")
        return expr

    def _nonempty_sequence(self, items: Sequence[Expr]) -> Expr | None:
        found: list[Expr] = []
        for i, item in enumerate(items):
            first = self.nonempty(item)
            if first is not None:
                self.size += len(items) - i
                if self.size > MAX_SIZE:
                    raise LimitExceeded("size of a left recursion without empty words", MAX_SIZE)
                found.append(_sequence([first, *items[i + 1 :]]))
            if not self.nullable(item):
                break
        return _either(found)

    def _nonempty_rounds(self, expr: Repeat) -> Expr | None:
        if expr.max == 0:
            return None
        low, high = max(0, expr.min - 1), None if expr.max is None else expr.max - 1
        if expr.separator is not None:
            return self._nonempty_sequence([expr.item, Repeat(Seq((expr.separator, expr.item)), low, high)])
        first = self.nonempty(expr.item)
        return None if first is None else _sequence([first, Repeat(expr.item, 0 if self.nullable(expr.item) else low, high)])

    # -- equations ------------------------------------------------------------------------------------------------------------

    def solve(self, cycle: list[Rule]) -> None:
        """New bodies for the rules of one cycle."""
        n = len(cycle)
        numbers = {self.without_empty(rule): i for i, rule in enumerate(cycle)}
        starts: list[list[Expr]] = [[] for _ in cycle]
        edges: list[list[tuple[Expr, int]]] = [[] for _ in cycle]
        same: list[set[int]] = [{i} for i in range(n)]  # reached over edges whose label may be empty
        for i, rule in enumerate(cycle):
            assert rule.body is not None
            body = self.nonempty(rule.body)
            for called, rest in _heads(body, numbers) if body is not None else ():
                if called is None:
                    starts[i].append(rest)
                    continue
                if self.nullable(rest):
                    same[numbers[called]].add(i)
                label = self.nonempty(rest)
                if label is not None:
                    edges[numbers[called]].append((label, i))
        same = [_closure(same, i) for i in range(n)]
        paths = _Paths([[e for j in sorted(same[i]) for e in edges[j]] for i in range(n)], same, [rule.name for rule in cycle])
        for i, rule in enumerate(cycle):
            after = {k: path for k in range(n) if (path := paths.between(k, i)) is not None}
            words = Choice(tuple(_sequence([start, path]) for k, path in after.items() for start in starts[k]))
            self.bodies[rule] = Choice((self.plus[rule].define(words), EMPTY)) if self.nullable(rule) else words


class _Paths:
    """The labels along paths between the nodes of a graph."""

    def __init__(self, edges: list[list[tuple[Expr, int]]], same: list[set[int]], names: list[str]) -> None:
        self.edges, self.same, self.names = edges, same, names
        self.reached = [_closure([{j for _, j in e} | s for e, s in zip(edges, same, strict=True)], i) for i in range(len(edges))]
        self.rules: dict[tuple[int, int], Rule] = {}
        self.n_edges = 0

    def between(self, start: int, end: int) -> Expr | None:
        """All paths, None if there are none."""
        if end not in self.reached[start]:
            return None
        if len(self.edges) == 1:
            labels = _either([label for label, _ in self.edges[0]])
            return EMPTY if labels is None else Repeat(labels)
        if (start, end) not in self.rules:
            todo = [start]
            self.rules[start, end] = self._rule(start, end)
            while todo:
                node = todo.pop()
                for _, after in self.edges[node]:
                    if end in self.reached[after] and (after, end) not in self.rules:
                        self.rules[after, end] = self._rule(after, end)
                        todo.append(after)
                self._define(node, end)
        return self.rules[start, end]

    def _rule(self, start: int, end: int) -> Rule:
        return Rule(f"{self.names[end]} after {self.names[start]}")

    def _define(self, node: int, end: int) -> None:
        self.n_edges += len(self.edges[node])
        if self.n_edges > MAX_PATHS:
            raise LimitExceeded("edges of a left recursion", MAX_PATHS, f"rule {self.names[node]!r}")
        ways = [_sequence([label, self.rules[after, end]]) for label, after in self.edges[node] if end in self.reached[after]]
        self.rules[node, end].define(Choice((*ways, EMPTY) if end in self.same[node] else tuple(ways)))


def _heads(expr: Expr, numbers: dict[Rule, int]) -> list[tuple[Rule | None, Expr]]:
    """The ways to begin an expression: (rule called first, rest), or (None, all of it) where it is none of these rules."""
    found: list[tuple[Rule | None, Expr]] = []
    todo: list[tuple[Expr, tuple[Expr, ...]]] = [(expr, ())]
    while todo:
        first, rest = todo.pop()
        if isinstance(first, Rule) and first in numbers:
            found.append((first, _sequence(rest)))
        elif not _starts_with(first, numbers):
            found.append((None, _sequence([first, *rest])))
        elif isinstance(first, Choice):
            todo += [(item, rest) for item in first.items]
        elif isinstance(first, Seq):
            todo.append((first.items[0], (*first.items[1:], *rest)))
    return found


def _starts_with(expr: Expr, numbers: dict[Rule, int]) -> bool:
    todo = [expr]
    while todo:
        expr = todo.pop()
        if isinstance(expr, Rule):
            if expr in numbers:
                return True
        elif isinstance(expr, Choice):
            todo += expr.items
        elif isinstance(expr, Seq) and expr.items:
            todo.append(expr.items[0])
    return False


def _closure(successors: Sequence[set[int]], start: int) -> set[int]:
    found, todo = {start}, [start]
    while todo:
        for after in successors[todo.pop()] - found:
            found.add(after)
            todo.append(after)
    return found


def _sequence(items: Sequence[Expr]) -> Expr:
    return items[0] if len(items) == 1 else Seq(tuple(items)) if items else EMPTY


def _either(items: Sequence[Expr]) -> Expr | None:
    return None if not items else items[0] if len(items) == 1 else Choice(tuple(items))
