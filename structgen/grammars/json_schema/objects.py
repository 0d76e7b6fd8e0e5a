"""The members of an object: declared properties in their order, then undeclared ones, or in any order; of linear size.

A state is how far the declared properties are, how many members there are (only where a count matters) and which `Some`
demands are met. ``next`` of a state writes one or more further members and the closing brace; it is a rule where two states
lead to it, so that the suffix after each property is built once. Undeclared keys come last, in one `ir.Unique` scope, and
their lexemes exclude all declared names, so that no key occurs twice.

In any order, all members are in one `ir.Unique` scope, which knows at run time which names it has and which it still wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, combinations, product
from typing import TYPE_CHECKING, NamedTuple

from structgen.automata import chardfa, ir
from structgen.automata.chardfa import CharDfa
from structgen.errors import UnsupportedSchema

from .formulas import Formula
from .shapes import Language, ObjectClause, ObjectShape, Some, StringShape, least_upper
from .texts import finite_words, n_texts, string_expr, text_is_empty, text_language

if TYPE_CHECKING:
    from .lower import Lowering

__all__ = ["has_endless_names", "object_body"]

MAX_STATES = 20_000
"""Most states of one object: properties x counts x demands."""
MAX_PATTERNS = 12
"""Most different name patterns of one object (each may double the number of kinds of undeclared keys)."""
MAX_DEMANDS = 4
"""Most properties that must exist without being named."""
MAX_GAPS = 300
"""Most ways to spread a count of properties over the gaps between those that must exist."""
MAX_WORDS = 64
"""Most names that a demand may be about if it can be met by finitely many only."""
RULE_EVERY = 8
"""Nesting depth of expressions after which a rule is inserted."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A property with a known name: what its member may be, by which demands it meets (bits)."""

    name: str
    required: bool
    members: tuple[tuple[int, ir.Expr], ...]


@dataclass(frozen=True, slots=True)
class Region:
    """Undeclared keys that share one formula for their values; the names are the union of the shapes."""

    names: tuple[StringShape, ...]
    value: Formula


class State(NamedTuple):
    position: int
    n_members: int
    met: int


def object_body(lowering: Lowering, shape: ObjectShape, depth: int) -> ir.Expr:
    """The texts of the objects of this shape, braces included."""
    return _Body(lowering, shape, depth).expr()


