"""C11 translation units: a reader of words written from the standard (6.4, 6.10), then pycparser.

pycparser knows the names of types by their declarations. Here every identifier may be one wherever it stands: all ways to tell types
from other names are tried. Where pycparser reads more than the grammar says it does, or less, its methods are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pycparser import c_ast, c_lexer, c_parser
from pycparser.c_lexer import Token

ESCAPE = r"\\(?:['\"?\\abfnrtv]|[0-7]{1,3}|x[0-9A-Fa-f]+|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})"
WORD = re.compile(
    rf"""(?P<ID>[A-Za-z_][A-Za-z0-9_]*) | (?P<NUMBER>\.?[0-9](?:[eEpP][+-]|[A-Za-z0-9_.])*)
    | (?P<CHAR_CONST>'(?:[^'\\\n]|{ESCAPE}){{1,4}}') | (?P<STRING_LITERAL>"(?:[^"\\\n]|{ESCAPE})*")
    | (?P<MARK>\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|[<>=!*/%+&^|-]=|&&|\|\||[][(){{}}.&*+~!/%<>^|?:;=,-])""",
    re.VERBOSE,
)
INTEGER = re.compile("(0[0-7]*|[1-9][0-9]*|0[xX][0-9a-fA-F]+)([uU]|l|L|[uU]l|[uU]L|l[uU]|L[uU]|ll|LL|[uU]ll|[uU]LL|ll[uU]|LL[uU])?")
FLOAT = re.compile(
    "([0-9]+e[+-]?[0-9]+|([0-9]*[.][0-9]+|[0-9]+[.])(e[+-]?[0-9]+)?|0x([0-9a-f]+[.]?|[0-9a-f]*[.][0-9a-f]+)p[+-]?[0-9]+)[fl]?", re.I
)
QUOTED = re.compile(r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""")
UNKNOWN = {"_Alignas", "_Atomic", "_Complex", "_Imaginary", "_Thread_local"}
KEYWORDS = {word: kind for word, kind in c_lexer._keyword_map.items() if word not in ("__int128", "__builtin_va_arg", "_Pragma")}
KEYWORDS["va_arg"] = "__BUILTIN_VA_ARG"
MARKS = {token.literal: token.tok_type for token in c_lexer._fixed_tokens}

QUALIFIERS = {"const", "volatile", "restrict"}
STORAGE = {"typedef", "extern", "static", "auto", "register"}
LEADING = QUALIFIERS | STORAGE | {"inline", "_Noreturn"}
BASIC = """void;_Bool;float;double;long double;char;signed char;unsigned char;short;signed short;short int;signed short int;
    unsigned short;unsigned short int;int;signed;signed int;unsigned;unsigned int;long;signed long;long int;signed long int;unsigned long;
    unsigned long int;long long;signed long long;long long int;signed long long int;unsigned long long;unsigned long long int"""
TYPES = {tuple(sorted(words.split())) for words in BASIC.split(";")}
MAX_READINGS = 20_000


class Wrong(Exception):
    pass


def accepts(text: str) -> bool:
    try:
        tokens = list(words(text))
    except Wrong:
        return False
    return is_balanced(tokens) and any(is_unit(tokens, reading) for reading in readings(tokens))


def words(text: str) -> Iterator[Token]:
    """The tokens of a text without comments and directives."""
    at, fresh, number, last = 0, True, 0, ""
    while at < len(text):
        if text[at] in " \t\v\f\r\n":
            fresh |= text[at] == "\n"
            at += 1
        elif text.startswith(("/*", "//"), at):
            at = after_comment(text, at)
        elif text[at] == "#" and fresh:
            at = after_directive(text, at)
        else:
            found = WORD.match(text, at)
            if not found or found[0] in UNKNOWN or (found[0] == "." and last in ("INT_CONST_DEC", "FLOAT_CONST")):
                raise Wrong
            last = kind(found)
            yield Token(last, found[0], number, 0, "")
            at, fresh, number = found.end(), False, number + 1


