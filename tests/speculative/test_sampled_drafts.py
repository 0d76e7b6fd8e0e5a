"""Drafts that are draws, in the real loop: its law by enumeration of every choice, honest rows, batches, ends, other vocabularies."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import structgen as sg
from structgen.automata.machine import DEAD, FINISHED
from structgen.errors import StructgenError
from structgen.sampling.choice import Seeded
from structgen.sampling.truncation import kept
from structgen.speculative.builders import AboveThreshold, BestFirst, Chain, Paths, StochasticBeam, WithoutReplacement
from structgen.speculative.draft_tree import DraftTree, Kind, Sapling
from structgen.speculative.drafters.fused import Fused, Rates
from structgen.speculative.drafters.grafted import Grafted
from structgen.speculative.drafters.other_tokenizer import OtherTokenizerModel, settled
from structgen.speculative.drafters.sampled_model import SampledDrafts, SampledModel
from structgen.speculative.drafters.source import Guess, Place, Source
from structgen.speculative.drafters.tree_model import TreeModel
from structgen.speculative.generation import Speculative, run
from structgen.speculative.interfaces import Verdict, Verifier
from structgen.speculative.lengths import Fixed
from structgen.speculative.loop import Row, Statistics, decode
from structgen.speculative.stopped import Stopped
from structgen.speculative.verifiers import (
    BlockVerification,
    KSeq,
    MultiPathBlock,
    RecursiveRejection,
    SampleFollow,
    TraversalVerification,
)
from tests.decoding.models import LOGITS, model, tokenizer
from tests.sampling.exact import law

PROMPT = "the name and age of yes no the name"
IDS = tokenizer()(PROMPT)["input_ids"]
EOS = int(tokenizer().eos_token_id)
VOCAB = sg.Vocabulary.from_tokenizer(tokenizer())
BUILDERS = [Chain(4), Paths(2, 3), WithoutReplacement((2, 2)), StochasticBeam(3, 3), BestFirst(0.0, 4), AboveThreshold(0.05, 4)]
names = lambda value: type(value).__name__  # noqa: E731


@cache
def target() -> Any:
    return model(dtype=torch.float64)


@cache
def drafting() -> Any:
    return model(3, dtype=torch.float64)


@cache
def constraint(pattern: str | None) -> Stopped:
    return Stopped(None if pattern is None else sg.compile(sg.regex(pattern), VOCAB), VOCAB, [EOS], LOGITS)


def no_warp(log_p: Any) -> Any:
    return log_p


def drafts_of(settings: SampledModel, warp: Any = no_warp, noises: Any = ()) -> Callable[[Sequence[Row]], SampledDrafts]:
    return lambda rows: SampledDrafts(settings, [tuple(row.text) for row in rows], [row.constraint for row in rows], LOGITS, warp, noises)


def row_of(pattern: str | None, verifier: Verifier, limit: int = 20, sources: Sequence[Source] = (), **options: Any) -> Row:
    stopped = constraint(pattern)
    guesses = Fused([source.begin(stopped, IDS) for source in sources], stopped, len(IDS), Rates())
    return Row(IDS, stopped, guesses, verifier, limit, **options)


# one model over growing drafts


def test_logits_behind_random_drafts() -> None:
    """They are those of the whole text read anew, whatever was drafted, kept and dropped before."""
    rng, texts = random.Random(0), [tuple(IDS[:5]), tuple(IDS[:1]), tuple(IDS[:9])]
    lm = TreeModel(target(), texts)
    for step in range(7):
        known: list[list[tuple[int, ...]]] = [[()] for _ in texts]
        lm.settle(texts)
        for _ in range(3):
            asked = [[rng.choice(each) + tuple(rng.randrange(300) for _ in range(rng.randrange(3))) for _ in range(3)] for each in known]
            for text, drafts, rows in zip(texts, asked, lm.logits(asked), strict=True):
                for draft, row in zip(drafts, rows, strict=True):
                    with torch.inference_mode():
                        expected = target()(input_ids=torch.tensor([text + draft])).logits[0, -1]
                    assert torch.allclose(row, expected, atol=1e-11)
            known = [each + drafts for each, drafts in zip(known, asked, strict=True)]
        new = [tuple(rng.randrange(300) for _ in range(rng.randrange(3))) for _ in texts]
        texts = [text + rng.choice(each) + more for text, each, more in zip(texts, known, new, strict=True)]
        if step in (2, 4):
            rows_left = [2, 0] if step == 2 else [1]
            lm.select(rows_left)
            texts = [texts[i] for i in rows_left]
    assert lm.forward_passes <= 1 + 7 * 3


# honest rows


def grown(settings: SampledModel, patterns: Sequence[str | None], warp: Any, budget: int = 12, seed: int = 0) -> list[DraftTree]:
    stopped = [constraint(pattern) for pattern in patterns]
    drafts = SampledDrafts(settings, [tuple(IDS)] * len(stopped), stopped, LOGITS, warp)
    growths = drafts.propose(
        [tuple(IDS)] * len(stopped), [each.initial for each in stopped], budget, Seeded(seed), lambda log_q, depth, path: False
    )
    return [growth.sapling.tree() for growth in growths]


def recomputed(tree: DraftTree, node: int, stopped: Stopped, *, temperature: float, top_k: int | None, is_masked: bool, lm: Any) -> Any:
    """The law behind a node: model, mask, temperature, top-k, one after the other."""
    with torch.inference_mode():
        logits = lm(input_ids=torch.tensor([[*IDS, *tree.prefix(node)]])).logits[0, -1].double().numpy()
    may_follow = np.array([stopped.advance(int(tree.states[node]), token) != DEAD for token in range(LOGITS)])
    weights = np.exp(logits / temperature) * (may_follow if is_masked else 1)
    if top_k is not None and (weights > 0).sum() > top_k:
        weights[weights < np.sort(weights)[-top_k]] = 0
    return weights / weights.sum()


def dishonesty(trees: Sequence[DraftTree], patterns: Sequence[str | None], **settings: Any) -> float:
    """The greatest difference of a recorded row from the law behind its node."""
    found = [0.0]
    for tree, pattern in zip(trees, patterns, strict=True):
        for node in range(1, tree.n):
            if not tree.is_point(node):
                expected = recomputed(tree, int(tree.parents[node]), constraint(pattern), **settings)
                found.append(float(abs(np.exp(tree.log_q[tree.rows[node]]) - expected).max()))
    return max(found)


@pytest.mark.parametrize("builder", BUILDERS, ids=names)
@pytest.mark.parametrize("is_masked", [True, False])
def test_recorded_rows_are_the_laws_that_were_drawn_from(builder: Any, is_masked: bool) -> None:
    """Recomputed from logits, mask and warp; and the test can tell: any other setting shows."""
    honest = {"temperature": 1.7, "top_k": 5, "is_masked": is_masked, "lm": drafting()}
    others: list[dict[str, Any]] = [{"temperature": 1.0}, {"top_k": None}, {"top_k": 2}, {"is_masked": not is_masked}, {"lm": target()}]
    patterns = ["(a|b|ab|name|no){4}", "[a-z ]{9}", None]

    def warp(log_p: Any) -> Any:
        return np.where(kept(log_p / 1.7, 5, 1.0, 0.0), log_p / 1.7, -np.inf)

    trees = grown(SampledModel(drafting(), builder, is_masked=is_masked), patterns, warp)
    assert sum(len(tree.log_q) for tree in trees) > 3
    assert dishonesty(trees, patterns, **honest) < 1e-9
    for other in others:
        assert dishonesty(trees, patterns, **{**honest, **other}) > 1e-3, other


def test_rows_of_a_narrow_model_are_what_it_said() -> None:
    """In bfloat16 the law is that of the rounded logits, in float64 from there on."""
    lm = model(3).to(torch.bfloat16)
    try:
        trees = grown(SampledModel(lm, Chain(1)), ["[a-z]{3}"], no_warp)
        settings = {"temperature": 1.0, "top_k": None, "is_masked": True}
        assert dishonesty(trees, ["[a-z]{3}"], lm=lm, **settings) < 1e-12
        assert dishonesty(trees, ["[a-z]{3}"], lm=drafting(), **settings) > 1e-5
    finally:
        lm.float()


def test_tokens_are_drawn_as_their_rows_say() -> None:
    """600 first draws: chi-square below its 1 - 1e-6 quantile, 27.6 for 2 degrees of freedom and less than 10 for each further one."""
    drafts = SampledDrafts(SampledModel(drafting(), Chain(1)), [tuple(IDS)], [constraint("a|b|no")], LOGITS, no_warp)
    choose, counts, state = Seeded(1), np.zeros(LOGITS), constraint("a|b|no").initial
    for _ in range(600):
        (growth,) = drafts.propose([tuple(IDS)], [state], 1, choose, lambda log_q, depth, path: False)
        counts[growth.sapling.tree().tokens[1]] += 1
    expected = 600 * np.exp(growth.sapling.tree().log_q[0])
    seen = expected > 0
    assert not counts[~seen].any() and seen.sum() >= 3
    assert ((counts - expected)[seen] ** 2 / expected[seen]).sum() < 27.6 + 10 * (seen.sum() - 3)


@pytest.mark.parametrize("builder", BUILDERS, ids=names)
def test_trees_keep_to_budget_and_constraint(builder: Any) -> None:
    for budget in (0, 1, 3, 7):
        for tree in grown(SampledModel(drafting(), builder), ["(a|b|ab|name|no){4}", None, "x(a|b)yes"], no_warp, budget):
            drawn = [node for node in range(1, tree.n) if not tree.is_point(node)]
            assert len(drawn) <= budget and (tree.states != DEAD).all()
            assert len(drawn) > 0 or budget < 3
            assert all(tree.kinds[node] == Kind.FORCED for node in range(1, tree.n) if node not in drawn)
            for siblings in tree.children:
                tokens = [int(tree.tokens[node]) for node in siblings]
                assert len(set(tokens)) == len(tokens) or isinstance(builder, Paths)


# the law of the loop


def plain(pattern: str, limit: int, future: Any = None, warp: Any = no_warp) -> dict[tuple[int, ...], float]:
    """Every output with its probability, token by token from the model and the mask."""
    stopped, found = constraint(pattern), dict[tuple[int, ...], float]()

    def visit(text: tuple[int, ...], state: int, chance: float) -> None:
        if state == FINISHED or len(text) == limit:
            found[text] = found.get(text, 0) + chance
            return
        with torch.inference_mode():
            logits = target()(input_ids=torch.tensor([[*IDS, *text]])).logits[0, -1].numpy()
        following = {token: after for token in range(LOGITS) if (after := stopped.advance(state, token)) != DEAD}
        weights = np.full(LOGITS, -np.inf)
        weights[list(following)] = logits[list(following)] + (0 if future is None else np.asarray(future(text, state))[list(following)])
        weights = np.exp(warp(weights - np.logaddexp.reduce(weights)))
        for token, after in following.items():
            if weights[token] > 0:
                visit((*text, token), after, chance * weights[token] / weights.sum())

    visit((), stopped.initial, 1.0)
    return found


def check(found: dict[Any, Fraction], expected: dict[Any, float], tolerance: float = 1e-6) -> None:
    """The logits of the target pass through float32."""
    assert abs(float(sum(found.values())) - 1) < 1e-9
    assert max(abs(float(found.get(key, 0)) - expected.get(key, 0)) for key in found.keys() | expected.keys()) < tolerance


def loop_law(settings: SampledModel, rows: Callable[[], list[Row]], budget: int, warp: Any = no_warp) -> dict[Any, Fraction]:
    def once(choose: Any) -> Any:
        made = rows()
        decode(target(), made, choose, Fixed(budget), warp, drafts_of(settings, warp))
        return tuple(tuple(row.tokens) for row in made) if len(made) > 1 else tuple(made[0].tokens)

    return law(once, negligible=Fraction(1, 10**12))


@cache
def trimmed(ids: tuple[int, ...]) -> Any:
    """The drafting model with a head for these tokens only."""
    found = deepcopy(drafting())
    found.lm_head = torch.nn.Linear(found.config.hidden_size, len(ids), bias=False, dtype=torch.float64)
    with torch.no_grad():
        found.lm_head.weight.copy_(drafting().lm_head.weight[list(ids)])
    return found


def ids_of(text: str) -> tuple[int, ...]:
    return tuple(int(tokenizer()(letter)["input_ids"][0]) for letter in text)


def sampled(builder: Any, ids: str = "", **options: Any) -> SampledModel:
    """``ids``: the tokens of a trimmed head, if it is one."""
    if not ids:
        return SampledModel(drafting(), builder, **options)
    return SampledModel(trimmed(ids_of(ids)), builder, target_ids=ids_of(ids), **options)


TWO = "[abc][ab]"
TRAVERSAL = TraversalVerification()
LAWS: list[tuple[str, str, SampledModel, Verifier]] = [
    *((names(b), TWO, sampled(b), TRAVERSAL) for b in (Chain(2), Paths(2, 1), WithoutReplacement((2, 1)), StochasticBeam(2, 2))),
    *((names(b), TWO, sampled(b), TRAVERSAL) for b in (BestFirst(0.0, 3), AboveThreshold(0.2, 2))),
    ("several steps", "(a|b|no)[ab]", sampled(WithoutReplacement((2,))), TRAVERSAL),
    ("forced in between", "[ab]no[ab]", sampled(Chain(2)), TRAVERSAL),
    ("rejection", TWO, sampled(WithoutReplacement((2, 1))), RecursiveRejection()),
    ("following", TWO, sampled(WithoutReplacement((2,))), SampleFollow()),
    ("token-wise", TWO, sampled(Chain(2)), RecursiveRejection()),
    ("block", TWO, sampled(Chain(2)), BlockVerification()),
    ("k-seq", TWO, sampled(Paths(2, 1), forces=False), KSeq()),
    ("multi-path", TWO, sampled(Paths(2, 2), forces=False), MultiPathBlock()),
    ("another temperature", TWO, sampled(Chain(2), temperature=3.0), TRAVERSAL),
    ("a head of fewer tokens", TWO, sampled(WithoutReplacement((2, 1)), "axy"), TRAVERSAL),
    ("a head of none that may follow", TWO, sampled(WithoutReplacement((2, 1)), "xyz"), TRAVERSAL),
    ("fewer, and no mask", TWO, sampled(Chain(2), "abxy", is_masked=False), TRAVERSAL),
    ("no mask, without replacement", TWO, sampled(WithoutReplacement((2,)), "acxy", is_masked=False), TRAVERSAL),
    ("no mask, block", TWO, sampled(Chain(2), "acxy", is_masked=False), BlockVerification()),
]
SLOW = "multi-path", "no mask, without replacement", "fewer, and no mask"
LONG = (), pytest.mark.long


@pytest.mark.parametrize("pattern, settings, verifier", [pytest.param(*case[1:], id=case[0], marks=LONG[case[0] in SLOW]) for case in LAWS])
def test_the_loop_has_the_law_of_one_by_one(pattern: str, settings: SampledModel, verifier: Verifier) -> None:
    found = loop_law(settings, lambda: [row_of(pattern, verifier)], 4 if isinstance(settings.builder, Paths) else 3)
    check(found, plain(pattern, 20))
    assert len(found) >= 4


def test_the_law_where_guesses_stand_beside_draws() -> None:
    """Guesses that are right, wrong, forbidden and the same as what was drawn."""
    a, b, c = ids_of("abc")
    wild = Fixed3([[a, b], [b, a, a], [c], [LOGITS - 1]])
    found = loop_law(sampled(Chain(1)), lambda: [row_of(TWO, TRAVERSAL, sources=[wild])], 5)
    check(found, plain(TWO, 20))


class Fixed3(Source):
    """The same guesses behind every text, right or wrong."""

    def __init__(self, guesses: list[list[int]]) -> None:
        self._guesses = guesses

    def guesses(self, place: Place) -> list[Guess]:
        at = len(place.text) - place.n_prompt + len(place.draft)
        return [Guess(guess[at:], i) for i, guess in enumerate(self._guesses)]


def test_two_texts_of_a_batch_are_independent() -> None:
    """One is done before the other."""
    found = loop_law(sampled(WithoutReplacement((2,))), lambda: [row_of("[ab]", TRAVERSAL), row_of("[ab][ab]", TRAVERSAL)], 2)
    first, second = plain("[ab]", 20), plain("[ab][ab]", 20)
    check(found, {(a, b): p * q for a, p in first.items() for b, q in second.items()})


def test_the_law_with_temperature_and_truncation() -> None:
    def warp(log_p: Any) -> Any:
        return np.where(kept(log_p / 0.7, 2, 1.0, 0.0), log_p / 0.7, -np.inf)

    found = loop_law(sampled(WithoutReplacement((2, 1))), lambda: [row_of(TWO, TRAVERSAL)], 3, warp)
    check(found, plain(TWO, 20, warp=warp))
    assert len(found) == 4


def test_the_twisted_law() -> None:
    """With the model's own probability of a valid text for Phi, texts have the model's law given that they are valid."""
    stopped = constraint(TWO)

    @cache
    def raw(text: tuple[int, ...]) -> Any:
        with torch.inference_mode():
            row = target()(input_ids=torch.tensor([[*IDS, *text]])).logits[0, -1].numpy()
        return np.exp(row - np.logaddexp.reduce(row))

    @cache
    def valid(text: tuple[int, ...], state: int) -> float:
        return 1.0 if state == FINISHED else float(sum(p for _, _, p in following(text, state)))

    def following(text: tuple[int, ...], state: int) -> list[tuple[int, int, float]]:
        after = [(token, stopped.advance(state, token)) for token in range(LOGITS)]
        return [(token, to, float(raw(text)[token]) * valid((*text, token), to)) for token, to in after if to != DEAD]

    def future(text: Sequence[int], state: int) -> Any:
        phi = np.zeros(LOGITS)
        for token, to, _ in following(tuple(text), state):
            phi[token] = valid((*text, token), to)
        with np.errstate(divide="ignore"):
            return np.log(phi)

    texts = plain(TWO, 20)
    weights = {text: float(np.prod([raw(text[:i])[token] for i, token in enumerate(text)])) for text in texts}
    given_valid = {text: weight / sum(weights.values()) for text, weight in weights.items()}
    for settings in (sampled(Chain(2)), sampled(WithoutReplacement((2, 1)))):
        check(loop_law(settings, lambda: [row_of(TWO, TRAVERSAL, future=future)], 3), given_valid)
    assert sum(abs(given_valid[text] - texts[text]) for text in texts) > 0.1, "masks alone are another law"
    automaton = stopped.automaton
    (found,), _ = run(generator(), [IDS], [automaton], Speculative(), future=lambda text, state, _: future(text, state), do_sample=False)
    assert found[0] == max(given_valid, key=lambda text: first_chance(given_valid, text))[0]


def first_chance(texts: dict[tuple[int, ...], float], text: tuple[int, ...]) -> float:
    """The probability of a text's first token."""
    return sum(p for other, p in texts.items() if other[0] == text[0])


