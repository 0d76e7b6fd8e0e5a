"""What benchmarks/sampling rests on: laws by enumeration, prefix checks that refuse nothing possible, pooled weights, charts."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import structgen as sg
from benchmarks.sampling.divergence import divergence, ideal, truth
from benchmarks.sampling.models import NGram, Remembered
from benchmarks.sampling.plot import line_chart
from benchmarks.sampling.table import Pool
from structgen.sampling import CallableModel, Sample, Samples, Target

BITS = sg.Vocabulary.from_bytes([b"0", b"1", b"", b"01"], eos_token_id=2)


def coin(prefix: tuple[int, ...]) -> Any:
    """Any of the three tokens or the end, with chances that depend on the length."""
    return np.log(np.array([1, 2, 3 + len(prefix), 1]) / (7 + len(prefix)))


def coin_target() -> Target:
    return Target(CallableModel(coin, size=4, eos=2), sg.regex("0*1?0"), BITS, 4)


def test_truth_is_the_law_over_texts() -> None:
    """All token sequences of up to four tokens, merged by text."""
    expected: dict[str, float] = {}
    for tokens in (t for n in range(5) for t in itertools.product((0, 1, 3), repeat=n)):
        text = BITS.decode(tokens).decode()
        if re.fullmatch("0*1?0", text):
            log_p = sum(coin(tokens[:i])[token] for i, token in enumerate((*tokens, 2)))
            expected[text] = expected.get(text, 0.0) + float(np.exp(log_p))
    law, left_out, _ = truth(coin_target())
    assert law == pytest.approx(expected, rel=1e-12) and left_out == 0


def samples(texts: str, log_weights: list[float], log_evidence: float = 0.0) -> Samples:
    found = [Sample((int(text),), -1.0, log_weight) for text, log_weight in zip(texts, log_weights, strict=True)]
    return Samples(tuple(found), coin_target(), len(found), log_evidence)


def test_divergence() -> None:
    law, some = {"0": 0.75, "1": 0.25}, samples("0011", [0.0, np.log(2), 0.0, -np.inf])
    assert divergence(some, law, 4, is_weighted=True) == pytest.approx(0, abs=1e-12)
    assert divergence(some, law, 4, is_weighted=False) == pytest.approx(0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))
    assert divergence(some, law, 2, is_weighted=True) == pytest.approx(np.log(4 / 3))
    assert ideal({"0": 1.0}, 1) == [0, 0, 0, 0]


def test_pool_merges_weights_and_evidence() -> None:
    pool = Pool([samples("00", [0.0, 0.0], np.log(0.2)), samples("11", [np.log(3), np.log(3)], np.log(0.6))])
    assert pool.mean(lambda text: text == "1") == pytest.approx(0.75)
    assert np.exp(pool.log_evidence) == pytest.approx(0.4) and pool.log_prob == pytest.approx(-1)
    assert Pool(pool.runs, is_weighted=False).mean(lambda text: text == "1") == pytest.approx(0.5)


def test_ngram() -> None:
    model = NGram(["abc", "abd"], order=3)
    rows = Remembered(model, room=1).log_probs([(), (5, 6), ()])
    assert np.allclose(np.exp(rows).sum(1), 1) and np.isfinite(rows).all()
    assert np.array_equal(rows[0], rows[2]) and np.array_equal(rows, model.log_probs([(), (5, 6), ()]))
    heavy = NGram(["abc", "xyz"], weights=[1.0, 3.0]).log_probs([()])[0]
    assert sorted(np.exp(heavy))[-2:] == pytest.approx([1 / 4, 3 / 4], abs=0.1)


def test_line_chart(tmp_path: Path) -> None:
    lines = {"a < b": [(1.0, 0.5), (10.0, 0.02)], "c": [(1.0, 0.3), (300.0, 0.3)]}
    line_chart(tmp_path / "chart.svg", "Title", "x", "y", lines, log_x=True, log_y=True)
    root = ElementTree.parse(tmp_path / "chart.svg").getroot()
    drawn = [element.attrib["points"] for element in root.iter() if element.tag.endswith("polyline")]
    points = [tuple(map(float, point.split(","))) for line in drawn for point in line.split()]
    assert len(drawn) == 2 and all(0 < x < 640 and 0 < y < 380 for x, y in points)
    assert points[0][1] < points[1][1], "what is less stands lower"
    assert {"a < b", "c", "Title"} <= {element.text for element in root.iter()}


def test_backreference_prefixes() -> None:
    """Against the definition, for all texts up to six characters of a small alphabet."""
    pytest.importorskip("regex")
    from benchmarks.sampling.backreference import MATCH

    def begins(text: str) -> bool:
        open_tag = re.match(r"<[a-z]*$|<[a-z]+>[A-Za-z0-9 ,.-]*$", text)
        closing = re.match(r"<([a-z]+)>([A-Za-z0-9 ,.-]+)<(.*)$", text)
        ends = closing and any(c.isdigit() for c in closing[2]) and f"/{closing[1]}>".startswith(closing[3])
        return not text or bool(open_tag or ends)

    assert MATCH.prefix_check is not None
    for text in ("".join(letters) for n in range(7) for letters in itertools.product("<>/ab1", repeat=n)):
        assert MATCH.prefix_check(text) == begins(text), text
    with pytest.raises(sg.GrammarSyntaxError, match="back-references"):
        from benchmarks.sampling.backreference import PATTERN

        sg.compile(sg.regex(PATTERN), BITS)


def test_sql_prefixes() -> None:
    from benchmarks.sampling.sql import RUNS, answer, may_go_on, pairs

    for _, query in pairs():
        assert RUNS.complete_check is not None and RUNS.complete_check(query)
        assert all(may_go_on(query[:i]) for i in range(len(query) + 1)), query
    for wrong in ("SELECT )", "SELECT FROM book", "FOO ", "SELECT 1; SELECT", "SELECT \0"):
        assert not may_go_on(wrong), wrong
    for wrong in ("", "DROP TABLE book", "DELETE FROM book", "SELECT x FROM book", "SELECT * FROM book WHERE price > 999"):
        assert not RUNS.complete_check(wrong), wrong
    assert answer("SELECT count(*) FROM book") == [(4,)]


def test_smiles_prefixes() -> None:
    pytest.importorskip("partialsmiles")
    pytest.importorskip("rdkit")
    from benchmarks.sampling.smiles import MOLECULES, is_molecule, parses

    for text in (line.split(" ", 1)[0] for line in MOLECULES.read_text().splitlines()):
        assert parses(text, False) and is_molecule(text), text
        assert all(parses(text[:i], True) for i in range(len(text))), text
    assert not parses("C(C)(C)(C)(C)C", True) and not parses("C1CC", False) and not parses("", False)


def test_copied_strings() -> None:
    pytest.importorskip("faker")
    from benchmarks.sampling.extraction import FAMILIES, copied
    from examples.train_tiny.evaluate import held_out
    from examples.train_tiny.records import dumps

    for name in FAMILIES:
        (example,) = held_out(1, 12345, free=False)[name]
        check, text = copied(example).prefix_check, dumps(example.record)
        assert check is not None and all(check(text[:i]) for i in range(len(text) + 1)), text
        wrong = re.sub(r'("(?:recipient|brand|product)": ")', r"\1Zyx", text)
        assert wrong != text and not check(wrong)
