"""Cache policies: which positions are computed when, and that nothing changes where keys depend on their own tokens only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from structgen.diffusion.caches import Cache, Cached, CachePolicy, DelayedCache, DualCache, PrefixCache, WindowCache
from structgen.errors import StructgenError
from structgen.models.tiny_diffusion_model import Shape, TinyDiffusion

MASK, SIZE, PROMPT = 19, 20, 5


def tiny(layers: int, seed: int = 0) -> TinyDiffusion:
    """With one layer keys and values are functions of a position and its token: no cache is ever out of date."""
    torch.manual_seed(seed)
    return TinyDiffusion(Shape(SIZE, MASK, width=32, layers=layers, head=16, inner=32)).eval()


def fill(model: Any, n: int, block: int, per_step: int = 1) -> tuple[list[int], list[int]]:
    """Greedy decoding behind a prompt, the surest positions first; the canvas, and how much had been computed after each pass."""
    ids = torch.tensor([[*range(PROMPT), *[MASK] * n]])
    computed = []
    for start in range(PROMPT, PROMPT + n, block):
        end = min(start + block, PROMPT + n)
        if isinstance(model, Cached):
            model.begin_block(start, end)
        while bool((ids[0, start:end] == MASK).any()):
            p, tokens = model.logits(ids)[0, start:end, :MASK].softmax(-1).max(-1)
            p = p.masked_fill(ids[0, start:end] != MASK, -1.0)
            for i in p.argsort(descending=True, stable=True)[:per_step].tolist():
                if p[i] >= 0:
                    ids[0, start + i] = tokens[i]
            computed.append(getattr(model, "computed", 0))
    return ids[0].tolist(), [b - a for a, b in zip([0, *computed], computed, strict=False)]


POLICIES: dict[str, Callable[[], CachePolicy]] = {
    "none": CachePolicy,
    "prefix": PrefixCache,
    "dual": DualCache,
    "delayed": DelayedCache,
    "delayed, often": lambda: DelayedCache(2),
    "window": lambda: WindowCache(active=8, window=64),
}


@pytest.mark.parametrize("per_step", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_cached_is_what_would_be_computed(policy: str, per_step: int) -> None:
    for seed in range(3):
        model = tiny(1, seed)
        assert fill(Cached(model, POLICIES[policy]()), 16, 8, per_step)[0] == fill(model, 16, 8, per_step)[0]


@pytest.mark.parametrize("layers", [1, 3])
def test_rows_that_are_computed_see_all_tokens_as_they_are(layers: int) -> None:
    model = tiny(layers)
    cached = Cached(model, DelayedCache(1))
    ids = torch.tensor([[1, 2, MASK, MASK, MASK, 3]])
    for position, token in ((2, 4), (4, 5), (3, 6)):
        torch.testing.assert_close(cached.logits(ids), model.logits(ids))  # all anew at every step
        ids[0, position] = token
    deep, shallow = Cached(tiny(3), DualCache()), Cached(tiny(1), DualCache())
    differs = []
    for stale, exact in ((deep, tiny(3)), (shallow, tiny(1))):
        ids = torch.tensor([[1, 2, MASK, MASK, MASK, MASK]])
        stale.begin_block(2, 4)
        for token in (7, 8):
            found = stale.logits(ids)[:, 2:4]
            differs.append(not torch.allclose(found, exact.logits(ids)[:, 2:4], atol=1e-5))
            ids[0, 1 + token - 6] = token
    assert differs == [False, True, False, False]  # more layers: the masks behind the block are out of date


def blocks(n: int, block: int) -> list[tuple[int, int]]:
    return [(PROMPT + i, min(PROMPT + i + block, PROMPT + n)) for i in range(0, n, block)]


@pytest.mark.parametrize("n, block", [(16, 8), (16, 16), (20, 8), (7, 2)])
def test_how_many_positions_are_computed(n: int, block: int) -> None:
    """One token per step: a step per position."""
    length = PROMPT + n
    model = tiny(1)
    for policy, expected in (
        (CachePolicy(), [length] * n),
        (PrefixCache(), [step for a, b in blocks(n, block) for step in (length, *[length - a] * (b - a - 1))]),
        (DualCache(), [step for a, b in blocks(n, block) for step in (length, *[b - a] * (b - a - 1))]),
        (
            DelayedCache(4),  # open positions, the one committed last, and everything at every fourth step of a block
            [length if t % 4 == 0 else length - a - t + 1 for a, b in blocks(n, block) for t in range(b - a)],
        ),
    ):
        cached = Cached(model, policy)
        assert fill(cached, n, block)[1] == expected
        assert cached.computed == sum(expected) and cached.passes == n


def test_the_window_shows_some_masks_computes_fewer_and_moves_on() -> None:
    class Recorder(TinyDiffusion):
        def partial(self, ids: Tensor, columns: Tensor, cache: Any) -> Tensor:
            asked.append((ids.shape[1], columns.tolist()))
            return super().partial(ids, columns, cache)

    asked: list[tuple[int, list[int]]] = []
    model = Recorder(Shape(SIZE, MASK, width=32, layers=1, head=16, inner=32)).eval()
    cached = Cached(model, WindowCache(active=2, window=4, refresh=3))
    ids = torch.tensor([[0, 1, *[MASK] * 8]])
    steps = []
    for position in (2, 3, 4, 5, 6, 7, 8, 9):
        rows = cached.logits(ids)
        steps.append(asked[-1])
        assert not rows[0, asked[-1][0] :].any()  # not shown: uniform
        ids[0, position] = 7
    assert steps == [
        (6, [0, 1, 2, 3, 4, 5]),
        (6, [2, 3, 4]),
        (6, [3, 4, 5]),
        (9, list(range(9))),
        (9, [5, 6, 7]),
        (9, [6, 7, 8]),
        (10, list(range(10))),
        (10, [8, 9]),
    ]


def test_the_window_moves_when_no_mask_is_left_in_it() -> None:
    cached = Cached(tiny(1), WindowCache(active=4, window=2, refresh=100))
    ids = torch.tensor([[0, *[MASK] * 5]])
    cached.logits(ids)
    ids[0, 1:3] = 5
    cached.logits(ids)
    assert cached.computed == 3 + 5


def test_far_tokens_that_are_known_stay_in_the_window() -> None:
    ids = torch.tensor([[0, MASK, MASK, MASK, 4, MASK]])
    cached = Cached(tiny(1), WindowCache(active=1, window=1))
    cached.logits(ids)
    assert cached.computed == 5


@pytest.mark.parametrize(
    "second, anew",
    [
        ([0, 1, 5, MASK, MASK], False),
        ([0, 1, 5, 6, MASK], False),
        ([0, 2, MASK, MASK, MASK], True),  # another prompt
        ([0, 1, MASK, MASK], True),
        ([0, MASK, MASK, MASK, MASK], False),  # opened again
    ],
)
def test_another_text_is_another_cache(second: list[int], anew: bool) -> None:
    cached = Cached(tiny(1), DelayedCache(100))
    cached.logits(torch.tensor([[0, 1, MASK, MASK, MASK]]))
    before = cached.computed
    ids = torch.tensor([second])
    torch.testing.assert_close(cached.logits(ids)[ids == MASK], tiny(1).logits(ids)[ids == MASK])
    assert (cached.computed - before == len(second)) is anew


def test_batches_go_past_the_cache() -> None:
    model = tiny(2)
    cached = Cached(model, DualCache())
    ids = torch.tensor([[0, 1, MASK], [0, 2, MASK]])
    torch.testing.assert_close(cached.logits(ids), model.logits(ids))
    assert cached.computed == 6 and cached.mask_token_id == MASK
    with pytest.raises(StructgenError, match="no positions"):
        cached.begin_block(3, 3)


def test_a_cache_of_ours_is_what_the_model_expects() -> None:
    cache = Cache()
    tiny(2).partial(torch.tensor([[0, MASK]]), torch.arange(2), cache)
    assert len(cache.keys) == len(cache.values) == 2
