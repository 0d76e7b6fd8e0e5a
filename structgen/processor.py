"""A transformers logits processor that keeps generated rows inside their constraints.

Nothing is remembered per row number: the automaton state of a row is looked up by the tokens generated so far (its own,
else its parent's and one token further). So rows may be reordered, duplicated or dropped (beam search), revisited after
rejected drafts (assisted decoding, prompt lookup), or finished and padded, and the answer is always that of the prefix.

Invariants: a row gets exactly the tokens its automaton allows, and a stop token exactly where the text is complete; after
a stop token, or a prefix outside the language, only stop tokens; at least one token of every row keeps a finite score.
Cost of a call: a comparison with the prompts, and per row O(generated tokens) hashing, one mask row, one pass over the scores.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import LogitsProcessor as _LogitsProcessor

from structgen._token_sources import eos_ids
from structgen.errors import StructgenError, VocabularyError
from structgen.gpu.resident import ResidentMasks
from structgen.masking import Words, keep_allowed, pack_tokens
from structgen.vocabulary import Vocabulary

if TYPE_CHECKING:
    from structgen.automaton import TokenAutomaton

__all__ = ["LogitsProcessor", "stop_token_ids"]

DEAD = -1  # outside the language
FINISHED = -2  # past a stop token that was allowed
FREE = -3  # a row without a constraint
INTEGERS = frozenset({torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64})
COMPOSED_ROWS = 1 << 12  # masks with stop tokens remembered
SEEN_PREFIXES = 1 << 16  # prefixes remembered, the least recently used forgotten first

Tokens = npt.NDArray[np.int64]
Key = tuple[int, bytes]


class LogitsProcessor(_LogitsProcessor):
    """Masks every token that would leave the constraint: ``model.generate(..., logits_processor=[processor])``.

    ``constraints``: one for all rows, or a list with one per prompt (None leaves the rows of a prompt free). Each may be
    anything that `structgen.compile` takes, or its result. With a list, the rows of a call must be a multiple of its
    length: ``num_beams`` and ``num_return_sequences`` expand each prompt to neighbouring rows, as transformers does.
    ``tokenizer``: a tokenizer or Vocabulary; not needed for compiled constraints.
    ``generation_config``: where the stop tokens are read (a model will do); without any, they are those of the vocabulary.
    ``eos_token_id``: further stop tokens.

    The constraint starts after the prompt, and one processor serves any number of ``generate`` calls, one after another.
    It is not told where one call ends and the next begins; this rule tells it:

        A call continues the generation under way if it has as many rows, every row begins with its prompt, and every
        row has been seen before, at least up to its last token. Any other call is the prompt of a new generation.

    All decoding modes of transformers fulfil it within a generation (greedy, sampling, beams, assisted, prompt lookup),
    and a new prompt does not, even if it repeats an old prompt with its output and more. What remains is the prompt that
    is exactly one token longer than something seen. There the last token decides: if the constraint forbids it, it is a
    new prompt, unless the call is also just one token longer than the call before (and not a single row past its stop
    token). So a prompt can be mistaken for a continuation if it extends an earlier one by a single token, or is an earlier
    prompt with its unfinished output. Where that can happen, or an assistant has another tokenizer, say where generations
    begin: with `reset`, or better with `for_prompt`.
    """

    supports_continuous_batching = False

    def __init__(
        self,
        constraints: Any,
        tokenizer: Any = None,
        *,
        generation_config: Any = None,
        eos_token_id: int | Iterable[int] | None = None,
        max_new_tokens: int | None = None,
    ) -> None:
        per_prompt = constraints if isinstance(constraints, (list, tuple)) else [constraints]
        if all(constraint is None for constraint in per_prompt):
            raise StructgenError("expected a constraint, or a list of constraints with one per prompt")
        self._automata = [_automaton(constraint, tokenizer) for constraint in per_prompt]
        if max_new_tokens is not None:
            self._automata = [automaton and automaton.limited(max_new_tokens) for automaton in self._automata]
        _check_vocabularies(self._automata, tokenizer)
        self._stops = _stop_set(self._automata, generation_config, eos_token_id)
        self._stop_words = pack_tokens(self._stops)
        self._text_words = ~pack_tokens(self._stops | _vocabulary_stops(self._automata))
        self._padding = self._stops | _pad_tokens(generation_config) | _pad_tokens(tokenizer)
        self._generation: _Generation | None = None
        self._composed: dict[tuple[int, bool], tuple[Words | None, Words]] = {}  # the mask is kept, so that its id is not reused
        self._resident = ResidentMasks()

    @property
    def stop_token_ids(self) -> list[int]:
        """The tokens that end an output."""
        return sorted(self._stops)

    def reset(self) -> None:
        """Forget the generation under way: the next call is a prompt."""
        self._generation = None

    def for_prompt(self, input_ids: torch.Tensor) -> LogitsProcessor:
        """A processor for one generation from these prompts ([prompts, length], before any expansion to beams).

        It needs no rule: rows that begin with their prompt continue it, whatever their tokens, and all others (drafts in
        the tokens of another tokenizer) get only stop tokens. It shares the automata, so many can be in use at once.
        """
        bound = copy(self)
        prompts = input_ids[None] if isinstance(input_ids, torch.Tensor) and input_ids.ndim == 1 else input_ids
        self._check_rows(prompts)
        bound._generation = _Generation(prompts.clone(), pinned=True)
        return bound

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores ([rows, logits]) with -inf where a token may not follow its row of ``input_ids`` ([rows, length])."""
        self._check_rows(input_ids)
        if not (_is_matrix(scores) and scores.is_floating_point() and len(scores) == len(input_ids)):
            raise StructgenError(f"scores must be floats, [{len(input_ids)}, logits], found {_described(scores)}")
        states = self._states(input_ids)
        if min(self._stops) >= scores.shape[-1]:
            if all(state == DEAD for state in states):
                return scores  # a draft model with a smaller vocabulary of its own
            raise VocabularyError(f"none of the stop tokens {self.stop_token_ids} is among the model's {scores.shape[-1]} logits")
        if self._resident.serves(scores):
            return self._resident.keep_allowed(scores, self._rows(states))
        return keep_allowed(scores, self._allowed(states, scores.shape[-1]))

    def _check_rows(self, input_ids: Any) -> None:
        if not (_is_matrix(input_ids) and len(input_ids) and (input_ids.dtype in INTEGERS or not input_ids.numel())):
            raise StructgenError(f"input_ids must be a tensor of token ids, [rows, length], found {_described(input_ids)}")
        rows, n = len(input_ids), len(self._automata)
        if rows % n:
            raise StructgenError(f"{rows} rows cannot be shared among {n} constraints: give one constraint, or one per prompt")

    def _allowed(self, states: list[int], width: int) -> Words:
        """The packed mask of each row, stop tokens included."""
        allowed = np.zeros((len(states), -(-width // 32)), np.uint32)
        for row, words in zip(allowed, self._rows(states), strict=True):
            if words is None:
                row[:] = 0xFFFFFFFF
            else:
                row[: len(words)] = words[: len(row)]
        return allowed

    def _rows(self, states: list[int]) -> list[Words | None]:
        """The mask of each row as the one read-only array of its content, stop tokens included; None if it is free."""
        n = len(self._automata)
        return [self._row(self._automata[i * n // len(states)], state) for i, state in enumerate(states)]

    def _row(self, automaton: TokenAutomaton | None, state: int) -> Words | None:
        if state == FREE or automaton is None:
            return None
        mask = None if state < 0 else automaton.mask(state)
        ends = mask is None or automaton.is_accepting(state)
        known = self._composed.get((id(mask), ends))
        if known is None:
            if len(self._composed) >= COMPOSED_ROWS:
                self._composed.clear()
            known = self._composed[id(mask), ends] = mask, self._compose(mask, ends)
        return known[1]

    def _compose(self, mask: Words | None, ends: bool) -> Words:
        text = np.zeros(0, np.uint32) if mask is None else mask
        row = np.zeros(max(len(text), len(self._stop_words)), np.uint32)
        row[: len(text)] = text
        texts = min(len(row), len(self._text_words))
        row[:texts] &= self._text_words[:texts]
        if ends:
            row[: len(self._stop_words)] |= self._stop_words
        row.flags.writeable = False
        return row

    def _states(self, input_ids: torch.Tensor) -> list[int]:
        """The state of each row, by the rule above."""
        generation = self._generation
        if generation is not None and generation.begins(input_ids):
            states = self._continue(generation, input_ids)
            if states is not None:
                return states
        if generation is not None and generation.pinned:
            return [DEAD] * len(input_ids)
        self._generation = _Generation(input_ids.clone())
        return self._continue(self._generation, input_ids) or []

    def _continue(self, generation: _Generation, input_ids: torch.Tensor) -> list[int] | None:
        """The state of each row, all beginning with their prompt; None if some row was not seen up to its last token."""
        rows, length = input_ids.shape
        generated = input_ids[:, generation.prompts.shape[1] :].cpu().numpy().astype("<i8")
        is_next = length == generation.length + 1
        states: list[int] = []
        for i, tokens in enumerate(generated):
            state = self._state(generation, i * len(self._automata) // rows, tokens, is_next, alone=rows == 1)
            if state is None:
                return None
            states.append(state)
        generation.length = length
        generation.forget(SEEN_PREFIXES + 2 * rows)
        return states

    def _state(self, generation: _Generation, which: int, tokens: Tokens, is_next: bool, alone: bool) -> int | None:
        """The state after these generated tokens under constraint number ``which``; None if they belong to no prefix seen."""
        parent_key, key = _keys(which, tokens)
        state = generation.recall(key)
        if state is None and not len(tokens):
            state = self._initial(which)
        elif state is None:
            parent = generation.recall(parent_key)
            if generation.pinned:
                state = self._step(which, parent, tokens[-1]) if parent is not None else self._replay(which, tokens)
            elif parent is None:
                return None
            else:
                state = self._step(which, parent, tokens[-1])
                if state == DEAD and (not is_next or (alone and parent == FINISHED)):
                    return None
        generation.seen[key] = state
        return state

    def _initial(self, which: int) -> int:
        automaton = self._automata[which]
        return FREE if automaton is None else automaton.initial

    def _step(self, which: int, state: int, token: int) -> int:
        automaton = self._automata[which]
        if state == FINISHED:
            return FINISHED if token in self._padding else DEAD
        if automaton is None or state < 0:
            return state
        if token in self._stops:
            return FINISHED if automaton.is_accepting(state) else DEAD
        return automaton.advance(state, int(token))

    def _replay(self, which: int, tokens: Tokens) -> int:
        state = self._initial(which)
        for token in tokens.tolist():
            state = self._step(which, state, token)
        return state


@dataclass
class _Generation:
    """A generation under way: its prompts and the states of the prefixes seen, least recently used first."""

    prompts: torch.Tensor  # [n, length]
    pinned: bool = False  # prompts were named: each may have been expanded to several neighbouring rows
    length: int = -1  # of the latest call
    seen: OrderedDict[Key, int] = field(default_factory=OrderedDict)

    def begins(self, input_ids: torch.Tensor) -> bool:
        """Whether the rows begin with the prompts."""
        rows, length = input_ids.shape
        n, prompt_length = self.prompts.shape
        if length < prompt_length or rows % n or (rows != n and not self.pinned):
            return False
        heads = input_ids[:, :prompt_length].to(self.prompts.device).reshape(n, rows // n, prompt_length)
        return bool((heads == self.prompts[:, None]).all())

    def recall(self, key: Key) -> int | None:
        if key in self.seen:
            self.seen.move_to_end(key)
        return self.seen.get(key)

    def forget(self, keep: int) -> None:
        while len(self.seen) > keep:
            self.seen.popitem(last=False)


def stop_token_ids(source: Any) -> frozenset[int]:
    """The stop tokens of a generation config (or a model that has one), an id, or several ids; None and -1 are none."""
    config = getattr(source, "generation_config", source)
    ids = getattr(config, "eos_token_id", None) if hasattr(config, "eos_token_id") else config
    return frozenset(eos_ids(ids))


def _is_matrix(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim == 2


def _described(value: Any) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__


def _check_vocabularies(automata: list[TokenAutomaton | None], tokenizer: Any) -> None:
    vocabularies = [automaton.vocab for automaton in automata if automaton is not None]
    if isinstance(tokenizer, Vocabulary):
        vocabularies.append(tokenizer)
    for vocab in vocabularies[1:]:
        if not _agree(vocabularies[0], vocab):
            raise VocabularyError(f"the constraints are for different vocabularies: {vocabularies[0]} and {vocab}")


def _agree(a: Vocabulary, b: Vocabulary) -> bool:
    """Whether no token stands for two texts. (One may know more of what is no text, such as stop tokens.)"""
    if a is b or a == b:
        return True
    n = min(a.size, b.size)
    lengths = np.diff(a.offsets[: n + 1]), np.diff(b.offsets[: n + 1])
    both = (lengths[0] > 0) & (lengths[1] > 0)
    text, other = (v.data[: v.offsets[n]][np.repeat(both, length)] for v, length in zip((a, b), lengths, strict=True))
    return np.array_equal(lengths[0][both], lengths[1][both]) and np.array_equal(text, other)


def _stop_set(automata: list[TokenAutomaton | None], generation_config: Any, eos_token_id: Any) -> frozenset[int]:
    stops = (stop_token_ids(generation_config) or _vocabulary_stops(automata)) | stop_token_ids(eos_token_id)
    if not stops:
        raise VocabularyError("no stop token is known: name one with eos_token_id=, or pass the model's generation_config")
    return stops


def _vocabulary_stops(automata: list[TokenAutomaton | None]) -> frozenset[int]:
    return frozenset(i for automaton in automata if automaton is not None for i in automaton.vocab.eos_token_ids)


def _pad_tokens(source: Any) -> frozenset[int]:
    pad = getattr(getattr(source, "generation_config", source), "pad_token_id", None)
    return frozenset([pad]) if isinstance(pad, int) else frozenset()


def _automaton(constraint: Any, tokenizer: Any) -> TokenAutomaton | None:
    if constraint is None or (hasattr(constraint, "advance") and hasattr(constraint, "mask")):
        return constraint  # type: ignore[no-any-return]
    if tokenizer is None:
        raise StructgenError("a constraint that is not compiled yet needs a tokenizer: LogitsProcessor(constraint, tokenizer)")
    from structgen.compiler import compile

    return compile(constraint, tokenizer)


def _keys(which: int, tokens: Tokens) -> tuple[Key, Key]:
    """The keys of the tokens without the last and of all of them."""
    digest = hashlib.blake2b(tokens[:-1].tobytes(), digest_size=16)
    parent = digest.digest()
    digest.update(tokens[-1:].tobytes())
    return (which, parent), (which, digest.digest())
