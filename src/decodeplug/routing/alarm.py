"""Has routing collapsed? Said only where the load is uneven by much, and by more than chance explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from decodeplug.routing.measures import balance

if TYPE_CHECKING:
    from decodeplug.routing.report import Routing

__all__ = ["Alarm", "Thresholds", "collapse"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on a layer counts as collapsed.

    :param entropy: Its load's entropy, divided by ``log N``, is less than this,
    :param dead: or at least this share of its experts was never chosen,
    :param peak: or one expert takes more than this share of what a single one could: ``(peak - 1) / (N / k - 1)``, with
        ``peak`` the largest load divided by the mean.
    :param chance: Each of these only where even routing of as many independent tokens would give it with at most
        this probability.
    """

    entropy: float = 0.8
    dead: float = 0.25
    peak: float = 0.5
    chance: float = 0.001


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is wrong with one layer.

    :ivar layer: Its place among the mixture-of-experts layers. :ivar index: That of the decoder layer.
    :ivar sign: "entropy", "dead" or "peak".
    :ivar value: What was measured. :ivar threshold: What it was held against. :ivar by_chance: What even routing would give at
        worst.
    """

    layer: int
    index: int
    sign: str
    value: float
    threshold: float
    by_chance: float

    def __str__(self) -> str:
        said = {
            "entropy": "the load's entropy is {:.2f} of the most there is",
            "dead": "{:.0%} of the experts were never chosen",
            "peak": "one expert takes {:.0%} of what a single one could",
        }[self.sign].format(self.value)
        return f"layer {self.index}: {said} (alarm at {self.threshold:g}; chance explains {self.by_chance:.2f})"


def collapse(routing: Routing, thresholds: Thresholds | None = None) -> Sequence[Alarm]:
    """The alarms that ring, layer by layer; none for a text without tokens.

    A short text of one kind may use few experts of a sound model: judge a model by a long text of many kinds.
    """
    limits, seen = thresholds or Thresholds(), balance(routing)
    alarms: list[Alarm] = []
    for layer, (index, count) in enumerate(zip(routing.layers, routing.counts, strict=True)):
        chosen = routing.experts[:, layer]
        tokens = int((chosen >= 0).any(-1).sum())
        k = int((chosen >= 0).sum(-1).max()) if tokens else 0
        if not tokens or count <= k:
            continue
        room = count / k - 1
        entropy, dead = float(seen.entropy[layer]), int(seen.dead[layer]) / count
        peak = (float(seen.peak[layer]) - 1) / room
        least, most_dead, highest = _by_chance(tokens, k, count, limits.chance)
        highest = (highest - 1) / room
        if entropy < min(limits.entropy, least):
            alarms.append(Alarm(layer, index, "entropy", entropy, limits.entropy, least))
        if dead >= limits.dead and dead > most_dead:
            alarms.append(Alarm(layer, index, "dead", dead, limits.dead, most_dead))
        if peak > max(limits.peak, highest):
            alarms.append(Alarm(layer, index, "peak", peak, limits.peak, highest))
    return alarms


def _by_chance(tokens: int, k: int, count: int, chance: float) -> tuple[float, float, float]:
    """The least entropy, the largest share of dead experts, and the largest load over its mean that even routing goes beyond
    only with probability ``chance``: k different experts for each token, all sets as likely, tokens independent.

    That d certain experts are never chosen has probability ``(C(N-d, k) / C(N, k)) ** tokens``, that any are at most C(N, d)
    times that. A load is binomial, and the largest of N exceeds a value at most N times as often as one does. The entropy is
    short of its most by half of a chi-squared variable of N - 1 degrees of freedom over the draws (Miller 1955), whose
    quantile is that of Wilson and Hilferty 1931; this wants at least five draws for each expert, and of fewer nothing is said.
    """
    dead = next(
        (d for d in range(1, count - k + 1) if _log_of_dead(tokens, k, count, d) <= math.log(chance)), count - k + 1
    )
    most = _quantile(tokens, k / count, chance / count)
    least = 0.0
    if tokens * k >= 5 * count:
        degrees = count - 1
        third = 1 - 2 / (9 * degrees) + NormalDist().inv_cdf(1 - chance) * math.sqrt(2 / (9 * degrees))
        least = max(0.0, 1 - degrees * max(third, 0.0) ** 3 / (2 * tokens * k * math.log(count)))
    return least, (dead - 1) / count, most / (tokens * k / count)


def _log_of_dead(tokens: int, k: int, count: int, dead: int) -> float:
    never = math.log(math.comb(count - dead, k)) - math.log(math.comb(count, k))
    return math.log(math.comb(count, dead)) + tokens * never


def _quantile(tokens: int, share: float, chance: float) -> int:
    """The largest number that a binomial variable exceeds with a probability of more than ``chance``, plus 1."""
    beyond = 0.0
    for value in range(tokens, -1, -1):
        log = math.lgamma(tokens + 1) - math.lgamma(value + 1) - math.lgamma(tokens - value + 1)
        beyond += math.exp(log + value * math.log(share) + (tokens - value) * math.log1p(-share))
        if beyond > chance:
            return value
    return 0
