"""The trie against its slow twin: a dict of dicts, walked in ascending byte order."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from structgen.automata.trie import BYTE, DEPTH, END, TOKEN, TokenTrie, build_trie
from structgen.errors import VocabularyError


def trie_of(tokens: list[bytes]) -> TokenTrie:
    return build_trie(np.cumsum([0, *map(len, tokens)]), np.frombuffer(b"".join(tokens), dtype=np.uint8))


def naive_rows(tokens: list[bytes]) -> tuple[list[list[int]], list[int]]:
    """Node table and token order by the definition."""
    root: dict[Any, Any] = {}
    for i, token in enumerate(tokens):
        node = root
        for byte in token:
            node = node.setdefault(byte, {})
        if token:
            node.setdefault("ids", []).append(i)
    rows: list[list[int]] = []
    order: list[int] = []

    def visit(node: dict[Any, Any], byte: int, depth: int) -> None:
        row = [0, len(order), byte, depth]
        rows.append(row)
        order.extend(node.get("ids", []))
        for child in sorted(key for key in node if key != "ids"):
            visit(node[child], child, depth + 1)
        row[0] = len(rows)

    visit(root, 0, 0)
    rows.append([len(rows), len(order), 0, 0])
    return rows, order


def check(tokens: list[bytes]) -> None:
    trie = trie_of(tokens)
    rows, order = naive_rows(tokens)
    assert trie.nodes.tolist() == rows
    assert trie.tokens.tolist() == order


def test_all_sets_of_short_tokens() -> None:
    words = [b"", b"\0", b"\xff", b"\0\0", b"\0\xff", b"\xff\0", b"\0\0\0"]
    for keep in product([False, True], repeat=len(words)):
        check([word for word, kept in zip(words, keep, strict=True) if kept])


@given(st.lists(st.one_of(st.binary(max_size=6), st.lists(st.sampled_from([0, 1, 255]), max_size=12).map(bytes)), max_size=60))
def test_equals_its_twin(tokens: list[bytes]) -> None:
    check(tokens)


@given(st.lists(st.lists(st.sampled_from(b"ab"), max_size=5).map(bytes), min_size=1, max_size=30), st.randoms())
def test_repeated_bytes_share_a_node_in_id_order(tokens: list[bytes], random: Any) -> None:
    tokens = [random.choice(tokens) for _ in range(3 * len(tokens))]
    check(tokens)
    trie = trie_of(tokens)
    for n in range(trie.n_nodes):
        here = trie.tokens[trie.nodes[n, TOKEN] : trie.nodes[n + 1, TOKEN]].tolist()
        assert here == sorted(here) and len({tokens[i] for i in here}) <= 1


def test_paths_spell_the_tokens() -> None:
    tokens = [b"abc", b"ab", b"abd", b"b", b"", b"abc", b"\x00"]
    trie = trie_of(tokens)
    path: list[int] = []
    seen = {}
    for n in range(trie.n_nodes):
        depth = int(trie.nodes[n, DEPTH])
        path[depth - 1 :] = [int(trie.nodes[n, BYTE])] if depth else []
        assert n < trie.nodes[n, END] <= trie.n_nodes
        for token in trie.tokens[trie.nodes[n, TOKEN] : trie.nodes[n + 1, TOKEN]]:
            seen[int(token)] = bytes(path)
    assert seen == {i: token for i, token in enumerate(tokens) if token}
    assert (trie.n_nodes, trie.n_tokens) == (7, 6)


def test_long_tokens() -> None:
    check([b"x" * 700, b"x" * 699 + b"y", b"x" * 350, b"\xff" * 2])
    with pytest.raises(VocabularyError, match="token 1 has 70000 bytes"):
        trie_of([b"a", b"x" * 70_000])


def test_arrays_are_what_the_kernels_expect() -> None:
    for tokens in ([], [b"a", b"bc"]):
        trie = trie_of(tokens)
        assert trie.nodes.dtype == trie.tokens.dtype == np.int32
        assert trie.nodes.flags.c_contiguous and not trie.nodes.flags.writeable and not trie.tokens.flags.writeable
