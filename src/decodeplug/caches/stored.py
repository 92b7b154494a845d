"""A cache that keeps the input of each attention layer instead of the keys and values that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from decodeplug.caches.absorbed import attend_absorbed
from decodeplug.caches.dense import KINDS, DenseLanes
from decodeplug.caches.layers import KeyValueLayer, SlotBuffer
from decodeplug.caches.lazy import LazyRows
from decodeplug.caches.projection import Projection
from decodeplug.caches.seam import LayerPlan
from decodeplug.caches.slots import Slots
from decodeplug.errors import IncompatibleParts

__all__ = ["StoredInput"]


@dataclass(frozen=True, slots=True)
class StoredInput:
    """Keep what keys and values are made of, where that is fewer numbers: half of them for GPT-2 and its kind. Exact.

    It needs layers whose keys do not depend on their position but by the mask, and that have as many key and value heads as
    query heads, or nearly. Other layers of the same model are kept as in ``dense``.

    A step attends to the inputs themselves, with queries that the matrix of the keys was applied to; wide forwards make keys
    and values of them again.

    Source: the products are reordered as in DeepSeek-V2, arXiv:2405.04434, section 2.1.2, with the whole input as latent.
    """

    name: ClassVar[str] = "stored-input"
    exact: ClassVar[bool] = True
    can_rewind: ClassVar[bool] = True

    def check(self, plan: LayerPlan) -> None:
        """Refuse a model of which no layer would be kept in fewer bytes.

        :raises IncompatibleParts: Because of what its keys are.
        """
        if not any(projection is not None and projection.saves for projection in plan.projections()):
            raise IncompatibleParts(
                f"cache {self.name!r}",
                type(plan.model).__name__,
                because="no layer of it has keys and values that are one matrix times its input, and more numbers than that: "
                "positions turn the keys, as in most models since 2021, or heads share them",
                instead="Use cache='dense' or cache='paged'",
            )

    def open(self, plan: LayerPlan) -> StoredLanes:
        """A new cache without lanes; memory is taken by the first forward."""
        return StoredLanes(plan)


class StoredLanes(DenseLanes):
    """See :class:`decodeplug.caches.seam.LaneCache`.

    :ivar inputs: Of the forward in progress, what linear layers were given: the target puts in those of
        :class:`Projection.keys`, each layer takes its own out.
    """

    def __init__(self, plan: LayerPlan) -> None:
        self.inputs: dict[nn.Module, Tensor] = {}
        super().__init__(plan)

    def make_layers(self, plan: LayerPlan) -> list[Any]:
        layers = super().make_layers(plan)
        for number, projection in enumerate(plan.projections()):
            plain = KINDS[plan.kinds[number]] is KeyValueLayer
            if plain and projection is not None and projection.saves:
                layers[number] = StoredLayer(self.slots, plan.packed, projection=projection, inputs=self.inputs)
        return layers

    def begin(self, lanes: Sequence[int], feeds: Sequence[Sequence[int]], width: int) -> None:
        self.inputs.clear()  # of a forward that failed
        super().begin(lanes, feeds, width)


class StoredLayer(KeyValueLayer):
    """The inputs of one attention layer, in one buffer ``[lanes, slots, input]``."""

    def __init__(
        self,
        slots: Slots,
        packed: bool = False,
        *,
        projection: Projection,
        inputs: dict[nn.Module, Tensor],
        **kwargs: Any,
    ) -> None:
        super().__init__(slots, packed)
        self.buffers = (SlotBuffer(slots),)
        self.projection, self.inputs = projection, inputs

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the inputs of ``[lanes, heads, width, head_dim]``; return all rows, ``[lanes, heads, length, head_dim]``."""
        lanes, _, width, _ = key_states.shape
        given = self.inputs.pop(self.projection.keys.part)
        rows = self.buffers[0].write(given.reshape(lanes, width, -1))
        found = key_states, value_states
        if self.slots.longest:  # else these are all
            found = Inputs(self.projection, rows, packed=self.packed).rows()
        # Some models look whether their layer has keys yet.
        self.is_initialized, (self.keys, self.values) = True, found
        return found


class Inputs:
    """What keys and values of one forward are made of. See :class:`decodeplug.caches.lazy.Source`.

    :param inputs: ``[lanes, length, input]``. :param packed: Keys and values are wanted contiguous.
    """

    def __init__(self, projection: Projection, inputs: Tensor, *, packed: bool) -> None:
        self.projection, self.inputs, self.packed = projection, inputs, packed

    def rows(self) -> tuple[Tensor, Tensor]:
        """Keys and values that are made only if somebody reads them."""
        lanes, length, _ = self.inputs.shape
        keys, values = self.projection.keys, self.projection.values
        return (
            LazyRows(self, (lanes, keys.heads, length, keys.dim), self.inputs, lambda: self._made[0]),
            LazyRows(self, (lanes, values.heads, length, values.dim), self.inputs, lambda: self._made[1]),
        )

    @cached_property
    def _made(self) -> tuple[Tensor, Tensor]:
        keys, values = self.projection.keys.of(self.inputs), self.projection.values.of(self.inputs)
        return (keys.contiguous(), values.contiguous()) if self.packed else (keys, values)

    def can_attend(self, query: Tensor, mask: Tensor | None) -> bool:
        """Only where it takes fewer operations: narrow forwards behind long texts."""
        if mask is not None and (mask.dtype != torch.bool or mask.shape[1] != 1):
            return False
        _, length, size = self.inputs.shape
        rows = query.shape[1] * query.shape[2]
        keys, values = self.projection.keys, self.projection.values
        dims, made = keys.dim + values.dim, keys.heads * keys.dim + values.heads * values.dim
        return rows * (size * dims + length * 2 * size) < length * (size * made + rows * dims)

    def attend(self, query: Tensor, mask: Tensor | None, scale: float, *, plain: bool) -> Tensor:
        lanes, heads, width, _ = query.shape
        keys, values = self.projection.keys, self.projection.values
        # A bias of the keys adds the same to all scores of a row, which changes nothing; one of the values stays what it is.
        absorbed = query.reshape(lanes, keys.heads, -1, keys.dim) @ keys.weight
        absorbed = absorbed.view(lanes, heads, width, -1)
        seen = attend_absorbed(absorbed, self.inputs, mask, scale).view(lanes, values.heads, -1, self.inputs.shape[2])
        found = seen @ values.weight.transpose(1, 2)
        if values.bias is not None:
            found = found + values.bias[:, None]
        return found.view(lanes, heads, width, -1).transpose(1, 2).contiguous()