def kind(found: re.Match[str]) -> str:
    if found.lastgroup == "NUMBER":
        if INTEGER.fullmatch(found[0]):
            return "INT_CONST_DEC"
        if FLOAT.fullmatch(found[0]):
            return "FLOAT_CONST"
        raise Wrong
    return MARKS[found[0]] if found.lastgroup == "MARK" else KEYWORDS.get(found[0], str(found.lastgroup))


def after_comment(text: str, at: int) -> int:
    block = text.startswith("/*", at)
    end = text.find("*/" if block else "\n", at + 2)
    if block:
        if end < 0:
            raise Wrong
        return end + 2
    end = len(text) if end < 0 else end
    if "\\\r" in text[at:end] or text[end - 1] == "\\":
        raise Wrong
    return end


def after_directive(text: str, at: int) -> int:
    while at < len(text) and text[at] != "\n":
        if text[at] in "\"'":
            found = QUOTED.match(text, at)
            if not found:
                raise Wrong
            at = found.end()
        elif text[at] == "\\":
            found = re.compile(r"\\\r?\n").match(text, at)
            if not found:
                raise Wrong
            at = found.end()
        else:
            if text.startswith("/\\", at):
                raise Wrong
            at = after_comment(text, at) if text.startswith(("/*", "//"), at) else at + 1
    if at == len(text):
        raise Wrong
    return at


def is_balanced(tokens: list[Token]) -> bool:
    closers = []
    for token in tokens:
        if token.value in ("(", "[", "{"):
            closers.append({"(": ")", "[": "]", "{": "}"}[token.value])
        elif token.value in (")", "]", "}") and (not closers or token.value != closers.pop()):
            return False
    return not closers


# -- Which names are types


class Reading:
    """Decisions, in the order in which the parser asks."""

    def __init__(self, certain: dict[int, bool], decisions: dict[int, bool]) -> None:
        self.certain, self.decisions = certain, decisions

    def is_type(self, number: int) -> bool:
        return self.certain[number] if number in self.certain else self.decisions.setdefault(number, False)


def readings(tokens: list[Token]) -> Iterator[Reading]:
    """Every way to read names that can make a difference: decisions that were not asked for make none."""
    certain: dict[int, bool] = {}
    for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False):
        if token.type == "ID":
            may_begin = before is None or before.value in LEADING or before.value in (";", "{", "}", "(", ",")
            if not may_begin or after is None or not (after.type == "ID" or after.value in QUALIFIERS or after.value in tuple("*()[],:")):
                certain[token.lineno] = False
            elif after.type == "ID" or after.value in QUALIFIERS:
                certain[token.lineno] = True
    decisions: dict[int, bool] = {}
    for _ in range(MAX_READINGS):
        yield Reading(certain, decisions)
        while decisions:
            number, was = decisions.popitem()
            if not was:
                decisions[number] = True
                break
        else:
            return
    raise AssertionError("too many readings")


def is_unit(tokens: list[Token], reading: Reading) -> bool:
    try:
        return bool(Parser(tokens, reading).parse("").ext)
    except (c_parser.ParseError, AssertionError):
        return False


# -- pycparser, held to the standard


class Lexer:
    filename = ""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens

    def input(self, text: str, filename: str) -> None:
        self.left = iter(self.tokens)

    def token(self) -> Token | None:
        return next(self.left, None)


