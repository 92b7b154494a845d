"""Fixtures for the tests of a plugin.

Name this module in a test module, or in the ``conftest.py`` at the root of the tests:

    pytest_plugins = ["decodeplug.testing.fixtures"]


    def test_my_drafter_changes_no_law(assert_lossless) -> None:
        assert_lossless({"strategy": "sample", "drafters": ["my-drafter"]})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from decodeplug.host import Host
from decodeplug.recipe import Recipe
from decodeplug.testing.lossless import Verdict, verify_lossless
from decodeplug.testing.models import tiny_model
from decodeplug.testing.tokenizer import bpe_tokenizer

__all__ = ["assert_lossless", "tiny_host"]


@pytest.fixture(scope="session")
def tiny_host() -> Iterator[Host]:
    """A host around a tiny random model in float64, with all plugins that are installed."""
    tokenizer = bpe_tokenizer()
    with Host(tiny_model(vocab=len(tokenizer)), tokenizer) as host:
        yield host


@pytest.fixture
def assert_lossless(tiny_host: Host) -> Callable[..., Verdict]:
    """``assert_lossless(recipe, host=None, **options)``: raises ``AssertionError`` unless the verdict is a pass.

    Options are those of ``verify_lossless``; the host is ``tiny_host`` if none is given.
    """

    def check(recipe: Recipe | Mapping[str, Any], *, host: Host | None = None, **options: Any) -> Verdict:
        return verify_lossless(tiny_host if host is None else host, recipe, **options).check()

    return check
