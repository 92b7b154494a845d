"""How the benchmarks measure: forwards and their widths, time inside the model, turns, ratios."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

__all__ = ["Clock", "Forwards", "Run", "Spread", "await_device", "cost_by_width", "fastest", "speedups", "take_turns"]
__all__ += ["watch"]

Clock = Callable[[], float]
"""Says seconds, from any beginning."""


@dataclass
class Forwards:
    """What the model was asked to do.

    :ivar widths: For each forward, how many positions of the sequence it covered, prefill first.
    :ivar inside_s: Seconds between entering and leaving the model, over all forwards.
    """

    widths: list[int] = field(default_factory=list)
    inside_s: float = 0.0

    @property
    def mean_width(self) -> float:
        """Mean width of the forwards after the prefill, which is as wide as the prompt."""
        return statistics.fmean(self.widths[1:]) if len(self.widths) > 1 else 0.0


def await_device(device: torch.device) -> None:
    """Wait until a GPU has done all that it was asked for; elsewhere nothing is left to do when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def watch(model: PreTrainedModel, *, awaited: bool = False) -> Iterator[Forwards]:
    """Count and time the forwards of ``model`` while the block runs; leaves no hook behind.

    Forwards are counted at the input embedding, which each passes once, whether the model is called
    as a whole or its body and its head apart; time is taken around the outermost of these modules.

    :param awaited: Time a forward until a GPU is done with it, not until it is asked for; the loop around it waits, too.
    """
    seen, depth, entered = Forwards(), 0, 0.0

    def enter(_module: nn.Module, _args: object) -> None:
        nonlocal depth, entered
        if depth == 0:
            entered = time.perf_counter()
        depth += 1

    def leave(_module: nn.Module, _args: object, _output: object) -> None:
        nonlocal depth
        depth -= 1
        if depth == 0:
            if awaited:
                await_device(model.device)
            seen.inside_s += time.perf_counter() - entered

    def count(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        seen.widths.append(args[0].shape[-1])

    parts = {
        id(part): part for part in (model, getattr(model, "base_model", None), model.get_output_embeddings()) if part
    }
    hooks = [part.register_forward_pre_hook(enter) for part in parts.values()]
    hooks += [part.register_forward_hook(leave) for part in parts.values()]
    hooks.append(model.get_input_embeddings().register_forward_pre_hook(count))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class Run:
    """One generation: what came out, and what it took.

    A run that raised has ``error``, no tokens, and took forever: it loses every comparison.
    """

    wall_s: float
    token_ids: list[int]
    text: str
    forwards: Forwards
    error: str = ""

    @property
    def per_token_s(self) -> float:
        """Wall seconds per output token, the end token included."""
        return self.wall_s / max(1, len(self.token_ids))

    @property
    def forwards_per_token(self) -> float:
        """Forwards, prefill included, per output token; of a failed run, endlessly many."""
        if self.error:
            return math.inf
        return len(self.forwards.widths) / max(1, len(self.token_ids))

    @property
    def beside_s(self) -> float:
        """Seconds per forward that were not spent inside the model."""
        return (self.wall_s - self.forwards.inside_s) / max(1, len(self.forwards.widths))


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some figures."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        return cls(statistics.median(figures), min(figures), max(figures))

    def text(self, digits: int = 2) -> str:
        """``median (low - high)``."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} - {self.high:.{digits}f})"


def take_turns(contestants: Mapping[str, Callable[[], Run]], repeats: int) -> dict[str, list[Run]]:
    """Let each contestant run once per round, ``repeats`` rounds.

    Each round starts with another contestant, so that none always follows the same neighbour.
    """
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(repeats):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            runs[name].append(contestants[name]())
    return runs


def speedups(ours: Sequence[Run], theirs: Sequence[Run], figure: Callable[[Run], float]) -> list[float]:
    """Theirs divided by ours, round by round: above 1 where ours is faster."""
    return [figure(their) / figure(our) for our, their in zip(ours, theirs, strict=True)]


def fastest(
    ours: Sequence[Run], peers: Mapping[str, Sequence[Run]], figure: Callable[[Run], float]
) -> tuple[str, float] | None:
    """The peer with the smallest median figure, and the median speedup over it; None if no peer finished."""
    medians = {name: statistics.median(map(figure, runs)) for name, runs in peers.items()}
    finished = [name for name, median in medians.items() if math.isfinite(median)]
    if not finished:
        return None
    name = min(finished, key=medians.__getitem__)
    return name, statistics.median(speedups(ours, peers[name], figure))


@torch.inference_mode()
def cost_by_width(
    model: PreTrainedModel, widths: Sequence[int], held: int = 128, repeats: int = 15
) -> dict[int, float]:
    """Seconds that one plain forward over so many new positions takes, relative to the first of ``widths``.

    The cache holds ``held`` positions before each. Widths take turns; the median counts.
    """
    ids = torch.arange(5, 5 + held + max(widths), device=model.device)[None]
    cache = model(input_ids=ids[:, :held], use_cache=True).cache
    seconds: dict[int, list[float]] = {width: [] for width in widths}
    for turn in range(repeats + 2):
        for width in widths:
            began = time.perf_counter()
            model(input_ids=ids[:, held : held + width], cache=cache, use_cache=True)
            await_device(model.device)
            if turn >= 2:
                seconds[width].append(time.perf_counter() - began)
            cache.crop(-width)
    first = statistics.median(seconds[widths[0]])
    return {width: statistics.median(seconds[width]) / first for width in widths}
