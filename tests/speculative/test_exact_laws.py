"""Every lossless verifier leaves the law of token-by-token constrained decoding as it is, to equality of fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from structgen.speculative.draft_tree import DraftTree, Kind, Sapling
from structgen.speculative.verifiers import (
    BlockVerification,
    KSeq,
    MultiPathBlock,
    RecursiveRejection,
    SampleFollow,
    TraversalVerification,
)
from tests.sampling.exact import logs
from tests.speculative.toys import (
    Build,
    Context,
    Laws,
    Row,
    Toy,
    behind,
    best_first,
    distance,
    emitted,
    mixed,
    no_drafts,
    normalised,
    paths_of,
    points_of,
    tree_of,
    without,
)

CHAIN, IID, WOR = tree_of(1, 2, Kind.IID), tree_of(2, 2, Kind.IID), tree_of(2, 2, Kind.WOR)
GENERAL = SampleFollow(), RecursiveRejection(), TraversalVerification()
BLOCK, K_SEQ, PATHS, GATED = BlockVerification(), KSeq(), MultiPathBlock(gated=False), MultiPathBlock()

SHAPES: list[tuple[str, Build, int, tuple[Any, ...]]] = [
    ("nothing", no_drafts, 1, (*GENERAL, BLOCK, K_SEQ, PATHS, GATED)),
    ("chain", CHAIN, 3, (*GENERAL, BLOCK, K_SEQ, PATHS, GATED)),
    ("points in a chain", points_of(1, 3), 4, (*GENERAL, BLOCK)),
    ("points", points_of(2, 2), 3, GENERAL),
    ("forced", points_of(1, 2, Kind.FORCED), 3, (*GENERAL, BLOCK)),
    ("2 iid", tree_of(2, 1, Kind.IID), 2, (*GENERAL, K_SEQ, PATHS, GATED)),
    ("3 iid", tree_of(3, 1, Kind.IID), 2, (*GENERAL, K_SEQ, PATHS, GATED)),
    ("2 without replacement", tree_of(2, 1, Kind.WOR), 2, GENERAL),
    ("3 without replacement", tree_of(3, 1, Kind.WOR), 2, GENERAL),
    ("2 paths", paths_of(2, 2), 3, (*GENERAL, K_SEQ, PATHS, GATED)),
    ("mixed kinds", mixed, 3, GENERAL),
    ("best first", best_first(3, 3), 4, GENERAL),
]
CASES = [
    pytest.param(build, n, verifier, id=f"{name}-{type(verifier).__name__}{'-gated' * (verifier is GATED)}")
    for name, build, n, verifiers in SHAPES
    for verifier in verifiers
]
LARGE = [
    pytest.param(IID, 3, RecursiveRejection(), id="4 iid-RecursiveRejection"),
    pytest.param(IID, 3, TraversalVerification(), id="4 iid-TraversalVerification"),
    pytest.param(IID, 3, K_SEQ, id="4 iid-KSeq"),
    pytest.param(WOR, 3, RecursiveRejection(), id="4 without replacement-RecursiveRejection"),
    pytest.param(WOR, 3, TraversalVerification(), id="4 without replacement-TraversalVerification"),
    pytest.param(paths_of(3, 2), 3, PATHS, id="3 paths-MultiPathBlock"),
]
MASKED, ENDS = Toy(1), Toy(17, end=True)  # ENDS: all three may come first, one of them with p < q


@pytest.mark.parametrize("toy", [MASKED, ENDS], ids=["masked", "with ends"])
@pytest.mark.parametrize("build, n, verifier", CASES)
def test_drafts_under_the_mask(toy: Toy, build: Build, n: int, verifier: Any) -> None:
    assert toy.completed(emitted(toy, build, verifier, toy.masked(toy.q)), n) == toy.texts(n)


@pytest.mark.parametrize("build, n, verifier", LARGE)
def test_larger_trees(build: Build, n: int, verifier: Any) -> None:
    assert MASKED.completed(emitted(MASKED, build, verifier, MASKED.masked(MASKED.q)), n) == MASKED.texts(n)


@pytest.mark.parametrize("build, n, verifier", CASES)
def test_drafts_that_know_no_mask(build: Build, n: int, verifier: Any) -> None:
    """Refused drafts are in the tree, and the law q of the test is the one they were drawn from."""
    assert MASKED.completed(emitted(MASKED, build, verifier, MASKED.q), n) == MASKED.texts(n)


@pytest.mark.parametrize("build, n, verifier", [case for case in CASES if case.values[1] < 4])
def test_floats(build: Build, n: int, verifier: Any) -> None:
    """The same on float64: what is left is rounding."""
    toy = Toy(1, floats=True)
    assert distance(toy.completed(emitted(toy, build, verifier, toy.masked(toy.q)), n), toy.texts(n)) < 1e-12


@pytest.mark.parametrize("verifier", [RecursiveRejection(), TraversalVerification()], ids=lambda v: type(v).__name__)
def test_rows_need_be_neither_normalised_nor_wide(verifier: Any) -> None:
    """A token is drawn in proportion to what its float32 row says, and that is the law it is judged by."""
    toy, q = Toy(5, free=True, floats=True), np.array([0.5, 1.25, 3.1], np.float32)

    def build(toy: Toy, _: Laws, choose: Any) -> DraftTree:
        sapling = Sapling(toy)
        number = sapling.law(q)
        for _ in range(2):
            sapling.add(0, choose(np.log(np.exp(q.astype(float)))), Kind.IID, number)
        return sapling.tree()

    assert distance(toy.completed(emitted(toy, build, verifier, toy.q), 2), toy.texts(2)) < 1e-12


def kept_if_allowed(k: int, recorded: str, kind: Kind = Kind.IID) -> Build:
    """Draws from the raw q, and leaves refused ones out of the tree; the recorded law is ``"raw"`` or ``"masked"``."""

    def build(toy: Toy, q: Laws, choose: Any) -> DraftTree:
        sapling, layer = Sapling(toy), [0]
        for _ in range(2):
            children = []
            for node in layer:
                context = behind(sapling, toy, node)
                assert context is not None
                number = sapling.law(toy.log(q(context) if recorded == "raw" else toy.masked(q)(context)))
                drawn: list[int] = []
                for _ in range(k):
                    drawn.append(choose(logs(without(q(context), drawn) if kind == Kind.WOR else q(context))))
                    if toy.may_follow(context)[drawn[-1]]:
                        children.append(sapling.add(node, drawn[-1], kind, number))
            layer = children
        return sapling.tree()

    return build


DROPPING = [
    (1, Kind.IID, RecursiveRejection()),
    (1, Kind.IID, TraversalVerification()),
    (1, Kind.IID, BLOCK),
    (2, Kind.WOR, RecursiveRejection()),
    (2, Kind.WOR, TraversalVerification()),
]


@pytest.mark.parametrize("k, kind, verifier", DROPPING)
def test_refused_drafts_may_be_left_out_if_the_law_is_renormalised(k: int, kind: Kind, verifier: Any) -> None:
    assert MASKED.completed(emitted(MASKED, kept_if_allowed(k, "masked", kind), verifier, MASKED.q), 3) == MASKED.texts(3)


@pytest.mark.parametrize("k, kind, verifier", DROPPING[:3])
def test_leaving_them_out_under_the_raw_law_is_wrong(k: int, kind: Kind, verifier: Any) -> None:
    """The trap that the two tests before would not notice if they could not tell laws apart."""
    found = MASKED.completed(emitted(MASKED, kept_if_allowed(k, "raw", kind), verifier, MASKED.q), 3)
    assert distance(found, MASKED.texts(3)) > 0.01


@pytest.mark.parametrize("verifier", [RecursiveRejection(), TraversalVerification(), BLOCK, K_SEQ, PATHS], ids=lambda v: type(v).__name__)
def test_a_row_that_was_not_sampled_from_shows(verifier: Any) -> None:
    """Drafts drawn from q whose rows say another law: what becomes of a top-k that the drafter forgets to mention."""

    def build(toy: Toy, q: Laws, choose: Any) -> DraftTree:
        sapling = Sapling(toy)
        sapling.add(0, choose(logs([Fraction(1), Fraction(0), Fraction(0)])), Kind.IID, sapling.law(toy.log(q(()))))
        return sapling.tree()

    toy = Toy(5, free=True)
    assert distance(toy.completed(emitted(toy, build, verifier, toy.q), 2), toy.texts(2)) > 0.01


def future_of(toy: Toy, n: int) -> Laws:
    """Of each token behind a context, the probability under the raw p that the first n tokens turn out allowed; from the definition."""

    def valid(context: Context) -> Fraction:
        return (
            sum((p * phi for p, phi in zip(toy.p(context), phis(context), strict=True)), Fraction(0)) if len(context) < n else Fraction(1)
        )

    def phis(context: Context) -> Row:
        return [valid((*context, token)) if ok else Fraction(0) for token, ok in enumerate(toy.may_follow(context))]

    return phis


def is_valid(toy: Toy, text: Context) -> bool:
    return all(toy.may_follow(text[:i])[token] for i, token in enumerate(text))


@pytest.mark.parametrize("build, verifier", [(tree_of(1, 2, Kind.IID), BLOCK), (tree_of(2, 2, Kind.WOR), TraversalVerification())])
def test_the_twisted_target_has_the_law_given_that_all_is_valid(build: Build, verifier: Any) -> None:
    toy, n = MASKED, 3
    phis = future_of(toy, n)
    raw = {text: p for text, p in toy.texts(n, toy.p).items() if is_valid(toy, text)}
    given_valid = {text: p / sum(raw.values()) for text, p in raw.items()}

    def twisted(context: Context) -> Row:
        return normalised([p * phi for p, phi in zip(toy.p(context), phis(context), strict=True)])

    def future(tree: DraftTree, node: int) -> Any:
        return logs(phis(tree.prefix(node)))

    found = toy.completed(emitted(toy, build, verifier, toy.masked(toy.q), future=future), n, twisted)
    assert {text: p for text, p in found.items() if p} == given_valid
    assert distance(toy.texts(n), given_valid) > 0.05  # masks alone are another law
