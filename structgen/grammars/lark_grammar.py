"""Grammars of the parser generator Lark, with the meaning of Lark's Earley parser (all its lexers) or of its LALR parser.

Lark's own loader reads the text (imports, ``%override``, ``%extend``, ``%declare``) and writes the regular expressions of
terminals; for Earley, templates, repetitions and rules become expressions of the machine here, because Lark's own expansion
of these takes exponential time for some grammars. What a terminal may match is in `structgen.automata.leftmost`, what ``%ignore``
and the dynamic lexers make of it in `_lark_lexer`, the basic lexer in `_lark_basic`, LALR in `_lark_lalr`. Aliases and ``?`` change
no text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from lark import Lark
from lark.exceptions import LarkError, UnexpectedInput, VisitError
from lark.grammar import NonTerminal, Terminal
from lark.lexer import Pattern
from lark.load_grammar import (
    Grammar,
    GrammarBuilder,
    PrepareLiterals,
    TerminalTreeToPattern,
    _parse_grammar,
    nr_deepcopy_tree,
    stdlib_loader,
)
from lark.tree import Tree

from structgen.automata import ir
from structgen.automata.chardfa import CharDfa, none
from structgen.automata.leftmost import Scanner
from structgen.errors import GrammarSyntaxError, LimitExceeded, StructgenError

from ._lark_basic import Terminal as Token
from ._lark_basic import in_tokens
from ._lark_indent_lexer import LINE_BREAK
from ._lark_indenter import Indentation, check_options, in_lines, indentation
from ._lark_lalr import BoundedTables, ParserGrammar, in_parser_states
from ._lark_lexer import NO_DUTIES, Lexer, in_contexts
from ._lark_scanner import Scanners
from ._lark_terminals import basic_lexer
from ._regex_parser import parse_regex

__all__ = ["parse_lark"]

MAX_NESTING = 200
MAX_TERMINAL = 20_000
"""Nodes of one terminal, other terminals inside it counted where they are used."""
MAX_INSTANCES = 10_000
"""Rules, a template counted once for each different use."""
MAX_COUNT = 10**9
MAX_EXPANSION = 10_000
"""Symbols in all alternatives that Lark makes of one rule for the LALR parser."""
LEXERS = {"earley": ["dynamic_complete", "dynamic", "basic"], "lalr": ["contextual", "basic"]}
REPEATS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
REFUSED_BY_LARK = (LarkError, AssertionError, LookupError, ValueError, re.error)
"""What Lark's loader raises for grammars that it does not understand."""

Argument = ir.Expr | NonTerminal
"""What a parameter of a template stands for: an expression, or the name of another template."""


def parse_lark(
    text: str,
    start: str = "start",
    *,
    parser: str = "earley",
    lexer: str | None = None,
    import_paths: Sequence[str | Path] = (),
    postlex: Any = None,
    max_column: int = 80,
) -> ir.Expr:
    """The texts that Lark parses from the rule ``start``.

    ``lexer``: with "dynamic_complete" (the default for "earley") terminals match any split of the text, with "dynamic" their longest
    match only, "basic" cuts the text into tokens whatever the parser wants; ``parser="lalr"`` has "contextual" or "basic".
    ``import_paths``: the folders that ``%import`` may read besides the grammars that come with Lark. ``postlex``: a
    `lark.indenter.Indenter`, for blocks up to ``max_column`` (docs/lark.md). Raises `GrammarSyntaxError` with
    line, column and a caret, `StructgenError` for what is not supported, `LimitExceeded` for what is too large.

    >>> parse_lark('start: "yes" | "no"')
    Rule('start')
    """
    settings = None if postlex is None else indentation(postlex, max_column)
    if settings is not None:
        check_options(parser, lexer)
    elif not isinstance(parser, str) or (parser, lexer or LEXERS.get(parser, [""])[0]) not in [
        (name, kind) for name, kinds in LEXERS.items() for kind in kinds
    ]:
        raise StructgenError(f"parser={parser!r} with lexer={lexer!r} is not supported; there are: {LEXERS}")
    folders = list(import_paths) if isinstance(import_paths, Iterable) and not isinstance(import_paths, (str, bytes)) else [None]
    if not all(isinstance(folder, (str, Path)) for folder in folders):
        raise StructgenError(f"import_paths is a list of folders, found {import_paths!r:.100}")
    _check_encoding(text)
    try:
        importer = _importer(text, folders)
        lowering = _Lowering(text, _load(text, importer), start, longest=lexer == "dynamic", settings=settings)
        if parser == "lalr":
            lowering.check_expansions()
            lark = _lalr_parser(text, start, importer, lexer=lexer or "contextual", postlex=postlex)
            return lowering.in_tokens(in_parser_states(lark))
        return lowering.in_tokens(lowering.basic(start)) if lexer == "basic" or settings is not None else lowering.document()
    except RecursionError:
        raise LimitExceeded("nesting", MAX_NESTING, "a Lark grammar") from None


