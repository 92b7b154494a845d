"""Which layers make their keys and values of one input by one matrix: measured, not read from the model's code.

In a forward over a few ids, each linear layer puts out random numbers of many magnitudes instead of its own. Where those
of one layer come to the cache as keys, unchanged and each at its place, there is nothing between the two: no rotation by the
position, no norm, no clipping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from decodeplug.caches.layers import KeyValueLayer
from decodeplug.caches.projection import Columns, Projection, is_view_of
from decodeplug.target.lanes import LaneSession
from decodeplug.target.masks import looking
from decodeplug.target.modelstate import is_hooked, is_plain_tensor, only_reads

__all__ = ["keep_calls", "measure"]

_measuring: ContextVar[bool] = ContextVar("measuring", default=False)
"""Other threads may run the model meanwhile, and must not see the numbers."""
_LANES, _IDS = 2, 8
_DECADES = 4  # magnitudes from a ten-thousandth to ten thousand


@dataclass(frozen=True, eq=False)
class _Call:
    """Of a linear layer: what it was given, a copy of that, and the numbers that were put out instead of its own."""

    part: Any
    given: Tensor
    copy: Tensor
    out: Tensor


def measure(session: LaneSession, module: nn.Module, vocab_size: int) -> list[Projection | None]:
    """One for each layer of the cache; None: its keys or values are made in another way, or are no more numbers than the input.

    :param session: Over the model, without lanes, with the cache "dense"; it is of no use afterwards.
    """
    found: list[Projection | None] = [None] * len(session.cache.cache.layers)
    calls: list[_Call] = []
    random = torch.Generator().manual_seed(0)

    def put_out(part: nn.Module, args: tuple[Any, ...], output: Any) -> Tensor | None:
        if not _measuring.get() or not args or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
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
        if type(layer) is KeyValueLayer:
            vars(layer)["update"] = partial(look, number, layer.update)
    handles = [part.register_forward_hook(put_out) for part in module.modules() if _is_plain(part)]
    ids = torch.linspace(0, vocab_size - 1, _LANES * _IDS).long().view(_LANES, _IDS).tolist()
    token = _measuring.set(True)
    try:
        session.keep([-1] * _LANES, [0] * _LANES)
        session.forward(ids, [1] * _LANES)
    finally:
        _measuring.reset(token)
        for handle in handles:
            handle.remove()
    return found


def keep_calls(projections: Sequence[Projection | None], handles: dict[nn.Module, Any]) -> None:
    """Have the calls of these layers put where a cache finds them, in forwards of caches that ask for it.

    :param handles: Of the hooks of linear layers; those that have none yet get one.
    """
    parts = [part for one in projections if one is not None for part in (one.keys.part, one.values.part)]
    for part in parts:
        if part not in handles:
            handles[part] = part.register_forward_hook(_keep_call)


@only_reads
def _keep_call(part: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
    view = looking.get()
    if view is not None and view.calls is not None and not is_hooked(part):
        view.calls[part] = args[0], output


def _is_plain(part: nn.Module) -> bool:
    """Is it the product with a weight, and nothing else: no adapter, no hook, no other kind of weight?"""
    return type(part) in (nn.Linear, Conv1D) and is_plain_tensor(part.weight) and not is_hooked(part)


def _projection(calls: Sequence[_Call], keys: Tensor, values: Tensor) -> Projection | None:
    """What was found to make these, if it is one matrix, whose input is still what it was, and fewer numbers."""
    key, value = _columns(calls, keys), _columns(calls, values)
    if key is None or value is None:
        return None
    call, other = key[0], value[0]
    same = torch.equal(call.given.nan_to_num(), call.copy.nan_to_num()) and call.given is other.given
    last = {one.part: one for one in calls}  # a layer that is called twice is seen by what it made last
    if not same or last[call.part] is not call or last[other.part] is not other:
        return None
    if {call.given.dtype, call.part.weight.dtype, other.part.weight.dtype} != {keys.dtype}:
        return None
    found = Projection(key[1], value[1], (is_view_of(keys, call.out), is_view_of(values, other.out)))
    return found if found.saves else None


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
