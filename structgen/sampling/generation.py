"""``sg.generate(..., strategy=...)``: a prompt to the samples of a strategy."""

from __future__ import annotations

from typing import Any

from structgen.automaton import TokenAutomaton
from structgen.errors import StructgenError
from structgen.generator import MAX_NEW_TOKENS, Generator
from structgen.sampling.choice import Seeded
from structgen.sampling.constraints import Conjunction, Potential
from structgen.sampling.samples import Samples
from structgen.sampling.strategy import DecodingStrategy, Progress, silent
from structgen.sampling.target import Target
from structgen.sampling.transformers_model import TransformersModel

__all__ = ["sample"]


def sample(
    model: Any,
    tokenizer: Any,
    prompt: Any,
    spec: Any,
    strategy: DecodingStrategy,
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
    temperature: float = 1.0,
    seed: int | None = None,
    progress: bool = False,
    eos_token_id: Any = None,
) -> Samples:
    """Samples of the model's answer to one prompt (a text, or chat messages) under a constraint.

    ``spec``: a `Potential`, or anything `structgen.compile` takes, or what it made. ``max_new_tokens``: of a text, without the stop token.
    ``seed``: the same samples for the same seed, model and machine. ``progress``: whether to show a bar.
    """
    if not isinstance(strategy, DecodingStrategy) or isinstance(strategy, type):
        raise StructgenError(f"strategy={strategy!r} is not available yet: take one of structgen.sampling, such as CARS(n=8)")
    generator = Generator(model, tokenizer, eos_token_id=eos_token_id)
    constraint = spec if isinstance(spec, (Potential, Conjunction, TokenAutomaton)) else generator.automaton(spec)
    lm = TransformersModel(model, generator._encode(prompt), generator._stop_set({}), temperature=temperature, encode=generator._encode)
    target = Target(lm, constraint, generator.vocab, max_new_tokens)
    with _Bar() if progress else _NoBar() as report:
        return strategy(target, Seeded(seed), report)


class _NoBar:
    def __enter__(self) -> Progress:
        return silent

    def __exit__(self, *_: object) -> None: ...


class _Bar:
    """A bar of tqdm, which transformers depends on."""

    def __enter__(self) -> Progress:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        self._bar = tqdm(unit="text")
        return self._show

    def _show(self, done: int, total: int) -> None:
        self._bar.total, self._bar.n = total, done
        self._bar.refresh()

    def __exit__(self, *_: object) -> None:
        self._bar.close()
