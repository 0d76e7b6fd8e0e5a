"""From the text a tokenizer writes its tokens in to the bytes they stand for: byte-level alphabets, SentencePiece pieces,
and whole ``tokenizer.json`` files, whose decoder says what is done to a token on the way back to text.

The bytes of a token are what it adds in the middle of a text: steps that only touch the start of the text (SentencePiece's
leading space) do not count. A decoder step that is not understood is an error, never skipped. Everything works on whole lists:
131,072 tokens take about 0.1 s. Source: the decoders of Hugging Face tokenizers 0.20-0.23 (tokenizers/src/decoders).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import index
from typing import Any, NamedTuple

import numpy as np

from structgen.errors import VocabularyError

__all__ = [
    "BYTE_LEVEL_ALPHABET",
    "MAX_IDS",
    "SPACE_MARK",
    "TokenTable",
    "byte_level",
    "components",
    "pieces_by_id",
    "read_tokenizer_json",
    "sentencepiece",
    "token_ids",
]

Step = dict[str, Any]

SPACE_MARK = "\u2581"  # SentencePiece writes spaces as LOWER ONE EIGHTH BLOCK
MAX_IDS = 1 << 24  # far beyond any vocabulary: a wild id must not make us allocate the memory for all those below it
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenTable(NamedTuple):
    """What is known about a vocabulary: bytes by id (b"" never matches text), ids of named special tokens, end-of-sequence ids,
    and the added tokens that are text, which encoding cuts out of a text before anything else happens to it."""

    tokens: list[bytes]
    special: dict[str, int]
    eos: tuple[int, ...]
    added: frozenset[int] = frozenset()


def token_ids(value: Any, *, unset: bool = False) -> tuple[int, ...]:
    """Ids as people and configurations write them: none, one or several; ``unset``: -1 is none, as in configurations."""
    value = value.tolist() if hasattr(value, "tolist") else value
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
    ids = value if several else () if value is None else (value,)
    return tuple(_token_id(i) for i in ids if not (unset and i == -1))


def _token_id(value: Any) -> int:
    try:
        i = -1 if isinstance(value, bool) else int(index(value))
    except TypeError:
        i = -1
    if not 0 <= i < MAX_IDS:
        raise VocabularyError(f"token ids are integers from 0 to {MAX_IDS - 1}, found {repr(value)[:80]}")
    return i


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's table: printable Latin-1 characters stand for themselves, the other 68 bytes for U+0100 onwards."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(0x100 + i): b for i, b in enumerate(others)}


BYTE_LEVEL_ALPHABET = _byte_level_alphabet()
_BYTE_OF = np.full(0x145, -1, dtype=np.int16)  # by code point; one more than the alphabet reaches: everything else
for _char, _byte in BYTE_LEVEL_ALPHABET.items():
    _BYTE_OF[ord(_char)] = _byte


def byte_level(pieces: Sequence[str]) -> list[bytes]:
    """Bytes of pieces in GPT-2's alphabet. A piece with any other character stands for its own text, as in the library."""
    codes = np.frombuffer("".join(pieces).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    values = _BYTE_OF[np.minimum(codes, len(_BYTE_OF) - 1)]
    flat = values.astype(np.uint8).tobytes()
    bounds = np.cumsum([0, *map(len, pieces)])
    result = [flat[a:b] for a, b in pairwise(bounds.tolist())]
    foreign = np.searchsorted(bounds, np.flatnonzero(values < 0), side="right") - 1
    for i in set(foreign.tolist()):
        result[i] = _utf8(pieces[i])
    return result


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise VocabularyError(f"token {text!r} contains half a surrogate pair, which no bytes stand for") from None


def sentencepiece(pieces: Sequence[str], is_byte: Sequence[bool]) -> list[bytes]:
    """Bytes of SentencePiece pieces; those flagged as bytes are written ``<0x0A>``."""
    texts = [_utf8(piece.replace(SPACE_MARK, " ")) for piece in pieces]
    for i, flag in enumerate(is_byte):
        if flag and (match := _BYTE_PIECE.fullmatch(pieces[i])):
            texts[i] = bytes.fromhex(match[1])
    return texts


def pieces_by_id(vocabulary: Iterable[tuple[str, int]]) -> list[str]:
    """The pieces as a list indexed by id, "" for unused ids."""
    pairs = list(vocabulary)
    ids = [i for _, i in pairs]
    if not all(isinstance(i, int) and 0 <= i < MAX_IDS for i in ids):
        raise VocabularyError(f"token ids must be integers from 0 to {MAX_IDS - 1}")
    pieces = [""] * (max(ids, default=-1) + 1)
    for piece, i in pairs:
        pieces[i] = piece
    return pieces


def read_tokenizer_json(spec: dict[str, Any]) -> TokenTable:
    """The tokens of a parsed ``tokenizer.json``; it does not say which of them ends a sequence."""
    try:
        model, added = spec["model"], spec.get("added_tokens") or []
        listed = model["vocab"].items() if isinstance(model["vocab"], dict) else ((v[0], i) for i, v in enumerate(model["vocab"]))
        pieces = pieces_by_id([*listed, *((token["content"], token["id"]) for token in added)])
        tokens = _piece_bytes(pieces, spec)
        special = _unknown(model)
        for token in added:
            if token["special"]:
                special[token["content"]] = token["id"]
            else:
                tokens[token["id"]] = _added_bytes(token, spec)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise VocabularyError(f"this is not a tokenizer.json: {type(error).__name__}: {error}") from error
    for i in special.values():
        tokens[i] = b""
    return TokenTable(tokens, special, (), frozenset(token["id"] for token in added))


def _unknown(model: Step) -> dict[str, int]:
    """The token for text the model cannot spell: it stands for no text in particular."""
    if model.get("unk_id") is not None:
        return {model["vocab"][model["unk_id"]][0]: model["unk_id"]}
    name = model.get("unk_token")
    return {name: model["vocab"][name]} if name is not None and name in model["vocab"] else {}


def _added_bytes(token: dict[str, Any], spec: dict[str, Any]) -> bytes:
    """An added token is cut out of the text before the byte-level alphabet comes into play, but spaces may be marked in it."""
    content, (steps, is_byte_level) = token["content"], _decoder_steps(spec)
    if not is_byte_level:
        return _run([content], steps)[0]
    vocabulary = spec["model"]["vocab"]
    if isinstance(vocabulary, dict) and vocabulary.get(content) == token["id"] and byte_level([content]) != [_utf8(content)]:
        raise VocabularyError(f"token {token['id']} stands for the text {content!r} and for the bytes {byte_level([content])[0]!r}")
    return _utf8(content)


def _piece_bytes(pieces: list[str], spec: dict[str, Any]) -> list[bytes]:
    model = spec["model"]
    for affix in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(affix):
            raise VocabularyError(f"the tokenizer writes words with {affix} {model[affix]!r}, so its tokens do not say where spaces are")
    steps, is_byte_level = _decoder_steps(spec)
    return byte_level(pieces) if is_byte_level else _run(pieces, steps)


def components(spec: Step | None) -> list[Step]:
    """The parts of a decoder, normalizer or pre-tokenizer, sequences flattened."""
    if spec is None:
        return []
    for key in ("decoders", "normalizers", "pretokenizers"):
        if spec["type"] == "Sequence" and key in spec:
            return [part for inner in spec[key] for part in components(inner)]
    return [spec]


def _decoder_steps(spec: dict[str, Any]) -> tuple[list[Step], bool]:
    """What decoding does to a single token in the middle of a text, and whether that is GPT-2's byte-level alphabet."""
    steps = components(spec.get("decoder"))
    if not steps:  # nothing said about decoding: undo what encoding does
        before = components(spec.get("normalizer")) + components(spec.get("pre_tokenizer"))
        steps = [part for part in before if part["type"] in ("ByteLevel", "Metaspace")]
    kinds = [step["type"] for step in steps]
    if "ByteLevel" in kinds and set(kinds) <= {"ByteLevel", "Fuse"}:
        return [], True
    if "Fuse" in kinds:  # what follows works on the whole text
        for step in steps[kinds.index("Fuse") + 1 :]:
            if step["type"] != "Fuse" and not (step["type"] == "Strip" and step["stop"] == 0):
                raise _not_understood(step)
        steps = steps[: kinds.index("Fuse")]
    if spec["model"].get("byte_fallback") and "ByteFallback" not in kinds:
        steps = [*steps, {"type": "ByteFallback"}]
    return steps, False


def _not_understood(step: Step) -> VocabularyError:
    known = "ByteLevel, ByteFallback, Metaspace, Replace (of a string), Strip and Fuse"
    return VocabularyError(
        f"the tokenizer decodes with {step}, which does not give every token bytes of its own (understood: {known}); "
        "give the bytes of each token to Vocabulary.from_bytes instead"
    )


def _run(pieces: list[str], steps: list[Step]) -> list[bytes]:
    """Apply decoder steps to every piece by itself."""
    decoded: dict[int, bytes] = {}
    for step in steps:
        if step["type"] == "Metaspace":
            pieces = [piece.replace(step["replacement"], " ") for piece in pieces]
        elif step["type"] == "Replace" and "String" in step["pattern"]:
            old, new = step["pattern"]["String"], step["content"]
            pieces = [piece.replace(old, new) for piece in pieces]
        elif step["type"] == "ByteFallback":
            matches = ((i, _BYTE_PIECE.fullmatch(piece)) for i, piece in enumerate(pieces) if piece.startswith("<0x"))
            decoded |= {i: bytes.fromhex(match[1]) for i, match in matches if match}
        elif step["type"] == "Strip":
            pieces = [_strip(piece, step["content"], step["start"], step["stop"]) for piece in pieces]
        else:
            raise _not_understood(step)
    return [decoded[i] if i in decoded else _utf8(piece) for i, piece in enumerate(pieces)]


def _strip(piece: str, char: str, start: int, stop: int) -> str:
    """Without up to ``start`` leading and ``stop`` trailing occurrences of a character."""
    left = min(start, len(piece) - len(piece.lstrip(char)))
    piece = piece[left:]
    right = min(stop, len(piece) - len(piece.rstrip(char)))
    return piece[: len(piece) - right]
