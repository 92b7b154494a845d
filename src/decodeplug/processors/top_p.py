"""Top-p (nucleus sampling): the best tokens that together reach a mass of p."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from decodeplug.precision import widest
from decodeplug.processors.keep import best_of, exactly, on_numpy
from decodeplug.processors.option_checks import number_between, whole_number
from decodeplug.values import Seen, Stage

__all__ = ["TopP", "nucleus_by_sorting"]

SORTED_AT_ONCE = 1024  # scores that are sorted as fast as they are put into bins
BINS = 2048  # of a flat row of 49,152 scores some 24 are in the last one looked at


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
        _copy_nucleus(row, masses, target, top_p, least)
    return out


def _copy_nucleus(row: np.ndarray, masses: np.ndarray, target: np.ndarray, top_p: float, least: int) -> None:
    """Copy the scores of one row's nucleus, looking only at tokens that can belong to it."""
    total = float(masses.sum(dtype=np.float64))  # not quite 1: softmax adds up in float32
    # Tokens below a share of (1 - p) / vocab have less than 1 - p together, so those above reach p
    # without them. Half of that share leaves room for rounding.
    candidates = np.flatnonzero(masses >= total * (1 - top_p) / (2 * masses.size))
    if candidates.size == 0:  # a row of -inf, or of numbers that are none
        return
    everywhere = candidates.size == row.size
    scores = row if everywhere else row[candidates]
    floor, size = _limit(scores, masses if everywhere else masses[candidates], top_p * total)
    if size < least:
        kept = best_of(np.arange(row.size), row, least)
        target[kept] = row[kept]
        return
    inside = scores >= floor
    surplus = int(np.count_nonzero(inside)) - size
    if surplus:
        inside[np.flatnonzero(scores == floor)[-surplus:]] = False  # among equal scores the lowest ids stay
    if everywhere:
        np.copyto(target, row, where=inside)
    else:
        target[candidates[inside]] = scores[inside]


def _limit(scores: np.ndarray, masses: np.ndarray, wanted: float) -> tuple[float, int]:
    """The lowest score of the fewest best tokens whose masses reach ``wanted``, and how many these are."""
    count = 0
    while scores.size > SORTED_AT_ONCE and (low := scores.min()) < (high := scores.max()):
        # A histogram costs less than sorting: what matters is in the bin where the limit lies. It is one of
        # scores, since the masses of different scores may round to one number.
        bins = ((scores - low) / (high - low) * BINS).astype(np.int32)
        reached = np.bincount(bins, weights=masses)[::-1].cumsum()
        place = min(int(np.searchsorted(reached, wanted)), reached.size - 1)
        limit = reached.size - 1 - place
        count += int(np.count_nonzero(bins > limit))
        wanted -= reached[place - 1] if place else 0.0
        inside = np.flatnonzero(bins == limit)
        scores, masses = scores[inside], masses[inside]
    # Equal scores have equal masses, so both orders are one.
    reached = np.cumsum(np.sort(masses)[::-1], dtype=np.float64)
    size = min(int(np.searchsorted(reached, wanted)) + 1, scores.size)
    return float(np.partition(scores, scores.size - size)[scores.size - size]), count + size


def nucleus_by_sorting(scores: Tensor, top_p: float, least: int) -> tuple[Tensor, Tensor]:
    """Lowest score and size of each row's nucleus, sorting all of it; nothing is read back.

    :param scores: ``[rows, vocab]`` on any device; not modified.
    :param top_p: The mass. :param least: Smallest size.
    :returns: ``[rows, 1]`` scores and ``[rows, 1]`` int64 sizes.
    """
    ordered = scores.sort(dim=-1, descending=True).values
    wide = widest(scores.device)
    reached = ordered.softmax(dim=-1, dtype=wide).cumsum(dim=-1)
    sizes = (reached < top_p).sum(dim=-1, keepdim=True) + 1
    sizes = sizes.clamp(min=least, max=scores.shape[-1])
    return ordered.gather(-1, sizes - 1), sizes
