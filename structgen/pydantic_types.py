"""JSON Schemas of pydantic types that say all that pydantic checks, so that what the schema allows also validates.

pydantic describes some types more loosely than it reads them (a date in the year 0, a URL of any scheme, a mapping with
integer keys, an object with further properties that it drops). `exact_schema` tightens these descriptions and refuses what
JSON Schema cannot say (bounds on dates, strings that hold JSON). What remains unsaid are validators written by the user.
"""

from __future__ import annotations

import functools
import inspect
import json
import reprlib
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Union, get_args, get_origin

import pydantic
import typing_extensions
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import SchemaValidator
from typing_extensions import NotRequired, Required

from structgen.errors import StructgenError, UnsupportedSchema
from structgen.pydantic_patterns import portable_pattern

__all__ = ["adapter_of", "arguments_of", "exact_schema", "shown"]

Schema = dict[str, Any]

YEAR = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"  # datetime.MINYEAR is 1
LABEL = "[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20}){0,2}"
DOMAIN = rf"({LABEL}\.){{1,6}}[A-Za-z]{{2,18}}"
OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"{OCTET}(\.{OCTET}){{3}}"
AUTHORITY = rf"(localhost|{DOMAIN}|{IPV4})(:[1-9][0-9]{{0,3}})?"
BASE64 = "^([{0}]{{4}})*([{0}]{{2}}==|[{0}]{{3}}=)?$"
INTEGER_KEY = "^(0|-?[1-9][0-9]{0,17})$"

