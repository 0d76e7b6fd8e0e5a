"""A constraint: the set of texts that an output may be, before any tokenizer is known.

Every front-end returns a `Constraint`; constraints compose with ``+`` (one after the other) and ``|`` (either), and with
`choice`, `repeat` and `regex` below. The language itself is the expression ``expr`` of `structgen.automata.ir`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from structgen.automata import ir
from structgen.errors import StructgenError, UnsatisfiableSchema

__all__ = ["Constraint", "choice", "literal", "regex", "repeat"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A language of texts. ``report`` (JSON Schema) says what is enforced; ``source`` is what it was built from."""

    expr: ir.Expr
    report: Any = field(default=None, compare=False, repr=False)
    source: str = field(default="", compare=False)

    def __add__(self, other: Constraint | str) -> Constraint:
        """This text, then the other; a plain string stands for itself."""
        return _sequence([self, other])

    def __radd__(self, other: str) -> Constraint:
        return _sequence([other, self])

    def __or__(self, other: Constraint | str) -> Constraint:
        """Either text; a plain string stands for itself."""
        return _either([self, other])

    def __ror__(self, other: str) -> Constraint:
        return _either([other, self])


def literal(text: str) -> Constraint:
    """Exactly this text."""
    try:
        return Constraint(ir.Bytes(text.encode()), source=f"literal {text!r}")
    except UnicodeEncodeError as error:
        raise StructgenError(f"a lone surrogate at position {error.start} cannot be written as UTF-8") from None


def choice(texts: Sequence[str | Constraint]) -> Constraint:
    """Exactly one of these texts (or constraints).

    >>> choice(["yes", "no"]).source
    "'yes' | 'no'"
    """
    if isinstance(texts, str):
        raise StructgenError("choice takes a list of texts, not one text")
    if not texts:
        raise UnsatisfiableSchema("a choice of no texts: give at least one")
    return _either(list(dict.fromkeys(texts)))


def repeat(constraint: Constraint | str, min: int = 0, max: int | None = None) -> Constraint:
    """The constraint between ``min`` and ``max`` times (None: without bound), one directly after the other."""
    if min < 0 or (max is not None and max < min):
        raise StructgenError(f"cannot repeat between {min} and {max} times: need 0 <= min <= max")
    item = _constraint(constraint)
    return Constraint(ir.Repeat(item.expr, min, max), source=f"({item.source}){{{min},{'' if max is None else max}}}")


def regex(pattern: str, **options: Any) -> Constraint:
    """The texts that the regular expression matches as a whole; options as in `structgen.grammars.regex.to_expr`."""
    from structgen.grammars.regex import to_expr

    return Constraint(to_expr(pattern, **options), source=f"/{pattern}/")


def _constraint(value: Constraint | str) -> Constraint:
    if isinstance(value, Constraint):
        return value
    if isinstance(value, str):
        return literal(value)
    raise StructgenError(f"expected a constraint or a text, found {type(value).__name__}")


def _sequence(values: Sequence[Constraint | str]) -> Constraint:
    parts = [_constraint(value) for value in values]
    return Constraint(ir.Seq(tuple(p.expr for p in parts)), _reports(parts), " + ".join(_name(p) for p in parts))


def _either(values: Sequence[Constraint | str]) -> Constraint:
    parts = [_constraint(value) for value in values]
    return Constraint(ir.Choice(tuple(p.expr for p in parts)), _reports(parts), " | ".join(_name(p) for p in parts))


def _name(part: Constraint) -> str:
    return part.source.removeprefix("literal ")


def _reports(parts: Sequence[Constraint]) -> Any:
    """The one report among the parts, if there is exactly one; a composition of several schemas has none of its own."""
    reports = [part.report for part in parts if part.report is not None]
    return reports[0] if len(reports) == 1 else None
