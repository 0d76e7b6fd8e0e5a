"""The one exception family. Every problem with a schema, regex, grammar or vocabulary is raised when it is built,
never during generation, and says what was found, where, and what to do."""

from __future__ import annotations

from typing import Any

__all__ = [
    "GrammarSyntaxError",
    "LimitExceeded",
    "ModelOutputError",
    "StructgenError",
    "UnsatisfiableSchema",
    "UnsupportedSchema",
    "VocabularyError",
]


class StructgenError(ValueError):
    """Root of all errors raised by structgen (also a ValueError). They can be pickled, whatever their arguments."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args), vars(self)


def _again(kind: type[StructgenError], args: tuple[Any, ...]) -> StructgenError:
    """An error that is put together without its constructor."""
    found = kind.__new__(kind)
    found.args = args
    return found


class GrammarSyntaxError(StructgenError):
    """A regex, grammar or JSON text that cannot be read.

    ``line`` and ``column`` count from 1; the message shows the offending line with a caret under the column.
    """

    def __init__(self, message: str, *, text: str = "", position: int = 0) -> None:
        self.position = position
        before = text[:position]
        self.line = before.count("\n") + 1
        self.column = position - (before.rfind("\n") + 1) + 1
        self.snippet = ""
        if text:
            shown = text.split("\n")[self.line - 1]
            start = max(0, self.column - 60)
            self.snippet = f"{shown[start : start + 100]}\n{' ' * (self.column - 1 - start)}^"
            message = f"{message} (line {self.line}, column {self.column})\n{self.snippet}"
        super().__init__(message)


class UnsupportedSchema(StructgenError):
    """A schema keyword that cannot be enforced exactly. Nothing is ever ignored instead.

    ``keyword`` is the JSON Schema keyword, ``pointer`` the JSON pointer of its occurrence in the schema.
    """

    def __init__(self, message: str, *, keyword: str = "", pointer: str = "") -> None:
        self.keyword, self.pointer = keyword, pointer
        super().__init__(f"{message} (at {pointer or '#'})")


class UnsatisfiableSchema(StructgenError):
    """A constraint that no text satisfies; ``pointer`` says where, if it comes from a schema."""

    def __init__(self, message: str, *, pointer: str = "") -> None:
        self.pointer = pointer
        super().__init__(f"{message} (at {pointer})" if pointer else message)


class LimitExceeded(StructgenError):
    """An explicit budget ran out: ``limit`` is its name, ``value`` the bound, ``where`` the place, ``option`` the option that
    raises it, if there is one."""

    def __init__(self, limit: str, value: int, where: str = "", *, option: str = "") -> None:
        self.limit, self.value, self.where, self.option = limit, value, where, option
        place = f" in {_shortened(where)}" if where else ""
        advice = f"raise {option} or simplify the constraint" if option else "simplify the constraint"
        super().__init__(f"{limit} exceeds the limit of {value}{place}; {advice}")


def _shortened(place: str) -> str:
    """A place without its middle, if it is long."""
    return place if len(place) <= 80 else f"{place[:40]} ... {place[-35:]}"


class VocabularyError(StructgenError):
    """A tokenizer whose tokens cannot be mapped to bytes exactly."""


class ModelOutputError(StructgenError):
    """An output that cannot be read: generation stopped (token budget, stop string) before it was complete, or it is not in the
    language. ``text`` is what there is."""

    def __init__(self, message: str, *, text: str = "") -> None:
        self.text = text
        super().__init__(message)
