"""Self-speculation: the draft model is made of the target's own layers, so it needs no weights of its own.

`EarlyExit` takes the first layers and goes straight to the head (arXiv 2404.16710), behind an adapter if there is one (Kangaroo, arXiv
2404.18911). `LayerSkip` leaves out layers, attention and MLP together (SWIFT, arXiv 2410.06916, chooses the two apart). Both draft greedily
under the constraint until the draft model is in doubt, and both can choose while they run: the exit and the length that give most tokens
per layer (DEL, arXiv 2504.05598), or the layers to leave out that agree best with what was generated.

The draft model shares the target's weights but has a cache of its own. A drafted token costs the layers that are run for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from itertools import islice
from typing import Any

import numpy as np
import torch

from structgen.errors import StructgenError
from structgen.speculative.checks import whole
from structgen.speculative.drafters.draft_model import DraftModel
from structgen.speculative.drafters.skip_search import SkipSearch
from structgen.speculative.drafters.source import Guess, Place, Source, begun
from structgen.speculative.stopped import Stopped
from structgen.speculative.target import allowed

__all__ = ["EarlyExit", "LayerSkip", "best_exit", "submodel", "tokens_per_layer"]

Submodel = Callable[[Any, Sequence[int]], Any]
"""(model, numbers of the layers kept, ascending) -> a causal LM of these: what `submodel` does for models of the Llama kind."""

FADE = 0.98  # what a token keeps of its weight in the match rate of a layer at the next one
PRIOR_WEIGHT = 2.0
MAX_CACHES = 2  # of a text, for the choices of layers used last
CONTEXT = 4  # match rates are measured with so many windows of text before


def submodel(model: Any, kept: Sequence[int], adapter: Any = None) -> Any:
    """A causal LM of these layers of a transformers model, in this order, and behind them the ``adapter``, a layer of the same kind.

    All weights are shared. The model's decoder (``base_model``) must have its layers as a module list ``layers`` or ``h``, and their
    attention must number its part of the cache by ``layer_idx``: Llama, Mistral, Qwen, Gemma, Phi, GPT-2 and their like.
    """
    decoder = getattr(model, "base_model", None)
    name = next((name for name in ("layers", "h") if hasattr(decoder, name)), None)
    if decoder is None or name is None:
        raise StructgenError(f"{type(model).__name__} has no list of layers where it is looked for: give a submodel= of your own")
    layers = getattr(decoder, name)
    if not kept or not set(kept) <= set(range(len(layers))):
        raise StructgenError(f"the layers of this model are 0 to {len(layers) - 1}; found {list(kept)}")
    chosen = [layers[i] for i in kept] + ([] if adapter is None else [adapter])
    config = copy(decoder.config)
    if getattr(config, "layer_types", None) is not None:
        config.layer_types = [config.layer_types[i] for i in kept] + ([] if adapter is None else [config.layer_types[kept[-1]]])
    config.num_hidden_layers = len(chosen)
    modules = torch.nn.ModuleList([_numbered(layer, i) for i, layer in enumerate(chosen)])
    smaller = _with(decoder, {name: modules})
    found = _with(model, {model.base_model_prefix: smaller})
    found.config = smaller.config = config
    return found


def _with(module: Any, modules: Mapping[str, Any]) -> Any:
    """A copy that shares all but these submodules."""
    found = copy(module)
    found._modules = {**module._modules, **modules}
    return found


def _numbered(layer: Any, number: int) -> Any:
    """A layer that shares all its weights and has this number in the cache."""
    parts = {name: _with(part, {}) for name, part in layer.named_children() if hasattr(part, "layer_idx")}
    found = _with(layer, parts)
    for part in (found, *parts.values()):
        if hasattr(part, "layer_idx"):
            part.layer_idx = number
    return found


class OwnLayers(Source):
    """Base: drafts by a model of some of the target's layers, which may change between two drafts."""

    prior = 0.6
    everywhere = False

    def __init__(self, model: Any, length: int, confidence: float, make: Submodel) -> None:
        DraftModel(model, length, confidence)  # refuses what makes no sense
        self._model, self._length, self._confidence, self._make = model, length, confidence, make
        self._n_layers: int = model.config.get_text_config().num_hidden_layers
        self._made: dict[tuple[int, ...], Any] = {}

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> OwnLayers:
        found = begun(self, constraint)
        found._prompt, found._drafters, found._states = list(prompt), {}, [constraint.initial]
        return found

    _prompt: list[int]
    _drafters: dict[tuple[int, ...], Source]  # by layers, the latest last: each has a cache of the text
    _states: list[int]  # before each token of the output, and behind the last that was looked at

    def _drafts(self, kept: tuple[int, ...], length: int, place: Place) -> Iterable[Guess]:
        """What these layers say."""
        drafter = self._drafters.pop(kept, None)
        if drafter is None:
            drafter = DraftModel(self._submodel(kept), self._length, self._confidence).begin(self.constraint, self._prompt)
        self._drafters[kept] = drafter
        if len(self._drafters) > MAX_CACHES:
            del self._drafters[next(iter(self._drafters))]
        return (guess._replace(tokens=islice(guess.tokens, length)) for guess in drafter.guesses(place))

    def _submodel(self, kept: tuple[int, ...]) -> Any:
        if kept not in self._made:
            self._made[kept] = self._make(self._model, kept)
        return self._made[kept]

    def _matches(self, logits: Any, first: int, text: Sequence[int]) -> list[bool]:
        """Whether the best allowed tokens of ``logits`` [n, V], which begin with those about the output's token number ``first``, are what
        came; tokens without a choice are left out."""
        output = text[len(self._prompt) :]
        while len(self._states) <= len(output):
            self._states.append(self.constraint.advance(self._states[-1], output[len(self._states) - 1]))
        found = []
        for row, token, state in zip(logits.float().cpu().numpy(), output[first:], self._states[first:], strict=False):
            if self.constraint.only(state) is None:
                may_follow = allowed(self.constraint, state, len(row))
                found.append(int(np.where(may_follow, row, -np.inf).argmax()) == token)
        return found


