"""Which layers make their keys and values of one input by one matrix: measured, not read from the model's code.

In a forward over a few ids, each linear layer puts out random numbers of every magnitude instead of its own. Where those
of one layer come to the cache as keys, unchanged and each at its place, there is nothing between the two: no rotation by the
position, no norm, no clipping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from decodeplug.caches.layers import KeyValueLayer
from decodeplug.caches.projection import Columns, Projection
from decodeplug.target.lanes import LaneSession
from decodeplug.target.masks import looking

__all__ = ["keep_inputs", "measure"]

_LANES, _IDS = 2, 8
_DECADES = 3  # magnitudes from a thousandth to a thousand


@dataclass(frozen=True, eq=False)
class _Call:
    """Of a linear layer: what it was given, a copy of that, and the numbers that were put out instead of its own."""

    part: Any
    given: Tensor
    copy: Tensor
    out: Tensor


def measure(session: LaneSession, module: nn.Module, vocab_size: int) -> list[Projection | None]:
    """One for each layer of the cache; None: its keys or values are made in another way.

    :param session: Over the model, without lanes, with the cache "dense"; it is of no use afterwards.
    """
    found: list[Projection | None] = [None] * len(session.cache.cache.layers)
    calls: list[_Call] = []
    random = torch.Generator().manual_seed(0)

    def put_out(part: nn.Module, args: tuple[Any, ...], output: Any) -> Tensor | None:
        if not args or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
            return None
        numbers = torch.randn(output.shape, generator=random)
        numbers *= 10 ** (_DECADES * (2 * torch.rand(output.shape, generator=random) - 1))
        out = numbers.to(output)
        calls.append(_Call(part, args[0], args[0].clone(), out))
        return out

    def look(number: int, update: Callable[..., Any], keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> Any:
        found[number] = _projection(calls, keys, values)
        calls.clear()
        return update(keys, values, *args, **kwargs)

    for number, layer in enumerate(session.cache.cache.layers):
        if isinstance(layer, KeyValueLayer):
            vars(layer)["update"] = partial(look, number, layer.update)
    handles = [part.register_forward_hook(put_out) for part in module.modules() if _is_plain(part)]
    ids = torch.linspace(0, vocab_size - 1, _LANES * _IDS).long().view(_LANES, _IDS).tolist()
    try:
        session.keep([-1] * _LANES, [0] * _LANES)
        session.forward(ids, [1] * _LANES)
    finally:
        for handle in handles:
            handle.remove()
    return found


def keep_inputs(projections: Sequence[Projection | None]) -> list[Any]:
    """Have the inputs of these layers put where a cache finds them, in forwards of caches that ask for it.

    :returns: The handles of the hooks.
    """
    return [
        projection.keys.part.register_forward_pre_hook(_keep_input)
        for projection in projections
        if projection is not None and projection.saves
    ]


def _keep_input(part: nn.Module, args: tuple[Any, ...]) -> None:
    view = looking.get()
    if view is not None and view.inputs is not None:
        view.inputs[part] = args[0]


def _is_plain(part: nn.Module) -> bool:
    """Is it the product with a weight, and nothing else: no adapter, no hook, no other kind of weight?"""
    hooks = {*part._forward_pre_hooks.values(), *part._forward_hooks.values()}
    return type(part) in (nn.Linear, Conv1D) and hooks <= {_keep_input} and "forward" not in vars(part)


def _projection(calls: Sequence[_Call], keys: Tensor, values: Tensor) -> Projection | None:
    key, value = _columns(calls, keys), _columns(calls, values)
    if key is None or value is None or key[0].given is not value[0].given:
        return None
    call = key[0]
    same = torch.equal(call.given.nan_to_num(), call.copy.nan_to_num())
    return Projection(key[1], value[1]) if same and call.given.dtype == call.part.weight.dtype else None


def _columns(calls: Sequence[_Call], rows: Tensor) -> tuple[_Call, Columns] | None:
    """The call whose numbers these rows ``[lanes, heads, width, dim]`` are."""
    lanes, heads, width, dim = rows.shape
    wanted = rows.permute(1, 3, 0, 2).reshape(heads, dim, -1)
    for call in reversed(calls):
        if call.out.numel() // call.out.shape[-1] != lanes * width or call.out.dtype != rows.dtype:
            continue
        out = call.out.reshape(lanes * width, -1).T
        firsts = [(out == head[0]).all(1).nonzero().flatten().tolist() for head in wanted[:2]]
        if any(len(first) != 1 for first in firsts):
            continue
        first = firsts[0][0]
        stride = firsts[1][0] - first if heads > 1 else dim
        places = first + stride * torch.arange(heads)[:, None] + torch.arange(dim)
        inside = stride > 0 and int(places.max()) < len(out)
        if inside and torch.equal(out[places.to(out.device)], wanted):
            return call, Columns(call.part, first, stride, heads, dim)
    return None
