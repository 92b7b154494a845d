"""What a wider forward costs, learned from the forwards that are made anyway."""

from __future__ import annotations

import bisect
import itertools
import statistics
from collections import deque

__all__ = ["WidthCosts"]

# Relative to width 1: SmolLM2-135M in float32 on two cores, padded (``target.rows``). Only where learning starts.
_START = ((1, 1.0), (2, 1.3), (5, 1.4), (9, 1.5), (17, 1.75), (33, 2.3))
# Widths up to these make a class each: between them little changes, but narrow ones are apart, since matrix products
# of two or three rows can cost more than those of five. What is wider is one class more.
_BOUNDS = (1, 2, 3, 4, 8, 16)
_KEPT = 15  # forwards of each class that are remembered
_NOTED = 64  # forwards that are noted before somebody asks
_TRUST = 6  # forwards of a class that count as much as where learning starts


def _interpolate(width: int) -> float:
    for (left, low), (right, high) in itertools.pairwise(_START):
        if width <= right:
            return low + (high - low) * (width - left) / (right - left)
    (left, low), (right, high) = _START[-2:]
    return high + (high - low) * (width - right) / (right - left)


class WidthCosts:
    """Cost of a forward by its width, relative to width 1 of as many lanes.

    Forwards of other numbers of lanes are kept apart: width 4 of one lane is not the
    work of width 4 of eight. It changes how long drafts are, and so the speed, never the text.
    """

    def __init__(self) -> None:
        self._forwards: dict[tuple[int, int], deque[float]] = {}
        self._noted: deque[tuple[int, float, int]] = deque(maxlen=_NOTED)

    def record(self, width: int, seconds: float, lanes: int = 1) -> None:
        """Note one forward over ``width`` positions of each of ``lanes`` lanes, prompts left out."""
        self._noted.append((width, seconds, lanes))

    def _settle(self) -> None:
        """Sort what was noted by class: work that is left until somebody asks."""
        while self._noted:
            width, seconds, lanes = self._noted.popleft()
            # Seconds per unit of expected cost, so that all widths of a class can be put together.
            known = self._forwards.setdefault((lanes, _class_of(width)), deque(maxlen=_KEPT))
            known.append(seconds / _interpolate(width))

    def relative(self, width: int, lanes: int = 1) -> float:
        """Cost of a forward over ``width`` positions of each lane; ``relative(1, lanes) == 1``.

        The median of what was measured, drawn towards the expected cost while little is known:
        a single slow forward must not keep drafts of its width from ever being tried again.
        """
        self._settle()
        expected = _interpolate(width)
        narrow, wide = self._forwards.get((lanes, 0)), self._forwards.get((lanes, _class_of(width)))
        if width == 1 or not narrow or not wide:
            return expected
        weight = min(len(narrow), len(wide)) / (min(len(narrow), len(wide)) + _TRUST)
        ratio = statistics.median(wide) / statistics.median(narrow)
        return max(1.0, expected * ratio**weight)

    def seconds(self, lanes: int = 1) -> float:
        """What a forward of width 1 takes with so many lanes; 0 where none was measured."""
        self._settle()
        narrow = self._forwards.get((lanes, 0))
        return statistics.median(narrow) if narrow else 0.0

    def measured(self) -> dict[tuple[int, int], float]:
        """(Lanes, widest of the class) -> cost relative to width 1, where forwards were measured."""
        self._settle()
        widest = (*_BOUNDS, _START[-1][0])
        return {(lanes, widest[kind]): self.relative(widest[kind], lanes) for lanes, kind in sorted(self._forwards)}


def _class_of(width: int) -> int:
    return bisect.bisect_left(_BOUNDS, width)
