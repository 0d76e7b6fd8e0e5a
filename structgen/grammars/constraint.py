"""A constraint: the set of texts that an output may be, before any tokenizer is known.

Every front-end returns a `Constraint`; constraints compose with ``+`` (one after the other) and ``|`` (either), and with
`choice`, `repeat` and `regex` below. The language itself is the expression ``expr`` of `structgen.automata.ir`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from structgen.automata import ir
from structgen.automata.chardfa import from_strings
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema

__all__ = ["Constraint", "choice", "ebnf", "forbid", "gbnf", "lark", "literal", "regex", "repeat", "text_or_constraint", "token"]

FEW_LETTERS = 1_000
"""A choice of texts with more characters in all is one automaton."""
MANY_LETTERS = 1_000_000
"""A choice with more characters than this must be one: its alternatives would take too long one by one."""
MAX_COUNT = 10**9
"""No text is repeated more often."""


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
    if not isinstance(text, str):
        raise StructgenError(f"a literal is a text (str), found {text!r:.100}")
    try:
        return Constraint(ir.Bytes(text.encode()), source=f"literal {text!r}")
    except UnicodeEncodeError as error:
        raise StructgenError(f"a lone surrogate at position {error.start} cannot be written as UTF-8") from None


def token(name: str | int) -> Constraint:
    """One special (or added) token, by its name in the vocabulary or its id. It is never its text: the characters ``<|x|>`` do not
    match ``token("<|x|>")``, and no text constraint matches the token. A token that ends the output cannot be named.

    >>> call = token("<|tool|>") + regex("[a-z]+")
    """
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise StructgenError(f"a token is named by a text or an id, found {name!r:.100}")
    return Constraint(ir.Token(name), source=f"token {name}")


def choice(texts: Iterable[str | Constraint]) -> Constraint:
    """Exactly one of these texts (or constraints).

    >>> choice(["yes", "no"]).source
    "'yes' | 'no'"
    """
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise StructgenError(f"choice takes a list of texts, not one {type(texts).__name__}")
    items = list(texts)
    if not items:
        raise UnsatisfiableSchema("a choice of no texts: give at least one")
    words = [item for item in items if isinstance(item, str)]
    n_letters = sum(map(len, words))
    if n_letters > FEW_LETTERS and len(words) == len(items):
        try:
            return _one_of_many(words)
        except LimitExceeded:
            if n_letters > MANY_LETTERS:
                raise
    return _either(list(dict.fromkeys(text_or_constraint(item) for item in items)))


def _one_of_many(texts: list[str]) -> Constraint:
    """A choice of texts as one automaton, which shares their beginnings and ends."""
    for text in texts:
        if not text.isascii():
            literal(text)  # an error if it has a lone surrogate
    return Constraint(ir.Regular(from_strings(sorted(set(texts)))), source=f"one of {len(texts)} texts")


def repeat(constraint: Constraint | str, min: int = 0, max: int | None = None) -> Constraint:
    """The constraint between ``min`` and ``max`` times (None: without bound), one directly after the other."""
    if any(isinstance(n, bool) or not isinstance(n, int) for n in (min, 0 if max is None else max)):
        raise StructgenError(f"cannot repeat between {min!r} and {max!r} times: need integers, or None for no greatest number")
    if min < 0 or (max is not None and max < min):
        raise StructgenError(f"cannot repeat between {min} and {max} times: need 0 <= min <= max")
    if min > MAX_COUNT:
        raise LimitExceeded("repetitions", MAX_COUNT)
    max = None if max is None or max > MAX_COUNT else max
    item = text_or_constraint(constraint)
    return Constraint(ir.Repeat(item.expr, min, max), source=f"({item.source}){{{min},{'' if max is None else max}}}")


def regex(pattern: str, **options: Any) -> Constraint:
    """The texts that the regular expression matches as a whole; options as in `structgen.grammars.regex.to_expr`."""
    from structgen.grammars.regex import to_expr

    _check_texts("a regular expression", pattern)
    return Constraint(to_expr(pattern, **options), source=f"/{pattern}/")


def forbid(constraint: Constraint | str, patterns: Iterable[str | Constraint]) -> Constraint:
    """The texts of a constraint in which none of the patterns occurs: texts, or regular constraints such as ``regex(...)``.

    >>> forbid(regex("[a-z]*"), ["ab", regex("c+d")]).source
    "/[a-z]*/ without 'ab', /c+d/"
    """
    from structgen.automata.chardfa import any_text, complement, concat, union
    from structgen.grammars.intersection import intersection
    from structgen.grammars.regular import language

    if isinstance(patterns, (str, Constraint)) or not isinstance(patterns, Iterable):
        raise StructgenError(f"forbid takes a list of patterns, not one {type(patterns).__name__}")
    whole, parts = text_or_constraint(constraint), [text_or_constraint(pattern) for pattern in patterns]
    if not parts:
        return whole
    found = union(*(language(part.expr) for part in parts))
    expr = intersection(whole.expr, complement(concat(any_text(), found, any_text())))
    return Constraint(expr, source=f"{whole.source} without {', '.join(map(_name, parts))}")


def ebnf(text: str, start: str | None = None) -> Constraint:
    """The texts of a grammar in the W3C's EBNF (docs/ebnf.md) that its first rule describes, or the rule ``start``."""
    from structgen.grammars.ebnf import parse_ebnf

    _check_texts("an EBNF grammar and its start rule", text, start or "")
    return Constraint(parse_ebnf(text, start), source="EBNF")


