"""Does a sampler follow its law? A chi-square test that needs nothing but torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from decodeplug.testing.claim import claim

__all__ = ["SMALLEST_EXPECTED", "assert_follows", "chi_square", "merged"]

SMALLEST_EXPECTED = 5.0
"""The usual bound below which the chi-square law is a poor approximation."""


def chi_square(counts: Tensor | Sequence[float], probabilities: Tensor | Sequence[float]) -> float:
    """The probability that counts as far from the law as these come up by chance.

    Cells that expect fewer than five are merged, the least likely first.

    :param counts: ``[cells]``: how often each outcome was seen.
    :param probabilities: ``[cells]``: the law; sums to one.
    :returns: The p-value; 0.0 if something was seen that the law says is impossible.
    :raises ValueError: The shapes differ, the probabilities do not sum to one, or fewer than two
        cells are left, so that nothing can be tested.
    """
    seen = torch.as_tensor(counts, dtype=torch.float64)
    law = torch.as_tensor(probabilities, dtype=torch.float64)
    if seen.shape != law.shape or seen.dim() != 1:
        raise ValueError(
            f"chi_square: counts {list(seen.shape)} and probabilities {list(law.shape)} do not belong together"
        )
    if abs(float(law.sum()) - 1) > 1e-6 or bool((law < 0).any()):
        raise ValueError(
            f"chi_square: the probabilities sum to {float(law.sum()):.6f}, but wanted a law that sums to 1"
        )
    if bool((seen[law == 0] > 0).any()):
        return 0.0
    expected, seen = merged(law[law > 0] * seen.sum(), seen[law > 0])
    if len(expected) < 2:
        raise ValueError("chi_square: fewer than two cells expect five or more; draw more samples")
    statistic = ((seen - expected) ** 2 / expected).sum()
    # The tail of the chi-square law with k degrees of freedom is Q(k / 2, x / 2).
    half = torch.tensor((len(expected) - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(half, statistic / 2))


def merged(expected: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Both ``[cells]`` float64, the least likely first, with cells that expect fewer than five as one."""
    order = expected.argsort()
    expected, seen = expected[order], seen[order]
    # The fewest of the least likely that together expect enough become one cell.
    short = int((expected < SMALLEST_EXPECTED).sum())
    if not short:
        return expected, seen
    enough = (expected.cumsum(0) >= SMALLEST_EXPECTED).nonzero()
    last = max(short, int(enough[0, 0]) + 1) if len(enough) else len(expected)
    return (
        torch.cat([expected[:last].sum()[None], expected[last:]]),
        torch.cat([seen[:last].sum()[None], seen[last:]]),
    )


def assert_follows(
    counts: Tensor | Sequence[float], probabilities: Tensor | Sequence[float], *, significance: float = 1e-6
) -> None:
    """Check that counts are what the law gives, by a chi-square test.

    :param counts: ``[cells]``: how often each outcome was seen.
    :param probabilities: ``[cells]``: the law; sums to one.
    :param significance: How often a right sampler may fail. With a fixed seed a test either always
        passes or never does, so it may be small.
    :raises AssertionError: The counts do not follow the law; names the worst outcome.
    :raises ValueError: As :func:`chi_square`.
    """
    chance = chi_square(counts, probabilities)
    if chance >= significance:
        return
    seen = torch.as_tensor(counts, dtype=torch.float64)
    expected = torch.as_tensor(probabilities, dtype=torch.float64) * seen.sum()
    worst = int(((seen - expected) ** 2 / expected.clamp_min(1e-9)).argmax())
    claim(
        False,
        f"the samples do not follow the law (p = {chance:.1e}): outcome {worst} was seen {seen[worst]:.0f} times "
        f"and expected {expected[worst]:.1f} times among {seen.sum():.0f}",
    )
