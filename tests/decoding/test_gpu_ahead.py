"""Rows that stay on the device between steps give what masks sent anew give: for the processor, and prepared ahead."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import structgen as sg
from structgen.errors import StructgenError, VocabularyError
from structgen.gpu import MaskAhead, MaskPool, sample
from structgen.gpu.resident import ResidentMasks
from structgen.masking import keep_allowed
from structgen.processor import LogitsProcessor

from .models import LOGITS, model, tokenizer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 9}, "age": {"type": "integer"}}, "required": ["name"]}


def rows_of(words):
    rows = list(words.copy())
    for row in rows:
        row.flags.writeable = False
    return rows


def test_resident_rows_mask_as_rows_sent_anew():
    rng = np.random.default_rng(0)
    resident = ResidentMasks()
    for _ in range(20):
        words = rng.integers(0, 1 << 32, (4, 3), dtype=np.uint32)
        scores = torch.from_numpy(rng.normal(0, 9, (4, 90))).float().to(DEVICE)
        scores[1] = -torch.inf
        before = scores.clone()
        assert resident.keep_allowed(scores, rows_of(words)).equal(keep_allowed(scores, words))
        assert scores.equal(before)


def test_resident_rows_of_which_nothing_may_follow_are_an_error():
    with pytest.raises(VocabularyError, match="40 logits"):
        ResidentMasks().keep_allowed(torch.zeros(2, 40, device=DEVICE), rows_of(np.array([[1, 0], [0, 1 << 8]], np.uint32)))


def test_longer_rows_and_more_of_them_get_another_pool():
    resident = ResidentMasks()
    for words, n in ((1, 1), (3, 2), (2, 5000)):
        masks = rows_of(np.arange(n * words, dtype=np.uint32).reshape(n, words) | np.uint32(1))
        scores = torch.zeros(n, 96, device=DEVICE)
        padded = np.zeros((n, 3), np.uint32)
        padded[:, :words] = masks
        assert resident.keep_allowed(scores, masks).equal(keep_allowed(scores, padded))


@pytest.mark.parametrize("constraints", [SCHEMA, [SCHEMA, None], [sg.regex("yes|no"), SCHEMA]])
@pytest.mark.parametrize("options", [{"do_sample": True}, {"num_beams": 2}])
def test_the_processor_generates_the_same_with_resident_rows(constraints, options, monkeypatch):
    prompts = tokenizer()(["the name", "maybe no"], return_tensors="pt", padding=True, padding_side="left").to(DEVICE)
    network, outputs = model().to(DEVICE), []
    for resident in (False, True):
        monkeypatch.setattr(ResidentMasks, "serves", lambda self, scores, resident=resident: resident)
        torch.manual_seed(1)
        processor = LogitsProcessor(constraints, tokenizer(), generation_config=network)
        outputs.append(network.generate(**prompts, logits_processor=[processor], max_new_tokens=30, **options).tolist())
    assert outputs[0] == outputs[1]


def test_masks_prepared_ahead_are_those_of_the_states():
    n = 6
    first, second = (sg.compile(constraint, tokenizer()) for constraint in (SCHEMA, sg.regex("(yes|no)+")))
    automata = [first, None, second, first, second, first]
    pool = MaskPool(-(-LOGITS // 32), DEVICE, rows=2)
    ahead = MaskAhead(automata, pool, n)
    make = torch.Generator().manual_seed(0)
    states = [automaton and automaton.initial for automaton in automata]
    for step in range(30):
        ids = ahead.ids()
        for row, automaton, state in zip(ids.tolist(), automata, states, strict=True):
            if automaton is None:
                assert row == -1
            else:
                mask = automaton.mask(state)
                assert pool.table[row].cpu().numpy().view(np.uint32)[: len(mask)].tolist() == mask.tolist()
        tokens = sample(torch.randn(n, LOGITS, generator=make).to(DEVICE), pool.table, ids, temperatures=1.0, positions=step).tokens
        states = [automaton and automaton.advance(state, int(t)) for automaton, state, t in zip(automata, states, tokens, strict=True)]
        ahead.take(tokens)
    ahead.close()
    assert len(pool.table) > 2


def test_an_error_in_the_thread_is_raised_where_the_masks_are_asked_for():
    automaton = sg.compile(SCHEMA, tokenizer())
    ahead = MaskAhead(automaton, MaskPool(1, DEVICE), 2)
    with pytest.raises(StructgenError, match="at most 1 words"):
        ahead.ids()
    with pytest.raises(StructgenError, match="one constraint, or 2"):
        MaskAhead([automaton], MaskPool(1, DEVICE), 2)