class _Body:
    def __init__(self, lowering: Lowering, shape: ObjectShape, depth: int) -> None:
        self.lowering, self.shape, self.depth = lowering, shape, depth
        self.layout = lowering.layout
        self.any_order = lowering.options.any_order
        if len(shape.some) > MAX_DEMANDS:
            raise _unsupported(f"more than {MAX_DEMANDS} properties must exist without being named")
        self.full = (1 << len(shape.some)) - 1
        self.comma = self.layout.comma(depth)
        self.close = ir.Seq((self.layout.closing(depth), ir.Bytes(b"}")))
        self.names = property_names(shape)
        self.regions = regions(lowering, shape, self.names)
        self._name_few()
        self.declared = list(self._declared())
        n_required = sum(d.required for d in self.declared)
        self.last_required = max((i + 1 for i, d in enumerate(self.declared) if d.required), default=0)
        self.low, self.high = shape.min, shape.max
        may_exceed = self.high is not None and (bool(self.regions) or self.high < len(self.declared))
        self.counted = self.low > n_required or may_exceed

    def _name_few(self) -> None:
        """Make undeclared names that are few properties of their own: those that meet a demand, so that no other member uses
        them up, and those of several kinds of names that may run out, since a scope can keep track of one kind only."""
        extra: dict[str, None] = {}
        for some in self.shape.some:
            extra.update(dict.fromkeys(finite_words(self._shapes_meeting([some]), MAX_WORDS) or ()))
        shapes = self._shapes_meeting(())
        if len(shapes) > 1 and sum(shape.max is not None or n_texts([shape]) is not None for shape in shapes) > 1:
            for shape in shapes:
                extra.update(dict.fromkeys(finite_words([shape], MAX_WORDS) or ()))
        if extra:
            self.names = list(dict.fromkeys([*self.names, *extra]))
            self.regions = regions(self.lowering, self.shape, self.names)

    def _shapes_meeting(self, demands: Iterable[Some]) -> list[StringShape]:
        """The undeclared names that all these demands are about."""
        shapes = [name for region in self.regions for name in region.names]
        for some in demands:
            shapes = products(self.lowering, shapes, self.lowering.normaliser.norm(some.name).strings)
        return shapes

    def _declared(self) -> Iterator[Declared]:
        wanted = frozenset(self.shape.required)
        for name in self.names:
            value = self.shape.value(name, self.lowering.formulas)
            required = name in wanted
            members = tuple(self._members(name, value)) if self.lowering.normaliser.allows_name(self.shape, name) else ()
            if members or required:
                yield Declared(name, required, members)

    def _members(self, name: str, value: Formula) -> Iterator[tuple[int, ir.Expr]]:
        """The member of this name, and for each set of demands that the name can meet, the member that meets them."""
        demands = [i for i, some in enumerate(self.shape.some) if any(name in s for s in self.lowering.normaliser.norm(some.name).strings)]
        for meets in _subsets(demands):
            formula = self.lowering.formulas.all_of([value, *(self.shape.some[i].value for i in meets)])
            if not self.lowering.normaliser.is_empty(formula):
                yield sum(1 << i for i in meets), self.member(self._key(name), formula)

    def _key(self, name: str) -> ir.Expr:
        return ir.Quoted(chardfa.literal(name), capture=True) if self.any_order else ir.QuotedText(name)

    def member(self, key: ir.Expr, value: Formula) -> ir.Expr:
        return ir.Seq((key, self.layout.colon(), self.lowering.value(value, self.lowering.below(self.depth))))

    def expr(self) -> ir.Expr:
        return self._in_any_order() if self.any_order else self._in_order()

    def _in_order(self) -> ir.Expr:
        nexts = self._nexts()
        start = State(0, 0, 0)
        choices: list[ir.Expr] = []
        if self._may_end(start):
            choices.append(ir.Seq((self.layout.empty, ir.Bytes(b"}"))))
        if start in nexts:
            choices.append(ir.Seq((self.layout.opened(self.depth), nexts[start])))
        return ir.Seq((ir.Bytes(b"{"), _either(choices)))

    # -- states ---------------------------------------------------------------------------------------------------------------

    def _after(self, state: State, meets: int) -> State:
        count = min(state.n_members + 1, self._count_cap()) if self.counted else 0
        return State(state.position + 1, count, state.met | meets)

    def _count_cap(self) -> int:
        """Counts from here on behave alike."""
        return self.low if self.high is None else len(self.declared) + 1

    def _steps(self, state: State) -> Iterator[tuple[ir.Expr, State]]:
        if self.counted and self.high is not None and state.n_members >= self.high:
            return
        for meets, member in self.declared[state.position].members:
            yield member, self._after(state, meets)

    def _may_end(self, state: State) -> bool:
        return state.position >= self.last_required and state.met == self.full and (not self.counted or state.n_members >= self.low)

    def _nexts(self) -> dict[State, ir.Expr]:
        """For every reachable state, the expression of one or more further members up to the brace, if there is any."""
        levels = self._reachable()
        nexts: dict[State, ir.Expr] = {}
        uses: dict[State, int] = {}
        for state, users in levels[-1].items():
            tail = self._tail(state)
            if tail is not None:
                nexts[state] = tail
                uses[state] = users
                self._share(nexts, state, users, True)
        for index in range(len(self.declared) - 1, -1, -1):
            for state, users in levels[index].items():
                choices = [ir.Seq((member, rest)) for member, after in self._steps(state) if (rest := self._rest(after, nexts)) is not None]
                if not self.declared[index].required:
                    skipped = nexts.get(State(index + 1, state.n_members, state.met))
                    if skipped is not None:
                        choices.append(skipped)  # type: ignore[arg-type]
                if choices:
                    nexts[state] = _either(choices)
                    self._share(nexts, state, users, index % RULE_EVERY == 0)
        return nexts

    def _share(self, nexts: dict[State, ir.Expr], state: State, users: int, always: bool) -> None:
        if users > 1 or always:
            nexts[state] = ir.Rule("members", nexts[state])

    def _rest(self, state: State, nexts: dict[State, ir.Expr]) -> ir.Expr | None:
        """What follows a member: the closing brace, or a comma and further members."""
        choices: list[ir.Expr] = [self.close] if self._may_end(state) else []
        if state in nexts:
            choices.append(ir.Seq((self.comma, nexts[state])))
        return _either(choices) if choices else None

    def _reachable(self) -> list[dict[State, int]]:
        """The states by index, each with the number of places that lead to it."""
        levels: list[dict[State, int]] = [{State(0, 0, 0): 1}]
        n_states = 1
        for declared in self.declared:
            level: dict[State, int] = {}
            for state in levels[-1]:
                followers = [after for _, after in self._steps(state)]
                if not declared.required:
                    followers.append(State(state.position + 1, state.n_members, state.met))
                for follower in followers:
                    level[follower] = level.get(follower, 0) + 1
            n_states += len(level)
            if n_states > MAX_STATES + 2 * len(self.declared):
                raise _unsupported(f"counting these properties takes more than {MAX_STATES} states", "maxProperties")
            levels.append(level)
        return levels

    # -- undeclared keys ------------------------------------------------------------------------------------------------------

    def _tail(self, state: State) -> ir.Expr | None:
        """One or more undeclared members and the closing brace."""
        missing = [i for i in range(len(self.shape.some)) if not state.met & 1 << i]
        low = max(1, self.low - state.n_members) if self.counted else 1
        high = self.high - state.n_members if self.counted and self.high is not None else None
        n_names = n_texts([name for region in self.regions for name in region.names])
        if n_names is not None and n_names < low:
            return None
        if not missing:
            high = least_upper(high, n_names)  # a finite set of keys: stop before it is used up
            if high is not None and high < low:
                return None
            return ir.Seq((ir.Unique(ir.Repeat(self._undeclared(()), low, high, self.comma, determined=True)), self.close))
        choices = [expr for groups in _ordered_partitions(missing) for expr in self._demanded(groups, low, high)]
        return ir.Seq((ir.Unique(_either(choices)), self.close)) if choices else None

    def _undeclared(self, demands: Iterable[int]) -> ir.Expr:
        """One undeclared member that meets these demands."""
        members: list[ir.Expr] = []
        wanted = [self.shape.some[i] for i in demands]
        for region in self.regions:
            shapes: Sequence[StringShape] = region.names
            for some in wanted:
                shapes = products(self.lowering, shapes, self.lowering.normaliser.norm(some.name).strings)
            value = self.lowering.formulas.all_of([region.value, *(some.value for some in wanted)])
            keys = [string_expr(shape, self.lowering.limits.string_length, capture=True) for shape in shapes]
            found = tuple(key for key in keys if key is not None)
            if found and not self.lowering.normaliser.is_empty(value):
                members.append(self.member(_either(found), value))
        return _either(members)

    def _demanded(self, groups: Sequence[Sequence[int]], low: int, high: int | None) -> Iterator[ir.Expr]:
        """Between ``low`` and ``high`` members of which some meet the demands of each group, in this order, others in between."""
        members = [self._undeclared(group) for group in groups]
        if NOTHING in members:
            return
        self._refuse_scarce(groups)
        free = self._undeclared(())
        n = len(groups)
        for gaps in _gaps(n + 1, max(0, low - n), None if high is None else high - n):
            first, *others = gaps
            parts: list[ir.Expr] = [ir.Repeat(ir.Seq((free, self.comma)), *first)]
            for i, (member, gap) in enumerate(zip(members, others, strict=True)):
                parts += [self.comma] * (i > 0) + [member, ir.Repeat(ir.Seq((self.comma, free)), *gap)]
            yield ir.Seq(tuple(parts))


    def _refuse_scarce(self, groups: Sequence[Sequence[int]]) -> None:
        """Names that a demand needs must not be used up by other members."""
        if any(n_texts(self._shapes_meeting([self.shape.some[i] for i in group])) is not None for group in groups):
            raise _unsupported("a property that must exist has one of a great but limited number of names")

    # -- any order ------------------------------------------------------------------------------------------------------------

    def _in_any_order(self) -> ir.Expr:
        required = tuple(d.name for d in self.declared if d.required)
        n_names = n_texts([name for region in self.regions for name in region.names])
        high = least_upper(self.high, None if n_names is None else n_names + sum(bool(d.members) for d in self.declared))
        choices: list[ir.Expr] = []
        if not required and not self.shape.some and self.low == 0:
            choices.append(ir.Seq((self.layout.empty, ir.Bytes(b"}"))))
        if all(d.members for d in self.declared if d.required) and (high is None or high >= max(1, self.low, len(required))):
            bodies: list[ir.Expr] = [ir.Repeat(self._members_meeting(()), 1, None, self.comma)]
            if self.shape.some:
                bodies = [body for groups in _ordered_partitions(range(len(self.shape.some))) for body in self._some_among(groups, high)]
            scopes = [ir.Unique(body, required, self.low if self.low > max(1, len(required)) else 0, high) for body in bodies]
            choices += [ir.Seq((self.layout.opened(self.depth), scope, self.close)) for scope in scopes]
        return ir.Seq((ir.Bytes(b"{"), _either(choices)))

    def _members_meeting(self, demands: Iterable[int]) -> ir.Expr:
        """One member, declared or not, that meets these demands."""
        meets = sum(1 << i for i in demands)
        members = [member for d in self.declared for met, member in d.members if met == meets]
        undeclared = self._undeclared(demands)
        return _either([*members, *([] if undeclared == NOTHING else [undeclared])])

    def _some_among(self, groups: Sequence[Sequence[int]], high: int | None) -> Iterator[ir.Expr]:
        """One or more members of which some meet the demands of each group, in this order, others before, between and after."""
        members = [self._members_meeting(group) for group in groups]
        if NOTHING in members:
            return
        if high is not None:
            raise _unsupported("a property must exist without being named, and their number is limited; in any order")
        self._refuse_scarce(groups)
        free = self._members_meeting(())
        parts: list[ir.Expr] = [ir.Repeat(ir.Seq((free, self.comma)))]
        for i, member in enumerate(members):
            parts += [self.comma] * (i > 0) + [member, ir.Repeat(ir.Seq((self.comma, free)))]
        yield ir.Seq(tuple(parts))


