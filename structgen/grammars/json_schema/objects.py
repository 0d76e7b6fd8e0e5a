"""The members of an object: declared properties in their order, then undeclared ones, or in any order; of linear size.

A state is how far the declared properties are, how many members there are (only where a count matters) and which `Some`
demands are met. ``next`` of a state writes one or more further members and the closing brace; it is a rule where two states
lead to it, so that the suffix after each property is built once. Undeclared keys come last, in one `ir.Unique` scope, and
their lexemes exclude all declared names, so that no key occurs twice.

In any order, all members are in one `ir.Unique` scope, which knows at run time which names it has and which it still wants.
There is one scope for each way to meet the demands: by declared names, then required, or by undeclared ones, then in sequence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import factorial
from typing import TYPE_CHECKING, NamedTuple

from structgen.automata import chardfa, ir
from structgen.errors import UnsupportedSchema

from .demands import settled, shapes_meeting, subsets
from .formulas import Formula
from .names import products, property_names, regions
from .shapes import ObjectShape, StringShape, least_upper
from .texts import n_texts, string_expr

if TYPE_CHECKING:
    from .lower import Lowering

__all__ = ["has_endless_names", "object_body"]

MAX_STATES = 20_000
"""Most states of one object: properties x counts x demands."""
MAX_DEMANDS = 8
"""Most properties that must exist without being named."""
MAX_OPEN = 4
"""Most of them that undeclared names can meet."""
MAX_WAYS = 300
"""Most choices of names that meet the demands of one object, and most places of the members that it needs."""
RULE_EVERY = 8
"""Nesting depth of expressions after which a rule is inserted."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A property with a known name: what its member may be, by which demands it meets (bits)."""

    name: str
    required: bool
    members: tuple[tuple[int, ir.Expr], ...]

    def meeting(self, demands: int) -> tuple[int, ir.Expr] | None:
        """The member that meets these demands and as few others as possible, with all that it meets."""
        return next(((met, member) for met, member in self.members if met & demands == demands), None)


class Way(NamedTuple):
    """A way to meet the demands of an object: ``wanted`` names, each with the demands (bits) that it is to meet; ``left`` are those
    that undeclared names meet."""

    wanted: Mapping[str, int]
    left: tuple[int, ...]


class State(NamedTuple):
    position: int
    n_members: int
    met: int


def object_body(lowering: Lowering, shape: ObjectShape, depth: int) -> ir.Expr:
    """The texts of the objects of this shape, braces included."""
    return _Body(lowering, shape, depth).expr()


