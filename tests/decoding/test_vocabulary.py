"""Token bytes of every kind of tokenizer against independent sources: the ranks they were made from, and their own decoders."""

from __future__ import annotations

import base64
import copy
import io
import itertools
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from structgen._token_audit import SAMPLES, audit
from structgen._token_bytes import BYTE_LEVEL_ALPHABET
from structgen._token_sources import source_of
from structgen.automata.trie import build_trie
from structgen.errors import StructgenError, VocabularyError
from structgen.vocabulary import Vocabulary

CORPUS = [*SAMPLES, *["The quick brown fox jumps over the lazy dog, naïvely. 日本 é"] * 3, *['{"a": 1, "b": [true, null]}  x'] * 5]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTGEN_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


# --- tokenizers trained on the fly


def trained(model: Any, trainer: Any, *, normalizer: Any = None, pre: Any = None, decoder: Any = None) -> Tokenizer:
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
    if decoder:
        tokenizer.decoder = decoder
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_level_bpe(*, normalizer: Any = None, prefix: bool = False) -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False)
    pre = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    return trained(models.BPE(), trainer, normalizer=normalizer, pre=pre, decoder=decoders.ByteLevel())


def byte_fallback_bpe(*, normalizer: Any = None, pre: Any = None, decoder: Any) -> Tokenizer:
    byte_pieces = [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<s>", "</s>", *byte_pieces], show_progress=False)
    model = models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    spec = json.loads(trained(model, trainer, normalizer=normalizer, pre=pre, decoder=decoder).to_str())
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["content"] not in byte_pieces]
    return Tokenizer.from_str(json.dumps(spec))


def plain_bpe(**parts: Any) -> Tokenizer:
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>"], show_progress=False)
    return trained(models.BPE(unk_token="<unk>"), trainer, **parts)


def unigram(**parts: Any) -> Tokenizer:
    trainer = trainers.UnigramTrainer(vocab_size=400, unk_token="<unk>", special_tokens=["<unk>", "</s>"], show_progress=False)
    return trained(models.Unigram(), trainer, **parts)


MARK = decoders.Replace("▁", " ")
LLAMA_DECODER = decoders.Sequence([MARK, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])

EXACT: dict[str, Callable[[], Tokenizer]] = {
    "byte level": byte_level_bpe,
    "byte level, NFC": lambda: byte_level_bpe(normalizer=normalizers.NFC()),
    "byte level, lower case": lambda: byte_level_bpe(normalizer=normalizers.Lowercase()),
    "byte level, prefix space": lambda: byte_level_bpe(prefix=True),
    "byte level normalizer": lambda: plain_bpe(normalizer=normalizers.ByteLevel(), decoder=decoders.ByteLevel()),
    "llama, normalizer": lambda: byte_fallback_bpe(
        normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), decoder=LLAMA_DECODER
    ),
    "llama, metaspace": lambda: byte_fallback_bpe(pre=pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoder=LLAMA_DECODER),
    "gemma": lambda: byte_fallback_bpe(
        normalizer=normalizers.Replace(" ", "▁"), decoder=decoders.Sequence([MARK, decoders.ByteFallback(), decoders.Fuse()])
    ),
    "metaspace, no bytes": lambda: plain_bpe(pre=pre_tokenizers.Metaspace(), decoder=decoders.Metaspace()),
    "unigram": lambda: unigram(pre=pre_tokenizers.Metaspace(), decoder=decoders.Metaspace()),
    "unigram, NFKC": lambda: unigram(normalizer=normalizers.NFKC(), pre=pre_tokenizers.Metaspace(), decoder=decoders.Metaspace()),
}


@cache
def made(kind: str) -> tuple[Tokenizer, Vocabulary]:
    tokenizer = EXACT[kind]()
    return tokenizer, Vocabulary.from_tokenizer(tokenizer)


def decoded_after(tokenizer: Tokenizer, anchor: int, token: int) -> str:
    """What a token adds to a text, in the tokenizer's own opinion."""
    before, after = tokenizer.decode([anchor], skip_special_tokens=False), tokenizer.decode([anchor, token], skip_special_tokens=False)
    assert after.startswith(before)
    return after[len(before) :]


