"""What the target asks of a cache, so that another kind fits behind the same door."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from transformers.cache_utils import Cache

    from decodeplug.caches.projection import Projection

__all__ = ["CacheSpec", "KnowingCache", "LaneCache", "LayerPlan", "PiecewiseCache"]


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """What a model's layers keep, as far as a cache must know.

    :ivar kinds: For each layer, transformers' layer type (``full_attention``,
        ``sliding_attention``, ``linear_attention``, ``hybrid``, ``dummy`` ...).
    :ivar states: For each layer, how many conv/recurrent states it has.
    :ivar device: Where the first layer lives.
    :ivar packed: The model's attention wants contiguous keys and values.
    :ivar windows: For each layer, how many slots a row sees, its own included; None: all, or not known.
    :ivar shared: What sessions over the model share, by spec.
    :ivar state: What the model's outputs depend on beside its inputs: equal as long as its weights are the same.
    :ivar splits: May a prompt be fed from any place on?
    :ivar model: The model itself.
    :ivar projections: For each layer, by which matrix its keys and values are made of an input that is fewer numbers; None: by none.
        It is measured by a forward when it is first asked for, and again when ``state`` has changed.
    """

    kinds: tuple[str, ...]
    states: tuple[int, ...]
    device: torch.device
    packed: bool = False
    windows: tuple[int | None, ...] = ()
    shared: MutableMapping[CacheSpec, Any] = field(default_factory=dict["CacheSpec", Any])
    state: Callable[[], Hashable] = lambda: None
    splits: Callable[[], bool] = lambda: False
    model: Any = None
    projections: Callable[[], Sequence[Projection | None]] = tuple


@runtime_checkable
class CacheSpec(Protocol):
    """A cache that can be named in a recipe: its claims, and how to open one.

    One with ``knows_texts = True`` opens a :class:`KnowingCache`. One with a method ``check(plan)`` is asked before the first
    token; it raises :class:`IncompatibleParts` for a model that it was not made for. One with a method
    ``make_for_lane(config)`` gives each lane a cache of transformers' own, which is fed as ``generate()`` feeds it; it is not opened.
    """

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

    One with an attribute ``calls``, a dict, finds in it, for each linear layer of ``LayerPlan.projections``, what it was given and
    made in the forward in progress, where no hook is on it.

    One with ``takes_spare_lanes = True`` may be shown more lanes by the model than it was begun with; what is behind those is
    not kept.
    """

    cache: Cache
    """What the model gets."""

    @property
    def held(self) -> list[int]:
        """How many ids each lane holds."""
        ...

    def begin(self, lanes: Sequence[int], feeds: Sequence[Sequence[int]], width: int) -> None:
        """Prepare for a forward of ``width`` rows for each of these lanes.

        :param lanes: Indices of lanes, ascending.
        :param feeds: For each, the ids of its rows; where they are fewer than ``width``, the rest is padding.
        :raises CacheFull: There is no room for them. The lanes hold what they held, and ``keep`` gives back what was taken.
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

    def facts(self) -> Mapping[str, int]:
        """What ``trace.cache`` says beside bytes: at least ``copied_bytes``, moved so far beside what attention reads."""
        ...


@runtime_checkable
class PiecewiseCache(LaneCache, Protocol):
    """One that must not be shown any number of ids at once."""

    def at_once(self, held: int, prompt: int) -> int:
        """How many ids a lane may be fed next, at least one.

        :param held: How many it holds. :param prompt: How many its prompt has.
        """
        ...


@runtime_checkable
class KnowingCache(LaneCache, Protocol):
    """One that may know the beginning of a text.

    One with ``is_measured`` False is shown an id once before it is used, so that it knows what one takes.
    """

    @property
    def knows(self) -> bool:
        """Is there a use in asking it? Not with models whose prompts must be computed at once."""
        ...

    alike: int
    """Of texts that have so many ids in common that are not known yet, one is best fed before the others."""

    def learn(self) -> None:
        """From now on, know what the lanes hold."""
        ...

    def reuse(self, lane: int, feed: Sequence[int]) -> int:
        """Let a lane go on from what is known.

        :param feed: The ids that it shall be fed next.
        :returns: How many of them it holds now, as if it had been fed them: not the last one.
        """
        ...
