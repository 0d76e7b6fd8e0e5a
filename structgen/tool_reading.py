"""The calls in an output that `structgen.tool_styles.tool_calls` allows, read back from its text, style by style."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from structgen.errors import ModelOutputError, StructgenError
from structgen.jsontext import loads
from structgen.tool_styles import STYLES, functions_of, values_of

__all__ = ["read_tool_calls"]

Call = dict[str, Any]
"""``{"name": ..., "arguments": {...}}``."""


def read_tool_calls(text: str, style: str = "hermes", tools: Any = None) -> list[Call]:
    """The calls in a complete output that `tool_calls` allows, as ``{"name": ..., "arguments": {...}}``; [] if there are none.

    ``text`` has special tokens in it as their names (``tokenizer.decode(ids, skip_special_tokens=False)``), but for the last, which
    ends the output. ``tools``: as for `tool_calls`; needed by "qwen3-coder", where only the schema tells the text 5 from the number.

    Raises `ModelOutputError` for calls that are not complete.

    >>> read_tool_calls('[TOOL_CALLS]now[ARGS]{"zone": "UTC"}', "mistral-v11")
    [{'name': 'now', 'arguments': {'zone': 'UTC'}}]
    """
    if not isinstance(text, str):
        raise StructgenError(f"calls are read from a text (str), found {text!r:.50}")
    if not isinstance(style, str) or style not in READERS:
        raise StructgenError(f"unknown style of tool calls {style!r:.50}; known are {', '.join(READERS)}")
    return list(READERS[style](text, tools))


def _calls(begin: str, end: str, text: str, _: Any) -> Iterator[Call]:
    """Calls that begin where the pattern matches and go on with JSON: arguments if the pattern has the name, else the whole call."""
    at, pattern = 0, re.compile(begin)
    while found := pattern.search(text, at):
        value, at = _json(text, found.end(), end)
        yield {"name": found["name"], "arguments": value} if pattern.groups else _call(text, value, "arguments")


def _json(text: str, start: int, end: str) -> tuple[Any, int]:
    """The JSON value that begins at a place and is followed by ``end``; where it all ends."""
    try:
        at = json.JSONDecoder().raw_decode(text, start)[1]
        if text.startswith(end, at):
            return loads(text[start:at]), at + len(end)
    except (ValueError, RecursionError):
        pass
    raise _incomplete(text, start)


def _call(text: str, value: Any, key: str) -> Call:
    if not isinstance(value, dict) or not value.keys() >= {"name", key}:
        raise ModelOutputError(f"a tool call is an object with 'name' and {key!r}, found {value!r:.80}", text=text)
    return {"name": value["name"], "arguments": value[key]}


def _incomplete(text: str, at: int) -> ModelOutputError:
    return ModelOutputError(f"a tool call at character {at} is not complete", text=text)


def _mistral(text: str, _: Any) -> Iterator[Call]:
    start = text.find("[TOOL_CALLS]")
    if start < 0:
        return
    calls = _json(text, start + len("[TOOL_CALLS]"), "")[0]
    if not isinstance(calls, list):
        raise _incomplete(text, start)
    yield from (_call(text, call, "arguments") for call in calls)


def _llama(text: str, _: Any) -> Iterator[Call]:
    at = len("<|python_tag|>") if text.startswith("<|python_tag|>") else 0
    if not at and not text.startswith("{"):
        return
    while True:
        value, at = _json(text, at, "")
        yield _call(text, value, "parameters")
        if not text.startswith("; ", at):
            return
        at += len("; ")


CALL = re.compile(r"<tool_call>\n(?:<function=([^<>\n]+)>\n)?")
PARAMETER = re.compile(r"<parameter=([^<>\n]+)>\n")


def _coder(text: str, tools: Any) -> Iterator[Call]:
    """Parameters that are texts are as they are written, all others JSON."""
    if tools is None:
        raise StructgenError("the style 'qwen3-coder' is read with its tools: read_tool_calls(text, style, tools)")
    functions, options = functions_of(tools, {})
    at = 0
    while found := CALL.search(text, at):
        at, function = found.end(), functions.get(found[1])
        if function is None:
            raise ModelOutputError(f"a call of an unknown tool {found[1]!r:.80}", text=text)
        arguments = {}
        while parameter := PARAMETER.match(text, at):
            end = text.find("\n</parameter>\n", parameter.end())
            if end < 0:
                raise _incomplete(text, parameter.end())
            if parameter[1] not in function.parameters.get("properties", {}):
                raise ModelOutputError(f"the tool {function.name!r} has no parameter {parameter[1]!r:.80}", text=text)
            value, at = text[parameter.end() : end], end + len("\n</parameter>\n")
            is_text = value.lower() != "null" and values_of(function, parameter[1], options, {"type": "string"}) is not None
            arguments[parameter[1]] = value if is_text else _json(value, 0, "")[0]
        if not text.startswith("</function>\n</tool_call>", at):
            raise _incomplete(text, at)
        yield {"name": function.name, "arguments": arguments}


HARMONY = r"<\|channel\|>commentary to=functions\.(?P<name>[\w-]+) <\|constrain\|>json<\|message\|>"
READERS: dict[str, Callable[[str, Any], Iterator[Call]]] = {
    "hermes": partial(_calls, r"<tool_call>\n", "\n</tool_call>"),
    "qwen": partial(_calls, r"<tool_call>\n", "\n</tool_call>"),
    "qwen3-coder": _coder,
    "llama3": _llama,
    "llama3-function": partial(_calls, r"<function=(?P<name>[\w-]+)>", "</function>"),
    "mistral": _mistral,
    "mistral-v11": partial(_calls, r"\[TOOL_CALLS\](?P<name>[\w-]+)\[ARGS\]", ""),
    "harmony": partial(_calls, HARMONY, ""),
}
assert READERS.keys() == STYLES.keys()
