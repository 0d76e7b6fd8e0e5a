"""From what a user asks for to a constraint that knows how to read its texts back: `as_constraint`, `from_type`, `json_schema`.

A `TypedConstraint` is a constraint with a ``parse`` function from complete texts to objects. Types go through pydantic in
both directions: it writes their JSON Schema and validates their JSON, so anything a TypeAdapter takes is a type here. A
function stands for its arguments: parse gives a dict ``a`` so that ``f(**a)`` is a valid call.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from structgen.errors import ModelOutputError, StructgenError
from structgen.grammars.constraint import Constraint
from structgen.jsontext import loads, plain_integers

MAX_EXPONENT = 280  # with the default number of digits, no number of a type overflows to infinity

__all__ = ["TypedConstraint", "as_constraint", "from_type", "json_schema", "schema_of"]


@dataclass(frozen=True, slots=True)
class TypedConstraint(Constraint):
    """A constraint whose texts stand for objects: ``parse`` reads one, ``schema`` is its JSON Schema if it has one.

    Composed with others (``+``, ``|``) it is a plain constraint again, whose texts stand for themselves.
    """

    parse: Callable[[str], Any] = field(default=str, compare=False, repr=False)
    schema: Any = field(default=None, compare=False, repr=False)

    @property
    def constraint(self) -> Constraint:
        return self


def as_constraint(spec: Any) -> TypedConstraint:
    """The constraint that ``spec`` means: a constraint, a JSON Schema (dict, bool or JSON text), or a type or function."""
    if isinstance(spec, TypedConstraint):
        return spec
    if isinstance(spec, Constraint):
        return _typed(spec)
    if isinstance(spec, (Mapping, bool, str)):
        return json_schema(spec)
    if spec is None or isinstance(spec, (int, float, bytes, list, tuple, set)):
        raise StructgenError(f"expected a constraint, a JSON Schema (dict, bool or JSON text), a type or a function; found {spec!r:.80}")
    return from_type(spec)


def json_schema(schema: Mapping[str, Any] | bool | str, **options: Any) -> TypedConstraint:
    """The JSON texts whose value is valid under a JSON Schema (a dict, a bool, or JSON text); parsed by
    `structgen.jsontext.loads`: as by ``json.loads``, but numbers that a float cannot hold are an int or a Decimal.

    Options as in `structgen.grammars.json_schema.json_schema`. Raises `UnsupportedSchema` for a keyword that cannot be
    enforced exactly, `UnsatisfiableSchema` if no value is valid.
    """
    from structgen.grammars.json_schema import json_schema as to_constraint

    return _typed(to_constraint(schema, **options), loads, loads(schema) if isinstance(schema, str) else schema)


def from_type(T: Any, **options: Any) -> TypedConstraint:
    """The JSON texts of a type: pydantic model, dataclass, TypedDict, Enum, Literal, Union, builtin generic, ...; or a function.

    Objects have no properties beyond those declared, unless the model says ``extra="allow"``. ``parse`` gives an instance,
    for a function a dict of validated arguments. Options as for `json_schema`; numbers are bounded so that none overflows.
    """
    from structgen.grammars.json_schema import json_schema as to_constraint

    schema, parse = schema_of(T)
    options.setdefault("limits", {"max_exponent": MAX_EXPONENT})
    return _typed(to_constraint(schema, **options), parse, schema)


def schema_of(T: Any) -> tuple[dict[str, Any], Callable[[str], Any]]:
    """The JSON Schema of a type or function, and the function that reads a JSON text into an instance."""
    from structgen.pydantic_types import adapter_of, arguments_of, exact_schema, shown

    is_function = inspect.isroutine(T) or isinstance(T, functools.partial)
    adapter = adapter_of(arguments_of(T) if is_function else T)

    def parse(text: str) -> Any:
        loads(text)
        try:
            return adapter.validate_json(plain_integers(text))
        except Exception as error:  # whatever a validator of the type's own raises
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise ModelOutputError(f"the output is JSON but cannot be read as {shown(T)}: {reason}", text=text) from error

    return exact_schema(adapter), parse


def _typed(constraint: Constraint, parse: Callable[[str], Any] = str, schema: Any = None) -> TypedConstraint:
    return TypedConstraint(constraint.expr, constraint.report, constraint.source, parse, schema)
