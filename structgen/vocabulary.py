"""The vocabulary of a model as exact bytes: what every token id adds to a text, for any kind of tokenizer.

Invariants: ids run from 0 to ``size - 1``; a token that must never match text (special tokens, end-of-sequence tokens, unused
ids, padding rows) has no bytes; a vocabulary never changes, and two are equal exactly if their contents are. A token's bytes
are those it adds in the middle of a text. What is read from a tokenizer has passed the audit of `structgen._token_audit`.

Tables and trie are kept in the disk cache under the content they derive from: a tokenizer.json of 131,072 tokens takes about
30 ms with its trie when cached, 1 s when not.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, final
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from structgen import _token_audit, _token_bytes, _token_sources
from structgen._token_audit import Encoder, audit
from structgen._token_bytes import MAX_IDS, TokenTable, token_ids
from structgen._token_sources import CallableEncoder, Source, eos_ids, source_of, source_of_file
from structgen.automata import marks, trie
from structgen.automata.diskcache import code_version, load_arrays, store_arrays
from structgen.automata.marks import with_marks
from structgen.errors import VocabularyError

__all__ = ["Vocabulary"]

Offsets: TypeAlias = NDArray[np.int64]
Data: TypeAlias = NDArray[np.uint8]

ANCHORS = ("\n", ",", "a")  # text put before another to learn how the tokenizer spells that in the middle of a text


@final
class Vocabulary:
    """Token bytes by id; built by `from_tokenizer`, `from_file` or `from_bytes`. Safe to share between threads, and picklable.

    ``offsets`` (int64 [size + 1]) and ``data`` (uint8): token i stands for ``data[offsets[i]:offsets[i + 1]]``.
    ``special``: ids of the tokens that are not text, by name. ``eos_token_ids``: the tokens that end the output;
    ``eos_token_id`` is the first of them. ``size``: the largest id + 1.
    """

    offsets: Offsets
    data: Data
    special: Mapping[str, int]
    eos_token_id: int | None
    eos_token_ids: frozenset[int]
    size: int
    _text: tuple[Offsets, Data]  # the same with the bytes of tokens that are not text only because they end the output
    _eos: tuple[int, ...]
    _encoder: Encoder | None

    def __init__(self, offsets: Offsets, data: Data, special: Mapping[str, int], eos: tuple[int, ...], encoder: Encoder | None) -> None:
        """For `from_bytes` and its like; takes the arrays over."""
        eos = tuple(dict.fromkeys(token_ids(eos)))
        highest = max((*token_ids(special.values()), *eos), default=-1)
        if highest >= len(offsets) - 1:
            offsets = np.append(offsets, np.full(highest + 2 - len(offsets), offsets[-1]))
        self.__dict__.update(_text=(offsets, data), _eos=eos, _encoder=encoder)
        offsets, data = _without(offsets, data, eos)
        for array in (offsets, data):
            array.setflags(write=False)
        self.__dict__.update(offsets=offsets, data=data, special=MappingProxyType(dict(special)), size=len(offsets) - 1)
        self.__dict__.update(eos_token_id=eos[0] if eos else None, eos_token_ids=frozenset(eos))

    @staticmethod
    def from_tokenizer(tokenizer: Any) -> Vocabulary:
        """The vocabulary of a Hugging Face tokenizer (fast or slow), tokenizers.Tokenizer, tiktoken.Encoding, SentencePiece
        processor or mistral-common tokenizer; a Vocabulary is returned as it is."""
        if isinstance(tokenizer, Vocabulary):
            return tokenizer
        state = _state_of(tokenizer)
        if state is None:
            return _from_source(source_of(tokenizer))
        if tokenizer not in _known or _known[tokenizer][0] != state:
            _known[tokenizer] = state, _from_source(source_of(tokenizer))
        return _known[tokenizer][1]

    @staticmethod
    def from_file(path: str | os.PathLike[str]) -> Vocabulary:
        """The vocabulary in a ``tokenizer.json``, ``tekken.json`` or SentencePiece model, or in a folder that has one.

        A ``tokenizer.json`` does not say which token ends a sequence: that is read from the ``tokenizer_config.json`` and
        ``generation_config.json`` beside it; where there are none, use `with_eos`.
        """
        try:
            return _from_source(source_of_file(Path(path).absolute()))
        except ValueError as error:
            raise VocabularyError(f"cannot read the tokenizer in {str(path)!r}: {error}") from error

    @staticmethod
    def from_bytes(
        tokens: Sequence[bytes | None],
        *,
        eos_token_id: int | Iterable[int] | None = None,
        special: Mapping[str, int] | None = None,
        encode: Callable[[str], Iterable[int]] | None = None,
    ) -> Vocabulary:
        """The vocabulary whose token i stands for ``tokens[i]``; None (an unused id) and b"" never match text.

        ``special``: tokens that are not text (whatever their bytes), by the name a constraint may use. ``encode``: the tokenizer.

        >>> v = Vocabulary.from_bytes([b"a", b"ab", None, b"</s>"], eos_token_id=3)
        >>> v.size, v.decode([0, 1, 3]), v.eos_token_ids
        (4, b'aab', frozenset({3}))
        """
        listed = list(islice(tokens, MAX_IDS + 1))
        if len(listed) > MAX_IDS:
            raise VocabularyError(f"a vocabulary has at most {MAX_IDS} tokens")
        if encode is not None and not callable(encode):
            raise VocabularyError(f"encode is a function from text to token ids, found {encode!r}")
        named, texts = _named(special or {}), [bytes(_checked(i, token)) for i, token in enumerate(listed)]
        for i in named.values():
            if 0 <= i < len(texts):
                texts[i] = b""
        encoder = CallableEncoder(encode) if encode is not None else None
        return _from_table(TokenTable(texts, named, token_ids(eos_token_id)), encoder)

    def with_eos(self, ids: int | Iterable[int] | None) -> Vocabulary:
        """The same vocabulary with these end-of-sequence tokens instead of its own; the first is ``eos_token_id``."""
        return Vocabulary(*self._text, self.special, token_ids(ids), self._encoder)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a token; b"" for tokens that are not text and ids beyond the vocabulary (padding rows of a model)."""
        if not 0 <= token < self.size:
            return b""
        return self.data[self.offsets[token] : self.offsets[token + 1]].tobytes()

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes of a sequence of tokens in the middle of a text."""
        return b"".join(map(self.token_bytes, ids))

    @property
    def encode(self) -> Callable[[str], list[int]] | None:
        """A function giving the tokenizer's own ids for text in the middle of a text; None if the tokenizer is not known.

        Without special tokens, and exact: ``decode(encode(text)) == text.encode()``, or ``[]`` where the tokenizer has no
        such ids (it changes the text, or lacks a character). The first call may take half a second to load the tokenizer.
        """
        return self._encode if self._encoder is not None else None

    def _encode(self, text: str) -> list[int]:
        assert self._encoder is not None
        try:
            wanted = text.encode()
            ids = self._encoder.encode(text)
            if self._spells(ids, wanted):
                return ids
            candidates = (self._after(anchor.encode(), wanted, self._encoder.encode(anchor + text)) for anchor in ANCHORS)
            return next(filter(None, candidates), [])
        except (UnicodeEncodeError, VocabularyError, OSError):  # half a surrogate pair; a tokenizer file that is gone
            return []

    def _spells(self, ids: Sequence[int], wanted: bytes) -> bool:
        texts = [self.token_bytes(i) for i in ids]
        return all(texts) and b"".join(texts) == wanted

    def _after(self, anchor: bytes, wanted: bytes, ids: Sequence[int]) -> list[int]:
        """The ids that spell ``wanted`` after those of the anchor (and a space that the tokenizer put in front); [] if none."""
        before = b""
        for cut, token in enumerate(ids, start=1):
            before += self.token_bytes(token)
            if len(before) > len(anchor) + 1:
                break
            if before in (anchor, b" " + anchor) and self._spells(ids[cut:], wanted):
                return list(ids[cut:])
        return []

    @cached_property
    def key(self) -> str:
        """SHA-256 of the content (bytes, special and end-of-sequence tokens), in hexadecimal."""
        names = json.dumps([sorted(self.special.items()), self._eos])
        return hashlib.sha256(f"{self._table_key} {names}".encode()).hexdigest()

    @cached_property
    def _table_key(self) -> str:
        return hashlib.sha256(b"%d " % self.size + self.offsets.tobytes() + self.data.tobytes()).hexdigest()

    @cached_property
    def marked(self) -> tuple[Offsets, Data]:
        """``offsets`` and ``data`` as the machine wants them: special tokens that may stand inside an output by their marks."""
        return with_marks(self.offsets, self.data, set(self.special.values()) - self.eos_token_ids)

    @cached_property
    def trie(self) -> trie.TokenTrie:
        """The token trie of the marked tokens, from the disk cache if it is there."""
        found = _tries.get(self.key)
        if found is None:
            found = _tries[self.key] = _load_trie(self.key, *self.marked)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"<Vocabulary of {self.size} ids, {len(self.special)} special, eos {sorted(self.eos_token_ids)}, {self.key[:12]}>"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Vocabulary does not change; build another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a Vocabulary does not change; build another one")

    def __reduce__(self) -> tuple[Any, ...]:
        return Vocabulary, (*self._text, dict(self.special), self._eos, self._encoder)


_known: WeakKeyDictionary[Any, tuple[Any, Vocabulary]] = WeakKeyDictionary()  # Hugging Face fast tokenizers seen before
_tries: WeakValueDictionary[str, trie.TokenTrie] = WeakValueDictionary()


def _state_of(tokenizer: Any) -> tuple[Any, ...] | None:
    """What can change the tokens of a Hugging Face fast tokenizer after its creation; None for anything else.

    It spares writing out and hashing the whole tokenizer again (0.2 s) each time the same object is used.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(tokenizer, "all_special_ids"):
        return None
    added = tuple((i, token.content, token.special) for i, token in sorted(backend.get_added_tokens_decoder().items()))
    decoder = backend.decoder.__getstate__() if backend.decoder is not None else None
    return id(backend), backend.get_vocab_size(), added, decoder, eos_ids(tokenizer.eos_token_id), tuple(tokenizer.all_special_ids)


