"""Temperature: greedy at 0, nothing at 1, uniform at last, and no overflow on the way."""

from __future__ import annotations

import math

import pytest
import torch
from drawing import score_rows, tried
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import TemperatureLogitsWarper

from decodeplug.errors import BadOption
from decodeplug.processors import Temperature
from decodeplug.values import Seen

NONE = torch.zeros(1, 0, dtype=torch.long)


def warmed(scores: Tensor, temperature: float) -> Tensor:
    return Temperature(temperature)(scores, Seen.nothing(len(scores)))


@tried
@given(score_rows(), st.floats(0.001, 1e6))
def test_temperature_is_transformers_temperature(scores: Tensor, temperature: float) -> None:
    assert torch.equal(warmed(scores, temperature), TemperatureLogitsWarper(temperature)(NONE, scores))


@tried
@given(score_rows())
def test_temperature_zero_keeps_the_first_best_token_alone(scores: Tensor) -> None:
    cold = warmed(scores, 0)
    assert (cold.isfinite().sum(-1) == 1).all()
    first = [row.index(max(row)) for row in scores.tolist()]
    assert cold.argmax(-1).tolist() == first
    assert torch.equal(cold.amax(-1), scores.amax(-1))


@tried
@given(score_rows())
def test_temperature_one_gives_the_scores_back(scores: Tensor) -> None:
    assert warmed(scores, 1) is scores
    assert warmed(scores, 1.0) is scores


@pytest.mark.parametrize("temperature", [1e30, 1e300])
@tried
@given(score_rows())
def test_a_very_high_temperature_is_uniform_over_what_is_allowed(temperature: float, scores: Tensor) -> None:
    allowed = scores.isfinite()
    uniform = allowed / allowed.sum(-1, keepdim=True)
    assert torch.allclose(warmed(scores, temperature).softmax(-1), uniform)


@pytest.mark.parametrize("temperature", [1e-4, 1e-9, 1e-30, 1e-40, 5e-324])
@tried
@given(score_rows())
def test_a_tiny_temperature_is_greedy_without_overflow(temperature: float, scores: Tensor) -> None:
    cold = warmed(scores, temperature)
    assert not cold.isnan().any()
    assert not cold.isposinf().any()
    exact = (scores.double() - scores.double().amax(-1, keepdim=True)) / max(temperature, 1e-300)
    assert torch.allclose(cold.softmax(-1).double(), exact.softmax(-1), atol=1e-3)


@tried
@given(st.floats(1e-3, 50.0))
def test_scores_as_large_as_the_type_allows_stay_in_range_when_cold(scale: float) -> None:
    scores = torch.tensor([[3e38, -3e38, 0.0, -math.inf, scale]])
    cold = warmed(scores, 1e-30)
    assert cold[0, 0] == 0
    assert cold[0, 1:].isneginf().all()


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf, "0.7", None, True])
def test_temperature_names_the_option_it_refuses(temperature: object) -> None:
    with pytest.raises(BadOption, match=r"temperature: temperature=.*, but wanted a") as caught:
        Temperature(temperature)
    assert caught.value.part == "temperature"
    assert "temperature" in caught.value.options