@pytest.mark.parametrize("kind", EXACT)
def test_bytes_are_what_the_decoder_writes(kind: str) -> None:
    tokenizer, vocabulary = made(kind)
    anchor = tokenizer.token_to_id("x")
    assert anchor is not None
    texts = [vocabulary.token_bytes(i) for i in range(vocabulary.size)]
    whole = [i for i, text in enumerate(texts) if text and text.decode(errors="ignore").encode() == text]
    assert len(whole) > 200
    for i in whole:
        assert decoded_after(tokenizer, anchor, i).encode() == texts[i]
    assert {i for i, text in enumerate(texts) if not text} == set(vocabulary.special.values())


@pytest.mark.parametrize("kind", EXACT)
@given(text=st.text(alphabet=st.one_of(st.sampled_from(' \n\t"{}:,ab1éüß日本👍\x00'), st.characters(codec="utf-8")), max_size=20))
@settings(max_examples=60)
def test_encode_is_exact_or_empty(kind: str, text: str) -> None:
    _, vocabulary = made(kind)
    assert vocabulary.encode is not None
    ids = vocabulary.encode(text)
    assert ids == [] or (vocabulary.decode(ids) == text.encode() and all(map(vocabulary.token_bytes, ids)))
    if kind in ("byte level", "llama, metaspace", "gemma") and "▁" not in text:
        assert bool(ids) == bool(text)  # nothing is out of reach of these


@pytest.mark.parametrize("kind", ["llama, normalizer", "llama, metaspace", "metaspace, no bytes", "unigram", "byte level, prefix space"])
def test_the_space_put_in_front_of_a_text_is_not_encoded(kind: str) -> None:
    tokenizer, vocabulary = made(kind)
    assert vocabulary.encode is not None
    raw = tokenizer.encode('"a"', add_special_tokens=False).ids
    assert vocabulary.decode(raw) == b' "a"'
    assert vocabulary.decode(vocabulary.encode('"a"')) == b'"a"'
    assert vocabulary.decode(vocabulary.encode(' "a"')) == b' "a"'


def test_special_tokens_are_text_when_text() -> None:
    tokenizer, vocabulary = made("byte level")
    assert vocabulary.encode is not None
    assert tokenizer.encode("<|end|>").ids == [vocabulary.special["<|end|>"]]
    assert vocabulary.decode(vocabulary.encode("<|end|>")) == b"<|end|>"


# --- tokenizers whose tokens do not determine the text


UNSOUND: dict[str, tuple[Callable[[], Tokenizer], str]] = {
    "wordpiece": (
        lambda: trained(
            models.WordPiece(unk_token="[UNK]"),
            trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False),
            pre=pre_tokenizers.BertPreTokenizer(),
            decoder=decoders.WordPiece(),
        ),
        "continuing_subword_prefix '##'",
    ),
    "end of word": (
        lambda: trained(
            models.BPE(end_of_word_suffix="</w>", unk_token="<unk>"),
            trainers.BpeTrainer(vocab_size=300, end_of_word_suffix="</w>", special_tokens=["<unk>"], show_progress=False),
            pre=pre_tokenizers.Whitespace(),
            decoder=decoders.BPEDecoder("</w>"),
        ),
        "end_of_word_suffix '</w>'",
    ),
    "word level": (
        lambda: trained(
            models.WordLevel(unk_token="[UNK]"),
            trainers.WordLevelTrainer(special_tokens=["[UNK]"], show_progress=False),
            pre=pre_tokenizers.Whitespace(),
        ),
        "do not spell",
    ),
    "spaces dropped": (lambda: plain_bpe(pre=pre_tokenizers.Whitespace(), decoder=decoders.Fuse()), "do not spell"),
    "wrong decoder": (lambda: plain_bpe(pre=pre_tokenizers.ByteLevel(), decoder=decoders.Metaspace()), "do not spell"),
    "decoder not known": (lambda: plain_bpe(pre=pre_tokenizers.Metaspace(), decoder=decoders.CTC()), "CTC"),
    "regex in the decoder": (
        lambda: plain_bpe(pre=pre_tokenizers.Metaspace(), decoder=decoders.Replace(__import__("tokenizers").Regex("▁+"), " ")),
        "Regex",
    ),
    "text changed as a whole": (
        lambda: plain_bpe(pre=pre_tokenizers.Metaspace(), decoder=decoders.Sequence([MARK, decoders.Fuse(), decoders.Replace(" .", ".")])),
        "Replace",
    ),
    "each token stripped": (
        lambda: plain_bpe(pre=pre_tokenizers.Metaspace(), decoder=decoders.Sequence([MARK, decoders.Strip(" ", 1, 0)])),
        "do not spell",
    ),
}


