"""The grammars of the library against other implementations of their standards: the same texts, right ones and damaged ones."""

from __future__ import annotations

import csv
import datetime
import io
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from random import Random

import pytest

import structgen as sg
from structgen.automaton import TokenAutomaton
from structgen.enumeration import byte_automaton
from structgen.errors import StructgenError
from structgen.grammars import library
from tests.grammars.library_oracles import ORACLES

DATA = Path(__file__).parent.parent / "data" / "library"
FOREIGN = "\0\t\n\r é٣\u2028\U0001f600\"',;:.-+_/@[](){}%#09aZT"
"""Characters that damage texts, besides those of the texts themselves."""


@cache
def automaton(name: str) -> TokenAutomaton:
    return byte_automaton(library.grammar(name))


def examples(name: str) -> dict[str, list[str]]:
    found = json.loads((DATA / f"{name}.json").read_text("utf-8"))
    assert sorted(found) == ["accepted", "rejected"] and min(map(len, found.values())) > 5
    return found


def damaged(text: str, random: Random, letters: str) -> str:
    """With one or two characters inserted, dropped, replaced or swapped, or with a piece of it doubled or dropped."""
    for _ in range(random.choice((1, 1, 2))):
        i, j = sorted(random.randrange(len(text) + 1) for _ in range(2))
        letter = random.choice(letters)
        text = random.choice(
            (
                text[:i] + letter + text[i:],
                text[:i] + letter + text[i + 1 :],
                text[:i] + text[i + 1 :],
                text[:i] + text[i + 1 : i + 2] + text[i : i + 1] + text[i + 2 :],
                text[:j] + text[i:],
                text[:i] + text[j:],
            )
        )
    return text


def agree(name: str, text: str) -> bool:
    """Whether a text is in the grammar, on which its oracle must agree."""
    found = automaton(name).accepts(text)
    assert found == ORACLES[name](text), f"{name} {'accepts' if found else 'rejects'} {text!r}"
    return found


def test_every_grammar_has_an_oracle_examples_and_a_row_in_the_documentation() -> None:
    assert library.names() == sorted(ORACLES) == sorted(path.stem for path in DATA.iterdir())
    rows = (Path(__file__).parents[2] / "docs" / "library.md").read_text("utf-8").splitlines()
    for name in library.names():
        assert any(row.startswith(f"| `{name}` |") for row in rows)
        assert len(library.summary(name)) > 20 and "Left out" in library.source(name)


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_examples(name: str) -> None:
    for verdict, texts in examples(name).items():
        for text in texts:
            assert agree(name, text) == (verdict == "accepted"), text


