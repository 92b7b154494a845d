"""Where the rows of the forward in progress are written, and where attention finds those of each lane."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from decodeplug.caches.paged.tables import Lanes
from decodeplug.caches.pieces import Reading, Run, Slab, as_runs, runs_of

__all__ = ["Placement", "Written"]


class Written(NamedTuple):
    """New rows of one lane that go to one place.

    :ivar lane: Place in the forward. :ivar first: First of its rows. :ivar slab, begin, rows: As of a :class:`Run`.
    """

    lane: int
    first: int
    slab: int
    begin: int
    rows: int


@dataclass(slots=True)
class Placement(Reading):
    """Where the new rows go, too.

    :ivar gathered: Bytes that were put together so far for who reads rows as one tensor.
    """

    gathered: int = 0
    written: list[Written] = field(default_factory=list)
    _rows: dict[Hashable, Tensor] = field(default_factory=dict[Hashable, Tensor])
    _blocks: dict[Hashable, Tensor | None] = field(default_factory=dict[Hashable, "Tensor | None"])
    _rooms: dict[tuple[int, int], Tensor] = field(default_factory=dict[tuple[int, int], Tensor])

    def single_rows(self, device: torch.device) -> tuple[int, Tensor] | None:
        """Where the new rows go, ``[lanes]`` int64, and in which slab, if it is one row of each lane and one slab for all."""
        slabs = {written.slab for written in self.written}
        if self.width != 1 or len(slabs) != 1 or len(self.written) != self.lanes:
            return None
        slab = slabs.pop()
        rows = self._rows.get((slab, device))
        if rows is None:
            begins = torch.tensor([written.begin for written in self.written])
            rows = self._rows[slab, device] = begins.to(device, non_blocking=True)
        return slab, rows

    def blocks(self, run: Run, size: int, slab: Tensor) -> Tensor | None:
        """The blocks of ``size`` rows that parts lie in, ``[heads * blocks]`` int64, all of a head before the next head's; None if
        they are of several slabs. Parts begin with a block, and all but the last end with one.

        :param slab: ``[heads, rows, dim]``, in which they lie.
        """
        heads, total = slab.shape[0], slab.shape[1] // size
        key = (id(run), heads, total, slab.device)  # there are too many parts to go through them for each layer
        if key not in self._blocks:
            blocks = [row // size for part in run.parts for row in range(part.begin, part.begin + part.rows, size)]
            whole = torch.tensor([[head * total] for head in range(heads)]) + torch.tensor(blocks)
            apart = any(part.slab != run.slab for part in run.parts)
            self._blocks[key] = None if apart else whole.flatten().to(slab.device, non_blocking=True)
        return self._blocks[key]

    def room(self, kind: int, number: int, shape: tuple[int, int], like: Tensor) -> Tensor:
        """Memory to put rows together in, of no particular content: that of the layer before, which has been read, and is still in
        the processor's caches.

        :param kind: Of the rows, among those that are read at once. :param number: Of their run.
        """
        size, room = shape[0] * shape[1], self._rooms.get((kind, number))
        if room is None or not size <= room.numel() <= 2 * size or room.dtype != like.dtype:
            # Some more, since the next forwards have some more rows.
            room = self._rooms[kind, number] = like.new_empty(size + size // 8)
        return room[:size].view(shape)

    def aim(
        self, tables: Lanes, slabs: Sequence[Slab], lanes: Sequence[int], counts: Sequence[int], width: int
    ) -> None:
        """Aim at a forward of ``width`` rows, of which ``counts`` are real, for each of ``lanes``; they have room."""
        size = tables.pool.block_size
        starts = [len(tables.ids[lane]) for lane in lanes]
        ends = [start + count for start, count in zip(starts, counts, strict=True)]
        blocks = [tables.tables[lane][: -(-end // size)] for lane, end in zip(lanes, ends, strict=True)]
        self.written = [
            Written(place, run.slot - start, run.slab, run.begin, run.rows)
            for place, (table, start, end) in enumerate(zip(blocks, starts, ends, strict=True))
            for run in as_runs((place,), table, slabs, size, start, end)
        ]
        self._rows.clear()
        self._blocks.clear()
        self.begin(starts, width, runs_of(blocks, starts, ends, slabs, size))
        together = {number for number, run in enumerate(self.runs) if run.parts}
        self._rooms = {key: room for key, room in self._rooms.items() if key[1] in together}
