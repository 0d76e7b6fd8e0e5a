"""Requests in the shapes of the OpenAI API: the texts they allow, what is parsed, and where a malformed request is wrong."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
import referencing
import referencing.jsonschema

import structgen as sg
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema, UnsupportedSchema

BYTES = sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)] + [b""], eos_token_id=256)

PERSON = {
    "type": "object",
    "properties": {"name": {"enum": ["Ada", "Bob"]}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
OPEN = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
CITY = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/city"}},
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"city": {"enum": ["Oslo", "Rome"]}},
}
SUM = {
    "type": "object",
    "properties": {"x": {"$ref": "#/$defs/city"}},
    "required": ["x"],
    "additionalProperties": False,
    "$defs": {"city": {"type": "integer"}},  # the name that CITY uses for something else
}


def nested(schema, **more):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **more}}


def flat(schema, **more):
    return {"type": "json_schema", "name": "answer", "schema": schema, **more}


def tool(name, parameters=None, **more):
    return {"type": "function", "function": {"name": name, **({} if parameters is None else {"parameters": parameters}), **more}}


def flat_tool(name, parameters=None, **more):
    return {"type": "function", "name": name, "parameters": parameters, **more}


def named(name):
    return {"type": "function", "function": {"name": name}}


def allowed(mode, *names):
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named(name) for name in names]}}


TOOLS = [tool("weather", CITY, description="Weather of a city", strict=True), tool("add", SUM), tool("now")]
OSLO = '{"name": "weather", "arguments": {"city": "Oslo"}}'
ADD = '{"name": "add", "arguments": {"x": 12}}'
NOW = '{"name": "now", "arguments": {}}'


def compiled(constraint):
    return sg.compile(constraint, BYTES)


# -- response_format ------------------------------------------------------------------------------------------------------------

PERSON_TEXTS = (
    ['{"name": "Ada", "age": 36}', '{"name":"Bob","age":-1}', '{\n  "name": "Ada",\n  "age": 36\n}'],
    [
        '{"name": "Ada"}',
        '{"name": "Eve", "age": 1}',
        '{"name": "Ada", "age": 36, "x": 1}',
        '{"name": "Ada", "age": "36"}',
        "",
        "Ada",
        "null",
    ],
)
OPEN_TEXTS = (["{}", '{"ok": true}', '{"ok": false, "more": [1]}', '{"other": null}'], ['{"ok": 1}', "[]", "true", ""])

FORMATS = [
    ({"type": "text"}, ["", "Hello", '{"a": 1}', "[", "\n", "né \U0001f600", "\0"], [b"\xff", b"\xc3", b"a\xed\xa0\x80"]),
    ({"type": "json_object"}, ["{}", '{"a": [1, {"b": null}]}', '{"é": "\\u00e9"}'], ["[]", "1", '"{}"', "{", "", "{} ", '{"a":1,"a":2}']),
    (nested(PERSON), *PERSON_TEXTS),
    (nested(PERSON, strict=True, description="Somebody"), *PERSON_TEXTS),
    (nested(PERSON, strict=False), *PERSON_TEXTS),
    (nested(PERSON, strict=None), *PERSON_TEXTS),
    (flat(PERSON, strict=True, description=None), *PERSON_TEXTS),
    (nested(OPEN), *OPEN_TEXTS),
    (nested(OPEN, strict=True), *OPEN_TEXTS),  # as it is written: additional properties stay allowed, and nothing is required
    (nested({"anyOf": [{"type": "integer"}, {"const": "none"}]}), ["7", '"none"'], ["{}", '"some"']),
    (nested({}), ["1", "{}", "[null]"], ["", "{,}"]),
    (nested(CITY), ['{"city": "Rome"}'], ['{"city": 1}']),
    (nested({**CITY, "$id": "https://example.com/city"}), ['{"city": "Rome"}'], ['{"city": 1}']),
    (
        nested(
            {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}], "type": "array", "additionalItems": False}
        ),
        ["[]", "[null]"],
        ["[1]", "[null, 1]"],
    ),
]


@pytest.mark.parametrize("response_format, accepted, rejected", FORMATS, ids=lambda value: str(value)[:60])
def test_a_response_format_allows_exactly_its_texts(response_format, accepted, rejected):
    before = copy.deepcopy(response_format)
    automaton = compiled(sg.from_response_format(response_format))
    assert [text for text in accepted if not automaton.accepts(text)] == []
    assert [text for text in rejected if automaton.accepts(text)] == []
    assert response_format == before
    is_text = response_format["type"] == "text"
    assert [automaton.parse(text) for text in accepted] == [text if is_text else json.loads(text) for text in accepted]


def test_a_response_format_means_the_same_as_its_schema():
    constraint = sg.from_response_format(nested(PERSON), whitespace="compact")
    direct = sg.json_schema(PERSON, whitespace="compact")
    assert constraint.schema == direct.schema == PERSON
    for automaton in compiled(constraint), compiled(direct):
        assert automaton.accepts('{"name":"Ada","age":36}') and not automaton.accepts('{"name": "Ada","age":36}')
    pointers = {entry.pointer for entry in constraint.report}
    assert {f"response_format.json_schema.schema#{entry.pointer}" for entry in direct.report} < pointers


# -- tools ----------------------------------------------------------------------------------------------------------------------

ONE = [OSLO, ADD, NOW, '{"name":"weather","arguments":{"city":"Rome"}}']
WRONG = [
    '{"name": "add", "arguments": {"city": "Oslo"}}',
    '{"name": "weather", "arguments": {"x": 12}}',
    '{"name": "weather", "arguments": {}}',
    '{"name": "weather"}',
    '{"name": "now"}',
    '{"name": "now", "arguments": {"x": 1}}',
    '{"name": "now", "arguments": null}',
    '{"name": "now", "arguments": "{}"}',
    '{"name": "now", "arguments": {}, "id": 1}',
    '{"arguments": {}, "name": "now"}',
    '{"name": "never", "arguments": {}}',
    '{"name": "now", "parameters": {}}',
    "{}",
    "null",
]
SEVERAL = [f"[{OSLO}]", f"[{ADD}, {NOW}]", f"[{NOW},{NOW},{OSLO}]"]
WRONG_SEVERAL = ["[]", f"[{OSLO},]", f"[{OSLO}", f"[{OSLO}] ", f"[[{OSLO}]]", *(f"[{wrong}]" for wrong in WRONG), f"[{OSLO}, {WRONG[0]}]"]
MESSAGES = ["", "Hello", " \n", "\n Hello [1] {2}", "né", "<br>", "(", '"', "1", "null"]

CHOICES = [
    ("required", True, SEVERAL, [*ONE, *WRONG, *WRONG_SEVERAL, *MESSAGES]),
    ("required", False, ONE, [*SEVERAL, *WRONG, *WRONG_SEVERAL, *MESSAGES]),
    ("auto", True, [*SEVERAL, *MESSAGES], [*ONE, *WRONG[:-1], *WRONG_SEVERAL, " [", "\n{", "[1] says"]),
    ("auto", False, [*ONE, *MESSAGES], [*SEVERAL, *WRONG[:-1], *WRONG_SEVERAL, " [", "\n{", "[1] says"]),
    ("none", True, [*ONE, *WRONG, *SEVERAL, *MESSAGES], [b"\xff"]),
    (named("add"), True, [ADD], [OSLO, NOW, f"[{ADD}]", *WRONG, *MESSAGES]),
    (named("now"), False, [NOW], [OSLO, ADD, f"[{NOW}]", *WRONG, *MESSAGES]),
    ({"type": "function", "name": "weather"}, True, [OSLO], [ADD, NOW, f"[{OSLO}]", *WRONG, *MESSAGES]),
    (allowed("required", "now", "add"), True, SEVERAL[1:2], [*SEVERAL[::2], *MESSAGES, *WRONG_SEVERAL]),
    (allowed("required", "now", "now"), False, [NOW], [OSLO, ADD, *MESSAGES, *WRONG, *WRONG_SEVERAL]),
    (allowed("auto", "now"), False, [NOW, *MESSAGES], [OSLO, ADD, *WRONG[:-1], *WRONG_SEVERAL]),
    (
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "now"}]},
        False,
        [NOW],
        [OSLO, ADD, *MESSAGES, *WRONG],
    ),
]


@pytest.mark.parametrize("tool_choice, parallel, accepted, rejected", CHOICES, ids=lambda value: str(value)[:60])
def test_tools_allow_exactly_the_calls_of_the_choice(tool_choice, parallel, accepted, rejected):
    before = copy.deepcopy((TOOLS, tool_choice))
    automaton = compiled(sg.from_tools(TOOLS, tool_choice, parallel))
    assert [text for text in accepted if not automaton.accepts(text)] == []
    assert [text for text in rejected if automaton.accepts(text)] == []
    assert (TOOLS, tool_choice) == before
    for text in accepted:
        is_text = tool_choice == "none" or text in MESSAGES
        assert automaton.parse(text) == (text if is_text else json.loads(text))


def test_the_choice_is_auto_and_calls_are_parallel_by_default():
    automaton = compiled(sg.from_tools(TOOLS))
    assert automaton.accepts(SEVERAL[1]) and automaton.accepts("Hello") and not automaton.accepts(OSLO)


def test_both_shapes_of_tools_mean_the_same():
    mixed = [
        flat_tool("weather", CITY, strict=None, description="Weather"),
        tool("add", SUM, **{"return": {"type": "integer"}}),
        flat_tool("now"),
    ]
    automaton = compiled(sg.from_tools(mixed, "required", False))
    assert [text for text in ONE if not automaton.accepts(text)] == [] and not any(map(automaton.accepts, WRONG))


@pytest.mark.parametrize(
    "options, text",
    [
        ({"whitespace": "compact"}, '[{"name":"add","arguments":{"x":1}},{"name":"now","arguments":{}}]'),
        ({"whitespace": "one-space"}, '[{"name": "add", "arguments": {"x": 1}}, {"name": "now", "arguments": {}}]'),
        ({"whitespace": {"indent": 2}}, json.dumps(json.loads(f"[{ADD}, {NOW}]"), indent=2)),
        ({"draft": "draft4"}, '[{"name": "now", "arguments": {}}]'),
    ],
    ids=str,
)
def test_options_are_those_of_json_schema(options, text):
    automaton = compiled(sg.from_tools(TOOLS, "required", **options))
    assert automaton.accepts(text)
    assert not automaton.accepts(text.replace(" ", "  ").replace(":", " :"))


@pytest.mark.parametrize(
    "make", [lambda **o: sg.from_tools(TOOLS, "none", **o), lambda **o: sg.from_response_format({"type": "text"}, **o)]
)
def test_wrong_options_are_refused_even_where_they_say_nothing(make):
    with pytest.raises(TypeError):
        make(colour="red")
    with pytest.raises(StructgenError, match="whitespace"):
        make(whitespace="wide")


def test_a_registry_of_the_caller_is_kept():
    outer = referencing.Registry().with_resource(
        "https://example.com/city", referencing.jsonschema.DRAFT202012.create_resource({"enum": ["Oslo"]})
    )
    tools = [tool("weather", {"type": "object", "properties": {"city": {"$ref": "https://example.com/city"}}, "required": ["city"]})]
    automaton = compiled(sg.from_tools(tools, "required", False, registry=outer))
    assert automaton.accepts(OSLO) and not automaton.accepts(OSLO.replace("Oslo", "Rome"))


def test_recursive_parameters():
    tree = {"type": "object", "properties": {"below": {"type": "array", "items": {"$ref": "#"}}}, "additionalProperties": False}
    automaton = compiled(sg.from_tools([tool("grow", tree)], named("grow")))
    assert automaton.accepts('{"name": "grow", "arguments": {"below": [{}, {"below": []}]}}')
    assert not automaton.accepts('{"name": "grow", "arguments": {"below": [1]}}')
    assert not automaton.accepts('{"name": "grow", "arguments": {"below": [{"name": "grow", "arguments": {}}]}}')


def test_calls_compose_with_other_texts_and_can_be_pickled():
    call = sg.from_tools(TOOLS, "required", parallel_tool_calls=False)
    automaton = compiled(sg.repeat("<tool_call>\n" + call + "\n</tool_call>", 1, 2))
    assert automaton.accepts(f"<tool_call>\n{OSLO}\n</tool_call>") and not automaton.accepts(OSLO)
    restored = compiled(pickle.loads(pickle.dumps(sg.from_tools(TOOLS))))
    assert restored.parse(SEVERAL[1]) == json.loads(SEVERAL[1]) and restored.parse("Hello") == "Hello"


# -- malformed requests ---------------------------------------------------------------------------------------------------------

WRONG_FORMATS = [
    (None, "response_format"),
    ("json_object", "response_format"),
    ([], "response_format"),
    (dict, "response_format"),
    ({}, "response_format.type"),
    ({"type": None}, "response_format.type"),
    ({"type": ["text"]}, "response_format.type"),
    ({"type": "grammar", "syntax": "lark"}, "response_format.type"),
    ({"type": "json"}, "response_format.type"),
    ({"type": "text", "schema": {}}, "response_format.schema"),
    ({"type": "json_object", "schema": {"type": "object"}}, "response_format.schema"),
    ({"type": "json_schema"}, "response_format.json_schema"),
    ({"type": "json_schema", "schema": PERSON}, "response_format.name"),
    ({"type": "json_schema", "json_schema": PERSON}, "response_format.json_schema.type"),
    ({"type": "json_schema", "json_schema": None}, "response_format.json_schema"),
    ({"type": "json_schema", "json_schema": {"name": "x"}}, "response_format.json_schema.schema"),
    ({"type": "json_schema", "json_schema": {"schema": {}}}, "response_format.json_schema.name"),
    ({**nested(PERSON), "strict": True}, "response_format.strict"),
    ({**nested(PERSON), "name": "x"}, "response_format.name"),
    (nested(PERSON, name=""), "response_format.json_schema.name"),
    (nested(PERSON, name="a b"), "response_format.json_schema.name"),
    (nested(PERSON, name="a\n"), "response_format.json_schema.name"),
    (nested(PERSON, name="é"), "response_format.json_schema.name"),
    (nested(PERSON, name="x" * 65), "response_format.json_schema.name"),
    (nested(PERSON, name=1), "response_format.json_schema.name"),
    (nested(PERSON, strict="yes"), "response_format.json_schema.strict"),
    (nested(PERSON, strict=1), "response_format.json_schema.strict"),
    (nested(PERSON, description=1), "response_format.json_schema.description"),
    (nested(PERSON, shcema={}), "response_format.json_schema.shcema"),
    (nested(True), "response_format.json_schema.schema"),
    (nested(None), "response_format.json_schema.schema"),
    (nested('{"type": "object"}'), "response_format.json_schema.schema"),
    (flat([]), "response_format.schema"),
    (flat(PERSON, strict=0), "response_format.strict"),
]
WRONG_TOOLS = [
    ((None,), "tools"),
    (([],), "tools"),
    (({},), "tools"),
    (("now",), "tools"),
    ((tool("now"),), "tools"),
    ((["now"],), "tools[0]"),
    (([tool("a"), {}],), "tools[1].type"),
    (([tool("a"), {"type": "custom", "custom": {"name": "b"}}],), "tools[1].type"),
    (([{"type": "web_search"}],), "tools[0].type"),
    (([{"type": "function"}],), "tools[0].function"),
    (([{"type": "function", "function": "now"}],), "tools[0].function"),
    (([{"type": "function", "function": {}}],), "tools[0].function.name"),
    (([tool("a"), tool("")],), "tools[1].function.name"),
    (([tool("a.b")],), "tools[0].function.name"),
    (([tool("a"), tool(None)],), "tools[1].function.name"),
    (([tool("a"), tool("b"), tool("a")],), "tools[2].function.name"),
    (([tool("a"), flat_tool("a")],), "tools[1].name"),
    (([tool("a", [])],), "tools[0].function.parameters"),
    (([tool("a", True)],), "tools[0].function.parameters"),
    (([tool("a", "{}")],), "tools[0].function.parameters"),
    (([tool("a", {}, strict="true")],), "tools[0].function.strict"),
    (([tool("a", {}, description=["b"])],), "tools[0].function.description"),
    (([tool("a", {}, arguments={})],), "tools[0].function.arguments"),
    (([{**tool("a"), "strict": True}],), "tools[0].strict"),
    (([flat_tool("a", defer_loading=True)],), "tools[0].defer_loading"),
    (([{"type": "function", "parameters": {}}],), "tools[0].name"),
    ((TOOLS, "any"), "tool_choice"),
    ((TOOLS, "weather"), "tool_choice"),
    ((TOOLS, None), "tool_choice"),
    ((TOOLS, True), "tool_choice"),
    ((TOOLS, ["weather"]), "tool_choice"),
    ((TOOLS, {}), "tool_choice.type"),
    ((TOOLS, {"type": "auto"}), "tool_choice.type"),
    ((TOOLS, {"type": "function"}), "tool_choice.function"),
    ((TOOLS, {"type": "function", "function": "weather"}), "tool_choice.function"),
    ((TOOLS, named("nothing")), "tool_choice.function.name"),
    ((TOOLS, {"type": "function", "name": "nothing"}), "tool_choice.name"),
    ((TOOLS, {**named("weather"), "mode": "auto"}), "tool_choice.mode"),
    ((TOOLS, {"type": "function", "function": {"name": "weather", "strict": True}}), "tool_choice.function.strict"),
    ((TOOLS, allowed("none", "now")), "tool_choice.allowed_tools.mode"),
    ((TOOLS, allowed("auto")), "tool_choice.allowed_tools.tools"),
    ((TOOLS, allowed("auto", "now", "never")), "tool_choice.allowed_tools.tools[1].function.name"),
    ((TOOLS, {"type": "allowed_tools", "mode": "auto", "tools": ["now"]}), "tool_choice.tools[0]"),
    ((TOOLS, "auto", None), "parallel_tool_calls"),
    ((TOOLS, "auto", 1), "parallel_tool_calls"),
    ((TOOLS, "none", "no"), "parallel_tool_calls"),
    (([tool("a", {"$id": "x", "type": "object"}), tool("b", {"properties": {"c": {"$id": "x"}}})],), "tools[1].function.parameters"),
]


@pytest.mark.parametrize("response_format, path", WRONG_FORMATS, ids=lambda value: str(value)[:60])
def test_a_malformed_response_format_is_refused_with_the_path(response_format, path):
    with pytest.raises(sg.InvalidRequest) as error:
        sg.from_response_format(response_format)
    assert error.value.path == path and str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("arguments, path", WRONG_TOOLS, ids=lambda value: str(value)[:60])
def test_malformed_tools_are_refused_with_the_path(arguments, path):
    with pytest.raises(sg.InvalidRequest) as error:
        sg.from_tools(*arguments)
    assert error.value.path == path and str(error.value).startswith(f"{path}: ")


UNUSABLE = [
    ({"properties": {"a": {"type": "text"}}}, UnsupportedSchema, "#/properties/a/type"),
    ({"properties": {"a": {"$ref": "#/$defs/none"}}}, UnsupportedSchema, "#/properties/a/$ref"),
    ({"properties": {"a": {"$ref": "elsewhere.json"}}}, UnsupportedSchema, "#/properties/a/$ref"),
    ({"type": "object", "properties": {"a": False}, "required": ["a"]}, UnsatisfiableSchema, ""),
]


@pytest.mark.parametrize("schema, kind, place", UNUSABLE)
def test_errors_in_schemas_name_the_path_and_the_place(schema, kind, place):
    for make, path in (
        (lambda: sg.from_response_format(nested(schema)), "response_format.json_schema.schema"),
        (lambda: sg.from_response_format(flat(schema)), "response_format.schema"),
        (lambda: sg.from_tools([*TOOLS, tool("bad", schema)], "required"), "tools[3].function.parameters"),
        (lambda: sg.from_tools([flat_tool("bad", schema)], "auto"), "tools[0].parameters"),
    ):
        with pytest.raises(kind) as error:
            make()
        assert error.value.pointer == path + place and path in str(error.value)


def test_parameters_that_no_object_satisfies_are_refused_rather_than_dropped():
    with pytest.raises(UnsatisfiableSchema, match="arguments are an object") as error:
        sg.from_tools([tool("good", CITY), tool("bad", {"type": "string"})])
    assert error.value.pointer == "tools[1].function.parameters"


def test_a_reference_does_not_lead_into_another_tool():
    leading = {"type": "object", "properties": {"a": {"$ref": "city"}}}
    with pytest.raises(UnsupportedSchema, match="cannot resolve"):
        sg.from_tools([tool("weather", {**CITY, "$id": "city"}), tool("other", leading)])


def test_absurdly_deep_parameters_are_refused():
    deep = {}
    for _ in range(5000):
        deep = {"not": deep}
    with pytest.raises(LimitExceeded):
        sg.from_tools([tool("deep", deep)])
