"""The cache of a text that grows longer than the model's window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from decodeplug.caches.seam import CacheSpec, LaneCache, LayerPlan

__all__ = ["Rolling"]


@dataclass(frozen=True, slots=True)
class Rolling:
    """What is kept of the ids that are seen at a time: the first ones and the last ones, in a cache of another kind.

    The target opens the inner cache, and shows it texts that fit.

    :param inner: That cache. :param first: Ids at the beginning that are always seen. :param window: Ids that are seen at most.
    """

    inner: CacheSpec
    first: int
    window: int
    exact: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """That of the inner cache."""
        return self.inner.name

    @property
    def can_rewind(self) -> bool:
        """As the inner cache."""
        return self.inner.can_rewind

    @property
    def max_bytes(self) -> Any:
        """As the inner cache."""
        return getattr(self.inner, "max_bytes", None)

    @property
    def step(self) -> int:
        """Ids that go out of sight together."""
        return max(1, (self.window - self.first) // 2)

    def gone(self, position: int) -> int:
        """How many of the ids behind the first ones an id at this position does not see."""
        return max(0, -(-(position + 1 - self.window) // self.step) * self.step)

    def last(self, gone: int) -> int:
        """The last position that does not see just so many."""
        return self.window + gone - 1

    def open(self, plan: LayerPlan) -> LaneCache | None:
        """The inner cache."""
        return self.inner.open(plan)
