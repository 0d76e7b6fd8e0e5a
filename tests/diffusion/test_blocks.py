"""Block schedules cover the canvas; AdaBlock and the grids of block diffusion end where they should."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import structgen as sg
from structgen.diffusion.blocks import AdaBlock, BlockCausal, BlockDiffusion, FixedBlocks
from structgen.errors import StructgenError
from tests.diffusion.policy_toys import MASK, HashModel


def unasked() -> Tensor:
    raise AssertionError("this schedule does not look at the model")


def ends(schedule: FixedBlocks | BlockDiffusion, n: int) -> list[int]:
    found = [0]
    while found[-1] < n:
        found.append(schedule.next_block(found[-1], n, unasked))
    return found[1:]


@pytest.mark.parametrize(
    "schedule, n, expected",
    [
        (FixedBlocks(32), 70, [32, 64, 70]),
        (FixedBlocks(8), 8, [8]),
        (FixedBlocks(None), 70, [70]),
        (BlockDiffusion(32, 8), 40, [8, 16, 24, 32, 40]),
        (BlockDiffusion(32, 8, offset=30), 13, [2, 10, 13]),
        (BlockDiffusion(32, 8, offset=5), 40, [3, 11, 19, 27, 35, 40]),
        (BlockDiffusion(10, 4), 23, [4, 8, 10, 14, 18, 20, 23]),
    ],
)
def test_where_blocks_end(schedule: FixedBlocks | BlockDiffusion, n: int, expected: list[int]) -> None:
    assert ends(schedule, n) == expected


def rows_of(predicted: list[int], sure: list[float]) -> Tensor:
    p = torch.full((len(predicted), 4), 0.0)
    for row, token, most in zip(p, predicted, sure, strict=True):
        row[:] = (1 - most) / 3
        row[token] = most
    return p.log()


@pytest.mark.parametrize(
    "predicted, sure, start, n, expected",
    [
        ([0, 2, 0, 2, 0], [0.9, 0.5, 0.9, 0.7, 0.9], 0, 20, 4),  # the surest delimiter of the first quarter
        ([0, 2, 0, 2, 0], [0.9, 0.7, 0.9, 0.7, 0.9], 0, 20, 2),  # of equal ones the first
        ([0, 2, 0, 0, 0], [0.9, 0.299, 0.9, 0.9, 0.9], 0, 20, 6),  # not sure enough: the default length
        ([0, 0, 0, 0, 0, 2], [0.9] * 6, 0, 20, 6),  # behind the window
        ([0, 2], [0.9, 0.9], 18, 20, 20),
        ([2, 0], [0.9, 0.9], 18, 20, 19),
        ([0, 0], [0.9, 0.9], 18, 20, 20),
        ([2], [0.9], 2, 3, 3),  # a window without positions
    ],
)
def test_adablock_ends_behind_a_delimiter(predicted: list[int], sure: list[float], start: int, n: int, expected: int) -> None:
    schedule = AdaBlock(frozenset({2}), length=6)
    assert schedule.next_block(start, n, lambda: rows_of(predicted, sure)) == expected


def test_adablocks_delimiters_are_tokens_with_these_bytes() -> None:
    vocabulary = sg.Vocabulary.from_bytes([b"\n", b"a\n", b",", b"\n", b"b"], eos_token_id=4)
    assert AdaBlock.of(vocabulary).delimiters == {0, 3}
    assert AdaBlock.of(vocabulary, [b",", b"}"]).delimiters == {2}
    assert AdaBlock(frozenset(), length=5).next_block(0, 30, unasked) == 5


def test_a_block_causal_model_is_not_shown_what_stands_behind_the_block() -> None:
    class Recorder(HashModel):
        def logits(self, ids: Tensor) -> Tensor:
            self.n = ids.shape[1]
            shown.append(ids.tolist())
            return super().logits(ids)

    shown: list[list[list[int]]] = []
    model = BlockCausal(Recorder(0, 10), 4)
    ids = torch.tensor(
        [[1, MASK, MASK, MASK, MASK, MASK, MASK], [1, 1, 1, 1, 2, MASK, MASK], [1] * 7, [1, 2, MASK, MASK, MASK, MASK, MASK]]
    )
    rows = model.logits(ids)
    assert shown == [[ids[0, :4].tolist(), ids[3, :4].tolist()], [ids[1].tolist(), ids[2].tolist()]]
    assert rows.shape == (4, 7, 4) and not rows[0, 4:].any()
    assert torch.equal(rows[3, :4], HashModel(0, 4).logits(ids[3:, :4])[0])
    assert torch.equal(rows[1], HashModel(0, 7).logits(ids[1:2])[0])


@pytest.mark.parametrize("make", [lambda: FixedBlocks(0), lambda: AdaBlock(frozenset({1}), length=0), lambda: BlockDiffusion(8, 0)])
def test_empty_blocks_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StructgenError, match="at least one position"):
        make()
