"""Layers whose rows lie in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

from decodeplug.caches.lazy import LazyRows
from decodeplug.caches.paged.placement import Placement
from decodeplug.caches.paged.store import BlockRows
from decodeplug.caches.pieces import InPieces
from decodeplug.caches.states import StateLayer, WithState

__all__ = ["PagedHybrid", "PagedIndexed", "PagedLayer"]


class PagedLayer(InPieces, CacheLayerMixin):
    """Keys and values of one attention layer, whatever its window: the mask makes the window.

    :param placement: Of the forward in progress; the same object for all layers of a window.
    :param stores: Keys, values, and what else has a row for each id.
    """

    number_of_stores = 2
    is_croppable = False
    is_sliding = False

    def __init__(self, placement: Placement, stores: Sequence[BlockRows], **kwargs: Any) -> None:
        super().__init__()
        self.placement, self.stores = placement, stores
        self.is_initialized = False

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Memory is taken by the first write."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write ``[lanes, heads, width, head_dim]``; return all rows, ``[lanes, heads, length, head_dim]``."""
        found: list[Tensor] = []
        for store, new in zip(self.stores, (key_states, value_states), strict=False):
            store.write(new, self.placement)
            if not self.placement.longest:  # no lane holds anything yet: these are all rows
                found.append(new)
                continue
            lanes, heads, _, dim = new.shape
            found.append(
                LazyRows(
                    self, (lanes, heads, self.placement.length, dim), new, partial(store.gather, self.placement, lanes)
                )
            )
        # Some models look whether their layer has keys yet.
        self.is_initialized, (self.keys, self.values) = True, found
        return self.keys, self.values

    @property
    def reading(self) -> Placement:
        return self.placement

    def rows_of_runs(self) -> list[tuple[Tensor, Tensor]]:
        placement, (first, second) = self.placement, self.stores[:2]
        return [
            (first.of(run, placement, 0, number), second.of(run, placement, 1, number))
            for number, run in enumerate(placement.runs)
        ]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.placement.longest + query_length, 0

    def get_seq_length(self) -> int:
        return self.placement.longest

    def get_max_length(self) -> int:
        return -1


class PagedIndexed(PagedLayer):
    """A layer with sparse attention, whose indexer has keys of its own ``[lanes, length, dim]``."""

    number_of_stores = 3

    def update_indexer(self, indexer_key_states: Tensor) -> Tensor:
        self.stores[2].write(indexer_key_states.unsqueeze(1), self.placement)
        return self.stores[2].gather(self.placement, len(indexer_key_states)).squeeze(1)


class PagedHybrid(WithState, PagedLayer):
    """A layer that has both a state and keys and values."""

    def __init__(
        self, placement: Placement, stores: Sequence[BlockRows], number_of_states: int = 1, **kwargs: Any
    ) -> None:
        PagedLayer.__init__(self, placement, stores)
        StateLayer.__init__(self, number_of_states=number_of_states)
