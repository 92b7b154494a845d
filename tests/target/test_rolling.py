"""Texts longer than the window: what each id sees, against the model on just those ids."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from decodeplug.caches import Dense, NoCache, Paged, Quantised, Rolling
from decodeplug.caches.seam import CacheSpec
from decodeplug.target import Target
from decodeplug.testing import Float64Throughout, check_cache, tiny_model

INNER = {"dense": Dense(), "paged": Paged(4), "none": NoCache(), "quantised": Quantised(4, group=4, window=3, first=1)}


@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        pytest.param(kind, inner, marks=[] if kind == "llama" or inner == "dense" else [pytest.mark.slow])
        for kind in ("llama", "gpt2", "mamba", "deepseek")
        for inner in INNER
    ],
)
def test_what_is_seen_follows_from_the_position_whatever_is_fed_forked_and_dropped(kind: str, inner: str) -> None:
    model = tiny_model(kind)
    target = Target(model)
    check_cache(
        lambda: target.session(Rolling(INNER[inner], 2, 14)), model, exact=False, longest=30, steps=16, vocab=256
    )


@pytest.mark.parametrize("inner", ["dense", "paged", "none"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "mamba"])
def test_at_twice_the_window_every_row_is_that_of_the_model_on_what_is_in_sight(kind: str, inner: str) -> None:
    model, rule, chance = tiny_model(kind), Rolling(INNER[inner], 3, 16), random.Random(1)
    ids = [chance.randrange(256) for _ in range(40)]
    session = Target(model).session(rule)
    session.keep([-1], [0])
    with Float64Throughout(), torch.no_grad():
        found = session.forward([ids], [len(ids)])
        for position, row in enumerate(found):
            seen = in_sight(ids[: position + 1], rule)
            assert min(position + 1, 16 - rule.step) <= len(seen) <= 16
            expected = model(input_ids=torch.tensor([seen], device=model.device), use_cache=False).logits[0, -1]
            assert float((row - expected).abs().max()) < 1e-9


def in_sight(ids: list[int], rule: Rolling) -> list[int]:
    """By counting: where there are too many, half of what is behind the first ones goes, again and again."""
    seen: list[int] = []
    for token in ids:
        seen.append(token)
        if len(seen) > rule.window:
            del seen[rule.first : rule.first + rule.step]
    return seen


def test_ids_that_are_out_of_sight_when_a_prompt_is_read_are_not_computed() -> None:
    session: Any = Target(tiny_model()).session(Rolling(Dense(), 2, 16))
    fed: list[int] = []
    inner = session.inner
    forward = inner.forward
    inner.forward = lambda feeds, wants, whole=(): fed.append(sum(map(len, feeds))) or forward(feeds, wants, whole)
    session.keep([-1], [0])
    session.forward([list(range(200))], [1])
    assert sum(fed) <= 16


@pytest.mark.parametrize("spec", [Rolling(Dense(), 4, 32), Rolling(Paged(), 0, 9), Rolling(Dense(), 3, 8)])
def test_the_rule_is_steady(spec: CacheSpec) -> None:
    assert isinstance(spec, Rolling)
    for position in range(200):
        gone = spec.gone(position)
        assert position + 1 - gone <= spec.window
        assert spec.gone(spec.last(gone)) == gone < spec.gone(spec.last(gone) + 1)
