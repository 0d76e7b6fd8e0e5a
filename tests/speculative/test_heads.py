"""What a head is shown and asked, what becomes of its rows, and that the reference heads draft what they were trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

import structgen as sg
from structgen.errors import StructgenError
from structgen.speculative.drafters.fused import Fused, Rates
from structgen.speculative.drafters.heads import Heads
from structgen.speculative.drafters.reference_heads import EagleHead, HydraHead, MedusaHead, train_head
from structgen.speculative.drafters.source import Guess, Place
from structgen.speculative.lengths import Fixed
from structgen.speculative.loop import Row, decode
from structgen.speculative.stopped import Stopped
from structgen.speculative.verifiers.following import GreedyMatch
from tests.decoding.models import LOGITS, model
from tests.speculative.test_loop import IDS, STOPS, automaton, generator

VOCAB = sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)] + [b"</s>", b"true", b'":', b" the", b"{}"], eos_token_id=256)
WIDTH = 8


class Attentive:
    """Remembers all tokens, and checks that hidden states are those of the places before. Its rows depend on all it remembers."""

    layers = (0, -1)

    def __init__(self, lm: Any) -> None:
        self.embeddings, self.n_shown, self.n_drafted = lm.get_input_embeddings().weight, 0, 0

    def step(self, memory: Any, tokens: torch.Tensor, hidden: Mapping[int, torch.Tensor] | None) -> tuple[torch.Tensor, Any]:
        shown, drafted = memory or ((), ())
        if hidden is not None:
            assert len(tokens) == len(hidden[0]) == len(hidden[-1]) and not drafted, "drafts are no part of what is shown later"
            before = torch.cdist(hidden[0], self.embeddings).argmin(1).tolist()
            assert not shown or before[0] == shown[-1]
            assert before[1:] == tokens[:-1].tolist()
            shown = (*(shown or before[:1]), *tokens.tolist())
            self.n_shown += len(tokens)
        else:
            drafted = (*drafted, *tokens.tolist())
            self.n_drafted += len(tokens)
        rng = np.random.default_rng([*shown, *drafted])
        return torch.from_numpy(rng.normal(size=LOGITS) * 3), (shown, drafted)


def test_a_head_is_shown_each_token_once() -> None:
    """With several texts, forced tokens, and drafts of others."""
    lm = generator().model
    rows, heads = [], []
    for i, name in enumerate(["schema", "regex", "array", "literal", None]):
        constraint = Stopped(automaton(name) if name else None, generator().vocab, STOPS, LOGITS)
        head = Attentive(lm)
        heads.append(head)
        every = [sg.speculative.Forced(), Heads(head, confidence=0.0), sg.speculative.PromptLookup()]
        prompt = IDS[: 1 + 2 * i]
        drafter = Fused([each.begin(constraint, prompt) for each in every], constraint, len(prompt), Rates())
        rows.append(Row(prompt, constraint, drafter, GreedyMatch(), 24))
    decode(lm, rows, lambda weights: 0, Fixed(8))
    for row, head in zip(rows, heads, strict=True):
        assert (not head.n_shown or len(row.prompt) <= head.n_shown) and head.n_shown < len(row.text)
    assert sum(head.n_shown for head in heads) > 50 and sum(head.n_drafted for head in heads) > 100


class Says:
    """Always the same row; ``depth``: how many tokens it goes on by itself."""

    layers = (-1,)

    def __init__(self, row: Mapping[int, float], size: int, depth: int = 9) -> None:
        self.row, self.depth = torch.full((size,), -20.0), depth
        for token, p in row.items():
            self.row[token] = np.log(p)

    def step(self, memory: Any, tokens: torch.Tensor, hidden: Any) -> tuple[torch.Tensor | None, Any]:
        n = 0 if hidden is not None else memory + 1
        return (self.row if n <= self.depth else None), n


def guesses(source: Heads, constraint: Stopped, draft: Sequence[int] = ()) -> list[Guess]:
    begun = source.begin(constraint, [1])
    state = constraint.initial
    for token in (50, *draft):
        state = constraint.advance(state, token)
    assert begun.guesses(Place((1, 50), 1, draft, state)) == (), "nothing is known yet"
    begun.follow({-1: torch.zeros(1, 4)})
    return list(begun.guesses(Place((1, 50), 1, draft, state)))


def test_guesses_are_the_best_that_are_allowed() -> None:
    free = Stopped(None, VOCAB, [256], len(VOCAB))
    digits = Stopped(sg.compile(sg.regex("[0-9]{4}"), VOCAB), VOCAB, [256], len(VOCAB))
    row = {ord("a"): 0.5, ord("1"): 0.3, ord("2"): 0.15, ord("b"): 0.05}
    rows: list[tuple[Stopped, int, float, list[tuple[str, float]]]] = [
        (free, 3, 0.0, [("a", 0.5), ("1", 0.3), ("2", 0.15)]),
        (free, 9, 0.2, [("a", 0.5), ("1", 0.3)]),
        (free, 1, 0.6, []),
        (digits, 2, 0.1, [("1", 2 / 3), ("2", 1 / 3)]),
    ]
    for constraint, most, confidence, expected in rows:
        for draft in ((), (50, 51)):
            found = guesses(Heads(Says(row, len(VOCAB)), most, confidence), constraint, draft)
            assert [chr(t) for guess in found for t in guess.tokens] == [text for text, _ in expected]
            assert [guess.chance for guess in found] == pytest.approx([p for _, p in expected], abs=1e-5)
            assert len({guess.grade for guess in found}) == len(found)


def test_a_part_of_the_vocabulary() -> None:
    ids = [256, ord("1"), ord("2"), ord("a"), 258]  # not in order: row i is about ids[i]
    digits = Stopped(sg.compile(sg.regex("[0-9]{4}"), VOCAB), VOCAB, [256], len(VOCAB))
    head = Says({0: 0.4, 3: 0.3, 2: 0.2, 1: 0.1}, 5)
    assert [list(guess.tokens) for guess in guesses(Heads(head, 9, 0.01, ids), digits)] == [[ord("2")], [ord("1")]]
    letters = Stopped(sg.compile(sg.regex("2[b-z]{4}"), VOCAB), VOCAB, [256], len(VOCAB))
    assert guesses(Heads(head, 9, 0.0, ids), letters) == [], "none of its tokens is allowed"


def test_a_head_without_an_opinion_ends_a_draft() -> None:
    free = Stopped(None, VOCAB, [256], len(VOCAB))
    for depth in range(4):
        head = Heads(Says({7: 1.0}, len(VOCAB), depth), 1).begin(free, [1])
        head.follow({-1: torch.zeros(1, 4)})
        tree = Fused([head], free, 1, Rates()).propose((1, 50), free.initial, 20, lambda weights: 0)
        assert tree.is_chain and tree.n == 2 + depth


def test_trimmed_vocabulary() -> None:
    outputs = [[259, 259, 257, 97], [259, 257]]
    structural = {*range(257), 258, 260}
    assert sg.speculative.trimmed_vocabulary(outputs, 1, VOCAB) == sorted({259} | structural)
    assert sg.speculative.trimmed_vocabulary(outputs, 2, VOCAB, [7]) == sorted({257, 259} | structural)
    assert set(sg.speculative.trimmed_vocabulary([], 5, VOCAB)) == structural


# reference heads


def random_text(n: int) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    torch.manual_seed(n)
    return torch.randint(0, 20, (n,)), {layer: torch.randn(n, WIDTH, dtype=torch.float64) for layer in (1, 2, -1)}


def tables() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(9)
    return torch.randn(20, WIDTH, dtype=torch.float64), torch.randn(20, WIDTH, dtype=torch.float64)


def stirred(head: Any) -> Any:
    """With weights that are not zero."""
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return head.requires_grad_(False)


def test_steps_are_what_training_sees() -> None:
    """Each head's loss, from the rows that its steps give behind each beginning of a text and the tokens that follow."""
    output, embeddings = tables()
    tokens, hidden = random_text(9)
    for head in (MedusaHead(output, 3), HydraHead(output, embeddings, 3)):
        stirred(head)
        parts: list[list[torch.Tensor]] = [[], [], []]
        for i in range(1, 9):  # the token that is known last
            logits, memory = head.step(None, tokens[1 : i + 1], {-1: hidden[-1][:i]})
            for k in range(3):
                if i + k + 1 < 9:
                    assert logits is not None
                    parts[k].append(torch.nn.functional.cross_entropy(logits, tokens[i + k + 1]))
                    logits, memory = head.step(memory, tokens[i + k + 1 : i + k + 2], None)
            assert logits is None or i > 5
        expected = torch.stack([torch.stack(part).mean() for part in parts]).mean()
        assert torch.isclose(head.loss(tokens, hidden, torch.arange(20)), expected)


