"""The logits processor: masks by prefix, the rule that finds the prompt, and every decoding mode of transformers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig

from structgen.errors import StructgenError, VocabularyError
from structgen.processor import LogitsProcessor, stop_token_ids
from structgen.vocabulary import Vocabulary
from tests.decoding.doubles import SetAutomaton
from tests.decoding.models import LOGITS, model, tokenizer

TOK = tokenizer()
EOS, PAD, BOS = TOK.eos_token_id, TOK.pad_token_id, TOK.bos_token_id
TEXTS = ["yes", "no", "maybe not", "maybe yes", "née"]
AUTOMATON = SetAutomaton(TEXTS, TOK)
NUMBERS = SetAutomaton(["1", "12", "123", "42"], TOK)


def ids(text):
    return TOK(text)["input_ids"]


def allowed(processor, rows, width=LOGITS):
    """The tokens left with a finite score after each row."""
    scores = processor(torch.tensor(rows), torch.randn(len(rows), width))
    return [row.isfinite().nonzero().flatten().tolist() for row in scores]


def expected(automaton, generated):
    """From the definition: what may follow these tokens."""
    state = automaton.initial
    for token in generated:
        if token == EOS:
            return [EOS]  # finished, or (where the text was not complete) dead
        state = automaton.advance(state, token)
        if state == automaton.dead:
            return [EOS]
    return automaton.allowed(state)


def walk(processor, prompt, text, automaton=AUTOMATON):
    """Feed a text token by token, as greedy decoding does, and compare every mask."""
    tokens = ids(text)
    for n in range(len(tokens) + 1):
        assert allowed(processor, [prompt + tokens[:n]]) == [expected(automaton, tokens[:n])]
    return prompt + tokens


# masks by prefix


@pytest.mark.parametrize("text", TEXTS)
def test_each_step_allows_what_the_automaton_allows(text):
    walk(LogitsProcessor(AUTOMATON), ids("the prompt"), text)


def test_spelling_by_other_tokens_is_followed_too():
    prompt, processor = ids("q"), LogitsProcessor(AUTOMATON)
    spelled = [t for byte in "maybe yes" for t in ids(byte)]
    for n in range(len(spelled) + 1):
        assert allowed(processor, [prompt + spelled[:n]]) == [expected(AUTOMATON, spelled[:n])]


def test_only_stop_tokens_after_a_prefix_outside_the_language_and_after_a_stop_token():
    prompt, processor = ids("q"), LogitsProcessor(AUTOMATON)
    outside, complete = [*prompt, ids("x")[0]], [*prompt, *ids("no")]
    bound = processor.for_prompt(torch.tensor(prompt))
    assert allowed(bound, [outside]) == allowed(bound, [[*outside, *ids("yes")]]) == [[EOS]]
    assert allowed(bound, [[*prompt, EOS]]) == [[EOS]]  # too early: nothing was complete
    for tail in ([EOS], [EOS, EOS], [EOS, PAD, PAD], [EOS, PAD, *ids("no")]):
        assert allowed(bound, [complete + tail]) == [[EOS]]


def test_scores_keep_their_dtype_and_are_not_changed_in_place():
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        scores = torch.randn(1, LOGITS).to(dtype)
        before = scores.clone()
        masked = LogitsProcessor(AUTOMATON)(torch.tensor([ids("q")]), scores)
        kept = masked.isfinite()
        assert masked.dtype == dtype and scores.equal(before) and masked[kept].equal(scores[kept]) and not kept.all()


@pytest.mark.parametrize("width", [TOK.vocab_size, TOK.vocab_size + 1, LOGITS, 1000])
def test_logits_beyond_the_vocabulary_are_never_allowed(width):
    assert allowed(LogitsProcessor(AUTOMATON), [ids("q")], width) == [AUTOMATON.allowed(AUTOMATON.initial)]


def test_fewer_logits_than_tokens():
    width = max(t for t in range(256) if AUTOMATON.advance(0, t) != -1)
    assert allowed(LogitsProcessor(AUTOMATON), [ids("q")], width) == [[t for t in AUTOMATON.allowed(0) if t < width]]
    with pytest.raises(VocabularyError, match="stop tokens"):
        LogitsProcessor(AUTOMATON, eos_token_id=700, generation_config=GenerationConfig(eos_token_id=500))(
            torch.tensor([[0]]), torch.randn(1, 20)
        )


def test_the_constraint_wins_where_earlier_processors_exclude_all_that_may_follow():
    scores = torch.full((1, LOGITS), -torch.inf)
    masked = LogitsProcessor(AUTOMATON)(torch.tensor([ids("q")]), scores)
    assert masked.isfinite().nonzero()[:, 1].tolist() == AUTOMATON.allowed(0)


# stop tokens


def test_stop_tokens_come_from_the_generation_config_and_the_user():
    other, more = ids("!")[0], ids("?")[0]
    cases = [
        (dict(), [EOS]),
        (dict(eos_token_id=more), [EOS, more]),
        (dict(generation_config=GenerationConfig(eos_token_id=[other, EOS])), [EOS, other]),
        (dict(generation_config=GenerationConfig(eos_token_id=other)), [other]),
        (dict(generation_config=GenerationConfig(eos_token_id=other), eos_token_id=[more]), [other, more]),
        (dict(generation_config=GenerationConfig()), [EOS]),
        (dict(generation_config=model()), [EOS]),
    ]
    for options, stops in cases:
        processor = LogitsProcessor(AUTOMATON, **options)
        assert processor.stop_token_ids == sorted(stops)
        assert not set(stops) & set(allowed(processor, [ids("q")])[0])
        walked = ids("q") + ids("no")
        bound = processor.for_prompt(torch.tensor(ids("q")))
        assert allowed(bound, [walked]) == allowed(bound, [[*walked, stops[0]]]) == [sorted(stops)]


def test_a_stop_token_that_is_text_stops_only_complete_outputs():
    letter = ids("1")[0]
    bound = LogitsProcessor(NUMBERS, eos_token_id=letter).for_prompt(torch.tensor(ids("q")))
    assert letter not in allowed(bound, [ids("q")])[0]


def test_no_stop_token_is_an_error():
    vocab = SimpleNamespace(eos_token_ids=frozenset())
    with pytest.raises(VocabularyError, match="eos_token_id"):
        LogitsProcessor(SimpleNamespace(advance=None, mask=None, vocab=vocab))


def test_stop_token_ids_of_anything():
    assert stop_token_ids(None) == stop_token_ids(GenerationConfig()) == frozenset()
    assert stop_token_ids(3) == stop_token_ids([3]) == stop_token_ids(GenerationConfig(eos_token_id=3)) == {3}
    assert stop_token_ids(torch.tensor([3, 4])) == stop_token_ids(np.array([4, 3])) == {3, 4}
    for one in (np.int64(5), torch.tensor(5), (5, 5), GenerationConfig(eos_token_id=[5, -1])):
        assert stop_token_ids(one) == {5}
    for none in (-1, [-1], GenerationConfig(eos_token_id=-1), np.int32(-1)):
        assert stop_token_ids(none) == frozenset()


NO_IDS = [-2, 1 << 24, 10**9, 10**11, True, [True], 1.5, [1.5], "12", b"12", "</s>", {"eos_token_id": 1}, [[1]], [None], object]


@pytest.mark.parametrize("ids", NO_IDS, ids=repr)
def test_what_is_no_stop_token_is_an_error(ids):
    for options in ({"eos_token_id": ids}, {"generation_config": SimpleNamespace(eos_token_id=ids)}):
        with pytest.raises(VocabularyError, match="token ids are integers"):
            LogitsProcessor(AUTOMATON, **options)


def test_minus_one_makes_no_token_a_stop_token():
    for options in ({"eos_token_id": -1}, {"generation_config": GenerationConfig(eos_token_id=-1)}):
        processor = LogitsProcessor(AUTOMATON, **options)
        assert processor.stop_token_ids == [EOS]
        assert allowed(processor, [ids("q")]) == [AUTOMATON.allowed(0)]


# where the prompt ends


def test_reuse_with_the_same_prompt_and_with_others():
    processor = LogitsProcessor(AUTOMATON)
    for prompt in ("q", "q", "another prompt", "short", "q", "q and more of it"):
        walk(processor, ids(prompt), "maybe yes")


def test_a_prompt_that_repeats_an_earlier_prompt_with_its_output_and_more():
    processor = LogitsProcessor(AUTOMATON)
    conversation = ids("first question")
    for turn in range(4):
        conversation = walk(processor, conversation, TEXTS[turn])
        conversation += [EOS, *ids("\nnext question")]


def test_a_prompt_that_goes_on_where_an_unfinished_output_stopped_and_then_some():
    processor, prompt = LogitsProcessor(AUTOMATON), ids("q")
    part = ids("maybe yes")[:2]
    for n in range(len(part)):
        allowed(processor, [prompt + part[:n]])
    walk(processor, prompt + part + ids(" or so"), "no")


@pytest.mark.parametrize("token", [ids("x")[0], EOS, BOS])
def test_a_prompt_one_forbidden_token_longer_than_an_earlier_one(token):
    processor = LogitsProcessor(AUTOMATON)
    walk(processor, ids("q"), "maybe yes")
    walk(processor, [*ids("q"), token], "no")


def test_a_prompt_one_token_longer_than_a_finished_output():
    processor = LogitsProcessor(AUTOMATON)
    finished = [*walk(processor, ids("q"), "no"), EOS]
    assert allowed(processor, [finished]) == [[EOS]]  # as when a draft ends with the stop token
    walk(processor, [*finished, ids("x")[0]], "yes")


def test_another_prompt_that_ends_with_what_could_follow_the_first():
    follower = next(t for t in AUTOMATON.allowed(0) if t != EOS)
    for buffer in (None, torch.zeros((1, 20), dtype=torch.long)):  # the second time in the same memory
        processor = LogitsProcessor(AUTOMATON)
        for prompt in ([*ids("q1")], [*ids("r2"), follower]):
            rows = torch.tensor([prompt])
            if buffer is not None:
                buffer[:, : len(prompt)] = rows
                rows = buffer[:, : len(prompt)]
            scores = processor(rows, torch.zeros(1, LOGITS))
            assert scores.isfinite().nonzero()[:, 1].tolist() == AUTOMATON.allowed(0)


def test_a_batch_of_prompts_one_token_longer_than_a_single_one():
    follower = next(t for t in AUTOMATON.allowed(0) if t != EOS)
    processor = LogitsProcessor(AUTOMATON)
    walk(processor, ids("q"), "maybe yes")
    assert allowed(processor, [[*ids("q"), follower]] * 2) == [AUTOMATON.allowed(0)] * 2


def test_a_prompt_that_is_a_shorter_beginning_of_an_earlier_one():
    processor = LogitsProcessor(AUTOMATON)
    walk(processor, ids("some longer prompt"), "no")
    walk(processor, ids("some"), "yes")


def test_another_batch_size_is_a_new_generation():
    processor, prompt = LogitsProcessor(AUTOMATON), ids("q")
    walk(processor, prompt, "no")
    for rows in (3, 2, 1):
        assert allowed(processor, [prompt] * rows) == [expected(AUTOMATON, [])] * rows


def test_what_the_rule_cannot_know_and_how_to_tell_it():
    token = next(t for t in AUTOMATON.allowed(0) if t != EOS)
    prompt = ids("q")
    for tell in (lambda p: p, LogitsProcessor.reset, lambda p: p.for_prompt(torch.tensor([[*prompt, token]]))):
        processor = LogitsProcessor(AUTOMATON)
        walk(processor, prompt, "maybe yes")
        told = tell(processor) or processor
        mistaken = told is processor and tell is not LogitsProcessor.reset
        assert allowed(told, [[*prompt, token]]) == [expected(AUTOMATON, [token] if mistaken else [])]


def test_a_prompt_of_no_tokens_and_a_very_long_one():
    processor = LogitsProcessor(AUTOMATON)
    for length in (0, 5000):
        prompt = [7] * length
        for n in range(3):
            rows = torch.tensor([prompt + ids("no")[:n]], dtype=torch.long)
            kept = processor(rows, torch.zeros(1, LOGITS)).isfinite().nonzero()[:, 1].tolist()
            assert kept == expected(AUTOMATON, ids("no")[:n])
            if n == len(ids("no")):
                break


def test_forgetting_old_prefixes_does_not_lose_the_generation(monkeypatch):
    monkeypatch.setattr("structgen.processor.SEEN_PREFIXES", 1)
    processor, spelled = LogitsProcessor(AUTOMATON), [t for letter in "maybe not" for t in ids(letter)]
    for n in range(len(spelled) + 1):
        assert allowed(processor, [ids("q") + spelled[:n]]) == [expected(AUTOMATON, spelled[:n])]
    assert len(processor._generation.seen) <= 3


# pinned prompts


def test_pinned_prompts_are_continued_by_any_tokens_and_by_nothing_else():
    prompt = ids("q")
    bound = LogitsProcessor(AUTOMATON).for_prompt(torch.tensor([prompt]))
    tokens = ids("maybe yes")
    for n in (len(tokens), 1, 0, 2):  # leaps: states are replayed
        assert allowed(bound, [prompt + tokens[:n]]) == [expected(AUTOMATON, tokens[:n])]
    assert allowed(bound, [ids("other")]) == [[EOS]]
    assert allowed(bound, [prompt]) == [expected(AUTOMATON, [])]


def test_pinned_processors_do_not_disturb_each_other():
    processor = LogitsProcessor(AUTOMATON)
    one, two = (processor.for_prompt(torch.tensor([ids(p)])) for p in ("first", "the second"))
    text = ids("maybe not")
    for n in range(len(text) + 1):
        assert allowed(one, [ids("first") + text[:n]]) == allowed(two, [ids("the second") + text[:n]]) == [expected(AUTOMATON, text[:n])]


def test_drafts_of_a_smaller_vocabulary_are_left_alone():
    bound = LogitsProcessor(AUTOMATON, eos_token_id=300, generation_config=GenerationConfig(eos_token_id=301)).for_prompt(
        torch.tensor([ids("q")])
    )
    scores = torch.randn(1, 100)
    assert bound(torch.tensor([[1, 2, 3]]), scores).equal(scores)


# several rows


def test_left_padded_prompts_of_different_length():
    prompts = [[PAD] * (12 - len(ids(p))) + ids(p) for p in ("a", "some words")]
    processor = LogitsProcessor(AUTOMATON)
    rows, tokens = prompts, [ids("no"), ids("maybe yes")]
    for n in range(len(tokens[1]) + 1):
        generated = [row[:n] if n <= len(row) else row + [EOS] + [PAD] * (n - len(row) - 1) for row in tokens]
        rows = [p + g for p, g in zip(prompts, generated, strict=True)]
        assert allowed(processor, rows) == [expected(AUTOMATON, g) for g in generated]


def test_a_constraint_for_each_prompt_with_expanded_rows_and_free_rows():
    prompts = [ids("ask a"), ids("ask b"), ids("ask c")]
    everything = list(range(LOGITS))
    for copies in (1, 2, 3):
        processor = LogitsProcessor([AUTOMATON, None, NUMBERS])
        rows = [p for p in prompts for _ in range(copies)]
        first = allowed(processor, rows)
        assert first == [kept for kept in (AUTOMATON.allowed(0), everything, NUMBERS.allowed(0)) for _ in range(copies)]
        step = [ids("no")[0], ids("x")[0], ids("4")[0]]
        second = allowed(processor, [[*p, step[i]] for i, p in enumerate(prompts) for _ in range(copies)])
        masks = [expected(AUTOMATON, step[:1]), everything, expected(NUMBERS, step[2:])]
        assert second == [kept for kept in masks for _ in range(copies)]


def test_rows_that_cannot_be_shared_among_the_constraints():
    processor = LogitsProcessor([AUTOMATON, NUMBERS])
    with pytest.raises(StructgenError, match="3 rows"):
        allowed(processor, [ids("q")] * 3)
    with pytest.raises(StructgenError, match="1 rows"):
        processor.for_prompt(torch.tensor(ids("q")))
    with pytest.raises(StructgenError):
        LogitsProcessor([None])
    with pytest.raises(StructgenError, match="needs a tokenizer"):
        LogitsProcessor({"type": "integer"})


# malformed input


BYTES = Vocabulary.from_bytes([bytes([i]) for i in range(256)], eos_token_id=3)
ROWS, SCORES = torch.tensor([[1, 2], [3, 4]]), torch.zeros(2, LOGITS)


@pytest.mark.parametrize(
    "rows, scores, message",
    [
        (ROWS[:1], SCORES, r"scores must be floats, \[1, logits\], found torch.float32 \[2, 352\]"),
        (ROWS, SCORES[:1], "scores must"),
        (ROWS, SCORES[None], "scores must"),
        (ROWS, SCORES[0], "scores must"),
        (ROWS, SCORES.long(), "scores must be floats.*int64"),
        (ROWS, SCORES.bool(), "scores must"),
        (ROWS, SCORES.numpy(), "scores must.*ndarray"),
        (ROWS[0], SCORES[:1], r"input_ids must be .*found torch.int64 \[2\]"),
        (ROWS[None], SCORES, "input_ids must"),
        (ROWS.float(), SCORES, "input_ids must.*float32"),
        (ROWS.bool(), SCORES, "input_ids must"),
        (ROWS.tolist(), SCORES, "input_ids must.*list"),
        (ROWS.numpy(), SCORES, "input_ids must.*ndarray"),
        (None, SCORES, "input_ids must"),
        (ROWS[:0], SCORES[:0], "input_ids must"),
    ],
)
def test_malformed_tensors_are_an_error(rows, scores, message):
    for processor in (LogitsProcessor(AUTOMATON), LogitsProcessor(AUTOMATON).for_prompt(ROWS)):
        with pytest.raises(StructgenError, match=message):
            processor(rows, scores)


@pytest.mark.parametrize("prompts", [None, [[1]], ROWS.numpy(), ROWS.float(), ROWS[None], ROWS[:0], torch.tensor(1)])
def test_malformed_prompts_are_an_error(prompts):
    with pytest.raises(StructgenError, match="input_ids must"):
        LogitsProcessor(AUTOMATON).for_prompt(prompts)


@pytest.mark.parametrize("prompt", [torch.zeros((1, 0), dtype=torch.long), torch.tensor([[]]), torch.tensor([])])
def test_an_empty_prompt_starts_the_constraint_at_once(prompt):
    bound = LogitsProcessor(AUTOMATON).for_prompt(prompt)
    for n in range(len(ids("no")) + 1):
        rows = torch.tensor([ids("no")[:n]], dtype=torch.long)
        assert bound(rows, SCORES[:1]).isfinite().nonzero()[:, 1].tolist() == expected(AUTOMATON, ids("no")[:n])


def test_integers_of_every_width_are_token_ids():
    for dtype in (torch.int32, torch.int16):
        assert LogitsProcessor(AUTOMATON)(ROWS.to(dtype), SCORES).equal(LogitsProcessor(AUTOMATON)(ROWS, SCORES))


def test_logits_without_any_allowed_token_are_an_error():
    automaton, other = SetAutomaton(["z"], BYTES), SetAutomaton(["2"], BYTES)
    assert allowed(LogitsProcessor(automaton), [[1]], 123) == [[122]]
    for constraints, rows, width in ((automaton, [[1]], 100), (automaton, [[1]], 122), ([other, automaton], [[1], [1]], 100)):
        with pytest.raises(VocabularyError, match=f"beyond the model's {width} logits"):
            allowed(LogitsProcessor(constraints), rows, width)
    with pytest.raises(VocabularyError, match="stop tokens"):  # before the text is complete
        allowed(LogitsProcessor(automaton, eos_token_id=122), [[1]])


def test_vocabularies_of_one_processor_agree():
    unlike, longer = Vocabulary.from_bytes([b"x"], eos_token_id=1), SetAutomaton(["a"], BYTES.with_eos([3, 300]))
    mine = SetAutomaton(["a"], BYTES)
    assert LogitsProcessor([mine, longer, None]).stop_token_ids == LogitsProcessor(longer, BYTES).stop_token_ids == [3, 300]
    assert LogitsProcessor(AUTOMATON, TOK).stop_token_ids == LogitsProcessor(AUTOMATON, AUTOMATON.vocab).stop_token_ids == [EOS]
    for constraints, other in (([AUTOMATON, mine], None), ([mine, None, AUTOMATON], None), (mine, unlike), ([mine], AUTOMATON.vocab)):
        with pytest.raises(VocabularyError, match="different vocabularies"):
            LogitsProcessor(constraints, other)


# any sequence of calls that transformers may make


KINDS = st.sampled_from(["fresh", "same", "chat", "longer"])  # of prompts, beside the one before
GENERATIONS = st.lists(st.tuples(KINDS, st.sampled_from(["sample", "beam", "assisted"]), st.integers(0, 2**32)), min_size=2, max_size=5)


@settings(max_examples=60, deadline=None)
@given(GENERATIONS)
def test_the_rule_holds_for_all_decoding_modes_one_after_another(plan):
    processor = LogitsProcessor(AUTOMATON)
    prompt, output = ids("start"), []
    for kind, mode, seed in plan:
        generator = torch.Generator().manual_seed(seed)
        prompt = {
            "fresh": ids(f"q{seed}"),
            "same": prompt,
            "chat": prompt + output + [EOS, BOS, *ids("go on")],
            "longer": [*prompt, BOS, BOS],
        }[kind]
        output = SIMULATIONS[mode](processor, prompt, generator)


def checked(processor, prompt, rows):
    """One call, compared with the definition; the tokens allowed after each row."""
    kept = allowed(processor, [prompt + row for row in rows])
    assert kept == [expected(AUTOMATON, row) for row in rows]
    return kept


def pick(choices, generator):
    return choices[int(torch.randint(len(choices), (), generator=generator))]


def extend(row, kept, generator):
    return [*row, PAD if EOS in row else pick(kept, generator)]


def simulate_sampling(processor, prompt, generator, rows=3):
    outputs = [[] for _ in range(rows)]
    while not all(EOS in row for row in outputs):
        kept = checked(processor, prompt, outputs)
        outputs = [extend(row, k, generator) for row, k in zip(outputs, kept, strict=True)]
    return outputs[0][: outputs[0].index(EOS)]


def simulate_beams(processor, prompt, generator, rows=4):
    beams = [[] for _ in range(rows)]
    for _ in range(6):
        kept = checked(processor, prompt, beams)
        parents = [int(torch.randint(rows, (), generator=generator)) for _ in range(rows)]
        beams = [extend(beams[p], kept[p], generator) if pick([0, 1, 2], generator) else [*beams[p], 1] for p in parents]
    return [t for t in beams[0] if t != EOS][:2]


def simulate_assisted(processor, prompt, generator):
    output = []
    while EOS not in output:
        draft = output
        for _ in range(pick([0, 1, 2, 3], generator)):
            if EOS not in draft:
                draft = extend(draft, checked(processor, prompt, [draft])[0], generator)
        if pick([0, 1], generator) and EOS not in draft:
            draft = [*draft, ids("x")[0], ids("x")[0]]  # a drafter that does not know the constraint
        for n in range(len(output), len(draft) + 1):
            checked(processor, prompt, [draft[:n]])
        good = [n for n in range(len(output), len(draft) + 1) if draft[n - 1 : n] != [EOS] and AUTOMATON.after(draft[:n]) != AUTOMATON.dead]
        accepted = draft[: pick(good, generator)]
        output = extend(accepted, expected(AUTOMATON, accepted), generator)
    return output[: output.index(EOS)]


SIMULATIONS = {"sample": simulate_sampling, "beam": simulate_beams, "assisted": simulate_assisted}


# the decoding modes themselves


def decode(processor, prompt="tell me", *, target=None, **options):
    """Outputs of model.generate, each up to its stop token."""
    inputs = torch.tensor([ids(prompt)] if isinstance(prompt, str) else prompt)
    options = {"max_new_tokens": 12, "do_sample": False, **options}
    sequences = (target or model()).generate(inputs, attention_mask=torch.ones_like(inputs), logits_processor=[processor], **options)
    outputs = [row[: row.index(EOS)] if EOS in row else row for row in sequences[:, inputs.shape[1] :].tolist()]
    return [TOK.decode(row) for row in outputs]


MODES = {
    "greedy": {},
    "sampling": {"do_sample": True, "temperature": 5.0},
    "top_k": {"do_sample": True, "top_k": 3},
    "return sequences": {"do_sample": True, "num_return_sequences": 4, "temperature": 5.0},
    "beams": {"num_beams": 3, "num_return_sequences": 3},
    "beam sampling": {"num_beams": 3, "do_sample": True, "temperature": 3.0},
    "assisted": {"assistant_model": 1},
    "assisted sampling": {"assistant_model": 1, "do_sample": True, "temperature": 5.0},
    "prompt lookup": {"prompt_lookup_num_tokens": 3},
}


def mode_options(name):
    options = dict(MODES[name])
    if "assistant_model" in options:
        options["assistant_model"] = model(options["assistant_model"])
    return options


@pytest.mark.parametrize("mode", MODES)
def test_every_decoding_mode_stays_in_the_language_with_one_processor(mode):
    processor = LogitsProcessor(AUTOMATON)
    torch.manual_seed(1)
    for prompt in ("tell me", "tell me maybe yes maybe no", "tell me", "x"):
        outputs = decode(processor, prompt, **mode_options(mode))
        assert outputs and set(outputs) <= set(TEXTS)


@pytest.mark.parametrize("mode", ["assisted", "prompt lookup"])
@pytest.mark.parametrize("prompt", ["tell me", "maybe yes maybe not maybe yes"])
def test_greedy_decoding_gives_the_same_with_drafts(mode, prompt):
    long = SetAutomaton(["yes no maybe yes no maybe", "maybe yes no maybe yes no", "the person the name the age"], TOK)
    plain = decode(LogitsProcessor(long), prompt, max_new_tokens=40)
    assert plain[0].encode() in long.texts
    assert decode(LogitsProcessor(long), prompt, max_new_tokens=40, **mode_options(mode)) == plain


def test_one_processor_for_all_modes_gives_what_fresh_ones_give():
    shared = LogitsProcessor(AUTOMATON)
    for prompt in ("tell me", "tell me more"):
        for mode in ("greedy", "beams", "assisted", "prompt lookup", "greedy"):
            assert decode(shared, prompt, **mode_options(mode)) == decode(LogitsProcessor(AUTOMATON), prompt, **mode_options(mode))


def test_beams_find_the_most_likely_texts():
    """With as many beams as texts the search is exhaustive: its order is that of the texts' probabilities."""
    automaton = SetAutomaton("abcd", TOK)
    prompt = ids("tell me")
    logits = model()(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)

    def score(text):
        after = model()(torch.tensor([prompt + ids(text)])).logits[0, -1].log_softmax(-1)
        return (logits[ids(text)[0]] + after[EOS]).item()

    found = decode(LogitsProcessor(automaton), num_beams=4, num_return_sequences=4, length_penalty=0.0)
    assert found == sorted("abcd", key=score, reverse=True)


