"""From a family's facts and templates to one example: a text, a schema, and the record that is right for both.

A family draws facts, a template mentions some of them (`{slot}`, with `[one|other]` for variation), and its fields say which fact fills
which place of the record. Fields whose fact is not mentioned are null, empty, "unknown", or left out of the schema. In free mode the schema
is varied per example (fields dropped, reordered, renamed, made nullable, enum values shuffled), so that the prompt's outline must be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from .sources import Draw

Schema = dict[str, Any]
STRING: Schema = {"type": "string", "minLength": 1, "maxLength": 80}
DATE: Schema = {"type": "string", "format": "date"}
BOOLEAN: Schema = {"type": "boolean"}
NULLABLE_STRING: Schema = {"type": ["string", "null"], "minLength": 1, "maxLength": 80}


def integer(minimum: int, maximum: int) -> Schema:
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def number(minimum: int, maximum: int) -> Schema:
    return {"type": "number", "minimum": minimum, "maximum": maximum}


def enum(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def array(items: Schema, least: int, most: int) -> Schema:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


@dataclass(frozen=True, slots=True)
class Field:
    """A property: the fact that fills it, its schema, other names for it, and its own fields where it is an object or a list of objects."""

    name: str
    fact: str
    schema: Schema
    synonyms: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    canonical: bool = True


@dataclass(slots=True)
class Facts:
    """Values by fact, and texts by slot; a slot that tells facts of another name lists them in `tells`."""

    values: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    tells: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, slot: str, text: str, value: Any = None, *, tells: tuple[str, ...] | None = None) -> None:
        self.texts[slot] = text
        if tells is None:
            self.values[slot] = text if value is None else value
        else:
            self.tells[slot] = tells


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of record. A text is one opening and a few of the further sentences; the held-out ones are for evaluation only."""

    name: str
    title: str
    fields: tuple[Field, ...]
    facts: Callable[[Draw], Facts]
    openings: tuple[str, ...]
    held_out_openings: tuple[str, ...]
    further: tuple[str, ...] = ()
    held_out_further: tuple[str, ...] = ()
    most_further: int = 2


@dataclass(frozen=True, slots=True)
class Example:
    family: str
    text: str
    schema: Schema
    record: dict[str, Any]


