"""Regular expressions as languages: the whole texts in which a pattern is found, those it matches, or a grammar for them.

JSON Schema's ``pattern`` is `search_dfa` (ECMA-262, not anchored); `to_expr` is the grammar of `structgen.regex` (Python syntax
by default, the whole text must match), which keeps repetitions counted and builds no automaton unless look-arounds force it.
Anchors at the edges of a pattern are resolved on the tree first, so usual patterns compile without look-arounds.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby

from structgen.automata import ir
from structgen.automata.chardfa import (
    END,
    MAX_STATES,
    START,
    Alternation,
    Automaton,
    Char,
    CharDfa,
    Concat,
    Loop,
    Node,
    compile_regex,
    is_anchored,
    search,
    strip_edges,
)
from structgen.automata.charset import ANY, intersect
from structgen.errors import StructgenError

from ._regex_escapes import Syntax
from ._regex_parser import parse_regex

__all__ = ["match_dfa", "parse_regex", "search_dfa", "search_language", "to_expr"]


@lru_cache(maxsize=1024)
def search_dfa(pattern: str, *, syntax: Syntax = "ecma", flags: str = "", max_states: int = MAX_STATES) -> CharDfa:
    """All texts in which the pattern is found somewhere.

    >>> from structgen.automata.chardfa import accepts
    >>> [accepts(search_dfa("^a|b$"), text) for text in ("ax", "xb", "xax")]
    [True, True, False]
    """
    return compile_regex(search(parse_regex(pattern, syntax=syntax, flags=flags)), max_states=max_states)


@lru_cache(maxsize=1024)
def match_dfa(pattern: str, *, syntax: Syntax = "python", flags: str = "", max_states: int = MAX_STATES) -> CharDfa:
    """All texts that the pattern matches from beginning to end."""
    return compile_regex(strip_edges(parse_regex(pattern, syntax=syntax, flags=flags)), max_states=max_states)


@lru_cache(maxsize=1024)
def search_language(pattern: str, *, max_states: int = MAX_STATES) -> tuple[CharDfa, int, int | None]:
    """`search_dfa` as an automaton and bounds on the number of characters, so that ``^[a-z]{1,500}$`` is not unrolled.

    >>> search_language("^[a-z]{1,500}$")[1:]
    (1, 500)
    """
    node = parse_regex(pattern)
    core = strip_edges(node)
    if isinstance(core, Loop) and isinstance(core.item, Char) and is_anchored(node, START) and is_anchored(node, END):
        return compile_regex(Loop(core.item)), core.min, core.max
    return compile_regex(search(node), max_states=max_states), 0, None


def to_expr(pattern: str, *, syntax: Syntax = "python", flags: str | int = "") -> ir.Expr:
    """The texts that the pattern matches from beginning to end, as a grammar; ``flags`` as letters or as Python's `re` has them."""
    if syntax not in ("python", "ecma"):
        raise StructgenError(f"the syntax of a regular expression is 'python' or 'ecma', found {syntax!r:.100}")
    if not isinstance(flags, (str, int)):
        raise StructgenError(f"flags are letters or those of Python's re, found {flags!r:.100}")
    node = strip_edges(parse_regex(pattern, syntax=syntax, flags=flags if isinstance(flags, str) else _flag_letters(flags)))
    found = _expr(node)
    return ir.Regular(compile_regex(node)) if found is None else found


def _flag_letters(flags: int) -> str:
    names = {"i": 2, "L": 4, "m": 8, "s": 16, "u": 32, "x": 64, "a": 256}
    return "".join(letter for letter, bit in names.items() if flags & bit)


def _expr(node: Node) -> ir.Expr | None:
    """The node as a grammar, None if it has look-arounds."""
    if isinstance(node, Char):
        return _char(node)
    if isinstance(node, Automaton):
        return ir.Regular(node.dfa)
    if isinstance(node, Loop):
        item = _expr(node.item)
        return None if item is None else _loop(item, node)
    if isinstance(node, Concat | Alternation):
        items = [_expr(item) for item in node.items]
        known = [item for item in items if item is not None]
        if len(known) < len(items):
            return None
        return _sequence(known) if isinstance(node, Concat) else ir.Choice(tuple(known))
    return None


def _char(node: Char) -> ir.Expr:
    ranges = intersect(node.ranges, ANY)
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return ir.Bytes(chr(ranges[0][0]).encode())
    return ir.Chars(ranges) if ranges else ir.Choice(())


def _loop(item: ir.Expr, node: Loop) -> ir.Expr:
    if node.max == 0:
        return ir.EMPTY
    return item if (node.min, node.max) == (1, 1) else ir.Repeat(item, node.min, node.max)


def _sequence(items: list[ir.Expr]) -> ir.Expr:
    """The items one after the other, neighbouring literals joined."""
    flat = [part for item in items for part in (item.items if isinstance(item, ir.Seq) else (item,))]
    joined: list[ir.Expr] = []
    for is_literal, run in groupby(flat, lambda item: isinstance(item, ir.Bytes)):
        if is_literal:
            value = b"".join(item.value for item in run if isinstance(item, ir.Bytes))
            joined += [ir.Bytes(value)] if value else []
        else:
            joined += run
    return joined[0] if len(joined) == 1 else ir.Seq(tuple(joined)) if joined else ir.EMPTY
