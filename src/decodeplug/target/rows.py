"""How many rows a forward had better have: a few more can take less time.

Libraries for matrix products have one way for a single row, others for many, and some are slow between: on some CPUs
two or three rows take longer than five. There a forward of two rows is padded to five.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from decodeplug.inference import inference

__all__ = ["RowCosts"]

_MOST = 8  # rows up to which it is looked for; from there on products only get better
_CLEARLY = 0.9  # more rows are taken where they need at most this share of the time
_AS_GOOD = 1.05  # fewer rows are taken where they need at most so much more: products are not all there is
_NEAR = 2048  # lanes that decode are padded up to this length; then attention costs more than is won
_TRIED_BYTES = 32 << 20  # weights that are tried: more than stay in a processor's caches between two products
_LEAST_BYTES = 8 << 20  # a model with less is so small that its products hardly matter
_REPEATS = 3
_KNOWN: weakref.WeakKeyDictionary[nn.Module, dict[int, Sequence[float]]] = weakref.WeakKeyDictionary()
"""Model -> number of threads -> what its products take: all hosts of one model decide alike."""
_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class RowCosts:
    """Which numbers of rows one model's products are slow with.

    It is found out when the first session is opened, which takes as long as some forwards of a small model, once for a model, and again where
    torch's number of threads is another one. On other devices than CPUs every number of rows is taken as it is.

    :param module: The model; its weights are only read.
    :param window: The longest text that the model has positions for: no padding goes beyond it. None: any.
    """

    def __init__(self, module: nn.Module, window: int | None = None) -> None:
        self._module, self._window = weakref.ref(module), window
        self._seconds = _KNOWN.setdefault(module, {})
        self.widened(1, 2, 0)  # not while a forward is timed

    def widened(self, lanes: int, width: int, longest: int) -> int:
        """A width from ``width`` on with which a forward of so many lanes takes the least time.

        :param longest: How many ids the longest lane holds.
        """
        if not 1 < lanes * width < _MOST or (width == 1 and longest > _NEAR):
            return width
        seconds = self._tried()
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
        seconds = self._tried()
        most = (len(seconds) - 1) // width
        within = {more: seconds[(lanes + more) * width] for more in range(most - lanes + 1)}
        if not within:
            return 0
        best = min(within, key=within.__getitem__)
        return best if within[best] <= _CLEARLY * within[0] else 0

    def _tried(self) -> Sequence[float]:
        """What products of 0, 1, 2 ... rows take; nothing where it does not matter."""
        threads = torch.get_num_threads()
        seconds = self._seconds.get(threads)
        if seconds is None:
            module = self._module()
            tried = [] if module is None else [(share, _seconds(weights)) for share, weights in _samples(module)]
            seconds = [sum(share * took[rows] for share, took in tried) for rows in range(_MOST + 1)] if tried else ()
            self._seconds[threads] = seconds
        return seconds


def _samples(module: nn.Module) -> list[tuple[float, list[Tensor]]]:
    """Weights of linear layers on the CPU, of the layers and of the output, and of how many such bytes each stands for one.

    None if they are small or elsewhere. The output has a sample of its own: its product, which is by far the widest, is
    slow with other numbers of rows.
    """
    get_decoder: Any = getattr(module, "get_decoder", lambda: module)
    get_output: Any = getattr(module, "get_output_embeddings", lambda: None)
    layers, output = _sample(get_decoder().modules()), get_output()
    if sum(weight.nbytes for weight in layers[1]) < _LEAST_BYTES:
        return []
    return [layers] if output is None else [layers, _sample([output])]


def _sample(modules: Iterable[nn.Module]) -> tuple[float, list[Tensor]]:
    """The first weights, and how many bytes there are in all, as a multiple of these."""
    found, size, whole = list[Tensor](), 0, 0
    for layer in modules:
        weight = layer.weight.detach() if isinstance(layer, nn.Linear) else None
        if weight is None or weight.device.type != "cpu" or weight.dtype not in _DTYPES:
            continue
        whole += weight.nbytes
        room = (_TRIED_BYTES - size) // (weight.shape[1] * weight.element_size())
        if room:
            found.append(weight[:room])
            size += found[-1].nbytes
    return whole / max(1, size), found


@inference
def _seconds(weights: Sequence[Tensor]) -> list[float]:
    """What the products of 0, 1, 2 ... rows take: the least of a few tries, one row left out."""
    least = [0.0, 0.0, *[float("inf")] * (_MOST - 1)]
    for _ in range(_REPEATS):
        for rows in range(2, _MOST + 1):
            given = [weight.new_ones(rows, weight.shape[1]) for weight in weights]
            began = time.perf_counter()
            for states, weight in zip(given, weights, strict=True):
                nn.functional.linear(states, weight)
            least[rows] = min(least[rows], time.perf_counter() - began)
    return least
