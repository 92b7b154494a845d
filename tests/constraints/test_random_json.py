"""Texts written at random by the masks alone are valid."""

from __future__ import annotations

import json
import random
from datetime import date
from typing import Any, Literal

import jsonschema
import numpy as np
import pytest
from pydantic import BaseModel, Field

from decodeplug.constraints import json_schema
from decodeplug.testing import bpe_tokenizer, byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 259, {258})
BPE = Vocabulary(bpe_tokenizer(), 515, {514})


class Bear(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, lt=200)
    color: Literal["red", "blue"] = "red"
    born: date | None = None


def random_text(schema: Any, vocabulary: Vocabulary, chance: random.Random) -> str | None:
    """Write at random, ending as soon as possible; None if that takes over 300 tokens."""
    constraint = json_schema(schema).compile(vocabulary)
    state, written = constraint.start(), []
    for _ in range(300):
        if constraint.is_accepting(state):
            return vocabulary.decode(written)
        choices = np.flatnonzero(constraint.allowed(state).numpy())
        closing = [token for token in choices if vocabulary.token_bytes(int(token))[:1] in b'"]},']
        first = list(closing) if closing and chance.random() < 0.5 else []
        chance.shuffle(first)
        others = list(choices)
        chance.shuffle(others)
        steps = ((int(token), constraint.advance(state, int(token))) for token in [*first, *others])
        token, state = next((token, after) for token, after in steps if after is not None)
        written.append(token)
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