# batches, ends, seeds


@cache
def generator() -> sg.Generator:
    return sg.Generator(target(), tokenizer())


PATTERNS = ["(name|age): [a-z]{2,8}(, (name|age): [a-z]{2,8}){1,3}", None, "(a|b|no){9}", "the name and age yes no"]


def batch(speculative: Speculative, limit: int = 24, **sampling: Any) -> tuple[list[list[int]], Statistics]:
    automata = [None if pattern is None else constraint(pattern).automaton for pattern in PATTERNS]
    prompts = [IDS[: 3 + i] for i in range(len(PATTERNS))]
    return run(generator(), prompts, automata, speculative, max_new_tokens=limit, **sampling)


GREEDY, RANDOM = {"do_sample": False}, {"temperature": 1.3, "top_k": 30, "seed": 5}


@cache
def undrafted(is_random: bool) -> list[list[int]]:
    return batch(Speculative(length=Fixed(0)), **(RANDOM if is_random else GREEDY))[0]


@pytest.mark.parametrize("builder", BUILDERS, ids=names)
def test_greedy_and_coupled_drafts_give_the_tokens_of_no_drafts(builder: Any) -> None:
    """In a batch of constrained and free texts, with guesses beside them."""
    for is_random, draft in ((False, drafting()), (True, drafting()), (True, target())):
        way = Speculative((sg.speculative.Skeleton(),), Fixed(9), drafter=SampledModel(draft, builder, is_coupled=True))
        found, statistics = batch(way, **(RANDOM if is_random else GREEDY))
        assert found == undrafted(is_random)
        assert statistics.tokens == sum(map(len, found)) and statistics.draft_passes > 0


