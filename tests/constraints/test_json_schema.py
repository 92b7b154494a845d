"""JSON by a schema: what is allowed while writing, what is refused, and what the value is."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypedDict

import pytest
from pydantic import BaseModel, Field, TypeAdapter, field_validator

from decodeplug.constraints import accepts, as_spec, choice, json_schema
from decodeplug.constraints.schema_check import DRAFTS
from decodeplug.errors import BadOption, InvalidResult
from decodeplug.testing import bpe_tokenizer, byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 259, {258})
BPE = Vocabulary(bpe_tokenizer(), 515, {514})


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Bear(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, lt=200)
    color: Color = Color.RED
    born: date | None = None

    @field_validator("name")
    @classmethod
    def named_properly(cls, name: str) -> str:
        if name == "x":
            raise ValueError("x is no name")
        return name


@dataclass
class Toy:
    price: float
    tags: list[str]


class Point(TypedDict):
    x: int
    y: int


class Path2(TypedDict, total=False):
    points: list[Point]
    end: Point | None


def says(schema: Any, *texts: str, **options: Any) -> list[bool]:
    constraint = json_schema(schema, **options).compile(BYTES)
    return [accepts(constraint, BYTES, text) for text in texts]


@pytest.mark.parametrize(
    ("layout", "wanted"),
    [("spaced", [True, False, False]), ("compact", [False, True, False]), ("any", [True, True, True])],
)
def test_the_layout_says_where_spaces_are(layout: str, wanted: list[bool]) -> None:
    texts = ('{"a": [1, 2], "b": "x"}', '{"a":[1,2],"b":"x"}', '{\n  "a": [\n    1,\n    2\n  ],\n  "b": "x"\n}')
    assert says({"type": "object"}, *texts, layout=layout) == wanted


def test_whitespace_is_bounded_where_it_is_free() -> None:
    assert says({"type": "array"}, "[" + " " * 20 + "1]", "[" + " " * 21 + "1]", layout="any") == [True, False]


@pytest.mark.parametrize(
    ("given_", "text", "value"),
    [
        (Bear, '{"name": "Bo", "age": 3}', Bear(name="Bo", age=3)),
        (Bear, '{"name": "Bo", "age": 3, "color": "blue"}', Bear(name="Bo", age=3, color=Color.BLUE)),
        (Bear, '{"name": "é", "age": 3, "born": "2020-02-29"}', Bear(name="é", age=3, born=date(2020, 2, 29))),
        (list[Bear], '[{"name": "Bo", "age": 3}]', [Bear(name="Bo", age=3)]),
        (TypeAdapter(list[int]), "[1, 2]", [1, 2]),
        (Toy, '{"price": 1.5, "tags": ["a"]}', Toy(1.5, ["a"])),
        (Point, '{"x": 1, "y": -2}', {"x": 1, "y": -2}),
        (Path2, '{"points": [{"x": 1, "y": -2}], "end": null}', {"points": [{"x": 1, "y": -2}], "end": None}),
        (dict[str, Point], '{"a": {"x": 1, "y": -2}}', {"a": {"x": 1, "y": -2}}),
        (Color, '"blue"', Color.BLUE),
        (Literal["a", 3, None], "3", 3),
        (Literal["a", 3, None], "null", None),
        (int | None, "null", None),
        (bool, "true", True),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": 1, "b": [1.5]}', {"a": 1, "b": [1.5]}),
        ('{"enum": ["x", [1]]}', "[1]", [1]),
        (True, '{"a": [null]}', {"a": [None]}),
    ],
    ids=lambda part: getattr(part, "__name__", str(part))[:30],
)
def test_the_value_is_what_was_asked_for(given_: Any, text: str, value: Any) -> None:
    spec = json_schema(given_)
    assert accepts(spec.compile(BYTES), BYTES, text)
    assert accepts(spec.compile(BPE), BPE, text)
    assert spec.value(text) == value
    assert type(spec.value(text)) is type(value)


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        (Bear, '{"name": "Bo", "age": 3, "size": 1}'),
        (Bear, '{"age": 3, "name": "Bo"}'),
        (Bear, '{"name": "Bo"}'),
        (Bear, '{"name": "Bo", "age": "3"}'),
        (Bear, '{"name": "Bo", "age": 200}'),
        (Toy, '{"price": 1.5, "tags": ["a"], "more": 1}'),
        (Point, '{"x": 1}'),
        (Color, "blue"),
        (Literal["a", 3], '"b"'),
    ],
)
def test_what_does_not_fit_the_type_is_not_accepted(given_: Any, text: str) -> None:
    assert not accepts(json_schema(given_).compile(BYTES), BYTES, text)


def test_a_validator_that_no_schema_can_express_is_named_when_it_refuses() -> None:
    with pytest.raises(InvalidResult, match=r"Bear refuses it at /name: .*x is no name") as caught:
        json_schema(Bear).value('{"name": "x", "age": 3}')
    assert caught.value.text == '{"name": "x", "age": 3}'


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ('{"a": NaN}', "NaN is no JSON"),
        ("[-Infinity]", "-Infinity is no JSON"),
        ("[1e999]", "overflows"),
        ('{"a": 1, "a": 2}', "a key twice"),
        ('{"a": 1, "\\u0061": 2}', "a key twice"),
        ('["\\ud800"]', "lone surrogate"),
        ("[1] x", "not JSON"),
        ('["a', "not JSON"),
        ('["\n"]', "not JSON"),
        ("[" + "1" * 5000 + "]", "overflows"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_what_readers_of_json_disagree_about_is_no_result(text: str, because: str) -> None:
    with pytest.raises(InvalidResult, match=because):
        json_schema({}).value(text)


@pytest.mark.parametrize(
    ("schema", "text", "because"),
    [
        ({"type": "integer"}, '"a"', "is not of type 'integer' .at the top"),
        ({"properties": {"a": {"items": {"minimum": 2}}}}, '{"a": [3, 1]}', "at /a/1"),
        ({"uniqueItems": True}, "[1, 1.0]", "non-unique"),
        ({"pattern": "^a$"}, '"b"', "does not match"),
        ({"type": "string", "format": "ipv4"}, '"1.2.3.400"', "is not a 'ipv4'"),
        ({"pattern": "^(a|aa)+$"}, json.dumps("a" * 60 + "b"), "could not be validated: pattern"),
    ],
)
def test_the_last_check_says_what_and_where(schema: Any, text: str, because: str) -> None:
    with pytest.raises(InvalidResult, match=because):
        json_schema(schema).value(text)


def test_decimals_are_compared_exactly() -> None:
    spec = json_schema({"type": "number", "multipleOf": 0.1})
    assert accepts(spec.compile(BYTES), BYTES, "0.3")
    assert spec.value("0.3") == 0.3
    assert json_schema({"type": "integer"}).value("2.0") == 2


def test_multiples_are_decided_however_many_digits_a_number_has() -> None:
    spec = json_schema({"multipleOf": 1.5})
    long = 3 * 10**300
    assert spec.value(str(long)) == long
    assert spec.value("1.5e300") == 1.5e300
    for text in (str(long + 1), "2e300"):
        with pytest.raises(InvalidResult, match="not a multiple"):
            spec.value(text)


def test_formats_are_enforced_unless_they_are_annotations() -> None:
    schema = {"type": "string", "format": "date"}
    texts = ('"2024-02-29"', '"2024-02-31"', '"soon"')
    assert says(schema, *texts) == [True, False, False]
    assert says(schema, *texts, formats="annotate") == [True, True, True]
    assert json_schema(schema, formats="annotate").value('"soon"') == "soon"


def test_a_format_that_the_specification_does_not_name_is_an_annotation() -> None:
    assert says({"type": "string", "format": "nickname"}, '"Bo"') == [True]


@pytest.mark.parametrize("draft", DRAFTS)
def test_every_draft_can_be_named(draft: str) -> None:
    assert says({"type": "array", "items": {"type": "integer"}}, "[1, 2]", '["a"]', draft=draft) == [True, False]


def test_the_draft_decides_what_a_keyword_means() -> None:
    schema = {"items": [{"type": "integer"}], "type": "array"}
    assert says({**schema, "$schema": "http://json-schema.org/draft-07/schema#"}, "[1]", '["a"]') == [True, False]
    assert says(schema, "[1]", '["a"]', draft="7") == [True, False]


def test_keys_cannot_be_written_in_disguise() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert says(schema, '{"\\u0061": "x"}', '{"a": 1, "\\u0061": 2}', '{"b": "\\n\\"\\\\"}') == [False, False, True]


def test_control_characters_that_the_schema_names_can_be_written() -> None:
    assert says({"enum": ["a\u0001", "\n"]}, '"a\\u0001"', '"\\n"') == [True, True]


@pytest.mark.parametrize(
    "given_", [3, None, ["a"], object, object(), "no json", "[]", "missing.json", b"{}", {"a": {1, 2}}]
)
def test_what_is_no_source_of_a_schema_is_refused_with_what_is(given_: Any) -> None:
    with pytest.raises(BadOption, match=r"pydantic|a file that can be read|an object, true or false"):
        json_schema(given_)


def test_a_schema_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "bear.json"
    path.write_text('{"enum": ["é"]}', encoding="utf-8")
    assert json_schema(path).value('"é"') == "é"
    assert as_spec(str(path)).value('"é"') == "é"


@pytest.mark.parametrize(
    "given_", [Bear, Toy, Point, Color, Literal["a"], list[Bear], {"type": "null"}, TypeAdapter(int)]
)
def test_what_has_a_schema_is_a_constraint(given_: Any) -> None:
    assert as_spec(given_).kind == "json-schema"


def test_a_spec_is_a_constraint_as_it_is() -> None:
    spec = choice(["a"])
    assert as_spec(spec) is spec


@pytest.mark.parametrize("given_", [3, None, "json", ["a", "b"], object()])
def test_what_is_no_constraint_is_refused_with_what_is(given_: Any) -> None:
    with pytest.raises(BadOption, match=r"constraint: .*json_schema\(...\), regex\(...\), lark\(...\), choice"):
        as_spec(given_)


class Lookup(BaseModel):
    """A type whose validator fails where it was to judge."""

    name: str

    @field_validator("name")
    @classmethod
    def is_known(cls, name: str) -> str:
        return {"Ada": "Lovelace"}[name]


def test_a_validator_that_fails_refuses_the_text_and_is_named() -> None:
    spec = json_schema(Lookup)
    assert spec.value('{"name": "Ada"}') == Lookup.model_construct(name="Lovelace")
    with pytest.raises(InvalidResult, match=r"a validator of TypeAdapter\(Lookup\) failed: KeyError: 'Bob'") as caught:
        spec.value('{"name": "Bob"}')
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_multiple_may_have_any_number_of_digits() -> None:
    halves = json_schema({"multipleOf": 1.5})
    assert halves.value("3" + "0" * 60 + "4.5") > 0
    assert halves.value("-0.0") == 0
    for text in ("3" + "0" * 60 + "4.25", "1e-300"):
        with pytest.raises(InvalidResult, match="is not a multiple of"):
            halves.value(text)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ({"exclusiveMinimum": 0, "maximum": 0.5}, "0"),
        ({"exclusiveMinimum": 1, "exclusiveMaximum": 1.5}, "1"),
        ({"minimum": -0.5, "exclusiveMaximum": 0}, "-0"),
        ({"exclusiveMinimum": 0, "allOf": [{"maximum": 0.5}]}, "0"),
    ],
)
def test_an_exclusive_bound_is_none_of_the_values_however_near_the_other_bound_is(bounds: Any, text: str) -> None:
    constraint = json_schema({"type": "number", **bounds}).compile(BYTES)
    assert not accepts(constraint, BYTES, text)
    nearest = bounds.get("exclusiveMinimum", bounds.get("exclusiveMaximum"))
    assert accepts(constraint, BYTES, str(nearest + (0.25 if "exclusiveMinimum" in bounds else -0.25)))
