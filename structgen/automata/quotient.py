"""The texts that may stand before others in a language: the right quotient of a context-free language by a regular one.

L/K = { y : y x is in L for some x in K } is context-free (Hopcroft & Ullman 1979, section 6.3) and is made here as an expression
of its own, so that masks, token budgets and explanations work for it as for any constraint. K is a `Pattern`: fixed texts with gaps.

A *goal* (A, q) asks where words of the expression A may begin that end at the position q of the pattern. Goals are answered from
the right by need, one continuation per item of a sequence, as in Earley's parser (1970) read backwards; the product of the expressions and
positions is never written out. A *cut* of a goal is what of a word of A stands before the pattern when the rest of the word reads the
pattern up to q: of a sequence a b, that is a and then a cut of b, or a cut of a if b can be read up to q as a whole. Cuts are found from
those of lexemes, along the way the answers took: whoever asked for an answer to a goal has cuts by its cuts. Cuts of rules become rules.

Scopes of distinct names: the names behind a cut are known, hence they are taken out of what may be captured before it.
"""

from __future__ import annotations

import gc
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

from structgen.automata import chardfa, ir
from structgen.automata._quotient_lexemes import Count, Lexeme, Run, counts_left
from structgen.automata._quotient_pattern import Pattern, Wild
from structgen.automata._quotient_spelling import START, spelling
from structgen.automata.analysis import Analysis, children
from structgen.automata.lexemes import effective_bounds
from structgen.errors import LimitExceeded, StructgenError

__all__ = ["Pattern", "Wild", "right_quotient"]

MAX_ITEMS = 3_000_000
"""Answers passed on from goal to goal."""
ABOVE = (1 << 256) - (1 << 128)
NO_NAMES: frozenset[str] = frozenset()
Names = frozenset[str]
Answer = tuple[int, Names]
"""Where a word begins, and the names that it captures for the scope around it."""
NOTHING = ir.Choice(())
WILD = "\ud800"
"""Among names: one that a gap may make different from all others."""
SCOPE = "a scope in which names are counted or required in any order, or items differ,"
MAX_DEPTH = 200


def right_quotient(expr: ir.Expr, pattern: Pattern, *, impossible: Callable[[ir.Named], bool] = lambda guard: False) -> ir.Expr:
    """The texts y such that y followed by some text of the pattern is in the language of the expression: `Choice` of nothing if there
    are none. ``impossible`` tells which guards (`ir.Named`) do not hold.

    Raises StructgenError where the result would depend on names or items that are not known, LimitExceeded if it would be too large."""
    with _without_collection():
        return _Quotient(expr, pattern, impossible).run()


