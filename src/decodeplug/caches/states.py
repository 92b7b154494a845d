"""Layers whose memory is a state (convolution, recurrence) and not a row per id.

A state cannot be rewound, so it is treated as a value: what it was before a
draft is kept until the draft is judged, and put back if any of it is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DummyLayer, LinearAttentionLayer

from decodeplug.caches.layers import KeyValueLayer
from decodeplug.caches.slots import Slots

__all__ = ["HybridLayer", "LaneStates", "StateLayer", "WithState", "layer_kinds"]


class StateLayer(LinearAttentionLayer):
    """The states of one linear or convolution layer for all lanes, ``[lanes, ...]`` each.

    A forward sees the states of its own lanes only: ``load`` takes them out,
    ``store`` puts the new ones in.
    """

    def __init__(self, number_of_states: int = 1, **kwargs: Any) -> None:
        super().__init__(number_of_states=number_of_states)
        self.kept: dict[tuple[str, int], Tensor] = {}
        self.before: list[tuple[list[int], dict[tuple[str, int], Tensor]]] = []

    def _states(self) -> list[tuple[str, dict[int, Any], dict[int, bool]]]:
        return [
            ("conv", self.conv_states, self.is_conv_states_initialized),
            ("recurrent", self.recurrent_states, self.is_recurrent_states_initialized),
        ]

    def load(self, lanes: Sequence[int] | None, index: Tensor | None, fresh: bool, remember: bool) -> None:
        """Show the model the states of these lanes.

        :param lanes: None means all of them, in order; ``index`` is then None too.
        :param fresh: The lanes hold nothing yet.
        :param remember: Keep a copy, because some of the new ids may be dropped.
        """
        for kind, shown, initialized in self._states():
            for number in shown:
                kept = None if fresh else self.kept.get((kind, number))
                if kept is not None and index is not None:
                    kept = kept.index_select(0, index.to(kept.device))
                shown[number], initialized[number] = kept, kept is not None
        for number in self.has_previous_state:
            self.has_previous_state[number] = not fresh
        if remember and not fresh:
            # A clone: some kernels write into the state that they are given.
            self.before.append(
                (
                    list(lanes) if lanes is not None else [],
                    {
                        (kind, number): state.clone()
                        for kind, shown, _ in self._states()
                        for number, state in shown.items()
                        if state is not None
                    },
                )
            )

    def store(self, index: Tensor | None, total: int) -> None:
        """Take the new states over; ``index`` as in :meth:`load`, ``total`` lanes in the session."""
        for kind, shown, _ in self._states():
            for number, state in shown.items():
                if state is None:
                    continue
                if index is None:
                    self.kept[kind, number] = state
                    continue
                kept = self.kept.get((kind, number))
                if kept is None or kept.shape[0] < total:
                    grown = state.new_zeros((total, *state.shape[1:]))
                    if kept is not None:
                        grown[: kept.shape[0]] = kept
                    kept = self.kept[kind, number] = grown
                kept[index.to(kept.device)] = state

    def put_back(self, lanes: Sequence[int]) -> None:
        """Give these lanes the states that they had before the last forward."""
        for remembered, states in reversed(self.before):  # of several calls of the model, what was before the first
            pairs = [(lane, row) for row, lane in enumerate(remembered) if lane in lanes]
            if not pairs or not states:
                continue
            device = next(iter(states.values())).device  # a layer's states are all in one place
            places, rows = torch.tensor(pairs).to(device, non_blocking=True).unbind(dim=-1)
            for key, state in states.items():
                self.kept[key].index_copy_(0, places, state.index_select(0, rows))

    def move_states(self, sources: Tensor, targets: Tensor, lanes: int) -> None:
        """Copy the states of lanes ``sources`` to lanes ``targets``, all at once."""
        for key, kept in self.kept.items():
            moved = kept[sources.to(kept.device)]
            if kept.shape[0] < lanes:
                self.kept[key] = kept = _with_rows(kept, lanes)
            kept[targets.to(kept.device)] = moved

    def resize(self, lanes: int) -> None:
        """Hold exactly ``lanes`` lanes from now on."""
        for key, kept in self.kept.items():
            if kept.shape[0] != lanes:
                self.kept[key] = kept[:lanes].clone() if kept.shape[0] > lanes else _with_rows(kept, lanes)

    def drop_states(self) -> None:
        """Give their memory back."""
        self.kept.clear()
        for _, shown, initialized in self._states():
            for number in shown:
                shown[number], initialized[number] = None, False

    def state_bytes(self) -> int:
        return sum(state.numel() * state.element_size() for state in self.kept.values())


def _with_rows(states: Tensor, lanes: int) -> Tensor:
    grown = states.new_zeros((lanes, *states.shape[1:]))
    grown[: states.shape[0]] = states
    return grown


class WithState(StateLayer):
    """The state of a layer that has keys and values besides; those come from another base."""

    def lazy_initialization(self, *args: Any, **kwargs: Any) -> None:
        if kwargs:
            StateLayer.lazy_initialization(self, **kwargs)

    def get_max_length(self) -> int:
        return -1


class HybridLayer(WithState, KeyValueLayer):
    """A layer that has both a state and keys and values."""

    def __init__(self, slots: Slots, packed: bool = False, number_of_states: int = 1, **kwargs: Any) -> None:
        KeyValueLayer.__init__(self, slots, packed)
        StateLayer.__init__(self, number_of_states=number_of_states)


def layer_kinds(rows: type, indexed: type, hybrid: type) -> dict[str, type]:
    """By transformers' layer type, the class of a layer: with a row for each id, with keys of an indexer, with a state besides."""
    return {
        "full_attention": rows,
        "sliding_attention": rows,
        "chunked_attention": rows,
        "indexed_attention": indexed,
        "conv": StateLayer,
        "linear_attention": StateLayer,
        "hybrid": hybrid,
        "hybrid_sliding": hybrid,
        "dummy": DummyLayer,
    }


