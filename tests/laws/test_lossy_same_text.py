"""Law 1 with caches that approximate: what a text says depends neither on drafts, nor on the batch, nor on how it was fed."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from laws.strategy_table import PROMPTS, SHARED, STRATEGIES, host, requests, texts

from decodeplug import Request, Result
from decodeplug.caches import Latent, Quantised
from decodeplug.calibration import calibrate

NAMES = ["quantised", "latent"]


@cache
def calibrated(folder: Path) -> str:
    ids = list(itertools.chain.from_iterable(host().tokenizer(text)["input_ids"] for text in PROMPTS)) * 20
    calibrate(host(), [ids], bits=3, source="prompts").save(folder)
    return str(folder)


@pytest.fixture
def cache_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """So little stays as it is that most of a prompt is coded."""
    if request.param == "quantised":
        return Quantised(2, group=4, window=4, first=1)
    return Latent(calibrated(tmp_path_factory.getbasetemp()), window=4, first=1)


def longer(strategy: str, constraint: str, spec: Any) -> list[Request]:
    """Prompts of which something is coded."""
    return [replace(request, prompt=SHARED + request.prompt) for request in requests(strategy, constraint, spec)]


@cache
def alone(strategy: str, constraint: str, spec: Any) -> list[list[list[int]]]:
    """With the same cache, one after the other, and without drafts."""
    plain = "greedy" if strategy in ("speculative", "mtp") else strategy
    return texts([host().generate_batch([request])[0] for request in longer(plain, constraint, spec)])


@pytest.mark.parametrize("cache_of", NAMES, indirect=True)
@pytest.mark.parametrize("constraint", ["free", "schema"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_writes_in_a_batch_and_with_drafts_what_it_writes_alone(
    strategy: str, constraint: str, cache_of: Any
) -> None:
    asked = longer(strategy, constraint, cache_of)
    together = host().generate_batch(asked)
    assert texts(together) == alone(strategy, constraint, cache_of)
    if strategy in ("speculative", "mtp"):
        assert texts([host().generate_batch([request])[0] for request in asked]) == texts(together)
    if constraint == "schema":
        assert all(_is_valid(result) for result in together)
    assert sum(result.trace.cache["coded_bytes"] > 0 for result in together) >= 4


def _is_valid(result: Result) -> bool:
    """A result holds what the schema says, and is finished; the host validates it, and this looks again."""
    assert result.finish_reason != "length"
    value = json.loads(result.text)
    return result.value == value and all(item in ("red", "blue", 12) for item in value)


@pytest.mark.parametrize("cache_of", NAMES, indirect=True)
def test_the_caches_do_change_what_is_said_so_the_table_compares_something(cache_of: Any) -> None:
    greedy = alone("greedy", "free", cache_of)
    exact = alone("greedy", "free", "dense")
    assert greedy != exact
