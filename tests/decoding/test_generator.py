"""Prompts in, objects out, on models with random weights."""

from __future__ import annotations

import functools
import gc
import subprocess
import sys
import threading
import time
from typing import Annotated, Literal

import pydantic
import pytest
import torch
from transformers import GenerationConfig, LogitsProcessorList

import structgen as sg
from structgen import generator as module
from structgen.errors import ModelOutputError, StructgenError
from structgen.generator import Generator, Stream
from tests.decoding.models import model, tokenizer

TOK = tokenizer()


class Item(pydantic.BaseModel):
    name: Literal["Ada", "née", "Bob"]
    age: Annotated[int, pydantic.Field(ge=0, le=99)]
    tags: Annotated[list[Literal["a", "b"]], pydantic.Field(max_length=2)] = []


SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}


@pytest.fixture
def generate():
    return Generator(model(), TOK)


def test_one_prompt_gives_one_object(generate):
    assert isinstance(generate("someone", Item), Item)
    assert generate("is it?", SCHEMA)["ok"] in (True, False)
    assert generate("pick", sg.choice(["yes", "no"])) in ("yes", "no")
    assert generate("digits", sg.regex("[0-9]{4}")).isdigit()


def test_a_list_gives_a_list(generate):
    prompts = ["a", "a rather longer prompt", "b"]
    together = generate(prompts, Item)
    assert [type(item) for item in together] == [Item] * 3
    assert together == [generate(prompt, Item) for prompt in prompts]  # padding changes nothing
    assert generate([], Item) == []


def test_a_spec_for_each_prompt(generate):
    item, flag, text = generate(["a", "some b", "c"], [Item, SCHEMA, sg.regex("x{3}")])
    assert isinstance(item, Item) and set(flag) == {"ok"} and text == "xxx"
    with pytest.raises(StructgenError, match="2 specs for 1 prompts"):
        generate(["a"], [Item, Item])


def test_chat_messages_are_put_through_the_chat_template(generate):
    chat = [{"role": "user", "content": "who?"}]
    as_text = generate("<s>user: who?\nassistant: ", Item)
    assert generate(chat, Item) == as_text
    assert generate([chat, chat], Item) == [as_text, as_text]
    plain = type(TOK)(tokenizer_object=TOK.backend_tokenizer, eos_token="</s>")
    with pytest.raises(StructgenError, match="chat template"):
        Generator(model(), plain)(chat, Item)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 3.0},
        {"do_sample": True, "top_k": 5},
        {"temperature": 0},
        {"num_beams": 3},
        {"assistant_model": True},
        {"prompt_lookup_num_tokens": 2},
        {"max_length": 200},
        {"return_dict_in_generate": True, "output_scores": True},
        {"generation_config": GenerationConfig(max_new_tokens=200, eos_token_id=1)},
    ],
    ids=str,
)
def test_options_of_generate(generate, options):
    torch.manual_seed(0)
    if "assistant_model" in options:
        options = {"assistant_model": model(1)}
    assert isinstance(generate("someone", Item, **options), Item)


def test_temperature_means_sampling(generate):
    torch.manual_seed(0)
    hot = {generate("pick", sg.choice(list("abcdefgh")), temperature=50.0) for _ in range(20)}
    cold = {generate("pick", sg.choice(list("abcdefgh")), temperature=0) for _ in range(3)}
    assert len(hot) > 3 and len(cold) == 1


def test_return_sequences_are_grouped_by_prompt(generate):
    found = generate(["a", "b"], Item, temperature=2.0, num_return_sequences=3)
    assert [[type(item) for item in group] for group in found] == [[Item] * 3] * 2
    assert [type(item) for item in generate("a", Item, num_beams=2, num_return_sequences=2)] == [Item] * 2
    assert len(generate("a", Item, temperature=1.0, num_return_sequences=1)) == 1


def test_an_incomplete_output_is_an_error_that_carries_the_text(generate):
    with pytest.raises(ModelOutputError, match="max_new_tokens") as caught:
        generate("someone", Item, max_new_tokens=3)
    assert caught.value.text.startswith("{")


def test_an_output_that_is_complete_when_the_tokens_run_out_counts(generate):
    assert generate("x", sg.regex("x{4}"), max_new_tokens=4) == "xxxx"


