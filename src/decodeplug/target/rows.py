"""How many rows a forward had better have: a few more can take less time.

Libraries for matrix products have one way for a single row, others for many, and some are slow between: on some CPUs
two or three rows take longer than five. There a forward of two rows is padded to five.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["RowCosts"]

_MOST = 8  # rows up to which it is looked for: so many cost more than they save further on
_CLEARLY = 0.9  # more rows are taken where they need at most this share of the time
_AS_GOOD = 1.05  # fewer rows are taken where they need at most so much more: products are not all there is
_NEAR = 2048  # lanes that decode are padded up to this length; then attention costs more than is won


class RowCosts:
    """Which numbers of rows one model's products are slow with; where that is not known, every number is taken as it is.

    :param seconds: What the products of a forward of 0, 1, 2 ... rows take, if it is known: see :meth:`Products.seconds`.
    :param window: The longest text that the model has positions for: no padding goes beyond it. None: any.
    """

    def __init__(self, seconds: Callable[[], Sequence[float]], window: int | None = None) -> None:
        self._seconds, self._window = seconds, window

    def widened(self, lanes: int, width: int, longest: int) -> int:
        """A width from ``width`` on with which a forward of so many lanes takes the least time.

        :param longest: How many ids the longest lane holds.
        """
        if not 1 < lanes * width < _MOST or (width == 1 and longest > _NEAR):
            return width
        seconds = self._seconds()[: _MOST + 1]
        most = (len(seconds) - 1) // lanes
        if self._window is not None:
            most = min(most, self._window - longest)
        within = {wide: seconds[lanes * wide] for wide in range(width, most + 1)}
        if not within:
            return width
        least = _AS_GOOD * min(within.values())
        best = next(wide for wide, took in within.items() if took <= least)
        return best if within[best] <= _CLEARLY * within[width] else width

    def spare(self, lanes: int, width: int) -> int:
        """How many lanes more would make a forward of so many take the least time; mostly none."""
        if not 1 < lanes * width < _MOST:
            return 0
        seconds = self._seconds()[: _MOST + 1]
        most = (len(seconds) - 1) // width
        within = {more: seconds[(lanes + more) * width] for more in range(most - lanes + 1)}
        if not within:
            return 0
        best = min(within, key=within.__getitem__)
        return best if within[best] <= _CLEARLY * within[0] else 0