def _named(special: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(special, Mapping) or not all(isinstance(name, str) for name in special):
        raise VocabularyError("special is a mapping from the names of tokens (str) to their ids")
    return dict(zip(special, token_ids(special.values()), strict=True))


def _checked(i: int, token: bytes | None) -> bytes:
    if token is None:
        return b""
    if not isinstance(token, (bytes, bytearray)):
        raise VocabularyError(f"token {i} is {token!r}, but tokens are bytes (or None for unused ids); for text, use text.encode()")
    return token


def _from_table(table: TokenTable, encoder: Encoder | None) -> Vocabulary:
    offsets = np.zeros(len(table.tokens) + 1, dtype=np.int64)
    np.cumsum(list(map(len, table.tokens)), out=offsets[1:])
    return Vocabulary(offsets, np.frombuffer(b"".join(table.tokens), dtype=np.uint8), table.special, table.eos, encoder)


def _without(offsets: Offsets, data: Data, ids: Iterable[int]) -> tuple[Offsets, Data]:
    """The same tokens, these without their bytes."""
    lengths = np.diff(offsets)
    blank = [i for i in ids if lengths[i]]
    if not blank:
        return offsets, data
    keep = np.ones(len(lengths), dtype=bool)
    keep[blank] = False
    return np.concatenate([[0], np.cumsum(lengths * keep)]), data[np.repeat(keep, lengths)]


@cache
def _version() -> str:
    """Of the code that derives what is cached: no entry outlives a change of it."""
    modules = (sys.modules[__name__], _token_audit, _token_bytes, _token_sources, marks, trie)
    return code_version(*(str(module.__file__) for module in modules))


def _from_source(source: Source) -> Vocabulary:
    """Read and audit a tokenizer, or take what the disk cache has about the same content."""
    cached = load_arrays("vocabulary", source.digest, _version())
    if cached is None:
        table = source.read()
        audit(source.encoder, table)
        vocabulary = _from_table(table, source.encoder)
        offsets, data = vocabulary._text
        names = np.frombuffer(json.dumps([table.special, table.eos]).encode(), dtype=np.uint8)
        store_arrays("vocabulary", source.digest, _version(), {"offsets": offsets, "data": data, "names": names})
        return vocabulary
    special, eos = json.loads(cached["names"].tobytes())
    return Vocabulary(cached["offsets"], cached["data"], special, tuple(eos), source.encoder)


def _load_trie(key: str, offsets: Offsets, data: Data) -> trie.TokenTrie:
    cached = load_arrays("trie", key, _version())
    if cached is not None:
        return trie.TokenTrie(cached["nodes"], cached["tokens"])
    built = trie.build_trie(offsets, data)
    store_arrays("trie", key, _version(), {"nodes": built.nodes, "tokens": built.tokens})
    return built
