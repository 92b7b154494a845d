"""The meter's tests have the p-values that they say, and find what they say that they find."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from decodeplug.testing.lossless.statistics import (
    POWER,
    Squares,
    counted,
    flipped_signs,
    holm,
    most_that_differ,
    predicted_classes,
    smallest_distance,
    surprise,
)

LAW = [0.4, 0.3, 0.2, 0.1]


def draws(law: Tensor, seed: int) -> Tensor:
    """One class for each row of ``[tokens, classes]``."""
    return torch.multinomial(law, 1, generator=torch.Generator().manual_seed(10_000 + seed))[:, 0]


def share_below(values: list[float], level: float) -> float:
    return sum(value < level for value in values) / len(values)


def laws(tokens: int, seed: int) -> Tensor:
    """Another law for each token; some tokens are certain, and one class never comes up."""
    random = torch.Generator().manual_seed(seed)
    table = torch.softmax(2 * torch.randn(tokens, 6, dtype=torch.float64, generator=random), -1)
    table[::5] = torch.eye(6, dtype=torch.float64)[0]
    table[:, 5] = 0
    return table / table.sum(1, keepdim=True)


def test_p_values_of_predicted_classes_are_uniform_where_the_predictions_are_right() -> None:
    values = [predicted_classes(draws(laws(400, seed), seed), laws(400, seed)).p for seed in range(400)]
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert share_below(values, level) == pytest.approx(level, abs=0.08)


def test_predicted_classes_find_a_tilt_and_certain_tokens_say_nothing() -> None:
    law = laws(3000, 1)
    tilted = law * torch.tensor([1.0, 1.5, 1.0, 1.0, 1.0, 1.0])
    assert predicted_classes(draws(tilted, 1), law).p < 1e-6
    certain = torch.eye(6, dtype=torch.float64)[:1].expand(50, 6)
    assert predicted_classes(draws(certain, 1), certain).freedom == 0


def test_p_values_of_surprise_are_uniform_and_a_tilt_is_found() -> None:
    def p(seed: int, power: float = 1.0) -> float:
        law = laws(500, seed)
        tilted = law.pow(power) / law.pow(power).sum(1, keepdim=True)
        logs = law.clamp_min(1e-300).log()
        means = -(law * logs).sum(1)
        variances = (law * logs**2).sum(1) - means**2
        return surprise(logs.gather(1, draws(tilted, seed)[:, None])[:, 0], means, variances)

    values = [p(seed) for seed in range(400)]
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert share_below(values, level) == pytest.approx(level, abs=0.08)
    assert p(1, power=1.5) < 1e-6
    assert surprise(torch.zeros(3), torch.zeros(3), torch.zeros(3)) == 1.0


def test_counts_of_several_samples_are_one_statistic_and_rare_outcomes_are_told() -> None:
    squares = counted([([60, 40], [0.5, 0.5]), ([40, 60], [0.5, 0.5])])
    assert (squares.statistic, squares.freedom, squares.pooled) == (8.0, 2, 0.0)
    assert squares.p == pytest.approx(math.exp(-4))  # the tail for two degrees of freedom
    assert counted([([90, 6, 4], [0.92, 0.04, 0.04])]).pooled == pytest.approx(0.08)


@pytest.mark.parametrize("samples", [200, 2000])
def test_the_smallest_distance_is_found_as_often_as_is_said(samples: int) -> None:
    level = 0.01
    distance = smallest_distance(Squares(0.0, 3), samples, level)
    # The direction that is hardest to find for its distance: in proportion to the law.
    shifted = torch.tensor(
        [0.4 + distance * 0.4 / 0.6, 0.3 - distance * 0.75, 0.2 + distance * 0.2 / 0.6, 0.1 - distance / 4]
    )
    assert float((shifted - torch.tensor(LAW)).abs().sum()) / 2 == pytest.approx(distance, rel=1e-3)
    found = [
        counted([(torch.bincount(draws(shifted.expand(samples, 4), seed), minlength=4).tolist(), LAW)]).p < level
        for seed in range(300)
    ]
    assert sum(found) / len(found) == pytest.approx(POWER, abs=0.07)


def test_nothing_tested_finds_nothing_and_what_is_pooled_is_added() -> None:
    assert smallest_distance(Squares(0.0, 0), 1000, 0.001) == 1.0
    assert smallest_distance(Squares(0.0, 3), 0, 0.001) == 1.0
    plain, pooled = (smallest_distance(Squares(0.0, 3, share), 1000, 0.001) for share in (0.0, 0.05))
    assert pooled == pytest.approx(plain + 0.05)


def test_no_difference_among_n_excludes_what_would_have_shown_itself() -> None:
    assert most_that_differ(0, 70, 0.001) == pytest.approx(1 - 0.001 ** (1 / 70))
    assert most_that_differ(5, 5, 0.001) == 1.0
    share = most_that_differ(2, 50, 0.01)
    tail = sum(math.comb(50, k) * share**k * (1 - share) ** (50 - k) for k in range(3))
    assert tail == pytest.approx(0.01, rel=1e-4)


def test_swapping_pairs_finds_a_shift_and_nothing_else() -> None:
    random = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 200, generator=random).tolist()
    assert flipped_signs(one, other, rounds=4000, seed=0) > 0.01
    assert flipped_signs([value + 1 for value in one], other, rounds=4000, seed=0) == pytest.approx(1 / 4001)
    assert flipped_signs(one, one, rounds=100, seed=0) == 1.0
    assert flipped_signs([value + 1e-6 for value in one], one, rounds=10**9, seed=0) == 1.0  # rounding, one way
    some = flipped_signs([value + 0.2 for value in one], other, rounds=20_000, seed=0)
    assert flipped_signs([value + 0.2 for value in one], other, rounds=10**9, seed=0) == pytest.approx(some, rel=0.2)


def test_p_values_are_corrected_for_their_number() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