@pytest.mark.parametrize("limit", [1, 2, 7, 11])
def test_a_limit_inside_a_draft(limit: int) -> None:
    for is_random in (False, True):
        way = Speculative(length=Fixed(6), drafter=SampledModel(target(), Chain(6), is_coupled=True))
        found, _ = batch(way, limit, **(RANDOM if is_random else GREEDY))
        assert found == [tokens[:limit] for tokens in undrafted(is_random)]


@pytest.mark.parametrize("builder", BUILDERS, ids=names)
def test_sampled_texts_are_valid_and_the_same_for_the_same_seed(builder: Any) -> None:
    settings = SampledModel(drafting(), builder, is_masked=builder != BUILDERS[2])

    def once(seed: int) -> tuple[list[list[int]], Statistics]:
        way = Speculative((sg.speculative.Skeleton(),), Fixed(9), drafter=settings)  # a fresh one: what it learns changes the draws
        return batch(way, 20, temperature=1.0, seed=seed)

    (found, statistics), (again, _), (other, _) = map(once, (2, 2, 3))
    assert found == again != other
    for tokens, pattern in zip(found, PATTERNS, strict=True):
        state = constraint(pattern).initial
        for token in tokens:
            state = constraint(pattern).advance(state, token)
        assert state == FINISHED or (state != DEAD and len(tokens) == 20)
    assert statistics.accepted > 0


