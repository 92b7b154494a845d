"""Top-p (nucleus sampling): the best tokens that together reach a mass of p."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from decodeplug.processors.keep import exactly, on_numpy
from decodeplug.processors.option_checks import number_between, whole_number
from decodeplug.values import Seen, Stage

__all__ = ["TopP", "nucleus_by_candidates", "nucleus_by_sorting"]


@dataclass(frozen=True, slots=True)
class TopP:
    """Keep the smallest number of best tokens whose probabilities sum to ``top_p``.

    The same number of tokens as transformers' ``TopPLogitsWarper``; which of equal
    scores stay is left open there, here it is the lowest ids. The mass is summed in
    float64 where transformers sums the whole vocabulary in float32, so a row whose
    mass meets ``top_p`` within its rounding (about 1e-6) may differ by a token.

    Cost: on the CPU, one pass over the row and a sort of those tokens only that can
    belong to the nucleus; on other devices a full sort, and no reading back.

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
        find = nucleus_by_candidates if on_numpy(scores) else nucleus_by_sorting
        return exactly(scores, *find(scores, self.top_p, self.min_tokens_to_keep))


def nucleus_by_candidates(scores: Tensor, top_p: float, least: int) -> tuple[Tensor, Tensor]:
    """Lowest score and size of each row's nucleus, sorting only what can belong to it.

    Rows are treated one by one, so that a row's sums do not depend on its neighbours.

    :param scores: ``[rows, vocab]`` float32 or float64 on the CPU; not modified.
    :param top_p: The mass, below 1. :param least: Smallest size.
    :returns: ``[rows, 1]`` scores and ``[rows, 1]`` int64 sizes.
    """
    best = scores.amax(dim=-1, keepdim=True)
    masses = (scores - best).exp_()
    rows = zip(scores.numpy(), masses.numpy(), best.flatten().tolist(), strict=True)
    found = [_nucleus(*row, top_p, least) for row in rows]
    floors, sizes = zip(*found, strict=True) if found else ((), ())
    return torch.tensor(floors, dtype=scores.dtype)[:, None], torch.tensor(sizes, dtype=torch.int64)[:, None]


def _nucleus(row: np.ndarray, masses: np.ndarray, best: float, top_p: float, least: int) -> tuple[float, int]:
    if not math.isfinite(best):  # nothing is allowed, or the row is broken: nothing to choose
        return -math.inf, row.size
    total = masses.sum(dtype=np.float64)
    # Tokens below a share of (1 - p) / vocab have less than 1 - p together, so those above reach p
    # without them. Half of that share leaves room for rounding.
    share = row.dtype.type(total * (1 - top_p) / (2 * row.size))
    candidates = row[np.flatnonzero(masses >= share)]
    if candidates.size < least:
        candidates = row
    candidates = np.sort(candidates)[::-1]
    reached = np.cumsum(torch.from_numpy(candidates - row.dtype.type(best)).exp_().double().numpy())
    size = int(np.searchsorted(reached, top_p * total)) + 1
    size = min(max(size, least), candidates.size)
    return float(candidates[size - 1]), size


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
