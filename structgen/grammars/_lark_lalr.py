"""The texts of Lark's LALR(1) parser, whose tables resolve conflicts, as a grammar.

Lark makes the tables; here their runs become rules. A nonterminal is expanded for each state in which the parser begins it, along
the gotos, so that the state in which a rule is reduced is known. There the table may say something else for tokens that the
grammar allows next, for conflicts are resolved as a shift or by priorities: behind the rule these are ruled out (`REDUCED`).
And the state behind each token says which scanner reads on. Pairs of a nonterminal and a state that differ in none of these are
one rule: the coarsest partition, found by refinement (J. Hopcroft, An n log n algorithm, 1971; here in rounds).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from lark.grammar import NonTerminal, Rule, Symbol
from lark.grammar import Terminal as LarkTerminal
from lark.parsers.grammar_analysis import calculate_sets
from lark.parsers.lalr_analysis import Shift
from lark.parsers.lalr_parser import LALR_Parser

from structgen.automata import ir
from structgen.errors import LimitExceeded

from ._lark_basic import END, REDUCED, Terminal

__all__ = ["BoundedTables", "ParserGrammar", "in_parser_states"]

MAX_ITEMS = 500_000
"""Items in all states of Lark's tables."""
MAX_STEPS = 20_000_000
"""Symbols looked at to tell rules in different states apart."""

Pair = tuple[int, str]
"""A state of the parser and a nonterminal that begins there."""
Way = tuple[tuple["Pair | Terminal", ...], frozenset[str]]
"""The symbols of a rule, and the tokens that may not follow it."""


class ParserGrammar(NamedTuple):
    root: ir.Rule
    terminals: dict[ir.Rule, Terminal]
    """Rules without a body."""
    lexers: list[Any]
    first: int
    """The lexer that reads the beginning, by number."""


def in_parser_states(parser: Any) -> ParserGrammar:
    """The tokens that a `lark.Lark` with ``parser="lalr"`` parses, and its lexers."""
    return _States(parser).grammar()


class BoundedTables(LALR_Parser):
    """Lark's parser, for grammars whose LR(0) automaton, exponential in the worst case, is not too large."""

    def __init__(self, parser_conf: Any, **options: Any) -> None:
        _check_items(parser_conf.rules, parser_conf.start)
        super().__init__(parser_conf, **options)


def _check_items(rules: list[Rule], starts: list[str]) -> None:
    """Make the states of the LR(0) automaton as sets of dotted rules, only to count them."""
    by_origin: dict[str, list[int]] = {}
    for i, rule in enumerate(rules):
        by_origin.setdefault(rule.origin.name, []).append(i)
    todo = [frozenset((i, 0) for start in starts for i in by_origin.get(start, ()))]
    states, n_items = set(todo), 0
    for kernel in todo:
        items = list(kernel)
        expanded: set[str] = set()
        moves: dict[Symbol, set[tuple[int, int]]] = {}
        for i, dot in items:
            if dot == len(rules[i].expansion):
                continue
            symbol = rules[i].expansion[dot]
            moves.setdefault(symbol, set()).add((i, dot + 1))
            if symbol.name not in expanded:
                expanded.add(symbol.name)
                items += [(j, 0) for j in by_origin.get(symbol.name, ())]
        n_items += len(items)
        if n_items > MAX_ITEMS:
            raise LimitExceeded("items in the states of the LALR tables", MAX_ITEMS, "a Lark grammar")
        found = set(map(frozenset, moves.values())) - states
        states |= found
        todo += found


