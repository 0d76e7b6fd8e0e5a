"""Tree search and the diffusion drafter against searches by brute force, and drafting ahead in a thread."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch

import structgen as sg
from structgen.automata.machine import DEAD, FINISHED
from structgen.errors import StructgenError
from structgen.speculative.drafters.diffusion_draft import DiffusionDraft, DraftLength, NGrams, candidates
from structgen.speculative.drafters.fused import Fused, Rates
from structgen.speculative.drafters.pearl import Pearl
from structgen.speculative.drafters.source import Guess, Place, Source
from structgen.speculative.drafters.tree_search import MAX_PAIRS, TreeSearch, puct
from structgen.speculative.lengths import Fixed
from structgen.speculative.loop import Row, Statistics, decode
from structgen.speculative.stopped import Stopped
from structgen.speculative.verifiers.following import GreedyMatch
from tests.decoding.models import LOGITS, model
from tests.speculative.test_loop import IDS, STOPS, Oracle, automaton, generator

VOCAB = sg.Vocabulary.from_bytes([b"a", b"b", b"c", b"ab", b"</s>"], eos_token_id=4)
SIZE = len(VOCAB)
Path = tuple[int, ...]


def stopped(pattern: str | None) -> Stopped:
    return Stopped(None if pattern is None else sg.compile(sg.regex(pattern), VOCAB), VOCAB, [4], SIZE)


def decoded(source: Source, name: str | None, limit: int = 48, budget: int = 30, lm: Any = None) -> tuple[list[int], Statistics]:
    constraint = Stopped(automaton(name) if name else None, generator().vocab, STOPS, LOGITS)
    row = Row(IDS, constraint, Fused([source.begin(constraint, IDS)], constraint, len(IDS), Rates()), GreedyMatch(), limit)
    statistics = decode(lm or generator().model, [row], lambda weights: 0, Fixed(budget))
    return row.tokens, statistics


# tree search


def test_puct() -> None:
    """AlphaZero's score: C_INIT = 1, C_BASE = 100."""
    for q, p, n, n_all in ((0.0, 0.5, 0, 1), (0.4, 0.2, 3, 10), (1.0, 1.0, 50, 50)):
        expected = q + (1 + math.log((1 + n_all + 100) / 100)) * p * math.sqrt(n_all) / (1 + n)
        assert puct(q, p, n, n_all) == pytest.approx(expected)


def searched(table: dict[Path, dict[int, float]], start: Path, constraint: Stopped, simulations: int, length: int) -> dict[Path, int]:
    """The visits of each path, from the definition: paths are keys and nothing is kept but counts."""
    visits: dict[Path, int] = {}
    credit: dict[Path, float] = {}
    laws: dict[Path, dict[int, float]] = {}  # of the paths that were opened

    def law(path: Path) -> dict[int, float]:
        state = constraint.initial
        for token in path:
            state = constraint.advance(state, token)
        known = table.get((*start, *path)[-2:], {}) if state > FINISHED and len(path) < length else {}
        may_follow = {token: p for token, p in known.items() if constraint.advance(state, token) != DEAD}
        return {token: p / sum(may_follow.values()) for token, p in may_follow.items()}

    def best(path: Path) -> Path:
        total = max(1, sum(visits.get((*path, token), 0) for token in laws[path]))
        scores = {}
        for token, p in laws[path].items():
            n = visits.get((*path, token), 0)
            scores[token] = puct(credit[(*path, token)] / n if n else 0.0, p, n, total)
        return (*path, max(scores, key=lambda token: scores[token]))

    for _ in range(simulations):
        path: Path = ()
        while laws.get(path):
            path = best(path)
        if path == () or visits.get(path):
            laws[path] = law(path)
            path = best(path) if laws[path] else path
        p = math.prod(laws[path[:i]][path[i]] for i in range(len(path)))
        for i in range(1, len(path) + 1):
            visits[path[:i]] = visits.get(path[:i], 0) + 1
            credit[path[:i]] = credit.get(path[:i], 0.0) + p
    return visits


