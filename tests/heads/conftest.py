"""A tiny model, and greedy texts of it to train heads on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

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


def random_heads(model: Any, kind: str, count: int = 3, vocab: int = 120, std: float = 0.25) -> Heads:
    """Heads with random weights: what they draft says something only of how it was computed."""
    ids = torch.randperm(model.config.vocab_size, generator=torch.Generator().manual_seed(1))[:vocab].sort().values
    heads = Heads.new(model, kind, count, ids)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        for parameter in heads.part.parameters():
            torch.nn.init.normal_(parameter, std=std)
    heads.part.requires_grad_(False)
    return heads


@pytest.fixture
def make_heads(model: Any) -> Callable[..., Heads]:
    return lambda kind, **options: random_heads(model, kind, **options)
