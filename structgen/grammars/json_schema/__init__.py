"""JSON Schema to constraint: the JSON texts whose value is valid under the schema, exactly, or an error that says why not.

The way of a schema: `resolve` (references) -> `parse` (keywords to formulas) -> `normal` (per kind of value, a union of
shapes) -> `lower` (shapes to expressions of `structgen.automata.ir`); `lossy` goes it again without what it may drop, and `report`
tells what became of it. The language is that of the schema in its draft,
restricted to the stated defaults: keys are unique and in declared order, undeclared keys last, or in any order; whitespace as the layout
says; lengths and digits within `Limits`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from structgen.automata import ir
from structgen.errors import GrammarSyntaxError, LimitExceeded, StructgenError, UnsatisfiableSchema, UnsupportedSchema
from structgen.grammars.constraint import Constraint

from .formulas import Formula, Formulas
from .lossy import build_without
from .lower import Lowering
from .normal import Normaliser
from .options import Limits, UnknownOption, lossy_keywords, options_of
from .parse import MAX_NESTING, Parser, Scope
from .productive import is_productive
from .reading import MAX_EXPONENT, plain
from .report import Entry, Report, SchemaWarning, Source

__all__ = ["Entry", "Limits", "Report", "SchemaWarning", "json_schema"]


def json_schema(
    schema: Mapping[str, Any] | bool | str,
    *,
    whitespace: str | int | Mapping[str, Any] = "bounded",
    property_order: str = "declared",
    formats: bool | str = True,
    limits: Limits | Mapping[str, Any] | None = None,
    draft: str | None = None,
    registry: Any = None,
    lossy: Collection[str] = (),
) -> Constraint:
    """The JSON texts that are valid under ``schema`` (a dict, a JSON text or a boolean).

    ``whitespace``: "bounded" (at each gap nothing, a space, or a line break and an indentation), "compact", "one-space" (as
    ``json.dumps`` writes), "any", or ``{"indent": n}``. ``property_order``: "declared" (undeclared keys last) or "any".
    ``formats``: whether ``format`` is enforced. ``limits``: bounds on what the schema leaves open (`Limits`). ``draft``: the draft
    of a schema without ``$schema`` ("draft7", ...). ``registry``: a `referencing.Registry` for references out of the document;
    nothing is fetched. ``lossy``: keywords that are dropped where they cannot be enforced, instead of an error; the report lists them.

    The report of the constraint reads ``schema`` when it is first asked for: do not change it before.

    Raises `UnsupportedSchema` for what cannot be enforced exactly, `UnsatisfiableSchema` where no text is valid,
    `LimitExceeded` where a budget runs out, `GrammarSyntaxError` for text that is not JSON.
    """
    options = options_of(whitespace, property_order, formats, limits)
    if not isinstance(schema, Mapping | bool | str):
        raise UnsupportedSchema(f"a schema is a dict, a boolean or a JSON text (str), found {type(schema).__name__}")
    if not (registry is None or hasattr(registry, "get_or_retrieve")):
        raise UnknownOption(f"registry must be a referencing.Registry, found {registry!r:.100}")
    may_drop = lossy_keywords(lossy)
    try:
        document = _loaded(schema) if isinstance(schema, str) else plain(schema)
        (expr, noticed), source, dropped = build_without(may_drop, Source(document, options, draft, registry), _built)
    except RecursionError:
        raise LimitExceeded("nesting of schemas", MAX_NESTING) from None
    return Constraint(expr, Report(source, dropped, noticed), "JSON schema")


def _built(source: Source) -> tuple[ir.Expr, list[SchemaWarning]]:
    """The expression of a schema, and what was noticed on the way."""
    resolver = source.resolver()
    formulas = Formulas()
    parser = Parser(formulas, resolver, formats=source.options.formats)
    formula = parser.schema(source.document, Scope(resolver.root), "")
    normaliser = Normaliser(formulas)
    lowering = Lowering(formulas, normaliser, source.options)
    expr = lowering.run(formula)
    if not is_productive(expr):
        raise UnsatisfiableSchema(_reason(formula, normaliser, [*map(str, parser.unwritable)]), pointer="#")
    if not lowering.remarks:
        return expr, [*parser.unwritable]
    spelling = f"numbers are read and written in the usual spellings only: {'; '.join(lowering.remarks)}"
    return expr, [*parser.unwritable, SchemaWarning("", spelling)]


def _reason(formula: Formula, normaliser: Normaliser, unwritable: list[str]) -> str:
    if unwritable:
        return f"no text is valid under this schema: {'; '.join(unwritable[:3])}"
    if normaliser.is_empty(formula):
        return "no value is valid under this schema: its constraints contradict each other"
    return "no text is valid under this schema: values would have to be infinitely deep, or exceed the limits"


def _loaded(text: str) -> Any:
    """The schema of a JSON text, decimals exact."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise StructgenError(f"the key {twice!r:.100} occurs twice in one object of the schema")
        return found

    def constant(name: str) -> Any:
        raise StructgenError(f"{name} is not JSON")

    def decimal(digits: str) -> Decimal:
        try:
            return Decimal(digits)
        except InvalidOperation:
            raise LimitExceeded("exponent of a number", MAX_EXPONENT) from None

    try:
        return json.loads(text, parse_float=decimal, parse_constant=constant, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        hint = "" if "{" in text else " (a JSON text is expected, not the path of a file)"
        raise GrammarSyntaxError(f"the schema is not JSON: {error.msg}{hint}", text=text, position=error.pos) from None
    except RecursionError:
        raise LimitExceeded("nesting of JSON", 1000) from None
    except StructgenError:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise StructgenError(f"the schema cannot be read: {error}") from None
