"""``assert_follows`` lets right samples pass and finds wrong ones."""

from __future__ import annotations

import pytest
import torch

from decodeplug.testing import assert_follows, chi_square

LAW = torch.tensor([0.5, 0.3, 0.15, 0.04, 0.008, 0.001, 0.001], dtype=torch.float64)


def counts_from(law: torch.Tensor, samples: int, seed: int) -> torch.Tensor:
    drawn = torch.multinomial(law, samples, replacement=True, generator=torch.Generator().manual_seed(seed))
    return torch.bincount(drawn, minlength=len(law)).double()


@pytest.mark.parametrize("seed", range(20))
def test_samples_of_the_law_follow_it(seed: int) -> None:
    assert_follows(counts_from(LAW, 5000, seed), LAW)


def test_a_slightly_tilted_law_is_found() -> None:
    tilted = LAW.pow(1.15) / LAW.pow(1.15).sum()
    with pytest.raises(AssertionError, match=r"do not follow the law .* outcome \d was seen"):
        assert_follows(counts_from(tilted, 20_000, 0), LAW)


def test_what_is_impossible_may_not_be_seen_even_once() -> None:
    with pytest.raises(AssertionError, match="outcome 2 was seen 1 times"):
        assert_follows([500, 499, 1], [0.5, 0.5, 0.0])


def test_p_values_are_uniform_under_the_law() -> None:
    law = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    values = torch.tensor([chi_square(counts_from(law, 2000, seed), law) for seed in range(400)])
    for level in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert float((values < level).double().mean()) == pytest.approx(level, abs=0.08)


@pytest.mark.parametrize(
    ("statistic_counts", "p"),
    # 100 throws of a fair coin; two-sided tail of chi-square with one degree of freedom: erfc(sqrt(x / 2)).
    [((50, 50), 1.0), ((60, 40), 0.0455003), ((70, 30), 6.33425e-5)],
)
def test_the_p_value_is_the_one_of_the_tables(statistic_counts: tuple[int, int], p: float) -> None:
    assert chi_square(statistic_counts, (0.5, 0.5)) == pytest.approx(p, rel=1e-4)


def test_rare_outcomes_are_tested_together() -> None:
    law = [0.98] + [0.0002] * 100
    assert_follows([980] + [1] * 20 + [0] * 80, law)
    with pytest.raises(AssertionError):
        assert_follows([900] + [1] * 100, law)


def test_too_few_samples_test_nothing_and_say_so() -> None:
    with pytest.raises(ValueError, match="draw more samples"):
        assert_follows([2, 1], [0.5, 0.5])


@pytest.mark.parametrize("law", [[0.5, 0.6], [1.5, -0.5]])
def test_what_is_no_law_is_refused(law: list[float]) -> None:
    with pytest.raises(ValueError, match="sums to 1"):
        chi_square([5, 5], law)
