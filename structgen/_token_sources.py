"""One adapter for each kind of tokenizer: what its tokens are, how it encodes, and a digest of all that decides them.

The libraries are recognised by the module a class comes from and imported only when an object or a file needs them.
Encoding never goes through the user's own Hugging Face fast tokenizer, whose padding, truncation and special-token settings
change with the calls it serves, but through a private copy made on first use (about half a second for 131,072 tokens).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from structgen._token_audit import Encoder
from structgen._token_bytes import (
    BYTE_LEVEL_ALPHABET,
    SPACE_MARK,
    TokenTable,
    byte_level,
    components,
    pieces_by_id,
    read_tokenizer_json,
    sentencepiece,
    token_ids,
)
from structgen.errors import StructgenError, VocabularyError

__all__ = ["CallableEncoder", "Source", "eos_ids", "source_of", "source_of_file"]


@dataclass(frozen=True)
class Source:
    """A tokenizer about to become a vocabulary. ``digest`` hashes everything that ``read`` depends on."""

    digest: str
    read: Callable[[], TokenTable]
    encoder: Encoder


def source_of(tokenizer: Any) -> Source:
    """The adapter for a tokenizer object. Wrappers (processors, chat tokenizers) are opened."""
    if _comes_from(tokenizer, "tokenizers"):
        return _json_source(tokenizer.to_str().encode(), tokenizer)
    if _comes_from(tokenizer, "tiktoken"):
        return _tiktoken_source(tokenizer)
    if _comes_from(tokenizer, "sentencepiece"):
        return _sentencepiece_source(tokenizer)
    if hasattr(tokenizer, "instruct_tokenizer"):  # mistral_common.MistralTokenizer
        return source_of(tokenizer.instruct_tokenizer.tokenizer)
    if _comes_from(tokenizer, "mistral_common"):
        return source_of(tokenizer._model) if hasattr(tokenizer._model, "id_to_piece") else _tekken_source(tokenizer)
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if _comes_from(backend, "tokenizers"):
        return _json_source(backend.to_str().encode(), backend, eos=eos_ids(tokenizer.eos_token_id), control=tokenizer.all_special_ids)
    if _slow_kind(tokenizer):
        return _slow_source(tokenizer)
    for attribute in ("tokenizer", "model"):  # multimodal processors, MistralCommonBackend, tiktoken-based remote code
        inner = getattr(tokenizer, attribute, None)
        if inner is not None and (hasattr(inner, "get_vocab") or any(_comes_from(inner, m) for m in ("tiktoken", "mistral_common"))):
            return _with_eos(source_of(inner), eos_ids(getattr(tokenizer, "eos_token_id", None)))
    raise VocabularyError(
        f"cannot read the tokens of a {type(tokenizer).__module__}.{type(tokenizer).__qualname__}; expected a Hugging Face tokenizer, "
        "tokenizers.Tokenizer, tiktoken.Encoding, mistral-common or sentencepiece; or use Vocabulary.from_bytes"
    )


def source_of_file(path: Path) -> Source:
    """The adapter for a file (or the folder of a model): tokenizer.json, tekken.json or a SentencePiece model."""
    path = _tokenizer_in(path) if path.is_dir() else path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VocabularyError(error.strerror or str(error)) from error
    if content[:1] == b"\n":  # field 1 of a protocol buffer: the pieces of a SentencePiece model
        from sentencepiece import SentencePieceProcessor

        with _loading("sentencepiece"):
            processor = SentencePieceProcessor(model_proto=content)
        return _sentencepiece_source(processor)
    if b'"token_bytes"' in content:
        return _tekken_file_source(content, path)
    eos_name, eos = _declared_eos(path.parent)
    return _json_source(content, path, eos=eos, eos_name=eos_name)


def eos_ids(value: Any) -> tuple[int, ...]:
    """End-of-sequence ids from what configurations hold: nothing (which may be written -1), one id, or several."""
    return tuple(dict.fromkeys(token_ids(value, unset=True)))


@contextmanager
def _loading(library: str) -> Iterator[None]:
    """Around what a library does with a file: each has its own exceptions."""
    try:
        yield
    except Exception as error:
        raise VocabularyError(f"{library} cannot load this file: {type(error).__name__}: {error}") from error


def _comes_from(value: Any, module: str) -> bool:
    return any(base.__module__.partition(".")[0] == module for base in type(value).__mro__)


def _with_eos(source: Source, eos: tuple[int, ...]) -> Source:
    if not eos:
        return source
    return Source(_hash(source.digest, eos), lambda: source.read()._replace(eos=eos), source.encoder)


def _hash(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else repr(part).encode("utf-8", "backslashreplace")
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()


def _known_table(kind: str, table: TokenTable, encoder: Encoder) -> Source:
    """A source whose tokens had to be read to know what they are."""
    lengths = list(map(len, table.tokens))
    return Source(_hash(kind, b"".join(table.tokens), lengths, sorted(table.special.items()), table.eos), lambda: table, encoder)


# --- tokenizer.json and Hugging Face fast tokenizers


def _tokenizer_in(folder: Path) -> Path:
    for name in ("tokenizer.json", "tekken.json", "tokenizer.model"):
        if (folder / name).is_file():
            return folder / name
    raise VocabularyError("there is no tokenizer.json, tekken.json or tokenizer.model in this folder")


def _json_source(content: bytes, origin: Any, *, eos: tuple[int, ...] = (), eos_name: str = "", control: Iterable[int] = ()) -> Source:
    """``origin``: the file or the tokenizers.Tokenizer; ``control``: ids that a wrapper calls special, which counts for added
    tokens only (a wrapper may well pad with an ordinary token)."""
    named = tuple(sorted(set(control)))

    def read() -> TokenTable:
        spec = _parse(content)
        table = read_tokenizer_json(spec)
        for token in spec.get("added_tokens") or []:
            if token["id"] in named:
                table.special[token["content"]] = token["id"]
                table.tokens[token["id"]] = b""
        return table._replace(eos=eos_ids([*_ids_named(eos_name, spec), *eos]))

    # An object writes the truncation and padding of its latest call first, which have nothing to do with its tokens.
    start = 0 if isinstance(origin, Path) else max(0, content.find(b'"added_tokens":'))
    return Source(_hash("json", content[start:], eos, eos_name, named), read, JsonEncoder(origin))


def _ids_named(name: str, spec: dict[str, Any]) -> list[int]:
    ids = [token["id"] for token in spec.get("added_tokens") or [] if token["content"] == name]
    vocabulary = spec["model"]["vocab"]
    return ids or ([vocabulary[name]] if isinstance(vocabulary, dict) and name in vocabulary else [])


def _parse(content: bytes) -> dict[str, Any]:
    try:
        spec = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise VocabularyError(f"this is not a tokenizer.json: {error}") from error
    if not isinstance(spec, dict) or "model" not in spec:
        raise VocabularyError("this is not a tokenizer.json: it has no model")
    return spec


def _declared_eos(folder: Path) -> tuple[str, tuple[int, ...]]:
    """What the files beside a tokenizer.json say about the end of a sequence: a token's name, and ids."""
    config, generation = (_read_config(folder / name) for name in ("tokenizer_config.json", "generation_config.json"))
    name = config.get("eos_token")
    name = name.get("content") if isinstance(name, dict) else name
    return name if isinstance(name, str) else "", eos_ids(generation.get("eos_token_id"))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


