"""One key twice, and numbers that overflow: what a grammar of JSON lets through, and readers do not agree about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decodeplug.constraints import accepts, json_schema
from decodeplug.constraints.tidy import Tidied, TidyJson, is_closed
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint
from decodeplug.vocabulary import Vocabulary

BYTES, PIECES = byte_tokenizer(), bpe_tokenizer()
VOCABULARY = Vocabulary(BYTES, len(BYTES), {BYTES.eos_token_id})
MERGED = Vocabulary(PIECES, len(PIECES), {PIECES.eos_token_id})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def is_tidy(text: str) -> bool:
    automaton = TidyJson()
    place: Any = automaton.start()
    for byte in text.encode():
        place = None if place is None else automaton.step(place, byte)
    return place is not None and automaton.is_accepting(place)


@given(JSON, st.booleans(), st.sampled_from([None, 2]))
def test_what_json_dumps_writes_is_tidy(value: Any, ascii_only: bool, indent: int | None) -> None:
    assert is_tidy(json.dumps(value, ensure_ascii=ascii_only, indent=indent))


@given(st.dictionaries(st.text(max_size=4), JSON, min_size=1, max_size=3), st.data())
def test_a_key_that_is_there_already_is_refused_however_it_is_spelt(value: dict[str, Any], data: Any) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    again = data.draw(st.sampled_from([json.dumps(key), json.dumps(key, ensure_ascii=False), _in_disguise(key)]))
    text = json.dumps(value)
    assert not is_tidy(f"{text[:-1]}, {again}: 1}}")
    assert is_tidy(f"{text[:-1]}, {json.dumps(key + 'x' * 9)}: {text}}}")


def _in_disguise(key: str) -> str:
    return '"' + "".join(f"\\u{unit:04x}" for unit in memoryview(key.encode("utf-16-le")).cast("H")) + '"'


@pytest.mark.parametrize(
    ("number", "fine"),
    [
        ("1e308", True),
        ("1e309", False),
        ("-1e309", False),
        ("17.9e307", True),
        ("1797693134862315900e290", False),
        ("9" * 308, True),
        ("9" * 310, False),
        ("0E400", True),
        ("0E999999999", False),
        ("1e-400", True),
        ("1e-999", False),
        ("-0", True),
        ("0.1e+3", True),
    ],
)
def test_numbers_that_overflow_are_refused(number: str, fine: bool) -> None:
    for text in (number, f"[{number}]", f'{{"a": {number}}}', f"[1, {number}, 2]"):
        assert is_tidy(text) == fine


def test_what_stands_in_strings_is_no_number_and_no_key() -> None:
    assert is_tidy('["1e999", "\\"", "a", "a"]')
    assert is_tidy('{"a": "a", "b": {"a": ["b", {"b": 1}]}}')


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        ({"type": "object", "properties": {"a": {"type": "boolean"}}, "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}, False),
        ({"type": "integer", "minimum": 0, "maximum": 9}, True),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, False),
        ({"properties": {}, "additionalProperties": False}, False),
        ({"type": "number"}, False),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 9}, True),
        ({"type": ["string", "null"]}, True),
        ({"enum": [1, {}]}, True),
        ({"type": "array"}, False),
        ({"type": "array", "items": {"type": "boolean"}}, True),
        ({"type": "array", "prefixItems": [{"type": "null"}]}, False),
        ({"anyOf": [{"type": "null"}, {"type": "number"}]}, False),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, True),
        ({"$ref": "#/$defs/a", "$defs": {"a": {}}}, False),
        (True, False),
        (False, True),
    ],
)
def test_a_schema_is_closed_if_each_part_says_enough(schema: Any, closed: bool) -> None:
    assert is_closed(schema) == closed
    if schema is not False:
        assert isinstance(json_schema(schema, "compact").compile(VOCABULARY), Tidied) != closed


def test_an_open_object_takes_no_key_twice() -> None:
    constraint = json_schema({"type": "object", "properties": {"a": {"type": "integer"}}}, "compact").compile(
        VOCABULARY
    )
    assert accepts(constraint, VOCABULARY, '{"a":1,"b":2,"c":{"b":3}}')
    assert not accepts(constraint, VOCABULARY, '{"a":1,"b":2,"b":3}')
    assert not accepts(constraint, VOCABULARY, '{"a":1,"a":2}')


@pytest.mark.parametrize("schema", [{"type": "object"}, {"type": "array", "items": {"type": "number"}}])
@pytest.mark.parametrize("vocabulary", [VOCABULARY, MERGED], ids=["bytes", "merged"])
def test_the_constraint_laws_hold(schema: Any, vocabulary: Vocabulary) -> None:
    check_constraint(json_schema(schema, "spaced").compile(vocabulary), vocabulary, states=30, canonical=True)