@contextmanager
def _without_collection() -> Iterator[None]:
    """Goals are many and all of use to the end: looking for garbage among them takes more than half of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Goal:
    """Where words of ``expr`` begin that end at ``at``, and their cuts."""

    __slots__ = ("answers", "at", "cuts", "expr", "known", "read", "rule", "waiting")

    def __init__(self, expr: ir.Expr, at: int) -> None:
        self.expr, self.at = expr, at
        self.answers: set[Answer] = set()
        self.waiting: list[_Waiter] = []
        self.known: set[Any] | None = None  # situations inside the expression
        self.read: dict[tuple[int, Names], int] | None = None  # of a repetition: at least so many rounds from here on, or any more
        self.cuts: dict[Names, dict[Any, _Way]] | None = None  # by the names that are captured behind the cut
        self.rule: ir.Rule | None = None  # all its cuts


class _Waiter(NamedTuple):
    """A step of a goal that wants the answers to another goal."""

    step: Callable[..., None]
    goal: _Goal
    data: tuple[Any, ...]


class _Way(NamedTuple):
    """A way to cut an expression: something before the cut and what is cut, with the names behind. Of a repetition: how many rounds were
    read behind the cut, and whether the separator is cut. Of a lexeme: all that may stand before the cut; None if that is refused."""

    before: tuple[ir.Expr, ...]
    goal: _Goal | None
    names: Names
    words: ir.Expr | None = None
    counts: set[Count] | None = None
    in_separator: bool = False


class _Quotient:
    """The goals of one quotient, and the expression made of their cuts."""

    def __init__(self, root: ir.Expr, pattern: Pattern, impossible: Callable[[ir.Named], bool]) -> None:
        self.pattern = pattern
        self.facts, self.last, self.scoped = _facts(root, tuple(guard for guard in list(ir.NAMED.values()) if impossible(guard)))
        self.goals: dict[tuple[int, int], _Goal] = {}
        self.leaves: list[_Goal] = []  # those with cuts
        self.ready: list[tuple[_Waiter, Answer]] = []
        self.todo: list[_Goal] = []
        self.strict: list[ir.Expr] = []  # what stands before cuts in strict scopes
        self.root = self._goal(root, pattern.end)

    def run(self) -> ir.Expr:
        n_items = 0
        while self.todo or self.ready:
            while self.ready:
                waiter, answer = self.ready.pop()
                n_items += 1
                if n_items > MAX_ITEMS:
                    raise LimitExceeded("steps of a right quotient", MAX_ITEMS, "a text behind a gap")
                waiter.step(self, waiter.goal, answer, *waiter.data)
            if self.todo:
                goal = self.todo.pop()
                n_items += len(children(goal.expr))
                _EXPAND[type(goal.expr)](self, goal)
        self._find_cuts()
        return self._build()

    # -- asking and answering -------------------------------------------------------------------------------------------------

    def _may_end(self, expr: ir.Expr, at: int) -> bool:
        """Whether a word that is not empty may end here, as far as the byte before tells."""
        if self.pattern.is_wild(at):
            return self.facts.productive(expr)
        step = self.pattern.byte_before[at]
        return step is not None and self.last[id(expr)] >> step[1] & 1 == 1

    def _goal(self, expr: ir.Expr, at: int) -> _Goal:
        key = id(expr), at
        goal = self.goals.get(key)
        if goal is None:
            goal = self.goals[key] = _Goal(expr, at)
            if type(expr) in _EXPAND:
                self.todo.append(goal)
            else:
                self._lexeme(goal)
        return goal

    def _ask(self, expr: ir.Expr, at: int, step: Callable[..., None], goal: _Goal, *data: Any) -> None:
        """Have a step of a goal called with every place where a word of the expression that ends here may begin."""
        waiter = _Waiter(step, goal, data)
        if not self._may_end(expr, at):
            if self.facts.nullable(expr):
                self.ready.append((waiter, (at, NO_NAMES)))
            return
        asked = self._goal(expr, at)
        asked.waiting.append(waiter)
        self.ready += [(waiter, answer) for answer in asked.answers]

    def _answer(self, goal: _Goal, answer: Answer) -> None:
        if answer not in goal.answers:
            goal.answers.add(answer)
            self.ready += [(waiter, answer) for waiter in goal.waiting]

    # -- sequences and alternatives -------------------------------------------------------------------------------------------

    def _seq(self, goal: _Goal) -> None:
        assert isinstance(goal.expr, ir.Seq)
        goal.known = set()
        self._read_from(goal, len(goal.expr.items), goal.at, NO_NAMES)

    def _read_from(self, goal: _Goal, k: int, p: int, names: Names) -> None:
        """The items from number k on are read from p on."""
        assert isinstance(goal.expr, ir.Seq) and goal.known is not None
        if k == 0:
            self._answer(goal, (p, names))
        elif (k, p, names) not in goal.known:
            goal.known.add((k, p, names))
            self._ask(goal.expr.items[k - 1], p, _Quotient._item_read, goal, k - 1, names)

    def _item_read(self, goal: _Goal, answer: Answer, k: int, names: Names) -> None:
        p, more = answer
        both = _joined(names, more)
        if both is not None:
            self._read_from(goal, k, p, both)

    def _choice(self, goal: _Goal) -> None:
        for item in children(goal.expr):
            self._ask(item, goal.at, _Quotient._answer, goal)

    def _inner(self, goal: _Goal) -> None:
        """Of a rule, a scope or an item: names captured inside stay inside."""
        (inner,) = children(goal.expr)
        self._ask(inner, goal.at, _Quotient._inner_read, goal)

    def _inner_read(self, goal: _Goal, answer: Answer) -> None:
        p, names = answer
        if isinstance(goal.expr, ir.Unique) and not self._scope_holds(goal.expr, goal.at - p, names):
            return
        self._answer(goal, (p, NO_NAMES))

    def _scope_holds(self, scope: ir.Unique, n_bytes: int, names: Names) -> bool:
        """Whether a whole scope with these names is allowed."""
        if not self._is_strict(scope):
            return True
        if WILD in names or self._has_items(scope):
            raise StructgenError(f"a gap lies in or before {SCOPE} which is not supported")
        return names.issuperset(scope.required) and scope.min <= len(names) and (scope.max is None or len(names) <= scope.max)

    def _is_strict(self, scope: ir.Unique) -> bool:
        return bool(scope.required) or scope.min > 0 or scope.max is not None or self._has_items(scope)

    def _has_items(self, scope: ir.Unique) -> bool:
        todo: list[ir.Expr] = [scope.body]
        while todo:
            expr = todo.pop()
            if isinstance(expr, ir.Item):
                return True
            if not isinstance(expr, (ir.Rule, ir.Unique)):
                todo += [child for child in children(expr) if self.facts.capturing(child)]
        return False

    # -- repetitions ----------------------------------------------------------------------------------------------------------

    def _repeat(self, goal: _Goal) -> None:
        goal.known, goal.read = set(), {}
        self._rounds_read(goal, goal.at, NO_NAMES, Count(0, False))

    def _rounds_read(self, goal: _Goal, p: int, names: Names, count: Count) -> None:
        """So many rounds are read from p on."""
        expr = goal.expr
        assert isinstance(expr, ir.Repeat) and goal.known is not None and goal.read is not None
        least = goal.read.get((p, names))
        if (least is not None and least <= count.n) or (p, names, count) in goal.known:
            return
        goal.known.add((p, names, count))
        if count.open:
            goal.read[p, names] = count.n
        if _fits(count, expr.min, expr.max):
            self._answer(goal, (p, names))
        if expr.max is not None and count.n >= expr.max:
            return
        if expr.separator is None or count.n == 0:
            self._round(goal, (p, NO_NAMES), p, names, count)
        else:
            self._ask(expr.separator, p, _Quotient._round, goal, p, names, count)

    def _round(self, goal: _Goal, answer: Answer, start: int, names: Names, count: Count) -> None:
        """The item of a round ends where its separator, if it has one, begins."""
        assert isinstance(goal.expr, ir.Repeat)
        p, more = answer
        both = _joined(names, more)
        if both is not None:
            self._ask(goal.expr.item, p, _Quotient._round_read, goal, start, names, both, count)

    def _round_read(self, goal: _Goal, answer: Answer, start: int, before: Names, names: Names, count: Count) -> None:
        expr = goal.expr
        assert isinstance(expr, ir.Repeat)
        p, more = answer
        both = _joined(names, more)
        if both is None:
            return
        if p == start and both == before and (count.n or expr.separator is None):  # once more, any number of times
            self._rounds_read(goal, p, both, Count(count.n, True))
        else:
            n = count.n + 1
            self._rounds_read(goal, p, both, Count(n if expr.max is not None else min(n, max(expr.min, 1)), count.open))

    # -- lexemes --------------------------------------------------------------------------------------------------------------

    def _lexeme(self, goal: _Goal) -> None:
        """The answers and cuts of a lexeme."""
        expr, at = goal.expr, goal.at
        if isinstance(expr, ir.Bytes):
            begins, cuts = self._bytes(expr.value, at)
            goal.answers.update((p, NO_NAMES) for p in begins)
            self._cut(goal, NO_NAMES, ir.Choice(tuple(ir.Bytes(expr.value[:n]) for n in sorted(cuts))))
        elif isinstance(expr, ir.Token):
            if self.pattern.is_wild(at):
                goal.answers.add((at if at in self.pattern.loops else at - 1, NO_NAMES))
        elif isinstance(expr, ir.Named):
            goal.answers.update([(at, NO_NAMES)] if self.facts.productive(expr) else [])
        else:
            run = lexeme(expr).run(self.pattern, at)
            if isinstance(expr, ir.Quoted) and expr.capture and id(expr) in self.scoped:
                self._captured(goal, run)
            else:
                goal.answers.update((p, NO_NAMES) for p, _ in run.begins)
                self._cut(goal, NO_NAMES, lexeme(expr).beginning(run.cuts))

    def _cut(self, goal: _Goal, names: Names, words: ir.Expr | None) -> None:
        """A cut of a lexeme, with the names behind it and all that may stand before it."""
        if goal.at and words != NOTHING:
            if goal.cuts is None:
                goal.cuts = {}
                self.leaves.append(goal)
            goal.cuts[names] = {None: _Way((), None, names, words)}

    def _captured(self, goal: _Goal, run: Run) -> None:
        """The answers and cuts of a name that must differ from others."""
        assert isinstance(goal.expr, ir.Quoted)
        for p, wild in run.begins:
            name = self._name(goal.expr, p, goal.at, wild)
            goal.answers.add((p, name))
            if p == 0:
                self._cut(goal, name, ir.EMPTY)
        inside = {state: counts for state, counts in run.cuts.items() if state != START}
        if lexeme(goal.expr).beginning(inside) != NOTHING:
            self._cut(goal, NO_NAMES, None)

    def _name(self, expr: ir.Quoted, p: int, at: int, wild: bool) -> Names:
        """The name of a captured string."""
        if not wild:
            return frozenset([json.loads(self.pattern.fixed(p, at))])
        endless = expr.max_length is None and (expr.content is None or chardfa.is_finite(chardfa.complement(expr.content)))
        if not endless or any(q in self.pattern.zones for q in range(p, at + 1)):
            raise StructgenError("a gap lies in a name that must differ from others, and could run out of names: this is not supported")
        return frozenset([WILD])

    def _bytes(self, value: bytes, at: int) -> tuple[set[int], set[int]]:
        """Where the bytes may begin that end here, and how many of them may stand before the pattern."""
        begins, cuts = set(), set()
        todo, known = [(len(value), at)], {(len(value), at)}
        while todo:
            n, p = todo.pop()
            if n == 0:
                begins.add(p)
            if p == 0:
                cuts.add(n)
            elif n:
                for q in self._bytes_before(p, value[n - 1]):
                    if (n - 1, q) not in known:
                        known.add((n - 1, q))
                        todo.append((n - 1, q))
        return begins, cuts

    def _bytes_before(self, p: int, byte: int) -> Iterator[int]:
        fixed = self.pattern.byte_before[p]
        if fixed is not None and fixed[1] == byte:
            yield fixed[0]
        if p in self.pattern.loops:
            yield p
        if p in self.pattern.zones:
            yield p - 1

    # -- cuts -----------------------------------------------------------------------------------------------------------------

    def _find_cuts(self) -> None:
        """From the cuts of lexemes to those of all that asked for them."""
        todo = [(goal, names) for goal in self.leaves for names in goal.cuts or ()]
        while todo:
            goal, names = todo.pop()
            for waiter in goal.waiting:
                user, (both, way) = waiter.goal, self._way(waiter, goal, names)
                if both is None or (user is goal and not way.before):
                    continue
                if user.cuts is None:
                    user.cuts = {}
                if both not in user.cuts:
                    user.cuts[both] = {}
                    todo.append((user, both))
                known = user.cuts[both].setdefault((id(goal), names, len(way.before), way.in_separator), way)
                if way.counts and known.counts is not None:
                    known.counts.update(way.counts)

    def _way(self, waiter: _Waiter, goal: _Goal, names: Names) -> tuple[Names | None, _Way]:
        """The way to cut what asked for a goal that is cut, and the names behind that cut; None if some are the same."""
        expr, data = waiter.goal.expr, waiter.data
        if isinstance(expr, ir.Seq):
            k, others = data
            return _joined(names, others), _Way(expr.items[:k], goal, names)
        if isinstance(expr, ir.Repeat):
            *_, others, count = data
            way = _Way((expr,), goal, names, None, {count}, waiter.step is _Quotient._round)
            return _joined(names, others), way
        return names if isinstance(expr, ir.Choice) else NO_NAMES, _Way((), goal, names)

    # -- the expression -------------------------------------------------------------------------------------------------------

    def _build(self) -> ir.Expr:
        """What may stand before the pattern: rules for all cuts that are used."""
        if not self.root.cuts:
            return NOTHING
        todo: list[_Goal] = []
        found = self._expr(self.root, NO_NAMES, NO_NAMES, todo, 0)
        while todo:
            goal = todo.pop()
            assert goal.rule is not None
            words = self._scope(goal, todo) if isinstance(goal.expr, ir.Unique) else self._words(goal, NO_NAMES, NO_NAMES, todo, 0)
            goal.rule.define(words)
        if any(_last_bytes(Analysis(body, {}))[id(body)] for body in self.strict):
            raise StructgenError(f"a gap lies in {SCOPE} which goes on behind it: this is not supported")
        return found

    def _expr(self, goal: _Goal, names: Names, in_scope: Names, todo: list[_Goal], depth: int) -> ir.Expr:
        """What stands before a cut with these names behind it in the goal's expression, and those in all of the scope around it. What
        captures no names for a scope becomes a rule, to be filled in by those ``todo``."""
        while not self._is_inline(goal):
            way = self._only_way(goal)
            if way is None:
                if goal.rule is None:
                    goal.rule = ir.Rule(f"a beginning of {goal.expr.name if isinstance(goal.expr, ir.Rule) else type(goal.expr).__name__}")
                    todo.append(goal)
                return goal.rule
            if way.goal is None:
                assert way.words is not None
                return way.words
            goal, names = way.goal, way.names
        if depth > MAX_DEPTH:
            raise LimitExceeded("nesting of distinct names", MAX_DEPTH, "a text behind a gap")
        return self._words(goal, names, in_scope, todo, depth + 1)

    def _is_inline(self, goal: _Goal) -> bool:
        """Whether names captured in the goal's expression belong to the scope around it, so that it cannot be a rule."""
        return id(goal.expr) in self.scoped and not isinstance(goal.expr, (ir.Rule, ir.Unique, ir.Item))

    def _only_way(self, goal: _Goal) -> _Way | None:
        """The one way to cut a goal, if there is nothing before it and it is no scope."""
        assert goal.cuts is not None
        ways = list(goal.cuts[NO_NAMES].values())
        return ways[0] if len(ways) == 1 and not ways[0].before and not isinstance(goal.expr, ir.Unique) else None

    def _words(self, goal: _Goal, names: Names, in_scope: Names, todo: list[_Goal], depth: int) -> ir.Expr:
        assert goal.cuts is not None
        found = []
        for way in goal.cuts[names].values():
            if way.goal is not None:
                before = [_without(item, in_scope) for item in _before(way)]
                found.append(_sequence([*before, self._expr(way.goal, way.names, in_scope, todo, depth)]))
            elif way.words is not None:
                found.append(way.words)
            else:
                raise StructgenError("a name that must differ from others begins in a gap and ends behind it: this is not supported")
        return found[0] if len(found) == 1 else ir.Choice(tuple(found))

    def _scope(self, goal: _Goal, todo: list[_Goal]) -> ir.Expr:
        assert isinstance(goal.expr, ir.Unique) and goal.cuts is not None
        ways = goal.cuts[NO_NAMES].values()
        bodies = [self._expr(way.goal, way.names, way.names, todo, 0) for way in ways if way.goal is not None]
        if not self._is_strict(goal.expr):
            return ir.Choice(tuple(map(ir.Unique, bodies)))
        self.strict += bodies
        return ir.EMPTY if (0, NO_NAMES) in goal.answers else NOTHING


