"""A session for models whose cache nobody else can keep: lane by lane, as ``generate()`` does it.

Every lane has the model's own cache object and is fed by the model's own
``prepare_inputs_for_generation``: its prompt in one forward, then one id at a time
(or several, where the model continues exactly at any width).
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from decodeplug.inference import inference
from decodeplug.positions import GenerateInputs
from decodeplug.taps import Taps

__all__ = ["StepSession"]


@dataclass(slots=True)
class Lane:
    """One lane. ``before``: its state and length before the last forward, if some of that may be dropped."""

    ids: list[int] = field(default_factory=list)
    state: Any = None
    prompt: int = 0
    before: tuple[int, Any] | None = None


class StepSession:
    """See :class:`decodeplug.contracts.Session`.

    :param lock: Held during a forward. :param wide: The model continues exactly with several new ids at once, so that drafts pay.
    :param remember: False makes it the oracle: every lane is replayed from its prompt at every forward.
    """

    def __init__(
        self,
        inputs: GenerateInputs,
        vocab_size: int,
        lock: AbstractContextManager[Any],
        *,
        wide: bool,
        remember: bool = True,
    ) -> None:
        self.inputs, self.vocab_size, self.lock, self.wide, self.remember = inputs, vocab_size, lock, wide, remember
        self.max_draft: int | None = None if wide or not remember else 0
        self.lanes: list[Lane] = []
        self.watched: Sequence[Tensor] = []
        self.reused: Sequence[int] = ()
        self.copied_bytes = 0
        self.taps = Taps()

    @inference
    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int], whole: Collection[int] = ()) -> Tensor:
        rows, self.watched = [], []
        for lane, feed, want in zip(self.lanes, feeds, wants, strict=True):
            if feed:
                with self.lock:
                    rows.extend(self._feed(lane, list(feed), want))
            elif self.taps:
                self.watched = [*self.watched, torch.empty(0)]
        if rows:
            return torch.cat(rows)
        return torch.empty((0, self.vocab_size), dtype=self.inputs.dtype, device=self.inputs.device)

    def _feed(self, lane: Lane, feed: list[int], want: int) -> list[Tensor]:
        held, fresh = len(lane.ids), not lane.ids
        if not lane.prompt:
            lane.prompt = len(feed) - max(want, 1) + 1
        first = min(lane.prompt, len(feed)) if fresh else 0
        rest = feed[first:]
        widths = [first] if fresh else []
        widths += [len(rest)] if self.wide and rest else [1] * len(rest)
        lane.before = (held, self._copy(lane.state)) if want > 1 and not fresh and self.remember else None
        rows: list[Tensor] = []
        seen: list[Tensor] = []
        for width in widths:
            lane.ids += feed[:width]
            feed = feed[width:]
            logits, lane.state = self.inputs.step(lane.ids, lane.state, width, self.taps)
            rows.append(logits[-width:])
            states = self.taps.take(1)
            seen += [] if states is None else [states[0, -width:]]
        logits = torch.cat(rows)
        self.watched = [*self.watched, torch.cat(seen)] if seen else []
        return [logits[len(logits) - want :]]

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        old, taken = self.lanes, set[int]()
        self.lanes = []
        for parent in parents:
            if parent < 0:
                self.lanes.append(Lane())
            else:
                lane = old[parent]
                if parent in taken:
                    lane = Lane(list(lane.ids), self._copy(lane.state), lane.prompt, self._copy(lane.before))
                self.lanes.append(lane)
                taken.add(parent)
        for lane, length in zip(self.lanes, lengths, strict=True):
            self._cut(lane, length)
        return [len(lane.ids) for lane in self.lanes]

    def _cut(self, lane: Lane, length: int) -> None:
        lane.prompt = min(lane.prompt, length or lane.prompt)
        if length < len(lane.ids) or not self.remember:
            held, state = lane.before or (0, None)
            if held > length or not self.remember:
                held, state = 0, None
            lane.ids, lane.state = lane.ids[:held], state
        lane.before = None

    def _copy(self, state: Any) -> Any:
        found = list(_tensors(state, set()))
        self.copied_bytes += _bytes(found)
        # Quantised tensors of other packages are replaced and never written to, and some cannot be copied.
        return copy.deepcopy(state, {id(tensor): tensor for tensor in found if is_traceable_wrapper_subclass(tensor)})

    def watch(self, taps: Taps) -> None:
        self.taps = taps

    def bytes(self) -> int:
        return sum(_bytes(_tensors(lane.state, set())) for lane in self.lanes)

    def facts(self) -> dict[str, int]:
        return {"copied_bytes": self.copied_bytes}


def _tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """All tensors in a nested state, each once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    inside: Iterable[Any] = ()
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        inside = value.values()
    elif isinstance(value, (list, tuple)):
        inside = value
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        inside = vars(value).values()
    for item in inside:
        yield from _tensors(item, seen)


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Of what they are made of, where that is other tensors."""
    total = 0
    for tensor in tensors:
        if is_traceable_wrapper_subclass(tensor):
            names, _ = tensor.__tensor_flatten__()
            total += _bytes(getattr(tensor, name) for name in names)
        else:
            total += tensor.numel() * tensor.element_size()
    return total
