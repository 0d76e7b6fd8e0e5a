"""Number languages against their definition: parse the spelling, compare its exact value with the constraints, and look
whether the spelling lies inside the envelope as the module docstring states it."""

from __future__ import annotations

import itertools
import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from structgen.automata.chardfa import CharDfa, accepts, intersect, is_empty, words
from structgen.errors import LimitExceeded, StructgenError
from structgen.grammars.numbers import (
    DEFAULT,
    NumberLimits,
    NumberSet,
    equal_dfa,
    exact,
    number_dfa,
    number_language,
    unequal_dfa,
)

NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?)([0-9]+))?")


# --- the definition ---------------------------------------------------------------------------------------------------


@cache
def value_of(text: str) -> Fraction:
    sign, whole, fraction, exponent_sign, exponent = NUMBER.fullmatch(text).groups("")
    mantissa = Fraction(int(whole + fraction), 10 ** len(fraction))
    return mantissa * (-1 if sign else 1) * Fraction(10) ** int(exponent_sign + (exponent or "0"))


def belongs(value: Fraction, numbers: NumberSet) -> bool:
    if numbers.low is not None and (value < numbers.low or (numbers.low_open and value == numbers.low)):
        return False
    if numbers.high is not None and (value > numbers.high or (numbers.high_open and value == numbers.high)):
        return False
    if numbers.multiple is not None and (value / numbers.multiple).denominator != 1:
        return False
    return numbers.not_multiple is None or (value / numbers.not_multiple).denominator != 1


@cache
def places(value: Fraction) -> int:
    """Digits after the point of a decimal number."""
    return next(n for n in itertools.count() if (value * 10**n).denominator == 1)


@cache
def least_power(step: Fraction) -> int | None:
    """The least power of ten that is a multiple of the step."""
    return next((n for n in range(-1200, 400) if (Fraction(10) ** n / step).denominator == 1), None)


def at_most(count: int, limit: int | None) -> bool:
    return limit is None or count <= limit


@lru_cache(maxsize=1000)
def raised(numbers: NumberSet, limits: NumberLimits) -> NumberLimits:
    """The limits after what the bounds add to them."""
    whole, fraction = [limits.max_integer_digits], [limits.max_fraction_digits]
    for bound in (numbers.low, numbers.high):
        if bound is None:
            continue
        is_near = bound * (1 if bound == numbers.low else -1) > 0  # zero is on the wrong side of it
        scientific = len(str(int(abs(bound)))) - 1 if abs(bound) >= 1 else -next((n for n in range(999) if abs(bound) * 10**n >= 1), 0)
        has_exponents = numbers.not_multiple is None and (numbers.multiple is None or least_power(numbers.multiple) is not None)
        out_of_reach = not has_exponents or (limits.max_exponent is not None and scientific >= limits.max_exponent)
        forced = numbers.low == numbers.high or (is_near and out_of_reach)
        whole += [n for n in [len(str(int(abs(bound))))] if forced or n <= 100]
        fraction += [n for n in [places(bound)] if forced or n <= 100]
    return replace(
        limits,
        max_integer_digits=None if None in whole else max(whole),
        max_fraction_digits=None if None in fraction else max(fraction),
    )


def is_inside(text: str, numbers: NumberSet, limits: NumberLimits) -> bool:
    """Whether the spelling lies in the envelope, bounds and steps being decimal numbers."""
    _, whole, fraction, _, exponent = NUMBER.fullmatch(text).groups()
    limits = raised(numbers, limits)
    fraction = fraction or ""
    if not at_most(len(whole), limits.max_integer_digits) or not at_most(len(fraction), limits.max_fraction_digits):
        return False
    step = numbers.multiple
    if step is None and numbers.low is not None and numbers.low == numbers.high:
        step = Fraction(1, 10 ** places(numbers.low))
    if exponent is None:
        zeros = None if step is None or limits.max_padding_zeros is None else places(step) + limits.max_padding_zeros
        return at_most(len(fraction), zeros)
    return has_inside_exponent(text, step, numbers, limits)