class JsonEncoder:
    """Encodes with a private tokenizers.Tokenizer; text that looks like a special token is still text.

    ``origin``: a tokenizer.json, or the tokenizers.Tokenizer to copy. It may have changed since the tokens were read:
    `Vocabulary.encode` uses no ids that do not spell the text.
    """

    def __init__(self, origin: Any) -> None:
        self._origin = origin

    def __getstate__(self) -> dict[str, Any]:
        return {"_origin": self._origin}

    @cached_property
    def _tokenizer(self) -> Any:
        import tokenizers

        with _loading("tokenizers"):
            content = self._origin.read_text("utf-8") if isinstance(self._origin, Path) else self._origin.to_str()
            tokenizer = tokenizers.Tokenizer.from_str(content)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        if getattr(tokenizer.model, "dropout", None):
            tokenizer.model.dropout = None
        return tokenizer

    @cached_property
    def prefix_space(self) -> bool:
        before = _parts(self._tokenizer.normalizer) + _parts(self._tokenizer.pre_tokenizer)
        return any(
            part["type"] == "Prepend" or part.get("prepend_scheme") in ("always", "first") or part.get("add_prefix_space") is True
            for part in before
        )

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def normalize(self, text: str) -> str:
        normalizer = self._tokenizer.normalizer
        if normalizer is None:
            return text
        text, parts = normalizer.normalize_str(text), _parts(normalizer)
        if any(part["type"] == "ByteLevel" for part in parts):
            return bytes(BYTE_LEVEL_ALPHABET[char] for char in text).decode()
        return text.replace(SPACE_MARK, " ") if any(part.get("content") == SPACE_MARK for part in parts) else text


