"""Prompts in, objects out: `Generator` runs a transformers causal LM under a constraint and returns what its text stands for.

Everything goes through ``model.generate`` with the `LogitsProcessor` of this package, so all its decoding modes and options
work. Prompts are tokenized one by one and padded on the left here, so that the tokenizer's settings are neither needed
nor changed. Compiled constraints are kept (`MAX_AUTOMATA`, per process) and shared.
"""

from __future__ import annotations

import atexit
import codecs
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from structgen.compiler import compile
from structgen.errors import ModelOutputError, StructgenError
from structgen.grammars.constraint import Constraint
from structgen.processor import LogitsProcessor, stop_token_ids
from structgen.vocabulary import Vocabulary

if TYPE_CHECKING:
    from structgen.automaton import TokenAutomaton

__all__ = ["Generator", "Stream", "generate"]

MAX_NEW_TOKENS = 512
MAX_AUTOMATA = 64
SAMPLING_OPTIONS = ("temperature", "top_p", "top_k", "min_p", "typical_p")
PROMPT_OPTIONS = ("inputs", "input_ids", "inputs_embeds", "attention_mask")

Prompt = str | Sequence[Mapping[str, Any]]  # text, or the messages of a chat

_automata: OrderedDict[Any, tuple[Any, TokenAutomaton]] = OrderedDict()  # with the spec, which keeps its id from being reused
_lock = threading.Lock()


def generate(model: Any, tokenizer: Any, prompt: Any, spec: Any, *, strategy: Any = None, speculative: Any = None, **options: Any) -> Any:
    """One call of a `Generator`: ``generate(model, tokenizer, "Ada, 36.", Person)`` is a Person.

    With a ``strategy`` of `structgen.sampling` the result is its `Samples`; the options are those of
    `structgen.sampling.generation.sample`.
    With ``speculative`` (`structgen.speculative.auto`) the answer is the same in fewer runs of the model; the options are those of
    `structgen.speculative.generation.generate`.
    """
    if speculative is not None:
        if strategy is not None:
            raise StructgenError("speculative decoding is for one answer, not for a strategy: give one of the two")
        from structgen.speculative import generation

        return generation.generate(model, tokenizer, prompt, spec, speculative, **options)
    if strategy is not None:
        from structgen.sampling.generation import sample

        return sample(model, tokenizer, prompt, spec, strategy, **options)
    return Generator(model, tokenizer)(prompt, spec, **options)


