"""The training of heads: step after step, resumable to the bit, with the model frozen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decodeplug.errors import BadOption
from decodeplug.files import read_facts, read_tensors, write_tensors
from decodeplug.heads.batches import batch_of, indices_at
from decodeplug.heads.frozen import Kept
from decodeplug.heads.halves import multiplies_faster_in_bfloat16
from decodeplug.heads.learning import OBJECTIVES, loss_of
from decodeplug.heads.trained import KINDS, WRITTEN, Heads

__all__ = ["CHECKPOINT", "Settings", "Training", "runs_in_bfloat16"]

CHECKPOINT = "training.safetensors"
_WARMUP = 10  # steps
_SAVE_EVERY_S = 60.0
_CLIP = 1.0  # longest gradient
_LAST_RATE = 0.05  # of the first one


@dataclass(frozen=True, slots=True)
class Settings:
    """How heads are trained.

    :param kind: "independent" or "recurrent". :param heads: Tokens that are foreseen.
    :param vocab: Tokens that can be drafted: the commonest of the text.
    :param steps: Steps at most. :param minutes: Minutes at most, over all resumed runs. One of the two must be given.
    :param batch: Rows of a step. :param width: Ids of a row at most.
    :param objective: See ``decodeplug.heads.learning``. :param rate: Learning rate after the warm-up; it falls linearly.
    :param seed: Of the weights and of the order of the rows.
    :raises BadOption: A value is out of range.
    """

    kind: str = "recurrent"
    heads: int = 3
    vocab: int = 8192
    steps: int | None = None
    minutes: float | None = None
    batch: int = 2
    width: int = 256
    objective: str = "distribution"
    rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("kind", KINDS), ("objective", OBJECTIVES)):
            if getattr(self, name) not in known:
                raise _wrong(name, getattr(self, name), f"one of {', '.join(known)}")
        least = {"heads": 1, "vocab": 2, "batch": 1, "width": 16, "seed": 0}
        for name, number in least.items():
            if getattr(self, name) < number:
                raise _wrong(name, getattr(self, name), f"at least {number}")
        if self.steps is None and self.minutes is None:
            raise _wrong("steps", None, "a number of steps or of minutes")
        for name in ("steps", "minutes", "rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise _wrong(name, value, "a number above 0")

    def shape(self) -> dict[str, Any]:
        """What a resumed run must have in common with the one that it goes on with."""
        return {name: value for name, value in asdict(self).items() if name not in ("steps", "minutes")}


class Training:
    """Heads on their way: weights, optimizer, and how far it got.

    :param heads: What is trained, in place. :param kept: The rows to learn from.
    :param folder: Where checkpoints are written. :param data: What identifies the rows, for a resumed run.
    :ivar step: Steps done. :ivar seconds: Time spent in them, over all runs. :ivar tokens: Ids read.
    :ivar loss: A running mean. :ivar text_tokens: Ids of the rows.
    :ivar in_bfloat16: Matrices are multiplied in bfloat16, where the machine does that faster; weights, sums and losses
        are float32. A resumed run does as the first one.
    """

    def __init__(self, heads: Heads, kept: Kept, settings: Settings, folder: Path, data: str) -> None:
        self.heads, self.settings = heads, settings
        self._kept, self._folder, self._data = kept, folder, data
        self._device = heads.output.rows.device
        self.in_bfloat16 = multiplies_faster_in_bfloat16(self._device)
        self._parameters = dict(heads.part.named_parameters())
        # Elsewhere a fused one counts its steps on the device, and not where checkpoints have them.
        fused = True if self._device.type == "cpu" else None
        self._optimizer = torch.optim.AdamW(self._parameters.values(), lr=settings.rate, betas=(0.9, 0.95), fused=fused)
        self.step, self.seconds, self.tokens, self.loss = 0, 0.0, 0, 0.0
        self.text_tokens = sum(len(row.ids) for row in kept.rows)

    @property
    def done(self) -> float:
        """The share of the steps or minutes that is over."""
        steps, minutes = self.settings.steps, self.settings.minutes
        by_steps = 0.0 if steps is None else self.step / steps
        return min(max(by_steps, 0.0 if minutes is None else self.seconds / (60 * minutes)), 1.0)

    def run(self, tell: Callable[[Training], None], stop: Callable[[], bool]) -> bool:
        """Train until it is done, and write a checkpoint every minute and at the end.

        :param tell: Called after every step. :param stop: Asked after every step; True ends the run with a checkpoint.
        :returns: Whether it was done, not stopped.
        """
        saved = time.monotonic()
        while self.done < 1:
            self._take_step()
            tell(self)
            if stop():
                break
            if time.monotonic() - saved > _SAVE_EVERY_S:
                self.save()
                saved = time.monotonic()
        self.save()
        return self.done >= 1

    def _take_step(self) -> None:
        began, settings = time.monotonic(), self.settings
        indices = indices_at(self.step, len(self._kept.rows), settings.batch, settings.seed)
        batch = batch_of(self._kept, indices, self._device, choices=settings.objective == "argmax")
        falling = 1 - (1 - _LAST_RATE) * self.done
        for group in self._optimizer.param_groups:
            group["lr"] = settings.rate * falling * min((self.step + 1) / _WARMUP, 1)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.in_bfloat16):
            loss = loss_of(self.heads, batch, settings.objective)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), _CLIP)
        self._optimizer.step()
        now = loss.item()
        self.loss = now if self.step == 0 else 0.95 * self.loss + 0.05 * now
        self.step += 1
        self.tokens += int(batch.lengths.sum())
        self.seconds += time.monotonic() - began

    def save(self) -> None:
        """Write the heads, which can be used from now on, and the checkpoint, which can be gone on from."""
        facts = {"step": self.step, "seconds": self.seconds, "tokens": self.tokens, "loss": self.loss}
        self.heads.save(self._folder, facts)
        state = {f"weight.{name}": value for name, value in self._parameters.items()}
        for name, parameter in self._parameters.items():
            state |= {f"optimizer.{name}.{key}": value for key, value in self._optimizer.state[parameter].items()}
        facts |= {"bfloat16": self.in_bfloat16}
        facts |= {"settings": self.settings.shape(), "data": self._data, "identity": self.heads.identity.to_dict()}
        write_tensors(self._folder / CHECKPOINT, state, facts)

    def resume(self) -> None:
        """Go on where the checkpoint in the folder stopped.

        :raises BadOption: It has other settings or other text.
        """
        state, facts = read_tensors(self._folder / CHECKPOINT, *WRITTEN)
        mine = {"settings": self.settings.shape(), "data": self._data, "identity": self.heads.identity.to_dict()}
        for name, value in mine.items():
            if facts.get(name) != value:
                said = {"settings": "options", "data": "text", "identity": "model"}[name]
                raise BadOption("train-heads", out=str(self._folder), wanted=f"a checkpoint with the same {said}")
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(state[f"weight.{name}"])
                self._optimizer.state[parameter] = _state_of(name, state, parameter)
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.tokens, self.loss = facts["tokens"], facts["loss"]
        self.in_bfloat16 = facts["bfloat16"]


def runs_in_bfloat16(resumed: Path | None) -> bool:
    """Shall a model on the CPU write and be read in bfloat16? Where the machine clearly multiplies faster so.

    :param resumed: The folder of a run that is gone on with: what was right for it is kept to.
    """
    if resumed is not None and (resumed / CHECKPOINT).is_file():
        return bool(read_facts(resumed / CHECKPOINT, *WRITTEN).get("bfloat16"))
    return multiplies_faster_in_bfloat16(torch.device("cpu"))


def _state_of(name: str, state: dict[str, Tensor], parameter: Tensor) -> dict[str, Tensor]:
    prefix = f"optimizer.{name}."
    found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    # The count of steps stays on the CPU, where AdamW keeps it.
    return {key: value if key == "step" else value.to(parameter.device) for key, value in found.items()}


def _wrong(name: str, value: object, wanted: str) -> BadOption:
    return BadOption("train-heads", wanted=wanted, **{name: value})
