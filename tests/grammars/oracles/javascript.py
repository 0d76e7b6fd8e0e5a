"""ECMAScript expressions: a reader of words of our own, which knows what is left out of them, then esprima and a look at its tree."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from esprima.error_handler import Error
from esprima.nodes import BinaryExpression, Node
from esprima.parser import Parser
from esprima.token import Token

WORD = re.compile(
    r"""(?P<space>[ \t\v\f\r\n]+|//[^\r\n\u2028\u2029]*|/\*((?!\*/)[^\r\n\u2028\u2029])*\*/)
    | (?P<number>0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?)(?![0-9A-Za-z_$])
    | (?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
    | (?P<string>"([^"\\\r\n\u2028\u2029]|\\E)*"|'([^'\\\r\n\u2028\u2029]|\\E)*'|`((?!\$\{)[^`\\]|\\E)*`)
    | (?P<mark>>>>?=|<<=|[<>]=|=>|[=!]==?|/(?![/*])|\+(?!\+)|-(?!-)|[][(){}.,:?~*%<>=!&|^])""".replace(
        r"\\E", r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[^0-9ux\r\n\u2028\u2029])"
    ),
    re.VERBOSE,
)
NODE_NAMES = """
    ArrayExpression ArrowFunctionExpression AssignmentExpression BinaryExpression CallExpression ConditionalExpression Identifier Literal
    LogicalExpression MemberExpression NewExpression ObjectExpression Property SequenceExpression SpreadElement TaggedTemplateExpression
    TemplateElement TemplateLiteral ThisExpression UnaryExpression"""
NODES = set(NODE_NAMES.split())
KEYWORDS = "async await enum implements interface let package private protected public static yield"
RESERVED = set(KEYWORDS.split())
OPENERS = {"(", "[", ",", ":", "?", ".", "=", ">>=", ">>>=", "<<="}
PREFIXES = {"delete", "void", "typeof", "+", "-", "~", "!"}


def accepts(text: str) -> bool:
    if not has_words(text):
        return False
    parser = Reader(text, {"range": True})
    try:
        tree = parser.parseExpression()
    except Error:
        return False
    return parser.lookahead.type is Token.EOF and is_in(tree)


def has_words(text: str) -> bool:
    """Only words that are not left out; no member of a number, no object beside an operator."""
    words = []
    at = 0
    while at < len(text):
        found = WORD.match(text, at)
        if not found:
            return False
        if not found["space"]:
            words.append((found.lastgroup, found[0]))
        at = found.end()
    for (kind, word), (next_kind, after) in pairwise(words):
        if kind == "number" and (after in tuple(".[(") or after.startswith("`")):
            return False
        if word == "new" and next_kind == "number":
            return False
        if word == "}" and after not in (",", ")", "]", "}", ":"):
            return False
    return not any(word == "{" and before not in OPENERS for (_, before), (_, word) in pairwise(words))


def is_in(node: Any) -> bool:
    if isinstance(node, list):
        return all(map(is_in, node))
    if not isinstance(node, Node):
        return not isinstance(node, re.Pattern)
    kind, named = node.type, []
    if kind not in NODES or (kind == "Identifier" and node.name in RESERVED) or getattr(node, "regex", None):
        return False
    if kind == "AssignmentExpression" and not is_target(node):
        return False
    if kind == "ArrowFunctionExpression" and (node.isAsync or any(param.type != "Identifier" for param in node.params)):
        return False
    if kind == "Property" and (node.kind != "init" or node.method or (node.shorthand and node.value.type != "Identifier")):
        return False
    if kind in ("MemberExpression", "Property") and not node.computed and not getattr(node, "shorthand", False):
        named = ["property", "key"]  # any name will do
    return all(is_in(value) for name, value in vars(node).items() if name not in named)


def is_target(node: Any) -> bool:
    """A name or a member, neither in parentheses nor of what begins with new."""
    first = node.left
    while (
        inner := getattr(first, "object", None) or getattr(first, "callee", None) or getattr(first, "tag", None)
    ) and inner.type in NODES:
        if first.type == "NewExpression":
            break
        first = inner
    is_new = first.type == "NewExpression" and first.range[0] == node.left.range[0]
    return node.left.type in ("Identifier", "MemberExpression") and node.left.range[0] == node.range[0] and not is_new


class Reader(Parser):  # type: ignore[misc]
    def parseExponentiationExpression(self) -> Any:
        """Of operands with a prefix, esprima does not know those in parentheses."""
        node, prefixed = self.startNode(self.lookahead), self.lookahead.value in PREFIXES
        left = self.inheritCoverGrammar(self.parseUnaryExpression)
        if prefixed or not self.match("**"):
            return left
        self.nextToken()
        self.context.isAssignmentTarget = self.context.isBindingElement = False
        right = self.isolateCoverGrammar(self.parseExponentiationExpression)
        return self.finalize(node, BinaryExpression("**", left, right))

    def validateParam(self, options: Any, param: Any, name: Any) -> None:
        options.paramSet = {}
        super().validateParam(options, param, name)

    def parseObjectProperty(self, hasProto: Any) -> Any:
        hasProto.value = False
        return super().parseObjectProperty(hasProto)
