"""How many rows a forward had better have: a few more can take less time.

Libraries for matrix products have one way for a single row, others for many, and some are slow between: on some CPUs
two or three rows take longer than five. There a forward of two rows is padded to five.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from decodeplug.inference import inference

__all__ = ["RowCosts"]

_MOST = 8  # rows up to which it is looked for; from there on products only get better
_CLEARLY = 0.9  # more rows are taken where they need at most this share of the time
_AS_GOOD = 1.05  # fewer rows are taken where they need at most so much more: products are not all there is
_TRIED_BYTES = 32 << 20  # weights that are tried: more than stay in a processor's caches between two products
_LEAST_BYTES = 8 << 20  # a model with less is so small that its products hardly matter
_REPEATS = 3


class RowCosts:
    """Which numbers of rows one model's products are slow with.

    It is found out at once, which takes as long as a few forwards of a small model, and again where torch's number
    of threads is another one. On other devices than CPUs every number of rows is taken as it is.

    :param module: The model; its weights are only read.
    """

    def __init__(self, module: nn.Module) -> None:
        self._weights = _some_weights(module)
        self._seconds: dict[int, Sequence[float]] = {}
        self.widened(1, 2)  # not while a forward is timed

    def widened(self, lanes: int, width: int) -> int:
        """A width from ``width`` on with which a forward of so many lanes takes the least time."""
        rows = lanes * width
        if not 1 < rows < _MOST or not self._weights:
            return width
        threads = torch.get_num_threads()
        seconds = self._seconds.get(threads)
        if seconds is None:
            seconds = self._seconds[threads] = _tried(self._weights)
        return _cheapest(seconds, lanes, width)


def _cheapest(seconds: Sequence[float], lanes: int, width: int) -> int:
    """:param seconds: What products of 0, 1, 2 ... rows take."""
    within = {wide: seconds[lanes * wide] for wide in range(width, (len(seconds) - 1) // lanes + 1)}
    least = _AS_GOOD * min(within.values())
    best = next(wide for wide, took in within.items() if took <= least)
    return best if within[best] <= _CLEARLY * within[width] else width


def _some_weights(module: nn.Module) -> list[Tensor]:
    """Weights of linear layers of a model on the CPU, the first ones; none if it is small or elsewhere."""
    found, size = list[Tensor](), 0
    for layer in module.modules():
        if not isinstance(layer, nn.Linear):
            continue
        weight = layer.weight.detach()
        if weight.device.type != "cpu" or not weight.is_floating_point():
            continue
        room = (_TRIED_BYTES - size) // (weight.shape[1] * weight.element_size())
        found.append(weight[:room])
        size += found[-1].nbytes
        if size >= _TRIED_BYTES or room < len(weight):
            break
    return found if size >= _LEAST_BYTES else []


@inference
def _tried(weights: Sequence[Tensor]) -> list[float]:
    """Seconds that the products of 0, 1, 2 ... rows take: the least of a few tries, one row left out."""
    least = [0.0, 0.0, *[float("inf")] * (_MOST - 1)]
    for _ in range(_REPEATS):
        for rows in range(2, _MOST + 1):
            given = [weight.new_ones(rows, weight.shape[1]) for weight in weights]
            began = time.perf_counter()
            for states, weight in zip(given, weights, strict=True):
                nn.functional.linear(states, weight)
            least[rows] = min(least[rows], time.perf_counter() - began)
    return least