class _States:
    def __init__(self, parser: Any) -> None:
        tables = parser.parser.parser._parse_table
        ((start, state),) = tables.start_states.items()
        self.table: dict[int, dict[str, tuple[Any, Any]]] = tables.states
        self.root: Pair = (state, start)
        self.rules: dict[str, list[Rule]] = {}
        for rule in parser.rules:
            self.rules.setdefault(rule.origin.name, []).append(rule)
        beyond = Rule(NonTerminal("$root"), [NonTerminal(start), LarkTerminal(END)])
        self.follow = calculate_sets({*parser.rules, beyond})[1]  # type: ignore[no-untyped-call]
        lexer = getattr(parser.parser.lexer, "lexer", parser.parser.lexer)  # behind a postlex
        by_state = getattr(lexer, "lexers", None) or dict.fromkeys(self.table, lexer)
        self.lexers = list({id(by_state[state]): by_state[state] for state in self.table}.values())
        number = {id(lexer): i for i, lexer in enumerate(self.lexers)}
        self.lexer_of = {state: number[id(by_state[state])] for state in self.table}

    def grammar(self) -> ParserGrammar:
        ways = self.ways()
        blocks = _blocks(ways)
        rules = {block: ir.Rule(pair[1]) for pair, block in blocks.items()}
        terminals: dict[Terminal, ir.Rule] = {}

        def rule(symbol: Pair | Terminal) -> ir.Rule:
            if isinstance(symbol, Terminal):
                return terminals.setdefault(symbol, ir.Rule(symbol.label))
            return rules[blocks[symbol]]

        for pair in {block: pair for pair, block in blocks.items()}.values():
            marked = [(*symbols, *([Terminal(REDUCED, None, banned)] if banned else [])) for symbols, banned in ways[pair]]
            rule(pair).define(_without_left_recursion(rule(pair), [tuple(map(rule, symbols)) for symbols in marked]))
        by_rule = {rule: terminal for terminal, rule in terminals.items()}
        return ParserGrammar(rule(self.root), by_rule, self.lexers, self.lexer_of[self.root[0]])

    def ways(self) -> dict[Pair, list[Way]]:
        """The rules of all nonterminals, for each state in which they begin."""
        found: dict[Pair, list[Way]] = {self.root: []}
        todo = [self.root]
        for pair in todo:  # grows
            found[pair] = [self.run(rule, pair[0]) for rule in self.rules[pair[1]]]
            for symbol in [symbol for symbols, _ in found[pair] for symbol in symbols]:
                if not isinstance(symbol, Terminal) and symbol not in found:
                    found[symbol] = []
                    todo.append(symbol)
        return found

    def run(self, rule: Rule, state: int) -> Way:
        symbols: list[Pair | Terminal] = []
        for symbol in rule.expansion:
            _, after = self.table[state][symbol.name]
            symbols.append(Terminal(symbol.name, self.lexer_of[after]) if symbol.is_term else (state, symbol.name))
            state = after
        others = {name for name, (action, argument) in self.table[state].items() if action is Shift or argument != rule}
        return tuple(symbols), frozenset(token.name for token in self.follow[rule.origin] if token.name in others)


def _blocks(ways: dict[Pair, list[Way]]) -> dict[Pair, int]:
    """A number for each pair, the same for those that have the same texts and lexers: as many as there are differences."""
    names: dict[str, int] = {}
    blocks = {pair: names.setdefault(pair[1], len(names)) for pair in ways}
    size = sum(1 + len(symbols) for found in ways.values() for symbols, _ in found)
    n_steps, n_blocks = 0, 0
    while n_blocks != (n_blocks := len(set(blocks.values()))):
        n_steps += size
        if n_steps > MAX_STEPS:
            raise LimitExceeded("symbols looked at to tell rules in different parser states apart", MAX_STEPS, "a Lark grammar")
        numbers: dict[Any, int] = {}
        blocks = {pair: numbers.setdefault((blocks[pair], _form(found, blocks)), len(numbers)) for pair, found in ways.items()}
    return blocks


def _form(ways: Iterable[Way], blocks: dict[Pair, int]) -> frozenset[Any]:
    return frozenset((tuple([s if isinstance(s, Terminal) else blocks[s] for s in symbols]), banned) for symbols, banned in ways)


def _without_left_recursion(rule: ir.Rule, ways: Iterable[tuple[ir.Rule, ...]]) -> ir.Expr:
    """The body of a rule, with a loop for the ways that begin with the rule itself."""
    first, more = [], []
    for way in ways:
        if way[:1] == (rule,):
            more += [_sequence(way[1:])] if len(way) > 1 else []
        else:
            first.append(_sequence(way))
    body = _choice(first)
    return ir.Seq((body, ir.Repeat(_choice(more)))) if more else body


def _sequence(items: tuple[ir.Expr, ...]) -> ir.Expr:
    return items[0] if len(items) == 1 else ir.Seq(items)


def _choice(items: list[ir.Expr]) -> ir.Expr:
    return items[0] if len(items) == 1 else ir.Choice(tuple(items))
