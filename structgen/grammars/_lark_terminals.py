"""Which terminals Lark gives to its basic lexer, and their names: both decide what the lexer prefers.

Lark names the literals in rules itself, and drops terminals that no used rule contains. Its own way there writes out all
combinations of optional symbols; here only the symbols in each rule are collected, with Lark's own transformers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from lark.common import LexerConf
from lark.grammar import NonTerminal, Terminal
from lark.lexer import BasicLexer, Pattern, TerminalDef
from lark.load_grammar import ApplyTemplates, Grammar, PrepareAnonTerminals, PrepareLiterals, ValidateSymbols, nr_deepcopy_tree
from lark.tree import Tree

from structgen.errors import LimitExceeded

__all__ = ["basic_lexer"]

MAX_INSTANCES = 5_000
MAX_NAME = 1_000
"""Characters in the name that Lark makes of a template and its arguments."""
LONG = 50
"""Lark makes a rule of a repetition of as many rounds."""


def basic_lexer(
    grammar: Grammar, start: str, pattern: Callable[[str], Pattern], always: Collection[str] = ()
) -> tuple[BasicLexer, dict[Pattern, str]]:
    """Lark's lexer for a grammar, and the names of its literals. ``pattern``: the regular expression of a named terminal;
    ``always``: terminals that the lexer has in any case."""
    terminals = [TerminalDef(name, pattern(name), priority) for name, (tree, priority) in grammar.term_defs if tree]
    copy: Any = nr_deepcopy_tree
    rules = [(name, params, copy(tree), options) for name, params, tree, options in grammar.rule_defs if tree is not None]
    literals: Any = PrepareAnonTerminals(terminals)  # type: ignore[no-untyped-call]
    transformer = PrepareLiterals() * ValidateSymbols() * literals * _BoundedTemplates(rules)  # type: ignore[no-untyped-call]
    contents: dict[Any, set[Any]] = {}
    for name, params, tree, _ in rules:  # grows
        if not params:
            contents[name] = set(_contents(transformer.transform(tree), contents))
    used = {symbol.name for symbol in _used(contents, start) if isinstance(symbol, Terminal)}
    kept = [terminal for terminal in terminals if terminal.name in used or terminal.name in {*grammar.ignore, *always}]
    lexer = BasicLexer(LexerConf(kept, re, ignore=grammar.ignore, skip_validation=True))
    return lexer, {found: terminal.name for found, terminal in literals.term_reverse.items()}


class _BoundedTemplates(ApplyTemplates):
    def template_usage(self, c: Any) -> NonTerminal:
        if len(self.rule_defs) > MAX_INSTANCES:
            raise LimitExceeded("rules, a template counted once for each different use", MAX_INSTANCES, "a Lark grammar")
        if sum(len(argument.name) for argument in c) > MAX_NAME:
            raise LimitExceeded("characters of a template with its arguments written out", MAX_NAME, "a Lark grammar")
        return super().template_usage(c)  # type: ignore[no-any-return, no-untyped-call]


def _contents(tree: Any, contents: dict[Any, set[Any]]) -> Iterator[Any]:
    """The symbols in a rule; those in a repetition are in a rule of its own."""
    if not isinstance(tree, Tree):
        yield tree.name if isinstance(tree, NonTerminal) else tree
    elif tree.data == "alias":
        yield from _contents(tree.children[0], contents)
    elif tree.data == "expr":
        inner, op, *bounds = tree.children
        most = int(str(bounds[-1])) if bounds else 1
        found = frozenset(_contents(inner, contents))
        if op in ("*", "+") or most >= LONG:
            contents[found] = set(found)
            yield found
        elif most:
            yield from found
    else:
        for child in tree.children:
            yield from _contents(child, contents)


def _used(contents: dict[Any, set[Any]], start: str) -> set[Any]:
    """All that is in rules which Lark keeps: step by step, it drops those that no other rule contains."""
    kept = set(contents)
    while True:
        used = {symbol for rule in kept for symbol in contents[rule] if symbol != rule} | {start}
        if kept <= used:
            return used
        kept &= used
