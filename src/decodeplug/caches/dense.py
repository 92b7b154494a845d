"""The default cache: one buffer per layer, every lane left-aligned in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DummyLayer

from decodeplug.caches.layers import IndexedLayer, KeyValueLayer, moved_lanes
from decodeplug.caches.seam import LayerPlan
from decodeplug.caches.slots import Slots
from decodeplug.caches.states import HybridLayer, StateLayer
from decodeplug.inference import inference

__all__ = ["Dense", "DenseLanes"]


@dataclass(frozen=True, slots=True)
class Dense:
    """Keep everything, in the model's own precision. Dropping a draft copies nothing."""

    name: ClassVar[str] = "dense"
    exact: ClassVar[bool] = True
    can_rewind: ClassVar[bool] = True

    def open(self, plan: LayerPlan) -> DenseLanes:
        """A new cache without lanes; memory is taken by the first forward."""
        return DenseLanes(plan)


KINDS: dict[str, type] = {
    "full_attention": KeyValueLayer,
    "sliding_attention": KeyValueLayer,
    "chunked_attention": KeyValueLayer,
    "indexed_attention": IndexedLayer,
    "conv": StateLayer,
    "linear_attention": StateLayer,
    "hybrid": HybridLayer,
    "hybrid_sliding": HybridLayer,
    "dummy": DummyLayer,
}
"""Windows are the mask's business, so a sliding layer keeps what it no longer sees: a lane can then be rewound."""


class LayeredCache(Cache):
    """transformers' container, which answers for all layers at once: they are always equally long."""

    def __init__(self, layers: list[Any], slots: Slots) -> None:
        super().__init__(layers=layers)
        self.layers: list[Any] = layers
        self.slots = slots

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.slots.longest

    def get_query_offset(self, layer_idx: int = 0) -> int:
        return self.slots.longest

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        return self.slots.longest + query_length, 0

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        return self.layers[layer_idx].update(key_states, value_states)


class DenseLanes:
    """See :class:`decodeplug.caches.seam.LaneCache`."""

    def __init__(self, plan: LayerPlan) -> None:
        self.slots = Slots()
        self.layers: list[Any] = [
            KINDS[kind](slots=self.slots, packed=plan.packed, number_of_states=states)
            for kind, states in zip(plan.kinds, plan.states, strict=True)
        ]
        self.states = [layer for layer in self.layers if isinstance(layer, StateLayer)]
        self.cache: Cache = LayeredCache(self.layers, self.slots)
        self.held: list[int] = []
        self.device = plan.device
        self._old_held: list[int] = []
        self._remembered: set[int] = set()
        self._lanes: Sequence[int] = ()
        self._counts: Sequence[int] = ()
        self._index: Tensor | None = None

    def begin(self, lanes: Sequence[int], counts: Sequence[int], width: int) -> None:
        self.slots.aim(lanes, self.held, width)
        self._lanes, self._counts = lanes, counts
        if self.states:
            everyone = len(lanes) == len(self.held)
            self._index = None if everyone else torch.tensor(list(lanes)).to(self.device, non_blocking=True)
            fresh = self.held[lanes[0]] == 0
            remember = width > 1 and not fresh
            for layer in self.states:
                layer.load(lanes, self._index, fresh, remember)
            if remember:
                self._remembered.update(lanes)

    def commit(self) -> None:
        if self.states:
            for layer in self.states:
                layer.store(self._index, len(self.held))
            self._old_held = self._old_held or list(self.held)
        for lane, count in zip(self._lanes, self._counts, strict=True):
            self.held[lane] += count

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        if self.states or list(parents) != list(range(len(self.held))):
            return self._rearrange(parents, lengths)
        self.held = list(map(min, self.held, lengths))
        return list(self.held)

    @inference
    def _rearrange(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        if self.states:
            lengths = self._settle_states(parents, lengths)
        held = [
            0 if parent < 0 else min(self.held[parent], most) for parent, most in zip(parents, lengths, strict=True)
        ]
        sources, targets = moved_lanes(parents)
        if sources:
            length = max(held[lane] for lane in targets)
            where, to = torch.tensor([sources, targets]).to(self.device, non_blocking=True)
            for layer in self.layers:
                if not isinstance(layer, DummyLayer):
                    layer.move(where, to, len(parents), length)
        for layer in self.states:
            layer.resize(len(parents))
        if not parents:
            self._let_go()
        self.held = held
        return list(held)

    def _let_go(self) -> None:
        """Give the memory back: no lane is left."""
        for layer in self.layers:
            if not isinstance(layer, DummyLayer):
                layer.let_go()

    def _settle_states(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """Put states back where ids are dropped; return how many ids may really be kept.

        Lanes that continue one parent must agree about its state: it is the new
        one only if all of them keep all of it.
        """
        least: dict[int, int] = {}
        for parent, length in zip(parents, lengths, strict=True):
            if parent >= 0:
                least[parent] = min(length, least.get(parent, length))
        cut = {parent for parent, length in least.items() if length < self.held[parent]}
        old = self._old_held or self.held
        back = [parent for parent in cut if parent in self._remembered and least[parent] >= old[parent]]
        if back:
            for layer in self.states:
                layer.put_back(back)
        for layer in self.states:
            layer.before.clear()
        self._remembered.clear()
        settled = {parent: (old[parent] if parent in back else 0) for parent in cut}
        self._old_held = []
        return [settled.get(parent, length) for parent, length in zip(parents, lengths, strict=True)]

    def bytes(self) -> int:
        return self.slots.bytes + sum([layer.state_bytes() for layer in self.states])
