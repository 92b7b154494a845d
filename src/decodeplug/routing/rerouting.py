"""Changes what a router computes while it computes it, so that everything else stays its own definition."""

from __future__ import annotations

import contextlib
import copy
import math
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from decodeplug.errors import BadOption
from decodeplug.noise import normal
from decodeplug.placing import placing
from decodeplug.routing.layers import RoutedLayer
from decodeplug.routing.report import Routing

__all__ = ["Change", "Noisy", "Raised", "Recorded", "Scaled", "k_of", "rerouted"]


class Change:
    """What is changed in one run of one router. Derive from it.

    :param layer: Whose router runs. :param number: Its place among the mixture-of-experts layers.
    """

    def __init__(self, layer: RoutedLayer, number: int) -> None:
        self.layer, self.number = layer, number

    def logits(self, logits: Tensor) -> Tensor:
        """The router's logits ``[..., experts]``, or others in their place."""
        return logits

    def ranking(self, ranked: Tensor, k: int, one_by_one: bool) -> Tensor:
        """What experts are chosen by, ``[..., experts]``: the largest ones are. What they count stays what it was.

        :param k: How many of them will be.
        :param one_by_one: They are chosen one after the other, and those that were chosen are at ``-inf``. Else it is those
            of groups that may not be chosen from.
        """
        return ranked


class _Run(TorchFunctionMode):
    """One run of a router, with all that is changed in it, in the order of the interventions."""

    def __init__(self, layer: RoutedLayer) -> None:
        super().__init__()
        self.layer = layer
        self.changes: list[Change] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name in ("linear", "mm"):
            output = func(*args, **kwargs)
            if output.shape[-1] == self.layer.outputs:
                for change in self.changes:
                    output = change.logits(output)
            return output
        by_dim = name == "topk" or (name == "max" and isinstance(kwargs.get("dim", (*args, None)[1]), int))
        if by_dim and args[0].shape[-1] == self.layer.count:
            k = kwargs.get("k", (*args, 1)[1]) if name == "topk" else 1
            ranked = args[0]
            for change in self.changes:
                ranked = change.ranking(ranked, k, name == "max")
            if ranked is not args[0]:
                chosen = func(ranked, *args[1:], **kwargs)
                # The same pair, with the values that the chosen ones had.
                values = args[0].gather(-1, chosen[1]) if chosen[1].dim() == args[0].dim() else chosen[0]
                return type(chosen)((values, chosen[1]))
        return func(*args, **kwargs)


class _Open(threading.local):
    """The run in progress, of each thread."""

    run: _Run | None = None


_OPEN = _Open()


def _close(*_: Any) -> None:
    run, _OPEN.run = _OPEN.run, None
    if run is not None:
        run.__exit__(None, None, None)


@contextlib.contextmanager
def rerouted(
    layers: Sequence[tuple[int, RoutedLayer]], change: Callable[[RoutedLayer, int], Change]
) -> Generator[None, None, None]:
    """While it is open, routers of some layers run with a change, where this thread runs them.

    :param layers: Places among the mixture-of-experts layers, and the layers.
    """
    thread = threading.get_ident()

    def begin(layer: RoutedLayer, number: int) -> Callable[..., None]:
        def enter(*_: Any) -> None:
            if threading.get_ident() != thread:
                return
            if _OPEN.run is None or _OPEN.run.layer.router is not layer.router:
                _close()
                _OPEN.run = _Run(layer)
                _OPEN.run.__enter__()
            _OPEN.run.changes.append(change(layer, number))

        return enter

    handles: list[Any] = []
    try:
        for number, layer in layers:
            handles.append(layer.router.register_forward_pre_hook(begin(layer, number)))
            # Some blocks go on choosing behind their router, up to where the experts are told.
            told: Any = layer.router.register_forward_hook
            if layer.experts is not None:
                told = layer.experts.register_forward_pre_hook
            handles.append(told(_close))
        yield
    finally:
        _close()
        for handle in handles:
            handle.remove()


