"""Anchored decoding: a risky model kept near a safe one, by a budget of relative entropy (arXiv 2602.07120).

At each prefix, with p_r and p_s the laws of the risky and the safe model among the allowed tokens, the next token is drawn from the law p
nearest to p_r, in KL(p || p_r), of all with KL(p || p_s) <= k. That is p proportional to p_r^w p_s^(1 - w): w = 1 if p_r itself is near
enough, else the w at which KL(p || p_s) = k.

By the chain rule the law of the whole text has KL(text law || safe model under the same masks) <= budget. So whatever is improbable for
the safe model stays so: what has probability s there has at most the p with p log(p / s) + (1 - p) log((1 - p) / (1 - s)) = budget.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.companion import Companion
from structgen.sampling.language_model import Tokens
from structgen.sampling.prefixes import Expansion, normalised
from structgen.sampling.stepwise import Rule, Stepwise
from structgen.sampling.target import Target

__all__ = ["Anchored", "anchor", "divergence"]

MAX_STEPS = 60
TOLERANCE = 1e-12
"""Nats."""


class Anchored(Stepwise):
    """``n`` texts of the model (the risky one), anchored in ``safe``: a `LanguageModel`, or a causal LM of transformers with the same
    tokenizer. ``budget``: nats for the whole text. Each token may spend its even share of it, max_tokens + 1 shares in all, and what the
    tokens before it left over. ``greedy`` takes the most probable token of p instead (then there is no bound).
    """

    def __init__(self, safe: Any, budget: float, n: int = 1, *, greedy: bool = False) -> None:
        super().__init__(n, greedy=greedy)
        if not budget >= 0:
            raise StructgenError(f"the budget is a number of nats, 0 or more, found {budget}")
        self.safe, self.budget = safe, budget

    def rule(self, target: Target) -> Rule:
        safe, share = Companion(target, self.safe), self.budget / (target.max_tokens + 1)
        spent: dict[Tokens, float] = {}  # by the step after a prefix and those before it

        def rule(expansions: list[Expansion]) -> list[Any]:
            laws = []
            for expansion, log_s in zip(expansions, safe.allowed(expansions), strict=True):
                tokens = expansion.prefix.tokens
                before = spent[tokens[:-1]] if tokens else 0.0
                log_p = anchor(normalised(expansion.allowed), log_s, (len(tokens) + 1) * share - before)
                spent[tokens] = before + divergence(log_p, log_s)
                laws.append(log_p)
            return laws

        return rule


def anchor(log_r: Any, log_s: Any, k: float) -> Any:
    """log p [V] of the p nearest to r with KL(p || s) <= k; both normalised. s itself where r has nothing in common with s, or k is too
    small for all that has.

    With d = log(r / s), p proportional to s e^(w d) and A(w) the logarithm of the sum of that, KL(p || s) = w E_p[d] - A(w), which rises
    with the slope w Var_p[d]: Newton's method, kept between bounds.
    """
    log_r, log_s = np.asarray(log_r, np.float64), np.asarray(log_s, np.float64)
    common = np.flatnonzero((log_r > -np.inf) & (log_s > -np.inf))
    base, d = log_s[common], log_r[common] - log_s[common]

    def tilted(w: float) -> tuple[Any, float, float]:
        """log p on what is common, KL(p || s), and its slope."""
        log_p = normalised(base + w * d)
        p = np.exp(log_p)
        mean = float(p @ d)
        return log_p, divergence(log_p, base), w * float(p @ (d - mean) ** 2)

    if k <= 0 or not len(common) or tilted(0.0)[1] > k:
        return log_s
    low, high, w = 0.0, 1.0, 1.0
    for _ in range(MAX_STEPS):
        log_p, kl, slope = tilted(w)
        low, high = (w, high) if kl <= k else (low, w)
        if low == 1.0 or abs(kl - k) <= TOLERANCE:
            break
        newton = w - (kl - k) / slope if slope > 0 else low
        w = newton if low < newton < high else (low + high) / 2
    else:
        log_p = tilted(low)[0]
    found = np.full_like(log_s, -np.inf)
    found[common] = log_p
    return found


def divergence(log_p: Any, log_q: Any) -> float:
    """KL(p || q) in nats; infinite where q lacks what p has."""
    where = log_p > -np.inf
    found = float((np.exp(log_p[where]) * (log_p[where] - log_q[where])).sum())
    return max(0.0, found)  # rounding
