"""JSON numbers as exact regular languages: all spellings (RFC 8259, section 6) whose exact value satisfies the constraints.

A spelling is read digit by digit. What has been read is compared with each bound by keeping the rest of the bound as a
rational, divisibility by the class of the remainder, and at the ``e`` the comparisons so far leave an interval of exponents,
which is again read digit by digit. One crawl over these states and one minimisation give the automaton.

``1.0``, ``1``, ``1e0`` and ``10e-1`` are one number, ``-0`` is 0, ``0.1`` is 1/10; nothing is rounded. A spelling inside the
envelope is accepted exactly if its value belongs to the set; a spelling outside the envelope is rejected. The envelope:

* `NumberLimits`: the digits before and after the point, the size of the exponent, at most as many exponent digits as the
  largest exponent has (leading zeros included: ``1e-05``). A bound with up to 100 digits raises the limits so that it can
  itself be written without exponent; so does, however long, a single value, and a bound that rules out the numbers near zero
  and lies where no exponent leads.
* Exponents where at most the sign is constrained: after any mantissa. Beside other constraints: after one digit 1-9 and
  perhaps a fraction (``1e+16``, ``1.5e+300``), as Python, JavaScript and Java write them.
* Exponents for multiples of a step (an integer is a multiple of 1): exponent >= fraction digits + shift, where ``shift`` is
  the least with 10**shift a multiple of the step (0 for integers: ``1.5e1`` but not ``1.50e1``; 1 for 5; -2 for 0.01). There
  is none for 3 or 0.07: no exponents; nor are there if limits on fraction digits and exponents are both lifted, as that is
  not regular. For non-multiples: exponents that make the number smaller than the step.
* Zeros behind the last position where a multiple of the step can have another digit: at most ``max_padding_zeros``.
* A single value is treated as a multiple of its own last decimal place: of 0.01 for 3.14.

Cost: O(14 x states), states being about digits x undecided comparisons x remainder classes, at most `MAX_STATES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm

from structgen.automata.chardfa import CharDfa, from_transitions, intersect, union
from structgen.errors import LimitExceeded, StructgenError
from structgen.grammars._number_bounds import Modulus, Sides, decimal_part, digits_of, places_of, power_of, shift_of, sides_of
from structgen.grammars._number_crawl import MAX_STATES, SYMBOLS, Crawl, explore

__all__ = ["DEFAULT", "NumberLimits", "NumberSet", "Value", "equal_dfa", "exact", "number_dfa", "number_language", "unequal_dfa"]

Value = int | float | Decimal | Fraction

MAX_VALUE_DIGITS = 2_000  # digits of a constraint, written without exponent
MAX_VALUE_BITS = 6_650
RAISING_DIGITS = 100  # a bound with so many digits raises the limits
MAX_LIMIT = 99_999


@dataclass(frozen=True, slots=True)
class NumberLimits:
    """The envelope of spellings; None lifts a limit.

    ``max_fraction_digits`` 0 allows no fraction, ``max_exponent`` (of its absolute value) 0 no exponent.
    ``max_padding_zeros`` counts zeros that cannot matter: ``5.000`` has three if only integers are allowed.
    """

    max_integer_digits: int | None = 20
    max_fraction_digits: int | None = 20
    max_exponent: int | None = 324  # every double can be written
    max_padding_zeros: int | None = 6

    def __post_init__(self) -> None:
        for name, least in (("max_integer_digits", 1), ("max_fraction_digits", 0), ("max_exponent", 0), ("max_padding_zeros", 0)):
            limit = getattr(self, name)
            if limit is not None and not least <= limit <= MAX_LIMIT:
                raise StructgenError(f"{name} must be between {least} and {MAX_LIMIT}, or None for no limit; found {limit}")


DEFAULT = NumberLimits()


@dataclass(frozen=True, slots=True)
class NumberSet:
    """The numbers between ``low`` and ``high`` (without them where open; None: no bound) that are multiples of ``multiple``
    (1: the integers) and no multiples of ``not_multiple``."""

    low: Fraction | None = None
    high: Fraction | None = None
    low_open: bool = False
    high_open: bool = False
    multiple: Fraction | None = None
    not_multiple: Fraction | None = None


def number_dfa(
    *,
    integer: bool = False,
    minimum: Value | None = None,
    maximum: Value | None = None,
    exclusive_minimum: Value | None = None,
    exclusive_maximum: Value | None = None,
    multiple_of: Value | None = None,
    limits: NumberLimits = DEFAULT,
) -> CharDfa:
    """The spellings of the numbers that satisfy all constraints; contradictory constraints give the empty language.

    Constraints are exact; a float is the decimal that ``repr`` shows, that is the one written in the schema.
    Raises `LimitExceeded` where the automaton would be too large.
    """
    lows = [(exact(bound), is_open) for bound, is_open in ((minimum, False), (exclusive_minimum, True)) if bound is not None]
    highs = [(exact(bound), not is_open) for bound, is_open in ((maximum, False), (exclusive_maximum, True)) if bound is not None]
    low, low_open = max(lows, default=(None, False))
    high, high_closed = min(highs, default=(None, True))
    step = None if multiple_of is None else exact(multiple_of)
    if integer:
        step = Fraction(1) if step is None else _common_multiple(Fraction(1), step)
    return number_language(NumberSet(low, high, low_open, not high_closed, step), limits)[0]


def equal_dfa(value: Value, limits: NumberLimits = DEFAULT) -> CharDfa:
    """The spellings of exactly this number."""
    return number_dfa(minimum=value, maximum=value, limits=limits)


def unequal_dfa(value: Value, limits: NumberLimits = DEFAULT) -> CharDfa:
    """The spellings of all other numbers. (Not a complement: spellings outside the envelope are in neither set.)"""
    return union(number_dfa(exclusive_maximum=value, limits=limits), number_dfa(exclusive_minimum=value, limits=limits))


@lru_cache(maxsize=1024)
def number_language(numbers: NumberSet, limits: NumberLimits = DEFAULT) -> tuple[CharDfa, tuple[str, ...]]:
    """The spellings of a set of numbers, and remarks on where the envelope differs from what ``limits`` says."""
    for number in (numbers.low, numbers.high, numbers.multiple, numbers.not_multiple):
        if number is not None:
            exact(number)
    limits, remarks = _raised(numbers, limits)
    dfa, more = _language(replace(numbers, not_multiple=None), limits, avoid=False)
    remarks += more
    if numbers.not_multiple is not None:
        others, more = _language(NumberSet(multiple=numbers.not_multiple), limits, avoid=True)
        dfa, remarks = intersect(dfa, others), remarks + more
    return dfa, tuple(dict.fromkeys(remarks))


def exact(value: Value) -> Fraction:
    """The number as written; refuses infinities, NaN and numbers with thousands of digits."""
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise StructgenError(f"{value} is not a number of JSON; use finite bounds (or parse the schema's numbers as Decimal)")
        if value and max(value.adjusted(), -int(value.as_tuple().exponent)) >= MAX_VALUE_DIGITS:
            raise LimitExceeded("digits of a number", MAX_VALUE_DIGITS)
    fraction = Fraction(value)
    if max(fraction.numerator.bit_length(), fraction.denominator.bit_length()) > MAX_VALUE_BITS:
        raise LimitExceeded("digits of a number", MAX_VALUE_DIGITS)
    return fraction


def _common_multiple(a: Fraction, b: Fraction) -> Fraction:
    return Fraction(lcm(a.numerator, b.numerator), gcd(a.denominator, b.denominator))


def _raised(numbers: NumberSet, limits: NumberLimits) -> tuple[NumberLimits, list[str]]:
    """The limits, raised so that the bounds can be written, and remarks on that."""
    bounds = [bound for bound in (numbers.low, numbers.high) if bound is not None]
    forced = [bound for bound in bounds if _is_single(numbers) or _needs_digits(bound, numbers, limits)]
    whole = max((n for bound in bounds if (n := len(digits_of(abs(bound)))) <= RAISING_DIGITS or bound in forced), default=0)
    places = max((n for bound in bounds if (n := places_of(bound)) <= RAISING_DIGITS or bound in forced), default=0)
    remarks = []
    if limits.max_integer_digits is not None and whole > limits.max_integer_digits:
        remarks.append(f"up to {whole} digits before the point, as a bound has")
        limits = replace(limits, max_integer_digits=whole)
    if limits.max_fraction_digits is not None and places > limits.max_fraction_digits:
        remarks.append(f"up to {places} digits behind the point, as a bound has")
        limits = replace(limits, max_fraction_digits=places)
    return limits, remarks


def _needs_digits(bound: Fraction, numbers: NumberSet, limits: NumberLimits) -> bool:
    """Whether the bound rules out the numbers near zero and lies where no exponent leads."""
    if not (bound > 0 and bound == numbers.low) and not (bound < 0 and bound == numbers.high):
        return False
    no_shift = numbers.multiple is not None and shift_of(decimal_part(numbers.multiple)) is None
    largest = limits.max_exponent
    return no_shift or numbers.not_multiple is not None or (largest is not None and power_of(abs(bound)) >= largest)


def _is_single(numbers: NumberSet) -> bool:
    return numbers.low is not None and numbers.low == numbers.high


def _language(numbers: NumberSet, limits: NumberLimits, *, avoid: bool) -> tuple[CharDfa, list[str]]:
    """One crawl: the multiples of ``numbers.multiple`` (``avoid``: all numbers except these) within the bounds."""
    step = None if numbers.multiple is None else decimal_part(numbers.multiple)
    if step is None and _is_single(numbers):
        step = Fraction(1, 10 ** places_of(numbers.low or Fraction()))  # no restriction: it says where zeros become padding
    modulus = None if step is None else Modulus.of(step, avoid)
    sides = sides_of(numbers)
    remarks: list[str] = []
    if modulus is not None and _is_crowded(modulus, sides, limits):
        limits = replace(limits, max_integer_digits=None)
        remarks.append(f"digits before the point are not counted beside {len(modulus.table)} classes of remainders")
    crawl = Crawl(sides, modulus, limits)
    remarks += _exponent_remarks(crawl, modulus)
    if crawl.padding_end is not None:
        remarks.append(f"at most {crawl.padding_end} digits behind the point, from digit {crawl.places + 1} on zeros")
    return from_transitions(SYMBOLS, *explore(crawl)), remarks


def _is_crowded(modulus: Modulus, sides: Sides, limits: NumberLimits) -> bool:
    """Whether counting the digits before the point would multiply too many classes of remainders."""
    if limits.max_integer_digits is None:
        return False
    counts = [len(side.upper.whole) if side.upper else limits.max_integer_digits for side in sides if side]
    return len(modulus.table) * min(max(counts, default=0), limits.max_integer_digits) > MAX_STATES // 2


def _exponent_remarks(crawl: Crawl, modulus: Modulus | None) -> Iterator[str]:
    if crawl.free or crawl.max_exponent == 0:
        return
    if not crawl.scalable:
        yield "no exponents"
        return
    yield "exponents only after one digit 1-9 and perhaps a fraction"
    if modulus is not None and modulus.avoid:
        yield f"exponents below {modulus.shift}"
    elif modulus is not None:
        yield f"exponents of at least the number of fraction digits {modulus.shift:+d}"