class _Body:
    def __init__(self, lowering: Lowering, shape: ObjectShape, depth: int) -> None:
        self.lowering, self.depth = lowering, depth
        self.layout = lowering.layout
        self.any_order = lowering.options.any_order
        self.comma = self.layout.comma(depth)
        self.close = ir.Seq((self.layout.closing(depth), ir.Bytes(b"}")))
        self.shape, self.names, self.regions, self.demands = settled(lowering, shape)
        if len(self.demands) > MAX_DEMANDS or sum(bool(demand.names) for demand in self.demands) > MAX_OPEN:
            raise _unsupported(f"more than {MAX_OPEN} properties must exist without being named")
        self.full = (1 << len(self.demands)) - 1
        self._undeclared_members: dict[tuple[int, ...], ir.Expr] = {}
        self.declared = list(self._declared())
        n_required = sum(d.required for d in self.declared)
        self.last_required = max((i + 1 for i, d in enumerate(self.declared) if d.required), default=0)
        self.low, self.high = self.shape.min, self.shape.max
        may_exceed = self.high is not None and (bool(self.regions) or self.high < len(self.declared))
        self.counted = self.low > n_required or may_exceed

    def _declared(self) -> Iterator[Declared]:
        wanted = frozenset(self.shape.required)
        for name in self.names:
            value = self.shape.value(name, self.lowering.formulas)
            required = name in wanted
            members = tuple(self._members(name, value)) if self.lowering.normaliser.allows_name(self.shape, name) else ()
            if members or required:
                yield Declared(name, required, members)

    def _members(self, name: str, value: Formula) -> Iterator[tuple[int, ir.Expr]]:
        """The member of this name, and for each further set of demands that the name can meet, the member that meets them."""
        sure = sum(1 << i for i, demand in enumerate(self.demands) if name in demand.sure)
        able = [i for i, demand in enumerate(self.demands) if name in demand.witnesses and name not in demand.sure]
        for meets in subsets(able):
            formula = self.lowering.formulas.all_of([value, *(self.demands[i].some.value for i in meets)])
            if not self.lowering.normaliser.is_empty(formula):
                yield sure | _bits(meets), self.member(self._key(name), formula)

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
        missing = [i for i in range(len(self.demands)) if not state.met & 1 << i]
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
        if high is not None and high < low:
            return None
        free = self._undeclared(())
        bodies = [
            body
            for groups in self._groups(missing, high)
            for body in self._sequences([self._undeclared(group) for group in groups], free, low, high)
        ]
        return ir.Seq((ir.Unique(_either(bodies)), self.close)) if bodies else None

    def _undeclared(self, demands: tuple[int, ...]) -> ir.Expr:
        """One undeclared member that meets these demands."""
        known = self._undeclared_members.get(demands)
        if known is None:
            known = self._undeclared_members[demands] = _either(list(self._undeclared_choices(demands)))
        return known

    def _undeclared_choices(self, demands: tuple[int, ...]) -> Iterator[ir.Expr]:
        wanted = [self.demands[i].some for i in demands]
        for region in self.regions:
            shapes: Sequence[StringShape] = region.names
            for some in wanted:
                shapes = products(self.lowering, shapes, self.lowering.normaliser.norm(some.name).strings)
            value = self.lowering.formulas.all_of([region.value, *(some.value for some in wanted)])
            keys = [string_expr(shape, self.lowering.limits.string_length, capture=True) for shape in shapes]
            found = tuple(key for key in keys if key is not None)
            if found and not self.lowering.normaliser.is_empty(value):
                yield self.member(_either(found), value)

    def _groups(self, demands: Sequence[int], high: int | None) -> Iterator[list[tuple[int, ...]]]:
        """The ways to meet the demands with at most ``high`` undeclared members: which of them each member meets."""
        for groups in _partitions(demands):
            if (high is None or len(groups) <= high) and all(self._undeclared(group) != NOTHING for group in groups):
                self._refuse_scarce(groups, high)
                yield groups

    def _refuse_scarce(self, groups: Iterable[Sequence[int]], high: int | None) -> None:
        """Names that a demand needs must not be used up by others. Where the number of members has no limit, whatever was begun
        can go on with one member for each demand."""
        scarce = n_texts([name for region in self.regions for name in region.names]) is not None
        for group in groups:
            if scarce or high is not None or len(group) == 1:
                n = n_texts(shapes_meeting(self.lowering, self.regions, [self.demands[i].some for i in group]))
                if scarce or (n is not None and (high is None or n < high)):
                    raise _unsupported("a property that must exist has one of a great but limited number of names")

    def _sequences(self, members: Sequence[ir.Expr], free: ir.Expr, low: int, high: int | None) -> Iterator[ir.Expr]:
        """These members in all orders, others before, between and after, ``low`` to ``high`` in all. Where that is limited, the place
        of each member is known from the start, so that there is room for it."""
        n = len(members)
        gaps = _gaps(n + 1, max(0, low - n), None if high is None else high - n)
        if factorial(n) * len(gaps) > MAX_WAYS:
            raise _unsupported("properties must exist without being named, beside others, and their number is limited")
        for order, (first, *others) in product(permutations(members), gaps):
            parts: list[ir.Expr] = [ir.Repeat(ir.Seq((free, self.comma)), *first)]
            for i, (member, gap) in enumerate(zip(order, others, strict=True)):
                parts += [self.comma] * (i > 0) + [member, ir.Repeat(ir.Seq((self.comma, free)), *gap)]
            yield ir.Seq(tuple(parts))

    # -- any order ------------------------------------------------------------------------------------------------------------

    def _in_any_order(self) -> ir.Expr:
        n_names = n_texts([name for region in self.regions for name in region.names])
        high = least_upper(self.high, None if n_names is None else n_names + sum(bool(d.members) for d in self.declared))
        choices: list[ir.Expr] = []
        if self._may_end(State(0, 0, 0)):
            choices.append(ir.Seq((self.layout.empty, ir.Bytes(b"}"))))
        required = [d for d in self.declared if d.required]
        if all(d.members for d in required) and (high is None or high >= max(1, self.low, len(required))):
            scopes = [scope for way in self._ways(high) for scope in self._scopes(way, high)]
            choices += [ir.Seq((self.layout.opened(self.depth), scope, self.close)) for scope in scopes]
        return ir.Seq((ir.Bytes(b"{"), _either(choices)))

    def _ways(self, high: int | None) -> list[Way]:
        """All ways to meet the demands."""
        required = {d.name for d in self.declared if d.required}
        ways = [Way({}, ())]
        for i in range(len(self.demands)):
            longer: list[Way] = []
            for way in ways:
                longer += [way] if self._meets(way, i) else self._extended(way, i)
            possible = [way for way in longer if high is None or len(required.union(way.wanted)) + bool(way.left) <= high]
            ways = _least(possible)
            if len(ways) > MAX_WAYS or len(ways) * len(self.declared) > MAX_STATES:
                raise _unsupported("a property must exist, with too many choices of names")
        return ways

    def _meets(self, way: Way, i: int) -> bool:
        steps = (d.meeting(way.wanted[d.name]) for d in self.declared if d.name in way.wanted)
        return any(step is not None and step[0] & 1 << i for step in steps)

    def _extended(self, way: Way, i: int) -> Iterator[Way]:
        """This way and one more name, which meets demand i; or that is left to undeclared names, where they have room in any case."""
        if self.demands[i].names:
            yield Way(way.wanted, (*way.left, i))
        if self.high is not None or not self.demands[i].names:
            for d in self.declared:
                bits = way.wanted.get(d.name, 0) | 1 << i
                if d.meeting(bits) is not None:
                    yield Way({**way.wanted, d.name: bits}, way.left)

    def _scopes(self, way: Way, high: int | None) -> Iterator[ir.Unique]:
        """Members in any order that meet the demands in this way."""
        required = [d.name for d in self.declared if d.required or d.name in way.wanted]
        low = self.low if self.low > max(1, len(required)) else 0
        if not way.left:
            yield ir.Unique(ir.Repeat(self._one_of(way), 1, None, self.comma), tuple(required), low, high)
        elif high is None:
            for groups in _partitions(way.left):
                members = [self._one_of(way, group) for group in groups]
                if NOTHING not in members:
                    self._refuse_scarce(groups, high)
                    bodies = self._sequences(members, self._one_of(way), 0, None)
                    yield from (ir.Unique(body, tuple(required), low) for body in bodies)
        else:
            needed = [member for d in self.declared if d.name in required and (member := self._declared_member(d, way)) is not None]
            free = self._one_of(way, others_than=required)
            for groups in self._groups(way.left, high - len(needed)):
                bodies = self._sequences([*needed, *map(self._undeclared, groups)], free, self.low, high)
                yield from map(ir.Unique, bodies)

    def _one_of(self, way: Way, demands: tuple[int, ...] = (), others_than: Collection[str] = ()) -> ir.Expr:
        """One member, declared or not, that meets these demands."""
        found = (self._declared_member(d, way, demands) for d in self.declared if d.name not in others_than)
        members = [member for member in found if member is not None]
        undeclared = self._undeclared(demands)
        return _either(members if undeclared == NOTHING else [*members, undeclared])

    def _declared_member(self, declared: Declared, way: Way, demands: Iterable[int] = ()) -> ir.Expr | None:
        step = declared.meeting(way.wanted.get(declared.name, 0) | _bits(demands))
        return None if step is None else step[1]


