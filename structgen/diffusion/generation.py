"""``sg.diffusion.generate``: prompts in, objects out, by a masked diffusion model whose every commit is checked exactly.

The loop: move the lattice on, fix what has one value, run the model, let the policy propose, let the guard commit. At least one
position is committed per forward pass, so that a canvas of n positions takes at most n of them.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from structgen.automaton import TokenAutomaton
from structgen.compiler import compile
from structgen.diffusion.blocks import FixedBlocks
from structgen.diffusion.filling import NEW_STATES, OPEN, Fillable, Filling, Free
from structgen.diffusion.free_dave import FreeDave
from structgen.diffusion.guard import JOINTS, JointMode, Rows, allowed_tokens, commit, fill, offered
from structgen.diffusion.interfaces import BlockSchedule, DiffusionModel, StopPolicy, UnmaskPolicy, View
from structgen.diffusion.joint import Joint
from structgen.diffusion.model import as_diffusion_model, device_of
from structgen.errors import StructgenError
from structgen.generator import MAX_AUTOMATA, _key, encoded
from structgen.grammars.constraint import Constraint
from structgen.limited import LimitedAutomaton
from structgen.sampling.choice import Seeded
from structgen.types import MAX_EXPONENT, from_type, json_schema
from structgen.vocabulary import Vocabulary

__all__ = ["Decoding", "Settings", "Statistics", "generate", "run"]

LENGTH = 256
REOPENINGS = 16
"""Per position: after so many a policy is not asked any more, so that every generation ends."""
BLOCK = 32


@dataclass
class Statistics:
    """What an answer took."""

    forwards: int = 0
    """Runs of the model, each on one batch."""
    commits: int = 0
    """Positions that were committed on proposal."""
    settled: int = 0
    """Positions that had one possible token, committed for free."""
    filled: int = 0
    """Positions filled at once when a stop policy said so."""
    reopened: int = 0
    refused: int = 0
    """Candidates of the unconstrained model that no valid filling has at their positions."""
    model_seconds: float = 0.0
    guard_seconds: float = 0.0
    """All that is neither the model nor the policy."""


@dataclass(frozen=True)
class Settings:
    """How to decode. ``steps``: forward passes in all, shared out over the blocks; None: one for each position."""

    policy: UnmaskPolicy
    block: BlockSchedule
    steps: int | None = None
    temperature: float = 0.0
    seed: int | None = None
    marginals: bool = False
    joint: JointMode = "sequential"
    stop: StopPolicy | None = None
    drafts: int = 1
    """Canvases per forward pass; above 1, `structgen.diffusion.free_dave`."""
    look_ahead: int = NEW_STATES
    """States that a filling may meet for the first time in one step."""


class Decoding:
    """One answer while it is decoded: the filling, and what turns the model's rows into commits."""

    def __init__(
        self,
        model: DiffusionModel,
        before: Sequence[int],
        filling: Fillable,
        settings: Settings,
        vocab: Vocabulary,
        after: Sequence[int] = (),
    ) -> None:
        """``before``, ``after``: tokens that the model sees around the canvas (masks among them, where other gaps are)."""
        self.model, self.filling, self.settings = model, filling, settings
        self._size, self._ends = vocab.size, sorted(vocab.eos_token_ids)
        self.statistics = Statistics()
        self.policy = settings.policy.begin()
        self.stop = settings.stop.begin() if settings.stop is not None else None
        self.block = (0, 0)
        self.step = 0
        """Forward passes of the present block."""
        self.steps = 0
        """How many were asked for in it."""
        self._device = device_of(model)
        self._before, self._after = list(before), list(after)
        self._random = torch.Generator(device="cpu")
        seed = settings.seed
        self._random.manual_seed(seed % 2**63) if seed is not None else self._random.seed()
        self._choose = Seeded(seed)
        self._noise: Tensor | None = None
        self._guess: Tensor | None = None

    @property
    def done(self) -> bool:
        return self.filling.first >= self.filling.n

    def canvas(self) -> Tensor:
        """int64 [n]: the tokens, the mask token where open."""
        mask = self.model.mask_token_id
        return torch.tensor([mask if token == OPEN else token for token in self.filling.tokens], device=self._device)

    def run(self) -> None:
        """Fill everything."""
        FreeDave(self.forward, self.settings.drafts).run(self)

    def ready(self) -> bool:
        """Move on to the canvas that the model is asked about next, over the ends of blocks; False if there is none."""
        n = self.filling.n
        while not self.prepare():
            start = self.block[1]
            if start >= n:
                return False
            end = self.settings.block.next_block(start, n, lambda start=start: self.rows(self.canvas()[None])[0, start:])  # type: ignore[misc]
            if not start < end <= n:
                raise StructgenError(f"a block from {start} must end behind it and by {n}, found {end}")
            self.begin_block(start, end)
        return True

    def begin_block(self, start: int, end: int) -> None:
        self.block, self.step, self._noise = (start, end), 0, None
        total = self.settings.steps
        self.steps = max(1, round(total * (end - start) / self.filling.n)) if total is not None else end - start
        if self._guess is None and hasattr(self.model, "begin_block"):
            self.model.begin_block(len(self._before) + start, len(self._before) + end)

    def prepare(self) -> bool:
        """Move the lattice on and settle what has one value; whether there is anything left to do in the block."""
        began = perf_counter()
        self.filling.grow()
        self.statistics.settled += len(self.filling.settle())
        self._guarded(began)
        return OPEN in self.filling.tokens[slice(*self.block)]

    def rows(self, canvases: Tensor) -> Tensor:
        """float32 [k, n, V]: log-probabilities at the positions of k canvases [k, n]; one forward pass."""
        return self.forward(canvases).log_softmax(-1)

    def forward(self, canvases: Tensor) -> Tensor:
        """The same before they are normalised."""
        if self._guess is not None:
            return self._guess.expand(len(canvases), -1, -1)
        began = perf_counter()
        k, start = len(canvases), len(self._before)
        before, after = (torch.tensor(ids, dtype=torch.long, device=self._device).expand(k, -1) for ids in (self._before, self._after))
        ids = torch.cat([before, canvases, after], dim=1)
        logits = _checked_logits(self.model.logits(ids), ids)[:, start : start + canvases.shape[1]].float()
        missing = self._size - logits.shape[-1]
        if missing > 0:
            logits = torch.nn.functional.pad(logits, (0, missing), value=-torch.inf)
        if logits.is_cuda:
            torch.cuda.synchronize()
        self.statistics.forwards += 1
        self.statistics.model_seconds += perf_counter() - began
        return logits

    def advance(self, logits: Tensor) -> None:
        """One step with the rows [n, V] of the present canvas."""
        began = perf_counter()
        positions = offered(self.filling, *self.block)
        rows = self._rows(positions, logits[positions].log_softmax(-1))
        view = self._view(rows)
        self._guarded(began)
        if self.stop is not None and self.stop.stops(view, self._progress()):
            began = perf_counter()
            self.statistics.filled += fill(self.filling, logits.log_softmax(-1))
            self._guarded(began)
            return
        proposal = self.policy.propose(view)
        reopen = getattr(self.policy, "reopen", None)
        reopened = reopen(view) if reopen is not None and self.statistics.reopened < REOPENINGS * self.filling.n else ()
        began = perf_counter()
        done = commit(self.filling, rows, proposal, self.settings.joint, self._choose, self.settings.temperature or 1.0)
        self.statistics.commits += len(done)
        self.statistics.reopened += self.filling.reopen(reopened)
        self.step += 1
        self._guarded(began)

    def fork(self, rows: Tensor) -> Decoding:
        """A copy that goes on by itself, policy, history and randomness too, and is told ``rows`` [n, V] instead of asking the model."""
        found = copy.copy(self)
        found.filling, found.policy, found.stop = self.filling.copy(), copy.copy(self.policy), copy.copy(self.stop)
        found.statistics = Statistics()
        found._random, found._choose = self._random.clone_state(), copy.deepcopy(self._choose)
        found._guess = rows
        return found

    # -- the parts of a step ----------------------------------------------------------------------------------------------------

    def _rows(self, positions: list[int], log_p: Tensor) -> Rows:
        mask = allowed_tokens([self.filling.row(i) for i in positions], log_p.shape[1], log_p.device)
        if bool(mask[:, self.model.mask_token_id].any()):
            raise StructgenError("the constraint allows the mask token of the model")
        self.statistics.refused += int((~mask.gather(1, log_p.argmax(-1, keepdim=True))).sum())
        log_q = torch.where(mask, log_p, -torch.inf)
        lost = log_q.amax(-1, keepdim=True) == -torch.inf
        log_q = torch.where(lost & mask, 0.0, log_q)
        if self.settings.marginals and isinstance(self.filling, Filling):
            log_q = self._posterior(positions, log_p, log_q)
        log_q = log_q.log_softmax(-1)
        preference = log_q
        if self.settings.temperature > 0:
            at = torch.tensor(positions) - self.block[0]
            preference = log_q / self.settings.temperature + self._gumbel(log_p.shape[1])[at].to(log_q.device)
        return Rows(positions, log_p, log_q, preference)

    def _posterior(self, positions: list[int], log_p: Tensor, log_q: Tensor) -> Tensor:
        """The exact marginals of the positions before the horizon, given that the filling is valid."""
        assert isinstance(self.filling, Filling)
        inside = [i for i, at in enumerate(positions) if at < self.filling.horizon]
        if not inside:
            return log_q
        weights = {positions[i]: log_p[i].double().clamp(min=-1e5).cpu().numpy() for i in inside}
        found = Joint(self.filling, weights).log_marginals()
        log_q = log_q.clone()
        log_q[inside] = torch.stack([torch.from_numpy(found[positions[i]]).float() for i in inside]).to(log_q.device)
        return log_q

    def _gumbel(self, size: int) -> Tensor:
        """Noise of the block: the same for a position and a token whatever the step, so that a step can be repeated."""
        if self._noise is None:
            uniform = torch.rand(self.block[1] - self.block[0], size, generator=self._random, dtype=torch.float64)
            self._noise = (-(-uniform.clamp(1e-300).log()).log()).float()
        return self._noise

    def _view(self, rows: Rows) -> View:
        return View(
            self.step,
            self.steps,
            self.canvas(),
            self.block,
            torch.tensor(rows.positions, device=self._device),
            rows.log_p,
            rows.log_q,
            rows.draw,
            self._ends,
            self.rows,
            self.model.mask_token_id,
        )

    def _progress(self) -> float:
        """The share of the planned steps that is done."""
        start, end = self.block
        return min(1.0, (start + (end - start) * self.step / self.steps) / self.filling.n)

    def _guarded(self, began: float) -> None:
        self.statistics.guard_seconds += perf_counter() - began


