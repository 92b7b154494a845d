"""What a drafted token costs, as measured."""

from __future__ import annotations

import statistics
from collections import deque

from decodeplug.values import LaneView

__all__ = ["MeasuredPrice"]

_FIRST = 0.05  # of a token of small heads
_STEP = 33  # positions of one step at most: those of the longest draft, and one
_TIMED = 15  # drafts that the price is the median of


class MeasuredPrice:
    """The median cost of a token in the last drafts.

    :param first: What a drafted token costs, in forwards of the model, before any was measured.
    """

    def __init__(self, first: float = _FIRST) -> None:
        self._first = first
        self._seconds: deque[float] = deque(maxlen=_TIMED)

    def note(self, seconds: float, tokens: int, read: int = 1) -> None:
        """A draft of so many tokens took so long.

        :param read: How many positions were read for it. To read a prompt takes long, and happens once: it is no part of
            what a token costs.
        """
        if read <= _STEP:
            self._seconds.append(seconds / max(1, tokens))

    def of(self, lane: LaneView) -> float:
        """What one drafted token costs, in forwards of width 1 of the model."""
        if not self._seconds or not lane.forward_s:
            return self._first
        return statistics.median(self._seconds) / lane.forward_s
