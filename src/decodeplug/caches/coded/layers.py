"""Layers whose older rows are coded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from decodeplug.caches.coded.codec import Codec, Codes
from decodeplug.caches.coded.past import Past
from decodeplug.caches.coded.reading import CodedRows
from decodeplug.caches.layers import IndexedLayer, KeyValueLayer, SlotBuffer
from decodeplug.caches.slots import Slots
from decodeplug.caches.states import StateLayer, WithState

__all__ = ["CodedHybrid", "CodedIndexed", "CodedLayer"]


class CodedLayer(KeyValueLayer):
    """Keys and values of one attention layer: those of the last ids in buffers, of older ones in pieces.

    :param past: Of the forward in progress; the same object for all layers. :param number: Which of those with keys it is.
    """

    def __init__(
        self, slots: Slots, past: Past, codec: Codec, number: int, packed: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(slots, packed)
        self.past, self.codec, self.number = past, codec, number
        self.buffers = (SlotBuffer(past.recent), SlotBuffer(past.recent))
        self.aside: dict[int, list[Tensor]] = {}

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write ``[lanes, heads, width, head_dim]``; return all rows, ``[lanes, heads, length, head_dim]``."""
        recent = super().update(key_states, value_states)
        if not self.past.pieces:
            return recent
        # Nothing here holds them: mostly what is decoded of one layer is gone when that of the next is made.
        rows = CodedRows(self, recent)
        if key_states.is_cpu and not self.packed:
            return rows.rows()
        return rows.whole(0), rows.whole(1)

    def decoded(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of all pieces of this forward, ``[pieces, ids, heads, dim]``."""
        pieces = self.past.pieces
        codes = tuple(torch.stack(some) for some in zip(*[piece.codes[self.number] for piece in pieces], strict=True))
        found = self.codec.decode(codes, [piece.start for piece in pieces], like)
        for place, piece in enumerate(pieces):
            for rows, whole in zip(found, piece.whole[self.number] if piece.whole else (), strict=False):
                rows[place, : len(whole)] = whole
        return found

    def encode(self, lane: int, start: int, begin: int, step: int, first: int) -> tuple[Codes, tuple[Tensor, Tensor]]:
        """Code ``step`` rows of a lane.

        :param lane: In the session. :param start: Position of the first one. :param begin: Its place in the buffers.
        :param first: How many of them stay as they are.
        :returns: The codes, and the rows that stay.
        """
        keys, values = (_rows(buffer)[lane, begin : begin + step] for buffer in self.buffers[:2])
        kept = keys[:first].clone(), values[:first].clone()
        if first:  # they are unlike all others, whose scales they would spoil
            keys, values = (
                torch.cat([rows[first : first + 1].expand(first, -1, -1), rows[first:]]) for rows in (keys, values)
            )
        return self.codec.encode(keys, values, start), kept

    def drop(self, lane: int, count: int, left: int, aside: int) -> None:
        """Let go of the first ``count`` rows of a lane, which ``left`` follow; put the last ``aside`` that are let go aside."""
        rows = [_rows(buffer)[lane] for buffer in self.buffers[:2]]
        if aside:
            before = self.aside.get(lane, [some[:0] for some in rows])
            gone = [torch.cat([old, some[:count]])[-aside:] for old, some in zip(before, rows, strict=True)]
            self.aside[lane] = gone
        for some in rows:
            some[:left] = some[count : count + left].clone()
            self.past.copied += some[:left].numel() * some.element_size()

    def take_back(self, lane: int, parent: int, count: int, left: int) -> None:
        """Let lane ``lane`` have ``count`` rows again that were put aside of lane ``parent``, before ``left`` others."""
        for buffer, aside in zip(self.buffers, self.aside[parent], strict=False):
            buffer.reserve(count + left)
            rows = _rows(buffer)[lane]
            rows[count : count + left] = rows[:left].clone()
            rows[:count] = aside[-count:]
            self.past.copied += rows[: count + left].numel() * rows.element_size()

    def shrink(self, slots: int) -> None:
        for buffer in self.buffers[:2]:
            buffer.shrink(slots)


def _rows(buffer: SlotBuffer) -> Tensor:
    assert buffer.data is not None  # a lane that holds ids has written them
    return buffer.data


class CodedIndexed(IndexedLayer, CodedLayer):
    """A layer with sparse attention, whose indexer has keys of its own; these stay as they are."""


class CodedHybrid(WithState, CodedLayer):
    """A layer that has both a state and keys and values."""

    def __init__(self, number_of_states: int = 1, **kwargs: Any) -> None:
        CodedLayer.__init__(self, **kwargs)
        StateLayer.__init__(self, number_of_states=number_of_states)