def _parts(component: Any) -> list[dict[str, Any]]:
    """The description of a component of a tokenizers.Tokenizer, as it stands in tokenizer.json."""
    return components(json.loads(component.__getstate__())) if component is not None else []


# --- tiktoken and Tekken


@dataclass(frozen=True)
class CallableEncoder:
    """Any function from text to ids that neither changes the text nor adds to it."""

    function: Callable[[str], Iterable[int]]
    prefix_space = False

    def encode(self, text: str) -> list[int]:
        try:
            return list(token_ids(list(self.function(text))))
        except Exception as error:  # of any kind: the function is the user's
            raise StructgenError(f"encode({text[:40]!r}) of this vocabulary: {type(error).__name__}: {error}") from error

    def normalize(self, text: str) -> str:
        return text


def _tiktoken_source(encoding: Any) -> Source:
    special = {name: encoding.encode_single_token(name) for name in encoding.special_tokens_set}
    tokens = [b""] * (encoding.max_token_value + 1)
    for i in set(range(len(tokens))) - set(special.values()):
        try:
            tokens[i] = encoding.decode_single_token_bytes(i)
        except KeyError:
            continue  # an unused id
    eos = eos_ids(special.get("<|endoftext|>"))
    return _known_table("tiktoken", TokenTable(tokens, special, eos), CallableEncoder(encoding.encode_ordinary))


def _tekken_table(tokenizer: Any) -> TokenTable:
    special = {tokenizer.id_to_piece(i): i for i in range(tokenizer.num_special_tokens)}
    texts = [tokenizer.id_to_byte_piece(i) for i in range(len(special), tokenizer.n_words)]
    return TokenTable([b""] * len(special) + texts, special, (tokenizer.eos_id,))


def _tekken_source(tokenizer: Any) -> Source:
    return _known_table("tekken", _tekken_table(tokenizer), TekkenEncoder(tokenizer))


def _tekken_file_source(content: bytes, path: Path) -> Source:
    encoder = TekkenEncoder(path)
    return Source(_hash("tekken file", content), lambda: _tekken_table(encoder.tokenizer), encoder)


class TekkenEncoder:
    """Encodes with mistral-common; ``origin`` is its Tekkenizer or the file to load it from on first use."""

    prefix_space = False

    def __init__(self, origin: Any) -> None:
        self._origin = origin

    @cached_property
    def tokenizer(self) -> Any:
        if not isinstance(self._origin, Path):
            return self._origin
        try:
            from mistral_common.tokens.tokenizers.tekken import Tekkenizer
        except ImportError as error:
            raise VocabularyError("reading a Tekken file takes mistral-common: pip install mistral-common") from error
        with _loading("mistral-common"):
            return Tekkenizer.from_file(self._origin)

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, bos=False, eos=False))

    def normalize(self, text: str) -> str:
        return text


