"""How rows of scores are cut down to the tokens that stay.

On the CPU these work through numpy's view of the same memory: for one row of
49,152 scores its partition, sort and gather take a tenth of torch's time.
On any other device nothing is read back to the host.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ["at_least", "best_of", "exactly", "largest", "on_numpy", "only"]


def on_numpy(scores: Tensor) -> bool:
    """Does numpy see these scores without a copy? On the CPU, in float32 and float64, where no gradient is wanted."""
    return scores.is_cpu and scores.dtype in (torch.float32, torch.float64) and not scores.requires_grad


def largest(scores: Tensor, count: int) -> Tensor:
    """The ``count`` largest scores of each row, best first.

    :param scores: ``[rows, vocab]``; not modified.
    :param count: How many; no more than the row has are returned.
    :returns: ``[rows, min(count, vocab)]``.
    """
    vocab = scores.shape[-1]
    count = min(count, vocab)
    if count == 1:
        return scores.amax(dim=-1, keepdim=True)
    if not on_numpy(scores):
        return scores.topk(count, dim=-1).values
    rows = scores.numpy()
    best = np.partition(rows, vocab - count, axis=-1)[:, vocab - count :] if count < vocab else rows
    return torch.from_numpy(np.sort(best, axis=-1)[:, ::-1].copy())


def only(scores: Tensor, kept: Tensor) -> Tensor:
    """Scores with every token outside ``kept`` at ``-inf``.

    :param scores: ``[rows, vocab]``; not modified. :param kept: ``[rows, vocab]`` bool.
    """
    if not on_numpy(scores):
        return torch.where(kept, scores, -math.inf)
    return _gathered(scores, kept.numpy())


def at_least(scores: Tensor, floor: Tensor) -> Tensor:
    """Scores with everything below ``floor`` at ``-inf``; equal scores share one fate.

    :param scores: ``[rows, vocab]``; not modified. :param floor: ``[rows, 1]``.
    """
    if not on_numpy(scores):
        return torch.where(scores >= floor, scores, -math.inf)
    return _gathered(scores, scores.numpy() >= floor.numpy())


def exactly(scores: Tensor, floor: Tensor, count: Tensor) -> Tensor:
    """The ``count`` best tokens of each row; among equal scores the lowest ids stay.

    That order makes the choice depend on the scores alone, not on the device or
    on which other rows there are.

    :param scores: ``[rows, vocab]``; not modified.
    :param floor: ``[rows, 1]``, the ``count``-th largest score of the row.
    :param count: ``[rows, 1]`` int64, at least 1.
    """
    if on_numpy(scores):
        return _exactly_on_numpy(scores, floor, count)
    above, tied = scores > floor, scores == floor
    places = count - above.sum(dim=-1, keepdim=True)
    return torch.where(above | (tied & (tied.cumsum(dim=-1) <= places)), scores, -math.inf)


def _gathered(scores: Tensor, kept: np.ndarray) -> Tensor:
    out = torch.full_like(scores, -math.inf, memory_format=torch.contiguous_format)
    flat = scores.contiguous().view(-1).numpy()
    # A gather by index beats a select by mask, because few tokens stay.
    index = np.flatnonzero(kept)
    out.view(-1).numpy()[index] = flat[index]
    return out


def _exactly_on_numpy(scores: Tensor, floor: Tensor, count: Tensor) -> Tensor:
    out = torch.full_like(scores, -math.inf, memory_format=torch.contiguous_format)
    rows = zip(scores.numpy(), out.numpy(), floor.flatten().tolist(), count.flatten().tolist(), strict=True)
    for row, target, least, wanted in rows:
        near = np.flatnonzero(row >= least)
        kept = best_of(near, row[near], min(wanted, near.size))
        target[kept] = row[kept]
    return out


def best_of(ids: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` ids with the best scores; among equal scores the lowest ids.

    :param ids: ``[n]`` ascending. :param scores: ``[n]`` their scores. :param count: 0 to ``n``.
    """
    if count >= ids.size:
        return ids
    if count == 0:
        return ids[:0]
    floor = np.partition(scores, ids.size - count)[ids.size - count]
    kept = np.flatnonzero(scores >= floor)
    if kept.size > count:
        tied = np.flatnonzero(scores[kept] == floor)
        kept = np.delete(kept, tied[count - kept.size :])
    return ids[kept]
