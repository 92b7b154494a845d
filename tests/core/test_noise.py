from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from decodeplug.noise import gumbel, perturb


@given(
    seed=st.integers(0, 2**63 - 1),
    position=st.integers(0, 10**6),
    rows=st.integers(1, 4),
)
def test_noise_does_not_depend_on_what_else_is_in_the_batch(seed: int, position: int, rows: int) -> None:
    keys = [(seed, 0, position + row) for row in range(rows)]
    together = gumbel(keys, torch.arange(50))
    alone = torch.cat([gumbel([key], torch.arange(50)) for key in keys])
    assert torch.equal(together, alone)


def test_noise_of_a_few_tokens_is_that_of_the_whole_row() -> None:
    scores = torch.randn(3, 400)
    keys = [(7, 0, 1), (7, 1, 1), (8, 0, 1)]
    whole = scores + gumbel(keys, torch.arange(400))
    few = scores.masked_fill(torch.rand(3, 400) < 0.95, -torch.inf)
    perturbed = perturb(few, keys)
    alive = few.isfinite()
    assert torch.equal(perturbed[alive], whole[alive])
    assert (perturbed[~alive] == -torch.inf).all()


def test_noise_is_finite_and_has_the_moments_of_a_gumbel_variable() -> None:
    noise = gumbel([(3, 0, position) for position in range(40)], torch.arange(5000)).double()
    assert noise.isfinite().all()
    assert float(noise.mean()) == pytest.approx(0.5772156649, abs=0.01)
    assert float(noise.var()) == pytest.approx(math.pi**2 / 6, abs=0.03)


@pytest.mark.parametrize("changed", [(4, 0, 5), (3, 1, 5), (3, 0, 6)])
def test_every_part_of_the_key_changes_the_noise(changed: tuple[int, int, int]) -> None:
    tokens = torch.arange(1000)
    before, after = gumbel([(3, 0, 5)], tokens)[0], gumbel([changed], tokens)[0]
    assert abs(float(torch.corrcoef(torch.stack([before, after]))[0, 1])) < 0.12


def test_noise_is_the_same_as_ever() -> None:
    # Written down once: a change of these numbers changes every seeded text of every user.
    noise = gumbel([(1, 0, 10), (2**62, 3, 0)], torch.tensor([0, 1, 49151]))
    expected = [[2.471006, 0.616391, 0.228877], [-1.152831, -0.150437, 1.751260]]
    assert torch.allclose(noise, torch.tensor(expected), atol=1e-6)


@pytest.mark.parametrize("dead", [0.0, 0.95])
def test_a_score_that_is_not_a_number_stays_so(dead: float) -> None:
    scores = torch.randn(2, 400).masked_fill(torch.rand(2, 400) < dead, -torch.inf)
    scores[1, 7] = torch.nan
    perturbed = perturb(scores, [(7, 0, 1), (7, 1, 1)])
    assert torch.equal(perturbed.isnan(), scores.isnan())
    assert torch.equal(perturbed == -torch.inf, scores == -torch.inf)
