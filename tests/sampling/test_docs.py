"""The examples in docs/sampling.md."""

import doctest
from pathlib import Path


def test_examples() -> None:
    page = Path(__file__).parents[2] / "docs" / "sampling.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 5 and not failed
