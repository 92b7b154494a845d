"""What a real host writes at a high temperature is valid, row by row, whatever drafts it and stands beside it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from random_decoding.mixtures import MIXTURES

from decodeplug import Host, Request, json_schema, lark, regex
from decodeplug.errors import BudgetTooSmall
from decodeplug.testing import bpe_tokenizer, tiny_model

DRAFTERS = (None, [], ["lookup"], ["forced"], ["forced", "lookup"])
OTHERS: dict[str, Any] = {
    "pattern": regex(r"[a-z]{2,}@(?:[a-z]+\.)+[a-z]{2,4}"),
    "grammar": lark("sql_select"),
    "open": json_schema({"type": "object", "additionalProperties": {"type": "string"}}),
    "indented": json_schema({"type": "array", "items": {"type": "number"}, "minItems": 2}, "indent=2"),
    "judged": json_schema({"type": "object", "minProperties": 2, "additionalProperties": {"type": "null"}}, "any"),
}  # fmt: skip
CONSTRAINTS = {**MIXTURES, **OTHERS}


@pytest.fixture(scope="module")
def host() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model("llama", vocab=len(tokenizer)), tokenizer)


def row(host: Host, name: str, chance: random.Random) -> Request:
    """A request of a budget that suffices, by little or by much."""
    options: dict[str, Any] = {
        "constraint": CONSTRAINTS[name],
        "strategy": "sample",
        "processors": ["temperature=5"],
        "seed": chance.randrange(1000),
    }
    drafters = chance.choice(DRAFTERS)
    options |= {} if drafters is None else {"drafters": drafters}
    prompt = chance.choice(["Now: ", "A much longer prompt than that of the others: ", "{"])
    try:
        host.generate(prompt, max_new_tokens=1, **options)
        least = 1
    except BudgetTooSmall as error:
        least = error.needed or 1
    return Request(prompt, max_new_tokens=least + chance.choice([0, 1, 4, 15, 40]), **options)


def check_batches(host: Host, count: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(count):
        names = chance.sample(list(CONSTRAINTS), 5)
        requests = [row(host, name, chance) for name in names]
        for name, request, result in zip(names, requests, host.generate_batch(requests), strict=True):
            assert result.finish_reason in ("stop", "length", "tool_calls"), name
            assert request.max_new_tokens is not None
            assert len(result.token_ids) <= request.max_new_tokens
            CONSTRAINTS[name].value(result.text)


def test_rows_of_a_batch_are_valid_each_by_its_own_constraint(host: Host) -> None:
    check_batches(host, 4, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_rows_of_many_batches_are_valid(host: Host, seed: int) -> None:
    check_batches(host, 12, seed)
