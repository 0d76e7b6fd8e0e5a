"""XML 1.0 documents whose elements have given names.

That an end tag repeats the name of its start tag is not context-free for all names, and it is for a list of them; so are attributes that
occur at most once. Within that the grammar is exact: all its texts are well-formed (W3C, XML 1.0, fifth edition).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from structgen.errors import StructgenError
from structgen.grammars.constraint import Constraint, ebnf
from structgen.grammars.regular import use_automata

__all__ = ["xml"]

START = (
    "A-Za-z_:\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff"
    "\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
NAME = re.compile(f"[{START}][{START}0-9.\xb7\u0300-\u036f\u203f\u2040-]*")
GRAMMAR = r"""
document ::= prolog (ROOTS) misc
prolog ::= declaration? misc '<'
declaration ::= '<?xml' S 'version' Eq ('"1.0"' | "'1.0'") (S 'encoding' Eq ('"' encoding '"' | "'" encoding "'"))?
    (S 'standalone' Eq ('"' yesNo '"' | "'" yesNo "'"))? S? '?>'
encoding ::= 'UTF-8' | 'utf-8'
yesNo ::= 'yes' | 'no'
misc ::= (S | comment | pi)*

/* A content ends with the </ of the end tag around it. */
content ::= (tag (ELEMENTS))* tag '/'
tag ::= text '<'
/* No ]]> in character data. */
text ::= (unit | '>' | ']' (unit | '>') | ']' ']'+ unit)* ']'*
unit ::= (Char - [<&>#x5D]) | Reference | comment | pi | cdata
cdata ::= '<![CDATA[' ((Char - ']') | ']' (Char - ']') | ']' ']'+ (Char - [#x5D>]))* ']'* ']]>'
comment ::= '<!--' ((Char - '-') | ('-' (Char - '-')))* '-->'
pi ::= '<?' target (S ((Char - '?') | '?'+ (Char - [?>]))* '?'*)? '?>'
target ::= ([A-Za-z_:] [A-Za-z0-9_:.-]*) - ([Xx] [Mm] [Ll])

Eq ::= S? '=' S?
AttValue ::= '"' ((Char - [<&"]) | Reference)* '"' | "'" ((Char - [<&']) | Reference)* "'"
Reference ::= '&' ('amp' | 'lt' | 'gt' | 'quot' | 'apos' | '#' '0'* decimal | '#x' '0'* hexadecimal) ';'
decimal ::= '9' | '1' [03] | '3' [2-9] | [4-9] [0-9] | [1-9] [0-9] [0-9] [0-9]?
hexadecimal ::= [9AaDd] | [2-9A-Fa-f] hex | [1-9A-Fa-f] hex hex | [1-9A-CEa-ce] hex hex hex | [Dd] [0-7] hex hex
    | [Ff] ([0-9A-Ea-e] hex hex | [Ff] ([0-9A-Ea-e] hex | [Ff] [0-9A-Da-d])) | ([1-9A-Fa-f] | '10') hex hex hex hex
hex ::= [0-9A-Fa-f]
Char ::= [#x9#xA#xD#x20-#xD7FF#xE000-#xFFFD#x10000-#x10FFFF]
S ::= [#x20#x9#xD#xA]+
end ::= S? '>'
"""


def xml(elements: Iterable[str] | Mapping[str, Iterable[str]], root: str | None = None) -> Constraint:
    """Well-formed XML documents of these elements, each with any text and any of them inside.

    ``elements``: their names, or a mapping from names to the names of attributes: all optional, each at most once, in the order given.
    ``root``: the name of the outermost element, by default any. Character data, CDATA sections, the five predefined entities, character
    references (decimal ones up to 9999), comments, processing instructions (with names in ASCII) and an XML declaration (version 1.0,
    UTF-8) are in; document type declarations are not. Namespaces are not resolved. StructgenError for what is no name.

    >>> from structgen.enumeration import byte_automaton
    >>> answers = byte_automaton(xml({"answer": ["lang"], "b": []}, root="answer"))
    >>> [answers.accepts(text) for text in ('<answer lang="en">4 &lt; <b>5</b></answer>', "<answer></b>", "<b/>")]
    [True, False, False]
    """
    for names in (elements, *(elements.values() if isinstance(elements, Mapping) else ())):
        if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
            raise StructgenError(f"expected a list of names, found {names!r:.100}")
    attributes = {name: list(of) for name, of in elements.items()} if isinstance(elements, Mapping) else {name: [] for name in elements}
    for name in [*attributes, *(name for of in attributes.values() for name in of)]:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise StructgenError(f"{name!r:.100} is no name of XML")
    for name, of in attributes.items():
        if len(set(of)) < len(of):
            raise StructgenError(f"an attribute of element {name!r:.100} is named twice")
    if not attributes or root not in (None, *attributes):
        raise StructgenError(f"no element {root!r:.100} is given" if attributes else "an XML document needs at least one element")
    rules = {name: f"element{i}" for i, name in enumerate(attributes)}
    text = GRAMMAR.replace("ROOTS", " | ".join(rules.values()) if root is None else rules[root]).replace(
        "ELEMENTS", " | ".join(rules.values())
    )
    for name, rule in rules.items():
        start = "".join(f" (S '{attribute}' Eq AttValue)?" for attribute in attributes[name])
        text += f"start{rule} ::= '{name}'{start}\n{rule} ::= start{rule} S? '/>' | start{rule} S? '>' content '{name}' end\n"
    return Constraint(use_automata(ebnf(text).expr), source="XML")
