"""Schemas with keywords that no mask enforces: checked while the text is written, or refused before the first token."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest

from decodeplug.constraints import accepts, json_schema
from decodeplug.constraints.json_place import missing_bytes
from decodeplug.constraints.witnessed import Witnessed
from decodeplug.errors import Unsatisfiable, UnsupportedSchema
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint
from decodeplug.vocabulary import Vocabulary

BYTES = byte_tokenizer()
VOCABULARY = Vocabulary(BYTES, len(BYTES), {BYTES.eos_token_id})
PIECES = bpe_tokenizer()
MERGED = Vocabulary(PIECES, len(PIECES), {PIECES.eos_token_id})

SMALL = {"type": "integer", "minimum": 0, "maximum": 30}
SCHEMAS: dict[str, Any] = {
    "uniqueItems": {"type": "array", "items": {"enum": [1, 2, "a"]}, "uniqueItems": True, "minItems": 2, "maxItems": 3},
    "contains": {
        "type": "array",
        "items": {"enum": ["x", "y", "xyz"]},
        "contains": {"const": "xyz"},
        "minContains": 2,
        "maxContains": 2,
        "maxItems": 4,
    },
    "not": {**SMALL, "not": {"multipleOf": 3}},
    "not a pattern": {"type": "string", "maxLength": 4, "not": {"pattern": "^[a-z]"}},
    "if then else": {
        "type": "object",
        "properties": {"kind": {"enum": ["cat", "dog"]}, "age": SMALL},
        "required": ["kind", "age"],
        "additionalProperties": False,
        "if": {"properties": {"age": {"maximum": 9}}},
        "then": {"properties": {"kind": {"const": "cat"}, "age": {"maximum": 3}}},
        "else": {"properties": {"kind": {"const": "dog"}, "age": {"minimum": 25}}},
    },
    "dependentRequired": {
        "type": "object",
        "properties": {"card": SMALL, "address": {"enum": ["here", "there"]}},
        "dependentRequired": {"card": ["address"]},
        "additionalProperties": False,
    },
    "overlapping oneOf": {"oneOf": [{**SMALL, "maximum": 20}, {**SMALL, "minimum": 10}]},
    "unevaluatedProperties": {
        "type": "object",
        "properties": {"a": SMALL},
        "anyOf": [{"properties": {"b": {"type": "boolean"}}, "required": ["b"]}, {"required": ["a"]}],
        "unevaluatedProperties": False,
        "maxProperties": 3,
    },
    "a format that no mask knows": {"type": "string", "format": "regex", "maxLength": 4},
    "a multiple with many remainders": {"type": "integer", "multipleOf": 997, "minimum": 50, "maximum": 9000},
    "a limit that is written as a fraction": {"type": "array", "items": SMALL, "uniqueItems": True, "maxItems": 2.0},
    "nested": {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"enum": ["a", "b", "ab"]}, "uniqueItems": True, "minItems": 1},
            "size": {**SMALL, "not": {"const": 7}},
        },
        "required": ["tags", "size"],
        "additionalProperties": False,
    },
}


REWRITTEN = {"dependentRequired"}  # there is an equal form that a mask enforces


def compiled(schema: Any, vocabulary: Vocabulary = VOCABULARY, **options: Any) -> Any:
    return json_schema(schema, **options).compile(vocabulary)


def walked(constraint: Any, vocabulary: Vocabulary, chance: random.Random, longest: int = 60) -> str | None:
    """A random text of a constraint; None if it became too long. Fails at a dead end."""
    state, raw = constraint.start(), b""
    for _ in range(longest):
        if constraint.is_complete(state) or (constraint.is_accepting(state) and chance.random() < 0.5):
            return raw.decode()
        tokens = constraint.allowed(state).nonzero().flatten().tolist()
        chance.shuffle(tokens)
        steps = ((token, constraint.advance(state, token)) for token in tokens)
        stands = next(((token, after) for token, after in steps if after is not None), None)
        if stands is None:
            assert constraint.is_accepting(state), f"dead end after {raw!r}"
            return raw.decode()
        token, state = stands
        raw += vocabulary.token_bytes(token)
    return None


@pytest.mark.parametrize("vocabulary", [VOCABULARY, MERGED], ids=["bytes", "merged"])
@pytest.mark.parametrize("keyword", SCHEMAS)
def test_whatever_is_written_validates(keyword: str, vocabulary: Vocabulary) -> None:
    constraint, chance = compiled(SCHEMAS[keyword], vocabulary), random.Random(keyword)
    assert isinstance(constraint, Witnessed) != (keyword in REWRITTEN), "else this tests nothing"
    judge = jsonschema.Draft202012Validator(SCHEMAS[keyword])
    texts = [walked(constraint, vocabulary, chance) for _ in range(8)]
    assert any(text is not None for text in texts)
    for text in texts:
        if text is not None:
            judge.validate(json.loads(text))


@pytest.mark.parametrize("keyword", ["uniqueItems", "not", "if then else"])
def test_a_schema_that_is_checked_while_writing_keeps_the_laws(keyword: str) -> None:
    check_constraint(compiled(SCHEMAS[keyword]), VOCABULARY, states=25, canonical=True)


def test_the_last_token_that_would_spoil_the_text_is_refused_and_not_one_sooner() -> None:
    constraint = compiled(SCHEMAS["uniqueItems"], layout="compact")
    state = constraint.start()
    for char in "[1,":
        state = constraint.advance(state, ord(char))
    assert constraint.allowed(state)[ord("1")], "the mask alone would allow it"
    assert constraint.advance(state, ord("1")) is None
    assert constraint.advance(state, ord("2")) is not None


def test_a_known_text_is_judged_without_looking_for_an_end() -> None:
    hard = {"type": "string", "maxLength": 40, "not": {"not": {"const": "a text that nobody guesses"}}}
    with pytest.raises(UnsupportedSchema):
        compiled({**hard, "not": {"pattern": "^[^q]*$"}, "maxLength": 0})
    constraint = compiled({"type": "array", "uniqueItems": True}, layout="any")
    assert accepts(constraint, VOCABULARY, '[1, {"a": [2]}, "x"]')
    assert not accepts(constraint, VOCABULARY, '[1, {"a": [2]}, 1.0]')
    assert not accepts(constraint, VOCABULARY, "[1, 2")


@pytest.mark.parametrize(
    ("schema", "keyword", "pointer"),
    [
        (
            {"type": "array", "minItems": 3, "items": {"enum": [1, 2]}, "uniqueItems": True},
            "uniqueItems",
            "/uniqueItems",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string", "not": {}}}, "required": ["a"]},
            "not",
            "/properties/a/not",
        ),
    ],
)
def test_a_schema_without_any_text_is_refused_before_the_first_token(schema: Any, keyword: str, pointer: str) -> None:
    with pytest.raises((UnsupportedSchema, Unsatisfiable)) as caught:
        compiled(schema)
    if isinstance(caught.value, UnsupportedSchema):
        assert caught.value.keyword == keyword
    assert pointer.startswith(caught.value.pointer)


@pytest.mark.parametrize("char", ["é", "€", "ࠀ", "𐀀", "\U0010ffff", "퟿"])
def test_a_character_that_was_begun_can_be_completed(char: str) -> None:
    raw = char.encode()
    for cut in range(1, len(raw)):
        assert len((b"x" + raw[:cut] + missing_bytes(b"x" + raw[:cut])).decode()) == 2
    assert missing_bytes(b"x" + raw) == b""