def test_other_processors_run_first_and_the_constraint_has_the_last_word(generate):
    seen = []

    def exclude_everything(input_ids, scores):
        seen.append(len(input_ids))
        return torch.full_like(scores, -torch.inf)

    assert isinstance(generate("someone", Item, logits_processor=LogitsProcessorList([exclude_everything])), Item)
    assert seen


def test_stop_tokens_of_the_user(generate):
    stop = TOK("!")["input_ids"][0]
    assert generate("x", sg.regex("x{2}!?"), eos_token_id=stop) == "xx"
    assert Generator(model(), TOK, eos_token_id=[stop])("x", sg.regex("x{2}!?")) == "xx"


def test_the_tokenizer_is_left_as_it_was(generate):
    TOK.padding_side = "right"
    generate(["a", "a longer one"], Item)
    assert TOK.padding_side == "right"


def test_compiled_constraints_are_kept(generate, monkeypatch):
    assert generate.automaton(Item) is generate.automaton(Item) is Generator(model(1), TOK).automaton(Item)
    assert generate.automaton(dict(SCHEMA)) is generate.automaton(dict(SCHEMA))
    assert generate.automaton(list[int]) is generate.automaton(list[int])
    assert generate.automaton({"const": 1}) is not generate.automaton({"const": True})
    assert generate.automaton(Literal[1]) is not generate.automaton(Literal[True])
    constraint = sg.regex("a")
    assert generate.automaton(constraint) is generate.automaton(constraint)
    monkeypatch.setattr(module, "MAX_AUTOMATA", 2)
    for n in range(5):
        generate.automaton({"const": n})
    assert len(module._automata) == 2


def test_clear_errors_for_what_cannot_be_a_prompt(generate):
    message = {"role": "user", "content": "x"}
    for prompt, found in (([3], "int"), (None, "NoneType"), (b"x", "bytes"), (message, "dict"), (["a", message], "dict")):
        with pytest.raises(StructgenError, match=f"found {found}"):
            generate(prompt, Item)
    for prompt in ("\ud800", ["a", "\ud800"], [{"role": "user", "content": "\ud800"}]):
        with pytest.raises(StructgenError, match=r"surrogate|chat template"):
            generate(prompt, Item)
    with pytest.raises(StructgenError, match="one prompt"):
        generate.stream(["a", "b"], Item)
    assert isinstance(generate("", Item), Item)  # begins with the token that begins a sequence
    with pytest.raises(StructgenError, match="no tokens"):
        Generator(model(), type(TOK)(tokenizer_object=TOK.backend_tokenizer, eos_token="</s>"))("", Item)


def test_clear_errors_for_what_cannot_generate(generate):
    for wrong in ((None, TOK), (model(), generate.vocab), (model(), TOK.backend_tokenizer)):
        with pytest.raises(StructgenError, match="Generator needs"):
            Generator(*wrong)
    with pytest.raises(StructgenError, match="input_ids comes from the prompt"):
        generate("a", Item, input_ids=torch.tensor([[1]]))


def test_specs_that_are_hard_to_tell_apart_or_to_remember(generate):
    circular: dict = {"type": "null"}
    circular["default"] = circular
    deep: dict = {"type": "null", "default": functools.reduce(lambda inner, _: [inner], range(100_000), 1)}
    for spec in (circular, deep):
        assert generate("a", spec) is None
    assert module._key({1: 2}) != module._key({"1": 2}) and module._key({(1, 2): 3}) == module._key({(1, 2): 3})


def test_a_compiled_constraint_is_a_spec(generate):
    compiled = sg.compile(Item, TOK)
    assert isinstance(generate("someone", compiled), Item)
    elsewhere = sg.compile(compiled, sg.Vocabulary.from_bytes([bytes([b]) for b in range(256)], eos_token_id=256))
    assert elsewhere.parse('{"name":"Ada","age":1}') == Item(name="Ada", age=1)


def test_one_processor_or_criterion_needs_no_list(generate):
    calls = []

    def count(input_ids, scores):
        calls.append(len(input_ids))
        return scores

    assert isinstance(generate("someone", Item, logits_processor=count), Item) and calls
    assert isinstance(generate.stream("someone", Item, stopping_criteria=None, logits_processor=None).result, Item)


