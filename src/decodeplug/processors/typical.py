"""Typical sampling: the tokens whose information is nearest to what is expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from decodeplug.precision import widest
from decodeplug.processors.keep import on_numpy, only
from decodeplug.processors.option_checks import number_between, whole_number
from decodeplug.values import Seen, Stage

__all__ = ["Typical", "limits_by_growing", "limits_by_sorting"]

# How many of the most typical tokens are sorted at first, and when these do not reach the mass.
_TRIES = (512, 8192)


@dataclass(frozen=True, slots=True)
class Typical:
    """Keep the tokens whose surprise is nearest to the row's entropy, up to a mass.

    The same set as transformers' ``TypicalLogitsWarper``: tokens as typical as the last
    one kept stay too. The likeliest token may go, so this does not keep the argmax.

    Cost: two passes over the row and a sort of the most typical tokens; on other devices than
    the CPU a full sort, and no reading back.

    :param typical_p: The mass that the kept tokens reach, in (0, 1]. 1 changes nothing.
    :param min_tokens_to_keep: Keep this many of the most typical whatever their mass.
    :raises BadOption: ``typical_p`` is outside (0, 1], or nothing would be kept.
    Source: Meister et al. 2022, arXiv:2202.00666, section 4.
    """

    typical_p: float = 0.9
    min_tokens_to_keep: int = 1
    name: ClassVar[str] = "typical"
    stage: ClassVar[Stage] = Stage.TRUNCATE
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        number_between(self.name, 0, 1, open_low=True, typical_p=self.typical_p)
        whole_number(self.name, 1, min_tokens_to_keep=self.min_tokens_to_keep)

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with the untypical tokens at ``-inf``.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: Unused.
        """
        if self.typical_p == 1:
            return scores
        logs = scores.log_softmax(dim=-1)
        masses = logs.exp()
        # nansum: a token at -inf adds 0 * -inf. float64: so that the sum does not depend on how
        # many rows are summed together.
        expected = -(masses * logs).nansum(dim=-1, keepdim=True, dtype=torch.float64).to(scores.dtype)
        distances = (logs + expected).abs()
        find = limits_by_growing if on_numpy(scores) else limits_by_sorting
        return only(scores, distances <= find(distances, masses, self.typical_p, self.min_tokens_to_keep))


def limits_by_growing(distances: Tensor, masses: Tensor, mass: float, least: int) -> Tensor:
    """How far from the entropy a token of each row may be, sorting no more than needed.

    :param distances: ``[rows, vocab]`` on the CPU; not modified. :param masses: Likewise, probabilities.
    :param mass: What the tokens within the limit reach. :param least: How many are within at least.
    :returns: ``[rows, 1]``.
    """
    pairs = zip(distances.numpy(), masses.numpy(), strict=True)
    limits = [_limit(row, weights, mass, least) for row, weights in pairs]
    return torch.tensor(limits, dtype=distances.dtype)[:, None]


def _limit(distances: np.ndarray, masses: np.ndarray, mass: float, least: int) -> float:
    if np.isnan(distances).any():  # nothing is allowed, or the row is broken: nothing to choose
        return np.inf
    near, reached = np.arange(distances.size), np.zeros(0)
    for tried in (*_TRIES, distances.size):
        tried = min(max(tried, least), distances.size)
        near = np.argpartition(distances, tried - 1)[:tried] if tried < distances.size else np.arange(tried)
        near = near[np.argsort(distances[near])]
        reached = np.cumsum(masses[near], dtype=np.float64)
        if reached[-1] >= mass:
            break
    last = max(int(np.searchsorted(reached, mass)), least - 1)
    return float(distances[near[min(last, near.size - 1)]])


def limits_by_sorting(distances: Tensor, masses: Tensor, mass: float, least: int) -> Tensor:
    """How far from the entropy a token of each row may be; nothing is read back.

    The same as ``limits_by_growing``, on any device.
    """
    ordered, index = distances.sort(dim=-1)
    wide = widest(distances.device)
    reached = masses.gather(-1, index).cumsum(dim=-1, dtype=wide)
    last = (reached < mass).sum(dim=-1, keepdim=True)
    return ordered.gather(-1, last.clamp(min=least - 1, max=distances.shape[-1] - 1).clamp(max=distances.shape[-1] - 1))
