"""Keys and values of one layer in one forward, attended where they are: what was coded, and the last ids as they are."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from decodeplug.caches.coded.past import RECENT
from decodeplug.caches.lazy import LazyRows
from decodeplug.caches.pieces import InPieces, Reading, Run

if TYPE_CHECKING:
    from decodeplug.caches.coded.layers import CodedLayer

__all__ = ["CodedRows"]


class CodedRows(InPieces):
    """See :class:`InPieces`. It lives as long as some attention of the forward reads it: what is decoded is not kept.

    :param recent: Keys and values of the last ids, ``[lanes, heads, slots, dim]``.
    """

    def __init__(self, layer: CodedLayer, recent: tuple[Tensor, Tensor]) -> None:
        self.layer, self.recent = layer, recent

    @cached_property
    def _decoded(self) -> tuple[Tensor, Tensor]:
        return self.layer.decoded(self.recent[0])

    def rows(self) -> tuple[Tensor, Tensor]:
        """Keys and values, ``[lanes, heads, length, dim]``, put together only if somebody reads them as tensors."""
        keys, values = (
            LazyRows(self, (*rows.shape[:2], self.reading.length, rows.shape[3]), rows, partial(self.whole, number))
            for number, rows in enumerate(self.recent)
        )
        return keys, values

    def whole(self, number: int) -> Tensor:
        """Keys (0) or values (1) in one tensor; zeros where a lane has none."""
        recent, past = self.recent[number], self.layer.past
        lanes, heads, _, dim = recent.shape
        rows = recent.new_zeros((lanes, heads, self.reading.length, dim))
        for run in self.reading.runs:
            found = self._of(run, number)
            for place, lane in enumerate(run.lanes):
                rows[lane, :, run.slot : run.slot + run.rows] = found[place if run.stride else 0]
        past.copied += rows.numel() * rows.element_size()
        return rows

    @property
    def reading(self) -> Reading:
        return self.layer.past.reading

    def rows_of_runs(self) -> list[tuple[Tensor, Tensor]]:
        return [(self._of(run, 0), self._of(run, 1)) for run in self.reading.runs]

    def _of(self, run: Run, number: int) -> Tensor:
        """The rows of a run, ``[1, heads, rows, dim]``, or of each of its lanes where they differ."""
        if run.parts:
            whole = torch.cat([self._of(part, number) for part in run.parts], dim=2)
            self.layer.past.copied += whole.numel() * whole.element_size()
            return whole
        if run.slab == RECENT:
            return self.recent[number][run.lanes[0] : run.lanes[-1] + 1, :, : run.rows]
        rows = self._decoded[number].flatten(0, 1)
        _, heads, dim = rows.shape
        by_id, by_head, by_number = rows.stride()
        return rows.as_strided(
            (len(run.lanes) if run.stride else 1, heads, run.rows, dim),
            (run.stride * by_id, by_head, by_id, by_number),
            rows.storage_offset() + run.begin * by_id,
        )
