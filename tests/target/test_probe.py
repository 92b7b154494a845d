from __future__ import annotations

from typing import Any

import pytest
from families.walk import walk

from decodeplug.target import Target
from decodeplug.testing.families import family_model


def _under_another_name(family: str) -> Any:
    model = family_model(family)
    model.config.model_type = "unheard-of"
    return model


@pytest.mark.parametrize(("family", "path"), [("llama", "ragged"), ("qwen3_next", "grouped"), ("bart", "ragged")])
def test_a_family_that_nobody_measured_takes_the_fast_path_if_it_is_right(family: str, path: str) -> None:
    assert Target(_under_another_name(family)).path == path


@pytest.mark.parametrize("family", ["gpt_neo", "mamba", "gpt_neox_japanese"])
def test_a_family_that_nobody_measured_takes_the_slow_path_if_the_fast_one_is_wrong(family: str) -> None:
    model = _under_another_name(family)
    target = Target(model)
    assert (target.path, target.can_rewind) == ("steps", False)
    assert "was not measured" in target.path_reason
    outcome = walk(model, target=target)
    assert outcome.wrong_rows == 0
    assert outcome.worst < 1e-5
