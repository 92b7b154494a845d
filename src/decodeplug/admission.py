"""Who may join a running batch, and who has left it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from decodeplug.errors import BadOption
from decodeplug.guessing import note_who_was_never_asked
from decodeplug.lane import Job
from decodeplug.score import part_name
from decodeplug.users import Users

if TYPE_CHECKING:
    from decodeplug.fit import Ready
    from decodeplug.panel import Panel

__all__ = ["NO_LIMITS", "Admission", "Limits", "Line"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is decoded at once; None is no limit.

    :param max_batch: Lanes. A request counts with all of its hypotheses; one that has more of them runs alone.
    :param max_batch_tokens: Ids of one forward. Longer prompts are fed in pieces where the model allows it.
    :param max_cache_bytes: No request joins where the cache would become larger, judged by what lanes take now and by
        how long all of them may become. One that is larger by itself runs alone.
    :raises BadOption: One of them is no whole number above 0.
    """

    max_batch: int | None = 16
    max_batch_tokens: int | None = 2048
    max_cache_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_batch_tokens", "max_cache_bytes"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise BadOption("host", wanted="a whole number of at least 1, or None", **{name: value})

    @property
    def lanes(self) -> int | None:
        """Lanes at once: each needs an id of a forward."""
        most = [limit for limit in (self.max_batch, self.max_batch_tokens) if limit is not None]
        return min(most) if most else None


_SLOTS = 64  # ids for which a cache takes memory at least, and in steps of which
NO_LIMITS = Limits(None, None, None)


class Line:
    """Requests that wait, of which the first can be looked at.

    :param take: Gives the next request, or None: nobody waits now.
    """

    def __init__(self, take: Callable[[], Ready | None]) -> None:
        self._take, self._first = take, None

    @classmethod
    def of(cls, waiting: Iterable[Ready]) -> Line:
        """A line to which nobody is added."""
        iterator = iter(waiting)
        return cls(lambda: next(iterator, None))

    def first(self) -> Ready | None:
        """Who is next; None if nobody waits now."""
        if self._first is None:
            self._first = self._take()
        return self._first

    @property
    def looked_at(self) -> Ready | None:
        """Who is next, if anybody has asked."""
        return self._first

    def leave(self) -> None:
        """The first one is served."""
        self._first = None


@dataclass(slots=True, eq=False)
class Stay:
    """A request in the batch, when it came, and the most that the cache took since."""

    ready: Ready
    began: float = field(default_factory=time.perf_counter)
    peak: int = 0

    @property
    def lanes(self) -> int:
        """Lanes that it has, or will have."""
        job = self.ready.job
        going = sum(lane.finish_reason is None for lane in job.lanes)
        return going if job.plan.joint is None else max(going, job.plan.joint.width)

    @property
    def longest(self) -> int:
        """Ids of its longest text, if it is not ended before."""
        return self.ready.job.prompt_length + self.ready.job.rules.budget