def has_inside_exponent(text: str, step: Fraction | None, numbers: NumberSet, limits: NumberLimits) -> bool:
    _, whole, fraction, sign, exponent = NUMBER.fullmatch(text).groups("")
    if limits.max_exponent == 0:
        return False
    if limits.max_exponent is not None and (int(exponent) > limits.max_exponent or len(exponent) > len(str(limits.max_exponent))):
        return False
    if step is None and numbers.not_multiple is None and not numbers.low and not numbers.high:
        return True
    if len(whole) > 1 or whole == "0":
        return False
    power = int(sign + exponent)
    if step is not None:
        shift = least_power(step)
        if shift is None or power < len(fraction) + shift or (limits.max_fraction_digits is None and limits.max_exponent is None):
            return False
    return numbers.not_multiple is None or Fraction(10) ** (power + 1) <= numbers.not_multiple


def expected(text: str, numbers: NumberSet, limits: NumberLimits) -> bool:
    return is_inside(text, numbers, limits) and belongs(value_of(text), numbers)


# --- every short spelling ---------------------------------------------------------------------------------------------

TINY = NumberLimits(max_integer_digits=3, max_fraction_digits=3, max_exponent=9, max_padding_zeros=1)
ALL_LIMITS = [
    DEFAULT,
    TINY,
    NumberLimits(None, None, None, None),
    NumberLimits(2, None, 3, None),
    NumberLimits(None, 2, None, 0),
    NumberLimits(2, 0, 12, 6),
    NumberLimits(3, 3, 0, 2),
]


def numbers_of(low: str, high: str, step: str = "", avoid: str = "") -> NumberSet:
    """An interval as in ``(0`` and ``1]``, empty for no bound."""
    return NumberSet(
        low=Fraction(low[1:]) if low[1:] else None,
        high=Fraction(high[:-1]) if high[:-1] else None,
        low_open=low[:1] == "(",
        high_open=high[-1:] == ")",
        multiple=Fraction(step) if step else None,
        not_multiple=Fraction(avoid) if avoid else None,
    )


SHORT_SETS = [
    numbers_of(*constraint.split(","))
    for constraint in """
    ,|,,1|[0,|(0,|,0]|,0)|[0,,1|[1,,1|[0,100]|[0,100],1|[1,65535],1|[0,1]|(0,1)|[0,1)|(0.05,1.5]|[-1,1]|[-5,10)|[-5,10),1|[-0.5,0.05]
    (-15,-0.1]|[0,0]|(0,0]|[5,1]|[5,5]|[-5,-5]|[0.15,0.15]|[150,150]|[0.0001,0.0001]|[-10000,-10000],1|[5,5],1|[0.5,0.5],1|(0.5,0.9),1
    ,,5|,,0.5|,,0.01|,,0.15|,,2.5|,,3|,,7|,,10|,,100|[0,50],5|[0,1],0.05|(-1.5,15),0.5|[-100,100],3|,,0.0005
    ,,,1|,,,5|,,,0.5|[0,10],,1|[-1,100],5,10|[0,],1,3|,,0.5,1|,,,0.01|,,,11
    """.replace("\n", "|").split("|")
    if "," in constraint
    for constraint in [constraint.strip()]
]


@cache
def short_spellings(digits: str, length: int) -> list[str]:
    alphabet = digits + "-+.e"
    texts = ("".join(letters) for n in range(1, length + 1) for letters in itertools.product(alphabet, repeat=n))
    return [text for text in texts if NUMBER.fullmatch(text)]


def short_words(dfa: CharDfa, alphabet: str, length: int) -> Iterator[str]:
    classes = {letter: dfa.classes[bisect_right(dfa.starts, ord(letter)) - 1] for letter in alphabet}
    level = [("", 0)]
    for _ in range(length + 1):
        yield from (text for text, state in level if dfa.accepting[state])
        level = [
            (text + letter, dfa.table[state][cls]) for text, state in level for letter, cls in classes.items() if dfa.table[state][cls] >= 0
        ]


@pytest.mark.parametrize(("limits", "length"), [(DEFAULT, 6), (TINY, 5)], ids=["default", "tiny"])
@pytest.mark.parametrize("numbers", SHORT_SETS, ids=str)
def test_every_short_spelling(numbers: NumberSet, limits: NumberLimits, length: int) -> None:
    dfa, _ = number_language(numbers, limits)
    assert set(short_words(dfa, "015-+.e", length)) == {text for text in short_spellings("015", length) if expected(text, numbers, limits)}