@pytest.mark.parametrize("layers", [(-1,), (1, 2, -1)])
def test_an_eagle_goes_on_step_by_step(layers: tuple[int, ...]) -> None:
    output, embeddings = tables()
    tokens, hidden = random_text(9)
    head = stirred(EagleHead(output, embeddings, layers))
    seen = {layer: hidden[layer] for layer in layers}
    whole, _ = head.step(None, tokens[1:], {layer: states[:-1] for layer, states in seen.items()})
    for cut in range(1, 7):
        _, memory = head.step(None, tokens[1 : cut + 1], {layer: states[:cut] for layer, states in seen.items()})
        for token in (3, 5):  # drafts, of which nothing is left
            head.step(head.step(memory, torch.tensor([token]), None)[1], torch.tensor([token]), None)
        row, _ = head.step(memory, tokens[cut + 1 :], {layer: states[cut:-1] for layer, states in seen.items()})
        assert torch.allclose(row, whole)
    _, memory = head.step(None, tokens[1:4], {layer: states[:3] for layer, states in seen.items()})
    first, _ = head.step(memory, torch.tensor([3]), None)
    second, _ = head.step(memory, torch.tensor([5]), None)
    assert torch.equal(first, head.step(memory, torch.tensor([3]), None)[0]) and not torch.allclose(first, second)


