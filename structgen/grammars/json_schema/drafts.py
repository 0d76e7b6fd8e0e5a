"""The drafts of JSON Schema: which keywords each one has, and how it spells identifiers.

A keyword that a draft does not have is an annotation there, as the specification says; the report lists it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from structgen.errors import UnsupportedSchema

__all__ = ["ANNOTATIONS", "DRAFTS", "LATEST", "Draft", "draft_named", "draft_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """One version of the specification.

    ``ref_overrides``: keywords beside ``$ref`` are ignored. ``id_anchors``: a fragment in the identifier is an anchor.
    ``array_items``: ``items`` may be an array, with ``additionalItems``. ``boolean_exclusive``: ``exclusiveMinimum`` is a boolean.
    ``plain_integers``: 1.0 is no integer; integers are written without fraction and exponent.
    ``contains_evaluates``: items that satisfy ``contains`` count as evaluated.
    """

    name: str
    uri: str
    keywords: frozenset[str]
    id_keyword: str = "$id"
    ref_overrides: bool = False
    id_anchors: bool = False
    array_items: bool = True
    boolean_exclusive: bool = False
    plain_integers: bool = False
    contains_evaluates: bool = False


def keywords(names: str) -> frozenset[str]:
    return frozenset(names.split())


DRAFT4 = Draft(
    "draft4",
    "http://json-schema.org/draft-04/schema",
    keywords(
        """
        $ref additionalItems additionalProperties allOf anyOf dependencies enum exclusiveMaximum exclusiveMinimum format items
        maxItems maxLength maxProperties maximum minItems minLength minProperties minimum multipleOf not oneOf pattern
        patternProperties properties required type uniqueItems
        """
    ),
    id_keyword="id",
    ref_overrides=True,
    id_anchors=True,
    boolean_exclusive=True,
    plain_integers=True,
)
DRAFT6 = Draft(
    "draft6",
    "http://json-schema.org/draft-06/schema",
    DRAFT4.keywords | {"const", "contains", "propertyNames"},
    ref_overrides=True,
    id_anchors=True,
)
DRAFT7 = Draft(
    "draft7",
    "http://json-schema.org/draft-07/schema",
    DRAFT6.keywords | {"if", "then", "else"},
    ref_overrides=True,
    id_anchors=True,
)
DRAFT2019 = Draft(
    "draft2019-09",
    "https://json-schema.org/draft/2019-09/schema",
    (DRAFT7.keywords - {"dependencies"})
    | {"$anchor", "$recursiveRef", "dependentRequired", "dependentSchemas", "maxContains", "minContains"}
    | {"unevaluatedItems", "unevaluatedProperties"},
)
DRAFT2020 = Draft(
    "draft2020-12",
    "https://json-schema.org/draft/2020-12/schema",
    (DRAFT2019.keywords - {"additionalItems", "$recursiveRef"}) | {"prefixItems", "$dynamicRef"},
    array_items=False,
    contains_evaluates=True,
)
DRAFTS = (DRAFT4, DRAFT6, DRAFT7, DRAFT2019, DRAFT2020)
UNDECLARED = Draft(
    "draft2020-12 (no $schema)",
    DRAFT2020.uri,
    DRAFT2020.keywords | {"additionalItems"},
    array_items=True,
    boolean_exclusive=True,
    contains_evaluates=True,
)
"""What a schema without ``$schema`` is read as: the latest draft, and the older array form of ``items`` and boolean
``exclusiveMinimum``, which the latest draft leaves without a meaning."""
LATEST = UNDECLARED

ANNOTATIONS = keywords(
    """
    $comment contentEncoding contentMediaType contentSchema default deprecated description examples readOnly title writeOnly
    """
)
STRUCTURE = keywords("$anchor $defs $dynamicAnchor $id $recursiveAnchor $schema $vocabulary definitions id")
"""Keywords that only say where schemas are, which references and the choice of draft use."""


VOCABULARIES = {
    "core": keywords("$anchor $dynamicRef $recursiveRef $ref"),
    "applicator": keywords(
        """
        additionalItems additionalProperties allOf anyOf contains dependentSchemas else if items not oneOf patternProperties
        prefixItems properties propertyNames then
        """
    ),
    "unevaluated": keywords("unevaluatedItems unevaluatedProperties"),
    "validation": keywords(
        """
        const dependentRequired enum exclusiveMaximum exclusiveMinimum maxContains maxItems maxLength maxProperties maximum
        minContains minItems minLength minProperties minimum multipleOf pattern required type uniqueItems
        """
    ),
    "format": keywords("format"),
    "format-annotation": keywords("format"),
    "format-assertion": keywords("format"),
    "meta-data": keywords(""),
    "content": keywords(""),
}
"""The keywords of the official vocabularies, which a meta-schema may choose from (draft 2020-12 core, section 8.1.2)."""

Find = Callable[[str], Any]
"""The document with an URI, None if there is none."""


def draft_of(schema: Any, default: Draft, find: Find, pointer: str = "") -> Draft:
    """The draft that ``$schema`` names, else ``default``; a name may be an URI or like "draft7"."""
    if not isinstance(schema, dict) or "$schema" not in schema:
        return default
    return draft_named(schema["$schema"], find, f"{pointer}/$schema")


def draft_named(name: Any, find: Find = lambda uri: None, pointer: str = "") -> Draft:
    """The draft with this URI or short name, or the dialect of a meta-schema that is found under this URI."""
    draft = _known(name)
    if draft is not None:
        return draft
    metaschema = find(name.removesuffix("#")) if isinstance(name, str) else None
    base = _known(metaschema.get("$schema")) if isinstance(metaschema, dict) else None
    if base is None or not isinstance(metaschema, dict):
        known = ", ".join(draft.name for draft in DRAFTS)
        message = f"unknown dialect {name!r:.100}; known drafts: {known} (a meta-schema of your own: pass it in registry=)"
        raise UnsupportedSchema(message, keyword="$schema", pointer=pointer)
    return _dialect(base, str(name), metaschema, pointer)


def _known(name: Any) -> Draft | None:
    for draft in DRAFTS:
        if isinstance(name, str) and name.removesuffix("#").replace("http://", "https://") in (
            draft.uri.replace("http://", "https://"),
            draft.name,
        ):
            return draft
    return None


def _dialect(base: Draft, uri: str, metaschema: dict[str, Any], pointer: str) -> Draft:
    """The keywords of ``base`` that belong to the vocabularies which the meta-schema names."""
    chosen = metaschema.get("$vocabulary")
    if not isinstance(chosen, dict) or base in (DRAFT4, DRAFT6, DRAFT7):
        return base
    known: set[str] = set(VOCABULARIES["core"])
    for vocabulary, required in chosen.items():
        name = vocabulary.removeprefix(base.uri.removesuffix("schema") + "vocab/")
        if name in VOCABULARIES:
            known |= VOCABULARIES[name] | (VOCABULARIES["unevaluated"] if base is DRAFT2019 and name == "applicator" else set())
        elif required is not False:
            message = f"the meta-schema {uri!r:.100} requires the vocabulary {vocabulary!r:.100}, which is unknown here"
            raise UnsupportedSchema(message, keyword="$schema", pointer=pointer)
    return replace(base, name=f"{base.name} ({uri:.100})", uri=uri, keywords=base.keywords & known)
