"""What XGrammar would silently ignore is refused before the first token, with its place and the reason."""

from __future__ import annotations

from typing import Any

import pytest
from decodeplug import Host
from decodeplug.plugin import Unsatisfiable, UnsupportedSchema
from decodeplug.testing import bpe_tokenizer, tiny_model
from vocabularies import BYTES
from xgrammar import Grammar, GrammarCompiler, GrammarMatcher, TokenizerInfo

import decodeplug_xgrammar
from decodeplug_xgrammar import explain, json_schema

A = {"properties": {"a": {}}, "type": "object"}
DYNAMIC = {
    "$id": "https://example.org/leaves",
    "$dynamicAnchor": "node",
    "$ref": "#/$defs/tree",
    "$defs": {"tree": {"$id": "tree", "$dynamicAnchor": "node", "type": "array", "items": {"$dynamicRef": "#node"}}},
}
REFUSED: list[tuple[Any, str, str]] = [
    ({"not": {"const": 1}}, "not", "/not"),
    ({"type": "string", "not": {"const": "a"}}, "not", "/not"),
    ({"if": {"type": "string"}, "then": {"maxLength": 1}}, "if", "/if"),
    ({"if": {"prefixItems": [{}]}, "unevaluatedItems": False}, "if", "/if"),
    ({"type": "array", "uniqueItems": True}, "uniqueItems", "/uniqueItems"),
    ({"type": "array", "contains": {"const": 1}}, "contains", "/contains"),
    ({"type": "string", "maxLength": 2**31}, "maxLength", "/maxLength"),
    ({"type": "array", "minItems": 2**31}, "minItems", "/minItems"),
    ({"properties": {f"k{i}": {} for i in range(51)}, "minProperties": 2}, "minProperties", "/minProperties"),
    ({**A, "dependentRequired": {"a": ["b"]}}, "dependentRequired", "/dependentRequired"),
    ({**A, "dependentSchemas": {"a": {"required": ["b"]}}}, "dependentSchemas", "/dependentSchemas"),
    ({"allOf": [{"minLength": 1}, {"maxLength": 2}]}, "allOf", "/allOf"),
    ({"oneOf": [{"minLength": 1}, {"maxLength": 2}]}, "oneOf", "/oneOf"),
    ({"anyOf": [{"minLength": 1}], "maxLength": 2}, "maxLength", "/maxLength"),
    ({"$ref": "#/$defs/a", "$defs": {"a": {}}, "maxLength": 2}, "maxLength", "/maxLength"),
    ({"$ref": "https://example.org/other"}, "$ref", "/$ref"),
    (DYNAMIC, "$dynamicRef", "/$defs/tree/items/$dynamicRef"),
    ({"type": "string", "pattern": "a", "minLength": 2}, "minLength", "/minLength"),
    ({"type": "string", "format": "date", "pattern": "a"}, "pattern", "/pattern"),
    ({"type": "string", "format": "email"}, "format", "/format"),
    ({"type": "number", "multipleOf": 0.5}, "multipleOf", "/multipleOf"),
    ({"type": "integer", "multipleOf": 3, "minimum": 1}, "multipleOf", "/multipleOf"),
    ({"type": "integer", "multipleOf": 2000}, "multipleOf", "/multipleOf"),
    ({"type": "integer", "multipleOf": 3, "minimum": 1, "maximum": 20000}, "multipleOf", "/multipleOf"),
    ({"type": "integer", "exclusiveMaximum": 2**70}, "exclusiveMaximum", "/exclusiveMaximum"),
    ({"type": "number", "minimum": 0.12345678}, "minimum", "/minimum"),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.000001}, "exclusiveMaximum", "/exclusiveMaximum"),
    ({"properties": {"a": {"items": {"not": {"const": 1}}}}}, "not", "/properties/a/items/not"),
    ({"items": {"$ref": "#/$defs/a~1b"}, "$defs": {"a/b": {"not": {"minimum": 1}}}}, "not", "/$defs/a~1b/not"),
    ({**A, "patternProperties": {"^b": {}}}, "patternProperties", "/patternProperties"),
    ({"type": "object", "patternProperties": {"^b": {}}}, "patternProperties", "/patternProperties"),
    ({"type": "object", "patternProperties": {"a": {}, "b": {}}}, "patternProperties", "/patternProperties"),
    ({**A, "propertyNames": {"maxLength": 3}}, "propertyNames", "/propertyNames"),
    ({"properties": {"a": False}}, "properties", "/properties/a"),
    ({"properties": {"é": {}}}, "properties", "/properties/é"),
    ({"required": ['a"']}, "required", "/required"),
    ({"anyOf": [{"$ref": "#"}, {"const": 1}]}, "$ref", "/anyOf/0/$ref"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "keyword", "pointer"), REFUSED)
