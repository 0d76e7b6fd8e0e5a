"""Where references lead: the resources of a schema document, their identifiers and anchors, and JSON pointers into them.

The document is indexed once, over the places where sub-schemas can stand. Nothing is ever fetched: a reference that leads out
of the document is looked up in the registry that the caller passes (the `referencing` library) or is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin

from structgen.errors import UnsupportedSchema

from .drafts import Draft, draft_of, keywords
from .reading import escaped

__all__ = ["Location", "Resolver", "Resource", "escaped", "sub_schemas"]

HOLDS_SCHEMA = keywords(
    """
    additionalItems additionalProperties contains contentSchema else if items not propertyNames then
    unevaluatedItems unevaluatedProperties
    """
)
HOLDS_SCHEMAS = frozenset(["allOf", "anyOf", "oneOf", "prefixItems", "items"])
HOLDS_NAMED_SCHEMAS = frozenset(["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"])


class Resource:
    """A schema with its own base URI: the document, or a sub-schema with ``$id``; compares by identity."""

    __slots__ = ("anchors", "draft", "dynamic_anchors", "pointer", "recursive", "schema", "uri")

    def __init__(self, schema: Any, uri: str, pointer: str, draft: Draft) -> None:
        self.schema, self.uri, self.pointer, self.draft = schema, uri, pointer, draft
        self.anchors: dict[str, Location] = {}
        self.dynamic_anchors: dict[str, Location] = {}
        self.recursive = False


class Location(NamedTuple):
    """A schema, the resource it belongs to, and the JSON pointer to it for messages."""

    schema: Any
    resource: Resource
    pointer: str


class Resolver:
    """The resources reachable from one document, which is of ``draft`` unless it says otherwise."""

    def __init__(self, schema: Any, draft: Draft, registry: Any = None) -> None:
        self._registry = registry
        self._by_uri: dict[str, Resource] = {}
        self._inner: dict[tuple[int, Resource], Resource] = {}
        self._seen: set[tuple[int, Resource]] = set()
        self.dynamic = False
        self.root = self._document(schema, "", "", self._draft(schema, draft))

    def _document(self, schema: Any, uri: str, pointer: str, draft: Draft) -> Resource:
        resource = Resource(schema, uri, pointer, draft)
        self._by_uri.setdefault(uri, resource)
        self._index(Location(schema, resource, pointer))
        return self._inner.get((id(schema), resource), resource)

    def _draft(self, schema: Any, default: Draft, pointer: str = "") -> Draft:
        return draft_of(schema, default, self._registered, pointer)

    def enter(self, location: Location) -> Location:
        """The same schema, in its own resource if it starts one."""
        inner = self._inner.get((id(location.schema), location.resource))
        return location if inner is None else Location(location.schema, inner, location.pointer)

    # -- index ----------------------------------------------------------------------------------------------------------------

    def _index(self, start: Location) -> None:
        """Record identifiers and anchors of the schema and of all below it."""
        todo = [start]
        while todo:
            location = todo.pop()
            key = (id(location.schema), location.resource)
            if not isinstance(location.schema, dict) or key in self._seen:
                continue
            self._seen.add(key)
            resource = self._identified(location)
            todo.extend(sub_schemas(Location(location.schema, resource, location.pointer)))

    def _identified(self, location: Location) -> Resource:
        schema, resource, pointer = location
        draft = resource.draft
        if isinstance(schema.get("$schema"), str):
            draft = self._draft(schema, draft, pointer)
        if "$ref" in schema and draft.ref_overrides:
            return resource
        identifier = schema.get(draft.id_keyword)
        if isinstance(identifier, str):
            uri, fragment = urldefrag(identifier)
            if fragment and draft.id_anchors:
                resource.anchors.setdefault(fragment, location)
            if uri:
                resource = self._embedded(location, urljoin(resource.uri, uri), draft)
        here = Location(schema, resource, pointer)
        for keyword, anchors in (("$anchor", resource.anchors), ("$dynamicAnchor", resource.dynamic_anchors)):
            if not draft.ref_overrides and isinstance(schema.get(keyword), str):
                anchors.setdefault(schema[keyword], here)
        if schema.get("$recursiveAnchor") is True and schema is resource.schema:
            resource.recursive = True
        self.dynamic = self.dynamic or "$dynamicAnchor" in schema or "$recursiveAnchor" in schema
        return resource

    def _embedded(self, location: Location, uri: str, draft: Draft) -> Resource:
        resource = Resource(location.schema, uri, location.pointer, draft)
        self._inner[id(location.schema), location.resource] = resource
        self._by_uri.setdefault(uri, resource)
        self._seen.add((id(location.schema), resource))
        return resource

    # -- references -----------------------------------------------------------------------------------------------------------

    def resolve(self, reference: str, resource: Resource, pointer: str) -> Location:
        """The schema that ``reference`` in ``resource`` means; ``pointer`` is where the reference stands."""
        uri, fragment = urldefrag(reference)
        if uri:
            resource = self._resource(urljoin(resource.uri, uri), reference, pointer)
        fragment = unquote(fragment)
        if not fragment:
            return Location(resource.schema, resource, resource.pointer)
        if fragment.startswith("/"):
            return self._at(resource, fragment, reference, pointer)
        found = resource.anchors.get(fragment) or resource.dynamic_anchors.get(fragment)
        if found is None:
            raise _unresolved(reference, pointer, "there is no such anchor")
        return found

    def _resource(self, uri: str, reference: str, pointer: str) -> Resource:
        found = self._by_uri.get(uri) or self._by_uri.get(urldefrag(uri)[0])
        if found is not None:
            return found
        contents = self._registered(uri)
        if contents is None:
            raise _unresolved(reference, pointer, "nothing is fetched: pass the document in a referencing.Registry as registry=")
        return self._document(contents, uri, uri + "#", self._draft(contents, self.root.draft, pointer))

    def _registered(self, uri: str) -> Any:
        """The document of this URI in the caller's registry, or one of the official meta-schemas."""
        import referencing.exceptions
        from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

        for registry in (self._registry, REGISTRY):
            if registry is not None:
                try:
                    return registry.get_or_retrieve(uri).value.contents
                except (referencing.exceptions.Unretrievable, referencing.exceptions.NoSuchResource, LookupError):
                    continue
        return None

    def _at(self, resource: Resource, path: str, reference: str, pointer: str) -> Location:
        here = Location(resource.schema, resource, resource.pointer)
        for token in path[1:].split("/"):
            key = token.replace("~1", "/").replace("~0", "~")
            schema = here.schema
            if isinstance(schema, dict) and key in schema:
                below = schema[key]
            elif isinstance(schema, list) and re.fullmatch("0|[1-9][0-9]{0,9}", key) and int(key) < len(schema):
                below = schema[int(key)]
            else:
                raise _unresolved(reference, pointer, f"there is nothing at {token!r:.100}")
            here = self.enter(Location(below, here.resource, f"{here.pointer}/{escaped(key)}"))
        self._index(here)  # a schema in a place where none is expected
        return self.enter(here)


def sub_schemas(location: Location) -> Iterator[Location]:
    """The sub-schemas of a schema, in all places where some draft has them."""
    schema, resource, pointer = location
    for keyword, value in schema.items():
        if isinstance(value, dict):
            if keyword in HOLDS_NAMED_SCHEMAS:
                for name, sub in value.items():
                    yield Location(sub, resource, f"{pointer}/{keyword}/{escaped(name)}")
            elif keyword in HOLDS_SCHEMA:
                yield Location(value, resource, f"{pointer}/{keyword}")
        elif isinstance(value, list) and keyword in HOLDS_SCHEMAS:
            for i, sub in enumerate(value):
                yield Location(sub, resource, f"{pointer}/{keyword}/{i}")


def _unresolved(reference: str, pointer: str, why: str) -> UnsupportedSchema:
    return UnsupportedSchema(f"cannot resolve the reference {reference!r:.200}: {why}", keyword="$ref", pointer=pointer)
