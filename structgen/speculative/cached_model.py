"""One forward pass of a transformers causal LM over a tree of drafts per row, with one key-value cache.

A row of the batch is a text; `forward` computes what of it is not in the cache yet (the prompt, later the latest token) and
behind that the drafts of its tree, where each node sees the row and its own ancestors (tree attention: a 4-D mask and position ids).
`keep` then moves the keys and values of the accepted path to the front and crops the rest. So a step costs one pass, whatever the
tree, and nothing is computed twice.

Rows of different lengths lie side by side: a column of the cache that a row does not use is hidden from it by the mask, and the
position of a token is its number in its own row. For one row whose tree is a chain this is the ordinary causal pass, without a mask.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from structgen.errors import StructgenError
from structgen.speculative.draft_tree import DraftTree

__all__ = ["CachedModel"]

CROPPABLE = {"DynamicLayer"}
MASKABLE = {"sdpa", "eager", None}  # attention that takes a 4-D mask


class CachedModel:
    """Rows that begin as ``prompts`` (token ids, at least one each). Not to be shared between threads.

    ``layers``: those whose hidden states can be had with `hidden`, as transformers numbers them. ``forward_passes`` counts calls of the
    model. Models whose cache cannot be cropped (sliding windows, recurrent layers) are refused.
    """

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], layers: Sequence[int] = ()) -> None:
        self._model, self._cache, self.layers = model, None, tuple(layers)
        self._pending = [list(prompt) for prompt in prompts]
        if not all(self._pending):
            raise StructgenError("a prompt needs at least one token")
        self._lengths = [0] * len(prompts)  # tokens of each row that are in the cache
        self._used = torch.zeros(len(prompts), 0, dtype=torch.bool, device=model.device)  # columns of the cache, by row
        self._keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.forward_passes = 0

    @property
    def takes_trees(self) -> bool:
        """Whether the model's attention takes a 4-D mask: without it there can be only one row, and only chains."""
        return getattr(self._model.config, "_attn_implementation", None) in MASKABLE

    def forward(self, trees: Sequence[DraftTree]) -> list[torch.Tensor]:
        """For each row the logits [nodes, V] behind the nodes of its tree; behind the root they are those behind its last token."""
        rows = [pending + tree.tokens[1:].tolist() for pending, tree in zip(self._pending, trees, strict=True)]
        width = max(map(len, rows))
        first = min(len(pending) for pending in self._pending) - 1
        options: dict[str, Any] = {"logits_to_keep": width - first} if self._keeps_logits else {}
        if self.layers:
            options["output_hidden_states"] = True
        if len(rows) > 1 or not trees[0].is_chain or not bool(self._used.all()):
            if not self.takes_trees:
                raise StructgenError("this model's attention takes no 4-D mask: load it with attn_implementation='sdpa'")
            options["attention_mask"] = self._mask(trees, width)
        device = self._model.device
        with torch.inference_mode():
            outputs = self._model(
                input_ids=torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device),
                position_ids=torch.tensor(self._positions(trees, width), device=device),
                past_key_values=self._cache,
                use_cache=True,
                **options,
            )
        self.forward_passes += 1
        self._take(outputs, width)
        self._hidden = {layer: outputs.hidden_states[layer] for layer in self.layers}
        logits = outputs.logits if self._keeps_logits else outputs.logits[:, first:]
        starts = [len(pending) - 1 - first for pending in self._pending]
        return [row[start : start + tree.n] for row, start, tree in zip(logits, starts, trees, strict=True)]

    def hidden(self, paths: Sequence[Sequence[int]]) -> list[dict[int, torch.Tensor]]:
        """After `forward` and before `keep`, for each row: by layer the hidden states [n, d] at its tokens that were new and at the
        accepted nodes of its tree."""
        kept = self._columns(paths)
        return [{layer: states[row, columns] for layer, states in self._hidden.items()} for row, columns in enumerate(kept)]

    def keep(self, paths: Sequence[Sequence[int]], tokens: Sequence[Sequence[int]]) -> None:
        """After `forward`: the accepted nodes of each row's tree become part of the row; ``tokens`` come next, not computed yet."""
        kept = self._columns(paths)
        width = max(map(len, kept))
        past = self._used.shape[1]
        if any(columns != list(range(width)) for columns in kept):
            self._gather(torch.tensor([columns + [0] * (width - len(columns)) for columns in kept], device=self._used.device), past)
        if width < self._width:
            self._cache.crop(width - self._width)  # type: ignore[attr-defined]
        fresh = torch.tensor([[i < len(columns) for i in range(width)] for columns in kept], dtype=torch.bool, device=self._used.device)
        self._used = torch.cat([self._used, fresh], dim=1)
        self._lengths = [length + len(columns) for length, columns in zip(self._lengths, kept, strict=True)]
        self._pending = [list(row) for row in tokens]

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        index = torch.tensor(rows, device=self._used.device)
        self._cache.batch_select_indices(index)  # type: ignore[attr-defined]
        self._used = self._used[index]
        self._lengths = [self._lengths[i] for i in rows]
        self._pending = [self._pending[i] for i in rows]

    def _columns(self, paths: Sequence[Sequence[int]]) -> list[list[int]]:
        """Of the new columns of each row those of its own tokens and of the accepted nodes."""
        return [[*range(len(new)), *(len(new) - 1 + node for node in path)] for new, path in zip(self._pending, paths, strict=True)]

    def _positions(self, trees: Sequence[DraftTree], width: int) -> list[list[int]]:
        """The number of each new token in its row."""
        found = []
        for pending, length, tree in zip(self._pending, self._lengths, trees, strict=True):
            last = length + len(pending) - 1
            positions = [*range(length, last), *(last + tree.depths).tolist()]
            found.append(positions + [0] * (width - len(positions)))
        return found

    def _mask(self, trees: Sequence[DraftTree], width: int) -> torch.Tensor:
        """[rows, 1, new columns, all columns], to be added to attention scores: a node sees its row, its ancestors and itself."""
        past = self._used.shape[1]
        visible = torch.zeros(len(trees), width, past + width, dtype=torch.bool)
        visible[:, :, :past] = self._used.cpu()[:, None]
        new = visible[:, :, past:]
        new |= torch.eye(width, dtype=torch.bool)  # padding too: a row of nothing but -inf has no softmax
        for row, (pending, tree) in enumerate(zip(self._pending, trees, strict=True)):
            n = len(pending)
            new[row, :n, :n] = torch.ones(n, n, dtype=torch.bool).tril()
            new[row, n : n - 1 + tree.n, :n] = True
            new[row, n - 1 : n - 1 + tree.n, n - 1 : n - 1 + tree.n] = torch.from_numpy(tree.ancestors)
        lowest = torch.finfo(self._model.dtype).min
        hidden = torch.zeros(visible.shape, dtype=self._model.dtype).masked_fill_(~visible, lowest)
        return hidden.to(self._used.device)[:, None]

    def _take(self, outputs: Any, width: int) -> None:
        self._cache, self._width = getattr(outputs, "past_key_values", None), width
        kinds = {type(layer).__name__ for layer in getattr(self._cache, "layers", [None])}
        if not kinds <= CROPPABLE:
            raise StructgenError(
                f"speculative decoding needs a key-value cache that can be cropped; this model has {', '.join(sorted(kinds))}"
            )

    def _gather(self, index: torch.Tensor, past: int) -> None:
        """Move new columns to the front of the new ones: ``index`` [rows, kept] counts from the first new column."""
        with torch.inference_mode():
            for layer in self._cache.layers:  # type: ignore[attr-defined]
                for states in (layer.keys, layer.values):
                    at = index[:, None, :, None].expand(-1, states.shape[1], -1, states.shape[3])
                    states[:, :, past : past + index.shape[1]] = states[:, :, past:].gather(2, at)
