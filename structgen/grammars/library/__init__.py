"""Grammars by name, one file each in this folder, in GBNF, EBNF, Lark's language or as the name of a format (`structgen.grammars.formats`).

The first comment line of a file names its standard, the others say what is in and what is left out; docs/library.md has the table,
tests/data/library the examples. Nothing outside this folder is ever read: a name is looked up in the listing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache, partial
from importlib.resources import files

from structgen.automata import ir
from structgen.errors import StructgenError
from structgen.grammars.constraint import Constraint, ebnf, gbnf, lark
from structgen.grammars.formats import format_dfa
from structgen.grammars.python_grammar import python_grammar
from structgen.grammars.regular import use_automata
from structgen.grammars.rings import rings

__all__ = ["grammar", "names", "source", "summary"]

ELSEWHERE = {"xml": "that end tags match is no context-free language for all names; sg.xml(elements) is XML of given elements"}
"""What there is instead of a grammar of some name."""
COMMENT = re.compile(r"\s*(?:#|//|/\*)\s*(.*?)\s*(?:\*/)?\s*")


def grammar(name: str, start: str | None = None) -> Constraint:
    """The texts of a grammar of the library, or of its rule ``start``. An unknown name is an error that lists the known ones.

    >>> grammar("semver").source
    'semver'
    """
    text = source(name)
    suffix = _files()[name]
    options = {} if start is None else {"start": start}
    expr = READERS[suffix](text, **options).expr
    has_tokens = suffix in (".lark", ".gram")  # these are automata already
    return Constraint(expr if has_tokens else use_automata(expr), source=name)


def names() -> list[str]:
    """The names that `grammar` knows, in alphabetical order."""
    return sorted(_files())


def source(name: str) -> str:
    """The text of a grammar, in the notation of its file."""
    if not isinstance(name, str) or name not in _files():
        close = get_close_matches(str(name)[:100].lower(), names(), 1, 0.5)
        hint = ELSEWHERE.get(name) if isinstance(name, str) else None
        hint = hint or (f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names())}")
        raise StructgenError(f"no grammar {name!r:.100} in the library: {hint}")
    return files(__name__).joinpath(name + _files()[name]).read_text("utf-8")


def summary(name: str) -> str:
    """The first comment line of a grammar: its standard.

    >>> summary("json")
    'RFC 8259: JSON texts.'
    """
    found = COMMENT.fullmatch(source(name).partition("\n")[0])
    assert found is not None
    return found[1]


@cache
def _files() -> dict[str, str]:
    """Names and suffixes of the grammars in this folder."""
    found = (entry.name.rpartition(".") for entry in files(__name__).iterdir())
    return {name: "." + suffix for name, _, suffix in found if "." + suffix in READERS}


def _format(text: str, start: str | None = None) -> Constraint:
    """The format that is named on the only line without ``#``."""
    if start is not None:
        raise StructgenError(f"this grammar is a format and has no rules: no start {start!r:.100}")
    (name,) = (line for line in text.splitlines() if not line.startswith("#"))
    dfa = format_dfa(name)
    assert dfa is not None
    return Constraint(ir.Regular(dfa))


READERS: dict[str, Callable[..., Constraint]] = {
    ".gbnf": gbnf,
    ".ebnf": ebnf,
    ".lark": partial(lark, parser="earley", lexer="basic"),
    ".format": _format,
    ".gram": python_grammar,
    ".rings": rings,
}
