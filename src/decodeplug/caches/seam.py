"""What the target asks of a cache, so that another kind fits behind the same door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from transformers.cache_utils import Cache

__all__ = ["CacheSpec", "LaneCache", "LayerPlan"]


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """What a model's layers keep, as far as a cache must know.

    :ivar kinds: For each layer, transformers' layer type (``full_attention``,
        ``sliding_attention``, ``linear_attention``, ``hybrid``, ``dummy`` ...).
    :ivar states: For each layer, how many conv/recurrent states it has.
    :ivar device: Where the first layer lives.
    :ivar packed: The model's attention wants contiguous keys and values.
    """

    kinds: tuple[str, ...]
    states: tuple[int, ...]
    device: torch.device
    packed: bool = False


@runtime_checkable
class CacheSpec(Protocol):
    """A cache that can be named in a recipe: its claims, and how to open one."""

    name: ClassVar[str]
    exact: ClassVar[bool]
    """True if the logits are those of the model without a cache, up to rounding."""
    can_rewind: ClassVar[bool]
    """True if drafted ids can be dropped again."""

    def open(self, plan: LayerPlan) -> LaneCache | None:
        """A new cache without lanes, or None: keep nothing and recompute."""
        ...


class LaneCache(Protocol):
    """The keys and values of some lanes. Slot ``i`` of a lane holds position ``i``.

    A forward over some lanes is ``begin``, the model's own call with ``cache``,
    ``commit``. What is written behind ``held`` is never seen: the model's mask
    hides every slot behind a row's own position.
    """

    cache: Cache
    """What the model gets."""
    held: list[int]
    """How many ids each lane holds."""

    def begin(self, lanes: Sequence[int], counts: Sequence[int], width: int) -> None:
        """Prepare for a forward of ``width`` rows for each of these lanes.

        :param lanes: Indices of lanes, ascending.
        :param counts: For each, how many of its rows are real; the rest is padding.
        """
        ...

    def commit(self) -> None:
        """The model has run: the lanes hold their new ids."""
        ...

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """See :meth:`decodeplug.contracts.Session.keep`."""
        ...

    def bytes(self) -> int:
        """Bytes of memory that are taken now."""
        ...