def has_endless_names(lowering: Lowering, shape: ObjectShape) -> bool:
    """Whether objects of this shape can always have one more property."""
    found = regions(lowering, shape, property_names(shape))
    return n_texts([name for region in found for name in region.names]) is None


NOTHING = ir.Choice(())


def _either(choices: Sequence[ir.Expr]) -> ir.Expr:
    return choices[0] if len(choices) == 1 else ir.Choice(tuple(choices))


def _bits(items: Iterable[int]) -> int:
    return sum(1 << i for i in items)


def _least(ways: Iterable[Way]) -> list[Way]:
    """The ways without those that ask for more than another one."""
    kept: list[Way] = []
    for way in sorted(ways, key=lambda way: (sum(bits.bit_count() for bits in way.wanted.values()), len(way.left))):
        if not any(set(w.left) <= set(way.left) and all(bits & ~way.wanted.get(n, 0) == 0 for n, bits in w.wanted.items()) for w in kept):
            kept.append(way)
    return kept


def _partitions(items: Sequence[int]) -> Iterator[list[tuple[int, ...]]]:
    """All ways to split the items into non-empty groups."""
    if not items:
        yield []
        return
    first, *others = items
    for chosen in subsets(others):
        for rest in _partitions([item for item in others if item not in chosen]):
            yield [(first, *chosen), *rest]


def _gaps(n: int, low: int, high: int | None) -> list[tuple[tuple[int, int | None], ...]]:
    """All ways to write between ``low`` and ``high`` things into ``n`` gaps, each a tuple of bounds per gap.

    All gaps but the last get exact numbers where a greatest number is to be kept; else numbers up to ``low``, the largest
    of which stands for itself and all greater ones.
    """
    most = low if high is None else high
    if (most + 1) ** (n - 1) > MAX_WAYS:
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