def _checked_logits(logits: Any, ids: Tensor) -> Tensor:
    if not isinstance(logits, Tensor) or logits.ndim != 3 or logits.shape[:2] != ids.shape:
        found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise StructgenError(f"a diffusion model gives a tensor [{ids.shape[0]}, {ids.shape[1]}, V] for these ids; found {found}")
    return logits


def generate(
    model: Any,
    tokenizer: Any,
    prompt: Any,
    c: Any,
    *,
    policy: UnmaskPolicy | None = None,
    length: int = LENGTH,
    block: int | BlockSchedule = BLOCK,
    steps: int | None = None,
    temperature: float = 0.0,
    seed: int | None = None,
    marginals: bool = False,
    joint: JointMode = "sequential",
    stop: StopPolicy | None = None,
    drafts: int = 1,
    look_ahead: int = NEW_STATES,
) -> Any:
    """The object that the answer of a masked diffusion model to the prompt stands for, as `structgen.generate` gives it.

    ``model``: anything `structgen.diffusion.as_diffusion_model` takes. ``c``: anything `structgen.compile` takes, or None for free text.
    ``length``: tokens of the canvas, the end of the text included if it is shorter; ``block``: tokens per block, or a schedule;
    ``steps``: forward passes in all (None: one per token); ``policy``: which positions are committed when (low confidence by
    default). ``temperature``: 0 takes the most probable valid token; above, tokens are drawn, reproducibly for a ``seed``.
    ``marginals``: policies see exact posteriors of the positions. ``joint``: how the tokens of one step are made to fit together
    (`structgen.diffusion.guard`). ``stop``: when the rest is filled at once. ``drafts``: above 1, each run
    of the model is on so many canvases, the next one and guesses of those that follow, with the same answer (`free_dave`).
    ``look_ahead``: states of the automaton that may be met for the first time in one step; more offer positions further ahead sooner,
    fewer cost less where states are many and slow (0: from left to right).

    Every answer is valid. Raises `UnsatisfiableSchema` if no text of the constraint takes as few as ``length`` tokens.
    """
    vocab = Vocabulary.from_tokenizer(tokenizer)
    automaton = None if c is None else compiled(c, vocab)
    adapted = as_diffusion_model(model, tokenizer)
    settings = settings_of(policy, block, steps, temperature, seed, marginals, joint, stop, drafts, look_ahead)
    tokens, _ = run(adapted, encoded(tokenizer, prompt), automaton, vocab, length, settings)
    text = vocab.decode(tokens)
    return text.decode(errors="replace") if automaton is None else automaton.parse(text.decode())


