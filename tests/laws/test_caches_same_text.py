"""Law 1 along the axis of caches: every strategy writes with each what it writes without one, alone and in a batch."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest
from heads.guessing import random_heads

from decodeplug import Host, Request, Result, json_schema
from decodeplug.discovery import Plugins
from decodeplug.drafters import HeadDrafts
from decodeplug.testing import bpe_tokenizer, like, tiny_model

STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sample": {"processors": ["temperature=0.9", "top-p=0.95"], "num_return_sequences": 3},
    "beam": {"num_beams": 4, "num_return_sequences": 4},
    "beam, drawn": {"num_beams": 3, "num_return_sequences": 2, "do_sample": True},
    "speculative": {"drafters": ["assistant=num_tokens=3"]},
    "mtp": {},
    "self-consistency": {"n": 4, "answer": "[a-z]+", "weights": "likelihood"},
    "best-of-n": {"n": 3},
}
CACHES = ["dense", "paged=block_size=4", "paged=block_size=1", "paged", "stored-input"]
KINDS = {"stored-input": "gpt2"}
"""Cache -> the kind of model, where it is not a model of Llama's kind."""
CONSTRAINTS = {
    "free": None,
    "schema": json_schema({"type": "array", "items": {"enum": ["red", "blue", 12]}, "maxItems": 4}),
}
SHARED = "Once there was a small bear who lived in the forest. She said: where is the river? There, the others said. "
PROMPTS = [
    f"{SHARED}Who?",
    f"{SHARED}Where is the red bear, and where is the moon?",
    "2024",
    f"{SHARED}Who?",
    SHARED[:40],
]


@cache
def host(kind: str = "llama") -> Host:
    return Host(tiny_model(kind, vocab=len(bpe_tokenizer())), bpe_tokenizer(), plugins=[])


def requests(strategy: str, constraint: str, cache_name: str, kind: str = "llama") -> list[Request]:
    options = {"strategy": strategy.partition(",")[0], **STRATEGIES[strategy]}
    if strategy == "speculative":
        options["assistant"] = like(host(kind).model, strength=0.3)
    if strategy == "mtp":
        options["drafters"] = [HeadDrafts(heads=random_heads(host(kind).model, "recurrent"))]
    return [
        Request(prompt, constraint=CONSTRAINTS[constraint], cache=cache_name, seed=seed, max_new_tokens=14, **options)
        for seed, prompt in enumerate(PROMPTS)
    ]


def texts(results: list[Result]) -> list[list[list[int]]]:
    return [[text.token_ids for text in (result, *result.alternatives)] for result in results]


@cache
def expected(strategy: str, constraint: str, kind: str) -> list[list[list[int]]]:
    """Without a cache, one after the other."""
    asked = requests(strategy, constraint, "none", kind)
    return texts([host(kind).generate_batch([request])[0] for request in asked])


def test_the_table_has_every_strategy() -> None:
    assert {one.partition(",")[0] for one in STRATEGIES} == set(Plugins.load("none").registry.names("strategy"))


@pytest.mark.parametrize(
    ("strategy", "constraint", "cache_name", "batch"),
    [
        pytest.param(*cell, marks=[pytest.mark.slow] if cell[2] == "paged=block_size=1" and cell[3] == "alone" else [])
        for cell in itertools.product(STRATEGIES, CONSTRAINTS, CACHES, ["alone", "ragged batch of 5"])
    ],
)
def test_every_strategy_writes_with_each_cache_what_it_writes_without(
    strategy: str, constraint: str, cache_name: str, batch: str
) -> None:
    kind = KINDS.get(cache_name, "llama")
    asked, one = requests(strategy, constraint, cache_name, kind), host(kind)
    results = [one.generate_batch([request])[0] for request in asked] if batch == "alone" else one.generate_batch(asked)
    assert texts(results) == expected(strategy, constraint, kind)


def test_blocks_were_shared_and_known_so_the_table_compares_something() -> None:
    fresh = Host(tiny_model(vocab=len(bpe_tokenizer())), bpe_tokenizer(), plugins=[])
    results = fresh.generate_batch(requests("greedy", "free", "paged=block_size=4"))
    assert [result.trace.cache["reused"] > 0 for result in results[:2]] == [False, True]
    assert all(result.trace.cache["shared_blocks"] for result in results[:2])
