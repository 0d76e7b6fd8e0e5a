"""What may come next in a state, and why a token may not, in words for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from structgen.automata.marks import MARK
from structgen.errors import StructgenError

if TYPE_CHECKING:
    from structgen.automaton import TokenAutomaton

__all__ = ["Explanation", "byte_ranges"]

FEW = 12
"""Tokens that are listed by name."""
NAMES = {9: "tab", 10: "line feed", 13: "carriage return", 32: "space", 34: "quote", 44: "comma", 58: "colon"}


class Explanation:
    """The situation in a state: whether the output may end (``may_end``), the bytes (``next_bytes``) and the ids of the tokens
    (``tokens``) that may follow. As text: a summary."""

    def __init__(self, automaton: TokenAutomaton, state: int) -> None:
        self._automaton, self._state = automaton, state
        self.may_end = automaton.is_accepting(state)
        self.next_bytes = bytes(automaton.next_bytes(state))
        self.tokens: Sequence[int] = [int(t) for t in automaton.allowed(state)] if state != automaton.dead else []

    def why(self, token: int) -> str:
        """Why a token is allowed or refused here."""
        vocab = self._automaton.vocab
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < vocab.size:
            raise StructgenError(f"token ids of this vocabulary run from 0 to {vocab.size - 1}, found {token!r:.100}")
        name = self._name(token)
        if self._state == self._automaton.dead:
            return f"{name} is refused: no allowed text leads here"
        if token in vocab.eos_token_ids:
            return f"{name} ends the output, which may {'' if self.may_end else 'not yet '}end here"
        if token in self.tokens:
            return f"{name} is allowed"
        data = vocab.token_bytes(token)
        if not data:
            return f"{name} is refused: it is no text, and the constraint does not name it here"
        for i in range(len(data)):
            before = self._automaton.advance_bytes(self._state, data[:i])
            following = bytes(self._automaton.next_bytes(before))
            if data[i] not in following:
                place = f"after {_text(data[:i])}" if i else "here"
                wanted = (byte_ranges(following) or "nothing") + (" or the end" if self._automaton.is_accepting(before) else "")
                return f"{name} is refused: {place} may follow {wanted}, not {byte_ranges(data[i : i + 1])}"
        return f"{name} is refused: no tokens spell an end after it"

    def _name(self, token: int) -> str:
        special = {i: name for name, i in self._automaton.vocab.special.items()}
        return f"token {token} ({special.get(token) or _text(self._automaton.vocab.token_bytes(token))})"

    def __str__(self) -> str:
        if self._state == self._automaton.dead:
            return "no allowed text leads here"
        special = {i: name for name, i in self._automaton.vocab.special.items()}
        shown = ", ".join(special.get(t) or _text(self._automaton.vocab.token_bytes(t)) for t in self.tokens[:FEW])
        more = f" and {len(self.tokens) - FEW} more" if len(self.tokens) > FEW else ""
        end = "the output may end here; " if self.may_end else ""
        return f"{end}next byte: {byte_ranges(self.next_bytes) or 'none'}; {len(self.tokens)} tokens: {shown}{more}"


def byte_ranges(found: bytes) -> str:
    """Byte ranges in readable form: ``a-z quote 0x00-0x1f``."""
    parts = []
    for _, run in groupby(enumerate(sorted(set(found))), lambda pair: pair[1] - pair[0]):
        values = [b for _, b in run]
        parts.append(_byte(values[0]) if len(values) == 1 else f"{_byte(values[0])}-{_byte(values[-1])}")
    return " ".join(parts)


def _byte(b: int) -> str:
    return "special" if b == MARK else chr(b) if chr(b).isalnum() and b < 128 else NAMES.get(b, f"0x{b:02x}")


def _text(data: bytes) -> str:
    return repr(data.decode("utf-8", "backslashreplace"))
