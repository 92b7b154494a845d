"""Where a model routes: its mixture-of-experts layers, and where in them the routing can be read."""

from __future__ import annotations

import inspect
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from decodeplug.errors import IncompatibleParts

__all__ = ["Choice", "RoutedLayer", "read_doge", "routed_layers"]

_INDEX = ("top_k_index", "router_indices", "selected_experts")
_WEIGHTS = ("top_k_weights", "routing_weights")
_ROUTERS = ("router", "gate")
_TOLD_AS_IT_IS: weakref.WeakSet[nn.Module] = weakref.WeakSet()
"""Routers whose experts were told the very tensors that they put out: then one hook sees all, unless somebody hooks the experts."""
_SENSES = ("vision", "visual", "audio")
"""In the paths of modules that have no part in a text."""


@dataclass(slots=True)
class Choice:
    """What was seen of one layer in one forward, row by row. What the model itself made, not copied.

    :ivar scores: ``[rows, experts]`` what the router said first, logits as a rule.
    :ivar experts: ``[rows, k]`` int64, the experts that were chosen. :ivar weights: ``[rows, k]`` what they count.
    """

    scores: Tensor | None = None
    experts: Tensor | None = None
    weights: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RoutedLayer:
    """One place where a model chooses experts.

    :ivar index: Of the decoder layer. :ivar name: Path of the module that has router and experts.
    :ivar blocks: That module, and the one around it. :ivar router: What chooses. :ivar experts: What is told of the choice; None where the router's output says it all.
    :ivar read: Fills a choice in from what the router has put out.
    :ivar count: How many experts there are to choose from. :ivar outputs: How many numbers the router's last projection
        puts out: as many, but for routers that rate something else as well.
    """

    index: int
    name: str
    blocks: Sequence[nn.Module]
    router: nn.Module
    experts: nn.Module | None
    read: Callable[[nn.Module, Any, Choice], None]
    count: int
    outputs: int

    def watcher(self, choice: Callable[[], Choice | None]) -> Callable[[], list[Any]]:
        """Makes hooks of router and experts; what is returned puts them in place and returns the handles.

        :param choice: Gives what is filled in; None: nothing is.
        """

        def routed(router: nn.Module, given: Any, output: Any) -> None:
            if (seen := choice()) is not None:
                self.read(router, output, seen)
                if self.experts is not None and isinstance(output, tuple) and len(output) > 2:
                    seen.weights, seen.experts = output[1], output[2]

        def told(experts: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if (seen := choice()) is not None:
                chosen, weights = _argument(args, kwargs, 1, _INDEX), _argument(args, kwargs, 2, _WEIGHTS)
                if seen.experts is chosen and seen.weights is weights:
                    _TOLD_AS_IT_IS.add(self.router)
                seen.experts, seen.weights = chosen, weights

        def place() -> list[Any]:
            handles: list[Any] = [self.router.register_forward_hook(routed)]
            if self.experts is not None and (self.router not in _TOLD_AS_IT_IS or self.experts._forward_pre_hooks):
                handles.append(self.experts.register_forward_pre_hook(told, with_kwargs=True))
            return handles

        return place

    def tell(self, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Any:
        """Have the experts told something else than was chosen; returns the handle. Where there are experts to be told.

        :param change: Of experts ``[rows, k]`` int64 and weights ``[rows, k]``, others.
        """
        assert self.experts is not None

        thread = threading.get_ident()

        def told(experts: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if threading.get_ident() != thread:
                return None
            chosen, weights = _argument(args, kwargs, 1, _INDEX), _argument(args, kwargs, 2, _WEIGHTS)
            others = change(chosen, weights)
            named = {name: others[name in _WEIGHTS] for name in kwargs if name in (*_INDEX, *_WEIGHTS)}
            return (*args[:1], *others[: len(args) - 1], *args[3:]), {**kwargs, **named}

        return self.experts.register_forward_pre_hook(told, with_kwargs=True)


def routed_layers(model: nn.Module) -> list[RoutedLayer]:
    """The mixture-of-experts layers of a model's decoder, in the order of their modules.

    :raises IncompatibleParts: It has none that are known.
    """
    parts = [(name, part) for name, part in model.named_modules() if not any(sense in name for sense in _SENSES)]
    found = [layer for name, part in parts if (layer := _routed(model, name, part)) is not None]
    if not found:
        raise IncompatibleParts(
            "moe-routing",
            type(model).__name__,
            because="none of its modules is known to choose experts",
            instead="Use a mixture-of-experts model, such as Mixtral, Qwen3-MoE or DeepSeek-V3",
        )
    return found


def _routed(model: nn.Module, name: str, part: nn.Module) -> RoutedLayer | None:
    kind = type(part).__name__
    where = name.rpartition(".")[0]
    index = next((int(step) for step in name.split(".") if step.isdecimal()), 0)
    if (read := _OWN_ROUTERS.get(kind)) is not None:
        where = name if read is read_doge else where
        return RoutedLayer(index, where, _blocks(model, where), part, None, read, *_sizes(part, None))
    if not _is_told(type(part)):
        return None
    block = model.get_submodule(where)
    router = next((child for child in (getattr(block, one, None) for one in _ROUTERS) if child is not None), None)
    if router is None or type(router).__name__ in _OWN_ROUTERS:
        return None
    return RoutedLayer(index, where, _blocks(model, where), router, part, _first_output, *_sizes(router, part))


@cache
def _is_told(kind: type[nn.Module]) -> bool:
    """Is a module of this kind told which experts were chosen?"""
    takes = set(inspect.signature(kind.forward).parameters)
    return bool(takes.intersection(_INDEX) and takes.intersection(_WEIGHTS))


def _blocks(model: nn.Module, name: str) -> Sequence[nn.Module]:
    return model.get_submodule(name), model.get_submodule(name.rpartition(".")[0])


def _sizes(router: nn.Module, experts: nn.Module | None) -> tuple[int, int]:
    """How many experts there are to choose from, and how many numbers the router's projection puts out."""
    names = ("num_router_classes", "n_routed_experts", "num_experts")
    known = [getattr(part, name, None) for part in (router, experts) for name in names]
    count = next((size for size in known if isinstance(size, int)), 0)
    weight = getattr(router, "weight", None)
    halves = getattr(router, "num_keys", None)
    return count, 2 * halves if halves else weight.shape[0] if isinstance(weight, Tensor) else count


def _argument(args: Sequence[Any], kwargs: dict[str, Any], place: int, names: Sequence[str]) -> Tensor:
    return args[place] if len(args) > place else next(kwargs[name] for name in names if name in kwargs)


def _first_output(router: nn.Module, output: Any, choice: Choice) -> None:
    choice.scores = output if isinstance(output, Tensor) else output[0]


def _llama4(router: Any, output: Any, choice: Choice) -> None:
    """Its experts compute every row, those that are not chosen on zeros: their weight is 0."""
    weights, choice.scores = output
    choice.weights, choice.experts = torch.topk(weights, router.top_k, dim=-1)


def _jetmoe(router: Any, output: Any, choice: Choice) -> None:
    """It says which row goes where, sorted by expert; put back in the order of the rows."""
    order, _, gates, sizes, choice.scores = output
    experts, weights = torch.empty_like(order), torch.empty_like(gates)
    experts[order] = torch.repeat_interleave(torch.tensor(sizes, device=order.device))
    weights[order] = gates
    choice.experts, choice.weights = experts.view(-1, router.top_k), weights.view(-1, router.top_k)


def read_doge(block: Any, output: Any, choice: Choice) -> None:
    """It chooses an expert by two halves of its number (product keys), and tells only how it rates the halves.

    Source: Lample et al. 2019, arXiv:1907.05242, section 3.2.
    """
    halves = output[1]
    (best_x, best_y), (place_x, place_y) = halves.topk(block.num_keys, dim=-1)
    sums = (best_x[:, :, None] + best_y[:, None, :]).flatten(1)
    numbers = (place_x[:, :, None] * block.num_keys + place_y[:, None, :]).flatten(1)
    chosen, places = sums.topk(block.top_k, dim=-1)
    weights = chosen.softmax(-1)
    choice.weights = weights / weights.sum(-1, keepdim=True) if block.norm_topk_prob else weights
    choice.experts = numbers.gather(-1, places)
    choice.scores = torch.empty_like(sums).scatter_(-1, numbers, sums)


def _zaya(router: Any, output: Any, choice: Choice) -> None:
    """One choice is to skip the layer, which it passes on as the first expert with a weight of 0."""
    choice.scores, choice.weights, experts = output[:3]
    choice.experts = torch.where(choice.weights == 0, router.num_experts, experts)


_OWN_ROUTERS: dict[str, Callable[[nn.Module, Any, Choice], None]] = {
    "DogeCDMoE": read_doge,
    "JetMoeTopKGating": _jetmoe,
    "Llama4Router": _llama4,
    "ZayaRouter": _zaya,
}
"""Modules whose output says which experts were chosen, though not as others say it."""
