"""Schemas on which mask and judge once disagreed, or that once raised what nobody should see."""

from __future__ import annotations

from typing import Any

import pytest

from decodeplug.constraints import accepts, json_schema
from decodeplug.errors import InvalidResult
from decodeplug.testing import byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = byte_tokenizer()
VOCABULARY = Vocabulary(BYTES, len(BYTES), {BYTES.eos_token_id})
NUMBERS = {"a": {"type": "integer"}, "b": {"type": "integer"}}
CLOSED = {"type": "object", "properties": NUMBERS, "additionalProperties": False}
FEW = {"anyOf": [{"maxItems": 2, "items": {"minimum": 5}}, {"minItems": 9}]}

CASES: list[tuple[dict[str, Any], dict[str, Any], list[str], list[str]]] = [
    # A keyword of an older draft is none.
    ({"type": "array", "prefixItems": [{"type": "string"}], "additionalItems": False}, {}, ['["a", 1]'], ["[1]"]),
    ({"type": "integer", "const": []}, {"draft": "4"}, ["0"], ["[]"]),
    ({"type": "object", "dependentRequired": {"a": 5}, "not": {"const": 1}}, {"draft": "7"}, ["{}"], ["1"]),
    # Two names of patterns that are the same when they are written out.
    (
        {"patternProperties": {r"^\p{Letter}+$": {"minLength": 3}, r"^\p{L}+$": {"type": "string"}}, "type": "object"},
        {},
        ['{"a": "bcd"}'],
        ['{"a": "b"}', '{"a": 1}'],
    ),
    # What is widened for the mask stays what it is in a "not".
    ({"type": "integer", "not": {"multipleOf": 97}}, {}, ["98"], ["97"]),
    ({**CLOSED, "not": {"required": ["a"]}}, {"key_order": "any"}, ['{"b": 1}', "{}"], ['{"a": 1}']),
    (
        {**CLOSED, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"key_order": "any"},
        ['{"b": 1}', '{"a": 1}'],
        ["{}", '{"b": 1, "a": 1}'],
    ),
    ({"if": True, "then": {"const": "then"}}, {"key_order": "any"}, ['"then"'], ["0"]),
    # A number is read as it is written, and as the nearest double.
    ({"type": "number", "not": {"type": "integer"}}, {}, ["0.5"], ["8158394698694398.99", "8158394698698399.94"]),
    ({"type": "array", "uniqueItems": True}, {}, ["[0.1, 0.2]"], ["[0.1, 0.10000000000000000001]"]),
    ({**CLOSED, "properties": {"\U0001f600": {"type": "integer"}}}, {"key_order": "any"}, ['{"\U0001f600": 1}'], []),
]


@pytest.mark.parametrize(("schema", "options", "valid", "invalid"), CASES, ids=[str(case[0])[:40] for case in CASES])
def test_what_is_valid_is_accepted_and_nothing_else(
    schema: dict[str, Any], options: dict[str, Any], valid: list[str], invalid: list[str]
) -> None:
    compiled = json_schema(schema, "spaced", **options).compile(VOCABULARY)
    assert [text for text in valid if not accepts(compiled, VOCABULARY, text)] == []
    assert [text for text in invalid if accepts(compiled, VOCABULARY, text)] == []


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "array", "items": {"type": "integer"}, "if": {"contains": {"const": 1}}, "then": FEW}, "[1, 2, 3, 4"),
        ({"type": "array", "items": {"type": "integer"}, "contains": {"const": 3}, "minContains": "x"}, "[1"),
        ({"type": "array", "contains": {"type": "array", "prefixItems": 5}}, "[1"),
        (
            {"type": "array", "items": {"type": "string", "format": "email"}, "uniqueItems": True, "minItems": 5},
            '["b@c',
        ),
    ],
)
def test_nothing_but_a_refusal_comes_out_while_a_text_is_written(schema: dict[str, Any], text: str) -> None:
    compiled = json_schema(schema, "spaced", draft="7").compile(VOCABULARY)
    state: Any = compiled.start()
    for byte in text.encode():
        after = compiled.advance(state, byte)
        state = state if after is None else after
    assert bytes(text, "ascii").startswith(state.text[:1])


def test_how_deep_the_caller_stands_decides_nothing() -> None:
    def refused_at(frames: int) -> int:
        if frames:
            return refused_at(frames - 1)
        compiled: Any = json_schema({"type": "array", "items": {"$ref": "#"}, "uniqueItems": True}, "compact").compile(
            VOCABULARY
        )
        state, depth = compiled.start(), 0
        while depth < 150 and state is not None:
            state, depth = compiled.advance(state, ord("[")), depth + 1
        return depth

    assert refused_at(0) == refused_at(500)


def test_a_number_that_no_decimal_can_hold_is_no_result() -> None:
    with pytest.raises(InvalidResult):
        json_schema({"type": "number"}).value("1e-99999999999999999999")