def _check_encoding(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = "a lone surrogate cannot be written as UTF-8"
        raise GrammarSyntaxError(message, text=text.encode("utf-8", "replace").decode(), position=error.start) from None


# -- loading ------------------------------------------------------------------------------------------------------------------


Importer = Callable[[Any, str], tuple[Any, str]]


def _load(text: str, importer: Importer) -> Grammar:
    builder = GrammarBuilder(import_paths=[importer])
    try:
        tree = _parse_grammar(text, "<string>")  # type: ignore[no-untyped-call]
    except REFUSED_BY_LARK as error:
        raise _unreadable(text, error) from None
    _check_size(tree)
    try:
        builder.load_grammar(text, "<string>")
        return builder.build()
    except StructgenError:
        raise
    except REFUSED_BY_LARK as error:
        raise _wrong(text, error) from None


def _check_size(tree: Any) -> None:
    """Count the nodes of all terminals, as many times as they are used: Lark walks through them again for every use."""
    bodies: dict[str, list[Any]] = {}
    for i, statement in enumerate(tree.children):
        inner = statement.children[0] if statement.data in ("override", "extend") else statement
        if inner.data in ("term", "ignore"):
            bodies.setdefault(str(inner.children[0]) if inner.data == "term" else f"%ignore {i}", []).append(inner.children[-1])
    sizes: dict[str, int] = {}

    def size(node: Any, depth: int) -> int:
        if depth > MAX_NESTING:
            raise LimitExceeded("nesting", MAX_NESTING, "a terminal of a Lark grammar")
        if isinstance(node, Terminal):
            if node.name not in sizes:
                sizes[node.name] = 1  # a terminal inside itself is an error that Lark reports
                sizes[node.name] = sum([size(body, depth + 1) for body in bodies.get(node.name, [])])
            return sizes[node.name]
        total = 1 + sum([size(child, depth + 1) for child in node.children]) if isinstance(node, Tree) else 1
        if total > MAX_TERMINAL:
            raise LimitExceeded("nodes of a terminal, other terminals inside it counted", MAX_TERMINAL, "a Lark grammar")
        return total

    for name in bodies:
        for body in bodies[name]:
            size(body, 0)


def _lalr_parser(text: str, start: str, importer: Importer, **options: Any) -> Lark:
    try:
        return Lark(text, parser="lalr", start=start, import_paths=[importer], _plugins={"LALR_Parser": BoundedTables}, **options)
    except StructgenError:
        raise
    except REFUSED_BY_LARK as error:
        raise _wrong(text, error) from None


def _importer(text: str, import_paths: Iterable[Any]) -> Importer:
    """The one place where imports are read: the folders given, and the grammars inside the package lark."""
    folders = [Path(folder).resolve() for folder in import_paths]

    def read(base: Any, path: str) -> tuple[Any, str]:
        beside = [Path(base)] if isinstance(base, str) and any(Path(base).is_relative_to(folder) for folder in folders) else []
        for folder in [*folders, *beside]:
            if (folder / path).is_file():
                return str(folder / path), (folder / path).read_text(encoding="utf-8")
        try:
            return stdlib_loader(base, path)
        except OSError:
            name = path.removesuffix(".lark").replace("/", ".").replace("\\", ".")
            raise GrammarSyntaxError(
                f"cannot import {name!r}: it is not a grammar that comes with Lark; name its folder in import_paths",
                text=text, position=_position(text, rf"%import\s+\.?{re.escape(name)}\b"),
            ) from None  # fmt: skip

    return read


def _unreadable(text: str, error: BaseException) -> GrammarSyntaxError:
    """What Lark says about a text that is no grammar, with the place that its message names."""
    place = error if isinstance(error, UnexpectedInput) else error.__context__
    if isinstance(place, UnexpectedInput) and place.pos_in_stream is not None:
        return GrammarSyntaxError(_message(error), text=text, position=min(place.pos_in_stream, len(text)))
    return _wrong(text, error)


def _wrong(text: str, error: BaseException, name: str = "") -> GrammarSyntaxError:
    """What Lark says about a grammar, at the first mention of a name in its message (it does not say where)."""
    message = _message(error)
    names = [name, *re.findall(r"'(\w+)'", message), *re.findall(r"\w+", message)[::-1]]
    return GrammarSyntaxError(message, text=text, position=next((p for name in names if (p := _mention(text, name))), 0))


def _message(error: BaseException) -> str:
    return re.split(r",? at line |\n", str(error).strip() or type(error).__name__)[0]


def _mention(text: str, name: str) -> int:
    """Where a name is defined, else where it is first used, else 0."""
    word = rf"(?<!\w){re.escape(name)}(?!\w)"
    return _position(text, rf"^[?!%a-z \t]*{word}(?=\s*[.:{{])") or _position(text, word) if name else 0


def _position(text: str, pattern: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    return found.start() if found else 0


# -- lowering -----------------------------------------------------------------------------------------------------------------


class _Lowering:
    def __init__(self, text: str, grammar: Grammar, start: str, *, longest: bool, settings: Indentation | None = None) -> None:
        self.text, self.grammar, self.settings = text, grammar, settings
        self.terminals = {name: tree for name, (tree, _) in grammar.term_defs}
        self.rules = {name: (tuple(params), tree) for name, params, tree, _ in grammar.rule_defs}
        self.names: dict[Any, ir.Rule] = {}
        self.virtual = set() if settings is None else {settings.indent, settings.dedent}
        self.words: dict[ir.Rule, Pattern] = {}
        """The terminals, as rules whose bodies depend on what may be ignored around them."""
        self.instances: dict[tuple[str, tuple[Argument, ...]], ir.Rule] = {}
        self.todo: list[tuple[ir.Rule, str, dict[str, Argument]]] = []
        self.longest = longest
        self.root = self.lower_all(start)

    def error(self, message: str, name: str) -> GrammarSyntaxError:
        return GrammarSyntaxError(message, text=self.text, position=_mention(self.text, name))

    def lower_all(self, start: str) -> ir.Rule:
        """The start rule; the terminals in ``words`` are still to be defined."""
        if start not in self.rules or self.rules[start][0]:
            known = ", ".join(sorted(name for name, (params, _) in self.rules.items() if not params)) or "none"
            raise GrammarSyntaxError(f"there is no rule {start!r} to start with; there are: {known}", text=self.text)
        root = self.rule(start, ())
        while self.todo:
            rule, name, env = self.todo.pop()
            rule.define(self.lower(self.prepared(name), env, 0))
        return root

    def document(self) -> ir.Expr:
        """The documents, where one of Lark's dynamic lexers looks for what the parser wants."""
        ignored = [self.automaton(name, self.pattern(name)) for name in dict.fromkeys(self.grammar.ignore)]
        lexer = Lexer(ignored, self.longest)
        words = {rule: self.automaton(rule.name, pattern) for rule, pattern in self.words.items()}
        if any(list(lexer.before(dfa)) not in ([NO_DUTIES], []) for dfa in words.values()):
            return in_contexts(self.root, words, lexer)
        for rule, dfa in words.items():
            rule.define(ir.Regular(lexer.before(dfa).get(NO_DUTIES, none())))
        return ir.Seq((self.root, ir.Regular(lexer.at_end()))) if ignored else self.root

    def basic(self, start: str) -> ParserGrammar:
        """The grammar with Lark's basic lexer."""
        try:
            kept = self.settings.kept if self.settings is not None else ()
            lexer, literals = basic_lexer(self.grammar, start, self.pattern, kept)
        except VisitError as error:
            raise error.orig_exc from None
        except REFUSED_BY_LARK as error:
            raise _wrong(self.text, error) from None
        tokens = {rule: Token(key if key in self.terminals else literals[key], 0) for key, rule in self.names.items()}
        return ParserGrammar(self.root, tokens, [lexer], 0)

    def in_tokens(self, found: ParserGrammar) -> ir.Expr:
        """The documents, where scanners cut the texts into tokens."""
        scanners = self.scanners(found.lexers)
        if self.settings is None:
            return in_tokens(found.root, found.terminals, scanners, found.first)
        return in_lines(found.root, found.terminals, scanners, found.first, self.settings)

    def scanners(self, lexers: Sequence[Any]) -> Scanners:
        try:
            return Scanners(lexers, alone="" if self.settings is None else LINE_BREAK)
        except StructgenError:
            for terminal in {terminal.name: terminal for lexer in lexers for terminal in lexer.terminals}.values():
                self.alone(terminal.name, terminal.pattern, ahead=True)  # an error that says where
            raise

    def check_expansions(self) -> None:
        """Refuse what Lark would write out as too many alternatives: it multiplies them along a sequence."""

        def size(expr: ir.Expr) -> tuple[int, int]:
            """Alternatives, and symbols in the longest."""
            ways, length = 1, 1
            if isinstance(expr, ir.Choice | ir.Seq):
                sizes = [size(item) for item in expr.items]
                if isinstance(expr, ir.Choice):
                    ways, length = sum(w for w, _ in sizes), max((n for _, n in sizes), default=0)
                else:
                    length = sum(n for _, n in sizes)
                    for w, _ in sizes:
                        ways = min(ways * w, MAX_EXPANSION + 1)
            elif isinstance(expr, ir.Repeat):
                inner, length = size(expr.item)
                if expr.max is None:
                    return 2 - min(expr.min, 1), 1
                rounds = min(expr.max, 50)  # more of them become rules of their own
                ways = min(sum(min(inner, 99) ** n for n in range(min(expr.min, rounds), rounds + 1)), MAX_EXPANSION + 1)
                length *= rounds
            if ways * length > MAX_EXPANSION:
                raise LimitExceeded("symbols in the alternatives that Lark makes of a rule", MAX_EXPANSION, "a grammar for parser='lalr'")
            return ways, length

        for rule in self.instances.values():
            if rule.body is not None:
                size(rule.body)

    # -- rules ------------------------------------------------------------------------------------------------------------------

    def prepared(self, name: str) -> Any:
        """The tree of a rule with its literals as patterns."""
        tree = self.rules[name][1]
        if tree is None:
            raise self.error(f"rule {name!r} is declared but not defined", name)
        return self.by_lark(PrepareLiterals(), tree, name)

    def by_lark(self, transformer: Any, tree: Any, name: str) -> Any:
        try:
            return transformer.transform(nr_deepcopy_tree(tree))  # type: ignore[no-untyped-call]
        except REFUSED_BY_LARK as error:
            raise _wrong(self.text, error, name) from None

    def rule(self, name: str, arguments: tuple[Argument, ...]) -> ir.Rule:
        if (name, arguments) not in self.instances:
            params = self.rules[name][0]
            if len(params) != len(arguments):
                raise self.error(f"template {name!r} takes {len(params)} arguments, found {len(arguments)}", name)
            if len(self.instances) >= MAX_INSTANCES:
                raise LimitExceeded("rules, a template counted once for each different use", MAX_INSTANCES, "a Lark grammar")
            rule = self.instances[name, arguments] = ir.Rule(name)
            self.todo.append((rule, name, dict(zip(params, arguments, strict=True))))
        return self.instances[name, arguments]

    def lower(self, node: Any, env: dict[str, Argument], depth: int) -> ir.Expr:
        if depth > MAX_NESTING:
            raise LimitExceeded("nesting", MAX_NESTING, "a Lark grammar")
        if isinstance(node, Terminal):
            return self.word(node.name, node.name, lambda: self.pattern(node.name))
        if isinstance(node, NonTerminal):
            found = self.argument(node, env)
            if isinstance(found, NonTerminal):
                raise self.error(f"template {found.name!r} is used without arguments", found.name)
            return found
        if node.data == "pattern":
            found = node.children[0]
            return self.word(found, found.raw or found.to_regexp(), lambda: found)
        if node.data == "template_usage":
            return self.usage(node, env, depth)
        if node.data == "expr":
            return self.repetition(self.lower(node.children[0], env, depth + 1), *node.children[1:])
        if node.data == "alias":
            return self.lower(node.children[0], env, depth + 1)
        items = tuple([self.lower(child, env, depth + 1) for child in node.children])
        if node.data == "maybe":
            return ir.Repeat(items[0], 0, 1)
        assert node.data in ("value", "expansion", "expansions"), node.data
        if len(items) == 1:
            return items[0]
        return ir.Choice(items) if node.data == "expansions" else ir.Seq(items)

    def argument(self, node: NonTerminal, env: dict[str, Argument]) -> Argument:
        """What a name stands for; a template's name for itself."""
        if node.name in env:
            return env[node.name]
        return node if self.rules[node.name][0] else self.rule(node.name, ())

    def usage(self, node: Any, env: dict[str, Argument], depth: int) -> ir.Expr:
        template, *values = node.children
        found = self.argument(template, env)
        if not isinstance(found, NonTerminal):
            raise self.error(f"{template.name!r} is no template", template.name)
        arguments = []
        for value in values:
            inner = value.children[0] if isinstance(value, Tree) and value.data == "value" else value
            arguments.append(self.argument(inner, env) if isinstance(inner, NonTerminal) else self.lower(inner, env, depth + 1))
        return self.rule(found.name, tuple(arguments))

    def repetition(self, item: ir.Expr, op: str, *bounds: str) -> ir.Expr:
        if op in REPEATS:
            return ir.Repeat(item, *REPEATS[op])
        low, high = (bounds[0], bounds[-1])
        if max(len(low), len(high)) > 10 or not 0 <= int(low) <= int(high) <= MAX_COUNT:
            message = f"bad repetition ~ {'..'.join(bounds):.50}: need 0 <= least <= greatest <= {MAX_COUNT}"
            raise GrammarSyntaxError(message, text=self.text, position=_position(self.text, rf"~\s*{re.escape(low)}"))
        return ir.Repeat(item, int(low), int(high))

    # -- terminals --------------------------------------------------------------------------------------------------------------

    def word(self, key: Any, name: str, pattern: Callable[[], Pattern]) -> ir.Rule:
        if key not in self.names:
            rule = self.names[key] = ir.Rule(name)
            if key not in self.virtual:
                self.words[rule] = self.checked(name, pattern())
            elif self.terminals[name] is not None:
                raise self.error(f"terminal {name} is made by the postlex, so it must be declared and not defined", name)
        return self.names[key]

    def automaton(self, name: str, pattern: Pattern) -> CharDfa:
        """The texts that Python's `re` matches whole when it is given nothing else."""
        return self.alone(name, pattern).whole()

    def alone(self, name: str, pattern: Pattern, *, ahead: bool = False) -> Scanner:
        regex = self.checked(name, pattern).to_regexp()
        return self.supported(name, lambda: Scanner([parse_regex(regex, syntax="python")], ahead=ahead))

    def checked(self, name: str, pattern: Pattern) -> Pattern:
        try:
            if re.compile(pattern.to_regexp()) and pattern.min_width == 0:
                raise self.error(f"terminal {name} may be empty, which Lark's lexers do not allow", name)
        except (re.error, OverflowError) as error:
            raise self.error(f"terminal {name}: {error}", name) from None
        return pattern

    def supported(self, name: str, build: Callable[[], Scanner]) -> Scanner:
        try:
            return build()
        except LimitExceeded as error:
            raise LimitExceeded(error.limit, error.value, f"terminal {name}") from None
        except StructgenError as error:
            message = re.sub(r" \(line \d+, column \d+\)$", "", str(error).splitlines()[0])
            raise self.error(f"terminal {name}: {message}", name) from None

    def pattern(self, name: str) -> Pattern:
        """The regular expression that Lark writes for a terminal."""
        tree = self.terminals[name]
        if tree is None:
            raise self.error(f"terminal {name} is declared but has no pattern: only a lexer of one's own could match it", name)
        if _is_empty(tree):
            raise self.error(f"terminal {name} may be empty, which Lark's lexers do not allow", name)
        return self.by_lark(PrepareLiterals() * TerminalTreeToPattern(), tree, name)  # type: ignore[no-any-return]


def _is_empty(tree: Any) -> bool:
    expansions = list(tree.find_data("expansion"))
    return len(expansions) == 1 and not expansions[0].children