_EXPAND: dict[type[ir.Expr], Callable[[_Quotient, _Goal], None]] = {
    ir.Seq: _Quotient._seq,
    ir.Choice: _Quotient._choice,
    ir.Rule: _Quotient._inner,
    ir.Item: _Quotient._inner,
    ir.Unique: _Quotient._inner,
    ir.Repeat: _Quotient._repeat,
}
"""How goals of these expressions are answered; all others are lexemes."""


def _before(way: _Way) -> tuple[ir.Expr, ...]:
    """What stands before what is cut."""
    if way.counts is None:
        return way.before
    (expr,) = way.before
    assert isinstance(expr, ir.Repeat)
    counts = way.counts if way.in_separator else {Count(count.n + 1, count.open) for count in way.counts}
    rounds: list[ir.Expr] = []
    for low, high in counts_left(counts, expr.min, expr.max):
        if way.in_separator:
            rounds.append(ir.Repeat(expr.item, max(low, 1), high, expr.separator, expr.determined))
        else:
            item = expr.item if expr.separator is None else ir.Seq((expr.item, expr.separator))
            rounds.append(ir.Repeat(item, low, high, None, expr.determined) if high != 0 else ir.EMPTY)
    return (ir.Choice(tuple(rounds)) if len(rounds) != 1 else rounds[0],)


