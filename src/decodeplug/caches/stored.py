"""A cache that keeps the input of each attention layer instead of the keys and values that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from decodeplug.caches.absorbed import attend_absorbed
from decodeplug.caches.dense import DenseLanes
from decodeplug.caches.layers import KeyValueLayer, SlotBuffer
from decodeplug.caches.lazy import LazyRows, forget_rows
from decodeplug.caches.projection import Calls, Projection
from decodeplug.caches.seam import LayerPlan
from decodeplug.caches.slots import Slots
from decodeplug.errors import IncompatibleParts

__all__ = ["StoredInput"]


@dataclass(frozen=True, slots=True)
class StoredInput:
    """Keep what keys and values are made of, where that is fewer numbers: half of them for GPT-2 and its kind. Exact.

    It needs layers whose keys and values are one matrix times an input and nothing else (so positions must not turn them), and are
    together more numbers than that. Other layers of the same model are kept as in ``dense``.

    A step attends to the inputs themselves, with queries that the matrix of the keys was applied to; wide forwards make keys
    and values of them again.

    Source: the products are reordered as in DeepSeek-V2, arXiv:2405.04434, section 2.1.2, with the whole input as latent.
    """

    name: ClassVar[str] = "stored-input"
    exact: ClassVar[bool] = True
    can_rewind: ClassVar[bool] = True

    def check(self, plan: LayerPlan) -> None:
        """Refuse a model of which no layer would be kept in fewer numbers.

        :raises IncompatibleParts: Because of what its keys are.
        """
        if not any(plan.projections()):
            raise IncompatibleParts(
                f"cache {self.name!r}",
                type(plan.model).__name__,
                because="no layer of it has keys and values that are one matrix times its input, and more numbers than that: "
                "positions turn the keys, as in most models since 2021, or heads share them, or a hook, an adapter or an "
                "attention kernel of another kind keeps that from being seen",
                instead="Use cache='dense' or cache='paged'",
            )

    def open(self, plan: LayerPlan) -> StoredLanes:
        """A new cache without lanes; memory is taken by the first forward."""
        return StoredLanes(plan)


class StoredLanes(DenseLanes):
    """See :class:`decodeplug.caches.seam.LaneCache`.

    :ivar calls: What the linear layers of :class:`Projection` were given and made in the forward in progress: the target puts it
        in, each layer takes its own out.
    """

    def __init__(self, plan: LayerPlan) -> None:
        self.calls: Calls = {}
        super().__init__(plan)

    def make_layers(self, plan: LayerPlan) -> list[Any]:
        layers = super().make_layers(plan)
        for number, projection in enumerate(plan.projections()):
            if projection is not None:
                layers[number] = StoredLayer(self.slots, projection, self.calls)
        return layers

    def begin(self, lanes: Sequence[int], feeds: Sequence[Sequence[int]], width: int) -> None:
        self.calls.clear()  # of a forward that failed
        super().begin(lanes, feeds, width)

    def commit(self) -> None:
        super().commit()
        forget_rows(self.rows)


class StoredLayer(KeyValueLayer):
    """The inputs of one attention layer, in one buffer ``[lanes, slots, input]``."""

    def __init__(self, slots: Slots, projection: Projection, calls: Calls) -> None:
        super().__init__(slots)
        self.buffers = (SlotBuffer(slots),)
        self.projection, self.calls = projection, calls

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the inputs of ``[lanes, heads, width, head_dim]``; return all rows, ``[lanes, heads, length, head_dim]``.

        :raises IncompatibleParts: A hook or an adapter has come since the texts began.
        """
        lanes, _, width, _ = key_states.shape
        projection, calls = self.projection, self.calls
        given = projection.made(calls, key_states, value_states)
        if given is None:
            raise IncompatibleParts(
                "cache 'stored-input'",
                "the model",
                because="it has hooks or adapters that came while texts were written, and may change their keys",
                instead="Change the model between two texts, or use cache='dense'",
            )
        calls.pop(projection.keys.part)
        calls.pop(projection.values.part, None)
        rows = self.buffers[0].write(given.reshape(lanes, width, -1))
        # Without ids held these are all.
        found = Inputs(projection, rows).rows() if self.slots.longest else (key_states, value_states)
        # Some models look whether their layer has keys yet.
        self.is_initialized, (self.keys, self.values) = True, found
        return found


class Inputs:
    """What keys and values of one forward are made of. See :class:`decodeplug.caches.lazy.Source`.

    :param inputs: ``[lanes, length, input]``.
    """

    def __init__(self, projection: Projection, inputs: Tensor) -> None:
        self.projection, self.inputs = projection, inputs

    def rows(self) -> tuple[Tensor, Tensor]:
        """Keys and values that are made only if somebody reads them."""
        lanes, length, _ = self.inputs.shape
        keys, values = self.projection.keys, self.projection.values
        return (
            LazyRows(self, (lanes, keys.heads, length, keys.dim), self.inputs, partial(keys.of, self.inputs)),
            LazyRows(self, (lanes, values.heads, length, values.dim), self.inputs, partial(values.of, self.inputs)),
        )

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