def test_a_budget_of_nothing_drafts_nothing() -> None:
    found, statistics = batch(Speculative(length=Fixed(0), drafter=SampledModel(drafting(), forces=False)), temperature=1.0, seed=2)
    assert statistics.drafted == 0 and statistics.draft_passes == 1, "the prompt's"
    assert statistics.tokens == sum(map(len, found))


def test_the_target_as_its_own_drafter_is_always_accepted() -> None:
    for length in (1, 3):
        way = Speculative(length=Fixed(8), drafter=SampledModel(target(), Chain(length), forces=False))
        for sampling in ({"do_sample": False}, {"temperature": 0.8, "top_p": 0.9, "seed": 4}):
            _, statistics = batch(way, **sampling)
            assert statistics.accepted == statistics.drafted > 20


def test_an_end_inside_a_draft() -> None:
    """Nothing is drafted behind a stop token, and the text ends where the model's does."""
    for pattern in ("[ab]{1,3}", "a|b", "yes"):
        for tree in grown(SampledModel(drafting(), StochasticBeam(4, 6)), [pattern], no_warp, 30):
            ends = [node for node in range(tree.n) if tree.is_end(node)]
            assert ends and all(tree.tokens[node] == EOS and not tree.children[node] for node in ends)


# guesses beside draws


