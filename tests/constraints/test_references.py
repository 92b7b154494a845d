"""References of schemas: pointers, anchors, ids, other documents."""

from __future__ import annotations

from typing import Any

import pytest
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT202012

from decodeplug.constraints import accepts, json_schema
from decodeplug.errors import BadOption, InvalidResult, UnsupportedSchema
from decodeplug.testing import byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = byte_tokenizer()
VOCABULARY = Vocabulary(BYTES, len(BYTES), {BYTES.eos_token_id})
POINT = {
    "$id": "https://example.org/point",
    "type": "array",
    "items": {"$ref": "#/$defs/n"},
    "minItems": 2,
    "maxItems": 2,
    "$defs": {"n": {"type": "integer", "minimum": 0, "maximum": 9}},
}
LINE = {"type": "object", "properties": {"from": {"$ref": "point"}, "to": {"$ref": "point"}}, "required": ["from"]}
DOCUMENTS = {"https://example.org/point": POINT, "https://example.org/line": {**LINE, "additionalProperties": False}}
TO_LINE = {"$ref": "https://example.org/line"}


def says(schema: Any, *texts: str, **options: Any) -> list[bool]:
    spec = json_schema(schema, "compact", **options)
    constraint = spec.compile(VOCABULARY)
    answers = [accepts(constraint, VOCABULARY, text) for text in texts]
    for text, answer in zip(texts, answers, strict=True):
        if answer:
            spec.value(text)  # raises if the last judge follows references otherwise
        else:
            with pytest.raises(InvalidResult):
                spec.value(text)
    return answers


def test_a_document_of_the_registry_may_refer_to_another() -> None:
    assert says(TO_LINE, '{"from":[1,2]}', '{"from":[1,2,3]}', '{"from":[1,12]}', "{}", registry=DOCUMENTS) == [
        True,
        False,
        False,
        False,
    ]


def test_a_registry_of_the_referencing_library_is_taken_as_well() -> None:
    registry = Registry().with_resources((uri, Resource(doc, DRAFT202012)) for uri, doc in DOCUMENTS.items())
    assert says(TO_LINE, '{"from":[1,2]}', "{}", registry=registry) == [True, False]


def test_a_registry_that_fetches_is_asked_once_and_for_what_is_needed_only() -> None:
    asked = []

    def fetch(uri: str) -> Any:
        asked.append(uri)
        if uri not in DOCUMENTS:
            raise NoSuchResource(ref=uri)
        return Resource(DOCUMENTS[uri], DRAFT202012)

    spec = json_schema(
        {**TO_LINE, "$defs": {"unused": {"$ref": "https://example.org/else"}}}, registry=Registry(retrieve=fetch)
    )
    assert sorted(asked) == sorted(DOCUMENTS)
    spec.compile(VOCABULARY)
    assert len(asked) == 2, "compiling fetches nothing"


def test_without_a_registry_nothing_is_fetched_and_the_error_says_what_to_do() -> None:
    with pytest.raises(UnsupportedSchema, match="registry=") as caught:
        json_schema({"properties": {"a": TO_LINE}})
    assert (caught.value.keyword, caught.value.pointer) == ("$ref", "/properties/a/$ref")


def test_what_is_wrong_in_another_document_is_named_by_its_uri() -> None:
    broken = {"https://example.org/line": {"type": "string", "pattern": "(?=a)b"}}
    with pytest.raises(UnsupportedSchema) as caught:
        json_schema(TO_LINE, registry=broken)
    assert caught.value.pointer == "/$defs/https:~1~1example.org~1line/pattern"


@pytest.mark.parametrize(
    "registry", [["https://example.org/a"], "https://example.org", {"https://example.org/a": 3}, {1: {}}]
)
def test_what_is_no_registry_is_refused(registry: Any) -> None:
    with pytest.raises(BadOption, match="mapping from URIs to schemas"):
        json_schema(TO_LINE, registry=registry)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#small", "$defs": {"a": {"$anchor": "small", "type": "integer", "maximum": 3}}},
        {"$id": "https://example.org/a", "$ref": "b", "$defs": {"x": {"$id": "b", "type": "integer", "maximum": 3}}},
        {"$id": "https://example.org/a/", "$ref": "b/#/$defs/y", "$defs": {"x": {"$id": "b/", "$defs": {"y": {"$ref": "c"}}, "items": {"$id": "c", "maximum": 3, "type": "integer"}}}},
        {"$dynamicRef": "#small", "$defs": {"a": {"$dynamicAnchor": "small", "type": "integer", "maximum": 3}}},
        {"$ref": "#/if", "if": {"type": "integer", "maximum": 3}},
        {"$ref": "#/x-parts/a~1b", "x-parts": {"a/b": {"type": "integer", "maximum": 3}}},
        {"$ref": "#/$defs/a%25b", "$defs": {"a%b": {"type": "integer", "maximum": 3}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a", "maximum": 0, "definitions": {"a": {"type": "integer", "maximum": 3}}},
    ],
    ids=["anchor", "id", "relative ids", "dynamic, to one place", "into if", "escaped", "percent", "draft 7 siblings"],
)  # fmt: skip
def test_every_way_to_say_where_a_schema_is(schema: Any) -> None:
    assert says(schema, "3", "4", '"a"') == [True, False, False]


def test_a_reference_that_leads_nowhere_is_refused_where_it_stands() -> None:
    for reference in ("#/$defs/b", "#b", "other"):
        with pytest.raises(UnsupportedSchema) as caught:
            json_schema({"$defs": {"a": {}}, "items": {"$ref": reference}}).compile(VOCABULARY)
        assert (caught.value.keyword, caught.value.pointer) == ("$ref", "/items/$ref")


def test_registries_with_other_contents_are_other_constraints() -> None:
    first, second = ({"https://example.org/line": {"const": value}} for value in (1, 2))
    assert json_schema(TO_LINE, registry=first).key() != json_schema(TO_LINE, registry=second).key()
    assert says(TO_LINE, "1", "2", registry=first) == [True, False]
    assert says(TO_LINE, "1", "2", registry=second) == [False, True]