def has_endless_names(lowering: Lowering, shape: ObjectShape) -> bool:
    """Whether objects of this shape can always have one more property."""
    found = regions(lowering, shape, property_names(shape))
    return n_texts([name for region in found for name in region.names]) is None


def property_names(shape: ObjectShape) -> list[str]:
    """All names that the shape mentions: those of ``properties`` keywords in their order, then others, then required ones."""
    names: dict[str, None] = {}
    for declares in (True, False):
        for clause in shape.clauses:
            if clause.declares == declares:
                names.update(dict.fromkeys(clause.properties))
    names.update(dict.fromkeys(shape.required))
    return list(names)


def regions(lowering: Lowering, shape: ObjectShape, names: Sequence[str]) -> list[Region]:
    """The undeclared names, split by the patterns that they match, with what their values must satisfy."""
    by_value: dict[Formula, list[StringShape]] = {}
    for matched, others in _splits(list(dict.fromkeys(language for clause in shape.clauses for language, _ in clause.patterns))):
        value = lowering.formulas.all_of([f for clause in shape.clauses for f in _undeclared_values(clause, matched)])
        if value is lowering.formulas.false or lowering.normaliser.is_empty(value):
            continue
        found = [StringShape(languages=matched, excluded=others)]
        for formula in shape.names:
            found = products(lowering, found, lowering.normaliser.norm(formula).strings)
        by_value.setdefault(value, []).extend(found)
    return [Region(tuple(_without(lowering, _merged(lowering, shapes), names)), value) for value, shapes in by_value.items() if shapes]


