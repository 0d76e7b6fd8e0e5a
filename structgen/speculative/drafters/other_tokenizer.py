"""A draft model with another tokenizer: it drafts text, and the target's tokenizer says which tokens that is.

The draft is the other model's greedy continuation under the constraint, byte by byte; no chance is involved, so it is a guess like any
other and no law over the other tokens has to be carried over. Of the tokens that spell it those are kept that no longer token could
swallow, however the text goes on; so the target is asked about tokens that its own tokenizer would write.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from structgen.automata.machine import DEAD
from structgen.errors import StructgenError
from structgen.sampling.transformers_model import TransformersModel
from structgen.speculative.checks import check_shares, check_sizes
from structgen.speculative.drafters.source import Guess, Place, Source, begun
from structgen.speculative.stopped import Stopped
from structgen.vocabulary import Vocabulary

__all__ = ["OtherTokenizerModel", "settled"]

MAX_BACK = 4  # bytes of a character


class OtherTokenizerModel(Source):
    """``model``, ``tokenizer``: a causal LM and its own tokenizer. It reads the text of the prompt, without special tokens of the target.

    A draft has at most ``length`` of its tokens; it ends before one with a probability below ``confidence``, and where none of the
    ``options`` most probable ones is allowed.
    """

    prior = 0.6
    everywhere = False

    def __init__(self, model: Any, tokenizer: Any, length: int = 12, confidence: float = 0.3, options: int = 8) -> None:
        check_sizes(length=length, options=options)
        check_shares(confidence=confidence)
        self._model, self._tokenizer, self._vocab = model, tokenizer, Vocabulary.from_tokenizer(tokenizer)
        self._length, self._confidence, self._options = length, confidence, options

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> OtherTokenizerModel:
        if constraint.vocab.encode is None:
            raise StructgenError("drafts in another tokenizer need the target's: this vocabulary has none")
        found = begun(self, constraint)
        text = constraint.vocab.decode(prompt).decode("utf-8", "replace")
        ids = list(self._tokenizer(text)["input_ids"]) or sorted(self._vocab.eos_token_ids)[:1]
        found._lm, found._spelled = TransformersModel(self._model, ids, self._vocab.eos_token_ids), ()
        return found

    _lm: TransformersModel
    _spelled: tuple[int, ...]  # the output so far, perhaps with what was drafted last, in the other tokens

    def guesses(self, place: Place) -> Iterable[Guess]:
        if not self._spell(self.constraint.vocab.decode(place.text[place.n_prompt :])):
            return ()
        text, ends = self._continue(place.state)
        encode = self.constraint.vocab.encode
        assert encode is not None
        tokens = settled(self.constraint.vocab, text, encode(text.decode("utf-8", "ignore")), ends)
        return (Guess((*tokens, min(self.constraint.stops)) if ends else tokens),) if tokens or ends else ()

    def _spell(self, output: bytes) -> bool:
        """Write the output in the other tokens, with those from before as far as they fit; False inside a character."""
        kept, at = list[int](), 0
        for token in self._spelled:
            piece = self._vocab.token_bytes(token)
            if output[at : at + len(piece)] != piece:
                break
            kept, at = [*kept, token], at + len(piece)
        for _ in range(MAX_BACK):
            try:
                rest = output[at:].decode()
            except UnicodeDecodeError:
                if not kept:
                    return False
                at -= len(self._vocab.token_bytes(kept.pop()))
                continue
            encode = self._vocab.encode
            tail = encode(rest) if rest and encode is not None else []
            self._spelled = (*kept, *tail)
            return bool(tail) or not rest
        return False

    def _continue(self, state: int) -> tuple[bytes, bool]:
        """How the other model goes on: bytes that the constraint allows, and whether the text would end behind them."""
        text = b""
        for _ in range(self._length):
            p = np.exp(self._lm.log_probs([self._spelled])[0])
            for token in np.argsort(-p, kind="stable")[: self._options].tolist():
                if token == self._lm.eos and self.constraint.is_accepting(state) and p[token] >= self._confidence:
                    return text, True
                piece = b"" if token == self._lm.eos else self._vocab.token_bytes(token)
                after = self._after(state, piece)
                if piece and after != DEAD:
                    break
            else:
                return text, False
            if p[token] < self._confidence:
                return text, False
            self._spelled, text, state = (*self._spelled, token), text + piece, after
        return text, False

    def _after(self, state: int, piece: bytes) -> int:
        automaton = self.constraint.automaton
        return state if automaton is None else automaton.advance_bytes(state, piece)


def settled(vocab: Vocabulary, text: bytes, tokens: Sequence[int], ends: bool) -> tuple[int, ...]:
    """The first of ``tokens``, which spell ``text``, that a tokenizer would write however the text went on. ``ends``: it does not."""
    if vocab not in _sorted:
        _sorted[vocab] = sorted(vocab.token_bytes(token) for token in range(vocab.size))
    found, at = list[int](), 0
    for token in tokens:
        i = bisect_left(_sorted[vocab], text[at:] + b"\0")
        may_extend = i < len(_sorted[vocab]) and _sorted[vocab][i].startswith(text[at:])
        if may_extend and not ends:
            break
        found.append(token)
        at += len(vocab.token_bytes(token))
    return tuple(found)


_sorted: WeakKeyDictionary[Vocabulary, list[bytes]] = WeakKeyDictionary()