class EarlyExit(OwnLayers):
    """Exits behind the first ``layer`` layers. Drafts have at most ``length`` tokens and end where the best has a probability below
    ``confidence``. ``adapter``: a trained layer between exit and head, which is no part of the model.

    ``layer=None``: exit and length are those with the most tokens per layer, by how often each layer's best token was what came; this
    looks at the hidden states of all layers and runs the head over them. The model is best one trained to exit early.
    """

    def __init__(
        self,
        model: Any,
        layer: int | None = None,
        length: int = 6,
        confidence: float = 0.6,
        *,
        adapter: Any = None,
        make: Submodel | None = None,
    ) -> None:
        if adapter is not None and (layer is None or make is not None):
            raise StructgenError("an adapter belongs to one layer of a model that submodel() can take apart: give the layer")
        super().__init__(model, length, confidence, make or (lambda whole, kept: submodel(whole, kept, adapter)))
        if layer is not None and not 1 <= (layer := whole("layer", layer)) <= self._n_layers:
            raise StructgenError(f"the exit is behind layer 1 to {self._n_layers}, found {layer}")
        self._layer = layer
        if layer is None:
            self.layers = tuple(range(1, self._n_layers))
            self._norm = _final_norm(model)
            self.rates = MatchRates(self._n_layers)

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> EarlyExit:
        found = super().begin(constraint, prompt)
        assert isinstance(found, EarlyExit)
        found._hidden, found._n_seen = [], 0
        return found

    _hidden: list[Mapping[int, Any]]
    _n_seen: int  # tokens of the text whose hidden states were looked at

    def guesses(self, place: Place) -> Iterable[Guess]:
        layer, length = self._layer, self._length
        if layer is None:
            self._compare(place.text)
            layer, length = best_exit(self.rates.rates(), self._length, self._n_layers)
        return self._drafts(tuple(range(layer)), length, place) if length else ()

    def follow(self, hidden: Mapping[int, Any]) -> None:
        self._hidden.append(hidden)

    def _compare(self, text: Sequence[int]) -> None:
        """Count which layers would have been right about the tokens that came."""
        for hidden in self._hidden:
            n = len(hidden[1])
            skipped = max(0, len(self._prompt) - 1 - self._n_seen)  # what is about the prompt
            first = self._n_seen + skipped + 1 - len(self._prompt)
            for layer, states in hidden.items():
                if skipped < n:
                    with torch.inference_mode():
                        logits = self._model.get_output_embeddings()(self._norm(states[skipped:]))
                    self.rates.add(layer, self._matches(logits, first, text))
            self._n_seen += n
        self._hidden = []


