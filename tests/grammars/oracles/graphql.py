"""The parser of graphql-core, without what later editions of the specification than that of October 2021 have added."""

from __future__ import annotations

import re

from graphql import GraphQLSyntaxError, parse
from graphql.language import ast
from graphql.language.token_kind import TokenKind

CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
LOCATIONS = frozenset(
    """QUERY MUTATION SUBSCRIPTION FIELD FRAGMENT_DEFINITION FRAGMENT_SPREAD INLINE_FRAGMENT VARIABLE_DEFINITION SCHEMA SCALAR OBJECT
    FIELD_DEFINITION ARGUMENT_DEFINITION INTERFACE UNION ENUM ENUM_VALUE INPUT_OBJECT INPUT_FIELD_DEFINITION""".split()  # noqa: SIM905
)
NEVER_DESCRIBED = (ast.OperationDefinitionNode, ast.FragmentDefinitionNode, ast.VariableDefinitionNode)


def accepts(text: str) -> bool:
    try:
        document = parse(text)
    except GraphQLSyntaxError:
        return False
    return not CONTROLS.search(text) and not has_new_escapes(document, text) and not any(map(is_new, nodes(document)))


def has_new_escapes(document: ast.DocumentNode, text: str) -> bool:
    """Whether there is an escape like ``\\u{1F600}``."""
    token = document.loc.start_token if document.loc else None
    while token:
        if token.kind is TokenKind.STRING and "\\u{" in text[token.start : token.end].replace("\\\\", ""):
            return True
        token = token.next
    return False


def nodes(node: ast.Node) -> list[ast.Node]:
    """A node and those below it."""
    found = [node]
    for parent in found:  # grows meanwhile
        for key in parent.keys:
            value = getattr(parent, key, None)
            found += [child for child in (value if isinstance(value, tuple | list) else [value]) if isinstance(child, ast.Node)]
    return found


def is_new(node: ast.Node) -> bool:
    """Descriptions of operations, fragments and variables; directives on directives, new places for them; nothing selected."""
    if isinstance(node, ast.SelectionSetNode):
        return not node.selections
    if isinstance(node, NEVER_DESCRIBED):
        return node.description is not None
    if isinstance(node, ast.DirectiveDefinitionNode):
        return bool(getattr(node, "directives", ())) or any(name.value not in LOCATIONS for name in node.locations)
    return type(node).__name__ == "DirectiveExtensionNode"
