"""The examples of docs/diffusion.md."""

from __future__ import annotations

import doctest
from pathlib import Path


def test_the_page() -> None:
    failed, tried = doctest.testfile(str(Path(__file__).parents[2] / "docs" / "diffusion.md"), module_relative=False)
    assert tried > 4 and not failed