@pytest.mark.parametrize("kind", UNSOUND)
def test_tokens_that_do_not_determine_the_text_are_an_error(kind: str) -> None:
    make, message = UNSOUND[kind]
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.from_tokenizer(make())


def test_the_audit_names_the_tokens() -> None:
    source = source_of(byte_level_bpe())
    table = source.read()
    f, g = table.tokens.index(b"f"), table.tokens.index(b"g")
    audit(source.encoder, table)
    table.tokens[f], table.tokens[g] = b"g", b"f"
    with pytest.raises(VocabularyError, match=rf"at token ({f} \(b'g'\)|{g} \(b'f'\))"):
        audit(source.encoder, table)


@pytest.mark.parametrize("kind", EXACT)
def test_the_audit_finds_one_wrong_letter(kind: str) -> None:
    tokenizer, _ = made(kind)
    source = source_of(tokenizer)
    table = source.read()
    (first,) = tokenizer.encode("Qx", add_special_tokens=False).ids[-1:]
    for wrong in (b"", b"y", b" " + table.tokens[first], table.tokens[first] + b"\0"):
        tokens = [wrong if i == first else token for i, token in enumerate(table.tokens)]
        with pytest.raises(VocabularyError, match="do not spell"):
            audit(source.encoder, table._replace(tokens=tokens))


# --- special, added, duplicate and unused tokens


def test_added_tokens() -> None:
    tokenizer = byte_level_bpe()
    n = tokenizer.get_vocab_size()
    tokenizer.add_special_tokens(["<|tool|>"])
    tokenizer.add_tokens(["    ", "<think>", AddedToken("日本", normalized=False)])
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert [vocabulary.token_bytes(n + i) for i in range(4)] == [b"", b"    ", b"<think>", "日本".encode()]
    assert dict(vocabulary.special) == {"<|end|>": 0, "<|tool|>": n}
    assert vocabulary.size == n + 4 and vocabulary.eos_token_ids == frozenset()


def test_an_added_token_with_two_meanings_is_an_error() -> None:
    tokenizer = byte_level_bpe()
    tokenizer.add_tokens(["é"])  # which is how the model writes the byte E9
    with pytest.raises(VocabularyError, match="'é'"):
        Vocabulary.from_tokenizer(tokenizer)


@pytest.mark.parametrize(
    "kind, added",
    [("gemma", "▁▁▁▁"), ("gemma", AddedToken("    ", normalized=False)), ("llama, normalizer", AddedToken("    ", normalized=False))],
)
def test_added_tokens_of_a_tokenizer_that_marks_spaces(kind: str, added: Any) -> None:
    tokenizer = EXACT[kind]()
    tokenizer.add_tokens([added, "<think>"])
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    ids = tokenizer.encode("a    b").ids
    assert b"    " in map(vocabulary.token_bytes, ids)
    assert vocabulary.token_bytes(vocabulary.size - 1) == b"<think>"


def test_from_bytes() -> None:
    vocabulary = Vocabulary.from_bytes([b"a", None, b"", b"a", b"<|tool|>", b"</s>"], eos_token_id=[5, 9], special={"<|tool|>": 4})
    assert [vocabulary.token_bytes(i) for i in range(-1, 12)] == [b"", b"a", b"", b"", b"a", *[b""] * 8]
    assert (vocabulary.size, vocabulary.eos_token_id, vocabulary.eos_token_ids) == (10, 5, frozenset({5, 9}))
    assert vocabulary.decode([0, 4, 3, 5, 100]) == b"aa" and vocabulary.encode is None
    assert vocabulary.offsets.dtype == np.int64 and vocabulary.data.dtype == np.uint8 and len(vocabulary.offsets) == 11
    assert Vocabulary.from_bytes([]).size == 0


