"""From a grammar expression to a program in the arena: one rule cell per `Rule`, `Unique` scope and counted repetition.

Sequences, alternatives and plain loops become jumps inside a rule; lexemes become calls of rules shared by the whole
engine. Counted repetitions keep their count in the element (see _state_kernels), so bounds are never unrolled, except tiny
ones of single characters, where a chain of states is cheaper than a counter. Deep nesting is outlined into further rules, so
the depth of Python recursion is bounded whatever the grammar.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from structgen.automata import _names_kernels as N
from structgen.automata import _state_kernels as K
from structgen.automata.analysis import Analysis
from structgen.automata.chardfa import CharDfa, literal
from structgen.automata.ir import (
    EMPTY,
    NAMED,
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
from structgen.automata.left_recursion import without_left_recursion
from structgen.automata.lexemes import effective_bounds, inexhaustible, lexeme_rule
from structgen.automata.marks import mark
from structgen.automata.utf8 import byte_sequences
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema

if TYPE_CHECKING:
    from structgen.automata.engine import Engine

__all__ = ["lower"]

MAX_DEPTH = 40  # nesting inside one rule before it is outlined
MAX_SCOPE_DEPTH = 200  # nesting of captured names, which cannot be outlined
MAX_COUNTS = 1 << 16  # instructions of a repetition times numbers of rounds, where what was read does not determine their number
UNROLL = 8  # repetitions of a single character up to this bound are unrolled

_one_at_a_time = Lock()  # rules may be shared by engines, and rewritten
Place = int  # of an instruction in the code of a rule, in words


def lower(engine: Engine, root: Expr) -> int:
    """Write the grammar into the engine's arena; the cell of its start rule.

    Raises UnsatisfiableSchema if it has no words, VocabularyError for a token that the vocabulary lacks, StructgenError for an
    undefined rule."""
    impossible: set[int] = set()  # identities of the scopes that cannot be finished: found once they are written
    with engine.lock, _one_at_a_time:
        while (cell := _Lowering(engine, root, impossible).run()) is None:
            pass
        return cell


class _Lowering:
    def __init__(self, engine: Engine, root: Expr, impossible: set[int]) -> None:
        self.engine = engine
        self.root = root
        self.impossible = impossible
        self.guards = [guard for guard in list(NAMED.values()) if engine.standing(guard.token) != guard.standing]  # no words here
        wordless = {*impossible, *map(id, self.guards)}
        self.facts = Analysis(root, engine.rules, wordless)
        if self.facts.left_recursive:
            for rule, definition in without_left_recursion(Analysis(root, {}, wordless)).items():
                rule.rewritten = definition
            self.facts = Analysis(root, engine.rules, wordless)
        self.cells: dict[int, int] = {}  # identity of an expression -> its rule cell
        self.queue: list[tuple[int, Expr]] = []
        self.named: list[Rule] = []
        self.guarded: list[tuple[int, Unique]] = []  # cells of scopes whose names or items may run out, are required or are counted
        self.unfinished: list[Unique] = []  # scopes that cannot have what they want

    def run(self) -> int | None:
        """The cell of the start rule; None if scopes turn out to be impossible (which are noted), and all has to be written again."""
        if not self.facts.productive(self.root):
            why = ": a scope cannot have as many distinct names or items as it wants" if self.impossible else ""
            raise UnsatisfiableSchema(f"the constraint has no valid text at all{why}")
        try:
            cell = self.cell(self.root)
            while self.queue:
                rule_cell, expr = self.queue.pop()
                _Body(self).write(rule_cell, expr)
            self.unfinished += [scope for scope_cell, scope in self.guarded if not self.engine.can_finish(scope_cell)]
        except BaseException:
            self._forget()
            raise
        if self.unfinished:
            self._forget()
            self.impossible.update(map(id, self.unfinished))
        return None if self.unfinished else cell

    def _forget(self) -> None:
        """Rules whose cells may be unfinished, or not as they should be."""
        for rule in self.named:
            self.engine.rules.pop(rule, None)

    def cell(self, expr: Expr) -> int:
        """The rule cell of an expression of its own; its body is written later. Cells of `Rule` objects are kept."""
        key = id(expr)
        if key not in self.cells:
            known = self.engine.rules.get(expr) if isinstance(expr, Rule) else None
            self.cells[key] = known[0] if known else self._new_cell(expr)
        return self.cells[key]

    def _new_cell(self, expr: Expr) -> int:
        cell = self.engine.new_rule()
        self.queue.append((cell, expr))
        if isinstance(expr, Rule):
            self.engine.rules[expr] = cell, self.facts.of(expr)
            self.named.append(expr)
        return cell

    def item_cell(self, item: Item) -> int:
        """The rule cell of an item with one value only, which it knows."""
        if id(item) not in self.cells:
            assert item.only is not None
            value = self.engine.value(item.only)
            cell = self.cells[id(item)] = self.engine.new_rule()
            self.engine.arena[cell + K.R_VALUE] = value
            self.queue.append((cell, item.value))
        return self.cells[id(item)]


class _Body:
    """The instructions of one rule while they are written. Targets are places in the code, made absolute at the end."""

    def __init__(self, lowering: _Lowering) -> None:
        self.lowering = lowering
        self.facts = lowering.facts
        self.engine = lowering.engine
        self.code: list[int] = []
        self.targets: list[int] = []  # which words of the code are targets
        self.in_scope = False  # in the body of a `Unique`: what captures names must stay in this rule
        self.required: set[CharDfa | None] = set()  # the contents of the names that the scope wants
        self.offered: set[CharDfa | None] = set()  # the contents of the names that it can have
        self.limited = False  # whether the scope has a greatest number of names
        self.counting = False  # in a counted repetition: elements carry the count, so literals must be called

    def write(self, cell: int, expr: Expr) -> None:
        if isinstance(expr, Rule):
            assert expr.definition is not None
            expr = expr.definition
        scope = expr if isinstance(expr, Unique) else None
        if scope is not None:
            expr, self.in_scope = scope.body, True
            self.required = {literal(name) for name in scope.required}
            self.limited = scope.max is not None
        if isinstance(expr, Repeat):
            expr = self._possible(expr)
        if isinstance(expr, Repeat) and not self._is_inline(expr):
            self._counted(expr)
        else:
            self.emit(expr, 0)
        self._op(K.ACCEPT)
        guarded = scope is not None and self._guard(scope)
        base = self.engine.reserve(len(self.code))
        for at in self.targets:
            self.code[at] += base
        self.engine.write(self.code)
        self.engine.define_rule(cell, base)
        if scope is not None and not self.required <= self.offered:
            self.lowering.unfinished.append(scope)
        elif scope is not None and guarded:
            self.lowering.guarded.append((cell, scope))

    def _guard(self, scope: Unique) -> bool:
        """Give all instructions the record of a scope whose names may run out, are required or are counted."""
        code = self.code
        calls = (at for at in range(0, len(code), K.WIDTH) if code[at] == K.CALL)
        captures = {code[at + 1]: code[at + 2] for at in calls if code[at + 2] & N.CAPTURE}
        scarce = any(capture & N.EXHAUSTIBLE for capture in captures.values())
        items = any(code[at] == K.CALL and code[at + 2] & N.SCARCE for at in range(0, len(code), K.WIDTH))
        if not (scarce or items or scope.required or scope.min or scope.max is not None):
            return False
        counts = [self.engine.n_words(cell) if capture & N.EXHAUSTIBLE else -1 for cell, capture in captures.items()]
        total = -1 if items or -1 in counts else sum(counts)
        if len(captures) > 1 and not isinstance(scope.body, Repeat) and (total >= 0 or scope.max is not None):
            raise StructgenError("several kinds of distinct names in one scope, all of which may run out, want a plain repetition")
        names = sorted(map(self.engine.name, scope.required))
        record = self.engine.write([scope.min, -1 if scope.max is None else scope.max, total, items, len(names), *names])
        for at in range(0, len(code), K.WIDTH):
            if code[at] in (K.CALL, K.BYTE, K.LITERAL, K.ACCEPT):
                code[at + 3] = record
        return True

    def _op(self, op: int, a: int = 0, b: int = 0, c: int = 0) -> Place:
        place = len(self.code)
        self.code += (op, a, b, c)
        return place

    def _split(self) -> Place:
        """Two ways on: the next instruction, and one still to be said (`_lead`)."""
        place = self._op(K.SPLIT)
        self._lead(place, 1)
        return place

    def _lead(self, place: Place, operand: int, to: Place | None = None) -> None:
        """Set a target of an instruction, normally to where the next one will be written."""
        self.code[place + operand] = len(self.code) if to is None else to
        self.targets.append(place + operand)

    def _call(self, cell: int, *, capture: int = 0, nullable: bool = False) -> None:
        self._op(K.CALL, cell, capture | (N.NULLABLE if nullable else 0))

    def _names_stay(self, expr: Expr) -> bool:
        """Whether an expression must not be outlined, because its names belong to the scope being written."""
        return self.in_scope and self.facts.capturing(expr)

    def emit(self, expr: Expr, depth: int) -> None:
        if depth > MAX_DEPTH and isinstance(expr, (Seq, Choice, Repeat)) and not self._names_stay(expr):
            self._call(self.lowering.cell(expr), nullable=self.facts.nullable(expr))
        elif depth > MAX_SCOPE_DEPTH:
            raise LimitExceeded("nesting inside a scope of distinct names", MAX_SCOPE_DEPTH)
        else:
            _EMIT[type(expr)](self, expr, depth)

    def _bytes(self, expr: Bytes, depth: int) -> None:
        self.code += _spelled(tuple(zip(expr.value, expr.value, strict=True)))

    def _token(self, expr: Token, depth: int) -> None:
        self._bytes(Bytes(mark(self.engine.special_token(expr.token))), depth)

    def _seq(self, expr: Seq, depth: int) -> None:
        for item in expr.items:
            self.emit(item, depth + 1)

    def _text(self, expr: QuotedText, depth: int) -> None:
        if self.counting:
            self._call(self.lowering.cell(expr))
        else:
            self._op(K.LITERAL, self.engine.text(expr.text), len(expr.text))

    def _rule(self, expr: Rule | Unique, depth: int) -> None:
        self._call(self.lowering.cell(expr), nullable=self.facts.nullable(expr))

    def _choice(self, expr: Choice, depth: int) -> None:
        *others, last = filter(self.facts.productive, expr.items)
        exits = []
        for item in others:
            split = self._split()
            self.emit(item, depth + 1)
            exits.append(self._op(K.JUMP))
            self._lead(split, 2)
        self.emit(last, depth + 1)
        for jump in exits:
            self._lead(jump, 1)

    def _chars(self, expr: Chars, depth: int) -> None:
        *others, last = byte_sequences(expr.ranges)
        exits = []
        for sequence in others:
            split = self._split()
            self.code += _spelled(tuple(sequence))
            exits.append(self._op(K.JUMP))
            self._lead(split, 2)
        self.code += _spelled(tuple(last))
        for jump in exits:
            self._lead(jump, 1)

    def _regular(self, expr: Regular, depth: int) -> None:
        cell = lexeme_rule(self.engine, expr.dfa, False, (0, -1))
        self._call(cell, nullable=expr.dfa.accepting[0])

    def _bounded(self, expr: Bounded, depth: int) -> None:
        bounds = effective_bounds(expr.dfa, expr.min_length, expr.max_length)
        assert bounds is not None, "unproductive lexemes are dropped before"
        self._call(lexeme_rule(self.engine, expr.dfa, False, bounds), nullable=self.facts.nullable(expr))

    def _named(self, expr: Named, depth: int) -> None:
        """A guard that is true: the empty word."""

    def _quoted(self, expr: Quoted, depth: int) -> None:
        bounds = effective_bounds(expr.content, expr.min_length, expr.max_length)
        assert bounds is not None, "unproductive lexemes are dropped before"
        capture = 0
        if expr.capture and self.in_scope:
            self.offered.add(expr.content)
            free = bounds[1] < 0 and inexhaustible(expr.content) and not self.limited
            capture = N.CAPTURE | (0 if free else N.EXHAUSTIBLE) | (N.REQUIRED if expr.content in self.required else 0)
        self._call(lexeme_rule(self.engine, expr.content, True, bounds), capture=capture)

    def _item(self, expr: Item, depth: int) -> None:
        cell, capture = self.lowering.cell(expr.value), 0
        if self.in_scope and expr.only is None:
            capture = N.ITEM
        elif self.in_scope:
            capture = N.ITEM | N.EXHAUSTIBLE
            cell = self.lowering.item_cell(expr)
        if self.in_scope and expr.scarce:
            capture |= N.EXHAUSTIBLE | N.SCARCE
        self._call(cell, capture=capture)

    def _is_inline(self, expr: Repeat) -> bool:
        """Whether a repetition needs no counter."""
        if expr.max is None:
            return expr.min <= 1
        if expr.max <= 1:
            return True
        return expr.separator is None and expr.max <= UNROLL and isinstance(expr.item, (Chars, Bytes))

    def _possible(self, expr: Repeat) -> Repeat:
        """The same repetition without rounds that have no words."""
        if expr.max == 0 or not self.facts.productive(expr.item):
            return Repeat(EMPTY, 0, 0)
        if expr.separator is not None and not self.facts.productive(expr.separator):
            return Repeat(expr.item, expr.min, 1)
        return expr

    def _repeat(self, expr: Repeat, depth: int) -> None:
        possible = self._possible(expr)
        if possible.max is not None and possible.max <= 1:
            self._unroll(possible.item, possible.min, possible.max, depth)
        elif expr.max is None and expr.min <= 1:
            self._loop(expr, depth)
        elif self._is_inline(expr):
            assert expr.max is not None
            self._unroll(expr.item, expr.min, expr.max, depth)
        elif self._names_stay(expr):
            self._counted(expr)
        else:
            self._call(self.lowering.cell(expr), nullable=self.facts.nullable(expr))

    def _unroll(self, item: Expr, low: int, high: int, depth: int) -> None:
        splits = []
        for i in range(high):
            if i >= low:
                splits.append(self._split())
            self.emit(item, depth + 1)
        for split in splits:
            self._lead(split, 2)

    def _loop(self, expr: Repeat, depth: int) -> None:
        skip = self._split() if expr.min == 0 else None
        body = len(self.code)
        self.emit(expr.item, depth + 1)
        again = self._split()
        if expr.separator is not None:
            self.emit(expr.separator, depth + 1)
        self._lead(self._op(K.JUMP), 1, body)
        self._lead(again, 2)
        if skip is not None:
            self._lead(skip, 2)

    def _counted(self, expr: Repeat) -> None:
        """Rounds counted in the element, so nothing inside may use the element's progress: literals and inner counts are
        called. Normally the whole body of a rule of its own; in a scope of distinct names, a part of the scope's rule."""
        if self.counting:
            raise StructgenError("a counted repetition of distinct names inside another one in the same scope")
        self.counting = True
        high = -1 if expr.max is None else expr.max
        empty_item = self.facts.nullable(expr.item)
        if empty_item and expr.separator is not None and self.facts.nullable(expr.separator):
            raise StructgenError("a counted repetition needs an item or a separator that is not empty")
        uncounted = empty_item and expr.separator is None  # rounds that consume nothing need no counting
        low = 0 if uncounted else expr.min
        start = self._op(K.COUNT_START, 0, low, high)
        body = len(self.code)
        if uncounted and self._names_stay(expr.item):
            raise StructgenError("a counted repetition whose item may be empty cannot record distinct names")
        if uncounted:
            self._call(self.lowering.cell(expr.item))
        else:
            self._plain(expr.item)
        again = self._op(K.COUNT_NEXT, 0, low, high)
        leave = self._op(K.JUMP)
        self._lead(again, 1)
        if expr.separator is not None:
            self._plain(expr.separator)
        self._lead(self._op(K.JUMP, 0, K.CLOSING), 1, body)
        self._lead(start, 1)
        self._lead(leave, 1)
        self.counting = False
        if expr.max is not None and not expr.determined:  # how many counts may matter at once: see _state_kernels._drop_counts
            n_counts = min(expr.max, 2 * expr.max // (expr.max - expr.min + 1) + 2)
            if n_counts * (len(self.code) - body) // K.WIDTH > MAX_COUNTS:
                place = f"a repetition of {expr.min} to {expr.max} rounds, nearly an exact number"
                raise LimitExceeded("instructions times possible counts", MAX_COUNTS, place)

    def _plain(self, expr: Expr) -> None:
        if isinstance(expr, (Bounded, Bytes, Chars, Item, Quoted, Regular, Rule, Unique)) or self._names_stay(expr):
            self.emit(expr, 0)
        else:
            self._call(self.lowering.cell(expr), nullable=self.facts.nullable(expr))


@lru_cache(maxsize=4096)
def _spelled(ranges: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """The code that reads a byte of each range."""
    return tuple(word for low, high in ranges for word in (K.BYTE, low, high, 0))


_EMIT: dict[type[Expr], Callable[[_Body, Any, int], None]] = {
    Bytes: _Body._bytes,
    Token: _Body._token,
    Seq: _Body._seq,
    Choice: _Body._choice,
    QuotedText: _Body._text,
    Chars: _Body._chars,
    Repeat: _Body._repeat,
    Quoted: _Body._quoted,
    Regular: _Body._regular,
    Bounded: _Body._bounded,
    Named: _Body._named,
    Item: _Body._item,
    Rule: _Body._rule,
    Unique: _Body._rule,
}