@pytest.mark.parametrize("limits", ALL_LIMITS, ids=str)
@pytest.mark.parametrize("numbers", SHORT_SETS[::4], ids=str)
def test_every_short_spelling_with_other_limits(numbers: NumberSet, limits: NumberLimits) -> None:
    dfa, _ = number_language(numbers, limits)
    assert set(short_words(dfa, "09-+.e", 6)) == {text for text in short_spellings("09", 6) if expected(text, numbers, limits)}


# --- long spellings ---------------------------------------------------------------------------------------------------

decimals = st.builds(
    lambda digits, power: Fraction(digits) * Fraction(10) ** power,
    st.integers(-(10**6), 10**6) | st.integers(-20, 20) | st.integers(-(10**18), 10**18),
    st.integers(-6, 3) | st.integers(-25, 40),
)
floats = st.floats(allow_nan=False, allow_infinity=False)
steps = st.sampled_from([1, 1, 1, 2, 3, 5, 6, 7, 10, 12, 25, 40, 0.5, 0.25, 0.2, 0.1, 0.01, 0.07, 2.5, 1.2, 0.00004]).map(exact)
number_sets = st.builds(
    NumberSet,
    low=st.none() | decimals | floats.map(exact),
    high=st.none() | decimals | floats.map(exact),
    low_open=st.booleans(),
    high_open=st.booleans(),
    multiple=st.none() | st.none() | steps,
    not_multiple=st.none() | st.none() | st.none() | steps,
)


def written(value: Fraction, shift: int, zeros: int, style: str) -> str:
    """The decimal number ``value`` with its point moved by ``shift`` places, made good by an exponent, and more zeros."""
    scaled = value * Fraction(10) ** shift
    n_places = places(scaled)
    digits = str(abs(int(scaled * 10**n_places))).rjust(n_places + 1, "0")
    fraction = digits[len(digits) - n_places :] + "0" * zeros
    text = ("-" if value < 0 else "") + digits[: len(digits) - n_places] + ("." + fraction if fraction else "")
    return text + (style.format(-shift) if shift else "")


@st.composite
def spellings(draw: st.DrawFn, numbers: NumberSet) -> str:
    """A spelling of a value that is likely to matter."""
    anchors = [Fraction(0), *(bound for bound in (numbers.low, numbers.high) if bound is not None)]
    value = draw(st.sampled_from(anchors))
    step = numbers.multiple or numbers.not_multiple
    if step and draw(st.booleans()):
        value = value // step * step + step * draw(st.integers(-2, 30))
    value += draw(st.sampled_from([-1, 0, 1])) * Fraction(10) ** draw(st.integers(-12, 12))
    if draw(st.integers(0, 4)) == 0:
        value = draw(decimals | floats.map(exact) | st.integers(0, 30).map(lambda n: Fraction(10**n)))
    normal = -(len(str(int(abs(value)))) - 1) if abs(value) >= 1 else next((n for n in range(400) if abs(value) * 10**n >= 1), 0)
    shift = draw(st.sampled_from([0, normal, normal]) | st.integers(-9, 9))
    return written(value, shift, draw(st.sampled_from([0, 0, 0, 1, 2, 7])), draw(st.sampled_from(["e{}", "E{:+d}", "e{:+03d}"])))


@settings(max_examples=250, deadline=None)
@given(st.data(), number_sets, st.sampled_from([DEFAULT, DEFAULT, *ALL_LIMITS]))
def test_spellings_that_matter(data: st.DataObject, numbers: NumberSet, limits: NumberLimits) -> None:
    dfa, _ = number_language(numbers, limits)
    for text in data.draw(st.lists(spellings(numbers), min_size=8, max_size=8)):
        assert accepts(dfa, text) == expected(text, numbers, limits), text