class Admission:
    """Lets requests with one cache join a batch as others leave it, in the order of their line.

    :param line: Holds at least one request: the first one's cache and interventions are those of the batch. One with
        others is left in the line, and all behind it.
    :param users: Of drafters, over all runs of the host.
    :param opened: Told of each request when it joins.
    :ivar first: The request that was first in it. :ivar joining: Jobs for the next turn. Who takes them empties it.
    :ivar inspected: Jobs in the batch that somebody inspects.
    :ivar judged: Requests in the batch whose texts a panel follows, and it.
    :ivar facts: What the cache says of itself, once there is one.
    :ivar over: A request has joined that was over before: it was cancelled while it waited, or it failed as it was told of.
    """

    def __init__(self, line: Line, limits: Limits, users: Users, opened: Callable[[Ready], None]) -> None:
        first = line.first()
        assert first is not None, "nobody waits"
        self.first = first
        self.cache: Any = first.cache
        self.limits = limits
        self.joining: list[Job] = []
        self._line, self._users, self._opened = line, users, opened
        self.inspected: Sequence[Job] = ()
        self.judged: Sequence[tuple[Ready, Panel]] = ()
        self.facts: Callable[[], Mapping[str, int]] | None = None
        self._stays: list[Stay] = []
        self._held, self._noted, self._known, self.over = 0, False, False, False
        self._most = self._longest = 1
        budgets = [
            limit for limit in (limits.max_cache_bytes, getattr(self.cache, "max_bytes", None)) if limit is not None
        ]
        self._budget: int | None = min(budgets, default=None)

    @property
    def running(self) -> list[Ready]:
        """Requests that have joined and are not retired."""
        return [stay.ready for stay in self._stays]

    def refill(self) -> None:
        """Let those join that fit."""
        if self._line.first() is None:
            return
        lanes = sum(stay.lanes for stay in self._stays)
        while (ready := self._line.first()) is not None and ready.runs_with(self.first):
            stay = Stay(ready)
            if lanes and not self._fits(stay, lanes):
                break
            self._line.leave()
            self._stays.append(stay)
            self._opened(ready)
            self._users.enter(ready.job)
            job = ready.job
            if (reason := job.interrupted()) and job.plan.joint is None and ready.panel is None:
                for lane in job.lanes:
                    lane.finish_reason = reason
            self.joining.append(job)
            self.over = self.over or job.is_done
            lanes += stay.lanes
        if self.joining:
            self._noted = False
            self._look_round()

    def _look_round(self) -> None:
        self.inspected = [stay.ready.job for stay in self._stays if stay.ready.job.inspectors]
        panels = ((stay.ready, stay.ready.panel) for stay in self._stays)
        self.judged = [(ready, panel) for ready, panel in panels if panel is not None]

    def _fits(self, stay: Stay, lanes: int) -> bool:
        limits = self.limits
        if limits.lanes is not None and lanes + stay.lanes > limits.lanes:
            return False
        if any(one.ready.job.waits for one in self._stays):
            return False
        if self._budget is None:
            return True
        if not self._known:  # what a lane takes is known after its first turn
            return False
        longest = max(one.longest for one in [*self._stays, stay])
        growth = _growth(self._longest, longest, getattr(self.cache, "block_size", None))
        return (lanes + stay.lanes) * self._held / self._most * growth <= self._budget

    def note(self, cache_bytes: int) -> None:
        """Take down what the cache held in a turn."""
        if cache_bytes == self._held and self._noted and self._budget is None:
            return
        self._held, self._noted = cache_bytes, True
        if self._budget is not None:  # buffers stay as large as they once had to be
            self._most = max(self._most, sum(stay.lanes for stay in self._stays))
            running = [lane for stay in self._stays for lane in stay.ready.job.lanes]
            self._longest = max([self._longest, *(lane.prefilled or len(lane.ids) - 1 for lane in running)])
            # Of a prompt in pieces, and of hypotheses that share one, more will be held than is.
            self._known = all(lane.finish_reason or len(lane.new_ids) > 1 for lane in running)
        for stay in self._stays:
            stay.peak = max(stay.peak, cache_bytes)

    def retire(self, *, everybody: bool = False) -> list[Ready]:
        """Dismiss those that are done, and close drafters that nobody else uses.

        :param everybody: The batch is over: those that are not done as well.
        :returns: Those that are done, in the order in which they joined.
        """
        self.over = False
        leaving = [stay for stay in self._stays if everybody or stay.ready.job.is_done]
        if not leaving:
            return []
        self._stays = [stay for stay in self._stays if stay not in leaving]
        self._look_round()
        for stay in leaving:
            job = stay.ready.job
            self._users.leave(job)
            note_who_was_never_asked(job)
            job.drafter = None  # whoever keeps the result keeps the job, and needs neither this nor hidden states
            for lane in (*job.lanes, *job.finished):
                lane.hidden = None
            trace = job.trace
            trace.elapsed_s = time.perf_counter() - stay.began
            known = {"name": part_name(self.cache), "bytes": self._held, "peak_bytes": stay.peak, "reused": job.reused}
            trace.cache = {**known, **(self.facts() if self.facts is not None else {})}
        return [stay.ready for stay in leaving if stay.ready.job.is_done]


def _growth(now: int, then: int, block: int | None) -> float:
    """How many times as much memory a lane takes that becomes so long: buffers double when they are full.

    :param block: Ids of a block, where memory comes in blocks.
    """
    if block is not None:
        return -(-then // block) / -(-now // block)
    slots = first = -(-now // _SLOTS) * _SLOTS
    while slots < then:
        slots *= 2
    return slots / first
