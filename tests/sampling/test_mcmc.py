"""Metropolis-Hastings: the whole transition matrix, enumerated, and the distance to the target after each step."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import structgen as sg
from structgen.errors import StructgenError
from structgen.sampling.mcmc import MCMC, PROPOSALS, Chain
from structgen.sampling.samples import SamplingFailed
from structgen.sampling.trie import Draw, Learn, PrefixTrie
from tests.sampling.exact import Replay, law
from tests.sampling.toys import L5, P2, Z2, toy

Word = tuple[int, ...]


def begin(name: str, proposal: str, choose: Any) -> tuple[Chain, Draw]:
    """A chain and its first text. Entropies are no logarithms of fractions, so there the numbers are floats."""
    chain = Chain(PrefixTrie(toy(name, floats=proposal == "priority"), Learn.PREFIXES), proposal)
    word = chain.start(choose)
    assert word is not None
    return chain, word


def kernel(name: str, proposal: str) -> tuple[dict[Word, Fraction], dict[Word, dict[Word, Fraction]]]:
    """The law of the first text, and of the next one after each."""
    first: dict[Word, Fraction] = defaultdict(Fraction)
    scripts: dict[Word, list[int]] = {}
    script: list[int] | None = []
    while script is not None:
        choose = Replay(script, 0)
        _, word = begin(name, proposal, choose)
        first[word.tokens] += choose.probability
        scripts[word.tokens] = [i for i, _ in choose.trace]
        script = choose.following()
    return first, {word: law(lambda choose, script=script: one_step(name, proposal, script, choose)) for word, script in scripts.items()}


def one_step(name: str, proposal: str, script: list[int], choose: Any) -> Word:
    chain, word = begin(name, proposal, Replay(script, 0))
    return chain.step(word, choose).tokens


TV = {
    ("lm2", "restart"): [0.241866556383, 0.116988251693, 0.062679835902, 0.03461319827, 0.019114177267, 0.010555273446, 0.005828856559],
    ("lm2", "priority"): [0.241866556383, 0.146558552295, 0.100055655256, 0.068182669641, 0.046449707801, 0.031644645825, 0.021559679453],
    ("lm2", "prefix"): [0.241866556383, 0.190319013009, 0.158240339146, 0.135183569299, 0.115093746827, 0.097775876269, 0.082945346192],
    ("coin5", "restart"): [0.441176470588, 0.206801470588, 0.096938189338, 0.045439776252, 0.021299895118, 0.009984325837, 0.004680152736],
    ("coin5", "priority"): [0.441176470588, 0.206801470588, 0.096938189338, 0.045439776252, 0.021299895118, 0.009984325837, 0.004680152736],
    ("coin5", "prefix"): [0.441176470588, 0.402113970588, 0.366510129442, 0.334058711731, 0.30448059663, 0.277521377137, 0.25294917187],
}


QUICK = [pair if pair != ("coin5", "prefix") else pytest.param(*pair, marks=pytest.mark.long) for pair in TV]


@pytest.mark.parametrize("name, proposal", QUICK)
def test_the_chain(name: str, proposal: str) -> None:
    law_now, matrix = kernel(name, proposal)
    texts = {"".join(("ab" if name == "lm2" else "01")[i] for i in word): word for word in matrix}
    shares = {text: p / Z2 for text, p in P2.items()} if name == "lm2" else dict.fromkeys(L5, Fraction(1, 17))
    target = {texts[text]: p for text, p in shares.items()}
    assert matrix.keys() == target.keys()
    tolerance = 1e-15 if proposal == "priority" else 0
    for x, row in matrix.items():
        assert abs(sum(row.values()) - 1) <= tolerance
        for y, p in row.items():  # detailed balance
            assert abs(target[x] * p - target[y] * matrix[y].get(x, 0)) <= tolerance
    distances = []
    for _ in range(7):
        distances.append(float(sum(abs(law_now.get(x, 0) - target[x]) for x in target)) / 2)
        law_now = {y: sum((p * matrix[x].get(y, 0) for x, p in law_now.items()), Fraction(0)) for y in target}
    assert distances == pytest.approx(TV[name, proposal], abs=1e-9)


def test_with_a_seed() -> None:
    for proposal in PROPOSALS:
        strategy = MCMC(6, steps=4, proposal=proposal, keep=1, max_nodes=3)
        first, again = (strategy(toy("coin5", floats=True), sg.sampling.Seeded(2)) for _ in range(2))
        assert first.texts == again.texts and set(first) <= L5 and first.draws == 6
        assert first.log_evidence is None and np.allclose(np.exp(first.log_probs), 1 / 32)


def test_a_single_text_has_no_priority() -> None:
    target = toy(constraint=sg.potential("ab".startswith, lambda text: text == "ab"), floats=True)
    assert MCMC(2, steps=3)(target, sg.sampling.Seeded(0)).texts == ["ab", "ab"]


def test_errors() -> None:
    with pytest.raises(StructgenError, match="proposal is one of restart, prefix, priority"):
        MCMC(proposal="gibbs")
    with pytest.raises(StructgenError, match="steps >= 0"):
        MCMC(steps=-1)
    with pytest.raises(SamplingFailed, match="no complete text"):
        MCMC(1)(toy(constraint=sg.potential(None, lambda text: False), floats=True, max_tokens=2), sg.sampling.Seeded(0))
