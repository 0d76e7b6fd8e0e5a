"""Superposed decoding (Shen et al., NeurIPS 2024, arXiv 2405.18400): several drafts for one pass of the model per token.

In place of the last tokens x_1 ... x_k of k drafts the model reads the mixture of their embeddings, weighted by the drafts'
probabilities, and gives one distribution. Each draft is extended by the ``n`` best of its own allowed tokens, and the k best of the k * n
extensions live on.
The drafts' true probabilities are computed at the end, in one pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from structgen.errors import StructgenError
from structgen.sampling.choice import Choose
from structgen.sampling.language_model import LanguageModel
from structgen.sampling.logspace import restrict
from structgen.sampling.prefixes import Expansion, Prefix, finishing
from structgen.sampling.samples import Sample, Samples, SamplingFailed
from structgen.sampling.strategy import Progress, Run, silent
from structgen.sampling.target import Target

__all__ = ["Superposed"]


class Superposed:
    """``k`` different texts, best first by log P under the model; ``k=1`` is greedy decoding. Needs a model of transformers.

    ``branching``: tokens tried per draft (the paper's n). ``ngram``: a `LanguageModel` of the same tokens that keeps drafts coherent; an
    extension then scores (1 - ``alpha``) log p + ``alpha`` log p_ngram. No draft leaves the constraint, each has its own mask.
    """

    def __init__(self, k: int = 3, branching: int = 9, *, ngram: LanguageModel | None = None, alpha: float = 0.54) -> None:
        if k < 1 or branching < 1 or not 0 <= alpha <= 1:
            raise StructgenError(f"needs k >= 1, branching >= 1 and 0 <= alpha <= 1, found {k}, {branching} and {alpha}")
        self.k, self.branching, self.ngram, self.alpha = k, branching, ngram, alpha

    def __call__(self, target: Target, choose: Choose, progress: Progress = silent) -> Samples:
        from structgen.sampling.embedding_mixture import Mixture

        target = finishing(target)
        run, mixture = Run(target), Mixture(target)
        drafts = [Prefix(target.constraint.initial)]
        while live := [draft for draft in drafts if not draft.done]:
            log_p = mixture.next(live)
            found = [each for draft in live for each in self._extended(target, draft, log_p)]
            drafts = sorted([*found, *(draft for draft in drafts if draft.done)], key=lambda draft: -draft.log_prob)[: self.k]
            progress(sum(draft.done for draft in drafts), self.k)
        log_probs = mixture.score(drafts) if drafts else []
        texts = [Sample(d.tokens, log_prob, log_prob, 0.0) for d, log_prob in zip(drafts, log_probs, strict=True)]
        samples = run.samples(sorted(texts, key=lambda text: -text.log_prob), self.k)
        if not drafts:
            raise SamplingFailed(f"all {self.k} drafts came to a dead end; raise k or max_tokens", samples)
        return samples

    def _extended(self, target: Target, draft: Prefix, log_p: Any) -> list[Prefix]:
        """The best extensions of a draft; what they call their probability is the drafts' score."""
        ok = target.checker(len(draft.tokens), draft.state)
        scores = restrict(log_p, ok.mask())
        best = np.argsort(-scores, kind="stable")[: self.branching]
        if self.ngram is not None:
            (log_ngram,) = self.ngram.log_probs([draft.tokens])
            scores = (1 - self.alpha) * scores + self.alpha * np.where(scores > -np.inf, log_ngram, 0.0)
        return [Expansion(draft, target, ok, scores).grow(int(token)) for token in best if scores[token] > -np.inf]
