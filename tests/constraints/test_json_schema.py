"""JSON by a schema: what is allowed while writing, what is refused, and what the value is."""

from __future__ import annotations

import enum
import json
import random
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypedDict

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, field_validator

from decodeplug.constraints import accepts, as_spec, choice, json_schema
from decodeplug.constraints.schema_check import DRAFTS
from decodeplug.constraints.schema_meta import flat_meta, keywords_of
from decodeplug.constraints.schema_tree import subschemas
from decodeplug.errors import BadOption, DecodeplugError, InvalidResult, Unsatisfiable, UnsupportedSchema
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
        ("[" + "1" * 5000 + "]", "not JSON"),
        ("[" * 100_000, "not JSON"),
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


@pytest.mark.parametrize(
    ("schema", "keyword", "pointer"),
    [
        ({"type": "foo"}, "type", "/type"),
        ({"properties": {"a": {"type": 3}}}, "type", "/properties/a/type"),
        ({"properties": {"a/b": {"items": {"minLength": -1}}}}, "minLength", "/properties/a~1b/items/minLength"),
        ({"properties": {"a": 3}}, "properties", "/properties/a"),
        ({"required": "a"}, "required", "/required"),
        ({"anyOf": []}, "anyOf", "/anyOf"),
        ({"items": [{"type": "integer"}]}, "items", "/items"),
        ({"$schema": "http://example.org/mine"}, "$schema", ""),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(schema: Any, keyword: str, pointer: str) -> None:
    with pytest.raises(UnsupportedSchema) as caught:
        json_schema(schema)
    assert (caught.value.keyword, caught.value.pointer) == (keyword, pointer)


@pytest.mark.parametrize(
    ("schema", "keyword", "pointer"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems", "/uniqueItems"),
        ({"properties": {"uniqueItems": {"contains": {}}}}, "contains", "/properties/uniqueItems/contains"),
        ({"$defs": {"a": {"not": {}}}, "items": {"$ref": "#/$defs/a"}}, "not", "/$defs/a/not"),
        ({"items": {"type": "string", "format": "idn-email"}}, "format", "/items/format"),
        ({"$ref": "http://example.org/other"}, "$ref", "/$ref"),
        ({"items": {"$ref": "#/$defs/none"}}, "$ref", "/items/$ref"),
        ({"items": {"oneOf": [{"type": "integer"}, {"type": "number"}]}}, "oneOf", "/items/oneOf"),
        ({"items": {"properties": {"a": {}}, "maxProperties": 1}}, "maxProperties", "/items/maxProperties"),
        ({"x-guidance": {"lenient": True}, "uniqueItems": True}, "uniqueItems", "/uniqueItems"),
    ],
)
def test_what_cannot_be_enforced_is_refused_before_the_first_token(schema: Any, keyword: str, pointer: str) -> None:
    with pytest.raises(UnsupportedSchema) as caught:
        json_schema(schema).compile(BYTES)
    assert (caught.value.keyword, caught.value.pointer) == (keyword, pointer)


@pytest.mark.parametrize(
    ("pattern", "because"),
    [
        ("a(?=b)", r"look-ahead is not regular \(column 2\)"),
        ("(a)\\1", "back-reference"),
        ("(a", "missing \\)|is not a 'regex'"),
        ("(a{1,500}){1,500}", "250,000 characters"),
    ],
)
def test_a_pattern_that_cannot_be_enforced_is_refused_with_its_place(pattern: str, because: str) -> None:
    for schema, place in (
        ({"properties": {"a": {"pattern": pattern}}}, "pattern"),
        ({"properties": {"a": {"patternProperties": {pattern: {}}}}}, "patternProperties"),
    ):
        with pytest.raises(UnsupportedSchema, match=because) as caught:
            json_schema(schema)
        assert caught.value.pointer.startswith(f"/properties/a/{place}")


def test_a_pattern_that_explodes_is_refused_within_a_second() -> None:
    schema = {"properties": {"a": {"pattern": "^(?:(?:(?:a{1,20}){1,20}){1,20}){1,20}$"}}}
    began = time.perf_counter()
    with pytest.raises(UnsupportedSchema, match=r"at /properties/a/pattern: pattern .*gave up after"):
        json_schema(schema).compile(BYTES)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"$ref": "#"},
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "object", "required": ["a"], "properties": {"a": False}},
    ],
)
def test_a_schema_that_nothing_satisfies_is_refused_as_such(schema: Any) -> None:
    with pytest.raises(Unsatisfiable):
        json_schema(schema).compile(BYTES)


