"""A tiny model, and greedy texts of it to train heads on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from heads.guessing import random_heads

from decodeplug import Host, Request
from decodeplug.heads import Heads, Row, Settings
from decodeplug.heads.frozen import Frozen, Kept
from decodeplug.target import Target
from decodeplug.testing import byte_tokenizer, tiny_model

PROMPT = 4


@pytest.fixture(scope="session")
def model() -> Any:
    return tiny_model()


@pytest.fixture(scope="session")
def host(model: Any) -> Host:
    return Host(model, byte_tokenizer(), plugins=[])


@pytest.fixture(scope="session")
def texts(host: Host) -> list[Row]:
    """Thirty-two greedy texts of forty new ids."""
    prompts = torch.randint(0, 256, (32, PROMPT), generator=torch.Generator().manual_seed(0)).tolist()
    asked = [Request(prompt, max_new_tokens=40, end_ids=[], drafters=[]) for prompt in prompts]
    results = host.generate_batch(asked)
    return [Row([*prompt, *result.token_ids], PROMPT) for prompt, result in zip(prompts, results, strict=True)]


@pytest.fixture
def kept(model: Any, texts: list[Row], tmp_path: Path) -> Any:
    with Kept(Frozen(Target(model)), texts, tmp_path) as kept:
        yield kept


@pytest.fixture
def settings() -> Callable[..., Settings]:
    """Settings that fit the tiny model, with others in their place."""

    def make(**others: Any) -> Settings:
        return Settings(
            **{"kind": "recurrent", "heads": 2, "vocab": 200, "steps": 6, "batch": 8, "rate": 3e-3, **others}
        )

    return make


def some_heads(model: Any, kind: str, vocab: int = 120, **options: Any) -> Heads:
    """Random heads over some of the ids."""
    ids = torch.randperm(model.config.vocab_size, generator=torch.Generator().manual_seed(1))[:vocab].sort().values
    return random_heads(model, kind, ids=ids, **options)


@pytest.fixture
def make_heads(model: Any) -> Callable[..., Heads]:
    return lambda kind, **options: some_heads(model, kind, **options)
