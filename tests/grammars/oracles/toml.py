"""TOML as tomllib reads it, with a memory that forgets every key: what was defined before is never an error."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec, module_from_spec
from typing import Any

import pytest


class Forgetful:
    """Stands for the tables (`NestedDict`) of tomllib's parser."""

    def __init__(self) -> None:
        self.dict: dict[str, Any] = {}

    def get_or_create_nest(self, key: tuple[str, ...], **options: Any) -> dict[str, Any]:
        return {}

    def append_nest_to_list(self, key: tuple[str, ...]) -> None:
        pass


@cache
def parser() -> Any:
    """A copy of tomllib's parser of its own, so that tomllib itself stays as it is."""
    pytest.importorskip("tomllib")
    spec = find_spec("tomllib._parser")
    assert spec is not None and spec.loader is not None
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.NestedDict = Forgetful
    module.Flags.is_ = lambda *_: False
    return module


def accepts(text: str) -> bool:
    try:
        parser().loads(text)
    except ValueError:
        return False
    return True