def test_a_batch_of_left_padded_prompts_with_their_own_constraints():
    prompts = [[PAD] * (6 - len(ids(p))) + ids(p) for p in ("a", "b and c")]
    for options in ({}, {"num_beams": 2}, {"do_sample": True, "num_return_sequences": 2}):
        outputs = decode(LogitsProcessor([AUTOMATON, NUMBERS]), prompts, **options)
        half = len(outputs) // 2
        assert set(outputs[:half]) <= set(TEXTS) and {t.encode() for t in outputs[half:]} <= set(NUMBERS.texts)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_models_of_lower_precision(dtype):
    assert set(decode(LogitsProcessor(AUTOMATON), target=model(0, dtype), do_sample=True, temperature=4.0, num_return_sequences=3)) <= set(
        TEXTS
    )


def test_prompts_given_as_embeddings():
    embeddings = model().get_input_embeddings()(torch.tensor([ids("tell me")]))
    processor = LogitsProcessor(AUTOMATON)
    for _ in range(2):
        sequences = model().generate(inputs_embeds=embeddings, logits_processor=[processor], max_new_tokens=12, do_sample=False)
        assert TOK.decode(sequences[0], skip_special_tokens=True) in TEXTS


def test_not_for_continuous_batching():
    assert LogitsProcessor.supports_continuous_batching is False
