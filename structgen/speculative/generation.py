"""``sg.generate(..., speculative=sg.speculative.auto())``: the same answers in fewer runs of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from structgen.automaton import TokenAutomaton
from structgen.errors import StructgenError
from structgen.generator import MAX_NEW_TOKENS, SAMPLING_OPTIONS, Generator, _before, _finishing, _is_chat, _no_prompt
from structgen.sampling.choice import Seeded
from structgen.sampling.truncation import check_truncation, kept
from structgen.speculative.builders import Chain, Paths
from structgen.speculative.cached_model import MASKABLE
from structgen.speculative.checks import whole
from structgen.speculative.drafters.draft_model import DraftModel
from structgen.speculative.drafters.fused import Fused, Rates
from structgen.speculative.drafters.grammar import Forced, Skeleton
from structgen.speculative.drafters.prompt_lookup import PromptLookup
from structgen.speculative.drafters.retrieval import Retrieval
from structgen.speculative.drafters.sampled_model import SampledDrafts, SampledModel
from structgen.speculative.drafters.source import Source
from structgen.speculative.drafters.token_recycling import TokenRecycling
from structgen.speculative.gumbel import GumbelNoise
from structgen.speculative.interfaces import Verifier
from structgen.speculative.lengths import CostModel, Length
from structgen.speculative.loop import Future, Row, Statistics, decode
from structgen.speculative.stopped import Stopped
from structgen.speculative.verifiers.block import BlockVerification
from structgen.speculative.verifiers.following import GreedyMatch, GumbelCoupled
from structgen.speculative.verifiers.k_seq import KSeq
from structgen.speculative.verifiers.multi_path import MultiPathBlock
from structgen.speculative.verifiers.traversal import TraversalVerification

__all__ = ["Speculative", "auto", "generate", "run"]

OPTIONS = frozenset(
    {"max_new_tokens", "do_sample", "temperature", "top_k", "top_p", "min_p", "seed", "finish", "eos_token_id", "stop_strings", "future"}
)
NEUTRAL: Mapping[str, Any] = {
    **dict.fromkeys(("num_beams", "num_return_sequences", "repetition_penalty", "encoder_repetition_penalty", "typical_p"), 1),
    **dict.fromkeys(("no_repeat_ngram_size", "epsilon_cutoff", "eta_cutoff", "min_length"), 0),
    **dict.fromkeys(("penalty_alpha", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias", "guidance_scale")),
    **dict.fromkeys(("forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty", "watermarking_config", "top_h")),
}
"""Settings of a generation config that speculative decoding does not do, and the values that ask for nothing."""


Weights = Callable[[Sequence[int], int, TokenAutomaton], Any]
"""(generated tokens, drafts included, the state behind them, the automaton) -> [V]: log-weights Phi of the next token."""


@dataclass(frozen=True)
class Speculative:
    """How to draft: guesses of ``sources``, draws of ``drafter``, or both, as many as ``length`` finds worth it, in trees or chains.

    What the sources and ``rates`` learn serves later calls with the same object. ``verifier``: who decides at a temperature above 0.
    Unless given that is `GumbelCoupled` where nothing is drawn, or by the noise that it knows, else `TraversalVerification`. One that
    cannot take the drafts described is refused here.
    """

    sources: Sequence[Source] = ()
    length: Length = field(default_factory=CostModel)
    is_tree: bool = True
    verifier: Verifier | None = None
    rates: Rates = field(default_factory=Rates)
    drafter: SampledModel | None = None

    def __post_init__(self) -> None:
        _check(self.sources, isinstance(self.sources, Iterable), "sources are several")
        object.__setattr__(self, "sources", tuple(self.sources))
        for source in self.sources:
            _check(source, isinstance(source, Source), "a source is a Source")
        _check(self.length, isinstance(self.length, Length), "length is a Length, such as Fixed(16)")
        _check(self.rates, isinstance(self.rates, Rates), "rates are Rates")
        _check(self.drafter, isinstance(self.drafter, SampledModel | None), "a drafter is a SampledModel")
        _check(self.verifier, self.verifier is None or hasattr(self.verifier, "verify"), "a verifier has a method verify")
        drafter = self.drafter
        is_chain = not self.is_tree if drafter is None else isinstance(drafter.builder, Chain) and not self.sources
        is_drawn = drafter is not None and not self.sources and not drafter.forces and isinstance(drafter.builder, (Chain, Paths))
        if isinstance(self.verifier, BlockVerification) and not is_chain:
            raise StructgenError("BlockVerification takes chains: is_tree=False, or draws of builder=Chain() and no other sources")
        if isinstance(self.verifier, (KSeq, MultiPathBlock)) and not is_drawn:
            raise StructgenError(
                f"{type(self.verifier).__name__} takes independent draws only: SampledModel(model, Paths(), forces=False), no other sources"
            )
        if drafter is not None and drafter.is_coupled and self.verifier is not None:
            raise StructgenError("drafts that the target's own noise picks are followed: leave the verifier out")


def _check(value: Any, is_right: bool, wanted: str) -> None:
    if not is_right:
        raise StructgenError(f"{wanted}; found {value!r:.100}")


def auto(draft_model: Any = None, examples: Iterable[str] = (), tokenizer: Any = None) -> Speculative:
    """What needs no training: the constraint's skeleton, copying, token recycling; drafts only where that is faster.

    ``examples``: outputs as they may come, to retrieve from (needs the ``tokenizer``). ``draft_model``: a smaller causal LM with the
    same tokens. Keep the object for several calls: it learns.

    >>> import structgen as sg
    >>> speculative = sg.speculative.auto()  # for sg.generate(model, tokenizer, prompt, constraint, speculative=speculative)
    """
    _check(examples, isinstance(examples, Iterable) and not isinstance(examples, str), "examples are several texts")
    listed = list(examples)
    _check(listed, all(isinstance(text, str) for text in listed), "examples are texts")
    if listed and tokenizer is None:
        raise StructgenError("examples are texts: auto needs the tokenizer too")
    retrieval = [Retrieval.from_texts(listed, tokenizer)] if listed else []
    model = [DraftModel(draft_model)] if draft_model is not None else []
    return Speculative((Forced(), PromptLookup(), *retrieval, Skeleton(), TokenRecycling(), *model))


def generate(model: Any, tokenizer: Any, prompt: Any, spec: Any, speculative: Speculative, **options: Any) -> Any:
    """As `structgen.Generator`, with those of its options that are in `OPTIONS`, and ``seed``: the same answer for the same seed.

    Greedy answers are those of the generator; at a temperature above 0 the law is the same, the draws are others. Where drafts are drawn,
    a seed is one answer only for the same drafts, in the same batch: sources that have learnt draft otherwise. ``future`` is another law,
    see `run`.
    """
    _check(speculative, isinstance(speculative, Speculative), "speculative is a structgen.speculative.Speculative, as auto() gives it")
    unknown = sorted(options.keys() - OPTIONS)
    if unknown:
        raise StructgenError(f"speculative decoding has no option {', '.join(unknown)}; it has {', '.join(sorted(OPTIONS))}")
    generator = Generator(model, tokenizer, eos_token_id=options.pop("eos_token_id", None))
    single = isinstance(prompt, str) or _is_chat(prompt)
    if not single and (isinstance(prompt, (Mapping, bytes)) or not isinstance(prompt, Iterable)):
        raise _no_prompt(prompt)
    prompts = [prompt] if single else list(prompt)
    automata, options = _finishing(generator._automata_for(spec, len(prompts)), options)
    limit = options.get("max_new_tokens", MAX_NEW_TOKENS)
    answers, _ = run(generator, [generator._encode(each) for each in prompts], automata, speculative, **options)
    stops = generator._stop_set({})
    objects = [generator._read(_before(tokens, stops), automaton, limit) for tokens, automaton in zip(answers, automata, strict=True)]
    return objects[0] if single else objects


def run(
    generator: Generator,
    prompts: Sequence[Sequence[int]],
    automata: Sequence[TokenAutomaton | None],
    speculative: Speculative,
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
    seed: int | None = None,
    stop_strings: str | Sequence[str] | None = None,
    future: Weights | None = None,
    **sampling: Any,
) -> tuple[list[list[int]], Statistics]:
    """The generated tokens for prompts of token ids, stop tokens included, and what they took. An automaton of None leaves a text free.

    ``future``: log-weights of how probably a valid text follows each token. With them the law of a next token is proportional to p(x)
    Phi(x) among those that are allowed, before temperature and truncation; with the model's own probability of a valid text for Phi, texts
    have the model's law given that they are valid. ``-inf`` forbids a token; behind every text something has to be left.
    """
    model, vocab = generator.model, generator.vocab
    size = model.get_output_embeddings().weight.shape[0]
    warp, drafter = _warp(model, sampling), speculative.drafter
    max_new_tokens = whole("max_new_tokens", max_new_tokens, 0)
    seed = int(np.random.SeedSequence().generate_state(2, np.uint64)[0]) if seed is None else whole("seed", seed, 0)
    ends = _ends(vocab.decode, stop_strings)
    takes_trees = getattr(model.config, "_attn_implementation", None) in MASKABLE
    rows = []
    for i, (prompt, automaton) in enumerate(zip(prompts, automata, strict=True)):
        constraint = Stopped(automaton, vocab, generator._stop_set({}), size)
        if not constraint.stops:
            raise StructgenError(f"no stop token is among the model's {size} logits: name one with eos_token_id=")
        sources = [source.begin(constraint, prompt) for source in speculative.sources]
        guesses = Fused(sources, constraint, len(prompt), speculative.rates, speculative.is_tree and takes_trees)
        verifier = GreedyMatch() if warp is None else speculative.verifier or _verifier(drafter, (seed + (i << 64)) % (1 << 128))
        rows.append(Row(prompt, constraint, guesses, verifier, max_new_tokens, ends, _future(future, automaton, size)))
    statistics = Statistics()
    sampler = None if drafter is None else lambda rows: _drafts(drafter, rows, size, warp)
    for batch in [rows] if takes_trees else [[row] for row in rows]:
        statistics.add(decode(model, batch, Seeded(seed), speculative.length.begin(), warp, sampler))
    return [row.tokens for row in rows], statistics


def _verifier(drafter: SampledModel | None, seed: int) -> Verifier:
    return TraversalVerification() if drafter is not None and not drafter.is_coupled else GumbelCoupled(GumbelNoise(seed))


def _drafts(drafter: SampledModel, rows: Sequence[Row], size: int, warp: Callable[[Any], Any] | None) -> SampledDrafts:
    noises = [row.verifier.noise.at for row in rows if isinstance(row.verifier, GumbelCoupled)]
    return SampledDrafts(drafter, [tuple(row.text) for row in rows], [row.constraint for row in rows], size, warp, noises)


def _future(weights: Weights | None, automaton: TokenAutomaton | None, size: int) -> Future | None:
    """A text without a constraint is always valid."""
    _check(weights, weights is None or callable(weights), "future is a function of tokens, state and automaton")
    if weights is None or automaton is None:
        return None

    def future(tokens: Sequence[int], state: int) -> Any:
        row = np.asarray(weights(tokens, state, automaton), np.float64)
        if row.shape not in ((), (size,)) or np.isnan(row).any():
            raise StructgenError(f"future gives {size} log-weights, one for each of the model's logits; found shape {row.shape}, or nan")
        return row

    return future


def _warp(model: Any, sampling: Mapping[str, Any]) -> Callable[[Any], Any] | None:
    """Temperature and truncation as asked for by options, else by the model's generation config; None for greedy decoding."""
    config = getattr(model, "generation_config", None)
    for name, neutral in NEUTRAL.items():
        if getattr(config, name, neutral) not in (neutral, None):
            raise StructgenError(
                f"the model's generation config asks for {name}={getattr(config, name)!r}, which speculative decoding does not do"
            )
    given = {name: _number(name, value) for name, value in sampling.items() if value is not None}
    temperature = given.get("temperature", getattr(config, "temperature", None))
    asked = any(name in given for name in SAMPLING_OPTIONS)
    if given.get("temperature") == 0 or not given.get("do_sample", asked or getattr(config, "do_sample", False)):
        return None
    temperature = 1.0 if temperature is None else temperature
    if not temperature > 0:
        raise StructgenError(f"sampling needs a temperature above 0, found {temperature}")
    top_k, top_p, min_p = (given.get(name, getattr(config, name, None)) for name in ("top_k", "top_p", "min_p"))
    cuts = None if not top_k else whole("top_k", top_k), 1.0 if top_p is None else top_p, min_p or 0.0
    check_truncation(*cuts)
    return lambda log_p: np.where(kept(log_p / temperature, *cuts), log_p / temperature, -np.inf)


def _number(name: str, value: Any) -> Any:
    """A number as Python has it: tensors and arrays of one element too."""
    if name == "do_sample":
        return value
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        raise StructgenError(f"{name} is a number, found {value!r:.100}")
    return value if name == "top_k" else float(value)


def _ends(decode_tokens: Callable[[Sequence[int]], bytes], stop_strings: Any) -> Callable[[list[int]], bool] | None:
    """Whether a stop string is in the text, where the latest token has its end."""
    listed = [stop_strings] if isinstance(stop_strings, str) else stop_strings
    if listed is None or (isinstance(listed, (list, tuple)) and not listed):
        return None
    is_right = isinstance(listed, (list, tuple)) and all(isinstance(text, str) and text for text in listed)
    _check(stop_strings, is_right, "stop_strings is a text or a list of texts, and a stop string must not be empty")
    wanted = [text.encode(errors="surrogatepass") for text in listed]
    longest = max(map(len, wanted))

    def ends(tokens: list[int]) -> bool:
        tail = decode_tokens(tokens[-longest - 1 :])  # no token that matters is empty but stop tokens, which end the text anyway
        return any(text in tail for text in wanted)

    return ends
