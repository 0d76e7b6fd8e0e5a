"""What became of every keyword of a schema, and what its author should know; worked out when first asked for.

A constraint keeps the `Source` that it was made from, by reference: the report reads the schema as it is at that time. Nothing
here costs compile time. Cost when asked: linear for the entries; proofs of emptiness, within their own budget, for the warnings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .options import Options
    from .resolve import Resolver

__all__ = ["ANNOTATION", "ENFORCED", "REFUSED", "RUN_TIME", "Entry", "Report", "SchemaWarning", "Source"]

MAX_SHOWN = 3
"""Most places shown of one warning."""
MAX_WIDTH = 60
"""Columns of a table are aligned up to this width."""
ASSERTIONS = """
const dependentRequired enum exclusiveMaximum exclusiveMinimum format maxContains maxItems maxLength maxProperties maximum
minItems minLength minProperties minimum multipleOf not pattern propertyNames required type uniqueItems
"""
WEAKENS = frozenset(ASSERTIONS.split())
"""Keywords without which a schema only allows more; others also tell what is additional or unevaluated."""
ENFORCED, RUN_TIME, ANNOTATION, REFUSED = "enforced", "enforced at run time", "annotation", "refused"


class Entry(NamedTuple):
    """One occurrence of a keyword, by JSON pointer, and its status; ``note`` says why where that is not plain."""

    pointer: str
    keyword: str
    status: str
    note: str = ""


class SchemaWarning(NamedTuple):
    """Something that its author may not have meant, and the JSON pointer of where it is in the schema."""

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or '#'}: {self.message}"


class Source(NamedTuple):
    """All that a constraint is made from."""

    document: Any
    options: Options
    draft: str | None = None
    registry: Any = None

    def resolver(self) -> Resolver:
        from .drafts import LATEST, draft_named
        from .resolve import Resolver

        return Resolver(self.document, LATEST if self.draft is None else draft_named(self.draft), self.registry)


class Report:
    """The keywords of a schema in the order of the document, and warnings; ``dropped`` are those that `lossy` let go."""

    def __init__(self, source: Source, dropped: Sequence[Entry] = (), noticed: Sequence[SchemaWarning] = ()) -> None:
        self.source, self.dropped, self._noticed = source, tuple(dropped), tuple(noticed)

    @cached_property
    def entries(self) -> list[Entry]:
        """Every occurrence of a keyword: first those that were dropped, then those of the document, then those it refers to."""
        from .occurrences import Walk, entries

        walk = Walk(self.source)
        return [*(_with_consequence(entry, walk.mixed) for entry in self.dropped), *entries(walk)]

    @cached_property
    def warnings(self) -> list[SchemaWarning]:
        """Each with a pointer and one sentence."""
        from .review import review

        lost = [SchemaWarning(entry.pointer, f"{entry.keyword} is not enforced: {entry.note}") for entry in self.with_status(REFUSED)]
        return list(dict.fromkeys([*lost, *review(self.source), *self._noticed]))

    @property
    def is_exact(self) -> bool:
        """Whether the texts are just those that are valid: nothing was dropped."""
        return not self.dropped

    def with_status(self, status: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.status == status]

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: a registry, which can seldom be pickled, is replaced by what was to be worked out with it."""
        if self.source.registry is None:
            return self.__dict__
        source = self.source._replace(registry=None)
        return {**self.__dict__, "entries": self.entries, "warnings": self.warnings, "source": source}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "exact": self.is_exact,
            "keywords": [entry._asdict() for entry in self.entries],
            "warnings": [warning._asdict() for warning in self.warnings],
        }

    def __str__(self) -> str:
        """A table of the keywords, how many have which status, and the warnings, equal ones together."""
        counts = Counter(entry.status for entry in self.entries)
        shown = ", ".join(f"{n} {status}" for status, n in counts.items())
        places: dict[str, list[str]] = {}
        for pointer, message in self.warnings:
            places.setdefault(message, []).append(pointer or "#")
        warnings = [f"warning: {_listed(pointers)}: {message}" for message, pointers in places.items()]
        return "\n".join([*([_table(self.entries), ""] if counts else []), f"keywords: {shown or 'none'}", *warnings])


def _listed(pointers: Sequence[str]) -> str:
    rest = len(pointers) - MAX_SHOWN
    return ", ".join(pointers[:MAX_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _table(entries: Sequence[Entry]) -> str:
    """The entries in columns: pointer, keyword, status and note."""
    rows = [Entry("pointer", "keyword", "status"), *entries]
    widths = [min(MAX_WIDTH, max(len(row[i]) for row in rows)) for i in range(3)]
    return "\n".join("  ".join([*map(str.ljust, row[:3], widths), row.note]).rstrip() for row in rows)


def _with_consequence(entry: Entry, mixed: Collection[str]) -> Entry:
    """A dropped keyword with what follows from that: a schema that says less may be under ``not``, or branches of ``oneOf`` overlap."""
    only_weaker = entry.keyword in WEAKENS and entry.pointer.rpartition("/")[0] not in mixed
    also = "" if only_weaker else ", and valid ones may be rejected"
    return entry._replace(note=f"{entry.note}; invalid texts may be accepted{also}")