def test_grafts() -> None:
    free = constraint(None)
    trunk, branch = Sapling(free), Sapling(free)
    row = trunk.law(np.zeros(LOGITS))
    trunk.add(trunk.add(0, 5, Kind.WOR, row), 6, Kind.WOR, row)
    trunk.add(0, 7, Kind.WOR, row)
    for parent, token in ((0, 7), (1, 8), (0, 9), (0, 5), (4, 6), (5, 1)):
        branch.add(parent, token)
    graft = Grafted(trunk, branch.tree())
    assert [graft.tree.prefix(node) for node in range(graft.tree.n)] == [(), (5,), (5, 6), (7,), (7, 8), (9,), (5, 6, 1)]
    assert graft.tree.kinds.tolist() == [0, 2, 2, 2, 0, 0, 0]
    assert graft.rows(torch.arange(7)).tolist() == [0, 3, 4, 5, 1, 2, 6]
    view: Any = type("View", (), {"text": (), "log_p": lambda self, node: node})()
    rows = [((1, 2), 3, (4, 5), 3), ((1,), 4, (4,), 4), ((3,), 9, (1,), 9), ((), 2, (), 2), ((1, 2, 6), None, (4, 5, 6), None)]
    for path, token, seen_path, follows in rows:
        target_seen, verdict = graft.seen(view, Verdict(path, token))
        assert verdict == Verdict(seen_path, follows) and target_seen.log_p(1) == 3
    alone = Grafted(None, branch.tree())
    assert alone.tree is alone.branch and alone.seen(view, Verdict((1,), 3))[1] == Verdict((1,), 3)
    other = Sapling(free)
    other.add(0, 3)
    assert Grafted(trunk, other.tree()).seen(view, Verdict((1, 2), 4))[1] == Verdict((), 5)