def run(
    model: DiffusionModel,
    prompt: Sequence[int],
    automaton: TokenAutomaton | None,
    vocab: Vocabulary,
    length: int = LENGTH,
    settings: Settings | None = None,
) -> tuple[list[int], Statistics]:
    """The tokens of an answer, without end-of-sequence, to a prompt of token ids, and what they took."""
    settings = settings or settings_of()
    if automaton is not None and automaton.vocab.key != vocab.key:
        raise StructgenError("this automaton is compiled for another vocabulary")
    filling = filling_of(automaton, vocab, length, model.mask_token_id, settings.look_ahead)
    decoding = Decoding(model, prompt, filling, settings, vocab)
    decoding.run()
    return before_end(decoding.filling.tokens, vocab), decoding.statistics


def filling_of(
    automaton: TokenAutomaton | None, vocab: Vocabulary, length: int, mask_token_id: int, look_ahead: int = NEW_STATES
) -> Fillable:
    """The open canvas of an answer."""
    _check_number("length is a number of tokens", length)
    if automaton is None:
        return Free(length, vocab.size, [mask_token_id])
    if isinstance(automaton, LimitedAutomaton):
        return Filling(automaton._unlimited, min(length, automaton.max_tokens), look_ahead=look_ahead)
    return Filling(automaton, length, look_ahead=look_ahead)


