"""Types in both directions: the schema written for a type, the objects read back, and that all texts in between are read."""

from __future__ import annotations

import datetime
import enum
import functools
import ipaddress
import json
import pathlib
import random
import re
import typing
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import jsonschema
import pydantic
import pytest
import typing_extensions

import structgen as sg
from structgen.errors import ModelOutputError, StructgenError, UnsupportedSchema
from structgen.types import TypedConstraint, as_constraint, from_type, json_schema, schema_of

BYTES = sg.Vocabulary.from_bytes([bytes([b]) for b in range(256)], eos_token_id=256)
UTC = datetime.timezone.utc


class Colour(enum.Enum):
    RED = "red"
    TWO = 2


class Address(pydantic.BaseModel):
    street: Annotated[str, pydantic.Field(max_length=10)]
    zip: Annotated[int, pydantic.Field(ge=0, le=99999)]


class Person(pydantic.BaseModel):
    name: Annotated[str, pydantic.Field(min_length=1, max_length=8)]
    born: datetime.date
    address: Address | None = None
    colours: Annotated[list[Colour], pydantic.Field(max_length=2)] = []


@dataclass
class Point:
    x: int
    y: float = 0.5
    tags: Annotated[list[bool], pydantic.Field(max_length=2)] = field(default_factory=list)


class Movie(typing.TypedDict, total=False):
    title: typing_extensions.Required[Annotated[str, pydantic.Field(max_length=5)]]
    years: Annotated[list[int], pydantic.Field(max_length=2)]


class Cast(typing.TypedDict):
    movie: Movie
    stars: Annotated[list[Movie | None], pydantic.Field(max_length=1)]


class Pair(NamedTuple):
    a: int
    b: bool = True


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, pydantic.Field(ge=0, le=9)]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    good: bool


class Tree(pydantic.BaseModel):
    value: Annotated[int, pydantic.Field(ge=0, le=9)]
    children: Annotated[list[Tree], pydantic.Field(max_length=2)] = []


class Open(pydantic.BaseModel, extra="allow"):
    a: int


class Fields(pydantic.BaseModel):
    """Properties named like keywords are not keywords."""

    format: Literal["date"]
    contentSchema: bool
    enum: datetime.date


def move(x: int, y: Annotated[int, pydantic.Field(le=3)] = 0, *rest: int, fast: bool = False, **more: str) -> str:
    return f"{x},{y},{fast}"