@pytest.mark.parametrize("depth", [101, 2000, 100_000])
def test_a_schema_that_is_nested_too_deep_is_refused(depth: int) -> None:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    with pytest.raises(DecodeplugError):
        json_schema(schema)


def test_a_schema_that_is_too_large_is_refused() -> None:
    with pytest.raises(UnsupportedSchema, match="bytes long"):
        json_schema({"enum": ["x" * 1_000_001]})


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


@pytest.mark.parametrize("option", [{"layout": "wide"}, {"formats": "maybe"}, {"draft": "3"}])
def test_an_option_that_does_not_exist_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=f"json-schema: {next(iter(option))}="):
        json_schema({}, **option)


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


def random_text(schema: Any, vocabulary: Vocabulary, chance: random.Random) -> str | None:
    """Write at random, ending as soon as possible; None if that takes over 300 tokens."""
    constraint = json_schema(schema).compile(vocabulary)
    state, written = constraint.start(), []
    for _ in range(300):
        if constraint.is_accepting(state):
            return vocabulary.decode(written)
        choices = np.flatnonzero(constraint.allowed(state).numpy())
        closing = [token for token in choices if vocabulary.token_bytes(int(token))[:1] in b'"]},']
        token = int(chance.choice(closing if closing and chance.random() < 0.5 else choices))
        written.append(token)
        state = constraint.advance(state, token)
    return None


WRITTEN = [
    json_schema(Bear).schema,
    {"type": "array", "items": {"type": "number", "minimum": -2.5, "maximum": 7}, "minItems": 1, "maxItems": 3},
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "patternProperties": {"^\\w\\d$": {"type": "null"}},
        "required": ["a"],
        "additionalProperties": False,
        "maxProperties": 2,
    },
    {"anyOf": [{"type": "string", "pattern": "^\\W[^\\s]*$", "maxLength": 5}, {"const": {"k": [1, None]}}]},
    {
        "type": "object",
        "properties": {"key": {"format": "uuid", "type": "string"}},
        "required": ["key"],
        "additionalProperties": False,
    },
    {"$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}, "maxItems": 2}}, "$ref": "#/$defs/t"},
    {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "integer", "multipleOf": 7}]},
]


@pytest.mark.parametrize("schema", WRITTEN, ids=range(len(WRITTEN)))
@pytest.mark.parametrize("vocabulary", [BYTES, BPE], ids=["bytes", "bpe"])
def test_whatever_is_written_at_random_is_valid(schema: Any, vocabulary: Vocabulary) -> None:
    judge = jsonschema.Draft202012Validator(schema)
    texts = [random_text(schema, vocabulary, random.Random(seed)) for seed in range(25)]
    finished = [text for text in texts if text is not None]
    assert len(finished) > 5
    for text in finished:
        judge.validate(json.loads(text))
        json_schema(schema).value(text)


KEYWORDS = [*sorted(keywords_of(DRAFTS["2020-12"])), "x"]
SCHEMAS = st.recursive(
    st.booleans()
    | st.dictionaries(
        st.sampled_from(KEYWORDS),
        st.sampled_from(["a", -1, 2, True, [], ["a"], [1], {}, "string", "(", "#/x"]),
        max_size=3,
    ),
    lambda inner: st.dictionaries(
        st.sampled_from(KEYWORDS),
        inner | st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
        max_size=3,
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=150)
@given(schema=SCHEMAS, draft=st.sampled_from(sorted(DRAFTS)))
def test_the_flat_rules_for_schemas_say_what_the_metaschema_says(schema: Any, draft: str) -> None:
    validator = DRAFTS[draft]
    try:
        validator.check_schema(schema)
        valid = True
    except jsonschema.SchemaError:
        valid = False
    meta = flat_meta(validator)
    parts = [part for path, part in subschemas(schema, keywords_of(validator)) if not (path and isinstance(part, bool))]
    assert all(map(meta.is_valid, parts)) == valid


def test_draft_4_knows_false_where_it_says_so() -> None:
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "additionalProperties": False}
    assert json_schema(schema).schema == schema
    with pytest.raises(UnsupportedSchema):
        json_schema({**schema, "properties": {"a": False}})


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