# pydantic's formats as its validators read them; {} where any text will do.
FORMATS: dict[str, Schema] = {
    "date": {"format": "date", "pattern": f"^{YEAR}"},
    "date-time": {"format": "date-time", "pattern": f"^{YEAR}.{{13}}[0-5]"},  # leap seconds are not read
    "time": {"format": "time", "pattern": "^.{6}[0-5]"},
    "duration": {"format": "duration", "pattern": "^[^0-9]*([0-9]{1,5}[^0-9]+)*$"},
    "email": {"format": "email", "pattern": rf"^[A-Za-z0-9]{{1,20}}([._+-][A-Za-z0-9]{{1,20}}){{0,2}}@{DOMAIN}$"},
    "ipvanyaddress": {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
    "ipv4network": {"pattern": f"^{IPV4}/32$"},  # host bits must be zero: /32 has none
    "ipv4interface": {"pattern": f"^{IPV4}/([12]?[0-9]|3[0-2])$"},
    "base64": {"pattern": BASE64.format("A-Za-z0-9+/")},
    "base64url": {"pattern": BASE64.format("A-Za-z0-9_-")},
    **{f"uuid{v}": {"format": "uuid", "pattern": f"^.{{14}}{v}.{{4}}[89abAB]"} for v in range(1, 9)},
    **{name: {} for name in ("binary", "path", "password")},
}
UNSAYABLE = (
    "ipv6network",
    "ipv6interface",
    "ipvanynetwork",
    "ipvanyinterface",
    "multi-host-uri",
    "name-email",
    "json-string",
    "regex",
    "color",
    "file-path",
    "directory-path",
)
SCALARS = ["string", "number", "boolean", "null"]
UNHASHABLE = ("any", "list", "set", "dict", "typed-dict", "model", "dataclass", "json")
INNER = ("schema", "items_schema", "choices", "json_schema", "lax_schema", "steps")
"""Where a core schema has the schemas of what it may be, or of the items of what it is."""


def adapter_of(T: Any) -> pydantic.TypeAdapter[Any]:
    """The TypeAdapter of a type; typing.TypedDict works on every Python version."""
    with _refusing(StructgenError, f"{shown(T)} is not a type that pydantic can read from JSON"):
        return pydantic.TypeAdapter(_portable(T))


def exact_schema(adapter: pydantic.TypeAdapter[Any]) -> Schema:
    """The JSON Schema of what the adapter reads. Raises `UnsupportedSchema` for what JSON Schema cannot say."""
    with _refusing(UnsupportedSchema, "this type has no JSON form"):
        return _exact(adapter.json_schema(schema_generator=_ExactSchema, mode="validation"), "")  # type: ignore[no-any-return]
    raise AssertionError


@contextmanager
def _refusing(kind: type[StructgenError], what: str) -> Iterator[None]:
    """Whatever goes wrong in pydantic, in a type's own code or for want of an optional package, as an error of ours."""
    try:
        yield
    except StructgenError:
        raise
    except Exception as error:
        raise kind(f"{what}: {error or type(error).__name__}") from error


def shown(T: Any) -> str:
    """A type for people: at most 200 characters, even where its repr fails."""
    representation = reprlib.Repr()
    representation.maxother = representation.maxstring = 200
    return getattr(T, "__name__", None) or representation.repr(T)


def arguments_of(function: Any) -> Any:
    """The arguments of a function as a TypedDict: those without a default are required, ``*args`` and ``**kwargs`` left out."""
    try:
        signature = inspect.signature(function)
        hints = typing_extensions.get_type_hints(_annotated(function), include_extras=True)
    except (TypeError, ValueError, NameError) as error:
        raise StructgenError(f"the signature of {function!r} cannot be read: {error}") from error
    fields: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise StructgenError(f"parameter {name!r} of {function!r} is positional-only, so it cannot be passed by name")
        required = Required if parameter.default is parameter.empty else NotRequired
        fields[name] = required[hints.get(name, Any)]
    return _typed_dict(getattr(_annotated(function), "__name__", "arguments"), fields)


def _annotated(function: Any) -> Any:
    """Where the annotations of a function or of a partial application are."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _portable(T: Any, above: tuple[Any, ...] = ()) -> Any:
    """The type with every typing.TypedDict replaced by its twin of typing_extensions, the only one pydantic reads before 3.12."""
    if sys.version_info >= (3, 12):
        return T
    if typing_extensions.is_typeddict(T) and type(T).__module__ == "typing":
        if T in above:
            raise StructgenError(f"{T.__name__} is recursive: make it a typing_extensions.TypedDict")
        return _typed_dict(T.__name__, _fields(T, (*above, T)), getattr(T, "__pydantic_config__", None))
    old = get_args(T)
    new = tuple(_portable(argument, above) for argument in old)
    if all(a is b for a, b in zip(old, new, strict=True)):
        return T
    if get_origin(T) is Annotated:
        return Annotated[(new[0], *T.__metadata__)]
    return T.copy_with(new) if hasattr(T, "copy_with") else _subscript(get_origin(T), new)


def _subscript(origin: Any, arguments: tuple[Any, ...]) -> Any:
    return Union[arguments] if origin is types.UnionType else origin[arguments]  # noqa: UP007


def _fields(typed_dict: Any, above: tuple[Any, ...]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    hint: Any
    for name, hint in typing_extensions.get_type_hints(typed_dict, include_extras=True).items():
        required: Any = Required if name in typed_dict.__required_keys__ else NotRequired
        if get_origin(hint) in (Required, NotRequired):
            required, (hint,) = get_origin(hint), get_args(hint)
        fields[name] = required[_portable(hint, above)]
    return fields


def _typed_dict(name: str, fields: Mapping[str, Any], config: Any = None) -> Any:
    make: Any = typing_extensions.TypedDict
    made = make(name, dict(fields))
    made.__pydantic_config__ = config or pydantic.ConfigDict(extra="forbid")
    return made


class _ExactSchema(GenerateJsonSchema):
    """pydantic's generator where it knows more than it writes; `_exact` does the rest on the finished schema."""

    _cores: Mapping[str, Any] = {}

    def model_schema(self, schema: Any) -> Schema:
        if schema["cls"] is pydantic.BaseModel:
            raise UnsupportedSchema("BaseModel itself has no instances; name a model", keyword="type")
        return _closed(super().model_schema(schema))

    def dataclass_schema(self, schema: Any) -> Schema:
        return _closed(super().dataclass_schema(schema))

    def typed_dict_schema(self, schema: Any) -> Schema:
        return _closed(super().typed_dict_schema(schema))

    def model_field_schema(self, schema: Any) -> Schema:
        return super().model_field_schema(_named(schema))

    def dataclass_field_schema(self, schema: Any) -> Schema:
        return super().dataclass_field_schema(_named(schema))

    def typed_dict_field_schema(self, schema: Any) -> Schema:
        return super().typed_dict_field_schema(_named(schema))

    def literal_schema(self, schema: Any) -> Schema:
        return _readable(super().literal_schema(schema), schema)

    def enum_schema(self, schema: Any) -> Schema:
        return _readable(super().enum_schema(schema), schema)

    def is_subclass_schema(self, schema: Any) -> Schema:
        raise UnsupportedSchema("classes have no JSON form", keyword="type")

    def function_after_schema(self, schema: Any) -> Schema:
        """A number of bytes is an integer; the other form, a text with a unit, would only be a second way to say the same."""
        owner = getattr(schema["function"]["function"], "__self__", None)
        if isinstance(owner, type) and issubclass(owner, pydantic.ByteSize):
            return {"type": "integer", "minimum": 0}
        return super().function_after_schema(schema)

    def str_schema(self, schema: Any) -> Schema:
        """A string; pydantic's regular expressions have other classes than those of JSON Schema."""
        written = super().str_schema(schema)
        if "pattern" in written:
            is_python = not isinstance(schema["pattern"], str) or "python-re" in (schema.get("regex_engine"), self._config.regex_engine)
            flags = 0 if isinstance(schema["pattern"], str) else schema["pattern"].flags
            written["pattern"] = portable_pattern(written["pattern"], "python" if is_python else "rust", flags)
        return written

    def set_schema(self, schema: Any) -> Schema:
        return self._set_schema(super().set_schema(schema), schema)

    def frozenset_schema(self, schema: Any) -> Schema:
        return self._set_schema(super().frozenset_schema(schema), schema)

    def _set_schema(self, written: Schema, schema: Any) -> Schema:
        """An array of items that can be hashed; of anything that is no array nor object if nothing is said of them."""
        items = schema.get("items_schema", {"type": "any"})
        if items["type"] == "any":
            return {**written, "items": {"type": SCALARS}}
        if not self._is_hashable(items):
            raise UnsupportedSchema("the items of a set must be hashable", keyword="items")
        return written

    def _is_hashable(self, core: Any) -> bool:
        if isinstance(core, (list, tuple)):
            return all(map(self._is_hashable, core))
        if not isinstance(core, dict):
            return True
        if core["type"] in UNHASHABLE:
            return "cls" in core and core["cls"].__hash__ is not None
        if core["type"] == "definition-ref":
            return self._is_hashable(self._cores.get(core["schema_ref"]))
        inner = core["choices"].values() if core["type"] == "tagged-union" else [core[key] for key in INNER if key in core]
        return all(map(self._is_hashable, inner))

    def definitions_schema(self, schema: Any) -> Schema:
        self._cores = {definition["ref"]: definition for definition in schema["definitions"]}
        return super().definitions_schema(schema)

    def tagged_union_schema(self, schema: Any) -> Schema:
        """The tags keep the branches apart, so that one of them is the same as any of them."""
        written = super().tagged_union_schema(schema)
        written.pop("discriminator", None)
        return {"anyOf": written.pop("oneOf"), **written}

    def decimal_schema(self, schema: Any) -> Schema:
        """A number; the other form, a string, would only be a second way to say the same."""
        _refuse(schema, "max_digits", "decimal_places")
        return super().decimal_schema(schema)["anyOf"][0]  # type: ignore[no-any-return]

    def date_schema(self, schema: Any) -> Schema:
        _refuse(schema, "le", "ge", "lt", "gt", "now_op")
        return super().date_schema(schema)

    def time_schema(self, schema: Any) -> Schema:
        _refuse(schema, "le", "ge", "lt", "gt")
        return super().time_schema(schema)

    def datetime_schema(self, schema: Any) -> Schema:
        _refuse(schema, "le", "ge", "lt", "gt", "now_op")
        if schema.get("tz_constraint") == "naive":
            raise UnsupportedSchema("a date and time without time zone is not an RFC 3339 date-time; use datetime", keyword="format")
        return super().datetime_schema(schema)

    def timedelta_schema(self, schema: Any) -> Schema:
        _refuse(schema, "le", "ge", "lt", "gt")
        return super().timedelta_schema(schema)

    def complex_schema(self, schema: Any) -> Schema:
        raise UnsupportedSchema("complex numbers have no JSON form", keyword="type")

    def url_schema(self, schema: Any) -> Schema:
        """URLs with an authority, of the schemes asked for."""
        schemes = "|".join(schema.get("allowed_schemes") or ("https?", "ftp", "wss?"))
        return {**super().url_schema(schema), "pattern": f"^({schemes})://{AUTHORITY}([/?#].*)?$"}

    def dict_schema(self, schema: Any) -> Schema:
        """A mapping whose keys are read from strings too."""
        written = super().dict_schema(schema)
        names = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        names = self.resolve_ref_schema(names)
        values = written.get("additionalProperties", {})
        listed = [names["const"]] if "const" in names else names.get("enum")
        if listed and all(isinstance(name, str) for name in listed):
            properties = {name: values for name in listed}
            return _closed({"type": "object", "properties": properties, **_without(written, "propertyNames", "additionalProperties")})
        if names.get("type") == "integer":
            _refuse(names, "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
            return _closed({**_without(written, "additionalProperties"), "patternProperties": {INTEGER_KEY: values}})
        if names and names.get("type") != "string":
            raise UnsupportedSchema("mapping keys must be strings, integers, or literals", keyword="propertyNames")
        return _closed(written) if "patternProperties" in written else written


def _named(field: Any) -> Any:
    """The field of an object, which must have a name there: not a place further inside."""
    alias = field.get("validation_alias")
    if isinstance(alias, list):
        paths = alias if isinstance(alias[0], list) else [alias]
        if not any(len(path) == 1 and isinstance(path[0], str) for path in paths):
            raise UnsupportedSchema(f"the alias {alias} is a path, not a name", keyword="properties")
    return field


def _readable(written: Schema, core: Any) -> Schema:
    """Listed values, which pydantic must read back: not bytes, tuples or very large integers."""
    validator = SchemaValidator(core)
    for value in [written["const"]] if "const" in written else written.get("enum", ()):
        try:
            validator.validate_json(json.dumps(value))
        except ValueError as error:
            raise UnsupportedSchema(f"{value!r:.100} is not read back as it is written: {error}", keyword="enum") from error
    return written


def _closed(written: Schema) -> Schema:
    """Without properties beyond those declared, unless it says otherwise."""
    return {**written, "additionalProperties": written.get("additionalProperties", False)} if written.get("type") == "object" else written


def _without(written: Schema, *keywords: str) -> Schema:
    return {keyword: value for keyword, value in written.items() if keyword not in keywords}


def _refuse(schema: Mapping[str, Any], *keywords: str) -> None:
    for keyword in keywords:
        if schema.get(keyword) is not None:
            raise UnsupportedSchema(f"{keyword}={schema[keyword]!r} on {schema['type']} cannot be said in JSON Schema", keyword=keyword)


def _exact(schema: Any, pointer: str) -> Any:
    """The written schema with pydantic's own formats replaced."""
    if not isinstance(schema, dict):
        return schema
    exact = {keyword: _exact_value(keyword, value, f"{pointer}/{keyword}") for keyword, value in schema.items()}
    unsayable = "contentSchema" if "contentSchema" in exact else "format" if exact.get("format") in UNSAYABLE else ""
    if unsayable:
        raise UnsupportedSchema("the text in this string cannot be enforced", keyword=unsayable, pointer=pointer)
    exact = {**FORMATS.get(exact.get("format", ""), exact), **_without(exact, "format")}
    if exact.get("uniqueItems") is True and exact.get("minItems", 0) < 2:
        del exact["uniqueItems"]  # a set may be written with repetitions
    return exact


def _exact_value(keyword: str, value: Any, pointer: str) -> Any:
    if keyword in ("properties", "patternProperties", "$defs"):
        return {name: _exact(schema, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}") for name, schema in value.items()}
    if keyword in ("anyOf", "allOf", "oneOf", "prefixItems"):
        return [_exact(schema, f"{pointer}/{i}") for i, schema in enumerate(value)]
    if keyword in ("items", "additionalProperties", "propertyNames", "not", "contains"):
        return _exact(value, pointer)
    return value
