"""A report never takes what is no number for a good cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from decodeplug import Host
from decodeplug.caches.quantised import Rounding
from decodeplug.errors import BadLogits, BadOption
from decodeplug.fidelity import measure
from decodeplug.testing import tiny_model


def test_a_cache_that_breaks_the_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Rounding, codes: Any, like: torch.Tensor) -> torch.Tensor:
        return decoded(self, codes, like) * torch.nan

    decoded = Rounding._decoded
    monkeypatch.setattr(Rounding, "_decoded", broken)
    with pytest.raises(BadLogits, match="with cache quantised=group=4,window=4,first=0 the model says"):
        measure(Host(tiny_model(), None), ["quantised=group=4,window=4,first=0"], [list(range(60))], behind=10, steps=1)


def test_there_must_be_something_to_measure() -> None:
    host = Host(tiny_model(), None, plugins=[])
    for caches, documents, steps in (([], [[1] * 60], 1), (["dense"], [], 1), (["dense"], [[1] * 60], 0)):
        with pytest.raises(BadOption, match="at least one of each"):
            measure(host, caches, documents, behind=10, steps=steps)
