from __future__ import annotations

from typing import Any

import pytest

from decodeplug import Host
from decodeplug.testing import byte_tokenizer, tiny_model


@pytest.fixture(scope="module")
def model() -> Any:
    """Three layers, six experts, two of them for each token."""
    return tiny_model("mixtral", layers=3, num_experts=6, num_local_experts=6)


@pytest.fixture(scope="module")
def host(model: Any) -> Host:
    return Host(model, byte_tokenizer(), plugins=[])
