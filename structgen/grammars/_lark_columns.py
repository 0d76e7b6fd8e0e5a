"""Blocks in columns: a grammar with marks where columns are read, written out for each column up to the greatest.

Only rules in which columns are read are copied. A block is a chain of white space (`deeper`), at each column of which the block may
begin or more white space follow. The column of a text is that of `lark.indenter.Indenter`: its spaces, and ``tab`` for each tab.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from structgen.automata import ir
from structgen.automata._chardfa_minimal import canonical
from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.automata.chardfa import CharDfa, chars, is_empty, union
from structgen.errors import LimitExceeded

from ._lark_contexts import NOTHING, either, sequence

__all__ = ["Marks", "in_columns"]

MAX_COPIES = 500_000
"""Expressions, each counted for all its columns."""
WHITE = (ord("\t"), ord("\n"), ord(" "), ord("!"))

State = tuple[int, int]
"""The state of an automaton, and the column."""


class Marks(NamedTuple):
    """Expressions that read columns, by identity."""

    columns: dict[int, CharDfa]
    """Of their texts those of the column of the block."""
    indents: dict[int, CharDfa]
    """Of their texts those of greater columns, in which the rest of the sequence is."""


def in_columns(document: ir.Expr, marks: Marks, tab: int, max_column: int) -> ir.Expr:
    return _Columns(document, marks, tab, max_column).document


class _Columns:
    def __init__(self, document: ir.Expr, marks: Marks, tab: int, max_column: int) -> None:
        self.marks, self.tab, self.max_column = marks, tab, max_column
        self.marked: dict[int, bool] = {}
        self.exprs: list[ir.Expr] = []
        self.find_marked(document)
        self.written: dict[tuple[int, int], ir.Expr] = {}
        self.chains: dict[tuple[int, int, State], ir.Rule] = {}
        self.todo: list[Callable[[], object]] = []
        self.document = self.write(document, 0)
        while self.todo:
            self.todo.pop()()

    def find_marked(self, document: ir.Expr) -> None:
        """Whether columns are read in an expression, for all of them, by identity."""
        users: dict[int, list[int]] = {}
        todo, seen = [document], {id(document)}
        for expr in todo:  # grows
            for item in _items(expr):
                users.setdefault(id(item), []).append(id(expr))
                if id(item) not in seen:
                    seen.add(id(item))
                    todo.append(item)
        self.exprs = todo  # keeps them alive
        found = [i for i in seen if i in self.marks.columns or i in self.marks.indents]
        self.marked = dict.fromkeys(seen, False) | dict.fromkeys(found, True)
        for i in found:  # grows
            new = [user for user in users.get(i, ()) if not self.marked[user]]
            self.marked.update(dict.fromkeys(new, True))
            found += new

    def write(self, expr: ir.Expr, column: int) -> ir.Expr:
        """An expression in a block at a column."""
        if not self.marked.get(id(expr)):
            return expr
        key = (id(expr), column)
        if key not in self.written:
            if len(self.written) + len(self.chains) > MAX_COPIES:
                raise LimitExceeded("expressions, each counted for the columns of blocks", MAX_COPIES, "a Lark grammar")
            self.written[key] = self.copy(expr, column)
        return self.written[key]

    def copy(self, expr: ir.Expr, column: int) -> ir.Expr:
        if isinstance(expr, ir.Regular):
            if id(expr) in self.marks.indents:  # of a block without text
                return self.deeper(self.marks.indents[id(expr)], ir.EMPTY, column)
            return self.exactly(self.marks.columns[id(expr)], column)
        if isinstance(expr, ir.Choice):
            return either(self.write(item, column) for item in expr.items)
        if isinstance(expr, ir.Repeat):
            return ir.Repeat(self.write(expr.item, column), expr.min, expr.max)
        if isinstance(expr, ir.Seq):
            first, after = expr.items
            if id(first) in self.marks.indents:
                return self.deeper(self.marks.indents[id(first)], after, column)
            return sequence(self.write(first, column), self.write(after, column))
        assert isinstance(expr, ir.Rule)
        rule = ir.Rule(expr.name)
        self.todo.append(lambda: rule.define(self.write(_body(expr), column)))
        return rule

    # -- white space ------------------------------------------------------------------------------------------------------------

    def exactly(self, dfa: CharDfa, column: int) -> ir.Expr:
        """The texts of a column."""
        found = self.texts(dfa, column, lambda state: state[1] == column and dfa.accepting[state[0]], going_on=column)
        texts = union(*found.values())
        return NOTHING if is_empty(texts) else ir.Regular(texts)

    def deeper(self, dfa: CharDfa, after: ir.Expr, column: int) -> ir.Expr:
        """The texts of greater columns, with what follows in a block there."""
        found = self.texts(dfa, self.max_column, lambda state: state[1] > column, going_on=column)
        return either(sequence(ir.Regular(texts), self.chain(dfa, after, state)) for state, texts in found.items())

    def chain(self, dfa: CharDfa, after: ir.Expr, state: State) -> ir.Rule:
        """More white space from a state, or what follows in this column."""
        key = (id(dfa), id(after), state)
        if key not in self.chains:
            rule = self.chains[key] = ir.Rule("indent")
            self.todo.append(lambda: rule.define(self.link(dfa, after, state)))
        return self.chains[key]

    def link(self, dfa: CharDfa, after: ir.Expr, state: State) -> ir.Expr:
        starts, columns = self.letters(dfa)
        found: dict[State, list[tuple[int, int]]] = {}
        for i, letter in enumerate(columns):
            target = self.step(dfa, state, letter)
            if target is not None and target[1] <= self.max_column:
                found.setdefault(target, []).append((starts[i], (*starts, 0x110000)[i + 1] - 1))
        here = self.write(after, state[1]) if dfa.accepting[state[0]] else NOTHING
        deeper = (ir.Seq((ir.Regular(chars(tuple(ranges))), self.chain(dfa, after, target))) for target, ranges in found.items())
        return either((here, *deeper))

    def texts(self, dfa: CharDfa, most: int, is_last: Callable[[State], bool], *, going_on: int) -> dict[State, CharDfa]:
        """The texts to each of the last states, at columns up to ``most``; those at columns up to ``going_on`` go on."""
        starts, columns = self.letters(dfa)
        letters = list(dict.fromkeys(columns))
        states: list[State] = []

        def successors(state: State) -> list[State | None]:
            states.append(state)
            found = [self.step(dfa, state, letter) if state[1] <= going_on else None for letter in letters]
            return [after if after is not None and after[1] <= most else None for after in found]

        rows, _ = crawl((0, 0), successors, lambda _: False, MAX_STATES)
        classes = [letters.index(letter) for letter in columns]
        return {last: CharDfa(*canonical(starts, classes, rows, [state == last for state in states])) for last in states if is_last(last)}

    def step(self, dfa: CharDfa, state: State, letter: tuple[int, int]) -> State | None:
        char_class, width = letter
        after = dfa.table[state[0]][char_class] if char_class >= 0 else -1
        return (after, state[1] + width) if after >= 0 else None

    def letters(self, dfa: CharDfa) -> tuple[list[int], list[tuple[int, int]]]:
        """Intervals of characters, and for each the automaton's class and how many columns it counts."""
        starts = sorted({*dfa.starts, *WHITE})
        widths = {ord("\t"): self.tab, ord(" "): 1}
        return starts, [(dfa.classes[bisect_right(dfa.starts, start) - 1], widths.get(start, 0)) for start in starts]


def _items(expr: ir.Expr) -> tuple[ir.Expr, ...]:
    if isinstance(expr, ir.Rule):
        return (_body(expr),)
    return expr.items if isinstance(expr, ir.Seq | ir.Choice) else (expr.item,) if isinstance(expr, ir.Repeat) else ()


def _body(rule: ir.Rule) -> ir.Expr:
    assert rule.body is not None
    return rule.body
