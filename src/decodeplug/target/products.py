"""Products of a few rows with large weights, each in the way that is the fastest on this machine.

Libraries for matrix products have one way for a single row and another for many, and some are slow between: eight rows
can take twice as long as one, though the weight is read once for both. Taken as a batch of products with blocks of the
weight, which are views of it, the same product can take little longer than that of one row.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import has_torch_function

from decodeplug.inference import inference
from decodeplug.target.weights import BLOCK, Sample, can_be_cut, is_whole, output_of, samples

__all__ = ["Products"]

# What is tried; with more of them, libraries are at their best.
_ROWS = tuple(range(1, 9)) + (12, 16)
_MOST = _ROWS[-1]
_CLEARLY = 0.9  # blocks are taken where they need at most this share of the time
_REPEATS = 3

Way = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True, slots=True)
class _Tried:
    """What was found out.

    :ivar seconds: See :meth:`Products.seconds`; each in the better way.
    :ivar in_blocks: Numbers of rows that are multiplied in blocks: those of the layers, and those of the output.
    """

    seconds: Sequence[float] = ()
    in_blocks: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())


_KNOWN: weakref.WeakKeyDictionary[nn.Module, dict[tuple[int, bool], _Tried]] = weakref.WeakKeyDictionary()
"""Model -> number of threads, and whether blocks may be taken -> what was found out: all hosts of one model decide alike."""


class Products:
    """How one model's linear layers multiply a few rows.

    It is tried out when the first session is opened, which takes as long as some forwards of a small model, once for a
    model, and again where torch's number of threads is another one. On other devices than CPUs layers are left as they are.

    :param module: The model; its weights are only read.
    :param call: What is called to run it: the model, or its compiled form, which is left as it is.
    """

    def __init__(self, module: nn.Module, call: object = None) -> None:
        self._module = weakref.ref(module)
        self._known = _KNOWN.setdefault(module, {})
        self._can_cut = call in (None, module) and not any(map(_is_compiled, module.modules()))
        self._layers: tuple[Sequence[_Layer], Sequence[_Layer]] | None = None
        self._tried()  # not while a forward is timed

    def seconds(self) -> Sequence[float]:
        """What the products of a forward of 0, 1, 2 ... 16 rows take; nothing where it does not matter."""
        return self._tried().seconds

    @cached_property
    def are_most(self) -> bool:
        """Do linear layers make up most of what a forward reads? Not where experts are in tensors of their own."""
        module = self._module()
        if module is None:
            return False
        linear = sum(part.weight.nbytes for part in module.modules() if isinstance(part, nn.Linear))
        return linear > sum(weight.nbytes for weight in module.parameters() if weight.dim() > 2)

    @contextlib.contextmanager
    def quick(self, rows: int) -> Generator[None, None, None]:
        """While it is open, large linear layers of the model multiply as is best for the number of rows that they are given.

        One thread at a time has it open; another that calls the model meanwhile gets the same products, up to rounding.

        :param rows: Of the forward. For one, and for many, nothing is done.
        """
        if not 1 < rows <= _MOST or not any(in_blocks := self._tried().in_blocks):
            yield
            return
        begun: list[_Layer] = []
        try:
            for layers, own in zip(self._large(), in_blocks, strict=True):
                if own and min(own) <= rows:  # an expert and the output may be given fewer
                    begun += layers
                    for layer in layers:
                        layer.begin(own)
            yield
        finally:
            for layer in begun:
                layer.end()

    def _large(self) -> tuple[Sequence[_Layer], Sequence[_Layer]]:
        """Those of the layers, and the output."""
        if self._layers is None:
            if (module := self._module()) is None:
                return [], []
            parts, output = [part for part in module.modules() if can_be_cut(part)], output_of(module)
            inner = [_Layer(part) for part in parts if part not in output]
            self._layers = inner, [_Layer(part) for part in parts if part in output]
        return self._layers

    def _tried(self) -> _Tried:
        key = torch.get_num_threads(), self._can_cut
        tried = self._known.get(key)
        if tried is None:
            module = self._module()
            found = [] if module is None else samples(module)
            tried = self._known[key] = _try(found, blocks=self._can_cut) if found else _Tried()
        return tried


class _Layer:
    """One linear layer, in the place of whose forward it is called for a while."""

    def __init__(self, layer: nn.Linear) -> None:
        self._layer: Any = weakref.ref(layer)
        self._in_blocks: frozenset[int] = frozenset()

    def begin(self, in_blocks: frozenset[int]) -> None:
        """:param in_blocks: Numbers of rows that are multiplied in blocks."""
        self._in_blocks = in_blocks
        if (layer := self._layer()) is not None:
            layer.__dict__.setdefault("forward", self)  # somebody else's stays

    def end(self) -> None:
        layer = self._layer()
        if layer is not None and layer.__dict__.get("forward") is self:
            del layer.__dict__["forward"]

    def __call__(self, input: Tensor) -> Tensor:
        layer = self._layer()
        weight, bias, rows = layer.weight, layer.bias, input.numel() // input.shape[-1]
        # Whoever looks at products, or has tensors of its own kind, finds those that the model is written in. A weight may
        # have been changed since it was looked at.
        plain = rows not in self._in_blocks or has_torch_function((input, weight)) or not is_whole(weight)
        return (nn.functional.linear if plain else in_blocks)(input, weight, bias)


def in_blocks(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``states @ weight.T + bias``, up to rounding, as a batch of products.

    :param states: ``[..., inputs]``. :param weight: ``[outputs, inputs]``, contiguous; outputs a multiple of 32.
    :param bias: ``[outputs]``.
    :returns: ``[..., outputs]``.
    """
    outputs, inputs = weight.shape
    blocks = weight.view(outputs // BLOCK, BLOCK, inputs).transpose(1, 2)
    rows = states.reshape(-1, inputs)
    products = torch.bmm(rows.expand(len(blocks), -1, -1), blocks).transpose(0, 1).reshape(*states.shape[:-1], outputs)
    return products if bias is None else products + bias.to(products.dtype)


def _is_compiled(module: nn.Module) -> bool:
    attributes = module.__dict__
    forward = attributes.get("forward")
    by_itself = attributes.get("_compiled_call_impl") is not None or hasattr(forward, "_torchdynamo_orig_callable")
    return by_itself or "_orig_mod" in attributes.get("_modules", ())  # as torch.compile wraps one


def _try(found: Sequence[Sample], *, blocks: bool) -> _Tried:
    """Time both ways for each number of rows, and take the better one.

    :param found: Of the layers, and of the output.
    """
    total = dict.fromkeys(_ROWS, 0.0)
    taken: list[frozenset[int]] = []
    for share, tries in found:
        if not tries[0]:
            taken.append(frozenset())
            continue
        plain = _seconds(tries, nn.functional.linear)
        can_cut = blocks and any(len(weight) % BLOCK == 0 for weight in tries[0])
        cut = _seconds(tries, _cut_if_it_can_be) if can_cut else plain
        better = [rows for rows in _ROWS if rows > 1 and cut[rows] <= _CLEARLY * plain[rows]]
        for rows in _ROWS:
            total[rows] += share * (cut if rows in better else plain)[rows]
        # Of rows between two that were tried, what holds for the next one holds.
        taken.append(frozenset(rows for rows in range(2, _MOST + 1) if _next_tried(rows) in better))
    layers, output = taken
    return _Tried([0.0, *(total[_next_tried(rows)] for rows in range(1, _MOST + 1))], (layers, output))


def _next_tried(rows: int) -> int:
    return _ROWS[bisect.bisect_left(_ROWS, rows)]


def _cut_if_it_can_be(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return (nn.functional.linear if len(weight) % BLOCK else in_blocks)(states, weight, bias)


@inference
def _seconds(tries: Sequence[Sequence[Tensor]], way: Way) -> dict[int, float]:
    """What the products of so many rows with the weights of one try take: the least of a few."""
    least = dict.fromkeys(_ROWS, float("inf"))
    first = [1] * len(tries)  # weights that were loaded and not read yet come from the disk
    for weights, rows in zip(itertools.cycle(tries), [*first, *_ROWS * _REPEATS], strict=False):
        given = [weight.new_ones(rows, weight.shape[1]) for weight in weights]
        began = time.perf_counter()
        for states, weight in zip(given, weights, strict=True):
            way(states, weight, None)
        least[rows] = min(least[rows], time.perf_counter() - began)
    return least
