"""Exact numbers that pass through numpy code in log space, and every outcome of every choice a sampler makes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np


class Rational(Fraction):
    """A fraction that stays one of this class and has the methods that numpy's ufuncs look for."""

    def log(self) -> Log:
        return Log(self)

    def log1p(self) -> Log:
        return Log(1 + self)


def _closed(name: str) -> Callable[..., Any]:
    plain = getattr(Fraction, name)

    def method(self: Rational, *others: Any) -> Any:
        found = plain(self, *others)
        return Rational(found) if isinstance(found, Fraction) else found

    return method


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "mod", "neg"):
    setattr(Rational, f"__{_name}__", _closed(f"__{_name}__"))


class Log:
    """The logarithm of a non-negative fraction: adding multiplies. The floats -inf and 0 are the logarithms of 0 and 1."""

    def __init__(self, value: Any) -> None:
        self.value = Rational(value)

    def exp(self) -> Rational:
        return self.value

    def expm1(self) -> Rational:
        return self.value - 1

    def __add__(self, other: Any) -> Log:
        return Log(self.value * exact(other))

    def __sub__(self, other: Any) -> Log:
        return Log(0) if other == math.inf else Log(self.value / exact(other))

    def __rsub__(self, other: Any) -> Log:
        return Log(exact(other) / self.value)

    def __mul__(self, times: int) -> Log:
        return Log(self.value**times)

    def __float__(self) -> float:
        return math.log(self.value.numerator) - math.log(self.value.denominator) if self.value else -math.inf

    def __eq__(self, other: object) -> bool:
        return float(self) == other if isinstance(other, float) and other not in (0.0, -math.inf) else self.value == exact(other)

    def __lt__(self, other: Any) -> bool:
        if isinstance(other, float) and other not in (0.0, -math.inf):
            return float(self) < other
        return bool(self.value < exact(other))

    def __gt__(self, other: Any) -> bool:
        return not (self < other or self == other)

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __le__(self, other: Any) -> bool:
        return self < other or self == other

    def __repr__(self) -> str:
        return f"log {self.value}"

    __radd__, __rmul__, __hash__ = __add__, __mul__, None  # type: ignore[assignment]


def exact(log_weight: Any) -> Fraction:
    """The fraction whose logarithm this is."""
    if isinstance(log_weight, Log):
        return log_weight.value
    if log_weight in (0, -math.inf):
        return Fraction(bool(log_weight == 0))
    value = Fraction(math.exp(log_weight))
    ratio = value.limit_denominator(1000)  # the logarithm of a ratio of small numbers, unless it never was exact, such as an entropy
    return ratio if abs(ratio - value) < Fraction(1e-13) * value else value


def logs(values: Any) -> Any:
    """An array of exact logarithms."""
    array = np.empty(len(values), object)
    array[:] = [Log(Fraction(value)) for value in values]
    return array


class Replay:
    """Choices that follow a script of indices and, beyond it, take the first possible one; all are noted with their probabilities."""

    def __init__(self, script: list[int], negligible: Any) -> None:
        self.script, self.negligible = script, negligible
        self.trace: list[tuple[int, list[Fraction]]] = []
        self.probability = Fraction(1)

    def __call__(self, log_weights: Any) -> int:
        weights = [exact(log_weight) for log_weight in log_weights]
        total = sum(weights)
        shares = [self.probability * weight / total for weight in weights]
        at = len(self.trace)
        i = self.script[at] if at < len(self.script) else self._next(-1, shares)
        if i is None:
            i = shares.index(max(shares))
        self.trace.append((i, shares))
        self.probability = shares[i]
        return i

    def _next(self, i: int, shares: list[Fraction]) -> int | None:
        return next((j for j in range(i + 1, len(shares)) if shares[j] > self.negligible), None)

    def following(self) -> list[int] | None:
        """The script of the next outcome, depth first."""
        trace = list(self.trace)
        while trace:
            i = self._next(*trace.pop())
            if i is not None:
                return [*(i for i, _ in trace), i]
        return None


def outcomes(run: Callable[[Any], Any], negligible: Any = 0) -> Iterator[tuple[Fraction, Any]]:
    """Every outcome of ``run(choose)`` with its probability; branches of no more than ``negligible`` are left out."""
    script: list[int] | None = []
    while script is not None:
        choose = Replay(script, negligible)
        result = run(choose)
        yield choose.probability, result
        script = choose.following()


def law(run: Callable[[Any], Any], negligible: Any = 0) -> dict[Any, Fraction]:
    """The distribution of ``run(choose)``, whose results must be hashable."""
    found: dict[Any, Fraction] = defaultdict(Fraction)
    for probability, result in outcomes(run, negligible):
        found[result] += probability
    return dict(found)