def _joined(a: Names, b: Names) -> Names | None:
    """The names of both, None where they share one."""
    if not a or not b:
        return a or b
    return None if (a & b) - {WILD} else a | b


def _fits(count: Count, low: int, high: int | None) -> bool:
    return (high is None or count.n <= high) and (count.open or count.n >= low)


def _sequence(items: list[ir.Expr]) -> ir.Expr:
    kept = [item for item in items if item != ir.EMPTY]
    return kept[0] if len(kept) == 1 else ir.Seq(tuple(kept))


@lru_cache(maxsize=4096)
def lexeme(expr: ir.Expr) -> Lexeme:
    """The automaton of a lexeme."""
    if isinstance(expr, ir.Chars):
        return Lexeme(chardfa.chars(expr.ranges))
    if isinstance(expr, ir.Regular):
        return Lexeme(expr.dfa)
    if isinstance(expr, ir.Bounded):
        return Lexeme(expr.dfa, *_bounds(expr.dfa, expr.min_length, expr.max_length))
    if isinstance(expr, ir.QuotedText):
        return Lexeme(spelling(chardfa.literal(expr.text)))
    assert isinstance(expr, ir.Quoted)
    return Lexeme(spelling(expr.content), *_bounds(expr.content, expr.min_length, expr.max_length))


