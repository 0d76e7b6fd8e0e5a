r"""Calls of tools in the text formats that families of models were trained on, as constraints. `tool_reading` reads them back.

A style is where calls begin (a `marker`: the special token where a vocabulary has it, the same text elsewhere), how one call is
written, and what stands between two calls. Arguments are exact JSON Schema in every style. Sources of the formats: docs/tagged.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from structgen.automata import chardfa, ir
from structgen.automata.chardfa import CharDfa
from structgen.errors import LimitExceeded, StructgenError, UnsatisfiableSchema, UnsupportedSchema
from structgen.grammars.constraint import MAX_COUNT, Constraint, choice, literal
from structgen.grammars.loops import loops
from structgen.grammars.tagged import lead, marker, without
from structgen.openai_requests import Function, _chosen, _functions, _satisfiable, _with_parts
from structgen.types import MAX_EXPONENT, json_schema, schema_of

__all__ = ["STYLES", "Function", "functions_of", "tool_calls", "values_of"]

Options = Mapping[str, Any]


def tool_calls(
    tools: Any,
    style: str = "hermes",
    *,
    tool_choice: str | Mapping[str, Any] = "auto",
    least: int = 1,
    most: int | None = None,
    text_before: bool | None = None,
    text_after: bool = False,
    **options: Any,
) -> Constraint:
    """The outputs that call ``tools`` in the format of a family of models; options as for `structgen.json_schema`.

    ``tools``: a list of definitions as the OpenAI API has them and of Python functions, or a mapping from names to JSON Schemas or
    functions. ``style``: one of `STYLES`. ``tool_choice``: "auto" (calls, or text without any), "required", "none" (text only), the
    name of a function, or what the OpenAI API takes. Where there are calls, there are ``least`` to ``most`` of them (``most=1``:
    no parallel calls, stop after the first). ``text_before`` (by default, where the style has it): text, or in Harmony messages, may
    come before the first call; ``text_after``: text may come between calls and after the last, which else ends the output.

    Raises `StructgenError` for what a style does not have, and what `structgen.from_tools` raises for definitions and schemas.

    >>> import structgen as sg
    >>> vocab = sg.Vocabulary.from_bytes([bytes([i]) for i in range(256)], eos_token_id=256)
    >>> automaton = sg.compile(sg.tool_calls({"now": {"type": "object"}}, "hermes"), vocab)
    >>> automaton.accepts('Wait. <tool_call>\\n{"name": "now", "arguments": {}}\\n</tool_call>')
    True
    """
    form = _style(style)
    if any(isinstance(n, bool) or not isinstance(n, int) for n in (least, 1 if most is None else most)):
        raise StructgenError(f"at least {least!r:.50} and at most {most!r:.50} calls: need integers, or None for no greatest number")
    if least < 1 or (most is not None and most < least):
        raise StructgenError(f"at least {least} and at most {most} calls: need 1 <= least <= most (no calls: tool_choice)")
    if least > MAX_COUNT:
        raise LimitExceeded("calls", MAX_COUNT)
    most = None if most is None or most > MAX_COUNT else most
    if text_after and not form.text_after:
        raise StructgenError(f"in the style {style!r} no text follows a call")
    if text_before and not form.text_before:
        raise StructgenError(f"in the style {style!r} no text comes before a call; with tool_choice='auto' there may be text instead")
    functions, options = functions_of(tools, options)
    mode, chosen = _chosen(_choice(tool_choice, functions), functions)
    before = form.text_before if text_before is None else text_before
    if mode == "none":
        return Constraint(form.text(), source="text without calls")
    calls = form.calls(chosen, options, Layout(least, most, before, text_after))
    expr = ir.Choice((form.text(), calls)) if mode == "auto" else calls
    return Constraint(expr, source=f"calls of {', '.join(function.name for function in chosen)} ({style})")


# what is called


def functions_of(tools: Any, options: Options) -> tuple[dict[str, Function], dict[str, Any]]:
    """The functions by name; and the options, in which their schemas are known by their paths, with the limits of `from_type` if
    there are Python functions."""
    if isinstance(tools, Mapping):
        named = [*tools.items()]
    elif isinstance(tools, Sequence) and not isinstance(tools, str):
        named = [(getattr(tool, "__name__", ""), tool) for tool in tools]
    else:
        named = []
    limits = {"limits": {"max_exponent": MAX_EXPONENT}} if any(callable(tool) for _, tool in named) else {}
    functions = _functions([_definition(name, tool) if callable(tool) or isinstance(tools, Mapping) else tool for name, tool in named])
    return functions, _with_parts({function.path: function.parameters for function in functions.values()}, {**limits, **options})


def _definition(name: Any, tool: Any) -> dict[str, Any]:
    parameters = schema_of(tool)[0] if callable(tool) else tool
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def _choice(tool_choice: Any, functions: Mapping[str, Function]) -> Any:
    if isinstance(tool_choice, str) and tool_choice in functions and tool_choice not in ("auto", "none", "required"):
        return {"type": "function", "name": tool_choice}
    return tool_choice


def _arguments(function: Function, options: Options) -> ir.Expr:
    """The arguments as a JSON object."""
    schema = {"type": "object", "allOf": [{"$ref": function.path}]}
    return _satisfiable(schema, options, function.path, "arguments are an object, and ").expr


def _objects(functions: Sequence[Function], options: Options, key: str) -> Constraint:
    """One call as a JSON object, spelled as ``json.dumps`` does, the arguments under ``key``."""
    return choice([f'{{"name": "{f.name}", "{key}": ' + Constraint(_arguments(f, options)) + "}" for f in functions])


# styles


@dataclass(frozen=True, slots=True)
class Layout:
    """How many calls, and where text may stand beside them."""

    least: int
    most: int | None
    before: bool
    after: bool


@dataclass(frozen=True, slots=True)
class Style:
    """``text``: outputs without calls; ``calls``: outputs with calls of these functions; and whether text may stand beside calls."""

    text: Callable[[], ir.Expr]
    calls: Callable[[Sequence[Function], Options, Layout], ir.Expr]
    text_before: bool = True
    text_after: bool = True


def _style(name: Any) -> Style:
    if not isinstance(name, str) or name not in STYLES:
        raise StructgenError(f"unknown style of tool calls {name!r:.50}; known are {', '.join(STYLES)}")
    return STYLES[name]


def _each(begin: str, call: Callable[[Sequence[Function], Options], ir.Expr], between: str) -> Callable[..., ir.Expr]:
    """Calls that begin with the marker ``begin`` one by one, ``between`` them where no other text may be."""

    def calls(functions: Sequence[Function], options: Options, layout: Layout) -> ir.Expr:
        one = call(functions, options)
        free, at_once = lead((begin,), marker(begin)), marker(begin).expr
        first = ir.Seq((free if layout.before else at_once, one))
        again = ir.Seq((free if layout.after else ir.Seq((literal(between).expr, at_once)), one))
        more = ir.Repeat(again, layout.least - 1, None if layout.most is None else layout.most - 1)
        return ir.Seq((first, more, without((begin,)) if layout.after else ir.EMPTY))

    return calls


def _hermes(functions: Sequence[Function], options: Options) -> ir.Expr:
    return ("\n" + _objects(functions, options, "arguments") + "\n" + marker("</tool_call>")).expr


def _named_calls(before: Constraint, after: Constraint, functions: Sequence[Function], options: Options) -> ir.Expr:
    """The name of a function, and its arguments."""
    return choice([function.name + before + Constraint(_arguments(function, options)) + after for function in functions]).expr


def _mistral(functions: Sequence[Function], options: Options, layout: Layout) -> ir.Expr:
    """One marker and an array of calls."""
    array = "[" + _list(_objects(functions, options, "arguments"), ", ", layout) + "]"
    begin = marker("[TOOL_CALLS]")
    return ir.Seq((lead((begin.text,), begin) if layout.before else begin.expr, array.expr))


def _llama(functions: Sequence[Function], options: Options, layout: Layout) -> ir.Expr:
    return (choice([marker("<|python_tag|>"), ""]) + _list(_objects(functions, options, "parameters"), "; ", layout)).expr


def _list(call: Constraint, separator: str, layout: Layout) -> Constraint:
    return Constraint(ir.Repeat(call.expr, layout.least, layout.most, literal(separator).expr, determined=True))


def _llama_text() -> ir.Expr:
    """A text that begins as no call does."""
    from structgen.grammars.regex import match_dfa

    message = match_dfa(r"[ \t\r\n]*([^ \t\r\n{][\s\S]*)?")
    tagged = chardfa.concat(chardfa.any_text(), chardfa.literal("<|python_tag|>"), chardfa.any_text())
    return loops(chardfa.difference(message, tagged))


# Harmony


HARMONY = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>")


def _harmony(*parts: str) -> Constraint:
    """Markers and texts one after the other."""
    found = literal("")
    for part in parts:
        found = found + (marker(part, at_end=part in ("<|call|>", "<|return|>")) if part in HARMONY else literal(part))
    return found


def _harmony_messages() -> Constraint:
    """Any number of messages of analysis, and preambles."""
    channel = _harmony("<|channel|>") + choice(["analysis", "commentary"])
    content = Constraint(lead(HARMONY, marker("<|end|>")))
    message = channel + _harmony("<|message|>") + content + _harmony("<|start|>", "assistant")
    return Constraint(ir.Repeat(message.expr))


def _harmony_calls(functions: Sequence[Function], options: Options, layout: Layout) -> ir.Expr:
    if layout.least > 1:
        raise StructgenError("in the style 'harmony' an output has one call, which ends it")
    arguments = _named_calls(_harmony(" ", "<|constrain|>", "json", "<|message|>"), _harmony("<|call|>"), functions, options)
    call = _harmony("<|channel|>", "commentary to=functions.") + Constraint(arguments)
    return ((_harmony_messages() + call) if layout.before else call).expr


def _harmony_text() -> ir.Expr:
    final = _harmony("<|channel|>", "final", "<|message|>") + Constraint(without(HARMONY)) + _harmony("<|return|>")
    return (_harmony_messages() + final).expr


# Qwen3-Coder: a parameter is text, or JSON if it is no string


FRAMES = ("</parameter>", "<parameter=", "</function>", "</tool_call>")
"""What the value of a parameter that is text cannot contain: it would end it."""
PLAIN_KEYWORDS = frozenset(
    {
        "$schema", "$id", "$defs", "definitions", "title", "description", "default", "examples", "$comment",
        "type", "properties", "required", "additionalProperties",
    }
)  # fmt: skip


def _coder(functions: Sequence[Function], options: Options) -> ir.Expr:
    ways = []
    for function in functions:
        values = {name: _parameter(function, name, options) for name in _parameters(function)}
        required = function.parameters.get("required", [])
        for name in required:
            if values.get(name) is None:
                raise UnsatisfiableSchema(f"the required parameter {name!r:.80} has no value", pointer=function.path)
        parts = [f"<parameter={name}>\n" + (Constraint(value) + "\n</parameter>\n") for name, value in values.items() if value is not None]
        names = [name for name, value in values.items() if value is not None]
        regions = [part if name in required else choice([part, ""]) for name, part in zip(names, parts, strict=True)]
        body = ir.Seq(tuple(region.expr for region in regions))
        ways.append(f"\n<function={function.name}>\n" + Constraint(body) + "</function>\n" + marker("</tool_call>"))
    return choice(ways).expr


def _parameters(function: Function) -> Mapping[str, Any]:
    """The schemas of the parameters, which must be listed."""
    schema = function.parameters
    for keyword in schema:
        if keyword not in PLAIN_KEYWORDS:
            raise UnsupportedSchema(
                f"the style 'qwen3-coder' writes parameters one by one, which {keyword!r:.50} relates",
                keyword=keyword,
                pointer=function.path,
            )
    properties: Mapping[str, Any] = schema.get("properties", {})
    for name in properties:
        if not name or set(name) & set("<>\n"):
            raise UnsupportedSchema(f"the name {name!r:.80} cannot be written in a tag", keyword="properties", pointer=function.path)
    return properties


def _parameter(function: Function, name: str, options: Options) -> ir.Expr | None:
    """The values of a parameter as they are written, None if there are none."""
    texts, others = (values_of(function, name, options, kind) for kind in ({"type": "string"}, {"not": {"type": "string"}}))
    if texts is None:
        return others
    if others is not None and values_of(function, name, options, {"not": {"type": ["string", "null"]}}) is not None:
        pointer = f"{function.path}#/properties/{name}"
        raise UnsupportedSchema("a parameter that is a text or something else cannot be told apart in 'qwen3-coder'", pointer=pointer)
    raw = _raw(texts)
    return raw if others is None else ir.Choice((raw, others))


def values_of(function: Function, name: str, options: Options, kind: Mapping[str, Any]) -> ir.Expr | None:
    """The JSON texts of those values of a parameter that are of a kind, None if there are none."""
    pointer = quote(name.replace("~", "~0").replace("/", "~1"), safe="")
    try:
        return json_schema({"allOf": [{"$ref": f"{function.path}#/properties/{pointer}"}, kind]}, **options).expr
    except UnsatisfiableSchema:
        return None


def _raw(expr: ir.Expr) -> ir.Expr:
    """The values of JSON strings as plain text."""
    if isinstance(expr, ir.Choice):
        return ir.Choice(tuple(map(_raw, expr.items)))
    if isinstance(expr, ir.QuotedText):
        return ir.Bounded(chardfa.intersect(chardfa.literal(expr.text), _values()))
    if isinstance(expr, ir.Rule) and expr.body is not None:
        return _raw(expr.body)
    if isinstance(expr, ir.Quoted):
        content = _values() if expr.content is None else chardfa.intersect(expr.content, _values())
        return ir.Bounded(content, expr.min_length, expr.max_length)
    raise StructgenError(f"a parameter that is a text, but not described as one: {expr!r:.80}")


def _values() -> CharDfa:
    """The texts that can be the value of a parameter, which ``null`` is not."""
    from structgen.grammars.regex import match_dfa

    return match_dfa(f"(?![Nn][Uu][Ll][Ll]$)(?!.*({'|'.join(FRAMES)})).*", syntax="ecma", flags="s")


# the table


def _free(*triggers: str) -> Callable[[], ir.Expr]:
    return lambda: without(triggers)


STYLES: dict[str, Style] = {
    "hermes": Style(_free("<tool_call>"), _each("<tool_call>", _hermes, "\n")),
    "qwen": Style(_free("<tool_call>"), _each("<tool_call>", _hermes, "\n")),
    "qwen3-coder": Style(_free("<tool_call>"), _each("<tool_call>", _coder, "\n")),
    "llama3": Style(_llama_text, _llama, text_before=False, text_after=False),
    "llama3-function": Style(_free("<function="), _each("<function=", partial(_named_calls, literal(">"), literal("</function>")), "")),
    "mistral": Style(_free("[TOOL_CALLS]"), _mistral, text_after=False),
    "mistral-v11": Style(_free("[TOOL_CALLS]"), _each("[TOOL_CALLS]", partial(_named_calls, marker("[ARGS]"), literal("")), "")),
    "harmony": Style(_harmony_text, _harmony_calls, text_after=False),
}
"""The formats by name."""
