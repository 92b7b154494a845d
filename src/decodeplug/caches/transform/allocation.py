"""How many bits each component is worth."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["WIDTHS", "allocate"]

WIDTHS = (0, 1, 2, 3, 4, 6, 8, 16)
"""Bits that a component can be stored in; 0: it is left out."""


def allocate(losses: Sequence[Tensor], bits: float, widths: Sequence[int] = WIDTHS) -> list[Tensor]:
    """Spend bits where they save most.

    Of each component only widths on the lower convex hull of its losses are used, so that taking the steepest step that is
    left, over all components of all layers, is best for what is spent.

    :param losses: For each layer, ``[widths of WIDTHS, components]``; falling. :param bits: For a component, on the average.
    :param widths: Those that may be used.
    :returns: For each layer, ``[components]`` int64: its bits.
    Source: Shoham and Gersho 1988, "Efficient bit allocation for an arbitrary set of quantizers", section III.
    """
    rows = [WIDTHS.index(width) for width in sorted({0, *widths})]
    used = [WIDTHS[row] for row in rows]
    joined = torch.cat([layer[rows] for layer in losses], dim=1).double().tolist()
    steps: list[tuple[float, int, int, int]] = []  # saved for a bit, component, bits before, bits after
    for component, points in enumerate(zip(*joined, strict=True)):
        place = 0
        while place + 1 < len(used):
            slopes = [
                (points[place] - points[later]) / (used[later] - used[place]) for later in range(place + 1, len(used))
            ]
            best = max(range(len(slopes)), key=slopes.__getitem__)
            if slopes[best] <= 0:
                break
            steps.append((slopes[best], component, used[place], used[place + 1 + best]))
            place += 1 + best
    left = bits * len(joined[0])
    given = [0] * len(joined[0])
    for _, component, before, after in sorted(steps, key=lambda step: -step[0]):
        if given[component] == before and after - before <= left:
            given[component] = after
            left -= after - before
    return list(torch.tensor(given).split([layer.shape[1] for layer in losses]))
