"""The example in docs/strategies.md, and a row of its table for every strategy in it."""

import doctest
from inspect import signature
from pathlib import Path

import structgen.sampling

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"


def test_examples() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 5 and not failed


def test_every_strategy_is_on_a_page() -> None:
    found = 0
    pages = PAGE.read_text() + PAGE.with_name("sampling.md").read_text()
    for name in structgen.sampling.__all__:
        value = getattr(structgen.sampling, name)
        takes = list(signature(value.__call__).parameters) if isinstance(value, type) and "__call__" in dir(value) else []
        if takes == ["self", "target", "choose", "progress"] and name not in ("DecodingStrategy", "Stepwise"):
            found += 1
            assert f"`{name}(" in pages, name
    assert found > 15