def _splits(languages: Sequence[Language]) -> list[tuple[frozenset[Language], frozenset[Language]]]:
    """The non-empty ways in which a name can be in some of the languages and not in the others."""
    if len(languages) > MAX_PATTERNS:
        raise _unsupported(f"more than {MAX_PATTERNS} name patterns in one object", "patternProperties")
    splits: list[tuple[frozenset[Language], frozenset[Language]]] = [(frozenset(), frozenset())]
    for language in languages:
        one = frozenset([language])
        halves = [half for a, b in splits for half in ((a | one, b), (a, b | one))]
        splits = [(a, b) for a, b in halves if not text_is_empty(StringShape(languages=a, excluded=b))]
    return splits


def _undeclared_values(clause: ObjectClause, matched: frozenset[Language]) -> list[Formula]:
    return [formula for language, formula in clause.patterns if language in matched] or [clause.additional]


def _merged(lowering: Lowering, shapes: Sequence[StringShape]) -> Sequence[StringShape]:
    """The union as one shape, where no lengths are counted."""
    if len(shapes) == 1 or any(shape.min or shape.max is not None or shape.values is not None for shape in shapes):
        return shapes

    def union() -> CharDfa:
        dfas = [text_language(shape.languages, shape.excluded) or chardfa.any_text() for shape in shapes]
        return reduce(chardfa.union, dfas)

    return [StringShape(languages=frozenset([lowering.formulas.language(("union", *shapes), "union of names", union)]))]


