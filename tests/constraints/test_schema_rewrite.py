"""Each rule of rewriting gives a schema that allows the same instances."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decodeplug.constraints.schema_meta import keywords_of
from decodeplug.constraints.schema_rewrite import rewritten

NAMES = st.sampled_from(["a", "b", "cc"])
SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, 1.5, "", "a", "b", "long"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=5
)
TYPES = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])
SOME = st.one_of(
    st.booleans(),
    st.just({}),
    st.builds(lambda kind: {"type": kind}, TYPES),
    st.builds(lambda values: {"enum": values}, st.lists(SCALARS, min_size=1, max_size=4)),
    st.builds(lambda value: {"const": value}, SCALARS),
    st.builds(lambda names: {"required": names}, st.lists(NAMES, max_size=2, unique=True)),
)
NAME_RULES = st.one_of(
    st.booleans(),
    st.builds(lambda names: {"enum": names}, st.lists(NAMES, min_size=1, max_size=2)),
    st.just({"pattern": "^[ab]"}),
    st.builds(
        lambda least, more: {"minLength": least, "maxLength": least + more}, st.integers(0, 2), st.integers(0, 1)
    ),
    st.just({"minLength": 2}),
)
ENUMS = st.lists(SCALARS, min_size=1, max_size=4)
OBJECT = {
    "properties": st.dictionaries(NAMES, SOME, max_size=3),
    "required": st.lists(NAMES, max_size=2, unique=True),
    "additionalProperties": SOME,
}


def parts(**keywords: Any) -> Any:
    """Schemas with some of these keywords, and a type now and then."""
    return st.fixed_dictionaries({}, optional={"type": TYPES | st.just("object"), **keywords})


RULES: dict[str, Any] = {
    "limits": parts(
        **OBJECT,
        uniqueItems=st.booleans(),
        minProperties=st.integers(0, 2),
        maxProperties=st.integers(0, 4),
        contains=SOME,
        minContains=st.integers(0, 1),
        maxContains=st.integers(0, 2),
    ),
    "not": parts(**{"not": SOME | st.builds(lambda kinds: {"type": kinds}, st.lists(TYPES, min_size=1, unique=True)), "enum": ENUMS}),
    "oneOf": parts(**{"oneOf": st.lists(SOME, min_size=1, max_size=3), "not": SOME}),
    "if": parts(**{"if": SOME, "then": SOME, "else": SOME}),
    "dependencies": parts(
        **OBJECT,
        dependentRequired=st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2),
        dependentSchemas=st.dictionaries(NAMES, SOME, max_size=2),
    ),
    "propertyNames": parts(**OBJECT, propertyNames=NAME_RULES),
    "discriminated": st.builds(
        lambda values, wanted, then, otherwise, further: {
            "type": "object",
            "properties": {"a": {"enum": values}, "b": further},
            "required": ["a"],
            "if": {"properties": {"a": {"enum": wanted}}, "required": ["a"]},
            "then": then,
            "else": otherwise,
        },
        ENUMS,
        ENUMS,
        st.builds(lambda inner: {"properties": {"b": inner}}, SOME) | SOME,
        SOME,
        SOME,
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=400, deadline=None)
@given(st.data())
def test_both_forms_accept_the_same_instances(rule: str, data: Any) -> None:
    schema, instance = data.draw(RULES[rule]), data.draw(VALUES)
    draft = jsonschema.Draft202012Validator
    assert draft(rewritten(schema, keywords_of(draft))).is_valid(instance) == draft(schema).is_valid(instance)


SIMPLER: list[tuple[Any, Any]] = [
    ({"not": {}}, False),
    ({"oneOf": [True, {}]}, False),
    ({"not": {"type": ["string", "object"]}}, {"allOf": [{"type": ["array", "boolean", "null", "number"]}]}),
    ({"enum": [1, 2, True], "not": {"const": 1.0}}, {"enum": [2, True]}),
    ({"oneOf": [False, {"type": "null"}]}, {"allOf": [{"type": "null"}]}),
    ({"if": {"type": "null"}}, {}),
    ({"type": "object", "required": ["a"], "dependentRequired": {"a": ["b"]}}, {"type": "object", "required": ["a"], "allOf": [{"required": ["b"]}]}),
    ({"dependentRequired": {"a": ["b"]}}, {"allOf": [{"anyOf": [{"properties": {"a": False}}, {"required": ["a"], "allOf": [{"required": ["b"]}]}]}]}),
    ({"propertyNames": {"pattern": "^a"}}, {"properties": {}, "patternProperties": {"^a": True}, "additionalProperties": False}),
    ({"propertyNames": {"enum": ["a"]}, "properties": {"b": {}}}, {"properties": {"a": True, "b": False}, "additionalProperties": False}),
    ({"items": {"uniqueItems": False, "contains": {}, "minContains": 0}}, {"items": {}}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "simpler"), SIMPLER, ids=[str(list(schema)) for schema, _ in SIMPLER])
def test_what_there_is_an_equal_form_for_is_rewritten(schema: Any, simpler: Any) -> None:
    assert rewritten(schema, keywords_of(jsonschema.Draft202012Validator)) == simpler


def test_a_keyword_that_the_draft_does_not_have_means_nothing_and_stays() -> None:
    known = keywords_of(jsonschema.Draft4Validator)
    for schema in ({"if": True, "then": False}, {"propertyNames": False}, {"dependentRequired": {"a": ["b"]}}):
        assert rewritten(schema, known) == schema


def test_where_annotations_are_looked_at_nothing_is_rewritten() -> None:
    schema = {"if": {"required": ["a"]}, "items": {"unevaluatedProperties": False}}
    assert rewritten(schema, keywords_of(jsonschema.Draft202012Validator)) == schema


def test_options_keep_their_places_because_references_count_them() -> None:
    schema = {"oneOf": [False, {"type": "string"}, {"const": 1}]}
    assert rewritten(schema, keywords_of(jsonschema.Draft202012Validator)) == schema
