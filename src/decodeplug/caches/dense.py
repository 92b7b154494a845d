"""The default cache: one buffer per layer, every lane left-aligned in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from decodeplug.caches.layers import IndexedLayer, KeyValueLayer, moved_lanes
from decodeplug.caches.seam import LayerPlan
from decodeplug.caches.slots import Slots
from decodeplug.caches.states import HybridLayer, LaneStates, layer_kinds
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


KINDS = layer_kinds(KeyValueLayer, IndexedLayer, HybridLayer)
"""Windows are the mask's business, so a sliding layer keeps what it no longer sees: a lane can then be rewound."""


class LayeredCache(Cache):
    """transformers' container, which answers for all layers at once: they are always equally long."""

    def __init__(self, layers: Sequence[Any], slots: Any) -> None:
        super().__init__(layers=list(layers))
        self.layers: list[Any] = list(layers)
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
    """See :class:`decodeplug.caches.seam.LaneCache`.

    :ivar rows: The layers that have a row for each id. :ivar goes_on: See :meth:`LaneStates.begin`.
    """

    def __init__(self, plan: LayerPlan) -> None:
        self.slots = Slots()
        self.layers = self.make_layers(plan)
        self.states = LaneStates(self.layers, plan.device)
        self.cache: Cache = LayeredCache(self.layers, self.slots)
        self.held: list[int] = []
        self.device = plan.device
        self.goes_on = False
        self.rows: list[Any] = [layer for layer in self.layers if isinstance(layer, KeyValueLayer)]
        self._lanes: Sequence[int] = ()
        self._counts: Sequence[int] = ()

    def make_layers(self, plan: LayerPlan) -> list[Any]:
        """One for each layer of the model; called once."""
        return [
            KINDS[kind](slots=self.slots, packed=plan.packed, number_of_states=states)
            for kind, states in zip(plan.kinds, plan.states, strict=True)
        ]

    def begin(self, lanes: Sequence[int], feeds: Sequence[Sequence[int]], width: int) -> None:
        self.slots.aim(lanes, self.held, width)
        self._lanes, self._counts = lanes, list(map(len, feeds))
        self.states.begin(lanes, self.held, width, goes_on=self.goes_on)

    def commit(self) -> None:
        self.states.commit(self.held)
        for lane, count in zip(self._lanes, self._counts, strict=True):
            self.held[lane] += count

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        if self.states.layers or list(parents) != list(range(len(self.held))):
            return self._rearrange(parents, lengths)
        self.held = list(map(min, self.held, lengths))
        return list(self.held)

    @inference
    def _rearrange(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        lengths = self.states.settle(parents, lengths, self.held)
        held = [
            0 if parent < 0 else min(self.held[parent], most) for parent, most in zip(parents, lengths, strict=True)
        ]
        sources, targets = moved_lanes(parents)
        where = to = None
        if sources:
            length = max(held[lane] for lane in targets)
            where, to = torch.tensor([sources, targets]).to(self.device, non_blocking=True)
            for layer in self.rows:
                layer.move(where, to, len(parents), length)
        self.states.rearrange(where, to, len(parents))
        if not parents:  # no lane is left
            for layer in self.rows:
                layer.let_go()
        self.held = held
        return list(held)

    def bytes(self) -> int:
        return self.slots.bytes + self.states.bytes()

    def facts(self) -> dict[str, int]:
        return {"copied_bytes": self.slots.copied}
