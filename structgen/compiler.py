"""``compile``: any constraint on any tokenizer, as a `TokenAutomaton`. One engine per vocabulary is kept and shared.

Cost: the first use of a vocabulary lays out its trie (about 0.1 s for 131,000 tokens, from the disk cache); after that a
constraint costs its own size, and masks are made on first use.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from structgen.automata.engine import Engine
from structgen.automata.machine import MaskRows
from structgen.automaton import TokenAutomaton
from structgen.types import as_constraint
from structgen.vocabulary import Vocabulary

__all__ = ["clear_engines", "compile", "warmup"]

MAX_ENGINES = 4  # vocabularies whose engines are kept when no automaton uses them any more

_engines: OrderedDict[str, tuple[Engine, MaskRows]] = OrderedDict()
_lock = threading.Lock()


def compile(constraint: Any, vocab: Any, *, max_tokens: int | None = None) -> TokenAutomaton:
    """Compile a constraint for a vocabulary.

    ``constraint``: a `Constraint`, a JSON Schema (dict, bool or JSON text), or a type (pydantic model, dataclass, TypedDict,
    Enum, Literal, Union, function), or a `TokenAutomaton` for its constraint and limit. ``vocab``: a `Vocabulary` or anything
    `Vocabulary.from_tokenizer` takes. ``max_tokens``: masks only allow what can still be finished within so many tokens, so
    that no output is cut in the middle (docs/max_tokens.md).

    Raises a `StructgenError` if the constraint cannot be enforced exactly or has no valid text.
    """
    typed = as_constraint(constraint.constraint if isinstance(constraint, TokenAutomaton) else constraint)
    vocabulary = vocab if isinstance(vocab, Vocabulary) else Vocabulary.from_tokenizer(vocab)
    engine, rows = _engine(vocabulary)
    automaton = TokenAutomaton(engine, rows, typed.constraint, vocabulary, typed.parse)
    if max_tokens is None and isinstance(constraint, TokenAutomaton):
        max_tokens = constraint.max_tokens
    return automaton if max_tokens is None else automaton.limited(max_tokens)


def _engine(vocab: Vocabulary) -> tuple[Engine, MaskRows]:
    with _lock:
        if vocab.key not in _engines:
            named = {name: i for name, i in vocab.special.items() if i not in vocab.eos_token_ids}
            engine = Engine(*vocab.marked, vocab.trie, named, vocab.special.keys() - named.keys())
            _engines[vocab.key] = engine, MaskRows(engine.words)
            while len(_engines) > MAX_ENGINES:
                _engines.popitem(last=False)
        _engines.move_to_end(vocab.key)
        return _engines[vocab.key]


def clear_engines() -> None:
    """Forget all engines; automata already made keep theirs."""
    with _lock:
        _engines.clear()


def warmup(*, rare: bool = True) -> list[str]:
    """Compile (or load) all kernels now; the names of those that had to be compiled. ``rare``: also those that only
    constraints need whose distinct names or items are counted, required or may run out, or that limit the tokens."""
    from structgen.automata import _mask_kernels  # noqa: F401

    if rare:
        from structgen.automata import _completion_kernels, _prune_kernels, _value_kernels  # noqa: F401
    from structgen.automata.jit import compiled_kernels

    return list(compiled_kernels)