@pytest.mark.parametrize(("n_words", "n_texts"), [(50, 0), pytest.param(200, 8000, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", sorted(ORACLES))
def test_random_texts_and_damaged_ones(name: str, n_words: int, n_texts: int) -> None:
    """What is still right after damage is damaged further, so that texts drift away from those that the grammar makes up. At
    least ``n_texts`` damaged texts, and 500 different right ones and 500 wrong ones."""
    random = Random(name)
    right = [word.decode() for word in sg.random_words(library.grammar(name), n_words, seed=5, typical_length=40)]
    assert all(agree(name, text) for text in right)
    right += examples(name)["accepted"] * 5
    letters = FOREIGN + "".join(sorted({char for text in right for char in text if char.isascii()}))
    n_wrong, n, different = 0, 0, set(right)
    while n < n_texts or (n < 20_000 and (n_wrong < 500 or len(different) < 500)):
        n += 1
        text = damaged(random.choice(right), random, letters)[:100]
        if agree(name, text):
            right.append(text)
            different.add(text)
        else:
            n_wrong += 1
    assert len(different) >= 500 and n_wrong >= 500


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_short_texts_of_telling_characters(name: str) -> None:
    """All short texts of the characters of one right text."""
    for sample in examples(name)["accepted"]:
        letters = sorted(set(sample))[:8]
        texts = [""]
        for _ in range(3):
            texts = [text + letter for text in texts for letter in letters]
            for text in texts:
                agree(name, text)


def random_value(random: Random, depth: int = 0) -> object:
    kind = random.randrange(5 if depth > 3 else 7)
    if kind == 5:
        return [random_value(random, depth + 1) for _ in range(random.randrange(4))]
    if kind == 6:
        return {random_text(random): random_value(random, depth + 1) for _ in range(random.randrange(4))}
    number = random.gauss(0, 1) * 10 ** random.randrange(-300, 300)
    return (None, True, random.randrange(-(10**20), 10**20), number, random_text(random))[kind]


def random_text(random: Random, letters: str = FOREIGN + "\\\x7f") -> str:
    return "".join(random.choices(letters, k=random.randrange(6)))


def test_what_the_json_module_writes() -> None:
    random = Random(1)
    for i in range(1000):
        assert agree("json", json.dumps(random_value(random), ensure_ascii=i % 2 == 0, indent=random.choice((None, 0, 3))))


def test_what_the_csv_module_writes_and_reads() -> None:
    random = Random(2)
    letters = FOREIGN.replace("\0", "").replace("\t", "")
    for _ in range(1000):
        rows = [[random_text(random, letters) for _ in range(random.randrange(1, 4))] for _ in range(random.randrange(1, 4))]
        file = io.StringIO(newline="")
        csv.writer(file, quoting=random.choice((csv.QUOTE_ALL, csv.QUOTE_MINIMAL)), lineterminator="\r\n").writerows(rows)
        assert agree("csv", file.getvalue())
    for word in sg.random_words(library.grammar("csv"), 50, seed=3):
        list(csv.reader(io.StringIO(word.decode(), newline=""), strict=True))


def test_days_and_times_of_the_datetime_module() -> None:
    random = Random(3)
    for _ in range(1000):
        day = datetime.datetime.min + datetime.timedelta(microseconds=random.randrange(86400 * 10**6 * 3652058))
        year, week, weekday = day.isocalendar()
        time = day.isoformat(timespec=random.choice(("hours", "minutes", "seconds", "microseconds")))
        texts = [time, f"{time}Z", f"{time}+05:30", time[10:], f"{day.year:04}{day:%m%dT%H%M%S}", f"{day.year:04}{day:%j}"]
        texts += [f"{year:04}-W{week:02}-{weekday}", f"{year:04}W{week:02}{weekday}", f"{year:04}-W{week:02}"]
        assert all(agree("iso-8601", text) for text in texts)


@pytest.mark.parametrize("shape", ["{:04}-366", "{:04}-W53", "{:04}-02-29", "{:04}W537"])
def test_all_years(shape: str) -> None:
    for year in range(10_000):
        agree("iso-8601", shape.format(year))


def test_all_ranges_of_cron() -> None:
    for i in range(62):
        for j in range(62):
            for schedule in (f"{i}-{j} * * * *", f"* {i:02}-{j} * * *", f"* * {i}-{j:02} * *", f"* * * {i}-{j} *", f"* * * * {i}-{j}"):
                agree("cron", schedule)


def test_names() -> None:
    assert sg.grammar is library.grammar and sg.grammar("json").source == "json"
    assert byte_automaton(library.grammar("semver", start="number")).accepts("10")
    assert byte_automaton("v" + library.grammar("semver")).accepts("v1.0.0")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jsn", "did you mean 'json'"),
        ("Semver", "did you mean 'semver'"),
        ("qqq", "known are arithmetic, c, cpp, cron"),
        ("../json", "no grammar '../json'"),
        ("xml", r"sg\.xml\(elements\)"),
        ("__init__", "no grammar"),
        ("json.gbnf", "no grammar"),
        ("x" * 10**6, "no grammar"),
        ("\0", "no grammar"),
        (None, "no grammar None"),
        (["json"], "no grammar"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(StructgenError, match=message):
        library.grammar(name)


@pytest.mark.parametrize("name", ["json", "uri", "cron"])
def test_unknown_start(name: str) -> None:
    with pytest.raises(StructgenError, match="nowhere"):
        library.grammar(name, start="nowhere")


def test_the_files_are_in_the_package_data() -> None:
    tomllib = pytest.importorskip("tomllib")
    root = Path(__file__).parents[2]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["structgen"]
    shipped = {path for pattern in patterns for path in (root / "structgen").glob(pattern)}
    assert {path for path in Path(library.__file__).parent.iterdir() if path.suffix in library.READERS} <= shipped


def test_listing_the_grammars_imports_nothing_heavy() -> None:
    program = "import sys; from structgen.grammars import library; library.names(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
