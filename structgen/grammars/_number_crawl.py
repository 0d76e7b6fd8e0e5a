"""The crawl over the states of reading one JSON number, as `structgen.grammars.numbers` describes them.

A number is compared digit by digit with its bounds, both as it stands (*plain*) and, because an exponent may follow, with the
bounds scaled to one digit before the point (*scaled*). A comparison is decided (`LESS`, `MORE`) or undecided: then it is the
part of the bound still to be compared. At the ``e`` the comparisons leave an interval of exponents, read digit by digit too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from structgen.errors import LimitExceeded
from structgen.grammars._number_bounds import Bound, Modulus, Side, Sides

if TYPE_CHECKING:
    from structgen.grammars.numbers import NumberLimits

__all__ = ["ENDLESS", "MAX_STATES", "SYMBOLS", "Crawl", "explore"]

MAX_STATES = 10_000  # of one crawl, before minimisation
POINT, E, MINUS, PLUS = 10, 11, 12, 13  # symbols; 0-9 are the digits
SYMBOLS = (*((digit,) for digit in "0123456789"), (".",), ("E", "e"), ("-",), ("+",))
LESS, MORE = -2, -1  # a decided comparison with a bound; an undecided one is the rest of the bound, >= 0
NO_MULTIPLE = -1  # the class of a remainder that no continuation makes a multiple
ENDLESS = 10**9  # no exponent: more than any that the digits of a constraint can ask for

_Plain = tuple[int, int, int] | None  # comparisons with the lower and the upper bound, class of the remainder; None: hopeless
_Scaled = tuple[int, int] | None  # comparisons with the scaled bounds, for an exponent to come; None: no exponent may come
State = tuple[Any, ...]


def _compare(undecided: int, digit: int, scale: int) -> int:
    """The comparison after one more digit behind the point."""
    if undecided < 0:
        return undecided
    goal, rest = divmod(undecided * 10, scale)
    return rest if digit == goal else LESS if digit < goal else MORE


def _compare_whole(so_far: int, digit: int, position: int, whole: tuple[int, ...]) -> int:
    """The comparison of the first digits before the point after one more (0: undecided)."""
    if position >= len(whole):
        return MORE
    return so_far if so_far else 0 if digit == whole[position] else LESS if digit < whole[position] else MORE


def _settled(so_far: int, n_digits: int, bound: Bound) -> int:
    """The comparison at the point, after so many digits."""
    return LESS if n_digits < len(bound.whole) else so_far if so_far else bound.rest


class Crawl:
    """The states of reading one number. A state is a tuple: its kind, then what has to be remembered; the side (0: no sign,
    1: minus) comes second while it matters."""

    def __init__(self, sides: Sides, modulus: Modulus | None, limits: NumberLimits) -> None:
        self.sides, self.modulus = sides, modulus
        self.max_whole, self.max_places = limits.max_integer_digits, limits.max_fraction_digits
        self.max_exponent = ENDLESS if limits.max_exponent is None else limits.max_exponent
        self.exponent_digits = None if limits.max_exponent is None else len(str(limits.max_exponent))
        bounds = [bound for side in sides if side for bound in side if bound]
        self.free = modulus is None and all(bound.power is None for bound in bounds)
        self.counted = max((len(bound.whole) for bound in bounds), default=1)  # more digits need not be told apart
        self.places = modulus.places if modulus else 0
        self.is_multiple = modulus is not None and not modulus.avoid
        self.padding_end = None
        if self.is_multiple and limits.max_padding_zeros is not None:
            self.padding_end = self.places + limits.max_padding_zeros
        # With neither digits nor exponents limited, "as many as the exponent" is not regular.
        unbounded = self.is_multiple and self.max_places is None and limits.max_exponent is None
        self.scalable = not (self.free or self.max_exponent == 0 or unbounded or (modulus and modulus.shift is None))
        self.after_digit: dict[tuple[Any, ...], list[tuple[_Plain, _Scaled]]] = {}
        self.power_tails: dict[tuple[Any, ...], tuple[int, int, int, int | None]] = {}

    def moves(self, state: State) -> Iterable[tuple[int, State]]:
        """The successors by symbol; some may be dead ends."""
        return _MOVES[state[0]](self, *state[1:])

    def is_accepting(self, state: State) -> bool:
        kind = state[0]
        if kind == WHOLE:
            _, side, n_digits, _, plain, _ = state
            return self.satisfied(side, 0, self.settled(side, n_digits, plain))
        if kind == FRACTION:
            _, side, places, plain, _ = state
            return places > 0 and self.satisfied(side, places, plain)
        return kind == POWER_DIGITS and state[1][0] is not None

    # Before the point.

    def start(self) -> Iterator[tuple[int, State]]:
        if self.sides[1]:
            yield MINUS, (SIGNED,)
        if self.sides[0]:
            yield from ((digit, self.first(0, digit)) for digit in range(10))

    def signed(self) -> Iterator[tuple[int, State]]:
        side = 0 if self.sides[0] == self.sides[1] else 1
        yield from ((digit, self.first(side, digit)) for digit in range(10))

    def first(self, side: int, digit: int) -> State:
        """Behind the first digit: all comparisons start."""
        lower, upper = self.bounds(side)
        plain = self.whole_digit(lower, upper, 0, (0, 0, 0), digit)
        scaled: _Scaled = None
        if digit and self.scalable and not (upper and upper.power is None):
            scaled = (
                MORE if lower is None or lower.power is None else _lead(digit, lower),
                LESS if upper is None else _lead(digit, upper),
            )
        return WHOLE, side, 1, digit > 0, plain, scaled

    def whole(self, side: int, n_digits: int, more: bool, plain: _Plain, scaled: _Scaled) -> Iterator[tuple[int, State]]:
        settled = self.settled(side, n_digits, plain)
        if self.max_places != 0 and (settled or scaled):
            yield POINT, (FRACTION, side, 0, settled, scaled)
        yield from self.exponent(side, 0, settled, scaled)
        if not more or plain is None or n_digits == self.max_whole:
            return
        count = n_digits + 1 if self.max_whole is not None else min(n_digits + 1, self.counted)
        lower, upper = self.bounds(side)
        for digit in range(10):
            longer = self.whole_digit(lower, upper, n_digits, plain, digit)
            if longer:
                yield digit, (WHOLE, side, count, True, longer, None)

    def whole_digit(self, lower: Bound | None, upper: Bound | None, position: int, plain: tuple[int, int, int], digit: int) -> _Plain:
        above, below, remainder = plain
        above = _compare_whole(above, digit, position, lower.whole) if lower else MORE
        below = _compare_whole(below, digit, position, upper.whole) if upper else LESS
        if upper and below == MORE and position + 1 >= len(upper.whole):
            return None
        return above, below, self.modulus.table[remainder][digit] if self.modulus else 0

    def settled(self, side: int, n_digits: int, plain: _Plain) -> _Plain:
        """The comparisons at the point; None where more digits cannot help."""
        if plain is None:
            return None
        lower, upper = self.bounds(side)
        above = _settled(plain[0], n_digits, lower) if lower else MORE
        below = _settled(plain[1], n_digits, upper) if upper else LESS
        return None if above == LESS or below == MORE else (above, below, plain[2])

    def satisfied(self, side: int, places: int, plain: _Plain) -> bool:
        """Whether the number read so far, without exponent, belongs to the set."""
        if plain is None:
            return False
        lower, upper = self.bounds(side)
        above, below, remainder = plain
        if not (lower is None or _at_least(above, lower)) or not (upper is None or _at_most(below, upper)):
            return False
        return self.modulus is None or self.modulus.divides(remainder, self.places - places) != self.modulus.avoid

    def bounds(self, side: int) -> Side:
        found = self.sides[side]
        assert found is not None
        return found

    # Behind the point.

    def fraction(self, side: int, places: int, plain: _Plain, scaled: _Scaled) -> Iterator[tuple[int, State]]:
        if places > 0:
            yield from self.exponent(side, places, plain, scaled)
        if places == self.max_places:
            return
        count = places + 1
        if self.max_places is None and (scaled is None or not self.is_multiple):
            count = min(count, max(self.padding_end or 0, self.places) + 1)
        padded = self.padding_end is not None and count > self.padding_end
        hopeless = scaled is None or not self.powers(side, count, scaled, loosely=True)
        for digit, (longer, rescaled) in enumerate(self.after(side, places < self.places, plain, scaled)):
            longer, rescaled = None if padded else longer, None if hopeless else rescaled
            if longer or rescaled:
                yield digit, (FRACTION, side, count, longer, rescaled)

    def after(self, side: int, matters: bool, plain: _Plain, scaled: _Scaled) -> list[tuple[_Plain, _Scaled]]:
        """What each digit behind the point makes of the comparisons, whatever their number; kept, as many states share it."""
        key = side, matters, plain, scaled
        if key not in self.after_digit:
            lower, upper = self.bounds(side)
            self.after_digit[key] = [
                (
                    plain and self.fraction_digit(lower, upper, matters, plain, digit),
                    scaled
                    and (
                        _compare(scaled[0], digit, lower.lead_scale if lower else 1),
                        _compare(scaled[1], digit, upper.lead_scale if upper else 1),
                    ),
                )
                for digit in range(10)
            ]
        return self.after_digit[key]

    def fraction_digit(self, lower: Bound | None, upper: Bound | None, matters: bool, plain: tuple[int, int, int], digit: int) -> _Plain:
        above, below, remainder = plain
        above = _compare(above, digit, lower.scale if lower else 1)
        below = _compare(below, digit, upper.scale if upper else 1)
        if above == LESS or below == MORE:
            return None
        if self.modulus is None or (not matters and digit == 0 and remainder == 0):
            return above, below, remainder
        if matters:
            return above, below, self.modulus.table[remainder][digit]
        return (above, below, NO_MULTIPLE) if self.modulus.avoid else None

    # Exponents.

    def exponent(self, side: int, places: int, plain: _Plain, scaled: _Scaled) -> Iterator[tuple[int, State]]:
        if self.free and self.max_exponent != 0 and self.satisfied(side, places, plain):
            yield E, (POWER, -self.max_exponent, self.max_exponent)
        if scaled is not None:
            interval = self.powers(side, places, scaled)
            if interval:
                yield E, (POWER, *interval)

    def powers(self, side: int, places: int, scaled: tuple[int, int], loosely: bool = False) -> tuple[int, int] | None:
        """The exponents that lead into the set (``loosely``: that may do so after more digits)."""
        lower, upper = self.bounds(side)
        low, high = -self.max_exponent, self.max_exponent
        if lower and lower.power is not None:
            low = max(low, lower.power + (not loosely and not _at_least(scaled[0], lower)))
        if upper and upper.power is not None:
            high = min(high, upper.power - (not loosely and not _at_most(scaled[1], upper)))
        if self.modulus and self.modulus.shift is not None:
            if self.modulus.avoid:
                high = min(high, self.modulus.shift - 1)
            else:
                low = max(low, places + self.modulus.shift)
        return (low, high) if low <= high else None

    def power(self, low: int, high: int) -> Iterator[tuple[int, State]]:
        if high >= 0:
            yield PLUS, (POWER_SIGNED, max(low, 0), high)
            yield from self.power_signed(max(low, 0), high)
        if low <= 0:
            yield MINUS, (POWER_SIGNED, max(-high, 0), -low)

    def power_signed(self, low: int, high: int) -> Iterator[tuple[int, State]]:
        left = None if self.exponent_digits is None else self.exponent_digits - 1
        return self.power_tail(0, low, high, left)

    def power_digits(self, tail: tuple[Any, ...]) -> Iterator[tuple[int, State]]:
        value, low, high, left = self.power_tails[tail]
        if left == 0:
            return iter(())
        return self.power_tail(value * 10, low, high, None if left is None else left - 1)

    def power_tail(self, value: int, low: int, high: int, left: int | None) -> Iterator[tuple[int, State]]:
        """The states for an exponent of ``value`` plus a digit, to lie within the interval after at most ``left`` more digits."""
        for digit in range(10):
            tail = _tail(value + digit, low, high, left)
            if any(tail):
                self.power_tails.setdefault(tail, (value + digit, low, high, left))
                yield digit, (POWER_DIGITS, tail)


def _lead(digit: int, bound: Bound) -> int:
    return bound.lead_rest if digit == bound.lead else LESS if digit < bound.lead else MORE


def _at_least(comparison: int, bound: Bound) -> bool:
    return comparison == MORE or (comparison == 0 and not bound.strict)


def _at_most(comparison: int, bound: Bound) -> bool:
    return comparison == LESS or comparison > 0 or (comparison == 0 and not bound.strict)


@lru_cache(maxsize=4096)
def _tail(value: int, low: int, high: int, left: int | None) -> tuple[tuple[int, int] | None, ...]:
    """All that matters about an exponent read so far: for each number of digits that may follow, their least and greatest value."""
    most = left if left is not None else len(str(low if high >= ENDLESS else high)) + 1
    tail: list[tuple[int, int] | None] = []
    for power in (10**n for n in range(most + 1)):
        least = max(low - value * power, 0)
        greatest = power - 1 if high >= ENDLESS else min(high - value * power, power - 1)
        tail.append((least, greatest) if least <= greatest else None)
    return tuple(tail)


START, SIGNED, WHOLE, FRACTION, POWER, POWER_SIGNED, POWER_DIGITS = range(7)
_MOVES: tuple[Callable[..., Iterable[tuple[int, State]]], ...] = (
    Crawl.start,
    Crawl.signed,
    Crawl.whole,
    Crawl.fraction,
    Crawl.power,
    Crawl.power_signed,
    Crawl.power_digits,
)


def explore(crawl: Crawl) -> tuple[list[list[int]], list[bool]]:
    """All states reachable from the start, as a table by symbol (-1: none), and which of them accept."""
    order: list[State] = [(START,)]
    numbers = {order[0]: 0}
    table: list[list[int]] = []
    for state in order:
        row = [-1] * len(SYMBOLS)
        for symbol, successor in crawl.moves(state):
            number = numbers.setdefault(successor, len(order))
            if number == len(order):
                if number >= MAX_STATES:
                    raise LimitExceeded("states of a number automaton", MAX_STATES)
                order.append(successor)
            row[symbol] = number
        table.append(row)
    return table, [crawl.is_accepting(state) for state in order]
