"""Products of a few rows with large weights, each in the way that is the fastest on this machine.

Libraries for matrix products have one way for a single row and another for many, and some are slow between: eight rows
can take twice as long as one, though the weight is read once for both. Taken as a batch of products with blocks of the
weight, which are views of it, the same product can take little longer than that of one row.
"""

from __future__ import annotations

import bisect
import contextlib
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.overrides import has_torch_function

from decodeplug.inference import inference

__all__ = ["Products"]

_BLOCK = 32  # outputs of a block: small enough for a way of its own, and a divisor of most numbers of outputs
_ROWS: Sequence[int] = (2, 3, 4, 5, 6, 7, 8, 12, 16)  # what is tried; with more of them, libraries are at their best
_MOST = _ROWS[-1]
_CLEARLY = 0.9  # blocks are taken where they need at most this share of the time
_TRIED_BYTES = 32 << 20  # weights that are tried: more than stay in a processor's caches between two products
_LEAST_BYTES = 8 << 20  # a model with less is so small that its products hardly matter
_LEAST_WEIGHT = 64 << 10  # bytes; a smaller one is multiplied sooner than it is cut
_REPEATS = 3
_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)

Way = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True, slots=True)
class _Tried:
    """What was found out.

    :ivar seconds: See :meth:`Products.seconds`; each in the better way.
    :ivar in_blocks: Numbers of rows that are multiplied in blocks.
    """

    seconds: Sequence[float] = ()
    in_blocks: frozenset[int] = frozenset()


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
        self._layers: Sequence[_Layer] | None = None
        self._tried()  # not while a forward is timed

    def seconds(self) -> Sequence[float]:
        """What the products of a forward of 0, 1, 2 ... 8 rows take (0 and 1: not known); nothing where it does not matter."""
        return self._tried().seconds

    @contextlib.contextmanager
    def quick(self, rows: int) -> Generator[None, None, None]:
        """While it is open, large linear layers of the model multiply as is best for the number of rows that they are given.

        One thread at a time has it open; another that calls the model meanwhile gets the same products, up to rounding.

        :param rows: Of the forward. For one, and for many, nothing is done.
        """
        if not 1 < rows <= _MOST or not (in_blocks := self._tried().in_blocks):
            yield
            return
        layers = self._large()
        try:
            for layer in layers:
                layer.begin(in_blocks)
            yield
        finally:
            for layer in layers:
                layer.end()

    def _large(self) -> Sequence[_Layer]:
        if self._layers is None:
            module = self._module()
            self._layers = [] if module is None else [_Layer(part) for part in module.modules() if _can_be_cut(part)]
        return self._layers

    def _tried(self) -> _Tried:
        key = torch.get_num_threads(), self._can_cut
        tried = self._known.get(key)
        if tried is None:
            module = self._module()
            samples = [] if module is None else _samples(module)
            tried = self._known[key] = _try(samples, blocks=self._can_cut) if samples else _Tried()
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
        plain = rows not in self._in_blocks or has_torch_function((input, weight)) or not _is_whole(weight)
        return (nn.functional.linear if plain else in_blocks)(input, weight, bias)


def _is_whole(weight: Tensor) -> bool:
    return weight.is_cpu and weight.is_contiguous() and len(weight) % _BLOCK == 0


def in_blocks(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``states @ weight.T + bias``, up to rounding, as a batch of products.

    :param states: ``[..., inputs]``. :param weight: ``[outputs, inputs]``, contiguous; outputs a multiple of 32.
    :param bias: ``[outputs]``.
    :returns: ``[..., outputs]``.
    """
    outputs, inputs = weight.shape
    blocks = weight.view(outputs // _BLOCK, _BLOCK, inputs).transpose(1, 2)
    rows = states.reshape(-1, inputs)
    products = torch.bmm(rows.expand(len(blocks), -1, -1), blocks).transpose(0, 1).reshape(*states.shape[:-1], outputs)
    return products if bias is None else products + bias.to(products.dtype)


def _is_compiled(module: nn.Module) -> bool:
    attributes = module.__dict__
    forward = attributes.get("forward")
    by_itself = attributes.get("_compiled_call_impl") is not None or hasattr(forward, "_torchdynamo_orig_callable")
    return by_itself or "_orig_mod" in attributes.get("_modules", ())  # as torch.compile wraps one


def _can_be_cut(module: nn.Module) -> TypeGuard[nn.Linear]:
    if type(module) is not nn.Linear:  # a class derived from it multiplies in its own way
        return False
    weight = module.weight
    right = type(weight) is nn.Parameter and weight.dtype in _DTYPES and weight.nbytes >= _LEAST_WEIGHT
    return right and _is_whole(weight)


def _try(samples: Sequence[tuple[float, list[Tensor]]], *, blocks: bool) -> _Tried:
    """Time both ways for each number of rows, and take the better one."""
    plain = _summed(samples, nn.functional.linear)
    cut = _summed(samples, _cut_if_it_can_be) if blocks else plain
    better = [rows for rows in _ROWS if cut[rows] <= _CLEARLY * plain[rows]]
    seconds = [0.0, 0.0, *(cut[rows] if rows in better else plain[rows] for rows in range(2, 9))]
    # Of rows between two that were tried, what holds for the next one holds.
    next_tried = {rows: _ROWS[bisect.bisect_left(_ROWS, rows)] for rows in range(2, _MOST + 1)}
    return _Tried(seconds, frozenset(rows for rows, tried in next_tried.items() if tried in better))


def _cut_if_it_can_be(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return (nn.functional.linear if len(weight) % _BLOCK else in_blocks)(states, weight, bias)


def _summed(samples: Sequence[tuple[float, list[Tensor]]], way: Way) -> dict[int, float]:
    took = [(share, _seconds(weights, way)) for share, weights in samples]
    return {rows: sum(share * seconds[rows] for share, seconds in took) for rows in _ROWS}


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
        room = min(len(weight), (_TRIED_BYTES - size) // (weight.shape[1] * weight.element_size()))
        if _can_be_cut(layer):
            room -= room % _BLOCK
        elif room % _BLOCK == 0:
            room -= 1  # its sample is not cut either
        if room > 0:
            found.append(weight[:room])
            size += found[-1].nbytes
    return whole / max(1, size), found


@inference
def _seconds(weights: Sequence[Tensor], way: Way) -> dict[int, float]:
    """What the products of so many rows take: the least of a few tries."""
    least = dict.fromkeys(_ROWS, float("inf"))
    for _ in range(_REPEATS):
        for rows in _ROWS:
            given = [weight.new_ones(rows, weight.shape[1]) for weight in weights]
            began = time.perf_counter()
            for states, weight in zip(given, weights, strict=True):
                way(states, weight, None)
            least[rows] = min(least[rows], time.perf_counter() - began)
    return least
