"""Hypothesis strategies for JSON schemas over all keywords of all drafts, small and with few names, so that keywords meet.

A schema is one group of keywords (`GROUPS`) or several merged. Definitions are referred to by pointer, anchor or URI; in place only
those behind the one that refers, below a container all and the root, so that every reference leads to ever smaller values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.reference.schemas import CONSTANTS, DRAFTS, FORMATS, NAMES, NUMBERS, TYPES, UNDECLARED, Sample

PATTERNS = [
    "a",
    "^a",
    "b$",
    "^[a-c]+$",
    "^[0-9]{1,3}$",
    r"^\d+$",
    "^(a|bc)*$",
    "[^a]",
    "^a-?[0-9]*$",
    "^.{2,3}$",
    "1|é",
    "^$",
    r"\W",
    "(?!)",
]
NAME_PATTERNS = ["^a", "b$", "^.$", "é|z", "^[^a]", "", "^ab$"]
STEPS: list[Any] = [1, 2, 3, 5, 10, 0.5, 0.1, 0.01, 0.3, 1.5, 2.5, 1e1]
BASE = "http://example.test/"
Schemas = st.SearchStrategy[Any]


@dataclass(frozen=True)
class Context:
    """Where a sub-schema stands: in definition ``caller`` (-1: the root) of ``n_definitions``, in place or below a container (``free``).

    ``named``: definitions have anchors; ``located``: they and the root have URIs; ``anchored``: the resources to which a dynamic
    or recursive reference may lead.
    """

    draft: str
    names: tuple[str, ...]
    n_definitions: int
    named: bool
    located: bool
    anchored: frozenset[int]
    caller: int = -1
    free: bool = False

    @property
    def year(self) -> int:
        """An order of the drafts: 4, 6, 7, 2019, 2020."""
        return int(self.draft.removeprefix("draft")[:4].rstrip("-"))

    @property
    def definitions(self) -> str:
        return "$defs" if self.year >= 2019 else "definitions"

    def inside(self) -> Context:
        return replace(self, free=True)

    def references(self) -> list[dict[str, str]]:
        """All references that may stand here."""
        home = "root" if self.located else ""
        found = ["root" if self.located else "#"] if self.free else []
        for i in range(0 if self.free else self.caller + 1, self.n_definitions):
            found.append(f"{home}#/{self.definitions}/d{i}" if not self.located else f"d{i}")
            found += [f"#A{i}"] if self.named and not self.located else []
        dynamic: list[dict[str, str]] = []
        if self.free and (self.caller if self.located else -1) in self.anchored:
            dynamic = [{"$dynamicRef": "#node"}] if self.year == 2020 else [{"$recursiveRef": "#"}] if self.year == 2019 else []
        return [{"$ref": reference} for reference in found] + dynamic


@st.composite
def samples(draw: st.DrawFn, depth: int = 3, drafts: tuple[str, ...] = tuple(DRAFTS)) -> Sample:
    """A schema with its definitions in one of the drafts."""
    draft = draw(st.sampled_from([*drafts, "draft2020-12", "draft2020-12"]))
    n = draw(st.integers(0, 2))
    chance = st.integers(0, 3).map(lambda i: i == 0)
    located, anchored = draw(chance), frozenset(i for i in range(-1, n) if draw(st.booleans()))
    at = Context(draft, tuple(draw(st.permutations(NAMES))), n, draw(st.booleans()), located, anchored)
    root = identified(draw(schemas(at, depth)), at)
    if n:
        bodies = [replace(at, caller=i) for i in range(n)]
        root[at.definitions] = {f"d{i}": identified(draw(schemas(body, depth - 1)), body) for i, body in enumerate(bodies)}
    if draft != "draft2020-12" or draw(st.booleans()):
        root = {"$schema": DRAFTS[draft], **root}
    return Sample(root, at.names, draft)


def identified(schema: Any, at: Context) -> Any:
    """A definition or the root with its anchor and URI; wrapped where these could not stand beside what it has."""
    if not isinstance(schema, dict) or ("$ref" in schema and at.year < 2019):
        schema = {"allOf": [schema]}
    added: dict[str, Any] = {}
    identifier = "id" if at.year == 4 else "$id"
    if at.located:
        added[identifier] = BASE + ("root" if at.caller < 0 else f"d{at.caller}")
    elif at.named and at.caller >= 0:
        added |= {"$anchor": f"A{at.caller}"} if at.year >= 2019 else {identifier: f"#A{at.caller}"}
    if at.caller in at.anchored and (at.located or at.caller < 0):
        added |= {2019: {"$recursiveAnchor": True}, 2020: {"$dynamicAnchor": "node"}}.get(at.year, {})
    return {**added, **schema}


@st.composite
def schemas(draw: st.DrawFn, at: Context, depth: int) -> Any:
    """A schema of one group of keywords, sometimes merged with others."""
    schema = draw(groups(at, depth))
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 1, 2]))):
        more = draw(groups(at, max(depth - 1, 0)))
        schema = {**more, **schema} if isinstance(schema, dict) and isinstance(more, dict) else schema
    return schema


def groups(at: Context, depth: int) -> Schemas:
    """The keywords of one group."""
    known = [row for row in GROUPS if at.year >= row.first and depth >= row.depth]
    return st.sampled_from([row for row in known for _ in range(row.weight)]).flatmap(lambda row: row.strategy(at, depth))


def below(at: Context, depth: int) -> Schemas:
    """A schema for what is inside a container."""
    simple: list[Any] = [{}, {"type": "integer"}, {"type": "string"}, {"enum": ["a", 1]}]
    if depth <= 0:
        return st.sampled_from(simple + ([True, False] if at.year > 4 else [{"not": {}}]))
    return schemas(at.inside(), depth - 1)


def some(draw: st.DrawFn, keywords: dict[str, Schemas], one_in: int = 3) -> dict[str, Any]:
    """Each keyword with probability 1 / one_in."""
    return {k: draw(values) for k, values in keywords.items() if draw(st.integers(1, one_in)) == 1}


def trivial(at: Context, depth: int) -> Schemas:
    return st.sampled_from([{}, {"description": "whatever"}, {"not": {}}, *([True, False] if at.year > 4 else [])])


def type_names(at: Context, depth: int) -> Schemas:
    lists = st.lists(st.sampled_from(TYPES), min_size=1, max_size=4, unique=True)
    return (st.sampled_from(TYPES) | lists).map(lambda t: {"type": t})


def enums(at: Context, depth: int) -> Schemas:
    return st.lists(st.sampled_from(CONSTANTS), min_size=1, max_size=4, unique_by=repr).map(lambda values: {"enum": values})


def constants(at: Context, depth: int) -> Schemas:
    return st.sampled_from(CONSTANTS).map(lambda value: {"const": value})


@st.composite
def strings(draw: st.DrawFn, at: Context, depth: int) -> Any:
    keywords: dict[str, Schemas] = {
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 6),
        "pattern": st.sampled_from(PATTERNS),
        "format": st.sampled_from(FORMATS),
    }
    return {**draw(typed("string")), **some(draw, keywords)}


@st.composite
def numbers(draw: st.DrawFn, at: Context, depth: int) -> Any:
    low, high = sorted([draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(NUMBERS))])
    schema: dict[str, Any] = draw(typed(draw(st.sampled_from(["integer", "number"]))))
    for bound, exclusive, value in (("minimum", "exclusiveMinimum", low), ("maximum", "exclusiveMaximum", high)):
        match draw(st.sampled_from(["", "", "closed", "open", "both"])):
            case "closed":
                schema[bound] = value
            case "open" | "both" if at.year == 4:
                schema |= {bound: value, exclusive: draw(st.booleans())}
            case "open":
                schema[exclusive] = value
            case "both":
                schema |= {bound: value, exclusive: draw(st.sampled_from(NUMBERS))}
    return {**schema, **some(draw, {"multipleOf": st.sampled_from(STEPS)})}


def typed(name: str) -> Schemas:
    """Mostly the type; without it the keywords leave other values alone."""
    return st.sampled_from([{"type": name}, {"type": name}, {"type": name}, {}, {"type": [name, "null"]}]).map(dict)


@st.composite
def arrays(draw: st.DrawFn, at: Context, depth: int) -> Any:
    inner = below(at, depth)
    prefix, rest = ("prefixItems", "items") if at.year == 2020 else ("items", "additionalItems")
    schema = {**draw(typed("array")), **some(draw, {prefix: st.lists(inner, min_size=1, max_size=2), rest: inner}, 2)}
    if at.year < 2020 and prefix not in schema and draw(st.booleans()):
        schema["items"] = draw(inner)
    schema |= some(draw, {"minItems": st.integers(0, 3), "maxItems": st.integers(0, 4)}, 3)
    schema |= some(draw, {"uniqueItems": st.booleans()}, 8)
    if at.year >= 6:
        schema |= some(draw, {"contains": inner}, 4)
    if at.year >= 2019 and ("contains" in schema or draw(st.integers(0, 9)) == 0):
        schema |= some(draw, {"minContains": st.integers(0, 2), "maxContains": st.integers(0, 2)}, 3)
    return schema


@st.composite
def objects(draw: st.DrawFn, at: Context, depth: int) -> Any:
    inner = below(at, depth)
    declared = [n for n in at.names if draw(st.booleans())]
    schema: dict[str, Any] = draw(typed("object"))
    if declared:
        schema["properties"] = {n: draw(inner) for n in declared}
    keywords: dict[str, Schemas] = {
        "required": st.lists(st.sampled_from([*declared, *declared, *at.names, UNDECLARED]), min_size=1, max_size=3, unique=True),
        "additionalProperties": st.booleans() | inner,
    }
    schema |= some(draw, keywords, 2)
    rare: dict[str, Schemas] = {
        "minProperties": st.integers(0, 3),
        "maxProperties": st.integers(0, 4),
        "patternProperties": st.dictionaries(st.sampled_from(NAME_PATTERNS), inner, min_size=1, max_size=2),
        "propertyNames": name_schemas(at),
    }
    return {**schema, **some(draw, {k: v for k, v in rare.items() if at.year > 4 or k != "propertyNames"}, 5)}


@st.composite
def name_schemas(draw: st.DrawFn, at: Context) -> Any:
    keywords: dict[str, Schemas] = {
        "pattern": st.sampled_from(NAME_PATTERNS),
        "maxLength": st.integers(0, 2),
        "minLength": st.integers(0, 2),
        "enum": st.lists(st.sampled_from([*NAMES, UNDECLARED, 1]), min_size=1, max_size=4, unique=True),
    }
    found = some(draw, keywords)
    return {"not": found} if found and draw(st.integers(0, 3)) == 0 else found


@st.composite
def dependents(draw: st.DrawFn, at: Context, depth: int) -> Any:
    name = st.sampled_from([*at.names, UNDECLARED])
    lists = st.lists(name, min_size=1, max_size=2, unique=True)
    kind, values = "dependencies", lists | schemas(at, depth - 1)
    if at.year >= 2019:
        kind, values = draw(st.sampled_from([("dependentRequired", lists), ("dependentSchemas", schemas(at, depth - 1))]))
    return {kind: draw(st.dictionaries(name, values, min_size=1, max_size=2))}


@st.composite
def combined(draw: st.DrawFn, at: Context, depth: int) -> Any:
    keyword = draw(st.sampled_from(["allOf", "anyOf", "anyOf", "oneOf"]))
    return {keyword: draw(st.lists(schemas(at, depth - 1), min_size=1, max_size=3))}


def negations(at: Context, depth: int) -> Schemas:
    return schemas(at, depth - 1).map(lambda schema: {"not": schema})


@st.composite
def conditionals(draw: st.DrawFn, at: Context, depth: int) -> Any:
    return {"if": draw(schemas(at, depth - 1)), **some(draw, {"then": schemas(at, depth - 1), "else": schemas(at, depth - 1)}, 2)}


def references(at: Context, depth: int) -> Schemas:
    found = at.references()
    return st.sampled_from(found) if found else trivial(at, depth)


@st.composite
def unevaluated(draw: st.DrawFn, at: Context, depth: int) -> Any:
    """Keywords of objects or arrays in the schema and in branches, and what is to become of the rest."""
    kind, keyword = draw(
        st.sampled_from([(objects, "unevaluatedProperties"), (objects, "unevaluatedProperties"), (arrays, "unevaluatedItems")])
    )
    parts = kind(at, depth - 1)
    schema = draw(parts) if draw(st.booleans()) else {}
    branches: dict[str, Schemas] = {
        "allOf": st.lists(parts, min_size=1, max_size=2),
        "anyOf": st.lists(parts, min_size=1, max_size=2),
        "oneOf": st.lists(parts, min_size=1, max_size=2),
        "not": parts,
        "if": parts,
        "then": parts,
        "else": parts,
        "dependentSchemas": st.dictionaries(st.sampled_from(at.names), parts, min_size=1, max_size=1),
    }
    schema = {**schema, **some(draw, branches, 5)}
    if at.references() and draw(st.integers(0, 3)) == 0:
        schema |= draw(references(at, depth))
    return {**schema, keyword: draw(st.just(False) | below(at, depth - 1))}


class Group(NamedTuple):
    """Keywords that a draft has from ``first`` on, with sub-schemas in place from ``depth`` on."""

    first: int
    depth: int
    weight: int
    strategy: Callable[[Context, int], Schemas]


GROUPS = [
    Group(4, 0, 1, trivial),
    Group(4, 0, 2, type_names),
    Group(4, 0, 2, enums),
    Group(6, 0, 1, constants),
    Group(4, 0, 3, strings),
    Group(4, 0, 4, numbers),
    Group(4, 0, 4, arrays),
    Group(4, 0, 6, objects),
    Group(4, 1, 4, combined),
    Group(4, 1, 1, negations),
    Group(7, 1, 1, conditionals),
    Group(4, 1, 1, dependents),
    Group(4, 0, 3, references),
    Group(2019, 1, 3, unevaluated),
]
