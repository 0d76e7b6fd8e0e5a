"""What became of every keyword of a schema: enforced, an annotation, or ignored because the draft says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["ANNOTATION", "ENFORCED", "IGNORED", "Entry", "Report"]

ENFORCED, ANNOTATION, IGNORED = "enforced", "annotation", "ignored"


class Entry(NamedTuple):
    """One occurrence of a keyword, by JSON pointer, and its status; ``note`` says why where that is not plain."""

    pointer: str
    keyword: str
    status: str
    note: str = ""


@dataclass(slots=True)
class Report:
    """The keywords of a schema in the order in which they were met, and the texts' stated bounds."""

    entries: list[Entry] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, pointer: str, keyword: str, status: str, note: str = "") -> None:
        self.entries.append(Entry(f"{pointer}/{keyword}", keyword, status, note))

    def with_status(self, status: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.status == status]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __str__(self) -> str:
        lines = [f"{e.status:10} {e.pointer}{f'  ({e.note})' if e.note else ''}" for e in self.entries]
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])