class Generator:
    """A causal LM and its tokenizer, called with a prompt and what to make of it.

    ``eos_token_id``: stop tokens besides those of the tokenizer and of the model's generation config.
    Safe to share between threads as far as the model is.
    """

    def __init__(self, model: Any, tokenizer: Any, *, eos_token_id: int | Sequence[int] | None = None) -> None:
        if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
            raise StructgenError("Generator needs a causal LM; with an encoder-decoder model use LogitsProcessor in model.generate")
        if not hasattr(model, "generate"):
            raise StructgenError(f"Generator needs a causal LM of transformers, found {type(model).__name__}")
        if not callable(tokenizer):
            raise StructgenError(f"Generator needs the model's tokenizer of transformers, found {type(tokenizer).__name__}")
        self.model, self.tokenizer = model, tokenizer
        self.vocab = Vocabulary.from_tokenizer(tokenizer)
        self._stops = self.vocab.eos_token_ids | stop_token_ids(model) | stop_token_ids(eos_token_id)

    def __call__(self, prompt: Any, spec: Any, **options: Any) -> Any:
        """The object that the model's answer to the prompt stands for, of the type or schema ``spec``.

        ``prompt``: a text, or chat messages (dicts with role and content), or a list of either: then the result is a list.
        ``spec``: anything `structgen.compile` takes, or a list with one per prompt. ``options``: those of ``model.generate``;
        ``max_new_tokens`` is 512 unless given, a ``temperature`` above 0 turns sampling on, 0 turns it off. With
        ``num_return_sequences`` there is a list of objects per prompt. With ``finish=True`` the masks only allow what can still
        be finished within ``max_new_tokens``, so that the answer is never cut in the middle.

        Raises `ModelOutputError` if the answer was not complete when the tokens ran out.
        """
        single = isinstance(prompt, str) or _is_chat(prompt)
        if not single and (isinstance(prompt, (Mapping, bytes)) or not isinstance(prompt, Iterable)):
            raise _no_prompt(prompt)
        prompts = [prompt] if single else list(prompt)
        if not prompts:
            return []
        automata, options = _finishing(self._automata_for(spec, len(prompts)), options)
        answers = self._run(prompts, automata, options)
        n = len(answers) // len(prompts)
        objects = [self._read(tokens, automata[i // n], _limit(options)) for i, tokens in enumerate(answers)]
        if options.get("num_return_sequences") is not None:
            grouped = [objects[i : i + n] for i in range(0, len(objects), n)]
            return grouped[0] if single else grouped
        return objects[0] if single else objects

    def stream(self, prompt: Prompt, spec: Any, **options: Any) -> Stream:
        """The answer to one prompt piece by piece, as it is generated: iterate over the `Stream`, then ask for its result."""
        if not (isinstance(prompt, str) or _is_chat(prompt)):
            raise StructgenError("stream takes one prompt: a text, or one list of chat messages")
        for name in ("num_return_sequences", "num_beams"):
            if (_option(options, name) or 1) > 1:
                raise StructgenError(f"stream gives one answer as it comes: {name} must be 1")
        (automaton,), options = _finishing(self._automata_for(spec, 1), options)

        def run(**streaming: Any) -> None:
            criteria = StoppingCriteriaList([*_listed(options.get("stopping_criteria")), streaming.pop("cancelled")])
            self._run([prompt], [automaton], {**options, **streaming, "stopping_criteria": criteria})

        return Stream(run, self._stop_set(options), self.vocab, lambda tokens: self._read(tokens, automaton, _limit(options)))

    def automaton(self, spec: Any) -> TokenAutomaton:
        """The compiled constraint of a spec, from the cache if it was used before."""
        key = _key(spec), self.vocab.key
        with _lock:
            found = _automata.get(key)
            if found is not None:
                _automata.move_to_end(key)
                return found[1]
        compiled = compile(spec, self.vocab)
        with _lock:
            _automata[key] = spec, compiled
            while len(_automata) > MAX_AUTOMATA:
                _automata.popitem(last=False)
        return compiled

    def _automata_for(self, spec: Any, n: int) -> list[TokenAutomaton]:
        if not isinstance(spec, (list, tuple)):
            return [self.automaton(spec)] * n
        if len(spec) != n:
            raise StructgenError(f"{len(spec)} specs for {n} prompts: give one for all, or one per prompt")
        return [self.automaton(each) for each in spec]

    def _run(self, prompts: list[Prompt], automata: list[TokenAutomaton], options: Mapping[str, Any]) -> list[list[int]]:
        """The generated tokens of each sequence, cut before the first stop token."""
        stops = self._stop_set(options)
        input_ids, attention_mask = self._inputs(prompts, self._pad_token(options, stops))
        constraints = automata if any(a is not automata[0] for a in automata) else automata[:1]
        processor = LogitsProcessor(constraints, eos_token_id=stops).for_prompt(input_ids)
        settings = _generate_options(options, processor)
        settings.setdefault("pad_token_id", self._pad_token(options, stops))
        outputs = self.model.generate(input_ids=input_ids, attention_mask=attention_mask, **{**settings, "eos_token_id": sorted(stops)})
        sequences = outputs if isinstance(outputs, torch.Tensor) else outputs.sequences
        return [_before(row, stops) for row in sequences[:, input_ids.shape[1] :].tolist()]

    def _inputs(self, prompts: list[Prompt], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The prompts as ids and attention mask, padded on the left."""
        rows = [self._encode(prompt) for prompt in prompts]
        length = max(map(len, rows))
        ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
        attention = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self.model.device), attention.to(self.model.device)

    def _encode(self, prompt: Prompt) -> list[int]:
        return encoded(self.tokenizer, prompt)

    def _stop_set(self, options: Mapping[str, Any]) -> frozenset[int]:
        return self._stops | stop_token_ids(options.get("generation_config")) | stop_token_ids(options.get("eos_token_id"))

    def _pad_token(self, options: Mapping[str, Any], stops: frozenset[int]) -> int:
        config = options.get("generation_config", getattr(self.model, "generation_config", None))
        named = (options.get("pad_token_id"), getattr(config, "pad_token_id", None), getattr(self.tokenizer, "pad_token_id", None))
        return next((pad for pad in named if isinstance(pad, int)), min(stops, default=0))

    def _read(self, tokens: list[int], automaton: TokenAutomaton, limit: int | None) -> Any:
        """The object these tokens stand for; no more than ``limit`` could be generated."""
        state = automaton.initial
        for token in tokens:
            state = automaton.advance(state, token)
        data = self.vocab.decode(tokens)
        if automaton.is_accepting(state):
            return automaton.parse(data.decode())
        if state == automaton.dead:
            reason = "is not what the constraint allows: something forced other tokens"
        elif limit is None:
            reason = f"is not complete after {len(tokens)} tokens; raise max_new_tokens, unless something else stopped it"
        elif len(tokens) >= limit:
            reason = f"is not complete after {len(tokens)} tokens; raise max_new_tokens"
        else:
            reason = f"is not complete: generation was stopped after {len(tokens)} tokens (a stop string, a criterion, or close)"
        raise ModelOutputError(f"the output {reason}", text=data.decode(errors="replace"))


class Stream(Iterator[str]):
    """The text of an answer while it is generated. Iterate for the pieces (whole characters); ``result`` is the object.

    Generation runs in a thread of its own and stops early if the stream is closed, which waits for the thread, or dropped. Also a
    context manager.
    """

    def __init__(self, run: Callable[..., None], stops: frozenset[int], vocab: Vocabulary, read: Callable[[list[int]], Any]) -> None:
        self.tokens: list[int] = []  # so far, without the stop token
        self.text = ""  # so far
        self._read, self._vocab, self._stops = read, vocab, stops
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._cancelled = threading.Event()
        self._arrived: queue.SimpleQueue[list[int] | BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_run_into, args=(run, self._arrived, self._cancelled), daemon=True)
        self._done = False
        self._error: BaseException | None = None
        self._started = time.perf_counter()
        self.seconds = 0.0  # from the start to the latest token
        _running[self._thread] = self._cancelled
        self._thread.start()

    def __next__(self) -> str:
        while not self._done:
            arrived = self._arrived.get() if self._error is None else self._error
            if isinstance(arrived, BaseException):
                self._error = arrived
                raise arrived
            self._done = arrived is None
            self.seconds = time.perf_counter() - self._started
            tokens = _before(arrived or [], self._stops)
            self.tokens += tokens
            piece = self._decode(self._vocab.decode(tokens), final=self._done)
            self.text += piece
            if piece:
                return piece
        raise StopIteration

    @property
    def result(self) -> Any:
        """The object; waits for the rest of the answer. Raises `ModelOutputError` if that is not complete."""
        for _ in self:
            pass
        return self._read(self.tokens)

    def close(self) -> None:
        """Stop generating; returns when the model has stopped."""
        self._cancelled.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._cancelled.set()


class _TokenQueue(BaseStreamer):
    """Takes tokens from ``model.generate``, the prompt first, and passes the others on."""

    def __init__(self, arrived: queue.SimpleQueue[Any]) -> None:
        self._arrived, self._past_prompt = arrived, False

    def put(self, value: torch.Tensor) -> None:
        if self._past_prompt:
            self._arrived.put(value.flatten().tolist())
        self._past_prompt = True

    def end(self) -> None:
        """Nothing: the thread says when it is done."""


class _Cancelled(StoppingCriteria):
    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._event.is_set(), device=input_ids.device)


_running: dict[threading.Thread, threading.Event] = {}  # what generates, and how to stop it


@atexit.register
def _stop_all() -> None:
    """A thread that is inside the model when the interpreter goes would abort the process."""
    for thread, cancelled in list(_running.items()):
        cancelled.set()
        thread.join()


def _run_into(run: Callable[..., None], arrived: queue.SimpleQueue[Any], cancelled: threading.Event) -> None:
    try:
        run(streamer=_TokenQueue(arrived), cancelled=_Cancelled(cancelled))
        arrived.put(None)
    except BaseException as error:
        arrived.put(error)
    finally:
        del _running[threading.current_thread()]


def encoded(tokenizer: Any, prompt: Prompt) -> list[int]:
    """The tokens of a prompt: a text, or chat messages by the tokenizer's template."""
    if isinstance(prompt, str):
        if not _is_unicode(prompt):
            raise StructgenError("the prompt has a lone surrogate, which cannot be written as UTF-8")
        ids = tokenizer(prompt)["input_ids"]
    elif _is_chat(prompt):
        try:
            ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]
        except Exception as error:  # a template is a program of its own
            raise StructgenError(
                f"this tokenizer has no chat template that fits the messages; give the prompt as text ({error})"
            ) from error
    else:
        raise _no_prompt(prompt)
    bos = getattr(tokenizer, "bos_token_id", None)
    if not ids and bos is None:
        raise StructgenError("the prompt has no tokens, and the tokenizer no token to begin with; give a prompt")
    return list(ids) or [bos]


def _generate_options(options: Mapping[str, Any], processor: LogitsProcessor) -> dict[str, Any]:
    """The options of ``model.generate``, with what is usually meant filled in and the processor last of all."""
    for name in PROMPT_OPTIONS:
        if name in options:
            raise StructgenError(f"{name} comes from the prompt here; to give it yourself use LogitsProcessor in model.generate")
    settings = dict(options)
    if not {"max_new_tokens", "max_length", "generation_config"} & settings.keys():
        settings["max_new_tokens"] = MAX_NEW_TOKENS
    if settings.get("temperature") == 0:
        del settings["temperature"]
        settings["do_sample"] = False
    elif "do_sample" not in settings and any(settings.get(name) is not None for name in SAMPLING_OPTIONS):
        settings["do_sample"] = True
    settings["logits_processor"] = LogitsProcessorList([*_listed(settings.get("logits_processor")), processor])
    return settings


def _option(options: Mapping[str, Any], name: str) -> Any:
    """An option of ``model.generate``, given by itself or in a generation config."""
    return options[name] if name in options else getattr(options.get("generation_config"), name, None)


def _limit(options: Mapping[str, Any]) -> int | None:
    """How many tokens can be generated; None if that depends on the prompt."""
    if not {"max_new_tokens", "max_length", "generation_config"} & options.keys():
        return MAX_NEW_TOKENS
    limit = _option(options, "max_new_tokens")
    return limit if isinstance(limit, int) else None


def _finishing(automata: list[TokenAutomaton], options: dict[str, Any]) -> tuple[list[TokenAutomaton], dict[str, Any]]:
    """The automata that the option ``finish`` asks for, and the other options."""
    others = {name: value for name, value in options.items() if name != "finish"}
    if not options.get("finish"):
        return automata, others
    limit = _limit(others)
    if limit is None:
        raise StructgenError("finish=True needs max_new_tokens: how many tokens there are")
    limited = {id(automaton): automaton.limited(limit) for automaton in automata}
    return [limited[id(automaton)] for automaton in automata], others


def _listed(value: Any) -> list[Any]:
    """Several things, one, or none."""
    if value is None:
        return []
    return [*value] if isinstance(value, Iterable) else [value]


def _no_prompt(prompt: Any) -> StructgenError:
    return StructgenError(f"a prompt is a text or a list of chat messages, found {type(prompt).__name__}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_chat(prompt: Any) -> bool:
    return isinstance(prompt, (list, tuple)) and bool(prompt) and all(isinstance(message, Mapping) for message in prompt)


def _before(tokens: list[int], stops: frozenset[int]) -> list[int]:
    """The tokens before the first stop token."""
    end = next((i for i, token in enumerate(tokens) if token in stops), len(tokens))
    return tokens[:end]


def _key(spec: Any) -> Any:
    """What two specs share if they mean the same (and cannot change)."""
    if isinstance(spec, Mapping):
        try:
            return Mapping, repr(spec)
        except Exception:  # too deep, or with a repr that fails: not kept
            return object()
    if isinstance(spec, Constraint):
        return id(spec)
    try:
        hash(spec)
    except TypeError:
        return id(spec)
    return type(spec), spec
