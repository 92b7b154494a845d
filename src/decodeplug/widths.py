"""What a wider forward costs, learned from the forwards that are made anyway."""

from __future__ import annotations

import itertools

__all__ = ["WidthCosts"]

# Relative to width 1: SmolLM2-135M in float32 on two cores. Only where learning starts.
_START = ((1, 1.0), (2, 1.12), (3, 1.19), (5, 1.6), (9, 1.9), (17, 2.2), (33, 3.4))
_KEEP = 0.8  # weight of what was known when a forward of the same width is measured again


def _interpolate(width: int) -> float:
    for (left, low), (right, high) in itertools.pairwise(_START):
        if width <= right:
            return low + (high - low) * (width - left) / (right - left)
    (left, low), (right, high) = _START[-2:]
    return high + (high - low) * (width - right) / (right - left)


class WidthCosts:
    """Cost of a forward by its width, relative to width 1.

    It changes how long drafts are, and so the speed, never the text.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def record(self, width: int, seconds: float) -> None:
        """Note one forward over ``width`` positions, prompts left out."""
        known = self._seconds.get(width)
        # A forward is slow for many reasons, and fast for one: trust the fast ones.
        self._seconds[width] = seconds if known is None else min(seconds, _KEEP * known + (1 - _KEEP) * seconds)

    def relative(self, width: int) -> float:
        """Cost of a forward over ``width`` positions; ``relative(1) == 1``."""
        expected = _interpolate(width)
        if width == 1 or not self._seconds:
            return expected
        nearest = min(self._seconds, key=lambda known: (abs(known - width), known))
        base = self._seconds.get(1)
        if base is None or nearest == 1:
            return expected
        return max(1.0, expected * self._seconds[nearest] / base / _interpolate(nearest))

    def measured(self) -> dict[int, float]:
        """Width -> seconds of a forward, as measured so far."""
        return dict(sorted(self._seconds.items()))