@pytest.mark.parametrize(
    "tokens, options",
    [
        (["a"], {}),
        ([b"a", 1], {}),
        *(([b"a"], {"eos_token_id": ids}) for ids in (-1, [0, -1], 1 << 24, 10**12, "12", "</s>", 1.7, True, [None], [[1]], {1: 1})),
        *(([b"a"], {"special": {"x": i}}) for i in (1 << 40, -1, 0.0, "0", None, True)),
        *(([b"a"], {"special": names}) for names in ({1: 0, "a": 1}, {1: 0}, ["a"], 5)),
        ([b"a"], {"encode": 5}),
    ],
)
def test_from_bytes_says_what_is_wrong(tokens: Any, options: Any) -> None:
    with pytest.raises(VocabularyError):
        Vocabulary.from_bytes(tokens, **options)


def test_too_many_tokens_are_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("structgen.vocabulary.MAX_IDS", 1000)
    assert Vocabulary.from_bytes([None] * 1000).size == 1000
    for endless in (itertools.repeat(b"a"), [b"a"] * 1001):
        with pytest.raises(VocabularyError, match="at most 1000 tokens"):
            Vocabulary.from_bytes(endless)  # type: ignore[arg-type]


def test_ids_of_every_kind_of_integer() -> None:
    tokens = [b"a", b"b", b"c"]
    wanted = Vocabulary.from_bytes(tokens, eos_token_id=[2, 1], special={"x": 0})
    for ids in (np.array([2, 1]), (2, 1, 2), iter([np.int32(2), np.uint8(1)])):
        assert Vocabulary.from_bytes(tokens, eos_token_id=ids, special={"x": np.int64(0)}) == wanted
    one = np.int64(2)
    assert Vocabulary.from_bytes(tokens, eos_token_id=one).eos_token_ids == wanted.with_eos(one).eos_token_ids == {2}
    with pytest.raises(VocabularyError, match="found '12'"):
        wanted.with_eos("12")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "encode, message",
    [
        (lambda text: 1 / 0, "ZeroDivisionError"),
        (lambda text: None, "'NoneType' object is not iterable"),
        (lambda text: "abc", "found 'a'"),
        (lambda text: [0, -1], "found -1"),
        (lambda text: [0.0], "found 0.0"),
    ],
)
def test_an_encode_function_that_fails_is_an_error(encode: Any, message: str) -> None:
    vocabulary = Vocabulary.from_bytes([b"a", b"b"], eos_token_id=2, encode=encode)
    assert vocabulary.encode is not None
    with pytest.raises(StructgenError, match=rf"(?s)encode\('aaa'\) of this vocabulary.*{message}"):
        vocabulary.encode("aaa")


def test_an_encode_function_that_spells_something_else_gives_nothing() -> None:
    for ids in ([1, 1], [99], [], [0]):
        vocabulary = Vocabulary.from_bytes([b"a", b"b"], encode=lambda text, ids=ids: ids)  # type: ignore[misc]
        assert vocabulary.encode is not None and vocabulary.encode("aaa") == []


def test_other_end_of_sequence_tokens() -> None:
    vocabulary = Vocabulary.from_bytes([b"a", b"\n", b"###"], eos_token_id=1)
    assert vocabulary.token_bytes(1) == b"" and vocabulary.token_bytes(2) == b"###"
    other = vocabulary.with_eos([2, 0])
    assert [other.token_bytes(i) for i in range(3)] == [b"", b"\n", b""] and other.eos_token_id == 2
    assert vocabulary.eos_token_id == 1 and other != vocabulary
    assert other.with_eos(1) == vocabulary and hash(other.with_eos(1)) == hash(vocabulary)
    assert other.with_eos(None).eos_token_ids == frozenset()


def test_the_key_is_the_content() -> None:
    def key(tokens: list[bytes | None], **options: Any) -> str:
        return Vocabulary.from_bytes(tokens, **options).key

    variants = [
        key([b"a", b"b"]),
        key([b"ab", b""]),
        key([b"", b"ab"]),
        key([b"a", b"b", b""]),
        key([b"a", b"b"], eos_token_id=2),
        key([b"a", b"b"], special={"x": 2}),
        key([b"a", b"b"], special={"y": 2}),
    ]
    assert len(set(variants)) == len(variants)
    assert key([b"a", None]) == key([b"a", b""]) and len(variants[0]) == 64