class LaneStates:
    """The states of all layers that have some, for all lanes: what a cache of any kind does with them.

    :param layers: All layers of the cache; those without states are passed over.
    """

    def __init__(self, layers: Sequence[Any], device: torch.device) -> None:
        self.layers = [layer for layer in layers if isinstance(layer, StateLayer)]
        self._device = device
        self._old_held: list[int] = []
        self._remembered: set[int] = set()
        self._index: Tensor | None = None

    def begin(self, lanes: Sequence[int], held: Sequence[int], width: int, *, goes_on: bool = False) -> None:
        """A forward of ``width`` rows for each of these lanes; ``held`` is how many ids each lane of the cache holds.

        :param goes_on: Another one may follow before it is known what is kept.
        """
        if not self.layers:
            return
        everyone = len(lanes) == len(held)
        self._index = None if everyone else torch.tensor(list(lanes)).to(self._device, non_blocking=True)
        fresh = held[lanes[0]] == 0
        remember = (width > 1 or goes_on) and not fresh
        for layer in self.layers:
            layer.load(lanes, self._index, fresh, remember)
        if remember:  # not what was between two calls of the model in one forward
            before = self._old_held or held
            self._remembered.update([lane for lane in lanes if held[lane] == before[lane]])

    def commit(self, held: Sequence[int]) -> None:
        """The model has run; ``held`` is as it was before."""
        if self.layers:
            for layer in self.layers:
                layer.store(self._index, len(held))
            self._old_held = self._old_held or list(held)

    def settle(self, parents: Sequence[int], lengths: Sequence[int], held: Sequence[int]) -> list[int]:
        """Put states back where ids are dropped; return how many ids may really be kept.

        Lanes that continue one parent must agree about its state: it is the new
        one only if all of them keep all of it.
        """
        if not self.layers:
            return list(lengths)
        least: dict[int, int] = {}
        for parent, length in zip(parents, lengths, strict=True):
            if parent >= 0:
                least[parent] = min(length, least.get(parent, length))
        cut = {parent for parent, length in least.items() if length < held[parent]}
        old = self._old_held or held
        back = [parent for parent in cut if parent in self._remembered and least[parent] >= old[parent]]
        if back:
            for layer in self.layers:
                layer.put_back(back)
        for layer in self.layers:
            layer.before.clear()
        self._remembered.clear()
        settled = {parent: (old[parent] if parent in back else 0) for parent in cut}
        self._old_held = []
        return [settled.get(parent, length) for parent, length in zip(parents, lengths, strict=True)]

    def rearrange(self, sources: Tensor | None, targets: Tensor | None, lanes: int) -> None:
        """Copy states between lanes, and hold those of ``lanes`` lanes from now on; none: give the memory back."""
        for layer in self.layers:
            if sources is not None and targets is not None:
                layer.move_states(sources, targets, lanes)
            layer.resize(lanes)
            if not lanes:
                layer.drop_states()

    def bytes(self) -> int:
        return sum([layer.state_bytes() for layer in self.layers])
