"""Settings of the whole suite: reproducible random examples, one thread for torch, and what lies beside the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# derandomize: the same examples on every run; `HYPOTHESIS_PROFILE=explore` looks for new ones.
slow = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
settings.register_profile("quick", derandomize=True, deadline=None, suppress_health_check=slow)
settings.register_profile("explore", derandomize=False, deadline=None, suppress_health_check=slow, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real vocabularies and benchmark data beside the repository; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip(f"needs {SHARED}, which is not part of the repository")
    return SHARED


@pytest.fixture(scope="session")
def tekken(shared: Path) -> Any:
    """The Tekken vocabulary of 131,072 tokens."""
    import structgen as sg

    return sg.Vocabulary.from_file(str(shared / "tokenizers" / "tekken" / "tokenizer.json"))
