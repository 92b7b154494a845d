"""A tiny model in a local folder, for commands that load one."""

from __future__ import annotations

from pathlib import Path

import pytest

from decodeplug.testing import bpe_tokenizer, tiny_model


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as ``save_pretrained`` writes it."""
    path = tmp_path_factory.mktemp("model")
    tokenizer = bpe_tokenizer()
    tiny_model(vocab=len(tokenizer)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