def settings_of(
    policy: UnmaskPolicy | None = None,
    block: int | BlockSchedule = BLOCK,
    steps: int | None = None,
    temperature: float = 0.0,
    seed: int | None = None,
    marginals: bool = False,
    joint: JointMode = "sequential",
    stop: StopPolicy | None = None,
    drafts: int = 1,
    look_ahead: int = NEW_STATES,
) -> Settings:
    """Checked settings; see `generate`."""
    if joint not in JOINTS:
        raise StructgenError(f"joint is one of {', '.join(JOINTS)}; found {joint!r:.100}")
    if isinstance(temperature, (str, bytes)) or not hasattr(temperature, "__float__") or not temperature >= 0:
        raise StructgenError(f"a temperature is at least 0, found {temperature!r:.100}")
    if joint == "sample" and temperature == 0:
        raise StructgenError('joint="sample" draws tokens: give a temperature above 0')
    _check_number("look_ahead is a number of states", look_ahead, 0)
    _check_number("steps is a number of forward passes", 1 if steps is None else steps)
    _check_number("drafts is a number of canvases", drafts)
    _check_methods("policy", policy, "begin", "propose")
    _check_methods("stop", stop, "begin", "stops")
    if policy is None:
        from structgen.diffusion.policies.scheduled import LowConfidence

        policy = LowConfidence()
    schedule = FixedBlocks(block) if isinstance(block, int) else block
    if isinstance(schedule, type) or not hasattr(schedule, "next_block"):
        raise StructgenError(f"block is a number of tokens or a schedule; found {block!r:.100}")
    return Settings(policy, schedule, steps, float(temperature), _read_seed(seed), marginals, joint, stop, drafts, look_ahead)


def _check_number(wanted: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise StructgenError(f"{wanted}, at least {least}; found {value!r:.100}")


def _check_methods(name: str, value: Any, *methods: str) -> None:
    if value is not None and (isinstance(value, type) or not all(hasattr(value, method) for method in methods)):
        raise StructgenError(f"a {name} is an object with the methods {' and '.join(methods)}; found {value!r:.100}")


def _read_seed(seed: Any) -> int | None:
    try:
        found = None if seed is None else index(seed)
    except TypeError:
        found = -1
    if found is not None and found < 0:
        raise StructgenError(f"a seed is a whole number, at least 0; found {seed!r:.100}")
    return found


def compiled(c: Any, vocab: Vocabulary) -> TokenAutomaton:
    """A constraint on a vocabulary, kept for the next time. A schema or a type is read without the default limit on the length of
    strings: the canvas is a limit already, and counting the letters would make states of what need not be told apart."""
    if isinstance(c, TokenAutomaton):
        return c if c.vocab.key == vocab.key else compile(c, vocab)
    key = _key(c), vocab.key
    with _lock:
        found = _automata.get(key)
        if found is not None:
            _automata.move_to_end(key)
            return found[1]
    automaton = compile(_lifted(c), vocab)
    with _lock:
        _automata[key] = c, automaton
        while len(_automata) > MAX_AUTOMATA:
            _automata.popitem(last=False)
    return automaton


def _lifted(c: Any) -> Any:
    if isinstance(c, Constraint) or c is None or (isinstance(c, (int, float, bytes, list, tuple, set)) and not isinstance(c, bool)):
        return c
    if isinstance(c, (Mapping, bool, str)):
        return json_schema(c, limits={"string_length": None})
    return from_type(c, limits={"string_length": None, "max_exponent": MAX_EXPONENT})


_automata: OrderedDict[Any, tuple[Any, TokenAutomaton]] = OrderedDict()  # with the spec, which keeps its id from being reused
_lock = threading.Lock()


def before_end(tokens: Sequence[int], vocab: Vocabulary) -> list[int]:
    """The tokens before the first end-of-sequence."""
    ends = (i for i, token in enumerate(tokens) if token in vocab.eos_token_ids)
    return list(tokens[: next(ends, len(tokens))])