def dumps(value: Any) -> str:
    """JSON as `json.dumps(..., ensure_ascii=False)` writes it, except that a Decimal keeps its digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{dumps(key)}: {dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(dumps(item) for item in value) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


def sample(family: Family, draw: Draw, *, free: bool) -> Example:
    """One example; `free` varies the schema."""
    while True:
        facts = family.facts(draw)
        text, told = write(family, facts, draw)
        built = _build(family.fields, facts.values, told, draw, free)
        if built is not None and built[0]:
            fields, record = built
            return Example(family.name, text, object_schema(fields, draw if free else None), record)


def write(family: Family, facts: Facts, draw: Draw) -> tuple[str, set[str]]:
    """A text about the facts, and the facts that it tells."""
    openings, further = (family.held_out_openings, family.held_out_further) if draw.held_out else (family.openings, family.further)
    parts = [draw.pick(openings)]
    if further:
        parts += draw.rng.sample(further, min(len(further), draw.rng.randint(0, family.most_further)))
    if draw.chance(0.15):
        parts.insert(draw.rng.randint(0, len(parts)), draw.noise())
    template = " ".join(parts)
    while choices := _CHOICE.search(template):
        template = template[: choices.start()] + draw.pick(choices[1].split("|")) + template[choices.end() :]
    slots = _SLOT.findall(template)
    told = {fact for slot in slots for fact in facts.tells.get(slot.lower(), (slot.lower(),))}
    return re.sub(" +", " ", _SLOT.sub(lambda found: _slot_text(facts, found[1]), template)).strip(), told


def _slot_text(facts: Facts, slot: str) -> str:
    """The text of a slot; `{He}` is the slot `{he}` with a capital letter."""
    if slot in facts.texts:
        return facts.texts[slot]
    text = facts.texts[slot.lower()]
    return text[0].upper() + text[1:]


def _build(
    fields: Sequence[Field], values: Mapping[str, Any], told: set[str], draw: Draw, free: bool
) -> tuple[list[Field], dict[str, Any]] | None:
    """The fields in use and their record; None if a canonical field cannot be filled."""
    chosen = [f for f in fields if (f.canonical or (free and draw.chance(0.6))) and not (free and draw.chance(0.2))]
    if free and draw.chance(0.4):
        draw.rng.shuffle(chosen)
    used: list[Field] = []
    record: dict[str, Any] = {}
    for f in chosen:
        filled = _fill(f, values, told, draw, free)
        if filled is None and not free:
            return None
        if filled is not None and filled[0].name not in record:
            used.append(filled[0])
            record[filled[0].name] = filled[1]
    return used, record


def _fill(f: Field, values: Mapping[str, Any], told: set[str], draw: Draw, free: bool) -> tuple[Field, Any] | None:
    name = draw.pick(f.synonyms) if free and f.synonyms and draw.chance(0.3) else f.name
    if f.fields and f.schema["type"] == "object":
        built = _build(f.fields, values, told, draw, free)
        return (replace(f, name=name, fields=tuple(built[0])), built[1]) if built and built[0] else None
    known = f.fact in told
    value = values[f.fact] if known else _absent(f.schema)
    schema = f.schema
    if not known and value is None and not _nullable(schema) and not free:
        return None
    if free:
        if not known and value is None and not _nullable(schema) and draw.chance(0.7):
            return None
        schema = _varied(schema, value, draw)
    if f.fields and isinstance(value, list):
        kept = [g for g in f.fields if not (free and draw.chance(0.15))] or [f.fields[0]]
        value = [{g.name: item[g.fact] for g in kept} for item in value]
        return replace(f, name=name, schema=schema, fields=tuple(kept)), value
    return replace(f, name=name, schema=schema), value


def _absent(schema: Schema) -> Any:
    """What a field holds if the text does not tell: [], "unknown" where that is a choice, or null."""
    if schema["type"] == "array":
        return []
    return "unknown" if "unknown" in schema.get("enum", ()) else None


def _nullable(schema: Schema) -> bool:
    return "null" in schema["type"]


def _varied(schema: Schema, value: Any, draw: Draw) -> Schema:
    """The schema with its enum shuffled and thinned, and null allowed where it must be, and sometimes where it need not."""
    schema = dict(schema)
    if "enum" in schema:
        schema["enum"] = [v for v in schema["enum"] if v == value or draw.chance(0.8)]
        draw.rng.shuffle(schema["enum"])
    elif schema["type"] != "array" and not _nullable(schema) and (value is None or draw.chance(0.15)):
        schema["type"] = [schema["type"], "null"]
    elif _nullable(schema) and value is not None and draw.chance(0.5):
        schema["type"] = schema["type"][0]
    if value is None and "enum" in schema:
        schema = {"type": ["string", "null"], "enum": [*schema["enum"], None]}
    return schema


def object_schema(fields: Sequence[Field], draw: Draw | None = None) -> Schema:
    """The schema of an object with exactly these fields, all required."""
    properties: Schema = {}
    for f in fields:
        schema = dict(f.schema)
        if f.fields and schema["type"] == "array":
            schema["items"] = object_schema(f.fields, draw)
        elif f.fields:
            schema = object_schema(f.fields, draw)
        properties[f.name] = schema
    return {"type": "object", "properties": properties, "required": [f.name for f in fields], "additionalProperties": False}


def canonical_schema(family: Family) -> Schema:
    """The schema file of a family, as it is written to examples/."""

    def canonical(fields: Sequence[Field]) -> tuple[Field, ...]:
        return tuple(replace(f, fields=canonical(f.fields)) for f in fields if f.canonical)

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": family.title, **object_schema(canonical(family.fields))}