def _bounds(content: chardfa.CharDfa | None, low: int, high: int | None) -> tuple[int, int | None]:
    found = effective_bounds(content, low, high)
    assert found is not None, "lexemes without words are not asked for"
    return found[0], None if found[1] < 0 else found[1]


def _without(expr: ir.Expr, names: Names) -> ir.Expr:
    """The expression without these names among those that it captures for the scope around it."""
    names -= {WILD}
    if not names or isinstance(expr, (ir.Rule, ir.Unique, ir.Item)):
        return expr
    if isinstance(expr, ir.Quoted) and expr.capture:
        others = chardfa.all_but(sorted(names))
        content = others if expr.content is None else chardfa.intersect(expr.content, others)
        return ir.Quoted(content, expr.min_length, expr.max_length, True)
    if isinstance(expr, ir.Seq):
        return ir.Seq(tuple(_without(item, names) for item in expr.items))
    if isinstance(expr, ir.Choice):
        return ir.Choice(tuple(_without(item, names) for item in expr.items))
    if isinstance(expr, ir.Repeat):
        separator = None if expr.separator is None else _without(expr.separator, names)
        return ir.Repeat(_without(expr.item, names), expr.min, expr.max, separator, expr.determined)
    return expr


def _facts(root: ir.Expr, impossible: tuple[ir.Named, ...]) -> tuple[Analysis, dict[int, int], set[int]]:
    """What does not depend on the pattern: facts about the expressions, their last bytes, those that capture names. Kept for the
    grammars used last, as gaps come with ever new texts behind them."""
    key = id(root), frozenset(map(id, impossible))
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key][1:]
    facts = Analysis(root, {}, map(id, impossible))
    found = facts, _last_bytes(facts), _in_scopes(facts)
    with _lock:
        _known[key] = (root, impossible), *found  # with what keeps identities from being reused
        while len(_known) > MAX_KNOWN:
            _known.popitem(last=False)
    return found


