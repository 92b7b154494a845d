"""Where the rows of the forward in progress are written, and where attention finds those of each lane."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from decodeplug.caches.paged.pool import Slab
from decodeplug.caches.paged.tables import GONE, Lanes

__all__ = ["Placement", "Run", "Written"]

Made = TypeVar("Made")
_PIECES = 4  # runs of a lane that are attended one by one, however short they are
_LONG = 64  # rows of a run, on the average, from which on it is attended where it lies


class Run(NamedTuple):
    """Slots of some lanes that lie behind one another.

    :ivar lanes: Places of the lanes in the forward; more than one where they all have these very rows, or as many at equal distances.
    :ivar slab: First block of the slab. :ivar begin: First row in it. :ivar rows: How many.
    :ivar slot: The slot of the first one.
    :ivar stride: Rows from where those of one lane begin to where the next one's do; 0: they are the same.
    :ivar parts: The runs that it is put together from, where there are many short ones; ``slab`` and ``begin`` are the first one's.
    """

    lanes: tuple[int, ...]
    slab: int
    begin: int
    rows: int
    slot: int
    parts: tuple[Run, ...] = ()
    stride: int = 0


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
class Placement:
    """One value for all layers that have the same rows; what it says is said anew for each forward.

    :ivar lanes: How many lanes the forward has. :ivar length: The most ids of one with its new rows, padding included.
    :ivar gathered: Bytes that were put together so far for who reads rows as one tensor.
    :ivar starts: For each, how many ids it holds.
    """

    lanes: int = 0
    length: int = 0
    width: int = 0
    gathered: int = 0
    starts: list[int] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    _rows: dict[Hashable, Tensor] = field(default_factory=dict[Hashable, Tensor])
    _blocks: dict[Hashable, Tensor | None] = field(default_factory=dict[Hashable, "Tensor | None"])
    _rooms: dict[tuple[int, int], Tensor] = field(default_factory=dict[tuple[int, int], Tensor])
    _mask: Any = None
    _made: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any])

    @property
    def longest(self) -> int:
        """The most ids that a lane holds."""
        return max(self.starts, default=0)

    def remembered(self, key: Hashable, mask: Tensor | None, make: Callable[[], Made]) -> Made:
        """What is made of a mask once for all layers of this forward that have it."""
        if mask is not self._mask:
            self._made.clear()
            self._mask = mask
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

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
        self.lanes, self.width = len(lanes), width
        self.starts = [len(tables.ids[lane]) for lane in lanes]
        self.length = self.longest + width
        blocks = [
            tables.tables[lane][: -(-(start + count) // size)]
            for lane, start, count in zip(lanes, self.starts, counts, strict=True)
        ]
        self.written = [
            Written(place, run.slot - start, run.slab, run.begin, run.rows)
            for place, (table, start, count) in enumerate(zip(blocks, self.starts, counts, strict=True))
            for run in _runs((place,), table, slabs, size, start, start + count)
        ]
        self._rows.clear()
        self._blocks.clear()
        self._made.clear()
        self._mask = None
        self.runs = []
        for group, common in _families(blocks, [start // size for start in self.starts]):
            if common:
                self.runs += _in_few(_runs(group, blocks[group[0]], slabs, size, 0, common * size))
            ends = [self.starts[place] + counts[place] for place in group]
            self.runs += _side_by_side(
                [
                    _in_few(_runs((place,), blocks[place], slabs, size, common * size, end))
                    for place, end in zip(group, ends, strict=True)
                ]
            )
        together = {number for number, run in enumerate(self.runs) if run.parts}
        self._rooms = {key: room for key, room in self._rooms.items() if key[1] in together}


def _families(blocks: Sequence[Sequence[int]], whole: Sequence[int]) -> list[tuple[tuple[int, ...], int]]:
    """Lanes that begin with the same full blocks, and with how many; every lane is in one family.

    :param whole: For each lane, how many of its blocks were full before this forward.
    """
    families: dict[tuple[int, int], list[int]] = {}
    for place, table in enumerate(blocks):
        first = next((number for number, block in enumerate(table) if block != GONE), len(table))
        key = (first, table[first]) if first < whole[place] else (-1, place)
        families.setdefault(key, []).append(place)
    found: list[tuple[tuple[int, ...], int]] = []
    for members in families.values():
        common = 0
        if len(members) > 1:
            first, most = blocks[members[0]], min(whole[place] for place in members)
            while common < most and all(blocks[place][common] == first[common] for place in members[1:]):
                common += 1
        found.append((tuple(members), common))
    return found


def _in_few(runs: list[Run]) -> list[Run]:
    """Many short runs as one: they are copied together faster than attended one by one."""
    rows = sum([run.rows for run in runs])
    if len(runs) <= _PIECES or rows >= _LONG * len(runs):
        return runs
    return [runs[0]._replace(rows=rows, parts=tuple(runs))]


def _side_by_side(lanes: Sequence[list[Run]]) -> list[Run]:
    """Runs of lanes one after the other, where those of several are alike and lie at equal distances as one.

    :param lanes: Those of each lane.
    """
    found: list[Run] = []
    begin = 0
    while begin < len(lanes):
        end, strides = begin + 1, _strides(lanes[begin], lanes[begin + 1]) if begin + 1 < len(lanes) else None
        while strides is not None and end < len(lanes) and _strides(lanes[end - 1], lanes[end]) == strides:
            end += 1
        if strides is None:
            found += lanes[begin]
        else:
            places = tuple([run.lanes[0] for runs in lanes[begin:end] for run in runs[:1]])
            found += [
                run._replace(lanes=places, stride=stride) for run, stride in zip(lanes[begin], strides, strict=True)
            ]
        begin = end
    return found


def _strides(runs: Sequence[Run], others: Sequence[Run]) -> list[int] | None:
    """How far each run is from that of another lane; None where they differ in something else, too."""
    if len(runs) != len(others):
        return None
    for one, other in zip(runs, others, strict=True):
        if one.parts or other.parts or (one.slab, one.rows, one.slot) != (other.slab, other.rows, other.slot):
            return None
    strides = [other.begin - one.begin for one, other in zip(runs, others, strict=True)]
    return strides if min(strides, default=0) > 0 else None


def _runs(
    lanes: tuple[int, ...], table: Sequence[int], slabs: Sequence[Slab], size: int, begin: int, end: int
) -> list[Run]:
    """The slots ``begin .. end - 1`` of a table, in as few pieces as its blocks lie in."""
    runs: list[Run] = []
    slot = begin
    while slot < end:
        place = slot // size
        block = table[place]
        if block == GONE:
            slot = (place + 1) * size
            continue
        slab = next(slab for slab in slabs if slab.begin <= block < slab.end)
        last = place
        while (last + 1) * size < end and table[last + 1] == table[last] + 1 < slab.end:
            last += 1
        stop = min(end, (last + 1) * size)
        runs.append(Run(lanes, slab.begin, (block - slab.begin) * size + slot - place * size, stop - slot, slot))
        slot = stop
    return runs
