"""How token ids of ragged rows become one write into a score table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

__all__ = ["flat_positions", "forbid"]


def flat_positions(rows: Sequence[Mapping[int, float]], scores: Tensor) -> tuple[Tensor, Tensor]:
    """Where the tokens of each row stand in ``scores`` seen as one line, and their values.

    :param rows: For each row, token id -> value. Ids that ``scores`` has no column for are left out: a
        prompt may hold ids that the model reads but cannot write.
    :param scores: ``[rows, vocab]``; only its shape, dtype and device are used.
    :returns: int64 positions and values in the dtype of ``scores``, each on its device.
    """
    vocab = scores.shape[-1]
    total = sum(map(len, rows))
    ids = np.fromiter(chain.from_iterable(rows), np.int64, total)
    values = np.fromiter(chain.from_iterable(row.values() for row in rows), np.float64, total)
    first = np.repeat(np.arange(len(rows), dtype=np.int64) * vocab, [len(row) for row in rows])
    inside = ids < vocab
    positions = torch.from_numpy((first + ids)[inside]).to(scores.device, non_blocking=True)
    return positions, torch.from_numpy(values[inside]).to(scores.dtype).to(scores.device, non_blocking=True)


def forbid(scores: Tensor, rows: Iterable[Iterable[int]]) -> Tensor:
    """Scores with some tokens of each row at ``-inf``; ``scores`` itself where there is none.

    :param scores: ``[rows, vocab]``; not modified. :param rows: For each row, token ids.
    """
    tokens = [dict.fromkeys(row, 0.0) for row in rows]
    if not any(tokens):
        return scores
    positions, _ = flat_positions(tokens, scores)
    out = scores.clone(memory_format=torch.contiguous_format)
    out.view(-1).index_fill_(0, positions, -math.inf)
    return out