def test_a_vocabulary_does_not_change() -> None:
    vocabulary = Vocabulary.from_bytes([b"a"], special={"x": 1})
    with pytest.raises(AttributeError):
        vocabulary.size = 3
    with pytest.raises(ValueError):
        vocabulary.data[0] = 1
    with pytest.raises(TypeError):
        vocabulary.special["y"] = 2  # type: ignore[index]


@pytest.mark.parametrize("kind", ["byte level", "llama, metaspace", "unigram"])
def test_pickling_and_copying(kind: str) -> None:
    _, vocabulary = made(kind)
    assert vocabulary.encode is not None
    for other in (pickle.loads(pickle.dumps(vocabulary)), copy.deepcopy(vocabulary)):
        assert other == vocabulary and other.encode is not None
        assert other.encode('{"a": 1}') == vocabulary.encode('{"a": 1}')


def test_the_trie_is_that_of_the_bytes_and_marks() -> None:
    _, vocabulary = made("byte level")
    for other in (vocabulary, pickle.loads(pickle.dumps(vocabulary)).with_eos(0)):
        built = build_trie(*other.marked)
        assert other.trie.nodes.tolist() == built.nodes.tolist() and other.trie.tokens.tolist() == built.tokens.tolist()


# --- files


def write(folder: Path, tokenizer: Tokenizer, **configs: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    for name, content in configs.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder / "tokenizer.json"


def test_from_file_equals_from_tokenizer(tmp_path: Path) -> None:
    tokenizer, vocabulary = made("gemma")
    found = Vocabulary.from_file(write(tmp_path, tokenizer))
    assert found == vocabulary and found.encode is not None and vocabulary.encode is not None
    assert found.encode(' {"a"') == vocabulary.encode(' {"a"') != []


def test_end_of_sequence_from_the_files_beside(tmp_path: Path) -> None:
    tokenizer, _ = made("gemma")
    path = write(tmp_path / "a", tokenizer)
    assert Vocabulary.from_file(path).eos_token_id is None
    write(tmp_path / "a", tokenizer, tokenizer_config={"eos_token": {"content": "</s>"}}, generation_config={"eos_token_id": [1, 2]})
    vocabulary = Vocabulary.from_file(tmp_path / "a")
    assert vocabulary.eos_token_id == 2 and vocabulary.eos_token_ids == {1, 2}
    write(tmp_path / "a", tokenizer, tokenizer_config={"eos_token": "no such token"}, generation_config=[])
    assert Vocabulary.from_file(path).eos_token_ids == frozenset()
    write(tmp_path / "a", tokenizer, generation_config={"eos_token_id": -1})  # as some models say that there is none
    assert Vocabulary.from_file(path).eos_token_ids == frozenset()
    write(tmp_path / "a", tokenizer, generation_config={"eos_token_id": "2"})
    with pytest.raises(VocabularyError, match="found '2'"):
        Vocabulary.from_file(path)


TEKKEN = [("mistral_common", content) for content in (b'{"token_bytes":1}', b'["token_bytes"', b'["token_bytes"]')]


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{", '{"a": 1}', "[" * 100_000),
        *('{"model": {"vocab": 3}}', '{"model": {"vocab": {"a": -1}}}', '{"model": {"vocab": {"a": 1e9}}}'),
        *('{"model": {"vocab": {"a": 99999999999}}}', '{"model": {"vocab": {"a": 0}}, "added_tokens": [{}]}'),
        *('{"model": {"vocab": {"\\ud800": 0}}}', '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "decoder": 1}'),
    ],
    ids=lambda content: content[:60],
)
def test_a_broken_file_is_an_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(VocabularyError, match=r"tokenizer\.json"):
        Vocabulary.from_file(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("library, content", [("sentencepiece", b"\n\x05hello"), ("sentencepiece", b"\n"), *TEKKEN])
def test_a_file_that_its_library_cannot_load_is_an_error(library: str, content: bytes, tmp_path: Path) -> None:
    pytest.importorskip(library)
    path = tmp_path / "some.model"
    path.write_bytes(content)
    with pytest.raises(VocabularyError, match=rf"some\.model'.*{library.replace('_', '-')} cannot load this file"):
        Vocabulary.from_file(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="cannot read"):
        Vocabulary.from_file(tmp_path / "tokenizer.json")
    with pytest.raises(VocabularyError, match=f"{tmp_path}.*there is no tokenizer"):
        Vocabulary.from_file(tmp_path)
    with pytest.raises(VocabularyError, match=r"cannot read.*null"):
        Vocabulary.from_file("a\0b")


def test_a_file_that_changes_later_cannot_make_encoding_wrong(tmp_path: Path) -> None:
    path = write(tmp_path, made("byte level")[0])
    Vocabulary.from_file(path)
    vocabulary = Vocabulary.from_file(path)  # from the cache: the tokenizer itself is not loaded yet
    write(tmp_path, made("gemma")[0])
    assert vocabulary.encode is not None and vocabulary.encode("The quick brown fox") == []
    copied = pickle.dumps(vocabulary)
    for content in (b"{}", b"\xff"):
        path.write_bytes(content)
        assert pickle.loads(copied).encode("a") == []


def test_the_cache_gives_the_same_and_loads_no_library(tmp_path: Path) -> None:
    tokenizer, _ = made("llama, metaspace")
    path = write(tmp_path, tokenizer, tokenizer_config={"eos_token": "</s>"})
    code = (
        "import sys; from structgen.vocabulary import Vocabulary; v = Vocabulary.from_file(sys.argv[1]); v.trie; "
        "print(v.key, v.size, sorted({'torch', 'transformers', 'tokenizers', 'numba', 'tiktoken'} & set(sys.modules)))"
    )
    runs = [subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True) for _ in range(2)]
    vocabulary = Vocabulary.from_file(path)
    assert runs[0].stdout.split()[:2] == runs[1].stdout.split()[:2] == [vocabulary.key, str(vocabulary.size)]
    assert runs[1].stdout.split()[2:] == ["[]"]


def test_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRUCTGEN_CACHE_DIR", os.devnull)
    tokenizer, vocabulary = made("byte level")
    assert Vocabulary.from_tokenizer(tokenizer) == vocabulary
    assert Vocabulary.from_file(write(tmp_path, tokenizer)).trie.n_tokens == vocabulary.trie.n_tokens


# --- Hugging Face objects


def fast(tokenizer: Tokenizer, **options: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **options)


def test_hugging_face_fast() -> None:
    tokenizer = fast(byte_level_bpe(), eos_token="<|end|>", pad_token="!")
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert Vocabulary.from_tokenizer(tokenizer) is vocabulary and Vocabulary.from_tokenizer(vocabulary) is vocabulary
    assert vocabulary.eos_token_id == tokenizer.eos_token_id == 0
    tokenizer.add_tokens(["<think>"])
    assert Vocabulary.from_tokenizer(tokenizer).token_bytes(vocabulary.size) == b"<think>"
    tokenizer.eos_token = "<think>"
    changed = Vocabulary.from_tokenizer(tokenizer)
    assert changed.eos_token_ids == {vocabulary.size} and changed.token_bytes(vocabulary.size) == b""


def test_padding_and_truncation_of_the_users_tokenizer_change_nothing() -> None:
    tokenizer = fast(byte_level_bpe(), eos_token="<|end|>", pad_token="<|end|>")
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    tokenizer(["a"], padding="max_length", truncation=True, max_length=3)
    assert vocabulary.encode is not None
    assert vocabulary.decode(vocabulary.encode("The quick brown fox")) == b"The quick brown fox"
    assert Vocabulary.from_tokenizer(tokenizer.backend_tokenizer).with_eos(0) == vocabulary


def test_threads_share_a_vocabulary() -> None:
    tokenizer = fast(EXACT["llama, metaspace"](), eos_token="</s>")
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    texts = [f'{{"key {i}": [{i}, "é"]}}' for i in range(40)]
    assert vocabulary.encode is not None
    alone = list(map(vocabulary.encode, texts))
    other = pickle.loads(pickle.dumps(vocabulary))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(other.encode, texts)) == alone
        assert {v.key for v in pool.map(Vocabulary.from_tokenizer, [tokenizer] * 8)} == {vocabulary.key}