MAX_KNOWN = 8
_known: OrderedDict[tuple[int, frozenset[int]], tuple[Any, Analysis, dict[int, int], set[int]]] = OrderedDict()
_lock = threading.Lock()


def _in_scopes(facts: Analysis) -> set[int]:
    """Identities of the expressions that capture names for a scope around them."""
    found: set[int] = set()
    todo = [expr.body for expr in facts.expressions if isinstance(expr, ir.Unique)]
    while todo:
        expr = todo.pop()
        if id(expr) not in found and facts.capturing(expr):
            found.add(id(expr))
            if not isinstance(expr, (ir.Rule, ir.Unique, ir.Item)):
                todo += children(expr)
    for expr in facts.expressions:
        if id(expr) not in found and not isinstance(expr, ir.Unique) and any(id(child) in found for child in children(expr)):
            raise StructgenError("an expression that captures names stands both in a scope of distinct names and outside")
    return found


def _last_bytes(facts: Analysis) -> dict[int, int]:
    """By expression: the bytes that its words may end with, as bits. A least fixpoint; too much does no harm."""
    found: dict[int, int] = {}
    for expr in facts.expressions:
        found[id(expr)] = _LAST[type(expr)](expr) if type(expr) in _LAST and facts.productive(expr) else 0
    inner = [expr for expr in facts.expressions if type(expr) not in _LAST]
    changed = True
    while changed:
        changed = False
        for expr in inner:
            bits = 0
            for item in _may_be_last(expr, facts):
                bits |= found[id(item)]
            if bits != found[id(expr)]:
                found[id(expr)] = bits
                changed = True
    return found


