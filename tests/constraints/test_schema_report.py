"""What becomes of a schema: explained keyword by keyword, or left out where it cannot be enforced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from refused import REFUSED

from decodeplug import Host
from decodeplug.constraints import accepts, json_schema
from decodeplug.constraints.schema_report import explain
from decodeplug.errors import BadOption, UnsupportedSchema
from decodeplug.testing import byte_tokenizer, tiny_model
from decodeplug.vocabulary import Vocabulary

BYTES = byte_tokenizer()
VOCABULARY = Vocabulary(BYTES, len(BYTES), {BYTES.eos_token_id})
ORDER = {
    "type": "object",
    "title": "An order",
    "properties": {
        "kind": {"enum": ["gift", "own"]},
        "due": {"type": "string", "format": "date"},
        "note": {"type": "string", "format": "handwriting", "maxLength": 9},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
    "required": ["kind"],
    "if": {"properties": {"kind": {"const": "gift"}}},
    "then": {"required": ["note"]},
    "additionalProperties": False,
    "x-ours": 1,
}


def hows(schema: Any, **options: Any) -> dict[str, str]:
    return {row.pointer: row.how for row in explain(schema, **options)}


def test_what_is_not_in_the_mask_is_not_said_to_be() -> None:
    schema = {"type": "array", "items": {"type": "integer", "multipleOf": 97}, "uniqueItems": True}
    assert hows(schema)["/items/multipleOf"] == hows(schema)["/uniqueItems"] == "checked"
    assert hows({"type": "integer", "multipleOf": 5})["/multipleOf"] == "mask"


def test_each_keyword_is_explained_once_and_titles_are_not() -> None:
    found = hows(ORDER)
    assert found == {
        "/type": "mask",
        "/properties": "mask",
        "/required": "mask",
        "/if": "rewritten",
        "/then": "rewritten",
        "/additionalProperties": "mask",
        "/x-ours": "annotation",
        "/properties/kind/enum": "mask",
        "/properties/due/type": "mask",
        "/properties/due/format": "mask, checked",
        "/properties/note/type": "mask",
        "/properties/note/format": "annotation",
        "/properties/note/maxLength": "mask",
        "/properties/tags/type": "mask",
        "/properties/tags/items": "mask",
        "/properties/tags/items/type": "mask",
        "/properties/tags/uniqueItems": "checked",
    }


def test_what_is_open_is_checked_for_keys_and_numbers() -> None:
    assert hows({"type": "number"})[""] == "checked"
    assert hows({"type": "integer"})[""] == "checked"
    assert "" not in hows({"type": "integer", "minimum": 0, "maximum": 9})


def test_formats_may_be_annotations_all_of_them() -> None:
    assert hows(ORDER, formats="annotate")["/properties/due/format"] == "annotation"


@pytest.mark.parametrize(
    ("schema", "pointer", "keyword"),
    [
        ({"items": {"$ref": "https://example.org/a"}}, "/items/$ref", "$ref"),
        ({"type": "string", "pattern": "(?=a)"}, "/pattern", "pattern"),
        (REFUSED, "/pattern", "pattern"),
        ({"type": "array", "items": {"enum": [1]}, "uniqueItems": True, "minItems": 2}, "/uniqueItems", "uniqueItems"),
        ({"properties": {"a": {"minLength": -1}}}, "/properties/a/minLength", "minLength"),
    ],
)
def test_a_refusal_is_the_only_row(schema: Any, pointer: str, keyword: str) -> None:
    [row] = explain(schema)
    assert (row.pointer, row.keyword, row.how) == (pointer, keyword, "refused")
    assert row.because


def test_what_is_left_out_leniently_is_warned_of_and_noted_in_the_result() -> None:
    schema = {
        **ORDER,
        "properties": {**ORDER["properties"], "note": REFUSED},
    }
    with pytest.raises(UnsupportedSchema):
        json_schema(schema).compile(VOCABULARY)
    with pytest.warns(UserWarning, match="not enforced: pattern at /properties/note/pattern"):
        spec = json_schema(schema, lenient=True)
    assert accepts(spec.compile(VOCABULARY), VOCABULARY, '{"kind": "gift", "note": "a b"}')
    assert not accepts(spec.compile(VOCABULARY), VOCABULARY, '{"kind": "gift"}'), "the rest is enforced"
    host = Host(tiny_model("llama", vocab_size=len(BYTES)), BYTES)
    result = host.generate("An order: ", constraint=spec, max_new_tokens=90)
    assert json.loads(result.text)["kind"] in ("gift", "own")
    assert [note for note in result.trace.notes if note.startswith("not enforced: pattern at /properties/note/pattern")]


def test_what_is_no_schema_is_refused_leniently_too() -> None:
    with pytest.raises(UnsupportedSchema, match="not a schema"):
        json_schema({"properties": {"a": {"minLength": -1}}}, lenient=True)


def test_keys_in_any_order() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"a": {"type": "integer", "maximum": 9, "minimum": 0}, "b.c": {"type": "boolean"}, "d": {"type": "null"}},
        "required": ["a", "b.c"],
        "additionalProperties": False,
    }  # fmt: skip
    ordered, free = (json_schema(schema, "compact", key_order=order).compile(VOCABULARY) for order in ("schema", "any"))
    for text, in_order in (
        ('{"a":1,"b.c":true}', True),
        ('{"b.c":true,"a":1}', False),
        ('{"d":null,"b.c":true,"a":1}', False),
    ):
        assert accepts(ordered, VOCABULARY, text) == in_order
        assert accepts(free, VOCABULARY, text)
    for text in ('{"a":1}', '{"a":1,"b.c":true,"a":2}', '{"bxc":true,"a":1}', '{"b.c":true,"a":11}', '{"b.c":1,"a":1}'):
        assert not accepts(free, VOCABULARY, text), text
    with pytest.raises(BadOption, match="'schema' or 'any'"):
        json_schema(schema, key_order="random")
