"""Normal form: per kind of JSON value, a list of shapes whose union is what a formula means.

`Normaliser.norm` pushes negation down to the shapes, multiplies conjunctions out and prunes what is provably empty. Sub-schemas
inside shapes stay formulas, so that a recursive schema is normalised one level at a time. ``oneOf`` negates only branches that overlap.
Cost: products of alternatives, bounded by an explicit budget. `is_empty` never errs when it says True; False may mean "not proved".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from structgen.errors import LimitExceeded, StructgenError, UnsupportedSchema

from .exclusive import exactly_one
from .formulas import ARRAY, BOOLEAN, FALSE, NULL, NUMBER, OBJECT, STRING, TRUE, And, Formula, Formulas, Kinds, Leaf, Not, OneOf, Or, Ref
from .shapes import ArrayShape, NumberShape, ObjectClause, ObjectShape, StringShape
from .texts import text_is_empty

__all__ = ["ANYTHING", "NOTHING", "SCALARS", "Norm", "Normaliser"]

MAX_SHAPES = 2000
"""Most alternatives of one kind that a normal form may have."""
MAX_COMPARED = 300
"""Most objects among which those that others include are sought."""
MAX_WORK = 40_000
"""Most intersections of two shapes in one compilation."""
MAX_PROOF_WORK = 40_000
"""As many again for proofs that something is empty; when they are used up, nothing more is proved."""
MAX_DEPTH = 120
"""Most schemas applied in place inside each other (allOf in anyOf in $ref ...)."""
LOOKAHEAD = 6
"""How many levels of required properties an emptiness proof looks down."""


class Norm(NamedTuple):
    """A union: the ``scalars`` among null, true and false (bits of `formulas`), and the shapes of each other kind."""

    scalars: int
    numbers: tuple[NumberShape, ...]
    strings: tuple[StringShape, ...]
    arrays: tuple[ArrayShape, ...]
    objects: tuple[ObjectShape, ...]

    def of(self, slot: int) -> tuple[Any, ...]:
        """The shapes of one kind, by slot (see `SLOTS`)."""
        return self[slot]  # type: ignore[return-value]


ANYTHING = Norm(NULL | BOOLEAN, (NumberShape(),), (StringShape(),), (ArrayShape(),), (ObjectShape(),))
NOTHING = Norm(0, (), (), (), ())
SCALARS = ((NULL, b"null"), (TRUE, b"true"), (FALSE, b"false"))
SLOTS = ((1, NUMBER), (2, STRING), (3, ARRAY), (4, OBJECT))


class _Busy(Exception):
    """A formula whose normal form is being computed further up."""


class Normaliser:
    """Computes normal forms for one compilation; results are kept on the formulas."""

    def __init__(self, formulas: Formulas) -> None:
        self.formulas = formulas
        self._active: set[Formula] = set()
        self._proving = 0
        self._depth = 0
        self._work = 0
        self._proof_work = 0
        self._empty: dict[object, bool] = {}

    def norm(self, formula: Formula) -> Norm:
        """The normal form of ``formula``."""
        if formula.norm is None:
            if formula in self._active:
                if self._proving:
                    raise _Busy
                raise UnsupportedSchema("the schema refers back to itself in the same place", keyword="$ref", pointer=formula.pointer)
            self._depth += 1
            self._active.add(formula)
            try:
                if self._depth > MAX_DEPTH:
                    raise LimitExceeded("depth of schemas applied in place", MAX_DEPTH, formula.pointer)
                formula.norm = self._computed(formula)
            finally:
                self._active.discard(formula)
                self._depth -= 1
        return formula.norm

    def _computed(self, formula: Formula) -> Norm:
        if isinstance(formula, Kinds):
            return _kinds_norm(formula.kinds)
        if isinstance(formula, Leaf):
            return _leaf_norm(formula, (formula.shape,), ANYTHING if formula.guarded else NOTHING)
        if isinstance(formula, Ref):
            return self.norm(formula.target)
        if isinstance(formula, Not):
            return self._negated(formula.item)
        assert isinstance(formula, And)
        if isinstance(formula, Or):
            return self._join(formula, formula.items)
        if isinstance(formula, OneOf):
            return self._join(formula, exactly_one(self, formula.items, self.formulas.true))
        return self._conjunction(formula)

    def _conjunction(self, formula: And) -> Norm:
        """The other members are the context of each ``oneOf``: branches that exclude each other there need no negation."""
        choices = [item for item in formula.items if isinstance(item, OneOf)]
        if not choices or len(formula.items) == 1:
            return self._meet(formula, formula.items)
        context = self.formulas.all_of((item for item in formula.items if not isinstance(item, OneOf)), formula.pointer)
        items = [
            self.formulas.any_of(exactly_one(self, item.items, context), item.pointer) if isinstance(item, OneOf) else item
            for item in formula.items
        ]
        return self._meet(formula, items)

    def _negated(self, item: Formula) -> Norm:
        """The normal form of "not ``item``"."""
        f = self.formulas
        if isinstance(item, Leaf):
            shapes = tuple(item.shape.complement(f))
            return _leaf_norm(item, shapes, NOTHING if item.guarded else ANYTHING)
        if isinstance(item, Ref):
            return self.norm(f.negate(item.target))
        assert isinstance(item, And)
        if isinstance(item, Or):
            return self._meet(item, [f.negate(part) for part in item.items])
        if isinstance(item, OneOf):  # none of them, or two of them
            none = f.all_of([f.negate(part) for part in item.items], item.pointer)
            pairs = [f.all_of((a, b), item.pointer) for i, a in enumerate(item.items) for b in item.items[:i]]
            return self._join(item, [none, *pairs])
        return self._join(item, [f.negate(part) for part in item.items])

    # -- Boolean operations on normal forms -----------------------------------------------------------------------------------

    def _join(self, formula: Formula, items: Iterable[Formula]) -> Norm:
        norms = [self.norm(item) for item in items]
        slots: list[Any] = [0, (), (), (), ()]
        for norm in norms:
            slots[0] |= norm.scalars
        for slot, _ in SLOTS:
            if any(norm.of(slot) == ANYTHING.of(slot) for norm in norms):
                slots[slot] = ANYTHING.of(slot)
                continue
            slots[slot] = _united(dict.fromkeys(shape for norm in norms for shape in norm.of(slot)))
            if len(slots[slot]) > MAX_SHAPES:
                raise _too_many(formula)
        return Norm(*slots)

    def _meet(self, formula: Formula, items: Iterable[Formula]) -> Norm:
        result = ANYTHING
        for item in items:
            norm = self.norm(item)
            slots: list[Any] = [result.scalars & norm.scalars]
            for slot, _ in SLOTS:
                if norm.of(slot) is ANYTHING.of(slot):
                    slots.append(result.of(slot))
                elif result.of(slot) is ANYTHING.of(slot):
                    slots.append(norm.of(slot))
                else:
                    slots.append(self._products(formula, result.of(slot), norm.of(slot)))
            result = Norm(*slots)
        return result

    def _products(self, formula: Formula, xs: Sequence[Any], ys: Sequence[Any]) -> tuple[Any, ...]:
        """All non-empty intersections of a shape of ``xs`` with one of ``ys``."""
        self._count_work(formula, len(xs) * len(ys))
        found: dict[Any, None] = {}
        for x in xs:
            for y in ys:
                shape = x if x is y else x.meet(y, self.formulas)
                if shape is None or shape in found or self.shape_is_empty(shape):
                    continue
                if isinstance(shape, ObjectShape):
                    self._count_work(formula, len(shape.clauses) // 32)
                    shape = self._without_redundant(shape, y)
                found[shape] = None
        if len(found) > MAX_SHAPES:
            raise _too_many(formula)
        return _united(found)

    def _count_work(self, formula: Formula, amount: int) -> None:
        if self._proving:
            self._proof_work += amount
        else:
            self._work += amount
        if self._proof_work > MAX_PROOF_WORK if self._proving else self._work > MAX_WORK:
            raise _too_many(formula)

    def _without_redundant(self, shape: ObjectShape, added: ObjectShape) -> ObjectShape:
        """The same shape without clauses on one property that its other clauses imply (as arise from negation). ``added``: the part
        of it that came last; before it, nothing was redundant."""
        if len(shape.clauses) < 2:
            return shape
        general: list[ObjectClause] = []  # clauses that may speak of any property
        by_name: dict[str, list[ObjectClause]] = {}
        for clause in shape.clauses:
            singles = by_name.setdefault(next(iter(clause.properties)), []) if clause.is_single(self.formulas) else general
            singles.append(clause)
        redundant: set[ObjectClause] = set()
        all_single = all(clause.is_single(self.formulas) for clause in added.clauses)
        names = {next(iter(clause.properties)) for clause in added.clauses} if all_single else by_name.keys()
        for name, singles in by_name.items():
            for clause in singles if name in names and (len(singles) > 1 or general) else ():
                others = ObjectShape((*general, *(c for c in singles if c is not clause and c not in redundant)))
                value, formula = others.value(name, self.formulas), clause.properties[name]
                if value is formula or self.is_empty(self.formulas.all_of((value, self.formulas.negate(formula)))):
                    redundant.add(clause)
        if len(redundant) == len(shape.clauses):
            redundant.remove(shape.clauses[-1])
        return replace(shape, clauses=tuple(c for c in shape.clauses if c not in redundant)) if redundant else shape

    # -- emptiness ------------------------------------------------------------------------------------------------------------

    def attempt(self, formula: Formula) -> Norm | None:
        """The normal form as far as it is to be had for a proof: None on recursion and exhausted budgets."""
        self._proving += 1
        try:
            return self.norm(formula)
        except (_Busy, StructgenError):
            return None
        finally:
            self._proving -= 1

    def is_empty(self, formula: Formula) -> bool:
        """Whether it is proved that no value satisfies ``formula``; gives up (False) on recursion and exhausted budgets."""
        known = self._empty.get(formula)
        if known is not None:
            return known
        if self._proving >= LOOKAHEAD or self._proof_work > MAX_PROOF_WORK:
            return False
        norm = self.attempt(formula)
        if norm is None:
            return False
        result = not norm.scalars and all(self.shape_is_empty(shape) for slot, _ in SLOTS for shape in norm.of(slot))
        if result or self._proving == 0:
            self._empty[formula] = result
        return result

    def shape_is_empty(self, shape: Any) -> bool:
        """Whether it is proved that no value has this shape."""
        known = self._empty.get(shape)
        if known is None:
            self._proving += 1
            try:
                known = self._shape_is_empty(shape)
            except (_Busy, StructgenError):
                return False
            finally:
                self._proving -= 1
            if known or self._proving == 0:
                self._empty[shape] = known
        return known

    def _shape_is_empty(self, shape: Any) -> bool:
        if isinstance(shape, NumberShape):
            return _number_is_empty(shape)
        if isinstance(shape, StringShape):
            return text_is_empty(shape)
        if isinstance(shape, ArrayShape):
            if any(c.is_impossible(shape.max) for c in shape.contains):
                return True
            return any(self._nothing_fits(shape.at(i)) for i in range(min(shape.min, len(shape.prefix) + 1)))
        assert isinstance(shape, ObjectShape)
        return any(self._nothing_fits(shape.value(name, self.formulas)) or not self.allows_name(shape, name) for name in shape.required)

    def _nothing_fits(self, formula: Formula | None) -> bool:
        return isinstance(formula, Kinds | And) and (formula is self.formulas.false or self.is_empty(formula))

    def allows_name(self, shape: ObjectShape, name: str) -> bool:
        """Whether propertyNames allows ``name``."""
        return all(any(name in text for text in self.norm(names).strings) for names in shape.names)


def _kinds_norm(kinds: int) -> Norm:
    return Norm(kinds & (NULL | BOOLEAN), *(ANYTHING.of(slot) if kinds & kind else () for slot, kind in SLOTS))


def _leaf_norm(leaf: Leaf, shapes: tuple[Any, ...], others: Norm) -> Norm:
    """``shapes`` for the kind of the leaf, ``others`` for the rest."""
    slots: list[Any] = list(others)
    for slot, kind in SLOTS:
        if kind == leaf.kind:
            slots[slot] = shapes
    return Norm(*slots)


def _united(shapes: Iterable[Any]) -> tuple[Any, ...]:
    """The shapes with all finite sets of numbers or strings put together into one, and without objects that others include."""
    shapes = tuple(shapes)
    if len(shapes) > 1 and isinstance(shapes[0], NumberShape | StringShape):
        finite = [shape for shape in shapes if shape.values is not None and getattr(shape, "plain", None) is None]
        if len(finite) > 1:
            others = tuple(shape for shape in shapes if shape.values is None or getattr(shape, "plain", None) is not None)
            return (type(shapes[0])(values=frozenset().union(*(shape.values for shape in finite))), *others)
    if 1 < len(shapes) <= MAX_COMPARED and isinstance(shapes[0], ObjectShape):
        return _absorbed(shapes)
    return shapes


def _absorbed(shapes: Sequence[ObjectShape]) -> tuple[ObjectShape, ...]:
    kept: list[ObjectShape] = []
    for shape in shapes:
        if not any(shape.implies(other) for other in kept):
            kept = [other for other in kept if not other.implies(shape)]
            kept.append(shape)
    return tuple(kept)


def _number_is_empty(shape: NumberShape) -> bool:
    """Settles finite sets only: multiples within narrow bounds."""
    if shape.multiple is None or shape.low is None or shape.high is None or (shape.high - shape.low) / shape.multiple > 1000:
        return False
    first, last = -(-shape.low // shape.multiple), shape.high // shape.multiple
    return not any(k * shape.multiple in shape for k in range(int(first), int(last) + 1))


def _too_many(formula: Formula) -> UnsupportedSchema:
    message = f"combining the alternatives here gives more than {MAX_SHAPES} cases; write them as separate types or schemas"
    return UnsupportedSchema(message, keyword="anyOf", pointer=formula.pointer)
