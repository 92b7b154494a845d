"""Rows of one kind, of one layer, in blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from decodeplug.caches.paged.placement import Placement
from decodeplug.caches.pieces import Run, Slab

__all__ = ["BlockRows", "Moved"]

Moved = tuple[int, int, int, int, int]
"""Rows to copy: slab and first row they are in, slab and first row they go to, how many."""


class BlockRows:
    """Memory comes slab by slab, ``[heads, blocks * size, dim]``; that of the first ones with the first write.

    Rows of one head lie side by side: attention reads them half as fast again as where heads alternate.

    :param size: Ids of a block.
    :ivar row_bytes: Bytes of a row of all heads; 0 before the first write.
    """

    __slots__ = ("_announced", "_like", "_size", "row_bytes", "slabs")

    def __init__(self, size: int) -> None:
        self._size = size
        self.slabs: dict[int, Tensor] = {}
        self._announced: list[Slab] = []
        self._like: Tensor | None = None
        self.row_bytes = 0

    def grow(self, slab: Slab) -> None:
        """There is a further slab."""
        if self._like is None:
            self._announced.append(slab)
            return
        heads, _, dim = self._like.shape
        # Not filled: on most systems memory is taken only as it is written.
        self.slabs[slab.begin] = self._like.new_empty((heads, (slab.end - slab.begin) * self._size, dim))

    def shrink(self, slab: Slab) -> None:
        """Give back its memory."""
        self.slabs.pop(slab.begin, None)
        self._announced = [other for other in self._announced if other != slab]

    def write(self, rows: Tensor, placement: Placement) -> None:
        """Write the new rows ``[lanes, heads, width, dim]`` of a forward, but for padding and spare lanes."""
        if self._like is None:
            self._begin(rows)
        single = placement.single_rows(rows.device) if len(placement.written) > 1 else None
        if single is not None:
            self.slabs[single[0]].index_copy_(1, single[1], rows[: len(single[1]), :, 0].transpose(0, 1))
            return
        for lane, first, slab, begin, count in placement.written:
            self.slabs[slab][:, begin : begin + count] = rows[lane, :, first : first + count]

    def _begin(self, rows: Tensor) -> None:
        """What rows are like is known now."""
        _, heads, _, dim = rows.shape
        self._like, self.row_bytes = rows.new_empty((heads, 0, dim)), heads * dim * rows.element_size()
        for slab in self._announced:
            self.grow(slab)
        self._announced = []

    def of(self, run: Run, placement: Placement, kind: int = 0, number: int = 0) -> Tensor:
        """The rows of a run, ``[1, heads, rows, dim]``, or of each of its lanes where they differ: as they lie, or a copy of those that
        are put together, until others of that kind and number are.

        :param kind: Among those that are read at once. :param number: Of the run in the placement.
        """
        slab = self.slabs[run.slab]
        if not run.parts:
            heads, total, dim = slab.shape
            shape = len(run.lanes) if run.stride else 1, heads, run.rows, dim
            return slab.as_strided(shape, (run.stride * dim, total * dim, dim, 1), run.begin * dim)
        placement.gathered += run.rows * self.row_bytes
        blocks = placement.blocks(run, self._size, slab)
        if blocks is not None:
            heads, total, dim = slab.shape
            # Whole blocks, of all heads in one dim: that is what the kernel divides among threads.
            whole = slab.view(heads * (total // self._size), self._size * dim)
            found = placement.room(kind, number, (len(blocks), whole.shape[1]), slab)
            torch.index_select(whole, 0, blocks, out=found)
            return found.view(1, heads, -1, dim).narrow(2, 0, run.rows)
        return torch.cat([self.of(part, placement) for part in run.parts], dim=2)

    def gather(self, placement: Placement, lanes: int) -> Tensor:
        """All rows of a forward in one tensor, ``[lanes, heads, length, dim]``; zeros where a lane has none."""
        like = next(iter(self.slabs.values()))
        whole = like.new_zeros((lanes, like.shape[0], placement.length, like.shape[2]))
        for part in [part for run in placement.runs for part in run.parts or (run,)]:
            whole[list(part.lanes), :, part.slot : part.slot + part.rows] = self.of(part, placement)
        placement.gathered += whole.numel() * whole.element_size()
        return whole

    def copy(self, moved: Sequence[Moved]) -> None:
        """Copy rows within and between slabs; a layer that has written nothing has none."""
        for source, begin, target, to, count in moved if self.slabs else ():
            self.slabs[target][:, to : to + count] = self.slabs[source][:, begin : begin + count]
