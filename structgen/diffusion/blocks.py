"""How a canvas is cut into blocks: equal ones, ones that end where the model sees an end, and blocks of models trained for blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from structgen.diffusion.interfaces import DiffusionModel
from structgen.diffusion.model import device_of
from structgen.errors import StructgenError
from structgen.vocabulary import Vocabulary

__all__ = ["AdaBlock", "BlockCausal", "BlockDiffusion", "FixedBlocks"]


@dataclass(frozen=True)
class FixedBlocks:
    """Blocks of ``length`` positions (LLaDA's semi-autoregressive decoding has 32); None: the whole canvas at once."""

    length: int | None = 32

    def __post_init__(self) -> None:
        _positive(1 if self.length is None else self.length, "a block")

    def next_block(self, start: int, n: int, log_p: Callable[[], Tensor]) -> int:
        return n if self.length is None else min(n, start + self.length)


@dataclass(frozen=True)
class AdaBlock:
    """A block ends behind the most confident predicted delimiter of the next ``window`` share of the canvas, if it has at least
    ``threshold`` (0.3 for LLaDA, 0.5 for Dream); else it has ``length`` positions (arXiv 2509.26432).

    ``delimiters``: token ids; the paper has the line feed, for JSON commas and brackets are natural (`AdaBlock.of`).
    Costs one forward pass per block.
    """

    delimiters: frozenset[int]
    threshold: float = 0.3
    length: int = 32
    window: float = 0.25

    def __post_init__(self) -> None:
        _positive(self.length, "a block")

    @staticmethod
    def of(vocabulary: Vocabulary, texts: Iterable[bytes] = (b"\n",), threshold: float = 0.3) -> AdaBlock:
        """Delimiters are the tokens with exactly these bytes."""
        wanted = set(texts)
        found = frozenset(token for token in range(vocabulary.size) if vocabulary.token_bytes(token) in wanted)
        return AdaBlock(found, threshold)

    def next_block(self, start: int, n: int, log_p: Callable[[], Tensor]) -> int:
        default = min(n, start + self.length)
        width = min(int(self.window * n), n - start)
        if width < 1 or not self.delimiters:
            return default
        best, tokens = log_p()[:width].exp().max(-1)
        is_delimiter = torch.isin(tokens, torch.tensor(sorted(self.delimiters), device=tokens.device))
        sure = torch.where(is_delimiter, best, -1.0)
        at = int(sure.argmax())
        return start + at + 1 if sure[at] >= self.threshold else default


@dataclass(frozen=True)
class BlockDiffusion:
    """Blocks for models that are trained to write block by block (SDAR, arXiv 2510.06303; Fast-dLLM v2, arXiv 2509.26328, with 32
    positions in parts of 8). Blocks are counted from the beginning of the prompt, which has ``offset`` tokens. See `BlockCausal`."""

    length: int = 32
    part: int = 8
    offset: int = 0

    def __post_init__(self) -> None:
        _positive(self.length, "a block")
        _positive(self.part, "a part of a block")

    def next_block(self, start: int, n: int, log_p: Callable[[], Tensor]) -> int:
        at = self.offset + start
        in_block = at % self.length
        part_end = min(self.length, (in_block // self.part + 1) * self.part)
        return min(n, start + part_end - in_block)


class BlockCausal:
    """``model`` shown only what stands up to the end of the first block with an open position: the order of the training of block
    diffusion, and less to compute for any model. Rows behind are uniform."""

    def __init__(self, model: DiffusionModel, length: int = 32) -> None:
        _positive(length, "a block")
        self.model, self.length, self.mask_token_id = model, length, model.mask_token_id
        self.device = device_of(model)

    def begin_block(self, start: int, end: int) -> None:
        """For a model that wants to know (`BlockAware`)."""
        if hasattr(self.model, "begin_block"):
            self.model.begin_block(start, end)

    def logits(self, ids: Tensor) -> Tensor:
        n = ids.shape[1]
        is_open = ids == self.mask_token_id
        first = torch.where(is_open.any(1), is_open.int().argmax(1), n - 1)
        ends = ((first // self.length + 1) * self.length).clamp(max=n)
        found: Tensor | None = None
        for end in sorted(set(ends.tolist())):
            rows = self.model.logits(ids[ends == end, :end])
            if found is None:
                found = rows.new_zeros(len(ids), n, rows.shape[-1])
            found[ends == end, :end] = rows
        assert found is not None
        return found


def _positive(length: int, what: str) -> None:
    if not isinstance(length, int) or length < 1:
        raise StructgenError(f"{what} has at least one position, found {length!r:.100}")
