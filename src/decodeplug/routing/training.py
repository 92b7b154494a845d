"""Routing while a model is trained: the same measures, as a callback of transformers' Trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from decodeplug.routing.alarm import Alarm, Thresholds, collapse
from decodeplug.routing.measures import balance
from decodeplug.routing.report import Routing
from decodeplug.routing.tap import RoutingTap
from decodeplug.whole import whole_number

__all__ = ["RoutingCallback", "RoutingWatch"]


class RoutingWatch:
    """Sees the routing of plain forwards of a model, of whatever loop: ``with watch: model(...)``, then ``watch.routing()``.

    It changes nothing, keeps no graph, and leaves nothing on the model when it is closed. Where there were several forwards,
    it has seen the last one.

    :param model: A mixture-of-experts model; the one that is called.
    :raises IncompatibleParts: It has no such layers that are known.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._tap = model, RoutingTap(model)
        self._ids: Tensor | None = None
        self._mask: Tensor | None = None
        self._handle: Any = None

    def __enter__(self) -> RoutingWatch:
        self._handle = self._model.register_forward_pre_hook(self.note, with_kwargs=True)
        self._tap.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._tap.__exit__(*exception)
        self._handle.remove()

    def routing(self) -> Routing | None:
        """Of the tokens of the last forward, lane after lane, padding left out; None if there was none since this was asked."""
        ids, mask = self._ids, self._mask
        self._ids = self._mask = None
        if ids is None:
            return None
        rows = self._tap.take(ids.shape[0]).flatten(0, 1)
        real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
        kept = real.flatten()
        return Routing.from_rows(self._tap, rows[kept], ids.flatten()[kept].tolist(), 0)

    def note(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Take down what the model is called with."""
        ids = kwargs.get("input_ids", args[0] if args else None)
        mask = kwargs.get("attention_mask", args[1] if len(args) > 1 else None)
        self._ids = ids
        self._mask = mask if isinstance(mask, Tensor) and ids is not None and mask.shape == ids.shape else None


class OneForward:
    """Watches the next forward of a model, and leaves nothing behind it, whether it fails or not."""

    def __init__(self, model: Any) -> None:
        self.watch = RoutingWatch(model)
        self._is_open = False
        self._handles: list[Any] = [
            model.register_forward_pre_hook(self._begin, with_kwargs=True),
            model.register_forward_hook(self._end, always_call=True),
        ]

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._is_open:
            self.watch.__exit__(None, None, None)
            self._is_open = False

    def _begin(self, model: Any, args: Any, kwargs: Any) -> None:
        self.watch.__enter__()
        self.watch.note(model, args, kwargs)  # the forward that has begun calls no further hook
        self._is_open = True

    def _end(self, *_: Any) -> None:
        self.close()


class RoutingCallback(TrainerCallback):
    """Measures routing every few steps of a ``Trainer``, in the first forward of the step, and adds it to what is logged.

    Logged are ``moe_entropy``, ``moe_peak``, ``moe_dead`` and ``moe_loss``: the means over the layers of the measures of
    :class:`decodeplug.routing.Balance`, and ``moe_alarms``, how many layers have collapsed.

    :param every: Steps from one measurement to the next.
    :param thresholds: Of the alarm.
    :param tell: Called with the step and the alarms, where any ring.
    :ivar history: One entry for each measurement: ``step``, and each measure as a list, one value for each layer.
    """

    def __init__(
        self,
        every: int = 50,
        thresholds: Thresholds | None = None,
        tell: Callable[[int, Sequence[Alarm]], None] | None = None,
    ) -> None:
        whole_number("RoutingCallback", "every", every, 1)
        self.every, self.thresholds, self.tell = every, thresholds, tell
        self.history: list[dict[str, Any]] = []
        self._watch: OneForward | None = None
        self._latest: dict[str, float] = {}

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._close()
        if state.global_step % self.every == 0:
            self._watch = OneForward(kwargs["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        one = self._close()
        routing = None if one is None else one.watch.routing()
        if routing is None or not len(routing.token_ids):
            return
        seen, alarms = balance(routing), collapse(routing, self.thresholds)
        self.history.append({"step": state.global_step, **seen.to_dict(), "alarms": [str(alarm) for alarm in alarms]})
        self._latest = {
            f"moe_{name}": float(getattr(seen, name).to(torch.float64).mean())
            for name in ("entropy", "peak", "dead", "loss")
        }
        self._latest["moe_alarms"] = float(len({alarm.layer for alarm in alarms}))
        if alarms and self.tell is not None:
            self.tell(state.global_step, alarms)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logs = kwargs.get("logs")
        if logs is not None and self._latest:
            logs.update(self._latest)
            if state.log_history:
                state.log_history[-1].update(self._latest)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._close()

    def _close(self) -> OneForward | None:
        one, self._watch = self._watch, None
        if one is not None:
            one.close()
        return one