def test_training_lowers_the_loss_and_leaves_out_what_the_head_has_not() -> None:
    lm = model(dtype=torch.float64)
    output, embeddings = lm.get_output_embeddings().weight, lm.get_input_embeddings().weight
    texts, some = [IDS, IDS[::-1]], sorted({*IDS, 0})[:4]
    for make in (lambda o: MedusaHead(o, 2), lambda o: HydraHead(o, embeddings, 2), lambda o: EagleHead(o, embeddings, (0, 1, -1))):
        for ids in (None, some):
            torch.manual_seed(0)
            first = train_head(make(output[some] if ids else output), lm, texts, 1, target_ids=ids)
            torch.manual_seed(0)
            assert train_head(make(output[some] if ids else output), lm, texts, 41, target_ids=ids) < first
    assert all(parameter.grad is None for parameter in lm.parameters()), "the target is not trained"


def test_bad_settings_are_refused() -> None:
    output, embeddings = tables()
    for make, message in (
        (lambda: Heads(Says({}, 3), 0), "most must be a whole number"),
        (lambda: Heads(Says({}, 3), 1, 2.0), "confidence must be a number from 0 to 1"),
        (lambda: Heads(object()), "a method step"),
        (lambda: MedusaHead(output, 0), "at least 1"),
    ):
        with pytest.raises(StructgenError, match=message):
            make()
    with pytest.raises(StructgenError, match="divide"):
        EagleHead(output, embeddings, n_attention_heads=3)
