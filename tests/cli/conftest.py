"""A tiny model in a local folder, for commands that load one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decodeplug.testing import bpe_tokenizer, tiny_model


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """``saved(tokenizer)``: the folder of a model with it, as ``save_pretrained`` writes it."""

    def save(tokenizer: Any) -> Path:
        path = tmp_path_factory.mktemp("model")
        tiny_model(vocab=len(tokenizer)).save_pretrained(path)
        tokenizer.save_pretrained(path)
        return path

    return save


@pytest.fixture(scope="session")
def folder(saved: Callable[[Any], Path]) -> Path:
    return saved(bpe_tokenizer())
