"""Is a model still the one that keys and values were computed with?"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Generator, Hashable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules import module as every
from torch.utils.hooks import RemovableHandle

from decodeplug.inference import inference

__all__ = [
    "StandIn",
    "is_hooked",
    "is_plain_tensor",
    "is_replaced",
    "model_state",
    "next_hook",
    "only_reads",
    "reading",
]

Hook = TypeVar("Hook", bound=Callable[..., Any])

_SWITCHES = ("active_adapters", "disable_adapters", "merged_adapters", "scaling", "forward")
"""What layers of adapters say of what they add, and a method that was replaced."""
_SIMPLE = (bool, int, float, str)
_PLAIN = {Tensor, nn.Parameter, nn.Buffer}
_EVERYWHERE = every._global_forward_hooks, every._global_forward_pre_hooks
"""Hooks of all modules there are."""
_READERS: list[Any] = []
_READING: list[range] = []
"""Hooks that change nothing, by the numbers that torch gives them."""


class StandIn:
    """What is called in the place of a module's ``forward`` for a while and gives the same: to whoever asks, nothing is changed."""


@contextlib.contextmanager
def reading(first: int) -> Generator[None, None, None]:
    """While it is open, hooks that were registered since ``next_hook()`` gave ``first`` only read: they change no output."""
    hooks = range(first, next_hook())
    _READING.append(hooks)
    try:
        yield
    finally:
        _READING.remove(hooks)


def next_hook() -> int:
    """The number that the next hook gets, of whatever module."""
    return RemovableHandle.next_id


@inference
def model_state(module: nn.Module) -> Hashable:
    """A value that is another one when the model would write something else: after a change of weights, adapters or
    plain attributes, with other hooks in it, in another dtype or place.

    Of weights, identity, version, memory and two numbers each are looked at: in-place changes that torch does not count
    (those of ``.data``) are seen by the numbers. What a hook does differently by itself is not seen.
    """
    weights = [*module.parameters(), *module.buffers()]
    seen = tuple(
        (id(weight), 0 if weight.is_inference() else weight._version, weight.data_ptr(), weight.dtype, weight.device)
        for weight in weights
    )
    numbers: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for weight in weights:
        if weight.numel() and weight.device.type != "meta" and type(weight) in _PLAIN:
            ends = weight[(0,) * weight.dim()], weight[(-1,) * weight.dim()]
            numbers.setdefault((weight.device, weight.dtype), []).extend(ends)
    parts = tuple(
        (id(part), *_hooks(part._forward_hooks), *_hooks(part._forward_pre_hooks), *_settings(part))
        for part in module.modules()
    )
    everywhere = tuple(number for hooks in _EVERYWHERE for number in _hooks(hooks))
    return seen, tuple(tuple(torch.stack(some).tolist()) for some in numbers.values()), parts, everywhere


def is_plain_tensor(weight: object) -> bool:
    """Is it a tensor of torch's own, and not one of a package that computes in another way?"""
    return type(weight) in _PLAIN


def only_reads(hook: Hook) -> Hook:
    """Mark a hook that changes nothing, whenever it was registered."""
    _READERS.append(hook)
    return hook


def is_replaced(part: nn.Module) -> bool:
    """Has a module a ``forward`` of its own, in place of its class's, that may give something else?"""
    forward = vars(part).get("forward")
    return forward is not None and not isinstance(forward, StandIn)


def is_hooked(part: nn.Module) -> bool:
    """Has a module hooks that may change what it is given or gives, or a method in place of its own?"""
    hooks = part._forward_hooks, part._forward_pre_hooks, *_EVERYWHERE
    return is_replaced(part) or any(map(_hooks, hooks))


def _hooks(hooks: Mapping[int, Any]) -> list[int]:
    return [
        number
        for number, hook in hooks.items()
        if not any(hook is reader for reader in _READERS) and not any(number in some for some in _READING)
    ]


def _settings(part: nn.Module) -> tuple[object, ...]:
    """Its plain attributes, and what :data:`_SWITCHES` names, which are properties of adapters and not of other layers."""
    own = {name: value for name, value in vars(part).items() if not isinstance(value, StandIn)}
    plain = [value for value in own.values() if isinstance(value, _SIMPLE)]
    switches = [own.get(name) if name in own or name == "forward" else getattr(part, name, None) for name in _SWITCHES]
    return *plain, *(str(switch) for switch in switches if not inspect.ismethod(switch))
