"""No cache: everything is computed again at every forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from decodeplug.caches.seam import LayerPlan

__all__ = ["NoCache"]


@dataclass(frozen=True, slots=True)
class NoCache:
    """Keep nothing. Slow, and the oracle that every other cache is held against."""

    name: ClassVar[str] = "none"
    exact: ClassVar[bool] = True
    can_rewind: ClassVar[bool] = True

    def open(self, plan: LayerPlan) -> None:
        """There is nothing to open."""
