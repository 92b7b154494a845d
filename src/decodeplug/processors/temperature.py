"""Temperature: how sharp the distribution is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from decodeplug.errors import BadOption
from decodeplug.processors.option_checks import number_between
from decodeplug.values import Seen, Stage

__all__ = ["Temperature"]

# Below this, each row is moved to a maximum of zero before it is divided: nothing overflows, and
# scores near the best keep the precision that the noise of sampling is compared with.
SHIFT_BELOW = 2.0**-10


@dataclass(frozen=True, slots=True)
class Temperature:
    """Divide the scores by a temperature.

    0 keeps the best token alone (the lowest id among equals), 1 changes nothing,
    and the higher it is, the nearer the allowed tokens come to equal chances.

    Equal to transformers' ``TemperatureLogitsWarper`` where that is defined (above
    0), and to the last bit from 2**-10 on; below, scores differ from
    its by one constant in each row, which no choice depends on.

    :param temperature: A finite number of at least 0.
    :raises BadOption: It is negative, infinite or no number.
    Source: Ackley, Hinton and Sejnowski 1985, "A learning algorithm for Boltzmann machines".
    """

    temperature: float = 1.0
    name: ClassVar[str] = "temperature"
    stage: ClassVar[Stage] = Stage.TEMPERATURE
    keeps_argmax: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number_between(self.name, 0, math.inf, temperature=self.temperature)
        if math.isinf(self.temperature):
            raise BadOption(self.name, temperature=self.temperature, wanted="a finite number")

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return the scaled scores.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: Unused.
        :returns: ``[rows, vocab]``; at temperature 1 ``scores`` itself.
        """
        if self.temperature == 1:
            return scores
        if self.temperature == 0:
            best = scores.argmax(dim=-1, keepdim=True)  # torch promises the first one on ties
            return torch.full_like(scores, -math.inf).scatter(-1, best, scores.gather(-1, best))
        limits = torch.finfo(scores.dtype)
        if self.temperature >= SHIFT_BELOW:
            # An infinite divisor would turn -inf into NaN.
            return scores / min(self.temperature, limits.max)
        best = scores.amax(dim=-1, keepdim=True).clamp(min=limits.min)  # -inf minus -inf would be NaN
        below = scores - best
        # The quotient alone may leave the range, towards -inf, where the probability is 0 anyway.
        return torch.where(below < 0, below / max(self.temperature, limits.tiny), below)
