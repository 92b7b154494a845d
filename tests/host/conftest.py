from __future__ import annotations

from typing import Any

import pytest

from decodeplug import Host
from decodeplug.testing import bpe_tokenizer, tiny_model


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return bpe_tokenizer()


@pytest.fixture(scope="session")
def model(tokenizer: Any) -> Any:
    return tiny_model(vocab=len(tokenizer))


@pytest.fixture(scope="session")
def host(model: Any, tokenizer: Any) -> Host:
    return Host(model, tokenizer, plugins=[])