def _may_be_last(expr: ir.Expr, facts: Analysis) -> Iterator[ir.Expr]:
    if isinstance(expr, ir.Seq):
        for item in reversed(expr.items):
            yield item
            if not facts.nullable(item):
                return
    elif not isinstance(expr, ir.Repeat) or (expr.separator is not None and facts.nullable(expr.item)):
        yield from children(expr)
    else:
        yield expr.item


def _last_of_dfa(dfa: chardfa.CharDfa) -> int:
    letters = {letter for row in dfa.table for letter, target in enumerate(row) if target >= 0 and dfa.accepting[target]}
    return _last_of([span for letter, spans in enumerate(dfa.class_ranges()) if letter in letters for span in spans])


def _last_of(ranges: Iterable[tuple[int, int]]) -> int:
    """The bytes that characters end with; those above 127 all or none."""
    found = 0
    for low, high in ranges:
        found |= (1 << min(high, 127) + 1) - (1 << low) if low < 128 else 0
        found |= ABOVE if high >= 128 else 0
    return found


_LAST: dict[type[ir.Expr], Callable[[Any], int]] = {
    ir.Bytes: lambda expr: 1 << expr.value[-1] if expr.value else 0,
    ir.Token: lambda expr: 0,
    ir.Named: lambda expr: 0,
    ir.Chars: lambda expr: _last_of(expr.ranges),
    ir.Regular: lambda expr: _last_of_dfa(expr.dfa),
    ir.Bounded: lambda expr: _last_of_dfa(expr.dfa),
    ir.Quoted: lambda expr: 1 << ord('"'),
    ir.QuotedText: lambda expr: 1 << ord('"'),
}