# heads of fewer tokens


def test_what_is_outside_of_a_head_is_drafted_where_it_is_forced() -> None:
    settings = sampled(WithoutReplacement((2, 1)), "axy")
    (tree,) = grown(settings, ["yes[ab]no"], no_warp)
    kinds = [Kind(kind) for kind in tree.kinds[1:]]
    assert {Kind.FORCED, Kind.WOR} == set(kinds)
    drawn = [int(tree.tokens[node]) for node in range(1, tree.n) if tree.kinds[node] == Kind.WOR]
    assert drawn == list(ids_of("a")), "b may follow, and is not in the head"
    (nothing,) = grown(sampled(WithoutReplacement((2, 1)), "xyz"), ["[ab]{3}"], no_warp)
    assert nothing.n == 1


# another tokenizer


@cache
def other_tokenizer() -> Any:
    """Single bytes."""
    from tokenizers import Tokenizer, decoders
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast

    letters = sorted(ByteLevel.alphabet())
    backend = Tokenizer(BPE(vocab={letter: i for i, letter in enumerate([*letters, "</s>"])}, merges=[]))
    backend.pre_tokenizer, backend.decoder = ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")


class Says(torch.nn.Module):
    """A byte model that knows the text: behind any beginning of it, it is sure of the next byte."""

    def __init__(self, prompt: str, text: str) -> None:
        super().__init__()
        self.ids = other_tokenizer()(prompt + text)["input_ids"] + [other_tokenizer().eos_token_id]
        self.device = torch.device("cpu")

    def forward(self, input_ids: Any, attention_mask: Any = None, past_key_values: Any = None, use_cache: bool = True) -> Any:
        past = past_key_values if past_key_values is not None else Past(0)
        logits = torch.zeros(*input_ids.shape, 257)
        for i in range(input_ids.shape[1]):
            at = past.n + i + 1
            logits[:, i, self.ids[at] if at < len(self.ids) else 0] = 20
        past.n += input_ids.shape[1]
        return type("Output", (), {"logits": logits, "past_key_values": past})()


