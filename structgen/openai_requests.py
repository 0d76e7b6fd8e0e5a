"""Requests in the shapes of the OpenAI API as constraints: ``response_format``, and ``tools`` with ``tool_choice``.

Chat completions wrap a definition in an object (``{"type": "function", "function": {"name": ...}}``), the Responses API writes it
flat (``{"type": "function", "name": ...}``); both are read. Schemas are enforced exactly as they are written, with and without
``strict``. Whatever else a request says is an `InvalidRequest` with the path of the wrong part, never ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from structgen.errors import StructgenError, UnsatisfiableSchema
from structgen.grammars.constraint import Constraint, regex
from structgen.jsontext import loads
from structgen.types import TypedConstraint, as_constraint, json_schema

__all__ = ["InvalidRequest", "from_response_format", "from_tools"]

ANY_TEXT = r"[\s\S]*"
MESSAGE = r"[ \t\r\n]*([^ \t\r\n\[{][\s\S]*)?"
"""Any text that does not begin with a bracket, as calls do."""
NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}


class InvalidRequest(StructgenError):
    """A request that is not of the documented shape; ``path`` leads to the wrong part, like ``tools[1].function.name``."""

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        super().__init__(f"{path}: {message}")


class Function(NamedTuple):
    """A function that may be called; ``path`` is where its parameters stand in the request."""

    name: str
    parameters: dict[str, Any]
    path: str


def from_response_format(response_format: Mapping[str, Any], **options: Any) -> TypedConstraint:
    """The texts that a ``response_format`` allows; options as for `structgen.json_schema`.

    ``{"type": "text"}`` is any text, ``{"type": "json_object"}`` any JSON object, and ``{"type": "json_schema", "json_schema":
    {"name": ..., "schema": ...}}`` the JSON texts that are valid under the schema. JSON is parsed by `structgen.jsontext.loads`.

    Raises `InvalidRequest` for a malformed request, and what `structgen.json_schema` raises for a schema.
    """
    path = "response_format"
    kind = _kind(response_format, path, ("text", "json_object", "json_schema"))
    if kind == "json_schema":
        definition, path = _definition(response_format, path, kind, ("name", "schema"), ("description", "strict"))
        schema, path = definition["schema"], f"{path}.schema"
        found = _satisfiable({"$ref": path}, _with_parts({path: schema}, options), path)
        return TypedConstraint(found.expr, found.report, found.source, loads, schema)
    _fields(response_format, path, ("type",))
    return json_schema({"type": "object"}, **options) if kind == "json_object" else _any_text(options)


def from_tools(
    tools: Sequence[Mapping[str, Any]], tool_choice: str | Mapping[str, Any] = "auto", parallel_tool_calls: bool = True, **options: Any
) -> TypedConstraint:
    """The texts that call ``tools`` as ``tool_choice`` says; options as for `structgen.json_schema`.

    A call is written ``{"name": "...", "arguments": {...}}``. Where several calls are possible the text is a JSON array of one or
    more of them; with ``parallel_tool_calls=False``, or a function named in ``tool_choice``, it is one call by itself.

    ``tool_choice``: "required" (calls), "auto" (calls, or a message: a text that does not begin with ``[`` or ``{``), "none" (any
    text), ``{"type": "function", "function": {"name": ...}}`` (one call of this function), or ``{"type": "allowed_tools", ...}``.
    Calls are parsed by `structgen.jsontext.loads`, a message is its text.

    Raises `InvalidRequest` for a malformed request, and what `structgen.json_schema` raises for the parameters of a function.

    >>> import structgen as sg
    >>> vocab = sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)], eos_token_id=256)
    >>> automaton = sg.compile(sg.from_tools([{"type": "function", "function": {"name": "now"}}]), vocab)
    >>> automaton.parse('[{"name": "now", "arguments": {}}]'), automaton.accepts("It is late."), automaton.accepts("[]")
    ([{'name': 'now', 'arguments': {}}], True, False)
    """
    functions = _functions(tools)
    mode, chosen = _chosen(tool_choice, functions)
    if not isinstance(parallel_tool_calls, bool):
        raise InvalidRequest("parallel_tool_calls", f"expected true or false, found {parallel_tool_calls!r:.80}")
    if mode == "none":
        return _any_text(options)
    calls = _calls(chosen, parallel_tool_calls and mode != "function", options)
    if mode == "auto":
        either = regex(MESSAGE) | calls
        return TypedConstraint(either.expr, either.report, either.source, _message_or_calls)
    return TypedConstraint(calls.expr, calls.report, calls.source, loads)


# constraints


def _calls(functions: Sequence[Function], several: bool, options: Mapping[str, Any]) -> Constraint:
    """One call of any of the functions, or an array of calls."""
    options = _with_parts({function.path: function.parameters for function in functions}, options)
    alternatives = []
    for name, _, path in functions:
        arguments = {"type": "object", "allOf": [{"$ref": path}]}
        _satisfiable(arguments, options, path, "arguments are an object, and ")
        properties = {"name": {"enum": [name]}, "arguments": arguments}
        alternatives.append({"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False})
    call = {"anyOf": alternatives}
    found = json_schema({"type": "array", "items": call, "minItems": 1} if several else call, **options)
    return Constraint(found.expr, found.report, f"calls of {', '.join(function.name for function in functions)}")


def _with_parts(parts: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a registry in which each schema is known by its path in the request.

    A ``$ref`` to the path is the schema as it is written: a document with references and a draft of its own. Errors and the report
    name its places by the path.
    """
    from referencing import Registry, Specification

    resources = [(path, Specification.OPAQUE.create_resource(schema)) for path, schema in parts.items()]
    return {**options, "registry": (options.get("registry") or Registry()).with_resources(resources)}