def gbnf(text: str, start: str = "root") -> Constraint:
    """The texts of a grammar in GBNF, the language of llama.cpp (docs/gbnf.md), that its rule ``start`` describes."""
    from structgen.grammars.gbnf import parse_gbnf

    _check_texts("a GBNF grammar and its start rule", text, start)
    return Constraint(parse_gbnf(text, start), source="GBNF")


def lark(text: str, start: str = "start", **options: Any) -> Constraint:
    """The texts that Lark parses with a grammar in its own language (docs/lark.md), beginning with its rule ``start``.

    As ``Lark(text, parser="earley", lexer="dynamic_complete")`` does: terminals may match any split of the text. (Lark's default
    is ``lexer="dynamic"``, where each terminal takes its longest match only.) For programming languages use ``lexer="basic"``, which
    cuts a text into tokens before it is parsed. Options: ``parser`` ("earley" or "lalr"), ``lexer``, and ``import_paths``, the folders
    that ``%import`` may read besides the grammars that come with Lark; ``postlex``, an `Indenter`, and ``max_column`` for its blocks.
    """
    from structgen.grammars.lark_grammar import parse_lark

    _check_texts("a Lark grammar and its start rule", text, start)
    return Constraint(parse_lark(text, start, **options), source="Lark")


def _check_texts(what: str, *values: object) -> None:
    for value in values:
        if not isinstance(value, str):
            raise StructgenError(f"{what}: expected a text (str), found {value!r:.100}")


def text_or_constraint(value: Constraint | str) -> Constraint:
    """The constraint itself; a plain string stands for itself."""
    if isinstance(value, Constraint):
        return value
    if isinstance(value, str):
        return literal(value)
    raise StructgenError(f"expected a constraint or a text, found {type(value).__name__}")


def _sequence(values: Sequence[Constraint | str]) -> Constraint:
    parts = [text_or_constraint(value) for value in values]
    return Constraint(ir.Seq(tuple(p.expr for p in parts)), _reports(parts), " + ".join(_name(p) for p in parts))


def _either(values: Sequence[Constraint | str]) -> Constraint:
    parts = [text_or_constraint(value) for value in values]
    return Constraint(ir.Choice(tuple(p.expr for p in parts)), _reports(parts), " | ".join(_name(p) for p in parts))


def _name(part: Constraint) -> str:
    return part.source.removeprefix("literal ")


def _reports(parts: Sequence[Constraint]) -> Any:
    """The one report among the parts, if there is exactly one; a composition of several schemas has none of its own."""
    reports = [part.report for part in parts if part.report is not None]
    return reports[0] if len(reports) == 1 else None
