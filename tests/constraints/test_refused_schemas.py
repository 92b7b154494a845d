"""Schemas that are refused before the first token: the keyword, its place, the reason."""

from __future__ import annotations

import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refused import REFUSED

from decodeplug.constraints import accepts, json_schema
from decodeplug.constraints.schema_check import DRAFTS
from decodeplug.constraints.schema_meta import flat_meta, keywords_of
from decodeplug.constraints.schema_tree import subschemas
from decodeplug.errors import BadOption, DecodeplugError, Unsatisfiable, UnsupportedSchema
from decodeplug.testing import bpe_tokenizer, byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 259, {258})
BPE = Vocabulary(bpe_tokenizer(), 515, {514})


def says(schema: Any, *texts: str, **options: Any) -> list[bool]:
    constraint = json_schema(schema, **options).compile(BYTES)
    return [accepts(constraint, BYTES, text) for text in texts]


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
        ({"items": REFUSED}, "pattern", "/items/pattern"),
        ({"$ref": "http://example.org/other"}, "$ref", "/$ref"),
        ({"items": {"$ref": "#/$defs/none"}}, "$ref", "/items/$ref"),
        ({"x-guidance": {"lenient": True}, "items": REFUSED}, "pattern", "/items/pattern"),
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


@pytest.mark.parametrize("option", [{"layout": "wide"}, {"formats": "maybe"}, {"draft": "3"}])
def test_an_option_that_does_not_exist_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=f"json-schema: {next(iter(option))}="):
        json_schema({}, **option)


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
