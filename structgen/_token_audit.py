"""The self-audit of a vocabulary: text encoded by the tokenizer itself must be spelled by the bytes derived for its tokens.

A tokenizer may change text before it looks at it (Unicode normal forms, a leading space) and that is no fault of the token bytes,
so they are held against the changed text, obtained from the tokenizer's own normaliser. Characters it has no token for are
left out of the sample, except the space, without which nothing can be told apart. Cost: some 400 short encodings.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Protocol

from structgen._token_bytes import TokenTable
from structgen.errors import VocabularyError

__all__ = ["SAMPLES", "audit"]


class Encoder(Protocol):
    """The encoding side of a tokenizer."""

    @property
    def prefix_space(self) -> bool:
        """Whether encoding may add a space in front of a text (and of what follows an added token)."""

    def encode(self, text: str) -> list[int]:
        """The tokenizer's own ids, without adding special tokens."""

    def normalize(self, text: str) -> str:
        """The text that the ids of ``encode(text)`` spell."""


SAMPLES = (
    "".join(map(chr, range(0x20, 0x7F))),
    "The quick brown fox jumps over the lazy dog. (It isn't 100% sure; it's \"quoted\" - really?!)",
    '{"name": "Ada Lovelace", "born": "1815-12-10", "tags": ["a", "b"], "nested": {"x": -1.5e+10, "ok": true, "none": null}}',
    '{\n  "indent": [\n    1,\n\t2\r\n  ]\n}\n',
    "a b  c   d    e     f        g                h\ti\t\tj\n\nk\n\n\nl\r\n m \n  n",
    "def f(x):\n    return [y ** 2 for y in x if y != 0]  # <tag attr='v'/> \\n \\u00e9",
    "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m straße Žádost ñandú İstanbul œuvre",
    "e\u0301 n\u0303 A\u030a \u1100\u1161\u11a8 \ufb01 \u2460 \u00bd",  # changed by NFC, by NFKC
    "Привет κόσμε שלום مرحبا नमस्ते สวัสดี",
    "你好，世界。日本語のテキスト、한국어 𠀀龘",
    "😀 👍🏽 👨\u200d👩\u200d👧 🇫🇷 ❤\ufe0f € ∑∫∞ → … “q”",
    "".join(map(chr, range(0x20))) + "\x7f\x80\x9f\xa0\xad\u2028\u200b\ufeff\ufffd\U0010ffff",
)


def audit(encoder: Encoder, table: TokenTable) -> None:
    """Raise VocabularyError, naming the tokens, if the tokenizer spells a sample in other bytes than these."""
    special, alphabet = frozenset(table.special.values()), sorted(set("".join(SAMPLES)))
    missing = {ord(char) for char in alphabet if char != " " and not _has(encoder, special, char)}
    for sample in (*SAMPLES, *(f"{char}\n{char}" for char in alphabet)):  # also every character, as little merged as can be
        text = sample.translate(dict.fromkeys(missing))
        ids, wanted = encoder.encode(text), encoder.normalize(text).encode()
        if not _spells(_segments(ids, table), wanted, encoder.prefix_space):
            raise VocabularyError(_report(ids, table.tokens, wanted))


def _segments(ids: Sequence[int], table: TokenTable) -> list[tuple[bytes, bool]]:
    """The bytes of the tokens, cut around added tokens (which encoding cuts out first), and which of them are added tokens."""
    runs = groupby(ids, key=lambda i: (i in table.added, i if i in table.added else -1))
    return [(b"".join(table.tokens[i] for i in run), added) for (added, _), run in runs]


def _spells(segments: Sequence[tuple[bytes, bool]], wanted: bytes, prefix_space: bool) -> bool:
    """Whether the segments spell the text, each with one space too many in front at most if the tokenizer adds that."""
    places = {0}
    for segment, added in segments:
        spellings = {segment, segment[1:]} if prefix_space and not added and segment[:1] == b" " else {segment}
        places = {place + len(spelling) for place in places for spelling in spellings if wanted.startswith(spelling, place)}
    return len(wanted) in places


def _has(encoder: Encoder, special: frozenset[int], char: str) -> bool:
    """Whether the vocabulary can spell a character (if not, encoding drops it or gives the token for unknown text)."""
    ids = encoder.encode(char)
    return bool(ids) and special.isdisjoint(ids)


def _report(ids: Sequence[int], tokens: Sequence[bytes], wanted: bytes) -> str:
    spelled = b"".join(tokens[i] for i in ids)
    extra = int(spelled[:1] == b" " != wanted[:1])
    pairs = enumerate(zip(spelled[extra:], wanted, strict=False))
    same = next((i for i, (a, b) in pairs if a != b), min(len(spelled) - extra, len(wanted)))
    ends = list(accumulate(len(tokens[i]) for i in ids))
    first = next((n for n, end in enumerate(ends) if end > same + extra), max(0, len(ids) - 3))
    suspects = ", ".join(f"{i} ({tokens[i]!r})" for i in ids[first : first + 3]) or "none at all"
    start = max(0, same - 20)
    return (
        f"the tokenizer's tokens do not spell its text: at token {suspects} they give {spelled[extra:][start : same + 20]!r}, "
        f"but the text is {wanted[start : same + 20]!r}; give the bytes of each token to Vocabulary.from_bytes instead"
    )
