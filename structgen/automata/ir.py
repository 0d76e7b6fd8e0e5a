"""The grammar language every front-end produces and the pushdown machine consumes: expressions over lexemes.

An expression denotes a set of byte strings. Expressions are immutable values (hashable, compared by content), except
`Rule`, which is a named hole that may be filled later so that grammars can be recursive; rules compare by identity.
Sharing matters: equal lexemes (`Chars`, `Regular`, `Quoted`) are compiled once per process and share their masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from structgen.automata.chardfa import CharDfa

__all__ = [
    "EMPTY", "Bounded", "Bytes", "Chars", "Choice", "Expr", "Item", "Named", "Quoted", "QuotedText", "Regular", "Repeat", "Rule", "Seq",
    "Token", "Unique", "named",
]  # fmt: skip


class Expr:
    """Base of all grammar expressions. ``a + b`` and ``a | b`` build `Seq` and `Choice`."""

    __slots__ = ()

    def __add__(self, other: Expr) -> Expr:
        return Seq((self, other))

    def __or__(self, other: Expr) -> Expr:
        return Choice((self, other))


@dataclass(frozen=True, slots=True)
class Bytes(Expr):
    """Exactly these bytes (``b""`` is the empty string)."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Token(Expr):
    """One special token, by its name in the vocabulary or by its id; never a text, not even that of its name."""

    token: str | int


Standing = Literal["text", "inside", "end"]
"""What a name is in a vocabulary: no special token, one that may stand inside an output, one that ends the output."""


class Named(Expr):
    """The empty word where a name has this standing in the vocabulary, no word at all elsewhere: guards an alternative that is
    meant for such vocabularies only. Made by `named`, equal ones are identical."""

    __slots__ = ("__weakref__", "standing", "token")

    def __init__(self, token: str, standing: Standing) -> None:
        self.token = token
        self.standing = standing


NAMED: WeakValueDictionary[tuple[str, Standing], Named] = WeakValueDictionary()
"""All guards in use."""


def named(token: str, standing: Standing) -> Named:
    """The guard for a name and a standing."""
    return NAMED.setdefault((token, standing), Named(token, standing))


@dataclass(frozen=True, slots=True)
class Chars(Expr):
    """One character (UTF-8 encoded) whose code point lies in one of the inclusive ranges.

    Ranges are sorted, disjoint, not adjacent, within 0..0x10FFFF; surrogates (0xD800..0xDFFF) never match.
    """

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Regular(Expr):
    """A regular language over characters, read as UTF-8 without any quoting."""

    dfa: CharDfa


@dataclass(frozen=True, slots=True)
class Bounded(Expr):
    """A regular language as in `Regular`, of its words those with between ``min_length`` and ``max_length`` code points. Lengths
    are counted, never unrolled."""

    dfa: CharDfa
    min_length: int = 0
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class QuotedText(Expr):
    """A JSON string literal (with its quotes) whose value is exactly ``text``, in every JSON spelling:
    raw UTF-8, short escapes and \\uXXXX (either case, surrogate pairs) may be mixed freely."""

    text: str


@dataclass(frozen=True, slots=True)
class Quoted(Expr):
    """A JSON string literal (with its quotes) whose value, as characters, lies in ``content`` and has between
    ``min_length`` and ``max_length`` code points. Spelling as in `QuotedText`; lone surrogates never match.

    ``content`` None means any characters. ``capture``: the value is recorded in the innermost enclosing `Unique`,
    and values already recorded there are not accepted again.
    """

    content: CharDfa | None = None
    min_length: int = 0
    max_length: int | None = None
    capture: bool = False


@dataclass(frozen=True, slots=True)
class Seq(Expr):
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Choice(Expr):
    """Any one of the alternatives; no alternatives at all is the empty language."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Repeat(Expr):
    """``item`` between ``min`` and ``max`` times (None: without bound), ``separator`` between neighbours.
    Bounds may be huge: they are counted, never unrolled.

    ``determined``: the front-end knows that a text read so far determines how many rounds of it were read (the items of a
    JSON array, say). Without this, a great exact number of rounds is refused: every possible number would have to be kept."""

    item: Expr
    min: int = 0
    max: int | None = None
    separator: Expr | None = None
    determined: bool = False


@dataclass(frozen=True, slots=True)
class Item(Expr):
    """A JSON value that is recorded in the innermost enclosing `Unique`: values that are equal as JSON (1 and 1.0, whatever the
    order of keys and the spelling of strings) are not accepted again.

    Front-ends see to it that whatever was begun can become a value not used yet: ``value`` has one value only (then ``only`` is
    a JSON text of it), or every beginning of it can go on in infinitely many ways, or it is ``scarce``: then the machine looks
    ahead. A scope with scarce items is a `Repeat` of items of one kind, its bounds those of the `Unique`, or demands none of them."""

    value: Expr
    only: str | None = None
    scarce: bool = False


@dataclass(frozen=True, slots=True)
class Unique(Expr):
    """A scope in which all `Item`s, and all `Quoted` lexemes with ``capture``, have pairwise different values (as JSON, so
    "a" and "\\u0061" are equal). Captures inside a `Rule` called from the body belong to that rule's own scopes.

    There are between ``min`` and ``max`` values, all of ``required`` among them. Where this says anything, and where there are
    several lexemes with finitely many values, the body is a `Repeat` of items that capture one value each; its own bounds
    are then left open, and lexemes with finitely many values are equal or disjoint, one for each required value."""

    body: Expr
    required: tuple[str, ...] = ()
    min: int = 0
    max: int | None = None


class Rule(Expr):
    """A named expression, filled in once with `define`; calling it by reference allows recursion of every kind.

    ``rewritten``: an expression of the same words that does not call the rule before something is read, where the body
    does (see left_recursion); what is compiled is `definition`."""

    __slots__ = ("__weakref__", "body", "name", "rewritten")

    def __init__(self, name: str, body: Expr | None = None) -> None:
        self.name = name
        self.body = body
        self.rewritten: Expr | None = None

    def define(self, body: Expr) -> Rule:
        assert self.body is None, f"rule {self.name} is already defined"
        self.body = body
        return self

    @property
    def definition(self) -> Expr | None:
        return self.rewritten or self.body

    def __repr__(self) -> str:
        return f"Rule({self.name!r})"


EMPTY = Bytes(b"")
