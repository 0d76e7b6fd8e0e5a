"""Errors cross processes with all they say."""

from __future__ import annotations

import pickle

import pytest

import structgen as sg

ERRORS = [
    sg.StructgenError("a"),
    sg.GrammarSyntaxError("bad", text="ab\ncd", position=4),
    sg.UnsupportedSchema("no", keyword="format", pointer="#/a"),
    sg.UnsatisfiableSchema("none", pointer="#/b"),
    sg.LimitExceeded("states", 7, "a regex", option="max_states"),
    sg.VocabularyError("tokens"),
    sg.ModelOutputError("cut"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_can_be_pickled(error: sg.StructgenError) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error) and str(found) == str(error) and vars(found) == vars(error)
