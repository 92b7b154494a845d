"""Law 1 along the axes of inspectors and interventions: the first change no text, the second change it as they do it alone."""

from __future__ import annotations

import itertools

import pytest
import torch
from laws.strategy_table import CONSTRAINTS, STRATEGIES, expected, host, requests, texts
from routing.recomputed import mixtral_routing

CACHES = ["dense", "paged=block_size=4"]
INTERVENTIONS = ("moe-top-k=1", "moe-noise=0.5")
TABLE = [
    pytest.param(*cell, marks=[pytest.mark.slow] if cell[3] == "alone" or cell[1:3] == ("schema", "dense") else [])
    for cell in itertools.product(STRATEGIES, CONSTRAINTS, CACHES, ["alone", "ragged batch of 5"])
]


@pytest.mark.parametrize(("strategy", "constraint", "cache_name", "batch"), TABLE)
def test_every_strategy_writes_the_same_while_its_routing_is_inspected(
    strategy: str, constraint: str, cache_name: str, batch: str
) -> None:
    asked, one = requests(strategy, constraint, cache_name, "mixtral", inspectors=["moe-routing"]), host("mixtral")
    results = [one.generate_batch([request])[0] for request in asked] if batch == "alone" else one.generate_batch(asked)
    assert texts(results) == expected(strategy, constraint, "mixtral")
    for result in results:
        routing = result.reports["moe-routing"]
        for text, its in zip((result, *result.alternatives), (routing, *routing.alternatives), strict=True):
            ids = [*text.prompt_ids, *text.token_ids][:-1]
            assert its.token_ids.tolist() == ids
            assert torch.equal(its.experts, mixtral_routing(one.model, ids)[0])


@pytest.mark.parametrize(("strategy", "constraint", "cache_name", "batch"), TABLE)
def test_every_strategy_writes_in_a_changed_model_what_that_writes(
    strategy: str, constraint: str, cache_name: str, batch: str
) -> None:
    changed = requests(strategy, constraint, cache_name, "mixtral", interventions=INTERVENTIONS)
    plain, one = requests(strategy, constraint, cache_name, "mixtral"), host("mixtral")
    if batch == "alone":
        results = [one.generate_batch([request])[0] for request in changed]
    else:
        *results, beside = one.generate_batch([*changed, plain[0]])
        assert texts([beside]) == expected(strategy, constraint, "mixtral")[:1]
    assert texts(results) == expected(strategy, constraint, "mixtral", INTERVENTIONS)
