"""Which expressions have words (productive), contain the empty word (nullable), and call themselves on the left.

Least fixpoints over the expression graph, by worklist: linear in its size, without recursion, so that hostile nesting
costs memory but no stack. Unproductive alternatives are dropped when a program is written, hence the machine has no dead ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from structgen.automata.ir import Bytes, Chars, Choice, Expr, Item, Quoted, QuotedText, Regular, Repeat, Rule, Seq, Unique
from structgen.automata.lexemes import effective_bounds
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["Analysis", "children"]

MAX_EXPRESSIONS = 2_000_000
SURROGATES = (0xD800, 0xDFFF)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct sub-expressions; a rule's body counts as its child."""
    if isinstance(expr, (Seq, Choice)):
        return expr.items
    if isinstance(expr, Repeat):
        return (expr.item,) if expr.separator is None else (expr.item, expr.separator)
    if isinstance(expr, Unique):
        return (expr.body,)
    if isinstance(expr, Item):
        return (expr.value,)
    if isinstance(expr, Rule):
        if expr.body is None:
            raise StructgenError(f"rule {expr.name!r} is used but not defined")
        return (expr.body,)
    return ()


class Analysis:
    """Facts about all expressions reachable from a root, keyed by identity."""

    def __init__(self, root: Expr) -> None:
        self.expressions = _reachable(root)
        parents: dict[int, list[Expr]] = {id(e): [] for e in self.expressions}
        for e in self.expressions:
            for child in children(e):
                parents[id(child)].append(e)
        self._productive = _least_fixpoint(self.expressions, parents, _is_productive)
        self._nullable = _least_fixpoint(self.expressions, parents, _is_nullable)
        self._capturing = _least_fixpoint(self.expressions, parents, _is_capturing)
        self._refuse_left_recursion()

    def productive(self, expr: Expr) -> bool:
        return id(expr) in self._productive

    def nullable(self, expr: Expr) -> bool:
        return id(expr) in self._nullable

    def capturing(self, expr: Expr) -> bool:
        """Whether a captured name stands in the expression itself (not inside a rule or a scope of its own)."""
        return id(expr) in self._capturing

    def _first(self, expr: Expr) -> Iterable[Expr]:
        """Sub-expressions that may start before anything is consumed."""
        if isinstance(expr, Seq):
            for item in expr.items:
                yield item
                if not self.nullable(item):
                    return
        elif isinstance(expr, Repeat) and expr.separator is not None and not self.nullable(expr.item):
            yield expr.item
        else:
            yield from children(expr)

    def _refuse_left_recursion(self) -> None:
        done: set[int] = set()
        for root in self.expressions:
            if not isinstance(root, Rule) or id(root) in done:
                continue
            open_: set[int] = {id(root)}
            stack: list[tuple[Expr, list[Expr]]] = [(root, list(self._first(root)))]
            while stack:
                expr, rest = stack[-1]
                if not rest:
                    stack.pop()
                    open_.discard(id(expr))
                    done.add(id(expr))
                    continue
                child = rest.pop()
                if id(child) in done or not self.productive(child):
                    continue
                if id(child) in open_:
                    cycle = [e.name for e, _ in stack if isinstance(e, Rule)]
                    raise StructgenError(f"left recursion: rule {cycle[-1]!r} reaches itself before consuming anything")
                open_.add(id(child))
                stack.append((child, [e for e in self._first(child) if self.productive(e)]))


def _reachable(root: Expr) -> list[Expr]:
    found = {id(root): root}
    stack = [root]
    while stack:
        for child in children(stack.pop()):
            if id(child) not in found:
                found[id(child)] = child
                stack.append(child)
                if len(found) > MAX_EXPRESSIONS:
                    raise LimitExceeded("grammar expressions", MAX_EXPRESSIONS)
    return list(found.values())


def _least_fixpoint(
    expressions: list[Expr], parents: dict[int, list[Expr]], holds: Callable[[Expr, set[int]], bool]
) -> set[int]:
    """Identities of the expressions for which ``holds`` follows from what already holds."""
    true: set[int] = set()
    work = list(expressions)
    while work:
        expr = work.pop()
        if id(expr) not in true and holds(expr, true):
            true.add(id(expr))
            work.extend(parents[id(expr)])
    return true


def _is_productive(expr: Expr, known: set[int]) -> bool:
    if isinstance(expr, (Bytes, QuotedText)):
        return True
    if isinstance(expr, Chars):
        return any(lo < SURROGATES[0] or hi > SURROGATES[1] for lo, hi in expr.ranges)
    if isinstance(expr, Regular):
        return any(expr.dfa.accepting)
    if isinstance(expr, Quoted):
        return effective_bounds(expr.content, expr.min_length, expr.max_length) is not None
    if isinstance(expr, Choice):
        return any(id(item) in known for item in expr.items)
    if isinstance(expr, Repeat):
        if expr.max is not None and expr.max < expr.min:
            return False
        item = id(expr.item) in known
        return expr.min == 0 or (item and (expr.min == 1 or expr.separator is None or id(expr.separator) in known))
    return all(id(child) in known for child in children(expr))


def _is_nullable(expr: Expr, known: set[int]) -> bool:
    if isinstance(expr, Bytes):
        return not expr.value
    if isinstance(expr, (QuotedText, Quoted, Chars)):
        return False
    if isinstance(expr, Regular):
        return expr.dfa.accepting[0]
    if isinstance(expr, Choice):
        return any(id(item) in known for item in expr.items)
    if isinstance(expr, Repeat):
        return expr.min == 0 or (id(expr.item) in known and (expr.min == 1 or expr.separator is None or id(expr.separator) in known))
    if isinstance(expr, Unique) and (expr.required or expr.min > 0):
        return False
    return all(id(child) in known for child in children(expr))


def _is_capturing(expr: Expr, known: set[int]) -> bool:
    if isinstance(expr, Quoted):
        return expr.capture
    if isinstance(expr, Item):
        return True
    return not isinstance(expr, (Rule, Unique)) and any(id(child) in known for child in children(expr))
