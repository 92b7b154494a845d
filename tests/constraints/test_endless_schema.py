"""Schemas, and parts of them, that only values without end could satisfy; and what is reached by references alone."""

from __future__ import annotations

from typing import Any

import pytest

from decodeplug import Host
from decodeplug.constraints import accepts, json_schema
from decodeplug.constraints.endless_schema import without_endless
from decodeplug.errors import Unsatisfiable, UnsupportedSchema
from decodeplug.testing import byte_tokenizer, tiny_model
from decodeplug.vocabulary import Vocabulary

BYTES = byte_tokenizer()
VOCABULARY = Vocabulary(BYTES, len(BYTES), {BYTES.eos_token_id})
ENDLESS: list[Any] = [
    {"type": "object", "properties": {"n": {"$ref": "#"}}, "required": ["n"]},
    {"type": "object", "properties": {"n": {"$ref": "#"}}, "required": ["n"], "uniqueItems": True},
    {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
    {"type": "array", "items": {"$ref": "#"}, "uniqueItems": True, "minItems": 1},
    {"type": "array", "prefixItems": [{}, {"$ref": "#"}], "minItems": 2},
    {"type": "array", "contains": {"$ref": "#"}},
]  # fmt: skip


@pytest.mark.parametrize("schema", ENDLESS, ids=str)
def test_a_schema_that_no_finite_value_satisfies_is_refused_as_such(schema: Any) -> None:
    assert without_endless(schema) is False
    with pytest.raises(Unsatisfiable, match="without end"):
        json_schema(schema).compile(VOCABULARY)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"n": {"$ref": "#"}}},
        {"type": "array", "items": {"$ref": "#"}},
        {"properties": {"n": {"$ref": "#"}}, "required": ["n"]},
        {"type": ["object", "null"], "properties": {"n": {"$ref": "#"}}, "required": ["n"]},
        {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1}]},
        {"type": "array", "items": {"$ref": "#"}, "contains": {"$ref": "#"}, "minContains": 0},
        {"type": "string"},
    ],
    ids=str,
)
def test_a_schema_that_comes_to_an_end_somewhere_stays_as_it_is(schema: Any) -> None:
    assert without_endless(schema) is schema


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"$ref": "#"}]},
        {"not": {"$ref": "#"}},
        {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"if": {"$ref": "#/$defs/a"}}}},
    ],
    ids=str,
)
def test_a_schema_that_asks_itself_about_the_same_value_is_refused(schema: Any) -> None:
    with pytest.raises(UnsupportedSchema, match="leads back") as caught:
        json_schema(schema)
    assert caught.value.keyword == "$ref"


@pytest.mark.parametrize("seed", range(8))
def test_no_key_is_begun_where_all_keys_are_used(seed: int) -> None:
    schema = {"type": "object", "patternProperties": {"^[ab]$": {"enum": [1]}}, "additionalProperties": False}
    with Host(tiny_model(vocab=len(BYTES)), BYTES, plugins=[]) as host:
        result = host.generate(
            "x", constraint=json_schema(schema, "spaced"), processors=["temperature=30"], seed=seed, max_new_tokens=90
        )
    assert result.value is not None


def test_a_part_without_end_is_never_begun() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/e"}, "m": {"type": "null"}},
        "additionalProperties": False,
        "$defs": {"e": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/e"}}},
    }
    constraint = json_schema(schema, "compact").compile(VOCABULARY)
    assert accepts(constraint, VOCABULARY, '{"m":null}')
    state: Any = constraint.start()
    for byte in b'{"':
        state = constraint.advance(state, byte)
    assert constraint.advance(state, ord("n")) is None


@pytest.mark.parametrize(
    ("part", "accepted", "rejected"),
    [
        ({"type": "object"}, '{"a":1}', '{"a":1,"a":2}'),
        ({"type": "string", "format": "date"}, '"2024-02-29"', '"2023-02-29"'),
        ({"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True}, "[1,2]", "[1,1]"),
        ({"type": "array", "items": {"enum": [1]}, "minItems": 2.0}, "[1,1]", "[1]"),
        ({"type": "integer", "format": "ours"}, "1", "x"),
    ],
)
@pytest.mark.parametrize("place", ["components", "properties", "$defs"])
def test_what_only_a_reference_leads_to_is_held_to_the_letter_as_well(
    place: str, part: Any, accepted: str, rejected: str
) -> None:
    constraint = json_schema({"$ref": f"#/{place}/x", place: {"x": part}}, "compact").compile(VOCABULARY)
    assert accepts(constraint, VOCABULARY, accepted)
    assert not accepts(constraint, VOCABULARY, rejected)


def test_in_any_order_what_is_required_is_required_without_properties_too() -> None:
    schema = {"type": "object", "required": ["a"], "additionalProperties": {"type": "integer"}}
    constraint = json_schema(schema, "compact", key_order="any").compile(VOCABULARY)
    assert not accepts(constraint, VOCABULARY, "{}")
    assert accepts(constraint, VOCABULARY, '{"b":2,"a":1}')


def test_whole_numbers_overflow_like_others() -> None:
    spec = json_schema({"type": "integer"})
    constraint = spec.compile(VOCABULARY)
    assert accepts(constraint, VOCABULARY, "1" * 308)
    assert not accepts(constraint, VOCABULARY, "1" * 310)