TEXT = Annotated[str, pydantic.Field(max_length=6)]
CASES: list[tuple[Any, str, Any]] = [
    (bool, "true", True),
    (None, "null", None),
    (int, "-12", -12),
    (float, "1.5e3", 1500.0),
    (float, "1e-7", 1e-07),
    (int, "1.5e3", 1500),
    (int, "12345678901234567.0", 12345678901234567),
    (pydantic.StrictInt, "4e30", 4 * 10**30),
    (str, '"\\u00e9"', "é"),
    (Decimal, "12.50", Decimal("12.5")),
    (bytes, '"ab"', b"ab"),
    (datetime.date, '"1815-12-10"', datetime.date(1815, 12, 10)),
    (datetime.datetime, '"2020-01-02T03:04:05Z"', datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
    (datetime.time, '"03:04:05Z"', datetime.time(3, 4, 5, tzinfo=UTC)),
    (datetime.timedelta, '"P1DT2H"', datetime.timedelta(days=1, hours=2)),
    (uuid.UUID, '"12345678-1234-5678-1234-567812345678"', uuid.UUID("12345678-1234-5678-1234-567812345678")),
    (pydantic.UUID4, '"12345678-1234-4678-8234-567812345678"', uuid.UUID("12345678-1234-4678-8234-567812345678")),
    (Colour, "2", Colour.TWO),
    (Literal["a", 1, None], "1", 1),
    (int | TEXT, '"x"', "x"),
    (int | None, "null", None),
    (Annotated[list[int], pydantic.Field(max_length=2)], "[1,2]", [1, 2]),
    (tuple[int, TEXT], '[1,"a"]', (1, "a")),
    (Annotated[set[Literal[1, 2]], pydantic.Field(max_length=3)], "[1,2,1]", {1, 2}),
    (dict[Literal["a", "b"], int], '{"a":1,"b":2}', {"a": 1, "b": 2}),
    (
        Person,
        '{"name":"Ada","born":"1815-12-10","colours":["red"]}',
        Person(name="Ada", born=datetime.date(1815, 12, 10), colours=[Colour.RED]),
    ),
    (Point, '{"x":1,"tags":[true]}', Point(1, 0.5, [True])),
    (Movie, '{"title":"Up"}', {"title": "Up"}),
    (Cast, '{"movie":{"title":"Up"},"stars":[null]}', {"movie": {"title": "Up"}, "stars": [None]}),
    (Pair, "[3]", Pair(3)),
    (Annotated[Cat | Dog, pydantic.Field(discriminator="kind")], '{"kind":"dog","good":true}', Dog(kind="dog", good=True)),
    (Tree, '{"value":1,"children":[{"value":2}]}', Tree(value=1, children=[Tree(value=2)])),
    (
        Fields,
        '{"format":"date","contentSchema":true,"enum":"2020-02-29"}',
        Fields(format="date", contentSchema=True, enum=datetime.date(2020, 2, 29)),
    ),
    (pydantic.HttpUrl, '"https://a.example/x?y"', pydantic.HttpUrl("https://a.example/x?y")),
    (ipaddress.IPv4Address, '"1.2.3.4"', ipaddress.IPv4Address("1.2.3.4")),
    (ipaddress.IPv4Network, '"1.2.3.4/32"', ipaddress.IPv4Network("1.2.3.4/32")),
    (ipaddress.IPv4Interface, '"1.2.3.4/8"', ipaddress.IPv4Interface("1.2.3.4/8")),
    (pathlib.PurePosixPath, '"a/b"', pathlib.PurePosixPath("a/b")),
    (pydantic.Base64Bytes, '"YWI="', b"ab"),
    (pydantic.ByteSize, "12", pydantic.ByteSize(12)),
    (Annotated[frozenset[tuple[int, ...] | None], pydantic.Field(max_length=2)], "[[1,2],null]", frozenset({(1, 2), None})),
    (move, '{"x":1,"fast":true}', {"x": 1, "fast": True}),
    (functools.partial(move, y=2), '{"x":1}', {"x": 1}),
]
NAMES = [str(getattr(T, "__name__", T))[:40] for T, _, _ in CASES]


@pytest.mark.parametrize("T, text, value", CASES, ids=NAMES)
def test_a_text_of_the_type_is_valid_accepted_and_read(T, text, value):
    constraint = from_type(T)
    jsonschema.Draft202012Validator(constraint.schema).validate(json.loads(text))
    assert sg.compile(constraint, BYTES).accepts(text)
    assert constraint.parse(text) == value and type(constraint.parse(text)) is type(value)


@pytest.mark.parametrize("T", [T for T, _, _ in CASES], ids=NAMES)
def test_texts_sampled_through_masks_are_all_read(T):
    constraint = from_type(T)
    automaton = sg.compile(constraint, BYTES)
    samples = [sample(automaton, random.Random(seed)) for seed in range(12)]
    complete = [text for text in samples if text is not None]
    assert complete
    for text in complete:
        constraint.parse(text)
        jsonschema.Draft202012Validator(constraint.schema).validate(json.loads(text))


def sample(automaton: Any, rng: random.Random, steps: int = 400) -> str | None:
    """A text drawn byte by byte; None if it does not end in time."""
    state, found = automaton.initial, bytearray()
    for _ in range(steps):
        following = [int(t) for t in automaton.allowed(state)]
        closing = [t for t in following if t == 256 or chr(t) in '"]},:0']
        token = rng.choice(closing if closing and rng.random() < 0.4 else following)
        if token == 256:
            return found.decode()
        found.append(token)
        state = automaton.advance(state, token)
    return None


REJECTED: list[tuple[Any, str]] = [
    (Decimal, "1e400"),
    (frozenset, "[[]]"),
    (pydantic.ByteSize, '"5abc"'),
    (pydantic.ByteSize, "-1"),
    (float, "1e400"),
    (datetime.date, '"0000-01-01"'),
    (datetime.datetime, '"2016-12-31T23:59:60Z"'),
    (datetime.time, '"23:59:60Z"'),
    (pydantic.UUID4, '"12345678-1234-5678-8234-567812345678"'),
    (pydantic.HttpUrl, '"ftp://a.example"'),
    (pydantic.HttpUrl, '"http://1.2.3.999"'),
    (dict[Literal["a", "b"], int], '{"c":1}'),
    (ipaddress.IPv4Network, '"1.2.3.4/24"'),
    (pydantic.Base64Bytes, '"YWI"'),
    (Person, '{"name":"Ada","born":"1815-12-10","more":1}'),
    (Point, '{"x":1,"z":1}'),
    (Movie, '{"years":[1]}'),
    (Movie, '{"title":"Up","z":1}'),
    (move, '{"x":1,"y":4}'),
    (move, '{"x":1,"rest":[1]}'),
    (move, '{"y":1}'),
]


@pytest.mark.parametrize("T, text", REJECTED)
def test_texts_that_the_type_does_not_read_or_would_drop_are_not_accepted(T, text):
    assert not sg.compile(T, BYTES).accepts(text)


def positional(x, /):
    pass


def unknown_annotation(x: "Nowhere"):  # noqa: F821, UP037
    pass


@pytest.mark.parametrize(
    "T",
    [
        Annotated[datetime.date, pydantic.Field(ge=datetime.date(2000, 1, 1))],
        pydantic.PastDate,
        pydantic.NaiveDatetime,
        Annotated[datetime.timedelta, pydantic.Field(gt=datetime.timedelta(1))],
        Annotated[Decimal, pydantic.Field(max_digits=4)],
        pydantic.Json[list[int]],
        complex,
        typing.Pattern,
        ipaddress.IPv6Network,
        dict[Colour, int],
        dict[tuple[int, int], int],
        typing.Callable[[int], int],
        Literal[b"a"],
        Literal[2**70, -1],
        enum.Enum("BytesEnum", {"A": b"x"}),
        enum.Enum("TupleEnum", {"A": (1, 2), "B": "x"}),
        enum.Enum("ObjectEnum", {"A": object()}),
        type[int],
        pydantic.FilePath,
        pydantic.DirectoryPath,
        pydantic.BaseModel,
        list[pydantic.BaseModel],
        pydantic.create_model("Path", a=(int, pydantic.Field(validation_alias=pydantic.AliasPath("x", 0)))),
        set[list[int]],
        frozenset[dict[str, int] | int],
        set[Address],
        Annotated[str, pydantic.Field(pattern=re.compile("a", re.IGNORECASE))],
    ],
)
def test_what_json_schema_cannot_say_is_refused(T):
    with pytest.raises(UnsupportedSchema):
        schema_of(T)


def pattern(text: str, **config: Any) -> Any:
    return pydantic.create_model("M", __config__=config, a=(Annotated[str, pydantic.Field(pattern=text)], ...))


TEXTS = [
    "a",
    "b",
    "é",
    "É",
    "ſ",
    "K",
    "k",
    "٣",
    "7",
    "_",
    "-",
    " ",
    "\n",
    "\r",
    "\x1c",
    "\x85",
    "\ufeff",
    "\u2028",
    "\u200d",
    "Ⓐ",
    "😀",
    "[",
    "(",
    ".",
]
TEXTS += ["zz", "é-", "a b", "ab", "AB", "a\nb", "٣٣", "7.", "aa.", "foo", "xfoo", "foo bar"]
PATTERNS = [
    r"^\w$", r"^\W$", r"^\d\d$", r"^\D$", r"^\s$", r"^\S$", r"^.$", r"^[\s\S]$", r"^[^\d\s]$", r"^[\w-]+$", r"^[\D]$", r"\bfoo\b", r"o\B",
    r"\Aa.b\z", r"(?i)^ab$", r"^(?i:k|s)$", r"^(?P<n>a)+", r"^\x61\u{62}$", r"^\pL$", r"^[(?]$", r"^[]a]$", r"^[\d.]{2}$", r"\.",
]  # fmt: skip


@pytest.mark.parametrize("engine", ["rust-regex", "python-re"])
def test_patterns_mean_what_they_mean_to_pydantic(engine):
    tried = 0
    for text in PATTERNS:
        try:
            model = pattern(text, regex_engine=engine)
            model.model_validate({"a": ""})
        except pydantic.ValidationError:
            pass
        except Exception:  # not of this engine's syntax
            continue
        try:
            automaton = sg.compile(model, BYTES)
        except UnsupportedSchema:
            assert engine == "python-re" and "(?i" in text
            continue
        tried += 1
        for candidate in TEXTS:
            written = json.dumps({"a": candidate}, ensure_ascii=False)
            assert automaton.accepts(written) == is_read(model, written), (text, candidate)
    assert tried > 12


def is_read(model: Any, text: str) -> bool:
    try:
        model.model_validate_json(text)
    except pydantic.ValidationError:
        return False
    return True


@pytest.mark.parametrize("text", [r"[a&&b]", r"[[:alpha:]]", r"(?m)^a$", r"(?s).", r"\<a", r"\b{start}a", r"[\W]"])
def test_patterns_that_json_schema_cannot_say_are_refused(text):
    with pytest.raises(UnsupportedSchema):
        schema_of(pattern(text))


@pytest.mark.parametrize(
    "T",
    [
        "/",
        Literal["\ud800"],
        Annotated[str, pydantic.Field(max_length=10**30)],
        Annotated[str, pydantic.Field(pattern=r"a\Z")],
        functools.reduce(lambda inner, _: list[inner], range(3000), int),
    ],
    ids=range(5),
)
def test_no_error_of_another_library_escapes(T):
    with pytest.raises(StructgenError):
        from_type(T)


@pytest.mark.parametrize("T", [positional, unknown_annotation, object(), typing.TypeVar("T").__class__, 3, 2.5, b"{}", [int], None, {1, 2}])
def test_what_is_no_type_is_a_clear_error(T):
    with pytest.raises(StructgenError):
        as_constraint(T)


def test_open_models_stay_open_and_default_ones_are_closed():
    assert schema_of(Open)[0]["additionalProperties"] is True
    assert schema_of(Address)[0]["additionalProperties"] is False


def test_a_recursive_typing_typeddict_says_what_to_do():
    if not hasattr(typing, "is_typeddict") or __import__("sys").version_info >= (3, 12):
        pytest.skip("pydantic reads them itself")
    with pytest.raises(StructgenError, match="typing_extensions"):
        schema_of(Knot)


class Knot(typing.TypedDict, total=False):
    next: Knot


def test_a_validator_of_the_users_own_shows_as_an_error_with_the_text():
    class Even(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def is_even(cls, n: int) -> int:
            if n % 2:
                raise ValueError("odd")
            return n

    constraint = from_type(Even)
    assert constraint.parse('{"n":2}').n == 2
    with pytest.raises(ModelOutputError, match="odd") as caught:
        constraint.parse('{"n":3}')
    assert caught.value.text == '{"n":3}'


@pytest.mark.parametrize("raised", [TypeError("boom"), ZeroDivisionError("boom"), AssertionError("boom")], ids=repr)
def test_whatever_a_validator_raises_is_an_error_with_the_text(raised):
    def fail(value: bool) -> bool:
        raise raised

    with pytest.raises(ModelOutputError, match="boom") as caught:
        from_type(Annotated[bool, pydantic.AfterValidator(fail)]).parse("true")
    assert caught.value.text == "true"


NUMBERS: list[tuple[str, Any]] = [
    ("1", 1),
    ("1.0", 1.0),
    ("-0.0", -0.0),
    ("1e22", 1e22),
    ("0.15", 0.15),
    ("9e307", 9 * 10**307),
    ("9e308", 9 * 10**308),
    ("3E315", 3 * 10**315),
    ("18301191111141111918.000", 18301191111141111918),
    ("1e99999", Decimal("1e99999")),
    ("1e-400", Decimal("1e-400")),
    ("0e99999", 0.0),
    ("9" * 400, int("9" * 400)),
]


@pytest.mark.parametrize("text, value", NUMBERS, ids=[text[:12] for text, _ in NUMBERS])
def test_numbers_keep_their_value(text, value):
    read = json_schema({"type": "number"}).parse(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize("spec", [json_schema(True), from_type(float), from_type(list[Any]), from_type(dict[str, int])], ids=range(4))
@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,]", "NaN", "[Infinity]", '{"a": 1, "a": 1}', "9" * 5000, "[" * 20000 + "]" * 20000, "1e" + "9" * 40, "1 2", None, 5],
    ids=lambda text: str(text)[:20],
)
def test_what_cannot_be_read_is_an_error_of_the_model(spec, text):
    with pytest.raises(ModelOutputError) as caught:
        spec.parse(text)
    assert caught.value.text == (text if isinstance(text, str) else "")


def test_arguments_call_the_function():
    assert move(**from_type(move).parse('{"x":1,"y":2}')) == "1,2,False"


def test_as_constraint_normalises_everything():
    schema = {"type": "integer", "minimum": 3, "maximum": 12}
    for spec in (schema, json.dumps(schema), json_schema(schema), from_type(Annotated[int, pydantic.Field(ge=3, le=12)])):
        constraint = as_constraint(spec)
        assert isinstance(constraint, TypedConstraint) and constraint.constraint is constraint
        assert constraint.parse("7") == 7 and constraint.schema["minimum"] == 3
        automaton = sg.compile(spec, BYTES)
        assert [n for n in range(20) if automaton.accepts(str(n))] == list(range(3, 13))
        assert automaton.parse("7") == 7
    assert as_constraint(True).schema is True


def test_texts_stand_for_themselves_without_a_schema_and_in_compositions():
    for spec in (
        sg.regex("[0-9]"),
        sg.choice(["1", "2"]),
        "n=" + json_schema({"type": "integer"}),
        json_schema(True) | "x",
        sg.repeat(from_type(bool), 1, 2),
    ):
        assert as_constraint(spec).schema is None and as_constraint(spec).parse("1") == "1"
    assert sg.compile(json_schema({"const": 1}) + ";" + from_type(bool), BYTES).accepts("1;true")


def test_options_reach_the_schema():
    assert sg.compile(json_schema({"const": [1, 2]}, whitespace="compact"), BYTES).accepts("[1,2]")
    assert not sg.compile(from_type(list[int], whitespace="compact"), BYTES).accepts("[1, 2]")
