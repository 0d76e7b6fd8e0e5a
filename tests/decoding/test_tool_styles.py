"""Calls of tools in each style: texts written by hand from the formats' descriptions, random outputs read back and validated by
jsonschema, and the same outputs with markers as special tokens and as plain text."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest

import structgen as sg
from structgen.enumeration import random_walk
from structgen.tool_styles import HARMONY, STYLES

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 9}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: dict[str, Any] = {"weather": WEATHER, "now": {"type": "object", "additionalProperties": False}}
MARKERS = [*HARMONY, "<tool_call>", "</tool_call>", "<|python_tag|>", "[TOOL_CALLS]", "[ARGS]"]
ENDS = ("<|call|>", "<|return|>")


@cache
def plain() -> Any:
    """A vocabulary without special tokens, in which some tokens run into markers."""
    return sg.Vocabulary.from_bytes([*(bytes([i]) for i in range(256)), b"<tool", b"}\n</", b"] [T", b""], eos_token_id=259)


@cache
def special() -> Any:
    """A vocabulary whose markers are special tokens, two of which end the output."""
    names = {name: 256 + i for i, name in enumerate(MARKERS)}
    return sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)], eos_token_id=[names[name] for name in ENDS], special=names)


def spelled(text: str) -> list[int] | None:
    """The tokens of a text in the vocabulary with special tokens, without the one that ends the output."""
    parts = [part for part in re.split("(" + "|".join(map(re.escape, MARKERS)) + ")", text) if part]
    if parts and parts[-1] in ENDS:
        parts.pop()
    return [t for part in parts for t in ([special().special[part]] if part in MARKERS else part.encode())]


def accepts(constraint: sg.Constraint, text: str) -> bool:
    """Whether a text is allowed: the same with both vocabularies."""
    found = sg.compile(constraint, plain()).accepts(text)
    automaton = sg.compile(constraint, special())
    state = automaton.initial
    for token in spelled(text) or ():
        state = automaton.advance(state, token)
    assert found == automaton.is_accepting(state), text
    return found


CALLS = {
    "hermes": '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "days": 2}}\n</tool_call>',
    "qwen": '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "days": 2}}\n</tool_call>',
    "qwen3-coder": "<tool_call>\n<function=weather>\n<parameter=city>\nRome\n</parameter>\n"
    "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
    "llama3": '<|python_tag|>{"name": "weather", "parameters": {"city": "Rome", "days": 2}}',
    "llama3-function": '<function=weather>{"city": "Rome", "days": 2}</function>',
    "mistral": '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Rome", "days": 2}}]',
    "mistral-v11": '[TOOL_CALLS]weather[ARGS]{"city": "Rome", "days": 2}',
    "harmony": '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Rome", "days": 2}<|call|>',
}
"""One call in each style."""
TWO = {
    "hermes": CALLS["hermes"] + '\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
    "qwen3-coder": CALLS["qwen3-coder"] + "\n<tool_call>\n<function=now>\n</function>\n</tool_call>",
    "llama3": '{"name": "weather", "parameters": {"city": "Rome", "days": 2}}; {"name": "now", "parameters": {}}',
    "llama3-function": CALLS["llama3-function"] + "<function=now>{}</function>",
    "mistral": '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Rome", "days": 2}}, {"name": "now", "arguments": {}}]',
    "mistral-v11": CALLS["mistral-v11"] + "[TOOL_CALLS]now[ARGS]{}",
}
"""Two calls."""
MESSAGES = {
    "harmony": "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>Plan<|end|><|start|>assistant"
}
ROME = {"name": "weather", "arguments": {"city": "Rome", "days": 2}}
NOW = {"name": "now", "arguments": {}}


@pytest.mark.parametrize("style", STYLES)
def test_one_call(style: str) -> None:
    text = CALLS[style]
    constraint = sg.tool_calls(TOOLS, style, tool_choice="required")
    assert accepts(constraint, text)
    assert sg.read_tool_calls(text, style, TOOLS) == [ROME]
    wrong = ["", text[:-1], text + " ", text.replace("weather", "whether"), text.replace("2", "8"), text.replace("city", "town")]
    for other in wrong:
        assert not accepts(constraint, other), other
    assert not accepts(sg.tool_calls(TOOLS, style, tool_choice="now"), text)
    assert accepts(sg.tool_calls(TOOLS, style, tool_choice="weather", most=1), text)


@pytest.mark.parametrize("style", STYLES)
def test_text_instead_of_a_call(style: str) -> None:
    message = "<|channel|>final<|message|>It is [late].<|return|>" if style == "harmony" else "It is [late]."
    assert accepts(sg.tool_calls(TOOLS, style), message) and accepts(sg.tool_calls(TOOLS, style, tool_choice="none"), message)
    assert not accepts(sg.tool_calls(TOOLS, style, tool_choice="required"), message)
    assert not accepts(sg.tool_calls(TOOLS, style, tool_choice="none"), CALLS[style])
    assert sg.read_tool_calls(message, style, TOOLS) == []


@pytest.mark.parametrize("style", STYLES)
def test_text_before_a_call(style: str) -> None:
    text = MESSAGES.get(style, "I look. ") + CALLS[style]
    has_text = style != "llama3"
    assert accepts(sg.tool_calls(TOOLS, style, tool_choice="required"), text) == has_text
    assert not accepts(sg.tool_calls(TOOLS, style, text_before=False, tool_choice="required"), text)
    assert accepts(sg.tool_calls(TOOLS, style, text_before=False), CALLS[style])
    if has_text:
        assert sg.read_tool_calls(text, style, TOOLS) == [ROME]


@pytest.mark.parametrize("style", TWO)
def test_several_calls(style: str) -> None:
    text = TWO[style]
    assert accepts(sg.tool_calls(TOOLS, style), text) and sg.read_tool_calls(text, style, TOOLS) == [ROME, NOW]
    for least, most, wanted in [(1, 1, False), (2, 2, True), (1, 2, True), (3, None, False), (2, 10**30, True)]:
        assert accepts(sg.tool_calls(TOOLS, style, least=least, most=most), text) == wanted
    assert not accepts(sg.tool_calls(TOOLS, style, least=2), CALLS[style])


@pytest.mark.parametrize("style", ["hermes", "qwen3-coder", "llama3-function", "mistral-v11"])
def test_text_between_and_after(style: str) -> None:
    text = f"One {CALLS[style]} two {CALLS[style]} three"
    constraint = sg.tool_calls(TOOLS, style, text_after=True, tool_choice="required")
    assert accepts(constraint, text) and accepts(constraint, CALLS[style])
    assert not accepts(sg.tool_calls(TOOLS, style), text) and not accepts(constraint, text + "<tool_call>[TOOL_CALLS]<function=")
    assert not accepts(sg.tool_calls(TOOLS, style, text_after=True, most=1), text)


@pytest.mark.parametrize("style", STYLES)
def test_random_outputs_are_read_back(style: str) -> None:
    """What a random walk over allowed tokens writes always ends, and is read as calls with valid arguments."""
    options = {} if style == "harmony" else {"most": 2}
    automaton = sg.compile(sg.tool_calls(TOOLS, style, tool_choice="required", text_before=False, **options), plain())
    rng = Random(5)
    for _ in range(20):
        data = random_walk(automaton, rng, 30)
        calls = sg.read_tool_calls(data.decode(), style, TOOLS)
        assert 1 <= len(calls) <= 2
        for call in calls:
            jsonschema.validate(call["arguments"], TOOLS[call["name"]])


def test_free_text_never_spells_a_marker() -> None:
    """Also where the marker is a special token, so that a reader of the decoded text is not misled."""
    automaton = sg.compile(sg.tool_calls(TOOLS, "hermes"), special())
    assert automaton.accepts("<tool_call ") and not automaton.accepts("<tool_call>")


@pytest.mark.parametrize(
    ("schema", "values", "others"),
    [
        (
            {"type": "string"},
            ["", "a", "\n", "5", "null.", "</p>", "{}"],
            ["null", "NULL", "a</parameter>", "<parameter=b>", "</function>"],
        ),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "äöü"], ["a", "abcd"]),
        ({"type": "string", "pattern": "^a+$"}, ["a", "aa"], ["", "b"]),
        ({"enum": ["x y", "z"]}, ["x y", "z"], ["x", '"z"']),
        ({"const": "x"}, ["x"], ["", '"x"']),
        ({"anyOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]}, ["null", "ab"], ["nil"]),
        ({"type": "integer"}, ["5", "-1"], ["five", '"5"', "1.5"]),
        ({"type": "array", "items": {"type": "boolean"}}, ["[]", "[true]"], ["true", "[1]"]),
        ({"$ref": "#/$defs/t"}, ["t"], ["s"]),
    ],
)
def test_parameters_of_qwen3_coder(schema: Any, values: list[str], others: list[str]) -> None:
    tools = {"f": {"type": "object", "properties": {"p/~%": schema}, "required": ["p/~%"], "$defs": {"t": {"const": "t"}}}}
    constraint = sg.tool_calls(tools, "qwen3-coder")
    for value in values + others:
        text = f"<tool_call>\n<function=f>\n<parameter=p/~%>\n{value}\n</parameter>\n</function>\n</tool_call>"
        assert accepts(constraint, text) == (value in values), value
        if value in values:
            (call,) = sg.read_tool_calls(text, "qwen3-coder", tools)
            jsonschema.validate(call["arguments"], tools["f"])


def weather(city: str, days: int = 1) -> None:
    """The weather in a city."""


def test_numbers_of_python_functions_do_not_overflow() -> None:
    def wait(seconds: float) -> None: ...

    for tools in ([wait], {"wait": wait}):
        assert not accepts(sg.tool_calls(tools, "llama3-function"), '<function=wait>{"seconds": 1e999}</function>')
        assert accepts(sg.tool_calls(tools, "llama3-function"), '<function=wait>{"seconds": 1e99}</function>')


def test_the_frame_of_a_call_is_written_as_templates_do() -> None:
    for text in ('{"name":"now", "arguments": {}}', '{"arguments": {}, "name": "now"}', '{"name": "n\\u006fw", "arguments": {}}'):
        assert not accepts(sg.tool_calls(TOOLS, property_order="any"), f"<tool_call>\n{text}\n</tool_call>")


def test_python_functions() -> None:
    for tools in ([weather], {"weather": weather}):
        constraint = sg.tool_calls(tools, "mistral-v11")
        assert accepts(constraint, CALLS["mistral-v11"])
        assert not accepts(constraint, '[TOOL_CALLS]weather[ARGS]{"days": 2}')
    assert accepts(sg.tool_calls([{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]), CALLS["hermes"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sg.tool_calls(TOOLS, "herms"), "unknown style"),
        (lambda: sg.tool_calls([], "hermes"), "at least one tool"),
        (lambda: sg.tool_calls("weather"), "at least one tool"),
        (lambda: sg.tool_calls([{"type": "function"}]), "missing"),
        (lambda: sg.tool_calls({"a b": {}}), "a name of 1 to 64"),
        (lambda: sg.tool_calls(TOOLS, tool_choice="later"), "tool_choice"),
        (lambda: sg.tool_calls(TOOLS, least=0), "1 <= least"),
        (lambda: sg.tool_calls(TOOLS, least=3, most=2), "1 <= least"),
        (lambda: sg.tool_calls(TOOLS, most="2"), "need integers"),
        (lambda: sg.tool_calls(TOOLS, least=10**30), "limit"),
        (lambda: sg.tool_calls(TOOLS, "llama3", text_before=True), "no text comes before"),
        (lambda: sg.tool_calls(TOOLS, "mistral", text_after=True), "no text follows"),
        (lambda: sg.tool_calls(TOOLS, "harmony", least=2), "one call"),
        (lambda: sg.tool_calls({"f": {"type": "object", "minProperties": 1}}, "qwen3-coder"), "minProperties"),
        (lambda: sg.tool_calls({"f": {"type": "object", "properties": {"a>": {}}}}, "qwen3-coder"), "cannot be written"),
        (lambda: sg.tool_calls({"f": {"type": "object", "properties": {"a": {}}}}, "qwen3-coder"), "told apart"),
        (lambda: sg.tool_calls({"f": {"type": "object", "required": ["a"]}}, "qwen3-coder"), "has no value"),
        (lambda: sg.tool_calls({"f": {"type": "array"}}), "arguments are an object"),
        (lambda: sg.read_tool_calls("<tool_call>\n{", "hermes"), "not complete"),
        (lambda: sg.read_tool_calls("", "qwen3-coder"), "with its tools"),
        (lambda: sg.read_tool_calls("", "herms"), "unknown style"),
        (lambda: sg.read_tool_calls(b""), "from a text"),
        (lambda: sg.read_tool_calls("<tool_call>\n[1]\n</tool_call>"), "is an object"),
        (lambda: sg.read_tool_calls("[TOOL_CALLS]{}", "mistral"), "not complete"),
        (lambda: sg.read_tool_calls("<|python_tag|>", "llama3"), "not complete"),
        (lambda: sg.read_tool_calls('{"name": "a"}', "llama3"), "is an object"),
        (lambda: sg.read_tool_calls("[TOOL_CALLS]f[ARGS]" + "[" * 100_000, "mistral-v11"), "not complete"),
        (lambda: sg.read_tool_calls("<tool_call>\n<function=f>\n", "qwen3-coder", TOOLS), "unknown tool"),
        (lambda: sg.read_tool_calls("<tool_call>\n" * 10_000, "qwen3-coder", TOOLS), "unknown tool"),
        (lambda: sg.read_tool_calls("<tool_call>\n<function=now>\n", "qwen3-coder", TOOLS), "not complete"),
        (lambda: sg.read_tool_calls("<tool_call>\n<function=now>\n<parameter=a>\n1", "qwen3-coder", TOOLS), "not complete"),
        (lambda: sg.read_tool_calls("<tool_call>\n<function=now>\n<parameter=a>\n1\n</parameter>\n", "qwen3-coder", TOOLS), "no parameter"),
    ],
)
def test_errors(make: Any, message: str) -> None:
    with pytest.raises(sg.StructgenError, match=message):
        make()


def test_arguments_may_contain_markers_in_json() -> None:
    text = json.dumps({"name": "weather", "arguments": {"city": "</tool_c"}})
    assert accepts(sg.tool_calls(TOOLS), f"<tool_call>\n{text}\n</tool_call>")
    assert sg.read_tool_calls(f"<tool_call>\n{text}\n</tool_call>")[0]["arguments"] == {"city": "</tool_c"}


def mistral(tmp_path: Path) -> tuple[Any, Any]:
    """A small Tekken tokenizer that has the special tokens of version 13, and its vocabulary."""
    package = pytest.importorskip("mistral_common")
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    spec = json.loads((Path(package.__file__).parent / "data" / "tekken_240911.json").read_text())
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"]
    names += ["[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]"]
    names += ["[/SYSTEM_PROMPT]", "[TOOL_CONTENT]", "[ARGS]", "[CALL_ID]"]
    spec["special_tokens"] = [{"rank": i, "token_str": name, "is_control": True} for i, name in enumerate(names)]
    spec["vocab"] = spec["vocab"][:1000]
    spec["config"] |= {"default_vocab_size": 1000 + len(names), "default_num_special_tokens": len(names), "version": "v13"}
    path = tmp_path / "tekken.json"
    path.write_text(json.dumps(spec))
    tokenizer = Tekkenizer.from_file(path)
    tokens = [*([b""] * len(names)), *(tokenizer.id_to_byte_piece(i) for i in range(len(names), tokenizer.n_words))]
    return tokenizer, sg.Vocabulary.from_bytes(tokens, eos_token_id=2, special={name: i for i, name in enumerate(names)})


def test_calls_as_mistral_common_writes_them(tmp_path: Path) -> None:
    tokenizer, vocab = mistral(tmp_path)
    from mistral_common.protocol.instruct.messages import AssistantMessage
    from mistral_common.protocol.instruct.tool_calls import FunctionCall, ToolCall
    from mistral_common.tokens.tokenizers import instruct

    calls = [
        ToolCall(id="abcdefghi", function=FunctionCall(name="weather", arguments='{"city": "Rome", "days": 2}')),
        ToolCall(id="abcdefghj", function=FunctionCall(name="now", arguments="{}")),
    ]
    message = AssistantMessage(content=None, tool_calls=calls)
    ids = instruct.InstructTokenizerV13(tokenizer)._encode_tool_calls_in_assistant_message(message)
    automaton = sg.compile(sg.tool_calls(TOOLS, "mistral-v11", tool_choice="required"), vocab)
    state = automaton.initial
    for token in ids:
        assert token in automaton.allowed(state)
        state = automaton.advance(state, token)
    assert automaton.is_accepting(state)


@pytest.mark.parametrize("page", ["tagged.md", "regex.md"])
def test_the_examples_in_the_documentation(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, {"tokenizer": plain(), "__name__": page})
