"""FreeDave is lossless: the sequence of canvases is that of decoding step by step, with never more forward passes."""

from __future__ import annotations

import math

import pytest
import torch

from structgen.diffusion import policies
from structgen.diffusion.free_dave import FreeDave
from structgen.errors import StructgenError
from tests.diffusion.policy_toys import HashModel, Toy, words_of
from tests.diffusion.test_policies import ALL


def decoded(toy: Toy, drafts: int) -> tuple[list[tuple[int, ...]], int]:
    """All canvases, and the forward passes."""
    FreeDave(toy.model.logits, drafts).run(toy)
    return toy.trace, toy.model.passes


@pytest.mark.parametrize("drafts", [2, 5])
@pytest.mark.parametrize("name", ALL)
def test_the_sequence_is_that_of_decoding_step_by_step(name: str, drafts: int) -> None:
    saved = 0
    for seed in range(2):
        for context in (0.2, 1.5):
            for words in (None, words_of(seed, 5, share=0.03)):
                for steps, block in ((None, None), (2, 3)):

                    def toy(words=words, seed=seed, context=context, steps=steps, block=block) -> Toy:  # type: ignore[no-untyped-def]
                        return Toy(HashModel(seed, 5, context=context), ALL[name], words=words, steps=steps, block=block)

                    static = toy()
                    static.run()
                    trace, passes = decoded(toy(), drafts)
                    assert trace == static.trace
                    assert passes <= static.model.passes
                    saved += static.model.passes - passes
    assert saved > 0


@pytest.mark.parametrize("n", [1, 2, 5, 8, 9, 12])
@pytest.mark.parametrize("drafts", [1, 2, 3, 4, 8])
def test_forward_passes_of_a_model_whose_rows_never_change(n: int, drafts: int) -> None:
    trace, passes = decoded(Toy(HashModel(3, n, context=0.0), policies.LowConfidence()), drafts)
    assert len(trace) == n and passes == 1 + math.ceil((n - 1) / drafts)


def test_one_draft_is_decoding_step_by_step() -> None:
    static = Toy(HashModel(1, 7), policies.LowConfidence())
    static.run()
    assert decoded(Toy(HashModel(1, 7), policies.LowConfidence()), 1) == (static.trace, 7)


def test_no_drafts_are_refused() -> None:
    with pytest.raises(StructgenError, match="found 0"):
        FreeDave(lambda canvases: torch.zeros(1, 1, 1), 0)
