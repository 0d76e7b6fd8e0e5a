"""Constrained decoding: JSON Schemas, types, regexes and grammars as exact token masks for any language model.

>>> import structgen as sg
>>> automaton = sg.compile({"type": "boolean"}, sg.Vocabulary.from_bytes([b"true", b"false", b"maybe"], eos_token_id=3))
>>> automaton.allowed(automaton.initial).tolist(), automaton.parse("true")
([0, 1], True)

Names are imported on first use, so that ``import structgen`` costs nothing; torch and transformers only with those that need them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from structgen._version import __version__
from structgen.errors import (
    GrammarSyntaxError,
    LimitExceeded,
    ModelOutputError,
    StructgenError,
    UnsatisfiableSchema,
    UnsupportedSchema,
    VocabularyError,
)

if TYPE_CHECKING:
    from structgen import diffusion, sampling, speculative
    from structgen.automata.counting import Words
    from structgen.automaton import TokenAutomaton
    from structgen.compiler import compile
    from structgen.enumeration import random_words, words
    from structgen.generator import Generator, Stream, generate
    from structgen.grammars.constraint import Constraint, choice, ebnf, forbid, gbnf, literal, regex, repeat, token
    from structgen.grammars.library import grammar
    from structgen.grammars.sql import sql
    from structgen.grammars.substring import substring_of
    from structgen.grammars.tagged import Tag, marker, tagged, until
    from structgen.grammars.xml import xml
    from structgen.infilling.generation import infill
    from structgen.infilling.parts import gap
    from structgen.lattice import Lattice
    from structgen.openai_requests import InvalidRequest, from_response_format, from_tools
    from structgen.processor import LogitsProcessor
    from structgen.sampling.constraints import potential
    from structgen.tool_reading import read_tool_calls
    from structgen.tool_styles import tool_calls
    from structgen.types import from_type, json_schema
    from structgen.vocabulary import Vocabulary

__all__ = [
    "Constraint",
    "Generator",
    "GrammarSyntaxError",
    "InvalidRequest",
    "Lattice",
    "LimitExceeded",
    "LogitsProcessor",
    "ModelOutputError",
    "Stream",
    "StructgenError",
    "Tag",
    "TokenAutomaton",
    "UnsatisfiableSchema",
    "UnsupportedSchema",
    "Vocabulary",
    "VocabularyError",
    "Words",
    "__version__",
    "choice",
    "compile",
    "diffusion",
    "ebnf",
    "forbid",
    "from_response_format",
    "from_tools",
    "from_type",
    "gap",
    "gbnf",
    "generate",
    "grammar",
    "infill",
    "json_schema",
    "lark",
    "literal",
    "marker",
    "potential",
    "random_words",
    "read_tool_calls",
    "regex",
    "repeat",
    "sampling",
    "speculative",
    "sql",
    "substring_of",
    "tagged",
    "token",
    "tool_calls",
    "until",
    "words",
    "xml",
]

_HOMES = {
    "structgen.automata.counting": ("Words",),
    "structgen.automaton": ("TokenAutomaton",),
    "structgen.compiler": ("compile",),
    "structgen.enumeration": ("random_words", "words"),
    "structgen.generator": ("Generator", "Stream", "generate"),
    "structgen.grammars.constraint": ("Constraint", "choice", "ebnf", "forbid", "gbnf", "lark", "literal", "regex", "repeat", "token"),
    "structgen.openai_requests": ("InvalidRequest", "from_response_format", "from_tools"),
    "structgen.grammars.library": ("grammar",),
    "structgen.infilling.generation": ("infill",),
    "structgen.infilling.parts": ("gap",),
    "structgen.lattice": ("Lattice",),
    "structgen.grammars.sql": ("sql",),
    "structgen.grammars.substring": ("substring_of",),
    "structgen.grammars.tagged": ("Tag", "marker", "tagged", "until"),
    "structgen.processor": ("LogitsProcessor",),
    "structgen.sampling.constraints": ("potential",),
    "structgen.tool_reading": ("read_tool_calls",),
    "structgen.tool_styles": ("tool_calls",),
    "structgen.types": ("from_type", "json_schema"),
    "structgen.grammars.xml": ("xml",),
    "structgen.vocabulary": ("Vocabulary",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in ("diffusion", "sampling", "speculative"):
        return import_module(f"structgen.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
