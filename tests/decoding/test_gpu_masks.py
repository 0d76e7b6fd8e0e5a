"""Masks on a device in plain torch against their definition, and the pool that keeps them there against a dictionary."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from structgen.errors import LimitExceeded, StructgenError
from structgen.gpu import MaskPool, apply_masks

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


def row(*words):
    made = np.array(words, np.uint32)
    made.flags.writeable = False
    return made


def bit(words, token):
    return token >> 5 < len(words) and bool(words[token >> 5] >> (token & 31) & 1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("width", [1, 31, 64, 65, 130])
def test_logits_stay_where_the_mask_of_their_row_has_a_bit(width, dtype, device):
    rng = np.random.default_rng(width)
    words = rng.integers(0, 1 << 32, (4, 2), dtype=np.uint32)
    ids = [2, -1, 0, 2, 3, -1, 1]
    logits = torch.from_numpy(rng.normal(0, 100, (len(ids), width))).to(device, dtype)
    before = logits.tolist()
    table = torch.from_numpy(words.view(np.int32)).to(device)
    apply_masks(logits, table, torch.tensor(ids, dtype=torch.int32, device=device))
    assert logits.tolist() == [
        [before[i][t] if chosen < 0 or bit(words[chosen], t) else -torch.inf for t in range(width)] for i, chosen in enumerate(ids)
    ]


@pytest.mark.parametrize(
    "logits, table, ids, what",
    [
        (torch.zeros(3), torch.zeros(1, 1, dtype=torch.int32), torch.zeros(3, dtype=torch.int32), "logits"),
        (torch.zeros(2, 3, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.int32), torch.zeros(2, dtype=torch.int32), "float64"),
        (torch.zeros(3, 2).T, torch.zeros(1, 1, dtype=torch.int32), torch.zeros(2, dtype=torch.int32), "side by side"),
        (torch.zeros(2, 3), torch.zeros(1, 1), torch.zeros(2, dtype=torch.int32), "table"),
        (torch.zeros(2, 3), torch.zeros(1, 1, dtype=torch.int32), torch.zeros(3, dtype=torch.int32), "ids"),
        (torch.zeros(2, 3), torch.zeros(1, 1, dtype=torch.int32), torch.zeros(2, dtype=torch.int64), "ids"),
    ],
)
def test_what_cannot_be_masked_is_refused(logits, table, ids, what):
    with pytest.raises(StructgenError, match=what):
        apply_masks(logits, table, ids)


@pytest.mark.parametrize("device", DEVICES)
def test_a_row_is_uploaded_once_and_then_only_its_number_travels(device):
    pool = MaskPool(4, device)
    a, b = row(1, 2, 3, 4), row(5, 6)
    with pool.lease([a, b, None, a]) as ids:
        assert ids.dtype == torch.int32 and ids.tolist() == [0, 1, -1, 0]
        assert pool.table[ids[:2].long()].tolist() == [[1, 2, 3, 4], [5, 6, 0, 0]]
    sent = pool.bytes_sent
    with pool.lease([b, a, None]) as ids:
        assert ids.tolist() == [1, 0, -1]
    assert pool.bytes_sent - sent == 3 * 4 and len(pool) == 2


def test_the_room_doubles_up_to_its_bound_and_numbers_stay():
    pool = MaskPool(1, "cpu", rows=1, max_rows=6)
    rooms, leases = [], []
    for n in range(6):
        leases.append(pool.lease([row(n)]))
        rooms.append(len(pool.table))
    assert rooms == [1, 2, 4, 4, 6, 6]
    assert [pool.table[lease.ids.long()].item() for lease in leases] == list(range(6))
    with pytest.raises(LimitExceeded, match="mask rows in use"):
        pool.lease([row(99)])
    leases[3].release()
    leases[3].release()
    with pool.lease([row(99)]) as ids:
        assert ids.tolist() == [3] and pool.table.flatten().tolist() == [0, 1, 2, 99, 4, 5]


def test_what_was_used_least_recently_is_replaced_first():
    pool = MaskPool(1, "cpu", rows=3, max_rows=3)
    a, b, c, d = (row(n) for n in (10, 20, 30, 40))
    for rows in ([a], [b], [c], [a], [d]):
        pool.lease(rows).release()
    assert pool.table.flatten().tolist() == [10, 40, 30]


def test_a_lease_that_fails_leaves_the_pool_as_it_was_leased():
    pool = MaskPool(1, "cpu", rows=2, max_rows=2)
    a, b, c = row(1), row(2), row(3)
    held = pool.lease([a])
    with pytest.raises(LimitExceeded):
        pool.lease([a, b, c])
    with pool.lease([c, b][:1]) as ids:
        assert pool.table[ids.long()].tolist() == [[3]]
    with pool.lease([b, a]) as ids:
        assert pool.table[ids.long()].tolist() == [[2], [1]]
    held.release()
    with pool.lease([c, b]) as ids:
        assert pool.table[ids.long()].tolist() == [[3], [2]]


def test_random_leases_see_their_rows_until_they_end():
    rng = np.random.default_rng(0)
    pool = MaskPool(2, "cpu", rows=1, max_rows=12)
    rows = [row(n, n * n) for n in range(40)]
    held = []
    for _ in range(2000):
        if len(held) == 3:
            held.pop(int(rng.integers(3)))[0].release()
        chosen = rng.integers(0, len(rows), rng.integers(0, 5)).tolist()
        held.append((pool.lease([rows[i] for i in chosen]), chosen))
        for lease, numbers in held:
            assert pool.table[lease.ids.long()].tolist() == [[n, n * n] for n in numbers]
    assert len(pool) == 12


def test_a_pool_works_in_and_outside_inference_mode():
    with torch.inference_mode():
        pool = MaskPool(1, "cpu", rows=1)
        pool.lease([row(1), row(2)]).release()
    pool.lease([row(3)]).release()
    with torch.inference_mode(), pool.lease([row(4)]) as ids:
        assert pool.table[ids.long()].item() == 4


def test_another_row_in_the_memory_of_an_old_one_is_not_mistaken_for_it():
    """Rows are known by identity, which Python gives away again when an object is gone."""
    pool = MaskPool(1, "cpu", rows=2, max_rows=2)
    for n in range(200):
        with pool.lease([row(n)]) as ids:
            assert pool.table[ids.long()].item() == n
        gc.collect(0)


@pytest.mark.parametrize(
    "mask, what", [(np.zeros(1, np.uint32), "read-only"), (row(1, 2, 3), "at most 2 words"), (row(1).view(np.int32), "int32")]
)
def test_only_mask_rows_are_taken(mask, what):
    with pytest.raises(StructgenError, match=what):
        MaskPool(2, "cpu").lease([mask])


def test_rows_beside_one_that_is_refused_are_not_kept_leased():
    pool = MaskPool(1, "cpu", rows=1, max_rows=1)
    with pytest.raises(StructgenError, match="read-only"):
        pool.lease([row(7), np.zeros(1, np.uint32)])
    with pool.lease([row(8)]) as ids:
        assert pool.table[ids.long()].item() == 8


@pytest.mark.parametrize("words, rows, most", [(0, 1, 1), (1, 0, 1), (1, 5, 4)])
def test_a_pool_has_room(words, rows, most):
    with pytest.raises(StructgenError):
        MaskPool(words, "cpu", rows=rows, max_rows=most)
