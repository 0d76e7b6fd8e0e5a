"""Formulas: Boolean combinations of typed shapes, one for every schema, hash-consed so that equal schemas are one object.

`Formulas` interns them: its smart constructors flatten, drop neutral members and fold constants, and a conjunction of
sub-schemas is again a formula. Negation stays a node, so the conjunctions that arise during normalisation are sets of signed
sub-schemas, finitely many: that is what makes recursion terminate. Compare formulas by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Union

from structgen.automata import chardfa

from .shapes import ArrayShape, Language, NumberShape, ObjectClause, ObjectShape, StringShape

if TYPE_CHECKING:
    from .normal import Norm

__all__ = ["ALL", "ARRAY", "BOOLEAN", "FALSE", "NULL", "NUMBER", "OBJECT", "STRING", "TRUE", "Formula", "Formulas", "Shape"]

NULL, TRUE, FALSE, NUMBER, STRING, ARRAY, OBJECT = (1 << i for i in range(7))
"""Kinds of JSON values, as bits; the two booleans are kinds of their own, so that sets of kinds need nothing below them."""
BOOLEAN = TRUE | FALSE
ALL = 127

Shape = Union[NumberShape, StringShape, ArrayShape, ObjectShape]  # noqa: UP007 (evaluated at run time on 3.10)


class Formula:
    """Base of all formulas; ``pointer`` is where it first occurs in the schema, ``norm`` its normal form once known."""

    __slots__ = ("norm", "pointer")

    def __init__(self, pointer: str) -> None:
        self.pointer = pointer
        self.norm: Norm | None = None


class Kinds(Formula):
    """Values of one of these kinds."""

    __slots__ = ("kinds",)

    def __init__(self, kinds: int, pointer: str) -> None:
        super().__init__(pointer)
        self.kinds = kinds


class Leaf(Formula):
    """Values of one kind that have the shape, and, if ``guarded``, all values of other kinds."""

    __slots__ = ("guarded", "kind", "shape")

    def __init__(self, kind: int, shape: Shape, guarded: bool, pointer: str) -> None:
        super().__init__(pointer)
        self.kind, self.shape, self.guarded = kind, shape, guarded


class And(Formula):
    __slots__ = ("items",)

    def __init__(self, items: tuple[Formula, ...], pointer: str) -> None:
        super().__init__(pointer)
        self.items = items


class Or(And):
    __slots__ = ()


class OneOf(And):
    """Exactly one of the items holds."""

    __slots__ = ()


class Not(Formula):
    __slots__ = ("item",)

    def __init__(self, item: Formula, pointer: str) -> None:
        super().__init__(pointer)
        self.item = item


class Ref(Formula):
    """A schema found through a reference; ``resolve`` gives its formula, which may contain this one again."""

    __slots__ = ("_resolve", "_target")

    def __init__(self, resolve: Callable[[], Formula], pointer: str) -> None:
        super().__init__(pointer)
        self._resolve = resolve
        self._target: Formula | None = None

    @property
    def target(self) -> Formula:
        if self._target is None:
            self._target = self._resolve()
        return self._target


class Formulas:
    """The formulas of one compilation, each stored once."""

    def __init__(self) -> None:
        self._known: dict[object, Formula] = {}
        self._clauses: dict[object, ObjectClause] = {}
        self._languages: dict[object, Language] = {}
        self.true = self.kinds(ALL)
        self.false = self.kinds(0)

    def kinds(self, kinds: int, pointer: str = "") -> Formula:
        found = self._known.get(kinds)
        if found is None:
            found = self._known[kinds] = Kinds(kinds, pointer)
        return found

    def leaf(self, kind: int, shape: Shape, pointer: str = "", *, guarded: bool = True) -> Formula:
        """Values with this shape; ``guarded``: a value of another kind satisfies it too (as JSON Schema keywords have it)."""
        key = (kind, shape, guarded)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Leaf(kind, shape, guarded, pointer)
        return found

    def all_of(self, items: Iterable[Formula], pointer: str = "") -> Formula:
        kinds = ALL
        members: dict[Formula, None] = {}
        for item in items:
            for part in item.items if type(item) is And else (item,):
                if type(part) is Kinds:
                    kinds &= part.kinds
                elif type(part) is Not and part.item in members:
                    return self.false
                else:
                    members[part] = None
        if kinds == 0 or any(type(part) is Not and part.item in members for part in members):
            return self.false
        if kinds != ALL:
            members = {self.kinds(kinds): None, **members}
        return self._combined(And, tuple(members), self.true, pointer)

    def any_of(self, items: Iterable[Formula], pointer: str = "") -> Formula:
        kinds = 0
        members: dict[Formula, None] = {}
        for item in items:
            for part in item.items if type(item) is Or else (item,):
                if type(part) is Kinds:
                    kinds |= part.kinds
                else:
                    members[part] = None
        if kinds == ALL:
            return self.true
        if kinds:
            members = {self.kinds(kinds): None, **members}
        return self._combined(Or, tuple(members), self.false, pointer)

    def one_of(self, items: Iterable[Formula], pointer: str = "") -> Formula:
        """Exactly one holds; members are kept even where they are equal (two equal members are never exactly one)."""
        return self._combined(OneOf, tuple(item for item in items if item is not self.false), self.false, pointer)

    def _combined(self, kind: type[And], items: tuple[Formula, ...], empty: Formula, pointer: str) -> Formula:
        if len(items) <= 1:
            return items[0] if items else empty
        key = (kind, items)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = kind(items, pointer)
        return found

    def both(self, a: Formula | None, b: Formula | None) -> Formula | None:
        """The conjunction, None standing for no constraint."""
        if a is None or b is None or a is b:
            return b if a is None else a
        return self.all_of((a, b), a.pointer)

    def negate(self, item: Formula) -> Formula:
        if isinstance(item, Not):
            return item.item
        if isinstance(item, Kinds):
            return self.kinds(ALL & ~item.kinds, item.pointer)
        key = (Not, item)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Not(item, item.pointer)
        return found

    def ref(self, key: object, resolve: Callable[[], Formula], pointer: str) -> Formula:
        """The formula behind a reference; equal keys mean the same target."""
        found = self._known.get((Ref, key))
        if found is None:
            found = self._known[(Ref, key)] = Ref(resolve, pointer)
        return found

    def clause(
        self,
        properties: Mapping[str, Formula],
        patterns: tuple[tuple[Language, Formula], ...] = (),
        additional: Formula | None = None,
        *,
        declares: bool = False,
    ) -> ObjectClause:
        additional = additional or self.true
        key = (tuple(properties.items()), patterns, additional, declares)
        found = self._clauses.get(key)
        if found is None:
            found = self._clauses[key] = ObjectClause(properties, patterns, additional, declares)
        return found

    def language(self, key: object, label: str, make: Callable[[], chardfa.CharDfa], words: frozenset[str] | None = None) -> Language:
        found = self._languages.get(key)
        if found is None:
            found = self._languages[key] = Language(label, make, words)
        return found

    def words(self, words: Iterable[str]) -> Language:
        """The finite language of these strings."""
        chosen = frozenset(words)
        return self.language(chosen, f"{len(chosen)} words", lambda: chardfa.from_strings(sorted(chosen)), chosen)

    def in_language(self, language: Language) -> Formula:
        return self.leaf(STRING, StringShape(languages=frozenset([language])))