@pytest.mark.parametrize("pattern", [None, "(a|b|ab){1,4}", "(ab)*c", "a{3}b{3}", "c(a|bc)*"])
def test_a_search_by_the_definition(pattern: str | None) -> None:
    rng, constraint = random.Random(0), stopped(pattern)
    for _ in range(12):
        source = TreeSearch(rng.randrange(1, 60), rng.randrange(1, 6), 1000).begin(constraint, [0, 1])
        assert isinstance(source, TreeSearch)
        pairs = [(u, v) for u in range(SIZE) for v in range(SIZE) if rng.random() < 0.8] + [(0, 1)]
        for pair in pairs:
            p = [rng.random() ** 3 for _ in range(SIZE)]
            source._update(pair, {token: each / sum(p) for token, each in enumerate(p) if rng.random() < 0.8 or token == 0})
        expected = searched(source._table, (0, 1), constraint, source._simulations, source._length)
        nodes = source.search((0, 1), constraint.initial)
        assert {tuple(node.path()): node.visits for node in nodes} == expected
        place, guesses = Place((0, 1), 2, (), constraint.initial), []
        source._nodes = rng.randrange(1, 8)
        for guess in source.guesses(place):
            path = tuple(guess.tokens)
            guesses.append(path)
            assert guess.chance is not None and 0 < guess.chance <= 1
        drafted = {path[:i] for path in guesses for i in range(1, len(path) + 1)}
        least = sorted(expected.values(), reverse=True)[: source._nodes]
        assert sorted((expected[path] for path in drafted), reverse=True) == least, "the nodes visited most"


def test_the_table_follows_the_target() -> None:
    source = TreeSearch(kept=2, rate=0.25, outputs=[[0, 1, 2]])
    rows = torch.log(torch.tensor([[0.1, 0.6, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1]]))
    source.look([Place((9, 0), 2, (1,), 1), Place((7,), 1, (), 1)], rows)
    assert source._table == {(0, 1): {2: pytest.approx(0.75 + 0.25 * 0.2), 1: pytest.approx(0.15)}}, "one token is no pair"
    source.look([Place((5, 6), 2, (), 1)], rows[:1])
    assert list(source._table[5, 6]) == [1, 2] and len(source._table) == 2 < MAX_PAIRS


def test_what_cannot_go_on_is_not_guessed() -> None:
    source = TreeSearch(outputs=[[0, 1, 2], [0, 1, 2]])
    rows = [("abc?", (0, 1), [[2]]), ("ab", (0, 1), []), (None, (1, 0), []), (None, (1,), [])]
    for pattern, text, expected in rows:
        constraint, state = stopped(pattern), stopped(pattern).initial
        if pattern:
            for token in (0, 1):
                state = constraint.advance(state, token)
        begun = source.begin(constraint, [0])
        assert [list(guess.tokens) for guess in begun.guesses(Place(text, 1, (), state))] == expected


# diffusion


class Rows:
    """The rows of positions, counted from the end of the prompt; the mask is the most probable."""

    mask_token_id = SIZE

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        (masks,) = torch.nonzero(ids[0] == SIZE, as_tuple=True)
        found = torch.zeros(1, ids.shape[1], SIZE + 1)
        found[0, masks, :SIZE] = torch.from_numpy(np.array(self.rows[: len(masks)])).float()
        found[0, masks, SIZE] = 50.0
        return found


def test_candidates() -> None:
    rows: list[tuple[list[float], float, int, list[int]]] = [
        ([0.5, 0.3, 0.2], 0.5, 9, [0]),
        ([0.5, 0.3, 0.2], 0.51, 9, [0, 1]),
        ([0.2, 0.3, 0.5], 0.81, 9, [2, 1, 0]),
        ([0.2, 0.3, 0.5], 1.0, 2, [2, 1]),
        ([1.0, 0.0, 0.0], 0.8, 9, [0]),
    ]
    for law, mass, most, expected in rows:
        with np.errstate(divide="ignore"):
            assert candidates(np.log(law), mass, most) == expected
    rng = np.random.default_rng(0)
    for _ in range(100):
        log_q = np.log(rng.dirichlet(np.ones(12)))
        found = candidates(log_q, 0.8, 15)
        assert np.exp(log_q[found]).sum() >= 0.8 > np.exp(log_q[found[:-1]]).sum(), "no fewer would do"
        assert min(log_q[found]) >= max((log_q[i] for i in range(12) if i not in found), default=-np.inf)


