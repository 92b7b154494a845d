"""What a wider forward costs, learned from the forwards that are made anyway."""

from __future__ import annotations

import bisect
import itertools
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["WidthCosts"]

# Relative to width 1: a small model on two cores. Where learning starts, as far as nothing better is known.
_START = ((1, 1.0), (2, 1.3), (5, 1.4), (9, 1.5), (17, 1.75), (33, 2.3))
# Widths up to these make a class each: between them little changes, but narrow ones are apart, since matrix products
# of two or three rows can cost more than those of five. What is wider is one class more.
_BOUNDS = (1, 2, 3, 4, 8, 16)
_KEPT = 15  # forwards of each class that are remembered
_NOW = 7  # forwards of width 1 that say how fast the machine is just now
_NOTED = 64  # forwards that are noted before somebody asks
_TRUST = 6  # forwards of a class that count as much as where learning starts
_HALVED = 64  # forwards of width 1 after which what is known of a class that was not used counts half as much: a busy moment passes


def _interpolate(width: int) -> float:
    for (left, low), (right, high) in itertools.pairwise(_START):
        if width <= right:
            return low + (high - low) * (width - left) / (right - left)
    (left, low), (right, high) = _START[-2:]
    return high + (high - low) * (width - right) / (right - left)


@dataclass(slots=True)
class _Known:
    """What was measured of one class of widths.

    :ivar ratios: Costs of the last forwards, by what was expected of their widths.
    :ivar idle: Forwards of width 1 since.
    """

    ratios: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    idle: int = 0


class WidthCosts:
    """Cost of a forward by its width, relative to width 1 of as many lanes.

    Forwards of other numbers of lanes are kept apart: width 4 of one lane is not the
    work of width 4 of eight. It changes how long drafts are, and so the speed, never the text.

    :param rows: What forwards of 0, 1, 2 ... rows may be expected to take beside each other, before any was measured; nothing
        where that is not known. See :meth:`Target.costs`.
    """

    def __init__(self, rows: Callable[[], Sequence[float]] = tuple) -> None:
        self._rows = rows
        self._narrow: dict[int, deque[float]] = {}  # lanes -> seconds of the last forwards of width 1
        self._wide: dict[tuple[int, int], _Known] = {}  # (lanes, class)
        self._noted: deque[tuple[int, float, int]] = deque(maxlen=_NOTED)

    def record(self, width: int, seconds: float, lanes: int = 1) -> None:
        """Note one forward over ``width`` positions of each of ``lanes`` lanes, prompts left out."""
        self._noted.append((width, seconds, lanes))

    def _settle(self) -> None:
        """Sort what was noted by class: work that is left until somebody asks.

        A wide forward is held against the narrow ones around it: machines have slow hours.
        """
        while self._noted:
            width, seconds, lanes = self._noted.popleft()
            if width == 1:
                self._narrow.setdefault(lanes, deque(maxlen=_NOW)).append(seconds)
                for (others, _), known in self._wide.items():
                    known.idle += others == lanes
            elif narrow := self._narrow.get(lanes):
                known = self._wide.setdefault((lanes, _class_of(width)), _Known())
                known.ratios.append(seconds / statistics.median(narrow) / self._expected(width, lanes))
                known.idle = 0

    def relative(self, width: int, lanes: int = 1) -> float:
        """Cost of a forward over ``width`` positions of each lane; ``relative(1, lanes) == 1``.

        The median of what was measured, drawn towards the expected cost while little is known, and again
        when it is long ago: slow forwards must not keep drafts of their width from ever being tried again.
        """
        self._settle()
        expected, known = self._expected(width, lanes), self._wide.get((lanes, _class_of(width)))
        if width == 1 or known is None:
            return expected
        count = len(known.ratios) * 0.5 ** (known.idle / _HALVED)
        return max(1.0, expected * statistics.median(known.ratios) ** (count / (count + _TRUST)))

    def _expected(self, width: int, lanes: int) -> float:
        """The cost of a width of which nothing was measured."""
        seconds = self._rows()
        known = min(width, (len(seconds) - 1) // lanes)
        if known < 1:
            return _interpolate(width)
        # More rows do not take less: the clock was wrong, or the forward is padded.
        ratio = min(seconds[lanes * known :]) / min(seconds[lanes:])
        return ratio * _interpolate(width) / _interpolate(known)

    def seconds(self, lanes: int = 1) -> float:
        """What a forward of width 1 takes with so many lanes; 0 where none was measured."""
        self._settle()
        narrow = self._narrow.get(lanes)
        return statistics.median(narrow) if narrow else 0.0

    def measured(self) -> dict[tuple[int, int], float]:
        """(Lanes, widest of the class) -> cost relative to width 1, where forwards were measured."""
        self._settle()
        widest = (*_BOUNDS, _START[-1][0])
        kinds = sorted([*self._wide, *((lanes, 0) for lanes in self._narrow)])
        return {(lanes, widest[kind]): self.relative(widest[kind], lanes) for lanes, kind in kinds}


def _class_of(width: int) -> int:
    return bisect.bisect_left(_BOUNDS, width)
