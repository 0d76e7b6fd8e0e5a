"""``structgen infill``: the whole text on stdout, and exit codes that mean something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from structgen import cli
from tests.decoding.models import model, tokenizer
from tests.infilling.test_infill import PERSON


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("infill")
    model().save_pretrained(found / "model")
    tokenizer().save_pretrained(found / "model")
    (found / "person.json").write_text(json.dumps(PERSON))
    (found / "text.json").write_text('{"name": "<GAP>", "age": <GAP>}\n')
    (found / "wrong.json").write_text('{"name": "<GAP>", "age": <GAP>]\n')
    return found


def run(folder: Path, *arguments: str) -> int:
    return cli.main(["infill", *arguments, "--model", str(folder / "model"), "--quiet"])


def test_gaps_are_filled(folder: Path, capsys: Any) -> None:
    assert run(folder, str(folder / "text.json"), "--schema", str(folder / "person.json"), "--max-tokens", "4") == cli.OK
    found = capsys.readouterr().out
    assert found.endswith("}\n")
    assert json.loads(found).keys() == {"name", "age"}


def test_another_marker_and_a_grammar(folder: Path, capsys: Any) -> None:
    (folder / "list.json").write_text("[true, @@, null]")
    assert run(folder, str(folder / "list.json"), "--grammar", "json", "--gap", "@@", "--max-tokens", "3", "--seed", "1") == cli.OK
    assert isinstance(json.loads(capsys.readouterr().out), list)


@pytest.mark.parametrize("file", ["wrong.json", "person.json"])
def test_what_cannot_be_filled(folder: Path, capsys: Any, file: str) -> None:
    assert run(folder, str(folder / file), "--schema", str(folder / "person.json")) == cli.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("cannot be completed" if file == "wrong.json" else "no gap") in captured.err
