"""A lane is one hypothesis of one job; a job is one request on its way through the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from decodeplug.drawing import Drawing
from decodeplug.values import LaneView, Record
from decodeplug.watching import Fed, Trail

if TYPE_CHECKING:
    from torch import Tensor

    from decodeplug.contracts import Constraint, Drafter, Inspector, JointSelector, Processor, Selector
    from decodeplug.rules import Rules
    from decodeplug.taps import Tap, Taps
    from decodeplug.text import TextState
    from decodeplug.trace import Trace
    from decodeplug.widths import WidthCosts

__all__ = ["Job", "Lane", "Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows are scored and chosen. Neighbouring lanes with equal plans are scored together.

    :ivar joint: The selector, if it chooses for all lanes of a job at once.
    :ivar normalised: Scores begin as log-probabilities.
    """

    processors: tuple[Processor, ...]
    selector: Selector
    joint: JointSelector | None = field(init=False, compare=False)
    normalised: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        joint = cast("JointSelector", self.selector) if getattr(self.selector, "joint", False) else None
        object.__setattr__(self, "joint", joint)  # looked at in every turn, so it is looked up once
        object.__setattr__(self, "normalised", getattr(self.selector, "takes_logprobs", False))


@dataclass(slots=True, eq=False)
class Lane:
    """One hypothesis.

    :ivar ids: Committed ids, prompt first. :ivar held: How many of them the cache holds;
        the rest is *pending*. :ivar state: The constraint's state after ``ids``.
    :ivar text: What the ids say so far, where somebody needs to know while decoding.
    :ivar hidden: The model's hidden states where it was fed last, of a prompt all that was fed, if a drafter needs them;
        see ``LaneView``.
    :ivar hypothesis: Its number within the request: part of the noise key.
    :ivar score: What a joint selector gave it. :ivar sources: Who proposed each new id; where lanes fork only,
        else the trace knows.
    :ivar prefilled: Ids that it was fed in turns that chose no token: the beginning of a long prompt.
    :ivar trail: What taps of inspectors saw of its ids.
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
    hidden: Tensor | None = None
    score: float = 0.0
    sources: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    prefilled: int = 0
    trail: Trail = field(default_factory=Trail)

    def fork(self) -> Lane:
        """Another lane that says the same so far."""
        return replace(
            self,
            ids=list(self.ids),
            logprobs=list(self.logprobs),
            raw_logprobs=list(self.raw_logprobs),
            top_logprobs=list(self.top_logprobs),
            sources=list(self.sources),
            trail=self.trail.fork(),
        )

    def brief(self) -> LaneView:
        """What a selector may know of this lane to compare it with others."""
        return LaneView(self.ids, self.job.prompt_length, seed=(self.job.seed, self.hypothesis), score=self.score)

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
        job, key = self.job, (self.job.seed, self.hypothesis)
        cost = partial(costs.relative, lanes=lanes)
        if job.drafter is None:
            return LaneView(
                self.ids, job.prompt_length, job.constraint, self.state, self.records, cost, key, self.score
            )
        ids = tuple(self.ids)  # drafters get a copy, so that none of them can change the text
        # Of a prompt that is fed in pieces, hidden states are not yet those next to the last id.
        in_pieces = self.prefilled and self.held < len(self.ids) - 1
        return LaneView(
            ids=ids,
            prompt_length=job.prompt_length,
            constraint=job.constraint,
            state=self.state,
            records=self.records,
            cost=cost,
            seed=key,
            score=self.score,
            hidden=None if in_pieces else self.hidden,
            samples=job.samples,
            wants_probabilities=job.wants_probabilities,
            draw=Drawing(job, ids, key),
            forward_s=costs.seconds(lanes) / lanes,
        )


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way through the loop: its resolved parts and its lanes.

    :ivar lanes: Where the selector chooses for all of them at once, those that go on, best first; in the end the
        best that have ended. :ivar finished: The best that have ended so far, likewise.
    :ivar reused: Ids of its prompt that the cache knew from other texts. :ivar waits: It holds nothing, until the cache has
        room for it.
    :ivar returns: How many of these are wanted.
    :ivar watchers: Inspectors with what they look through. :ivar taps: Those of the run that it is in. :ivar fed: What they
        saw in each forward.
    """

    prompt: Sequence[int]
    plan: Plan
    rules: Rules
    trace: Trace
    seed: int
    drafter: Drafter | None = None
    constraint: Constraint | None = None
    end_ids: frozenset[int] = frozenset()
    inspectors: Sequence[Inspector] = ()
    samples: bool = False
    logprobs: bool = False
    top_logprobs: int = 0
    raw_logprobs: bool = False
    reports_logprobs: bool = False
    owner: Callable[[object], str] = lambda part: "unknown"
    lanes: list[Lane] = field(default_factory=list)
    finished: list[Lane] = field(default_factory=list)
    returns: int = 1
    deadline: float | None = None
    error: BaseException | None = None
    cancelled: bool = False
    reused: int = 0
    waits: bool = False
    watchers: Sequence[tuple[Inspector, Tap]] = ()
    taps: Taps | None = None
    fed: list[Fed] = field(default_factory=list[Fed])

    def interrupted(self) -> str | None:
        """Why this job must stop now though its text has not ended, or None."""
        if self.cancelled:
            return "cancelled"
        return "timeout" if self.deadline is not None and time.monotonic() > self.deadline else None

    @property
    def wants_probabilities(self) -> bool:
        """Does its selector ask what drafted tokens were drawn from?"""
        return getattr(self.plan.selector, "wants_probabilities", False)

    @property
    def wants_whole_masks(self) -> bool:
        """Are its probabilities compared or reported? Then what a constraint refuses late must be gone before."""
        return self.reports_logprobs or getattr(self.plan.selector, "wants_whole_masks", False)

    @property
    def needs_hidden(self) -> bool:
        """Does its drafter read the model's hidden states?"""
        return getattr(self.drafter, "needs_hidden", False)

    @property
    def needs_whole_prompt(self) -> bool:
        """Must each id of its prompt be computed, also where the cache knows it from another text?"""
        asking = any(getattr(one, "needs_whole_prompt", False) for one in self.inspectors)
        return asking or self.needs_hidden or bool(self.watchers)

    @property
    def prompt_length(self) -> int:
        return len(self.prompt)

    @property
    def is_done(self) -> bool:
        return self.error is not None or all(lane.finish_reason is not None for lane in self.lanes)
