"""Prefixes that strategies grow token by token, and the masks that keep every one of them completable.

`finishing` gives a target whose masks allow only what can still be finished within ``max_tokens`` tokens, so that no search and
no draw comes to a dead end. What cannot be foreseen (predicates, constraints that `structgen.limited` refuses) is left as it is: a
prefix that comes to a dead end there is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.limited import LimitedAutomaton
from structgen.sampling.choice import Choose
from structgen.sampling.constraints import Automaton, Product, State, TokenConstraint
from structgen.sampling.language_model import Tokens
from structgen.sampling.logspace import logsumexp, restrict
from structgen.sampling.samples import Sample
from structgen.sampling.target import Checker, Target

__all__ = ["Expansion", "Prefix", "draw", "expand", "finishing", "normalised"]


@dataclass(frozen=True)
class Prefix:
    """A text so far. ``log_prob`` is log P under the model, ``log_strategy`` that of the strategy's own draws.

    Done when the end symbol followed, or nothing could (then log P is -inf).
    """

    state: State
    tokens: Tokens = ()
    log_prob: Any = 0.0
    log_strategy: Any = 0.0
    done: bool = False

    @property
    def is_dead(self) -> bool:
        return bool(self.log_prob == -np.inf)

    def then(self, token: int, state: State, log_p: Any, log_q: Any = 0.0) -> Prefix:
        """With one more token, of log probability ``log_p`` under the model, which the strategy drew with ``log_q``."""
        return Prefix(state, (*self.tokens, token), self.log_prob + log_p, self.log_strategy + log_q)

    def ended(self, log_p: Any, log_q: Any = 0.0) -> Prefix:
        """With the end symbol."""
        return replace(self, log_prob=self.log_prob + log_p, log_strategy=self.log_strategy + log_q, done=True)

    def sample(self, log_weight: Any = 0.0) -> Sample:
        return Sample(self.tokens, self.log_prob, log_weight, self.log_strategy)


@dataclass(frozen=True)
class Expansion:
    """A prefix and what the model says comes next."""

    prefix: Prefix
    target: Target
    ok: Checker
    log_p: Any

    @cached_property
    def allowed(self) -> Any:
        """[V]: log P of the tokens that may follow, -inf for all others; not normalised."""
        return restrict(self.log_p, self.ok.mask())

    def grow(self, token: int, log_q: Any = 0.0) -> Prefix:
        """The prefix with an allowed token or the end symbol, which the strategy drew with log probability ``log_q``."""
        if token == self.target.eos:
            return self.prefix.ended(self.log_p[token], log_q)
        return self.prefix.then(token, self.ok.after(token), self.log_p[token], log_q)


def expand(target: Target, prefixes: Sequence[Prefix]) -> dict[Tokens, Expansion]:
    """The expansions of the prefixes that are not done, by one call of the model."""
    alive = {prefix.tokens: prefix for prefix in prefixes if not prefix.done}
    rows = target.log_probs(list(alive)) if alive else ()
    checkers = (target.checker(len(prefix.tokens), prefix.state) for prefix in alive.values())
    return {p.tokens: Expansion(p, target, ok, row) for p, ok, row in zip(alive.values(), checkers, rows, strict=True)}


def draw(expansion: Expansion, log_q: Any, choose: Choose) -> Prefix:
    """The prefix with a token drawn by ``log_q`` (normalised); dead if that has no mass."""
    possible = np.flatnonzero(log_q > -np.inf)
    if not len(possible):
        return replace(expansion.prefix, log_prob=-np.inf, done=True)
    token = int(possible[choose(log_q[possible])])
    return expansion.grow(token, log_q[token])


def normalised(log_weights: Any) -> Any:
    """The logarithms of a distribution in proportion to the weights, if they have any mass."""
    log_mass = logsumexp(log_weights)
    return log_weights if log_mass == -np.inf else log_weights - log_mass


class _FinishingTarget(Target):
    def __init__(self, target: Target) -> None:
        vars(self).update(vars(target))
        self.constraint = _limited(target.constraint, target.max_tokens)


def finishing(target: Target) -> Target:
    """The same target with masks that leave what can still be finished in time, as far as that can be known.

    Raises `UnsatisfiableSchema` if no text is so short.
    """
    return target if isinstance(target, _FinishingTarget) or target.max_tokens == 0 else _FinishingTarget(target)


def _limited(constraint: TokenConstraint, max_tokens: int) -> TokenConstraint:
    if isinstance(constraint, Product):
        return Product([_limited(part, max_tokens) for part in constraint._parts])
    if not isinstance(constraint, Automaton):
        return constraint
    automaton = constraint._automaton
    if isinstance(automaton, LimitedAutomaton):
        max_tokens = min(max_tokens, automaton.max_tokens)
    try:
        return Automaton(automaton.limited(max_tokens))
    except UnsatisfiableSchema:
        raise
    except StructgenError:
        return constraint
