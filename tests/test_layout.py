"""The house stands: imports run downwards only, importing is cheap, and every sub-package is shipped."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "structgen"
SHARED_MODULES = {"structgen.errors", "structgen._version"}  # known on every floor
HEAVY = {"torch", "transformers", "tokenizers", "pydantic"}


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything a module imports, inside functions and type-checking blocks too."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{origin}.{alias.name}"
                yield node.lineno, whole if is_module(whole) else origin


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_the_scan_sees_imports_of_every_form(tmp_path: Path) -> None:
    assert len(modules(PACKAGE)) > 10
    found = {name for path in modules(PACKAGE / "grammars") for _, name in imports(path)}
    assert any(inside(name, "structgen.automata") for name in found)
    assert is_module("structgen.automata.ir") and not is_module("structgen.automata.ir.Bytes")


@pytest.mark.parametrize(
    "floor, allowed", [("automata", {"structgen.automata"}), ("grammars", {"structgen.grammars", "structgen.automata"})]
)
def test_imports_run_downwards(floor: str, allowed: set[str]) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(PACKAGE / floor)
        for line, name in imports(path)
        if (inside(name, "structgen") and name not in SHARED_MODULES and not any(inside(name, a) for a in allowed))
        or name.split(".")[0] in HEAVY
        or name.split(".")[0] in {"automata", "grammars", "tests", "benchmarks", "examples"}
    ]
    assert wrong == []


def test_decoding_uses_the_packages_by_their_full_names() -> None:
    wrong = [
        f"{path}:{line}" for path in modules(PACKAGE) for line, name in imports(path) if name.split(".")[0] in {"automata", "grammars"}
    ]
    assert wrong == []


def loaded_by(statement: str) -> set[str]:
    """Names in ``sys.modules`` of a fresh process after a statement, run from the repository root (with its links)."""
    program = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_is_cheap_and_leaves_no_top_level_names_behind() -> None:
    loaded = loaded_by("import structgen")
    assert "structgen" in loaded
    assert loaded & {"automata", "grammars", *HEAVY, "numba", "llvmlite", "jsonschema", "lark"} == set()


def test_the_engine_leaves_no_top_level_names_behind() -> None:
    loaded = loaded_by(
        "import structgen as sg\n"
        "sg.compile({'type': 'object'}, sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)] + [b''], eos_token_id=256))"
    )
    assert {"structgen.automata", "structgen.grammars"} <= loaded
    assert loaded & {"automata", "grammars", "torch", "transformers"} == set()


def test_every_subpackage_is_in_the_wheel() -> None:
    setuptools = pytest.importorskip("setuptools")
    tomllib = pytest.importorskip("tomllib")
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    shipped = set(setuptools.find_packages(str(ROOT), include=find["include"]))
    folders = {path.parent for path in modules(PACKAGE)}
    assert shipped == {".".join(folder.relative_to(ROOT).parts) for folder in folders}


def test_the_links_at_the_top_lead_into_the_package() -> None:
    for name in ("automata", "grammars"):
        assert (ROOT / name).resolve() == PACKAGE / name
