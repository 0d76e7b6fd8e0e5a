"""Whether Lark's LALR parser behind an indenter reads the same texts as the grammar behind the basic lexer.

Its tables read the texts of the grammar if no conflict was resolved. Its contextual lexer reads the same tokens as the basic one if
the terminals that a parser state cannot use never stand in the way of one that it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lark.exceptions import GrammarError

from structgen.automata._chardfa_subset import MAX_STATES, crawl
from structgen.errors import StructgenError

from ._lark_lalr import BoundedTables
from ._lark_scanner import IGNORED, TokenScanner, joint, next_state

__all__ = ["StrictTables", "check_contexts"]

INSTEAD = "with a postlex, parser='lalr' is supported where it makes no difference; parser='earley' with lexer='basic' is, always"


class StrictTables(BoundedTables):
    """Lark's tables, if there are no conflicts that Lark resolves, by the priorities of rules neither."""

    def __init__(self, parser_conf: Any, **options: Any) -> None:
        resolved = [rule.options for rule in parser_conf.rules if rule.options.priority]
        for found in resolved:
            found.priority = None
        try:
            super().__init__(parser_conf, **{**options, "strict": True})
        except GrammarError as error:
            if not resolved and not str(error).startswith("Shift/Reduce"):
                raise
            conflict = " ".join(str(error).replace("[strict-mode]", "").split())
            raise StructgenError(f"Lark resolves a conflict: {conflict:.300}; {INSTEAD}") from None


def check_contexts(parser: Any, basic: TokenScanner) -> None:
    """Refuse a `lark.Lark` whose contextual lexer does not read the same as the basic lexer."""
    lexers = parser.parser.lexer.lexer.lexers
    found: set[str] = set()
    for lexer in {id(lexer): lexer for lexer in lexers.values()}.values():
        usable = {IGNORED, *(terminal.name for terminal in lexer.terminals)}
        found.update(_in_the_way(TokenScanner(lexer, ahead=True), basic, usable))
    if found:
        raise StructgenError(
            f"where the parser cannot use them, the contextual lexer of parser='lalr' does not look for terminals that the basic lexer "
            f"finds there ({', '.join(sorted(found)):.100}); {INSTEAD}"
        )


def _in_the_way(own: TokenScanner, basic: TokenScanner, usable: set[str]) -> Iterator[str]:
    """The types of tokens that the basic lexer may read where the other one, with fewer terminals, reads something else."""
    _, columns = joint(own, basic)
    letters = list(dict.fromkeys(columns))
    states: list[tuple[int, int, bool]] = []

    def successors(state: tuple[int, int, bool]) -> list[tuple[int, int, bool] | None]:
        states.append(state)
        matched = state[2] or bool(_types(own, state[0]))
        found = [(next_state(own, state[0], c), next_state(basic, state[1], d), matched) for c, d in letters]
        return [after if max(after[:2]) >= 0 else None for after in found]

    crawl((0, 0, False), successors, lambda _: False, MAX_STATES)
    for at, at_basic, matched in states:
        others = [name for name in _types(basic, at_basic) if name not in usable]
        if others and (matched or at >= 0):
            yield others[0]
        if not others and _types(own, at) != _types(basic, at_basic):
            yield (_types(basic, at_basic) or _types(own, at))[0]


def _types(scanner: TokenScanner, state: int) -> list[str]:
    return scanner.types[state] if state >= 0 else []