class Raised(Change):
    """Ranks some experts first, or last."""

    def __init__(self, layer: RoutedLayer, number: int, experts: Sequence[int], value: float) -> None:
        super().__init__(layer, number)
        self._experts, self._value = list(experts), value

    def ranking(self, ranked: Tensor, k: int, one_by_one: bool) -> Tensor:
        left = self.layer.count - len(set(self._experts))
        if self._value < 0 and k > left:
            wanted = f"at least {k} experts of {self.layer.name} to be left, as many as it chooses"
            raise BadOption("moe-ablate", experts=self._experts, wanted=wanted)
        if one_by_one:
            raised = ranked.clone()
            some = raised[..., self._experts]
            raised[..., self._experts] = torch.where(some > -math.inf, self._value, some)
            return raised
        raised = ranked.clamp(
            min=torch.finfo(ranked.dtype).min
        )  # before an expert that must not be: one of another group
        raised[..., self._experts] = self._value
        return raised


class Scaled(Change):
    """Multiplies the logits."""

    def __init__(self, layer: RoutedLayer, number: int, factor: float) -> None:
        super().__init__(layer, number)
        self._factor = factor

    def logits(self, logits: Tensor) -> Tensor:
        return logits * self._factor


class Noisy(Change):
    """Adds normal noise to the logits."""

    def __init__(self, layer: RoutedLayer, number: int, scale: float, seed: int) -> None:
        super().__init__(layer, number)
        self._scale, self._seed = scale, seed

    def logits(self, logits: Tensor) -> Tensor:
        flat = logits.reshape(-1, logits.shape[-1])
        noise = normal(self._seed, self.number, _positions(flat), logits.shape[-1])
        return logits + (self._scale * noise).to(logits.dtype).reshape(logits.shape)


class Recorded:
    """What experts are told at the positions that a routing has."""

    def __init__(self, routing: Routing, number: int) -> None:
        self._experts, self._weights = routing.experts[:, number], routing.weights[:, number]
        self._k = int((self._experts >= 0).sum(-1).max()) if len(self._experts) else 0

    def __call__(self, chosen: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        positions, k = _positions(chosen), chosen.shape[-1]
        if self._k and k != self._k:
            raise BadOption("moe-replay", routing=f"{self._k} experts for each token", wanted=f"one with {k}, as here")
        experts, counts = self._experts[:, :k].to(chosen.device), self._weights[:, :k].to(weights)
        is_known = (positions < len(experts))[:, None]
        places = positions.clamp(max=len(experts) - 1)
        told, counted = experts[places], counts[places]
        is_known = is_known & (told >= 0).any(-1, keepdim=True)  # what was never computed was chosen by nobody
        return torch.where(is_known, told.clamp(min=0), chosen), torch.where(is_known, counted, weights)


@contextlib.contextmanager
def k_of(layer: RoutedLayer, k: int) -> Generator[None, None, None]:
    """While it is open, a layer chooses ``k`` experts: wherever its router, what is around it, or a configuration says how many."""
    before: list[tuple[Any, str, Any]] = []
    router: Any = layer.router
    parts: list[Any] = [router, *layer.blocks]
    for part in parts:
        if isinstance(getattr(part, "top_k", None), int):
            before.append((part, "top_k", part.top_k))
            part.top_k = k
    config: Any = getattr(router, "config", None)
    if hasattr(config, "top_k_experts"):
        other = copy.copy(config)
        other.top_k_experts = k
        before.append((router, "config", config))
        router.config = other
    try:
        yield
    finally:
        for part, name, value in reversed(before):  # a router may be the block that it is in
            setattr(part, name, value)


def _positions(rows: Tensor) -> Tensor:
    """The position of each row ``[rows]``: in the forward in progress, or else of a single text."""
    known = placing.get()
    if known is not None and known.numel() == len(rows):
        return known.reshape(-1).to(rows.device)
    return torch.arange(len(rows), device=rows.device)
