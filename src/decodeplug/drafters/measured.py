"""What a drafted token costs, as measured."""

from __future__ import annotations

import statistics
from collections import deque

from decodeplug.values import LaneView

__all__ = ["MeasuredPrice"]

_FIRST = 0.05  # of a drafted token, in forwards of the model, before any was measured
_TIMED = 15  # drafts that the price is the median of


class MeasuredPrice:
    """The median cost of a token in the last drafts."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_TIMED)

    def note(self, seconds: float, tokens: int) -> None:
        """A draft of so many tokens took so long."""
        self._seconds.append(seconds / max(1, tokens))

    def of(self, lane: LaneView) -> float:
        """What one drafted token costs, in forwards of width 1 of the model."""
        if not self._seconds or not lane.forward_s:
            return _FIRST
        return statistics.median(self._seconds) / lane.forward_s