class DynamicLayer:
    """As that of transformers: can be cropped."""


class Past:
    def __init__(self, n: int) -> None:
        self.n, self.layers = n, [DynamicLayer()]

    def get_seq_length(self) -> int:
        return self.n

    def crop(self, n: int) -> None:
        self.n += n

    def batch_select_indices(self, rows: Any) -> None: ...


def guessed(pattern: str | None, text: str, output: Sequence[int] = (), **options: Any) -> list[bytes]:
    stopped = constraint(pattern)
    source = OtherTokenizerModel(Says(PROMPT, text), other_tokenizer(), **options).begin(stopped, IDS)
    state = stopped.initial
    for token in output:
        state = stopped.advance(state, token)
    (guess,) = [*source.guesses(Place((*IDS, *output), len(IDS), (), state))] or [Guess(())]
    return [b"$" if token == EOS else VOCAB.token_bytes(token) for token in guess.tokens]


def test_text_of_another_tokenizer_becomes_tokens_of_the_target() -> None:
    assert VOCAB.encode is not None
    (name,) = VOCAB.encode("name")  # one token of the target, four of the other
    rows: list[tuple[str | None, str, list[int], dict[str, Any], bytes]] = [
        (None, "name and age", [], {"length": 10}, b"name and"),  # " a" might become " age"
        ("name and age", "name and age", [], {"length": 20}, b"name and age$"),
        ("name( and age)?", "name", [], {"length": 20}, b"name$"),
        (None, "name and age of", [name], {"length": 6}, b" and"),
        ("name [a-z]*", "name and age of", [name], {"length": 6}, b" and"),
        ("nay", "name", [], {"length": 8}, b""),  # what is allowed instead is improbable
        ("nay", "name", [], {"length": 8, "confidence": 0.0, "options": 257}, b"nay$"),
    ]
    for pattern, text, output, options, expected in rows:
        pieces = guessed(pattern, text, output, **options)
        assert b"".join(pieces) == expected, (pattern, text)
        assert all(len(VOCAB.encode(piece.decode())) == 1 for piece in pieces if piece != b"$"), "as the target's tokenizer writes it"


def test_a_cut_never_leaves_a_token_that_could_grow() -> None:
    """Of any beginning of a text, settled tokens are the first that the tokenizer gives for any longer beginning."""
    text = "the name and age of the person yes no maybe name"
    assert VOCAB.encode is not None
    for end in range(len(text)):
        begun = text[:end]
        tokens = settled(VOCAB, begun.encode(), VOCAB.encode(begun), ends=False)
        for longer in (text, begun + "x", begun + " ", begun + "e person"):
            assert tuple(VOCAB.encode(longer)[: len(tokens)]) == tokens
        assert settled(VOCAB, begun.encode(), VOCAB.encode(begun), ends=True) == tuple(VOCAB.encode(begun))


