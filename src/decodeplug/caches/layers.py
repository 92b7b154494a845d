"""Attention layers that hold ragged lanes, left-aligned: slot = position.

Buffers are allocated ahead and written by index, so dropping a draft is only a
smaller number, and growing is rare. They are zero-filled: a slot that was never
written is masked out, but zero weight times NaN would still be NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

from decodeplug.caches.slots import Slots

__all__ = ["IndexedLayer", "KeyValueLayer", "SlotBuffer"]

SMALLEST = 64
"""Slots of the first buffer; small enough to be free, large enough for a short answer."""


class SlotBuffer:
    """One tensor of some layer for all lanes: ``[lanes, slots, ...]``, grown geometrically."""

    __slots__ = ("data", "slots")

    def __init__(self, slots: Slots) -> None:
        self.data: Tensor | None = None
        self.slots = slots

    def write(self, rows: Tensor) -> Tensor:
        """Write new rows ``[batch, width, ...]`` and return all ``[batch, length, ...]``."""
        data, slots = self.data, self.slots
        if data is None or data.shape[1] < slots.length or data.shape[0] < slots.total:
            data = self._grow(rows)
        if slots.start is not None:
            seen = data if data.shape[0] == slots.batch else data.narrow(0, 0, slots.batch)
            seen.narrow(1, slots.start, slots.width).copy_(rows)
            seen = seen.narrow(1, 0, slots.length)
        else:
            lanes, where = slots.index(rows.device)
            data[lanes, where] = rows
            seen = data.narrow(1, 0, slots.length)
            if slots.lanes is None:
                seen = seen.narrow(0, 0, slots.batch)
            elif slots.lanes[-1] - slots.lanes[0] + 1 == slots.batch:
                seen = seen.narrow(0, slots.lanes[0], slots.batch)
            else:
                seen = seen.index_select(0, lanes.squeeze(1))
                slots.copied += _bytes(seen)
        return seen

    def _grow(self, rows: Tensor) -> Tensor:
        old, slots = self.data, self.slots
        lanes, capacity = slots.total, max(SMALLEST, slots.length)
        if old is not None:
            lanes = max(lanes, old.shape[0])
            capacity = old.shape[1] if old.shape[1] >= slots.length else max(2 * old.shape[1], capacity)
        capacity = -(-capacity // SMALLEST) * SMALLEST
        new = torch.zeros((lanes, capacity, *rows.shape[2:]), dtype=rows.dtype, device=rows.device)
        if old is not None:
            new[: old.shape[0], : old.shape[1]] = old
            slots.copied += _bytes(old)
        return self._take(new)

    def _take(self, data: Tensor) -> Tensor:
        self.slots.bytes += _bytes(data) - _bytes(self.data)
        self.data = data
        return data

    def move(self, sources: Tensor, targets: Tensor, lanes: int, length: int) -> None:
        """Copy the first ``length`` slots of lanes ``sources`` to lanes ``targets``, all at once."""
        data = self.data
        if data is None:
            return
        moved = data[sources.to(data.device), :length]
        self.slots.copied += _bytes(moved)
        if data.shape[0] < lanes:
            self.slots.copied += _bytes(data)
            data = self._take(torch.cat([data, data.new_zeros((lanes - data.shape[0], *data.shape[1:]))]))
        data[targets.to(data.device), :length] = moved

    def reserve(self, slots: int) -> None:
        """Have room for so many slots of each lane, once there is any."""
        data = self.data
        if data is not None and data.shape[1] < slots:
            more = data.new_zeros((data.shape[0], slots - data.shape[1], *data.shape[2:]))
            self._take(torch.cat([data, more], dim=1))

    def shrink(self, slots: int) -> None:
        """Hold so many slots, if there are twice as many; what is behind them is lost."""
        if self.data is not None and self.data.shape[1] >= 2 * slots:
            self._take(self.data[:, :slots].clone())

    def let_go(self) -> None:
        self.slots.bytes -= _bytes(self.data)
        self.data = None


def _bytes(data: Tensor | None) -> int:
    return 0 if data is None else data.numel() * data.element_size()


class KeyValueLayer(CacheLayerMixin):
    """Keys and values of one attention layer, whatever its window: the mask makes the window.

    The buffers are ``[lanes, slots, heads, head_dim]``: writing a row is one
    contiguous piece, and attention reads the slice without a copy.
    """

    is_croppable = False
    is_sliding = False

    def __init__(self, slots: Slots, packed: bool = False, **kwargs: Any) -> None:
        super().__init__()
        self.slots = slots
        self.buffers = (SlotBuffer(slots), SlotBuffer(slots))
        self.packed = packed
        self.is_initialized = False

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Buffers are made by the first write."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write ``[batch, heads, width, head_dim]``; return ``[batch, heads, length, head_dim]``."""
        keys = self.buffers[0].write(key_states.transpose(1, 2)).transpose(1, 2)
        values = self.buffers[1].write(value_states.transpose(1, 2)).transpose(1, 2)
        if self.packed:
            keys, values = keys.contiguous(), values.contiguous()
        # Some models look whether their layer has keys yet.
        self.is_initialized, self.keys, self.values = True, keys, values
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.slots.longest + query_length, 0

    def get_seq_length(self) -> int:
        return self.slots.longest

    def get_max_length(self) -> int:
        return -1

    def move(self, sources: Tensor, targets: Tensor, lanes: int, length: int) -> None:
        for buffer in self.buffers:
            buffer.move(sources, targets, lanes, length)

    def let_go(self) -> None:
        self.keys = self.values = None
        self.is_initialized = False
        for buffer in self.buffers:
            buffer.let_go()


class IndexedLayer(KeyValueLayer):
    """A layer with sparse attention, whose indexer has keys of its own ``[batch, slots, dim]``."""

    def __init__(self, slots: Slots, packed: bool = False, **kwargs: Any) -> None:
        super().__init__(slots=slots, packed=packed, **kwargs)
        self.buffers = (*self.buffers, SlotBuffer(slots))

    def update_indexer(self, indexer_key_states: Tensor) -> Tensor:
        return self.buffers[2].write(indexer_key_states)


def moved_lanes(parents: Sequence[int]) -> tuple[list[int], list[int]]:
    """Which lanes must be copied where: (sources, targets), leaving out those that stay."""
    pairs = [(parent, lane) for lane, parent in enumerate(parents) if parent not in (lane, -1)]
    return [parent for parent, _ in pairs], [lane for _, lane in pairs]
