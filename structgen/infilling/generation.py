"""A causal language model fills the gaps of a text, from left to right, each under the constraint of what stands around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from structgen.automaton import TokenAutomaton
from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.generator import MAX_NEW_TOKENS, Generator
from structgen.infilling.automata import first_gap, gap_automaton
from structgen.infilling.parts import Gap, Part, read_parts

__all__ = ["Infilling", "infill"]


@dataclass(frozen=True, slots=True)
class Infilling:
    """``gaps``: what was put into each gap; ``text``: the whole, in the language of the constraint; ``value``: the object it stands for,
    of the type of the constraint (the text itself where there is none)."""

    gaps: tuple[str, ...]
    text: str
    value: Any


def infill(
    model: Any,
    tokenizer: Any,
    parts: Iterable[Part],
    constraint: Any,
    *,
    prompt: str = "",
    fim: Sequence[str] | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    **options: Any,
) -> Infilling:
    """Fill the gaps of a text so that the whole is in the language of a constraint.

    ``parts``: texts and gaps (`structgen.gap`), ``constraint``: anything that `structgen.compile` takes. ``prompt``: put before the text,
    no part of it. ``fim``: the special tokens (prefix, suffix, middle) of a model that is trained to fill in the middle: it is then
    also shown the text up to the next gap. ``max_new_tokens``: bound on the tokens of each gap, which ends in time wherever that can
    be known (docs/max_tokens.md). ``options``: those of ``model.generate``, as `Generator` takes them; of a masked diffusion model
    (one with ``mask_token_id``), those of `structgen.diffusion.infill`.

    Raises `UnsatisfiableSchema` at once if the parts cannot be completed, `StructgenError` where that cannot be known
    (docs/infilling.md), `ModelOutputError` if a gap was not complete when the tokens ran out.
    """
    if not isinstance(prompt, str):
        raise StructgenError(f"the prompt of infill is a text; found {prompt!r:.100}")
    if options.get("num_return_sequences") not in (None, 1):
        raise StructgenError("infill gives one text: num_return_sequences must be 1")
    if hasattr(model, "mask_token_id"):
        from structgen.diffusion import infilling as diffusion

        return diffusion.infill(model, tokenizer, parts, constraint, prompt=prompt, **options)
    if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, int) or max_new_tokens < 1:
        raise StructgenError(f"max_new_tokens is a number of tokens, at least 1; found {max_new_tokens!r:.100}")
    found = read_parts(parts)
    if not any(isinstance(part, Gap) for part in found):
        raise StructgenError("there is no gap among the parts: put structgen.gap() where the model is to write")
    generator = Generator(model, tokenizer)
    whole = constraint if isinstance(constraint, TokenAutomaton) else generator.automaton(constraint)
    first = first_gap(generator.vocab, whole, found)
    text = ""
    gaps: list[str] = []
    for i, part in enumerate(found):
        if isinstance(part, str):
            text += part
            continue
        automaton = gap_automaton(generator.vocab, whole, text, found[i:])[0] if gaps else first
        if part == Gap():
            automaton = _limited(automaton, max_new_tokens)
        after = found[i + 1] if i + 1 < len(found) else ""
        assert isinstance(after, str)
        shown = prompt + text if fim is None else _fim_prompt(fim, prompt + text, after)
        settings = {**options, "max_new_tokens": _room(automaton, max_new_tokens)}
        (tokens,) = generator._run([shown], [automaton], settings)
        gaps.append(generator._read(tokens, automaton, settings["max_new_tokens"]))
        text += gaps[-1]
    return Infilling(tuple(gaps), text, whole.parse(text))


def _limited(automaton: TokenAutomaton, max_tokens: int) -> TokenAutomaton:
    """The automaton with so many tokens at most, itself where the shortest end of an output cannot be known."""
    try:
        return automaton.limited(max_tokens)
    except UnsatisfiableSchema as error:
        raise UnsatisfiableSchema(f"{error}; raise max_new_tokens") from None
    except StructgenError:
        return automaton


def _room(automaton: TokenAutomaton, max_new_tokens: int) -> int:
    """How many tokens may be generated: with one to end the gap."""
    return (automaton.max_tokens or max_new_tokens) + 1


def _fim_prompt(fim: Sequence[str], before: str, after: str) -> str:
    if not isinstance(fim, Sequence) or isinstance(fim, str) or len(fim) != 3 or not all(isinstance(token, str) for token in fim):
        raise StructgenError(f"fim is three texts, the special tokens before prefix, suffix and middle; found {fim!r:.100}")
    prefix, suffix, middle = fim
    return f"{prefix}{before}{suffix}{after}{middle}"