def test_slow_byte_tokenizer() -> None:
    transformers = pytest.importorskip("transformers")
    vocabulary = Vocabulary.from_tokenizer(transformers.ByT5Tokenizer())
    assert [vocabulary.token_bytes(i) for i in range(3, 259)] == [bytes([i]) for i in range(256)]
    assert vocabulary.eos_token_id == 1 and all(vocabulary.token_bytes(i) == b"" for i in [0, 1, 2, *range(259, vocabulary.size)])


def test_slow_byte_level_tokenizer() -> None:
    """The interface of GPT-2's slow tokenizer of transformers 4, played by a few lines."""

    class Slow:
        def __init__(self) -> None:
            self.inner = byte_level_bpe()
            self.byte_decoder, self.all_special_ids, self.eos_token_id = BYTE_LEVEL_ALPHABET, [0], 0
            self.added_tokens_decoder = {0: AddedToken("<|end|>", special=True)}

        def get_vocab(self) -> dict[str, int]:
            return self.inner.get_vocab()

        def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
            return list(self.inner.encode(text, add_special_tokens=add_special_tokens).ids)

    assert Vocabulary.from_tokenizer(Slow()) == made("byte level")[1].with_eos(0)


def test_a_wrapper_is_opened() -> None:
    class Processor:
        tokenizer = fast(byte_level_bpe(), eos_token="<|end|>")

    assert Vocabulary.from_tokenizer(Processor()) == Vocabulary.from_tokenizer(Processor.tokenizer)