def _without(lowering: Lowering, shapes: Sequence[StringShape], names: Sequence[str]) -> Iterator[StringShape]:
    for shape in shapes:
        taken = frozenset(name for name in names if name in shape)
        rest = shape.meet(StringShape(excluded=frozenset([lowering.formulas.words(taken)])), lowering.formulas) if taken else shape
        if rest is not None and not text_is_empty(rest):
            yield rest


def products(lowering: Lowering, xs: Sequence[StringShape], ys: Sequence[StringShape]) -> list[StringShape]:
    """The non-empty intersections."""
    found = (x.meet(y, lowering.formulas) for x in xs for y in ys)
    return [shape for shape in dict.fromkeys(found) if shape is not None and not text_is_empty(shape)]


NOTHING = ir.Choice(())


def _either(choices: Sequence[ir.Expr]) -> ir.Expr:
    return choices[0] if len(choices) == 1 else ir.Choice(tuple(choices))


def _subsets(items: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))


def _ordered_partitions(items: Sequence[int]) -> Iterator[list[tuple[int, ...]]]:
    """All ways to split the items into a sequence of non-empty groups."""
    if not items:
        yield []
        return
    for group in _subsets(items):
        if group:
            for rest in _ordered_partitions([item for item in items if item not in group]):
                yield [group, *rest]


def _gaps(n: int, low: int, high: int | None) -> list[tuple[tuple[int, int | None], ...]]:
    """All ways to write between ``low`` and ``high`` things into ``n`` gaps, each a tuple of bounds per gap.

    All gaps but the last get exact numbers where a greatest number is to be kept; else numbers up to ``low``, the largest
    of which stands for itself and all greater ones.
    """
    if high is not None and high < low:
        return []
    most = low if high is None else high
    if (most + 1) ** (n - 1) > MAX_GAPS:
        raise _unsupported("a large count of properties together with properties that must exist without being named", "minProperties")
    found: list[tuple[tuple[int, int | None], ...]] = []
    for counts in product(range(most + 1), repeat=n - 1):
        total = sum(counts)
        if high is None or total <= high:
            bounds = [(count, None if high is None and count == most else count) for count in counts]
            found.append((*bounds, (max(0, low - total), None if high is None else high - total)))
    return found


def _unsupported(message: str, keyword: str = "not") -> UnsupportedSchema:
    return UnsupportedSchema(f"cannot be enforced yet: {message}", keyword=keyword)
