"""The tests of the meter, and the smallest distance that each could have found. Nothing but torch is needed.

A distance is in total variation: half the sum of the absolute differences of two laws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from decodeplug.testing.laws_sampling import SMALLEST_EXPECTED, merged

__all__ = [
    "POWER",
    "Squares",
    "counted",
    "flipped_signs",
    "holm",
    "most_that_differ",
    "predicted_classes",
    "smallest_distance",
    "surprise",
]

POWER = 0.9
"""The probability with which the smallest distance that is stated would have been found."""

_MOST_ROUNDS = 50_000
_SAME = 1e-3  # nats of a whole text: log-probabilities as near as this differ by rounding


@dataclass(frozen=True, slots=True)
class Squares:
    """A statistic that is chi-square distributed where the laws are equal.

    :ivar statistic: Its value. :ivar freedom: Degrees of freedom; 0 where nothing could be tested.
    :ivar pooled: The share of probability in outcomes too rare to be tested one by one.
    """

    statistic: float
    freedom: int
    pooled: float = 0.0

    @property
    def p(self) -> float:
        """The probability of a statistic as large as this by chance."""
        return _tail(self.freedom, self.statistic) if self.freedom else 1.0


def counted(tables: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Squares:
    """Pearson's test of several independent samples, each against its own law, in one statistic.

    :param tables: For each sample how often each outcome was seen, and the law: positive, sums to 1.
    """
    statistic, freedom, pooled, total = 0.0, 0, 0.0, sum(sum(counts) for counts, _ in tables)
    for counts, probabilities in tables:
        seen, law = (torch.tensor(values, dtype=torch.float64) for values in (counts, probabilities))
        many = float(seen.sum())
        expected, found = merged(law * many, seen)
        if len(expected) < len(law):
            pooled += float(expected[0]) / total  # the least likely come first, as one
        if len(expected) > 1:
            statistic += float(((found - expected) ** 2 / expected).sum())
            freedom += len(expected) - 1
    return Squares(statistic, freedom, pooled)


def predicted_classes(seen: Tensor, predicted: Tensor) -> Squares:
    """Do tokens fall into classes as often as was predicted before each of them?

    The predictions may depend on all that came before, so this holds for tokens of one text as well:
    seen minus predicted is a martingale, whose covariance is the sum of those of the single tokens.

    :param seen: ``[tokens]`` int64, the class of each token.
    :param predicted: ``[tokens, classes]`` float64, the law of the class; not modified.
    """
    expected = predicted.sum(0)
    order = expected.argsort(descending=True)
    often = order[expected[order] >= SMALLEST_EXPECTED]
    rare = order[len(often) :]
    rest = predicted[:, rare].sum(1, keepdim=True)
    if float(rest.sum()) < SMALLEST_EXPECTED and len(often):  # too little for a class of its own
        rest, often = rest + predicted[:, often[-1:]], often[:-1]
    if not len(often):
        return Squares(0.0, 0)
    # The last class follows from the others, so it is left out.
    law = predicted[:, often]
    hits = (seen[:, None] == often[None]).to(law.dtype)
    away = (hits - law).sum(0)
    covariance = torch.diag(law.sum(0)) - law.T @ law
    values, vectors = torch.linalg.eigh(covariance)
    moves = values > 1e-9 * values.max().clamp_min(1e-9)  # classes that are certain do not move
    along = (vectors.T @ away)[moves]
    return Squares(float((along**2 / values[moves]).sum()), int(moves.sum()))


def surprise(logprobs: Tensor, entropies: Tensor, variances: Tensor) -> float:
    """The two-sided p-value of: tokens are as surprising as their law says, on average.

    :param logprobs: ``[tokens]`` float64, of the tokens that came up.
    :param entropies: ``[tokens]``, the mean of minus the log-probability under each token's law.
    :param variances: ``[tokens]``, its variance.
    """
    spread = math.sqrt(float(variances.sum()))
    return 1.0 if spread < 1e-9 else math.erfc(abs(float((-logprobs - entropies).sum())) / spread / math.sqrt(2))


def flipped_signs(one: Sequence[float], other: Sequence[float], *, rounds: int, seed: int) -> float:
    """The p-value of a permutation test: may each pair be swapped without changing the mean difference?

    :param one: Its log-probability for each text. :param other: The number of its partner, drawn for the same prompt.
    :param rounds: Random ways to swap; the p-value is at least ``1 / (rounds + 1)``. Where they are too many,
        the sum over all ways is taken as normal.
    """
    differences = torch.tensor(one, dtype=torch.float64) - torch.tensor(other, dtype=torch.float64)
    differences[differences.abs() < _SAME] = 0.0
    random, extreme, left = torch.Generator().manual_seed(seed), 0, rounds
    observed = abs(float(differences.sum())) - 1e-9
    if rounds > _MOST_ROUNDS:
        return math.erfc(max(0.0, observed) / max(1e-9, float(differences.norm())) / math.sqrt(2))
    while left > 0:
        some = min(left, max(1, 4_000_000 // max(1, len(differences))))
        signs = torch.randint(0, 2, (some, len(differences)), generator=random, dtype=torch.int8)
        extreme += int(((signs.double() * 2 - 1) @ differences).abs().ge(observed).sum())
        left -= some
    return (1 + extreme) / (1 + rounds)


def holm(chances: Sequence[float]) -> list[float]:
    """P-values as they stand after so many tests (Holm 1979), in the order given."""
    adjusted, least = [0.0] * len(chances), 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=lambda index: chances[index])):
        least = max(least, min(1.0, chances[index] * (len(chances) - rank)))
        adjusted[index] = least
    return adjusted


def smallest_distance(test: Squares, samples: int, level: float) -> float:
    """The smallest distance that a test at this level finds with probability ``POWER``.

    A distance d makes the statistic noncentral by at least ``4 * samples * d ** 2``, whatever it is that
    differs (Cauchy-Schwarz). What is hidden among pooled outcomes is added.

    :returns: Between 0 and 1; 1 where nothing was tested.
    """
    if not test.freedom or not samples:
        return 1.0
    critical = _root(lambda value: level - _tail(test.freedom, value))
    shift = _root(lambda value: _noncentral_tail(test.freedom, value, critical) - POWER)
    return min(1.0, math.sqrt(shift / (4 * samples)) + test.pooled)


def most_that_differ(differing: int, samples: int, level: float) -> float:
    """The largest share of all texts that may differ, if so many of a sample did (Clopper and Pearson 1934).

    Two laws that can be drawn together so that a share of the texts differs are no further apart than that.
    """
    if differing >= samples:
        return 1.0

    def at_most(share: float) -> float:
        logs = [
            math.lgamma(samples + 1) - math.lgamma(k + 1) - math.lgamma(samples - k + 1)
            + k * math.log(share) + (samples - k) * math.log1p(-share)
            for k in range(differing + 1)
        ]  # fmt: skip
        return math.fsum(map(math.exp, logs))

    low, high = 1e-12, 1 - 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(middle) > level else (low, middle)
    return high


def _tail(freedom: int, value: float) -> float:
    """P(X >= value) of the chi-square law."""
    half = torch.tensor(freedom / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(half, torch.tensor(max(0.0, value) / 2, dtype=torch.float64)))


def _noncentral_tail(freedom: int, shift: float, value: float) -> float:
    """P(X >= value) of the noncentral chi-square law, which is a Poisson mixture of central ones."""
    mean = max(shift, 1e-12) / 2
    spread = 10 * math.sqrt(mean) + 30
    terms = torch.arange(max(0, int(mean - spread)), int(mean + spread), dtype=torch.float64)
    weights = torch.exp(terms * math.log(mean) - mean - torch.lgamma(terms + 1))
    tails = torch.special.gammaincc(freedom / 2 + terms, torch.full_like(terms, value / 2))
    return float((weights * tails).sum())


def _root(rising: Callable[[float], float]) -> float:
    """Where a function that rises from below 0 crosses it."""
    low, high = 0.0, 1.0
    while rising(high) < 0:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high