class Parser(c_parser.CParser):
    def __init__(self, tokens: list[Token], reading: Reading) -> None:
        self.reading = reading
        super().__init__(lexer=lambda **_: Lexer(tokens))  # type: ignore[arg-type]

    def need(self, holds: object) -> None:
        if not holds:
            self._parse_error("left out", None)

    def _classify_identifier(self, token: Token | None) -> None:
        if token is not None and token.type in ("ID", "TYPEID"):
            token.type = "TYPEID" if self.reading.is_type(token.lineno) else "ID"
        self._typedef_checked_token = token

    def _is_type_in_scope(self, name: str) -> bool:
        return False

    def _add_typedef_name(self, name: str, coord: Any) -> None:
        pass

    _add_identifier = _add_typedef_name

    def _parse_specifiers(self, *, allow_storage_and_function: bool) -> Any:
        """One type, one storage class before it."""
        begin = self._mark()
        found = super()._parse_specifiers(allow_storage_and_function=allow_storage_and_function)
        spec, saw_type, _ = found
        self.need(saw_type and len(spec["storage"]) <= 1)
        basic = [node.names[0] for node in spec["type"] if isinstance(node, c_ast.IdentifierType)]
        self.need(len(spec["type"]) == 1 or (len(basic) == len(spec["type"]) and tuple(sorted(basic)) in TYPES))
        depth, behind = 0, False
        for token in self._tokens._buffer[begin : self._mark()]:
            assert token is not None
            depth -= token.value in (")", "]", "}")
            if depth == 0 and token.value not in QUALIFIERS:
                self.need(not (behind and token.value in LEADING))
                behind |= token.value not in LEADING
            depth += token.value in ("(", "[", "{")
        return found

    def _parse_parameter_declaration_body(self) -> c_ast.Node:
        begin = self._mark()
        spec, _, _ = self._parse_specifiers(allow_storage_and_function=True)
        self.need(spec["storage"] in ([], ["register"]) and not spec["function"])
        self._reset(begin)
        return super()._parse_parameter_declaration_body()

    def _parse_external_declaration(self) -> list[c_ast.Node]:
        self.need(self._peek_type() == "_STATIC_ASSERT" or self._starts_declaration())
        return super()._parse_external_declaration()

    def _parse_function_definition(self, spec: Any, decl: c_ast.Node) -> c_ast.Node:
        self.need(spec["storage"] in ([], ["extern"], ["static"]) and isinstance(decl, c_ast.FuncDecl) and self._peek_type() == "LBRACE")
        return super()._parse_function_definition(spec, decl)

    def _parse_struct_or_union_specifier(self) -> c_ast.Node:
        found: Any = super()._parse_struct_or_union_specifier()
        self.need(found.decls != [])
        return found  # type: ignore[no-any-return]

    def _parse_struct_declaration(self) -> list[c_ast.Node] | None:
        """No lone semicolons, and no members without names but structs, unions and bit-fields."""
        self.need(self._peek_type() != "SEMI")
        found: Any = super()._parse_struct_declaration()
        self.need(not any(isinstance(getattr(item, "type", None), (c_ast.IdentifierType, c_ast.Enum)) for item in found))
        return found  # type: ignore[no-any-return]

    def _parse_array_decl_common(self, base_type: c_ast.Node | None, coord: Any = None) -> c_ast.Node:
        """6.7.6.2, where pycparser takes every * for that of [*]."""
        self._expect("LBRACKET")
        if self._peek_type() == "TIMES" and self._peek_type(2) == "RBRACKET":
            self._advance()
        else:
            static = self._accept("STATIC")
            qualifiers = self._parse_type_qualifier_list()
            static = static or (self._accept("STATIC") if qualifiers else None)
            if static or self._peek_type() != "RBRACKET":
                self._parse_assignment_expression()
        self._expect("RBRACKET")
        return c_ast.ArrayDecl(type=base_type, dim=None, dim_quals=[], coord=coord)

    def _parse_static_assert(self) -> c_ast.StaticAssert:
        found = super()._parse_static_assert()
        self.need(found.message is not None)
        return found

    def _parse_initializer(self) -> c_ast.Node:
        found = super()._parse_initializer()
        self.need(not isinstance(found, c_ast.InitList) or found.exprs)
        return found

    def _starts_statement(self) -> bool:
        """A label belongs to a statement."""
        return True

    def _parse_assignment_expression(self) -> c_ast.Node:
        """What stands before = is a unary expression."""
        begin = self._mark()
        found = self._parse_conditional_expression()
        if self._is_assignment_op():
            end = self._mark()
            self._reset(begin)
            self._parse_unary_expression()
            self.need(self._mark() == end)
            self._advance()
            self._parse_assignment_expression()
        return found

    def _parse_primary_expression(self) -> c_ast.Node:
        self.need(self._peek_type() != "LPAREN" or self._peek_type(2) != "LBRACE")
        return super()._parse_primary_expression()
