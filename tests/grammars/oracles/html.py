"""HTML fragments: html5lib finds no error but repeated attributes, and the tree that the tags spell, which is one of the subset."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import html5lib


def words(text: str) -> set[str]:
    return set(text.split())


SPACE = " \t\n\f\r"
TOKEN = re.compile(r"<!--.*?-->|<(/?)([A-Za-z][^\s/>]*)((?:\"[^\"]*\"|'[^']*'|[^\"'>])*)>|[^<]+", re.S)
VALUE = re.compile(r"=[ \t\n\f\r]*(\"[^\"]*\"|'[^']*'|[^ \t\n\f\r>]+)")
AMPERSAND = re.compile(r"&(?:#([0-9]+);|#[xX]([0-9A-Fa-f]+);|([A-Za-z]+);)?")
NAMED = words(
    "amp lt gt quot apos nbsp shy copy reg trade deg plusmn times divide micro para sect middot bull hellip ndash mdash lsquo rsquo sbquo "
    "ldquo rdquo bdquo laquo raquo lsaquo rsaquo cent pound yen euro larr uarr rarr darr harr infin ne le ge minus"
)
VOID = {"br", "img", "wbr", "hr"}
INLINE = words("span em strong b i u s small sub sup code kbd samp var mark q cite abbr dfn time bdi br img wbr")
OF_FLOW = words("div section article aside nav main header footer address blockquote")
OF_PHRASING = words("p h1 h2 h3 h4 h5 h6 pre")
PHRASING = "|".join(INLINE | {"a", "text", "blank"})
FLOW = "|".join(INLINE | OF_FLOW | OF_PHRASING | words("a ul ol dl table hr figure details text blank"))
CHILDREN = {
    **dict.fromkeys(OF_FLOW | words("root li dt dd td th caption figcaption"), f"(({FLOW}) )*"),
    **dict.fromkeys(OF_PHRASING | INLINE | {"summary"}, f"(({PHRASING}) )*"),
    **dict.fromkeys(VOID | {"text", "blank"}, ""),
    "a": f"(({'|'.join(INLINE)}|text|blank) )*",
    "ul": "((li|blank) )*",
    "ol": "((li|blank) )*",
    "dl": "((dt|dd|blank) )*",
    "figure": f"(({FLOW}) )*(figcaption (blank )*)?",
    "details": f"(blank )*summary (({FLOW}) )*",
    "table": "(blank )*(caption (blank )*)?(thead (blank )*)?(tbody (blank )*)*(tfoot (blank )*)?",
    **dict.fromkeys(("thead", "tbody", "tfoot"), "((tr|blank) )*"),
    "tr": "((td|th|blank) )*",
}
"""What the names of the children of an element spell, texts included."""


class Node(NamedTuple):
    name: str
    children: list[Node]


def accepts(text: str) -> bool:
    parser = html5lib.HTMLParser()
    found = parser.parseFragment(text, container="div")
    if any(code != "duplicate-attribute" for _, code, _ in parser.errors):
        return False
    tree = spelled(text)
    return tree is not None and elements(tree) == parsed(found)._replace(name="root") and is_modelled(tree)


def parsed(node: Any) -> Node:
    """The elements that html5lib found."""
    return Node(node.tag.rpartition("}")[2], [parsed(child) for child in node if isinstance(child.tag, str)])


def elements(node: Node) -> Node:
    return Node(node.name, [elements(child) for child in node.children if child.name not in ("text", "blank")])


def spelled(text: str) -> Node | None:
    """The tree of the tags as they stand, None if they do not match or references are not of the subset."""
    open_ = [Node("root", [])]
    at = 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            return None
        at = token.end()
        slash, name, rest = token.groups()
        if token[0].startswith("<!--"):
            continue
        texts = VALUE.findall(rest) if name else [token[0]]
        if not all(is_reference(found, spaced=not name) for part in texts for found in AMPERSAND.finditer(part)):
            return None
        if not name:
            open_[-1].children.append(Node("text" if token[0].strip(SPACE) else "blank", []))
        elif slash:
            if open_.pop().name != name or not open_ or rest.strip(SPACE):
                return None
        else:
            open_[-1].children.append(Node(name, []))
            if name not in VOID:
                open_.append(open_[-1].children[-1])
    return open_[0] if len(open_) == 1 else None


def is_reference(found: re.Match[str], spaced: bool) -> bool:
    """Of the subset; a single & only before white space, where that may be."""
    decimal, hexadecimal, name = found.groups()
    if decimal:
        return str(int(decimal)) == decimal and (32 <= int(decimal) <= 126 or 160 <= int(decimal) <= 9999)
    if hexadecimal:
        return hexadecimal[0] != "0" and int(hexadecimal, 16) >= 32
    return name in NAMED if name else spaced and found.string[found.end() : found.end() + 1] in tuple(SPACE)


def is_modelled(node: Node, linked: bool = False) -> bool:
    children = "".join(f"{child.name} " for child in node.children)
    if node.name not in CHILDREN or not re.fullmatch(CHILDREN[node.name], children) or (linked and node.name == "a"):
        return False
    return all(is_modelled(child, linked or node.name == "a") for child in node.children)
