"""Keys in whatever order: checked while they are written, however many must be there."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import jsonschema
import numpy as np
import pytest

from decodeplug.constraints import accepts, json_schema, within_budget
from decodeplug.testing import bpe_tokenizer, byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = byte_tokenizer()
VOCABULARY = Vocabulary(BYTES, len(BYTES), {BYTES.eos_token_id})
PIECES = bpe_tokenizer()
MERGED = Vocabulary(PIECES, len(PIECES), {PIECES.eos_token_id})
KINDS: list[Any] = [{"type": "string", "maxLength": 3}, {"type": "integer", "maximum": 9}, {"type": "boolean"}]


def closed(count: int, **extra: Any) -> dict[str, Any]:
    named = {f"k{index}": KINDS[index % 3] for index in range(count)}
    named.update(extra)
    return {"type": "object", "properties": named, "required": list(named), "additionalProperties": False}


SCHEMAS = {
    "eight keys": closed(8),
    "objects within": closed(
        2, inner=closed(4), many={"type": "array", "items": closed(4), "minItems": 2, "maxItems": 3}
    ),
    "with a condition": {
        **closed(5),
        "if": {"properties": {"k2": {"const": True}}},
        "then": {"properties": {"k1": {"minimum": 5}}},
    },
}


@pytest.mark.parametrize("vocabulary", [VOCABULARY, MERGED], ids=["bytes", "merged"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_random_texts_have_every_key_once_in_orders_of_their_own(name: str, vocabulary: Vocabulary) -> None:
    schema, chance = SCHEMAS[name], random.Random(name)
    compiled = json_schema(schema, key_order="any").compile(vocabulary)
    orders = set()
    for _ in range(4):
        held = within_budget(compiled, name, vocabulary, 400)
        assert held is not None
        state = held.start()
        while not held.is_complete(state):
            tokens = np.flatnonzero(held.allowed(state).numpy()).tolist()
            chance.shuffle(tokens)
            state = next(after for token in tokens if (after := held.advance(state, token)) is not None)
        value = json.loads(state.text)
        jsonschema.validate(value, schema)
        orders.add(tuple(value))
    assert len(orders) > 1


def test_each_order_is_accepted_and_nothing_else() -> None:
    schema = closed(3)
    compiled = json_schema(schema, "compact", key_order="any").compile(VOCABULARY)
    members = ['"k0":"a"', '"k1":3', '"k2":true']
    for order in itertools.permutations(members):
        assert accepts(compiled, VOCABULARY, "{" + ",".join(order) + "}")
    assert not accepts(compiled, VOCABULARY, "{" + ",".join(members[:2]) + "}")
    assert not accepts(compiled, VOCABULARY, "{" + ",".join([*members, members[0]]) + "}")
    assert not accepts(compiled, VOCABULARY, "{" + ",".join([*members, '"k3":1']) + "}")
