"""What each source guesses, and that a tree of guesses keeps to the constraint and its budget."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

import structgen as sg
from structgen.automata.machine import DEAD
from structgen.errors import StructgenError
from structgen.speculative.draft_tree import Kind
from structgen.speculative.drafters.fused import Fused, Rates
from structgen.speculative.drafters.source import Guess, Place, Source
from structgen.speculative.lengths import Fixed
from structgen.speculative.loop import Row, decode
from structgen.speculative.stopped import Stopped
from structgen.speculative.verifiers.following import GreedyMatch
from tests.decoding.models import LOGITS, model, tokenizer

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "ok": {"type": "boolean"}, "kind": {"enum": ["ab", "cd"]},
                   "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["name", "ok", "kind", "tags"],
    "additionalProperties": False,
}  # fmt: skip
VOCAB = sg.Vocabulary.from_tokenizer(tokenizer())
EOS = tokenizer().eos_token_id


def stopped(spec: Any = None) -> Stopped:
    return Stopped(None if spec is None else sg.compile(spec, VOCAB), VOCAB, [EOS], LOGITS)


def guessed(source: Source, text: str, constraint: Stopped, prompt: str = "x") -> list[str]:
    """The guesses behind an output so far, as texts; $ for the end."""
    ids = tokenizer()(prompt)["input_ids"]
    tokens = VOCAB.encode(text) if VOCAB.encode else []
    state = constraint.initial
    for token in tokens:
        state = constraint.advance(state, token)
        assert state != DEAD
    place = Place((*ids, *tokens), len(ids), (), state)
    begun = source.begin(constraint, ids)
    return ["".join("$" if t == EOS else VOCAB.token_bytes(t).decode() for t in guess.tokens) for guess in begun.guesses(place)]


@pytest.mark.parametrize(
    "text, guesses",
    [
        ("", {'{"name":"', '{"name": "'}),
        ('{"name":"a', {'","ok":true,"kind":"ab","tags":[', '","ok":false,"kind":"ab","tags":['}),
        ('{"name": "a', {'", "ok": true, "kind": "cd", "tags": ['}),
        ('{"name":"a","ok":true,"kind":"ab","tags":["x', {'","', '"]}$'}),
        ('{"name":"a","ok":true,"kind":"ab","tags":["x"]}', {"$"}),
    ],
)
def test_skeleton(text: str, guesses: set[str]) -> None:
    found = guessed(sg.speculative.Skeleton(), text, stopped(SCHEMA))
    assert guesses <= set(found), found


def test_forced() -> None:
    rows = [
        (sg.literal("the name"), "", ["the name$"]),
        (sg.regex("a(b|c)"), "", ["a"]),
        (sg.regex("a*"), "", []),
        ({"type": "null"}, "", ["null$"]),
    ]
    for spec, text, guesses in rows:
        found = guessed(sg.speculative.Forced(), text, stopped(spec))
        assert found == guesses or (guesses and found and guesses[0].startswith(found[0])), (spec, found)
    assert guessed(sg.speculative.Forced(), "", stopped()) == []


def place(text: list[int], n_prompt: int, draft: tuple[int, ...] = ()) -> Place:
    return Place(tuple(text), n_prompt, draft, 1)


def test_prompt_lookup() -> None:
    rows: list[tuple[list[int], tuple[int, ...], list[list[int]]]] = [
        ([1, 2, 3, 4, 9, 2, 3], (), [[4, 9, 2]]),  # the longest n-gram
        ([1, 2, 3, 4, 9, 2], (3,), [[4, 9, 2]]),  # behind a draft
        ([5, 1, 6, 1, 7, 1], (), [[7, 1], [6, 1, 7]]),  # the latest first
        ([1, 2, 3], (), []),
        ([1, 1, 1], (), [[1]]),
    ]
    for text, draft, expected in rows:
        source = sg.speculative.PromptLookup(longest=2, length=3).begin(stopped(), text[:1])
        assert [list(guess.tokens) for guess in source.guesses(place(text, 1, draft))] == expected, text
    source = sg.speculative.PromptLookup().begin(stopped(), [1])
    for end in range(1, 8):  # a text that grows
        found = [list(guess.tokens) for guess in source.guesses(place([1, 2, 3, 1, 2, 3, 1][:end], 1))]
        assert found == ([[1, 2, 3, 1][:0] or [1, 2, 3, 1, 2, 3, 1][end - 3 : end]] if end > 3 else []), end


def test_input_copy_goes_on_where_it_left_off() -> None:
    prompt = [1, 2, 3, 8, 2, 4, 9]
    source = sg.speculative.InputCopy(longest=1, length=2).begin(stopped(), prompt)
    rows = [([], []), ([2], [[3, 8]]), ([2, 3], [[8, 2]]), ([2, 3, 7], [[8, 2]]), ([2, 3, 7, 2], [[4, 9]]), ([2, 3, 7, 2, 9], [[4, 9]])]
    for output, expected in rows:
        assert [list(guess.tokens) for guess in source.guesses(place(prompt + output, len(prompt)))] == expected, output


def test_token_recycling() -> None:
    source = sg.speculative.TokenRecycling(kept=3, most=2)
    constraint = stopped(sg.regex("[ab]*"))
    a, b, c = (VOCAB.encode(x)[0] for x in "abc") if VOCAB.encode else (0, 0, 0)
    logits = torch.zeros(1, LOGITS)
    logits[0, [c, b, a]] = torch.tensor([3.0, 2.0, 1.0])
    source.learn([5], logits)
    begun = source.begin(constraint, [1])
    here = Place((1, 5), 1, (), constraint.initial)
    assert [list(guess.tokens) for guess in begun.guesses(here)] == [[b], [a]], "the best that the constraint allows"
    assert list(begun.guesses(here._replace(text=(1,)))) == []


def test_retrieval() -> None:
    source = sg.speculative.Retrieval([[1, 2, 3], [1, 2, 4], [1, 2, 4, 5], [7]], longest=2, length=3).begin(stopped(), [9])
    rows = [([], [[1, 2, 4], [7]]), ([1], [[2, 4, 5]]), ([1, 2], [[4, 5], [3]]), ([4], [[5]]), ([7], []), ([8], [])]
    for output, expected in rows:
        assert [list(guess.tokens) for guess in source.guesses(place([9, *output], 1))] == expected, output
    texts = sg.speculative.Retrieval.from_texts(['{"name":"a"}'], tokenizer())
    assert guessed(texts, "", stopped(SCHEMA)) == ['{"name":"a"}']


def test_a_draft_model_that_is_the_target_is_always_right() -> None:
    constraint = stopped({"type": "array", "items": {"enum": ["yes", "no"]}, "minItems": 8, "maxItems": 9})
    ids = tokenizer()("yes no")["input_ids"]
    lm = model(dtype=torch.float64)
    source = sg.speculative.DraftModel(lm, length=3, confidence=0.0).begin(constraint, ids)
    row = Row(ids, constraint, Fused([source], constraint, len(ids), Rates()), GreedyMatch(), 100)
    statistics = decode(lm, [row], lambda weights: 0, Fixed(16))
    assert statistics.accepted == statistics.drafted and statistics.steps <= -(-statistics.tokens // 4)


class Guesses(Source):
    """Any guesses, the same everywhere."""

    def __init__(self, *guesses: list[int]) -> None:
        self._guesses = [Guess(guess, i) for i, guess in enumerate(guesses)]

    def guesses(self, place: Place) -> list[Guess]:
        return self._guesses


def test_trees_keep_to_constraint_and_budget() -> None:
    rng = random.Random(0)
    for spec in (SCHEMA, sg.regex("(a|b|ab|name)*"), sg.literal("the name and age")):
        constraint = stopped(spec)
        for budget in (0, 1, 5, 30):
            tokens = [VOCAB.encode(x)[0] for x in ('"', "{", "a", "b", "n", "t")] if VOCAB.encode else []
            sources = [
                Guesses(*([rng.choice(tokens) for _ in range(4)] for _ in range(5))),
                sg.speculative.Forced(),
                sg.speculative.Skeleton(),
            ]
            drafter = Fused([source.begin(constraint, [1]) for source in sources], constraint, 1, Rates())
            tree = drafter.propose((1,), constraint.initial, budget, lambda weights: 0)
            assert (tree.states != DEAD).all() and (tree.kinds[1:] != Kind.FORCED).sum() <= budget
            for node in range(tree.n):
                state = constraint.initial
                for token in tree.prefix(node):
                    state = constraint.advance(state, token)
                assert state == tree.states[node]
            pairs = [(int(p), int(t)) for p, t in zip(tree.parents[1:], tree.tokens[1:], strict=True)]
            assert len(set(pairs)) == len(pairs), "the same token twice behind a node"


def test_chains_and_trees() -> None:
    constraint = stopped()
    for is_tree, edges in ((True, {(0, 10), (0, 20)}), (False, {(0, 10)})):
        drafter = Fused([Guesses([10, 11], [20, 21]).begin(constraint, [1])], constraint, 1, Rates(), is_tree)
        tree = drafter.propose((1,), constraint.initial, 6, lambda weights: 0)
        assert {(int(p), int(t)) for p, t in zip(tree.parents, tree.tokens, strict=True) if p == 0} == edges
        assert tree.is_chain is not is_tree


def test_what_is_not_worth_it_is_not_drafted() -> None:
    constraint = stopped()
    drafter = Fused([Guesses([10] * 20).begin(constraint, [1])], constraint, 1, Rates())
    for least, depth in ((0.6, 0), (0.5, 1), (0.3, 1), (0.2, 2), (0.01, 6)):
        drafter.least = least
        assert drafter.propose((1,), constraint.initial, 50, lambda weights: 0).n == 1 + depth


def test_bad_settings_are_refused() -> None:
    s = sg.speculative
    for make in (
        lambda: s.PromptLookup(0),
        lambda: s.InputCopy(0),
        lambda: s.TokenRecycling(0),
        lambda: s.Retrieval([], 0),
        lambda: s.DraftModel(None, 0),
    ):
        with pytest.raises(StructgenError, match="at least 1"):
            make()