def test_anything_else_is_an_error() -> None:
    for thing in (None, "gpt2", object(), 3):
        with pytest.raises(VocabularyError, match="cannot read the tokens of"):
            Vocabulary.from_tokenizer(thing)


# --- SentencePiece, tiktoken, Tekken


@cache
def sentencepiece_model(**options: Any) -> bytes:
    sentencepiece = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    lines = (line for text in CORPUS for line in text.split("\n") if "\0" not in line)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, model_writer=model, vocab_size=600, minloglevel=2, **options)
    return model.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity", "remove_extra_whitespaces": False},
        {"model_type": "bpe", "byte_fallback": True, "character_coverage": 0.99, "user_defined_symbols": "<think>,\u2581\u2581"},
        {"model_type": "bpe", "add_dummy_prefix": False},
        {"model_type": "unigram", "hard_vocab_limit": False},
        {"model_type": "char", "normalization_rule_name": "nmt_nfkc_cf", "control_symbols": "<|im_end|>"},
    ],
)
def test_sentencepiece(options: dict[str, Any], tmp_path: Path) -> None:
    model = sentencepiece_model(**options)
    processor = pytest.importorskip("sentencepiece").SentencePieceProcessor(model_proto=model)
    vocabulary = Vocabulary.from_tokenizer(processor)
    anchor = processor.piece_to_id("x")
    for i in range(vocabulary.size):
        text = vocabulary.token_bytes(i)
        if processor.is_byte(i):
            assert text == bytes.fromhex(processor.id_to_piece(i)[3:5])
        elif processor.is_control(i) or processor.is_unknown(i):
            assert text == b"" and vocabulary.special[processor.id_to_piece(i)] == i
        else:
            assert text == processor.decode([anchor, i])[1:].encode() != b""
    assert vocabulary.eos_token_id == processor.eos_id() == 2
    (tmp_path / "tokenizer.model").write_bytes(model)
    found = Vocabulary.from_file(tmp_path)
    assert found == vocabulary and pickle.loads(pickle.dumps(found)) == vocabulary
    assert found.encode is not None and found.decode(found.encode('"x": 1')) == b'"x": 1'


