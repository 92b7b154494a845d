"""The cache that keeps keys and values in blocks, which texts share."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from transformers.cache_utils import Cache

from decodeplug.caches.dense import LayeredCache
from decodeplug.caches.layers import moved_lanes
from decodeplug.caches.lazy import forget_rows
from decodeplug.caches.paged.layers import PagedHybrid, PagedIndexed, PagedLayer
from decodeplug.caches.paged.pages import PageGroup, Pages
from decodeplug.caches.paged.placement import Placement
from decodeplug.caches.paged.pool import NoRoom
from decodeplug.caches.paged.tables import Copy, Lanes
from decodeplug.caches.seam import LayerPlan
from decodeplug.caches.states import LaneStates, layer_kinds
from decodeplug.errors import CacheFull
from decodeplug.inference import inference
from decodeplug.whole import whole_number

__all__ = ["Paged", "PagedLanes"]

_ALIKE = 32
_LARGEST = 4096
"""Ids of a block; larger ones would share nothing and waste much."""


@dataclass(frozen=True, slots=True)
class Paged:
    """Keys and values in blocks: texts that begin alike hold the same ones, and to fork a text copies nothing.

    :param block_size: Ids of a block. Of the last block of a text, at most ``block_size - 1`` slots are unused.
    :param max_bytes: Bytes that blocks may take, None: any number.
    :param idle_bytes: Bytes of blocks that no text holds any more, and that are kept for texts that begin with the
        same ids; those that were used longest ago go first. 0: none.
    :raises BadOption: One of them is no whole number, or out of its range.
    Source: Kwon et al. 2023, arXiv:2309.06180, section 4; blocks that are kept for their ids: Zheng et al. 2023,
    arXiv:2312.07104, section 3.
    """

    block_size: int = 16
    max_bytes: int | None = None
    idle_bytes: int = 1 << 28
    name: ClassVar[str] = "paged"
    exact: ClassVar[bool] = True
    can_rewind: ClassVar[bool] = True
    knows_texts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        part = "cache 'paged'"
        whole_number(part, "block_size", self.block_size, 1, _LARGEST)
        whole_number(part, "idle_bytes", self.idle_bytes, 0)
        whole_number(part, "max_bytes", self.max_bytes, 1, or_none=True)

    def open(self, plan: LayerPlan) -> PagedLanes:
        """A new cache without lanes; memory is taken by the first forward."""
        pages, model = plan.shared.get(self), plan.state()
        if pages is None or not pages.is_of(model):
            layers = [
                (window, getattr(KINDS[kind], "number_of_stores", 0))
                for kind, window in zip(plan.kinds, plan.windows, strict=True)
            ]
            pages = plan.shared[self] = Pages(layers, self.block_size, self.max_bytes, self.idle_bytes, model)
        return PagedLanes(plan, pages)


KINDS = layer_kinds(PagedLayer, PagedIndexed, PagedHybrid)


class Part(NamedTuple):
    """What a session has of a group of layers."""

    group: PageGroup
    tables: Lanes
    placement: Placement


class PagedLanes:
    """See :class:`decodeplug.caches.seam.KnowingCache`.

    :param pages: Where the rows are; other sessions over the model have theirs there, too.
    """

    takes_spare_lanes = True

    def __init__(self, plan: LayerPlan, pages: Pages) -> None:
        self.pages, self._plan = pages, plan
        # A forward more is worth some ids; where memory is short, it is worth a block.
        self.alike = pages.size if pages.most is not None else -(-_ALIKE // pages.size) * pages.size
        parts = {window: Part(g, Lanes(g.pool, window), Placement()) for window, g in pages.groups.items()}
        self.parts = list(parts.values())
        layers: list[Any] = [
            KINDS[kind](placement=parts[window].placement if stores else None, stores=stores, number_of_states=states)
            for kind, states, window, stores in zip(plan.kinds, plan.states, plan.windows, pages.layers, strict=True)
        ]
        self.states = LaneStates(layers, plan.device)
        self.cache: Cache = LayeredCache(layers, self.parts[0].placement)
        self.device = plan.device
        self.copied_bytes = 0
        self._is_current: bool | None = None
        self._lanes: Sequence[int] = ()
        self._feeds: Sequence[Sequence[int]] = ()
        weakref.finalize(self, pages.leave, [part.tables for part in self.parts])

    @property
    def held(self) -> list[int]:
        return self.parts[0].tables.held

    @property
    def is_measured(self) -> bool:
        """Is it known how many bytes a block has, or does nobody want to know?"""
        return self.pages.most is None or all(part.group.block_bytes or not part.group.stores for part in self.parts)

    @property
    def knows(self) -> bool:
        return self._plan.splits()

    def reuse(self, lane: int, feed: Sequence[int]) -> int:
        found = [part.tables.known(lane, feed) for part in self.parts]
        count = min(map(len, found))
        ids, size = [*self.parts[0].tables.ids[lane], *feed], self.pages.size
        already = len(ids) - len(feed)
        if count * size <= already or not self._belongs():
            return 0
        for part, blocks in zip(self.parts, found, strict=True):
            part.tables.reuse(lane, blocks[:count], ids[: count * size])
        return count * size - already

    def begin(self, lanes: Sequence[int], feeds: Sequence[Sequence[int]], width: int) -> None:
        counts = list(map(len, feeds))
        for group, tables, placement in self.parts:
            self.pages.limit(group)
            copies: list[Copy] = []
            tables.spread(lanes, counts)
            try:
                for lane, count in zip(lanes, counts, strict=True):
                    copies += self._room_for(group, tables, lane, count)
            finally:
                group.pool.spread([])
                self.copied_bytes += group.copy(copies)
            placement.aim(tables, group.pool.slabs, lanes, counts, width)
        self.states.begin(lanes, self.held, width)
        self._lanes, self._feeds = lanes, feeds

    def _room_for(self, group: PageGroup, tables: Lanes, lane: int, count: int) -> list[Copy]:
        try:
            return tables.room_for(lane, count)
        except NoRoom:
            self.pages.reclaim(group)
        try:
            return tables.room_for(lane, count)
        except NoRoom as full:
            missing = full.blocks - group.pool.held - group.pool.free
            wanted = self.pages.bytes_taken + missing * group.block_bytes
            raise CacheFull(wanted, self.pages.most or 0, lane=lane) from full

    def commit(self) -> None:
        self.states.commit(self.held)
        for part in self.parts:
            part.placement.end()
            for lane, feed in zip(self._lanes, self._feeds, strict=True):
                part.tables.append(lane, feed)
        forget_rows(self.cache.layers)
        self._is_current = None

    def learn(self) -> None:
        if self.knows and self._belongs():
            for part in self.parts:
                part.tables.learn()

    def _belongs(self) -> bool:
        """Is the model still that of the pages? Looked at once between two forwards."""
        if self._is_current is None:
            self._is_current = self.pages.is_of(self._plan.state())
        return self._is_current

    @inference
    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        if len(parents) < len(self.held):  # before what has been written is let go
            self.learn()
        self._is_current = None
        lengths = self.states.settle(parents, lengths, self.held)
        lengths = [
            length if parent < 0 or all(part.tables.holds(parent, length) for part in self.parts) else 0
            for parent, length in zip(parents, lengths, strict=True)
        ]
        for part in self.parts:
            part.tables.keep(parents, lengths)
            part.tables.leave()
        if self.states.layers:
            sources, targets = moved_lanes(parents)
            where = to = None
            if sources:
                where, to = torch.tensor([sources, targets]).to(self.device, non_blocking=True)
            self.states.rearrange(where, to, len(parents))
        self.pages.tidy()
        return self.held

    def bytes(self) -> int:
        return self.pages.bytes_held + self.states.bytes()

    def facts(self) -> dict[str, int]:
        pools = [part.group.pool for part in self.parts]
        return {
            "blocks": sum([pool.held for pool in pools]),
            "shared_blocks": sum([pool.shared for pool in pools]),
            "block_size": self.pages.size,
            "reserved_bytes": self.pages.bytes_taken,
            "copied_bytes": self.copied_bytes + sum([part.placement.gathered for part in self.parts]),
        }
