"""What a drafter remembers of each hypothesis."""

from __future__ import annotations

from typing import Generic, TypeVar

from decodeplug.values import LaneView

__all__ = ["HYPOTHESES", "Hypotheses"]

HYPOTHESES = 64
"""Of so many something is remembered; those that were longest not asked for are forgotten."""

Kept = TypeVar("Kept")


class Hypotheses(Generic[Kept]):
    """Something for each hypothesis, by the seed of its lane."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], Kept] = {}

    def take(self, lane: LaneView) -> Kept | None:
        """What is remembered of the lane's hypothesis, which is forgotten; None if nothing is."""
        return self._kept.pop(lane.seed, None)

    def keep(self, lane: LaneView, kept: Kept) -> None:
        """Remember it; a hypothesis that was not asked for longest makes place."""
        self._kept.pop(lane.seed, None)
        self._kept[lane.seed] = kept
        if len(self._kept) > HYPOTHESES:
            self._kept.pop(next(iter(self._kept)))

    def all(self) -> dict[tuple[int, int], Kept]:
        """Seed -> what is remembered, the one that was longest not asked for first."""
        return dict(self._kept)