@settings(max_examples=100, deadline=None)
@given(floats, floats, floats)
def test_every_python_float_can_be_written(x: float, y: float, z: float) -> None:
    low, middle, high = sorted((x, y, z))
    between = number_dfa(minimum=low, maximum=high)
    assert accepts(between, json.dumps(middle))
    assert accepts(number_dfa(), json.dumps(middle))
    assert accepts(equal_dfa(middle), json.dumps(middle))
    assert accepts(number_dfa(integer=True), json.dumps(middle)) == middle.is_integer()
    assert accepts(number_dfa(exclusive_minimum=low), json.dumps(middle)) == (middle > low)
    assert not accepts(between, json.dumps(low * 2 - high)) or low * 2 - high == low


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**40), 10**40) | st.integers(-300, 300), st.integers(0, 10**40) | st.integers(0, 300))
def test_every_python_int_within_bounds_can_be_written(low: int, span: int) -> None:
    dfa = number_dfa(integer=True, minimum=low, maximum=low + span)
    for value in (low, low + span, low + span // 3):
        assert accepts(dfa, json.dumps(value))
    for value in (low - 1, low + span + 1, low + 10**41, low - 10**41):
        assert not accepts(dfa, json.dumps(value))


@pytest.mark.parametrize(
    ("text", "is_integer"),
    [
        *((text, True) for text in ["1.0", "1e0", "1.5e1", "1.0E10", "-0", "-0.0", "1e+16", "1.5e+300"]),
        *((text, False) for text in ["1.5", "1e-1", "1.55e1", "01", "1.", ".5", "+1", "-", "1e", "1.e1", "0x1", "NaN", "١"]),
    ],
)
def test_integers_are_recognised_by_value(text: str, is_integer: bool) -> None:
    assert accepts(number_dfa(integer=True), text) == is_integer


# --- laws -------------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.data(), decimals)
def test_a_number_equals_a_value_or_differs_from_it(data: st.DataObject, value: Fraction) -> None:
    equal, unequal = equal_dfa(value), unequal_dfa(value)
    assert is_empty(intersect(equal, unequal))
    text = data.draw(spellings(NumberSet(low=value, high=value)))
    assert not accepts(equal if value_of(text) != value else unequal, text)


def test_equal_sets_have_equal_automata() -> None:
    assert number_dfa(integer=True, minimum=1, maximum=5) == number_dfa(integer=True, exclusive_minimum=0, exclusive_maximum=6)
    assert number_dfa(minimum=0.1) == number_dfa(minimum=Decimal("0.10")) == number_dfa(minimum=Fraction(1, 10))
    assert number_dfa(multiple_of=2, integer=True) == number_dfa(multiple_of=2)
    assert number_dfa(multiple_of=1.5, integer=True) == number_dfa(multiple_of=3)
    assert number_dfa(minimum=2, exclusive_minimum=2) == number_dfa(exclusive_minimum=2)
    assert number_dfa(multiple_of=Fraction(1, 3)) == number_dfa(integer=True)


@pytest.mark.parametrize(
    "numbers",
    [
        numbers_of("[2", "1]"),
        numbers_of("(1", "1]"),
        numbers_of("(0.2", "0.9]", "1"),
        numbers_of("[1", "4]", "5"),
        numbers_of("[6", "6]", "", "3"),
    ],
    ids=str,
)
def test_contradictions_are_empty(numbers: NumberSet) -> None:
    assert is_empty(number_language(numbers)[0])


def test_a_bound_without_decimal_digits() -> None:
    third = number_dfa(minimum=Fraction(1, 3), exclusive_maximum=Fraction(2, 3))
    assert accepts(third, "0.34") and accepts(third, "0.33333333333333333334") and accepts(third, "3.4e-1") and accepts(third, "0.666")
    assert not accepts(third, "0.33333333333333333333") and not accepts(third, "0.66666666666666666667") and not accepts(third, "3.3e-1")
    assert is_empty(equal_dfa(Fraction(1, 3)))


def test_bounds_far_from_zero_raise_the_limits() -> None:
    assert accepts(number_dfa(integer=True, minimum=10**500), json.dumps(10**500))
    assert accepts(number_dfa(maximum=-(10**500)), "-2" + "0" * 500)
    assert accepts(number_dfa(multiple_of=3, minimum=1e200), "3" + "0" * 200)
    assert accepts(equal_dfa(Decimal("1e-500")), "0." + "0" * 499 + "1")


def test_long_bounds_leave_the_limits_alone() -> None:
    dfa = number_dfa(minimum=1e-300, maximum=1e300)
    assert accepts(dfa, "1" * 20) and accepts(dfa, "1.5e299") and not accepts(dfa, "1" * 21) and not accepts(dfa, "1." + "0" * 21)


# --- remarks and budgets ----------------------------------------------------------------------------------------------


def test_remarks_say_what_is_left_out() -> None:
    assert number_language(NumberSet())[1] == ()
    assert number_language(NumberSet(low=Fraction(0)))[1] == ()
    assert "no exponents" in number_language(NumberSet(multiple=Fraction(3)))[1]
    assert "exponents of at least the number of fraction digits +0" in number_language(NumberSet(multiple=Fraction(1)))[1]
    assert "up to 30 digits before the point, as a bound has" in number_language(NumberSet(high=Fraction(10**29)))[1]


@pytest.mark.parametrize("step", [97, 1024, 3600, 65536, 86400])
def test_big_steps(step: int) -> None:
    dfa, remarks = number_language(NumberSet(multiple=Fraction(step)))
    for multiple in range(0, 50 * step, step):
        assert accepts(dfa, str(multiple)) and accepts(dfa, f"-{multiple}.0")
        assert not any(accepts(dfa, str(multiple + rest)) for rest in (1, 2, step // 2, step - 1))
    assert accepts(dfa, str(10**30 * step)) == any("not counted" in remark for remark in remarks)


def test_steps_whose_digits_are_not_counted_still_respect_bounds() -> None:
    dfa, remarks = number_language(NumberSet(low=Fraction(10), multiple=Fraction(16384)), NumberLimits(max_exponent=0))
    assert words(dfa, 3) == ["16384", "32768", "49152"]
    assert any("not counted" in remark for remark in remarks)
    assert not accepts(dfa, "0") and not accepts(dfa, "-16384") and accepts(dfa, "16384.00")


@pytest.mark.parametrize(
    ("constraints", "limit"),
    [
        ({"multiple_of": 9973}, "classes of remainders"),
        ({"multiple_of": 10**70}, "digits of multipleOf"),
        ({"minimum": 10**2100}, "digits of a number"),
        ({"minimum": Decimal("1e999999999")}, "digits of a number"),
        ({"maximum": Decimal("1e-999999999")}, "digits of a number"),
        ({"multiple_of": Fraction(1, 3**5000)}, "digits of a number"),
        ({"limits": NumberLimits(max_integer_digits=20_000)}, "states"),
    ],
    ids=range(7),
)
def test_budgets(constraints: dict[str, object], limit: str) -> None:
    with pytest.raises(LimitExceeded, match=limit):
        number_dfa(**constraints)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), Decimal("Infinity")])
def test_what_json_cannot_write_is_refused(value: float | Decimal) -> None:
    with pytest.raises(StructgenError, match="not a number of JSON"):
        number_dfa(maximum=value)


@pytest.mark.parametrize("step", [0, -1, -0.5])
def test_steps_are_positive(step: float) -> None:
    with pytest.raises(StructgenError, match="greater than 0"):
        number_dfa(multiple_of=step)


@pytest.mark.parametrize("limits", [{"max_integer_digits": 0}, {"max_exponent": -1}, {"max_padding_zeros": 10**9}], ids=str)
def test_limits_are_checked(limits: dict[str, int]) -> None:
    with pytest.raises(StructgenError, match="must be between"):
        NumberLimits(**limits)


@pytest.mark.parametrize(
    ("numbers", "n_states"),
    [
        (",", 60),
        ("[0,", 80),
        (",,1", 160),
        ("[0,],1", 160),
        ("[0,100],1", 50),
        ("[1,65535],1", 90),
        ("[0,1]", 110),
        (",,0.01", 160),
        ("[5,5]", 15),
    ],
)
def test_common_sets_have_few_states(numbers: str, n_states: int) -> None:
    assert len(number_language(numbers_of(*numbers.split(",")))[0].table) <= n_states
