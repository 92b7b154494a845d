"""A lane is one hypothesis of one job; a job is one request on its way through the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from decodeplug.values import LaneView, Record

if TYPE_CHECKING:
    from decodeplug.contracts import Constraint, Drafter, Inspector, Processor, Selector
    from decodeplug.rules import Rules
    from decodeplug.text import TextState
    from decodeplug.trace import Trace
    from decodeplug.widths import WidthCosts

__all__ = ["Job", "Lane", "Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows are scored and chosen. Neighbouring lanes with equal plans are scored together."""

    processors: tuple[Processor, ...]
    selector: Selector


@dataclass(slots=True, eq=False)
class Lane:
    """One hypothesis.

    :ivar ids: Committed ids, prompt first. :ivar held: How many of them the cache holds;
        the rest is *pending*. :ivar state: The constraint's state after ``ids``.
    :ivar text: What the ids say so far, where somebody needs to know while decoding.
    :ivar saved: Forwards of width 1 that drafts have saved, less what they cost.
    :ivar hypothesis: Its number within the request: part of the noise key.
    """

    job: Job
    ids: list[int]
    state: Any = None
    text: TextState | None = None
    hypothesis: int = 0
    held: int = 0
    logprobs: list[float] = field(default_factory=list)
    raw_logprobs: list[float] = field(default_factory=list)
    top_logprobs: list[list[tuple[int, float]]] = field(default_factory=list)
    records: Mapping[str, Record] = field(default_factory=dict)
    saved: float = 0.0
    finish_reason: str | None = None

    @property
    def new_ids(self) -> list[int]:
        return self.ids[self.job.prompt_length :]

    @property
    def is_twin(self) -> bool:
        """Nothing is written yet, and other lanes of the job have the same prompt: all share one forward."""
        return len(self.job.lanes) > 1 and len(self.ids) == self.job.prompt_length

    def view(self, costs: WidthCosts, lanes: int) -> LaneView:
        """What parts may know of this lane.

        :param lanes: How many lanes there are: forwards cost by it.
        """
        job = self.job
        # Drafters get a copy, so that none of them can change the text.
        ids = self.ids if job.drafter is None else tuple(self.ids)
        cost = partial(costs.relative, lanes=lanes)
        key = (job.seed, self.hypothesis)
        return LaneView(ids, job.prompt_length, job.constraint, self.state, self.records, cost, key, self.saved)


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way through the loop: its resolved parts and its lanes."""

    prompt: Sequence[int]
    plan: Plan
    rules: Rules
    trace: Trace
    seed: int
    drafter: Drafter | None = None
    constraint: Constraint | None = None
    end_ids: frozenset[int] = frozenset()
    inspectors: Sequence[Inspector] = ()
    logprobs: bool = False
    top_logprobs: int = 0
    raw_logprobs: bool = False
    owner: Callable[[object], str] = lambda part: "unknown"
    lanes: list[Lane] = field(default_factory=list)
    deadline: float | None = None
    error: BaseException | None = None
    cancelled: bool = False

    def interrupted(self) -> str | None:
        """Why this job must stop now though its text has not ended, or None."""
        if self.cancelled:
            return "cancelled"
        return "timeout" if self.deadline is not None and time.monotonic() > self.deadline else None

    @property
    def prompt_length(self) -> int:
        return len(self.prompt)

    @property
    def is_done(self) -> bool:
        return self.error is not None or all(lane.finish_reason is not None for lane in self.lanes)