def test_slow_sentencepiece(tmp_path: Path) -> None:
    module = pytest.importorskip("transformers.tokenization_utils_sentencepiece", reason="needs transformers 5")
    options = {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_model(**options))
    tokens = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = module.SentencePieceBackend(vocab_file=str(tmp_path / "tokenizer.model"), **tokens)
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert vocabulary == Vocabulary.from_file(tmp_path)
    tokenizer.add_tokens(["<think>", "  "])
    tokenizer.add_tokens(["<|im_end|>"], special_tokens=True)
    more = Vocabulary.from_tokenizer(tokenizer)  # "  " makes it put a space in front of what follows, which the audit knows
    assert [more.token_bytes(i) for i in range(vocabulary.size, more.size)] == [b"<think>", b"  ", b""]
    assert more.special["<|im_end|>"] == vocabulary.size + 2


def test_tiktoken() -> None:
    tiktoken = pytest.importorskip("tiktoken")
    ranks = {bytes([i]): 255 - i for i in range(256)} | {b"ab": 256, b" a": 257, b" ab": 300}
    special = {"<|endoftext|>": 301, "<|tool|>": 310}
    encoding = tiktoken.Encoding("test", pat_str=r"\s?\w+|\s+|[^\s\w]+", mergeable_ranks=ranks, special_tokens=special)
    vocabulary = Vocabulary.from_tokenizer(encoding)
    wanted: list[bytes | None] = [None] * 311
    for text, i in ranks.items():
        wanted[i] = text
    assert vocabulary == Vocabulary.from_bytes(wanted, eos_token_id=301, special=special)
    assert vocabulary.encode is not None
    assert vocabulary.encode("<|tool|> ab") == encoding.encode_ordinary("<|tool|> ab")


def tekken_file() -> Path:
    return Path(pytest.importorskip("mistral_common").__file__).parent / "data" / "tekken_240911.json"


@cache
def tekken_tokens() -> list[bytes]:
    """By the definition of the format: 1,000 special tokens, then the ranks."""
    listed = json.loads(tekken_file().read_bytes())
    n = listed["config"]["default_vocab_size"] - listed["config"]["default_num_special_tokens"]
    return [b""] * listed["config"]["default_num_special_tokens"] + [base64.b64decode(t["token_bytes"]) for t in listed["vocab"][:n]]


def test_tekken_from_the_package(shared: Path) -> None:
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    wanted = tekken_tokens()
    vocabulary = Vocabulary.from_file(tekken_file())
    assert vocabulary.data.tobytes() == b"".join(wanted)
    assert np.diff(vocabulary.offsets).tolist() == list(map(len, wanted))
    assert vocabulary.size == 131_072 and vocabulary.eos_token_id == 2 and vocabulary.special["[INST]"] == 3
    assert Vocabulary.from_tokenizer(Tekkenizer.from_file(tekken_file())) == vocabulary
    assert Vocabulary.from_file(shared / "tokenizers" / "tekken") == vocabulary


@pytest.mark.parametrize("name", ["mistral_instruct_tokenizer_241114.model.v7", "tekken_240911.json"])
def test_mistral_common_tokenizers(name: str) -> None:
    module = pytest.importorskip("mistral_common.tokens.tokenizers.mistral")
    path = tekken_file().with_name(name)
    vocabulary = Vocabulary.from_tokenizer(module.MistralTokenizer.from_file(path))
    assert vocabulary == Vocabulary.from_file(path) and vocabulary.encode is not None
    assert vocabulary.decode(vocabulary.encode('{"é": 1}')) == '{"é": 1}'.encode()


@pytest.mark.parametrize("name, eos, size", [("qwen", 151_645, 151_851), ("o200k", 199_999, 200_019), ("tekken", 2, 131_072)])
def test_real_vocabularies_against_their_decoders(name: str, eos: int, size: int, shared: Path) -> None:
    folder = shared / "tokenizers" / name
    vocabulary, tokenizer = Vocabulary.from_file(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert (vocabulary.size, vocabulary.eos_token_id) == (size, eos)
    ids = list(range(0, size, 7))
    texts = tokenizer.decode_batch([[i] for i in ids])
    assert all(vocabulary.token_bytes(i).decode(errors="replace") == text for i, text in zip(ids, texts, strict=True))
    assert vocabulary.encode is not None
    for sample in CORPUS:
        ids = vocabulary.encode(sample)
        assert vocabulary.decode(ids) == sample.encode() if ids else name == "qwen"  # only Qwen changes text (NFC)
