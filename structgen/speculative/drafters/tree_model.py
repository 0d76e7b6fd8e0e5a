"""A causal LM run over drafts that grow level by level, several texts at a time, with one key-value cache: no token is computed twice.

Each column of the cache is a token behind another column, so the columns of a text form a tree: equal beginnings of drafts are one path.
`logits` computes the columns that are missing, where each sees the text and its own ancestors. `settle` takes what the text has become:
the columns on its way are moved to the front, the rest is cropped.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from structgen.errors import StructgenError
from structgen.sampling.language_model import Tokens
from structgen.speculative.cached_model import CROPPABLE, MASKABLE

__all__ = ["TreeModel"]

ROOT = -1


@dataclass
class _Text:
    """Of one text. ``n``: how many of its tokens are at the front of the cache; ``rest``: those behind, at least one."""

    n: int
    rest: Tokens
    columns: dict[tuple[int, int], int] = field(default_factory=dict)
    """(column of the parent, token) -> column"""
    ways: dict[int, tuple[int, ...]] = field(default_factory=lambda: {ROOT: ()})
    """The columns from behind the front to each column."""
    logits: dict[int, torch.Tensor] = field(default_factory=dict)

    def known(self, tokens: Sequence[int]) -> list[int]:
        """The columns of the first of these tokens behind the front, as many as there are."""
        found = [ROOT]
        for token in tokens:
            if (found[-1], token) not in self.columns:
                break
            found.append(self.columns[found[-1], token])
        return found[1:]


class TreeModel:
    """``texts``: token ids, at least one each. Not to be shared between threads. Models whose cache cannot be cropped are refused."""

    def __init__(self, model: Any, texts: Sequence[Tokens]) -> None:
        self._model, self._cache, self.forward_passes = model, None, 0
        if not all(texts):
            raise StructgenError("a prompt needs at least one token")
        self._keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._texts = [_Text(len(text) - 1, tuple(text[-1:])) for text in texts]
        self._used = torch.zeros(len(texts), max(map(len, texts)) - 1, dtype=torch.bool)  # columns at the front, by row
        for row, text in enumerate(self._texts):
            self._used[row, : text.n] = True
        if self._used.shape[1]:
            self._run(
                [[*text[:-1], *[0] * (self._used.shape[1] - len(text) + 1)] for text in texts], [range(self._used.shape[1])] * len(texts)
            )

    def logits(self, drafts: Sequence[Sequence[Tokens]]) -> list[list[torch.Tensor]]:
        """For each text the logits [V] behind the text and each of its drafts. One forward pass, none if all is known."""
        first = self._width
        new = [self._missing(text, each, first) for text, each in zip(self._texts, drafts, strict=True)]
        width = max(map(len, new))
        if width:
            tokens = [[token for _, token in each] + [0] * (width - len(each)) for each in new]
            positions = [
                [text.n + len(text.ways[first + i]) - 1 for i in range(len(each))] + [0] * (width - len(each))
                for text, each in zip(self._texts, new, strict=True)
            ]
            rows = self._run(tokens, positions, self._mask(new, width))
            for text, each, row in zip(self._texts, new, rows, strict=True):
                text.logits.update({first + i: row[i] for i in range(len(each))})
        return [[text.logits[text.known(text.rest + draft)[-1]] for draft in each] for text, each in zip(self._texts, drafts, strict=True)]

    def settle(self, texts: Sequence[Tokens]) -> None:
        """The texts are now these, each of which begins as before."""
        kept = []
        for text, tokens in zip(self._texts, texts, strict=True):
            rest = tuple(tokens[text.n :])
            columns = text.known(rest[:-1])
            kept.append(columns)
            text.n, text.rest = text.n + len(columns), rest[len(columns) :]
            text.columns, text.ways, text.logits = {}, {ROOT: ()}, {}
        self._move(kept)

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these texts only."""
        if self._cache is not None:
            self._cache.batch_select_indices(torch.tensor(rows, device=self._model.device))
        self._used = self._used[list(rows)]
        self._texts = [self._texts[row] for row in rows]

    @property
    def _width(self) -> int:
        return self._cache.get_seq_length() if self._cache is not None else 0

    def _missing(self, text: _Text, drafts: Sequence[Tokens], column: int) -> list[tuple[int, int]]:
        """(parent, token) of the columns to be added, which are numbered from ``column``."""
        found = []
        for draft in drafts:
            tokens = text.rest + draft
            known = text.known(tokens)
            parent = known[-1] if known else ROOT
            for token in tokens[len(known) :]:
                found.append((parent, token))
                text.columns[parent, token] = column
                text.ways[column] = (*text.ways[parent], column)
                parent, column = column, column + 1
        return found

    def _mask(self, new: list[list[tuple[int, int]]], width: int) -> torch.Tensor | None:
        """[rows, 1, new columns, all columns], to be added to attention scores; None where it is the ordinary causal one."""
        first, front = self._width, self._used.shape[1]
        visible = torch.zeros(len(new), width, first + width, dtype=torch.bool)
        visible[:, :, :front] = self._used[:, None]
        visible[:, range(width), range(first, first + width)] = True  # padding too: a row of nothing but -inf has no softmax
        for row, (text, each) in enumerate(zip(self._texts, new, strict=True)):
            for i in range(len(each)):
                visible[row, i, list(text.ways[first + i])] = True
        if len(new) == 1 and bool((visible[0] == torch.ones(width, first + width, dtype=torch.bool).tril(first)).all()):
            return None
        if getattr(self._model.config, "_attn_implementation", None) not in MASKABLE:
            raise StructgenError("this draft model's attention takes no 4-D mask: load it with attn_implementation='sdpa'")
        lowest = torch.finfo(self._model.dtype).min
        hidden = torch.zeros(visible.shape, dtype=self._model.dtype).masked_fill_(~visible, lowest)
        return hidden.to(self._model.device)[:, None]

    def _run(self, tokens: list[list[int]], positions: Sequence[Sequence[int]], mask: torch.Tensor | None = None) -> torch.Tensor:
        """[rows, new, V]"""
        device, options = self._model.device, dict[str, Any]()
        if mask is not None:
            options["attention_mask"] = mask
        if self._cache is None and self._keeps_logits:  # of the beginning none are asked for
            options["logits_to_keep"] = 1
        with torch.inference_mode():
            outputs = self._model(
                input_ids=torch.tensor(tokens, device=device),
                position_ids=torch.tensor([list(row) for row in positions], device=device),
                past_key_values=self._cache,
                use_cache=True,
                **options,
            )
        self.forward_passes += 1
        self._cache = getattr(outputs, "past_key_values", None)
        kinds = {type(layer).__name__ for layer in getattr(self._cache, "layers", [None])}
        if not kinds <= CROPPABLE:
            raise StructgenError(f"a draft model needs a key-value cache that can be cropped; this one has {', '.join(sorted(kinds))}")
        logits: torch.Tensor = outputs.logits
        return logits

    def _move(self, kept: list[list[int]]) -> None:
        """Move columns to the end of the front, and crop what is behind."""
        past, width = self._used.shape[1], max(map(len, kept))
        wanted = [columns + [past] * (width - len(columns)) for columns in kept]
        if any(columns != list(range(past, past + width)) for columns in wanted):
            index = torch.tensor(wanted, device=self._model.device)
            with torch.inference_mode():
                for layer in self._cache.layers:  # type: ignore[attr-defined]
                    for states in (layer.keys, layer.values):
                        at = index[:, None, :, None].expand(-1, states.shape[1], -1, states.shape[3])
                        states[:, :, past : past + width] = states.gather(2, at)
        if past + width < self._width:
            self._cache.crop(past + width - self._width)  # type: ignore[attr-defined]
        fresh = torch.tensor([[i < len(columns) for i in range(width)] for columns in kept], dtype=torch.bool).reshape(len(kept), width)
        self._used = torch.cat([self._used, fresh], dim=1)