def _satisfiable(schema: Any, options: Mapping[str, Any], path: str, why: str = "") -> Constraint:
    """The JSON texts of a schema that must have some; the error names ``path``."""
    try:
        return json_schema(schema, **options)
    except UnsatisfiableSchema as error:
        raise UnsatisfiableSchema(why + str(error).removesuffix(" (at #)"), pointer=path) from None


def _any_text(options: Mapping[str, Any]) -> TypedConstraint:
    json_schema(True, **options)  # which raises if the options are wrong, though plain text has no use for them
    return as_constraint(regex(ANY_TEXT))


def _message_or_calls(text: str) -> Any:
    return loads(text) if text[:1] in ("[", "{") else text


# requests


def _functions(tools: Any) -> dict[str, Function]:
    """The functions by name."""
    functions: dict[str, Function] = {}
    identified: dict[str, Any] = {}
    for i, tool in enumerate(_list(tools, "tools")):
        path = f"tools[{i}]"
        _kind(tool, path, ("function",))
        # "return" is what transformers writes for what a function returns; the API has it not
        definition, path = _definition(tool, path, "function", ("name",), ("description", "parameters", "strict", "return"))
        name, parameters = definition["name"], definition.get("parameters")
        if name in functions:
            raise InvalidRequest(f"{path}.name", f"there is another function named {name!r}")
        function = functions[name] = Function(name, NO_PARAMETERS if parameters is None else parameters, f"{path}.parameters")
        for identifier, schema in _identified(function.parameters):
            if identified.setdefault(identifier, schema) != schema:
                raise InvalidRequest(function.path, f"the $id {identifier!r:.80} stands for another schema in another function")
    return functions


def _chosen(choice: Any, functions: Mapping[str, Function]) -> tuple[str, list[Function]]:
    """What must be written ("none", "auto", "required", or "function": one call), and the functions that may be called."""
    path = "tool_choice"
    if isinstance(choice, str):
        return _one_of(choice, path, ("auto", "none", "required")), [*functions.values()]
    if _kind(choice, path, ("function", "allowed_tools")) == "function":
        return "function", [functions[_named(choice, path, functions)]]
    allowed, path = _definition(choice, path, "allowed_tools", ("mode", "tools"))
    mode = _one_of(allowed["mode"], f"{path}.mode", ("auto", "required"))
    names = {_named(tool, f"{path}.tools[{i}]", functions) for i, tool in enumerate(_list(allowed["tools"], f"{path}.tools"))}
    return mode, [function for name, function in functions.items() if name in names]


def _named(choice: Any, path: str, functions: Mapping[str, Function]) -> str:
    """The name in ``{"type": "function", ...}``, which must be that of a function."""
    _kind(choice, path, ("function",))
    definition, path = _definition(choice, path, "function", ("name",))
    return _one_of(definition["name"], f"{path}.name", tuple(functions))


def _definition(
    value: Mapping[str, Any], path: str, inner: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> tuple[Mapping[str, Any], str]:
    """The fields of a definition and where they are: under the key ``inner`` (chat completions), or beside the type (Responses)."""
    if inner in value or len(value) == 1:
        value, path = _fields(value, path, ("type", inner))[inner], f"{path}.{inner}"
        return _fields(value, path, required, optional), path
    return _fields(value, path, ("type", *required), optional), path


# parts of requests


EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (
        lambda value: isinstance(value, str) and re.fullmatch("[A-Za-z0-9_-]{1,64}", value) is not None,
        "a name of 1 to 64 letters, digits, underscores and dashes",
    ),
    "description": (lambda value: value is None or isinstance(value, str), "a text"),
    "strict": (lambda value: value is None or isinstance(value, bool), "true or false"),
    "schema": (lambda value: isinstance(value, dict), "a JSON Schema (an object)"),
    "parameters": (lambda value: value is None or isinstance(value, dict), "a JSON Schema (an object)"),
}
"""What a field must be, and what to call that; other fields are looked at where they are used."""


def _fields(value: Any, path: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """The object with all ``required`` fields, and no others than these and the ``optional`` ones."""
    fields: Mapping[str, Any] = _object(value, path)
    known = (*required, *optional)
    for field in fields:
        if field not in known:
            raise InvalidRequest(f"{path}.{field}", f"unknown field; known are {', '.join(known)}")
    for field in required:
        if field not in fields:
            raise InvalidRequest(f"{path}.{field}", "missing")
    for field in fields:
        is_right, wanted = EXPECTED.get(field, (lambda _: True, ""))
        if not is_right(fields[field]):
            raise InvalidRequest(f"{path}.{field}", f"expected {wanted}, found {fields[field]!r:.80}")
    return fields


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidRequest(path, f"expected an object, found {value!r:.80}")
    return value


def _list(value: Any, path: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InvalidRequest(path, f"expected a list of at least one tool, found {value!r:.80}")
    return value


def _kind(value: Any, path: str, kinds: tuple[str, ...]) -> str:
    """The type of a typed object."""
    fields = _object(value, path)
    if "type" not in fields:
        raise InvalidRequest(f"{path}.type", "missing")
    return _one_of(fields["type"], f"{path}.type", kinds)


def _one_of(value: Any, path: str, texts: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in texts:
        raise InvalidRequest(path, f"expected {' or '.join(json.dumps(text) for text in texts)}, found {value!r:.80}")
    return texts[texts.index(value)]


def _identified(schema: Any) -> Iterator[tuple[str, Any]]:
    """The schemas with a ``$id`` in a document."""
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$id"), str):
                yield part["$id"], part
            todo += part.values()
        elif isinstance(part, list):
            todo += part
