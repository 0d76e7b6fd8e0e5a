"""The prompt that the embedded model was trained on: an outline of the schema, the text, and then the JSON follows.

The outline names the properties in declared order and keeps only what a reader needs to fill them in, for the model sees few tokens:
`name,birth{date:date,city,country?},gender:female/male,works[]` is an object with a nested object, a nullable string, an enum and an
array of strings. Bounds, patterns and enums of more than `MAX_ENUM` values are left out, the constraint enforces them. Any schema gives
some outline; it is cut at `MAX_DEPTH` levels and `MAX_NODES` schemas. Pure Python: no tokenizer, no torch.

    outline := object | type
    object  := "{" name value ("," name value)* "}"        (the outermost braces are dropped)
    value   := "" (string) | ":" type | object | "[" item "]", and "?" behind it if null is allowed
    type    := int | num | bool | null | any | a format such as date | enum values joined by "/"
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["TINY_DRAFT_PATH", "TINY_MODEL_PATH", "outline", "prompt"]

TINY_MODEL_PATH = Path(__file__).parent / "tiny"
TINY_DRAFT_PATH = Path(__file__).parent / "tiny_draft"
"""A smaller model with the same tokens, which drafts for the other; its tokenizer is the other's."""
MAX_DEPTH = 5
MAX_NODES = 500
MAX_ENUM = 8

_TYPE_NAMES = {"string": "", "integer": "int", "number": "num", "boolean": "bool", "null": "null"}
_NAMED_FORMATS = frozenset({"date", "time", "date-time", "email", "uri"})


def prompt(text: str, schema: Mapping[str, Any] | bool) -> str:
    """The exact prompt for extracting `schema` from `text`; the model continues it with the JSON.

    >>> prompt(" Ada, 36. ", {"properties": {"name": {"type": "string"}, "age": {"type": "integer"}}})
    'name,age:int\\nAda, 36.\\n'
    """
    return f"{outline(schema)}\n{' '.join(text.split())}\n"


def outline(schema: Mapping[str, Any] | bool) -> str:
    """The schema as the model reads it, on one line.

    >>> outline({"properties": {"tags": {"type": "array", "items": {"enum": ["a", "b"]}}, "at": {"type": ["string", "null"]}}})
    'tags[a/b],at?'
    """
    root = schema if isinstance(schema, Mapping) else {}
    value = _value(root, root, 0, itertools.count())
    return value[1:-1] if value.startswith("{") and value.endswith("}") else value.removeprefix(":")


def _value(schema: Any, root: Mapping[str, Any], depth: int, nodes: Iterator[int]) -> str:
    """The text behind a name; `nodes` counts the schemas read, so that references cannot multiply without end."""
    node, nullable = _resolve(schema, root)
    mark = "?" if nullable else ""
    if next(nodes) > MAX_NODES or depth > MAX_DEPTH:
        return mark
    properties = node.get("properties")
    if isinstance(properties, Mapping) and properties:
        return "{" + ",".join(f"{name}{_value(child, root, depth + 1, nodes)}" for name, child in properties.items()) + "}" + mark
    if node.get("type") == "array" or "items" in node or "prefixItems" in node:
        return "[" + _items(node, root, depth, nodes) + "]" + mark
    name = _type_name(node)
    return (":" + name if name else "") + mark


def _items(node: Mapping[str, Any], root: Mapping[str, Any], depth: int, nodes: Iterator[int]) -> str:
    tuple_items = node.get("prefixItems", node.get("items"))
    if isinstance(tuple_items, list):
        return ",".join(_value(item, root, depth + 1, nodes).removeprefix(":") or "str" for item in tuple_items)
    return _value(node.get("items", {"type": "string"}), root, depth + 1, nodes).removeprefix(":")


def _type_name(node: Mapping[str, Any]) -> str:
    values = [node["const"]] if "const" in node else node.get("enum")
    if isinstance(values, list) and len(values) <= MAX_ENUM + (None in values):
        return "/".join(value if isinstance(value, str) else json.dumps(value) for value in values if value is not None)
    if isinstance(values, list) and "type" not in node and all(isinstance(value, str) for value in values):
        return ""
    if isinstance(node.get("format"), str) and node["format"] in _NAMED_FORMATS:
        return str(node["format"])
    return _TYPE_NAMES.get(_main_type(node), "any")


def _main_type(node: Mapping[str, Any]) -> str:
    kind = node.get("type", "any")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    return str(kind)


def _resolve(schema: Any, root: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Follow local references and take the first branch of a union that is not null; the flag says whether null is allowed."""
    nullable = False
    for _ in range(MAX_DEPTH * 2):
        if not isinstance(schema, Mapping):
            return {}, nullable
        kind, values = schema.get("type"), schema.get("enum")
        nullable |= isinstance(kind, list) and "null" in kind and len(kind) > 1
        nullable |= isinstance(values, list) and None in values
        if isinstance(schema.get("$ref"), str):
            schema = _follow(schema["$ref"], root)
            continue
        branches = next((schema[word] for word in ("anyOf", "oneOf") if isinstance(schema.get(word), list)), None)
        if branches and "properties" not in schema:
            solid = [b for b in branches if not (isinstance(b, Mapping) and b.get("type") == "null")]
            nullable |= len(solid) < len(branches)
            schema = solid[0] if solid else {"type": "null"}
            continue
        return _merge_all_of(schema, root), nullable
    return {}, nullable


def _merge_all_of(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    parts = schema.get("allOf")
    if not isinstance(parts, list):
        return schema
    merged: dict[str, Any] = {"properties": {}}
    for part in [*parts, {k: v for k, v in schema.items() if k != "allOf"}]:
        part = _follow(part["$ref"], root) if isinstance(part, Mapping) and isinstance(part.get("$ref"), str) else part
        if isinstance(part, Mapping):
            properties = part.get("properties")
            merged |= {k: v for k, v in part.items() if k != "properties"}
            merged["properties"] |= properties if isinstance(properties, Mapping) else {}
    return merged


def _follow(reference: str, root: Mapping[str, Any]) -> Any:
    """The target of a local reference, or {} where it is not found; reporting bad references is the compiler's job."""
    node: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping):
            node = node.get(step)
        elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        else:
            return {}
    return node if reference.startswith("#") else {}
