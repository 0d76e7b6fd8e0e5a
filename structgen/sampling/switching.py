"""Entropy-adaptive switching: a small model writes, a large one is asked where the small one is unsure.

The structure of an output (braces, names, what the mask forces) costs the large model nothing; it reads what was written since it was
last asked in one pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.companion import Companion
from structgen.sampling.prefixes import Expansion, normalised
from structgen.sampling.stepwise import Rule, Stepwise
from structgen.sampling.target import Target

__all__ = ["EntropySwitch", "entropy"]


class EntropySwitch(Stepwise):
    """``n`` texts of the model (the small one); where the entropy of its law among the allowed tokens is above ``threshold`` nats, the
    token comes from ``large`` instead: a `LanguageModel`, or a causal LM of transformers with the same tokenizer.

    With threshold 0 the large model is asked wherever there is a choice, with infinity never. ``greedy``: the most probable token.
    """

    def __init__(self, large: Any, threshold: float = 1.0, n: int = 1, *, greedy: bool = False) -> None:
        super().__init__(n, greedy=greedy)
        if not threshold >= 0:
            raise StructgenError(f"the threshold is an entropy in nats, 0 or more, found {threshold}")
        self.large, self.threshold = large, threshold

    def rule(self, target: Target) -> Rule:
        large = Companion(target, self.large)

        def rule(expansions: list[Expansion]) -> list[Any]:
            laws = [normalised(expansion.allowed) for expansion in expansions]
            unsure = [i for i, log_p in enumerate(laws) if entropy(log_p) > self.threshold]
            if unsure:
                answers = large.allowed([expansions[i] for i in unsure])
                for i, answer in zip(unsure, answers, strict=True):
                    laws[i] = answer if np.isfinite(answer).any() else laws[i]  # it may lack the tokens that are allowed
            return laws

        return rule


def entropy(log_p: Any) -> float:
    """In nats, of a normalised distribution; 0 of none."""
    log_p = np.asarray(log_p, np.float64)
    log_p = log_p[log_p > -np.inf]
    return float(-(np.exp(log_p) * log_p).sum())
