"""The drafter that proposes nothing: one token for each forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from decodeplug.values import NO_DRAFT, Draft, LaneView

__all__ = ["NoDrafts"]


@dataclass(frozen=True, slots=True)
class NoDrafts:
    """Propose nothing: ``drafters=["none"]`` is ``drafters=[]``."""

    name: ClassVar[str] = "none"
    prior: ClassVar[float] = 0.0

    def draft(self, lane: LaneView, room: int) -> Draft:
        """An empty draft."""
        return NO_DRAFT
