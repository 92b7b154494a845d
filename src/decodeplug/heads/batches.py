"""Rows of text as padded batches, in an order that a seed and the number of a step decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from decodeplug.heads.frozen import Kept

__all__ = ["Batch", "batch_of", "indices_at"]


class Batch(NamedTuple):
    """Some rows, padded behind.

    :ivar ids: ``[rows, positions]`` int64. :ivar hidden: ``[rows, positions, hidden]`` float32.
    :ivar best: ``[rows, positions]`` int64: what the model would choose after each position; nothing where it is not asked for.
    :ivar starts: ``[rows, 1]``: index of the first id that counts. :ivar lengths: ``[rows, 1]``: ids of each row.
    """

    ids: Tensor
    hidden: Tensor
    best: Tensor
    starts: Tensor
    lengths: Tensor

    def counts(self, ahead: int) -> Tensor:
        """Where a guess counts: ``[rows, positions]`` bool.

        At position ``p`` it is of the token at ``p + ahead + 1``, which the model chooses one position before: the row
        must reach there (after an end token there is nothing to foresee), and it must not be of the prompt.
        """
        foreseen = torch.arange(self.ids.shape[1], device=self.ids.device) + ahead + 1
        return (foreseen < self.lengths) & (foreseen >= self.starts)


def batch_of(kept: Kept, indices: Sequence[int], device: torch.device, *, choices: bool = True) -> Batch:
    """The rows of these indices, on a device.

    :param choices: Say what the model would choose, too, which takes a product with all of its output layer, once.
    """
    rows = [kept.rows[index] for index in indices]
    ids = pad_sequence([torch.tensor(row.ids, dtype=torch.int64) for row in rows], batch_first=True)
    hidden = pad_sequence([kept.hidden(index).float() for index in indices], batch_first=True)
    chosen = [kept.chosen(index) for index in indices] if choices else [torch.empty(0, dtype=torch.int64)]
    best = pad_sequence(chosen, batch_first=True)
    bounds = torch.tensor([[row.start, len(row.ids)] for row in rows])
    moved = [part.to(device, non_blocking=True) for part in (ids, hidden, best, bounds[:, :1], bounds[:, 1:])]
    return Batch(*moved)


def indices_at(step: int, rows: int, size: int, seed: int) -> list[int]:
    """Which rows the batch of a step has. Every row comes up once in ``rows // size`` steps, in an order of its own each time.

    :param size: Rows of a batch; no more than there are.
    """
    size = min(size, rows)
    round_, place = divmod(step, rows // size)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed((seed << 20) + round_))
    return order[place * size : (place + 1) * size].tolist()