def test_another_tokenizer_in_the_loop() -> None:
    """Whatever it drafts, tokens are those of no drafts; a model that knows the output saves runs."""
    for pattern in (PATTERNS[0], None, "name and age(, (yes|no|é)){3,9}"):
        automaton = constraint(pattern).automaton
        (plainly,), before = run(generator(), [IDS], [automaton], Speculative(), max_new_tokens=40, do_sample=False)
        text = VOCAB.decode(plainly).decode("utf-8", "replace")
        for says in (text, "something else", "name and age, é, yes"):
            source = OtherTokenizerModel(Says(PROMPT, says), other_tokenizer(), length=30)
            way = Speculative((source,), Fixed(20), is_tree=False)
            (found,), after = run(generator(), [IDS], [automaton], way, max_new_tokens=40, do_sample=False)
            assert found == plainly
            assert after.forward_passes < before.forward_passes or says != text or pattern is None


# refusals


def test_generate_with_drawn_drafts_and_a_law_of_ones_own() -> None:
    """Weights that leave one answer give it."""
    speculative = Speculative(length=Fixed(4), drafter=SampledModel(drafting()))
    yes = set(VOCAB.encode("yes")) if VOCAB.encode is not None else set()

    def future(tokens: Sequence[int], state: int, automaton: Any) -> Any:
        assert automaton.advance_bytes(automaton.initial, VOCAB.decode(tokens)) == state
        phi = np.full(LOGITS, -np.inf)
        phi[[*yes, EOS]] = 0
        return phi

    answers = {
        sg.generate(
            target(), tokenizer(), PROMPT, sg.choice(["yes", "no"]), speculative=speculative, temperature=1.0, seed=seed, future=future
        )
        for seed in range(3)
    }
    assert answers == {"yes"}


def test_what_cannot_be_drafted_is_refused() -> None:
    chain, paths, tree = (SampledModel(drafting(), builder) for builder in (Chain(), Paths(), WithoutReplacement()))
    drawn_only = SampledModel(drafting(), Paths(), forces=False)
    guess = (sg.speculative.Skeleton(),)
    rows: list[tuple[Callable[[], Any], str]] = [
        (lambda: Speculative(verifier=BlockVerification(), drafter=tree), "takes chains"),
        (lambda: Speculative(guess, verifier=BlockVerification(), drafter=chain), "takes chains"),
        (lambda: Speculative(guess, verifier=BlockVerification()), "takes chains"),
        (lambda: Speculative(verifier=KSeq(), drafter=paths), "independent draws only"),
        (lambda: Speculative(guess, verifier=KSeq(), drafter=drawn_only), "independent draws only"),
        (lambda: Speculative(guess, verifier=MultiPathBlock()), "independent draws only"),
        (lambda: Speculative(verifier=SampleFollow(), drafter=SampledModel(drafting(), is_coupled=True)), "leave the verifier out"),
        (lambda: SampledModel(drafting(), temperature=0.0), "temperature above 0"),
        (lambda: SampledModel(drafting(), target_ids=[1, 1]), "different token ids"),
        (lambda: SampledModel(drafting(), target_ids=[]), "different token ids"),
        (lambda: grown(SampledModel(drafting(), target_ids=[1, 2]), [TWO], no_warp), "2 ids, and the draft model 352"),
        (lambda: grown(SampledModel(drafting(), target_ids=[LOGITS]), [TWO], no_warp), "the target 352 logits"),
        (lambda: OtherTokenizerModel(None, other_tokenizer(), length=0), "at least 1"),
        (lambda: TreeModel(target(), [()]), "at least one token"),
    ]
    for make, message in rows:
        with pytest.raises(StructgenError, match=message):
            make()
    assert Speculative(verifier=KSeq(), drafter=drawn_only) and Speculative(verifier=BlockVerification(), drafter=chain)
    assert Speculative(guess, is_tree=False, verifier=BlockVerification())


def test_a_draft_model_whose_cache_cannot_be_cropped_is_refused() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    lm = MistralForCausalLM(MistralConfig(vocab_size=LOGITS, sliding_window=8, **sizes)).eval()
    with pytest.raises(StructgenError, match="cropped"):
        batch(Speculative(length=Fixed(4), drafter=SampledModel(lm)), temperature=1.0, seed=1)