class MatchRates:
    """How often the best token of each exit layer, 1 to n - 1, was what came. Before anything is known: its share of the layers."""

    def __init__(self, n_layers: int) -> None:
        share = np.arange(1, n_layers) / n_layers
        self._true, self._asked = PRIOR_WEIGHT * share, np.full(n_layers - 1, PRIOR_WEIGHT)

    def add(self, layer: int, matches: Iterable[bool]) -> None:
        for is_match in matches:
            self._true[layer - 1] = FADE * self._true[layer - 1] + is_match
            self._asked[layer - 1] = FADE * self._asked[layer - 1] + 1

    def rates(self) -> list[float]:
        return (self._true / self._asked).tolist()  # type: ignore[no-any-return]


def tokens_per_layer(rate: float, layer: int, length: int, n_layers: int) -> float:
    """TPL of DEL: the tokens to expect of a draft of ``length`` by the first ``layer`` layers, of which each is right at this ``rate``, and
    of the run of the target that follows it, per layer that is run."""
    tokens = length + 1.0 if rate >= 1 else (1 - rate ** (length + 1)) / (1 - rate)
    return tokens / (length * layer + n_layers)


def best_exit(rates: Sequence[float], most: int, n_layers: int) -> tuple[int, int]:
    """Layer and length with the most tokens per layer; ``rates``: of layers 1, 2 and so on. Length 0: drafting does not pay."""
    choices = [(layer, length) for layer in range(1, len(rates) + 1) for length in range(most + 1)]
    return max(choices, key=lambda c: tokens_per_layer(rates[c[0] - 1], c[0], c[1], n_layers), default=(1, 0))


class LayerSkip(OwnLayers):
    """Leaves out the ``skipped`` layers; ``length`` and ``confidence`` as for `EarlyExit`.

    ``skipped=None``: a ``share`` of the layers, chosen while it runs: every ``window`` tokens another choice is tried on them, and taken if
    it matches more of them than the present one. A trial costs a run of both over a few windows of text; trials end when nearly all match.
    """

    def __init__(
        self,
        model: Any,
        skipped: Collection[int] | None = None,
        length: int = 6,
        confidence: float = 0.6,
        *,
        share: float = 0.45,
        window: int = 32,
        seed: int = 0,
        make: Submodel = submodel,
    ) -> None:
        super().__init__(model, length, confidence, make)
        self._window = whole("window", window)
        self.search = SkipSearch(self._n_layers, share, seed) if skipped is None else None
        self._skipped = frozenset(skipped or ())
        if self.search is None and not self._skipped < set(range(self._n_layers)):
            raise StructgenError(f"some of the layers 0 to {self._n_layers - 1} may be skipped, found {sorted(self._skipped)}")

    def begin(self, constraint: Stopped, prompt: Sequence[int]) -> LayerSkip:
        found = super().begin(constraint, prompt)
        assert isinstance(found, LayerSkip)
        found._n_tried = 0
        return found

    _n_tried: int  # tokens of the output when another choice was tried last

    @property
    def skipped(self) -> frozenset[int]:
        """The layers that are left out at present."""
        return self._skipped if self.search is None else self.search.best

    def guesses(self, place: Place) -> Iterable[Guess]:
        n_output = len(place.text) - place.n_prompt
        if self.search is not None and n_output >= self._n_tried + self._window:
            self._n_tried = n_output
            self.search.trial(lambda skipped: self._match_rate(skipped, place.text))
        return self._drafts(self._kept(self.skipped), self._length, place)

    def _kept(self, skipped: Collection[int]) -> tuple[int, ...]:
        return tuple(i for i in range(self._n_layers) if i not in skipped)

    def _match_rate(self, skipped: frozenset[int], text: Sequence[int]) -> float:
        """How many of the latest tokens the model without these layers would have drafted."""
        tail = list(text[-CONTEXT * self._window - 1 :])
        with torch.inference_mode():
            logits = self._make(self._model, self._kept(skipped))(
                input_ids=torch.tensor([tail[:-1]], device=self._model.device), use_cache=False
            ).logits[0, -self._window :]
        matches = self._matches(logits, len(text) - len(self._prompt) - len(logits), text)
        return sum(matches) / max(1, len(matches))


def _final_norm(model: Any) -> Any:
    """What a decoder's last layer is put through before the head."""
    for name in ("norm", "ln_f", "final_layernorm", "final_layer_norm"):
        if hasattr(model.base_model, name):
            return getattr(model.base_model, name)
    raise StructgenError(f"{type(model).__name__} has no norm behind its layers where it is looked for: give the exit layer")
