"""The parts of a text that is to be filled in: fixed texts and gaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from structgen.automata.quotient import Wild
from structgen.errors import StructgenError

__all__ = ["Gap", "Part", "gap", "read_parts"]


@dataclass(frozen=True, slots=True)
class Gap:
    """A place to be filled; made by `gap`."""

    max_tokens: int | None = None
    tokens: int | None = None

    @property
    def wild(self) -> Wild:
        """What is assumed of the gap while it is still ahead: bytes, as every byte can be a token of its own."""
        return Wild(self.max_tokens) if self.tokens is None else Wild(self.tokens, exact=True)


Part = str | Gap


def gap(max_tokens: int | None = None, *, tokens: int | None = None) -> Gap:
    """A gap of at most ``max_tokens`` tokens (None: any number), or of exactly ``tokens`` tokens.

    >>> gap(8), gap(tokens=2)
    (Gap(max_tokens=8, tokens=None), Gap(max_tokens=None, tokens=2))
    """
    for n in (max_tokens, tokens):
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise StructgenError(f"the number of tokens of a gap is at least 1, found {n!r:.100}")
    if max_tokens is not None and tokens is not None:
        raise StructgenError("a gap has a greatest number of tokens or an exact one: give one of the two")
    return Gap(max_tokens, tokens)


def read_parts(parts: Iterable[Part]) -> list[Part]:
    """Texts and gaps by turns: neighbouring texts joined, empty ones left out.

    Raises StructgenError for anything else, and for two gaps with nothing between them."""
    if isinstance(parts, (str, bytes, Gap)) or not isinstance(parts, Iterable):
        raise StructgenError(f"the parts are a list of texts and gaps, found {parts!r:.100}")
    found: list[Part] = []
    for part in parts:
        if not isinstance(part, (str, Gap)):
            raise StructgenError(f"a part is a text (str) or a gap, found {part!r:.100}")
        if isinstance(part, Gap):
            if found and isinstance(found[-1], Gap):
                raise StructgenError("two gaps with nothing between them: make them one")
            found.append(part)
        elif part:
            check_text(part)
            last = found.pop() if found and isinstance(found[-1], str) else ""
            assert isinstance(last, str)
            found.append(last + part)
    return found


def check_text(text: str) -> None:
    """An error for a text that cannot be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise StructgenError(f"a lone surrogate at position {error.start} of {text!r:.100} cannot be written as UTF-8") from None