def test_it_is_refused_with_its_place(schema: Any, keyword: str, pointer: str) -> None:
    with pytest.raises(UnsupportedSchema) as caught:
        json_schema(schema).compile(BYTES)
    assert (caught.value.keyword, caught.value.pointer) == (keyword, pointer)
    assert caught.value.because


@pytest.mark.parametrize(("schema", "keyword", "pointer"), REFUSED)
def test_explain_says_the_same_of_it(schema: Any, keyword: str, pointer: str) -> None:
    refused = [row for row in explain(schema) if row.how == "refused"]
    assert (pointer, keyword) in [(row.pointer, row.keyword) for row in refused]
    assert all(row.because for row in refused)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "array", "uniqueItems": True}, "[1, 1]"),
        ({"anyOf": [{"type": "string"}], "maxLength": 1}, '"abc"'),
        ({"allOf": [{"type": "string"}, {"maxLength": 1}]}, "[]"),
        ({"minLength": 2}, '"a"'),
        ({"type": "string", "pattern": "^a+$", "minLength": 2}, '"a"'),
        ({"type": "number", "multipleOf": 2}, "3"),
        ({"type": "string", "maxLength": 3}, '"a\x01"'),
        ({"type": "string"}, '"\\ud800"'),
    ],
)
def test_xgrammar_itself_would_have_allowed_it(schema: Any, text: str) -> None:
    grammar = Grammar.from_json_schema(schema, any_whitespace=False, strict_mode=False)
    matcher = GrammarMatcher(GrammarCompiler(TokenizerInfo([])).compile_grammar(grammar))
    assert matcher.accept_string(text)
    assert matcher.is_completed()


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": [1, 2], "type": "string"},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "integer", "minimum": 4, "maximum": 5, "multipleOf": 3},
        {"type": "number", "minimum": 1, "exclusiveMaximum": 1},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "array", "items": False, "minItems": 1},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "object", "required": ["a"], "maxProperties": 0},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {"anyOf": [False, False]},
    ],
)
def test_what_no_value_satisfies_is_unsatisfiable(schema: Any) -> None:
    spec = json_schema(schema)
    with pytest.raises(Unsatisfiable):
        spec.compile(BYTES)


def test_an_endless_part_of_a_schema_is_never_begun_and_hangs_nothing() -> None:
    schema = {
        "$defs": {"endless": {"type": "object", "properties": {"a": {"$ref": "#/$defs/endless"}}, "required": ["a"]}},
        "anyOf": [{"type": "null"}, {"$ref": "#/$defs/endless"}],
    }
    constraint = json_schema(schema).compile(BYTES)
    assert not constraint.allowed(constraint.start())[ord("{")]


def test_a_host_refuses_before_the_first_token() -> None:
    tokenizer = bpe_tokenizer()
    host = Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=["decodeplug-xgrammar"])
    with pytest.raises(UnsupportedSchema) as caught:
        host.generate(
            "a", constraint={"name": "xgrammar-json-schema", "schema": {"uniqueItems": True}}, max_new_tokens=3
        )
    assert caught.value.pointer == "/uniqueItems"


def test_annotated_formats_are_not_asserted() -> None:
    constraint = decodeplug_xgrammar.json_schema({"type": "string", "format": "email"}, formats="annotate")
    assert constraint.compile(BYTES).start() is not None
