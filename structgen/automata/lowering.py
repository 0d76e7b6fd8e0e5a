"""From a grammar expression to a program in the arena: one rule cell per `Rule`, `Unique` scope and counted repetition.

Sequences, alternatives and plain loops become jumps inside a rule; lexemes become calls of rules shared by the whole
engine. Counted repetitions keep their count in the element (see _state_kernels), so bounds are never unrolled, except tiny
ones of single characters, where a chain of states is cheaper than a counter. Deep nesting is outlined into further rules, so
the depth of Python recursion is bounded whatever the grammar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from structgen.automata import _names_kernels as N
from structgen.automata import _state_kernels as K
from structgen.automata.analysis import Analysis
from structgen.automata.chardfa import CharDfa, literal
from structgen.automata.ir import EMPTY, Bytes, Chars, Choice, Expr, Item, Quoted, QuotedText, Regular, Repeat, Rule, Seq, Unique
from structgen.automata.lexemes import effective_bounds, inexhaustible, lexeme_rule
from structgen.automata.utf8 import byte_sequences
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema

if TYPE_CHECKING:
    from structgen.automata.engine import Engine

__all__ = ["lower"]

MAX_DEPTH = 40  # nesting inside one rule before it is outlined
MAX_SCOPE_DEPTH = 200  # nesting of captured names, which cannot be outlined
MAX_COUNTS = 1 << 16  # instructions of a repetition times numbers of rounds, where what was read does not determine their number
UNROLL = 8  # repetitions of a single character up to this bound are unrolled

Instruction = list[int]


def lower(engine: Engine, root: Expr) -> int:
    """Write the grammar into the engine's arena; the cell of its start rule.

    Raises UnsatisfiableSchema if it has no words, StructgenError for left recursion or an undefined rule."""
    with engine.lock:
        return _Lowering(engine, root).run()


class _Lowering:
    def __init__(self, engine: Engine, root: Expr) -> None:
        self.engine = engine
        self.root = root
        self.facts = Analysis(root)
        self.cells: dict[int, int] = {}  # identity of an expression -> its rule cell
        self.queue: list[tuple[int, Expr]] = []
        self.named: list[Rule] = []

    def run(self) -> int:
        if not self.facts.productive(self.root):
            raise UnsatisfiableSchema("the constraint has no valid text at all")
        try:
            cell = self.cell(self.root)
            while self.queue:
                rule_cell, expr = self.queue.pop()
                _Body(self).write(rule_cell, expr)
        except BaseException:
            for rule in self.named:  # their cells may be unfinished
                self.engine.rules.pop(rule, None)
            raise
        return cell

    def cell(self, expr: Expr) -> int:
        """The rule cell of an expression of its own; its body is written later. Cells of `Rule` objects are kept."""
        if isinstance(expr, Rule) and expr in self.engine.rules:
            return self.engine.rules[expr]
        if id(expr) not in self.cells:
            cell = self.cells[id(expr)] = self.engine.new_rule()
            self.queue.append((cell, expr))
            if isinstance(expr, Rule):
                self.engine.rules[expr] = cell
                self.named.append(expr)
        return self.cells[id(expr)]


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
    """The instructions of one rule while they are written. Targets are indices, made absolute at the end."""

    def __init__(self, lowering: _Lowering) -> None:
        self.lowering = lowering
        self.facts = lowering.facts
        self.engine = lowering.engine
        self.code: list[Instruction] = []
        self.in_scope = False  # in the body of a `Unique`: what captures names must stay in this rule
        self.required: set[CharDfa | None] = set()  # the contents of the names that the scope wants
        self.limited = False  # whether the scope has a greatest number of names
        self.counting = False  # in a counted repetition: elements carry the count, so literals must be called

    def write(self, cell: int, expr: Expr) -> None:
        if isinstance(expr, Rule):
            assert expr.body is not None
            expr = expr.body
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
        self.engine.reserve(len(self.code) * K.WIDTH)
        base = self.engine.write([])
        for op in self.code:
            if op[0] in (K.JUMP, K.SPLIT, K.COUNT_START, K.COUNT_NEXT):
                op[1] = base + K.WIDTH * op[1]
            if op[0] == K.SPLIT:
                op[2] = base + K.WIDTH * op[2]
        self.engine.write(self.code)
        self.engine.define_rule(cell, base)
        if guarded and not self.engine.can_finish(cell):
            raise UnsatisfiableSchema("a scope cannot have as many distinct names as it wants")

    def _guard(self, scope: Unique) -> bool:
        """Give all instructions the record of a scope whose names may run out, are required or are counted."""
        captures = {op[1]: op[2] for op in self.code if op[0] == K.CALL and op[2] & N.CAPTURE}
        scarce = any(capture & N.EXHAUSTIBLE for capture in captures.values())
        if not (scarce or scope.required or scope.min or scope.max is not None):
            return False
        counts = [self.engine.n_words(cell) if capture & N.EXHAUSTIBLE else -1 for cell, capture in captures.items()]
        total = -1 if -1 in counts else sum(counts)
        if len(captures) > 1 and not isinstance(scope.body, Repeat) and (total >= 0 or scope.max is not None):
            raise StructgenError("several kinds of distinct names in one scope, all of which may run out, want a plain repetition")
        names = sorted(map(self.engine.name, scope.required))
        record = self.engine.write([scope.min, -1 if scope.max is None else scope.max, total, len(names), *names])
        for op in self.code:
            if op[0] in (K.CALL, K.BYTE, K.LITERAL, K.ACCEPT):
                op[3] = record
        return True

    def _op(self, op: int, a: int = 0, b: int = 0, c: int = 0) -> Instruction:
        instruction = [op, a, b, c]
        self.code.append(instruction)
        return instruction

    def _call(self, cell: int, *, capture: int = 0, nullable: bool = False) -> None:
        self._op(K.CALL, cell, capture | (N.NULLABLE if nullable else 0))

    def _names_stay(self, expr: Expr) -> bool:
        """Whether an expression must not be outlined, because its names belong to the scope being written."""
        return self.in_scope and self.facts.capturing(expr)

    def emit(self, expr: Expr, depth: int) -> None:
        if depth > MAX_SCOPE_DEPTH:
            raise LimitExceeded("nesting inside a scope of distinct names", MAX_SCOPE_DEPTH)
        if depth > MAX_DEPTH and isinstance(expr, (Seq, Choice, Repeat)) and not self._names_stay(expr):
            self._call(self.lowering.cell(expr), nullable=self.facts.nullable(expr))
        elif isinstance(expr, Bytes):
            for b in expr.value:
                self._op(K.BYTE, b, b)
        elif isinstance(expr, Seq):
            for item in expr.items:
                self.emit(item, depth + 1)
        elif isinstance(expr, Choice):
            self._choice([item for item in expr.items if self.facts.productive(item)], depth)
        elif isinstance(expr, QuotedText) and self.counting:
            self._call(self.lowering.cell(expr))
        elif isinstance(expr, QuotedText):
            self._op(K.LITERAL, self.engine.write([ord(c) for c in expr.text]), len(expr.text))
        elif isinstance(expr, Chars):
            self._chars(expr)
        elif isinstance(expr, Repeat):
            self._repeat(expr, depth)
        elif isinstance(expr, (Quoted, Regular)):
            self._lexeme(expr)
        elif isinstance(expr, Item):
            self._item(expr)
        elif isinstance(expr, (Rule, Unique)):
            self._call(self.lowering.cell(expr), nullable=self.facts.nullable(expr))
        else:
            raise StructgenError(f"not a grammar expression: {expr!r}")

    def _choice(self, items: list[Expr], depth: int) -> None:
        exits = []
        for i, item in enumerate(items):
            split = self._op(K.SPLIT, len(self.code) + 1) if i < len(items) - 1 else None
            self.emit(item, depth + 1)
            if split is not None:
                exits.append(self._op(K.JUMP))
                split[2] = len(self.code)
        for jump in exits:
            jump[1] = len(self.code)

    def _chars(self, expr: Chars) -> None:
        sequences = byte_sequences(expr.ranges)
        exits = []
        for i, sequence in enumerate(sequences):
            split = self._op(K.SPLIT, len(self.code) + 1) if i < len(sequences) - 1 else None
            for low, high in sequence:
                self._op(K.BYTE, low, high)
            if split is not None:
                exits.append(self._op(K.JUMP))
                split[2] = len(self.code)
        for jump in exits:
            jump[1] = len(self.code)

    def _lexeme(self, expr: Quoted | Regular) -> None:
        if isinstance(expr, Regular):
            cell = lexeme_rule(self.engine, expr.dfa, False, (0, -1))
            self._call(cell, nullable=expr.dfa.accepting[0])
            return
        bounds = effective_bounds(expr.content, expr.min_length, expr.max_length)
        assert bounds is not None, "unproductive lexemes are dropped before"
        capture = 0
        if expr.capture and self.in_scope:
            free = bounds[1] < 0 and inexhaustible(expr.content) and not self.limited
            capture = N.CAPTURE | (0 if free else N.EXHAUSTIBLE) | (N.REQUIRED if expr.content in self.required else 0)
        self._call(lexeme_rule(self.engine, expr.content, True, bounds), capture=capture)

    def _item(self, expr: Item) -> None:
        cell, capture = self.lowering.cell(expr.value), 0
        if self.in_scope and expr.only is None:
            capture = N.ITEM
        elif self.in_scope:
            capture = N.ITEM | N.EXHAUSTIBLE
            cell = self.lowering.item_cell(expr)
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
                splits.append(self._op(K.SPLIT, len(self.code) + 1))
            self.emit(item, depth + 1)
        for split in splits:
            split[2] = len(self.code)

    def _loop(self, expr: Repeat, depth: int) -> None:
        skip = self._op(K.SPLIT, len(self.code) + 1) if expr.min == 0 else None
        body = len(self.code)
        self.emit(expr.item, depth + 1)
        again = self._op(K.SPLIT, len(self.code) + 1)
        if expr.separator is not None:
            self.emit(expr.separator, depth + 1)
        self._op(K.JUMP, body)
        again[2] = len(self.code)
        if skip is not None:
            skip[2] = len(self.code)

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
        again[1] = len(self.code)
        if expr.separator is not None:
            self._plain(expr.separator)
        self._op(K.JUMP, body, K.CLOSING)
        start[1] = leave[1] = len(self.code)
        self.counting = False
        if expr.max is not None and not expr.determined:  # how many counts may matter at once: see _state_kernels._drop_counts
            n_counts = min(expr.max, 2 * expr.max // (expr.max - expr.min + 1) + 2)
            if n_counts * (len(self.code) - body) > MAX_COUNTS:
                place = f"a repetition of {expr.min} to {expr.max} rounds, nearly an exact number"
                raise LimitExceeded("instructions times possible counts", MAX_COUNTS, place)

    def _plain(self, expr: Expr) -> None:
        if isinstance(expr, (Bytes, Chars, Item, Quoted, Regular, Rule, Unique)) or self._names_stay(expr):
            self.emit(expr, 0)
        else:
            self._call(self.lowering.cell(expr), nullable=self.facts.nullable(expr))
