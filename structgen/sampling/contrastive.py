"""Contrastive pairs: what prompt (or model) A says, minus what B says (Li et al., ACL 2023, arXiv 2210.15097; Shi et al., NAACL 2024,
arXiv 2305.14739). The next token's law is proportional to p_A / p_B ** alpha among the allowed tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.companion import Companion
from structgen.sampling.logspace import restrict
from structgen.sampling.prefixes import normalised
from structgen.sampling.stepwise import Rule, Stepwise
from structgen.sampling.target import Target
from structgen.sampling.truncation import check_truncation, kept

__all__ = ["Contrastive"]

SMALLEST = -1e4
"""log of a probability below which B's are not told apart, so that a zero of B gives no infinite weight."""


class Contrastive(Stepwise):
    """``n`` texts by the logits after the prompt minus ``alpha`` times those after ``prompt``, or of the model ``against`` (a
    `LanguageModel`, or a causal LM of transformers with the same tokenizer), or both.

    ``min_p``: only tokens with at least this share of A's most probable one (the plausibility constraint of contrastive decoding); what A
    finds absurd could win by B finding it more absurd still. ``greedy``: the most probable token.
    """

    def __init__(
        self, prompt: Any = None, alpha: float = 0.5, n: int = 1, *, against: Any = None, min_p: float = 0.1, greedy: bool = False
    ) -> None:
        super().__init__(n, greedy=greedy)
        check_truncation(None, 1.0, min_p)
        if prompt is None and against is None:
            raise StructgenError("a contrast needs another prompt, or another model with against=")
        if not np.isfinite(alpha):
            raise StructgenError(f"alpha must be finite, found {alpha}")
        self.prompt, self.alpha, self.against, self.min_p = prompt, alpha, against, min_p

    def rule(self, target: Target) -> Rule:
        other = Companion(target, self.against, self.prompt)
        return lambda expansions: [
            self._contrast(expansion.allowed, log_b) for expansion, log_b in zip(expansions, other.allowed(expansions), strict=True)
        ]

    def _contrast(self, log_a: Any, log_b: Any) -> Any:
        log_a = np.asarray(log_a, np.float64)
        plausible = kept(log_a, None, 1.0, self.min_p)
        floor = np.maximum(np.asarray(log_b, np.float64), SMALLEST)
        return normalised(restrict(log_a - self.alpha * floor, plausible))
