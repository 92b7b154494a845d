"""Requests of every strategy, with and without a constraint: the rows of tables of laws."""

from __future__ import annotations

from functools import cache
from typing import Any

from heads.guessing import random_heads

from decodeplug import Host, Request, Result, json_schema
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


def requests(strategy: str, constraint: str, cache_name: str, kind: str = "llama", **further: Any) -> list[Request]:
    """Five of them, of one kind of model."""
    options = {"strategy": strategy.partition(",")[0], **STRATEGIES[strategy], **further}
    if strategy == "speculative":
        options["assistant"] = like(host(kind).model, strength=0.3)
    if strategy == "mtp":
        options["drafters"] = [HeadDrafts(heads=random_heads(host(kind).model, "recurrent"), num_tokens=3)]
    return [
        Request(prompt, constraint=CONSTRAINTS[constraint], cache=cache_name, seed=seed, max_new_tokens=14, **options)
        for seed, prompt in enumerate(PROMPTS)
    ]


def texts(results: list[Result]) -> list[list[list[int]]]:
    """The ids of all texts of each."""
    return [[text.token_ids for text in (result, *result.alternatives)] for result in results]


@cache
def expected(strategy: str, constraint: str, kind: str, interventions: tuple[str, ...] = ()) -> list[list[list[int]]]:
    """Without a cache, one after the other."""
    asked = requests(strategy, constraint, "none", kind, interventions=interventions)
    return texts([host(kind).generate_batch([request])[0] for request in asked])
