"""Top-p (nucleus sampling): the best tokens that together reach a mass of p."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from decodeplug.processors.keep import best_of, exactly, on_numpy
from decodeplug.processors.option_checks import number_between, whole_number
from decodeplug.values import Seen, Stage

__all__ = ["TopP", "nucleus_by_sorting"]


SORTED_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class TopP:
    """Keep the smallest number of best tokens whose probabilities sum to ``top_p``.

    The same number of tokens as transformers' ``TopPLogitsWarper``; which of equal
    scores stay is left open there, here it is the lowest ids. The mass is summed in
    float64 where transformers sums the whole vocabulary in float32, so a row whose
    mass meets ``top_p`` within its rounding (about 1e-6) may differ by a token.

    Cost: on the CPU, a pass over the row, and a search for the limit among those tokens
    only that can belong to the nucleus; on other devices a full sort, and no reading back.

    :param top_p: The mass, in [0, 1]. 1 changes nothing, 0 keeps ``min_tokens_to_keep``.
    :param min_tokens_to_keep: Keep this many of the best whatever their mass.
    :raises BadOption: ``top_p`` is outside [0, 1], or nothing would be kept.
    Source: Holtzman et al. 2019, arXiv:1904.09751, section 3.1.
    """

    top_p: float = 0.9
    min_tokens_to_keep: int = 1
    name: ClassVar[str] = "top-p"
    stage: ClassVar[Stage] = Stage.TRUNCATE
    keeps_argmax: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number_between(self.name, 0, 1, top_p=self.top_p)
        whole_number(self.name, 1, min_tokens_to_keep=self.min_tokens_to_keep)

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with everything outside the nucleus at ``-inf``.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: Unused.
        """
        if self.top_p == 1 or scores.shape[-1] <= self.min_tokens_to_keep:
            return scores
        if on_numpy(scores):
            return _cut_on_numpy(scores, self.top_p, self.min_tokens_to_keep)
        return exactly(scores, *nucleus_by_sorting(scores, self.top_p, self.min_tokens_to_keep))


def _cut_on_numpy(scores: Tensor, top_p: float, least: int) -> Tensor:
    out = torch.full_like(scores, -math.inf, memory_format=torch.contiguous_format)
    # Row by row, so that a row's sums do not depend on its neighbours.
    for row, masses, target in zip(scores.numpy(), scores.softmax(dim=-1).numpy(), out.numpy(), strict=True):
        kept = _nucleus(row, masses, top_p, least)
        target[kept] = row[kept]
    return out


def _nucleus(scores: np.ndarray, masses: np.ndarray, top_p: float, least: int) -> np.ndarray:
    """The ids of one row's nucleus, looking only at tokens that can belong to it."""
    total = float(masses.sum(dtype=np.float64))  # not quite 1: softmax adds up in float32
    # Tokens below a share of (1 - p) / vocab have less than 1 - p together, so those above reach p
    # without them. Half of that share leaves room for rounding.
    candidates = np.flatnonzero(masses >= total * (1 - top_p) / (2 * masses.size))
    if candidates.size < least:
        candidates = np.arange(masses.size)
    size = min(max(_count_reaching(masses[candidates], top_p * total), least), candidates.size)
    # By score, since the masses of different scores may round to one number.
    return best_of(candidates, scores[candidates], size)


def _count_reaching(masses: np.ndarray, wanted: float) -> int:
    """How many of the largest masses it takes to reach ``wanted``."""
    count, reached = 0, 0.0
    while masses.size > SORTED_AT_ONCE:
        # Halving costs less than sorting: each turn looks only at the half where the limit lies.
        middle = masses.size // 2
        parted = np.partition(masses, middle)
        upper = parted[middle:].sum(dtype=np.float64)
        if reached + upper >= wanted:
            masses = parted[middle:]
        else:
            reached, count, masses = reached + upper, count + masses.size - middle, parted[:middle]
    sums = reached + np.cumsum(np.sort(masses)[::-1], dtype=np.float64)
    return count + int(np.searchsorted(sums, wanted)) + 1


def nucleus_by_sorting(scores: Tensor, top_p: float, least: int) -> tuple[Tensor, Tensor]:
    """Lowest score and size of each row's nucleus, sorting all of it; nothing is read back.

    :param scores: ``[rows, vocab]`` on any device; not modified.
    :param top_p: The mass. :param least: Smallest size.
    :returns: ``[rows, 1]`` scores and ``[rows, 1]`` int64 sizes.
    """
    ordered = scores.sort(dim=-1, descending=True).values
    wide = torch.float32 if scores.device.type == "mps" else torch.float64  # MPS has no float64
    reached = ordered.softmax(dim=-1, dtype=wide).cumsum(dim=-1)
    sizes = (reached < top_p).sum(dim=-1, keepdim=True) + 1
    sizes = sizes.clamp(min=least, max=scores.shape[-1])
    return ordered.gather(-1, sizes - 1), sizes
