"""Sees which experts were chosen, by how much, and what the router thought of all of them, row by row."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from decodeplug.errors import UnsupportedModel
from decodeplug.routing.layers import Choice, RoutedLayer, routed_layers
from decodeplug.routing.scores import Scoring, probabilities, scoring_of

__all__ = ["RoutingTap", "Rows"]


class Rows(NamedTuple):
    """What a tap saw of rows.

    :ivar experts: ``[rows, layers, k]`` int64, most probable first or as the model orders them; -1 where a layer has
        fewer, or the row was not computed. :ivar weights: ``[rows, layers, k]``. :ivar probs: ``[rows, layers, experts]``.
    """

    experts: Tensor
    weights: Tensor
    probs: Tensor


class RoutingTap:
    """See :class:`decodeplug.taps.Tap`. One row is, for each layer, the numbers of the chosen experts plus 1, their weights,
    and the router's scores, of which probabilities are made when it is unpacked: in float32, or float64 where the model has such weights.

    :ivar counts: How many experts each layer has; known after a forward.
    :raises IncompatibleParts: The model has no mixture-of-experts layers that are known.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.layers: Sequence[RoutedLayer] = routed_layers(model)
        self._choices: list[Choice] = []
        self._handles: list[Any] = []
        self._scoring: Scoring | None = None
        self._experts = self._thread = 0
        self._watchers = [layer.watcher(partial(self._choice, number)) for number, layer in enumerate(self.layers)]
        self.counts: Sequence[int] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RoutingTap) and other.model is self.model

    def __hash__(self) -> int:
        return id(self.model)

    def __enter__(self) -> RoutingTap:
        self._choices, self._thread = [Choice() for _ in self.layers], threading.get_ident()
        for number, layer in enumerate(self.layers):
            self._handles += self._watchers[number]()
            if scoring_of(layer.router) is None:
                self._handles += self._learn(number, layer)
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._stop_learning()

    @torch.no_grad()
    def take(self, lanes: int) -> Tensor:
        """``[lanes, width, layers * (2 k + experts)]``."""
        choices, self._choices = self._choices, [Choice() for _ in self.layers]
        missing = [layer.name for layer, one in zip(self.layers, choices, strict=True) if one.experts is None]
        if missing:
            raise UnsupportedModel(
                type(self.model).__name__, because=f"its routing cannot be read: no expert was called in {missing[0]}"
            )
        experts = _stacked([one.experts for one in choices if one.experts is not None], -1) + 1
        weights = _stacked([one.weights for one in choices if one.weights is not None])
        scores = _stacked([one.scores for one in choices if one.scores is not None])
        self._experts = scores.shape[-1]
        self.counts = [one.scores.shape[-1] for one in choices if one.scores is not None]
        dtype = torch.promote_types(torch.promote_types(weights.dtype, scores.dtype), torch.float32)
        rows = torch.cat([experts.to(dtype), weights.to(dtype), scores.to(dtype)], -1)
        return rows.flatten(1).unflatten(0, (lanes, -1))

    def unpack(self, rows: Tensor) -> Rows:
        """What rows ``[rows, features]`` say, of this tap or of one that equals it."""
        by_layer = rows.unflatten(-1, (len(self.layers), -1))
        k = (by_layer.shape[-1] - self._experts) // 2
        numbers, weights, scores = by_layer.split([k, k, self._experts], -1)
        experts = numbers.round().long() - 1
        computed = (experts >= 0).any(-1, keepdim=True)
        return Rows(experts, weights, torch.where(computed, self._probabilities(scores), 0.0))

    def _choice(self, number: int) -> Choice | None:
        """What is filled in by the thread that has opened it: others may run the model, too."""
        return self._choices[number] if threading.get_ident() == self._thread else None

    def _probabilities(self, scores: Tensor) -> Tensor:
        """``[rows, layers, experts]`` of scores of that shape; those that a layer does not have are at 0."""
        probs = torch.zeros_like(scores)
        for number, (layer, count) in enumerate(zip(self.layers, self.counts, strict=True)):
            probs[:, number, :count] = probabilities(scores[:, number, :count], scoring_of(layer.router) or "softmax")
        return probs

    def _learn(self, number: int, layer: RoutedLayer) -> list[Any]:
        """Hooks that see how the router makes scores; up to where the experts are told, for some blocks do it there."""

        def begin(*_: Any) -> None:
            if threading.get_ident() != self._thread:
                return
            self._stop_learning()
            self._scoring = Scoring()
            self._scoring.__enter__()

        def end(*_: Any) -> None:
            if threading.get_ident() != self._thread:
                return
            scoring, scores = self._scoring, self._choices[number].scores
            self._stop_learning()
            if scoring is not None and scores is not None:
                scoring.learn(layer.router, scores)

        told: Any = layer.router.register_forward_hook
        if layer.experts is not None:
            told = layer.experts.register_forward_pre_hook
        return [layer.router.register_forward_pre_hook(begin), told(end)]

    def _stop_learning(self) -> None:
        if self._scoring is not None:
            self._scoring.__exit__(None, None, None)
            self._scoring = None


def _stacked(pieces: Sequence[Tensor], missing: int = 0) -> Tensor:
    """``[rows, layers, values]`` of one piece ``[..., values]`` for each layer; shorter ones have ``missing`` behind.

    Where layers are on several devices, all of it is on that of the first.
    """
    pieces = [piece.to(pieces[0].device, non_blocking=True) for piece in pieces]
    if len({piece.shape for piece in pieces}) == 1:  # as a rule: each operation counts, for there is one in every step
        return torch.stack(pieces, -2).flatten(0, -3)
    flat = [piece.reshape(-1, piece.shape[-1]) for piece in pieces]
    most = max(piece.shape[-1] for piece in flat)
    return torch.stack([nn.functional.pad(one, (0, most - one.shape[-1]), value=missing) for one in flat], 1)
