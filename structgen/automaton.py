"""The compiled constraint that users hold: states, masks, forced tokens, explanations, and the typed result.

Everything about states and masks is `structgen.automata.machine.Machine`; this adds what needs the tokenizer's own
encoding, the constraint's report and the type to return.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from structgen.automata.engine import Engine
from structgen.automata.machine import FINISHED, Machine, MaskRows
from structgen.errors import ModelOutputError
from structgen.explanation import Explanation
from structgen.grammars.constraint import Constraint

if TYPE_CHECKING:
    from structgen.limited import LimitedAutomaton
    from structgen.processor import LogitsProcessor
    from structgen.vocabulary import Vocabulary

__all__ = ["TokenAutomaton"]

MAX_FORCED_BYTES = 1000


class TokenAutomaton(Machine):
    """A constraint on a vocabulary. Safe to share between threads and requests; made by `structgen.compile`.

    A state is a plain int, -1 (``dead``) where no allowed text leads; ``initial`` is the state before the first token.
    """

    max_tokens: int | None = None
    """The limit of `limited`."""

    def __init__(
        self, engine: Engine, rows: MaskRows, constraint: Constraint, vocab: Vocabulary, parse: Callable[[str], Any] | None
    ) -> None:
        super().__init__(engine, rows, constraint.expr, vocab.eos_token_ids)
        self.constraint = constraint
        self.vocab = vocab
        self._parse = parse

    @property
    def report(self) -> Any:
        """What of a JSON Schema is enforced and what is only an annotation; None for other constraints."""
        return self.constraint.report

    def parse(self, text: str | bytes) -> Any:
        """The typed object that a complete output stands for (a model instance, a dict, a str)."""
        try:
            decoded = text.decode() if isinstance(text, bytes) else text
        except UnicodeDecodeError as error:
            raise ModelOutputError(f"the output is not UTF-8: {error}") from None
        return self._parse(decoded) if self._parse else decoded

    def processor(self, **options: Any) -> LogitsProcessor:
        """A transformers LogitsProcessor for ``model.generate(..., logits_processor=[automaton.processor()])``."""
        from structgen.processor import LogitsProcessor

        return LogitsProcessor(self, self.vocab, **options)

    def limited(self, max_tokens: int) -> LimitedAutomaton:
        """This automaton with masks that only allow what can still be finished within ``max_tokens`` tokens."""
        from structgen.limited import LimitedAutomaton

        return LimitedAutomaton(self, max_tokens)

    def forced(self, state: int) -> list[int]:
        """Token ids that must follow, [] if there is a choice.

        They are the tokens that the tokenizer itself gives for the bytes that must follow, cut before the first one that
        could merge with what comes after them; without a tokenizer, the tokens that are the only one allowed.
        """
        state = self._checked(state)
        if self.vocab.encode is None:
            return self._single_tokens(state)
        text, complete = self._forced_bytes(state)
        if not text:
            return self._single_tokens(state)
        ids = self.vocab.encode(text.decode("utf-8", "ignore"))
        kept: list[int] = []
        at = 0
        for token in ids:
            if not complete and self._may_extend(text[at:]):
                break
            following = self.advance(state, token)
            piece = self.vocab.token_bytes(token)
            if following == self.dead or text[at : at + len(piece)] != piece:
                break
            kept.append(token)
            state, at = following, at + len(piece)
        return kept

    def _single_tokens(self, state: int) -> list[int]:
        found: list[int] = []
        while state > FINISHED and len(found) < MAX_FORCED_BYTES:
            only = self.allowed(state)
            if len(only) != 1:
                break
            found.append(int(only[0]))
            state = self.advance(state, found[-1])
        return found

    def _forced_bytes(self, state: int) -> tuple[bytes, bool]:
        """The bytes that must follow, and whether the text must end after them."""
        found = bytearray()
        while len(found) < MAX_FORCED_BYTES:
            following = self.next_bytes(state)
            if self.is_accepting(state) or len(following) != 1:
                return bytes(found), not following
            found.append(following[0])
            state = self._engine.step(state, following[0])
        return bytes(found), False

    @cached_property
    def _sorted_tokens(self) -> list[bytes]:
        return sorted(self.vocab.token_bytes(i) for i in range(self.vocab.size))

    def _may_extend(self, text: bytes) -> bool:
        """Whether some token begins with all of ``text`` and goes on."""
        i = bisect_left(self._sorted_tokens, text + b"\0")
        return i < len(self._sorted_tokens) and self._sorted_tokens[i].startswith(text)

    def explain(self, state: int | str | bytes) -> Explanation:
        """What may come next, for people, in a state or after a text; ``.why(token)`` says why a token is refused."""
        if isinstance(state, (str, bytes)):
            state = self.advance_bytes(self.initial, state.encode("utf-8", "surrogatepass") if isinstance(state, str) else state)
        return Explanation(self, state)

    def draw(self, max_states: int = 60, format: str = "mermaid") -> str:
        """The automaton over bytes from the initial state, breadth first up to ``max_states``: as a Mermaid state diagram, in
        Graphviz's language (``"dot"``), or as ``"svg"``, which needs Graphviz's program ``dot``."""
        from structgen.drawing import draw

        return draw(self, max_states, format)