# --- SentencePiece


def _sentencepiece_source(processor: Any) -> Source:
    def read() -> TokenTable:
        ids = list(range(processor.get_piece_size()))
        pieces = processor.id_to_piece(ids)
        tokens = sentencepiece(pieces, processor.is_byte(ids))
        named = [a or b for a, b in zip(processor.is_control(ids), processor.is_unknown(ids), strict=True)]
        for i in ids:
            if named[i] or processor.is_unused(i):
                tokens[i] = b""
        eos = (processor.eos_id(),) if processor.eos_id() >= 0 else ()
        return TokenTable(tokens, {pieces[i]: i for i in ids if named[i]}, eos)

    return Source(_hash("sentencepiece", processor.serialized_model_proto()), read, SentencePieceEncoder(processor))


@dataclass(frozen=True)
class SentencePieceEncoder:
    processor: Any
    prefix_space = True  # where a version of the library cannot tell what it normalises to

    def encode(self, text: str) -> list[int]:
        return list(self.processor.encode(text))

    def normalize(self, text: str) -> str:
        return _sentencepiece_normalize(self.processor, text)


def _sentencepiece_normalize(processor: Any, text: str) -> str:
    normalize = getattr(processor, "normalize", None)
    return str(normalize(text)).replace(SPACE_MARK, " ") if normalize else text


# --- Hugging Face slow tokenizers


def _slow_kind(tokenizer: Any) -> str | None:
    if hasattr(tokenizer, "sp_model"):
        return "sentencepiece"
    if hasattr(tokenizer, "byte_decoder"):
        return "byte level"
    return "bytes" if type(tokenizer).__name__ == "ByT5Tokenizer" else None


def _slow_source(tokenizer: Any) -> Source:
    pieces = pieces_by_id(tokenizer.get_vocab().items())
    added = {i: token for i, token in tokenizer.added_tokens_decoder.items() if i < len(pieces)}
    tokens, special = _slow_pieces(tokenizer, pieces, set(added))
    named = set(tokenizer.all_special_ids)
    for i, token in added.items():
        if token.special or i in named:
            special[token.content] = i
        else:
            tokens[i] = token.content.encode()
    for i in special.values():
        tokens[i] = b""
    return _known_table("slow", TokenTable(tokens, special, eos_ids(tokenizer.eos_token_id), frozenset(added)), SlowEncoder(tokenizer))


def _slow_pieces(tokenizer: Any, pieces: list[str], added: set[int]) -> tuple[list[bytes], dict[str, int]]:
    """Bytes of the pieces of the model itself, and the pieces that are no text."""
    kind = _slow_kind(tokenizer)
    if kind == "byte level":
        return byte_level(pieces), {}
    if kind == "bytes":
        return [piece.encode("latin-1") if len(piece) == 1 else b"" for piece in pieces], {}
    processor = tokenizer.sp_model
    ids = [processor.piece_to_id(piece) for piece in pieces]
    plain = [i not in added and bool(piece) for i, piece in enumerate(pieces)]
    tokens = sentencepiece(pieces, processor.is_byte(ids))
    no_text = (i for i, p in enumerate(ids) if plain[i] and (processor.is_control(p) or processor.is_unknown(p) or processor.is_unused(p)))
    return tokens, {pieces[i]: i for i in no_text}


@dataclass(frozen=True)
class SlowEncoder:
    tokenizer: Any
    prefix_space = True  # added in front by SentencePiece or by the Hugging Face class

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def normalize(self, text: str) -> str:
        processor = getattr(self.tokenizer, "sp_model", None)
        return text if processor is None else _sentencepiece_normalize(processor, text)
