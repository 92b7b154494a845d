"""Law 1 along the axis of caches: every strategy writes with each what it writes without one, alone and in a batch."""

from __future__ import annotations

import itertools

import pytest
from laws.strategy_table import CONSTRAINTS, STRATEGIES, expected, host, requests, texts

from decodeplug import Host
from decodeplug.discovery import Plugins
from decodeplug.target import latent
from decodeplug.testing import bpe_tokenizer, tiny_model

CACHES = {
    "dense": ("dense", "llama"),
    "blocks of 4": ("paged=block_size=4", "llama"),
    "blocks of 1": ("paged=block_size=1", "llama"),
    "paged": ("paged", "llama"),
    "stored input": ("stored-input", "gpt2"),
    "latents": ("dense", "deepseek"),
    "latents in blocks": ("paged=block_size=4", "deepseek"),
}
"""Row of the table -> cache, and kind of model."""
OFTEN = {"blocks of 1", "paged", "latents", "latents in blocks"}
"""What other rows say, too: alone, they are left to the slow tests."""


def test_the_table_has_every_strategy() -> None:
    assert {one.partition(",")[0] for one in STRATEGIES} == set(Plugins.load("none").registry.names("strategy"))


@pytest.mark.parametrize(
    ("strategy", "constraint", "row", "batch"),
    [
        pytest.param(*cell, marks=[pytest.mark.slow] if cell[2] in OFTEN and cell[3] == "alone" else [])
        for cell in itertools.product(STRATEGIES, CONSTRAINTS, CACHES, ["alone", "ragged batch of 5"])
    ],
)
def test_every_strategy_writes_with_each_cache_what_it_writes_without(
    strategy: str, constraint: str, row: str, batch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent, "_pays", lambda *shapes: True)  # texts are too short for it to be worth its while
    cache_name, kind = CACHES[row]
    asked, one = requests(strategy, constraint, cache_name, kind), host(kind)
    results = [one.generate_batch([request])[0] for request in asked] if batch == "alone" else one.generate_batch(asked)
    assert texts(results) == expected(strategy, constraint, kind)


def test_blocks_were_shared_and_known_so_the_table_compares_something() -> None:
    fresh = Host(tiny_model(vocab=len(bpe_tokenizer())), bpe_tokenizer(), plugins=[])
    results = fresh.generate_batch(requests("greedy", "free", "paged=block_size=4"))
    assert [result.trace.cache["reused"] > 0 for result in results[:2]] == [False, True]
    assert all(result.trace.cache["shared_blocks"] for result in results[:2])