def all_paths(constraint: Stopped, log_q: Any, state: int, path: Path = ()) -> Iterator[Path]:
    """Every path through the candidates that the constraint allows, or the best of all tokens where it allows none."""
    if len(path) == len(log_q) or state <= FINISHED:
        yield path
        return
    may_follow = [t for t in range(SIZE) if constraint.advance(state, t) != DEAD]
    options = [t for t in candidates(log_q[len(path)], 0.7, 3) if t in may_follow]
    for token in options or [max(may_follow, key=lambda t: float(log_q[len(path), t]))]:
        yield from all_paths(constraint, log_q, constraint.advance(state, token), (*path, token))


def score(path: Path, text: Path, log_q: Any, weight: float) -> float:
    whole, grams = (*text, *path), NGrams().grown(text)
    grammed = (grams(whole[len(text) + i - 2 : len(text) + i], token) for i, token in enumerate(path))
    parts = [weight * log_q[i, path[i]] + (1 - weight) * each for i, each in enumerate(grammed)]
    return float(np.mean(parts))


@pytest.mark.parametrize("pattern", [None, "(a|b|ab){1,4}", "(ab)*c", "a{2}b{9}", "c(a|bc)*"])
def test_the_path_by_brute_force(pattern: str | None) -> None:
    rng, constraint, text = np.random.default_rng(1), stopped(pattern), (0, 2, 0, 1)
    for case in range(10):
        rows, weight, n = rng.normal(size=(4, SIZE)) * 2, (0.0, 0.3, 1.0)[case % 3], 1 + case % 4
        log_q = (rows - np.log(np.exp(rows).sum(1, keepdims=True)))[:n]
        expected = sorted((score(path, text, log_q, weight) for path in all_paths(constraint, log_q, constraint.initial)), reverse=True)
        source = DiffusionDraft(Rows(rows), 0.7, 3, 10_000, weight, lengths=(n, n)).begin(constraint, [0, 2])
        found = [tuple(guess.tokens) for guess in source.guesses(Place(text, 2, (), constraint.initial))]
        assert [score(path, text, log_q, weight) for path in found] == pytest.approx(expected)
        narrow = DiffusionDraft(Rows(rows), 0.7, 3, 1, weight, lengths=(n, n)).begin(constraint, [0, 2])
        (greedy,) = narrow.guesses(Place(text, 2, (), constraint.initial))
        assert tuple(greedy.tokens) in found


class Knows:
    """A diffusion model that knows the output; rows of what is wrong are the likelier the further they are from the text."""

    mask_token_id = LOGITS - 1

    def __init__(self, output: Sequence[int], doubt: float = 0.0) -> None:
        self.output, self.doubt = output, doubt

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        n_text = int((ids[0] != self.mask_token_id).sum())
        rows = torch.zeros(1, ids.shape[1], LOGITS)
        for i in range(n_text, ids.shape[1]):
            at = n_text - len(IDS) + i - n_text
            if at < len(self.output):
                rows[0, i, self.output[at]] = 20.0 - self.doubt * (i - n_text)
        return rows


def test_tokens_that_the_target_has_not_are_not_guessed() -> None:
    """A diffusion model with more tokens than the target, and a text that is free."""
    free = Stopped(None, VOCAB, [4], 3)
    source = DiffusionDraft(Rows([[0.0, 1.0, 2.0, 9.0, 9.0]] * 4), 1.0, 9, lengths=(4, 4), weight=1.0).begin(free, [0])
    for guess in source.guesses(Place((0,), 1, (), free.initial)):
        assert guess.tokens and set(guess.tokens) <= {0, 1, 2}


@pytest.mark.parametrize("name", [None, "schema", "regex", "lark"])
def test_a_diffusion_model_that_knows_the_output(name: str | None) -> None:
    expected, _ = decoded(DiffusionDraft(Knows([])), name, budget=0)
    found, statistics = decoded(DiffusionDraft(Knows(expected), weight=1.0), name)
    assert found == expected and statistics.steps <= 2
    found, statistics = decoded(DiffusionDraft(Knows(expected, 4.0)), name)
    assert found == expected and statistics.tokens > 2 * statistics.steps


def test_draft_lengths() -> None:
    length = DraftLength(20, 30, 10, 0.5)
    assert length.masks == 30
    for drafted, accepted, masks in ((30, 30, 30), (12, 3, 21), (10, 2, 20), (26, 26, 20), (20, 20, 20), (20, 24, 30), (30, 0, 25)):
        length.update(drafted, accepted)
        assert length.masks == masks, (drafted, accepted)


