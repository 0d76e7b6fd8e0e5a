"""Regular expressions over characters as trees: what `chardfa.compile_regex` compiles and regex parsers produce.

Nodes are immutable, compare by identity (so no operation on them recurses) and may be shared: a node used twice stands for
two copies of its language. Assertions are look-arounds, the anchors included: ``^`` is "no character before here".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from structgen.automata.charset import ANY, Ranges

if TYPE_CHECKING:
    from structgen.automata.chardfa import CharDfa

__all__ = [
    "ANY_CHAR", "ANY_TEXT", "END", "EPSILON", "NOTHING", "START", "Alternation", "Automaton", "Char", "Concat", "Look", "Loop", "Node",
]  # fmt: skip


class Node:
    """Base of all regular expressions."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class Char(Node):
    """One character of the set; surrogates in the set never match."""

    ranges: Ranges


@dataclass(frozen=True, slots=True, eq=False)
class Concat(Node):
    """The items one after the other; no items: the empty text."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Alternation(Node):
    """Any one of the items; no items: no text at all."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Loop(Node):
    """The item between ``min`` and ``max`` times (None: without bound). ``lazy`` says nothing about the language, only that
    a matcher tries fewer rounds first (`compile_leftmost`)."""

    item: Node
    min: int = 0
    max: int | None = None
    lazy: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Look(Node):
    """Consumes nothing; holds where some match of ``body`` ends here (``behind``) or begins here, anywhere in the whole
    text; with ``negative``, where none does. A body that looks behind must not look ahead."""

    body: Node
    behind: bool
    negative: bool


@dataclass(frozen=True, slots=True, eq=False)
class Automaton(Node):
    """The language of an automaton."""

    dfa: CharDfa


EPSILON = Concat(())
NOTHING = Alternation(())
ANY_CHAR = Char(ANY)
ANY_TEXT = Loop(ANY_CHAR)
START = Look(ANY_CHAR, behind=True, negative=True)
END = Look(ANY_CHAR, behind=False, negative=True)