def test_why_an_output_is_not_complete(generate):
    rows = [
        ({"max_new_tokens": 3}, "after 3 tokens; raise max_new_tokens$"),
        ({"max_length": 9}, "raise max_new_tokens, unless"),
        ({"stop_strings": ["{"], "tokenizer": TOK}, r"stopped after \d+ tokens \(a stop string"),
    ]
    for options, message in rows:
        with pytest.raises(ModelOutputError, match=message):
            generate("someone", Item, **options)
    with pytest.raises(ModelOutputError, match="not what the constraint allows"):
        generate._read([5] * 3, generate.automaton(sg.regex("")), 3)


def test_generate_in_one_call():
    assert isinstance(sg.generate(model(), TOK, "someone", Item), Item)
    for option, message in {"strategy": "not available yet", "speculative": "is a structgen.speculative.Speculative"}.items():
        with pytest.raises(StructgenError, match=f"{option}.*{message}"):
            sg.generate(model(), TOK, "someone", Item, **{option: "x"})


# streaming


@pytest.mark.parametrize("options", [{}, {"temperature": 2.0}, {"assistant_model": True}], ids=str)
def test_pieces_make_up_the_text_and_the_result_is_the_object(generate, options):
    if "assistant_model" in options:
        options = {"assistant_model": model(1)}
    stream = generate.stream("someone", Item, **options)
    pieces = list(stream)
    assert len(pieces) > 1 and "".join(pieces) == stream.text and stream.result == Item.model_validate_json(stream.text)
    assert "\ufffd" not in stream.text and list(stream) == []
    assert stream.result is not None and 0 < stream.seconds < 100


def test_a_character_of_several_tokens_is_one_piece(generate):
    stream = generate.stream("x", sg.choice(["naïve 🎉 café"]))
    assert len(stream.result.encode()) > len(stream.text) and stream.text == "naïve 🎉 café"
    pieces = list(generate.stream("x", sg.choice(["🎉🎉"])))
    assert pieces == ["🎉", "🎉"]


def test_the_stream_and_the_call_agree(generate):
    assert generate.stream("someone", Item).result == generate("someone", Item)


def test_an_incomplete_stream_shows_when_the_result_is_asked_for(generate):
    stream = generate.stream("someone", Item, max_new_tokens=3)
    assert "".join(stream).startswith("{")
    with pytest.raises(ModelOutputError):
        _ = stream.result


def test_errors_of_the_model_reach_the_reader(generate):
    def broken(input_ids, scores):
        raise RuntimeError("out of memory")

    stream = generate.stream("someone", Item, logits_processor=[broken])
    for ask in (list, lambda stream: stream.result, lambda stream: stream.result, list):
        with pytest.raises(RuntimeError, match="out of memory"):
            ask(stream)


@pytest.mark.parametrize(
    "options",
    [
        {"num_return_sequences": 2, "do_sample": True},
        {"num_beams": 2},
        {"generation_config": GenerationConfig(num_return_sequences=2, do_sample=True)},
    ],
    ids=str,
)
def test_a_stream_is_one_answer(generate, options):
    with pytest.raises(StructgenError, match="must be 1"):
        generate.stream("someone", Item, **options)


def test_close_waits_until_the_model_has_stopped(generate):
    stream = generate.stream("x", sg.regex("x{5000}"), max_new_tokens=900)
    next(stream)
    stream.close()
    assert not stream._thread.is_alive() and not module._running
    with pytest.raises(ModelOutputError, match="or close"):
        _ = stream.result


def test_the_interpreter_may_end_while_a_stream_is_under_way():
    program = (
        "from tests.decoding.models import model, tokenizer\nimport structgen as sg\nfrom structgen.generator import Generator\n"
        "stream = Generator(model(), tokenizer()).stream('x', sg.regex('x{5000}'), max_new_tokens=900)\nnext(stream)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stream_that_is_closed_or_dropped_stops_the_model(generate):
    for end in (Stream.close, lambda stream: None):
        before = threading.active_count()
        stream = generate.stream("x", sg.regex("x{5000}"), max_new_tokens=900)
        next(stream)
        end(stream)
        del stream
        gc.collect()
        deadline = time.monotonic() + 60
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert threading.active_count() <= before


def test_several_threads_share_a_generator(generate):
    expected = generate("someone", Item)
    found = []
    threads = [threading.Thread(target=lambda: found.append(generate("someone", Item))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
