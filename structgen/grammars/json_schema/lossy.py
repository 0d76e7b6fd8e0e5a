"""The lossy mode: keywords that the caller names are dropped at the places where they cannot be enforced, and only there.

A schema is built again after each keyword that had to go, without it, so that everything else stays exact; the report lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar

from structgen.errors import LimitExceeded, UnsatisfiableSchema, UnsupportedSchema

from .occurrences import Walk
from .reading import escaped
from .report import REFUSED, Entry, Source

__all__ = ["build_without"]

MAX_DROPPED = 200
"""Most keywords dropped in one schema, since each means to build it again."""
Built = TypeVar("Built")


def build_without(lossy: frozenset[str], source: Source, build: Callable[[Source], Built]) -> tuple[Built, Source, list[Entry]]:
    """What ``build`` makes of the source, or of the source without the keywords named in ``lossy`` that it refuses."""
    dropped: dict[str, Entry] = {}
    here = source
    while True:
        try:
            return build(here), here, list(dropped.values())
        except UnsatisfiableSchema as error:
            if not dropped:
                raise
            message = f"{_message(error)}, now that lossy has dropped {', '.join([*dropped][:3])}"
            raise UnsatisfiableSchema(message, pointer=error.pointer) from None
        except UnsupportedSchema as error:
            pointer = _occurrence(error, here) if error.keyword in lossy else ""
            if not pointer or pointer in dropped:
                raise
            if len(dropped) >= MAX_DROPPED:
                raise LimitExceeded("number of keywords dropped", MAX_DROPPED, pointer) from None
            dropped[pointer] = Entry(pointer, error.keyword, REFUSED, f"dropped: {_message(error)}")
            holders = {pointer[:i] for pointer in dropped for i, char in enumerate(pointer) if char in "/#"}
            gone = _Gone(frozenset(dropped), frozenset(holders))
            registry = None if source.registry is None else _Registry(source.registry, gone)
            here = source._replace(document=gone.without(source.document, ""), registry=registry)


def _message(error: UnsupportedSchema | UnsatisfiableSchema) -> str:
    return str(error).removesuffix(f" (at {error.pointer or '#'})").partition("\n")[0]


def _occurrence(error: UnsupportedSchema, source: Source) -> str:
    """The pointer of the keyword that the error is about, "" if it does not say; a property may have the name of a keyword."""
    places = Walk(source).places
    for pointer in (error.pointer, error.pointer.rpartition("/")[0], f"{error.pointer}/{escaped(error.keyword)}"):
        parent, _, name = pointer.rpartition("/")
        if name == escaped(error.keyword) and parent in places and error.keyword in places[parent].schema:
            return pointer
    return ""


@dataclass(frozen=True, slots=True)
class _Gone:
    """The pointers of the keywords to leave out, and of all that holds one of them."""

    keywords: frozenset[str]
    holders: frozenset[str]

    def without(self, value: Any, pointer: str) -> Any:
        """The part of a document at this pointer without those keywords; what holds none of them is not copied."""
        if pointer not in self.holders:
            return value
        if isinstance(value, list):
            return [self.without(item, f"{pointer}/{i}") for i, item in enumerate(value)]
        places = {key: f"{pointer}/{escaped(key)}" for key in value}
        return {key: self.without(sub, places[key]) for key, sub in value.items() if places[key] not in self.keywords}


class _Registry:
    """A registry whose documents lack the keywords that are gone."""

    def __init__(self, registry: Any, gone: _Gone) -> None:
        self._registry, self._gone = registry, gone

    def get_or_retrieve(self, uri: str) -> Any:
        contents = self._registry.get_or_retrieve(uri).value.contents
        return SimpleNamespace(value=SimpleNamespace(contents=self._gone.without(contents, f"{uri}#")))
