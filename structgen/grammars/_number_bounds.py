"""What the numbers read so far are compared with: bounds on the absolute value, and a step that divides them or not.

All arithmetic is on integers and fractions; a bound may be any rational number, a step any with a decimal part.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from structgen.errors import LimitExceeded, StructgenError

if TYPE_CHECKING:
    from structgen.grammars.numbers import NumberSet

__all__ = ["Bound", "Modulus", "Side", "Sides", "decimal_part", "digits_of", "places_of", "power_of", "shift_of", "sides_of"]

MAX_CLASSES = 3_000  # classes of remainders of one step
MAX_STEP_DIGITS = 63


def _valuation(n: int, prime: int) -> int:
    """How often ``prime`` divides ``n`` > 0."""
    count = 0
    while n % prime == 0:
        n, count = n // prime, count + 1
    return count


def decimal_part(step: Fraction) -> Fraction:
    """The step whose multiples are the decimal numbers among the multiples of ``step``: 1 for 1/3, 1/2 for 1/6."""
    if step <= 0:
        raise StructgenError(f"multipleOf must be greater than 0, found {step}")
    return Fraction(step.numerator, 2 ** _valuation(step.denominator, 2) * 5 ** _valuation(step.denominator, 5))


def places_of(number: Fraction) -> int:
    """The digits after the point of a decimal number (of others: of their decimal part)."""
    return max(_valuation(number.denominator, 2), _valuation(number.denominator, 5))


def digits_of(number: Fraction) -> tuple[int, ...]:
    """The digits of the whole part of ``number`` >= 0 (without ``str``, which refuses long numbers)."""
    whole, digits = number.numerator // number.denominator, []
    while whole:
        whole, digit = divmod(whole, 10)
        digits.append(digit)
    return tuple(reversed(digits)) or (0,)


def power_of(number: Fraction) -> int:
    """The greatest power of ten that is not above ``number`` > 0."""
    power = len(digits_of(Fraction(number.numerator))) - len(digits_of(Fraction(number.denominator)))
    return power if Fraction(10) ** power <= number else power - 1


def _rest(number: Fraction) -> tuple[int, int]:
    """Numerator and denominator of the part after the point."""
    return number.numerator % number.denominator, number.denominator


class Bound(NamedTuple):
    """A bound >= 0 on the absolute value: its digits before the point, the rest as a fraction; then the same for the bound
    scaled by 10**-power to one digit 1-9 before the point. ``power`` is None for the bound 0."""

    strict: bool
    whole: tuple[int, ...]
    rest: int
    scale: int
    lead: int
    lead_rest: int
    lead_scale: int
    power: int | None

    @classmethod
    def of(cls, value: Fraction, strict: bool) -> Bound:
        whole = digits_of(value)
        if value == 0:
            return cls(strict, whole, 0, 1, 0, 0, 1, None)
        power = power_of(value)
        scaled = value / Fraction(10) ** power
        return cls(strict, whole, *_rest(value), int(scaled), *_rest(scaled), power)


class Side(NamedTuple):
    """The allowed absolute values of one sign."""

    lower: Bound | None
    upper: Bound | None


Sides = tuple[Side | None, Side | None]


def sides_of(numbers: NumberSet) -> Sides:
    """The allowed absolute values behind no sign and behind a minus."""
    low, high = numbers.low, numbers.high
    if low is not None and high is not None and (low > high or (low == high and (numbers.low_open or numbers.high_open))):
        return None, None
    return (
        _side(low, numbers.low_open, high, numbers.high_open),
        _side(None if high is None else -high, numbers.high_open, None if low is None else -low, numbers.low_open),
    )


def _side(low: Fraction | None, low_open: bool, high: Fraction | None, high_open: bool) -> Side | None:
    if high is not None and (high < 0 or (high == 0 and high_open)):
        return None
    idle = low is None or low < 0 or (low == 0 and not low_open)
    return Side(None if low is None or idle else Bound.of(low, low_open), None if high is None else Bound.of(high, high_open))


class Modulus(NamedTuple):
    """A step, for numbers read as digit strings: the first ``places`` digits after the point included, a multiple has the
    remainder class 0; ``table[class][digit]`` is the next class. 10**shift is the least power of ten that is a multiple
    (``avoid``: the greatest that is not above the step)."""

    places: int
    table: tuple[tuple[int, ...], ...]
    shift: int | None
    avoid: bool

    @classmethod
    def of(cls, step: Fraction, avoid: bool) -> Modulus:
        places = places_of(step)
        return cls(places, _remainders(int(step * 10**places)), power_of(step) if avoid else shift_of(step), avoid)

    def divides(self, remainder: int, zeros: int) -> bool:
        """Whether so many zeros more make a multiple."""
        while zeros > 0 and remainder > 0:  # NO_MULTIPLE stays
            remainder, zeros = self.table[remainder][0], zeros - 1
        return remainder == 0


def shift_of(step: Fraction) -> int | None:
    """The least n with 10**n a multiple of the step; None if there is none."""
    numerator, denominator = step.numerator, step.denominator
    twos, fives = _valuation(numerator, 2), _valuation(numerator, 5)
    if numerator != 2**twos * 5**fives:
        return None
    return max(twos - _valuation(denominator, 2), fives - _valuation(denominator, 5))


@lru_cache(maxsize=256)
def _remainders(modulus: int) -> tuple[tuple[int, ...], ...]:
    """The automaton of remainders of decimal digit strings, with remainders that no continuation tells apart put together.

    n more digits x make a multiple out of the remainder r if x = -r * 10**n (mod modulus). The least such x for each n,
    as far as it has n digits at all, is what distinguishes remainders; from 10**n >= modulus on nothing new is learnt.
    """
    powers = [1]
    while powers[-1] < modulus:
        powers.append(powers[-1] * 10)
    if len(powers) > MAX_STEP_DIGITS + 1:
        raise LimitExceeded("digits of multipleOf", MAX_STEP_DIGITS)
    classes: dict[tuple[int, ...], int] = {}
    members: list[int] = []

    def class_of(remainder: int) -> int:
        least = (-remainder * power % modulus for power in powers)
        key = tuple([x if x < power else -1 for x, power in zip(least, powers, strict=True)])
        if key not in classes:
            classes[key] = len(members)
            members.append(remainder)
            if len(members) > MAX_CLASSES:
                raise LimitExceeded("classes of remainders of multipleOf", MAX_CLASSES)
        return classes[key]

    class_of(0)
    table: list[tuple[int, ...]] = []
    while len(table) < len(members):
        table.append(tuple([class_of((members[len(table)] * 10 + digit) % modulus) for digit in range(10)]))
    return tuple(table)