def test_n_grams() -> None:
    rng = random.Random(0)
    text, grown = [rng.randrange(4) for _ in range(40)], NGrams()
    for end in (0, 3, 17, 40):
        grown.grown(text[:end])
    for _ in range(60):
        before, token = [rng.randrange(5) for _ in range(rng.randrange(4))], rng.randrange(5)

        def count(ngram: Sequence[int]) -> int:
            return sum(text[i : i + len(ngram)] == list(ngram) for i in range(len(text) - len(ngram) + 1))

        expected = 1.0
        history = before[-2:]
        while history and not count([*history, token]):
            history, expected = history[1:], 0.4 * expected
        expected *= count([*history, token]) / count(history) if history else (count([token]) + 0.5) / (len(text) + 1)
        assert math.exp(grown(before, token)) == pytest.approx(expected)


# ahead


class Counting(Source):
    """Goes on counting from the last token."""

    def guesses(self, place: Place) -> Iterable[Guess]:
        return [Guess(range(place.last(1)[0] + 1, 1000))]


def test_drafts_ahead() -> None:
    """Behind texts in turn: what comes at once is what was drafted while the target ran."""
    rows: list[tuple[list[list[int]], list[list[int]]]] = [
        # all right: after the first step a draft, the first token of which the target gave itself
        ([[1], [1, 2], [1, 2, 3, 4, 5]], [[], [3, 4], [6, 7]]),
        ([[1], [1, 2], [1, 2, 3]], [[], [3, 4], []]),  # partly right: begun anew
        ([[1], [1, 2], [1, 2, 3, 4, 9], [1, 2, 3, 4, 9, 10]], [[], [3, 4], [], [11, 12]]),  # another token behind it
        ([[1], [7], [7, 8]], [[], [], [9, 10]]),
        ([[1], [1, 2, 3, 4, 5]], [[], []]),  # more came than was drafted
        ([[1], [1, 2, 3, 4]], [[], []]),  # just as much
    ]
    constraint = Stopped(None, generator().vocab, STOPS, LOGITS)
    for texts, expected in rows:
        source = Pearl(Counting(), 3).begin(constraint, texts[0])
        found = [[list(guess.tokens) for guess in source.guesses(Place(tuple(text), 1, (), constraint.initial))] for text in texts]
        assert found == [[tokens] if tokens else [] for tokens in expected], texts


class Waits(Oracle):
    """Drafts only when the target has begun to run."""

    began = Event()

    def guesses(self, place: Place) -> list[Guess]:
        assert self.began.wait(60), "the target does not run while this drafts"
        self.began.clear()
        return super().guesses(place)


def test_the_target_runs_while_drafts_are_made() -> None:
    lm = model(4, torch.float64)
    expected, _ = decoded(Oracle([]), None, lm=lm)
    hook = lm.register_forward_pre_hook(lambda *_: Waits.began.set())
    try:
        found, statistics = decoded(Pearl(Waits(expected), 4), None, lm=lm)
    finally:
        hook.remove()
        Waits.began.set()
    assert found == expected and statistics.steps == 1 + -(-(48 - 1) // 4), "one token, then four at a time"


def test_what_fails_in_the_thread_is_raised() -> None:
    class Fails(Source):
        def guesses(self, place: Place) -> list[Guess]:
            raise StructgenError("no draft today")

    with pytest.raises(StructgenError, match="no draft today"):
        decoded(Pearl(Fails()), None)


def test_bad_settings_are_refused() -> None:
    rows: list[tuple[Callable[[], Any], str]] = [
        (lambda: TreeSearch(0), "simulations must be a whole number"),
        (lambda: TreeSearch(rate=0.0), "rate is above 0"),
        (lambda: DiffusionDraft(Rows([]), width=0), "width must be a whole number"),
        (lambda: DiffusionDraft(Rows([]), mass=1.5), "mass and weight"),
        (lambda: DiffusionDraft(Rows([]), lengths=(5, 4)), "lengths ascend"),
        (lambda: DiffusionDraft(None), "mask_token_id"),  # type: ignore[arg-type]
        (lambda: Pearl(Counting(), 0), "length must be a whole number"),
        (lambda: Pearl(sg.speculative.EarlyExit(model())), "without hidden states"),
    ]
    for make, message in rows:
        with pytest.raises(StructgenError, match=message):
            make()
