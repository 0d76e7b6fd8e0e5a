"""`structgen.infill` for masked diffusion models: gaps are rows of masks, filled one after the other, the model seeing all that is fixed.

Each gap is a canvas of its own with the constraint of `structgen.infilling.automata`: its content, padded with end-of-sequence where
it may be shorter than its masks; then the rest of its masks is dropped. Gaps that are still ahead stand as their masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from structgen.diffusion.filling import Filling
from structgen.diffusion.generation import Decoding, Settings, before_end, compiled, settings_of
from structgen.diffusion.interfaces import DiffusionModel
from structgen.diffusion.model import as_diffusion_model
from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.generator import encoded
from structgen.infilling.automata import first_gap, gap_automaton
from structgen.infilling.generation import Infilling
from structgen.infilling.parts import Gap, Part, read_parts
from structgen.vocabulary import Vocabulary

__all__ = ["infill"]

MASKS = 16
LOOK_AHEAD = 4
"""Gaps are short, and what may stand in them is often slow to explore (a program, say)."""


def infill(
    model: Any, tokenizer: Any, parts: Iterable[Part], constraint: Any, *, prompt: str = "", masks: int = MASKS, **options: Any
) -> Infilling:
    """Fill the gaps of a text so that the whole is in the language of a constraint, as `structgen.infill`.

    ``masks``: for a gap that does not say how many tokens it has at most. ``options``: ``policy``, ``block``, ``steps``, ``temperature``,
    ``seed``, ``marginals``, ``joint``, ``stop``, ``look_ahead`` of `structgen.diffusion.generate`; each gap has as many steps.
    """
    found = [Gap(masks) if part == Gap() else part for part in read_parts(parts)]
    if not any(isinstance(part, Gap) for part in found):
        raise StructgenError("there is no gap among the parts: put structgen.gap() where the model is to write")
    vocab, settings, diffusion = (
        Vocabulary.from_tokenizer(tokenizer),
        settings_of(**{"look_ahead": LOOK_AHEAD, **options}),
        as_diffusion_model(model, tokenizer),
    )
    whole = compiled(constraint, vocab)
    first_gap(vocab, whole, found)
    pieces = _pieces(tokenizer, found, prompt, diffusion.mask_token_id)
    text, gaps = "", list[str]()
    for i, part in enumerate(found):
        if isinstance(part, str):
            text += part
            continue
        automaton, start = gap_automaton(vocab, whole, text, [Gap(), *found[i + 1 :]])
        n = len(pieces[i + 1])
        try:
            filling = Filling(automaton, n, start=start, pad=part.tokens is None, look_ahead=settings.look_ahead)
        except UnsatisfiableSchema as error:
            raise UnsatisfiableSchema(f"a gap of {n} tokens: {error}") from None
        pieces[i + 1] = _filled(diffusion, pieces[: i + 1], filling, pieces[i + 2 :], settings, vocab)
        gaps.append(vocab.decode(pieces[i + 1]).decode())
        text += gaps[-1]
    return Infilling(tuple(gaps), text, whole.parse(text))


def _pieces(tokenizer: Any, parts: Sequence[Part], prompt: str, mask: int) -> list[list[int]]:
    """The tokens of the prompt and of each part, masks for gaps."""
    found = [encoded(tokenizer, prompt) if prompt else []]
    for part in parts:
        if isinstance(part, str):
            found.append(list(tokenizer(part, add_special_tokens=False)["input_ids"]))
        else:
            found.append([mask] * (part.tokens or part.max_tokens or 0))
    return found


def _filled(
    model: DiffusionModel, before: list[list[int]], filling: Filling, after: list[list[int]], settings: Settings, vocab: Vocabulary
) -> list[int]:
    decoding = Decoding(model, [*chain(*before)], filling, settings, vocab, [*chain(*after)])
    decoding.run()
    return before_end(filling.tokens, vocab)
